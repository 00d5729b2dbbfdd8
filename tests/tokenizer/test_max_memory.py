"""Counting within `max_memory`: the same counts, in little memory, and nothing left on the disk."""

import pickle
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from bloomery import Tokenizer, WordCounts, train_bpe
from bloomery.errors import ArgumentError
from bloomery.tokenizer.peak import peak_memory
from bloomery.tokenizer.sizes import byte_size

END = "<|endoftext|>"


@pytest.fixture(scope="module")
def many_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text with more distinct words, short and long, than a megabyte holds."""
    path = tmp_path_factory.mktemp("words") / "words.txt"
    words = (f"{_letters(n * 2654435761 % 100_003)}{'longer' * (n % 5)} " for n in range(150_000))
    path.write_text("".join(words) + END + "the end", encoding="utf-8")
    return path


def _letters(number: int) -> str:
    return chr(97 + number % 26) + (_letters(number // 26) if number >= 26 else "")


@pytest.fixture(scope="module")
def unbounded(many_words: Path) -> WordCounts:
    return WordCounts.from_files(many_words, special_tokens=[END])


@pytest.fixture(scope="module")
def bounded(many_words: Path) -> WordCounts:
    return WordCounts.from_files(many_words, special_tokens=[END], num_threads=3, max_memory="2MB")


def test_merges_are_the_same(many_words: Path) -> None:
    expected = Tokenizer.train(many_words, 300, [END])
    for threads in (1, 2):
        assert Tokenizer.train(many_words, 300, [END], num_threads=threads, max_memory=1_000_000) == expected
    assert train_bpe(many_words, 300, [END], max_memory="1MB")[1] == expected.merges


def test_counts_on_disk_behave_like_others(bounded: WordCounts, unbounded: WordCounts, tmp_path: Path) -> None:
    assert bounded == unbounded
    assert unbounded == bounded
    assert (len(bounded), bounded.total, hash(bounded)) == (len(unbounded), unbounded.total, hash(unbounded))
    assert bounded.items() == unbounded.items()
    assert bounded + bounded == unbounded + bounded == unbounded + unbounded
    assert bounded != bounded + WordCounts({b"one more": 1}, special_tokens=[END])
    assert pickle.loads(pickle.dumps(bounded)) == unbounded
    bounded.save(tmp_path / "counts.parquet")
    assert WordCounts.load(tmp_path / "counts.parquet") == unbounded
    assert Tokenizer.train_from_counts(bounded, 300) == Tokenizer.train_from_counts(unbounded, 300)


def test_what_fits_needs_no_disk(text_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/missing")
    assert WordCounts.from_files(text_file, max_memory="10MB") == WordCounts.from_files(text_file)


@pytest.mark.parametrize(
    ("size", "expected"),
    (
        ("16MB", 16_000_000),
        ("1.5GB", 1_500_000_000),
        ("512MiB", 512 << 20),
        (" 2 kb ", 2000),
        ("300000", 300_000),
        ("1e6", 1_000_000),
        (7, 7),
    ),
)
def test_sizes(size: str | int, expected: int) -> None:
    assert byte_size(size) == expected


@pytest.mark.parametrize("size", ("", "MB", "16 apples", "-1MB", "1.2.3GB", "5iB", "inf"))
def test_what_is_no_size_is_refused(text_file: Path, size: str) -> None:
    with pytest.raises(ArgumentError, match=r"max_memory .* is not a size: write it as 16MB, 1\.5GB, 512MiB"):
        WordCounts.from_files(text_file, max_memory=size)


def test_bounds_that_are_none_are_refused(text_file: Path) -> None:
    for size in (0, -1, "0MB"):
        with pytest.raises(ArgumentError, match="max_memory must be above zero"):
            WordCounts.from_files(text_file, max_memory=size)
    with pytest.raises(ArgumentError, match=r"max_memory is 999999 bytes, but counting needs at least 1000000 \(1MB\)"):
        Tokenizer.train(text_file, 300, max_memory=999_999)
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        WordCounts.from_files(text_file, max_memory=1e9)  # type: ignore[arg-type]


PROGRAM = """
import os, resource, signal, sys, bloomery
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
{prepare}
try:
    counts = bloomery.WordCounts.from_files(
        sys.argv[1], special_tokens=["<|endoftext|>"], max_memory="1MB", progress={progress})
except OSError as error:
    print(error.errno, error.filename, error.strerror, sep="\\n")
"""


@pytest.mark.parametrize(
    ("prepare", "code", "reason"),
    (
        ("resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))", "27", "File too large"),
        ("os.rmdir(os.environ['TMPDIR'])", "2", "No such file or directory"),
    ),
)
def test_a_disk_that_takes_no_more(
    many_words: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_program: Callable,
    prepare: str,
    code: str,
    reason: str,
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    lines = run_program(PROGRAM.format(prepare=prepare, progress=False), many_words).stdout.splitlines()
    advice = "make room in it, name another with TMPDIR, or raise max_memory"
    assert lines[:2] == [code, str(folder)]
    assert lines[2].startswith(f"{reason}; word counts that outgrow max_memory are kept in this folder: {advice}")
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_kill_leaves_nothing(
    many_words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_program: Callable
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    kill = "lambda counters: counters.bytes_done and os.kill(os.getpid(), signal.SIGKILL)"
    run_program(PROGRAM.format(prepare="", progress=kill), many_words, returncode=-signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak since the program began is read from /proc"
)
def test_the_peak_stays_near_the_bound(tmp_path: Path, run_program: Callable) -> None:
    path = tmp_path / "text.txt"
    words = [f"{_letters(n * 7919 % 1_000_003)}{n % 97} " for n in range(300_000)]
    path.write_text("".join(words) * 3, encoding="utf-8")
    program = """
import sys, bloomery
from bloomery.tokenizer.peak import peak_memory

before = peak_memory()
bloomery.WordCounts.from_files(sys.argv[1], num_threads=2, max_memory=None if sys.argv[2] == "none" else sys.argv[2])
print(peak_memory() - before)
"""

    def growth(bound: str) -> int:
        return int(run_program(program, path, bound).stdout)

    assert growth("6MB") < 6e6 * 1.5 + 3e6
    assert growth("none") > 20e6, "the bound above is one"
    assert (peak_memory() or 0) > 10e6
