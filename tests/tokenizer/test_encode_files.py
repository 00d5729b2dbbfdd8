"""Files of text to a file of ids: what is written equals what `encode` gives."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bloomery import EncodeReport, Tokenizer
from bloomery.errors import ArgumentError, SpecialTokenError, TokenIdError

END = "<|endoftext|>"
EOT = 398


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "ids.npy"


@pytest.fixture
def rows_file(tmp_path: Path, prose: str) -> Path:
    path = tmp_path / "rows.jsonl"
    rows = (prose, "", f"text {END} smuggled")
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    return path


def test_a_text_file(tokenizer: Tokenizer, text_file: Path, output: Path) -> None:
    report = tokenizer.encode_files(text_file, output)
    ids = np.load(output, mmap_mode="r")
    expected = tokenizer.encode(text_file.read_text(encoding="utf-8"))
    assert (ids.dtype, ids.ndim, ids.tolist()) == (np.uint16, 1, expected)
    assert isinstance(report, EncodeReport)
    assert report[:4] == (len(expected), 3, text_file.stat().st_size, "uint16")
    assert report.seconds > 0


def test_a_large_file_on_any_number_of_threads(tokenizer: Tokenizer, prose: str, tmp_path: Path, output: Path) -> None:
    text = (prose * 7 + END) * 4000
    path = tmp_path / "large.txt.gz"
    path.write_bytes(gzip.compress(text.encode(), 1))
    expected = tokenizer.encode_array(text)
    for threads in (1, 2, 7):
        report = tokenizer.encode_files(path, output, num_threads=threads)
        assert np.array_equal(np.load(output), expected)
        assert (report.documents, report.bytes) == (4000, len(text.encode()))


def test_rows_are_encoded_ordinarily_unless_told_otherwise(tokenizer: Tokenizer, rows_file: Path, output: Path) -> None:
    rows = [json.loads(line)["text"] for line in rows_file.read_text().splitlines()]
    report = tokenizer.encode_files(rows_file, output)
    assert report.documents == 3
    assert np.load(output).tolist() == [token_id for row in rows for token_id in tokenizer.encode_ordinary(row)]
    assert EOT not in np.load(output)
    for allowed in ("all", [END]):
        tokenizer.encode_files(rows_file, output, allowed_special=allowed)
        assert np.load(output).tolist() == [token_id for row in rows for token_id in tokenizer.encode(row)]


def test_documents_are_closed_on_request(tokenizer: Tokenizer, rows_file: Path, text_file: Path, output: Path) -> None:
    rows = [json.loads(line)["text"] for line in rows_file.read_text().splitlines()]
    expected = [token_id for row in rows for token_id in [*tokenizer.encode_ordinary(row), EOT]]
    for end_of_text in (END, EOT, np.int64(EOT)):
        tokenizer.encode_files(rows_file, output, end_of_text=end_of_text)
        assert np.load(output).tolist() == expected

    # A text file's documents end at its special tokens; only what follows the last one lacks an end.
    text = text_file.read_text(encoding="utf-8")
    tokenizer.encode_files(text_file, output, end_of_text=END)
    assert np.load(output).tolist() == tokenizer.encode(text)
    text_file.write_text(text + "more", encoding="utf-8")
    assert tokenizer.encode_files(text_file, output, end_of_text=END).documents == 4
    assert np.load(output).tolist() == tokenizer.encode(text + "more" + END)


def test_several_inputs_in_order(tokenizer: Tokenizer, rows_file: Path, text_file: Path, output: Path) -> None:
    parts = []
    for path in (text_file, rows_file):
        tokenizer.encode_files(path, output)
        parts += np.load(output).tolist()
    tokenizer.encode_files([text_file, rows_file], output)
    assert np.load(output).tolist() == parts
    table = pa.table({"body": ["it was", None, "the best"]})
    pq.write_table(table, rows_file.parent / "rows.parquet")
    report = tokenizer.encode_files(rows_file.parent / "*.parquet", output, column="body")
    assert report.documents == 2
    assert np.load(output).tolist() == tokenizer.encode("it was") + tokenizer.encode("the best")


def test_types_of_ids(tokenizer: Tokenizer, text_file: Path, output: Path) -> None:
    expected = tokenizer.encode(text_file.read_text(encoding="utf-8"))
    assert tokenizer.encode_files(text_file, output, dtype="uint32").dtype == "uint32"
    assert (np.load(output).dtype, np.load(output).tolist()) == (np.uint32, expected)
    large = Tokenizer({**tokenizer.vocab, 70_000: b"<large>"}, tokenizer.merges)
    assert large.encode_files(text_file, output).dtype == "uint32"
    with pytest.raises(ArgumentError, match="a vocabulary of 70001 do not fit uint16; use uint32"):
        large.encode_files(text_file, output, dtype="uint16")
    with pytest.raises(ValueError, match='dtype must be "uint16" or "uint32", not "int64"'):
        tokenizer.encode_files(text_file, output, dtype="int64")


def test_nothing_to_encode(tokenizer: Tokenizer, tmp_path: Path, output: Path) -> None:
    (tmp_path / "empty.txt").touch()
    report = tokenizer.encode_files(tmp_path / "empty.txt", output, end_of_text=END)
    assert report[:3] == (0, 0, 0)
    assert np.load(output).shape == (0,)


def test_the_end_of_text_must_be_a_token(tokenizer: Tokenizer, text_file: Path, output: Path) -> None:
    for bad in ("<|eot|>", "it"):
        with pytest.raises(SpecialTokenError, match="not one of this tokenizer's special tokens") as caught:
            tokenizer.encode_files(text_file, output, end_of_text=bad)
        assert caught.value.token == bad
    for unknown in (400, -1):
        with pytest.raises(TokenIdError, match=f"token id {unknown} "):
            tokenizer.encode_files(text_file, output, end_of_text=unknown)
    assert not output.exists()


def test_progress_is_reported(
    tokenizer: Tokenizer, text_file: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    report = tokenizer.encode_files(text_file, output, progress=seen.append)
    assert (seen[-1].tokens, seen[-1].bytes_done) == (report.tokens, text_file.stat().st_size)
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    tokenizer.encode_files(text_file, output)
    tokenizer.encode_files(text_file, output, progress=False)
    assert stderr.getvalue() == ""
