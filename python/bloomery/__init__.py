"""Raw text to a language model: a byte-level BPE tokenizer with a Rust core.

>>> import bloomery
>>> tokenizer = bloomery.Tokenizer.train("corpus.txt", 32_000, ["<|endoftext|>"])
>>> tokenizer.save("tokenizer.json")
>>> tokenizer.encode_files("corpus.txt", "tokens.npy")
"""

from bloomery import errors
from bloomery.tokenizer import AddedToken, EncodeReport, Tokenizer, WordCounts, __version__, train_bpe

__all__ = ["AddedToken", "EncodeReport", "Tokenizer", "WordCounts", "__version__", "errors", "train_bpe"]
