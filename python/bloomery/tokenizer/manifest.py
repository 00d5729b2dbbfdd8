"""The manifest of token ids in several files: which files, in which order, and what made them.

``manifest.json`` stands in the folder of the shards and is written last: a folder without one is unfinished.
"""

import json
from typing import Any, NamedTuple, cast

import numpy as np

from bloomery.errors import InputError
from bloomery.tokenizer import storage

NAME = "manifest.json"
_HEADER_BYTES = 128  # of a shard, before its ids
_FORMAT = "bloomery.shards"
_VERSION = 1


class Shard(NamedTuple):
    """A ``.npy`` file of ids."""

    file: str
    """Its name in the folder."""
    tokens: int
    documents: int
    """Those that begin in it."""
    bytes: int
    """Of text."""
    inputs: list[str]
    """The files that it was made from, the first and the last perhaps in part."""


class Manifest(NamedTuple):
    """All shards, in the order of the input."""

    job: str
    """SHA-256 of the tokenizer, the options and the inputs as they were."""
    tokenizer: str
    """SHA-256 of the tokenizer."""
    vocab_size: int
    dtype: str
    """uint16 or uint32."""
    shards: list[Shard]

    @property
    def tokens(self) -> int:
        """Ids in all shards."""
        return sum(shard.tokens for shard in self.shards)

    @property
    def documents(self) -> int:
        """Documents in all shards."""
        return sum(shard.documents for shard in self.shards)

    @property
    def bytes(self) -> int:
        """Bytes of text that all shards were made from."""
        return sum(shard.bytes for shard in self.shards)


def shard_bytes(tokens: int, dtype: str) -> int:
    """The size of a shard's file."""
    return _HEADER_BYTES + tokens * np.dtype(dtype).itemsize


def write(manifest: Manifest, folder: str) -> None:
    """Writes the manifest of a folder.

    Raises:
        OSError: It cannot be written.
    """
    facts = {
        "format": _FORMAT,
        "version": _VERSION,
        "job": manifest.job,
        "tokenizer": {"sha256": manifest.tokenizer, "vocab_size": manifest.vocab_size},
        "dtype": manifest.dtype,
        "tokens": manifest.tokens,
        "documents": manifest.documents,
        "bytes": manifest.bytes,
        "shards": [shard._asdict() for shard in manifest.shards],
    }
    storage.write(storage.join(folder, NAME), (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode())


def load(folder: str) -> Manifest:
    """Reads the manifest of a folder.

    Raises:
        OSError: It is not there, or cannot be read.
        InputError: It is broken, or of a later version.
    """
    path = storage.join(folder, NAME)
    try:
        facts: Any = json.loads(storage.read(path))
        if facts["format"] != _FORMAT or facts["version"] != _VERSION:
            raise broken(
                path, f"a manifest of {facts['format']!r}, version {facts['version']}: read it with what wrote it"
            )
        shards = [
            Shard(
                str(shard["file"]),
                int(shard["tokens"]),
                int(shard["documents"]),
                int(shard["bytes"]),
                [str(file) for file in cast("list[object]", shard["inputs"])],
            )
            for shard in facts["shards"]
        ]
        tokenizer = facts["tokenizer"]
        found = Manifest(
            str(facts["job"]), str(tokenizer["sha256"]), int(tokenizer["vocab_size"]), str(facts["dtype"]), shards
        )
        if found.dtype not in {"uint16", "uint32"} or facts["tokens"] != found.tokens:
            raise broken(path, "its numbers contradict each other: encode the text again")
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise broken(path, f"not a manifest of token ids ({type(error).__name__}: {error})") from error
    return found


def broken(path: str, what: str) -> InputError:
    """The error for a broken file."""
    error = InputError(f"{path}: {what}")
    error.path = path
    return error
