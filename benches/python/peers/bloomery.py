"""Bloomery itself."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bloomery import Tokenizer, WordCounts
from peers.base import END, Ids, Peer, Vocabulary


class Bloomery(Peer):
    tie_break: ClassVar[str] = "lexicographic"

    def load(self, vocabulary: Vocabulary) -> None:
        """`Tokenizer.load(".tiktoken")`"""
        self.tokenizer = Tokenizer.load(vocabulary.ranks, vocabulary.pattern, list(vocabulary.special_tokens))

    def train(self, path: Path, vocab_size: int, vocabulary: Vocabulary) -> Tokenizer:
        """`Tokenizer.train(path)`"""
        return Tokenizer.train(
            path,
            vocab_size,
            [END],
            pattern=vocabulary.pattern,
            tie_break=self.tie_break,
            num_threads=self.threads,
            progress=False,
        )

    def learnt(self, trained: Tokenizer) -> list[bytes]:
        return [left + right for left, right in trained.merges]

    def count(self, path: Path, vocabulary: Vocabulary) -> WordCounts:
        """`WordCounts.from_files(path)`"""
        return WordCounts.from_files(
            path, pattern=vocabulary.pattern, special_tokens=[END], num_threads=self.threads, progress=False
        )

    def counted(self, counts: WordCounts) -> tuple[int, int]:
        return len(counts), counts.total

    def form(self, text: str) -> bytes:
        return text.encode()

    def encode(self, text: bytes) -> Ids:
        """`Tokenizer.encode_array(bytes)`"""
        return self.tokenizer.encode_array(text, num_threads=self.threads)

    def documents(self, documents: list[bytes]) -> tuple[Ids, NDArray[np.int64]]:
        """`Tokenizer.encode_batch(list of bytes)`"""
        return self.tokenizer.encode_batch(documents, num_threads=self.threads)

    def flat(self, encoded: Ids | tuple[Ids, NDArray[np.int64]]) -> Ids:
        return encoded[0] if isinstance(encoded, tuple) else encoded

    def files(self, path: Path, output: Path) -> None:
        """`Tokenizer.encode_files(path, output)`"""
        self.tokenizer.encode_files(path, output, num_threads=self.threads, progress=False)

    def string(self, text: str) -> Callable[[], Sequence[int]]:
        """`Tokenizer.encode(str)`"""
        return partial(self.tokenizer.encode, text)

    def string_array(self, text: str) -> Callable[[], Ids]:
        """`Tokenizer.encode_array(str)`"""
        return partial(self.tokenizer.encode_array, text)

    def decode(self, ids: list[int]) -> str:
        """`Tokenizer.decode(list)`"""
        return self.tokenizer.decode(ids)

    def decode_array(self, ids: NDArray[np.uint32]) -> str:
        """`Tokenizer.decode(array)`"""
        return self.tokenizer.decode(ids)

    def decode_bytes(self, ids: list[int]) -> bytes:
        """`Tokenizer.decode_bytes(list)`"""
        return self.tokenizer.decode_bytes(ids)

    def decode_bytes_array(self, ids: NDArray[np.uint32]) -> bytes:
        """`Tokenizer.decode_bytes(array)`"""
        return self.tokenizer.decode_bytes(ids)


class BloomeryWide(Peer):
    """Ids of four bytes each, as the others give them, where they would fit two."""

    variant: ClassVar[bool] = True

    def load(self, vocabulary: Vocabulary) -> None:
        self.inner = Bloomery(self.threads)
        self.inner.load(vocabulary)

    def form(self, text: str) -> bytes:
        return text.encode()

    def encode(self, text: bytes) -> Ids:
        """`Tokenizer.encode_array(bytes, dtype="uint32")`"""
        return self.inner.tokenizer.encode_array(text, dtype="uint32", num_threads=self.threads)

    def documents(self, documents: list[bytes]) -> tuple[Ids, NDArray[np.int64]]:
        """`Tokenizer.encode_batch(list of bytes, dtype="uint32")`"""
        return self.inner.tokenizer.encode_batch(documents, dtype="uint32", num_threads=self.threads)

    def flat(self, encoded: Ids | tuple[Ids, NDArray[np.int64]]) -> Ids:
        return self.inner.flat(encoded)


class BloomeryHuggingFace(Bloomery):
    """With the tie-break of `tokenizers`: not measured, but what that trainer's merges must equal."""

    variant: ClassVar[bool] = True
    tie_break: ClassVar[str] = "huggingface"
