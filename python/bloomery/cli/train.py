"""`bloomery train CONFIG.toml [--resume] [--section.key VALUE ...]`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bloomery.cli.arguments import Subcommands
from bloomery.cli.runs import needing_torch
from bloomery.units import human_seconds

if TYPE_CHECKING:
    from bloomery.train.evaluate import Evaluation


def add_parser(subcommands: Subcommands) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "train",
        help="train a language model",
        description="Train a language model as a TOML file says. Any of its keys can be given as --section.key VALUE.",
    )
    parser.add_argument("config", type=Path, metavar="CONFIG.toml", help="the run; or the folder of one, to resume it")
    parser.add_argument(
        "rest",
        nargs=argparse.REMAINDER,
        metavar="--resume | --section.key VALUE",
        help="--resume goes on from the latest checkpoint; anything else replaces a key of the file",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Trains, with progress on standard error and the result on standard output."""
    with needing_torch():
        from bloomery import train  # noqa: PLC0415 - torch takes seconds to import, and no other command needs it

    words: list[str] = arguments.rest
    resume = "--resume" in words
    overrides = train.parse_overrides([word for word in words if word != "--resume"])
    path: Path = arguments.config
    config = train.load_config(path / "config.toml" if path.is_dir() else path, overrides)
    with Bar() as bar:
        result = train.train(config, resume=resume, watcher=bar, announce=announce)
    print(f"{config.folder}: {result.step:,} steps", end="")
    if result.evaluation is not None:
        print(f", validation loss {result.evaluation.loss:.4f}", end="")
    if result.mfu is not None:
        print(f", MFU {result.mfu:.1%}", end="")
    print(f", {result.tokens_per_second:,.0f} tokens/s, {human_seconds(result.seconds)}")
    if result.stopped_by is not None:
        going_on = f"bloomery train {config.folder} --resume"
        print(f"stopped by {result.stopped_by.name}; go on with: {going_on}", file=sys.stderr)
        raise SystemExit(128 + result.stopped_by)


def announce(line: str) -> None:
    """Says what was chosen."""
    print(line, file=sys.stderr)


class Bar:
    """A progress bar on a terminal; elsewhere a line at each evaluation."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> Self:
        """Nothing is drawn before training starts."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leaves the bar as it stands."""
        self.close()

    def close(self) -> None:
        """Leaves the bar as it stands, below which other lines can follow."""
        if self._bar is not None:
            self._bar.close()

    def started(self, step: int, steps: int) -> None:
        """Draws the bar."""
        from tqdm import tqdm  # noqa: PLC0415 - comes with the extra `train`

        self._bar = tqdm(total=steps, initial=step, unit="step", disable=None, dynamic_ncols=True, mininterval=0.2)

    def stepped(self, step: int, loss: float, tokens_per_second: float, mfu: float | None) -> None:
        """Moves the bar."""
        facts = {"loss": f"{loss:.3f}", "tok/s": f"{tokens_per_second:,.0f}"}
        if mfu is not None:
            facts["MFU"] = f"{mfu:.1%}"
        self._bar.set_postfix(facts, refresh=False)
        self._bar.update(step - self._bar.n)

    def evaluated(self, step: int, evaluation: "Evaluation") -> None:
        """Prints a line."""
        line = f"step {step:,}: validation loss {evaluation.loss:.4f}, perplexity {evaluation.perplexity:,.1f}"
        if evaluation.bits_per_byte is not None:
            line += f", {evaluation.bits_per_byte:.3f} bits per byte"
        self._bar.write(line, file=sys.stderr)
