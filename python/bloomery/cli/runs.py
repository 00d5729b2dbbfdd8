"""What the commands that make or read a run share: which run, which checkpoint, and torch, which only they need."""

import argparse
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bloomery.cli import arguments

if TYPE_CHECKING:
    from bloomery import Tokenizer
    from bloomery.nn import TransformerLM


@contextmanager
def needing_torch() -> Generator[None]:
    """Around imports that need the extra `train`: where it is missing, says what to install."""
    # Threads that wait for one another by spinning stand in the way of those they wait for, as soon as anything else
    # runs on the machine: measured, a step of the demo took nine times as long beside one busy process per core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with needing("train"):
        yield


@contextmanager
def needing(extra: str) -> Generator[None]:
    """Around imports that need an extra: where it is missing, says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise arguments.UsageError(f"this needs {package}: pip install 'bloomery[{extra}]'") from error


def add_run(parser: argparse.ArgumentParser) -> None:
    """Adds the folder of a run and `--checkpoint`."""
    parser.add_argument("folder", type=Path, metavar="RUN", help="folder of the run")
    parser.add_argument(
        "--checkpoint",
        default="latest",
        metavar="latest|best|DIR",
        help="checkpoint of the run: the latest (default), the best by validation loss, or a folder",
    )


def load(args: argparse.Namespace, device: str = "cpu") -> "tuple[TransformerLM, Tokenizer]":
    """Loads the model of a run, and its tokenizer."""
    with needing_torch():
        from bloomery.train import load_model  # noqa: PLC0415 - torch takes seconds to import

    return load_model(args.folder, args.checkpoint, device)
