"""Folders that appear whole or not at all, and their JSON and safetensors, with errors that name the file."""

import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import safetensors
import safetensors.torch
from torch import Size, Tensor

from bloomery.errors import InputError


@contextmanager
def new_folder(folder: Path) -> Generator[Path]:
    """A folder to write to, which gets its name, with its bytes on the disk, when the block ends without an error.

    Raises:
        FileExistsError: There is something of that name, other than an empty folder.
        OSError: What the block raises, with the final name in the place of the temporary one.
    """
    target = folder.resolve()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        what = "is there already and not empty: name another folder, or remove it first"
        raise FileExistsError(errno.EEXIST, what, str(folder))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}-{secrets.token_hex(4)}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        for path in (*temporary.iterdir(), temporary):
            _sync(path)
        temporary.rename(target)
        _sync(target.parent)
    except OSError as error:
        # Some have no name at all: a write that fails does not know the file's.
        error.filename = str(error.filename or folder).replace(str(temporary), str(folder))
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Writes tensors, marked as torch's.

    Raises:
        OSError: The file cannot be written.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        # The library types its paths as PathLike of nothing in particular.
        safetensors.torch.save_file(contiguous, path, {"format": "pt"})  # pyright: ignore[reportUnknownMemberType]
    except safetensors.SafetensorError as error:
        # The library has the system's error as a text alone.
        code = re.search(r"os error (\d+)", str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from error


def tensor_shapes(path: Path) -> dict[str, Size]:
    """The names and shapes of the tensors in a file, whose data is not read.

    Raises:
        OSError: The file cannot be read.
        InputError: It is no whole safetensors file.
    """
    path.open("rb").close()  # as below
    try:
        reader: Any = safetensors.safe_open(path, "pt")  # no types in the library
        with reader as file:
            return {name: Size(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no dict
    except safetensors.SafetensorError as error:
        raise input_error(path, f"not a whole safetensors file ({error}): copy it again") from error


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Reads tensors.

    Raises:
        OSError: The file cannot be read.
        InputError: It is no whole safetensors file.
    """
    path.open("rb").close()  # a missing file raises here, with errno and name
    try:
        return safetensors.torch.load_file(path)  # pyright: ignore[reportUnknownMemberType] - as above
    except safetensors.SafetensorError as error:
        raise input_error(path, f"not a whole safetensors file ({error}): copy it again") from error


def save_json(values: Mapping[str, object], path: Path) -> None:
    """Writes an object as people read it."""
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def load_json(path: Path) -> dict[str, Any]:
    """Reads an object.

    Raises:
        OSError: The file cannot be read.
        InputError: It is no JSON object.
    """
    try:
        values = json.loads(path.read_bytes())
    except ValueError as error:
        raise input_error(path, f"not JSON ({error})") from error
    if not isinstance(values, dict):
        raise input_error(path, "not a JSON object")
    return cast("dict[str, Any]", values)


def input_error(path: Path, problem: str) -> InputError:
    """The error for a broken file."""
    error = InputError(f"{path}: {problem}")
    error.path = str(path)
    return error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
