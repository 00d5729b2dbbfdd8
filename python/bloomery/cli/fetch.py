"""`bloomery fetch`: known corpora by name."""

import argparse
import shlex
from pathlib import Path

from bloomery.cli import arguments, output
from bloomery.data.corpora import CORPORA, fetch
from bloomery.data.download import Fetched, HubFile
from bloomery.units import human_bytes

_FOLDER = Path("data")


def add_parser(subcommands: arguments.Subcommands) -> None:
    """Adds the command."""
    parser = subcommands.add_parser(
        "fetch",
        help="fetch a known corpus",
        description="Fetch a known corpus from the Hugging Face hub, going on where an earlier try ended, "
        "and verify it. Without a name, list the known corpora.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"corpus to fetch: {', '.join(CORPORA)}")
    parser.add_argument(
        "--output", type=Path, default=_FOLDER, metavar="DIR", help=f"folder for the files (default: {_FOLDER})"
    )
    parser.add_argument(
        "--split", action="append", dest="splits", metavar="SPLIT", help="only this one of the files; may be repeated"
    )
    parser.add_argument(
        "--endpoint", metavar="URL", help="address of the hub (default: HF_ENDPOINT, or https://huggingface.co)"
    )
    arguments.add_progress(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Fetches, or lists."""
    if args.name is None:
        _list(as_json=args.json)
        return
    fetched = fetch(args.name, args.output, splits=args.splits, endpoint=args.endpoint, progress=args.progress)
    if args.json:
        output.print_json({"corpus": args.name, "files": [_as_json(file) for file in fetched]})
        return
    output.print_table([(str(file.path), human_bytes(file.size), _verdict(file)) for file in fetched])
    print(f"next: {shlex.join(['bloomery', 'tokenizer', 'train', str(fetched[0].path)])}")


def _as_json(file: Fetched) -> dict[str, object]:
    return {
        "path": str(file.path),
        "size": file.size,
        "verified_by": file.verified_by,
        "was_there": file.was_there,
    }


def _verdict(file: Fetched) -> str:
    how = {"sha256": "SHA-256 verified", "size": "size verified", None: "not verified: the hub could not be asked"}
    return f"{'was there already' if file.was_there else 'fetched'}, {how[file.verified_by]}"


def _list(*, as_json: bool) -> None:
    if as_json:
        output.print_json(
            {
                name: {
                    "summary": corpus.summary,
                    "files": {
                        split: {
                            "repository": file.repository,
                            "name": file.name,
                            "revision": file.revision,
                            "size": file.size,
                            "sha256": file.sha256,
                        }
                        for split, file in corpus.files.items()
                    },
                }
                for name, corpus in CORPORA.items()
            }
        )
        return
    for name, corpus in CORPORA.items():
        print(f"{name}: {corpus.summary}")
        output.print_table([(f"  {split}", file.name, _size(file)) for split, file in corpus.files.items()])


def _size(file: HubFile) -> str:
    return "size and hash as the hub says" if file.size is None else human_bytes(file.size)
