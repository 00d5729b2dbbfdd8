"""Files by path or by URL: on this machine's file systems, or wherever fsspec reaches (s3://, gs://, hf://, ...).

Paths never need fsspec. A URL needs it, and the package that speaks the URL's protocol.
"""

import errno
import glob
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

from bloomery.errors import ArgumentError, BloomeryError

# Read and written at once when a file is copied.
_STRETCH = 8 << 20
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_LOCAL = "file://"


class File(NamedTuple):
    """A file that was there when it was looked at."""

    path: str
    """Absolute, or a URL."""
    size: int
    stamp: str
    """Differs once the file has been changed, where its storage can tell: by time, or by a checksum."""


def is_url(path: str) -> bool:
    """Whether a path is reached through fsspec."""
    return _URL.match(path) is not None


def local(path: str) -> str:
    """The path that a file:// URL stands for; any other as it is."""
    return path.removeprefix(_LOCAL) if path.startswith(_LOCAL) else path


def look_at(path: str) -> File:
    """The facts about a file.

    Raises:
        OSError: It is not there, or cannot be looked at.
        ArgumentError: It is no file of known size: a folder, a pipe, standard input.
    """
    if not is_url(path):
        status = Path(path).stat()
        if not Path(path).is_file():
            raise ArgumentError(f"{path}: only files can be read in pieces, which this is not; give the files in it")
        return File(str(Path(path).absolute()), status.st_size, str(status.st_mtime_ns))
    system, name = _open(path)
    with _named(path):
        facts = cast("dict[str, Any]", system.info(name))
    if facts.get("type") == "directory" or facts.get("size") is None:
        raise ArgumentError(f"{path}: only files can be read in pieces, which this is not; give the files in it")
    told = {key: str(facts[key]) for key in ("ETag", "etag", "LastModified", "last_modified", "mtime") if key in facts}
    stamp = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    return File(path, int(facts["size"]), stamp)


def matches(pattern: str) -> list[str]:
    """The files that match a glob pattern, sorted; none, where none does."""
    if not is_url(pattern):
        # Not Path.glob, which takes no absolute pattern.
        return sorted(found for found in glob.iglob(pattern, recursive=True) if not Path(found).is_dir())  # noqa: PTH207
    system, name = _open(pattern)
    with _named(pattern):
        found = cast("dict[str, dict[str, Any]]", system.glob(name, detail=True))
    return sorted(system.unstrip_protocol(path) for path, facts in found.items() if facts.get("type") != "directory")


def read(path: str, start: int = 0, end: int | None = None) -> bytes:
    """The bytes of a file, or those from ``start`` to below ``end``.

    Raises:
        OSError: It cannot be read.
    """
    if is_url(path):
        system, name = _open(path)
        with _named(path):
            return cast("bytes", system.cat_file(name, start=start, end=end))
    with Path(path).open("rb") as file:
        file.seek(start)
        return file.read() if end is None else file.read(end - start)


def fetch(path: str, target: Path, start: int, end: int) -> None:
    """Copies the bytes of a file from ``start`` to below ``end`` to a new file of this machine.

    Raises:
        OSError: One of them cannot be read or written.
    """
    system, name = _open(path)
    with target.open("xb") as file, _named(path):
        for first in range(start, end, _STRETCH):
            file.write(cast("bytes", system.cat_file(name, start=first, end=min(first + _STRETCH, end))))


def store(source: Path, path: str) -> None:
    """Copies a file of this machine to a URL; an object store shows it whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    system, name = _open(path)
    with _named(path):
        system.put_file(str(source), name)


@contextmanager
def readable(path: str) -> Generator[str]:
    """A path of this machine to a whole file: its own, or a copy's, which is gone afterwards."""
    if not is_url(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="bloomery-") as folder:
        copy = Path(folder) / Path(path).name
        copy.write_bytes(read(path))
        try:
            yield str(copy)
        except BloomeryError as error:
            # It speaks of the copy.
            error.args = tuple(str(argument).replace(str(copy), path) for argument in error.args)
            raise


@contextmanager
def writable(path: str) -> Generator[str]:
    """A path of this machine to write a file to: its own, or one from which it is copied afterwards."""
    if not is_url(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="bloomery-") as folder:
        copy = Path(folder) / Path(path).name
        yield str(copy)
        if not copy.is_file():
            raise ArgumentError(
                f"{path}: a folder of files is not written to a URL: give the name of a file, such as .json"
            )
        store(copy, path)


def write(path: str, content: bytes) -> None:
    """Writes a file, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    if is_url(path):
        system, name = _open(path)
        with _named(path):
            system.pipe_file(name, content)
        return
    target = Path(path)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".bloomery-", suffix=".tmp", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            # Temporary files are private; this one becomes an ordinary file.
            mask = os.umask(0)
            os.umask(mask)
            Path(file.name).chmod(0o666 & ~mask)
            Path(file.name).replace(target)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def make_folder(path: str) -> None:
    """Makes a folder with those above it, where there is none; a URL needs none."""
    if not is_url(path):
        Path(path).mkdir(parents=True, exist_ok=True)


def contents(folder: str) -> dict[str, int]:
    """The files in a folder and below it, by their path in it, with their sizes; none where there is no such folder.

    Raises:
        OSError: It cannot be listed, or is a file.
    """
    if not is_url(folder):
        root = Path(folder)
        if root.is_file():
            raise NotADirectoryError(errno.ENOTDIR, "is a file; a folder is to be written here", folder)
        files = (path for path in root.rglob("*") if path.is_file())
        return {path.relative_to(root).as_posix(): path.stat().st_size for path in files}
    system, name = _open(folder)
    with _named(folder):
        # What other processes wrote since it was last listed is to be seen.
        system.invalidate_cache()
        found = cast("dict[str, dict[str, Any]]", system.find(name, detail=True))
    return {path.removeprefix(name).lstrip("/"): int(facts["size"]) for path, facts in found.items()}


def remove(paths: list[str]) -> None:
    """Removes files of one place; those that are not there any more are left out."""
    if not paths:
        return
    if is_url(paths[0]):
        system, _ = _open(paths[0])
        with _named(paths[0]):
            system.rm([_open(path)[1] for path in paths])
        return
    for path in paths:
        Path(path).unlink(missing_ok=True)


def remove_folder(path: str) -> None:
    """Removes an emptied folder of this machine; a URL has none."""
    if not is_url(path):
        shutil.rmtree(path, ignore_errors=True)


def join(folder: str, name: str) -> str:
    """A path in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def _open(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

        system, name = cast("tuple[Any, str]", url_to_fs(url))
    except ImportError as error:
        protocol = url.partition("://")[0]
        raise ArgumentError(
            f"{url}: {protocol}:// needs fsspec and its package for {protocol}, and one is not installed: {error}"
        ) from error
    except ValueError as error:
        raise ArgumentError(f"{url}: {error}") from error
    return system, name


@contextmanager
def _named(url: str) -> Generator[None]:
    """What a file system raises, as an OSError that names the URL: each has classes and texts of its own."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url) from error
    except PermissionError as error:
        raise PermissionError(errno.EACCES, f"{os.strerror(errno.EACCES)} ({error})", url) from error
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), url) from error
    except Exception as error:
        raise OSError(errno.EIO, f"{type(error).__name__}: {error}", url) from error
