"""The study `corpora`: the same model and steps on two corpora, and how losses of different vocabularies compare."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from bloomery.errors import ArgumentError, ContextLengthExceeded
from bloomery.experiments.study import training
from bloomery.experiments.study.budget import make_plan
from bloomery.experiments.study.corpora import Prepared, corpora_of, prepare
from bloomery.experiments.study.desk import Desk
from bloomery.experiments.study.runs import Outcome, workers
from bloomery.generate import Sampling, generate
from bloomery.report.figures import COLOURS, new_figure
from bloomery.report.page import Figure, Listing, Page, Section, Table, Text
from bloomery.train import load_model

_LARGER = 4
"""Times the vocabulary, for the second tokenizer of each corpus."""
_SAMPLE_TOKENS = 128
_NOTHING = "(nothing: it ended the document at once)"


def run(desk: Desk) -> Page:
    """Trains on both corpora with two vocabularies each and writes it up."""
    corpora = corpora_of(desk)
    if len(corpora) < 2:
        raise ArgumentError("corpora compares two corpora, and one is given: name a second one")
    if len(corpora) > 2:
        desk.say(f"of {len(corpora)} corpora, this study takes the first two")
    runs = 2 * 2
    with workers(desk, runs) as pool:
        # A larger vocabulary takes more time for the output head.
        plan = make_plan(desk, pool, 2 * runs)
        small = plan.config.vocab_size
        data = {
            f"{corpus.name}-{size}": prepare(desk, corpus, size)
            for corpus in corpora[:2]
            for size in (small, _LARGER * small)
        }
        trained = pool.train({name: plan.run(desk, prepared, name) for name, prepared in data.items()})
    rows = [row(trained[name], prepared) for name, prepared in data.items()]
    results: dict[str, Any] = {"rows": rows, "samples": {name: sample(trained[name]) for name in trained}}
    return Page(
        title="One model on two corpora",
        question="How does the same model do on two corpora with the same steps, and how are losses to be compared "
        "when the tokens are not the same?",
        answer=answers(rows),
        setting=[
            *plan.sentences(next(iter(data.values())), len(trained)),
            (
                f"The same model and steps on {corpora[0].name} and on {corpora[1].name}, with a tokenizer of its own "
                f"for each, and once more with {_LARGER} times the vocabulary, which changes the embedding and the "
                "output head only."
            ),
        ],
        sections=_sections(rows, results["samples"], trained),
        results=results,
        commands=training.commands(desk, list(data.values()), list(trained.values())),
    )


def row(outcome: Outcome, data: Prepared) -> dict[str, Any]:
    """A run's results, with what ties its loss to bytes."""
    told = outcome.to_dict()
    loss, bits = told["valid_loss"], told["valid_bits_per_byte"]
    # Of the tokens that the validation loss is the mean over.
    ratio = None if loss is None else loss / math.log(2) / bits
    return {**told, "corpus": data.name, "vocab_size": data.tokenizer.vocab_size, "bytes_per_token": ratio}


def sample(outcome: Outcome) -> str:
    """A text that the model writes, from the beginning of a document."""
    model, tokenizer = load_model(outcome.history.folder)
    with warnings.catch_warnings():
        # Expected, with a context this short.
        warnings.simplefilter("ignore", ContextLengthExceeded)
        made = generate(model, tokenizer, "", _SAMPLE_TOKENS, sampling=Sampling(temperature=0.8, top_p=0.95), seed=0)
    return made[0].text


def answers(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The findings in sentences; rows are corpus by corpus, the smaller vocabulary first."""
    diverged = [row["run"] for row in rows if row["valid_loss"] is None]
    if diverged:
        return [f"Training diverged on {', '.join(diverged)}: the corpora cannot be compared at this learning rate."]
    first, first_large, second, second_large = rows
    harder, easier = (
        (first, second) if first["valid_bits_per_byte"] > second["valid_bits_per_byte"] else (second, first)
    )
    sentences = [
        (
            f"With {easier['vocab_size']:,} tokens each, the model ends at {easier['valid_loss']:.3f} nats a token on "
            f"{easier['corpus']} and at {harder['valid_loss']:.3f} on {harder['corpus']}. By the byte that is "
            f"{easier['valid_bits_per_byte']:.3f} and {harder['valid_bits_per_byte']:.3f} bits: after the same "
            f"training, a byte of {harder['corpus']} keeps "
            f"{harder['valid_bits_per_byte'] / easier['valid_bits_per_byte']:.2f} times as much that the model could "
            "not foresee."
        )
    ]
    for small, large in ((first, first_large), (second, second_large)):
        worse = large["valid_loss"] > small["valid_loss"]
        better_bits = large["valid_bits_per_byte"] < small["valid_bits_per_byte"]
        sentences.append(
            f"On {small['corpus']}, a vocabulary of {large['vocab_size']:,} instead of {small['vocab_size']:,} "
            f"changes the loss of a token from {small['valid_loss']:.3f} to {large['valid_loss']:.3f}, but a token "
            f"stands for {large['bytes_per_token']:.2f} bytes instead of {small['bytes_per_token']:.2f}: by the byte "
            f"the loss goes from {small['valid_bits_per_byte']:.3f} to {large['valid_bits_per_byte']:.3f} bits."
            + (
                " Told by tokens it looks worse, and it is better."
                if worse and better_bits
                else " Told by tokens it looks better, and it is worse."
                if not worse and not better_bits
                else ""
            )
        )
    sentences.append(
        "So losses a token compare models of one tokenizer only. Bits a byte, loss / (ln 2 · bytes a token), ask "
        "every model the same question: how many bits it would take to write the text down with its help."
    )
    return sentences


def _sections(
    rows: Sequence[Mapping[str, Any]], samples: Mapping[str, str], trained: Mapping[str, Outcome]
) -> list[Section]:
    colours = dict(zip(trained, COLOURS, strict=False))
    return [
        Section(
            "By the token and by the byte",
            [
                _bars(rows, colours),
                Table(
                    "corpora",
                    {
                        "corpus": "",
                        "vocabulary": ",",
                        "validation loss": ".4f",
                        "perplexity": ",.1f",
                        "bytes a token": ".3f",
                        "bits a byte": ".4f",
                    },
                    [
                        [
                            row["corpus"],
                            row["vocab_size"],
                            row["valid_loss"],
                            None if row["valid_loss"] is None else math.exp(row["valid_loss"]),
                            row["bytes_per_token"],
                            row["valid_bits_per_byte"],
                        ]
                        for row in rows
                    ],
                    "Losses in nats a token; bytes a token of the held-out windows.",
                ),
                _curves(trained, colours),
            ],
        ),
        Section(
            "What the models write",
            [
                Text(
                    f"{_SAMPLE_TOKENS} tokens at most from the beginning of a document, at temperature 0.8 and top-p "
                    "0.95, one seed."
                ),
                *(block for name, text in samples.items() for block in (Text(name), Listing(text or _NOTHING))),
            ],
        ),
        Section("The runs", [training.table(list(trained.values()))]),
    ]


def _bars(rows: Sequence[Mapping[str, Any]], colours: Mapping[str, str]) -> Figure:
    figure, panels = new_figure(panels=2, width=9, height=3.6)
    for panel, key, label in zip(
        panels, ("valid_loss", "valid_bits_per_byte"), ("nats a token", "bits a byte"), strict=True
    ):
        for place, each in enumerate(rows):
            if each[key] is not None:
                panel.bar(place, each[key], 0.65, color=colours[each["run"]])
                panel.annotate(
                    f"{each[key]:.2f}", (place, each[key]), (0, 3), textcoords="offset points", ha="center", fontsize=9
                )
        labels = [f"{each['corpus']}, {each['vocab_size']:,}" for each in rows]
        panel.set_xticks(range(len(rows)), labels, fontsize=8, rotation=25, ha="right")
        panel.set_ylabel(f"validation loss, {label}")
        panel.grid(axis="x", visible=False)
        panel.margins(y=0.12)
    return Figure("bars", figure, "The same four runs, their losses told by the token (left) and by the byte (right).")


def _curves(trained: Mapping[str, Outcome], colours: Mapping[str, str]) -> Figure:
    figure, panels = new_figure(panels=2, width=9.5, height=4.8)
    for name, outcome in trained.items():
        history = outcome.history
        for panel, values in zip(panels, (history.valid.loss, history.bits_per_byte), strict=True):
            panel.plot(history.valid.steps[1:], values[1:], "o-", markersize=3, color=colours[name], label=name)
    for panel, label in zip(panels, ("nats a token", "bits a byte"), strict=True):
        panel.set_xlabel("step")
        panel.set_ylabel(f"validation loss, {label}")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9
    )
    return Figure("curves", figure, "Validation losses by step, by the token and by the byte.")
