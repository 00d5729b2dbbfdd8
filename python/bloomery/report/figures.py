"""How figures look: their size, colours and labels, the same on every page."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter, PercentFormatter, StrMethodFormatter

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b4c9a", "#555555")
"""Told apart by people who see no red or green too (Okabe and Ito, 2008)."""
GREY = "#8a8f98"


def new_figure(
    *, panels: int = 1, width: float = 8.0, height: float = 4.6, share_y: bool = False
) -> tuple[Any, list[Any]]:
    """A figure with panels side by side, and their axes; no pyplot, which would look for a screen.

    They are typed as anything, because the library types most of their options as nothing in particular.
    """
    figure: Any = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes: list[Any] = list(figure.subplots(1, panels, squeeze=False, sharey=share_y)[0])
    for panel in axes:
        panel.grid(alpha=0.25, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes


def shades(count: int) -> list[Any]:
    """Colours in an order that the eye sees, for values in an order; the palest ends are left out."""
    ramp: Any = mpl.colormaps["viridis"]
    return [ramp(0.92 * index / max(count - 1, 1)) for index in range(count)]


def plain_ticks(axis: Any, ticks: Sequence[float] | None = None) -> None:
    """Numbers as people write them (0.5, 20, 4,096) in the place of powers of ten."""
    if ticks is not None:
        axis.set_ticks(ticks)
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))


def short_ticks(axis: Any, unit: str = "") -> None:
    """Large numbers in thousands and millions: 200 k, 1 M."""
    axis.set_major_formatter(EngFormatter(unit=unit))


def percent_ticks(axis: Any) -> None:
    """Shares as percent."""
    axis.set_major_formatter(PercentFormatter(1, decimals=0))


def legend(panel: Any, **options: Any) -> None:
    """A legend without a frame."""
    panel.legend(frameon=False, fontsize=9, **options)
