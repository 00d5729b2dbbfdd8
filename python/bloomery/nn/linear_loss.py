"""The output head and the cross-entropy together, without the logits of all tokens in memory at once.

Shapes: N tokens, D the width of the hidden states, V the size of the vocabulary.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as torch_functional
from torch import Tensor

from bloomery.nn.autocast import autocast_dtype

LossAndGradient = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]

# Logits held at a time. On an accelerator enough that its matrix units are busy; on a processor what its caches hold.
_CHUNK_BYTES = {"cuda": 2**29, "cpu": 2**23}
# Matrix units want rows that begin at multiples of 16 bytes, and tiles that are full: a vocabulary of 50,257 is
# computed as one of 50,304.
_MULTIPLE = {"cuda": 64}
# Since torch 2.8 a product of bfloat16 can be added to a sum in float32 without being rounded in between.
_SUMS_WIDE = "dtype" in torch.ops.aten.addmm.overloads()


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, *, compiled: bool = False) -> Tensor:
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

    Returns:
        A scalar, the mean in nats. Its gradient can be computed once.
    """
    device = hidden.device.type
    dtype = autocast_dtype(hidden.device) or hidden.dtype
    step = _loss_and_gradient
    if compiled:
        step = _kernel() if hidden.is_cuda else _compiled_loss_and_gradient()
    with torch.autocast(device, enabled=False):
        loss: Tensor = _LinearCrossEntropy.apply(  # pyright: ignore[reportUnknownMemberType, reportAssignmentType] - untyped in torch
            hidden.to(dtype).flatten(0, -2), weight, targets.flatten(), step, torch.is_grad_enabled()
        )
    return loss


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        loss_and_gradient: LossAndGradient,
        differentiate: bool,  # noqa: FBT001 - torch passes by position
    ) -> Tensor:
        tokens, vocab_size, device = hidden.shape[0], weight.shape[0], hidden.device.type
        missing = -vocab_size % _MULTIPLE.get(device, 1)
        # The rows added are zero. So are their logits, which no loss is computed of, and which give no gradient.
        head = torch_functional.pad(weight.to(hidden.dtype), (0, 0, 0, missing)) if missing else weight.to(hidden.dtype)
        row_bytes = head.shape[0] * hidden.element_size()
        chunks = -(-tokens * row_bytes // _CHUNK_BYTES.get(device, 2**29))
        rows = -(-tokens // chunks)
        logits = hidden.new_empty(rows, head.shape[0])
        of_hidden = torch.empty_like(hidden) if differentiate else None
        wide = torch.promote_types(weight.dtype, torch.float32)
        of_weight = torch.zeros_like(head, dtype=wide) if differentiate else None
        loss = torch.zeros((), dtype=wide, device=hidden.device)
        for first in range(0, tokens, rows):
            chunk = slice(first, min(first + rows, tokens))
            part = logits[: chunk.stop - first]
            torch.mm(hidden[chunk], head.T, out=part)
            part_loss, of_logits = loss_and_gradient(part, targets[chunk], vocab_size)
            loss += part_loss
            if of_hidden is not None and of_weight is not None:
                torch.mm(of_logits, head, out=of_hidden[chunk])
                _add_product_(of_weight, of_logits.T, hidden[chunk])
        if of_hidden is not None and of_weight is not None:
            ctx.gradients = of_hidden, of_weight[:vocab_size]
            ctx.tokens, ctx.dtype = tokens, weight.dtype
        return loss / tokens

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if ctx.gradients is None:
            raise RuntimeError("the gradient of linear_cross_entropy was computed already, and can be only once")
        of_hidden, of_weight = ctx.gradients
        ctx.gradients = None  # they are overwritten
        scale = gradient / ctx.tokens
        return of_hidden.mul_(scale), of_weight.mul_(scale).to(ctx.dtype), None, None, None


def _loss_and_gradient(logits: Tensor, targets: Tensor, vocab_size: int) -> tuple[Tensor, Tensor]:
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


def _kernel() -> LossAndGradient:
    from bloomery.nn import triton_kernels  # noqa: PLC0415 - Triton is not everywhere

    return triton_kernels.loss_and_gradient_


@functools.cache
def _compiled_loss_and_gradient() -> LossAndGradient:
    return torch.compile(_loss_and_gradient)


def _add_product_(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Total += a·b, summed in the dtype of the total."""
    if total.dtype == a.dtype:
        total.addmm_(a, b)
    elif total.is_cuda and _SUMS_WIDE:
        torch.addmm(total, a, b, out_dtype=total.dtype, out=total)
    else:
        total += a @ b
