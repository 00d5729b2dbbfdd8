"""`bloomery tokenizer inspect`, `compare` and `convert`."""

from pathlib import Path

import pytest

from bloomery import Tokenizer
from bloomery.tokenizer.compare import Comparison
from bloomery.tokenizer.inspect import escape
from bloomery.tokenizer.measure import Measurement


def test_inspect_json_tells_what_the_tokenizer_is(
    run, corpus: Path, tokenizer: Tokenizer, tokenizer_path: Path
) -> None:
    facts = run("inspect", tokenizer_path, corpus, "--most", 3, "--json").json
    assert (facts["vocab_size"], facts["tokens"], facts["merges"]) == (280, 280, 23)
    assert facts["pattern"] == "gpt2"
    assert facts["special_tokens"] == {"<|endoftext|>": 279}
    spelled = [[escape(left), escape(right)] for left, right in tokenizer.merges]
    assert facts["first_merges"] == spelled[:3]
    assert facts["last_merges"] == spelled[-3:]
    longest = max((token for token_id, token in tokenizer.vocab.items() if token_id != 279), key=len)
    assert facts["longest"][0]["bytes"] == len(longest)
    assert len(facts["longest"]) == 3
    assert facts["lengths"]["1"] == 256
    assert sum(facts["lengths"].values()) == 279
    measured = facts["texts"][str(corpus)]
    assert measured["bytes"] == corpus.stat().st_size
    assert measured["tokens"] == tokenizer.count(corpus.read_text(encoding="utf-8"))
    assert measured["bytes_per_token"] == measured["bytes"] / measured["tokens"]


def test_inspect_for_people(run, corpus: Path, tokenizer_path: Path) -> None:
    out = run("inspect", tokenizer_path, corpus).out
    assert "280 (280 tokens, 23 merges)" in out
    assert "<|endoftext|> (279)" in out
    assert r"\xed\x95\x9c" in out
    assert "'한" in out or "' 한" in out
    assert "#" * 40 in out
    assert f"{corpus}" in out


def test_tokens_are_escaped_as_python_does() -> None:
    assert escape(b" a\n\\\xff\x00~") == r" a\n\\\xff\x00~"


def test_compare_measures_every_tokenizer_on_every_text(
    run, corpus: Path, tokenizer: Tokenizer, tokenizer_path: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small.json"
    tokenizer.truncate(260).save(small)
    other = tmp_path / "other.txt"
    other.write_text("lower and newer\n" * 10, encoding="utf-8")
    facts = run("compare", tokenizer_path, small, "--text", corpus, other, "--corpus-size", "1TB", "--json").json
    assert facts["corpus_size"] == 10**12
    large_row, small_row = facts["tokenizers"]
    assert (large_row["vocab_size"], small_row["vocab_size"]) == (280, 260)
    for row in (large_row, small_row):
        assert set(row["texts"]) == {str(corpus), str(other)}
        total = row["total"]
        assert total["bytes"] == corpus.stat().st_size + other.stat().st_size
        assert total["tokens"] == sum(text["tokens"] for text in row["texts"].values())
        assert row["projected_tokens"] == pytest.approx(10**12 * total["tokens"] / total["bytes"], rel=1e-9)
        assert row["projected_seconds"] == pytest.approx(10**12 / total["bytes_per_second"])
    assert large_row["total"]["bytes_per_token"] > small_row["total"]["bytes_per_token"]


def test_compare_for_people(run, corpus: Path, tokenizer_path: Path) -> None:
    out = run("compare", tokenizer_path, "--text", corpus).out
    header, row, *_ = out.splitlines()
    assert header.split() == ["tokenizer", "vocabulary", "text", "bytes", "tokens", "bytes/token", "per", "second"]
    assert row.split()[:3] == [str(tokenizer_path), "280", str(corpus)]
    assert "a corpus of 825.0 GB like these texts" in out


def test_empty_texts_project_nothing(run, tokenizer_path: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    assert "unknown" in run("compare", tokenizer_path, "--text", "empty.txt").out
    comparison = Comparison("x", 256, {}, Measurement(0, 0, 0.0))
    assert comparison.projected_seconds(100) is None
    assert comparison.projected_tokens(100) is None


@pytest.mark.parametrize("name", ("out.json", "out.tiktoken", "folder"))
def test_convert_and_back(run, name: str, tokenizer: Tokenizer, tokenizer_path: Path) -> None:
    facts = run("convert", tokenizer_path, f"made/{name}", "--json").json
    assert (facts["output"], facts["vocab_size"]) == (f"made/{name}", 280)
    options = () if name == "out.json" else ("--pattern", "gpt2", "--special-token", "<|endoftext|>")
    assert run("convert", f"made/{name}", "back.json", *options).code == 0
    text = "the lowest 한국어<|endoftext|>newest"
    assert Tokenizer.load("back.json").encode(text) == tokenizer.encode(text)


def test_a_tiktoken_file_without_a_pattern_is_refused(run, tokenizer_path: Path) -> None:
    assert run("convert", tokenizer_path, "out.tiktoken").code == 0
    assert "pattern" in run("convert", "out.tiktoken", "back.json").error
    assert not Path("back.json").exists()


def test_a_broken_file_is_named(run, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{"model": {"type": "BPE"', encoding="utf-8")
    assert "broken.json" in run("inspect", "broken.json").error
