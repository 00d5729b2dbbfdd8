"""Linear, embedding, norm and feed-forward: shapes, values, how they start, and low precision."""

import math

import pytest
import torch
import torch.nn.functional as torch_functional
from torch import Tensor, nn

from bloomery.nn import Embedding, Linear, RMSNorm, SiLUFeedForward, SwiGLU

LEADING = ((), (3,), (2, 3, 4))
# Variance of a standard normal cut off at ±3: 1 - 6·φ(3) / (2·Φ(3) - 1).
CUT_VARIANCE = 1 - 6 * math.exp(-4.5) / math.sqrt(2 * math.pi) / math.erf(3 / math.sqrt(2))


def assert_cut_normal(weight: Tensor, std: float) -> None:
    """By range, mean, variance and the share within one standard deviation, to four standard errors or so."""
    values = weight.detach().double().flatten() / std
    n = values.numel()
    assert values.abs().max() <= 3 + 1e-6
    assert values.abs().max() > 2.9
    assert abs(values.mean()) < 4 / math.sqrt(n)
    assert values.var().item() == pytest.approx(CUT_VARIANCE, abs=6 / math.sqrt(n))
    within = math.erf(1 / math.sqrt(2)) / math.erf(3 / math.sqrt(2))
    assert (values.abs() < 1).double().mean().item() == pytest.approx(within, abs=4 * 0.5 / math.sqrt(n))


@pytest.mark.parametrize("shape", ((400, 100), (100, 400), (300, 300)))
def test_linear_starts_as_a_cut_normal(shape: tuple[int, int]) -> None:
    assert_cut_normal(Linear(*shape).weight, math.sqrt(2 / sum(shape)))


def test_embedding_starts_as_a_cut_normal() -> None:
    assert_cut_normal(Embedding(300, 200).weight, 1.0)


def test_the_seed_decides_the_weights() -> None:
    first, second = (torch.manual_seed(5) and Linear(4, 4).weight for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, Linear(4, 4).weight)


@pytest.mark.parametrize("leading", LEADING)
def test_linear(leading: tuple[int, ...]) -> None:
    linear = Linear(5, 7)
    x = torch.randn(*leading, 5)
    assert [name for name, _ in linear.named_parameters()] == ["weight"]
    assert linear.weight.shape == (7, 5)
    torch.testing.assert_close(linear(x), torch_functional.linear(x, linear.weight))


@pytest.mark.parametrize("leading", LEADING)
def test_embedding(leading: tuple[int, ...]) -> None:
    embedding = Embedding(11, 6)
    ids = torch.randint(11, leading)
    assert torch.equal(embedding(ids), torch_functional.embedding(ids, embedding.weight))


def test_embedding_adds_gradients_of_repeated_tokens() -> None:
    embedding = Embedding(4, 2)
    embedding(torch.tensor([1, 1, 3])).sum().backward()
    assert embedding.weight.grad is not None
    assert embedding.weight.grad[:, 0].tolist() == [0, 2, 0, 1]


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("eps", (1e-5, 0.5))
def test_rmsnorm(leading: tuple[int, ...], eps: float) -> None:
    norm = RMSNorm(6, eps)
    assert torch.equal(norm.weight, torch.ones(6))
    nn.init.normal_(norm.weight)
    x = torch.randn(*leading, 6)
    torch.testing.assert_close(norm(x), torch_functional.rms_norm(x, (6,), norm.weight, eps))


def test_rmsnorm_squares_in_float32() -> None:
    x = torch.full((2, 8), 60_000.0, dtype=torch.float16)  # its square overflows float16
    result = RMSNorm(8, dtype=torch.float16)(x)
    assert result.dtype == torch.float16
    torch.testing.assert_close(result, torch.ones_like(x))


@pytest.mark.parametrize("leading", LEADING)
def test_feed_forward(leading: tuple[int, ...]) -> None:
    x = torch.randn(*leading, 6)
    gated, plain = SwiGLU(6, 10), SiLUFeedForward(6, 10)
    assert {name: tuple(p.shape) for name, p in gated.named_parameters()} == {
        "w1.weight": (10, 6),
        "w2.weight": (6, 10),
        "w3.weight": (10, 6),
    }
    assert {name: tuple(p.shape) for name, p in plain.named_parameters()} == {
        "w1.weight": (10, 6),
        "w2.weight": (6, 10),
    }
    silu, linear = torch_functional.silu, torch_functional.linear
    expected = linear(silu(linear(x, gated.w1.weight)) * linear(x, gated.w3.weight), gated.w2.weight)
    torch.testing.assert_close(gated(x), expected)
    torch.testing.assert_close(plain(x), linear(silu(linear(x, plain.w1.weight)), plain.w2.weight))


@pytest.mark.parametrize("kind", (Linear, Embedding, SwiGLU, SiLUFeedForward))
def test_device_and_dtype_are_the_weights(kind: type[Linear]) -> None:
    module = kind(4, 6, device="meta", dtype=torch.bfloat16)
    assert {(p.device.type, p.dtype) for p in module.parameters()} == {("meta", torch.bfloat16)}


def test_the_embedding_follows_autocast() -> None:
    embedding, ids = Embedding(7, 4), torch.tensor([[1, 2], [6, 0]])
    assert embedding(ids).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(embedding(ids), embedding.weight[ids].bfloat16())
