"""A page on runs, one or several side by side: their losses by steps, tokens and time, and what they were."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from bloomery.accounting import count_parameters
from bloomery.report.curves import draw_training, draw_validation, label_losses, loss_figure
from bloomery.report.figures import COLOURS, new_figure, plain_ticks
from bloomery.report.history import History
from bloomery.report.page import Figure, Listing, Page, Section, Table, Text
from bloomery.train.run import CONFIG
from bloomery.units import human_seconds


def runs_page(folders: Sequence[Path]) -> Page:
    """Reads the runs and writes them up.

    Raises:
        ArgumentError: A folder holds no run, or one that has measured nothing yet.
        InputError: A run's config is broken.
    """
    histories = [History.read(folder) for folder in folders]
    rows = [describe(history) for history in histories]
    alone = len(histories) == 1
    return Page(
        title=str(folders[0]) if alone else f"{len(histories)} runs",
        question="How did the loss fall, by steps, tokens and time, and where does it stand?",
        answer=answers(rows),
        setting=[],
        sections=_sections(histories, rows),
        results={"runs": rows},
        commands=[
            ["bloomery", "report", *map(str, folders)],
            *(["bloomery", "train", str(folder / CONFIG), "--resume"] for folder in folders),
        ],
    )


def describe(history: History) -> dict[str, Any]:
    """A run in numbers."""
    valid, config = history.valid, history.config
    best = int(valid.loss.argmin()) if len(valid) else None
    return {
        "run": str(history.folder),
        "parameters": count_parameters(config.model),
        "steps": int(history.train.steps[-1]) if len(history.train) else 0,
        "planned_steps": config.train.steps,
        "tokens": int(history.train.tokens[-1]) if len(history.train) else 0,
        "seconds": float(history.train.seconds[-1]) if len(history.train) else 0.0,
        "tokens_per_second": history.tokens_per_second,
        "first_loss": history.first_loss,
        "final_loss": history.final_loss,
        "validated": len(valid) > 0,
        "best_loss": None if best is None else float(valid.loss[best]),
        "best_step": None if best is None else int(valid.steps[best]),
        "bits_per_byte": float(history.bits_per_byte[-1]) if len(history.bits_per_byte) else None,
    }


def answers(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where the runs stand, in sentences."""
    sentences: list[str] = []
    for row in rows:
        loss = "validation loss" if row["validated"] else "training loss"
        bits = "" if row["bits_per_byte"] is None else f", {row['bits_per_byte']:.3f} bits a byte"
        ended = "" if row["steps"] >= row["planned_steps"] else f" of {row['planned_steps']:,}"
        sentences.append(
            f"{row['run']}: after {row['steps']:,}{ended} steps, {row['tokens']:,} tokens and "
            f"{human_seconds(row['seconds'])} the {loss} went from {row['first_loss']:.3f} to "
            f"{row['final_loss']:.3f}{bits}."
        )
        if row["best_step"] is not None and row["final_loss"] > 1.005 * row["best_loss"]:
            sentences.append(
                f"Its best was {row['best_loss']:.3f} at step {row['best_step']:,}, and it has risen since: it "
                "overfits, or its learning rate is too high (`--checkpoint best` takes the best)."
            )
    if len(rows) > 1:
        best = min(rows, key=lambda row: row["final_loss"])
        sentences.append(f"The lowest is {best['run']}. Losses a token compare only where the tokenizer is the same.")
    return sentences


def differing(histories: Sequence[History]) -> dict[str, list[Any]]:
    """The keys of the configs that are not the same in all runs, with each run's value."""
    flat = [dict(_flat(history.config.to_dict())) for history in histories]
    keys = dict.fromkeys(key for each in flat for key in each)
    return {key: [each.get(key) for each in flat] for key in keys if len({repr(each.get(key)) for each in flat}) > 1}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of all sections, `section.key` each; the run's folder, which is none's, is left out."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(cast("dict[str, Any]", value), f"{key}.")
        elif prefix:
            yield f"{prefix}{key}", value


def _sections(histories: Sequence[History], rows: Sequence[Mapping[str, Any]]) -> list[Section]:
    columns: dict[str, Any] = {
        "run": "",
        "parameters": ",",
        "steps": ",",
        "tokens": ",",
        "seconds": human_seconds,
        "tokens_per_second": ",.0f",
        "final_loss": ".4f",
        "best_loss": ".4f",
        "best_step": ",",
        "bits_per_byte": ".3f",
    }
    headings = {name.replace("_", " "): spec for name, spec in columns.items()}
    sections = [
        Section(
            "The losses",
            [
                Figure(
                    "loss",
                    loss_figure(histories),
                    "Training loss (each step pale, its running mean in full) and validation loss by step.",
                ),
                _by_tokens_and_time(histories),
                Table("runs", headings, [[row[name] for name in columns] for row in rows]),
            ],
        ),
        Section("Learning rate and gradients", [_schedule(histories)]),
    ]
    if len(histories) == 1:
        config = (histories[0].folder / CONFIG).read_text(encoding="utf-8")
        return [*sections, Section("The config", [Listing(config)])]
    differences = differing(histories)
    table = Table(
        "differences",
        {"key": "", **{str(history.folder): "" for history in histories}},
        [[key, *map(_spelled, values)] for key, values in differences.items()],
    )
    return [*sections, Section("What differs", [table if differences else Text("The configs are the same.")])]


def _spelled(value: Any) -> str:
    return "–" if value is None else str(value)


def _by_tokens_and_time(histories: Sequence[History]) -> Figure:
    figure, panels = new_figure(panels=2, width=9.5, height=4.6, share_y=True)
    for panel, along in zip(panels, ("tokens", "seconds"), strict=True):
        for index, history in enumerate(histories):
            draw = draw_validation if len(history.valid) else draw_training
            draw(panel, history, COLOURS[index % len(COLOURS)], str(history.folder), along)
        label_losses(panel, along)
    panels[1].set_ylabel("")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9
    )
    return Figure(
        "by-tokens-and-time", figure, "The loss by tokens seen and by training time (validation where there is one)."
    )


def _schedule(histories: Sequence[History]) -> Figure:
    figure, panels = new_figure(panels=2, width=9.5, height=3.6)
    for index, history in enumerate(histories):
        stepped = [line for line in history.metrics if "loss" in line]
        for panel, name in zip(panels, ("lr", "gradient_norm"), strict=True):
            values = [line[name] for line in stepped]
            panel.plot(history.train.steps, values, color=COLOURS[index % len(COLOURS)], linewidth=1, alpha=0.85)
    for panel, label in zip(panels, ("learning rate", "gradient norm before clipping"), strict=True):
        panel.set_xlabel("step")
        panel.set_ylabel(label)
    panels[1].set_yscale("log")
    plain_ticks(panels[1].yaxis)
    return Figure("schedule", figure, "Learning rate (left) and the gradients' norm (right) by step.")
