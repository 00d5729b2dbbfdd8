"""A worker that is killed, or a node that is lost, in the middle of a task: the run ends with the same bytes."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from bloomery import Tokenizer, WordCounts

pytest.importorskip("ray", reason="ray is not installed: pip install 'bloomery[ray]'")

from bloomery.cluster import Ray

pytestmark = pytest.mark.losses

END = "<|endoftext|>"
# A regex is slower than a named scheme by far: tasks last long enough to be met.
PATTERN = r"\p{L}+| ?[^\s\p{L}]+|\s+"
# Tasks enough for two rounds of adding up.
ENGINE = Ray(piece_bytes=200_000)


class Hunter(threading.Thread):
    """Stops a worker in the middle of a task of that name and then takes its life, or that of its node."""

    def __init__(self, task: str, strike: Callable[[int], None], parent: int | None = None) -> None:
        super().__init__()
        self.struck = False
        self._title, self._strike, self._parent = f"ray::{task}", strike, parent
        self._deadline = time.monotonic() + 100

    def run(self) -> None:
        while not self.struck and time.monotonic() < self._deadline:
            for process in psutil.process_iter():
                if self._is_prey(process):
                    self.struck = self._attack(process)
                    break
            time.sleep(0.002)

    def _is_prey(self, process: psutil.Process) -> bool:
        try:
            # Ray names a worker after the task that it runs.
            at_work = process.cmdline()[:1] == [self._title]
            return at_work and self._parent in {None, process.ppid()}
        except psutil.Error:
            return False

    def _attack(self, process: psutil.Process) -> bool:
        try:
            process.suspend()
            if self._is_prey(process):
                self._strike(process.pid)
                return True
            process.resume()
        except psutil.Error:
            pass
        return False


@pytest.fixture(params=("worker", "node"))
def hunter(request: pytest.FixtureRequest, cluster) -> Callable[[str], Hunter]:
    if request.param == "worker":
        return lambda task: Hunter(task, lambda pid: os.kill(pid, signal.SIGKILL))
    return lambda task: Hunter(task, lambda pid: cluster.lose_second(), cluster.raylet)


def test_while_counting(forty: Path, hunter: Callable[[str], Hunter]) -> None:
    expected = WordCounts.from_files(forty / "*.txt", pattern=PATTERN, special_tokens=[END])
    thread = hunter("count")
    thread.start()
    counts = WordCounts.from_files(forty / "*.txt", pattern=PATTERN, special_tokens=[END], engine=ENGINE)
    thread.join()
    assert thread.struck, "no task was met"
    assert counts == expected


def test_while_encoding(forty: Path, tmp_path: Path, hunter: Callable[[str], Hunter]) -> None:
    tokenizer = Tokenizer.train(forty / "0*.txt", 1000, [END], pattern=PATTERN)
    tokenizer.encode_files(forty / "*.txt", tmp_path / "one.npy")
    thread = hunter("encode")
    thread.start()
    tokenizer.encode_files(forty / "*.txt", tmp_path / "tokens", engine=ENGINE)
    thread.join()
    assert thread.struck, "no task was met"
    ids = np.concatenate([np.load(path) for path in sorted((tmp_path / "tokens").glob("shard-*.npy"))])
    assert np.array_equal(ids, np.load(tmp_path / "one.npy"))
    # Nothing half-written is left by the one that was killed.
    assert {path.name.partition("-")[0] for path in (tmp_path / "tokens").iterdir()} == {"shard", "manifest.json"}
