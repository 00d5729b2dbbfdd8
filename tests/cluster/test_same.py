"""On two nodes the merges and the ids are those of one process, whatever the pieces."""

import json
from pathlib import Path

import numpy as np
import pytest

from bloomery import Tokenizer, WordCounts
from bloomery.data import open_tokens
from bloomery.errors import ArgumentError, ClusterError, InvalidUtf8Error, WordsLeftOut
from bloomery.tokenizer.engine import Local

pytest.importorskip("ray", reason="ray is not installed: pip install 'bloomery[ray]'")

from bloomery.cluster import Ray

END = "<|endoftext|>"
# Tasks enough for two rounds of adding up.
PIECE = 40_000


class StoppedError(Exception):
    """By the progress callback."""


pytestmark = pytest.mark.usefixtures("cluster")


def joined(folder: Path) -> bytes:
    """The bytes of all shards' ids, in order."""
    return b"".join(np.load(path).tobytes() for path in sorted(folder.glob("shard-*.npy")))


def one_file(tokenizer: Tokenizer, inputs: Path | list[Path], path: Path, **options) -> tuple[bytes, tuple]:
    report = tokenizer.encode_files(inputs, path, **options)
    return np.load(path).tobytes(), report[:4]


def test_counts_and_merges(forty: Path, tokenizer: Tokenizer) -> None:
    seen = []
    counts = WordCounts.from_files(
        forty / "*.txt", special_tokens=[END], engine=Ray(piece_bytes=PIECE), progress=seen.append
    )
    assert counts == WordCounts.from_files(forty / "*.txt", special_tokens=[END])
    assert seen[-1].bytes_done == seen[-1].bytes_total == sum(path.stat().st_size for path in forty.iterdir())
    assert Tokenizer.train(forty / "*.txt", 2000, [END], engine=Ray(piece_bytes=PIECE)) == tokenizer


def test_shards_of_many_files_and_of_parts_of_one(forty: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    whole = tmp_path / "whole.txt"
    whole.write_bytes(b"".join(path.read_bytes() for path in sorted(forty.iterdir())))
    inputs = [*sorted(forty.glob("*.txt")), whole]
    expected, report = one_file(tokenizer, inputs, tmp_path / "one.npy", end_of_text=END)
    made = tokenizer.encode_files(inputs, tmp_path / "ray", end_of_text=END, engine=Ray(piece_bytes=PIECE))
    assert joined(tmp_path / "ray") == expected
    assert made[:4] == report
    # The local engine writes the same folder, to the last byte.
    local = tokenizer.encode_files(inputs, tmp_path / "local", end_of_text=END, engine=Local(PIECE))
    assert local[:4] == report
    names = sorted(path.name for path in (tmp_path / "ray").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "local").iterdir())
    assert len(names) > 20
    for name in names:
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "local" / name).read_bytes(), name
    manifest = json.loads((tmp_path / "ray" / "manifest.json").read_text())
    assert [shard["file"] for shard in manifest["shards"]] == names[1:]
    assert sum(shard["documents"] for shard in manifest["shards"]) == report[1]
    assert np.asarray(open_tokens(tmp_path / "ray")).tobytes() == expected


def test_a_run_goes_on_where_it_was(forty: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    def stop(counters) -> None:
        if counters.bytes_done > 1_500_000:
            raise StoppedError

    output = tmp_path / "tokens"
    with pytest.raises(StoppedError):
        tokenizer.encode_files(forty / "*.txt", output, engine=Ray(piece_bytes=PIECE), progress=stop)
    finished = {path.name: path.stat().st_mtime_ns for path in output.glob("*/*.json")}
    assert len(finished) >= 4
    assert not (output / "manifest.json").exists()
    shards = {f"shard-{name[:6]}.npy" for name in finished}
    times = {name: (output / name).stat().st_mtime_ns for name in shards}
    with pytest.raises(FileExistsError, match="another tokenizer, other options"):
        tokenizer.encode_files(forty / "*.txt", output, end_of_text=END, engine=Ray(piece_bytes=PIECE))
    report = tokenizer.encode_files(forty / "*.txt", output, engine=Ray(piece_bytes=PIECE))
    assert times == {name: (output / name).stat().st_mtime_ns for name in shards}
    assert (joined(output), report[:4]) == one_file(tokenizer, forty / "*.txt", tmp_path / "one.npy")
    assert {path.name.partition("-")[0] for path in output.iterdir()} == {"shard", "manifest.json"}


def test_a_byte_that_is_not_utf8_stops_the_run(forty: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    for path in forty.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    bad = tmp_path / "17.txt"
    content = bytearray(bad.read_bytes())
    content[90_001] = 0xFF
    bad.write_bytes(content)
    # Pieces smaller than a file: the byte lies in one that begins in the middle.
    engine = Ray(piece_bytes=40_000)
    with pytest.raises(InvalidUtf8Error, match=r"17\.txt: invalid UTF-8 at byte 90001 \(0xff\)") as caught:
        Tokenizer.train(tmp_path / "*.txt", 2000, [END], engine=engine)
    assert (caught.value.path, caught.value.offset, caught.value.byte) == (str(bad), 90_001, 0xFF)
    assert any("in a task on node" in note and "17.txt" in note for note in caught.value.__notes__)
    with pytest.raises(InvalidUtf8Error, match=r"17\.txt: invalid UTF-8 at byte 90001 \(0xff\)"):
        tokenizer.encode_files(tmp_path / "*.txt", tmp_path / "tokens", engine=engine)
    assert not (tmp_path / "tokens" / "manifest.json").exists()


def test_rare_words_are_left_out_and_told(forty: Path) -> None:
    exact = WordCounts.from_files(forty / "*.txt", special_tokens=[END])
    kept = {word: count for word, count in exact.items() if count >= 5}
    for engine in (Ray(piece_bytes=PIECE), None):
        with pytest.warns(WordsLeftOut, match="words that occur less than 5 times") as caught:
            counts = WordCounts.from_files(forty / "*.txt", special_tokens=[END], min_count=5, engine=engine)
        assert dict(counts.items()) == kept
        told = caught[0].message
        assert isinstance(told, WordsLeftOut)
        assert told.words == len(exact) - len(kept)
        assert told.occurrences == exact.total - sum(kept.values())


def test_what_a_cluster_cannot_do_is_refused(forty: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"one\.npy: a cluster writes a folder of shards"):
        tokenizer.encode_files(forty / "00.txt", tmp_path / "one.npy", engine=Ray())
    with pytest.raises(ArgumentError, match="standard input"):
        WordCounts.from_files("-", engine=Ray())
    with pytest.raises(FileNotFoundError, match=r"absent\.txt"):
        WordCounts.from_files(tmp_path / "absent.txt", engine=Ray())
    with pytest.raises(ArgumentError, match="piece_bytes 0 is not positive"):
        Ray(piece_bytes=0)
    assert issubclass(ClusterError, RuntimeError)
