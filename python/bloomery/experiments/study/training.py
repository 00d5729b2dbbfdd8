"""What the studies that train models show alike: curves of many runs, and a table of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from bloomery.experiments.study.budget import Plan
from bloomery.experiments.study.corpora import Corpus, Prepared, corpora_of, prepare, preparing_commands
from bloomery.experiments.study.desk import Desk
from bloomery.experiments.study.runs import Outcome, training_commands
from bloomery.report.curves import draw_validation, label_losses
from bloomery.report.figures import new_figure
from bloomery.report.page import Figure, Table
from bloomery.units import human_seconds


def training_corpus(desk: Desk) -> Corpus:
    """The one corpus that a study trains on: the first."""
    corpora = corpora_of(desk)
    if len(desk.settings.inputs) > 1:
        desk.say(f"of {len(corpora)} corpora, {desk.name} trains on the first, {corpora[0].name}")
    return corpora[0]


def training_data(desk: Desk, plan: Plan) -> Prepared:
    """That corpus, with a tokenizer of the model's size."""
    return prepare(desk, training_corpus(desk), plan.config.vocab_size)


def commands(desk: Desk, data: Sequence[Prepared], outcomes: Sequence[Outcome]) -> list[list[str]]:
    """The command lines of a study that trains: itself, what it trains on, and its runs."""
    return [desk.command(), *preparing_commands(data), *training_commands(outcomes)]


def curves(
    name: str, drawn: Mapping[str, tuple[Outcome, Any]], caption: str, *, highest: float | None = None
) -> Figure:
    """Validation losses by steps and by time, side by side; the labels' runs with their colours.

    Args:
        name: The figure's.
        drawn: The runs, by what the legend calls them.
        caption: What is to be seen.
        highest: Where the picture ends upwards; what is above is cut off.
    """
    figure, panels = new_figure(panels=2, width=9.5, height=5.4, share_y=True)
    for panel, along in zip(panels, ("steps", "seconds"), strict=True):
        for label, (outcome, colour) in drawn.items():
            style = "--" if outcome.stability != "stable" else "-"
            draw_validation(panel, outcome.history, colour, label, along, linestyle=style)
        label_losses(panel, along, "validation loss")
        if highest is not None:
            lowest = min(outcome.history.valid.loss.min() for outcome, _ in drawn.values())
            panel.set_ylim(lowest - 0.08 * (highest - lowest), highest)
    panels[1].set_ylabel("")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9
    )
    return Figure(name, figure, caption)


def table(outcomes: Sequence[Outcome], caption: str = "") -> Table:
    """The runs, one a row."""
    rows = [outcome.to_dict() for outcome in outcomes]
    columns: dict[str, Any] = {
        "run": "",
        "max_lr": ",g",
        "batch_size": ",",
        "steps": ",",
        "seed": "",
        "stability": "",
        "valid_loss": ".4f",
        "valid_bits_per_byte": ".3f",
        "seconds": human_seconds,
        "tokens_per_second": ",.0f",
    }
    headings = {name.replace("_", " ").replace("max lr", "learning rate"): spec for name, spec in columns.items()}
    return Table("runs", headings, [[row[name] for name in columns] for row in rows], caption)
