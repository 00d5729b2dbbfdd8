"""`bloomery report RUN...`: a page on runs, or a picture of their losses."""

import argparse
from pathlib import Path

from bloomery.cli import arguments, runs

_PICTURES = (".png", ".svg", ".pdf")


def add_parser(subcommands: arguments.Subcommands) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "report",
        help="a page on runs, or a picture of their losses",
        description="Write a page on a run, or on several side by side: losses by steps, tokens and time, "
        "learning rate, gradients, and what differs between them. Or draw the losses as one picture.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PATH",
        help="folder for the page and its files (default: report in the first run), or a picture: .png, .svg or .pdf",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Writes the page, or draws."""
    with runs.needing_torch():
        from bloomery.report.curves import draw_curves  # noqa: PLC0415 - needs matplotlib
        from bloomery.report.page import write_page  # noqa: PLC0415
        from bloomery.report.runs import runs_page  # noqa: PLC0415

    output: Path = args.output or args.runs[0] / "report"
    if output.suffix in _PICTURES:
        draw_curves(args.runs, output)
        print(f"drew {', '.join(map(str, args.runs))} in {output}")
    else:
        print(f"wrote {write_page(runs_page(args.runs), output)}")
