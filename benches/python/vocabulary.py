"""The vocabulary of a comparison, written once in every format that the peers read."""

import json
from pathlib import Path

from bloomery import Tokenizer
from bloomery.tokenizer import reference
from peers.base import END, Vocabulary

SCHEMES = {"r50k": "gpt2", "gpt2": "gpt2", "cl100k": "cl100k", "o200k": "o200k"}


def prepare(folder: Path, source: Path | None, scheme: str, text: Path, vocab_size: int) -> Vocabulary:
    """Writes a vocabulary into `folder`.

    Args:
        folder: Where to.
        source: A vocabulary in any format that bloomery loads; None trains one on `text`, so that nothing but
            the text is needed.
        scheme: The pre-tokenization to train with, a key of `SCHEMES`.
        text: What to train on.
        vocab_size: The size to train to.
    """
    if source is None:
        tokenizer = Tokenizer.train(text, vocab_size, [END], pattern=SCHEMES[scheme], progress=False)
    else:
        tokenizer = Tokenizer.load(source)
    tokenizer.save(folder / "ranks.tiktoken")
    tokenizer.save(folder / "tokenizer.json")
    description = {
        "pattern": tokenizer.pattern,
        "regex": reference.PATTERNS.get(tokenizer.pattern, tokenizer.pattern),
        "special_tokens": {token.content: token.id for token in tokenizer.added_tokens if token.special},
    }
    (folder / "vocabulary.json").write_text(json.dumps(description), encoding="utf-8")
    return Vocabulary.open(folder)
