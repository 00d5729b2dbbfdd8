"""Joint products and what surrounds them: queries, keys and values with RoPE, SwiGLU's gate, sums with the residual.

On a GPU RoPE and the gate are one kernel each, and their gradients such that leave the gradients of the parts side by
side, where the backward pass of the joint product needs them. Left to torch.compile, that gradient was put together
element by element: 14 ms of the 136 of a step (GPT-2 small, H200) for queries, keys and values, where 2 are enough.

`hopper` has faster ways for the GPUs that it knows. Tried and not there: the gate, or its gradient, in the same Triton
kernel as the product before it. On an H100 the gradient took 617 µs for 755, which the faster memory of an H200 would
make nothing of, and the gate 782 for 840: without a tile that several blocks share, such a product reads three times
what cuBLAS's reads.

Shapes: B is the batch, T the tokens, H the heads, D a head's width, K the model's width, F a feed-forward network's.
"""

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from bloomery.nn.functional import silu
from bloomery.nn.rope import turn

KERNELS = find_spec("triton") is not None
"""Whether Triton is there; torch for Windows comes without it."""


def heads(x: Tensor, joint_weight: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values as one product; queries and keys are turned by their positions.

    Args:
        x: [B, T, K].
        joint_weight: [3·H·D, K]: of queries, keys, values of all heads.
        cos: [T, D], as in `RotaryPositionalEmbedding`.
        sin: As cos.

    Returns:
        Each [B, T, H·D]; on a GPU they are views of one tensor.
    """
    if x.is_cuda and KERNELS:
        parts: tuple[Tensor, Tensor, Tensor] = _Heads.apply(x, joint_weight, cos, sin)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType] - untyped in torch
        return parts
    q, k, v = (x @ joint_weight.T).chunk(3, -1)
    return turned(q, cos, sin), turned(k, cos, sin), v


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE for [B, T, H·D]; with the opposite of sin it turns back."""
    heads = x.reshape(*x.shape[:-1], -1, cos.shape[-1])
    return turn(heads, cos.unsqueeze(-2), sin.unsqueeze(-2)).flatten(-2)


def turned_joint(joint: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The first two of the three parts of [B, T, 3·H·D] turned."""
    q, k, v = joint.chunk(3, -1)
    return torch.cat((turned(q, cos, sin), turned(k, cos, sin), v), -1)


class _Heads(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, joint_weight: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x, joint_weight, cos, sin)
        return split_and_turn(x @ joint_weight.to(x.dtype).T, cos, sin)

    @staticmethod
    def backward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, joint_weight, cos, sin = ctx.saved_tensors
        of_joint = _join_heads(q, k, v, cos, sin)
        of_weight = of_joint.flatten(0, -2).T @ x.flatten(0, -2)
        return of_joint @ joint_weight.to(x.dtype), of_weight.to(joint_weight.dtype), None, None


def split_and_turn(joint: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three parts of a joint product [B, T, 3·H·D] on a GPU, the first two turned in place."""
    _turn(joint, cos, sin)
    q, k, v = joint.chunk(3, -1)
    return q, k, v


@torch.library.custom_op("bloomery::turn", mutates_args=("joint",), device_types="cuda")
def _turn(joint: Tensor, cos: Tensor, sin: Tensor) -> None:
    from bloomery.nn import triton_kernels  # noqa: PLC0415 - Triton is not everywhere

    triton_kernels.turn_(joint, cos, sin)


@torch.library.custom_op("bloomery::join_heads", mutates_args=(), device_types="cuda")
def _join_heads(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    from bloomery.nn import triton_kernels  # noqa: PLC0415

    return triton_kernels.join_heads(q, k, v, cos, sin)


@_turn.register_fake  # pyright: ignore[reportUnknownMemberType] - untyped in torch, as below
def _(joint: Tensor, cos: Tensor, sin: Tensor) -> None: ...


@_join_heads.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor) -> Tensor:  # noqa: ARG001
    return q.new_empty((*q.shape[:-1], 3 * q.shape[-1]))


def add_product(residual: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Residual + x·Wᵀ, in the dtype of the residual.

    On a GPU the product is added as it is computed. Under torch.compile the sum takes the place of the residual where
    nobody needs that any more.

    Args:
        residual: [..., M].
        x: [..., K].
        weight: [M, K].

    Returns:
        [..., M].
    """
    if residual.is_cuda:
        y: Tensor = _AddProduct.apply(residual, x, weight)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType] - untyped in torch
        return y
    return residual + x @ weight.T


class _AddProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor, x: Tensor, weight: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x, weight)
        return added_product(residual, x, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight = ctx.saved_tensors
        of_weight = gradient.flatten(0, -2).T @ x.flatten(0, -2)
        return gradient, gradient @ weight.to(gradient.dtype), of_weight.to(weight.dtype)


def added_product(residual: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """What `add_product` gives, without its gradient."""
    if not residual.is_cuda:
        return residual + x @ weight.T
    # A copy that torch.compile leaves out where it can; that of an addmm which is no mutation stays.
    total = residual.clone()
    _add_product(total, x, weight.to(residual.dtype))
    return total


@torch.library.custom_op("bloomery::add_product", mutates_args=("total",), device_types="cuda")
def _add_product(total: Tensor, x: Tensor, weight: Tensor) -> None:
    total.flatten(0, -2).addmm_(x.flatten(0, -2), weight.T)


@_add_product.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(total: Tensor, x: Tensor, weight: Tensor) -> None: ...


def gate(joint: Tensor) -> Tensor:
    """Silu of the first half of the last dimension times the second half: [..., 2·F] to [..., F]."""
    if joint.is_cuda and KERNELS:
        return _gate(joint)
    first, second = joint.chunk(2, -1)
    return silu(first) * second


@torch.library.custom_op("bloomery::gate", mutates_args=(), device_types="cuda")
def _gate(joint: Tensor) -> Tensor:
    from bloomery.nn import triton_kernels  # noqa: PLC0415

    return triton_kernels.gate(joint)


@torch.library.custom_op("bloomery::gate_gradient", mutates_args=(), device_types="cuda")
def _gate_gradient(of_gated: Tensor, joint: Tensor) -> Tensor:
    from bloomery.nn import triton_kernels  # noqa: PLC0415

    return triton_kernels.gate_gradient(of_gated, joint)


@_gate.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(joint: Tensor) -> Tensor:
    return joint.new_empty((*joint.shape[:-1], joint.shape[-1] // 2))


@_gate_gradient.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(of_gated: Tensor, joint: Tensor) -> Tensor:  # noqa: ARG001
    return torch.empty_like(joint)


def _save_joint(ctx: Any, inputs: tuple[Tensor], output: object) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs)


def _differentiate_gate(ctx: Any, of_gated: Tensor) -> Tensor:
    (joint,) = ctx.saved_tensors
    return _gate_gradient(of_gated, joint)


_gate.register_autograd(_differentiate_gate, setup_context=_save_joint)  # pyright: ignore[reportUnknownMemberType]
