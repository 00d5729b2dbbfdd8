"""Products in 8 bits that end in RoPE or in the gradient of SwiGLU's gate, by QuACK's kernels for Hopper GPUs.

See `hopper`. On an H100, for a layer of GPT-2 small and 65,536 tokens, the first takes 254 µs, where `hopper`'s takes
317. The other takes 551; torch's product and our own kernel for the rest take 201 + 549.

Where there is no GPU the same is computed by torch, for tests.

Shapes: N tokens in all; K the model's width, F a feed-forward network's.
"""

from typing import Any

import torch
from torch import Tensor

from bloomery.nn.fp8 import product
from bloomery.nn.functional import silu
from bloomery.nn.hopper import turned_by

# QuACK's outputs of 8 bits are pairs in a number of 16, which is to be no infinity: what is rounded is to be below 384.
# A bound of the exact numbers may be passed by what rounding the operands adds, 1/16 of each of four at most.
_LARGEST = 256.0
_STEEPEST = 1.1
"""No smaller than the largest slope of silu, 1.0998."""


@torch.library.custom_op("bloomery::turned_product_fp8", mutates_args=())
def turned_product(
    x: Tensor,
    scales: Tensor,
    weight: Tensor,
    weight_scales: Tensor,
    positions: Tensor,
    turns: Tensor,
    dtype: torch.dtype,
) -> Tensor:
    """`hopper.turned_product` of numbers in 8 bits.

    Args:
        x: [N, K].
        scales: [N, 1].
        weight: [M, K].
        weight_scales: [M, 1].
        positions: As there, like turns.
        turns: [M].
        dtype: Of the result.

    Returns:
        [N, M].
    """
    if x.is_cuda:
        from bloomery.nn import quack_epilogues  # noqa: PLC0415 - QuACK is not everywhere

        y = torch.empty(x.shape[0], weight.shape[0], dtype=dtype, device=x.device)
        epilogues: Any = quack_epilogues
        epilogues.launch(
            epilogues.turned, (x, scales), (weight, weight_scales), y, positions=positions, turns=turns.contiguous()
        )
        return y
    return turned_by(product((x, scales), (weight, weight_scales), dtype), positions, turns)


@torch.library.custom_op("bloomery::gated_product_gradient_fp8", mutates_args=())
def gated_product_gradient(
    gradient: Tensor, scales: Tensor, weight: Tensor, weight_scales: Tensor, joint: Tensor, inverses: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradient of `hopper.gated_product`'s first result where its second goes into the map of another weight.

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
        from bloomery.nn import quack_epilogues  # noqa: PLC0415

        epilogues: Any = quack_epilogues
        operands = {"inverses": inverses.flatten(), "numbers": numbers.view(torch.float16)}
        parts = (gradient, scales), (weight, weight_scales), of_joint, joint
        epilogues.launch(epilogues.gate_gradient, *parts, **operands)
        return of_joint, numbers
    gate, up = joint[:, ::2], joint[:, 1::2]
    of_gated, sigmoid = product((gradient, scales), (weight, weight_scales), joint.dtype), torch.sigmoid(gate)
    of_gate = of_gated * up * sigmoid * (1 + gate * (1 - sigmoid))
    of_joint = torch.stack((of_gate, of_gated * silu(gate)), -1).flatten(-2)
    return of_joint, (of_joint * inverses).to(torch.float8_e4m3fn)


def gradient_scales(gradient_norms: Tensor, weight: Tensor, x_norm: float, joint_weight: Tensor) -> Tensor:
    """Scales for `gated_product_gradient`, by a bound that follows from the norms of what it is computed of.

    The largest number of a row is not known while it is computed. As numbers in 8 bits have an exponent of their own,
    it does not matter that few come near the bound: lost are numbers of 2^-14 of it and less.

    Args:
        gradient_norms: [N, 1], of the rows of the gradient.
        weight: [K, F].
        x_norm: The largest of the rows of what `joint` is the product of.
        joint_weight: [2·F, K].

    Returns:
        [N, 1].
    """
    largest, joint_largest = (
        each.float().square().sum(dim).amax().sqrt() for each, dim in ((weight, 0), (joint_weight, 1))
    )
    return (_STEEPEST * gradient_norms * largest * x_norm * joint_largest).clamp(min=1e-30) / _LARGEST


@turned_product.register_fake  # pyright: ignore[reportUnknownMemberType] - untyped in torch, as below
def _(
    x: Tensor,
    scales: Tensor,  # noqa: ARG001
    weight: Tensor,
    weight_scales: Tensor,  # noqa: ARG001
    positions: Tensor,  # noqa: ARG001
    turns: Tensor,  # noqa: ARG001
    dtype: torch.dtype,
) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[0], dtype=dtype)


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
