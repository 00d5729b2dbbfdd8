"""From the logits of the next token to a choice: temperature, top-k, top-p, and the draw itself."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bloomery.errors import ArgumentError


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is chosen. The filters apply in this order: temperature, top-k, top-p."""

    temperature: float = 1.0
    """Logits are divided by it: below 1 keeps to what is likely, 0 always takes the likeliest token."""
    top_k: int | None = None
    """Keep this many of the likeliest tokens."""
    top_p: float | None = None
    """Keep the fewest of the likeliest tokens whose probabilities, after top-k, add up to at least this."""

    def __post_init__(self) -> None:
        """Checks the ranges.

        Raises:
            ArgumentError: A value is out of its range.
        """
        if not (self.temperature >= 0 and math.isfinite(self.temperature)):
            raise ArgumentError(f"temperature must be 0 (the likeliest token) or more, not {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ArgumentError(f"top_k must be at least 1, not {self.top_k}; None keeps every token")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ArgumentError(f"top_p must be above 0 and at most 1, not {self.top_p}; None keeps every token")

    def choose(self, logits: Tensor, uniform: Tensor) -> Tensor:
        """Chooses one token of each row.

        The draw inverts the cumulative distribution at a number that the caller gives. So it needs no generator on the
        device, and the token of a row does not depend on the rows beside it.

        Args:
            logits: [..., vocab_size].
            uniform: [...], in [0, 1).

        Returns:
            Token ids [...].
        """
        if self.temperature == 0:
            return logits.argmax(dim=-1)
        probabilities, ids = self._candidates(logits)
        cumulative = probabilities.cumsum(dim=-1)
        # Relative to the sum as it came out, and below it: no rounding can choose a token of probability 0.
        total = cumulative[..., -1:]
        point = (uniform.to(total)[..., None] * total).minimum(total.nextafter(torch.zeros_like(total)))
        chosen = torch.searchsorted(cumulative, point, right=True)
        return ids.gather(-1, chosen).squeeze(-1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """The distribution that `choose` draws from.

        Args:
            logits: [..., vocab_size].

        Returns:
            Probabilities [..., vocab_size] in float64, in the order of the ids.
        """
        if self.temperature == 0:
            return torch.nn.functional.one_hot(logits.argmax(dim=-1), logits.shape[-1]).to(torch.float64)
        probabilities, ids = self._candidates(logits)
        return torch.zeros_like(logits, dtype=torch.float64).scatter(-1, ids, probabilities)

    def _candidates(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of the tokens that may be chosen, and their ids.

        In float64, so that neither a low temperature nor the sum over a large vocabulary loses the unlikely tokens.
        """
        logits = logits.to(torch.float64)
        if self.top_k is None and self.top_p is None:
            return self._softmax(logits), torch.arange(logits.shape[-1], device=logits.device).expand(logits.shape)
        # From the likeliest down; of equals the lower id comes first.
        ranked, ids = logits.sort(dim=-1, descending=True, stable=True)
        if self.top_k is not None:
            ranked, ids = ranked[..., : self.top_k], ids[..., : self.top_k]
        probabilities = self._softmax(ranked)
        if self.top_p is not None:
            likelier = torch.nn.functional.pad(probabilities.cumsum(dim=-1)[..., :-1], (1, 0))
            probabilities = probabilities.where(likelier < self.top_p, 0.0)
            probabilities = probabilities / probabilities.sum(dim=-1, keepdim=True)
        return probabilities, ids

    def _softmax(self, logits: Tensor) -> Tensor:
        # The difference first: a tiny temperature would make infinities of the logits themselves.
        return ((logits - logits.amax(dim=-1, keepdim=True)) / self.temperature).softmax(dim=-1)
