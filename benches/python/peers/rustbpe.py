"""Rustbpe, the trainer of nanochat."""

from pathlib import Path

import rustbpe

from peers.base import Peer, Vocabulary, by_rank, pieces


class RustBpe(Peer):
    def train(self, path: Path, vocab_size: int, vocabulary: Vocabulary) -> rustbpe.Tokenizer:
        """read, split, `Tokenizer.train_from_iterator(pieces)`"""
        tokenizer = rustbpe.Tokenizer()
        # One less: the special token is the caller's.
        tokenizer.train_from_iterator(iter(pieces(path)), vocab_size - 1, pattern=vocabulary.regex)
        return tokenizer

    def learnt(self, trained: rustbpe.Tokenizer) -> list[bytes]:
        return by_rank({bytes(token): rank for token, rank in trained.get_mergeable_ranks()})
