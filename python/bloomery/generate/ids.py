"""Token after token: prompts of any lengths in a batch, a key-value cache, a window that moves on when it is full."""

import random
import warnings
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from bloomery.errors import ArgumentError, ContextLengthExceeded, TokenIdError
from bloomery.generate.sampling import Sampling
from bloomery.nn import KVCache, TransformerLM

_PLAIN = Sampling()


def generate_ids(
    model: TransformerLM,
    prompts: Sequence[Sequence[int]],
    max_tokens: int,
    *,
    sampling: Sampling = _PLAIN,
    seed: int | None = None,
    stop_ids: Collection[int] = (),
    allowed: Tensor | None = None,
    use_cache: bool = True,
) -> list[list[int]]:
    """Continues prompts.

    Args:
        model: The model.
        prompts: Token ids, at least one in each. Lengths may differ; those beyond the context length are fine.
        max_tokens: How many tokens to add to each prompt at most.
        sampling: How a token is chosen.
        seed: The row i draws from a generator of its own, seeded with seed + i, so that its tokens do not depend on the
            rows beside it. None takes a new seed each time.
        stop_ids: A row ends at the first of these, which is not part of what is returned.
        allowed: The ids that may be chosen, as booleans [vocab_size]; None for all.
        use_cache: False computes the whole window anew for every token. The tokens are the same.

    Returns:
        The added ids of each row: fewer than `max_tokens` where one of `stop_ids` came.

    Raises:
        ArgumentError: A prompt is empty, `max_tokens` is below 1, or `seed` below 0.
        TokenIdError: An id of a prompt is beyond the model's vocabulary.

    Warns:
        ContextLengthExceeded: Once, when a row grows past the context length. From there on, whenever the window is
            full, its older half is dropped and the rest is read again from position 0.
    """
    rows: list[list[int]] = [[] for _ in prompts]
    for row, token in stream_ids(
        model,
        prompts,
        max_tokens,
        sampling=sampling,
        seed=seed,
        stop_ids=stop_ids,
        allowed=allowed,
        use_cache=use_cache,
    ):
        rows[row].append(token)
    return rows


def stream_ids(
    model: TransformerLM,
    prompts: Sequence[Sequence[int]],
    max_tokens: int,
    *,
    sampling: Sampling = _PLAIN,
    seed: int | None = None,
    stop_ids: Collection[int] = (),
    allowed: Tensor | None = None,
    use_cache: bool = True,
) -> Iterator[tuple[int, int]]:
    """As `generate_ids`, but yields each token as it comes: the index of its row, and its id."""
    if max_tokens < 1:
        raise ArgumentError(f"max_tokens must be at least 1, not {max_tokens}")
    if seed is not None and seed < 0:
        raise ArgumentError(f"seed must be 0 or more, not {seed}")
    for index, prompt in enumerate(prompts):
        _check(prompt, index, model.config.vocab_size)
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    draws = [np.random.default_rng(seed + row) for row in range(len(prompts))]
    reader = _Reader(model, use_cache=use_cache)
    return _stream([list(prompt) for prompt in prompts], max_tokens, sampling, draws, set(stop_ids), allowed, reader)


def window_start(length: int, context_length: int) -> int:
    """Where the window begins that the model sees of the first `length` tokens of a text.

    It grows to the context length; a token more, and its older half is dropped. That it depends on nothing else makes
    cached and uncached generation equal, and a row's tokens independent of how far the rows beside it have come.
    """
    dropped = max(1, context_length // 2)
    return max(0, -(-(length - context_length) // dropped) * dropped)


def _stream(
    rows: list[list[int]],
    max_tokens: int,
    sampling: Sampling,
    draws: list[np.random.Generator],
    stop_ids: set[int],
    allowed: Tensor | None,
    reader: "_Reader",
) -> Iterator[tuple[int, int]]:
    limits = [len(row) + max_tokens for row in rows]
    active = list(range(len(rows)))
    warned = False
    while active:
        # All rows are read up to the same position. Those whose prompt goes on beyond it wait for the others.
        length = min(len(rows[row]) for row in active)
        if length > reader.context_length and not warned:
            warned = True
            warnings.warn(ContextLengthExceeded(reader.context_length), stacklevel=3)
        logits = reader.logits(rows, active, length)
        choosing = [row for row in active if len(rows[row]) == length]
        logits = logits[[active.index(row) for row in choosing]]
        if allowed is not None:
            logits = logits.masked_fill(~allowed.to(logits.device), -torch.inf)
        uniform = torch.tensor([draws[row].random() for row in choosing], dtype=torch.float64)
        for row, chosen in zip(choosing, sampling.choose(logits, uniform).cpu(), strict=True):
            token = int(chosen)
            if token in stop_ids:
                active.remove(row)
                continue
            rows[row].append(token)
            if len(rows[row]) == limits[row]:
                active.remove(row)
            yield row, token


class _Reader:
    """Gives the logits of the next token, and keeps what it has read in a cache while the window only grows."""

    def __init__(self, model: TransformerLM, *, use_cache: bool) -> None:
        self.context_length = model.config.context_length
        self._model = model
        self._use_cache = use_cache
        self._cache: KVCache | None = None
        # What the cache holds: these rows, from `_start` to `_end`.
        self._cached_rows: list[int] = []
        self._start = self._end = 0

    @torch.inference_mode()
    def logits(self, rows: Sequence[Sequence[int]], wanted: Sequence[int], length: int) -> Tensor:
        """The logits of the token after the first `length` of each wanted row: [wanted, vocab_size]."""
        start = window_start(length, self.context_length)
        if not self._use_cache:
            return self._read([rows[row][start:length] for row in wanted], None)
        if self._cache is None or self._start != start or self._end >= length:
            self._cache = None  # its memory goes before the new one's comes
            self._cache, self._cached_rows = self._new_cache(len(wanted)), list(wanted)
            self._start = self._end = start
        # Rows that have ended stay in the cache until it is filled anew; what is read for them is of no consequence.
        new = [(*rows[row][self._end : length], *[0] * length)[: length - self._end] for row in self._cached_rows]
        self._end = length
        return self._read(new, self._cache)[[self._cached_rows.index(row) for row in wanted]]

    def _read(self, tokens: Sequence[Sequence[int]], cache: KVCache | None) -> Tensor:
        hidden = self._model.hidden(torch.tensor(tokens, device=self._weight.device), cache=cache)
        return self._model.logits(hidden[:, -1])

    def _new_cache(self, batch_size: int) -> KVCache:
        return KVCache(self._model.config, batch_size, device=self._weight.device, dtype=self._weight.dtype)

    @property
    def _weight(self) -> Tensor:
        """One of the model's, for where and in what the model computes."""
        return self._model.token_embeddings.weight


def _check(prompt: Sequence[int], index: int, vocab_size: int) -> None:
    if not prompt:
        raise ArgumentError(f"prompt {index} has no tokens: begin with the end-of-text token to write from nothing")
    for position, token in enumerate(prompt):
        if not 0 <= token < vocab_size:
            error = TokenIdError(
                f"token id {token} at position {position} of prompt {index} is beyond the model's vocabulary "
                f"of {vocab_size}: encode with the tokenizer that the model was trained with"
            )
            error.id, error.position, error.vocab_size = token, position, vocab_size
            raise error
