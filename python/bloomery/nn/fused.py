"""Attention and SwiGLU, each from its joint product on as one function, by the kernels of `hopper`.

Shapes: B is the batch, T the tokens, H the heads, D a head's width, K the model's width, F a feed-forward network's.
"""

from typing import Any

import torch
from torch import Tensor

from bloomery.nn.fp8 import product, rounded
from bloomery.nn.hopper import (
    attend,
    attend_gradient,
    attend_gradient_rounded,
    gated_product,
    gated_product_gradient,
    turned_product,
)
from bloomery.nn.hopper_fp8 import turned_product as turned_product_fp8
from bloomery.nn.joint import added_product
from bloomery.nn.rope import RotaryPositionalEmbedding


def fused_attention(
    x: Tensor, joint_weight: Tensor, rope: RotaryPositionalEmbedding, num_heads: int, *, fp8: bool
) -> Tensor:
    """Causal attention with RoPE, before the output projection.

    Args:
        x: [B, T, K].
        joint_weight: [3·H·D, K]: of queries, keys, values of all heads.
        rope: Turns queries and keys.
        num_heads: H.
        fp8: Whether the joint product and the gradient of x are in 8 bits, as `fp8_heads` has them.

    Returns:
        [B, T, H·D].
    """
    batch, length, _ = x.shape
    cos, sin = rope.tables(length)
    positions = torch.arange(length, device=x.device, dtype=torch.float32).repeat(batch)
    repeated = rope.turns.repeat(2 * num_heads)
    turns = torch.cat((repeated, repeated.new_zeros(repeated.shape[0] // 2)))  # values do not turn
    y: Tensor = _Attention.apply(x, joint_weight, cos, sin, positions, turns, num_heads, fp8)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType] - untyped in torch
    return y


def fused_swiglu(residual: Tensor, x: Tensor, joint_weight: Tensor, weight: Tensor) -> Tensor:
    """Residual + W·(silu(W1·x) ⊙ W3·x).

    Args:
        residual: [..., K].
        x: [..., K].
        joint_weight: [2·F, K], rows of W1 and W3 by turns.
        weight: [K, F].

    Returns:
        [..., K].
    """
    y: Tensor = _SwiGLU.apply(residual, x, joint_weight, weight)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType]
    return y


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        x: Tensor,
        joint_weight: Tensor,
        cos: Tensor,
        sin: Tensor,
        positions: Tensor,
        turns: Tensor,
        num_heads: int,
        fp8: bool,  # noqa: FBT001 - torch passes by position
    ) -> Tensor:
        rows = x.flatten(0, -2)
        if fp8:
            joint = turned_product_fp8(*rounded(rows), *rounded(joint_weight), positions, turns, x.dtype)
        else:
            joint = turned_product(rows, joint_weight.to(x.dtype), positions, turns)
        joint = joint.reshape(*x.shape[:-1], -1)
        y, log_sums = attend(joint, num_heads)
        ctx.save_for_backward(x, joint_weight, cos, sin, joint, y, log_sums)
        ctx.fp8 = fp8
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, joint_weight, cos, sin, joint, y, log_sums = ctx.saved_tensors
        arguments = gradient, joint, y, log_sums, cos, sin
        if ctx.fp8:
            of_joint, numbers, scales = (part.flatten(0, -2) for part in attend_gradient_rounded(*arguments))
            of_x = product((numbers, scales), rounded(joint_weight.T.contiguous()), x.dtype)
        else:
            of_joint = attend_gradient(*arguments).flatten(0, -2)
            of_x = of_joint @ joint_weight.to(x.dtype)
        of_weight = (of_joint.T @ x.flatten(0, -2)).to(joint_weight.dtype)
        return of_x.reshape(x.shape), of_weight, None, None, None, None, None, None


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor, x: Tensor, joint_weight: Tensor, weight: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        joint, gated = gated_product(x.flatten(0, -2), joint_weight.to(x.dtype))
        ctx.save_for_backward(x, joint_weight, weight, joint)
        return added_product(residual, gated.reshape(*x.shape[:-1], -1), weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, joint_weight, weight, joint = ctx.saved_tensors
        rows = gradient.flatten(0, -2)
        # The kernel gives once more what was gated: it need not be kept until here.
        of_joint, gated = gated_product_gradient(rows, weight.to(x.dtype), joint)
        of_x = of_joint @ joint_weight.to(x.dtype)
        of_joint_weight = of_joint.T @ x.flatten(0, -2)
        of_weight = rows.T @ gated
        return gradient, of_x.reshape(x.shape), of_joint_weight.to(joint_weight.dtype), of_weight.to(weight.dtype)
