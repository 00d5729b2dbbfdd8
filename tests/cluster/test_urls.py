"""Inputs and outputs in an object store: on a cluster and in one process, with the bytes of files."""

from pathlib import Path

import numpy as np
import pytest

from bloomery import Tokenizer, WordCounts
from bloomery.errors import ArgumentError, InputError, InvalidUtf8Error
from bloomery.tokenizer.engine import Local

pytest.importorskip("ray", reason="ray is not installed: pip install 'bloomery[ray]'")

from bloomery.cluster import Ray

END = "<|endoftext|>"
PIECE = 1_000_000


@pytest.fixture(scope="module")
def store(bucket: str):
    s3fs = pytest.importorskip("s3fs")
    return s3fs.S3FileSystem()


@pytest.fixture(scope="module")
def inputs(store, bucket: str, forty: Path) -> str:
    """The forty files as four objects, of which one is larger than a piece."""
    files = sorted(forty.iterdir())
    for number, group in enumerate((files[:28], files[28:29], files[29:30], files[30:])):
        store.pipe_file(f"{bucket}/in/{number}.txt", b"".join(path.read_bytes() for path in group))
    return f"{bucket}/in/*.txt"


@pytest.fixture(params=("ray", "local"))
def engine(request: pytest.FixtureRequest):
    if request.param == "local":
        return Local(PIECE)
    request.getfixturevalue("cluster")
    return Ray(piece_bytes=PIECE)


def test_training_and_encoding(
    engine, inputs: str, store, bucket: str, forty: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    trained = Tokenizer.train(inputs, 2000, [END], engine=engine)
    assert trained == tokenizer
    output = f"{bucket}/{type(engine).__name__}/tokens"
    report = trained.encode_files(inputs, output, engine=engine)
    tokenizer.encode_files(forty / "*.txt", tmp_path / "one.npy")
    names = sorted(Path(path).name for path in store.ls(output, refresh=True))
    assert names[0] == "manifest.json"
    assert len(names) > 4
    store.get(output, str(tmp_path / "got"), recursive=True)
    ids = np.concatenate([np.load(tmp_path / "got" / name) for name in names[1:]])
    assert np.array_equal(ids, np.load(tmp_path / "one.npy"))
    assert report.tokens == len(ids)
    # All is there already.
    assert trained.encode_files(inputs, output, engine=engine)[:4] == report[:4]


def test_one_file_and_a_tokenizer_by_url(
    inputs: str, store, bucket: str, forty: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    tokenizer.save(f"{bucket}/tokenizer.json")
    loaded = Tokenizer.load(f"{bucket}/tokenizer.json")
    assert loaded == tokenizer
    loaded.encode_files(inputs, f"{bucket}/one.npy")
    tokenizer.encode_files(forty / "*.txt", tmp_path / "one.npy")
    assert store.cat_file(f"{bucket}/one.npy") == (tmp_path / "one.npy").read_bytes()
    assert WordCounts.from_files(f"file://{forty}/00.txt") == WordCounts.from_files(forty / "00.txt")


def test_json_lines_are_read_in_parts(engine, store, bucket: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    row = b'{"text": "some words of a row"}\r\n'
    number = 100_000
    (tmp_path / "rows.jsonl").write_bytes(row * number)
    store.pipe_file(f"{bucket}/lines/rows.jsonl", row * number)
    counts = WordCounts.from_files(f"{bucket}/lines/rows.jsonl", engine=engine)
    assert counts == WordCounts.from_files(tmp_path / "rows.jsonl")
    tokenizer.encode_files(f"{bucket}/lines/rows.jsonl", tmp_path / "tokens", end_of_text=0, engine=engine)
    tokenizer.encode_files(tmp_path / "rows.jsonl", tmp_path / "one.npy", end_of_text=0)
    shards = sorted((tmp_path / "tokens").glob("shard-*.npy"))
    assert len(shards) == 4
    assert np.array_equal(np.concatenate([np.load(shard) for shard in shards]), np.load(tmp_path / "one.npy"))
    # A node has only its part of the file, of which it cannot tell how many lines come before it.
    store.pipe_file(f"{bucket}/lines/rows.jsonl", row * number + b"nonsense\n")
    message = rf"s3://corpus/lines/rows\.jsonl, the line at byte {len(row) * number}: broken JSON at column 2"
    with pytest.raises(InputError, match=message) as caught:
        WordCounts.from_files(f"{bucket}/lines/rows.jsonl", engine=engine)
    assert (caught.value.line, caught.value.offset) == (None, len(row) * number)


def test_errors_name_the_url(engine, store, bucket: str, tokenizer: Tokenizer) -> None:
    bad = b"fine " * 500_000
    store.pipe_file(f"{bucket}/bad/a.txt", bad + b"\xff" + bad)
    with pytest.raises(InvalidUtf8Error, match=r"s3://corpus/bad/a\.txt: invalid UTF-8 at byte 2500000 \(0xff\)"):
        WordCounts.from_files(f"{bucket}/bad/a.txt", engine=engine)
    store.pipe_file(f"{bucket}/bad/b.txt.gz", b"no gzip data")
    with pytest.raises(InputError, match=r"^s3://corpus/bad/b\.txt\.gz: is not gzip data, although its name says so"):
        WordCounts.from_files(f"{bucket}/bad/b.txt.gz", engine=engine)
    with pytest.raises(FileNotFoundError) as caught:
        WordCounts.from_files(f"{bucket}/absent.txt", engine=engine)
    assert caught.value.filename == f"{bucket}/absent.txt"
    with pytest.raises(FileNotFoundError, match="no file matches this pattern"):
        WordCounts.from_files(f"{bucket}/absent/*.txt", engine=engine)


def test_a_protocol_that_nobody_speaks(tokenizer: Tokenizer) -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(ArgumentError, match=r"^nonsense://a: "):
        WordCounts.from_files("nonsense://a")
