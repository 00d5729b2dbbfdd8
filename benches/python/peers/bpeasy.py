"""Bpeasy, a trainer."""

from pathlib import Path

import bpeasy

from peers.base import Peer, Vocabulary, by_rank, pieces

# Longer tokens it leaves out; no text here has one.
_LONGEST = 1 << 16


class Bpeasy(Peer):
    def train(self, path: Path, vocab_size: int, vocabulary: Vocabulary) -> dict[bytes, int]:
        """read, split, `train_bpe(pieces)`"""
        # One less: the special token is the caller's.
        return bpeasy.train_bpe(iter(pieces(path)), vocabulary.regex, _LONGEST, vocab_size - 1)

    def learnt(self, trained: dict[bytes, int]) -> list[bytes]:
        return by_rank(trained)
