"""Which engine does the work of a command on files."""

import argparse
from collections.abc import Generator
from contextlib import contextmanager

from bloomery.cli import arguments, runs
from bloomery.tokenizer.engine import Engine, Local


@contextmanager
def engine(args: argparse.Namespace) -> Generator[Engine]:
    """The engine that `--engine` and `--address` name, for as long as the work takes."""
    if args.engine == "local":
        if args.address is not None:
            raise arguments.UsageError("--address is that of a Ray cluster: add --engine ray")
        yield Local()
        return
    with runs.needing("ray"):
        from bloomery.cluster import Ray  # noqa: PLC0415 - needs ray, which takes seconds to import
    with Ray(args.address) as cluster:
        yield cluster
