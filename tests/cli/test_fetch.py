"""`bloomery fetch`: the list of corpora, and what is said when one cannot be had."""

import json
from pathlib import Path

import pytest

from bloomery.cli import main
from bloomery.data.corpora import CORPORA


def test_without_a_name_the_corpora_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch"]) == 0
    out = capsys.readouterr().out
    for name, corpus in CORPORA.items():
        assert f"{name}: " in out
        assert all(file.name in out for file in corpus.files.values())
    assert "2.2 GB" in out
    assert "size and hash as the hub says" in out


def test_the_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert set(facts) == set(CORPORA)
    train = facts["tinystories"]["files"]["train"]
    assert (train["repository"], train["size"]) == ("roneneldan/TinyStories", 2_227_753_162)
    assert facts["owt-sample"]["files"]["valid"]["sha256"] is None


def test_an_unknown_corpus_and_an_unreachable_hub(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["fetch", "tinystorys"]) == 2
    assert "did you mean 'tinystories'" in capsys.readouterr().err
    pytest.importorskip("huggingface_hub")
    # Nothing listens on port 9, "discard", of this machine.
    arguments = ["fetch", "tinystories", "--endpoint", "http://127.0.0.1:9", "--output", str(tmp_path / "new")]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("bloomery: error: TinyStoriesV2-GPT4-train.txt of roneneldan/TinyStories cannot be fetched")
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()
