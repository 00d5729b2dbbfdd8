"""What does the work on files: this process, or whatever fits the protocol."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from bloomery import _core
from bloomery.tokenizer import pieces, storage
from bloomery.tokenizer.pieces import PIECE_BYTES, Piece
from bloomery.tokenizer.progress import ProgressCallback, Tally
from bloomery.tokenizer.shards import ShardTask, encode_shards
from bloomery.tokenizer.work import Counting, Encoding, Part, Record

_SINGLE = (".npy", ".bin")


class Counted(NamedTuple):
    """Word counts, and what ``min_count`` left out of them."""

    counts: _core.WordCounts
    left_out: int
    """Distinct words."""
    left_out_occurrences: int


class Encoded(NamedTuple):
    """What was written."""

    tokens: int
    documents: int
    bytes: int
    """Of text, decompressed."""
    dtype: str
    """uint16 or uint32."""


class Engine(Protocol):
    """Counts and encodes files. Results do not depend on the engine."""

    def count(self, counting: Counting, paths: Sequence[str], progress: ProgressCallback | None) -> Counted:
        """Counts the pre-tokens of files.

        Args:
            counting: How.
            paths: Files by path or URL.
            progress: Is called as the work goes on; what it raises stops the work.
        """
        ...

    def encode(
        self, encoding: Encoding, paths: Sequence[str], output: str, progress: ProgressCallback | None
    ) -> Encoded:
        """Encodes files to token ids.

        Args:
            encoding: How.
            paths: Files by path or URL.
            output: A ``.npy`` or ``.bin`` file; any other name is that of a folder of shards with a manifest.
            progress: As for `count`.
        """
        ...


class Local:
    """This process, on all its cores."""

    def __init__(self, piece_bytes: int = PIECE_BYTES) -> None:
        """Takes the size of the pieces in which URLs are read, and of a shard's text, in bytes."""
        self._piece_bytes = piece_bytes

    def count(self, counting: Counting, paths: Sequence[str], progress: ProgressCallback | None) -> Counted:
        """Counts files; of what is elsewhere a piece at a time is copied to TMPDIR."""
        if not any(map(storage.is_url, paths)):
            return with_min_count(counting.count(paths, counting.num_threads, progress), counting.min_count)
        work = pieces.plan(paths, self._piece_bytes, counting.cutter())
        tally = Tally(progress, sum(piece.bytes for piece in work))

        def parts() -> Iterator[Part]:
            for piece in work:
                yield from counting.count_pieces([piece], counting.num_threads, tally.within).parts(1)
                tally.add(piece.bytes)

        return with_min_count(counting.add_up(parts()), counting.min_count)

    def encode(
        self, encoding: Encoding, paths: Sequence[str], output: str, progress: ProgressCallback | None
    ) -> Encoded:
        """Encodes files; what is elsewhere is copied to TMPDIR: for one file of ids all, else a piece at a time."""
        if is_single(output):
            return _to_one_file(encoding, paths, output, progress)
        made = encode_shards(encoding, paths, output, self._piece_bytes, progress, _run_here)
        return Encoded(made.tokens, made.documents, made.bytes, made.dtype)


def is_single(output: str) -> bool:
    """Whether an output is one file of ids, and no folder of shards."""
    return output.endswith(_SINGLE)


def with_min_count(counts: _core.WordCounts, min_count: int) -> Counted:
    """Leaves out the words that occur less often."""
    return Counted(*counts.at_least(min_count)) if min_count > 1 else Counted(counts, 0, 0)


def _to_one_file(encoding: Encoding, paths: Sequence[str], output: str, progress: ProgressCallback | None) -> Encoded:
    threads = encoding.num_threads
    with storage.writable(output) as target:
        if not any(map(storage.is_url, paths)):
            encoded = encoding.encode(paths, target, threads, progress)
        else:
            sizes = [storage.look_at(path).size for path in paths]
            whole = pieces.plan(paths, max(1, *sizes), encoding.cutter())
            with pieces.held(whole, encoding.cutter()) as sources:
                encoded = encoding.encode(sources, target, threads, progress)
    return Encoded(*encoded)


def _run_here(task: ShardTask, work: Sequence[Piece], tally: Tally) -> Iterator[Record]:
    for piece in work:
        record = task.run(piece, task.encoding.num_threads, tally.within)
        tally.add(piece.bytes, record.tokens)
        yield record
