"""Layers by the functions that have kernels of libraries on Hopper GPUs: equal to the maps one by one.

Here, without such a GPU, what stands in the kernels' place; `tests/train/test_gpu.py` holds the kernels to the same.
"""

import dataclasses

import pytest
import torch

from bloomery.config import TransformerConfig
from bloomery.nn import TransformerLM, cross_entropy, hopper, hopper_fp8, linear_cross_entropy, linear_loss
from bloomery.nn.fp8 import rounded
from bloomery.nn.fused import fused_attention, fused_swiglu
from bloomery.nn.rope import RotaryPositionalEmbedding


@pytest.mark.parametrize("compiled", (False, True))
def test_models_are_equal_with_and_without(tiny: TransformerConfig, *, compiled: bool) -> None:
    model = TransformerLM(dataclasses.replace(tiny, d_model=32, num_heads=4, d_ff=48))
    model.use_joint_projections()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".ln" in name:
                parameter.uniform_(0.5, 1.5)
    tokens = torch.randint(tiny.vocab_size, (2, 9))
    found: list[tuple[torch.Tensor, ...]] = []
    for enabled in (False, True):
        model.use_hopper_kernels(enabled=enabled)
        assert model.layers[0].attn.hopper is model.layers[0].ffn.hopper is enabled  # type: ignore[union-attr]
        forward = torch.compile(model, backend="aot_eager") if compiled else model
        logits = forward(tokens)
        found.append((logits, *torch.autograd.grad(cross_entropy(logits, tokens), list(model.parameters()))))
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("compiled", (False, True))
def test_in_8_bits_errors_are_those_without(tiny: TransformerConfig, *, compiled: bool) -> None:
    model = TransformerLM(dataclasses.replace(tiny, d_model=32, num_heads=4, d_ff=48))
    model.use_joint_projections()
    tokens = torch.randint(tiny.vocab_size, (2, 9))
    found: list[tuple[torch.Tensor, ...]] = []
    for fp8, enabled in ((False, False), (True, False), (True, True)):
        model.use_fp8(enabled=fp8)
        model.use_hopper_kernels(enabled=enabled)
        forward = torch.compile(model, backend="aot_eager") if compiled and enabled else model
        logits = forward(tokens)
        found.append((logits, *torch.autograd.grad(cross_entropy(logits, tokens), list(model.parameters()))))
    # Forwards queries, keys and values are in 8 bits.
    torch.testing.assert_close(found[2][0], found[1][0], rtol=1e-4, atol=1e-5)
    assert 0 < (found[2][0] - found[0][0]).norm() < 0.05 * found[0][0].norm()
    for name, exact, without, ours in zip(model.state_dict(), *(each[1:] for each in found), strict=True):
        if name == "lm_head.weight":
            continue  # outside linear_cross_entropy it is not in 8 bits
        noise, error = ((value - exact).norm() / exact.norm() for value in (without, ours))
        assert 0 < error < 1.6 * noise + 0.01, name


def test_gradients_of_the_gate_stay_within_their_bound() -> None:
    # Rows and columns of very different size, and a row of the gradient that is all zeros.
    spread = torch.logspace(-4, 2, 40).unsqueeze(1)
    x, gradient = torch.randn(40, 32), torch.randn(40, 32) * spread
    gradient[3] = 0
    joint_weight, weight = torch.randn(96, 32) * torch.logspace(-2, 0, 96).unsqueeze(1), torch.randn(32, 48)
    joint, _ = hopper.gated_product(x, joint_weight)
    norms, x_norms = (torch.linalg.vector_norm(each, dim=1, keepdim=True) for each in (gradient, x))
    scales = hopper_fp8.gradient_scales(norms, weight, x_norms.amax().item(), joint_weight)
    exact, numbers = hopper_fp8.gated_product_gradient(
        *rounded(gradient), *rounded(weight.T.contiguous()), joint, scales.reciprocal()
    )
    largest = numbers.float().abs().amax()
    assert 1 < largest < 384
    assert (numbers.float() * scales - exact).norm(dim=1).le(0.05 * exact.norm(dim=1)).all()


def test_the_head_with_sums_of_exponentials(monkeypatch: pytest.MonkeyPatch) -> None:
    # Several tiles of a row, the last one not full, and several chunks of tokens.
    monkeypatch.setitem(linear_loss._CHUNK_BYTES, "cpu", 4 * 4 * 640 * 5)
    monkeypatch.setitem(linear_loss._MULTIPLE, "cpu", 64)
    hidden, weight = torch.randn(3, 17, 16, requires_grad=True), torch.randn(600, 16, requires_grad=True)
    targets = torch.randint(600, (3, 17))
    found: list[tuple[torch.Tensor, ...]] = []
    for enabled in (False, True):
        loss = linear_cross_entropy(hidden, weight, targets, fp8=True, hopper=enabled)
        with torch.no_grad():
            assert linear_cross_entropy(hidden, weight, targets, fp8=True, hopper=enabled) == loss
        found.append((loss, *torch.autograd.grad(loss, (hidden, weight))))
    torch.testing.assert_close(found[1], found[0])


def test_gradients() -> None:
    rope = RotaryPositionalEmbedding(100.0, 8, 6)
    x, weight = torch.randn(2, 5, 8, dtype=torch.float64), torch.randn(3 * 16, 8, dtype=torch.float64)
    inputs = x.requires_grad_(), weight.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, w: fused_attention(x, w, rope, 2, fp8=False), inputs, atol=1e-4)
    residual, joint, back = (torch.randn(*shape, dtype=torch.float64) for shape in ((2, 5, 8), (12, 8), (8, 6)))
    parts = residual.requires_grad_(), x, joint.requires_grad_(), back.requires_grad_()
    assert torch.autograd.gradcheck(fused_swiglu, parts)


def test_turns_are_those_of_the_tables() -> None:
    rope = RotaryPositionalEmbedding(10_000.0, 64, 5000)
    x = torch.randn(5000, 64)
    product = hopper.turned_product(x, torch.eye(64), torch.arange(5000.0), rope.turns)
    torch.testing.assert_close(product, rope(x), rtol=1e-5, atol=1e-5)


def test_widths_that_the_kernels_do_not_take_are_left_alone(tiny: TransformerConfig) -> None:
    model = TransformerLM(dataclasses.replace(tiny, d_model=24, num_heads=4, d_ff=20))
    model.use_hopper_kernels()
    assert not model.layers[0].attn.hopper  # type: ignore[union-attr]
    assert not model.layers[0].ffn.hopper  # type: ignore[union-attr]


def test_a_processor_has_no_such_kernels() -> None:
    assert not hopper.is_there(torch.device("cpu"))
