"""Files of token ids as memory-mapped arrays: opened, checked, and read without growing the process."""

import os
from pathlib import Path
from typing import Any, Literal, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from bloomery.data.shards import Shards, release
from bloomery.errors import ArgumentError, InputError, TokenIdError
from bloomery.tokenizer import manifest

Ids = NDArray[np.integer[Any]]
"""Token ids in one dimension: what `open_tokens` gives, or any array of integers.

For a folder of shards that is a `Shards`: it has what the functions here and the samplers need of an array, and becomes
one by ``np.asarray``.
"""

_DTYPES = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
# Ids looked at in one go: large enough for numpy's pace, small enough to stay out of the way.
_CHUNK = 1 << 22


def open_tokens(path: str | os.PathLike[str], *, dtype: Literal["uint16", "uint32"] | None = None) -> Ids:
    """Maps a file of token ids into memory, read-only; nothing is read until it is asked for.

    Args:
        path: A ``.npy`` file of one dimension, uint16 or uint32, as `Tokenizer.encode_files` writes it; or a ``.bin``
            file of bare little-endian ids, as nanoGPT writes it; or a folder of ``.npy`` files with a manifest, or that
            manifest.
        dtype: The type of an id in a ``.bin`` file, which cannot say so itself; other files must agree with it.

    Returns:
        The ids, shape ``[tokens]``.

    Raises:
        OSError: The file cannot be read.
        InputError: The file is broken, or not a file of token ids.
        ArgumentError: A ``.bin`` file is given without ``dtype``, or a ``dtype`` that is neither of the two.
    """
    path = Path(path)
    wanted = None
    if dtype is not None:
        if dtype not in _DTYPES:
            raise ArgumentError(f"dtype {dtype!r} is not a type of token ids: use 'uint16' or 'uint32'")
        wanted = _DTYPES[dtype]
    if path.suffix == ".bin":
        return _open_bin(path, wanted)
    if path.suffix == ".npy":
        return _open_npy(path, wanted)
    if path.is_dir() or path.name == manifest.NAME:
        return _open_shards(path if path.is_dir() else path.parent, wanted)
    raise _broken(path, "token ids are read from .npy and .bin files: encode text with `bloomery tokenizer encode`")


def check_ids(dataset: Ids, vocab_size: int, *, name: str | None = None) -> None:
    """Looks at every id, a chunk at a time, for one that a model of this vocabulary has no embedding for.

    Args:
        dataset: The ids, shape ``[tokens]``.
        vocab_size: Ids from 0 to below this are good.
        name: What to call the ids in the message; the name of the file mapped, where None.

    Raises:
        TokenIdError: The first id outside of the vocabulary, by file, position and value.
    """
    if dataset.dtype.kind == "u" and np.iinfo(dataset.dtype).max < vocab_size:
        return
    plain = plainly(dataset)
    signed = dataset.dtype.kind != "u"
    for first in range(0, len(plain), _CHUNK):
        chunk = np.asarray(plain[first : first + _CHUNK])
        if int(chunk.max()) >= vocab_size or (signed and int(chunk.min()) < 0):
            offset = int(np.argmax((chunk >= vocab_size) | (chunk < 0)))
            found = int(chunk[offset])
            error = TokenIdError(
                f"{name or name_of(dataset)}: id {found} at position {first + offset} lies outside of the vocabulary "
                f"of {vocab_size} ids: use the tokenizer that the file was encoded with, or set the model's vocab_size "
                f"to that tokenizer's"
            )
            error.id, error.position, error.vocab_size = found, first + offset, vocab_size
            raise error
        release_pages(dataset)


def plainly(dataset: Ids) -> Ids:
    """The same ids, faster to slice: slices of a np.memmap cost ten times those of a plain array."""
    return cast("Ids", dataset) if _is_shards(dataset) else np.asarray(dataset)


def _is_shards(dataset: object) -> TypeGuard[Shards]:
    return isinstance(dataset, Shards)


def name_of(dataset: Ids) -> str:
    """The file that an array maps, or what it is otherwise."""
    if _is_shards(dataset):
        return dataset.name
    mapped = _mapping(dataset)
    return str(mapped.filename) if mapped is not None and mapped.filename is not None else "token ids in memory"


def release_pages(dataset: Ids) -> None:
    """Takes what was read of a mapped file out of the process's resident size; the system's file cache keeps it.

    Without this a run's resident size grows to that of its token files, and a memory limit counts it. Opening the file
    anew for every batch, as is often done, has the same effect at a hundred times the cost. Arrays that map no file,
    and private copies on write, whose changes would be lost, are left alone.
    """
    mapped = _mapping(dataset)
    if mapped is not None:
        release(mapped)


def _mapping(dataset: Ids) -> "np.memmap[Any, Any] | None":
    """The memory map that an array is a view of: the one that holds the file's `mmap.mmap` itself."""
    array: object = dataset
    mapped: np.memmap[Any, Any] | None = None
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            mapped = cast("np.memmap[Any, Any]", array)
        array = array.base
    return mapped


def _open_shards(folder: Path, wanted: np.dtype[Any] | None) -> Ids:
    if not (folder / manifest.NAME).exists():
        raise _broken(
            folder,
            f"no {manifest.NAME}: the encoding has not ended; the same command goes on with it, or none was begun",
        )
    # To the type checker an array, which all the others are: see `Ids`.
    ids = cast("Ids", Shards.open(folder))
    if wanted is not None and ids.dtype != wanted:
        raise _broken(folder, f"the manifest says that its ids are {ids.dtype}, not {wanted}: leave dtype out")
    return ids


def _open_npy(path: Path, wanted: np.dtype[Any] | None) -> Ids:
    try:
        ids = np.lib.format.open_memmap(path, mode="r")
    except ValueError as error:
        raise _broken(path, f"not a whole .npy file ({error}): encode the text again") from error
    if ids.ndim != 1:
        shape = " x ".join(map(str, ids.shape)) or "a single number"
        raise _broken(path, f"token ids have one dimension, this array has {ids.ndim} ({shape}): save it flat")
    if ids.dtype not in _DTYPES.values():
        raise _broken(path, f"token ids are uint16 or uint32, this array is {ids.dtype}: convert it with astype")
    if wanted is not None and ids.dtype != wanted:
        raise _broken(path, f"the file says that its ids are {ids.dtype}, not {wanted}: leave dtype out")
    return ids


def _open_bin(path: Path, wanted: np.dtype[Any] | None) -> Ids:
    if wanted is None:
        raise ArgumentError(
            f"{path}: a .bin file does not say what its ids are: give dtype='uint16', as nanoGPT writes them, or "
            f"'uint32'"
        )
    size = path.stat().st_size
    if size == 0:
        return np.zeros(0, wanted)  # an empty file cannot be mapped
    if size % wanted.itemsize:
        raise _broken(path, f"{size} bytes are no whole number of {wanted} ids: it is cut short, or of another type")
    return np.memmap(path, wanted, mode="r")


def _broken(path: Path, what: str) -> InputError:
    error = InputError(f"{path}: {what}")
    error.path = str(path)
    return error
