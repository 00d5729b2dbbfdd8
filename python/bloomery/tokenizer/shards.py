"""Encoding to a folder of shards, one a piece, by whatever does the work; begun again, it goes on where it was.

Every finished shard has a record beside it, in a folder that is named after the job: the tokenizer, the options and the
inputs as they are. The manifest is written when all are there, and the records are removed.
"""

import errno
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bloomery.tokenizer import manifest, pieces, storage
from bloomery.tokenizer.fingerprint import fingerprint
from bloomery.tokenizer.manifest import Manifest, Shard
from bloomery.tokenizer.pieces import Piece
from bloomery.tokenizer.progress import ProgressCallback, Tally
from bloomery.tokenizer.work import Encoding, Record

_UNFINISHED = "unfinished-"
_JOB = "job"
_TEMPORARY = (".bloomery-", ".tmp")
# Records read at a time: the answers of an object store are waited for.
_READS = 32


@dataclass(frozen=True)
class ShardTask:
    """One shard, written and put on record: pickles, and done twice it does the same."""

    encoding: Encoding
    folder: str
    job: str

    def run(self, piece: Piece, threads: int | None, progress: ProgressCallback | None = None) -> Record:
        """Encodes a piece to its shard."""
        shard = storage.join(self.folder, shard_name(piece.number))
        record = self.encoding.encode_piece(piece, shard, threads, progress)
        storage.write(record_path(self.folder, self.job, piece.number), json.dumps(record).encode())
        return record


Run = Callable[[ShardTask, Sequence[Piece], Tally], Iterator[Record]]
"""Does the task for pieces, in any order and anywhere, and says what was finished."""


def encode_shards(
    encoding: Encoding,
    paths: Sequence[str],
    folder: str,
    piece_bytes: int,
    progress: ProgressCallback | None,
    run: Run,
) -> Manifest:
    """Encodes files to a folder of shards with a manifest.

    Args:
        encoding: How.
        paths: The files.
        folder: A folder to be, or one that an interrupted run of the same job left.
        piece_bytes: Of text for a shard, about.
        progress: Is told of every piece.
        run: Does the work.

    Raises:
        FileExistsError: The folder holds something else.
        OSError: A file cannot be read or written.
        InvalidUtf8Error, InputError: As for `Tokenizer.encode_files`; finished shards stay, and no manifest is written.
    """
    dtype = encoding.checked_dtype()
    work = pieces.plan(paths, piece_bytes, encoding.cutter())
    job = _job(encoding, dtype, work)
    found = storage.contents(folder)
    if manifest.NAME in found:
        made = manifest.load(folder)
        if made.job != job:
            raise _occupied(folder)
    else:
        records = _finished(folder, job, dtype, found)
        storage.make_folder(_records(folder, job))
        storage.write(storage.join(_records(folder, job), _JOB), (job + "\n").encode())
        tally = Tally(progress, sum(piece.bytes for piece in work))
        for record in records.values():
            tally.add(work[record.number].bytes, record.tokens)
        missing = [piece for piece in work if piece.number not in records]
        for record in run(ShardTask(encoding, folder, job), missing, tally):
            records[record.number] = record
        ordered = [records[piece.number] for piece in work]
        vocab_size = encoding.tokenizer.vocab_size
        made = Manifest(job, fingerprint(encoding.tokenizer), vocab_size, dtype, _shards(work, ordered))
        manifest.write(made, folder)
        found = storage.contents(folder)
    _tidy(folder, found)
    return made


def shard_name(number: int) -> str:
    """The file of a piece."""
    return f"shard-{number:06}.npy"


def record_path(folder: str, job: str, number: int) -> str:
    """The record of a piece."""
    return storage.join(_records(folder, job), f"{number:06}.json")


def _records(folder: str, job: str) -> str:
    return storage.join(folder, _UNFINISHED + job[:16])


def _job(encoding: Encoding, dtype: str, work: Sequence[Piece]) -> str:
    how = (encoding.end_of_text, encoding.allowed_special, encoding.errors, encoding.field, encoding.column, dtype)
    facts = (fingerprint(encoding.tokenizer), how, work)
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _finished(folder: str, job: str, dtype: str, found: dict[str, int]) -> dict[int, Record]:
    """The shards that an earlier run finished, by number.

    Raises:
        FileExistsError: The folder holds something else.
    """
    own = f"{_UNFINISHED}{job[:16]}/"
    if (found and own + _JOB not in found) or not all(
        path.startswith((own, "shard-", _TEMPORARY[0])) for path in found
    ):
        raise _occupied(folder)
    names = [path for path in found if path.startswith(own) and path.endswith(".json")]
    with ThreadPoolExecutor(_READS) as pool:
        contents = pool.map(storage.read, [storage.join(folder, name) for name in names])
        records = [Record(*json.loads(content)) for content in contents]
    sizes = {record.number: manifest.shard_bytes(record.tokens, dtype) for record in records}
    return {record.number: record for record in records if found.get(shard_name(record.number)) == sizes[record.number]}


def _occupied(folder: str) -> FileExistsError:
    what = (
        "holds files of something else, or of an encoding with another tokenizer, other options or other inputs: name "
        "another folder, or remove it first"
    )
    return FileExistsError(errno.EEXIST, what, folder)


def _shards(work: Sequence[Piece], records: Sequence[Record]) -> list[Shard]:
    shards: list[Shard] = []
    open_document = False
    for piece, record in zip(work, records, strict=True):
        documents = record.documents - (open_document and record.starts_inside)
        inputs = [stretch.file.path for stretch in piece.stretches]
        shards.append(Shard(shard_name(piece.number), record.tokens, documents, record.bytes, inputs))
        if record.tokens:
            open_document = record.ends_inside
    return shards


def _tidy(folder: str, found: dict[str, int]) -> None:
    """Removes the records, and what processes that were killed left half-written."""
    left = [path for path in found if path.startswith(_UNFINISHED)]
    left += [path for path in found if path.startswith(_TEMPORARY[0]) and path.endswith(_TEMPORARY[1])]
    storage.remove([storage.join(folder, path) for path in left])
    for name in {path.partition("/")[0] for path in left if path.startswith(_UNFINISHED)}:
        storage.remove_folder(storage.join(folder, name))
