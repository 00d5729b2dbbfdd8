"""What a run measures, step by step: `metrics.jsonl`, and TensorBoard or Weights & Biases beside it on request."""

import importlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from bloomery.errors import ArgumentError
from bloomery.train.config import RunConfig

NAME = "metrics.jsonl"


class Sink(Protocol):
    """Somewhere that metrics go."""

    def write(self, metrics: Mapping[str, float | int]) -> None:
        """Takes the metrics of one step; `step` is among them."""
        ...

    def close(self) -> None:
        """Ends the run."""
        ...


class JsonLines:
    """One JSON object a line, each written through at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def write(self, metrics: Mapping[str, float | int]) -> None:
        """Appends a line."""
        self._file.write(json.dumps(metrics) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class TensorBoard:
    """TensorBoard events."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - asked for by few
        except ImportError as error:
            raise ArgumentError("logging.tensorboard needs the package tensorboard: pip install tensorboard") from error
        self._writer: Any = SummaryWriter(folder)

    def write(self, metrics: Mapping[str, float | int]) -> None:
        """Adds a point to each curve."""
        for name, value in metrics.items():
            if name != "step":
                self._writer.add_scalar(name, value, metrics["step"])

    def close(self) -> None:
        """Writes what is buffered."""
        self._writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases; the run folder's name is its name and id, so that resuming goes on in it."""

    def __init__(self, project: str, folder: Path, config: RunConfig) -> None:
        try:
            wandb: Any = importlib.import_module("wandb")  # by name: type checkers need not have it
        except ImportError as error:
            raise ArgumentError("logging.wandb needs the package wandb: pip install wandb") from error
        self._run: Any = wandb.init(
            project=project, name=folder.name, id=folder.name, resume="allow", dir=folder, config=config.to_dict()
        )

    def write(self, metrics: Mapping[str, float | int]) -> None:
        """Sends a step."""
        self._run.log(dict(metrics), step=metrics["step"])

    def close(self) -> None:
        """Ends the run."""
        self._run.finish()


class Metrics:
    """All sinks of a run; none in processes that do not write."""

    def __init__(self, folder: Path, config: RunConfig, *, enabled: bool) -> None:
        self._sinks: list[Sink] = []
        if not enabled:
            return
        # Those that may be missing come first: nothing is open then.
        if config.logging.tensorboard:
            self._sinks.append(TensorBoard(folder / "tensorboard"))
        if config.logging.wandb is not None:
            self._sinks.append(WeightsAndBiases(config.logging.wandb, folder, config))
        self._sinks.append(JsonLines(folder / NAME))

    def write(self, metrics: Mapping[str, float | int]) -> None:
        """Sends one step's metrics everywhere."""
        for sink in self._sinks:
            sink.write(metrics)

    def __enter__(self) -> Self:
        """Nothing is opened here."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes all sinks."""
        for sink in self._sinks:
            sink.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The metrics of a run, a dict a line; a last line that was not written whole is left out."""
    path = folder / NAME
    if not path.exists():
        return []
    lines: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def cut_back(folder: Path, step: int) -> None:
    """Drops what was measured after `step`, so that a resumed run tells every step once."""
    kept = [line for line in read_metrics(folder) if line["step"] <= step]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, prefix=f".{NAME}-", delete=False) as file:
        file.writelines(json.dumps(line) + "\n" for line in kept)
    os.replace(file.name, folder / NAME)  # noqa: PTH105 - the name is text here
