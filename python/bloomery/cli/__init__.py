"""The `bloomery` command."""

import os
import sys
from collections.abc import Sequence

import bloomery
from bloomery.cli import account, benchmark, demo, export, fetch, generate, import_, report, study, tokenizer, train
from bloomery.cli.arguments import ArgumentParser, UsageError
from bloomery.errors import BloomeryError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns the exit code: 0, or 2 after one line about what went wrong."""
    arguments = build_parser().parse_args(argv)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (`head`, a pager) has seen enough. What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename is not None else str(error))
    except (BloomeryError, UsageError) as error:
        return _fail(str(error))
    return 0


def build_parser() -> ArgumentParser:
    """The parser of the whole command."""
    parser = ArgumentParser(prog="bloomery", description="Raw text to a language model.")
    parser.add_argument("--version", action="version", version=f"bloomery {bloomery.__version__}")
    subcommands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (demo, tokenizer, fetch, train, report, generate, export, import_, account, benchmark, study):
        module.add_parser(subcommands)
    return parser


def _fail(message: str) -> int:
    print(f"bloomery: error: {' '.join(message.splitlines())}", file=sys.stderr)
    return 2
