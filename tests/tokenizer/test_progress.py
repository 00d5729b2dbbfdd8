"""Progress: the line on a terminal, silence elsewhere, and the caller's own callback."""

import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from bloomery import Tokenizer, WordCounts
from bloomery.tokenizer.progress import ProgressLine, describe


@dataclass
class Counters:
    bytes_total: int = 0
    bytes_done: int = 0
    merges_total: int = 0
    merges_done: int = 0
    tokens: int = 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("counters", "seconds", "text"),
    (
        (Counters(), 0.0, "reading 0.0 MB"),
        (Counters(bytes_done=5_000_000), 2.0, "reading 5.0 MB, 2.5 MB/s"),
        (
            Counters(bytes_total=200_000_000, bytes_done=50_000_000),
            2.0,
            "reading 50.0 MB of 200.0 MB, 25%, 25.0 MB/s, 0:06 left",
        ),
        (Counters(merges_total=32_000), 1.0, "merging 0 of 32,000"),
        (
            Counters(bytes_total=5, bytes_done=5, merges_total=32_000, merges_done=100),
            60.0,
            "merging 100 of 32,000, 0%, 5:19:00 left",
        ),
        (
            Counters(bytes_total=10_000_000, bytes_done=10_000_000, tokens=2_500_000),
            1.0,
            "encoding 10.0 MB of 10.0 MB, 100%, 10.0 MB/s, 2,500,000 tokens, 0:00 left",
        ),
    ),
)
def test_counters_in_words(counters: Counters, seconds: float, text: str) -> None:
    assert describe(counters, seconds) == text  # type: ignore[arg-type]


def test_the_line_is_drawn_over_itself_at_most_ten_times_a_second() -> None:
    now = 0.0
    stream = io.StringIO()
    line = ProgressLine(stream, lambda: now)
    for step in range(100):
        now = step * 0.05
        line(Counters(bytes_total=100, bytes_done=step))  # type: ignore[arg-type]
    line.close()
    drawn = stream.getvalue().split("\r")
    assert drawn[0] == ""
    assert 30 <= len(drawn) <= 55
    # Wiped at the end, and never longer than what is drawn over it.
    assert drawn[-2].strip() == drawn[-1] == ""
    assert "\n" not in stream.getvalue()


def test_a_new_phase_is_drawn_at_once_and_timed_anew() -> None:
    now = 0.0
    stream = io.StringIO()
    line = ProgressLine(stream, lambda: now)
    line(Counters(bytes_total=100, bytes_done=100))  # type: ignore[arg-type]
    now = 10.0
    line(Counters(merges_total=100))  # type: ignore[arg-type]
    now = 10.01
    line(Counters(merges_total=100, merges_done=10))  # type: ignore[arg-type]
    now = 11.0
    line(Counters(merges_total=100, merges_done=50))  # type: ignore[arg-type]
    assert "merging 0 of 100" in stream.getvalue()
    assert "merging 10 " not in stream.getvalue()
    assert stream.getvalue().rstrip().endswith("merging 50 of 100, 50%, 0:01 left")


def test_a_line_that_was_never_drawn_is_not_wiped() -> None:
    stream = io.StringIO()
    ProgressLine(stream).close()
    assert stream.getvalue() == ""


def test_only_a_terminal_gets_a_line(text_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, progress, drawn in (
        (io.StringIO(), None, False),
        (io.StringIO(), False, False),
        (io.StringIO(), True, True),
        (Terminal(), None, True),
        (Terminal(), False, False),
    ):
        monkeypatch.setattr("sys.stderr", stream)
        Tokenizer.train(text_file, 300, progress=progress)
        assert bool(stream.getvalue()) is drawn, (stream, progress)


def test_a_callback_gets_the_counters(text_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    Tokenizer.train(text_file, 300, progress=seen.append)
    assert seen[0].bytes_total == seen[0].bytes_done == text_file.stat().st_size
    assert (seen[-1].merges_total, seen[-1].merges_done) == (44, 44)
    assert "merges_done=44" in repr(seen[-1])
    assert capsys.readouterr().err == ""


def test_what_a_callback_raises_comes_through(text_file: Path) -> None:
    def fail(counters: object) -> None:
        raise KeyError("callback")

    with pytest.raises(KeyError, match="callback"):
        WordCounts.from_files(text_file, progress=fail)
