"""Training: counting pre-tokens, then learning merges from the counts."""

import os
import warnings
from collections.abc import Iterable, Sequence

from bloomery import _core
from bloomery.errors import TrainingStoppedEarly
from bloomery.tokenizer.engine import Engine
from bloomery.tokenizer.inputs import Inputs
from bloomery.tokenizer.progress import ProgressCallback, reporting
from bloomery.tokenizer.word_counts import WordCounts, count_files


def train_bpe(
    input_path: str | os.PathLike[str],
    vocab_size: int,
    special_tokens: Sequence[str],
    *,
    pattern: str = "gpt2",
    tie_break: str = "lexicographic",
    num_threads: int | None = None,
    errors: str = "strict",
    max_memory: str | int | None = None,
    progress: bool | ProgressCallback | None = False,
) -> tuple[dict[int, bytes], list[tuple[bytes, bytes]]]:
    """Trains a byte-level BPE tokenizer and returns it as plain values.

    Args:
        input_path: The text; any input of `Tokenizer.train`.
        vocab_size: The 256 bytes, the merges and the special tokens together.
        special_tokens: Text is split at these, and they are added to the vocabulary.
        pattern: As for `Tokenizer.train`.
        tie_break: As for `Tokenizer.train`.
        num_threads: As for `Tokenizer.train`.
        errors: As for `Tokenizer.train`.
        max_memory: As for `Tokenizer.train`.
        progress: As for `Tokenizer.train`, but silent unless asked for.

    Returns:
        The vocabulary, from id to bytes, and the merges in the order in which they were learnt.
    """
    engine = train_files(
        input_path,
        vocab_size,
        special_tokens,
        pattern=pattern,
        tie_break=tie_break,
        num_threads=num_threads,
        errors=errors,
        max_memory=max_memory,
        progress=progress,
    )
    return engine.vocab, engine.merges


def train_files(
    inputs: Inputs,
    vocab_size: int,
    special_tokens: Sequence[str],
    *,
    pattern: str,
    tie_break: str,
    num_threads: int | None,
    errors: str,
    field: str = "text",
    column: str = "text",
    max_memory: str | int | None,
    min_count: int | None = None,
    engine: Engine | None = None,
    progress: bool | ProgressCallback | None,
) -> _core.Engine:
    """Counts files and learns from the counts."""
    _check(vocab_size, special_tokens, pattern, tie_break)
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
            # The caller's caller: the line of the person's own code.
            warnings.warn(left_out, stacklevel=3)
        return _learn(WordCounts.of(counts), vocab_size, tie_break, callback)


def train_texts(
    texts: Iterable[str],
    vocab_size: int,
    special_tokens: Sequence[str],
    *,
    pattern: str,
    tie_break: str,
    num_threads: int | None,
    errors: str,
    progress: bool | ProgressCallback | None,
) -> _core.Engine:
    """Counts strings and learns from the counts."""
    _check(vocab_size, special_tokens, pattern, tie_break)
    counts = WordCounts.from_iterable(
        texts, pattern=pattern, special_tokens=special_tokens, errors=errors, num_threads=num_threads
    )
    with reporting(progress) as callback:
        return _learn(counts, vocab_size, tie_break, callback)


def train_counts(
    counts: WordCounts, vocab_size: int, *, tie_break: str, progress: bool | ProgressCallback | None
) -> _core.Engine:
    """Learns from counts."""
    with reporting(progress) as callback:
        return _learn(counts, vocab_size, tie_break, callback)


def _check(vocab_size: int, special_tokens: Sequence[str], pattern: str, tie_break: str) -> None:
    """Refuses what training would refuse, before hours of counting: training from no words checks its arguments."""
    _core.Engine.train(_core.WordCounts({}, pattern, special_tokens), vocab_size, tie_break)


def _learn(counts: WordCounts, vocab_size: int, tie_break: str, callback: ProgressCallback | None) -> _core.Engine:
    engine = _core.Engine.train(counts.core, vocab_size, tie_break, callback)
    if engine.vocab_size < vocab_size:
        # The caller's caller's caller: the line of the person's own code.
        warnings.warn(TrainingStoppedEarly(engine.vocab_size, vocab_size), stacklevel=4)
    return engine
