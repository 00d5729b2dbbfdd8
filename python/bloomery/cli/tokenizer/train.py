"""`bloomery tokenizer train`: from text to a tokenizer file."""

import argparse
import time
import warnings

from bloomery import Tokenizer
from bloomery.cli import arguments, engines, output
from bloomery.errors import TrainingStoppedEarly, WordsLeftOut
from bloomery.units import human_seconds


def add_parser(subcommands: arguments.Subcommands) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "train",
        help="train a byte-level BPE tokenizer",
        description="Train a byte-level BPE tokenizer on text, JSON lines or Parquet files (text and JSON lines also "
        "as .gz and .zst). Without inputs: on the sources of the Python standard library.",
    )
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="file, URL, glob pattern, or - for standard input")
    parser.add_argument(
        "--vocab-size",
        type=int,
        default=8192,
        metavar="N",
        help="256 bytes, merges and special tokens together (default: 8192)",
    )
    parser.add_argument(
        "--special-token",
        action="append",
        dest="special_tokens",
        metavar="TOKEN",
        help=f"special token; may be repeated (default: {arguments.END_OF_TEXT})",
    )
    parser.add_argument(
        "--pattern",
        default="gpt2",
        metavar="SCHEME|REGEX",
        help="pre-tokenization: gpt2 (default), cl100k, o200k, qwen or a regex",
    )
    parser.add_argument(
        "--tie-break",
        choices=("lexicographic", "huggingface"),
        default="lexicographic",
        help="which of several equally frequent pairs is merged (default: lexicographic)",
    )
    parser.add_argument(
        "--output",
        type=arguments.location,
        default=arguments.DEFAULT_TOKENIZER,
        metavar="PATH",
        help="tokenizer.json (.json), tiktoken ranks (.tiktoken), or a folder for vocab.json and merges.txt "
        f"(default: {arguments.DEFAULT_TOKENIZER})",
    )
    parser.add_argument(
        "--max-memory",
        type=arguments.byte_size,
        metavar="SIZE",
        help="memory for counting words, such as 16MB or 1GiB; words that outgrow it go to a temporary file "
        "(default: as much as it takes)",
    )
    parser.add_argument(
        "--min-count",
        type=arguments.positive,
        metavar="N",
        help="leave out words that occur less often, where all would be too many for the memory (default: none)",
    )
    arguments.add_engine(parser)
    arguments.add_reading(parser)
    arguments.add_progress(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Trains, saves, and says what to do next."""
    inputs = arguments.inputs_or_embedded(args.inputs)
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught, engines.engine(args) as engine:
        # They are said below, in lines of their own.
        warnings.simplefilter("always", TrainingStoppedEarly)
        warnings.simplefilter("always", WordsLeftOut)
        tokenizer = Tokenizer.train(
            inputs,
            args.vocab_size,
            [arguments.END_OF_TEXT] if args.special_tokens is None else args.special_tokens,
            pattern=args.pattern,
            tie_break=args.tie_break,
            num_threads=args.threads,
            errors=args.errors,
            field=args.field,
            column=args.column,
            max_memory=args.max_memory,
            min_count=args.min_count,
            engine=engine,
            progress=args.progress,
        )
    seconds = time.perf_counter() - start
    left_out = [warning.message for warning in caught if isinstance(warning.message, WordsLeftOut)]
    arguments.make_room(args.output)
    tokenizer.save(args.output)
    if args.json:
        output.print_json(
            {
                "output": str(args.output),
                "inputs": [str(path) for path in inputs],
                "vocab_size": tokenizer.vocab_size,
                "requested_vocab_size": args.vocab_size,
                "merges": len(tokenizer.merges),
                "special_tokens": list(tokenizer.special_tokens),
                "pattern": tokenizer.pattern,
                "tie_break": args.tie_break,
                "seconds": seconds,
                "words_left_out": sum(warning.words for warning in left_out),
                "occurrences_left_out": sum(warning.occurrences for warning in left_out),
                **output.peak_facts(),
            }
        )
        return
    print(f"trained {tokenizer.vocab_size:,} tokens in {human_seconds(seconds)}, saved to {args.output}")
    if tokenizer.vocab_size < args.vocab_size:
        print(f"stopped before {args.vocab_size:,}: no pair of tokens was left to merge")
    for warning in left_out:
        print(warning)
    output.print_peak()
    print("next:")
    named = arguments.naming(args.output, tokenizer)
    print(f"  bloomery tokenizer encode INPUT... --output tokens.npy --tokenizer {named}")
    print(f"  bloomery tokenizer inspect {named}")
