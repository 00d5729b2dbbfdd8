"""Tokenizers, of Hugging Face."""

import json
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import models, pre_tokenizers, trainers

from peers.base import END, Peer, Vocabulary, pieces, save_array


class Tokenizers(Peer):
    slow: ClassVar[frozenset[str]] = frozenset({"encode", "documents", "files", "decode"})

    def load(self, vocabulary: Vocabulary) -> None:
        """`Tokenizer.from_file("tokenizer.json")`"""
        self.tokenizer = tokenizers.Tokenizer.from_file(str(vocabulary.json))

    def train(self, path: Path, vocab_size: int, vocabulary: Vocabulary) -> tokenizers.Tokenizer:
        """read, split, `Tokenizer.train_from_iterator(pieces, BpeTrainer)`"""
        tokenizer = tokenizers.Tokenizer(models.BPE())
        split = pre_tokenizers.Split(tokenizers.Regex(_onig(vocabulary)), behavior="isolated")
        tokenizer.pre_tokenizer = (
            pre_tokenizers.ByteLevel(add_prefix_space=False)
            if vocabulary.pattern == "gpt2"
            else pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        )
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(pieces(path), trainer)
        return tokenizer

    def learnt(self, trained: tokenizers.Tokenizer) -> list[bytes]:
        merges = json.loads(trained.to_str())["model"]["merges"]
        byte_of = {character: byte for byte, character in _byte_characters().items()}
        return [bytes(byte_of[character] for character in left + right) for left, right in merges]

    def encode(self, text: str) -> Any:
        """`Tokenizer.encode_batch_fast([str])`, serial by design"""
        return self.tokenizer.encode_batch_fast([text], add_special_tokens=False)

    def documents(self, documents: list[str]) -> Any:
        """`Tokenizer.encode_batch_fast(list of str)`"""
        return self.tokenizer.encode_batch_fast(documents, add_special_tokens=False)

    def flat(self, encoded: Any) -> NDArray[np.uint32]:
        return np.fromiter(chain.from_iterable(encoding.ids for encoding in encoded), np.uint32)

    def files(self, path: Path, output: Path) -> None:
        """read, split, `Tokenizer.encode_batch_fast`, `numpy.save`; the separators are not encoded"""
        save_array(output, self.flat(self.documents(pieces(path))))

    def string(self, text: str) -> Callable[[], Sequence[int]]:
        """`Tokenizer.encode(str).ids`"""
        encode = self.tokenizer.encode
        return lambda: encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int]) -> str:
        """`Tokenizer.decode(list)`"""
        return self.tokenizer.decode(ids, skip_special_tokens=False)


def _onig(vocabulary: Vocabulary) -> str:
    """The pattern in the form that is equal in the regex engine of `tokenizers`: as tokenizer.json has it."""
    tokenizer = json.loads(vocabulary.json.read_text(encoding="utf-8"))["pre_tokenizer"]
    split = next((part for part in tokenizer.get("pretokenizers", []) if part["type"] == "Split"), None)
    return split["pattern"]["Regex"] if split else vocabulary.regex


def _byte_characters() -> dict[int, str]:
    """GPT-2's characters for the bytes: themselves where they print, else U+0100 and on."""
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printing]
    return {byte: chr(byte) for byte in printing} | {byte: chr(0x100 + at) for at, byte in enumerate(others)}
