"""What follows a joint product: queries, keys and values with RoPE, and SwiGLU's gate.

On a GPU each is one kernel, and its gradient one that leaves the gradients of the parts side by side, where the
backward pass of the joint product needs them. Left to torch.compile, that gradient was put together element by element:
14 ms of the 136 of a step (GPT-2 small, H200) for queries, keys and values, where 2 are enough. And a part that is a
view keeps the whole product in memory.

Shapes: B is the batch, T the tokens, H the heads, D a head's width, F a feed-forward network's.
"""

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from bloomery.nn.functional import silu
from bloomery.nn.rope import turn

KERNELS = find_spec("triton") is not None
"""Whether Triton is there; torch for Windows comes without it."""


def split_heads(joint: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Splits a joint product in three and turns queries and keys by their positions.

    Args:
        joint: [B, T, 3·H·D]: queries, keys, values of all heads.
        cos: [T, D], as in `RotaryPositionalEmbedding`.
        sin: As cos.

    Returns:
        Each [B, T, H·D].
    """
    if joint.is_cuda and KERNELS:
        return _split_heads(joint, cos, sin)
    q, k, v = joint.chunk(3, -1)
    return turned(q, cos, sin), turned(k, cos, sin), v


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE for [B, T, H·D]; with the opposite of sin it turns back."""
    heads = x.reshape(*x.shape[:-1], -1, cos.shape[-1])
    return turn(heads, cos.unsqueeze(-2), sin.unsqueeze(-2)).flatten(-2)


@torch.library.custom_op("bloomery::split_heads", mutates_args=(), device_types="cuda")
def _split_heads(joint: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    from bloomery.nn import triton_kernels  # noqa: PLC0415 - Triton is not everywhere

    return triton_kernels.split_heads(joint, cos, sin)


@torch.library.custom_op("bloomery::join_heads", mutates_args=(), device_types="cuda")
def _join_heads(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    from bloomery.nn import triton_kernels  # noqa: PLC0415

    return triton_kernels.join_heads(q, k, v, cos, sin)


@_split_heads.register_fake  # pyright: ignore[reportUnknownMemberType] - untyped in torch, as below
def _(joint: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG001
    shape = (*joint.shape[:-1], joint.shape[-1] // 3)
    return joint.new_empty(shape), joint.new_empty(shape), joint.new_empty(shape)


@_join_heads.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor) -> Tensor:  # noqa: ARG001
    return q.new_empty((*q.shape[:-1], 3 * q.shape[-1]))


def _save_tables(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: object) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs[1:])


def _differentiate_heads(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, None, None]:
    return _join_heads(q, k, v, *ctx.saved_tensors), None, None


_split_heads.register_autograd(_differentiate_heads, setup_context=_save_tables)  # pyright: ignore[reportUnknownMemberType]


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
