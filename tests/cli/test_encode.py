"""`bloomery tokenizer encode` and `decode`."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bloomery import Tokenizer
from bloomery.cli.tokenizer import decode


def test_a_file_becomes_ids_and_text_again(run, corpus: Path, tokenizer: Tokenizer, tokenizer_path: Path) -> None:
    result = run("encode", corpus, "--tokenizer", tokenizer_path, "--output", "made/tokens.npy")
    assert (result.code, result.err) == (0, "")
    ids = np.load("made/tokens.npy")
    assert ids.dtype == np.uint16
    assert ids.tolist() == tokenizer.encode(corpus.read_text(encoding="utf-8"))
    assert f"{len(ids):,} tokens (uint16" in result.out
    assert "saved to made/tokens.npy" in result.out
    decoded = run("decode", "made/tokens.npy", "--tokenizer", tokenizer_path)
    assert (decoded.code, decoded.out) == (0, corpus.read_text(encoding="utf-8"))


def test_encode_json(run, corpus: Path, tokenizer_path: Path) -> None:
    facts = run(
        "encode", corpus, "--tokenizer", tokenizer_path, "--output", "t.npy", "--dtype", "uint32", "--json"
    ).json
    ids = np.load("t.npy")
    assert (facts["tokens"], facts["dtype"], facts["output"]) == (len(ids), "uint32", "t.npy")
    assert facts["bytes"] == corpus.stat().st_size
    assert facts["inputs"] == [str(corpus)]
    assert ids.dtype == np.uint32


def test_documents_are_closed_on_request(run, tmp_path: Path, tokenizer: Tokenizer, tokenizer_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "low"}\n{"text": "<|endoftext|>"}\n', encoding="utf-8")
    options = ("--tokenizer", tokenizer_path, "--output", "t.npy", "--end-of-text", "<|endoftext|>", "--json")
    assert run("encode", "rows.jsonl", *options).json["documents"] == 2
    end = tokenizer.encode("<|endoftext|>")
    # A row cannot smuggle in a special token.
    expected = [*tokenizer.encode("low"), *end, *tokenizer.encode_ordinary("<|endoftext|>"), *end]
    assert np.load("t.npy").tolist() == expected


def test_one_text(run, tokenizer: Tokenizer, tokenizer_path: Path) -> None:
    text = "the lowest 한국어<|endoftext|>"
    ids = tokenizer.encode(text)
    result = run("encode", "--tokenizer", tokenizer_path, "--text", text)
    assert result.out == " ".join(map(str, ids)) + "\n"
    facts = run("encode", "--tokenizer", tokenizer_path, "--text", text, "--json").json
    assert facts == {"ids": ids, "tokens": len(ids), "bytes": len(text.encode())}
    assert run("decode", "--tokenizer", tokenizer_path, *ids).out == text


def test_a_text_and_inputs_exclude_each_other(run, corpus: Path, tokenizer_path: Path) -> None:
    error = run("encode", corpus, "--tokenizer", tokenizer_path, "--text", "x").error
    assert error == "give either inputs or --text, not both"


def test_an_unknown_end_of_text_is_refused(run, corpus: Path, tokenizer_path: Path) -> None:
    error = run("encode", corpus, "--tokenizer", tokenizer_path, "--output", "t.npy", "--end-of-text", "<eot>").error
    assert "<eot>" in error
    assert not Path("t.npy").exists()


def test_standard_input_is_encoded(tokenizer: Tokenizer, tokenizer_path: Path, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "bloomery.cli", "tokenizer", "encode", "-", "--json")
    command += ("--tokenizer", str(tokenizer_path), "--output", str(tmp_path / "t.npy"))
    subprocess.run(command, input="low 한", encoding="utf-8", check=True, capture_output=True)
    assert np.load(tmp_path / "t.npy").tolist() == tokenizer.encode("low 한")


def test_ids_from_standard_input(run, monkeypatch: pytest.MonkeyPatch, tokenizer_path: Path) -> None:
    for arguments in ((), ("-",)):
        monkeypatch.setattr(sys, "stdin", io.StringIO("237 149\n 156\n"))
        assert run("decode", *arguments, "--tokenizer", tokenizer_path).out == "한"


def test_decode_json(run, tokenizer_path: Path) -> None:
    facts = run("decode", 237, 149, 156, 255, "--tokenizer", tokenizer_path, "--json").json
    assert facts == {"text": "한\ufffd", "tokens": 4}


def test_a_character_may_span_two_parts(run, monkeypatch: pytest.MonkeyPatch, tokenizer_path: Path) -> None:
    monkeypatch.setattr(decode, "_STEP", 2)
    np.save("t.npy", np.array([*"é한👩x".encode(), 0xF0], dtype=np.uint16))
    assert run("decode", "t.npy", "--tokenizer", tokenizer_path).out == "é한👩x\ufffd"


def test_an_id_out_of_range_is_placed_in_the_whole(run, monkeypatch: pytest.MonkeyPatch, tokenizer_path: Path) -> None:
    monkeypatch.setattr(decode, "_STEP", 2)
    np.save("t.npy", np.array([97, 98, 99, 5000], dtype=np.uint16))
    result = run("decode", "t.npy", "--tokenizer", tokenizer_path)
    assert result.code == 2
    assert "token id 5000 at position 3 is not in the vocabulary" in result.err
    assert "token id 280 at position 0" in run("decode", 280, "--tokenizer", tokenizer_path).error


@pytest.mark.parametrize("word", ("x", "-1", "1.5", "٣"))
def test_what_is_no_id_is_refused(run, word: str, tokenizer_path: Path) -> None:
    error = run("decode", "--tokenizer", tokenizer_path, "--", word).error
    assert error == f"{word!r} is not a token id: give numbers, or one .npy file"


def test_what_is_no_array_of_ids_is_refused(run, tokenizer_path: Path) -> None:
    np.save("floats.npy", np.zeros(3))
    np.save("table.npy", np.zeros((2, 2), dtype=np.uint16))
    Path("text.npy").write_text("no array", encoding="utf-8")
    Path("cut.npy").write_bytes(Path("floats.npy").read_bytes()[:140])
    assert "not float64(3,)" in run("decode", "floats.npy", "--tokenizer", tokenizer_path).error
    assert "not uint16(2, 2)" in run("decode", "table.npy", "--tokenizer", tokenizer_path).error
    for name in ("text.npy", "cut.npy"):
        assert f"{name}: not a .npy file of token ids" in run("decode", name, "--tokenizer", tokenizer_path).error
    assert "absent.npy" in run("decode", "absent.npy", "--tokenizer", tokenizer_path).error


def test_a_folder_of_shards(run, corpus: Path, tokenizer: Tokenizer, tokenizer_path: Path) -> None:
    command = ("encode", corpus, "--tokenizer", tokenizer_path, "--output", "made/tokens")
    facts = run(*command, "--json").json
    assert sorted(path.name for path in Path("made/tokens").iterdir()) == ["manifest.json", "shard-000000.npy"]
    assert np.load("made/tokens/shard-000000.npy").tolist() == tokenizer.encode(corpus.read_text(encoding="utf-8"))
    # Again, there is nothing to do; something else is refused.
    assert run(*command, "--json").json["tokens"] == facts["tokens"]
    assert "holds files of something else" in run(*command, "--end-of-text", "<|endoftext|>").error
