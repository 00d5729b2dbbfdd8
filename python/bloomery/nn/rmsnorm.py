"""Root mean square normalisation."""

import torch
from torch import Tensor, nn


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
