"""Corpora made ready: a tokenizer trained on each, and its text as token ids; once for all studies of a root."""

import json
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bloomery import Tokenizer
from bloomery.data import Ids, open_tokens
from bloomery.errors import ArgumentError, TrainingStoppedEarly
from bloomery.experiments.study.desk import Desk, write_json
from bloomery.tokenizer.embedded import stdlib_sources
from bloomery.tokenizer.inputs import expand

END_OF_TEXT = "<|endoftext|>"

_ABOUT = "about.json"
# Ids looked at in one go.
_CHUNK = 1 << 24


@dataclass(frozen=True)
class Corpus:
    """Text under one name."""

    name: str
    inputs: tuple[str, ...]
    """Files, as the tokenizer reads them."""
    words: tuple[str, ...]
    """What a command line says for them."""


@dataclass(frozen=True)
class Prepared:
    """A corpus, its tokenizer, and its ids."""

    corpus: Corpus
    folder: Path
    tokenizer: Tokenizer
    about: dict[str, Any]
    """`bytes`, `tokens`, `seconds` of training the tokenizer and of encoding."""

    @property
    def name(self) -> str:
        """The corpus's."""
        return self.corpus.name

    @property
    def ids(self) -> Ids:
        """The whole text, mapped."""
        return open_tokens(self.tokens_path)

    @property
    def tokens_path(self) -> Path:
        """The file of the ids."""
        return self.folder / "tokens.npy"

    @property
    def tokenizer_path(self) -> Path:
        """The tokenizer's file."""
        return self.folder / "tokenizer.json"

    @property
    def bytes(self) -> int:
        """Of text."""
        return self.about["bytes"]

    def head(self, most: int) -> str:
        """The beginning of the text: about so many bytes, in whole documents unless the first is longer."""
        ids = self.ids[: round(most * self.about["tokens"] / max(self.bytes, 1)) + 1]
        ends = np.flatnonzero(ids == self.tokenizer.eot_id)
        if len(ends) and len(ids) < self.about["tokens"]:
            ids = ids[: ends[-1] + 1]
        return self.tokenizer.decode(ids)

    def documents(self, count: int, seed: int = 0) -> list[str]:
        """A sample of whole documents, each of the corpus's bytes being equally likely to choose one."""
        ids = self.ids
        found = [
            first + np.flatnonzero(ids[first : first + _CHUNK] == self.tokenizer.eot_id)
            for first in range(0, len(ids), _CHUNK)
        ]
        ends = np.concatenate(found)
        ends = ends if len(ends) and ends[-1] == len(ids) - 1 else np.append(ends, len(ids))
        starts = np.concatenate([[0], ends[:-1] + 1])
        full = ends > starts
        places = np.random.default_rng(seed).integers(len(ids), size=50 * count)
        chosen: list[int] = []
        for index in np.searchsorted(ends, places):
            if full[index] and index not in chosen and len(chosen) < count:
                chosen.append(int(index))
        return [self.tokenizer.decode(ids[starts[index] : ends[index]]) for index in sorted(chosen)]


def corpora_of(desk: Desk) -> list[Corpus]:
    """The corpora that the settings name; without any, the standard library's code and Python's manual.

    Raises:
        FileNotFoundError: An input is not there.
    """
    if not desk.settings.inputs:
        return [_library(), _manual(desk.data)]
    found: list[Corpus] = []
    for given in desk.settings.inputs:
        files = expand([given])
        for file in files:
            Path(file).open("rb").close()  # one that is missing is named now, not after minutes
        # Folders and the endings of formats say nothing of what is inside.
        stem = re.sub(r"(\.(txt|jsonl|parquet|gz|zst))+$", "", Path(given).name)
        name = re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "corpus"
        same = sum(corpus.name == name for corpus in found)
        found.append(Corpus(f"{name}-{same + 1}" if same else name, tuple(files), (given,)))
    return found


def prepare(desk: Desk, corpus: Corpus, vocab_size: int) -> Prepared:
    """Trains the tokenizer and encodes the text, unless that has been done.

    Raises:
        ArgumentError: What lies there was made of other files.
        OSError, InputError, InvalidUtf8Error: An input cannot be read.
    """
    folder = desk.data / f"{corpus.name}-{vocab_size}"
    sources = {"files": len(corpus.inputs), "bytes": sum(Path(path).stat().st_size for path in corpus.inputs)}
    if (folder / _ABOUT).exists():
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        if about["sources"] != sources:
            raise ArgumentError(f"{folder} was made of other files than {corpus.name} is now: remove it")
        return Prepared(corpus, folder, Tokenizer.load(folder / "tokenizer.json"), about)
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    with warnings.catch_warnings():
        # The vocabulary's size is on the pages.
        warnings.simplefilter("ignore", TrainingStoppedEarly)
        tokenizer = Tokenizer.train(corpus.inputs, vocab_size, [END_OF_TEXT])
    trained = time.perf_counter() - start
    tokenizer.save(folder / "tokenizer.json")
    # Files are documents where they do not mark their own ends.
    marked = END_OF_TEXT if len(corpus.inputs) > 1 else None
    report = tokenizer.encode_files(corpus.inputs, folder / "tokens.npy", end_of_text=marked)
    about = {
        "sources": sources,
        "vocab_size": tokenizer.vocab_size,
        "bytes": report.bytes,
        "tokens": report.tokens,
        "train_seconds": trained,
        "encode_seconds": report.seconds,
    }
    write_json(about, folder / _ABOUT)
    desk.say(f"{corpus.name}: {tokenizer.vocab_size:,} tokens learned, {report.tokens:,} token ids written to {folder}")
    return Prepared(corpus, folder, tokenizer, about)


def prepare_all(desk: Desk) -> list[Prepared]:
    """Every corpus with a vocabulary of the size that the settings give it."""
    return [prepare(desk, corpus, size) for corpus, size in zip(corpora_of(desk), _sizes(desk), strict=False)]


def preparing_commands(prepared: Sequence[Prepared], vocab_size: int | None = None) -> list[list[str]]:
    """The command lines that make the same tokenizer and ids."""
    lines: list[list[str]] = []
    for each in prepared:
        size = str(vocab_size or each.about["vocab_size"])
        tokenizer = str(each.tokenizer_path)
        words = each.corpus.words
        lines.append(["bloomery", "tokenizer", "train", *words, "--vocab-size", size, "--output", tokenizer])
        lines.append(
            ["bloomery", "tokenizer", "encode", *words, "--tokenizer", tokenizer, "--output", str(each.tokens_path)]
        )
    return lines


def _sizes(desk: Desk) -> Iterator[int]:
    sizes = desk.settings.vocab_sizes
    yield from sizes
    while True:
        yield sizes[-1]


def _library() -> Corpus:
    return Corpus("library", tuple(map(str, stdlib_sources().files)), ())


def _manual(folder: Path) -> Corpus:
    """Python's own manual on its language, which its `help` reads from: English, with a document a topic."""
    from pydoc_data import topics  # noqa: PLC0415 - large, and only for this

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "manual.txt"
    text = "".join(f"{topic.strip()}\n{END_OF_TEXT}" for topic in topics.topics.values())
    path.write_text(text, encoding="utf-8")
    return Corpus("manual", (str(path),), (str(path),))
