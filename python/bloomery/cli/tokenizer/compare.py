"""`bloomery tokenizer compare`: several tokenizers on the same texts."""

import argparse
from pathlib import Path

from bloomery.cli import arguments, output
from bloomery.tokenizer.compare import PILE_BYTES, Comparison, compare
from bloomery.tokenizer.measure import Measurement
from bloomery.units import human_bytes, human_seconds


def add_parser(subcommands: arguments.Subcommands) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "compare",
        help="compare tokenizers on texts",
        description="Encode texts with several tokenizers and compare compression and throughput. A .tiktoken file "
        "of your own needs a pattern: convert it first. Without texts: the sources of the Python standard library.",
    )
    parser.add_argument("tokenizers", nargs="+", type=Path, metavar="TOKENIZER", help="tokenizer file or folder")
    parser.add_argument("--text", nargs="+", action="extend", default=[], dest="texts", metavar="FILE")
    parser.add_argument(
        "--corpus-size",
        type=arguments.byte_size,
        default=PILE_BYTES,
        metavar="SIZE",
        help="size of the corpus to project to (default: 825GB, the Pile)",
    )
    arguments.add_reading(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measures and prints a table."""
    tokenizers = {str(path): arguments.load_tokenizer(path) for path in args.tokenizers}
    texts = {text: [text] for text in args.texts}
    if not texts:
        texts = {"standard library": arguments.inputs_or_embedded([])}
    comparisons = compare(
        tokenizers, texts, errors=args.errors, field=args.field, column=args.column, num_threads=args.threads
    )
    if args.json:
        output.print_json(
            {"corpus_size": args.corpus_size, "tokenizers": [_as_json(row, args.corpus_size) for row in comparisons]}
        )
    else:
        _print(comparisons, args.corpus_size)


def _as_json(comparison: Comparison, corpus_size: int) -> dict[str, object]:
    return {
        "tokenizer": comparison.name,
        "vocab_size": comparison.vocab_size,
        "texts": {text: _measurement(found) for text, found in comparison.texts.items()},
        "total": _measurement(comparison.total),
        "projected_seconds": comparison.projected_seconds(corpus_size),
        "projected_tokens": comparison.projected_tokens(corpus_size),
    }


def _measurement(found: Measurement) -> dict[str, float]:
    return {
        "bytes": found.bytes,
        "tokens": found.tokens,
        "bytes_per_token": found.bytes_per_token,
        "seconds": found.seconds,
        "bytes_per_second": found.bytes_per_second,
    }


def _print(comparisons: list[Comparison], corpus_size: int) -> None:
    rows = [("tokenizer", "vocabulary", "text", "bytes", "tokens", "bytes/token", "per second")]
    for comparison in comparisons:
        results = dict(comparison.texts)
        if len(results) > 1:
            results["total"] = comparison.total
        rows += [
            (
                comparison.name,
                f"{comparison.vocab_size:,}",
                text,
                human_bytes(found.bytes),
                f"{found.tokens:,}",
                f"{found.bytes_per_token:.3f}",
                human_bytes(found.bytes_per_second),
            )
            for text, found in results.items()
        ]
    output.print_table(rows, numbers_from=3)
    print(f"\na corpus of {human_bytes(corpus_size)} like these texts, on this machine:")
    projected = [("  tokenizer", "time", "tokens")]
    for comparison in comparisons:
        seconds = comparison.projected_seconds(corpus_size)
        tokens = comparison.projected_tokens(corpus_size)
        projected.append(
            (
                f"  {comparison.name}",
                "unknown" if seconds is None else human_seconds(seconds),
                "unknown" if tokens is None else f"{tokens:,}",
            )
        )
    output.print_table(projected, numbers_from=1)
