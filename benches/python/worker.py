"""One measurement in a process of its own: `python worker.py TASK`, a `Task` as JSON; the last line printed is JSON."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from jobs import JOBS, Task
from measure import forget_peak, peak_bytes, per_call, repeated, resident_bytes, timed
from peers import Unable, Vocabulary, peer_class


def measure(task: Task) -> dict[str, Any]:
    """Runs the task and returns its samples, memory and what was processed."""
    job, vocabulary = JOBS[task.job], Vocabulary.open(Path(task.vocabulary))
    peer = peer_class(task.peer)(task.threads)
    if job.loads:
        peer.load(vocabulary)
    prepared = job.prepare(peer, task, vocabulary)
    if prepared.warm_up:
        prepared.warm_up()
    before = resident_bytes()
    forget_peak()
    began = time.monotonic()
    result, first = timed(prepared.call)
    ended, peak = time.monotonic(), peak_bytes()
    if task.keep:
        keep(Path(task.keep), prepared.result(result))
    del result
    samples = {"cold": [first.as_json()]}
    if job.times == "cold and warm":
        samples["warm"] = [sample.as_json() for sample in repeated(prepared.call)]
    elif job.times == "per call":
        samples = {"warm": [sample.as_json() for sample in per_call(prepared.call)]}
    memory = {"before_bytes": before, "peak_bytes": peak}
    return {"samples": samples, "call": [began, ended], "units": units(task, job.unit)} | memory


def units(task: Task, unit: str) -> int:
    """How much the call processed: bytes of text or ids."""
    if unit == "bytes":
        return Path(task.text).stat().st_size
    return len(np.load(str(task.ids), mmap_mode="r")) if unit == "tokens" else 1


def keep(path: Path, result: Any) -> None:
    """Writes a result for `checks`."""
    if isinstance(result, np.ndarray):
        with path.open("wb") as file:
            np.save(file, result)
    elif isinstance(result, str):
        path.write_text(result, encoding="utf-8", newline="")
    else:
        path.write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    try:
        outcome = measure(Task(**json.loads(sys.argv[1])))
    except Unable as reason:
        outcome = {"unable": str(reason)}
    print("\n" + json.dumps(outcome))
