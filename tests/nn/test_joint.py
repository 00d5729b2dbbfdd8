"""Joint products and what follows them: equal to the maps one by one, forwards and backwards."""

import dataclasses
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from bloomery.config import TransformerConfig
from bloomery.nn import (
    KVCache,
    Linear,
    RMSNorm,
    RotaryPositionalEmbedding,
    TransformerLM,
    cross_entropy,
    joint_linear,
    silu,
)
from bloomery.nn.joint import add_product, gate, heads
from bloomery.nn.rmsnorm import normalized


def test_a_joint_product_is_the_maps_side_by_side() -> None:
    x = torch.randn(2, 5, 8)
    maps = Linear(8, 4), Linear(8, 6), Linear(8, 4)
    torch.testing.assert_close(joint_linear(x, *maps), torch.cat([each(x) for each in maps], -1))


def test_heads_are_turned_as_by_rope() -> None:
    rope = RotaryPositionalEmbedding(100.0, 8, 11)
    x, weight = torch.randn(2, 5, 16), torch.randn(3 * 24, 16)
    q, k, v = (x @ weight.T).chunk(3, -1)

    def turned(x: torch.Tensor) -> torch.Tensor:
        return rope(x.reshape(2, 5, 3, 8).transpose(1, 2)).transpose(1, 2).flatten(-2)

    torch.testing.assert_close(heads(x, weight, *rope.tables(5)), (turned(q), turned(k), v))


def test_a_product_is_added_to_the_residual() -> None:
    residual, x, weight = torch.randn(2, 5, 6), torch.randn(2, 5, 8), torch.randn(6, 8)
    torch.testing.assert_close(add_product(residual, x, weight), residual + x @ weight.T)


def test_norms_without_their_gains_are_norms() -> None:
    norm = RMSNorm(16, eps=1e-3)
    x = torch.randn(3, 5, 16, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(normalized(x, norm.eps), norm.double()(x))
    assert torch.autograd.gradcheck(lambda x: normalized(x, norm.eps), x)
    narrow = torch.randn(4, 16, dtype=torch.bfloat16)
    torch.testing.assert_close(normalized(narrow, norm.eps), norm.float()(narrow))


def test_the_gate_is_swiglus() -> None:
    joint = torch.randn(2, 5, 12)
    torch.testing.assert_close(gate(joint), silu(joint[..., :6]) * joint[..., 6:])


@pytest.mark.parametrize("switches", ({}, {"qk_norm": True}, {"position": "none"}, {"feed_forward": "silu"}), ids=str)
def test_models_are_equal_with_and_without(tiny: TransformerConfig, switches: dict[str, Any]) -> None:
    model = TransformerLM(dataclasses.replace(tiny, **switches))
    tokens = torch.randint(tiny.vocab_size, (2, 9))
    found: list[tuple[torch.Tensor, ...]] = []
    for enabled in (False, True):
        model.use_joint_projections(enabled=enabled)
        logits = model(tokens)
        gradients = torch.autograd.grad(cross_entropy(logits, tokens), list(model.parameters()))
        moved = model(tokens, torch.arange(9) + 2)
        with torch.inference_mode():
            cache = KVCache(model.config, 2)
            cached = torch.cat([model(part, cache=cache) for part in tokens.split(3, 1)], 1)
        found.append((logits, moved, cached, *gradients))
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)


# Triton's interpreter runs the kernels without a GPU; it is chosen when triton is imported.
_KERNELS = """
import torch
import triton.language as tl
from bloomery.nn import RotaryPositionalEmbedding, fp8, hopper, triton_attention, triton_kernels, triton_loss
from bloomery.nn.joint import gate, turned
from bloomery.nn.linear_loss import loss_and_gradient

torch.manual_seed(0)


def packed(assembly, constraints, numbers, **options):
    # What the assembly does, which it has no GPU for.
    a, b, c, d = (each.to(tl.uint8, bitcast=True).to(tl.int32) for each in numbers)
    return a | b << 8 | c << 16 | d << 24


tl.inline_asm_elementwise = packed
triton_loss._BLOCKS = ((256, 4), (128, 4))
for vocab_size, width in ((300, 384), (256, 256), (200, 256), (40, 128)):
    logits, targets = 3 * torch.randn(5, width), torch.randint(vocab_size, (5,))
    expected = loss_and_gradient(logits, targets, vocab_size)
    loss, log_totals = triton_loss.loss(logits, targets, vocab_size)
    torch.testing.assert_close(loss, expected[0])
    place = torch.full((width, 256), 7.0).to(torch.float8_e5m2)
    transposed = place[:, 128:]
    gradient = triton_loss.rounded_gradient(logits, targets, log_totals, vocab_size, 15, transposed)
    assert torch.equal(transposed[:, :5].T.float(), gradient.float())
    assert not transposed[:, 5:].float().any()
    assert (place[:, :128].float() == 7).all()
    assert not gradient[:, vocab_size:].float().any()
    # Up or down to one of the two numbers of 8 bits beside it, and right in the mean.
    found = gradient.float() / 2**15
    torch.testing.assert_close(found, expected[1], rtol=0.25, atol=1e-9)
    assert abs(found.clamp(min=0).sum() / expected[1].clamp(min=0).sum() - 1) < 0.03
    torch.testing.assert_close(triton_loss.loss_and_gradient_(logits, targets, vocab_size), expected)

x, scale = torch.randn(5000), torch.tensor(0.3)
torch.testing.assert_close(triton_kernels.scale_(x.clone(), scale), x * scale)
assert torch.equal(triton_kernels.scale_(x.clone(), torch.tensor(1.0)), x)

cos, sin = RotaryPositionalEmbedding(100.0, 8, 7).tables(5)
joint = torch.randn(2, 5, 3 * 24, requires_grad=True)
q, k, v = joint.chunk(3, -1)
parts = turned(q, cos, sin), turned(k, cos, sin), v
here = joint.detach().clone()
triton_kernels.turn_(here, cos, sin)
torch.testing.assert_close(here, torch.cat(parts, -1).detach())
gradients = [torch.randn_like(part) for part in parts]
(expected,) = torch.autograd.grad(parts, joint, gradients)
torch.testing.assert_close(triton_kernels.join_heads(*gradients, cos, sin), expected)

joint = torch.randn(4, 3, 10, requires_grad=True)
gated = gate(joint)
torch.testing.assert_close(triton_kernels.gate(joint.detach()), gated.detach())
gradient = torch.randn_like(gated)
(expected,) = torch.autograd.grad(gated, joint, gradient)
torch.testing.assert_close(triton_kernels.gate_gradient(gradient, joint.detach()), expected)


def check(found, expected):
    rounded = fp8.rounded(expected.flatten(0, -2))
    torch.testing.assert_close(found[0], expected)
    torch.testing.assert_close(found[2].flatten(0, -2), rounded[1])
    # A number between two of 8 bits may go to either, and the interpreter halves those it rounds up to a power of two.
    numbers = found[1].flatten(0, -2).float()
    assert torch.isclose(numbers, rounded[0].float(), rtol=0.13, atol=0.01).float().mean() > 0.8


check(triton_kernels.gate_gradient_rounded(gradient, joint.detach()), expected)
check(triton_kernels.join_heads_rounded(*gradients, cos, sin), triton_kernels.join_heads(*gradients, cos, sin))
here = torch.cat(gradients, -1)
check((here, *triton_kernels.turn_back_rounded_(here, cos, sin)), triton_kernels.join_heads(*gradients, cos, sin))

triton_attention._BLOCK = 16
for tokens in (64, 37, 9):
    cos, sin = RotaryPositionalEmbedding(100.0, 16, 80).tables(tokens)
    joint = torch.randn(2, tokens, 3 * 48)
    y, log_sums = hopper.attend(joint, 3)
    arguments = torch.randn_like(y), joint, y, log_sums, cos, sin
    expected = hopper.attend_gradient(*arguments)
    torch.testing.assert_close(triton_attention.attend_gradient(*arguments), expected)
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed: it comes with torch for GPUs")
def test_the_kernels_equal_the_written_out_code() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, "-c", _KERNELS], check=True, env=environment, timeout=300)
