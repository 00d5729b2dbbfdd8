"""The training step and what surrounds it: prefetching, late readings, optimizers by name, and its benchmark."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bloomery.cli import main
from bloomery.errors import ArgumentError
from bloomery.train import RunConfig, benchmark_step, read_metrics, train
from bloomery.train.config import TrainConfig
from bloomery.train.prefetch import Prefetcher
from bloomery.train.readings import Mark, Readings
from bloomery.train.runtime import Runtime

MakeConfig = Callable[..., RunConfig]


def test_batches_come_in_order_and_ahead() -> None:
    made: list[int] = []
    ahead = threading.Event()

    def make(key: int) -> int:
        made.append(key)
        if key == 2:
            ahead.set()
        return key * 10

    with Prefetcher(make, iter(range(5))) as batches:
        assert batches.take() == 0
        assert ahead.wait(10)  # the next two, without being asked
        assert [batches.take() for _ in range(4)] == [10, 20, 30, 40]
    assert made == [0, 1, 2, 3, 4]


def test_what_fails_in_the_thread_fails_where_it_is_asked_for() -> None:
    def make(key: int) -> int:
        raise ValueError(f"no batch {key}")

    with Prefetcher(make, iter(range(3))) as batches, pytest.raises(ValueError, match="no batch 0"):
        batches.take()


def test_readings_are_the_numbers() -> None:
    before = Mark(torch.device("cpu"))
    readings = Readings(torch.tensor([1.5, -2.0], dtype=torch.float64))
    assert readings.values() == [1.5, -2.0]
    assert readings.mark.seconds_since(before) >= 0


def losses(config: RunConfig) -> list[float]:
    return [line["loss"] for line in read_metrics(Path(config.folder)) if "loss" in line]


def test_muon_trains_and_resumes_bit_for_bit(make_config: MakeConfig) -> None:
    muon: dict[str, Any] = {"optimizer": {"name": "muon"}, "schedule": {"cosine_steps": 12, "warmup_steps": 1}}
    whole = make_config("whole", **muon)
    train(whole)
    train(make_config("parts", **muon, train={"steps": 5}))
    parts = make_config("parts", **muon)
    train(parts, resume=True)
    assert losses(parts) == losses(whole)
    last = [Path(config.folder) / "checkpoints" / "step-12" for config in (whole, parts)]
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert (last[0] / name).read_bytes() == (last[1] / name).read_bytes()
    adamw = make_config("adamw", schedule=muon["schedule"])
    train(adamw)
    assert losses(adamw)[1:] != losses(whole)[1:]


def test_on_a_processor_long_runs_are_compiled_where_they_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(**settings: Any) -> bool:
        return Runtime.choose(TrainConfig(device="cpu", **settings)).compiled

    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr("pathlib.Path.exists", lambda path: path.name == "Python.h")
    assert compiled(steps=5000)
    assert not compiled(steps=4999)
    assert compiled(steps=1, compile="on")
    assert not compiled(steps=5000, compile="off")
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert not compiled(steps=5000)


def test_8_bits_need_units_for_them(make_config: MakeConfig) -> None:
    with pytest.raises(ArgumentError, match=r"train\.precision = 'fp8': cpu has no units for 8-bit numbers"):
        train(make_config(train={"precision": "fp8", "device": "cpu"}))


def test_the_step_is_measured(make_config: MakeConfig) -> None:
    # Its data is not read.
    config = make_config(data={"train": ["missing.npy"]}, train={"micro_batch_size": 2})
    found = benchmark_step(config, steps=3)
    assert found is not None
    assert found.tokens_per_step == 4 * 16
    assert found.tokens_per_second == pytest.approx(64 / found.step_seconds)
    assert found.step_seconds > 0
    assert found.mfu is None
    assert len(found.kernels) == 10
    assert found.kernels == sorted(found.kernels, key=lambda kernel: -kernel.seconds)
    assert all(0 < kernel.share < 1 and kernel.calls > 0 for kernel in found.kernels)


def test_the_command_measures(make_config: MakeConfig, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.toml"
    path.write_text(make_config().to_toml(), encoding="utf-8")
    assert main(["benchmark", "step", "--steps", "2", "--json", str(path), "--train.batch_size", "2"]) == 0
    facts = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert facts["tokens_per_step"] == 32
    assert len(facts["kernels"]) == 10
    # Without its tokenizer too.
    assert main(["benchmark", "step", "--steps", "2", str(path), "--data.tokenizer", "missing.json"]) == 0
    assert "tokens/s:" in capfd.readouterr().out
