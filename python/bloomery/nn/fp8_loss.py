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
_TOGETHER = 4
"""Chunks whose transposed gradients are kept for one product with all their hidden states."""
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
        sum_dtype: Of the weight's gradient.
        loss_and_gradient: Of logits, where there is no kernel.
        compiled: Whether numbers are rounded by compiled code.
        hopper: Whether the logits' product ends in sums of their exponentials; see `hopper`.

    Attributes:
        of_weight: As `linear_loss.Head` has it.
    """

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
        hopper: bool = False,
    ) -> None:
        self.of_weight: Tensor | None = None
        self._vocab_size, self._rows, self._dtype, self._hopper = vocab_size, rows, hidden.dtype, hopper
        self._sum_dtype = sum_dtype
        self._loss_and_gradient = loss_and_gradient
        # As every chunk's product would be added to the sum for itself otherwise: half a percent of GPT-2 small's step.
        chunks = -(-len(hidden) // rows)
        self._together = rows * -(-chunks // -(-chunks // _TOGETHER))
        self._of_loss = torch.full((1, 1), 2.0**-_LOG_SCALE / len(hidden), device=hidden.device)
        operands = _compiled_operands() if compiled else _operands
        self._hidden, self._weight = hidden, weight
        self._hidden_columns, self._columns = operands(hidden, weight, self._together)
        self._transposed: Tensor | None = None

    def loss(self, first: int, targets: Tensor, of_hidden: Tensor | None = None) -> Tensor:
        """As `linear_loss.Head` has it."""
        logits, log_sums = self._logits(self._hidden[first : first + len(targets)])
        if of_hidden is None:
            return self._loss(logits, log_sums, targets)[0]
        if self._transposed is None:
            self._transposed = logits.new_empty(len(self._weight), self._together, dtype=torch.float8_e5m2)
        column = first % self._together
        end = column + self._rows
        loss, gradient = self._loss_and_rounded_gradient(logits, log_sums, targets, self._transposed[:, column:end])
        product((gradient, self._of_loss), self._columns, self._dtype, exact=True, out=of_hidden)
        if end == self._together or first + len(targets) == len(self._hidden):
            self._add_to_weight(first // self._together, end)
        return loss

    def _add_to_weight(self, group: int, end: int) -> None:
        """Adds what the gradients in `_transposed` give, up to this column."""
        if self._transposed is None:
            raise AssertionError("there are no gradients")
        numbers, scale = self._hidden_columns
        rows, columns = (self._transposed[:, :end], self._of_loss), (numbers[group, :, :end], scale)
        of_weight = product(rows, columns, self._sum_dtype, exact=True)
        self.of_weight = of_weight if self.of_weight is None else self.of_weight.add_(of_weight)

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
        self, logits: Tensor, log_sums: Tensor | None, targets: Tensor, transposed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The summed loss, and its gradient in 8 bits [N, V or more].

        That goes to `transposed` too, with zeros beyond N: [V or more, `rows`].
        """
        loss, log_totals = self._loss(logits, log_sums, targets)
        if log_totals is not None:
            from bloomery.nn import triton_loss  # noqa: PLC0415

            return loss, triton_loss.rounded_gradient(
                logits, targets, log_totals, self._vocab_size, _LOG_SCALE, transposed
            )
        gradient = self._loss_and_gradient(logits, targets, self._vocab_size)[1]
        numbers = rounded_by_chance(gradient.float() * 2.0**_LOG_SCALE).to(torch.float8_e5m2)
        transposed.zero_()
        transposed[:, : len(numbers)] = numbers.T
        return loss, numbers


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
    """Of what the gradients are products: hidden states, so many at a time, and the weight, both transposed."""
    padded = torch_functional.pad(hidden, (0, 0, 0, -hidden.shape[0] % rows))
    chunks = padded.reshape(-1, rows, padded.shape[-1]).transpose(1, 2)
    numbers, scale = rounded_whole(chunks)
    columns, columns_scale = rounded_whole(weight.T)
    return (numbers.contiguous(), scale), (columns.contiguous(), columns_scale)


@functools.cache
def _compiled_operands() -> Callable[[Tensor, Tensor, int], tuple[Rounded, Rounded]]:
    return torch.compile(_operands)
