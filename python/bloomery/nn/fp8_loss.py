"""The output head and its gradients in 8 bits.

The gradient of a logit is a probability, or that less 1: it has a scale that is known beforehand, and a wide range that
float8_e5m2 holds, with 2 bits of mantissa and numbers down to 2^-31 of the largest. So it is rounded as it is computed.

Shapes: N tokens, D the width of the hidden states, V the size of the vocabulary.
"""

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as torch_functional
from torch import Tensor

from bloomery.nn.fp8 import Rounded, product, rounded, rounded_whole
from bloomery.nn.hopper_fp8 import summed_product
from bloomery.nn.joint import KERNELS

_LOG_SCALE = 15
LossAndGradient = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]


class Fp8Head:
    """The head's products with chunks of hidden states, in 8 bits.

    Args:
        hidden: [N, D]: all of them.
        weight: [V or more, D]; the rows beyond V are zero.
        vocab_size: V.
        rows: Tokens of a chunk; the last has fewer, perhaps.
        loss_and_gradient: Of logits, where there is no kernel.
        compiled: Whether numbers are rounded by compiled code.
        hopper: Whether the logits' product ends in sums of their exponentials; see `hopper_fp8`.
    """

    def __init__(
        self,
        hidden: Tensor,
        weight: Tensor,
        vocab_size: int,
        rows: int,
        *,
        loss_and_gradient: LossAndGradient,
        compiled: bool,
        hopper: bool = False,
    ) -> None:
        self._vocab_size, self._rows, self._dtype, self._hopper = vocab_size, rows, hidden.dtype, hopper
        self._loss_and_gradient = loss_and_gradient
        self._of_loss = torch.full((1, 1), 2.0**-_LOG_SCALE, device=hidden.device)
        operands = _compiled_operands() if compiled else _operands
        self._hidden, self._chunks, self._weight, self._columns = operands(hidden, weight, rows)

    def loss(
        self, first: int, targets: Tensor, of_hidden: Tensor | None = None, of_weight: Tensor | None = None
    ) -> Tensor:
        """The summed loss of the chunk of tokens from `first` on.

        Args:
            first: A multiple of `rows`.
            targets: Of the chunk's tokens.
            of_hidden: Gets their gradient.
            of_weight: To which that of the weight is added.
        """
        numbers, scales = self._hidden
        chunk = slice(first, first + len(targets))
        logits, log_sums = self._logits((numbers[chunk], scales[chunk]))
        if of_hidden is None or of_weight is None:
            return self._loss(logits, log_sums, targets)[0]
        loss, gradient, transposed = self._loss_and_rounded_gradient(logits, log_sums, targets)
        product((gradient, self._of_loss), self._columns, self._dtype, exact=True, out=of_hidden)
        numbers, scale = self._chunks
        chunk_columns = numbers[first // self._rows], scale
        of_weight += product((transposed, self._of_loss), chunk_columns, of_weight.dtype, exact=True)
        return loss

    def _logits(self, hidden: Rounded) -> tuple[Tensor, Tensor | None]:
        """[N, V or more], the columns beyond V anything, and what `summed_product` gives if it is used."""
        if not self._hopper:
            return product(hidden, self._weight, self._dtype), None
        (numbers, scales), words = self._weight, slice(self._vocab_size)
        logits = torch.empty(len(hidden[0]), len(numbers), dtype=self._dtype, device=numbers.device)
        return logits, summed_product(hidden, (numbers[words], scales[words]), logits[:, words])

    def _loss(self, logits: Tensor, log_sums: Tensor | None, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        """The summed loss, and what the kernel of its gradient asks for."""
        if logits.is_cuda and KERNELS:
            from bloomery.nn import triton_loss  # noqa: PLC0415 - Triton is not everywhere

            return triton_loss.loss(logits, targets, self._vocab_size, log_sums)
        if log_sums is None:
            return self._loss_and_gradient(logits, targets, self._vocab_size)[0], None
        of_targets = logits.gather(1, targets.unsqueeze(1)).squeeze(1)
        return (log_sums.logsumexp(-1) - of_targets).sum(), None

    def _loss_and_rounded_gradient(
        self, logits: Tensor, log_sums: Tensor | None, targets: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The summed loss, its gradient in 8 bits [N, V or more], and that transposed, with zeros beyond N: `rows`."""
        loss, log_totals = self._loss(logits, log_sums, targets)
        if log_totals is not None:
            from bloomery.nn import triton_loss  # noqa: PLC0415

            gradients = triton_loss.rounded_gradient(
                logits, targets, log_totals, self._vocab_size, self._rows, _LOG_SCALE
            )
            return loss, *gradients
        gradient = self._loss_and_gradient(logits, targets, self._vocab_size)[1]
        scaled = torch_functional.pad(gradient.float() * 2.0**_LOG_SCALE, (0, 0, 0, self._rows - len(gradient)))
        return loss, scaled[: len(gradient)].to(torch.float8_e5m2), scaled.T.contiguous().to(torch.float8_e5m2)


def _operands(hidden: Tensor, weight: Tensor, rows: int) -> tuple[Rounded, Rounded, Rounded, Rounded]:
    """Of what the products are: hidden states, the same by chunks and transposed, the weight, and that transposed."""
    padded = torch_functional.pad(hidden, (0, 0, 0, -hidden.shape[0] % rows))
    chunks = padded.reshape(-1, rows, padded.shape[-1]).transpose(1, 2)
    numbers, scale = rounded_whole(chunks)
    columns, columns_scale = rounded_whole(weight.T)
    return rounded(hidden), (numbers.contiguous(), scale), rounded(weight), (columns.contiguous(), columns_scale)


@functools.cache
def _compiled_operands() -> Callable[[Tensor, Tensor, int], tuple[Rounded, Rounded, Rounded, Rounded]]:
    return torch.compile(_operands)
