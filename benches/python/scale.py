"""How time and memory grow with the corpus: `python benches/python/scale.py`; see README.md in this folder.

Writes a corpus of each size (see `corpus.py`), counts, trains and encodes it in fresh processes, and deletes it again.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

import machine
from corpus import parse_size, write
from jobs import Task
from publish import publish
from runs import run
from vocabulary import SCHEMES, prepare

_COLUMNS = ("text", "distinct words", "count", "train", "train − count", "encode")
# The vocabulary to encode with is trained on this much of the corpus: encoding is measured by itself.
_SAMPLE_BYTES = 20_000_000


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scale.py", description=__doc__.partition("\n")[0])
    sizes = [parse_size(size) for size in ("100MB", "400MB", "1GB", "4GB")]
    parser.add_argument("--sizes", type=parse_size, nargs="+", default=sizes, help="default: 100MB 400MB 1GB 4GB")
    parser.add_argument("--vocab-size", type=int, default=32_000, help="of training and encoding (default: 32000)")
    parser.add_argument("--scheme", choices=SCHEMES, default="gpt2", help="default: gpt2")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: all cores")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the corpus")
    parser.add_argument("--folder", type=Path, help="for the corpora (default: a temporary one)")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds for one process (default: 3600)")
    parser.add_argument("--output", type=Path, help="write OUTPUT.md and OUTPUT.json too")
    return parser.parse_args(argv)


def measure(task: Task, options: argparse.Namespace) -> dict[str, Any]:
    """Medians of the runs of one job."""
    outcomes = [run(task, options.timeout) for _ in range(options.rounds)]
    failed = [outcome["unable"] for outcome in outcomes if "unable" in outcome]
    if failed:
        raise SystemExit(f"{task.job} of {Path(task.text).name}: {failed[0]}")
    samples = [outcome["samples"]["cold"][0] for outcome in outcomes]
    memory = ("before_bytes", "peak_bytes", "anonymous_bytes")
    return {
        "seconds": median(sample["seconds"] for sample in samples),
        "cpu_seconds": median(sample["user"] + sample["system"] for sample in samples),
        **{name: median(outcome[name] for outcome in outcomes) for name in memory},
    }


def scale(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Runs all sizes and returns the result as JSON has it."""
    scratch = folder / "scratch"
    scratch.mkdir()
    sample = folder / "sample.txt"
    write(sample, min(_SAMPLE_BYTES, max(options.sizes)), options.seed)
    prepare(scratch, None, options.scheme, sample, options.vocab_size)
    rows: list[dict[str, Any]] = []
    for size in sorted(options.sizes):
        text, counted = folder / "corpus.txt", scratch / "counted.json"
        row: dict[str, Any] = {"bytes": write(text, size, options.seed)}
        for job in ("count", "train", "files"):
            print(f"{size / 1e6:,.0f} MB: {job}", file=sys.stderr)
            keep = str(counted) if job == "count" else None
            task = Task(job, "bloomery", options.threads, str(text), str(scratch), options.vocab_size, str(scratch))
            row[job] = measure(Task(**(vars(task) | {"keep": keep})), options)
        row["distinct"], row["words"] = json.loads(counted.read_text(encoding="utf-8"))
        text.unlink()
        rows.append(row)
    shown = {name: getattr(options, name) for name in ("vocab_size", "scheme", "threads", "rounds", "seed")}
    return shown | {"machine": machine.describe(), "load_average": machine.load_average(), "sizes": rows}


def markdown(result: dict[str, Any]) -> str:
    """The table."""
    described = result["machine"]
    heading = (
        f"{described['cpu']}, {described['cores']} cores, {described['memory_gb']} GB, {result['threads']} threads; "
        f"vocabulary of {result['vocab_size']:,}, {result['scheme']}. Peak: resident memory beyond what the process "
        "had before the call, mapped files included; anonymous: the whole process's, without files.\n"
    )
    lines = ["| " + " | ".join(_COLUMNS) + " |", "| " + " | ".join("---" for _ in _COLUMNS) + " |"]
    return "\n".join([heading, *lines, *map(_row, result["sizes"])]) + "\n"


def _row(row: dict[str, Any]) -> str:
    learning = row["train"]["seconds"] - row["count"]["seconds"]
    jobs = {job: "; ".join(_facts(row[job], row["bytes"])) for job in ("count", "train", "files")}
    text = f"{row['bytes'] / 1e6:,.0f} MB"
    return f"| {text} | {row['distinct']:,} | {jobs['count']} | {jobs['train']} | {learning:.2f} s | {jobs['files']} |"


def _facts(measured: dict[str, Any], size: int) -> Iterable[str]:
    yield f"{measured['seconds']:.2f} s ({measured['cpu_seconds']:.2f} CPU)"
    yield f"{size / 1e6 / measured['seconds']:,.0f} MB/s"
    yield f"peak {(measured['peak_bytes'] - measured['before_bytes']) / 1e6:,.0f} MB"
    yield f"anonymous {measured['anonymous_bytes'] / 1e6:,.0f} MB"


def main(argv: list[str] | None = None) -> None:
    """Measures, prints the table, and writes it where asked."""
    options = arguments(argv)
    folder = Path(tempfile.mkdtemp(prefix="bloomery-scale-", dir=options.folder))
    try:
        result = scale(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    publish(markdown(result), result, options.output)


if __name__ == "__main__":
    main()
