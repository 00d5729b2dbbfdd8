"""`bloomery import`: a model from elsewhere as a run of one's own."""

import argparse
import shlex
from pathlib import Path

from bloomery.cli import arguments, output, runs


def add_parser(subcommands: arguments.Subcommands) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "import",
        help="make a run of a LlamaForCausalLM folder",
        description="Make a run folder of a LlamaForCausalLM folder, which `bloomery export` or transformers wrote: "
        "config.json, tokenizer.json and model.safetensors. What this package's model does not have is refused by "
        "name.",
    )
    parser.add_argument("input", type=Path, metavar="DIR", help="folder to read")
    parser.add_argument("folder", type=Path, metavar="RUN", help="new folder of a run")
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Reads, and saves as a run."""
    with runs.needing_torch():
        from bloomery.export import import_hf  # noqa: PLC0415 - torch takes seconds to import
        from bloomery.train import save_model  # noqa: PLC0415

    model, tokenizer = import_hf(args.input)
    save_model(args.folder, model, tokenizer)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if args.json:
        output.print_json({"input": str(args.input), "run": str(args.folder), "parameters": parameters})
    else:
        print(f"imported {args.input} to {args.folder}: {parameters:,} parameters")
        print(f"next: {shlex.join(['bloomery', 'generate', str(args.folder)])}")
