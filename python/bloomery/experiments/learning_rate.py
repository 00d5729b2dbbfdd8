"""The study `learning-rate`: a sweep, refined round the best, up to where training diverges."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bloomery.experiments.study import training
from bloomery.experiments.study.budget import make_plan
from bloomery.experiments.study.desk import Desk, listed
from bloomery.experiments.study.runs import Outcome, unigram_loss, workers
from bloomery.report.figures import COLOURS, GREY, legend, new_figure, plain_ticks, shades
from bloomery.report.page import Figure, Page, Section, Text
from bloomery.units import human_seconds

_FACTOR = math.sqrt(10)
_BELOW, _ABOVE = 3, 4
"""Rates of the first sweep under and over the usual one, a factor of √10 apart."""
_REFINED = 2
_FURTHER = 2
"""Rates above the sweep, at most, until one diverges."""


def run(desk: Desk) -> Page:
    """Trains the sweep, refines it, and writes it up."""
    with workers(desk, _BELOW + 1 + _ABOVE) as pool:
        plan = make_plan(desk, pool, _BELOW + 1 + _ABOVE + _REFINED + 1)
        data = training.training_data(desk, plan)

        def train(rates: Sequence[float]) -> dict[float, Outcome]:
            names = {f"lr-{rate:g}": rate for rate in rates}
            trained = pool.train({name: plan.run(desk, data, name, max_lr=rate) for name, rate in names.items()})
            return {names[name]: outcome for name, outcome in trained.items()}

        found = train([rounded(plan.max_lr * _FACTOR**power) for power in range(-_BELOW, _ABOVE + 1)])
        # Both at a time, as one alone would leave the other places empty.
        more = [*refined(found), *beyond(found)]
        for _ in range(_FURTHER):
            found |= train(more)
            more = beyond(found)
    outcomes = [found[rate] for rate in sorted(found)]
    results: dict[str, Any] = {
        "tokens": plan.tokens,
        "unigram_loss": unigram_loss(str(data.tokens_path)),
        "runs": [each.to_dict() for each in outcomes],
    }
    return Page(
        title="The learning rate",
        question="Which learning rate is best, what happens at higher and lower ones, and how far is the best from the "
        "edge beyond which training diverges?",
        answer=answers(results),
        setting=plan.sentences(data, len(outcomes)),
        sections=_sections(outcomes),
        results=results,
        commands=training.commands(desk, [data], outcomes),
    )


def rounded(rate: float) -> float:
    """To two digits, so that it can be read and typed."""
    return float(f"{rate:.1e}")


def beyond(found: Mapping[float, Outcome]) -> list[float]:
    """The next higher rate, unless the highest one diverged."""
    highest = max(found)
    return [] if found[highest].stability == "diverged" else [rounded(highest * _FACTOR)]


def refined(found: Mapping[float, Outcome]) -> list[float]:
    """A rate on either side of the best one, half-way (on a logarithmic scale) to its neighbour."""
    losses = {rate: outcome.loss for rate, outcome in found.items() if outcome.loss is not None}
    if not losses:
        return []
    rates = sorted(found)
    index = rates.index(min(losses, key=lambda rate: losses[rate]))
    best = rates[index]
    below = rates[index - 1] if index else best / _FACTOR
    above = rates[index + 1] if index + 1 < len(rates) else best * _FACTOR
    return [rounded(math.sqrt(best * other)) for other in (below, above)]


def answers(results: Mapping[str, Any]) -> list[str]:
    """The findings in sentences, from the runs in order of their rates."""
    runs = results["runs"]
    finished = [run for run in runs if run["valid_loss"] is not None]
    if not finished:
        return [f"Every run diverged, the lowest learning rate, {runs[0]['max_lr']:g}, too: start lower."]
    best = min(finished, key=lambda run: run["valid_loss"])
    sentences = [
        (
            f"The best learning rate is {best['max_lr']:g}, with a validation loss of {best['valid_loss']:.3f}; "
            f"before the first step it was {best['first_loss']:.3f}."
        )
    ]
    if best is runs[0] or best is runs[-1]:
        end = "lowest" if best is runs[0] else "highest"
        sentences.append(f"It is the {end} that was tried: the true best may lie beyond.")
    near = [run for run in finished if run["valid_loss"] - best["valid_loss"] <= 0.01 * best["valid_loss"]]
    if len(near) > 1:
        sentences.append(
            f"The optimum is flat: from {near[0]['max_lr']:g} to {near[-1]['max_lr']:g} the loss is within one "
            "percent of it."
        )
    lowest = finished[0]
    if lowest is not best:
        sentences.append(
            f"Too low a rate is merely slow: at {lowest['max_lr']:g} the same steps end at {lowest['valid_loss']:.3f}."
        )
    diverged = [run for run in runs if run["stability"] == "diverged"]
    unstable = [run for run in runs if run["stability"] == "unstable"]
    if unstable:
        sentences.append(
            f"At {listed([format(run['max_lr'], 'g') for run in unstable])} the loss was thrown back above where it "
            "had begun, and came down again as the schedule lowered the rate."
        )
    if diverged:
        first = diverged[0]
        how = (
            "became infinite or no number"
            if first["message"]
            else "was thrown back above its beginning and ended no better than knowing how frequent each token is "
            f"({results['unigram_loss']:.3f})"
        )
        sentences.append(f"At {first['max_lr']:g} training diverged: the loss {how}.")
    rough = [run["max_lr"] for run in runs if run["stability"] != "stable"]
    stable = [
        run["max_lr"] for run in runs if run["stability"] == "stable" and (not rough or run["max_lr"] < min(rough))
    ]
    if rough and stable:
        edge = max(stable)
        where = (
            "at"
            if best["max_lr"] == edge
            else f"{edge / best['max_lr']:.2g} times below"
            if best["max_lr"] < edge
            else "beyond"
        )
        sentences.append(
            f"The edge of stability lies between {edge:g}, the highest rate at which the loss never rose above its "
            f"beginning, and {min(rough):g}. The best rate is {where} it"
            + (
                ": close to the edge, as folklore has it."
                if best["max_lr"] * 4 >= edge
                else ": well inside of it, here."
            )
        )
    elif not rough:
        sentences.append("No rate that was tried diverged: the edge of stability lies above all of them.")
    return sentences


def _sections(outcomes: Sequence[Outcome]) -> list[Section]:
    first = outcomes[0].history.first_loss
    seconds = [float(outcome.history.train.seconds[-1]) for outcome in outcomes if len(outcome.history.train)]
    notes = {"stable": "", "unstable": " (unstable)", "diverged": " (diverged)"}
    drawn = {
        f"{outcome.history.config.schedule.max_lr:g}{notes[outcome.stability]}": (outcome, colour)
        for outcome, colour in zip(outcomes, shades(len(outcomes)), strict=True)
    }
    return [
        Section(
            "The sweep",
            [
                _sweep(outcomes),
                training.curves(
                    "curves",
                    drawn,
                    "Validation loss by steps and by training time for each learning rate; dashed where training was "
                    "thrown back or diverged. The picture is cut off above the first loss.",
                    highest=1.15 * first,
                ),
                Text(
                    "Every run has the same steps, windows and first weights; only the learning rate differs. A step "
                    f"costs the same at any rate: the runs took {human_seconds(min(seconds))} to "
                    f"{human_seconds(max(seconds))} of training, which differs by what else the machine did."
                ),
            ],
        ),
        Section("The runs", [training.table(outcomes)]),
    ]


def _sweep(outcomes: Sequence[Outcome]) -> Figure:
    figure, (axes,) = new_figure(height=4.2)
    rates = np.array([outcome.history.config.schedule.max_lr for outcome in outcomes])
    losses = np.array([np.nan if outcome.loss is None else outcome.loss for outcome in outcomes])
    kinds = np.array([outcome.stability for outcome in outcomes])
    axes.plot(rates, losses, color=GREY, linewidth=1, zorder=1)
    for kind, colour, marker in (("stable", COLOURS[0], "o"), ("unstable", COLOURS[4], "D")):
        if (kinds == kind).any():
            axes.scatter(rates[kinds == kind], losses[kinds == kind], color=colour, marker=marker, label=kind, zorder=2)
    for index, rate in enumerate(rates[kinds == "diverged"]):
        axes.axvline(rate, color=COLOURS[1], linestyle="--", linewidth=1, label="diverged" if index == 0 else None)
    if np.isfinite(losses).any():
        best = int(np.nanargmin(losses))
        axes.annotate(
            f"best: {rates[best]:g}, {losses[best]:.3f}",
            (rates[best], losses[best]),
            (0, -16),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    axes.set_xscale("log")
    plain_ticks(axes.xaxis, sorted(rates)[:: 2 if len(rates) > 8 else 1])
    axes.tick_params(axis="x", labelrotation=30)
    axes.set_xlabel("learning rate after the warm-up")
    axes.set_ylabel("final validation loss (nats per token)")
    axes.margins(y=0.15)
    legend(axes, loc="upper center")
    return Figure("sweep", figure, "Final validation loss by learning rate.")
