"""A linear map without bias."""

import math

import torch
from torch import Tensor, nn


def init_linear_(weight: Tensor) -> None:
    """Fills a matrix [out, in] from N(0, 2/(in + out)) cut off at three standard deviations.

    The variance keeps the size of activations and of gradients alike (Glorot and Bengio, 2010, equation 12).
    """
    std = math.sqrt(2 / sum(weight.shape))
    nn.init.trunc_normal_(weight, std=std, a=-3 * std, b=3 * std)


class Linear(nn.Module):
    """y = x·Wᵀ: [..., in_features] to [..., out_features].

    Attributes:
        weight: [out_features, in_features].
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the weights anew; see `init_linear_`."""
        init_linear_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features]."""
        return x @ self.weight.T

    def extra_repr(self) -> str:
        """The sizes, for printing the model."""
        out_features, in_features = self.weight.shape
        return f"{in_features}, {out_features}"
