"""`bloomery tokenizer`: train, use, look at and convert tokenizers."""

from bloomery.cli.arguments import Subcommands
from bloomery.cli.tokenizer import compare, convert, decode, encode, inspect, train


def add_parser(subcommands: Subcommands) -> None:
    """Adds the command and its subcommands."""
    parser = subcommands.add_parser("tokenizer", help="train, use, look at and convert tokenizers")
    nested = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (train, encode, decode, inspect, compare, convert):
        module.add_parser(nested)
