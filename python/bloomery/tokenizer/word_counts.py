"""`WordCounts`: how often each pre-token occurs; what training learns from, as a value of its own."""

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from bloomery import _core
from bloomery.errors import ArgumentError, WordsLeftOut
from bloomery.tokenizer.engine import Engine, Local
from bloomery.tokenizer.inputs import Inputs, expand, user_path
from bloomery.tokenizer.progress import ProgressCallback, reporting
from bloomery.tokenizer.sizes import byte_size
from bloomery.tokenizer.work import Counting


class WordCounts:
    """Counts of pre-tokens, with the pattern and the special tokens that they were made under.

    Shards can be counted apart, on other days and machines, and merged: training from the sum gives the merges of the
    whole. A value is immutable; it compares by content, pickles, and is saved as a Parquet file with the columns
    ``word`` and ``count``.

    Counts that outgrew ``max_memory`` stay in a temporary file, which vanishes with the last value that uses it.
    `merge`, `save`, comparison and training read it from there; `items` and pickling put all words into memory.
    """

    __slots__ = ("core",)

    core: _core.WordCounts
    """The value as the Rust core has it."""

    def __init__(
        self,
        counts: Mapping[bytes, int] | Mapping[str, int] | None = None,
        *,
        pattern: str = "gpt2",
        special_tokens: Sequence[str] = (),
    ) -> None:
        """Takes counts made elsewhere.

        Args:
            counts: How often each pre-token occurs; counts of up to 64 bits. They are not split any further.
            pattern: The pattern that they were made with: gpt2, cl100k, o200k, qwen or a regex.
            special_tokens: The special tokens that text was split at.
        """
        self.core = _core.WordCounts(dict(counts or {}), pattern, special_tokens)

    @classmethod
    def of(cls, counts: _core.WordCounts) -> Self:
        """Wraps what the Rust core counted."""
        made = cls.__new__(cls)
        made.core = counts
        return made

    @classmethod
    def from_files(
        cls,
        inputs: Inputs,
        *,
        pattern: str = "gpt2",
        special_tokens: Sequence[str] = (),
        errors: str = "strict",
        field: str = "text",
        column: str = "text",
        num_threads: int | None = None,
        max_memory: str | int | None = None,
        min_count: int | None = None,
        engine: Engine | None = None,
        progress: bool | ProgressCallback | None = None,
    ) -> Self:
        """Counts files.

        Args:
            inputs: A path, several, URLs that fsspec reads, glob patterns, or ``-`` for standard input. ``.jsonl`` and
                ``.parquet`` are read by field and column, anything else as text; text and JSON lines also as ``.gz``
                and ``.zst``.
            pattern: The pre-tokenization: gpt2, cl100k, o200k, qwen or a regex.
            special_tokens: Text is split at these first; they are not counted.
            errors: What becomes of bytes that are not UTF-8: "strict" raises, "replace" puts U+FFFD, "ignore" drops
                them.
            field: The field of JSON lines that holds the text.
            column: The column of Parquet files that holds the text.
            num_threads: Threads to use; None for every core. The result does not depend on it.
            max_memory: Memory for counting, such as "16MB", "1.5GB", "512MiB" or a number of bytes; None for as much as
                it takes, 24 to 35 bytes for a distinct word and more for a long one. Words that outgrow it go to a
                temporary file in the folder that TMPDIR names, which must not itself be in memory; the counts are the
                same. At least 1MB; each thread needs so much, so with less for all of them fewer are used. On top come
                single words of megabytes, texts that a regex of one's own does not let cut, and the window or pages of
                compressed and Parquet files.
            min_count: Leaves out words that occur less often, and says with the warning `WordsLeftOut` how many those
                are: for corpora with more distinct words than memory. What is learnt from the others may then differ.
            engine: What does the work; None for this process. `bloomery.cluster.Ray` counts on a cluster.
            progress: True for a progress line on standard error, None for one on a terminal only, or a callback.

        Raises:
            OSError: A file cannot be read.
            InvalidUtf8Error: A text is not UTF-8.
            InputError: A file is broken, or lacks the field or column.
            ArgumentError: ``max_memory`` is no size, or too small.
        """
        with reporting(progress) as callback:
            counts, left_out = count_files(
                inputs,
                pattern=pattern,
                special_tokens=special_tokens,
                errors=errors,
                field=field,
                column=column,
                num_threads=num_threads,
                max_memory=max_memory,
                min_count=min_count,
                engine=engine,
                progress=callback,
            )
        if left_out is not None:
            warnings.warn(left_out, stacklevel=2)
        return cls.of(counts)

    @classmethod
    def from_iterable(
        cls,
        texts: Iterable[str],
        *,
        pattern: str = "gpt2",
        special_tokens: Sequence[str] = (),
        errors: str = "strict",
        num_threads: int | None = None,
    ) -> Self:
        """Counts strings, each a document of its own. A few megabytes of them are held at a time.

        Args:
            texts: The strings.
            pattern: As for `from_files`.
            special_tokens: As for `from_files`.
            errors: What becomes of lone surrogates: "strict" raises, "replace" puts U+FFFD, "ignore" drops them.
            num_threads: As for `from_files`.
        """
        counts = _core.WordCounts.from_iterable(
            texts, pattern=pattern, special_tokens=special_tokens, errors=errors, num_threads=num_threads
        )
        return cls.of(counts)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a file that `save` wrote."""
        return cls.of(_core.WordCounts.load(user_path(path)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a Parquet file, whole or not at all."""
        self.core.save(user_path(path))

    def merge(self, other: "WordCounts") -> Self:
        """Returns the sum with other counts; ``a + b`` is the same.

        Raises:
            WordCountsMismatchError: They were made with another pattern or other special tokens.
        """
        return self.of(self.core.merge(other.core))

    def items(self) -> list[tuple[bytes, int]]:
        """Lists the words with their counts, sorted by word; all of them are then in memory."""
        return self.core.items()

    @property
    def pattern(self) -> str:
        """The pattern's name, or its regex."""
        return self.core.pattern

    @property
    def special_tokens(self) -> list[str]:
        """The special tokens that text was split at."""
        return self.core.special_tokens

    @property
    def total(self) -> int:
        """Occurrences of all words together."""
        return self.core.total

    def training_memory(self, vocab_size: int) -> int:
        """Bounds the bytes of memory that learning merges from these counts takes, beside the counts themselves.

        Large counts: 1.2 to 1.7 times the peak. Training compares it with the memory available first (on Linux;
        within the limit of a container, too), and raises `InsufficientMemoryError` rather than begin what cannot end.

        Args:
            vocab_size: The 256 bytes, the merges and the special tokens together.
        """
        return self.core.training_memory(vocab_size)

    def __add__(self, other: object) -> Self:
        if not isinstance(other, WordCounts):
            return NotImplemented
        return self.merge(other)

    def __len__(self) -> int:
        return len(self.core)

    def __eq__(self, other: object) -> bool:
        return self.core == other.core if isinstance(other, WordCounts) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.pattern, tuple(self.special_tokens), len(self), self.total))

    def __getstate__(self) -> tuple[dict[bytes, int], str, list[str]]:
        return dict(self.items()), self.pattern, self.special_tokens

    def __setstate__(self, state: tuple[dict[bytes, int], str, list[str]]) -> None:
        self.core = _core.WordCounts(*state)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self):,} words, {self.total:,} occurrences, pattern={self.pattern!r}, "
            f"special_tokens={self.special_tokens!r})"
        )


def count_files(
    inputs: Inputs,
    *,
    pattern: str,
    special_tokens: Sequence[str],
    errors: str,
    field: str,
    column: str,
    num_threads: int | None,
    max_memory: str | int | None,
    min_count: int | None,
    engine: Engine | None,
    progress: ProgressCallback | None,
) -> tuple[_core.WordCounts, WordsLeftOut | None]:
    """Counts files, for `WordCounts.from_files` and for training; also returns what to warn of."""
    if min_count is not None and min_count < 1:
        raise ArgumentError(f"min_count {min_count} leaves out nothing: give 2 or more, or leave it out")
    memory = None if max_memory is None else byte_size(max_memory, "max_memory")
    # Of nothing, which refuses bad rules before hours of counting, and one string given for a list.
    rules = _core.WordCounts({}, pattern, special_tokens)
    special = tuple(rules.special_tokens)
    counting = Counting(pattern, special, errors, field, column, num_threads, memory, min_count or 1)
    counted = (engine or Local()).count(counting, expand(inputs), progress)
    if not counted.left_out:
        return counted.counts, None
    total = counted.counts.total + counted.left_out_occurrences
    warning = WordsLeftOut(counting.min_count, counted.left_out, counted.left_out_occurrences, total)
    return counted.counts, warning
