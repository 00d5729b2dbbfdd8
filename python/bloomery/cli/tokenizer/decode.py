"""`bloomery tokenizer decode`: from token ids to text on standard output."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bloomery.cli import arguments, output

Ids = np.ndarray[tuple[int, ...], np.dtype[np.integer[Any]]]

# Ids decoded at a time: large enough to be fast, small enough for a file of any size.
_STEP = 1 << 18


def add_parser(subcommands: arguments.Subcommands) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "decode",
        help="print token ids as text",
        description="Decode token ids to text on standard output. Bytes that are not UTF-8 become U+FFFD.",
    )
    parser.add_argument(
        "ids",
        nargs="*",
        metavar="IDS",
        help="one .npy file of ids, or numbers; without any, or as -, numbers are read from standard input",
    )
    arguments.add_tokenizer(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Decodes a part at a time; a character may span two parts."""
    tokenizer = arguments.load_tokenizer(args.tokenizer, args.pattern, args.special_tokens)
    decoder = tokenizer.stream_decoder()
    texts: list[str] = []
    tokens = 0
    write = texts.append if args.json else sys.stdout.write
    for part in _parts(args.ids):
        write(decoder.feed(part))
        tokens += len(part)
    write(decoder.finish())
    if args.json:
        output.print_json({"text": "".join(texts), "tokens": tokens})


def _parts(ids: list[str]) -> Iterator[Sequence[int] | Ids]:
    if len(ids) == 1 and ids[0].endswith(".npy"):
        array = _open(Path(ids[0]))
        for start in range(0, len(array), _STEP):
            yield array[start : start + _STEP]
    elif ids in ([], ["-"]):
        for line in sys.stdin:
            yield [_number(word) for word in line.split()]
    else:
        yield [_number(word) for word in ids]


def _open(path: Path) -> Ids:
    try:
        array: Ids = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError) as error:
        raise arguments.UsageError(f"{path}: not a .npy file of token ids ({error})") from error
    if array.ndim != 1 or array.dtype.kind not in "ui":
        raise arguments.UsageError(f"{path}: token ids are integers in one dimension, not {array.dtype}{array.shape}")
    return array


def _number(word: str) -> int:
    if not (word.isascii() and word.isdecimal()):
        raise arguments.UsageError(f"{word!r} is not a token id: give numbers, or one .npy file")
    return int(word)
