"""A linear map without bias, and several of one input as one product."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from bloomery.nn.fp8 import fp8_linear
from bloomery.nn.joint import add_product


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
        fp8: Whether the input's gradient is computed in 8 bits; see `fp8_linear`.
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
        self.fp8 = False
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the weights anew; see `init_linear_`."""
        init_linear_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features]."""
        return _product(x, self.weight, fp8=self.fp8)

    def add_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """Residual [..., out_features] + y, in one pass through memory where that can be."""
        return residual + self(x) if self.fp8 else add_product(residual, x, self.weight)

    def extra_repr(self) -> str:
        """The sizes, for printing the model."""
        out_features, in_features = self.weight.shape
        return f"{in_features}, {out_features}"


def joint_linear(x: Tensor, *linears: Linear) -> Tensor:
    """What several maps make of one input, side by side, computed as one product.

    Equal to the maps one by one but for rounding. One large product is faster than several small ones, and in the
    backward pass the gradient of the input is one product too, and no sum. Putting the weights together costs as much
    as reading them once, which pays when there are many tokens: in training, and not when generating.

    Args:
        x: [..., in_features].
        linears: Maps from in_features; all with fp8 or none.

    Returns:
        [..., sum of out_features].
    """
    return _product(x, joint_weight(*linears), fp8=linears[0].fp8)


def joint_weight(*linears: Linear, gain: Tensor | None = None) -> Tensor:
    """The weights of maps of one input, one below the other: [sum of outputs, in_features].

    Those of an input that is still to be multiplied by a gain [in_features] are multiplied by it instead.
    """
    weight = torch.cat([linear.weight for linear in linears])
    return weight if gain is None else weight * gain


def joint_weight_by_turns(first: Linear, second: Linear, gain: Tensor) -> Tensor:
    """As `joint_weight`, a row of each by turns."""
    weight: Tensor = _ByTurns.apply(first.weight, second.weight, gain)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType] - untyped in torch
    return weight


class _ByTurns(torch.autograd.Function):
    # Without it gradients of the weights are every other row of one, and copied once more where they are summed up.
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, gain: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(first, second, gain)
        return (torch.stack((first, second), 1) * gain).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        first, second, gain = ctx.saved_tensors
        of_first, of_second = gradient[::2], gradient[1::2]
        return of_first * gain, of_second * gain, (of_first * first + of_second * second).sum(0)


def _product(x: Tensor, weight: Tensor, *, fp8: bool) -> Tensor:
    return fp8_linear(x, weight) if fp8 else x @ weight.T
