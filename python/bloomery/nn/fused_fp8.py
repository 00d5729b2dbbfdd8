"""The maps of a layer that end in a sum with the residual, with gradients in 8 bits; by `hopper` and `hopper_fp8`.

Shapes: K is the model's width, F a feed-forward network's, M the width of an output.
"""

import math
from typing import Any

import torch
from torch import Tensor

from bloomery.nn.fp8 import product, rounded
from bloomery.nn.hopper import gated_product
from bloomery.nn.hopper_fp8 import gated_product_gradient, gradient_scales
from bloomery.nn.joint import added_product


def fp8_add_linear(residual: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Residual [..., M] + `fp8_linear` of x [..., K] and the weight [M, K]."""
    y: Tensor = _AddLinear.apply(residual, x, weight)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType] - untyped in torch
    return y


def fp8_fused_swiglu(residual: Tensor, x: Tensor, joint_weight: Tensor, weight: Tensor) -> Tensor:
    """`fused.fused_swiglu` with the gradients of the residual and of x by products in 8 bits.

    Rows of x have a root mean square of 1 at most, as `normalized` gives them.
    """
    y: Tensor = _SwiGLU.apply(residual, x, joint_weight, weight)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType]
    return y


class _AddLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor, x: Tensor, weight: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x, weight)
        return added_product(residual, x, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight = ctx.saved_tensors
        rows = gradient.flatten(0, -2)
        of_x = product(rounded(rows), rounded(weight.T.contiguous()), x.dtype)
        return gradient, of_x.reshape(x.shape), (rows.T @ x.flatten(0, -2)).to(weight.dtype)


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor, x: Tensor, joint_weight: Tensor, weight: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        rows = x.flatten(0, -2)
        joint, gated = gated_product(rows, joint_weight.to(x.dtype))
        ctx.save_for_backward(x, joint_weight, weight, joint, gated)
        return added_product(residual, gated.reshape(*x.shape[:-1], -1), weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, joint_weight, weight, joint, gated = ctx.saved_tensors
        rows = gradient.flatten(0, -2)
        # Norms of the rows of x would be read off them here again: they are not kept until now by compiled code.
        scales = gradient_scales(_norms(rows), weight, math.sqrt(x.shape[-1]), joint_weight)
        of_joint, numbers = gated_product_gradient(
            *rounded(rows), *rounded(weight.T.contiguous()), joint, scales.reciprocal()
        )
        of_x = product((numbers, scales), rounded(joint_weight.T.contiguous()), x.dtype)
        of_joint_weight, of_weight = of_joint.T @ x.flatten(0, -2), rows.T @ gated
        return gradient, of_x.reshape(x.shape), of_joint_weight.to(joint_weight.dtype), of_weight.to(weight.dtype)


def _norms(x: Tensor) -> Tensor:
    """Of the rows of [N, K]: [N, 1] in float32."""
    return x.float().square().sum(-1, keepdim=True).sqrt()
