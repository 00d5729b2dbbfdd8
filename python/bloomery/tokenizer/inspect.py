"""What a tokenizer is made of: sizes, its longest tokens, its first and last merges."""

from collections import Counter
from dataclasses import dataclass

from bloomery.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Token:
    """A token in the forms that people read."""

    id: int
    bytes: bytes

    @property
    def escaped(self) -> str:
        r"""The bytes as a Python literal would spell them, such as `\xed\x95\x9c`."""
        return escape(self.bytes)

    @property
    def text(self) -> str:
        """The bytes decoded; what is not UTF-8 by itself becomes U+FFFD."""
        return self.bytes.decode(errors="replace")


@dataclass(frozen=True)
class Inspection:
    """The facts about one tokenizer."""

    vocab_size: int
    """Highest id + 1."""
    tokens: int
    """Ids that have a token: fewer than `vocab_size` where the vocabulary has gaps."""
    pattern: str
    special_tokens: dict[str, int]
    merges: int
    first_merges: tuple[tuple[bytes, bytes], ...]
    last_merges: tuple[tuple[bytes, bytes], ...]
    longest: tuple[Token, ...]
    """Special tokens left out."""
    lengths: dict[int, int]
    """How many tokens are this many bytes long; special tokens left out."""


def inspect(tokenizer: Tokenizer, most: int = 10) -> Inspection:
    """Gathers the facts; lists hold at most `most` entries."""
    vocab = tokenizer.vocab
    special_tokens = {token.content: token.id for token in tokenizer.added_tokens if token.special}
    special_ids = set(special_tokens.values())
    ordinary = [Token(token_id, token) for token_id, token in sorted(vocab.items()) if token_id not in special_ids]
    merges = tokenizer.merges
    return Inspection(
        vocab_size=tokenizer.vocab_size,
        tokens=len(vocab),
        pattern=tokenizer.pattern,
        special_tokens=special_tokens,
        merges=len(merges),
        first_merges=tuple(merges[:most]),
        last_merges=tuple(merges[len(merges) - most :] if len(merges) > most else ()),
        longest=tuple(sorted(ordinary, key=lambda token: (-len(token.bytes), token.id))[:most]),
        lengths=dict(sorted(Counter(len(token.bytes) for token in ordinary).items())),
    )


def escape(token: bytes) -> str:
    r"""The bytes as a Python literal would spell them: printable ASCII as it is, the rest as `\n`, `\xff`."""
    return token.decode("latin-1").encode("unicode_escape").decode("ascii")
