"""Gigatoken. Its first batch call imports awkward-array, which takes a second: the warm-up call takes that."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import awkward
import gigatoken
import numpy as np
from gigatoken import gigatoken_rs
from numpy.typing import NDArray

from peers.base import END, Peer, Unable, Vocabulary, save_array

_SCHEMES = {"gpt2": "gpt2", "cl100k": "gpt4", "o200k": "o200k", "qwen": "qwen2"}


def _only_gpt2(vocabulary: Vocabulary) -> None:
    if vocabulary.pattern != "gpt2":
        raise Unable("trains and counts with the gpt2 pattern only")


class Gigatoken(Peer):
    def load(self, vocabulary: Vocabulary) -> None:
        """`Tokenizer.from_tiktoken`"""
        if vocabulary.pattern not in _SCHEMES:
            raise Unable(f"has no scheme {vocabulary.pattern}")
        self.tokenizer = gigatoken.Tokenizer.from_tiktoken(
            str(vocabulary.ranks), _SCHEMES[vocabulary.pattern], vocabulary.special_tokens
        )

    def train(self, path: Path, vocab_size: int, vocabulary: Vocabulary) -> Any:
        """`train_bpe(path)`"""
        _only_gpt2(vocabulary)
        return gigatoken.train_bpe(path, vocab_size, [END])

    def learnt(self, trained: Any) -> list[bytes]:
        return [left + right for left, right in trained[1]]

    def count(self, path: Path, vocabulary: Vocabulary) -> list[tuple[bytes, int]]:
        """`pretokenized_counts(bytes)`, which gives a Python list"""
        _only_gpt2(vocabulary)
        return gigatoken_rs.pretokenized_counts(path.read_bytes(), END.encode())

    def counted(self, counts: list[tuple[bytes, int]]) -> tuple[int, int]:
        return len(counts), sum(count for _, count in counts)

    def form(self, text: str) -> bytes:
        return text.encode()

    def encode(self, text: bytes) -> NDArray[np.uint32]:
        """`Tokenizer.encode(bytes)`, serial by design"""
        return self.tokenizer.encode(text)

    def documents(self, documents: list[bytes]) -> awkward.Array:
        """`Tokenizer.encode_batch(list of bytes)`"""
        return self.tokenizer.encode_batch(documents, parallel=self.threads > 1)

    def flat(self, encoded: Any) -> NDArray[np.uint32]:
        return encoded if isinstance(encoded, np.ndarray) else awkward.to_numpy(awkward.flatten(encoded))

    def files(self, path: Path, output: Path) -> None:
        """`Tokenizer.encode_files(TextFileSource(separator))`, then `numpy.save`; the separators are not encoded"""
        source = gigatoken.TextFileSource([path], separator=END)
        save_array(output, self.flat(self.tokenizer.encode_files(source, parallel=self.threads > 1)))

    def string(self, text: str) -> Callable[[], Sequence[int]]:
        """`Tokenizer.as_tiktoken().encode(str)`, the call that gives a list"""
        return partial(self.tokenizer.as_tiktoken().encode, text)

    def string_array(self, text: str) -> Callable[[], NDArray[np.uint32]]:
        """`Tokenizer.encode(str)`"""
        return partial(self.tokenizer.encode, text)

    def decode(self, ids: list[int]) -> str:
        """`Tokenizer.decode(list).decode()`"""
        return self.tokenizer.decode(ids).decode("utf-8", errors="replace")

    def decode_array(self, ids: NDArray[np.uint32]) -> str:
        """`Tokenizer.decode(array).decode()`"""
        return self.tokenizer.decode(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: list[int]) -> bytes:
        """`Tokenizer.decode(list)`"""
        return self.tokenizer.decode(ids)

    def decode_bytes_array(self, ids: NDArray[np.uint32]) -> bytes:
        """`Tokenizer.decode(array)`"""
        return self.tokenizer.decode(ids)


class GigatokenBuffer(Peer):
    """The call that gigatoken recommends for many documents: one buffer, which it splits by itself."""

    variant: ClassVar[bool] = True

    def load(self, vocabulary: Vocabulary) -> None:
        self.inner = Gigatoken(self.threads)
        self.inner.load(vocabulary)

    def split(self, text: str) -> bytes:
        return text.encode()

    def documents(self, documents: bytes) -> awkward.Array:
        """`Tokenizer.encode_batch(BytesSource(bytes, separator))`"""
        source = gigatoken.BytesSource(documents, separator=END)
        return self.inner.tokenizer.encode_batch(source, parallel=self.threads > 1)

    def flat(self, encoded: Any) -> NDArray[np.uint32]:
        return self.inner.flat(encoded)
