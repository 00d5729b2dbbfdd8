"""The study `generate`: the same model at several temperatures and top-p, read and measured."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from bloomery import Tokenizer
from bloomery.data import open_tokens
from bloomery.errors import ArgumentError, ContextLengthExceeded
from bloomery.experiments.study import training
from bloomery.experiments.study.budget import make_plan
from bloomery.experiments.study.desk import Desk
from bloomery.experiments.study.runs import workers
from bloomery.generate import Sampling, generate_ids
from bloomery.nn import TransformerLM
from bloomery.report.figures import COLOURS, GREY, legend, new_figure, shades
from bloomery.report.history import History
from bloomery.report.page import Figure, Listing, Page, Section, Table, Text
from bloomery.train import load_model
from bloomery.train.run import CONFIG

TEMPERATURES = (0.3, 0.7, 1.0, 1.4)
TOP_P = (0.5, 0.9, 1.0)
TOKENS = 256
_SAMPLES = 4
"""Of each setting, to measure; the first is shown."""
_REPEATED = 4
"""Tokens in a row that count as repeated where they came before in the same sample."""
_KNOWN_TOKENS = 5_000_000
"""Of the training text, whose words are taken as known."""
_STRETCHES = 16
_FEWEST_BEFORE = 16
_LIKELIEST = 12
_TRAINING_SHARE = 0.8
"""Of the minutes; the rest is for writing."""


def run(desk: Desk) -> Page:
    """Trains a model, or takes the one named, lets it write, and measures that."""
    folder, setting, commands = _trained(desk)
    model, tokenizer = load_model(folder)
    if tokenizer.eot_id is None:
        raise ArgumentError(f"{folder} has no <|endoftext|> in its vocabulary, which a document begins with")
    history = History.read(folder)
    known = known_words(history, tokenizer)
    settings = [Sampling(temperature=0.0)]
    settings += [Sampling(temperature=temperature, top_p=top_p) for temperature in TEMPERATURES for top_p in TOP_P]
    rows = [write(model, tokenizer, sampling, known) for sampling in settings]
    real = held_out_stretches(history)
    results: dict[str, Any] = {
        "rows": rows,
        "held_out": averages([measure(model, tokenizer, ids, known) for ids in real]) if real else None,
        "next_token": next_token(model, tokenizer, real[0] if real else [tokenizer.eot_id]),
        "context_length": model.config.context_length,
    }
    return Page(
        title="Writing: temperature and top-p",
        question="What do temperature and top-p change in what a model writes, and why?",
        answer=answers(results),
        setting=[
            *setting,
            (
                f"At each setting the model writes {_SAMPLES} samples of {TOKENS} tokens from the beginning of a "
                f"document, and goes on where it ends one. Its context is {model.config.context_length} tokens; when "
                "that is full, the older half is dropped."
            ),
        ],
        sections=_sections(results),
        results=results,
        commands=[*commands, *_sampling_commands(folder)],
    )


def write(model: TransformerLM, tokenizer: Tokenizer, sampling: Sampling, known: set[str] | None) -> dict[str, Any]:
    """Samples of one setting, and what can be counted of them."""
    start = tokenizer.eot_id or 0
    samples = 1 if sampling.temperature == 0 else _SAMPLES  # the likeliest tokens are the same each time
    with warnings.catch_warnings():
        # Expected, and said on the page.
        warnings.simplefilter("ignore", ContextLengthExceeded)
        made = generate_ids(model, [[start]] * samples, TOKENS, sampling=sampling, seed=0)
    measured = [measure(model, tokenizer, ids, known) for ids in made]
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "text": tokenizer.decode(made[0]),
        "tokens": [len(ids) for ids in made],
        **averages(measured),
    }


def measure(
    model: TransformerLM, tokenizer: Tokenizer, ids: Sequence[int], known: set[str] | None
) -> dict[str, float | None]:
    """How much of a text is repetition, how much of it is words that are none, and how likely the model finds it."""
    runs = [tuple(ids[first : first + _REPEATED]) for first in range(len(ids) - _REPEATED + 1)]
    found = words(tokenizer.decode(ids))[:-1]  # the last one may be cut off
    return {
        "repeated": 1 - len(set(runs)) / max(len(runs), 1),
        "unknown": None if known is None else sum(word not in known for word in found) / max(len(found), 1),
        "loss": loss_of(model, ids),
    }


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall(r"[^\W\d_]+", text.lower())


@torch.no_grad()
def loss_of(model: TransformerLM, ids: Sequence[int]) -> float:
    """The mean loss of a text's tokens but the first of each window, at temperature 1."""
    length = model.config.context_length
    total, count = 0.0, 0
    for first in range(0, len(ids) - 1, length):
        window = torch.tensor(ids[first : first + length + 1])
        total += F.cross_entropy(model(window[:-1]), window[1:], reduction="sum").item()
        count += len(window) - 1
    return total / count


def known_words(history: History, tokenizer: Tokenizer) -> set[str] | None:
    """The words of the beginning of what the model was trained on; None where that is no longer there."""
    data = history.config.data
    if not all(Path(path).exists() for path in data.train):
        return None
    known: set[str] = set()
    for path in data.train:
        ids = open_tokens(path, dtype=data.dtype)
        seen = np.asarray(ids[: min(_KNOWN_TOKENS, round(len(ids) * (1 - data.held_out)))])
        known.update(words(tokenizer.decode(seen)))
    return known


def held_out_stretches(history: History) -> list[list[int]]:
    """Real text, as long as the samples: from the end of the validation file, or else of the training file."""
    data = history.config.data
    path = Path((*data.valid, *data.train)[0])
    if not path.exists():
        return []
    ids = open_tokens(path, dtype=data.dtype)
    ends = [len(ids) - index * TOKENS for index in range(_STRETCHES)]
    return [np.asarray(ids[end - TOKENS : end]).tolist() for end in ends if end >= TOKENS]


def averages(measured: Sequence[Mapping[str, float | None]]) -> dict[str, float]:
    """The mean of each measure that there is."""
    columns = {name: [each[name] for each in measured] for name in measured[0]}
    return {
        name: fmean(value for value in values if value is not None)
        for name, values in columns.items()
        if None not in values
    }


@torch.no_grad()
def next_token(model: TransformerLM, tokenizer: Tokenizer, stretch: Sequence[int]) -> dict[str, Any]:
    """The likeliest tokens at one place, their probabilities by temperature, and how many of them make up top-p.

    The place is the one in the text where the model is about as unsure as it is on average.
    """
    window = torch.tensor(stretch[: model.config.context_length])
    logits = model(window)
    entropies = torch.distributions.Categorical(logits=logits.double(), validate_args=False).entropy()
    # What is before the first tokens of a window, the model does not see.
    early = min(_FEWEST_BEFORE, len(window) - 1)
    place = early + int((entropies[early:] - entropies[early:].mean()).abs().argmin())
    logits = logits[place]
    order = logits.argsort(descending=True)
    probabilities = {
        f"{temperature:g}": Sampling(temperature=temperature).probabilities(logits)[order]
        for temperature in TEMPERATURES
    }
    return {
        "context": tokenizer.decode(_listed(window[: place + 1])),
        "entropy": entropies[place].item(),
        "tokens": [tokenizer.decode([token]) for token in _listed(order[:_LIKELIEST])],
        "probabilities": {name: _listed(values[:_LIKELIEST]) for name, values in probabilities.items()},
        "nucleus": {
            name: {f"{top_p:g}": int((values.cumsum(0) < top_p).sum()) + 1 for top_p in TOP_P if top_p < 1}
            for name, values in probabilities.items()
        },
        "vocab_size": len(logits),
    }


def _listed(values: Tensor) -> list[Any]:
    return values.tolist()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - untyped in torch


def answers(results: Mapping[str, Any]) -> list[str]:
    """The findings in sentences."""
    rows, real = results["rows"], results["held_out"]
    greedy = rows[0]
    plain = [row for row in rows if row["top_p"] == 1.0]
    cold, hot = plain[0], plain[-1]
    unit = next(row for row in plain if row["temperature"] == 1.0)
    sentences = [
        f"Always taking the likeliest token (temperature 0) repeats itself: {greedy['repeated']:.0%} of the "
        f"{_REPEATED}-token stretches came before in the same sample"
        + (f", against {real['repeated']:.0%} in real text." if real else "."),
        f"Raising the temperature from {cold['temperature']:g} to {hot['temperature']:g} takes repetition from "
        f"{cold['repeated']:.0%} to {hot['repeated']:.0%}, and the loss that the model itself gives to what it wrote "
        f"from {cold['loss']:.2f} to {hot['loss']:.2f} nats a token"
        + (
            f"; words that the training text does not have go from {cold['unknown']:.0%} to {hot['unknown']:.0%}."
            if "unknown" in cold
            else "."
        ),
    ]
    if real:
        nearest = min(rows, key=lambda row: abs(row["loss"] - real["loss"]))
        top_p = "" if nearest["top_p"] in {None, 1.0} else f" and top-p {nearest['top_p']:g}"
        sentences.append(
            f"Held-out text has a loss of {real['loss']:.2f}: what people write is not what is likeliest. At "
            f"temperature 1 without a filter the samples have {unit['loss']:.2f}, as they must be near it if the "
            "model's probabilities are right; the setting nearest to real text is temperature "
            f"{nearest['temperature']:g}{top_p}."
        )
    cut, whole = (
        next(row for row in rows if row["temperature"] == hot["temperature"] and row["top_p"] == top_p)
        for top_p in (0.9, 1.0)
    )
    sentences.append(
        f"Top-p softens a high temperature: at {hot['temperature']:g}, keeping only the likeliest tokens that make up "
        f"90% takes the loss of the samples from {whole['loss']:.2f} to {cut['loss']:.2f}"
        + (f" and unknown words from {whole['unknown']:.0%} to {cut['unknown']:.0%}." if "unknown" in whole else ".")
    )
    nucleus = results["next_token"]["nucleus"]
    low, high = f"{cold['temperature']:g}", f"{hot['temperature']:g}"
    sentences.append(
        "Why: temperature divides the logits, so that a high one flattens the distribution and gives weight to the "
        f"long tail. At the place shown below 90% of the probability lies on {nucleus[low]['0.9']:,} of "
        f"{results['next_token']['vocab_size']:,} tokens at temperature {low}, and on {nucleus[high]['0.9']:,} at "
        f"{high}. Each token of the tail is unlikely, all of them together are not, and one wrong token leads to the "
        "next; top-p cuts the tail where it begins."
    )
    return sentences


def _trained(desk: Desk) -> tuple[Path, list[str], list[list[str]]]:
    """The run to write with, what a page says of it, and its commands."""
    if desk.settings.run is not None:
        folder = Path(desk.settings.run)
        if not (folder / CONFIG).is_file():
            raise ArgumentError(f"{folder} is not the folder of a run: it has no {CONFIG}")
        history = History.read(folder)
        return (
            folder,
            [f"The model is that of {folder}, with a validation loss of {history.final_loss:.3f}."],
            [desk.command()],
        )
    with workers(desk, 1) as pool:
        plan = make_plan(desk, pool, 1, share=_TRAINING_SHARE)
        data = training.training_data(desk, plan)
        outcome = pool.train({"model": plan.run(desk, data, "model")})["model"]
    if outcome.loss is None:
        raise ArgumentError(f"training {outcome.history.folder} diverged: there is nothing to write with")
    ended = f"It ended at a validation loss of {outcome.loss:.3f}."
    return outcome.history.folder, [*plan.sentences(data, 1), ended], training.commands(desk, [data], [outcome])


def _sampling_commands(folder: Path) -> Iterator[list[str]]:
    common = ["bloomery", "generate", str(folder), "--max-tokens", str(TOKENS), "--seed", "0"]
    yield [*common, "--temperature", "0"]
    for temperature in TEMPERATURES:
        for top_p in TOP_P:
            yield [*common, "--temperature", f"{temperature:g}", "--top-p", f"{top_p:g}"]


def _label(row: Mapping[str, Any]) -> str:
    return (
        "the likeliest token"
        if row["temperature"] == 0
        else f"temperature {row['temperature']:g}, top-p {row['top_p']:g}"
    )


def _sections(results: Mapping[str, Any]) -> list[Section]:
    rows, real = results["rows"], results["held_out"]
    measured = {
        "repeated": f"repeated {_REPEATED}-token stretches",
        "unknown": "unknown words",
        "loss": "loss of the samples",
    }
    measured = {name: label for name, label in measured.items() if name in rows[0]}
    formats = {"repeated": ".1%", "unknown": ".1%", "loss": ".3f"}
    table = [[_label(row), *(row[name] for name in measured)] for row in rows]
    if real:
        table.append(["real text, held out", *(real[name] for name in measured)])
    return [
        Section(
            "What is measured",
            [
                _measures(rows, real, measured),
                Table("settings", {"setting": "", **{label: formats[name] for name, label in measured.items()}}, table),
            ],
        ),
        Section(
            "Why: the distribution of the next token",
            [
                Text(
                    "A place in held-out text where the model is about as unsure as it is on average "
                    f"({results['next_token']['entropy']:.2f} nats). What comes after this?"
                ),
                Listing(results["next_token"]["context"]),
                _distribution(results["next_token"]),
                Table(
                    "nucleus",
                    {"temperature": "", **{f"tokens in top-p {top_p:g}": "," for top_p in TOP_P if top_p < 1}},
                    [[name, *counts.values()] for name, counts in results["next_token"]["nucleus"].items()],
                    f"How many of {results['next_token']['vocab_size']:,} tokens top-p keeps there.",
                ),
            ],
        ),
        Section(
            "The samples",
            [
                Text(f"The first sample of each setting, {TOKENS} tokens each."),
                *(
                    block
                    for row in rows
                    for block in (Text(f"{_label(row)[0].upper()}{_label(row)[1:]}:"), Listing(row["text"]))
                ),
            ],
        ),
    ]


def _measures(
    rows: Sequence[Mapping[str, Any]], real: Mapping[str, float] | None, measured: Mapping[str, str]
) -> Figure:
    figure, panels = new_figure(panels=len(measured), width=9.5, height=4)
    for panel, (name, label) in zip(panels, measured.items(), strict=True):
        for top_p, colour in zip(TOP_P, shades(len(TOP_P)), strict=True):
            points = [(row["temperature"], row[name]) for row in rows if row["top_p"] == top_p]
            panel.plot(*zip(*points, strict=True), "o-", color=colour, label=f"top-p {top_p:g}")
        panel.plot(0, rows[0][name], "s", color=COLOURS[1], label="likeliest token")
        if real:
            panel.axhline(real[name], color=GREY, linestyle="--", linewidth=1, label="real text")
        panel.set_xlabel("temperature")
        panel.set_title(label, fontsize=10)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=9
    )
    return Figure(
        "measures",
        figure,
        "What temperature and top-p do to repetition, to made-up words, and to how likely the model finds the text.",
    )


def _distribution(found: Mapping[str, Any]) -> Figure:
    figure, (axes,) = new_figure(height=4)
    places = np.arange(len(found["tokens"]))
    names = list(found["probabilities"])
    width = 0.8 / len(names)
    for index, (name, colour) in enumerate(zip(names, shades(len(names)), strict=True)):
        axes.bar(
            places + width * (index - (len(names) - 1) / 2),
            found["probabilities"][name],
            width,
            color=colour,
            label=name,
        )
    labels = [token if token.isascii() and token.isprintable() else ascii(token)[1:-1] for token in found["tokens"]]
    axes.set_xticks(places, [label.replace("$", r"\$").replace(" ", "␣") for label in labels], rotation=30, ha="right")
    axes.set_ylabel("probability")
    axes.grid(axis="x", visible=False)
    legend(axes, title="temperature")
    return Figure(
        "distribution", figure, "The likeliest next tokens at that place, and their probabilities by temperature."
    )
