"""One file from the Hugging Face hub: resumed where it was interrupted, and verified before it gets its name.

The hub's own `hf_hub_download` begins anew after an interruption since version 1.18: its temporary files belong to one
process. So the partial file is kept here, and handed to the hub's `http_get`, which asks for the rest.
"""

import fcntl
import hashlib
import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

from bloomery.errors import ChecksumError, DownloadError

_BARS = "huggingface_hub.http_get"


@dataclass(frozen=True)
class HubFile:
    """A file of a data set on the hub."""

    repository: str
    name: str
    revision: str = "main"
    size: int | None = None
    """In bytes, where it is known beforehand."""
    sha256: str | None = None
    """In hexadecimal, where it is known beforehand."""


@dataclass(frozen=True)
class Fetched:
    """A file that is there."""

    path: Path
    size: int
    verified_by: Literal["sha256", "size"] | None
    """None where the file was there already, nothing is known of it, and the hub could not be asked."""
    was_there: bool
    """Whether the file was there already."""


def fetch_file(file: HubFile, folder: Path, *, endpoint: str | None = None, progress: bool | None = None) -> Fetched:
    """Fetches a file into a folder, unless it is there already; see `bloomery.data.corpora.fetch`."""
    try:
        import huggingface_hub  # noqa: PLC0415
        from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415
    except ImportError as error:
        raise DownloadError(
            "fetching needs huggingface_hub, which is not installed: pip install 'bloomery[train]'"
        ) from error
    # OSError, and the base of the errors of the HTTP library beneath, which is another one from version to version.
    unreachable = cast("tuple[type[Exception], ...]", HfHubHTTPError.__bases__)

    target = folder / file.name
    if file.sha256 is not None and target.exists():
        return _check_present(target, file.size, file.sha256)
    url = huggingface_hub.hf_hub_url(
        file.repository, file.name, repo_type="dataset", revision=file.revision, endpoint=endpoint
    )
    try:
        found = huggingface_hub.get_hf_file_metadata(url)  # pyright: ignore[reportUnknownMemberType] # a bare dict
    except unreachable as error:
        if target.exists():
            return _check_present(target, file.size, None)
        raise _failure(file, url, target, error) from error

    size = found.size if file.size is None else file.size
    hash_at_hub = found.etag if found.etag is not None and re.fullmatch("[0-9a-f]{64}", found.etag) else None
    sha256 = hash_at_hub if file.sha256 is None else file.sha256
    if target.exists():
        return _check_present(target, size, sha256)
    # Said before gigabytes are fetched, not after.
    _compare(url, "size", size, found.size, "the server offers another file than the known one")
    _compare(url, "SHA-256", sha256, hash_at_hub, "the server offers another file than the known one")

    # Another version of the file must not be appended to this one's beginning.
    version = hashlib.sha256(str(found.etag).encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{file.name}.{version}.part"
    with _locked(part) as stream:
        try:
            _receive(url, stream, size, file.name, show=sys.stderr.isatty() if progress is None else progress)
        except unreachable as error:
            if isinstance(error, OSError) and error.errno is not None:
                error.filename = str(part)  # the disk, not the server
                raise
            raise _failure(file, url, target, error) from error
        stream.flush()
        os.fsync(stream.fileno())
        try:
            _verify(part, size, sha256, "what arrived is not the file asked for, and was removed: fetch it again")
        except ChecksumError:
            part.unlink()
            raise
        part.rename(target)
    return Fetched(target, target.stat().st_size, _verification(size, sha256), was_there=False)


def _receive(url: str, stream: BinaryIO, size: int | None, name: str, *, show: bool) -> None:
    """Appends to the stream what it lacks of the file, showing a progress bar or not."""
    # Their annotations have a bare dict, a bare tqdm, and keywords without any.
    from huggingface_hub.file_download import http_get  # noqa: PLC0415 # pyright: ignore[reportUnknownVariableType]
    from huggingface_hub.utils import build_hf_headers  # noqa: PLC0415 # pyright: ignore[reportUnknownVariableType]
    from tqdm import tqdm  # noqa: PLC0415 # the hub's own dependency

    have = stream.seek(0, os.SEEK_END)
    if size is None or have > size:
        have = stream.truncate(0)
    # Compressed on the way, the bytes could not be counted.
    headers = build_hf_headers(headers={"Accept-Encoding": "identity"})
    # The hub's own bar cannot be asked for where standard error is no terminal.
    bar = tqdm.wrapattr(  # pyright: ignore[reportUnknownMemberType]
        stream, "write", total=size, initial=have, desc=name, disable=not show
    )
    with _without_hub_bar(), bar as counted:
        http_get(url, cast("BinaryIO", counted), resume_size=have, headers=headers, expected_size=size)


@contextmanager
def _locked(part: Path) -> Generator[BinaryIO]:
    """The partial file, opened for appending and for this process alone."""
    with part.open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have finished between the two lines above, and taken the name from the open file.
            ours = part.stat().st_ino == os.fstat(stream.fileno()).st_ino
        except (BlockingIOError, FileNotFoundError):
            ours = False
        if not ours:
            raise DownloadError(f"{part}: another process is fetching this file: wait for it, then try again")
        yield stream


@contextmanager
def _without_hub_bar() -> Generator[None]:
    from huggingface_hub.utils import (  # noqa: PLC0415
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if are_progress_bars_disabled(_BARS):
        yield
        return
    disable_progress_bars(_BARS)
    try:
        yield
    finally:
        enable_progress_bars(_BARS)


def _check_present(target: Path, size: int | None, sha256: str | None) -> Fetched:
    _verify(target, size, sha256, "a file of this name is there, but it is another one: move it away and fetch again")
    return Fetched(target, target.stat().st_size, _verification(size, sha256), was_there=True)


def _verification(size: int | None, sha256: str | None) -> Literal["sha256", "size"] | None:
    if sha256 is not None:
        return "sha256"
    return None if size is None else "size"


def _verify(path: Path, size: int | None, sha256: str | None, otherwise: str) -> None:
    _compare(str(path), "size", size, path.stat().st_size, otherwise)
    if sha256 is not None:
        with path.open("rb") as stream:
            _compare(str(path), "SHA-256", sha256, hashlib.file_digest(stream, "sha256").hexdigest(), otherwise)


def _compare(path: str, what: str, expected: object, found: object, otherwise: str) -> None:
    """Raises if both are known and differ."""
    if expected is None or found is None or expected == found:
        return
    error = ChecksumError(f"{path}: {what} is {found}, not {expected}: {otherwise}")
    error.path, error.expected, error.found = path, str(expected), str(found)
    raise error


def _failure(file: HubFile, url: str, target: Path, error: BaseException) -> DownloadError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    failure = DownloadError(
        f"{file.name} of {file.repository} cannot be fetched from {url} ({reason}): check the network and try again, "
        f"which goes on where this ended, or put a copy of the file at {target}"
    )
    failure.url = url
    return failure
