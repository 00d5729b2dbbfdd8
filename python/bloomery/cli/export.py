"""`bloomery export`: a trained model in a format that serving stacks open."""

import argparse
from pathlib import Path

from bloomery.cli import arguments, output, runs
from bloomery.units import human_bytes


def add_parser(subcommands: arguments.Subcommands) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "export",
        help="hand a trained model to transformers, vLLM and their like",
        description="Write the model of a run, with its tokenizer, as a LlamaForCausalLM folder: config.json, "
        "generation_config.json, model.safetensors, tokenizer.json and tokenizer_config.json.",
    )
    runs.add_run(parser)
    parser.add_argument("output", type=Path, metavar="DIR", help="new or empty folder to write")
    parser.add_argument("--format", choices=("hf",), default="hf", help="format to write (default: hf)")
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Loads and writes."""
    with runs.needing_torch():
        from bloomery.export import export_hf  # noqa: PLC0415 - torch takes seconds to import

    model, tokenizer = runs.load(args)
    export_hf(model, tokenizer, args.output)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    size = sum(path.stat().st_size for path in args.output.iterdir())
    if args.json:
        output.print_json(
            {
                "run": str(args.folder),
                "output": str(args.output),
                "format": args.format,
                "parameters": parameters,
                "bytes": size,
            }
        )
    else:
        print(f"exported {args.folder} to {args.output}: {parameters:,} parameters, {human_bytes(size)}")
        print(f"next: vllm serve {args.output}, or AutoModelForCausalLM.from_pretrained({str(args.output)!r})")
