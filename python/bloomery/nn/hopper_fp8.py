"""Products in 8 bits that end in what follows them, by QuACK's kernels for Hopper GPUs; see `hopper` and `fp8`.

On an H100, for a layer of GPT-2 small and 65,536 tokens, with torch's products and our own kernels for the rest in
brackets: the gate 473 µs and 135 to round it (387 + 316 for both), its gradient 551 (201 + 549), queries, keys and
values 278 (234 + 138). Of 9,472 tokens the logits and their sums took 865 (705 + 318). A step takes 5 % less time.

Where there is no GPU the same is computed by torch, for tests.

Shapes: N tokens in all; K the model's width, F a feed-forward network's, V the size of the vocabulary.
"""

import math
from typing import Any

import torch
from torch import Tensor

from bloomery.nn.fp8 import Rounded, product
from bloomery.nn.functional import silu

# QuACK's outputs of 8 bits are pairs in a number of 16, which is to be no infinity: what is rounded is to be below 384.
# A bound of the exact numbers may be passed by what rounding the operands adds, 1/16 of each of four at most.
_LARGEST = 256.0
_STEEPEST = 1.1
"""No smaller than the largest slope of silu, 1.0998."""
SUMS_TILE = 256
"""Columns of a tile of `summed_product`."""


@torch.library.custom_op("bloomery::turned_product_fp8", mutates_args=())
def turned_product(
    x: Tensor, scales: Tensor, weight: Tensor, weight_scales: Tensor, positions: Tensor, turns: Tensor, like: Tensor
) -> Tensor:
    """`hopper.turned_product` of numbers in 8 bits.

    Args:
        x: [N, K].
        scales: [N, 1].
        weight: [M, K].
        weight_scales: [M, 1].
        positions: [N], float32.
        turns: [M], float32.
        like: Has the dtype of the result.

    Returns:
        [N, M].
    """
    if x.is_cuda:
        y = like.new_empty(x.shape[0], weight.shape[0])
        epilogues = _epilogues()
        operands = {"positions": positions, "turns": turns}
        epilogues.launch(epilogues.turned, (x, scales), (weight, weight_scales), y, **operands)
        return y
    y = product((x, scales), (weight, weight_scales), like.dtype)
    first, second = y[:, ::2], y[:, 1::2]
    angles = 2 * math.pi * positions.double().unsqueeze(-1) * (turns[::2].double() + turns[1::2])
    cos, sin = angles.cos().to(y.dtype), angles.sin().to(y.dtype)
    return torch.stack((first * cos - second * sin, first * sin + second * cos), -1).flatten(-2)


@torch.library.custom_op("bloomery::gated_product_fp8", mutates_args=())
def gated_product(
    x: Tensor, scales: Tensor, weight: Tensor, weight_scales: Tensor, like: Tensor
) -> tuple[Tensor, Tensor]:
    """`hopper.gated_product` of numbers in 8 bits: arguments as of `turned_product`; to [N, 2·F] and [N, F]."""
    if x.is_cuda:
        joint = like.new_empty(x.shape[0], weight.shape[0])
        gated = like.new_empty(x.shape[0], weight.shape[0] // 2)
        epilogues = _epilogues()
        epilogues.launch(epilogues.gate, (x, scales), (weight, weight_scales), joint, gated=gated)
        return joint, gated
    joint = product((x, scales), (weight, weight_scales), like.dtype)
    return joint, silu(joint[:, ::2]) * joint[:, 1::2]


@torch.library.custom_op("bloomery::gated_product_gradient_fp8", mutates_args=())
def gated_product_gradient(
    gradient: Tensor, scales: Tensor, weight: Tensor, weight_scales: Tensor, joint: Tensor, inverses: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradient of `gated_product`'s first result where its second goes into the map of another weight.

    Args:
        gradient: [N, K], of what that map gives, in 8 bits.
        scales: [N, 1].
        weight: [F, K], the transpose of that map's, in 8 bits.
        weight_scales: [F, 1].
        joint: [N, 2·F], the first result.
        inverses: [N, 1], of the scales of the result in 8 bits; see `gradient_scales`.

    Returns:
        [N, 2·F], and the same times `inverses` in 8 bits.
    """
    if gradient.is_cuda:
        of_joint, numbers = torch.empty_like(joint), torch.empty_like(joint, dtype=torch.float8_e4m3fn)
        epilogues = _epilogues()
        operands = {"inverses": inverses.flatten(), "numbers": numbers.view(torch.float16)}
        parts = (gradient, scales), (weight, weight_scales), of_joint, joint
        epilogues.launch(epilogues.gate_gradient, *parts, **operands)
        return of_joint, numbers
    gate, up = joint[:, ::2], joint[:, 1::2]
    of_gated, sigmoid = product((gradient, scales), (weight, weight_scales), joint.dtype), torch.sigmoid(gate)
    of_gate = of_gated * up * sigmoid * (1 + gate * (1 - sigmoid))
    of_joint = torch.stack((of_gate, of_gated * silu(gate)), -1).flatten(-2)
    return of_joint, (of_joint * inverses).to(torch.float8_e4m3fn)


def gradient_scales(gradient_norms: Tensor, weight: Tensor, x_norms: Tensor, joint_weight: Tensor) -> Tensor:
    """Scales for `gated_product_gradient`, by a bound that follows from the norms of what it is computed of.

    The largest number of a row is not known while it is computed. As numbers in 8 bits have an exponent of their own,
    it does not matter that few come near the bound: lost are numbers of 2^-14 of it and less.

    Args:
        gradient_norms: [N, 1], of the rows of the gradient.
        weight: [K, F].
        x_norms: [N, 1], of the rows of what `joint` is the product of.
        joint_weight: [2·F, K].

    Returns:
        [N, 1].
    """
    largest, joint_largest = (
        each.float().square().sum(dim).amax().sqrt() for each, dim in ((weight, 0), (joint_weight, 1))
    )
    return (_STEEPEST * gradient_norms * largest * x_norms * joint_largest).clamp(min=1e-30) / _LARGEST


@torch.library.custom_op("bloomery::added_product_fp8", mutates_args=())
def added_product(residual: Tensor, x: Tensor, scales: Tensor, weight: Tensor, weight_scales: Tensor) -> Tensor:
    """Residual [N, M] + x·Wᵀ of numbers in 8 bits: x [N, K], the weight [M, K], scales as of `turned_product`."""
    if x.is_cuda:
        y = torch.empty_like(residual)
        epilogues = _epilogues()
        epilogues.launch(epilogues.added, (x, scales), (weight, weight_scales), y, residual)
        return y
    return residual + product((x, scales), (weight, weight_scales), residual.dtype)


def summed_product(x: Rounded, weight: Rounded, y: Tensor) -> Tensor:
    """Numbers [N, K] times the transpose of [V, K], written to y [N, V].

    Returns:
        Of each row of a tile of `SUMS_TILE` columns, the logarithm of the sum of exponentials: [N, tiles] in float32.
    """
    log_sums = y.new_empty(y.shape[0], -(-y.shape[1] // SUMS_TILE), dtype=torch.float32)
    if y.is_cuda:
        epilogues = _epilogues()
        epilogues.launch(epilogues.summed, x, weight, y, log_sums=log_sums)
        return log_sums
    y.copy_(product(x, weight, y.dtype))
    for tile in range(log_sums.shape[1]):
        log_sums[:, tile] = y[:, tile * SUMS_TILE : (tile + 1) * SUMS_TILE].logsumexp(-1)
    return log_sums


def _epilogues() -> Any:
    from bloomery.nn import quack_epilogues  # noqa: PLC0415 - QuACK is not everywhere

    return quack_epilogues


@turned_product.register_fake  # pyright: ignore[reportUnknownMemberType] - untyped in torch, as below
def _(
    x: Tensor,
    scales: Tensor,  # noqa: ARG001
    weight: Tensor,
    weight_scales: Tensor,  # noqa: ARG001
    positions: Tensor,  # noqa: ARG001
    turns: Tensor,  # noqa: ARG001
    like: Tensor,
) -> Tensor:
    return like.new_empty(x.shape[0], weight.shape[0])


@gated_product.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(x: Tensor, scales: Tensor, weight: Tensor, weight_scales: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    return like.new_empty(x.shape[0], weight.shape[0]), like.new_empty(x.shape[0], weight.shape[0] // 2)


@gated_product_gradient.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(
    gradient: Tensor,  # noqa: ARG001
    scales: Tensor,  # noqa: ARG001
    weight: Tensor,  # noqa: ARG001
    weight_scales: Tensor,  # noqa: ARG001
    joint: Tensor,
    inverses: Tensor,  # noqa: ARG001
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(joint), torch.empty_like(joint, dtype=torch.float8_e4m3fn)


@added_product.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(residual: Tensor, x: Tensor, scales: Tensor, weight: Tensor, weight_scales: Tensor) -> Tensor:  # noqa: ARG001
    return torch.empty_like(residual)
