"""A large file of JSON lines is cut between lines: the merges and the ids are those of one process."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from bloomery import Tokenizer, WordCounts
from bloomery.errors import InputError
from bloomery.tokenizer.engine import Local

pytest.importorskip("ray", reason="ray is not installed: pip install 'bloomery[ray]'")

from bloomery.cluster import Ray

END = "<|endoftext|>"
PIECE = 100_000

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module")
def lines(forty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A megabyte: lines longer than a piece, CRLF and blank lines among them, and no newline at the end."""
    texts = "".join(path.read_text(encoding="utf-8") for path in sorted(forty.glob("0*.txt"))).split(END)
    draw = random.Random(8)
    rows = [json.dumps({"id": number, "text": text}, ensure_ascii=number % 2 == 0) for number, text in enumerate(texts)]
    for place, size in ((3, 260_000), (150, 110_000), (151, 110_000)):
        rows[place] = json.dumps({"text": "long words " * (size // 11)})
    path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    content = "".join(row + draw.choice(["\n", "\r\n", "\n\n", "\n \r\n"]) for row in rows)
    path.write_text(content + '{"text": "the last"}', encoding="utf-8", newline="")
    return path


def test_counts_and_merges(lines: Path) -> None:
    counts = WordCounts.from_files(lines, engine=Ray(piece_bytes=PIECE))
    assert counts == WordCounts.from_files(lines)
    # A regex that does not say where a text could be cut.
    pattern = r"\S+|\s+"
    expected = Tokenizer.train(lines, 1000, [END], pattern=pattern)
    assert Tokenizer.train(lines, 1000, [END], pattern=pattern, engine=Ray(piece_bytes=PIECE)) == expected


@pytest.mark.parametrize("end_of_text", (None, END))
def test_shards(lines: Path, forty: Path, tokenizer: Tokenizer, tmp_path: Path, end_of_text: str | None) -> None:
    # Between texts that are cut too, so that shards hold parts of both.
    inputs = [forty / "38.txt", lines, forty / "39.txt"]
    expected = tokenizer.encode_files(inputs, tmp_path / "one.npy", end_of_text=end_of_text)
    made = tokenizer.encode_files(inputs, tmp_path / "ray", end_of_text=end_of_text, engine=Ray(piece_bytes=PIECE))
    shards = sorted((tmp_path / "ray").glob("shard-*.npy"))
    assert len(shards) > 10
    assert np.array_equal(np.concatenate([np.load(shard) for shard in shards]), np.load(tmp_path / "one.npy"))
    assert made[:4] == expected[:4]
    tokenizer.encode_files(inputs, tmp_path / "local", end_of_text=end_of_text, engine=Local(PIECE))
    for path in (tmp_path / "ray").iterdir():
        assert path.read_bytes() == (tmp_path / "local" / path.name).read_bytes(), path.name


def test_an_error_names_file_and_line(lines: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    shutil.copy(lines, bad)
    content = bad.read_bytes()
    row = content.rindex(b'{"id"')
    bad.write_bytes(content[:row] + b'{"text": 5}\n' + content[row:])
    number = content[:row].count(b"\n") + 1
    engine = Ray(piece_bytes=PIECE)
    message = rf'bad\.jsonl, line {number}: field "text" holds a number, not a string'
    with pytest.raises(InputError, match=message) as caught:
        WordCounts.from_files(bad, engine=engine)
    assert (caught.value.path, caught.value.line, caught.value.offset) == (str(bad), number, None)
    with pytest.raises(InputError, match=message):
        tokenizer.encode_files(bad, tmp_path / "tokens", engine=engine)
    assert not (tmp_path / "tokens" / "manifest.json").exists()
