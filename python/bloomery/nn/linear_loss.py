"""The output head and the cross-entropy together, without the logits of all tokens in memory at once.

Shapes: N tokens, D the width of the hidden states, V the size of the vocabulary.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from bloomery.nn.autocast import autocast_dtype
from bloomery.nn.fp8_loss import Fp8Head
from bloomery.nn.joint import KERNELS

LossAndGradient = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]

# Logits held at a time. On an accelerator enough that its matrix units are busy; on a processor what its caches hold.
_CHUNK_BYTES = {"cuda": 2**29, "cpu": 2**23}
# Matrix units want rows that begin at multiples of 16 bytes, and tiles that are full: a vocabulary of 50,257 is
# computed as one of 50,304.
_MULTIPLE = {"cuda": 64}
_ROWS_MULTIPLE = {"cuda": 128}
# Since torch 2.8 a product of bfloat16 can be added to a sum in float32 without being rounded in between.
_SUMS_WIDE = "dtype" in torch.ops.aten.addmm.overloads()


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, compiled: bool = False, fp8: bool = False, hopper: bool = False
) -> Tensor:
    """`cross_entropy(hidden @ weight.T, targets)`, equal but for rounding.

    Logits and their gradients are computed for a chunk of tokens at a time, and with them, already in the forward pass,
    the gradients of the hidden states and of the weight. So nothing is computed twice, and what is kept for the
    backward pass has the size of the two arguments. Products are in autocast's dtype where it is enabled; the loss, and
    the sum of the weight's gradient over chunks, are in float32.

    Args:
        hidden: [..., D].
        weight: [V, D].
        targets: [...], integers in 0..V.
        compiled: Whether what happens to a chunk's logits is done by compiled code.
        fp8: Whether the products for the two gradients are computed in 8 bits; see `Fp8Head`.
        hopper: Whether that of the logits is then one of `hopper`.

    Returns:
        A scalar, the mean in nats. Its gradient can be computed once.
    """
    device = hidden.device.type
    dtype = autocast_dtype(hidden.device) or hidden.dtype
    step = loss_and_gradient
    if compiled:
        step = _kernel() if hidden.is_cuda else _compiled_loss_and_gradient()
    head = functools.partial(Fp8Head, hopper=hopper) if fp8 else _Head
    make_head = functools.partial(head, loss_and_gradient=step, compiled=compiled)
    # In 8 bits larger chunks fill the products' tiles: with those of half this size the step of GPT-2 small took 1 %
    # longer on an H100, with larger ones as long. In 16 bits they gain nothing.
    chunk_bytes = _CHUNK_BYTES.get(device, 2**29) * (4 if fp8 else 1)
    # Tiles of the rounded gradient are twice as wide.
    multiple = _MULTIPLE.get(device, 1) * (2 if fp8 else 1)
    arguments = make_head, chunk_bytes, multiple, torch.is_grad_enabled()
    with torch.autocast(device, enabled=False):
        loss: Tensor = _LinearCrossEntropy.apply(  # pyright: ignore[reportUnknownMemberType, reportAssignmentType] - untyped in torch
            hidden.to(dtype).flatten(0, -2), weight, targets.flatten(), *arguments
        )
    return loss


class Head(Protocol):
    """The output head, of chunks of hidden states.

    Attributes:
        of_weight: The gradient of the weight, once all chunks' losses are computed with their gradients.
    """

    of_weight: Tensor | None

    def loss(self, first: int, targets: Tensor, of_hidden: Tensor | None = None) -> Tensor:
        """The summed loss of the tokens from `first` on that have these targets.

        Args:
            first: The chunk's first token; with gradients chunks come in order.
            targets: [rows], or fewer in the last chunk.
            of_hidden: Gets the gradient of their hidden states. Gradients are those of the mean over all tokens.
        """
        ...


class _Head:
    """The head's products in the dtype of the hidden states [N, D] and of the weight [V or more, D]."""

    def __init__(
        self,
        hidden: Tensor,
        weight: Tensor,
        vocab_size: int,
        rows: int,
        sum_dtype: torch.dtype,
        *,
        loss_and_gradient: LossAndGradient,
        compiled: bool,
    ) -> None:
        del compiled  # there is nothing but products
        self.of_weight: Tensor | None = None
        self._hidden, self._weight, self._vocab_size, self._sum_dtype = hidden, weight, vocab_size, sum_dtype
        self._loss_and_gradient = loss_and_gradient
        self._logits = hidden.new_empty(rows, weight.shape[0])

    def loss(self, first: int, targets: Tensor, of_hidden: Tensor | None = None) -> Tensor:
        hidden, logits = self._hidden[first : first + len(targets)], self._logits[: len(targets)]
        torch.mm(hidden, self._weight.T, out=logits)
        loss, of_logits = self._loss_and_gradient(logits, targets, self._vocab_size)
        if of_hidden is not None:
            share = 1 / len(self._hidden)
            torch.addmm(of_hidden, of_logits, self._weight, beta=0, alpha=share, out=of_hidden)
            if self.of_weight is None:
                self.of_weight = torch.zeros_like(self._weight, dtype=self._sum_dtype)
            _add_product_(self.of_weight, of_logits.T, hidden, share)
        return loss


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        make_head: Callable[[Tensor, Tensor, int, int, torch.dtype], Head],
        chunk_bytes: int,
        multiple: int,
        differentiate: bool,  # noqa: FBT001 - torch passes by position
    ) -> Tensor:
        tokens, vocab_size, device = hidden.shape[0], weight.shape[0], hidden.device.type
        padded = _padded(weight, hidden.dtype, -vocab_size % multiple)
        row_bytes = padded.shape[0] * hidden.element_size()
        chunks = -(-tokens * row_bytes // chunk_bytes)
        rows = _rounded_up(-(-tokens // chunks), _ROWS_MULTIPLE.get(device, 1))
        wide = torch.promote_types(weight.dtype, torch.float32)
        head = make_head(hidden, padded, vocab_size, rows, wide)
        of_hidden = torch.empty_like(hidden) if differentiate else None
        loss = torch.zeros((), dtype=wide, device=hidden.device)
        for first in range(0, tokens, rows):
            of_chunk = None if of_hidden is None else of_hidden[first : first + rows]
            loss += head.loss(first, targets[first : first + rows], of_chunk)
        if of_hidden is not None and head.of_weight is not None:
            ctx.gradients = of_hidden, head.of_weight[:vocab_size]
            ctx.dtype = weight.dtype
        return loss / tokens

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if ctx.gradients is None:
            raise RuntimeError("the gradient of linear_cross_entropy was computed already, and can be only once")
        of_hidden, of_weight = ctx.gradients
        ctx.gradients = None  # they are overwritten
        return _scaled_(of_hidden, gradient), _scaled_(of_weight, gradient).to(ctx.dtype), None, None, None, None, None


def _padded(weight: Tensor, dtype: torch.dtype, missing: int) -> Tensor:
    """In a dtype, with so many rows added.

    They are zero. So are their logits, which no loss is computed of, and which give no gradient.
    """
    if not missing:
        return weight.to(dtype)
    padded = weight.new_empty(len(weight) + missing, weight.shape[1], dtype=dtype)
    padded[: len(weight)] = weight
    padded[len(weight) :] = 0
    return padded


def loss_and_gradient(logits: Tensor, targets: Tensor, vocab_size: int) -> tuple[Tensor, Tensor]:
    """The summed loss of logits [N, V or more], and its gradient, in the shape and dtype of the logits."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    columns = torch.arange(logits.shape[-1], device=logits.device)
    if vocab_size < logits.shape[-1]:
        wide = wide.masked_fill(columns >= vocab_size, -math.inf)
    largest = wide.amax(-1, keepdim=True)
    exponentials = (wide - largest).exp()
    sums = exponentials.sum(-1, keepdim=True)
    is_target = columns == targets.unsqueeze(-1)
    # Not gathered: a read at an index of its own would take a kernel of its own.
    of_targets = wide.masked_fill(~is_target, 0.0).sum(-1, keepdim=True)
    loss = (largest + sums.log() - of_targets).sum()
    return loss, (exponentials / sums - is_target.to(wide.dtype)).to(logits.dtype)


def _scaled_(x: Tensor, scale: Tensor) -> Tensor:
    """X times a scalar tensor in float32 at least, in place; on a GPU in no time where that is 1, as it mostly is."""
    if x.is_cuda and KERNELS:
        from bloomery.nn import triton_kernels  # noqa: PLC0415 - Triton is not everywhere

        return triton_kernels.scale_(x, scale)
    # On a GPU x.mul_(scale) would round the scale to the dtype of x.
    return x.copy_(x.to(scale.dtype) * scale)


def _kernel() -> LossAndGradient:
    from bloomery.nn import triton_loss  # noqa: PLC0415 - Triton is not everywhere

    return triton_loss.loss_and_gradient_


@functools.cache
def _compiled_loss_and_gradient() -> LossAndGradient:
    return torch.compile(loss_and_gradient)


def _rounded_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _add_product_(total: Tensor, a: Tensor, b: Tensor, share: float) -> None:
    """Total += share · a·b, summed in the dtype of the total."""
    if total.dtype == a.dtype:
        total.addmm_(a, b, alpha=share)
    elif total.is_cuda and _SUMS_WIDE:
        torch.addmm(total, a, b, out_dtype=total.dtype, alpha=share, out=total)
    else:
        total.add_(a @ b, alpha=share)
