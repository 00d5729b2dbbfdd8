"""`bloomery tokenizer convert`: from one tokenizer format to another."""

import argparse
from pathlib import Path

from bloomery.cli import arguments, output


def add_parser(subcommands: arguments.Subcommands) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "convert",
        help="convert between tokenizer formats",
        description="Convert between tokenizer.json, .tiktoken, and folders with vocab.json and merges.txt. "
        "What is read is recognised by content; what is written is chosen by name.",
    )
    parser.add_argument("input", type=Path, metavar="IN", help="tokenizer file or folder")
    parser.add_argument("output", type=Path, metavar="OUT", help="name ending in .json or .tiktoken, or a folder")
    arguments.add_loading(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Loads and saves."""
    tokenizer = arguments.load_tokenizer(args.input, args.pattern, args.special_tokens)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(args.output)
    if args.json:
        output.print_json(
            {
                "input": str(args.input),
                "output": str(args.output),
                "vocab_size": tokenizer.vocab_size,
                "pattern": tokenizer.pattern,
                "special_tokens": list(tokenizer.special_tokens),
            }
        )
    else:
        print(f"converted {args.input} to {args.output} ({tokenizer.vocab_size:,} tokens)")
        print(f"next: bloomery tokenizer inspect {arguments.naming(args.output, tokenizer)}")
