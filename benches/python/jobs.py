"""The jobs that peers are compared at: what each prepares, times and hands out to be checked."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from peers import END, Peer, Vocabulary
from peers.base import read

# Other text than what is measured: it takes the imports and the start of the thread pool, and warms no cache.
_WARM_UP = "Zwölf Boxkämpfer jagen Viktor; 1234567 quick zephyrs.<|endoftext|>\n  Another document!"
_STRING_BYTES = 100


@dataclass(frozen=True)
class Task:
    """One measurement: everything that a worker process must know."""

    job: str
    peer: str
    threads: int
    text: str
    """The file; the peers that a job is too slow for get a beginning of it, a file of its own."""
    vocabulary: str
    vocab_size: int
    scratch: str
    """A folder for what the job writes."""
    ids: str | None = None
    """A file of ids to decode."""
    keep: str | None = None
    """Where to put the result for checking; None keeps nothing."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Prepared:
    """A job that is ready to run."""

    call: Callable[[], Any]
    warm_up: Callable[[], object] | None = None
    """A tiny call of the same kind, on other input, that is not timed."""
    result: Callable[[Any], Any] = lambda result: result
    """Turns what `call` returned into an array of ids, a str, learnt tokens or counts, for checking."""


@dataclass(frozen=True)
class Job:
    """A job and how it is measured."""

    prepare: Callable[[Peer, Task, Vocabulary], Prepared]
    unit: Literal["bytes", "tokens", "calls"]
    """What a rate counts."""
    times: Literal["cold", "cold and warm", "per call"]
    """Cold: the first call of the process, once. Warm: later ones. Per call: an average over many."""
    threads: bool = False
    """Whether it is measured with several numbers of threads."""
    loads: bool = True
    """Whether the peer loads the vocabulary first."""


def small_file(task: Task, text: str) -> Path:
    """A file for a warm-up call."""
    path = Path(task.scratch) / "small.txt"
    path.write_text(text, encoding="utf-8")
    return path


def train(peer: Peer, task: Task, vocabulary: Vocabulary) -> Prepared:
    small = small_file(task, _WARM_UP)
    return Prepared(
        lambda: peer.train(Path(task.text), task.vocab_size, vocabulary),
        lambda: peer.train(small, 258, vocabulary),
        lambda trained: [token.decode("latin-1") for token in peer.learnt(trained)],
    )


def count(peer: Peer, task: Task, vocabulary: Vocabulary) -> Prepared:
    small = small_file(task, _WARM_UP)
    return Prepared(
        lambda: peer.count(Path(task.text), vocabulary),
        lambda: peer.count(small, vocabulary),
        lambda counts: list(peer.counted(counts)),
    )


def encode(peer: Peer, task: Task, _: Vocabulary) -> Prepared:
    text, small = peer.form(read(Path(task.text))), peer.form(_WARM_UP)
    return Prepared(lambda: peer.encode(text), lambda: peer.encode(small), peer.flat)


def documents(peer: Peer, task: Task, _: Vocabulary) -> Prepared:
    split, small = peer.split(read(Path(task.text))), peer.split(_WARM_UP)
    return Prepared(lambda: peer.documents(split), lambda: peer.documents(small), peer.flat)


def files(peer: Peer, task: Task, _: Vocabulary) -> Prepared:
    small, output = small_file(task, _WARM_UP), Path(task.scratch) / "ids.npy"
    return Prepared(
        lambda: peer.files(Path(task.text), output),
        lambda: peer.files(small, Path(task.scratch) / "small.npy"),
        lambda _: np.load(output),
    )


def hundred_bytes(text: str) -> str:
    """The first hundred bytes of a text, to the end of a character, without separators."""
    return text[: 10 * _STRING_BYTES].replace(END, "").encode()[:_STRING_BYTES].decode(errors="ignore")


def string(peer: Peer, task: Task, _: Vocabulary) -> Prepared:
    return Prepared(peer.string(hundred_bytes(read(Path(task.text)))), result=lambda ids: np.asarray(ids, np.uint32))


def string_array(peer: Peer, task: Task, _: Vocabulary) -> Prepared:
    return Prepared(
        peer.string_array(hundred_bytes(read(Path(task.text)))), result=lambda ids: np.asarray(ids, np.uint32)
    )


def decode(peer: Peer, task: Task, _: Vocabulary) -> Prepared:
    ids = np.load(str(task.ids)).tolist()
    return Prepared(lambda: peer.decode(ids), lambda: peer.decode(ids[:3]))


def decode_array(peer: Peer, task: Task, _: Vocabulary) -> Prepared:
    ids = np.load(str(task.ids)).astype(np.uint32)
    return Prepared(lambda: peer.decode_array(ids), lambda: peer.decode_array(ids[:3]))


def decode_bytes(peer: Peer, task: Task, _: Vocabulary) -> Prepared:
    return _to_bytes(peer.decode_bytes, np.load(str(task.ids)).tolist())


def decode_bytes_array(peer: Peer, task: Task, _: Vocabulary) -> Prepared:
    return _to_bytes(peer.decode_bytes_array, np.load(str(task.ids)).astype(np.uint32))


def _to_bytes(decode: Callable[[Any], bytes], ids: Any) -> Prepared:
    return Prepared(lambda: decode(ids), lambda: decode(ids[:3]), lambda data: data.decode("utf-8", errors="replace"))


def load(peer: Peer, _: Task, vocabulary: Vocabulary) -> Prepared:
    return Prepared(lambda: peer.load(vocabulary), result=lambda _: None)


JOBS = {
    "train": Job(train, "bytes", "cold", threads=True, loads=False),
    "count": Job(count, "bytes", "cold", threads=True, loads=False),
    "encode": Job(encode, "bytes", "cold and warm", threads=True),
    "documents": Job(documents, "bytes", "cold and warm", threads=True),
    "files": Job(files, "bytes", "cold", threads=True),
    "string": Job(string, "calls", "per call"),
    "string_array": Job(string_array, "calls", "per call"),
    "decode": Job(decode, "tokens", "cold and warm"),
    "decode_array": Job(decode_array, "tokens", "cold and warm"),
    "decode_bytes": Job(decode_bytes, "tokens", "cold and warm"),
    "decode_bytes_array": Job(decode_bytes_array, "tokens", "cold and warm"),
    "load": Job(load, "calls", "cold", loads=False),
}
