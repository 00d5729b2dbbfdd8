"""Ctrl-C ends a long call soon, whatever the call is doing."""

from pathlib import Path

import pytest

# Interrupts itself once the work has begun: the callback starts a thread that sends the signal a little later, while
# the core works and Python waits. Prints how long the call took to return after that.
PROGRAM = """
import os, random, signal, sys, threading, time
import bloomery
from bloomery import Tokenizer, WordCounts

sent = []

def send():
    time.sleep(0.02)
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

def interrupt(counters=None):
    if not sent and (counters is None or begun(counters)):
        sent.append(time.perf_counter())
        threading.Thread(target=send).start()

def begun(counters):
    return True

path = sys.argv[1]
{setup}
try:
    {call}
except KeyboardInterrupt:
    print(time.perf_counter() - sent[-1])
else:
    print("ended before the interrupt")
"""
ALPHABET = "words = {''.join(random.choices('abcdefghij', k=12)).encode(): 1 for _ in range(500_000)}"
TOKENIZER = "tokenizer = Tokenizer({byte: bytes([byte]) for byte in range(256)}, [])"
CALLS = {
    "counting a file": ("", "Tokenizer.train(path, 32_000, progress=interrupt)"),
    "merging": (
        f"{ALPHABET}; counts = WordCounts(words)\nbegun = lambda counters: counters.merges_done > 10",
        "Tokenizer.train_from_counts(counts, 500_000, progress=interrupt)",
    ),
    "counting strings": (
        "text = open(path, encoding='utf-8').read()",
        "interrupt(); WordCounts.from_iterable([text])",
    ),
    "encoding files": (TOKENIZER, "tokenizer.encode_files(path, path + '.npy', progress=interrupt)"),
    "encoding a text": (
        f"{TOKENIZER}; text = open(path, encoding='utf-8').read()",
        "interrupt(); tokenizer.encode_array(text)",
    ),
    "encoding with offsets": (
        f"{TOKENIZER}; text = open(path, encoding='utf-8').read()",
        "interrupt(); tokenizer.encode_with_offsets(text)",
    ),
    "encoding a batch": (
        f"{TOKENIZER}; texts = open(path, encoding='utf-8').read().split('<|endoftext|>')",
        "interrupt(); tokenizer.encode_batch(texts)",
    ),
}


@pytest.fixture(scope="module")
def large_file(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 MB, enough that every call takes longer than the interrupt."""
    path = tmp_path_factory.mktemp("large") / "large.txt"
    stories = (shared / "corpora/tinystories_2M.txt").read_bytes()
    with path.open("wb") as file:
        for _ in range(200_000_000 // len(stories) + 1):
            file.write(stories)
    return path


@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_is_obeyed(name: str, large_file: Path, run_program, record_property) -> None:
    setup, call = CALLS[name]
    printed = run_program(PROGRAM.format(setup=setup, call=call), large_file).stdout.strip()
    record_property("seconds", printed)
    # It is promised within 0.2 s; a machine that is busy with other things gets more.
    assert float(printed) < 1.0
    assert not list(large_file.parent.glob("*.npy*"))
