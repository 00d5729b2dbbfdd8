"""`bloomery tokenizer encode`: from text to token ids on disk."""

import argparse

from bloomery.cli import arguments, engines, output
from bloomery.units import human_bytes, human_seconds


def add_parser(subcommands: arguments.Subcommands) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "encode",
        help="write text as token ids",
        description="Encode files to a .npy array of uint16 or uint32 token ids, or to a folder of them, in bounded "
        "memory. "
        "Without inputs: the sources of the Python standard library.",
    )
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="file, URL, glob pattern, or - for standard input")
    arguments.add_tokenizer(parser)
    parser.add_argument(
        "--output",
        type=arguments.location,
        metavar="PATH",
        help="file to write, where the name ends in .npy, else folder for a .npy file for every 256 MB of text and a "
        "manifest; an interrupted command goes on where it was in a folder "
        f"(default: {arguments.DEFAULT_TOKENS}, on a cluster {arguments.DEFAULT_TOKENS.with_suffix('')})",
    )
    parser.add_argument("--text", metavar="TEXT", help="encode this text instead, and print its ids")
    parser.add_argument("--end-of-text", metavar="TOKEN", help="special token that closes every document")
    parser.add_argument(
        "--dtype", choices=("uint16", "uint32"), help="type of an id (default: uint16 where the vocabulary fits)"
    )
    arguments.add_engine(parser)
    arguments.add_reading(parser)
    arguments.add_progress(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Encodes the files, or the one text."""
    if args.text is not None and args.inputs:
        raise arguments.UsageError("give either inputs or --text, not both")
    tokenizer = arguments.load_tokenizer(args.tokenizer, args.pattern, args.special_tokens)
    if args.text is not None:
        ids = tokenizer.encode(args.text)
        if args.json:
            output.print_json({"ids": ids, "tokens": len(ids), "bytes": len(args.text.encode())})
        else:
            print(*ids)
        return
    inputs = arguments.inputs_or_embedded(args.inputs)
    default = arguments.DEFAULT_TOKENS
    if args.output is None:
        args.output = default if args.engine == "local" else default.with_suffix("")
    arguments.make_room(args.output)
    with engines.engine(args) as engine:
        report = tokenizer.encode_files(
            inputs,
            args.output,
            end_of_text=args.end_of_text,
            errors=args.errors,
            field=args.field,
            column=args.column,
            dtype=args.dtype,
            num_threads=args.threads,
            engine=engine,
            progress=args.progress,
        )
    if args.json:
        output.print_json(
            {
                "output": str(args.output),
                "tokenizer": str(args.tokenizer),
                "inputs": [str(path) for path in inputs],
                "tokens": report.tokens,
                "documents": report.documents,
                "bytes": report.bytes,
                "dtype": report.dtype,
                "seconds": report.seconds,
                **output.peak_facts(),
            }
        )
        return
    ratio = f", {report.bytes / report.tokens:.2f} bytes a token" if report.tokens else ""
    rate = f" ({human_bytes(report.bytes / report.seconds)}/s)" if report.seconds else ""
    print(f"encoded {human_bytes(report.bytes)} in {human_seconds(report.seconds)}{rate}")
    print(f"{report.tokens:,} tokens ({report.dtype}{ratio}), saved to {args.output}")
    output.print_peak()
