"""The losses of a run, or of several side by side, by step: from their metrics to a PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from bloomery.errors import ArgumentError
from bloomery.train import read_metrics

Points = NDArray[np.float64]
"""Steps and values, ``[n, 2]``."""

_COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink", "tab:olive")


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
    if output.suffix not in {".png", ".svg", ".pdf"}:
        raise ArgumentError(f"{output}: a picture is written as .png, .svg or .pdf")
    if not runs:
        raise ArgumentError("no run is given to draw the losses of")
    # No pyplot: it would look for a screen, and keep the figure.
    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    for index, run in enumerate(runs):
        _draw_run(axes, run, _COLOURS[index % len(_COLOURS)], f"{run}: " if len(runs) > 1 else "")
    axes.set_xlabel("step")
    axes.set_ylabel("loss (cross-entropy, nats per token)")
    axes.set_title(str(runs[0]) if len(runs) == 1 else f"{len(runs)} runs")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.margins(y=0.08)
    axes.grid(alpha=0.3)
    axes.legend()
    unfinished = output.with_name(f".{output.name}")
    # The library types the picture's options as nothing in particular.
    figure.savefig(unfinished, format=output.suffix[1:])  # pyright: ignore[reportUnknownMemberType]
    unfinished.replace(output)


def _draw_run(axes: Any, run: Path, colour: str, prefix: str) -> None:
    metrics = read_metrics(run)
    train, valid = _points(metrics, "loss"), _points(metrics, "valid_loss")
    if not len(train) and not len(valid):
        raise ArgumentError(f"{run} has no metrics to draw: is it the folder of a run?")
    if len(train):
        axes.plot(*train.T, color=colour, alpha=0.25, linewidth=0.8)
        axes.plot(train[:, 0], running_mean(train[:, 1]), color=colour, label=f"{prefix}training")
    if len(valid):
        style = {"color": colour if prefix else "black", "marker": "o", "markersize": 4, "linewidth": 1.2}
        axes.plot(*valid.T, linestyle="--", label=f"{prefix}validation", **style)
        for point, place, side in ((valid[0], (6, 4), "left"), (valid[-1], (0, 8), "center")):
            axes.annotate(f"{point[1]:.2f}", point, place, textcoords="offset points", ha=side, fontsize=9)


def _points(metrics: Sequence[dict[str, Any]], name: str) -> Points:
    points = [(line["step"], line[name]) for line in metrics if name in line]
    return np.array(points, np.float64).reshape(-1, 2)


def running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each value's mean with those around it, a fiftieth of all wide.

    The window is narrower at the beginning, where losses fall so steeply that a lopsided one would show another curve;
    at the end, where they are flat, it loses its later half only.
    """
    half = len(values) // 100
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    before = np.minimum(half, index)
    after = np.minimum(before, index[::-1])
    return (sums[index + after + 1] - sums[index - before]) / (before + after + 1)
