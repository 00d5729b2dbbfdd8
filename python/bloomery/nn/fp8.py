"""Linear maps with gradients in 8-bit floating point, for GPUs whose matrix units have it (Hopper, Ada and later).

What is in 8 bits was decided by what it costs in loss. Runs of GPT-2 small, the first 150 of 500 steps in common and in
bfloat16, ended (by the mean of 50 steps) this far behind the one that stayed in bfloat16, in three sets of runs:

    0.0001                  bfloat16, weights changed by a thousandth after step 150
    0.0008  0.0003  0.0002  gradients that go through maps and head, and the head's own, in 8 bits
            0.0001  0.0008  queries, keys and values forwards too: what is done here
            0.0015          SwiGLU's joint product forwards instead
            0.0022          both
    0.0034                  all maps of the layers forwards
    0.0054                  the head's logits too

Forwards every error goes straight into the loss, and that of a rounded weight is the same for all tokens; backwards the
sum over tokens evens it out. In the second set what is forwards was rounded, and multiplied in bfloat16. With the
head's logits in 8 bits a run is behind by 0.012 at step 33 already, else 0.002. Of SwiGLU's joint product it makes no
difference whether x, the weight or both are rounded (0.0017, 0.0018, 0.0015), nor whether blocks of 128 have a scale of
their own.

Shapes: N rows, K and M the widths of input and output. float8_e4m3fn has 3 bits of mantissa and reaches to 448.
"""

from typing import Any

import torch
from torch import Tensor

from bloomery.nn.functional import in_dtype

MULTIPLE = 16
"""Widths must be multiples of this."""

_DTYPE = torch.float8_e4m3fn
_LARGEST = torch.finfo(_DTYPE).max


def fp8_linear(x: Tensor, weight: Tensor) -> Tensor:
    """x·Wᵀ in the dtype of x, with the gradient of x as a product in 8 bits; that of the weight is in the dtype of x.

    Every row of the gradient and every column of the weight is scaled by its own largest number, which is looked for
    anew each time (dynamic scaling): nothing is carried from step to step. The weight's gradient is a sum over all
    tokens, whose rounding no later sum evens out, so it stays in high precision.

    Args:
        x: [..., K].
        weight: [M, K]; K and M are multiples of `MULTIPLE`.

    Returns:
        [..., M] in the dtype of x.
    """
    y: Tensor = _Fp8Linear.apply(x.flatten(0, -2), weight)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType] - untyped in torch
    return y.reshape(*x.shape[:-1], -1)


class _Fp8Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x, weight)
        return in_dtype(x @ weight.to(x.dtype).T, x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight = ctx.saved_tensors
        of_x = product(rounded(gradient), rounded(weight.T.contiguous()), x.dtype)
        return of_x, (gradient.T @ x).to(weight.dtype)


Rounded = tuple[Tensor, Tensor]
"""8-bit numbers [N, K], and the scales, [N, 1] or [1, 1], to multiply them by."""


def rounded(x: Tensor) -> Rounded:
    """[N, K] in 8 bits, every row scaled by its largest number."""
    wide = x.float()
    scale = wide.abs().amax(-1, keepdim=True).clamp(min=1e-12) / _LARGEST
    return (wide / scale).to(_DTYPE), scale


def rounded_whole(x: Tensor) -> Rounded:
    """[N, K] in 8 bits, scaled by the largest number of all: the scale is [1, 1]."""
    wide = x.float()
    scale = (wide.abs().amax().clamp(min=1e-12) / _LARGEST).reshape(1, 1)
    return (wide / scale).to(_DTYPE), scale


def product(a: Rounded, b: Rounded, dtype: torch.dtype, *, exact: bool = False, out: Tensor | None = None) -> Tensor:
    """[N, K] times the transpose of [M, K], in a dtype of 16 bits or more.

    Sums are of some 14 bits while a kernel goes along K, which long ones of numbers of one sign suffer from; exact ones
    are of 32. The result is written to `out` if there is one, of this dtype.
    """
    (a_numbers, a_scale), (b_numbers, b_scale) = a, b
    if a_numbers.is_cuda:
        options: dict[str, Any] = {"out_dtype": dtype, "use_fast_accum": not exact}
        if out is not None:
            options["out"] = out
        return torch._scaled_mm(a_numbers, b_numbers.T, scale_a=a_scale, scale_b=b_scale.T, **options)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage] - the only way to these units yet
    # The same numbers without such units, for tests.
    y = in_dtype((a_numbers.float() @ b_numbers.float().T) * a_scale * b_scale.T, dtype)
    return y if out is None else out.copy_(y)
