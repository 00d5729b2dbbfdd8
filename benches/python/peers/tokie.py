"""Tokie, an encoder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokie
from numpy.typing import NDArray

from peers.base import END, Peer, Unable, Vocabulary, save_array


class Tokie(Peer):
    def load(self, vocabulary: Vocabulary) -> None:
        """`Tokenizer.from_json("tokenizer.json")`"""
        try:
            self.tokenizer = tokie.Tokenizer.from_json(str(vocabulary.json))
        except tokie.TokieError as error:
            raise Unable(f"refuses the vocabulary: {error}") from error

    def encode(self, text: str) -> Any:
        """`Tokenizer.encode(str)`"""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def documents(self, documents: list[str]) -> Any:
        """`Tokenizer.encode_batch_flat(list of str)`"""
        return self.tokenizer.encode_batch_flat(documents, add_special_tokens=False)

    def flat(self, encoded: Any) -> NDArray[np.uint32]:
        return np.asarray(encoded[0] if isinstance(encoded, tuple) else encoded.ids, np.uint32)

    def files(self, path: Path, output: Path) -> None:
        """`Tokenizer.encode_files([path])`, then `numpy.save`; the separators are not encoded"""
        save_array(output, self.tokenizer.encode_files([str(path)], separator=END.encode())[0])

    def string(self, text: str) -> Callable[[], Sequence[int]]:
        """`Tokenizer.encode(str).ids`"""
        encode = self.tokenizer.encode
        return lambda: encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int]) -> str:
        """`Tokenizer.decode(list)`"""
        return self.tokenizer.decode(ids)
