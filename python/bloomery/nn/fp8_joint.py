"""The joint products of a layer in 8 bits, each as one function with what follows it.

Queries, keys and values are computed in 8 bits; else what is so computed are gradients; see `fp8`.

What comes out of RoPE's gradient and of that of SwiGLU's gate goes into a product in 8 bits. On a GPU the kernels that
compute them give it in 8 bits too: rounding what they gave would take another pass through memory for each.

Shapes: B is the batch, T the tokens, H the heads, D a head's width, K the model's width, F a feed-forward network's.
"""

from typing import Any

import torch
from torch import Tensor

from bloomery.nn.fp8 import product, rounded
from bloomery.nn.functional import in_dtype
from bloomery.nn.joint import KERNELS, gate, split_and_turn, turned

RoundedToo = tuple[Tensor, Tensor, Tensor]
"""Numbers as they are, in 8 bits, and the scales of these."""


def fp8_swiglu(x: Tensor, joint_weight: Tensor, weight: Tensor) -> Tensor:
    """W·(silu(W1·x) ⊙ W3·x) with gradients as `fp8_linear` computes them.

    Args:
        x: [..., K].
        joint_weight: [2·F, K], W1 above W3.
        weight: [K, F].

    Returns:
        [..., K].
    """
    y: Tensor = _SwiGLU.apply(x.flatten(0, -2), joint_weight, weight)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType] - untyped in torch
    return y.reshape(x.shape)


def fp8_heads(x: Tensor, joint_weight: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`heads` with its product and the gradient of x in 8 bits; see `fp8` for what that costs.

    Args:
        x: [B, T, K].
        joint_weight: [3·H·D, K].
        cos: As for `heads`.
        sin: As cos.

    Returns:
        Each [B, T, H·D].
    """
    heads: tuple[Tensor, Tensor, Tensor] = _Heads.apply(x, joint_weight, cos, sin)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType]
    return heads


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, joint_weight: Tensor, weight: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        joint = in_dtype(x @ joint_weight.to(x.dtype).T, x.dtype)
        gated = gate(joint)
        ctx.save_for_backward(x, joint_weight, weight, joint, gated)
        return in_dtype(gated @ weight.to(x.dtype).T, x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, joint_weight, weight, joint, gated = ctx.saved_tensors
        of_gated = product(rounded(gradient), rounded(weight.T.contiguous()), x.dtype)
        of_weight = (gradient.T @ gated).to(weight.dtype)
        of_joint, numbers, scales = _gate_gradient(of_gated, joint)
        of_x = product((numbers, scales), rounded(joint_weight.T.contiguous()), x.dtype)
        return of_x, (of_joint.T @ x).to(joint_weight.dtype), of_weight


class _Heads(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, joint_weight: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x, joint_weight, cos, sin)
        joint = product(rounded(x.flatten(0, -2)), rounded(joint_weight), x.dtype).reshape(*x.shape[:-1], -1)
        if joint.is_cuda and KERNELS:
            return split_and_turn(joint, cos, sin)
        q, k, v = joint.chunk(3, -1)
        return turned(q, cos, sin), turned(k, cos, sin), v

    @staticmethod
    def backward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, joint_weight, cos, sin = ctx.saved_tensors
        of_joint, numbers, scales = (part.flatten(0, -2) for part in _join_heads(q, k, v, cos, sin))
        of_x = product((numbers, scales), rounded(joint_weight.T.contiguous()), x.dtype)
        return of_x.reshape(x.shape), (of_joint.T @ x.flatten(0, -2)).to(joint_weight.dtype), None, None


def _gate_gradient(of_gated: Tensor, joint: Tensor) -> RoundedToo:
    """The gradient of joint [N, 2·F]."""
    if joint.is_cuda and KERNELS:
        return _gate_gradient_kernel(of_gated, joint)
    first, second = joint.chunk(2, -1)
    sigmoid = torch.sigmoid(first)
    of_first = of_gated * second * sigmoid * (1 + first * (1 - sigmoid))
    of_joint = torch.cat((of_first, of_gated * first * sigmoid), -1)
    return of_joint, *rounded(of_joint)


def _join_heads(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor) -> RoundedToo:
    """The gradient of what was split: each [B, T, H·D] to [B, T, 3·H·D]."""
    if q.is_cuda and KERNELS:
        return _join_heads_kernel(q, k, v, cos, sin)
    joint = torch.cat((turned(q, cos, -sin), turned(k, cos, -sin), v), -1)
    numbers, scales = rounded(joint.flatten(0, -2))
    return joint, numbers.reshape(joint.shape), scales.reshape(*joint.shape[:-1], 1)


@torch.library.custom_op("bloomery::gate_gradient_rounded", mutates_args=(), device_types="cuda")
def _gate_gradient_kernel(of_gated: Tensor, joint: Tensor) -> RoundedToo:
    from bloomery.nn import triton_kernels  # noqa: PLC0415 - Triton is not everywhere

    return triton_kernels.gate_gradient_rounded(of_gated, joint)


@torch.library.custom_op("bloomery::join_heads_rounded", mutates_args=(), device_types="cuda")
def _join_heads_kernel(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor) -> RoundedToo:
    from bloomery.nn import triton_kernels  # noqa: PLC0415

    return triton_kernels.join_heads_rounded(q, k, v, cos, sin)


def _fake(x: Tensor, width: int) -> RoundedToo:
    empty = x.new_empty(*x.shape[:-1], width)
    scales = x.new_empty(*x.shape[:-1], 1, dtype=torch.float32)
    return empty, torch.empty_like(empty, dtype=torch.float8_e4m3fn), scales


@_gate_gradient_kernel.register_fake  # pyright: ignore[reportUnknownMemberType] - untyped in torch, as below
def _(of_gated: Tensor, joint: Tensor) -> RoundedToo:  # noqa: ARG001
    return _fake(joint, joint.shape[-1])


@_join_heads_kernel.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor) -> RoundedToo:  # noqa: ARG001
    return _fake(q, 3 * q.shape[-1])
