"""A command in a process of its own, watched from outside: how long it takes, and its memory at its highest."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from bloomery.errors import ArgumentError

_EVERY_SECONDS = 0.005


@dataclass(frozen=True)
class Watched:
    """What a command printed, and what it took."""

    output: str
    seconds: float
    peak_bytes: int
    """The most memory that it and its children had resident at the same time; threads are part of a process."""


def watch(words: Sequence[str]) -> Watched:
    """Runs `bloomery` with these words.

    Raises:
        ArgumentError: It failed; the message is what it said.
    """
    start = time.perf_counter()
    # Files: a pipe that nobody reads while it is watched would fill, and the command wait for ever.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(  # noqa: S603 - this package's own command
            [sys.executable, "-m", "bloomery.cli", *words], stdout=output, stderr=errors
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            time.sleep(_EVERY_SECONDS)
        seconds = time.perf_counter() - start
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise ArgumentError(errors.read().strip().removeprefix("bloomery: error: "))
        return Watched(output.read(), seconds, peak)


def _resident(pid: int) -> int:
    """Of a process and its descendants, now."""
    total = 0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # it has just ended
    return total
