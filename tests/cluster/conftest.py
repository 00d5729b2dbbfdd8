"""A Ray cluster of two nodes with one processor each, forty files, and an object store, all on this machine."""

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pytest

from bloomery import Tokenizer

END = "<|endoftext|>"


@pytest.fixture(scope="session")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of forty text files, 4 MB together, that begin and end in the middle of documents."""
    folder = tmp_path_factory.mktemp("forty")
    draw = random.Random(8)
    letters = "aaabcdeeefghiiijklmnooopqrstuuuvwxyzé한"
    words = ["".join(draw.choices(letters, k=draw.randint(1, 9))) for _ in range(20_000)]
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    documents = [" ".join(draw.choices(words, weights, k=draw.randint(20, 900))) for _ in range(1400)]
    text = f"\n{END}".join(documents).encode()
    cuts = [len(text) * number // 40 for number in range(41)]
    # Beside a space, so that no character is cut.
    cuts = [0, *(text.index(b" ", cut) for cut in cuts[1:-1]), len(text)]
    for number in range(40):
        (folder / f"{number:02}.txt").write_bytes(text[cuts[number] : cuts[number + 1]])
    return folder


@pytest.fixture(scope="session")
def tokenizer(forty: Path) -> Tokenizer:
    """Trained in one process."""
    return Tokenizer.train(forty / "*.txt", 2000, [END])


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """The URL of a bucket in a server of moto's, which the cluster's nodes know too."""
    pytest.importorskip("moto", reason="moto is not installed: pip install 'bloomery[dev]'")
    s3fs = pytest.importorskip("s3fs")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    told = {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
    }
    os.environ |= told
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urlopen(endpoint, timeout=5).close()
                break
            except (URLError, OSError):
                assert server.poll() is None, "moto's server ended"
                assert time.monotonic() < deadline, "moto's server does not start"
                time.sleep(0.1)
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("corpus")
        yield "s3://corpus"
    finally:
        server.kill()
        server.wait()
        for name in told:
            del os.environ[name]


# A node that is gone is noticed within some two seconds, not fifteen.
QUICK = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500, "health_check_failure_threshold": 4}


class Nodes:
    """A cluster of two nodes with one processor each, of which the second can be taken away."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
        head = {"num_cpus": 1, "include_dashboard": False, "_system_config": QUICK}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._second: Any = self._cluster.add_node(num_cpus=1)
        self.address = str(self._cluster.address)

    @property
    def raylet(self) -> int:
        """The process of the second node whose children its workers are."""
        return self._second.all_processes["raylet"][0].process.pid

    def lose_second(self) -> None:
        workers = psutil.Process(self.raylet).children(recursive=True)
        self._cluster.remove_node(self._second, allow_graceful=False)
        self._second = None
        # A node takes its workers with it. One that was stopped would outlive it here, and keep its connections open.
        for worker in workers:
            with suppress(psutil.NoSuchProcess):
                worker.kill()

    def make_whole(self) -> None:
        if self._second is None:
            self._second = self._cluster.add_node(num_cpus=1)

    def end(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="session")
def nodes(bucket: str) -> Iterator[Nodes]:
    """The cluster, with this process connected to it."""
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'bloomery[ray]'")
    started = Nodes()
    ray.init(started.address, log_to_driver=False, logging_level="ERROR")
    yield started
    ray.shutdown()
    started.end()


@pytest.fixture
def cluster(nodes: Nodes) -> Nodes:
    """The cluster, as a test needs it."""
    return nodes


@pytest.fixture(scope="module")
def nodes_to_lose() -> Iterator[Nodes]:
    """Another cluster, to which this process is not connected."""
    pytest.importorskip("ray", reason="ray is not installed: pip install 'bloomery[ray]'")
    started = Nodes()
    yield started
    started.end()
