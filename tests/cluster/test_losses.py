"""A worker that is killed, or a node that is lost, in the middle of a task: the run ends well, with the same bytes.

The run has a process of its own, as a user's has: that it ends well is seen from without, and also that nothing aborts
it once the cluster knows that the node is gone.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from bloomery import Tokenizer, WordCounts

pytest.importorskip("ray", reason="ray is not installed: pip install 'bloomery[ray]'")

END = "<|endoftext|>"
# A regex is slower than a named scheme by far: tasks last long enough to be met.
PATTERN = r"\p{L}+| ?[^\s\p{L}]+|\s+"

# Tasks enough for two rounds of adding up. Before the run every node has a worker, so that both are given tasks.
RUN = f"""
import sys
import time

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bloomery import Tokenizer, WordCounts
from bloomery.cluster import Ray

what, address, nodes_left, inputs, tokenizer, output = sys.argv[1:]
with Ray(address, piece_bytes=40_000) as engine:
    WordCounts.from_files(inputs.replace("*", "00"), engine=engine)
    everywhere = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in ray.nodes() if node["Alive"]]
    ready = ray.remote(num_cpus=1)(lambda: None)
    ray.get([ready.options(scheduling_strategy=node).remote() for node in everywhere])
    print("ready", flush=True)
    if what == "count":
        counts = WordCounts.from_files(inputs, pattern=r"{PATTERN}", special_tokens=["{END}"], engine=engine)
        counts.save(output)
    else:
        Tokenizer.load(tokenizer).encode_files(inputs, output, engine=engine)
    while sum(node["Alive"] for node in ray.nodes()) > int(nodes_left):
        time.sleep(0.1)
    time.sleep(2)
"""


@pytest.fixture
def cluster(nodes_to_lose):
    nodes_to_lose.make_whole()
    return nodes_to_lose


def run(what: str, loss: str, cluster, *paths: Path) -> None:
    """Runs it, and takes from the second node the worker that is first met at a task, or the node itself."""
    left = 1 if loss == "node" else 2
    command = [sys.executable, "-c", RUN, what, cluster.address, str(left), *map(str, paths)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.stdout.read()
            hunt(f"ray::{what}", loss, cluster, process)
            output, _ = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 0, output


def hunt(title: str, loss: str, cluster, process: subprocess.Popen) -> None:
    raylet = psutil.Process(cluster.raylet)
    while process.poll() is None:
        for worker in raylet.children():
            try:
                if not is_at(title, worker):
                    continue
                # It cannot finish meanwhile.
                worker.suspend()
                if is_at(title, worker):
                    cluster.lose_second() if loss == "node" else os.kill(worker.pid, signal.SIGKILL)
                    return
                worker.resume()
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.002)
    pytest.fail("no task was met")


def is_at(title: str, worker: psutil.Process) -> bool:
    """Whether it runs a task of that title: Ray names a worker after its task."""
    return worker.cmdline()[:1] == [title]


@pytest.mark.parametrize("loss", ("worker", "node"))
def test_while_counting(loss: str, cluster, forty: Path, tmp_path: Path) -> None:
    expected = WordCounts.from_files(forty / "*.txt", pattern=PATTERN, special_tokens=[END])
    run("count", loss, cluster, forty / "*.txt", tmp_path, tmp_path / "counts.parquet")
    assert WordCounts.load(tmp_path / "counts.parquet") == expected


@pytest.mark.parametrize("loss", ("worker", "node"))
def test_while_encoding(loss: str, cluster, forty: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.train(forty / "0*.txt", 1000, [END], pattern=PATTERN)
    tokenizer.save(tmp_path / "tokenizer.json")
    tokenizer.encode_files(forty / "*.txt", tmp_path / "one.npy")
    run("encode", loss, cluster, forty / "*.txt", tmp_path / "tokenizer.json", tmp_path / "tokens")
    ids = np.concatenate([np.load(path) for path in sorted((tmp_path / "tokens").glob("shard-*.npy"))])
    assert np.array_equal(ids, np.load(tmp_path / "one.npy"))
    # Nothing half-written is left by the one that was killed.
    assert {path.name.partition("-")[0] for path in (tmp_path / "tokens").iterdir()} == {"shard", "manifest.json"}
