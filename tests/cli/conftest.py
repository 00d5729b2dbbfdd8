"""A small corpus, a tokenizer trained on it, and a way to run the command."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bloomery import Tokenizer
from bloomery.cli import main

END = "<|endoftext|>"
CORPUS = f"low low low lower lowest{END}new newer newest 한국어 👩‍👧{END}" * 20


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line of a command that failed."""
        assert self.code == 2, self
        assert self.out == ""
        prefix = "bloomery: error: "
        assert self.err.startswith(prefix)
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix(prefix).rstrip("\n")


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs `bloomery tokenizer ...` in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        try:
            code = main(["tokenizer", *map(str, arguments)])
        except SystemExit as stopped:  # argparse
            code = int(stopped.code or 0)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text(CORPUS, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tokenizer_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    text = folder / "corpus.txt"
    text.write_text(CORPUS, encoding="utf-8")
    path = folder / "tokenizer.json"
    Tokenizer.train([text], 280, [END]).save(path)
    return path


@pytest.fixture(scope="session")
def tokenizer(tokenizer_path: Path) -> Tokenizer:
    return Tokenizer.load(tokenizer_path)
