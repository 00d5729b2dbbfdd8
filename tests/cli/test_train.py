"""`bloomery tokenizer train`."""

import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from bloomery import Tokenizer
from bloomery.tokenizer.embedded import stdlib_sources


def test_trains_saves_and_says_what_next(run, corpus: Path, tmp_path: Path) -> None:
    result = run("train", corpus, "--vocab-size", 280, "--output", "made/tokenizer.json")
    assert (result.code, result.err) == (0, "")
    assert "saved to made/tokenizer.json" in result.out
    assert "bloomery tokenizer encode INPUT... --output tokens.npy --tokenizer made/tokenizer.json\n" in result.out
    assert "bloomery tokenizer inspect made/tokenizer.json" in result.out
    expected = Tokenizer.train([corpus], 280, ["<|endoftext|>"])
    assert Tokenizer.load(tmp_path / "made/tokenizer.json") == expected


def test_what_next_names_what_the_format_cannot_hold(run, corpus: Path) -> None:
    out = run("train", corpus, "--vocab-size", 280, "--output", "ranks.tiktoken").out
    following = out.splitlines()[-1]
    assert following == "  bloomery tokenizer inspect ranks.tiktoken --pattern gpt2 --special-token '<|endoftext|>'"
    inspected = run(*shlex.split(following)[2:], "--json").json
    assert (inspected["vocab_size"], inspected["special_tokens"]) == (280, {"<|endoftext|>": 279})


def test_options_reach_the_trainer(run, corpus: Path) -> None:
    facts = run(
        *("train", corpus, "--vocab-size", 290, "--special-token", "<a>", "--special-token", "<b>"),
        *("--pattern", "cl100k", "--tie-break", "huggingface", "--threads", 2, "--output", "x.json", "--json"),
        *("--max-memory", "16MB"),
    ).json
    assert facts["special_tokens"] == ["<a>", "<b>"]
    assert (facts["vocab_size"], facts["merges"], facts["pattern"]) == (290, 32, "cl100k")
    assert (facts["tie_break"], facts["output"], facts["inputs"]) == ("huggingface", "x.json", [str(corpus)])
    assert facts["seconds"] > 0
    assert facts["peak_memory"] is None or facts["peak_memory"] > 10e6
    expected = Tokenizer.train([corpus], 290, ["<a>", "<b>"], pattern="cl100k", tie_break="huggingface")
    assert Tokenizer.load("x.json") == expected


def test_standard_input(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "bloomery.cli", "tokenizer", "train", "-", "--vocab-size", "258")
    output = tmp_path / "tokenizer.json"
    subprocess.run([*command, "--output", output], input="ab ab", encoding="utf-8", check=True, capture_output=True)
    assert Tokenizer.load(output).merges == [(b"a", b"b")]


def test_a_bound_that_is_too_small_is_refused(run, corpus: Path) -> None:
    assert "counting needs at least 1000000 (1MB)" in run("train", corpus, "--max-memory", "10kB").error
    assert "'much' is not a size: write it as" in run("train", corpus, "--max-memory", "much").err


def test_stopping_early_is_said(run, tmp_path: Path) -> None:
    (tmp_path / "tiny.txt").write_text("ab ab", encoding="utf-8")
    result = run("train", "tiny.txt", "--vocab-size", 1000)
    assert result.code == 0
    assert "stopped before 1,000: no pair of tokens was left to merge" in result.out


def test_invalid_utf8_is_placed(run, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"good \xff bad")
    error = run("train", "bad.txt").error
    assert "bad.txt: invalid UTF-8 at byte 5 (0xff)" in error
    assert run("train", "bad.txt", "--errors", "replace").code == 0


def test_a_vocabulary_without_room_is_refused(run, corpus: Path) -> None:
    assert "vocab_size 256 is too small" in run("train", corpus, "--vocab-size", 256).error
    assert not Path("runs/tokenizer/tokenizer.json").exists()


def test_fields_and_columns(run, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"body": "low low"}\n{"text": "x"}\n', encoding="utf-8")
    error = run("train", "rows.jsonl", "--field", "body").error
    assert "rows.jsonl, line 2" in error


def test_without_inputs_the_standard_library_is_read(run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library = tmp_path / "lib"
    (library / "site-packages").mkdir(parents=True)
    (library / "site-packages" / "other.py").write_text("other = 1\n", encoding="utf-8")
    (library / "b.py").write_text("b = 1\n", encoding="utf-8")
    (library / "a.py").write_text("a = 'é'\n", encoding="utf-8")
    (library / "latin.py").write_bytes(b"# \xe9\n")
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(library))
    result = run("train", "--vocab-size", 258)
    assert result.code == 0
    assert "2 files, 15 bytes; left out: site-packages, and 1 not in UTF-8" in result.err
    assert stdlib_sources().files == (library / "a.py", library / "b.py")
    assert stdlib_sources().not_utf8 == (library / "latin.py",)
    assert Path("runs/tokenizer/tokenizer.json").exists()
    assert run("train", "--vocab-size", 258, "--json").json["inputs"] == [str(library / "a.py"), str(library / "b.py")]


def test_a_python_without_sources_says_so(run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(tmp_path / "empty"))
    assert "holds no .py file" in run("train").error


def test_the_real_standard_library_is_a_corpus() -> None:
    corpus = stdlib_sources()
    assert corpus.bytes > 5_000_000
    assert corpus.folder / "argparse.py" in corpus.files
    assert not any("site-packages" in path.parts for path in corpus.files)


def test_rare_words_left_out_are_said(run, corpus: Path) -> None:
    with corpus.open("a", encoding="utf-8") as file:
        file.write("once upon")
    result = run("train", corpus, "--vocab-size", 280, "--min-count", 2, "--output", "t.json")
    assert "left out 2 words that occur less than 2 times: 2 of " in result.out
    facts = run("train", corpus, "--vocab-size", 280, "--min-count", 2, "--output", "t.json", "--json").json
    assert (facts["words_left_out"], facts["occurrences_left_out"]) == (2, 2)
    assert "'0' is not a positive number" in run("train", corpus, "--min-count", 0).err


def test_an_address_needs_its_engine(run, corpus: Path) -> None:
    assert run("train", corpus, "--address", "auto").error == "--address is that of a Ray cluster: add --engine ray"
