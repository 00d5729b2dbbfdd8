"""Arguments that several subcommands share, and what they mean."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from bloomery import Tokenizer
from bloomery.errors import ArgumentError
from bloomery.tokenizer import sizes, storage
from bloomery.tokenizer.embedded import stdlib_sources
from bloomery.units import human_bytes

DEFAULT_TOKENIZER = Path("runs/tokenizer/tokenizer.json")
DEFAULT_TOKENS = Path("runs/tokenizer/tokens.npy")
END_OF_TEXT = "<|endoftext|>"

Subcommands = Any  # argparse does not name the type that add_subparsers returns


class UsageError(Exception):
    """A command line that cannot be carried out."""


class ArgumentParser(argparse.ArgumentParser):
    """argparse's parser, but an error is one line."""

    def error(self, message: str) -> NoReturn:
        """Prints the line and leaves with exit code 2."""
        self.exit(2, f"bloomery: error: {message} (see `{self.prog} --help`)\n")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds `--json`."""
    parser.add_argument("--json", action="store_true", help="print the facts as one JSON object")


def add_progress(parser: argparse.ArgumentParser) -> None:
    """Adds `--progress` and `--no-progress`."""
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="show progress on standard error (default: only on a terminal)",
    )


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Adds how input files are read: `--errors`, `--field`, `--column`, `--threads`."""
    parser.add_argument(
        "--errors",
        choices=("strict", "replace", "ignore"),
        default="strict",
        help="what to do with bytes that are not UTF-8 (default: strict, which stops and says where)",
    )
    parser.add_argument("--field", default="text", help="field of JSON lines that holds the text (default: text)")
    parser.add_argument("--column", default="text", help="column of Parquet files that holds the text (default: text)")
    parser.add_argument("--threads", type=positive, metavar="N", help="threads to use (default: one a processor)")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Adds what does the work: `--engine`, `--address`."""
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="what does the work: this process (default), or a Ray cluster, with the same result",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of the Ray cluster, or auto for that of this machine (default: RAY_ADDRESS, else Ray starts here)",
    )


def add_loading(parser: argparse.ArgumentParser) -> None:
    """Adds what some tokenizer files lack: `--pattern`, `--special-token`."""
    parser.add_argument(
        "--pattern",
        metavar="SCHEME|REGEX",
        help="pre-tokenization of a tokenizer file that carries none: gpt2, cl100k, o200k, qwen or a regex",
    )
    parser.add_argument(
        "--special-token",
        action="append",
        dest="special_tokens",
        metavar="TOKEN",
        help="special token of a tokenizer file that carries none; may be repeated",
    )


def add_tokenizer(parser: argparse.ArgumentParser) -> None:
    """Adds `--tokenizer`, with what some of its files lack."""
    parser.add_argument(
        "--tokenizer",
        type=location,
        default=DEFAULT_TOKENIZER,
        metavar="PATH",
        help=f"tokenizer.json, .tiktoken, or a folder with vocab.json and merges.txt (default: {DEFAULT_TOKENIZER})",
    )
    add_loading(parser)


def load_tokenizer(
    path: Path | str, pattern: str | None = None, special_tokens: Sequence[str] | None = None
) -> Tokenizer:
    """Loads a tokenizer; where the default one is missing, says how to make it."""
    if path == DEFAULT_TOKENIZER and not DEFAULT_TOKENIZER.exists():
        raise UsageError(
            f"{path} does not exist: train it first (`bloomery tokenizer train`), or name another tokenizer"
        )
    return Tokenizer.load(path, pattern=pattern, special_tokens=special_tokens)


def naming(path: Path | str, tokenizer: Tokenizer) -> str:
    """What a command line must say to load this tokenizer from the path: the path, and what its format cannot hold."""
    options = [str(path)]
    if Path(path).suffix != ".json":
        options += ["--pattern", tokenizer.pattern]
        options += [option for token in tokenizer.special_tokens for option in ("--special-token", token)]
    return shlex.join(options)


def inputs_or_embedded(inputs: Sequence[str]) -> Sequence[str | Path]:
    """The inputs given or, where none are, the embedded corpus; what that is goes to standard error."""
    if inputs:
        return inputs
    corpus = stdlib_sources()
    print(
        f"no inputs given: the Python standard library's sources in {corpus.folder} "
        f"({len(corpus.files):,} files, {human_bytes(corpus.bytes)}; left out: site-packages, and "
        f"{len(corpus.not_utf8)} not in UTF-8)",
        file=sys.stderr,
    )
    return corpus.files


def location(text: str) -> Path | str:
    """A path of this machine, or a URL."""
    return text if storage.is_url(storage.local(text)) else Path(storage.local(text))


def make_room(output: Path | str) -> None:
    """Makes the folder of an output."""
    if isinstance(output, Path):
        output.parent.mkdir(parents=True, exist_ok=True)


def byte_size(text: str) -> int:
    """A size such as `825GB`, `1.5 TB` or `300000` in bytes; units are decimal (`GiB` and the like binary)."""
    try:
        return sizes.byte_size(text)
    except ArgumentError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: write it as 825GB, 1.5TB or 300000") from error


def positive(text: str) -> int:
    """A number from 1 on."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)
