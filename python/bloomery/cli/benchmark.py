"""`bloomery benchmark step [--steps N] [--json] CONFIG.toml [--section.key VALUE ...]`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bloomery.cli.arguments import Subcommands, add_json, positive
from bloomery.cli.output import print_facts, print_json, print_table
from bloomery.cli.runs import needing_torch
from bloomery.units import human_bytes, human_seconds

if TYPE_CHECKING:
    from bloomery.train import StepBenchmark

_NAME_WIDTH = 90


def add_parser(subcommands: Subcommands) -> None:
    """Adds the subcommand."""
    group = subcommands.add_parser("benchmark", help="measure this machine", description="Measure this machine.")
    commands = group.add_subparsers(metavar="WHAT", required=True)
    parser = commands.add_parser(
        "step",
        help="measure a training step",
        description="Measure a run's training step on random token ids: tokens per second, MFU, memory, and the ten "
        "largest kernels. The run's data is not needed. Any key of the file can be given as --section.key VALUE.",
    )
    parser.add_argument("--steps", type=positive, default=20, metavar="N", help="steps to time (default: 20)")
    add_json(parser)
    parser.add_argument("config", type=Path, metavar="CONFIG.toml", help="the run")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="--section.key VALUE", help="replaces a key")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measures and prints."""
    with needing_torch():
        from bloomery import train  # noqa: PLC0415 - torch takes seconds to import

    overrides = train.parse_overrides(args.rest)
    try:
        config = train.load_config(args.config, overrides)
    except FileNotFoundError:
        # Without the tokenizer the vocabulary is as large as the file, or its default, says.
        config = train.RunConfig.load(args.config, overrides)
    found = train.benchmark_step(config, args.steps)
    if found is None:
        return
    if args.json:
        print_json(found.to_dict())
    else:
        _print(found)


def _print(found: "StepBenchmark") -> None:
    print_facts(
        (
            ("device", found.device),
            ("model", f"{found.parameters:,} parameters, a vocabulary of {found.vocab_size:,}"),
            ("step", f"{human_seconds(found.step_seconds)} for {found.tokens_per_step:,} tokens"),
            ("tokens/s", f"{found.tokens_per_second:,.0f}"),
            (
                "FLOP/s",
                f"{found.flops_per_second / 1e12:,.3g} T" + ("" if found.mfu is None else f", MFU {found.mfu:.1%}"),
            ),
            ("peak memory", "unknown" if found.peak_memory is None else human_bytes(found.peak_memory)),
            ("warm-up", human_seconds(found.warm_up_seconds)),
        )
    )
    print()
    rows = [
        (kernel.name[:_NAME_WIDTH], f"{kernel.seconds * 1000:.2f} ms", f"{kernel.calls:g}×", f"{kernel.share:.1%}")
        for kernel in found.kernels
    ]
    print_table([("kernel", "a step", "calls", "share"), *rows], numbers_from=1)
