"""The maps of a layer in 8 bits that end in a sum with the residual, by the kernels of `hopper_fp8`.

Shapes: K is the model's width, F a feed-forward network's, M the width of an output.
"""

from typing import Any

import torch
from torch import Tensor

from bloomery.nn.fp8 import Rounded, product, rounded
from bloomery.nn.hopper_fp8 import added_product, gated_product, gated_product_gradient, gradient_scales
from bloomery.nn.joint import KERNELS


def fp8_add_linear(residual: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Residual [..., M] + `fp8_linear` of x [..., K] and the weight [M, K]."""
    y: Tensor = _AddLinear.apply(residual, x, weight)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType] - untyped in torch
    return y


def fp8_fused_swiglu(residual: Tensor, x: Tensor, joint_weight: Tensor, weight: Tensor) -> Tensor:
    """`fused.fused_swiglu` with the products, but those for the gradients of the weights, in 8 bits."""
    y: Tensor = _SwiGLU.apply(residual, x, joint_weight, weight)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType]
    return y


class _AddLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor, x: Tensor, weight: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x, weight)
        y = added_product(residual.flatten(0, -2), *rounded(x.flatten(0, -2)), *rounded(weight))
        return y.reshape(residual.shape)

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
        joint, gated = gated_product(*rounded(rows), *rounded(joint_weight), rows)
        y = added_product(residual.flatten(0, -2), *_rounded_wide(gated), *rounded(weight))
        ctx.save_for_backward(x, joint_weight, weight, joint, gated, _norms(rows))
        return y.reshape(residual.shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, joint_weight, weight, joint, gated, norms = ctx.saved_tensors
        rows = gradient.flatten(0, -2)
        scales = gradient_scales(_norms(rows), weight, norms, joint_weight)
        of_joint, numbers = gated_product_gradient(
            *rounded(rows), *rounded(weight.T.contiguous()), joint, scales.reciprocal()
        )
        of_x = product((numbers, scales), rounded(joint_weight.T.contiguous()), x.dtype)
        of_joint_weight, of_weight = of_joint.T @ x.flatten(0, -2), rows.T @ gated
        return gradient, of_x.reshape(x.shape), of_joint_weight.to(joint_weight.dtype), of_weight.to(weight.dtype)


def _norms(x: Tensor) -> Tensor:
    """Of the rows of [N, K]: [N, 1] in float32."""
    return x.float().square().sum(-1, keepdim=True).sqrt()


def _rounded_wide(x: Tensor) -> Rounded:
    """`rounded` for rows so wide that torch.compile reads them twice."""
    return _round_kernel(x) if x.is_cuda and KERNELS else rounded(x)


@torch.library.custom_op("bloomery::round_rows", mutates_args=(), device_types="cuda")
def _round_kernel(x: Tensor) -> Rounded:
    from bloomery.nn import triton_kernels  # noqa: PLC0415 - Triton is not everywhere

    return triton_kernels.rounded(x)


@_round_kernel.register_fake  # pyright: ignore[reportUnknownMemberType] - untyped in torch
def _(x: Tensor) -> Rounded:
    return torch.empty_like(x, dtype=torch.float8_e4m3fn), x.new_empty(x.shape[0], 1, dtype=torch.float32)
