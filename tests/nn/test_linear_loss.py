"""The output head with its loss: equal to the two apart, in as many chunks as it takes."""

import pytest
import torch

from bloomery.nn import cross_entropy, linear_cross_entropy, linear_loss
from bloomery.nn.fp8_loss import rounded_by_chance

Parts = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def make(*leading: int, vocab_size: int = 37) -> Parts:
    hidden = torch.randn(*leading, 16, requires_grad=True)
    weight = torch.randn(vocab_size, 16, requires_grad=True)
    return hidden, weight, torch.randint(vocab_size, leading)


def of_whole_logits(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return cross_entropy(hidden @ weight.T, targets)


@pytest.mark.parametrize("leading", ((7,), (2, 3, 4), (150,)))
@pytest.mark.parametrize("chunk_bytes", (1, 1000, 10**6))
def test_loss_and_gradients_are_those_of_whole_logits(
    leading: tuple[int, ...], chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(linear_loss._CHUNK_BYTES, "cpu", chunk_bytes)
    hidden, weight, targets = make(*leading)
    # As where a step has several micro-batches, the gradient that comes in is not 1.
    loss, expected = (f(hidden, weight, targets) / 3 for f in (linear_cross_entropy, of_whole_logits))
    torch.testing.assert_close(loss, expected)
    ours, theirs = (torch.autograd.grad(value, (hidden, weight)) for value in (loss, expected))
    torch.testing.assert_close(ours, theirs)


def test_a_padded_vocabulary_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(linear_loss._MULTIPLE, "cpu", 64)
    hidden, weight, targets = make(5, 9)
    loss, expected = (f(hidden, weight, targets) for f in (linear_cross_entropy, of_whole_logits))
    torch.testing.assert_close(loss, expected)
    ours, theirs = (torch.autograd.grad(value, (hidden, weight)) for value in (loss, expected))
    torch.testing.assert_close(ours, theirs)


def test_low_precision_is_summed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(linear_loss._CHUNK_BYTES, "cpu", 10_000)
    hidden, weight, targets = make(400)
    expected = of_whole_logits(hidden, weight, targets)
    theirs = torch.autograd.grad(expected, (hidden, weight))
    with torch.autocast("cpu", torch.bfloat16):
        loss = linear_cross_entropy(hidden, weight, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0.01, atol=0)
    for ours, other in zip(torch.autograd.grad(loss, (hidden, weight)), theirs, strict=True):
        assert ours.dtype == torch.float32
        assert (ours - other).norm() < 0.02 * other.norm()


@pytest.mark.parametrize("fp8", (False, True))
def test_without_gradients_the_loss_is_the_same(*, fp8: bool) -> None:
    hidden, weight, targets = make(5, 9)
    expected = linear_cross_entropy(hidden, weight, targets, fp8=fp8)
    with torch.no_grad():
        assert torch.equal(linear_cross_entropy(hidden, weight, targets, fp8=fp8), expected)


@pytest.mark.parametrize("chunk_bytes", (1000, 10**6))
def test_in_8_bits_loss_and_gradients_are_close(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(linear_loss._CHUNK_BYTES, "cpu", chunk_bytes)
    monkeypatch.setitem(linear_loss._MULTIPLE, "cpu", 64)
    hidden, weight, targets = make(7, 19)
    loss, expected = linear_cross_entropy(hidden, weight, targets, fp8=True), of_whole_logits(hidden, weight, targets)
    torch.testing.assert_close(loss, expected, rtol=0.01, atol=0)
    ours, theirs = (torch.autograd.grad(value, (hidden, weight)) for value in (loss, expected))
    for our, their in zip(ours, theirs, strict=True):
        assert (our - their).norm() < 0.08 * their.norm()


def test_in_8_bits_the_loss_is_exact() -> None:
    parts = make(7, 19)
    assert torch.equal(linear_cross_entropy(*parts, fp8=True), linear_cross_entropy(*parts))


def test_rounding_by_chance_has_no_bias() -> None:
    # As gradients of logits are: probabilities of every size, and less 1.
    x = torch.cat([torch.rand(200_000) * 2.0 ** -torch.randint(20, (200_000,)), 0.02 * torch.rand(200_000) - 1])
    x *= 2**15
    found = rounded_by_chance(x)
    normal = x.abs() >= torch.finfo(torch.float8_e5m2).smallest_normal
    assert torch.equal(found[normal], found[normal].to(torch.float8_e5m2).float())
    assert ((found - x).abs() <= 0.25 * x.abs()).all()
    for first, last in ((0.1, 1), (0.001, 0.1), (-1, -0.99), (-0.99, -0.98)):
        part = (x > first * 2**15) & (x < last * 2**15)
        assert found[part].sum().item() == pytest.approx(x[part].sum().item(), rel=0.003)
    # Rounded to the nearest, the last of them are 1 % off.
    assert x[part].to(torch.float8_e5m2).float().sum() < 1.01 * x[part].sum()
    assert torch.equal(rounded_by_chance(x), found)


def test_the_gradient_is_computed_once() -> None:
    hidden, weight, targets = make(5)
    loss = linear_cross_entropy(hidden, weight, targets)
    torch.autograd.grad(loss, (hidden, weight), retain_graph=True)
    with pytest.raises(RuntimeError, match="was computed already"):
        torch.autograd.grad(loss, (hidden, weight))


@pytest.mark.slow
def test_compiled_code_gives_the_same() -> None:
    hidden, weight, targets = make(5, 9)
    loss, expected = (linear_cross_entropy(hidden, weight, targets, compiled=compiled) for compiled in (True, False))
    torch.testing.assert_close(loss, expected)
    ours, theirs = (torch.autograd.grad(value, (hidden, weight)) for value in (loss, expected))
    torch.testing.assert_close(ours, theirs)
