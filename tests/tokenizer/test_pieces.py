"""Inputs in pieces: where they are cut, and what stays whole."""

import itertools
import random
from pathlib import Path

import pytest

from bloomery.tokenizer import pieces
from bloomery.tokenizer.work import Counting

COUNTING = Counting("gpt2", ("<|endoftext|>",), "strict", "text", "text", 1, None, 1)


def ranges(path: Path, piece_bytes: int, counting: Counting = COUNTING) -> list[tuple[int, int]]:
    """Start and end of what is read for each piece of a file, without pieces for which there is nothing."""
    cutter = counting.cutter()
    work = pieces.plan([str(path)], piece_bytes, cutter)
    with pieces.held(work, cutter) as sources:
        return [(start, end) for _, _, _, start, end, _ in sources]


def test_json_lines_are_cut_between_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # So that lines are longer than what is read at first, too.
    monkeypatch.setattr(pieces, "_WINDOW", 4)
    draw = random.Random(8)
    for number in range(200):
        path = tmp_path / f"{number}.jsonl"
        rows = ["x" * draw.choice([0, 1, 5, 60]) + draw.choice(["\n", "\r\n"]) for _ in range(draw.randint(0, 30))]
        content = ("".join(rows) + "x" * draw.choice([0, 3])).encode()
        path.write_bytes(content)
        piece_bytes = draw.randint(1, 50)
        found = ranges(path, piece_bytes)
        assert b"".join(content[start:end] for start, end in found) == content
        # A part begins with the last line that begins within the size of a part before its border.
        stretch = pieces.plan([str(path)], piece_bytes, COUNTING.cutter())[0].stretches[0]
        borders = [stretch.border(part) for part in range(stretch.parts)]
        newlines = [content.rfind(b"\n", first, border) for first, border in itertools.pairwise(borders)]
        assert [start for start, _ in found] == [0, *(newline + 1 for newline in newlines if newline >= 0)]


@pytest.mark.parametrize(
    ("name", "parts"),
    (
        ("a.jsonl", 4),
        ("a.NDJSON", 4),
        ("a.txt", 4),
        (".jsonl", 4),
        ("a.jsonl.gz", 1),
        ("a.jsonl.ZST", 1),
        ("a.txt.gz", 1),
        ("a.parquet", 1),
    ),
)
def test_what_is_compressed_or_has_columns_stays_whole(name: str, parts: int, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"some words\n" * 100)
    assert len(pieces.plan([str(path)], 300, COUNTING.cutter())) == parts


def test_a_regex_cuts_no_text_but_lines(tmp_path: Path) -> None:
    counting = Counting(r"\S+|\s+", (), "strict", "text", "text", 1, None, 1)
    for name, parts in (("a.txt", 1), ("a.jsonl", 4)):
        path = tmp_path / name
        path.write_bytes(b"some words\n" * 100)
        assert len(ranges(path, 300, counting)) == parts
