"""A small trained tokenizer, and a way to run a program in a process of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bloomery import Tokenizer

END = "<|endoftext|>"
_PROSE = """It was the best of times, it was the worst of times, it was the age of wisdom,
it was the age of foolishness.
The café's 42 naïve guests couldn't have known; they'd said: "Où est-ce?" — 그리고 아무도 몰랐다. 🙂🙂
    def encode(self, text):  # 12345678
        return [self.ids[token] for token in text]
"""

Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def prose() -> str:
    """Four lines of several kinds, without special tokens."""
    return _PROSE


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """400 tokens: bytes, 142 merges and two special tokens."""
    return Tokenizer.train_from_iterable([_PROSE + END] * 3, 400, [END, "<|pad|>"])


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """Three documents in a text file."""
    path = tmp_path / "text.txt"
    path.write_text((_PROSE + END) * 3, encoding="utf-8")
    return path


@pytest.fixture
def run_program() -> Program:
    """Runs Python source in another process, for what signals, forks and limits do to it."""

    def run(source: str, *arguments: object, returncode: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", source, *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == returncode, result.stderr
        return result

    return run
