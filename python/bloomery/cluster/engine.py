"""`Ray`: counts and encodes on the nodes of a Ray cluster, with the results of one process."""

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

from bloomery.cluster import connection, jobs, stopping, tasks
from bloomery.cluster.api import ray
from bloomery.cluster.reduction import Reduction
from bloomery.errors import ArgumentError
from bloomery.tokenizer import pieces
from bloomery.tokenizer.engine import Counted, Encoded, is_single, with_min_count
from bloomery.tokenizer.pieces import PIECE_BYTES, Piece
from bloomery.tokenizer.progress import ProgressCallback, Tally
from bloomery.tokenizer.shards import ShardTask, encode_shards
from bloomery.tokenizer.work import Counting, Encoding, Record

# Of a task: what its pieces have in common is sent and added up once, and a new process learns words by heart once.
_MOST_PIECES = 4
# Tasks of a count, at most: each makes as many objects as there are parts, and one process keeps the books of all.
_MOST_TASKS = 10_000
_MOST_PARTS = 256
_FEW = 8
"""Counts that the driver adds up by itself, at most."""


class Ray:
    """An engine for `Tokenizer.train`, `WordCounts.from_files` and `Tokenizer.encode_files`: a Ray cluster.

    It connects at the first use and stays connected until `close`, or the end of a ``with`` block. Inputs and outputs
    must have the same path on every node, as on a shared file system, or be URLs; and bloomery must be installed there.

    A worker or a node that is lost is made up for by others. An error of a task, such as bytes that are not UTF-8, ends
    the job, as it would in one process.
    """

    def __init__(self, address: str | None = None, *, piece_bytes: int = PIECE_BYTES) -> None:
        """Says where the cluster is.

        Args:
            address: Its address, such as ``10.0.0.1:6379``; "auto" for the one that this machine is part of; None for
                the one that RAY_ADDRESS names or, where it does not, for one that is started on this machine.
            piece_bytes: Of text for a task and for a shard, about.
        """
        if piece_bytes < 1:
            raise ArgumentError(f"piece_bytes {piece_bytes} is not positive")
        self._address = address
        self._piece_bytes = piece_bytes
        self._is_ours = False

    def count(self, counting: Counting, paths: Sequence[str], progress: ProgressCallback | None) -> Counted:
        """Counts the pre-tokens of files; the parameters are those of the protocol.

        Raises:
            ClusterError: There is no cluster, or it lost a task again and again.
        """
        work = pieces.plan(paths, self._piece_bytes, counting.cutter())
        self._connect()
        with stopping.job() as job:
            return self._count(job, counting, work, Tally(progress, sum(piece.bytes for piece in work)))

    def encode(
        self, encoding: Encoding, paths: Sequence[str], output: str, progress: ProgressCallback | None
    ) -> Encoded:
        """Encodes files to a folder of shards; the parameters are those of the protocol.

        Raises:
            ArgumentError: The output is one file.
            ClusterError: There is no cluster, or it lost a task again and again.
        """
        if is_single(output):
            raise ArgumentError(f"{output}: a cluster writes a folder of shards: give a name without .npy or .bin")
        made = encode_shards(encoding, paths, output, self._piece_bytes, progress, self._run)
        return Encoded(made.tokens, made.documents, made.bytes, made.dtype)

    def close(self) -> None:
        """Leaves the cluster, if this object connected the process to it; one that it started ends."""
        if self._is_ours:
            connection.disconnect()
            self._is_ours = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self) -> None:
        self._is_ours = connection.connect(self._address) or self._is_ours

    def _count(self, job: str, counting: Counting, work: Sequence[Piece], tally: Tally) -> Counted:
        threads = _threads(counting.num_threads)
        batches = _batches(work, threads, max(1, -(-len(work) // _MOST_TASKS)))
        is_small = len(batches) <= _FEW
        parts = 1 if is_small else min(max(1, sum(connection.processors_of_nodes())), _MOST_PARTS)
        shared = ray.put(counting)
        task = tasks.count.options(num_cpus=threads, num_returns=1 + parts)

        def submit(batch: Sequence[Piece]) -> list[object]:
            return task.remote(job, shared, batch, parts, threads)

        def finished() -> Iterator[list[object]]:
            for _, counted, references in jobs.run_all(submit, batches, _ahead(threads), tally.report):
                yield references
                tally.add(counted)

        if is_small:
            # While the others count; tasks for it would take longer to begin than it takes.
            counts = counting.add_up(jobs.get(part) for references in finished() for part in references)
            return with_min_count(counts, counting.min_count)
        reduction = Reduction(job, shared, parts)
        for references in finished():
            reduction.add(references)
        sums, left_out = reduction.finish()
        waiting = list(left_out)
        while waiting:
            done = jobs.wait_for_any(waiting, tally.report)
            waiting = [reference for reference in waiting if reference not in done]
        counts = counting.add_up(map(jobs.get, sums))
        found = [jobs.get(reference) for reference in left_out]
        return Counted(counts, sum(words for words, _ in found), sum(occurrences for _, occurrences in found))

    def _run(self, task: ShardTask, work: Sequence[Piece], tally: Tally) -> Iterator[Record]:
        if not work:
            return
        self._connect()
        threads = _threads(task.encoding.num_threads)
        shared = ray.put(task)
        encode = tasks.encode.options(num_cpus=threads)
        with stopping.job() as job:

            def submit(batch: Sequence[Piece]) -> list[object]:
                return [encode.remote(job, [shared], batch, threads)]

            for batch, records, _ in jobs.run_all(submit, _batches(work, threads), _ahead(threads), tally.report):
                for piece, record in zip(batch, records, strict=True):
                    tally.add(piece.bytes, record.tokens)
                    yield record


def _threads(asked: int | None) -> int:
    """Of a task: as asked, else all processors of the smallest node, so that every node can run it."""
    return asked or min(connection.processors_of_nodes(), default=1)


def _batches(work: Sequence[Piece], threads: int, least: int = 1) -> list[Sequence[Piece]]:
    """The pieces of each task: ``least`` or several, but only so many that all nodes have work, and slow ones less."""
    at_a_time = sum(count // threads for count in connection.processors_of_nodes())
    # One that is alone waits for nobody.
    tasks = 1 if at_a_time == 1 else max(1, 2 * at_a_time)
    size = max(least, min(_MOST_PIECES, len(work) // tasks))
    return [work[first : first + size] for first in range(0, len(work), size)]


def _ahead(threads: int) -> Callable[[], int]:
    """Tasks to have begun: enough that no node waits for the next, and that a cluster which can grow sees the need."""
    return lambda: 16 + 2 * sum(count // threads for count in connection.processors_of_nodes())
