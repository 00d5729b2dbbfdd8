"""Fastokens, an encoder."""

from collections.abc import Callable, Sequence
from pathlib import Path

import fastokens
import numpy as np
from numpy.typing import NDArray

from peers.base import Peer, Vocabulary, pieces, save_array


class Fastokens(Peer):
    def load(self, vocabulary: Vocabulary) -> None:
        """`Tokenizer.from_file("tokenizer.json")`, whose encoding is faster than `from_tiktoken`'s"""
        self.tokenizer = fastokens.Tokenizer.from_file(str(vocabulary.json))

    def encode(self, text: str) -> tuple[bytes, bytes]:
        """`Tokenizer.encode_batch_flat([str])`"""
        return self.tokenizer.encode_batch_flat([text])

    def documents(self, documents: list[str]) -> tuple[bytes, bytes]:
        """`Tokenizer.encode_batch_flat(list of str)`"""
        return self.tokenizer.encode_batch_flat(documents)

    def flat(self, encoded: tuple[bytes, bytes]) -> NDArray[np.uint32]:
        return np.frombuffer(encoded[0], np.uint32)

    def files(self, path: Path, output: Path) -> None:
        """read, split, `Tokenizer.encode_batch_flat`, `numpy.save`; the separators are not encoded"""
        save_array(output, self.flat(self.documents(pieces(path))))

    def string(self, text: str) -> Callable[[], Sequence[int]]:
        """`Tokenizer.encode(str).ids`"""
        encode = self.tokenizer.encode
        return lambda: encode(text).ids

    def string_array(self, text: str) -> Callable[[], NDArray[np.uint32]]:
        """`numpy.frombuffer(Tokenizer.encode_batch_flat([str])[0])`"""
        encode = self.tokenizer.encode_batch_flat
        return lambda: np.frombuffer(encode([text])[0], np.uint32)

    def decode(self, ids: list[int]) -> str:
        """`Tokenizer.decode(list)`"""
        return self.tokenizer.decode(ids)
