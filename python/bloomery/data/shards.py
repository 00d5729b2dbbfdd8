"""Token ids in a folder of shards with a manifest, as one array."""

import mmap
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bloomery.tokenizer import manifest

# Shards that stay mapped: a process may have some 65,000 maps.
_MAPPED = 256


class Shards:
    """Ids in several files, or a stretch of those, as an array of one dimension that is read when it is asked for.

    It has ``ndim``, ``dtype``, ``shape`` and a length; slices are of the same kind and read nothing; ``np.asarray``
    reads and copies.
    """

    ndim = 1

    def __init__(self, files: "Files", start: int, stop: int) -> None:
        """Takes the ids from ``start`` to below ``stop`` of the files."""
        self._files = files
        self._start, self._stop = start, max(start, stop)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Opens what `Tokenizer.encode_files` wrote to a folder.

        Raises:
            OSError: A file is not there, or cannot be read.
            InputError: The manifest is broken, or a shard has another size than it says.
        """
        made = manifest.load(str(folder))
        dtype = np.dtype(made.dtype).newbyteorder("<")
        paths = [folder / shard.file for shard in made.shards]
        for path, shard in zip(paths, made.shards, strict=True):
            size, wanted = path.stat().st_size, manifest.shard_bytes(shard.tokens, made.dtype)
            if size != wanted:
                what = f"has {size} bytes where the manifest says {wanted}: copy it again, or encode the text again"
                raise manifest.broken(str(path), what)
        files = Files(str(folder / manifest.NAME), dtype, paths, [shard.tokens for shard in made.shards])
        return cls(files, 0, made.tokens)

    @property
    def name(self) -> str:
        """The manifest's path."""
        return self._files.name

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of an id."""
        return self._files.dtype

    @property
    def shape(self) -> tuple[int]:
        """The number of ids."""
        return (len(self),)

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, wanted: slice) -> "Shards":
        start, stop, step = wanted.indices(len(self))
        if step != 1:
            raise IndexError(f"{self.name}: slices of ids in shards have no step, not {step}")
        return Shards(self._files, self._start + start, self._start + stop)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001
        if copy is False:
            raise ValueError(f"{self.name}: ids in shards become one array only by being copied")
        return self._files.read(self._start, self._stop).astype(dtype or self.dtype, copy=False)


class Files:
    """The shards behind one array, and those of them that are mapped into memory."""

    def __init__(self, name: str, dtype: np.dtype[Any], paths: Sequence[Path], tokens: Sequence[int]) -> None:
        self.name = name
        self.dtype = dtype
        self._paths = paths
        self._tokens = tokens
        self._ends = list(accumulate(tokens))
        # Shared by threads: one that is mapped twice does no harm.
        self._mapped = lru_cache(_MAPPED)(self._map)

    def read(self, start: int, stop: int) -> NDArray[np.integer[Any]]:
        """A copy of the ids from ``start`` to below ``stop``."""
        ids = np.empty(stop - start, self.dtype)
        number = bisect_right(self._ends, start)
        filled = 0
        while filled < len(ids):
            first = start + filled - (self._ends[number] - self._tokens[number])
            count = min(self._tokens[number] - first, len(ids) - filled)
            if count:
                mapped = self._mapped(number)
                ids[filled : filled + count] = np.asarray(mapped)[first : first + count]
                release(mapped)
                filled += count
            number += 1
        return ids

    def _map(self, number: int) -> "np.memmap[Any, Any]":
        return np.lib.format.open_memmap(self._paths[number], mode="r")


def release(mapped: "np.memmap[Any, Any]") -> None:
    """Takes what was read of a mapped file out of the process's resident size, but not from private copies on write."""
    if mapped.mode != "c" and isinstance(mapped.base, mmap.mmap):
        mapped.base.madvise(mmap.MADV_DONTNEED)
