"""The Rust core of bloomery; use the names that the package `bloomery` exports."""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Literal, Self, SupportsIndex, TypeAlias, final, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

__all__ = ["Cutter", "EncodeIterator", "Engine", "Progress", "StreamDecoder", "Tokenizer", "WordCounts", "__version__"]

__version__: str

_Ids: TypeAlias = Iterable[SupportsIndex] | NDArray[np.integer[Any]]
_IdArray: TypeAlias = NDArray[np.uint16] | NDArray[np.uint32]
_Callback: TypeAlias = Callable[[Progress], object]
_Path: TypeAlias = str | os.PathLike[str]
# Or a part of a file: its name, where its bytes are, the offset of the first of those in the whole, start and end of
# the part in the whole, and the size of the whole.
_Input: TypeAlias = _Path | tuple[_Path, _Path, int, int, int, int]
_Part: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.uint64]]
_AddedToken: TypeAlias = tuple[str, int, bool, bool, bool, bool, bool]

@final
class Progress:
    """Counters of a long call, as a progress callback receives them."""

    def __new__(
        cls,
        *,
        bytes_total: int = 0,
        bytes_done: int = 0,
        merges_total: int = 0,
        merges_done: int = 0,
        tokens: int = 0,
    ) -> Self: ...
    @property
    def bytes_total(self) -> int:
        """Bytes on disk that will be read; 0 when unknown."""

    @property
    def bytes_done(self) -> int:
        """Bytes on disk read so far."""

    @property
    def merges_total(self) -> int:
        """Merges that will be learnt; 0 outside training."""

    @property
    def merges_done(self) -> int:
        """Merges learnt so far."""

    @property
    def tokens(self) -> int:
        """Token ids written so far."""

@final
class Cutter:
    """Finds places in a text where it can be cut, so that the parts give the pre-tokens, and the ids, of the whole."""

    def __new__(cls, pattern: str, special_tokens: Iterable[str]) -> Self: ...
    @property
    def cuts(self) -> bool:
        """Whether there are such places: False where a text must stay whole."""

    def part_at(self, window: bytes, is_start: bool) -> int | None:
        """The last good place in a window of the text, behind a special token where there is one, or None."""

@final
class WordCounts:
    """Counts of pre-tokens, with the pattern and the special tokens that they were made under. Immutable."""

    def __new__(cls, words: dict[bytes, int] | dict[str, int], pattern: str, special_tokens: Iterable[str]) -> Self: ...
    @staticmethod
    def from_files(
        inputs: Sequence[_Input],
        *,
        pattern: str,
        special_tokens: Iterable[str],
        errors: str,
        field: str,
        column: str,
        num_threads: int | None,
        max_memory: int | None,
        progress: _Callback | None,
    ) -> WordCounts: ...
    @staticmethod
    def from_iterable(
        texts: Iterable[str],
        *,
        pattern: str,
        special_tokens: Iterable[str],
        errors: str,
        num_threads: int | None,
    ) -> WordCounts: ...
    @staticmethod
    def load(path: _Path) -> WordCounts: ...
    def save(self, path: _Path) -> None: ...
    @staticmethod
    def from_parts(parts: Iterable[_Part], pattern: str, special_tokens: Iterable[str]) -> WordCounts: ...
    def parts(self, parts: int) -> list[_Part]: ...
    def at_least(self, count: int) -> tuple[WordCounts, int, int]: ...
    def merge(self, other: WordCounts) -> WordCounts: ...
    def items(self) -> list[tuple[bytes, int]]: ...
    @property
    def pattern(self) -> str: ...
    @property
    def special_tokens(self) -> list[str]: ...
    @property
    def total(self) -> int: ...
    def training_memory(self, vocab_size: int) -> int: ...
    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...

@final
class Engine:
    """The immutable core of a tokenizer."""

    def __new__(
        cls,
        vocab: Sequence[tuple[bytes, int]],
        merges: Sequence[tuple[bytes, bytes]] | None,
        added_tokens: Sequence[_AddedToken],
        pattern: str,
        normalizer: str | None,
        whole_words: bool,
    ) -> Self: ...
    @staticmethod
    def from_vocab(
        vocab: dict[int, bytes], merges: Iterable[tuple[bytes, bytes]], special_tokens: Iterable[str], pattern: str
    ) -> Engine: ...
    @staticmethod
    def load(path: _Path, pattern: str | None = None, special_tokens: Iterable[str] | None = None) -> Engine: ...
    @staticmethod
    def from_files(
        vocab_path: _Path, merges_path: _Path, special_tokens: Iterable[str] | None, pattern: str
    ) -> Engine: ...
    @staticmethod
    def train(counts: WordCounts, vocab_size: int, tie_break: str, progress: _Callback | None = None) -> Engine: ...
    def save(self, path: _Path) -> None: ...
    def truncate(self, vocab_size: int) -> Engine: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def vocab(self) -> dict[int, bytes]: ...
    @property
    def merges(self) -> list[tuple[bytes, bytes]]: ...
    @property
    def merge_count(self) -> int | None: ...
    @property
    def added_tokens(self) -> list[_AddedToken]: ...
    @property
    def pattern(self) -> str: ...
    @property
    def normalizer(self) -> str | None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __deepcopy__(self, _memo: object) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@disjoint_base
class Tokenizer:
    """The part of a tokenizer that encodes and decodes."""

    def __new__(cls, engine: Engine, /) -> Self: ...
    @property
    def _engine(self) -> Engine: ...
    @property
    def vocab_size(self) -> int:
        """Highest id + 1."""

    def encode(
        self,
        text: str | bytes,
        allowed_special: str | Collection[str] = "all",
        *,
        errors: str = "strict",
        num_threads: int | None = None,
    ) -> list[int]:
        """Encode text to a list of token ids."""

    def encode_ordinary(
        self, text: str | bytes, *, errors: str = "strict", num_threads: int | None = None
    ) -> list[int]:
        """Encode text without recognising any special token."""

    def encode_array(
        self,
        text: str | bytes,
        allowed_special: str | Collection[str] = "all",
        *,
        dtype: str | None = None,
        errors: str = "strict",
        num_threads: int | None = None,
    ) -> _IdArray:
        """Encode text to an array of shape (tokens,): of uint16 where the vocabulary fits, else of uint32."""

    def count(
        self,
        text: str | bytes,
        allowed_special: str | Collection[str] = "all",
        *,
        errors: str = "strict",
        num_threads: int | None = None,
    ) -> int:
        """Count the tokens of a text."""

    def encode_with_offsets(
        self, text: str, allowed_special: str | Collection[str] = "all", *, errors: str = "strict"
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Encode text and say which characters of it each token spans."""

    @overload
    def encode_batch(
        self,
        texts: Iterable[str | bytes],
        *,
        as_lists: Literal[False] = False,
        allowed_special: str | Collection[str] = "all",
        dtype: str | None = None,
        errors: str = "strict",
        num_threads: int | None = None,
    ) -> tuple[_IdArray, NDArray[np.int64]]: ...
    @overload
    def encode_batch(
        self,
        texts: Iterable[str | bytes],
        *,
        as_lists: Literal[True],
        allowed_special: str | Collection[str] = "all",
        dtype: str | None = None,
        errors: str = "strict",
        num_threads: int | None = None,
    ) -> list[list[int]]:
        """Encode many texts at once, on several threads."""

    def encode_iterable(
        self, strings: Iterable[str], allowed_special: str | Collection[str] = "all", *, errors: str = "strict"
    ) -> EncodeIterator:
        """Encode an iterable of strings lazily, as if they were joined."""

    def _encode_files(
        self,
        inputs: Sequence[_Input],
        output: _Path,
        *,
        allowed_special: str | Collection[str] | None,
        end_of_text: str | SupportsIndex | None,
        dtype: str | None,
        errors: str,
        field: str,
        column: str,
        num_threads: int | None,
        progress: _Callback | None,
    ) -> tuple[int, int, int, str]: ...
    def _cutter(self, allowed_special: str | Collection[str]) -> Cutter: ...
    def decode(self, ids: _Ids, errors: str = "replace") -> str:
        """Decode token ids to text."""

    def decode_bytes(self, ids: _Ids) -> bytes:
        """Decode token ids to bytes."""

    def decode_batch(
        self, ids: Iterable[_Ids] | _Ids, offsets: Iterable[SupportsIndex] | None = None, *, errors: str = "replace"
    ) -> list[str]:
        """Decode many rows of ids."""

    def stream_decoder(self) -> StreamDecoder:
        """Return a decoder that takes ids one at a time and holds back an incomplete character."""

    def token_to_id(self, token: bytes | str) -> int | None:
        """Return the id of a token, or None."""

    def id_to_token(self, token_id: SupportsIndex) -> bytes:
        """Return the bytes of a token."""

@final
class EncodeIterator:
    """An iterator over the ids of an iterable of strings."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> int: ...

@final
class StreamDecoder:
    """Decodes ids one at a time to text; an incomplete character is held back until its last byte has come."""

    def push(self, token_id: SupportsIndex) -> str:
        """Take one id and return the text that it completes, often empty."""

    def feed(self, ids: _Ids) -> str:
        """Take several ids and return the text that they complete."""

    def finish(self) -> str:
        """Return what was held back, U+FFFD for an incomplete character, and start anew."""
