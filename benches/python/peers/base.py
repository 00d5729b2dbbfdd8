"""What a peer may offer. A method that a peer does not override is a job that it cannot do."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

END = "<|endoftext|>"

Ids: TypeAlias = NDArray[np.uint16] | NDArray[np.uint32]


class Unable(Exception):  # noqa: N818 - nothing went wrong
    """The peer has no call for this job; the message says why."""


@dataclass(frozen=True)
class Vocabulary:
    """One vocabulary in the formats that the peers read."""

    folder: Path
    pattern: str
    """The name of its pre-tokenization, and the regex itself."""
    regex: str
    special_tokens: dict[str, int]

    @property
    def ranks(self) -> Path:
        """The ``.tiktoken`` file."""
        return self.folder / "ranks.tiktoken"

    @property
    def json(self) -> Path:
        """The ``tokenizer.json``."""
        return self.folder / "tokenizer.json"

    @classmethod
    def open(cls, folder: Path) -> "Vocabulary":
        """Opens a folder that `vocabulary.prepare` made."""
        return cls(folder, **json.loads((folder / "vocabulary.json").read_text(encoding="utf-8")))


class Peer:
    """A tokenizer under measurement.

    The docstring of a method names the call that is timed; the table prints it. Conversions to a common form (`flat`,
    `learnt`, `counted`) are not timed.
    """

    slow: ClassVar[frozenset[str]] = frozenset()
    """Jobs that this peer gets only a beginning of the text for."""
    variant: ClassVar[bool] = False
    """Another call of a peer that has a row already; only shown where it has something to add."""
    tokenizer: Any

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @classmethod
    def can(cls, job: str) -> bool:
        """Whether the peer has a call for a job, which is the name of a method."""
        return getattr(cls, job) is not getattr(Peer, job)

    def load(self, vocabulary: Vocabulary) -> None:
        raise Unable("loads no vocabulary")

    def train(self, path: Path, vocab_size: int, vocabulary: Vocabulary) -> Any:
        """Learns from the file, with `END` as a boundary; only the pattern of the vocabulary matters."""
        raise Unable("does not train")

    def learnt(self, trained: Any) -> list[bytes]:
        """The tokens that were learnt, in order, without the 256 bytes and the special token."""
        raise Unable("does not train")

    def count(self, path: Path, vocabulary: Vocabulary) -> Any:
        raise Unable("does not count words by themselves")

    def counted(self, counts: Any) -> tuple[int, int]:
        """The number of distinct words and of all."""
        raise Unable("does not count words by themselves")

    def form(self, text: str) -> Any:
        """The text in the form that `encode` takes fastest."""
        return text

    def encode(self, text: Any) -> Any:
        raise Unable("does not encode")

    def documents(self, documents: Any) -> Any:
        raise Unable("does not encode many documents")

    def split(self, text: str) -> Any:
        """The text in the form that `documents` takes: its documents, empty ones left out."""
        return [self.form(document) for document in text.split(END) if document]

    def flat(self, encoded: Any) -> Ids:
        """The ids that `encode` or `documents` gave, end to end."""
        return np.asarray(encoded, dtype=np.uint32)

    def files(self, path: Path, output: Path) -> None:
        raise Unable("does not encode files")

    def string(self, text: str) -> Callable[[], Sequence[int]]:
        raise Unable("does not encode to a list")

    def string_array(self, text: str) -> Callable[[], Ids]:
        raise Unable("does not encode to an array")

    def decode(self, ids: list[int]) -> str:
        raise Unable("does not decode")

    def decode_array(self, ids: NDArray[np.uint32]) -> str:
        raise Unable("does not decode arrays")

    def decode_bytes(self, ids: list[int]) -> bytes:
        raise Unable("does not decode to bytes")

    def decode_bytes_array(self, ids: NDArray[np.uint32]) -> bytes:
        raise Unable("does not decode arrays to bytes")


def read(path: Path) -> str:
    """A text file as it is: newlines are not touched."""
    return path.read_bytes().decode()


def pieces(path: Path) -> list[str]:
    """The documents of a file, for trainers that take strings."""
    return [piece for piece in read(path).split(END) if piece]


def by_rank(ranks: dict[bytes, int]) -> list[bytes]:
    """Learnt tokens in order, of a vocabulary that begins with the 256 bytes."""
    return [token for token, rank in sorted(ranks.items(), key=lambda item: item[1]) if len(token) > 1]


def save_array(output: Path, ids: Ids) -> None:
    """Writes ids as `encode_files` does: uint16 where they fit."""
    dtype = np.uint16 if ids.size == 0 or int(ids.max()) < 1 << 16 else np.uint32
    np.save(output, ids.astype(dtype, copy=False))
