"""Inputs in pieces of some hundred megabytes, each of which can be counted or encoded by itself, anywhere.

A piece is a run of small files, or a part of a large one. Text that is not compressed is parted at the ends of
documents, else where the pre-tokens on both sides stay the same, and JSON lines that are not compressed between lines;
every other file stays whole. Where a part begins is a function of the file alone: whoever works on it finds out, and
nobody has to read a file to plan.
"""

import tempfile
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import NamedTuple

from bloomery import _core
from bloomery.errors import ArgumentError
from bloomery.tokenizer import storage
from bloomery.tokenizer.inputs import STDIN
from bloomery.tokenizer.storage import File

PIECE_BYTES = 256_000_000
"""Of a piece, about: few enough tasks for a large corpus, small enough that a lost one costs little."""

# Read at first to find a cut; most documents are shorter.
_WINDOW = 1 << 20
_WHOLE = ("gz", "zst", "parquet")
_LINES = ("jsonl", "ndjson")
# Files looked at at a time: the answers of an object store are waited for.
_LOOKS = 32

Source = tuple[str, str, int, int, int, int]
"""What the core reads: name, file, offset of the file's first byte, start and end of the stretch, size of the whole."""


class Stretch(NamedTuple):
    """Part ``number`` of the ``parts`` of a file."""

    file: File
    number: int
    parts: int

    @property
    def bytes(self) -> int:
        """About as many as it will have."""
        return self.border(self.number + 1) - self.border(self.number)

    def border(self, number: int) -> int:
        """Where a part would begin, were all of one size."""
        return self.file.size * number // self.parts


class Piece(NamedTuple):
    """Stretches of files in the order of the input."""

    number: int
    stretches: tuple[Stretch, ...]

    @property
    def bytes(self) -> int:
        """About as many as it will have."""
        return sum(stretch.bytes for stretch in self.stretches)

    def __str__(self) -> str:
        first = self.stretches[0]
        files = f" and {len(self.stretches) - 1} files more" if len(self.stretches) > 1 else ""
        return f"{first.file.path}, bytes {first.border(first.number):,} to {first.border(first.number + 1):,}{files}"


def plan(paths: Sequence[str], piece_bytes: int, cutter: _core.Cutter) -> list[Piece]:
    """Divides files into pieces of about ``piece_bytes``.

    Raises:
        OSError: A file is not there.
        ArgumentError: One is no file that can be read by several, such as standard input.
    """
    if STDIN in paths:
        raise ArgumentError("standard input (-) cannot be read in pieces: save it to a file first")
    with ThreadPoolExecutor(_LOOKS) as pool:
        files = list(pool.map(storage.look_at, paths))
    groups: list[list[Stretch]] = []
    room = 0
    for file in files:
        parts = max(1, -(-file.size // piece_bytes)) if _can_part(file.path, cutter) else 1
        for number in range(parts):
            stretch = Stretch(file, number, parts)
            if not groups or stretch.bytes > room:
                groups.append([])
                room = piece_bytes
            groups[-1].append(stretch)
            room -= stretch.bytes
    return [Piece(number, tuple(group)) for number, group in enumerate(groups)]


def has_lines(path: str) -> bool:
    """Whether a file is JSON lines that are not compressed: every document ends with its line."""
    return _extension(path) in _LINES


def _can_part(path: str, cutter: _core.Cutter) -> bool:
    return has_lines(path) or (cutter.cuts and _extension(path) not in _WHOLE)


def _extension(path: str) -> str:
    """As the core sees it, which reads a file called .jsonl as text."""
    stem, _, extension = PurePath(path).name.rpartition(".")
    return extension.lower() if stem else ""


@contextmanager
def held(pieces: Sequence[Piece], cutter: _core.Cutter) -> Generator[list[Source]]:
    """What the core is to read for some pieces; copies of what is elsewhere are kept in TMPDIR meanwhile.

    Raises:
        OSError: A file cannot be read, or its copy not be written.
    """
    with tempfile.TemporaryDirectory(prefix="bloomery-") as folder:
        sources: list[Source] = []
        for stretch in (stretch for piece in pieces for stretch in piece.stretches):
            found = _range(stretch, cutter)
            if found is None:
                continue
            start, end = found
            path, size = stretch.file.path, stretch.file.size
            if storage.is_url(path):
                copy = Path(folder) / str(len(sources))
                storage.fetch(path, copy, start, end)
                sources.append((path, str(copy), start, start, end, size))
            else:
                sources.append((path, path, 0, start, end, size))
        yield sources


def _range(stretch: Stretch, cutter: _core.Cutter) -> tuple[int, int] | None:
    """Start and end of a part; None for one in which there was no place to begin: it belongs to that before it."""
    start = _cut(stretch, stretch.number, cutter)
    if start is None:
        return None
    for number in range(stretch.number + 1, stretch.parts):
        end = _cut(stretch, number, cutter)
        if end is not None:
            return start, end
    return start, stretch.file.size


def _cut(stretch: Stretch, number: int, cutter: _core.Cutter) -> int | None:
    """Where part ``number`` begins: at the last good place within the size of a part before its border."""
    if number == 0:
        return 0
    lowest, border = stretch.border(number - 1), stretch.border(number)
    window = _WINDOW
    while True:
        first = max(lowest, border - window)
        content = storage.read(stretch.file.path, first, border)
        cut = _last_place(stretch.file.path, content, cutter, is_start=first == 0)
        if cut is not None:
            return first + cut
        if first == lowest:
            return None
        window *= 4


def _last_place(path: str, content: bytes, cutter: _core.Cutter, *, is_start: bool) -> int | None:
    """The last place where a part of the file can begin, in a stretch of it."""
    if has_lines(path):
        return content.rfind(b"\n") + 1 or None
    return cutter.part_at(content, is_start)
