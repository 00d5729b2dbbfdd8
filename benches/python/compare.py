"""Bloomery beside its peers on a file: `python benches/python/compare.py FILE`; see README.md in this folder."""

import argparse
import math
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import machine
import table
from checks import Checks
from jobs import JOBS, Task
from peers import PEERS, installed, peer_class
from publish import publish
from runs import NO_CALL, NOT_INSTALLED, Record, in_turns
from vocabulary import SCHEMES, prepare

_DEFAULT_PEERS = [name for name in PEERS if name != "bloomery (huggingface ties)"]
_MEGABYTE = 1_000_000


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="compare.py", description=__doc__)
    parser.add_argument("file", type=Path, help="a text, its documents ended by <|endoftext|>")
    parser.add_argument("--vocab-size", type=int, default=32_000, help="of training (default: 32000)")
    parser.add_argument("--vocabulary", type=Path, help="to encode with (default: one trained on the file)")
    parser.add_argument("--scheme", choices=SCHEMES, default="gpt2", help="to train with (default: gpt2)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default: 1 2)")
    parser.add_argument("--jobs", default=",".join(JOBS), help=f"some of {','.join(JOBS)} (default: all)")
    parser.add_argument("--peers", default=",".join(_DEFAULT_PEERS), help="some of them (default: all installed)")
    parser.add_argument("--rounds", type=int, default=5, help="of all peers in turns (default: 5)")
    parser.add_argument("--slow-rounds", type=int, default=1, help="for a peer that is slow (default: 1)")
    parser.add_argument("--slow-seconds", type=float, default=15, help="what slow means, one call (default: 15)")
    parser.add_argument("--slow-megabytes", type=float, default=10, help="of text for the slow encoders (default: 10)")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one process (default: 1800)")
    parser.add_argument("--output", type=Path, help="write OUTPUT.md and OUTPUT.json too")
    parsed = parser.parse_args(argv)
    parsed.jobs, parsed.peers = parsed.jobs.split(","), parsed.peers.split(",")
    for names, known in ((parsed.jobs, JOBS), (parsed.peers, PEERS)):
        if unknown := [name for name in names if name not in known]:
            parser.error(f"unknown: {', '.join(unknown)}; choose from {', '.join(known)}")
    return parsed


def beginning(path: Path, size: int, folder: Path) -> Path:
    """A file with the first lines of `path`, at most `size` bytes; `path` itself where it is smaller."""
    if path.stat().st_size <= size:
        return path
    with path.open("rb") as file:
        data = file.read(size)
    whole = data[: data.rfind(b"\n") + 1] or data.decode(errors="ignore").encode()
    cut = folder / f"{path.stem}-beginning{path.suffix}"
    cut.write_bytes(whole)
    return cut


def records_of(options: argparse.Namespace, job: str, threads: int, template: Task, short: Path) -> list[Record]:
    """A record for each peer; those that cannot do the job say so."""
    records: list[Record] = []
    for name in options.peers:
        task = replace(template, job=job, peer=name, threads=threads)
        if installed(name) is None:
            records.append(Record(task, "", unable=NOT_INSTALLED))
            continue
        peer = peer_class(name)
        if peer.variant and (job == "load" or not peer.can(job)):
            continue
        if not peer.can(job):
            records.append(Record(task, "", unable=NO_CALL))
            continue
        if job in peer.slow:
            task = replace(task, text=str(short))
        records.append(Record(task, (getattr(peer, job).__doc__ or "").strip()))
    return records


def compare(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Runs everything and returns the result as JSON has it."""
    started, load = time.time(), machine.load_average()
    folder = scratch / "vocabulary"
    folder.mkdir()
    vocabulary = prepare(folder, options.vocabulary, options.scheme, options.file, options.vocab_size)
    short = beginning(options.file, math.ceil(options.slow_megabytes * _MEGABYTE), scratch)
    template = Task("", "", 1, str(options.file), str(folder), options.vocab_size, str(scratch))
    checks = Checks(scratch, options.timeout)

    def say(message: str) -> None:
        print(f"[{time.time() - started:7.1f} s] {message}", file=sys.stderr)

    everything: list[Record] = []
    for job in options.jobs:
        for threads in options.threads if JOBS[job].threads else [1]:
            records = records_of(options, job, threads, template, short)
            if JOBS[job].unit == "tokens":
                for record in records:
                    encoded = checks.reference(replace(record.task, job="encode", threads=1))
                    record.task = replace(record.task, ids=str(encoded))
            in_turns(
                records,
                options.rounds,
                options.slow_rounds,
                options.slow_seconds,
                options.timeout,
                checks.check,
                say,
            )
            everything += records
    return {
        "text": {"name": options.file.name, "bytes": options.file.stat().st_size},
        "vocabulary": options.vocabulary.name if options.vocabulary else f"trained on it ({vocabulary.pattern})",
        "vocab_size": options.vocab_size,
        "machine": machine.describe(),
        "load_average": [load, machine.load_average()],
        "seconds": time.time() - started,
        "records": [record.as_json() for record in everything],
    }


def main(argv: list[str] | None = None) -> None:
    """Compares, prints the table, and writes it where asked."""
    options = arguments(argv)
    scratch = Path(tempfile.mkdtemp(prefix="bloomery-compare-"))
    try:
        result = compare(options, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    publish(table.markdown(result), result, options.output)


if __name__ == "__main__":
    main()
