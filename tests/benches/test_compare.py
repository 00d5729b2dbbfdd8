"""The comparison with peers, on a text too small for its figures to mean anything: that it runs, and is whole."""

import json
import subprocess
import sys
from pathlib import Path

COMPARE = Path(__file__).parents[2] / "benches" / "python" / "compare.py"
TEXT = "".join(
    f"Document {number} says: it's the {number * 37}th café, déjà vu!<|endoftext|>\n" for number in range(200)
)


def test_a_comparison_checks_results_and_writes_its_table(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes(TEXT.encode())
    # Of the peers, tests have tiktoken and tokenizers; one that may be absent shows how that is said.
    choice = ("--peers", "bloomery,tiktoken,tokenizers,tokie", "--jobs", "train,encode,decode")
    size = ("--rounds", "1", "--threads", "1", "--vocab-size", "300")
    command = [sys.executable, COMPARE, tmp_path / "text.txt", "--output", tmp_path / "table", *choice, *size]
    printed = subprocess.run(command, check=True, capture_output=True, timeout=300).stdout.decode()
    assert (tmp_path / "table.md").read_text(encoding="utf-8") in printed
    result = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    done = {(record["job"], record["peer"]): record for record in result["records"] if record["samples"]}
    assert {("train", "bloomery"), ("train", "tokenizers"), ("encode", "tiktoken"), ("decode", "tokenizers")} <= set(
        done
    )
    for (job, peer), record in done.items():
        assert record["agrees"].startswith("equal"), (job, peer, record["agrees"])
        assert all(sample["seconds"] > 0 for samples in record["samples"].values() for sample in samples)
        assert f"| {peer} | {record['call']} |" in printed
    unable = {(record["job"], record["peer"]): record["unable"] for record in result["records"] if record["unable"]}
    assert unable["train", "tiktoken"] == "has no such call"
    assert str(tmp_path) not in printed
