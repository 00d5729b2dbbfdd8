"""The study `bpe`: training a tokenizer on each corpus, what that takes, and what comes out."""

import json
import time
import unicodedata
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bloomery import Tokenizer, WordCounts
from bloomery.errors import TrainingStoppedEarly
from bloomery.experiments.study.corpora import END_OF_TEXT, Prepared, prepare_all
from bloomery.experiments.study.desk import Desk, listed
from bloomery.experiments.study.process import watch
from bloomery.report.figures import COLOURS, legend, new_figure, percent_ticks, plain_ticks, short_ticks
from bloomery.report.page import Figure, Page, Section, Table, Text
from bloomery.tokenizer.inspect import Token, inspect
from bloomery.units import human_bytes, human_seconds

_LONGEST = 20
_PHASES_BYTES = 64_000_000
"""Of text in which the time is taken apart."""
_COMPRESSED_BYTES = 4_000_000
"""Of text whose length in tokens is counted for each size of the vocabulary."""
_REPEATS = 3
_SHOWN_CHARACTERS = 40
"""Of a token."""


def _alike(byte: int) -> int:
    """A byte of what stands for a character's whole kind and is as long: a, 0, é, ©, 䩩, ⩩ or 𩩩."""
    if byte < 0x80:
        return ord("a") if chr(byte).isalpha() else ord("0") if chr(byte).isdigit() else byte
    if byte < 0xC0:
        return 0xA9
    # C2 and E2 lead signs, the others letters for the most part.
    return byte if byte in {0xC2, 0xE2} else 0xC3 if byte < 0xE0 else 0xE4 if byte < 0xF0 else 0xF0


_ALIKE = bytes(map(_alike, range(256)))
"""Leaves about as many words in a text, and next to no different ones."""
# What the course allows for its two corpora.
_COURSE = "The course allows 30 minutes and 30 GB for TinyStories, 12 hours and 100 GB for its OpenWebText sample."

PHASES = ("read", "scan", "count", "merge")
KINDS = {
    "word": "words",
    "words": "groups of words",
    "run of one character": "runs of one character",
    "white space": "stretches of white space",
    "signs": "stretches of signs",
    "misread UTF-8": "pieces of misread UTF-8",
    "part of a character": "parts of characters",
    "mixed": "mixtures",
}
"""What a token may be, and what several of them are called."""


def run(desk: Desk) -> Page:
    """Trains on each corpus, measures, and writes it up."""
    prepared = prepare_all(desk)
    found = {each.name: desk.once(each.name, lambda each=each: _study(desk, each)) for each in prepared}
    results: dict[str, Any] = {"corpora": found}
    return Page(
        title="Training BPE tokenizers",
        question="How long does training take and how much memory, where does the time go, and what are the longest "
        "tokens: do they make sense?",
        answer=answers(found),
        setting=[
            "Each tokenizer was trained by the command below in a process of its own, whose memory, with that of any "
            "children, was read every 5 ms; all threads share it. " + _COURSE,
            (
                f"Where the time goes was measured on the first {human_bytes(_PHASES_BYTES, digits=0)} at most, the "
                f"best of {_REPEATS} times. Text is scanned into words and these are counted in one pass; the two are "
                "told apart by passing over the same text once more with all letters made alike, so that there are "
                "hardly any different words to count."
            ),
        ],
        sections=_sections(found),
        results=results,
        commands=[desk.command(), *(["bloomery", *_training_words(desk, each)] for each in prepared)],
    )


def _training_words(desk: Desk, data: Prepared) -> list[str]:
    output = str(desk.folder / "tokenizers" / f"{data.name}.json")
    size = data.folder.name.rpartition("-")[2]
    return ["tokenizer", "train", *data.corpus.words, "--vocab-size", size, "--output", output, "--json"]


def _study(desk: Desk, data: Prepared) -> dict[str, Any]:
    watched = watch(_training_words(desk, data))
    told = json.loads(watched.output)
    desk.say(f"{data.name}: trained in {human_seconds(told['seconds'])}, {human_bytes(watched.peak_bytes)}")
    text = data.head(_PHASES_BYTES).encode()
    return {
        "bytes": data.bytes,
        "requested": told["requested_vocab_size"],
        "vocab_size": told["vocab_size"],
        "seconds": told["seconds"],
        "seconds_with_start": watched.seconds,
        # Its own account never misses a peak between two looks, and knows of no children.
        "peak_bytes": max(watched.peak_bytes, told["peak_memory"] or 0),
        "phases": phases(text, told["requested_vocab_size"], desk.folder),
        "phases_bytes": len(text),
        "words": word_growth(text),
        "compression": compression(data.tokenizer, text[:_COMPRESSED_BYTES].decode(errors="ignore")),
        "longest": longest(data),
        "lengths": inspect(data.tokenizer).lengths,
    }


def phases(text: bytes, vocab_size: int, folder: Path) -> dict[str, float]:
    """The seconds that reading, scanning, counting and merging take."""
    path, alike = folder / ".text.txt", folder / ".alike.txt"
    try:
        path.write_bytes(text)
        alike.write_bytes(text.translate(_ALIKE))
        read = _best(path.read_bytes)
        scanned = _best(lambda: WordCounts.from_files([alike], special_tokens=[END_OF_TEXT]))
        counted = _best(lambda: WordCounts.from_files([path], special_tokens=[END_OF_TEXT]))
        counts = WordCounts.from_files([path], special_tokens=[END_OF_TEXT])
    finally:
        path.unlink(missing_ok=True)
        alike.unlink(missing_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingStoppedEarly)
        merged = _best(lambda: Tokenizer.train_from_counts(counts, vocab_size))
    seconds = (read, max(scanned - read, 0.0), max(counted - max(scanned, read), 0.0), merged)
    return dict(zip(PHASES, seconds, strict=True))


def word_growth(text: bytes) -> list[tuple[int, int, int]]:
    """Bytes of text, words in them and different words, for beginnings of the text that double."""
    sizes = [len(text) >> shift for shift in range(8, -1, -1) if len(text) >> shift]
    rows: list[tuple[int, int, int]] = []
    for size in sizes:
        beginning = text[:size].decode(errors="ignore")
        counts = WordCounts.from_iterable([beginning], special_tokens=[END_OF_TEXT])
        rows.append((size, counts.total, len(counts)))
    return rows


def compression(tokenizer: Tokenizer, text: str) -> list[tuple[int, float]]:
    """Bytes a token by the size of the vocabulary, from the bytes alone to all merges."""
    size = len(text.encode())
    steps = np.geomspace(256, tokenizer.vocab_size, 16)
    sizes = sorted({max(round(step), 256 + len(tokenizer.special_tokens)) for step in steps} | {tokenizer.vocab_size})
    return [(each, size / max(tokenizer.truncate(each).count(text), 1)) for each in sizes]


def longest(data: Prepared) -> list[dict[str, Any]]:
    """The longest tokens, what they are, and how often the corpus has them."""
    ids = np.asarray(data.ids)
    counts = np.zeros(data.tokenizer.vocab_size, np.int64)
    for first in range(0, len(ids), 1 << 24):
        counts += np.bincount(ids[first : first + (1 << 24)], minlength=len(counts))
    return [
        {
            "id": token.id,
            "bytes": len(token.bytes),
            "text": token.text,
            "escaped": token.escaped,
            "kind": kind(token),
            "count": int(counts[token.id]),
        }
        for token in inspect(data.tokenizer, _LONGEST).longest
    ]


def kind(token: Token) -> str:
    """What a token is, by its characters alone."""
    try:
        text = token.bytes.decode()
    except UnicodeDecodeError:
        return "part of a character"
    bare = text.strip()
    if not bare:
        return "white space"
    if len(set(bare)) == 1 and len(bare) > 1:
        return "run of one character"
    if _is_misread(bare):
        return "misread UTF-8"
    if all(character.isalpha() or character.isspace() or character in "'’-" for character in bare):
        return "word" if bare.isalpha() else "words"
    # Letters with marks, as most scripts of South and East Asia have them, are no `isalpha` each.
    categories = {unicodedata.category(character)[0] for character in bare}
    if categories <= {"L", "M"}:
        return "word"
    return "mixed" if categories & {"L", "N"} else "signs"


def _is_misread(text: str) -> bool:
    """Whether this is UTF-8 that was once read as a Western European code page, and written again."""
    if text.isascii():
        return False
    try:
        return text.encode("cp1252").decode() != text
    except UnicodeError:
        # Pieces of such text: two of the letters that lead bytes become, beside each other or alone.
        return set(text) <= set("ÃÂâ€™œ˜šž¢£¤¥¦§¨©ª«¬") and len(text) > 1


def answers(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The findings in sentences."""
    sentences: list[str] = []
    for name, each in found.items():
        early = (
            f" It stopped before the {each['requested']:,} asked for, as no pair was left."
            if each["vocab_size"] < each["requested"]
            else ""
        )
        sentences.append(
            f"On {name} ({human_bytes(each['bytes'])}) learning {each['vocab_size']:,} tokens takes "
            f"{human_seconds(each['seconds'])} and {human_bytes(each['peak_bytes'])} of memory at most.{early}"
        )
        total = sum(each["phases"].values())
        most = max(each["phases"], key=lambda phase: each["phases"][phase])
        spelled = ", ".join(f"{phase} {each['phases'][phase] / total:.0%}" for phase in PHASES)
        sentences.append(f"Most of the time on {name} goes into the phase `{most}` ({spelled}).")
        tokens = each["longest"]
        kinds = {
            kind: sum(token["kind"] == kind for token in tokens)
            for kind in dict.fromkeys(token["kind"] for token in tokens)
        }
        told = listed([f"{count} {kind if count == 1 else KINDS[kind]}" for kind, count in kinds.items()])
        sensible = kinds.get("word", 0) + kinds.get("words", 0)
        sentences.append(
            f"The longest token of {name} is `{_shown(tokens[0])}`, {tokens[0]['bytes']} bytes, in the text "
            f"{tokens[0]['count']:,} times. The {len(tokens)} longest are {told}. "
            + (
                "They make sense: they are words that the corpus repeats."
                if sensible >= 0.8 * len(tokens)
                else "Most of them make sense, as words that the corpus repeats; the rest is how its text is laid out "
                "or was damaged."
                if sensible >= 0.5 * len(tokens)
                else "As words most of them make no sense, but as compression they do: they are what this text "
                "repeats most at length."
            )
        )
        size, words, unique = each["words"][-1]
        half = next((row for row in each["words"] if row[0] >= size // 2), each["words"][0])
        sentences.append(
            f"In {human_bytes(size)} of {name} there are {words:,} words, {unique:,} of them different; its second "
            f"half still brings {(unique - half[2]) / unique:.0%} of these."
        )
    return sentences


def _shown(token: Mapping[str, Any]) -> str:
    """The beginning of a token as people read it: white space to be seen, parts of characters as escaped bytes."""
    text = token["escaped"] if token["kind"] == "part of a character" else token["text"]
    brief = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return brief.replace(" ", "␣").replace("\n", "⏎").replace("`", "'")


def _best(function: Callable[[], object]) -> float:
    seconds: list[float] = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _sections(found: Mapping[str, Mapping[str, Any]]) -> list[Section]:
    return [
        Section(
            "What it takes",
            [
                Table(
                    "training",
                    {
                        "corpus": "",
                        "text": human_bytes,
                        "vocabulary": ",",
                        "time": human_seconds,
                        "text a second": human_bytes,
                        "memory at most": human_bytes,
                    },
                    [
                        [
                            name,
                            each["bytes"],
                            each["vocab_size"],
                            each["seconds"],
                            each["bytes"] / each["seconds"],
                            each["peak_bytes"],
                        ]
                        for name, each in found.items()
                    ],
                ),
                _phases_figure(found),
                Table(
                    "phases",
                    {"corpus": "", "text": human_bytes, **dict.fromkeys(PHASES, human_seconds)},
                    [[name, each["phases_bytes"], *each["phases"].values()] for name, each in found.items()],
                ),
            ],
        ),
        Section(
            "What the merges bring",
            [
                _curves(found),
                Text(
                    "The first merges win the most: each later pair is rarer than the one before. Different words "
                    "grow more slowly than the text, so that training, which looks at different words only, does not "
                    "take as much longer as the text is larger."
                ),
            ],
        ),
        *(
            Section(
                f"The longest tokens of {name}",
                [
                    Table(
                        f"longest-{name}",
                        {"id": "", "bytes": "", "token": "", "what it is": "", "in the text": ","},
                        [
                            [token["id"], token["bytes"], _shown(token), token["kind"], token["count"]]
                            for token in each["longest"]
                        ],
                        f"The first {_SHOWN_CHARACTERS} characters of each, spaces as ␣ and ends of lines as ⏎; "
                        "results.json has them whole. A token that is in the text 0 times was merged into longer ones "
                        "each time.",
                    )
                ],
            )
            for name, each in found.items()
        ),
    ]


def _phases_figure(found: Mapping[str, Mapping[str, Any]]) -> Figure:
    figure, (axes,) = new_figure(height=1.4 + 0.6 * len(found))
    for place, each in enumerate(reversed(list(found.values()))):
        total, left = sum(each["phases"].values()), 0.0
        for phase, colour in zip(PHASES, COLOURS, strict=False):
            share = each["phases"][phase] / total
            axes.barh(place, share, 0.6, left=left, color=colour, label=phase if place == 0 else None)
            if share > 0.05:
                axes.text(left + share / 2, place, f"{share:.0%}", ha="center", va="center", color="white", fontsize=9)
            left += share
    axes.set_yticks(range(len(found)), list(found)[::-1])
    percent_ticks(axes.xaxis)
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, 1)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return Figure("phases", figure, "Where the time of training goes.")


def _curves(found: Mapping[str, Mapping[str, Any]]) -> Figure:
    figure, (merges, words) = new_figure(panels=2, width=9.5, height=4)
    for (name, each), colour in zip(found.items(), COLOURS, strict=False):
        merges.plot(*zip(*each["compression"], strict=True), "o-", color=colour, markersize=4, label=name)
        sizes, _, unique = zip(*each["words"], strict=True)
        words.plot(sizes, unique, "o-", color=colour, markersize=4, label=name)
    merges.set_xscale("log")
    plain_ticks(merges.xaxis, [256, 1_000, 4_000, 16_000])
    merges.set_xlabel("size of the vocabulary")
    merges.set_ylabel("bytes a token")
    words.set_xscale("log")
    words.set_yscale("log")
    short_ticks(words.xaxis, "B")
    short_ticks(words.yaxis)
    words.set_xlabel("text")
    words.set_ylabel("different words")
    legend(merges)
    return Figure(
        "merges",
        figure,
        "Compression by the size of the vocabulary (left), and different words by the length of the text (right).",
    )
