"""What inputs may be named, and what is said about files that cannot be read as text."""

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from bloomery import WordCounts
from bloomery.errors import ArgumentError, InputError, InvalidUtf8Error
from bloomery.tokenizer.inputs import expand


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.txt", "c.md", "[x].txt", "deep/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def words(path: object, **options: str) -> dict[bytes, int]:
    return dict(WordCounts.from_files(path, **options).items())  # type: ignore[arg-type]


def test_paths_and_patterns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(folder)
    assert expand(f"{root}/c.md") == expand(folder / "c.md") == [f"{root}/c.md"]
    assert expand(f"{root}/?.txt") == [f"{root}/a.txt", f"{root}/b.txt"]
    assert expand([folder / "c.md", f"{root}/?.txt", "-"]) == [f"{root}/c.md", f"{root}/a.txt", f"{root}/b.txt", "-"]
    assert expand(folder / "**" / "d*") == [f"{root}/deep/d.txt"]
    # A file of that very name is meant, not a pattern.
    assert expand(f"{root}/[x].txt") == [f"{root}/[x].txt"]
    monkeypatch.setenv("HOME", root)
    assert expand("~/a.txt") == [f"{root}/a.txt"]
    assert expand(["~/*.md"]) == [f"{root}/c.md"]


def test_folders_do_not_match_patterns(folder: Path) -> None:
    assert f"{folder}/deep" not in expand(f"{folder}/*")
    with pytest.raises(FileNotFoundError):
        expand(f"{folder}/dee*")


def test_nothing_to_read(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file matches this pattern") as caught:
        expand([f"{folder}/a.txt", f"{folder}/*.parquet"])
    assert caught.value.filename == f"{folder}/*.parquet"
    with pytest.raises(ArgumentError, match="no inputs: give a path"):
        expand([])
    with pytest.raises(ArgumentError, match=r"standard input .* only once"):
        expand(["-", "-"])
    with pytest.raises(TypeError):
        expand([b"a.txt"])  # type: ignore[list-item]


def test_every_kind_of_file(tmp_path: Path) -> None:
    text = "a b\nb\n"
    lines = "".join(json.dumps({"text": row, "body": "x"}) + "\n" for row in (text, "", "b"))
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text[:3].encode()) + gzip.compress(text[3:].encode()))
    (tmp_path / "a.txt.zst").write_bytes(zstandard.compress(text.encode()))
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    table = pa.table({"text": [text, None, "b"], "id": [1, 2, 3]})
    pq.write_table(table, tmp_path / "a.parquet")
    once = {b"a": 1, b" b": 1, b"\n": 2, b"b": 1}
    for name in ("a.txt", "a.txt.gz", "a.txt.zst"):
        assert words(tmp_path / name) == once
    for name in ("a.jsonl", "a.jsonl.gz", "a.parquet"):
        assert words(tmp_path / name) == once | {b"b": 2}
    assert words(tmp_path / "a.jsonl", field="body") == {b"x": 3}
    assert words([tmp_path / "a.txt", tmp_path / "a.txt.gz"]) == {word: 2 * count for word, count in once.items()}


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "missing.txt"
    with pytest.raises(FileNotFoundError) as caught:
        words(path)
    assert (caught.value.filename, caught.value.errno) == (str(path), 2)
    with pytest.raises(InputError, match=r"is a folder; give the files in it, or a pattern such as"):
        words(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(folder: Path) -> None:
    (folder / "a.txt").chmod(0)
    with pytest.raises(PermissionError) as caught:
        words(folder / "a.txt")
    assert caught.value.filename == str(folder / "a.txt")


def test_invalid_utf8(tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(b"caf\xc3\xa9 \xff bad")
    with pytest.raises(
        InvalidUtf8Error, match=r"bad\.txt: invalid UTF-8 at byte 6 \(0xff\).*errors=\"replace\""
    ) as caught:
        words(path)
    assert (caught.value.path, caught.value.offset, caught.value.byte) == (str(path), 6, 0xFF)
    assert words(path, errors="replace") == {"café".encode(): 1, " \ufffd".encode(): 1, b" bad": 1}
    assert words(path, errors="ignore") == {"café".encode(): 1, b" ": 1, b" bad": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    (
        ('{"text": "a"', r"bad\.jsonl, line 2: "),
        ('{"body": "a"}', r"bad\.jsonl, line 2: .*text"),
        ('{"text": 5}', r"bad\.jsonl, line 2: .*text"),
        (r'{"text": "\ud800"}', r"bad\.jsonl, line 2: "),
    ),
)
def test_bad_json_lines(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "fine"}\n' + line + "\n")
    with pytest.raises(InputError, match=message) as caught:
        words(path)
    assert (caught.value.path, caught.value.line) == (str(path), 2)


def test_bad_parquet(tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    pq.write_table(pa.table({"body": ["a"], "id": [1]}), path)
    with pytest.raises(InputError, match=r"bad\.parquet: .*text.*body") as caught:
        words(path)
    assert caught.value.path == str(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"bad\.parquet"):
        words(path)


@pytest.mark.parametrize("name", ("cut.txt.gz", "cut.txt.zst"))
def test_truncated_compression(tmp_path: Path, name: str) -> None:
    data = bytes(range(97, 123)) * 100
    path = tmp_path / name
    path.write_bytes((gzip.compress if name.endswith("gz") else zstandard.compress)(data)[:-5])
    with pytest.raises((InputError, OSError), match=name):
        words(path)
