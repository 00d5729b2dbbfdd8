"""A long run over a large token file does not grow the process."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

MEGABYTES = 400
PROGRAM = """
import sys
from pathlib import Path

from bloomery.data import BatchSampler, check_ids, open_tokens, validation_windows


def resident():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024


def train():
    for step in range(600):
        sampler.batch(step)


def validate():
    for _ in validation_windows(ids, 1024, 20_000).batches(64):
        pass


ids = open_tokens(sys.argv[1])
sampler = BatchSampler([ids], context_length=1024, global_batch_size=64)
sampler.batch(0)
work = {"train": train, "validate": validate, "check": lambda: check_ids(ids, 10)}[sys.argv[2]]
before = resident()
work()
print(resident() - before)
"""


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of zeros that takes no space on the disk."""
    path = tmp_path_factory.mktemp("large") / "ids.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint16, shape=(MEGABYTES * 500_000,))
    return path


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident size is read from /proc")
@pytest.mark.parametrize("work", ("train", "validate", "check"))
def test_resident_size_stays_flat(large_file: Path, work: str) -> None:
    # Each of these reads most of the file: were its pages kept, the process would grow by hundreds of megabytes.
    done = subprocess.run([sys.executable, "-c", PROGRAM, large_file, work], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 24e6
