"""The tokenizer: training, encoding, decoding, and the files that others read."""

from bloomery._core import __version__
from bloomery.tokenizer.tokenizer import AddedToken, EncodeReport, Tokenizer
from bloomery.tokenizer.training import train_bpe
from bloomery.tokenizer.word_counts import WordCounts

__all__ = ["AddedToken", "EncodeReport", "Tokenizer", "WordCounts", "__version__", "train_bpe"]
