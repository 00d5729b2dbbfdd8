"""The calls that people make most, each by itself: `pytest benches/python`."""

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bloomery import Tokenizer

_WORDS = "The quick brown fox didn't jump over 13 lazy dogs; it slept, 梦见 naïve cafés — and <html> tags.\n"
_HUNDRED = "A hundred bytes of ordinary English text, as somebody might type it into a prompt: hello, and bye!!!"
_DOCUMENTS = [f"{number}: {_WORDS * (number % 40 + 1)}" for number in range(1000)]
_TEXT = "<|endoftext|>".join(_DOCUMENTS)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train_from_iterable([_WORDS * 9, _HUNDRED * 9], 380, ["<|endoftext|>"])


def test_encode_100_bytes(benchmark: BenchmarkFixture, tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(benchmark(tokenizer.encode, _HUNDRED)) == _HUNDRED


def test_encode_array_100_bytes(benchmark: BenchmarkFixture, tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(benchmark(tokenizer.encode_array, _HUNDRED)) == _HUNDRED


def test_encode_array(benchmark: BenchmarkFixture, tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(benchmark(tokenizer.encode_array, _TEXT)) == _TEXT


def test_encode_batch(benchmark: BenchmarkFixture, tokenizer: Tokenizer) -> None:
    _, offsets = benchmark(tokenizer.encode_batch, _DOCUMENTS)
    assert len(offsets) == len(_DOCUMENTS) + 1


def test_decode_list(benchmark: BenchmarkFixture, tokenizer: Tokenizer) -> None:
    assert benchmark(tokenizer.decode, tokenizer.encode(_TEXT)) == _TEXT


def test_decode_array(benchmark: BenchmarkFixture, tokenizer: Tokenizer) -> None:
    assert benchmark(tokenizer.decode, tokenizer.encode_array(_TEXT)) == _TEXT


def test_decode_100_bytes(benchmark: BenchmarkFixture, tokenizer: Tokenizer) -> None:
    assert benchmark(tokenizer.decode, tokenizer.encode(_HUNDRED)) == _HUNDRED


def test_load(benchmark: BenchmarkFixture, tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    assert benchmark(Tokenizer.load, tmp_path / "tokenizer.json") == tokenizer
