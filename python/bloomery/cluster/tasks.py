"""What runs on the nodes of a cluster: the same work on pieces as in one process, and the sums of its results."""

import errno
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from bloomery.cluster import stopping
from bloomery.cluster.api import ray, util
from bloomery.cluster.stopping import StoppedError
from bloomery.errors import BloomeryError
from bloomery.tokenizer import storage
from bloomery.tokenizer.engine import with_min_count
from bloomery.tokenizer.pieces import Piece
from bloomery.tokenizer.progress import ProgressCallback
from bloomery.tokenizer.shards import ShardTask
from bloomery.tokenizer.work import Counting, Part, Record

# A worker, or a node, may be lost for every one of many reasons that are not the task's.
_RETRIES = 10


@ray.remote(max_retries=_RETRIES, scheduling_strategy="SPREAD")
def count(job: str, counting: Counting, work: Sequence[Piece], parts: int, threads: int) -> list[Any]:
    """Counts pieces; returns the bytes counted, then the words in parts by hash, each an object of its own."""
    try:
        counts = counting.count_pieces(work, threads, stopping.watch(job))
    except StoppedError:
        return [0] + [None] * parts
    except (BloomeryError, OSError) as error:
        raise _told(error, work) from None
    return [sum(piece.bytes for piece in work), *counts.parts(parts)]


@ray.remote(max_retries=_RETRIES, num_cpus=1, scheduling_strategy="SPREAD")
def add_up(job: str, counting: Counting, *parts: Part) -> Part | None:
    """The sum of the same part of several counts; None when the job was ended."""
    if stopping.is_ended(job):
        return None
    return counting.add_up(parts).parts(1)[0]


@ray.remote(max_retries=_RETRIES, num_cpus=1, num_returns=2, scheduling_strategy="SPREAD")
def add_up_last(counting: Counting, *parts: Part) -> tuple[Part, tuple[int, int]]:
    """The sum of one part of all counts, without rare words; and how many those were, and their occurrences."""
    kept, left_out, occurrences = with_min_count(counting.add_up(parts), counting.min_count)
    return kept.parts(1)[0], (left_out, occurrences)


@ray.remote(max_retries=_RETRIES, scheduling_strategy="SPREAD")
def encode(job: str, task: Sequence[Any], work: Sequence[Piece], threads: int) -> list[Record] | None:
    """Encodes pieces to their shards; None when the job was ended. Takes a reference to a `ShardTask` in a sequence."""
    try:
        look = stopping.watch(job)
        return [_shard(_held(task[0]), piece, threads, look) for piece in work]
    except StoppedError:
        return None


def _shard(task: ShardTask, piece: Piece, threads: int, look: ProgressCallback) -> Record:
    try:
        return task.run(piece, threads, look)
    except (BloomeryError, OSError) as error:
        raise _told(error, [piece]) from None


@lru_cache(maxsize=1)
def _held(task: Any) -> ShardTask:
    """What a reference stands for, kept by the process for its next task: the tokenizer then knows words already."""
    return ray.get(task)


def _told(error: BloomeryError | OSError, work: Sequence[Piece]) -> BloomeryError | OSError:
    """The error with what only the node knows."""
    error.add_note(f"in a task on node {util.get_node_ip_address()}, on {', '.join(map(str, work))}")
    if isinstance(error, FileNotFoundError) and error.filename and not storage.is_url(error.filename):
        what = (
            f"is not there on node {util.get_node_ip_address()}: inputs and outputs must have the same path on all "
            f"nodes, or be URLs"
        )
        return FileNotFoundError(errno.ENOENT, what, str(Path(error.filename)))
    return error
