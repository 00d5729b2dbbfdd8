"""What is read from a run's folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is absent: install the extra `train`")

from bloomery.errors import ArgumentError
from bloomery.report.history import History

MakeRun = Callable[..., Path]


def test_losses_have_their_steps_tokens_and_seconds(run: Path) -> None:
    history = History.read(run)
    assert len(history.train) == 100
    assert history.train.tokens[9] == 640
    assert history.train.seconds[9] == 1.0
    np.testing.assert_allclose(history.valid.steps, [0, 25, 50, 75, 100])
    np.testing.assert_allclose(history.valid.tokens, history.valid.steps * 4 * 16)
    # The evaluation before the first step took no time of training.
    np.testing.assert_allclose(history.valid.seconds, [0, 2.5, 5, 7.5, 10])
    assert history.first_loss == pytest.approx(7.1)
    assert history.final_loss == pytest.approx(3.1 + 4 / 101)
    assert history.tokens_per_second == pytest.approx(640)


def test_the_clock_of_a_resumed_run_goes_on(make_run: MakeRun) -> None:
    seconds = [1.0, 2.0, 0.5, 1.5, 0.25]
    history = History.read(make_run("run", [{"step": i + 1, "loss": 2.0, "seconds": s} for i, s in enumerate(seconds)]))
    np.testing.assert_allclose(history.train.seconds, [1, 2, 2.5, 3.5, 3.75])


def test_without_validation_the_last_tenth_counts(make_run: MakeRun) -> None:
    history = History.read(make_run("run", [{"step": step, "loss": float(step)} for step in range(1, 21)]))
    assert (history.first_loss, history.final_loss) == (1.0, 19.5)
    assert len(history.valid) == len(history.bits_per_byte) == 0


def test_a_folder_without_metrics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="has no metrics to draw"):
        History.read(tmp_path)
