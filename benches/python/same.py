"""Whether a Ray cluster gives the bytes of one process on real corpora: `python benches/python/same.py FILE...`.

The cluster is simulated: two nodes of one processor each. Every FILE is cut into `--files` files, in the middle of
documents, and both engines train on them and encode them in pieces of `--piece`, so that files are joined and parted.
The tokenizer's file and all files of the folder of shards must be the same to the byte; the process fails otherwise.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bloomery import Tokenizer
from bloomery.cluster import Ray
from bloomery.tokenizer.engine import Engine, Local
from bloomery.tokenizer.sizes import byte_size

END = "<|endoftext|>"


def cut(path: Path, files: int, folder: Path) -> int:
    """Cuts a text into files of one size, beside a space or a line break so that no character is halved; the bytes."""
    text = path.read_bytes()
    folder.mkdir()
    start = 0
    for number in range(1, files + 1):
        end = len(text) * number // files
        while end < len(text) and text[end] not in b" \n":
            end += 1
        (folder / f"{number:03}.txt").write_bytes(text[start:end])
        start = end
    return len(text)


def run(engine: Engine, inputs: Path, vocab_size: int, output: Path) -> dict[str, bytes]:
    """Trains and encodes; all that was written, by name."""
    tokenizer = Tokenizer.train(inputs / "*.txt", vocab_size, [END], engine=engine)
    tokenizer.save(output.with_suffix(".json"))
    tokenizer.encode_files(inputs / "*.txt", output, engine=engine)
    written = {path.name: path.read_bytes() for path in output.iterdir()}
    return written | {"tokenizer.json": output.with_suffix(".json").read_bytes()}


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="same.py", description=__doc__.partition("\n")[0])
    parser.add_argument("texts", type=Path, nargs="+", help="texts with documents that end at <|endoftext|>")
    parser.add_argument("--files", type=int, default=40, help="that each text is cut into")
    parser.add_argument("--piece", type=byte_size, default=2_000_000, help="of text for a task and for a shard")
    parser.add_argument("--vocab-size", type=int, default=32_000)
    options = parser.parse_args(argv)
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - reads the environment

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    differ = False
    try:
        with Ray(cluster.address, piece_bytes=options.piece) as engine:
            for text in options.texts:
                with tempfile.TemporaryDirectory() as name:
                    folder = Path(name)
                    size = cut(text, options.files, folder / "inputs")
                    here = run(Local(options.piece), folder / "inputs", options.vocab_size, folder / "here")
                    there = run(engine, folder / "inputs", options.vocab_size, folder / "there")
                same = here == there
                differ |= not same
                print(
                    f"{text.name}: {size:,} bytes in {options.files} files, {len(here) - 2} shards of "
                    f"{sum(len(ids) for file, ids in here.items() if file.endswith('.npy')):,} bytes: "
                    f"{'the same to the byte' if same else 'DIFFERENT'}",
                    flush=True,
                )
    finally:
        cluster.shutdown()
    sys.exit(differ)


if __name__ == "__main__":
    main()
