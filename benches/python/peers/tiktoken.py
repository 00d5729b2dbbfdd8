"""Tiktoken, of OpenAI."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import tiktoken
import tiktoken.load
from numpy.typing import NDArray

from peers.base import Peer, Vocabulary, read, save_array


class Tiktoken(Peer):
    def load(self, vocabulary: Vocabulary) -> None:
        """`load_tiktoken_bpe`, `Encoding(...)`"""
        ranks = tiktoken.load.load_tiktoken_bpe(str(vocabulary.ranks))
        self.tokenizer = tiktoken.Encoding(
            "compared", pat_str=vocabulary.regex, mergeable_ranks=ranks, special_tokens=vocabulary.special_tokens
        )

    def encode(self, text: str) -> NDArray[np.uint32]:
        """`Encoding.encode_to_numpy(str, allowed_special="all")`, serial by design"""
        return self.tokenizer.encode_to_numpy(text, allowed_special="all")

    def documents(self, documents: list[str]) -> list[list[int]]:
        """`Encoding.encode_ordinary_batch(list of str)`"""
        return self.tokenizer.encode_ordinary_batch(documents, num_threads=self.threads)

    def flat(self, encoded: NDArray[np.uint32] | list[list[int]]) -> NDArray[np.uint32]:
        if isinstance(encoded, np.ndarray):
            return encoded
        return np.fromiter((token for ids in encoded for token in ids), np.uint32)

    def files(self, path: Path, output: Path) -> None:
        """read, `Encoding.encode_to_numpy`, `numpy.save`"""
        save_array(output, self.encode(read(path)))

    def string(self, text: str) -> Callable[[], Sequence[int]]:
        """`Encoding.encode_ordinary(str)`"""
        return partial(self.tokenizer.encode_ordinary, text)

    def string_array(self, text: str) -> Callable[[], NDArray[np.uint32]]:
        """`Encoding.encode_to_numpy(str, allowed_special="all")`"""
        return partial(self.tokenizer.encode_to_numpy, text, allowed_special="all")

    def decode(self, ids: list[int]) -> str:
        """`Encoding.decode(list)`"""
        return self.tokenizer.decode(ids)

    def decode_array(self, ids: NDArray[np.uint32]) -> str:
        """`Encoding.decode(array)`"""
        return self.tokenizer.decode(ids)

    def decode_bytes(self, ids: list[int]) -> bytes:
        """`Encoding.decode_bytes(list)`"""
        return self.tokenizer.decode_bytes(ids)

    def decode_bytes_array(self, ids: NDArray[np.uint32]) -> bytes:
        """`Encoding.decode_bytes(array)`"""
        return self.tokenizer.decode_bytes(ids)
