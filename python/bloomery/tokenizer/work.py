"""What is done with pieces: values that pickle, so that any process can do the work and give the same result."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bloomery import _core
from bloomery.tokenizer import pieces, storage
from bloomery.tokenizer.pieces import Piece
from bloomery.tokenizer.progress import ProgressCallback

Part = tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.uint64]]
"""Word counts as arrays: words end to end, their lengths, their counts."""


@dataclass(frozen=True)
class Counting:
    """How files are counted; the arguments of `WordCounts.from_files`."""

    pattern: str
    special_tokens: tuple[str, ...]
    errors: str
    field: str
    column: str
    num_threads: int | None
    max_memory: int | None
    min_count: int

    def cutter(self) -> _core.Cutter:
        """Where texts can be cut."""
        return _core.Cutter(self.pattern, self.special_tokens)

    def count(
        self, sources: Sequence[str | pieces.Source], threads: int | None, progress: ProgressCallback | None = None
    ) -> _core.WordCounts:
        """Counts what the core can read; rare words included."""
        return _core.WordCounts.from_files(
            sources,
            pattern=self.pattern,
            special_tokens=self.special_tokens,
            errors=self.errors,
            field=self.field,
            column=self.column,
            num_threads=threads,
            max_memory=self.max_memory,
            progress=progress,
        )

    def count_pieces(
        self, work: Sequence[Piece], threads: int | None, progress: ProgressCallback | None = None
    ) -> _core.WordCounts:
        """Counts pieces; rare words included."""
        with pieces.held(work, self.cutter()) as sources:
            return self.count(sources, threads, progress)

    def add_up(self, parts: Any) -> _core.WordCounts:
        """The sum of parts, taken one at a time from an iterable of `Part`."""
        return _core.WordCounts.from_parts(parts, self.pattern, self.special_tokens)


class Record(NamedTuple):
    """A shard that is finished."""

    number: int
    tokens: int
    documents: int
    bytes: int
    starts_inside: bool
    """Its first document may have begun in the shard before."""
    ends_inside: bool
    """Its last document may go on in the shard behind."""


@dataclass(frozen=True)
class Encoding:
    """How files are encoded; the arguments of `Tokenizer.encode_files`."""

    tokenizer: _core.Tokenizer
    end_of_text: str | int | None
    allowed_special: str | tuple[str, ...] | None
    errors: str
    field: str
    column: str
    dtype: str | None
    num_threads: int | None

    def cutter(self) -> _core.Cutter:
        """Where texts can be cut."""
        allowed = "all" if self.allowed_special is None else self.allowed_special
        return self.tokenizer._cutter(allowed)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the facade's own core

    def checked_dtype(self) -> str:
        """The type of the ids, from encoding nothing: which refuses bad arguments before hours of work."""
        with tempfile.TemporaryDirectory(prefix="bloomery-") as folder:
            return self.encode([], Path(folder) / "nothing.npy", 1)[3]

    def encode(
        self,
        sources: Sequence[str | pieces.Source],
        output: str | Path,
        threads: int | None,
        progress: ProgressCallback | None = None,
    ) -> tuple[int, int, int, str]:
        """Encodes what the core can read to a file; returns tokens, documents, bytes and dtype."""
        return self.tokenizer._encode_files(  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the facade's own core
            sources,
            output,
            allowed_special=self.allowed_special,
            end_of_text=self.end_of_text,
            dtype=self.dtype,
            errors=self.errors,
            field=self.field,
            column=self.column,
            num_threads=threads,
            progress=progress,
        )

    def encode_piece(
        self, piece: Piece, shard: str, threads: int | None, progress: ProgressCallback | None = None
    ) -> Record:
        """Encodes a piece to a ``.npy`` file, which is there when this returns, whole."""
        with pieces.held([piece], self.cutter()) as sources, tempfile.TemporaryDirectory(prefix="bloomery-") as folder:
            target = Path(folder) / "shard.npy" if storage.is_url(shard) else Path(shard)
            tokens, documents, size, _ = self.encode(sources, target, threads, progress)
            starts_inside = tokens > 0 and _begins_later(sources[0]) and not self._is_special(target, 0)
            ends_inside = tokens > 0 and _ends_earlier(sources[-1]) and not self._is_special(target, -1)
            if storage.is_url(shard):
                storage.store(target, shard)
        return Record(piece.number, tokens, documents, size, starts_inside, ends_inside)

    def _is_special(self, shard: Path, position: int) -> bool:
        added = self.tokenizer._engine.added_tokens  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - as above
        return int(np.load(shard, mmap_mode="r")[position]) in {token[1] for token in added if token[2]}


def _begins_later(source: pieces.Source) -> bool:
    """Whether a text begins before what is read of it."""
    return source[3] > 0 and not pieces.has_lines(source[0])


def _ends_earlier(source: pieces.Source) -> bool:
    """Whether a text goes on behind what is read of it."""
    return source[4] < source[5] and not pieces.has_lines(source[0])
