"""Word counts as values: counted, given, merged, saved, trained on."""

import pickle
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bloomery import Tokenizer, WordCounts
from bloomery.errors import (
    CountOverflowError,
    InsufficientMemoryError,
    LoneSurrogateError,
    VocabSizeError,
    WordCountsMismatchError,
)
from bloomery.tokenizer import reference

END = "<|endoftext|>"


@pytest.fixture
def counts(prose: str) -> WordCounts:
    return WordCounts.from_iterable([prose + END, prose], special_tokens=[END])


def test_counts_are_those_of_the_definition(counts: WordCounts, prose: str, text_file: Path) -> None:
    expected = reference.count_words([prose + END, prose], [END])
    assert dict(counts.items()) == expected
    assert [word for word, _ in counts.items()] == sorted(expected)
    assert len(counts) == len(expected)
    assert counts.total == expected.total()
    assert (counts.pattern, counts.special_tokens) == ("gpt2", [END])
    assert WordCounts.from_files(text_file, special_tokens=[END], num_threads=2).total == 3 * expected.total() // 2


def test_given_counts() -> None:
    given = WordCounts({"é": 2, "x": 0}, pattern="cl100k", special_tokens=[END])
    assert given.items() == [("é".encode(), 2)]
    assert given == WordCounts({b"\xc3\xa9": 2}, pattern="cl100k", special_tokens=(END,))
    assert len(WordCounts()) == WordCounts().total == 0


def test_merging(counts: WordCounts) -> None:
    more = WordCounts({b"it": 5, b"\xff": 1}, special_tokens=[END])
    both = counts + more
    assert both == counts.merge(more) == more + counts
    assert dict(both.items()) == Counter(dict(counts.items())) + Counter(dict(more.items()))
    assert counts.total + more.total == both.total
    assert len(more) == 2


def test_counts_made_under_other_rules_are_refused(counts: WordCounts) -> None:
    with pytest.raises(WordCountsMismatchError, match=r"word counts differ in pattern: .*gpt2.* and .*o200k") as caught:
        _ = counts + WordCounts(pattern="o200k", special_tokens=[END])
    assert (caught.value.what, isinstance(caught.value, ValueError)) == ("pattern", True)
    with pytest.raises(WordCountsMismatchError, match=r"differ in special tokens: .*endoftext"):
        counts.merge(WordCounts())
    with pytest.raises(TypeError):
        _ = counts + 1  # type: ignore[operator]


def test_equality(counts: WordCounts) -> None:
    again = WordCounts(dict(counts.items()), special_tokens=[END])
    assert again == counts
    assert hash(again) == hash(counts)
    assert counts != WordCounts(dict(counts.items()))
    assert counts != dict(counts.items())
    assert counts != counts + counts
    assert repr(WordCounts({b"a": 1000})) == "WordCounts(1 words, 1,000 occurrences, pattern='gpt2', special_tokens=[])"


def test_saving_loading_and_pickling(counts: WordCounts, tmp_path: Path) -> None:
    counts.save(tmp_path / "counts.parquet")
    assert WordCounts.load(tmp_path / "counts.parquet") == counts
    assert pickle.loads(pickle.dumps(counts)) == counts
    table = pq.read_table(tmp_path / "counts.parquet")
    assert dict(zip(table["word"].to_pylist(), table["count"].to_pylist(), strict=True)) == dict(counts.items())


def test_loading_what_is_not_counts(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        WordCounts.load(tmp_path / "missing.parquet")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ValueError, match=r"broken\.parquet"):
        WordCounts.load(broken)


def test_pairs_that_occur_more_often_than_32_bits_hold() -> None:
    counts = {b"ab": 2**40, b"bc": 2**40 + 1, b"xab": 2**32, b"cd": 2**32 + 2}
    tokenizer = Tokenizer.train_from_counts(WordCounts(counts), 259)
    assert tokenizer.merges == [(b"a", b"b"), (b"b", b"c"), (b"c", b"d")]
    assert tokenizer.merges == reference.train_from_counts(counts, 259)[1]


def test_counts_beyond_64_bits_are_refused() -> None:
    with pytest.raises(CountOverflowError, match="exceeds 64 bits"):
        _ = WordCounts({b"ab": 2**64 - 1}) + WordCounts({b"ab": 1})
    for bad in (-1, 2**64):
        with pytest.raises(ValueError, match=rf"the count of b'ab' must be in 0\.\.2\*\*64, not {bad}"):
            WordCounts({b"ab": bad})
    assert WordCounts({b"ab": 2**64 - 1, b"c": 2**64 - 1}).total == 2 * (2**64 - 1)


def test_the_memory_of_training_is_known_beforehand() -> None:
    counts = WordCounts({b"word": 1, b"words": 2})
    assert 0 < counts.training_memory(256) <= counts.training_memory(1000) < 1 << 20
    with pytest.raises(VocabSizeError, match="vocab_size 255 is too small"):
        counts.training_memory(255)
    assert issubclass(InsufficientMemoryError, MemoryError)


def test_words_and_texts_that_are_none() -> None:
    with pytest.raises(TypeError, match="text must be str or bytes, not int"):
        WordCounts({5: 1})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="'str' object cannot be interpreted as an integer"):
        WordCounts({b"a": "1"})  # type: ignore[dict-item]
    with pytest.raises(LoneSurrogateError, match="at character 1 of string 1"):
        WordCounts.from_iterable(["a", "a\ud800"])
    assert WordCounts.from_iterable(["\ud800"], errors="replace").items() == [("\ufffd".encode(), 1)]
    assert WordCounts.from_iterable(["\ud800a"], errors="ignore").items() == [(b"a", 1)]
