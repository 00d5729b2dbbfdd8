"""Folders of runs as the trainer leaves them, without any training."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

MakeRun = Callable[..., Path]

CONFIG = """
[model]
vocab_size = 300
context_length = 16
d_model = 16
num_layers = 1
num_heads = 2
[train]
steps = 100
batch_size = 4
"""


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """A folder of this name with these metrics; what the trainer writes beside a loss is filled in."""

    def make(name: str, lines: Iterable[dict[str, float]], config: str = CONFIG) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        rest = {"lr": 1e-3, "gradient_norm": 0.5, "tokens_per_second": 1.0}
        whole = [
            {"seconds": line["step"] / 10, "tokens": 64 * line["step"], **rest, **line} if "loss" in line else line
            for line in lines
        ]
        (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in whole), encoding="utf-8")
        (folder / "config.toml").write_text(config, encoding="utf-8")
        return folder

    return make


@pytest.fixture
def run(make_run: MakeRun) -> Path:
    """A run of a hundred steps whose losses fall."""
    train = [{"step": step, "loss": 3 + 4 / step} for step in range(1, 101)]
    valid = [{"step": step, "valid_loss": 3.1 + 4 / (step + 1)} for step in range(0, 101, 25)]
    return make_run("run", [*train, *valid])
