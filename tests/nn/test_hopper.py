"""Layers by the functions that have kernels of libraries on Hopper GPUs: equal to the maps one by one.

Here, without such a GPU, what stands in the kernels' place; `tests/train/test_gpu.py` holds the kernels to the same.
"""

import dataclasses

import pytest
import torch

from bloomery.config import TransformerConfig
from bloomery.nn import TransformerLM, cross_entropy, hopper
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


def test_in_8_bits_attention_is_that_of_joint_products(tiny: TransformerConfig) -> None:
    model = TransformerLM(dataclasses.replace(tiny, d_model=32, num_heads=4, d_ff=48))
    model.use_joint_projections()
    model.use_fp8()
    tokens = torch.randint(tiny.vocab_size, (2, 9))
    found: list[tuple[torch.Tensor, ...]] = []
    for enabled in (False, True):
        model.use_hopper_kernels(enabled=enabled)
        logits = model(tokens)
        found.append((logits, *torch.autograd.grad(cross_entropy(logits, tokens), list(model.parameters()))))
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-4)


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
