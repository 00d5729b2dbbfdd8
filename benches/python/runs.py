"""Measurements in fresh processes, in turns."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs import JOBS, Task

_WORKER = Path(__file__).with_name("worker.py")
_POLL_SECONDS = 0.02
# Reasons that several peers share.
NO_CALL = "has no such call"
NOT_INSTALLED = "not installed"


@dataclass
class Record:
    """All runs of one peer at one job."""

    task: Task
    call: str
    """What was called, as the adapter's docstring has it."""
    samples: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    """From "cold" and "warm" to samples."""
    memory: list[dict[str, int]] = field(default_factory=list)
    rounds: int = 0
    units: int = 0
    unable: str | None = None
    agrees: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The record without the paths of this machine."""
        shown = {name: getattr(self.task, name) for name in ("job", "peer", "threads")}
        unit = JOBS[self.task.job].unit
        rest = {name: value for name, value in vars(self).items() if name != "task"}
        return shown | {"unit": unit, "text": Path(self.task.text).name} | rest


def environment(threads: int) -> dict[str, str]:
    """The environment of a worker that may use `threads` threads."""
    limits = dict.fromkeys(("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return os.environ | limits | {"TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}


def run(task: Task, timeout: float) -> dict[str, Any]:
    """Runs one task in a process of its own and returns what the worker printed, with the peak of its anonymous
    memory during the first call, as seen every 20 ms.
    """
    command = [sys.executable, str(_WORKER), task.to_json()]
    with subprocess.Popen(
        command, env=environment(task.threads), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        anonymous: list[tuple[float, int]] = []
        start = time.monotonic()
        try:
            while process.poll() is None:
                anonymous.append((time.monotonic(), _anonymous_bytes(process.pid)))
                if time.monotonic() - start > timeout:
                    return {"unable": f"took more than {timeout:.0f} s"}
                time.sleep(_POLL_SECONDS)
        finally:
            process.kill()
        output, errors = process.communicate()
    if process.returncode:
        last = (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        return {"unable": f"failed: {last[:200]}"}
    outcome = json.loads(output.splitlines()[-1])
    if "call" in outcome:
        # The clock is the system's, so the worker's times can be compared with this process's.
        began, ended = outcome.pop("call")
        outcome["anonymous_bytes"] = max((size for at, size in anonymous if began <= at <= ended), default=0)
    return outcome


def _anonymous_bytes(pid: int) -> int:
    """Memory of a process that no file stands behind; 0 where the system does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:")), 0)


def in_turns(
    records: Iterable[Record],
    rounds: int,
    slow_rounds: int,
    slow_seconds: float,
    timeout: float,
    check: Callable[[Record, Path], None],
    say: Callable[[str], None],
) -> None:
    """Fills the records round by round: A B C A B C, so that a change of the machine's pace meets all of them.

    A peer whose first call takes longer than `slow_seconds` takes part in the first `slow_rounds` rounds only. `check`
    gets the result of each peer's first round.
    """
    for round_number in range(rounds):
        for record in records:
            slow = any(sample["seconds"] > slow_seconds for sample in record.samples.get("cold", []))
            if record.unable or (slow and round_number >= slow_rounds):
                continue
            kept = Path(record.task.scratch) / "kept"
            task = record.task if round_number else Task(**(vars(record.task) | {"keep": str(kept)}))
            outcome = run(task, timeout)
            say(f"{task.job}, {task.threads} threads, round {round_number + 1}: {task.peer}")
            if "unable" in outcome:
                record.unable = outcome["unable"]
                continue
            _add(record, outcome)
            if round_number == 0 and kept.exists():
                check(record, kept)
                kept.unlink(missing_ok=True)


def _add(record: Record, outcome: dict[str, Any]) -> None:
    for kind, samples in outcome["samples"].items():
        record.samples.setdefault(kind, []).extend(samples)
    record.memory.append({name: outcome[name] for name in ("before_bytes", "peak_bytes", "anonymous_bytes")})
    record.rounds += 1
    record.units = outcome["units"]
