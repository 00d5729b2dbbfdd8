"""`--engine ray` of the command: a cluster of its own on this machine, which writes nothing to the terminal."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bloomery import Tokenizer

END = "<|endoftext|>"


def run(*arguments: object, code: int = 0) -> str:
    command = [sys.executable, "-m", "bloomery.cli", "tokenizer", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stderr
    if code == 0:
        assert done.stderr == ""
        return done.stdout
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_train_and_encode(cluster, forty: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    where = ("--engine", "ray", "--address", cluster.address)
    output = tmp_path / "tokenizer.json"
    options = ("--vocab-size", 2000, "--special-token", END, "--output", output, "--json")
    facts = json.loads(run("train", forty / "*.txt", *options, *where))
    assert facts["vocab_size"] == 2000
    assert Tokenizer.load(output) == tokenizer
    encode = ("encode", forty / "*.txt", "--tokenizer", output)
    facts = json.loads(run(*encode, "--output", tmp_path / "tokens", "--json", *where))
    tokenizer.encode_files(forty / "*.txt", tmp_path / "one.npy")
    assert np.array_equal(np.load(tmp_path / "tokens" / "shard-000000.npy"), np.load(tmp_path / "one.npy"))
    (tmp_path / "bad.txt").write_bytes(b"fine\xff")
    assert "bad.txt: invalid UTF-8 at byte 4 (0xff)" in run("train", tmp_path / "bad.txt", *options, *where, code=2)


def test_no_cluster_there(forty: Path) -> None:
    pytest.importorskip("ray")
    line = run("train", forty / "00.txt", "--engine", "ray", "--address", "127.0.0.1:1", code=2)
    assert line.startswith("bloomery: error: no Ray cluster at 127.0.0.1:1: ")
