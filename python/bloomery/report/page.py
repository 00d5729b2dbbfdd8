"""A page of results: what it is made of, and how it is written to a folder that needs nothing else to be read."""

import base64
import csv
import io
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bloomery.report.render import render

REPORT, RESULTS, COMMANDS = "report.html", "results.json", "commands.sh"

Format = str | Callable[[Any], str]
"""How a column is written: a format specification such as ``,.3f``, or a function."""


@dataclass(frozen=True)
class Text:
    """A paragraph. What stands between backticks is set as code."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Listing:
    """Lines as they were typed and printed."""

    text: str
    kind: str = "listing"


@dataclass(frozen=True)
class Figure:
    """A picture, which is also written as `{name}.png`."""

    name: str
    drawing: Any
    """A matplotlib figure."""
    caption: str
    """What is to be seen, for those who see it and for those who do not."""
    kind: str = "figure"

    def png(self) -> bytes:
        """The picture."""
        buffer = io.BytesIO()
        self.drawing.savefig(buffer, format="png")
        return buffer.getvalue()


@dataclass(frozen=True)
class Table:
    """Rows of values, which are also written as `{name}.csv`, unformatted."""

    name: str
    columns: Mapping[str, Format]
    """Headings, and how the values below are written on the page."""
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    kind: str = "table"

    @property
    def numeric(self) -> list[bool]:
        """Of each column, whether it holds numbers, which are set to the right."""
        return [all(_is_number(row[index]) for row in self.rows) for index in range(len(self.columns))]

    @property
    def cells(self) -> list[list[str]]:
        """The values as the page shows them."""
        return [
            [_spell(value, spec) for value, spec in zip(row, self.columns.values(), strict=True)] for row in self.rows
        ]


@dataclass(frozen=True)
class Tokens:
    """A text as several tokenizers split it, a line each: every token on a ground of its own."""

    lines: Sequence[tuple[str, Sequence[str]]]
    """The tokenizer's name and the tokens, as people read them."""
    caption: str = ""
    kind: str = "tokens"


Block = Text | Listing | Figure | Table | Tokens


@dataclass(frozen=True)
class Section:
    """Blocks under a heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a study found, from the question to the numbers."""

    title: str
    question: str
    answer: Sequence[str]
    """Sentences, each made from the results."""
    setting: Sequence[str]
    """What was done, on what, how large."""
    sections: Sequence[Section]
    results: Mapping[str, Any]
    """Every number behind the page, as JSON can hold it."""
    commands: Sequence[Sequence[str]] = field(default=())
    """The command lines that made it and its runs, word by word."""

    @property
    def blocks(self) -> list[Block]:
        """Of all sections."""
        return [block for section in self.sections for block in section.blocks]


def write_page(page: Page, folder: Path) -> Path:
    """Writes `report.html` and the same as files: PNG, CSV, JSON and the commands.

    Returns:
        The page.

    Raises:
        OSError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, str] = {}
    for block in page.blocks:
        if isinstance(block, Figure):
            png = block.png()
            _write(folder / f"{block.name}.png", png)
            pictures[block.name] = base64.b64encode(png).decode("ascii")
        elif isinstance(block, Table):
            _write(folder / f"{block.name}.csv", _csv(block).encode())
    results = json.dumps(page.results, indent=2, ensure_ascii=False) + "\n"
    _write(folder / RESULTS, results.encode("utf-8", "backslashreplace"))
    commands = [shlex.join(command) for command in page.commands]
    _write(folder / COMMANDS, "".join(f"{line}\n" for line in commands).encode())
    html = render("page.html", page=page, pictures=pictures, commands=commands)
    # Last of all: where there is a page, there is the rest.
    _write(folder / REPORT, html.encode("utf-8", "backslashreplace"))
    return folder / REPORT


def _spell(value: Any, spec: Format) -> str:
    if value is None:
        return "–"
    return spec(value) if callable(spec) else format(value, spec)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _csv(table: Table) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
