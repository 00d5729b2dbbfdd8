"""The losses of a run, or of several side by side, by step: from their metrics to a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bloomery.errors import ArgumentError
from bloomery.report.figures import COLOURS, legend, new_figure, short_ticks
from bloomery.report.history import History, running_mean

AXES = {"steps": "step", "tokens": "tokens", "seconds": "training time"}
"""What losses are drawn along, and what the axis is called."""

_FORMATS = (".png", ".svg", ".pdf")


def draw_curves(runs: Sequence[Path], output: Path) -> None:
    """Draws training and validation loss of each run.

    The training loss of single steps is drawn pale, and its running mean over a fiftieth of the run in full colour.

    Args:
        runs: Folders of runs.
        output: The picture: a `.png`, `.svg` or `.pdf`, which appears whole or not at all.

    Raises:
        ArgumentError: No run is given, one has measured nothing yet, or the picture's format is none of these.
        OSError: The picture cannot be written.
    """
    if output.suffix not in _FORMATS:
        raise ArgumentError(f"{output}: a picture is written as .png, .svg or .pdf")
    if not runs:
        raise ArgumentError("no run is given to draw the losses of")
    figure = loss_figure([History.read(run) for run in runs])
    unfinished = output.with_name(f".{output.name}")
    figure.savefig(unfinished, format=output.suffix[1:])
    unfinished.replace(output)


def loss_figure(histories: Sequence[History]) -> Any:
    """Training and validation loss by step; a single run is annotated with its first and last validation loss."""
    figure, (axes,) = new_figure(height=5)
    alone = len(histories) == 1
    for history, colour in zip(histories, _colours(len(histories)), strict=True):
        prefix = "" if alone else f"{history.folder}: "
        draw_training(axes, history, colour, f"{prefix}training")
        valid = history.valid
        if len(valid):
            style = {"color": "black" if alone else colour, "marker": "o", "markersize": 4, "linewidth": 1.2}
            axes.plot(valid.steps, valid.loss, linestyle="--", label=f"{prefix}validation", **style)
            for index, place, side in ((0, (6, 4), "left"), (-1, (0, 8), "center")):
                point = valid.steps[index], valid.loss[index]
                axes.annotate(f"{point[1]:.2f}", point, place, textcoords="offset points", ha=side, fontsize=9)
    label_losses(axes, "steps")
    axes.set_title(str(histories[0].folder) if alone else f"{len(histories)} runs")
    legend(axes)
    return figure


def draw_training(axes: Any, history: History, colour: Any, label: str, along: str = "steps") -> None:
    """The training loss of single steps, pale, and its running mean."""
    train = history.train
    if len(train):
        axes.plot(train.along(along), train.loss, color=colour, alpha=0.25, linewidth=0.8)
        axes.plot(train.along(along), running_mean(train.loss), color=colour, label=label)


def draw_validation(axes: Any, history: History, colour: Any, label: str, along: str = "steps", **style: Any) -> None:
    """The validation loss."""
    valid = history.valid
    options = {"marker": "o", "markersize": 3, "linewidth": 1.4, **style}
    axes.plot(valid.along(along), valid.loss, color=colour, label=label, **options)


def label_losses(axes: Any, along: str, loss: str = "loss") -> None:
    """Names the axes of a picture of losses."""
    axes.set_xlabel(AXES[along])
    axes.set_ylabel(f"{loss} (cross-entropy, nats per token)")
    short_ticks(axes.xaxis, "s" if along == "seconds" else "")
    axes.margins(y=0.08)


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]
