"""Replayed steps give what direct ones give; on GPUs alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bloomery.train import RunConfig, read_metrics, train
from bloomery.train.replay import Replayed

MakeConfig = Callable[..., RunConfig]

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")


def test_calls_are_recorded_and_replayed() -> None:
    calls: list[int] = []

    def function(arguments: Any) -> tuple[torch.Tensor, ...]:
        calls.append(1)
        (x,) = arguments
        return x * 2, x.sum()

    replayed = Replayed(function)
    results = [replayed([torch.full((3,), float(k), device="cuda")]) for k in range(6)]
    assert len(calls) == Replayed.DIRECT + 1
    # Later calls leave earlier results alone.
    assert [doubled.tolist() for doubled, _ in results] == [[2.0 * k] * 3 for k in range(6)]
    assert [total.item() for _, total in results] == [3.0 * k for k in range(6)]


@pytest.mark.parametrize("name", ("adamw", "muon"))
@pytest.mark.parametrize("micro_batch_size", (2, 4))
def test_runs_are_those_of_direct_steps(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, name: str, micro_batch_size: int
) -> None:
    losses: list[list[float]] = []
    for direct in (100, 3):
        monkeypatch.setattr(Replayed, "DIRECT", direct)
        settings = {"device": "cuda", "micro_batch_size": micro_batch_size, "deterministic": True}
        config = make_config(f"direct{direct}", optimizer={"name": name}, train=settings)
        train(config)
        lines = read_metrics(Path(config.folder))
        losses.append([line[key] for line in lines for key in ("loss", "gradient_norm", "valid_loss") if key in line])
    assert losses[0] == losses[1]
