"""`bloomery report`: the losses of runs as a picture."""

import argparse
from pathlib import Path

from bloomery.cli import arguments, runs


def add_parser(subcommands: arguments.Subcommands) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "report",
        help="draw the losses of runs",
        description="Draw the training and validation losses of a run, or of several in one picture.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--output", type=Path, metavar="PATH", help="picture, .png, .svg or .pdf (default: loss.png in the first run)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Draws."""
    with runs.needing_extra():
        from bloomery.report.curves import draw_curves  # noqa: PLC0415 - needs matplotlib

    picture: Path = args.output or args.runs[0] / "loss.png"
    draw_curves(args.runs, picture)
    print(f"drew {', '.join(map(str, args.runs))} in {picture}")
