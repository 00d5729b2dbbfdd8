"""Root mean square normalisation."""

from typing import Any

import torch
from torch import Tensor, nn

from bloomery.nn.functional import in_dtype


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) · weight over the last dimension, d_model (Zhang and Sennrich, 2019, equation 4).

    Computed in float32 at least: squares of float16 overflow, and means of bfloat16 keep three digits.

    Attributes:
        weight: Gains [d_model]; they start at 1.
    """

    def __init__(
        self,
        d_model: int,
        eps: float = 1e-5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(d_model, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the gains to 1."""
        nn.init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[..., d_model] to the same shape and dtype."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        normalised = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (normalised * self.weight).to(x.dtype)

    def extra_repr(self) -> str:
        """The size and eps, for printing the model."""
        return f"{self.weight.shape[0]}, eps={self.eps}"


def normalized(x: Tensor, eps: float) -> Tensor:
    """`RMSNorm` without its gains, for those who multiply the weights of the next linear map by them instead.

    Nothing but the result and a number a row is kept for the backward pass, so that x may be overwritten; and the
    gradient of the gains is a sum over a matrix, and not over all tokens.

    Args:
        x: [..., d_model].
        eps: As of `RMSNorm`.

    Returns:
        The shape and dtype of x.
    """
    y: Tensor = _Normalized.apply(x, eps)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType] - untyped in torch
    return y


class _Normalized(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        y = in_dtype(wide * scale, x.dtype)
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        y, scale = ctx.saved_tensors
        wide, of_y = y.to(scale.dtype), gradient.to(scale.dtype)
        of_x = scale * (of_y - wide * (of_y * wide).mean(-1, keepdim=True))
        return in_dtype(of_x, y.dtype), None
