"""The study `tokenizers`: each corpus's tokenizer on every corpus's text, and what tells them apart."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bloomery import Tokenizer
from bloomery.experiments.study.corpora import Prepared, prepare_all, preparing_commands
from bloomery.experiments.study.desk import Desk, listed
from bloomery.report.figures import COLOURS, legend, new_figure, percent_ticks, plain_ticks
from bloomery.report.page import Figure, Page, Section, Table, Text, Tokens
from bloomery.tokenizer.compare import PILE_BYTES
from bloomery.tokenizer.inspect import inspect
from bloomery.units import human_bytes, human_seconds

_DOCUMENTS = 10
_LONGEST = 15
_SHOWN = 15
"""Of the tokens that only one vocabulary has."""
_SHOWN_CHARACTERS = 40
_SPLIT_BYTES = 320
"""Of the passages that are shown split: a tokenizer may have a token for every one."""


def run(desk: Desk) -> Page:
    """Encodes everything with everything and writes it up."""
    prepared = prepare_all(desk)
    samples = {each.name: each.documents(_DOCUMENTS) for each in prepared}
    results: dict[str, Any] = {
        "corpora": {each.name: describe(each) for each in prepared},
        "square": {
            each.name: {name: measure(each.tokenizer, documents) for name, documents in samples.items()}
            for each in prepared
        },
        "overlap": [overlap(one, other) for one, other in itertools.combinations(prepared, 2)],
    }
    passages = {
        name: most_different(documents, [each.tokenizer for each in prepared]) for name, documents in samples.items()
    }
    sizes = [f"{name} ({each['vocab_size']:,} tokens)" for name, each in results["corpora"].items()]
    return Page(
        title="Tokenizers on one another's text",
        question="How well does each corpus's tokenizer compress its own text and that of the others, what do their "
        "vocabularies share, how fast are they, and why are ids stored as uint16?",
        answer=answers(results),
        setting=[
            (
                f"Tokenizers of {listed(sizes)}; {_DOCUMENTS} documents drawn from each corpus, the longer ones more "
                "often. Throughput is that of encoding the whole corpus to a file on this machine, all threads."
            )
        ],
        sections=_sections(results, passages, prepared),
        results=results,
        commands=[desk.command(), *preparing_commands(prepared)],
    )


def describe(data: Prepared) -> dict[str, Any]:
    """A corpus and its tokenizer in numbers."""
    about = data.about
    rate = about["bytes"] / about["encode_seconds"]
    width = data.ids.dtype.itemsize
    return {
        "vocab_size": data.tokenizer.vocab_size,
        "bytes": about["bytes"],
        "tokens": about["tokens"],
        "bytes_per_token": about["bytes"] / about["tokens"],
        "bytes_per_second": rate,
        "pile_seconds": PILE_BYTES / rate,
        "pile_tokens": round(PILE_BYTES * about["tokens"] / about["bytes"]),
        "highest_id": data.tokenizer.vocab_size - 1,
        "id_bytes": width,
        "ids_bytes": width * about["tokens"],
        "longest": [token.text for token in inspect(data.tokenizer, _LONGEST).longest],
    }


def measure(tokenizer: Tokenizer, documents: Sequence[str]) -> dict[str, Any]:
    """How many bytes a token of these documents has: of all together, and of each."""
    sizes = [len(text.encode()) for text in documents]
    tokens = [tokenizer.count(text) for text in documents]
    ratios = [size / count for size, count in zip(sizes, tokens, strict=True)]
    return {
        "bytes": sum(sizes),
        "tokens": sum(tokens),
        "bytes_per_token": sum(sizes) / sum(tokens),
        "documents": ratios,
    }


def overlap(one: Prepared, other: Prepared) -> dict[str, Any]:
    """How many tokens two vocabularies have in common: of all, and of the first so many."""
    vocabularies = [[token for _, token in sorted(each.tokenizer.vocab.items())] for each in (one, other)]
    shared = set(vocabularies[0]) & set(vocabularies[1])
    smallest = min(map(len, vocabularies))
    sizes = sorted({round(size) for size in np.geomspace(256, smallest, 12)})
    return {
        "names": [one.name, other.name],
        "sizes": [len(vocabulary) for vocabulary in vocabularies],
        "shared": len(shared),
        "by_size": [(size, len(set(vocabularies[0][:size]) & set(vocabularies[1][:size])) / size) for size in sizes],
        "only": [
            [token.decode() for token in vocabulary if len(token) > 3 and token not in shared and _is_utf8(token)][
                :_SHOWN
            ]
            for vocabulary in vocabularies
        ],
    }


def most_different(documents: Sequence[str], tokenizers: Sequence[Tokenizer]) -> str:
    """The passage in which the tokenizers' numbers of tokens differ most."""
    # Whole characters, so many of them as have that many bytes on average.
    lengths = {text: max(_SPLIT_BYTES * len(text) // len(text.encode()), 1) for text in documents}
    passages = [
        text[first : first + length]
        for text, length in lengths.items()
        for first in range(0, max(len(text) - length, 1), length)
    ]
    # Tables and rulers differ most of all, and are no reading.
    passages = [passage for passage in passages if sum(map(str.isalpha, passage)) > 0.6 * len(passage)] or passages
    passages = [
        passage[passage.find(" ") + 1 : passage.rfind(" ")] if passage.count(" ") > 2 else passage
        for passage in passages
    ]

    def difference(passage: str) -> float:
        counts = [tokenizer.count(passage) for tokenizer in tokenizers]
        return max(counts) / max(min(counts), 1)

    return max(passages, key=difference)


def answers(results: Mapping[str, Any]) -> list[str]:
    """The findings in sentences."""
    corpora, square = results["corpora"], results["square"]
    sentences: list[str] = []
    for name, on in square.items():
        own = on[name]["bytes_per_token"]
        others = [
            f"{found['bytes_per_token']:.2f} on {text} ({found['bytes_per_token'] / own - 1:+.0%})"
            for text, found in on.items()
            if text != name
        ]
        against = f", and {listed(others)}" if others else ""
        sentences.append(f"The tokenizer of {name} has {own:.2f} bytes a token on its own text{against}.")
    for text in corpora:
        best = max(square, key=lambda name: square[name][text]["bytes_per_token"])
        if best != text:
            sentences.append(
                f"On {text} the tokenizer of {best} does better than its own, with {corpora[best]['vocab_size']:,} "
                f"tokens to {corpora[text]['vocab_size']:,}: size counts beside likeness."
            )
    for each in results["overlap"]:
        one, other = each["names"]
        sentences.append(
            f"Of the {each['sizes'][0]:,} tokens of {one}, {each['shared'] / each['sizes'][0]:.0%} are also among the "
            f"{each['sizes'][1]:,} of {other}; of the first 1,000 of each, "
            f"{_same(each['by_size'], 1_000):.0%} are the same."
        )
    for name, each in corpora.items():
        sentences.append(
            f"Encoding {name} runs at {human_bytes(each['bytes_per_second'])} a second here: the Pile's "
            f"{human_bytes(PILE_BYTES, digits=0)} would take {human_seconds(each['pile_seconds'])}, and be "
            f"{each['pile_tokens'] / 1e9:,.0f} billion tokens, were it like this text."
        )
    highest = max(each["highest_id"] for each in corpora.values())
    fits = (
        f"The highest id is {highest:,}, and uint16 holds 65,535: two bytes an id are enough, one would not be, and "
        "four would be twice the disk, memory and bandwidth for zeros."
        if 255 < highest < 65_536
        else f"The highest id is {highest:,}, which "
        + ("one byte would hold." if highest < 256 else "uint16, up to 65,535, does not hold: ids take four bytes.")
    )
    saved = [f"{each['ids_bytes'] / each['bytes']:.0%} of its text for {name}" for name, each in corpora.items()]
    sentences.append(f"{fits} The file of ids is {listed(saved)}.")
    return sentences


def _same(by_size: Sequence[tuple[int, float]], size: int) -> float:
    """The share that is the same of so many tokens, between the sizes looked at."""
    sizes, shares = zip(*by_size, strict=True)
    return float(np.interp(size, sizes, shares))


def _sections(results: Mapping[str, Any], passages: Mapping[str, str], prepared: Sequence[Prepared]) -> list[Section]:
    corpora, square = results["corpora"], results["square"]
    shown = {name: [_visible(token[:_SHOWN_CHARACTERS]) for token in each["longest"]] for name, each in corpora.items()}
    return [
        Section(
            "Bytes a token",
            [
                _square_figure(square),
                Table(
                    "square",
                    {"tokenizer of": "", "tokens": ",", **{f"on {text}": ".3f" for text in corpora}},
                    [
                        [name, corpora[name]["vocab_size"], *(found["bytes_per_token"] for found in on.values())]
                        for name, on in square.items()
                    ],
                    f"Bytes a token on {_DOCUMENTS} documents of each corpus together; more is better.",
                ),
            ],
        ),
        Section(
            "Where they split differently",
            [
                Tokens(
                    [(f"tokenizer of {each.name}", split(each.tokenizer, passage)) for each in prepared],
                    f"The passage of the documents of {name} where the numbers of tokens differ most.",
                )
                for name, passage in passages.items()
            ],
        ),
        Section(
            "What the vocabularies share",
            [
                *([_overlap_figure(results["overlap"])] if results["overlap"] else []),
                *(
                    Text(
                        f"Learned first by {name} and unknown to {other}: "
                        f"{', '.join(f'`{_visible(token)}`' for token in only)}."
                    )
                    for each in results["overlap"]
                    for name, other, only in zip(each["names"], reversed(each["names"]), each["only"], strict=True)
                    if only
                ),
                Table(
                    "longest",
                    dict.fromkeys(shown, ""),
                    list(zip(*shown.values(), strict=True)),
                    f"The longest tokens of each, spaces as ␣; their first {_SHOWN_CHARACTERS} characters.",
                ),
            ],
        ),
        Section(
            "Throughput and storage",
            [
                Table(
                    "throughput",
                    {
                        "corpus": "",
                        "text": human_bytes,
                        "tokens": ",",
                        "text a second": human_bytes,
                        f"time for {human_bytes(PILE_BYTES, digits=0)}": human_seconds,
                        "highest id": ",",
                        "bytes an id": "",
                        "ids on disk": human_bytes,
                    },
                    [
                        [
                            name,
                            each["bytes"],
                            each["tokens"],
                            each["bytes_per_second"],
                            each["pile_seconds"],
                            each["highest_id"],
                            each["id_bytes"],
                            each["ids_bytes"],
                        ]
                        for name, each in corpora.items()
                    ],
                )
            ],
        ),
    ]


def split(tokenizer: Tokenizer, text: str) -> list[str]:
    """The tokens as people read them; parts of characters as hexadecimal digits."""
    tokens = [tokenizer.id_to_token(token) for token in tokenizer.encode_ordinary(text)]
    return [_visible(token.decode()) if _is_utf8(token) else token.hex() for token in tokens]


def _is_utf8(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


def _visible(token: str) -> str:
    return token.replace(" ", "␣").replace("\n", "⏎").replace("`", "'")


def _square_figure(square: Mapping[str, Mapping[str, Any]]) -> Figure:
    figure, (axes,) = new_figure(height=3.8)
    texts = list(square)
    width = 0.8 / len(texts)
    for index, (name, on) in enumerate(square.items()):
        places = np.arange(len(texts)) + width * (index - (len(texts) - 1) / 2)
        axes.bar(
            places,
            [found["bytes_per_token"] for found in on.values()],
            width * 0.92,
            color=COLOURS[index % len(COLOURS)],
            label=name,
        )
        for place, found in zip(places, on.values(), strict=True):
            spread = np.random.default_rng(0).uniform(-0.3, 0.3, len(found["documents"])) * width
            axes.plot(place + spread, found["documents"], ".", color="black", markersize=4, alpha=0.6)
    axes.set_xticks(range(len(texts)), [f"text of {name}" for name in texts])
    axes.set_ylabel("bytes a token")
    axes.grid(axis="x", visible=False)
    figure.legend(title="tokenizer of", loc="outside right upper", frameon=False, fontsize=9)
    return Figure(
        "square",
        figure,
        "Bytes a token of each tokenizer on each corpus's documents: together as a bar, each document as a dot.",
    )


def _overlap_figure(found: Sequence[Mapping[str, Any]]) -> Figure:
    figure, (axes,) = new_figure(height=3.8)
    for each, colour in zip(found, itertools.cycle(COLOURS)):
        axes.plot(
            *zip(*each["by_size"], strict=True), "o-", color=colour, markersize=4, label=" and ".join(each["names"])
        )
    axes.set_xscale("log")
    plain_ticks(axes.xaxis, [256, 1_000, 4_000, 16_000])
    percent_ticks(axes.yaxis)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("the first so many tokens of each")
    axes.set_ylabel("the same in both")
    legend(axes)
    return Figure(
        "overlap", figure, "How much of two vocabularies is the same, by how many of their first tokens are looked at."
    )
