"""Files appear whole or not at all: when the process is killed, and when the disk is full."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bloomery import Tokenizer

END = "<|endoftext|>"


@pytest.mark.parametrize("old", (None, b"old"))
def test_a_kill_while_encoding_leaves_the_old_file_or_none(
    tmp_path: Path, tokenizer: Tokenizer, prose: str, run_program, old: bytes | None
) -> None:
    text, output, saved = tmp_path / "text.txt", tmp_path / "ids.npy", tmp_path / "tokenizer.json"
    text.write_text(prose * 200_000, encoding="utf-8")
    tokenizer.save(saved)
    if old is not None:
        output.write_bytes(old)
    program = """
import os, signal, sys, bloomery
bloomery.Tokenizer.load(sys.argv[1]).encode_files(
    sys.argv[2], sys.argv[3], progress=lambda counters: counters.tokens and os.kill(os.getpid(), signal.SIGKILL))
"""
    run_program(program, saved, text, output, returncode=-signal.SIGKILL)
    assert (output.read_bytes() if output.exists() else None) == old


def test_kills_while_saving_leave_a_whole_file(tmp_path: Path, tokenizer: Tokenizer) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    smaller = tokenizer.truncate(300)
    program = """
import sys, bloomery
tokenizer = bloomery.Tokenizer.load(sys.argv[1])
both = [tokenizer, tokenizer.truncate(300)]
print(flush=True)
while True:
    for tokenizer in both:
        tokenizer.save(sys.argv[1])
"""
    for turn in range(8):
        tokenizer.save(path)
        with subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.005 * turn)
            process.kill()
        assert Tokenizer.load(path) in (tokenizer, smaller)


# A limit on the size of files stands for a full disk: writing past it fails in the same way.
LIMIT = """
import resource, signal, sys, bloomery
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
tokenizer = bloomery.Tokenizer.load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    {call}
except OSError as error:
    print(error.errno, error.filename)
"""


@pytest.mark.parametrize(
    ("call", "name"),
    (
        ("tokenizer.save(sys.argv[3])", "saved.json"),
        ("tokenizer.save(sys.argv[3])", "ranks.tiktoken"),
        ("tokenizer.encode_files(sys.argv[2], sys.argv[3])", "ids.npy"),
        ("bloomery.WordCounts({str(i): i for i in range(10_000)}).save(sys.argv[3])", "counts.parquet"),
    ),
)
@pytest.mark.parametrize("old", (None, b"old"))
def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, tokenizer: Tokenizer, prose: str, run_program, call: str, name: str, old: bytes | None
) -> None:
    saved, text, output = tmp_path / "tokenizer.json", tmp_path / "text.txt", tmp_path / "out" / name
    output.parent.mkdir()
    tokenizer.save(saved)
    text.write_text(prose * 100, encoding="utf-8")
    if old is not None:
        output.write_bytes(old)
    code, filename = run_program(LIMIT.format(call=call), saved, text, output).stdout.split()
    assert code == "27"
    assert filename == str(output)
    assert [(file.name, file.read_bytes()) for file in output.parent.iterdir()] == (
        [] if old is None else [(name, old)]
    )


def test_a_folder_that_is_missing_is_named(tmp_path: Path, tokenizer: Tokenizer, text_file: Path) -> None:
    for write, name in (
        (tokenizer.save, "out.json"),
        (lambda path: tokenizer.encode_files(text_file, path), "out.npy"),
    ):
        path = tmp_path / "missing" / name
        with pytest.raises(FileNotFoundError) as caught:
            write(path)
        assert str(caught.value.filename).startswith(str(tmp_path / "missing"))


def test_an_error_in_the_text_leaves_no_file(tmp_path: Path, tokenizer: Tokenizer) -> None:
    text, output = tmp_path / "text.txt", tmp_path / "out" / "ids.npy"
    output.parent.mkdir()
    text.write_bytes(b"fine " * 1000 + b"\xff")
    with pytest.raises(ValueError, match="invalid UTF-8 at byte 5000"):
        tokenizer.encode_files(text, output)
    assert list(output.parent.iterdir()) == []
    tokenizer.encode_files(text, output, errors="ignore")
    assert tokenizer.decode(np.load(output)) == "fine " * 1000
