"""One tokenizer used by many threads, and across fork."""

import multiprocessing
import operator
import threading
from concurrent.futures import ThreadPoolExecutor

from bloomery import Tokenizer

END = "<|endoftext|>"


def test_threads_share_a_tokenizer(tokenizer: Tokenizer, prose: str) -> None:
    texts = [prose * repeats + END for repeats in (1, 3, 10, 40, 2000)]
    expected = [tokenizer.encode(text) for text in texts]

    def work(turn: int) -> None:
        index = turn % len(texts)
        text, ids = texts[index], expected[index]
        assert tokenizer.encode(text) == ids
        assert tokenizer.encode_batch([text] * 3, as_lists=True) == [ids] * 3
        assert list(tokenizer.encode_iterable([text])) == ids
        assert tokenizer.decode(ids) == text

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))


def test_other_threads_run_during_a_long_call(tokenizer: Tokenizer, prose: str) -> None:
    text = prose * 20_000
    turns = 0
    done = threading.Event()

    def count() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            done.wait(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        before = turns
        tokenizer.encode_array(text, num_threads=1)
        during = turns - before
    finally:
        done.set()
        thread.join()
    assert during > 0


def test_a_child_works_after_threads_were_used(run_program) -> None:
    program = """
import os, threading
import bloomery

text = "it was the best of times, " * 100_000
tokenizer = bloomery.Tokenizer.train_from_iterable([text], 280)
ids = tokenizer.encode(text)
threads = [threading.Thread(target=tokenizer.encode_batch, args=([text] * 4,)) for _ in range(4)]
for thread in threads:
    thread.start()
pid = os.fork()
if pid == 0:
    equal = tokenizer.encode(text) == ids and tokenizer.encode_batch([text], as_lists=True) == [ids]
    equal = equal and bloomery.Tokenizer.train_from_iterable([text], 280) == tokenizer
    os._exit(0 if equal else 1)
for thread in threads:
    thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert run_program(program).stdout == "0\n"


def test_processes_get_a_tokenizer_by_pickle(tokenizer: Tokenizer, prose: str) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        # A function of this file could not be imported there: a test module is on no path.
        rows = pool.map(operator.methodcaller("encode", prose), [tokenizer] * 4)
    assert rows == [tokenizer.encode(prose)] * 4
