"""`bloomery demo`: from raw text to a model's writing, offline, in about two minutes."""

import argparse
import sys
import time
from pathlib import Path

from bloomery.cli import arguments, runs
from bloomery.cli.train import Bar, announce
from bloomery.units import human_seconds

_FOLDER = Path("runs/demo")
_STAGES = 5


def add_parser(subcommands: arguments.Subcommands) -> None:
    """Adds the command."""
    parser = subcommands.add_parser(
        "demo",
        help="from raw text to a model's writing, in about two minutes",
        description="Train a tokenizer and a small model on the sources of the Python standard library, draw the loss "
        "and write samples; offline, in about two minutes on two processor cores. Each stage names the command that "
        "does it with your own data. Run again, it starts anew in the same folder.",
    )
    parser.add_argument(
        "--folder", type=Path, default=_FOLDER, metavar="DIR", help=f"folder for what is made (default: {_FOLDER})"
    )
    parser.add_argument(
        "--steps", type=arguments.positive, metavar="N", help="steps of training (default: about a minute of them)"
    )
    arguments.add_progress(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Does stage after stage, and says of each what it did."""
    with runs.needing_torch():
        from bloomery.experiments.demo import STEPS, Demo  # noqa: PLC0415 - torch takes seconds to import

    start = time.perf_counter()
    with Bar() as bar:
        demo = Demo(
            folder=args.folder, steps=args.steps or STEPS, progress=args.progress, watcher=bar, announce=announce
        )
        if demo.clear():
            print(f"{args.folder} holds an earlier demo: starting anew in its place", file=sys.stderr)
        for number, stage in enumerate(demo.run(), 1):
            bar.close()
            print(f"{number}/{_STAGES} {stage.name}: {stage.did}, in {human_seconds(stage.seconds)}")
            print(f"    yours: {stage.command}", flush=True)
            for sample in stage.samples:
                print(f"\n{sample}")
    print(f"\nall in {human_seconds(time.perf_counter() - start)}, in {args.folder}; more of its writing:")
    print(f"  bloomery generate {args.folder} --prompt 'def '")
