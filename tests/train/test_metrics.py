"""Where metrics go, and what is left of them after a kill."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bloomery.errors import ArgumentError
from bloomery.train import RunConfig, read_metrics
from bloomery.train.metrics import Metrics, cut_back


def test_lines_are_written_through_and_cut_back(tmp_path: Path) -> None:
    with Metrics(tmp_path, RunConfig(), enabled=True) as metrics:
        for step in range(1, 5):
            metrics.write({"step": step, "loss": 1 / step})
    # Killed in the middle of a line.
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 5, "lo')
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3, 4]
    cut_back(tmp_path, 2)
    lines = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}]


def test_a_process_that_does_not_write_leaves_no_file(tmp_path: Path) -> None:
    Metrics(tmp_path, RunConfig(), enabled=False).write({"step": 1})
    assert list(tmp_path.iterdir()) == []


def test_weights_and_biases_gets_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, dict[str, Any]]] = []
    opened: dict[str, Any] = {}

    def init(**options: Any) -> Any:
        opened.update(options)
        return SimpleNamespace(
            log=lambda metrics, step: sent.append((step, metrics)), finish=lambda: sent.append((-1, {}))
        )

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    config = RunConfig.from_dict({"folder": "x", "logging": {"wandb": "stories"}})
    with Metrics(tmp_path, config, enabled=True) as metrics:
        metrics.write({"step": 3, "loss": 2.0})
    assert opened["project"] == "stories"
    assert opened["id"] == tmp_path.name
    assert sent == [(3, {"step": 3, "loss": 2.0}), (-1, {})]


@pytest.mark.parametrize(
    ("logging", "package"), (({"wandb": "stories"}, "wandb"), ({"tensorboard": True}, "tensorboard"))
)
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logging: dict[str, Any], package: str
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    config = RunConfig.from_dict({"logging": logging})
    with pytest.raises(ArgumentError, match=f"needs the package {package}: pip install {package}"):
        Metrics(tmp_path, config, enabled=True)
