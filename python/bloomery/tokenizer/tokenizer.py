"""The tokenizer as people use it: the Rust core's hot methods, and around them building, files, copies and `repr`."""

import operator
import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Self, SupportsIndex

from bloomery import _core
from bloomery.tokenizer import storage, training
from bloomery.tokenizer.engine import Engine, Local
from bloomery.tokenizer.inputs import Inputs, expand, user_path
from bloomery.tokenizer.progress import ProgressCallback, reporting
from bloomery.tokenizer.word_counts import WordCounts
from bloomery.tokenizer.work import Encoding

_END_OF_TEXT = "<|endoftext|>"
# What `repr` shows of a long list of special tokens and of a long regex.
_SHOWN_TOKENS = 4
_SHOWN_CHARACTERS = 40


class AddedToken(NamedTuple):
    """A token that is matched in the text before pre-tokenization; the flags are those of tokenizer.json."""

    content: str
    """The text it matches."""
    id: int
    special: bool
    """A control token, governed by ``allowed_special``; others are matched always."""
    lstrip: bool
    """Takes the white space on its left."""
    rstrip: bool
    """Takes the white space on its right."""
    single_word: bool
    """Matches only between non-word characters."""
    normalized: bool
    """Matched in the normalized text rather than in the text as given."""


class EncodeReport(NamedTuple):
    """What `Tokenizer.encode_files` wrote."""

    tokens: int
    documents: int
    bytes: int
    """Of text, decompressed."""
    dtype: str
    """uint16 or uint32."""
    seconds: float


class Tokenizer(_core.Tokenizer):
    """A byte-level BPE tokenizer.

    It is immutable, can be shared between threads and processes, compares by content, and pickles. `train`, `load` and
    the other alternative constructors make one without calling the ``__init__`` of a subclass.
    """

    def __new__(
        cls,
        vocab: Mapping[int, bytes],
        merges: Iterable[tuple[bytes, bytes]],
        special_tokens: Sequence[str] | None = None,
        *,
        pattern: str = "gpt2",
    ) -> Self:
        """Builds a tokenizer from a vocabulary and merges.

        Args:
            vocab: From id to bytes. Ids may have gaps and any order; all 256 single bytes must be there.
            merges: Pairs in order of rank; both parts and what they join to must be in the vocabulary.
            special_tokens: Those that the vocabulary lacks are appended to it in this order.
            pattern: The pre-tokenization: gpt2, cl100k, o200k, qwen or a regex.

        Raises:
            VocabularyError: The vocabulary or the merges are incomplete or contradict each other.
            SpecialTokenError: A special token is empty or given twice.
            PatternError: The regex does not compile.
        """
        return cls._of(_core.Engine.from_vocab(dict(vocab), merges, special_tokens or [], pattern))

    @classmethod
    def train(
        cls,
        inputs: Inputs,
        vocab_size: int,
        special_tokens: Sequence[str] = (),
        *,
        pattern: str = "gpt2",
        tie_break: str = "lexicographic",
        num_threads: int | None = None,
        errors: str = "strict",
        field: str = "text",
        column: str = "text",
        max_memory: str | int | None = None,
        min_count: int | None = None,
        engine: Engine | None = None,
        progress: bool | ProgressCallback | None = None,
    ) -> Self:
        """Trains on files.

        Args:
            inputs: A path, several, URLs that fsspec reads, glob patterns, or ``-`` for standard input. ``.jsonl`` and
                ``.parquet`` are read by field and column, anything else as text; text and JSON lines also as ``.gz``
                and ``.zst``.
            vocab_size: The 256 bytes, the merges and the special tokens together. Training stops early, with the
                warning `TrainingStoppedEarly`, when no pair of tokens is left to merge.
            special_tokens: Text is split at these first, so that no merge learns from them; they come last in the
                vocabulary.
            pattern: The pre-tokenization: gpt2, cl100k, o200k, qwen or a regex.
            tie_break: Among equally frequent pairs: "lexicographic" takes the greatest by bytes, "huggingface" the
                lowest ids, as the trainer of ``tokenizers`` does.
            num_threads: Threads to use; None for every core. The result does not depend on it.
            errors: What becomes of bytes that are not UTF-8: "strict" raises, "replace" puts U+FFFD, "ignore" drops
                them.
            field: The field of JSON lines that holds the text.
            column: The column of Parquet files that holds the text.
            max_memory: Memory for counting, such as "16MB", "512MiB" or a number of bytes, as for
                `WordCounts.from_files`; None for as much as it takes. Words that outgrow it go to a temporary file and
                the merges are the same. What learning the merges takes afterwards does not count.
            min_count: Leaves out words that occur less often, as for `WordCounts.from_files`.
            engine: What counts; None for this process. `bloomery.cluster.Ray` counts on a cluster; the merges are the
                same.
            progress: True for a progress line on standard error, None for one on a terminal only, or a callback.

        Raises:
            OSError: A file cannot be read.
            InvalidUtf8Error: A text is not UTF-8.
            InputError: A file is broken, or lacks the field or column.
            VocabSizeError: ``vocab_size`` is below 256 plus the number of special tokens.
            SpecialTokenError: A special token is empty or given twice.
        """
        trained = training.train_files(
            inputs,
            vocab_size,
            special_tokens,
            pattern=pattern,
            tie_break=tie_break,
            num_threads=num_threads,
            errors=errors,
            field=field,
            column=column,
            max_memory=max_memory,
            min_count=min_count,
            engine=engine,
            progress=progress,
        )
        return cls._of(trained)

    @classmethod
    def train_from_iterable(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        special_tokens: Sequence[str] = (),
        *,
        pattern: str = "gpt2",
        tie_break: str = "lexicographic",
        num_threads: int | None = None,
        errors: str = "strict",
        progress: bool | ProgressCallback | None = None,
    ) -> Self:
        """Trains on strings, each a document of its own. A few megabytes of them are held at a time.

        Args:
            texts: The strings.
            vocab_size: As for `train`.
            special_tokens: As for `train`.
            pattern: As for `train`.
            tie_break: As for `train`.
            num_threads: As for `train`.
            errors: What becomes of lone surrogates: "strict" raises, "replace" puts U+FFFD, "ignore" drops them.
            progress: As for `train`.
        """
        engine = training.train_texts(
            texts,
            vocab_size,
            special_tokens,
            pattern=pattern,
            tie_break=tie_break,
            num_threads=num_threads,
            errors=errors,
            progress=progress,
        )
        return cls._of(engine)

    @classmethod
    def train_from_counts(
        cls,
        counts: WordCounts,
        vocab_size: int,
        *,
        tie_break: str = "lexicographic",
        progress: bool | ProgressCallback | None = None,
    ) -> Self:
        """Trains on word counts, under their pattern and special tokens.

        Args:
            counts: The counts.
            vocab_size: As for `train`.
            tie_break: As for `train`.
            progress: As for `train`.
        """
        return cls._of(training.train_counts(counts, vocab_size, tie_break=tie_break, progress=progress))

    @classmethod
    def from_files(
        cls,
        vocab_path: str | os.PathLike[str],
        merges_path: str | os.PathLike[str],
        special_tokens: Sequence[str] | None = None,
        *,
        pattern: str = "gpt2",
    ) -> Self:
        """Reads GPT-2's two files, vocab.json and merges.txt.

        Args:
            vocab_path: The vocabulary.
            merges_path: The merges.
            special_tokens: Those that the vocabulary lacks are appended to it. The files do not say which of their
                tokens are special.
            pattern: The pre-tokenization: gpt2, cl100k, o200k, qwen or a regex.
        """
        return cls._of(_core.Engine.from_files(user_path(vocab_path), user_path(merges_path), special_tokens, pattern))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        pattern: str | None = None,
        special_tokens: Sequence[str] | None = None,
    ) -> Self:
        """Reads a tokenizer: tokenizer.json, a .tiktoken file, or a folder with vocab.json and merges.txt.

        The format is recognised by content.

        Args:
            path: The file or folder, or the URL of a file.
            pattern: The pre-tokenization of a file that carries none. Published .tiktoken files are known by their
                hash; any other needs it.
            special_tokens: The special tokens of a file that carries none.

        Raises:
            OSError: The file cannot be read.
            VocabularyError: It is broken, truncated, or needs ``pattern``.
            UnsupportedError: It asks for something that is not done here, such as another model or normalizer.
        """
        with storage.readable(user_path(path)) as file:
            return cls._of(_core.Engine.load(file, pattern, special_tokens))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the tokenizer, whole or not at all.

        Args:
            path: A name ending in ``.json`` for tokenizer.json, in ``.tiktoken`` for ranks, or a folder for vocab.json
                and merges.txt. A URL is that of a file.

        Raises:
            OSError: The file cannot be written.
            UnsupportedError: The format cannot hold this tokenizer.
        """
        with storage.writable(user_path(path)) as file:
            self._engine.save(file)

    def truncate(self, vocab_size: int) -> Self:
        """Returns the tokenizer that training to a smaller vocabulary would have given.

        Args:
            vocab_size: The 256 bytes, the merges and the special tokens together.
        """
        return self._of(self._engine.truncate(vocab_size))

    def encode_files(
        self,
        inputs: Inputs,
        output: str | os.PathLike[str],
        *,
        end_of_text: str | SupportsIndex | None = None,
        allowed_special: str | Collection[str] | None = None,
        errors: str = "strict",
        field: str = "text",
        column: str = "text",
        dtype: str | None = None,
        num_threads: int | None = None,
        engine: Engine | None = None,
        progress: bool | ProgressCallback | None = None,
    ) -> EncodeReport:
        """Encodes files to one array of ids on disk, or to a folder of them, in parallel and in bounded memory.

        Args:
            inputs: As for `train`.
            output: The ``.npy`` file, written whole or not at all; ``np.load(output, mmap_mode="r")`` opens it. Any
                other name, but for that of a ``.bin`` file, is a folder's: one ``.npy`` file is written there for
                some 256 MB of text, and ``manifest.json`` when all are there. What an interrupted call had finished is
                not done again. `bloomery.data.open_tokens` reads it as one array.
            end_of_text: A special token, or an id, that is written after every document. The documents of a text file
                end at special tokens, which then already close them; rows of JSON lines and Parquet are documents.
            allowed_special: Which special tokens are recognised. None recognises all in text files and none in rows,
                so that web text cannot smuggle control tokens in.
            errors: As for `train`.
            field: As for `train`.
            column: As for `train`.
            dtype: "uint16" or "uint32"; None takes uint16 where the vocabulary fits.
            num_threads: Threads to use; None for every core.
            engine: What does the work; None for this process. `bloomery.cluster.Ray` encodes on a cluster, to a folder.
            progress: As for `train`.

        Raises:
            FileExistsError: The folder holds something else, or what other inputs, options or tokenizers gave.
            OSError: A file cannot be read or written; a disk that is full leaves nothing behind.
            InvalidUtf8Error: A text is not UTF-8.
            InputError: A file is broken, or lacks the field or column.
        """
        start = time.perf_counter()
        if not (allowed_special is None or isinstance(allowed_special, str)):
            allowed_special = tuple(sorted(allowed_special))
        if not (end_of_text is None or isinstance(end_of_text, str)):
            end_of_text = operator.index(end_of_text)
        encoding = Encoding(self, end_of_text, allowed_special, errors, field, column, dtype, num_threads)
        with reporting(progress) as callback:
            encoded = (engine or Local()).encode(encoding, expand(inputs), user_path(output), callback)
        return EncodeReport(*encoded, time.perf_counter() - start)

    @property
    def vocab(self) -> dict[int, bytes]:
        """The tokens by id, added tokens included; a new dict each time."""
        return self._engine.vocab

    @property
    def merges(self) -> list[tuple[bytes, bytes]]:
        """The merges in order of rank; a new list each time."""
        return self._engine.merges

    @property
    def added_tokens(self) -> list[AddedToken]:
        """The added tokens, special or not, in order of id."""
        return [AddedToken(*token) for token in self._engine.added_tokens]

    @property
    def special_tokens(self) -> list[str]:
        """The special tokens in order of id."""
        return [token.content for token in self.added_tokens if token.special]

    @property
    def pattern(self) -> str:
        """The pattern's name (gpt2, cl100k, o200k, qwen), or its regex."""
        return self._engine.pattern

    @property
    def normalizer(self) -> str | None:
        """``"nfc"`` or None: what is done to text before anything else."""
        return self._engine.normalizer

    @property
    def eot_id(self) -> int | None:
        """The id of ``<|endoftext|>``, or None."""
        return self.token_to_id(_END_OF_TEXT) if _END_OF_TEXT in self.special_tokens else None

    @classmethod
    def _of(cls, engine: _core.Engine) -> Self:
        return _core.Tokenizer.__new__(cls, engine)

    def __eq__(self, other: object) -> bool:
        return self._engine == other._engine if isinstance(other, Tokenizer) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._engine)

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self._engine), vars(self) or None

    def __repr__(self) -> str:
        special_tokens, pattern = self.special_tokens, self.pattern
        shown = ", ".join(map(repr, special_tokens[:_SHOWN_TOKENS]))
        if len(special_tokens) > _SHOWN_TOKENS:
            shown += f", ... {len(special_tokens)} in all"
        if len(pattern) > _SHOWN_CHARACTERS:
            pattern = pattern[:_SHOWN_CHARACTERS] + "..."
        return (
            f"{type(self).__name__}(vocab_size={self.vocab_size}, pattern={pattern!r}, special_tokens=[{shown}], "
            f"merges={'by rank' if self._engine.merge_count is None else self._engine.merge_count})"
        )


def _restore(cls: type[Tokenizer], engine: _core.Engine) -> Tokenizer:
    return _core.Tokenizer.__new__(cls, engine)
