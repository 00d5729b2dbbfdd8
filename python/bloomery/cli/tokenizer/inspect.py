"""`bloomery tokenizer inspect`: what a tokenizer is made of."""

import argparse
from pathlib import Path

from bloomery import Tokenizer
from bloomery.cli import arguments, output, runs
from bloomery.tokenizer.inspect import Inspection, escape, inspect
from bloomery.tokenizer.measure import Measurement, measure

_BAR = 40


def add_parser(subcommands: arguments.Subcommands) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "inspect",
        help="show what a tokenizer is made of",
        description="Show a tokenizer's size, special tokens, longest tokens, merges and lengths, "
        "and its bytes per token on given files.",
    )
    parser.add_argument(
        "tokenizer",
        nargs="?",
        type=Path,
        default=arguments.DEFAULT_TOKENIZER,
        metavar="TOKENIZER",
        help=f"tokenizer.json, .tiktoken, or a folder with vocab.json and merges.txt ({arguments.DEFAULT_TOKENIZER})",
    )
    parser.add_argument("texts", nargs="*", metavar="FILE", help="file to encode for its bytes per token")
    parser.add_argument("--most", type=int, default=10, metavar="N", help="longest entries of a list (default: 10)")
    parser.add_argument(
        "--html",
        type=Path,
        metavar="PAGE.html",
        help="write a page instead: search the vocabulary, type a text and see it split, merge by merge",
    )
    arguments.add_loading(parser)
    arguments.add_reading(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Gathers the facts and prints them."""
    tokenizer = arguments.load_tokenizer(args.tokenizer, args.pattern, args.special_tokens)
    if args.html is not None:
        _write_page(args, tokenizer)
        return
    facts = inspect(tokenizer, args.most)
    reading = {"errors": args.errors, "field": args.field, "column": args.column, "num_threads": args.threads}
    measured = {text: measure(tokenizer, [text], **reading) for text in args.texts}
    if args.json:
        output.print_json({"tokenizer": str(args.tokenizer), **_as_json(facts, measured)})
    else:
        _print(args.tokenizer, facts, measured)


def _write_page(args: argparse.Namespace, tokenizer: Tokenizer) -> None:
    if args.html.suffix != ".html":
        raise arguments.UsageError(f"--html {args.html}: a page's name ends in .html")
    if args.texts or args.json:
        raise arguments.UsageError("--html writes a page about the tokenizer alone: leave out --json and texts")
    with runs.needing("report"):
        from bloomery.report.tokenizer import write_tokenizer_page  # noqa: PLC0415 - needs jinja2

    write_tokenizer_page(tokenizer, str(args.tokenizer), args.html)
    print(f"wrote {args.html}")


def _as_json(facts: Inspection, measured: dict[str, Measurement]) -> dict[str, object]:
    return {
        "vocab_size": facts.vocab_size,
        "tokens": facts.tokens,
        "pattern": facts.pattern,
        "special_tokens": facts.special_tokens,
        "merges": facts.merges,
        "first_merges": [[escape(left), escape(right)] for left, right in facts.first_merges],
        "last_merges": [[escape(left), escape(right)] for left, right in facts.last_merges],
        "longest": [
            {"id": token.id, "bytes": len(token.bytes), "escaped": token.escaped, "text": token.text}
            for token in facts.longest
        ],
        "lengths": facts.lengths,
        "texts": {
            text: {"bytes": found.bytes, "tokens": found.tokens, "bytes_per_token": found.bytes_per_token}
            for text, found in measured.items()
        },
    }


def _print(path: Path, facts: Inspection, measured: dict[str, Measurement]) -> None:
    special = [f"{content} ({token_id})" for content, token_id in facts.special_tokens.items()]
    output.print_facts(
        [
            ("tokenizer", path),
            ("vocabulary size", f"{facts.vocab_size:,} ({facts.tokens:,} tokens, {facts.merges:,} merges)"),
            ("pattern", facts.pattern),
            ("special tokens", ", ".join(special) or "none"),
        ]
    )
    print("\nlongest tokens (id, bytes, escaped, decoded):")
    output.print_table(
        [(f"  {token.id}", str(len(token.bytes)), f"'{token.escaped}'", repr(token.text)) for token in facts.longest]
    )
    for name, merges in (("first", facts.first_merges), ("last", facts.last_merges)):
        if merges:
            print(f"\n{name} merges:")
            output.print_table([(f"  '{escape(left)}'", f"'{escape(right)}'") for left, right in merges])
    print("\ntokens by length in bytes:")
    highest = max(facts.lengths.values(), default=1)
    output.print_table(
        [
            (f"  {length:>4}", f"{count:>9,}", "#" * round(_BAR * count / highest))
            for length, count in facts.lengths.items()
        ]
    )
    if measured:
        print("\nbytes per token:")
        output.print_table(
            [
                (f"  {text}", f"{found.bytes_per_token:.3f}", f"{found.tokens:,} tokens")
                for text, found in measured.items()
            ]
        )
