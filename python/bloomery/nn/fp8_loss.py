"""The output head with its gradients in 8 bits.

The gradient of a logit is a probability, or that less 1: it has a scale that is known beforehand, and a wide range that
float8_e5m2 holds, with 2 bits of mantissa and numbers down to 2^-31 of the largest. So it is rounded as it is computed,
and by chance; see `rounded_by_chance`.

Shapes: N tokens, D the width of the hidden states, V the size of the vocabulary.
"""

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as torch_functional
from torch import Tensor

from bloomery.nn.fp8 import Rounded, product, rounded_whole
from bloomery.nn.hopper import summed_product
from bloomery.nn.joint import KERNELS

_LOG_SCALE = 15
# Of the 23 bits of a float32's mantissa float8_e5m2 has 2.
_DROPPED = 21
# The golden ratio's of 2^32, as a signed number; it spreads low bits over the higher ones.
_MULTIPLIER = 0x9E3779B1 - 2**32
LossAndGradient = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]


class Fp8Head:
    """The head's products with chunks of hidden states, those of its gradients in 8 bits.

    Logits are in the dtype of the hidden states: in 8 bits every error goes into the loss; see `fp8`.

    Args:
        hidden: [N, D]: all of them.
        weight: [V or more, D]; the rows beyond V are zero.
        vocab_size: V.
        rows: Tokens of a chunk; the last has fewer, perhaps.
        loss_and_gradient: Of logits, where there is no kernel.
        compiled: Whether numbers are rounded by compiled code.
        hopper: Whether the logits' product ends in sums of their exponentials; see `hopper`.
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
        self._hidden, self._weight = hidden, weight
        self._chunks, self._columns = operands(hidden, weight, rows)

    def loss(
        self, first: int, targets: Tensor, of_hidden: Tensor | None = None, of_weight: Tensor | None = None
    ) -> Tensor:
        """The summed loss of the chunk of tokens from `first` on.

        Args:
            first: A multiple of `rows`.
            targets: Of the chunk's tokens.
            of_hidden: Gets their gradient.
            of_weight: To which that of the weight is added; zeros where `first` is 0.
        """
        logits, log_sums = self._logits(self._hidden[first : first + len(targets)])
        if of_hidden is None or of_weight is None:
            return self._loss(logits, log_sums, targets)[0]
        loss, gradient, transposed = self._loss_and_rounded_gradient(logits, log_sums, targets)
        product((gradient, self._of_loss), self._columns, self._dtype, exact=True, out=of_hidden)
        numbers, scale = self._chunks
        rows, columns = (transposed, self._of_loss), (numbers[first // self._rows], scale)
        if first == 0:
            product(rows, columns, of_weight.dtype, exact=True, out=of_weight)
        else:
            of_weight += product(rows, columns, of_weight.dtype, exact=True)
        return loss

    def _logits(self, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        """[N, V or more], the columns beyond V anything, and what `summed_product` gives if it is used."""
        if not self._hopper:
            return hidden @ self._weight.T, None
        logits, words = hidden.new_empty(len(hidden), len(self._weight)), slice(self._vocab_size)
        return logits, summed_product(hidden, self._weight[words], logits[:, words])

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
        numbers = rounded_by_chance(gradient.float() * 2.0**_LOG_SCALE)
        padded = torch_functional.pad(numbers, (0, 0, 0, self._rows - len(gradient)))
        return loss, numbers.to(torch.float8_e5m2), padded.T.contiguous().to(torch.float8_e5m2)


def rounded_by_chance(x: Tensor) -> Tensor:
    """Float32 rounded to the numbers of float8_e5m2, up or down with chances that make the mean that of x.

    Rounding to the nearest has a bias: nearly all targets that are not expected get -1 for a gradient between -0.94 and
    -1. Of GPT-2 small after 500 steps it made the gradient of the norms' gains 5 % too long, and no smaller an error in
    four batches' sum, 0.052 of it, than in each, 0.050; by chance these are 0.1 %, 0.016 and 0.029. To the loss of 350
    steps from a common start it made no difference above 0.0006. It takes no time.

    What is dropped is compared with a hash of all bits, which is as good as chance where those vary, and the same
    twice.
    """
    bits = x.contiguous().view(torch.int32)
    chance = (bits * _MULTIPLIER) >> (32 - _DROPPED) & (2**_DROPPED - 1)
    return ((bits + chance) >> _DROPPED << _DROPPED).view(torch.float32)


def _operands(hidden: Tensor, weight: Tensor, rows: int) -> tuple[Rounded, Rounded]:
    """Of what the gradients are products: hidden states by chunks and transposed, and the weight transposed."""
    padded = torch_functional.pad(hidden, (0, 0, 0, -hidden.shape[0] % rows))
    chunks = padded.reshape(-1, rows, padded.shape[-1]).transpose(1, 2)
    numbers, scale = rounded_whole(chunks)
    columns, columns_scale = rounded_whole(weight.T)
    return (numbers.contiguous(), scale), (columns.contiguous(), columns_scale)


@functools.cache
def _compiled_operands() -> Callable[[Tensor, Tensor, int], tuple[Rounded, Rounded]]:
    return torch.compile(_operands)
