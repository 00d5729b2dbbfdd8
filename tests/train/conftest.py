"""Tiny runs: a corpus of a few thousand ids, a model of a few thousand weights."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bloomery import Tokenizer
from bloomery.train import RunConfig

MakeConfig = Callable[..., RunConfig]
RunProcess = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are faster on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.npy, valid.npy and the tokenizer.json that made them."""
    folder = tmp_path_factory.mktemp("corpus")
    words = np.array(
        [
            "the",
            "cat",
            "sat",
            "on",
            "a",
            "mat",
            "and",
            "dog",
            "ran",
            "to",
            "park",
            "while",
            "bird",
            "sang",
            "in",
            "tree",
        ]
    )
    random = np.random.default_rng(0)
    text = "".join(" ".join(random.choice(words, 12)) + ".<|endoftext|>" for _ in range(600))
    (folder / "text.txt").write_text(text, encoding="utf-8")
    tokenizer = Tokenizer.train(folder / "text.txt", 300, ["<|endoftext|>"])
    tokenizer.save(folder / "tokenizer.json")
    tokenizer.encode_files(folder / "text.txt", folder / "train.npy")
    (folder / "valid.txt").write_text(text[:6000], encoding="utf-8")
    tokenizer.encode_files(folder / "valid.txt", folder / "valid.npy")
    return folder


@pytest.fixture
def make_config(corpus: Path, tmp_path: Path) -> MakeConfig:
    """A run of some steps in a folder of its own; sections given replace keys of the defaults."""

    def make(folder: str = "run", **sections: Mapping[str, Any]) -> RunConfig:
        values: dict[str, Any] = {
            "model": {"vocab_size": 300, "context_length": 16, "d_model": 16, "num_layers": 2, "num_heads": 2},
            "data": {
                "train": [str(corpus / "train.npy")],
                "valid": [str(corpus / "valid.npy")],
                "tokenizer": str(corpus / "tokenizer.json"),
            },
            "train": {"steps": 12, "batch_size": 4},
            "evaluation": {"every": 4, "windows": 8},
            "checkpoint": {"every": 3},
        }
        for name, section in sections.items():
            values[name] = {**values.get(name, {}), **section}
        return RunConfig.from_dict({"folder": str(tmp_path / folder), **values})

    return make


@pytest.fixture
def run_process(tmp_path: Path) -> RunProcess:
    """Starts `bloomery train` (or torchrun) with a config in a process of its own."""

    def start(config: RunConfig, *words: str, processes: int = 1) -> "subprocess.Popen[str]":
        path = tmp_path / f"{Path(config.folder).name}.toml"
        path.write_text(config.to_toml(), encoding="utf-8")
        command = [sys.executable, "-m"]
        if processes > 1:
            command += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
        command += ["bloomery.cli", "train", str(path), *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )

    return start
