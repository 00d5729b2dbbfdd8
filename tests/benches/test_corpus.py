"""The corpus generator: the same bytes always, a larger corpus begins with the smaller, a tail that grows."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from bloomery import WordCounts

BENCHES = Path(__file__).parents[2] / "benches" / "python"
END = b"<|endoftext|>"


def generate(path: Path, size: str, *options: str) -> bytes:
    command = [sys.executable, BENCHES / "corpus.py", path, "--bytes", size, *options]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return path.read_bytes()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    generate(path, "8MB", "--processes", "2")
    return path


def test_the_bytes_are_the_same_everywhere(corpus: Path) -> None:
    digest = hashlib.sha256(corpus.read_bytes()).hexdigest()
    assert digest == "60c4ef38c8f989ea26076ae903d1b17342b0b6e4bc2e005ecdad42481d548f87"


def test_a_larger_corpus_begins_with_the_smaller_one(corpus: Path, tmp_path: Path) -> None:
    small = generate(tmp_path / "small.txt", "3.3MB", "--processes", "1")
    assert 3_250_000 < len(small) <= 3_300_000
    assert small.endswith(END)
    assert corpus.read_bytes().startswith(small)


def test_another_seed_is_another_text_of_valid_characters(corpus: Path, tmp_path: Path) -> None:
    other = generate(tmp_path / "other.txt", "300kB", "--seed", "1").decode()
    assert not corpus.read_bytes().startswith(other[:1000].encode())
    assert {"\n", "ü", "の", "—"} <= set(other)


def test_distinct_words_grow_as_in_web_text(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "beginning.txt").write_bytes(corpus.read_bytes()[:2_000_000])
    small = len(WordCounts.from_files(tmp_path / "beginning.txt", special_tokens=[END.decode()]))
    counts = WordCounts.from_files(corpus, special_tokens=[END.decode()])
    # English Wikipedia, stories and web pages: 38 thousand in 2 MB and 86 thousand in 8 MB, half of them once only.
    assert 35_000 < small < 48_000
    assert 80_000 < len(counts) < 100_000
    assert 0.4 < sum(count == 1 for _, count in counts.items()) / len(counts) < 0.6


def test_the_scaling_study_runs(tmp_path: Path) -> None:
    options = ("--sizes", "200kB", "400kB", "--vocab-size", "300", "--threads", "1", "--folder", tmp_path)
    command = [sys.executable, BENCHES / "scale.py", *options]
    printed = subprocess.run(command, check=True, capture_output=True, timeout=300).stdout.decode()
    assert printed.count(" MB/s; peak ") == 6
    assert list(tmp_path.iterdir()) == []
