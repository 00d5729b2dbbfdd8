"""`bloomery study NAME [CORPUS ...]`: a question of the course, answered on the user's own data."""

import argparse
import sys
import textwrap
import time
from pathlib import Path

from bloomery.cli import arguments, runs
from bloomery.experiments import STUDIES, run_study
from bloomery.experiments.study.desk import Settings
from bloomery.units import human_seconds

_FOLDER = Path("studies")
_ALL = "all"


def add_parser(subcommands: arguments.Subcommands) -> None:
    """Adds the command."""
    parser = subcommands.add_parser(
        "study",
        help="answer a question of the course, with pictures",
        # Wrapped here, for the sake of the list below, which has lines of its own.
        description=textwrap.fill(
            "Run a study and write a page about it: report.html, with PNGs, CSV, JSON and the commands. Interrupted, "
            "it goes on when it is run again; what is finished is not repeated. Studies that train take the best "
            "learning rate that learning-rate found, where it was run before.",
            79,
        ),
        epilog="\n".join(["studies:", *(f"  {name:14} {about}" for name, about in STUDIES.items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=(*STUDIES, _ALL), metavar="NAME", help="a study (below), or all of them")
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="CORPUS",
        help="text to study, a file or glob pattern for each corpus; a study that trains models on one takes the first "
        "(default: Python's own library and manual)",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--minutes",
        type=_minutes,
        default=5.0,
        metavar="N",
        help="fit models and steps into so much time on this machine, about (default: 5)",
    )
    size.add_argument(
        "--scale", choices=("full",), help="the course's own size, however long that takes (on a GPU: hours)"
    )
    parser.add_argument(
        "--vocab-sizes",
        nargs="+",
        type=arguments.positive,
        default=Settings().vocab_sizes,
        metavar="N",
        help="of the tokenizers in unicode, bpe and tokenizers, corpus by corpus; the last one is for the rest "
        "(default: 10000 32000)",
    )
    parser.add_argument("--run", metavar="RUN", dest="trained", help="generate: sample from this run; train none")
    parser.add_argument(
        "--folder",
        type=Path,
        default=_FOLDER,
        metavar="DIR",
        help=f"place for the studies' folders, NAME each (default: {_FOLDER})",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Runs the study, with what it does on standard error and where its page is on standard output."""
    settings = Settings(
        inputs=tuple(args.inputs),
        minutes=None if args.scale else args.minutes,
        vocab_sizes=tuple(args.vocab_sizes),
        run=args.trained,
    )
    if args.trained is not None and args.name != "generate":
        raise arguments.UsageError(f"--run is for generate; {args.name} trains its own runs")
    names = list(STUDIES) if args.name == _ALL else [args.name]
    if args.name == _ALL and len(args.inputs) == 1:
        names.remove("corpora")
        _say("corpora compares two corpora, and one is given: left out")
    for name in names:
        start = time.perf_counter()
        with runs.needing_torch():
            page = run_study(name, args.folder, settings, _say)
        print(f"{name}: {page}, in {human_seconds(time.perf_counter() - start)}", flush=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes: give one above 0")
    return minutes
