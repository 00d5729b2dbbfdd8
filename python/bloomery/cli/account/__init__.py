"""`bloomery account`: what a model costs in parameters, FLOPs, memory and time."""

import argparse
import re
from dataclasses import asdict

from bloomery.accounting import BYTES, HARDWARE, Account, Assumptions
from bloomery.cli import arguments, output
from bloomery.cli.account.models import add_models, models_of, peak_of
from bloomery.cli.account.tables import print_accounts

_PRECISIONS = ("float32", "tf32", "bfloat16", "float16")


def add_parser(subcommands: arguments.Subcommands) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "account",
        help="what a model costs in parameters, FLOPs, memory and time",
        description="Account for a model in closed forms: parameters by part, every matrix multiply of a forward pass, "
        "the memory of training with AdamW, and the time that training takes. Needs no torch.",
    )
    add_models(parser)
    counting = parser.add_argument_group("memory and FLOPs")
    counting.add_argument("--dtype", choices=BYTES, default="float32", help="of weights and optimizer state")
    counting.add_argument("--activation-dtype", choices=BYTES, help="of activations (default: the --dtype)")
    counting.add_argument(
        "--memory", type=arguments.byte_size, default=80_000_000_000, metavar="SIZE", help="to fit (default: 80GB)"
    )
    counting.add_argument(
        "--causal", action="store_true", help="count attention's products half, as MFU does (default: whole)"
    )
    training = parser.add_argument_group("time to train")
    training.add_argument("--steps", type=arguments.positive, default=400_000, metavar="N", help="default: 400,000")
    training.add_argument(
        "--batch-size", type=arguments.positive, default=1024, metavar="N", help="sequences a step (default: 1,024)"
    )
    training.add_argument(
        "--hardware",
        default="H100",
        metavar="NAME",
        help=f"{', '.join(each.name for each in HARDWARE)} (default: H100)",
    )
    training.add_argument("--precision", choices=_PRECISIONS, default="bfloat16", help="default: bfloat16")
    training.add_argument(
        "--peak", type=_flops_rate, metavar="RATE", help="peak of one accelerator, as 495TFLOP/s, in place of both"
    )
    training.add_argument(
        "--devices", type=arguments.positive, default=1, metavar="N", help="accelerators (default: 1)"
    )
    training.add_argument("--mfu", type=_share, default=0.5, metavar="SHARE", help="part of the peak (default: 0.5)")
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Accounts for every model and prints it."""
    peak = args.devices * (args.peak or peak_of(args.hardware, args.precision))
    assumptions = Assumptions(
        dtype=args.dtype,
        activation_dtype=args.activation_dtype or args.dtype,
        memory=args.memory,
        causal=args.causal,
        steps=args.steps,
        batch_size=args.batch_size,
        peak_flops=peak,
        mfu=args.mfu,
    )
    accounts = [Account(name, config, assumptions) for name, config in models_of(args)]
    if args.json:
        output.print_json({"assumptions": asdict(assumptions), "models": [account.to_dict() for account in accounts]})
        return
    accelerator = f"a peak of {args.peak / 1e12:,g} TFLOP/s" if args.peak else f"{args.hardware}, {args.precision}"
    print_accounts(accounts, f"{args.devices:,} × {accelerator}" if args.devices > 1 else accelerator)


def _flops_rate(text: str) -> float:
    """A rate such as `495TFLOP/s`, `19.5 T` or `989e12` in FLOP/s."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*([GTP]?)(?:FLOPS?(?:/s)?)?\s*", text, re.IGNORECASE)
    rate = float(match[1]) * {"": 1, "G": 1e9, "T": 1e12, "P": 1e15}[match[2].upper()] if match else 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate: write it as 495TFLOP/s or 19.5e12")
    return rate


def _share(text: str) -> float:
    match = re.fullmatch(r"\s*(\d*\.?\d+)\s*(%?)\s*", text)
    share = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a part of the peak: write it as 0.5 or 50%")
    return share
