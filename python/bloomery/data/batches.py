"""Which windows of the token files a model sees: training batches as a pure function of (seed, step), and validation.

A window is ``context_length + 1`` ids in a row: all but the last are inputs, all but the first are targets.
Shapes: B rows of a batch, T the context length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bloomery.data.tokens import Ids, name_of, plainly, release_pages
from bloomery.errors import ArgumentError

if TYPE_CHECKING:
    import torch

Batch = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Inputs and targets, shape ``[B, T]`` each."""

# The step that no run reaches keys the sample for validation.
_VALIDATION_KEY = 2**64 - 1


class BatchSampler:
    """Training batches whose windows depend on the seed and the step, and on nothing else.

    Every window is drawn anew: first a file by its weight, then a start in it, each start being equally likely. Because
    step k is computed and not reached, a run resumed there, or split over any number of processes and micro-batches,
    sees what an unbroken run of one process sees.
    """

    def __init__(
        self,
        datasets: Sequence[Ids],
        weights: Sequence[float] | None = None,
        *,
        context_length: int,
        global_batch_size: int,
        seed: int = 0,
    ) -> None:
        """Takes the files and how to draw from them.

        Args:
            datasets: Token ids, shape ``[tokens]`` each, usually from `open_tokens`.
            weights: The files' shares of the windows; they need not sum to 1. None weights every start alike, so that
                a file's share is its share of the tokens.
            context_length: T.
            global_batch_size: Windows in a step, over all processes and micro-batches.
            seed: Of the run.

        Raises:
            ArgumentError: A file is too short for one window, or the weights do not fit.
        """
        if not datasets:
            raise ArgumentError("no datasets: give at least one file of token ids")
        for name, value in (("context_length", context_length), ("global_batch_size", global_batch_size)):
            if value < 1:
                raise ArgumentError(f"{name} {value} is not positive")
        self.context_length = context_length
        self.global_batch_size = global_batch_size
        self.seed = _checked_seed(seed)
        self._datasets = list(datasets)
        self._start_counts = np.array([count_starts(ids, context_length) for ids in datasets], np.uint64)
        shares = self._start_counts if weights is None else _checked_weights(weights, len(datasets))
        cumulative = np.cumsum(shares, dtype=np.float64)
        self._cumulative = cumulative / cumulative[-1]

    def starts(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The windows of a step: the index of each one's file and its start there, shape ``[global_batch_size]`` each.

        The bits are those of Philox, a counter-based generator made for such keys. They are turned into windows here,
        because numpy keeps its bit generators' streams the same from version to version, but not what `Generator` makes
        of them.
        """
        if not 0 <= step < _VALIDATION_KEY:
            raise ArgumentError(f"step {step} is not a step of a run")
        bits = _bits(self.seed, step, 2 * self.global_batch_size)
        # 53 bits are what a float64 in [0, 1) holds.
        uniform = (bits[::2] >> np.uint64(11)) * 2.0**-53
        files = np.searchsorted(self._cumulative, uniform, side="right")
        # The remainder favours low starts by less than tokens / 2^64.
        return files, (bits[1::2] % self._start_counts[files]).astype(np.int64)

    def batch(self, step: int, rank: int = 0, world_size: int = 1, micro: tuple[int, int] = (0, 1)) -> Batch:
        """The rows of a step's batch that one process takes in one micro-batch.

        Ranks take equal shares of the step's windows in order, and micro-batches take equal shares of a rank's.

        Args:
            step: From 0.
            rank: This process.
            world_size: The number of processes.
            micro: Which micro-batch, and of how many.

        Returns:
            Inputs and targets as contiguous int64 arrays, ``[global_batch_size / (world_size * micros), T]``.
        """
        index, count = micro
        if not (0 <= rank < world_size and 0 <= index < count):
            raise ArgumentError(f"rank {rank} of {world_size}, micro-batch {index} of {count}: there is no such share")
        if self.global_batch_size % (world_size * count):
            raise ArgumentError(
                f"a global batch of {self.global_batch_size} windows does not divide into {world_size} processes with "
                f"{count} micro-batches each: choose a multiple of {world_size * count}"
            )
        rows = self.global_batch_size // (world_size * count)
        first = (rank * count + index) * rows
        files, starts = (drawn[first : first + rows] for drawn in self.starts(step))
        windows = np.empty((rows, self.context_length + 1), np.result_type(*(ids.dtype for ids in self._datasets)))
        for file, dataset in enumerate(self._datasets):
            chosen = np.flatnonzero(files == file)
            if len(chosen):
                _gather(dataset, starts[chosen], windows, chosen)
        return _split(windows)


@dataclass(frozen=True)
class Validation:
    """The windows that a validation loss is the mean over; made by `validation_windows`."""

    dataset: Ids
    context_length: int
    starts: NDArray[np.int64]
    """Of the windows of full length, in ascending order."""
    tail: int | None
    """Start of the shorter window after them, where the whole set is taken and does not divide evenly."""

    @property
    def targets(self) -> int:
        """The number of ids predicted: the sum of the sizes of all batches, and what to divide a summed loss by."""
        tail = 0 if self.tail is None else len(self.dataset) - 1 - self.tail
        return len(self.starts) * self.context_length + tail

    def batches(self, batch_size: int, rank: int = 0, world_size: int = 1) -> Iterator[Batch]:
        """One process's share of the windows, in batches; the shares of all are the whole.

        Batches differ in size: the last full one may have fewer rows, and the tail is a batch of one shorter row. So
        weight each mean loss by its number of targets. A share may be empty.
        """
        if batch_size < 1:
            raise ArgumentError(f"batch_size {batch_size} is not positive")
        if not 0 <= rank < world_size:
            raise ArgumentError(f"rank {rank} of {world_size}: there is no such share")
        share = self._share(rank, world_size)
        for first in range(0, len(share), batch_size):
            yield _windows(self.dataset, share[first : first + batch_size], self.context_length)
        if self.tail is not None and rank == world_size - 1:
            yield _windows(self.dataset, np.array([self.tail]), len(self.dataset) - 1 - self.tail)

    def most_batches(self, batch_size: int, world_size: int) -> int:
        """The number of batches of the process that has most."""

        def count(rank: int) -> int:
            tail = self.tail is not None and rank == world_size - 1
            return -(-len(self._share(rank, world_size)) // batch_size) + tail

        return max(map(count, range(world_size)))

    def _share(self, rank: int, world_size: int) -> NDArray[np.int64]:
        return np.array_split(self.starts, world_size)[rank]


def validation_windows(dataset: Ids, context_length: int, max_windows: int | None = None, seed: int = 0) -> Validation:
    """Windows for validation: the whole set, or a sample of it that is the same at every evaluation.

    Args:
        dataset: Token ids, shape ``[tokens]``.
        context_length: T.
        max_windows: None takes windows that follow one another, so that every id but the first is predicted exactly
            once. A number takes so many of them, or all the full ones if there are fewer.
        seed: Chooses the sample.
    """
    if max_windows is not None and max_windows < 1:
        raise ArgumentError(f"max_windows {max_windows} is not positive: leave it out to validate on the whole set")
    starts = np.arange(0, count_starts(dataset, context_length), context_length, dtype=np.int64)
    if max_windows is None:
        covered = int(starts[-1]) + context_length
        return Validation(dataset, context_length, starts, covered if covered < len(dataset) - 1 else None)
    if max_windows < len(starts):
        # Those with the smallest random keys are a sample without repetition.
        order = np.argsort(_bits(_checked_seed(seed), _VALIDATION_KEY, len(starts)), kind="stable")
        starts = np.sort(starts[order[:max_windows]])
    return Validation(dataset, context_length, starts, None)


def get_batch(
    dataset: Ids,
    batch_size: int,
    context_length: int,
    device: "str | torch.device",
    generator: "torch.Generator | None" = None,
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Draws windows uniformly from a dataset.

    Args:
        dataset: Token ids, shape ``[tokens]``: an array, or a memory-mapped one.
        batch_size: B.
        context_length: T.
        device: Where the tensors go: ``cpu``, ``cuda:0``, ...
        generator: Draws the starts; None for torch's own on the CPU, which ``torch.manual_seed`` sets.

    Returns:
        Inputs and targets, int64, shape ``[B, T]`` each. A target is the id that follows its input.
    """
    # Only here, so that whoever reads token files with numpy needs no torch.
    import torch  # noqa: PLC0415

    starts = torch.randint(count_starts(dataset, context_length), (batch_size,), generator=generator).numpy()
    inputs, targets = _windows(dataset, starts, context_length)
    return torch.as_tensor(inputs, device=device), torch.as_tensor(targets, device=device)


def count_starts(dataset: Ids, context_length: int) -> int:
    """The number of windows that a dataset holds: they start at 0 to below this."""
    if dataset.ndim != 1:
        raise ArgumentError(f"{name_of(dataset)}: token ids have one dimension, this array has {dataset.ndim}")
    if context_length < 1:
        raise ArgumentError(f"context_length {context_length} is not positive")
    if len(dataset) <= context_length:
        raise ArgumentError(
            f"{name_of(dataset)}: {len(dataset)} ids are too few for context_length {context_length}, whose windows "
            f"take {context_length + 1}: use more text or a shorter context"
        )
    return len(dataset) - context_length


def _bits(seed: int, step: int, count: int) -> NDArray[np.uint64]:
    """Independent 64-bit numbers that belong to (seed, step)."""
    key = np.array([seed, step], np.uint64)
    return np.random.Philox(key=key).random_raw(count)


def _windows(dataset: Ids, starts: NDArray[np.int64], context_length: int) -> Batch:
    windows = np.empty((len(starts), context_length + 1), dataset.dtype)
    _gather(dataset, starts, windows, np.arange(len(starts)))
    return _split(windows)


def _gather(dataset: Ids, starts: NDArray[np.int64], windows: Ids, rows: NDArray[np.intp]) -> None:
    """Copies the windows at the starts into these rows."""
    ids = plainly(dataset)
    length = windows.shape[1]
    for row, start in zip(rows.tolist(), starts.tolist(), strict=True):
        windows[row] = ids[start : start + length]
    release_pages(dataset)


def _split(windows: Ids) -> Batch:
    """Inputs and targets; converted only here, because small ids are the faster to gather."""
    return windows[:, :-1].astype(np.int64), windows[:, 1:].astype(np.int64)


def _checked_seed(seed: int) -> int:
    if not 0 <= seed < 2**64:
        raise ArgumentError(f"seed {seed} does not fit 64 bits: use one from 0 to 2^64 - 1")
    return seed


def _checked_weights(weights: Sequence[float], files: int) -> NDArray[np.float64]:
    values = np.array(weights, np.float64)
    if len(values) != files:
        raise ArgumentError(f"{len(values)} weights for {files} files: give one a file")
    if not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise ArgumentError(f"weights {list(weights)} are no shares: give finite numbers from 0 up, not all of them 0")
    return values
