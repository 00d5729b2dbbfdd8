"""A progress line on standard error, or the caller's own callback.

It is written out here rather than taken from tqdm, because numpy alone is needed to tokenize.
"""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TextIO

from bloomery._core import Progress

ProgressCallback = Callable[[Progress], object]
"""Is called about twenty times a second with the counters so far; what it raises stops the work."""

_REDRAW_SECONDS = 0.1


@contextmanager
def reporting(progress: bool | ProgressCallback | None) -> Generator[ProgressCallback | None]:  # noqa: FBT001
    """Makes the callback for a long call.

    Args:
        progress: True for a line on standard error, False for none, None for one when standard error is a terminal, or
            a callback.
    """
    if callable(progress):
        yield progress
    elif progress or (progress is None and sys.stderr.isatty()):
        line = ProgressLine(sys.stderr)
        try:
            yield line
        finally:
            line.close()
    else:
        yield None


class Tally:
    """The counters of work that is done in pieces."""

    def __init__(self, progress: ProgressCallback | None, bytes_total: int) -> None:
        self._progress = progress
        self._bytes_total = bytes_total
        self._bytes = self._tokens = 0

    def add(self, size: int, tokens: int = 0) -> None:
        """Counts a piece that is done."""
        self._bytes += size
        self._tokens += tokens
        self.report()

    def report(self, size: int = 0, tokens: int = 0) -> None:
        """Tells the callback what was done, with as much of pieces that are not; what it raises stops the work."""
        if self._progress is not None:
            done = min(self._bytes + size, self._bytes_total)
            self._progress(Progress(bytes_total=self._bytes_total, bytes_done=done, tokens=self._tokens + tokens))

    def within(self, counters: Progress) -> None:
        """A callback for the work on a piece."""
        self.report(counters.bytes_done, counters.tokens)


class ProgressLine:
    """One line, drawn over itself: what is being done, how far it is, and the time left."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._phase = ""
        self._phase_start = clock()
        self._drawn = float("-inf")
        self._width = 0

    def __call__(self, counters: Progress) -> None:
        """Draws the counters, unless it has just done so."""
        now = self._clock()
        phase = _phase(counters)
        if phase != self._phase:
            self._phase, self._phase_start = phase, now
        elif now - self._drawn < _REDRAW_SECONDS:
            return
        self._drawn = now
        self._draw(describe(counters, now - self._phase_start))

    def close(self) -> None:
        """Wipes the line."""
        if self._width:
            self._draw("")
            self._stream.write("\r")
            self._stream.flush()

    def _draw(self, text: str) -> None:
        self._stream.write("\r" + text.ljust(self._width))
        self._stream.flush()
        self._width = len(text)


def describe(counters: Progress, seconds: float) -> str:
    """The counters in words, ``seconds`` after the present phase began."""
    phase = _phase(counters)
    if phase == "merging":
        done, total = counters.merges_done, counters.merges_total
        parts = [f"{phase} {done:,} of {total:,}"]
    else:
        done, total = counters.bytes_done, counters.bytes_total
        parts = [f"{phase} {_megabytes(done)} MB" + (f" of {_megabytes(total)} MB" if total else "")]
        if seconds > 0:
            parts.append(f"{_megabytes(done / seconds)} MB/s")
        if counters.tokens:
            parts.append(f"{counters.tokens:,} tokens")
    if 0 < done <= total:
        parts.insert(1, f"{done / total:.0%}")
        parts.append(f"{_clock_time(seconds * (total - done) / done)} left")
    return ", ".join(parts)


def _phase(counters: Progress) -> str:
    if counters.merges_total:
        return "merging"
    return "encoding" if counters.tokens else "reading"


def _megabytes(count: float) -> str:
    return f"{count / 1e6:,.1f}"


def _clock_time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
