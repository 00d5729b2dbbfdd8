"""Time and memory of calls in this process."""

import contextlib
import resource
import sys
import timeit
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

_STATUS = Path("/proc/self/status")
# Warm calls are repeated until this many have run or this long has passed, but at least once.
_MOST_CALLS = 7
_LONG_ENOUGH_SECONDS = 4.0
# One batch of short calls takes at least this long, so that the clock does not show.
_BATCH_SECONDS = 0.05
_BATCHES = 9


@dataclass(frozen=True)
class Sample:
    """One call."""

    seconds: float
    user: float
    """Processor seconds of all threads, in user mode and in the kernel."""
    system: float

    def as_json(self) -> dict[str, float]:
        return asdict(self)


def timed(call: Callable[[], Any]) -> tuple[Any, Sample]:
    """Runs a call; what it returned stays alive until the clock has stopped."""
    before, start = resource.getrusage(resource.RUSAGE_SELF), perf_counter()
    result = call()
    seconds, after = perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    return result, Sample(seconds, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime)


def repeated(call: Callable[[], Any]) -> list[Sample]:
    """Runs a call several times; each result is gone before the next call."""
    samples: list[Sample] = []
    while not samples or (
        len(samples) < _MOST_CALLS and sum(sample.seconds for sample in samples) < _LONG_ENOUGH_SECONDS
    ):
        samples.append(timed(call)[1])
    return samples


def per_call(call: Callable[[], Any]) -> list[Sample]:
    """The time of one short call, several times over, each an average of many calls."""
    timer = timeit.Timer(call)
    number = 1
    while (seconds := timer.timeit(number)) < _BATCH_SECONDS:
        number = max(2 * number, int(number * 1.2 * _BATCH_SECONDS / max(seconds, 1e-9)))

    def batch() -> Sample:
        _, sample = timed(lambda: timer.timeit(number))
        return Sample(sample.seconds / number, sample.user / number, sample.system / number)

    return [batch() for _ in range(_BATCHES)]


def forget_peak() -> None:
    """Makes `peak_bytes` begin anew, where the system can."""
    # Elsewhere the peak is that of the whole process, and the memory before the call says how much to discount.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_bytes() -> int:
    """The most memory that was resident, since `forget_peak` where the system can.

    On Linux it is `VmHWM`: `ru_maxrss` there begins with the peak of the parent process.
    """
    if _STATUS.exists():
        return _status("VmHWM")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_bytes() -> int:
    """The memory that is resident now; the peak where the system does not say."""
    return _status("VmRSS") if _STATUS.exists() else peak_bytes()


def _status(name: str) -> int:
    line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith(name + ":"))
    return int(line.split()[1]) * 1024
