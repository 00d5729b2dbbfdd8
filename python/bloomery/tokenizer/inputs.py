"""What a person names as input: one path or many, URLs, glob patterns, ``~``, ``-`` for standard input."""

import errno
import glob
import os
from collections.abc import Iterable
from pathlib import Path

from bloomery.errors import ArgumentError
from bloomery.tokenizer import storage

Inputs = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

STDIN = "-"


def expand(inputs: Inputs) -> list[str]:
    """Lists the files that are meant, in the order given; the matches of a glob pattern are sorted.

    A path that exists is taken as it is, even if it could be read as a pattern. Other paths are not looked for here:
    whoever opens them says what is wrong.

    Raises:
        FileNotFoundError: No file matches a pattern.
        ArgumentError: There is no input at all, or standard input is named twice.
    """
    if isinstance(inputs, str | os.PathLike):
        inputs = [inputs]
    files = [file for path in inputs for file in _expand_one(path)]
    if not files:
        raise ArgumentError("no inputs: give a path, a glob pattern, or - for standard input")
    if files.count(STDIN) > 1:
        raise ArgumentError("standard input (-) can be read only once, but is named twice")
    return files


def _expand_one(given: str | os.PathLike[str]) -> list[str]:
    path = os.fspath(given)
    if path == STDIN:
        return [STDIN]
    path = user_path(path)
    if not glob.has_magic(path) or (not storage.is_url(path) and os.path.lexists(path)):
        return [path]
    matches = storage.matches(path)
    if not matches:
        raise FileNotFoundError(errno.ENOENT, "no file matches this pattern", path)
    return matches


def user_path(path: str | os.PathLike[str]) -> str:
    """A single path with ``~`` filled in, and without the ``file://`` of a URL."""
    path = storage.local(os.fspath(path))
    return str(Path(path).expanduser()) if path.startswith("~") else path
