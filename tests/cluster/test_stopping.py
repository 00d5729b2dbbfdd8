"""A job that is stopped ends its tasks, and nothing else. It has a process of its own, as a user's has."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="ray is not installed: pip install 'bloomery[ray]'")

# Tasks of a tenth of a second, and stops at any moment of them: to cancel them aborted this process in a few seconds.
OFTEN = r"""
import sys

from bloomery import WordCounts
from bloomery.cluster import Ray


class StoppedError(Exception):
    pass


def stop(counters):
    global reports
    reports -= 1
    if reports < 0:
        raise StoppedError


address, inputs = sys.argv[1:]
with Ray(address, piece_bytes=100_000) as engine:
    for round in range(30):
        reports = round % 12
        try:
            WordCounts.from_files(inputs, pattern=r"\p{L}+| ?[^\s\p{L}]+|\s+", engine=engine, progress=stop)
            print("not stopped")
        except StoppedError:
            pass
"""
TASKS = """
import sys

import ray

from bloomery.cluster import stopping, tasks
from bloomery.tokenizer import pieces
from bloomery.tokenizer.work import Counting

address, path = sys.argv[1:]
ray.init(address, log_to_driver=False, logging_level="ERROR")
counting = Counting("gpt2", (), "strict", "text", "text", 1, None, 1)
work = pieces.plan([path], 1_000_000, counting.cutter())


def counted(job):
    return ray.get(tasks.count.options(num_returns=2).remote(job, counting, work, 1, 1))[0]


try:
    with stopping.job() as ended:
        print(counted(ended))
        raise KeyboardInterrupt
except KeyboardInterrupt:
    with stopping.job() as other:
        print(counted(ended), ray.get(tasks.add_up.remote(ended, counting, None)), counted(other))
"""


def run(program: str, *arguments: object) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_stops_at_any_moment(cluster, forty: Path) -> None:
    assert run(OFTEN, cluster.address, forty / "*.txt") == ""


def test_tasks_of_a_job_that_was_ended_do_nothing(cluster, forty: Path) -> None:
    path = forty / "00.txt"
    size = path.stat().st_size
    assert run(TASKS, cluster.address, path) == f"{size}\n0 None {size}\n"
