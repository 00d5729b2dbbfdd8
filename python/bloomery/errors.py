"""What can go wrong, by name. Every error is a `BloomeryError` and also the built-in exception one would expect.

What the operating system refuses stays an ``OSError`` (``FileNotFoundError`` and its like) with errno and filename.
"""


class BloomeryError(Exception):
    """The base of all errors of this package."""


class ArgumentError(BloomeryError, ValueError):
    """An argument outside of what is allowed."""


class InvalidUtf8Error(BloomeryError, ValueError):
    """Text that is not UTF-8, read with ``errors="strict"``."""

    path: str
    """The file, or a description of the text in memory."""
    offset: int
    """Offset of the first invalid byte in the (decompressed) stream."""
    byte: int
    """The byte found there."""


class LoneSurrogateError(BloomeryError, ValueError):
    """A ``str`` with a lone surrogate, which no UTF-8 can hold, given with ``errors="strict"``."""

    position: int
    """Its index in the ``str``."""


class InputError(BloomeryError, ValueError):
    """A file that is broken or not in the format that its name promises."""

    path: str
    """The file."""
    line: int | None = None
    """The line, from 1, where the format has lines."""
    offset: int | None = None
    """Offset of the line's first byte, where its number is not known: of a URL only a part was read."""


class VocabularyError(BloomeryError, ValueError):
    """A vocabulary, merges or a tokenizer file that is broken or contradicts itself."""

    origin: str
    """The file, or a description of the value."""


class UnsupportedError(BloomeryError, ValueError):
    """Something asked for that is not done here, or that a format cannot hold; nothing is approximated."""

    origin: str
    """The file, or a description of the value."""
    feature: str
    """The feature by its name in the file or the config."""


class VocabSizeError(BloomeryError, ValueError):
    """A vocabulary size that leaves no room for the 256 bytes and the special tokens."""

    vocab_size: int
    """The size asked for."""
    special_tokens: int
    """The number of special tokens."""


class SpecialTokenError(BloomeryError, ValueError):
    """A special token that is empty, given twice or unknown."""

    token: str
    """The token."""


class TokenIdError(BloomeryError, ValueError):
    """An id that no token has."""

    id: int
    """The id."""
    position: int
    """Its index in the sequence given."""
    vocab_size: int
    """Highest id + 1."""


class PatternError(BloomeryError, ValueError):
    """A pattern that does not compile, or that cannot be written to the format asked for."""

    pattern: str
    """The regex."""


class PatternLimitError(BloomeryError, RuntimeError):
    """The regex engine gave up on a text (catastrophic backtracking). The named schemes have no such limit."""

    pattern: str
    """The regex."""
    offset: int
    """Byte offset in the text between special tokens."""
    length: int
    """Length of that text in bytes."""


class WordCountsMismatchError(BloomeryError, ValueError):
    """Word counts made under other rules than those asked for."""

    what: str
    """What differs: the pattern or the special tokens."""
    left: str
    """One side."""
    right: str
    """The other side."""


class DownloadError(BloomeryError, ConnectionError):
    """A file that could not be fetched: the server cannot be reached, or does not hand it out."""

    url: str | None = None
    """Where the file was looked for, if that was tried."""


class ChecksumError(BloomeryError, ValueError):
    """A file that is not the one it should be."""

    path: str
    """The file."""
    expected: str
    """What it should have: a size in bytes or a SHA-256."""
    found: str
    """What it has."""


class CountOverflowError(BloomeryError, OverflowError):
    """A count that does not fit 64 bits."""


class InsufficientMemoryError(BloomeryError, MemoryError):
    """A step that would need more memory than the machine, or the control group of the process, has to give."""

    needed: int
    """A bound on the bytes that it needs."""
    available: int
    """The bytes available."""


class ClusterError(BloomeryError, RuntimeError):
    """A cluster that cannot be reached, or that lost a task again and again."""


class DivergedError(BloomeryError, ArithmeticError):
    """A training loss that is not a finite number."""


class InternalError(BloomeryError, RuntimeError):
    """A fault of this package: the Rust core panicked. Please report it with the input that caused it."""


class TrainingStoppedEarly(UserWarning):
    """Training ended below the vocabulary size asked for, because no pair of tokens was left to merge."""

    def __init__(self, reached: int, requested: int) -> None:
        super().__init__(reached, requested)
        self.reached = reached
        """The size of the vocabulary learnt."""
        self.requested = requested
        """The size asked for."""

    def __str__(self) -> str:
        """Says both sizes."""
        return (
            f"training stopped at {self.reached:,} tokens of {self.requested:,}: no pair of tokens was left to merge; "
            "use more text or a smaller vocab_size"
        )


class WordsLeftOut(UserWarning):
    """Rare words were left out of word counts, as ``min_count`` asked for."""

    def __init__(self, min_count: int, words: int, occurrences: int, total: int) -> None:
        super().__init__(min_count, words, occurrences, total)
        self.min_count = min_count
        """Words that occur less often were left out."""
        self.words = words
        """How many distinct ones."""
        self.occurrences = occurrences
        """How often those occurred, together."""
        self.total = total
        """Occurrences of all words, those left out and the others."""

    def __str__(self) -> str:
        """Says how many."""
        return (
            f"left out {self.words:,} words that occur less than {self.min_count:,} times: {self.occurrences:,} of "
            f"{self.total:,} occurrences ({self.occurrences / self.total:.2%})"
        )


class ContextLengthExceeded(UserWarning):
    """A generated text grew past the context length, so that the model no longer sees its beginning."""

    def __init__(self, context_length: int) -> None:
        super().__init__(context_length)
        self.context_length = context_length
        """The model's."""

    def __str__(self) -> str:
        """Says what is done."""
        return (
            f"the text is longer than the model's context of {self.context_length:,} tokens: whenever that is full, "
            "its older half is dropped and the model goes on from the newer one"
        )
