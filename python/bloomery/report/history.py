"""What a run measured, as arrays to draw and to judge: from the `metrics.jsonl` of its folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bloomery.errors import ArgumentError
from bloomery.train import RunConfig, read_metrics
from bloomery.train.run import CONFIG

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A loss along a run; all arrays are of one length."""

    steps: Values
    tokens: Values
    """Seen so far."""
    seconds: Values
    """Of training so far, evaluations and checkpoints aside."""
    loss: Values
    """Mean cross-entropy of a token, in nats."""

    def __len__(self) -> int:
        """The number of points."""
        return len(self.loss)

    def along(self, axis: str) -> Values:
        """What is drawn from left to right: `steps`, `tokens` or `seconds`."""
        return {"steps": self.steps, "tokens": self.tokens, "seconds": self.seconds}[axis]


@dataclass(frozen=True)
class History:
    """A run's losses, and what else it wrote down."""

    folder: Path
    config: RunConfig
    train: Curve
    valid: Curve
    bits_per_byte: Values
    """Of the validation set, one for each point of `valid`; empty without a tokenizer."""
    metrics: Sequence[dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> "History":
        """Reads the folder of a run.

        Raises:
            ArgumentError: It is none, or has measured nothing yet.
            InputError: Its config is broken.
        """
        metrics = read_metrics(folder)
        if not metrics:
            raise ArgumentError(f"{folder} has no metrics to draw: is it the folder of a run?")
        config = RunConfig.load(folder / CONFIG)
        stepped = [line for line in metrics if "loss" in line]
        evaluated = [line for line in metrics if "valid_loss" in line]
        tokens = config.train.batch_size * config.model.context_length
        train = Curve(
            _array(line["step"] for line in stepped),
            _array(line["tokens"] for line in stepped),
            _continued(_array(line["seconds"] for line in stepped)),
            _array(line["loss"] for line in stepped),
        )
        seconds = {0.0: 0.0, **dict(zip(train.steps.tolist(), train.seconds.tolist(), strict=True))}
        valid = Curve(
            _array(line["step"] for line in evaluated),
            _array(line["step"] * tokens for line in evaluated),
            _array(seconds.get(line["step"], np.nan) for line in evaluated),
            _array(line["valid_loss"] for line in evaluated),
        )
        bits = _array(line["valid_bits_per_byte"] for line in evaluated if "valid_bits_per_byte" in line)
        return cls(folder, config, train, valid, bits, metrics)

    @property
    def first_loss(self) -> float:
        """The loss before the first step: of the validation set, or of the first batch where there is none."""
        return float(self.valid.loss[0] if len(self.valid) else self.train.loss[0])

    @property
    def final_loss(self) -> float:
        """The last validation loss, or the mean of the last tenth of the steps where there is none."""
        if len(self.valid):
            return float(self.valid.loss[-1])
        return float(self.train.loss[-max(len(self.train) // 10, 1) :].mean())

    @property
    def tokens_per_second(self) -> float:
        """Over the whole run."""
        return float(self.train.tokens[-1] / self.train.seconds[-1]) if len(self.train) else 0.0


def running_mean(values: Values) -> Values:
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


def _continued(seconds: Values) -> Values:
    """Seconds that go on where a resumed run, whose clock begins anew, had stopped."""
    restarts = np.diff(seconds, prepend=0.0) < 0
    before = np.where(restarts, np.roll(seconds, 1), 0.0)
    return seconds + np.cumsum(before)


def _array(values: Any) -> Values:
    return np.array(list(values), np.float64)
