"""The study `sgd`: gradient descent on a bowl, at learning rates that crawl, converge and blow up."""

import math
from itertools import pairwise
from typing import Any

import torch

from bloomery.experiments.study.desk import Desk
from bloomery.optim import SGD
from bloomery.report.figures import COLOURS, legend, new_figure
from bloomery.report.page import Figure, Page, Section, Table, Text

LEARNING_RATES = (1.0, 1e1, 1e2, 1e3)
STEPS = 10
SHAPE = (10, 10)
"""Of the weights: the loss is the mean of their squares."""


def run(desk: Desk) -> Page:
    """Descends at each learning rate and writes it up."""
    runs = [descend(lr) for lr in LEARNING_RATES]
    elements = math.prod(SHAPE)
    results: dict[str, Any] = {"runs": runs, "elements": elements, "steps": STEPS}
    return Page(
        title="Stochastic gradient descent on a toy: four learning rates",
        question="What happens to the loss in ten steps at learning rates of 1, 10, 100 and 1,000: does it fall "
        "faster, slower, or diverge, and why?",
        answer=answers(results),
        setting=[
            (
                f"The weights are a {SHAPE[0]}×{SHAPE[1]} matrix drawn from a normal distribution of standard "
                "deviation 5, the same for every learning rate; the loss is the mean of their squares. The optimizer "
                "is `bloomery.optim.SGD`, whose step number t (from 0) moves the weights by lr/√(t+1) times the "
                "gradient."
            )
        ],
        sections=_sections(results),
        results=results,
        commands=[desk.command()],
    )


def descend(lr: float, steps: int = STEPS) -> dict[str, Any]:
    """The losses before each step and after the last one, with what the formula says they should be."""
    torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType] - untyped in torch
    # In float64, since the losses go through thirty orders of magnitude.
    weights = torch.nn.Parameter(5 * torch.randn(SHAPE, dtype=torch.float64))
    optimizer = SGD([weights], lr=lr)
    losses: list[float] = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = weights.square().mean()
        losses.append(loss.item())
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        optimizer.step()
    losses.append(weights.square().mean().item())
    factors = [factor(lr, step) for step in range(steps)]
    predicted = [losses[0]]
    for each in factors:
        predicted.append(predicted[-1] * each**2)
    return {"lr": lr, "losses": losses, "predicted": predicted, "factors": factors, "verdict": verdict(losses)}


def factor(lr: float, step: int) -> float:
    """What a step multiplies every weight by: the gradient of the mean of n squares is 2w/n."""
    return 1 - 2 * lr / (math.prod(SHAPE) * math.sqrt(step + 1))


def verdict(losses: list[float]) -> str:
    """`diverges`, `reaches zero`, or `falls`, by the losses alone."""
    if losses[-1] > losses[0]:
        return "diverges"
    return "reaches zero" if losses[-1] < 1e-9 * losses[0] else "falls"


def answers(results: dict[str, Any]) -> list[str]:
    """The findings in sentences."""
    sentences: list[str] = []
    runs, elements = results["runs"], results["elements"]
    for index, each in enumerate(runs):
        losses = each["losses"]
        change = f"from {_number(losses[0])} to {_number(losses[-1])} in {results['steps']} steps"
        if each["verdict"] == "diverges":
            growing = sum(after > before for before, after in pairwise(losses))
            told = f"it diverges, {change}: the loss grows in {growing} of the steps"
        elif each["verdict"] == "reaches zero":
            step = next(step for step, loss in enumerate(losses) if loss < 1e-9 * losses[0])
            told = f"it is gone after {step} steps, {change}"
        else:
            told = f"it falls, {change} ({1 - losses[-1] / losses[0]:.0%} of it is gone)"
        before = runs[index - 1]
        if index and each["verdict"] != "diverges":
            told += f", {'faster' if losses[-1] < before['losses'][-1] else 'slower'} than at {before['lr']:,g}"
        if each["verdict"] != "diverges" and losses[1] >= (1 - 1e-9) * losses[0]:
            told += "; the first step only throws the weights to the other side of the bowl, as high as before"
        sentences.append(f"Learning rate {each['lr']:,g}: {told}.")
    worst = max(
        abs(got - said) / said
        for each in runs
        for got, said in zip(each["losses"], each["predicted"], strict=True)
        if said > 1e-20
    )
    sentences.append(
        f"Why: the gradient of the mean of {elements} squares is 2w/{elements}, so that a step multiplies every "
        f"weight by 1 − 2·lr/({elements}·√(t+1)) and the loss by its square. Between 0 and 1 that shrinks the weights "
        "smoothly, below 0 they change sides, and below −1 they grow: at the first step, when lr is above "
        f"{elements}. This predicts every loss measured to within {worst:.1g} of its size."
    )
    sentences.append(
        "Because the step shrinks with √(t+1), even a learning rate that begins by diverging would come back in the "
        f"end: at {runs[-1]['lr']:,g} the factor is inside of ±1 from step {(runs[-1]['lr'] / elements) ** 2:,.0f} "
        "on, after the loss has grown beyond any use."
    )
    return sentences


def _number(value: float) -> str:
    return f"{value:,.3g}" if value == 0 or 1e-3 <= value < 1e5 else f"{value:.1e}"


def _sections(results: dict[str, Any]) -> list[Section]:
    runs = results["runs"]
    figure, (axes,) = new_figure()
    for each, colour in zip(runs, COLOURS, strict=False):
        steps = range(len(each["losses"]))
        axes.plot(steps, each["losses"], "o-", color=colour, markersize=4, label=f"lr {each['lr']:,g}")
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.set_ylim(bottom=-2e-4)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_xticks(range(results["steps"] + 1))
    legend(axes)
    return [
        Section(
            "The losses",
            [
                Figure(
                    "losses",
                    figure,
                    "Loss by step at each learning rate; the axis is logarithmic down to 0.001, and linear to 0 below.",
                ),
                Table(
                    "losses",
                    {"step": "", **{f"lr {each['lr']:,g}": _number for each in runs}},
                    [[step, *(each["losses"][step] for each in runs)] for step in range(results["steps"] + 1)],
                ),
            ],
        ),
        Section(
            "Why",
            [
                Text("What each step multiplies the weights by; the loss is multiplied by the square of it."),
                Table(
                    "factors",
                    {"step": "", **{f"lr {each['lr']:,g}": "+.3f" for each in runs}},
                    [[step, *(each["factors"][step] for each in runs)] for step in range(results["steps"])],
                ),
            ],
        ),
    ]
