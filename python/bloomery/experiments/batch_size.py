"""The study `batch-size`: the same tokens in small batches and large ones, the learning rate tuned at each."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from bloomery.accounting import training_memory
from bloomery.experiments.study import training
from bloomery.experiments.study.budget import Plan, make_plan
from bloomery.experiments.study.desk import Desk
from bloomery.experiments.study.runs import Outcome, workers
from bloomery.report.figures import GREY, legend, new_figure, plain_ticks, shades, short_ticks
from bloomery.report.page import Figure, Page, Section, Table
from bloomery.units import human_bytes, human_seconds

_FACTOR = 4
_FEWEST_STEPS = 16
"""A batch so large that the tokens make fewer steps is left out."""
_RATES = (1 / math.sqrt(10), 1.0, math.sqrt(10))
"""Tried at each size, round the usual rate scaled by the root of the size."""
_COST = 22
"""Runs of the usual size that take as long as all of these: small batches use the machine badly."""


def run(desk: Desk) -> Page:
    """Trains each size at several learning rates and writes it up."""
    with workers(desk, _COST, alone=True) as pool:
        plan = make_plan(desk, pool, _COST)
        data = training.training_data(desk, plan)
        memory = available_memory()
        limit = training_memory(plan.config).largest_batch(memory)
        found: dict[int, dict[float, Outcome]] = {size: {} for size in sizes(plan, limit)}

        def train(wanted: Mapping[int, Sequence[float]]) -> None:
            pairs = {f"batch-{size}-lr-{rate:g}": (size, rate) for size, rates in wanted.items() for rate in rates}
            configs = {
                name: plan.run(desk, data, name, batch_size=size, max_lr=rate) for name, (size, rate) in pairs.items()
            }
            for name, outcome in pool.train(configs).items():
                size, rate = pairs[name]
                found[size][rate] = outcome

        # The longest first, so that no place is left waiting for it.
        train({size: [_rate(plan, size, factor) for factor in _RATES] for size in sorted(found)})
        train({size: further(runs) for size, runs in found.items()})
    best = {size: min(runs.values(), key=lambda run: (run.loss is None, run.loss)) for size, runs in found.items()}
    outcomes = [found[size][rate] for size in sorted(found) for rate in sorted(found[size])]
    results: dict[str, Any] = {
        "tokens": plan.tokens,
        "memory": memory,
        "largest_in_memory": limit,
        "sizes": [best[size].to_dict() | {"loss_when_first_is_done": None} for size in sorted(best)],
        "runs": [outcome.to_dict() for outcome in outcomes],
    }
    at_equal_time(results["sizes"], best)
    return Page(
        title="The batch size",
        question="What does the batch size do to the loss, by the tokens seen and by the time taken, when the learning "
        "rate is tuned at each size?",
        answer=answers(results),
        setting=[
            *plan.sentences(data, len(outcomes)),
            (
                f"Every size sees the same number of tokens, so that a batch {_FACTOR} times larger makes {_FACTOR} "
                "times fewer steps. At each size three learning rates are tried, round the usual one scaled by the "
                "root of the size, and one more where the best is at the end of the three."
            ),
        ],
        sections=_sections(results, best, outcomes),
        results=results,
        commands=training.commands(desk, [data], outcomes),
    )


def sizes(plan: Plan, limit: int) -> list[int]:
    """Batch sizes from 1 up, as far as memory and the number of steps allow."""
    largest = min(limit, plan.tokens // (plan.config.context_length * _FEWEST_STEPS))
    return [_FACTOR**power for power in range(20) if _FACTOR**power <= max(largest, 1)]


def further(runs: Mapping[float, Outcome]) -> list[float]:
    """A rate beyond the best one, where that is the lowest or the highest of those tried."""
    losses = {rate: outcome.loss for rate, outcome in runs.items() if outcome.loss is not None}
    if not losses:
        return [_two_digits(min(runs) / math.sqrt(10))]
    best = min(losses, key=lambda rate: losses[rate])
    if best == min(runs):
        return [_two_digits(best / math.sqrt(10))]
    return [_two_digits(best * math.sqrt(10))] if best == max(runs) else []


def at_equal_time(rows: Sequence[dict[str, Any]], best: Mapping[int, Outcome]) -> None:
    """Adds to each row the loss that its size had reached when the first size was done."""
    end = min(float(outcome.history.valid.seconds[-1]) for outcome in best.values())
    for row in rows:
        valid = best[row["batch_size"]].history.valid
        row["loss_when_first_is_done"] = float(np.interp(end, valid.seconds, valid.loss))
        row["first_is_done"] = end


def answers(results: Mapping[str, Any]) -> list[str]:
    """The findings in sentences."""
    rows = [row for row in results["sizes"] if row["valid_loss"] is not None]
    if not rows:
        return ["Every run diverged."]
    by_tokens = min(rows, key=lambda row: row["valid_loss"])
    by_time = min(rows, key=lambda row: row["loss_when_first_is_done"])
    fastest, slowest = (
        max(rows, key=lambda row: row["tokens_per_second"]),
        min(rows, key=lambda row: row["tokens_per_second"]),
    )
    largest = rows[-1]
    sentences = [
        (
            f"By tokens, a batch of {by_tokens['batch_size']:,} is best: after {results['tokens']:,} tokens its "
            f"validation loss is {by_tokens['valid_loss']:.3f}."
        ),
        (
            f"By time, a batch of {by_time['batch_size']:,} is best: after {human_seconds(by_time['first_is_done'])}, "
            f"when the first size was done with its tokens, it had reached {by_time['loss_when_first_is_done']:.3f}."
        ),
        (
            f"A batch of {fastest['batch_size']:,} trains at {fastest['tokens_per_second']:,.0f} tokens a second, a "
            f"batch of {slowest['batch_size']:,} at {slowest['tokens_per_second']:,.0f}, "
            f"{fastest['tokens_per_second'] / slowest['tokens_per_second']:.1f} times slower."
        ),
    ]
    if largest is not by_tokens:
        sentences.append(
            f"The largest, {largest['batch_size']:,}, ends at {largest['valid_loss']:.3f}: it makes "
            f"{largest['steps']:,} steps where a batch of {by_tokens['batch_size']:,} makes {by_tokens['steps']:,}, "
            "and a step on more windows has a better gradient but no longer reach."
        )
    slope = exponent(rows)
    if slope is not None:
        sentences.append(
            f"The best learning rate goes with the batch size to the power of {slope:.2f} (from {rows[0]['max_lr']:g} "
            f"at {rows[0]['batch_size']:,} to {largest['max_lr']:g} at {largest['batch_size']:,}); the usual rules of "
            "thumb are 0.5 for Adam and 1 for SGD."
        )
    sentences.append(
        f"Memory would hold a batch of {results['largest_in_memory']:,} ({human_bytes(results['memory'])} are free), "
        "by the formula of the accounting study for the plain model."
        + (
            " The sweep ends earlier because the tokens would make too few steps."
            if results["largest_in_memory"] >= _FACTOR * largest["batch_size"]
            else ""
        )
    )
    return sentences


def exponent(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The slope of the best learning rate over the batch size, both as logarithms."""
    if len(rows) < 2:
        return None
    sizes, rates = (np.log([row[name] for row in rows]) for name in ("batch_size", "max_lr"))
    return float(np.polyfit(sizes, rates, 1)[0])


def available_memory() -> int:
    """The bytes that are free on the accelerator, or else in the machine."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    import psutil  # noqa: PLC0415 - only here

    return int(psutil.virtual_memory().available)


def _rate(plan: Plan, size: int, factor: float) -> float:
    return _two_digits(plan.max_lr * factor * math.sqrt(size / plan.batch_size))


def _two_digits(rate: float) -> float:
    return float(f"{rate:.1e}")


def _sections(results: Mapping[str, Any], best: Mapping[int, Outcome], outcomes: Sequence[Outcome]) -> list[Section]:
    rows = results["sizes"]
    return [
        Section(
            "Loss by tokens and by time",
            [
                _curves(best),
                Table(
                    "sizes",
                    {
                        "batch size": ",",
                        "steps": ",",
                        "best learning rate": "g",
                        "validation loss": ".4f",
                        "loss at equal time": ".4f",
                        "tokens a second": ",.0f",
                        "seconds": ",.1f",
                    },
                    [
                        [
                            row["batch_size"],
                            row["steps"],
                            row["max_lr"],
                            row["valid_loss"],
                            row["loss_when_first_is_done"],
                            row["tokens_per_second"],
                            row["seconds"],
                        ]
                        for row in rows
                    ],
                    f"Each size at its best learning rate. Equal time: {human_seconds(rows[0]['first_is_done'])}, "
                    "when the first size was done.",
                ),
            ],
        ),
        Section("The learning rate at each size", [_rates(outcomes)]),
        Section("The runs", [training.table(outcomes)]),
    ]


def _curves(best: Mapping[int, Outcome]) -> Figure:
    figure, panels = new_figure(panels=2, width=9.5, height=5.2, share_y=True)
    for panel, along in zip(panels, ("tokens", "seconds"), strict=True):
        for size, colour in zip(sorted(best), shades(len(best)), strict=True):
            valid = best[size].history.valid
            panel.plot(valid.along(along)[1:], valid.loss[1:], "o-", color=colour, markersize=3, label=f"{size:,}")
        panel.set_xscale("log" if along == "seconds" else "linear")
        panel.set_xlabel("tokens" if along == "tokens" else "seconds of training")
    short_ticks(panels[0].xaxis)
    plain_ticks(panels[1].xaxis)
    panels[0].set_ylabel("validation loss (nats per token)")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=6, frameon=False, title="batch size", fontsize=9)
    return Figure(
        "curves",
        figure,
        "Validation loss of each batch size at its best learning rate, by tokens seen and by time taken.",
    )


def _rates(outcomes: Sequence[Outcome]) -> Figure:
    figure, (axes,) = new_figure(height=4.4)
    by_size: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        by_size.setdefault(outcome.history.config.train.batch_size, []).append(outcome)
    for (size, runs), colour in zip(by_size.items(), shades(len(by_size)), strict=True):
        points = [(run.history.config.schedule.max_lr, run.loss) for run in runs if run.loss is not None]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=colour, label=f"{size:,}")
            axes.plot(*min(points, key=lambda point: point[1]), "o", color=colour, markersize=10, markeredgecolor=GREY)
    axes.set_xscale("log")
    plain_ticks(axes.xaxis)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("final validation loss (nats per token)")
    legend(axes, title="batch size")
    return Figure(
        "rates", figure, "Final validation loss by learning rate for each batch size; the large dots are the best."
    )
