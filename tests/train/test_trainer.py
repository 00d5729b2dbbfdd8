"""Runs: exact resumption, equal losses by every path, and what stops them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bloomery.errors import ArgumentError, DivergedError, InputError, TokenIdError
from bloomery.train import RunConfig, Trainer, load_model, read_metrics, train
from bloomery.train.runtime import Runtime

MakeConfig = Callable[..., RunConfig]
RunProcess = Callable[..., "subprocess.Popen[str]"]


def curve(config: RunConfig) -> list[tuple[int, float, float]]:
    """Step, loss and gradient norm of every step."""
    return [(m["step"], m["loss"], m["gradient_norm"]) for m in read_metrics(Path(config.folder)) if "loss" in m]


def last_step(config: RunConfig) -> int:
    """The step of the last whole line of metrics, read without the others."""
    path = Path(config.folder) / "metrics.jsonl"
    if not path.exists():
        return 0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1000))
        lines = file.read().split(b"\n")[:-1]
    return json.loads(lines[-1])["step"] if lines else 0


def everything(config: RunConfig) -> list[dict[str, Any]]:
    """All metrics but those that are times."""
    return [
        {key: value for key, value in line.items() if key not in {"seconds", "tokens_per_second"}}
        for line in read_metrics(Path(config.folder))
    ]


def final_bytes(config: RunConfig) -> dict[str, bytes]:
    folder = Path(config.folder) / "checkpoints" / f"step-{config.train.steps}"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_loss_falls_and_the_run_is_kept(make_config: MakeConfig) -> None:
    config = make_config(train={"steps": 60}, schedule={"max_lr": 0.02})
    result = train(config)
    lines = read_metrics(Path(config.folder))
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 61))
    validation = [line["valid_loss"] for line in lines if "valid_loss" in line]
    assert len(validation) == 16
    assert validation[-1] < 0.7 * validation[0]
    assert result.evaluation is not None
    assert result.evaluation.loss == validation[-1]
    assert 0 < lines[0]["valid_bits_per_byte"] < 8
    model, tokenizer = load_model(Path(config.folder))
    assert model.config == config.model
    assert tokenizer.vocab_size == 300


def test_ten_kills_change_nothing(make_config: MakeConfig, run_process: RunProcess) -> None:
    sections = {"train": {"steps": 3000}, "checkpoint": {"every": 10}, "evaluation": {"every": 100}}
    unbroken = make_config("unbroken", **sections)
    train(unbroken)
    killed = make_config("killed", **sections)
    moments = random.Random(7)
    for _ in range(10):
        process = run_process(killed, "--resume")
        # The metrics are cut back when a run goes on; the first new line says that it trains again.
        last = last_step(killed)
        while process.poll() is None and last_step(killed) <= last:
            time.sleep(0.005)
        time.sleep(moments.random() * 0.05)
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    train(killed, resume=True)
    assert final_bytes(killed) == final_bytes(unbroken)
    assert everything(killed) == everything(unbroken)


def test_a_full_disk_stops_the_run_and_loses_nothing(make_config: MakeConfig, tmp_path: Path) -> None:
    schedule = {"cosine_steps": 12, "warmup_steps": 1}
    train(make_config(train={"steps": 3}, schedule=schedule))
    whole = make_config(schedule=schedule)
    (tmp_path / "run.toml").write_text(whole.to_toml(), encoding="utf-8")
    # Room for the weights, and not for the optimizer's twice as many numbers.
    program = """
import resource, sys
from bloomery.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
sys.exit(main(["train", sys.argv[1], "--resume"]))
"""
    kept = Path(whole.folder) / "checkpoints" / "step-3"
    limit = (kept / "model.safetensors").stat().st_size + 1000
    command = [sys.executable, "-c", program, str(tmp_path / "run.toml"), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "bloomery: error: " in done.stderr
    assert "step-6/optimizer.safetensors: File too large" in done.stderr
    assert [path.name for path in kept.parent.iterdir()] == ["step-3"]
    train(whole, resume=True)
    once = make_config("once", schedule=schedule)
    train(once)
    assert everything(whole)[-1] == everything(once)[-1]


@pytest.mark.parametrize(("number", "code"), ((signal.SIGTERM, 143), (signal.SIGINT, 130)))
def test_a_signal_saves_and_leaves(
    make_config: MakeConfig, run_process: RunProcess, number: signal.Signals, code: int
) -> None:
    config = make_config(train={"steps": 100_000}, checkpoint={"every": 100_000})
    process = run_process(config)
    while not curve(config):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.kill(process.pid, number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"stopped by {number.name}; go on with: bloomery train {config.folder} --resume" in error
    (checkpoint,) = (Path(config.folder) / "checkpoints").iterdir()
    assert checkpoint.name == f"step-{curve(config)[-1][0]}"


def losses(make_config: MakeConfig, folder: str, **sections: Any) -> list[float]:
    config = make_config(folder, **sections)
    train(config)
    return [loss for _, loss, _ in curve(config)]


def test_all_paths_give_the_same_losses(make_config: MakeConfig) -> None:
    fast = losses(make_config, "fast")
    for folder, section in (
        ("plain", {"implementation": "plain"}),
        ("halves", {"micro_batch_size": 2}),
        ("single", {"micro_batch_size": 1}),
    ):
        assert losses(make_config, folder, train=section) == pytest.approx(fast, abs=1e-5)


@pytest.mark.slow
# torch.compile itself looks at the gradient of what one compiled layer hands to the next.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("layers_compiled_whole", (24, 0))
def test_compiled_code_gives_the_same_losses(
    make_config: MakeConfig, layers_compiled_whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bloomery.train.loss._LAYERS_COMPILED_WHOLE", layers_compiled_whole)
    monkeypatch.setattr("bloomery.train.loss._LAYERS_COMPILED_TOGETHER", 1)
    steps = {"steps": 4}
    fast = losses(make_config, "fast", train=steps, evaluation={"every": 100})
    compiled = losses(make_config, "compiled", train={**steps, "compile": "on"}, evaluation={"every": 100})
    assert compiled == pytest.approx(fast, abs=1e-5)


def test_two_processes_give_the_losses_of_one(make_config: MakeConfig, run_process: RunProcess) -> None:
    one = losses(make_config, "one")
    two = make_config("two")
    process = run_process(two, processes=2)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert [loss for _, loss, _ in curve(two)] == pytest.approx(one, abs=1e-5)

    # Begun on one and resumed on two, and the other way round.
    for name, first, second in (("wider", 1, 2), ("narrower", 2, 1)):
        half = make_config(name, train={"steps": 6}, schedule={"cosine_steps": 12, "warmup_steps": 1})
        whole = make_config(name, schedule={"cosine_steps": 12, "warmup_steps": 1})
        for config, processes in ((half, first), (whole, second)):
            process = run_process(config, "--resume", processes=processes)
            _, error = process.communicate(timeout=120)
            assert process.returncode == 0, error
        again = make_config(f"{name}-once", schedule={"cosine_steps": 12, "warmup_steps": 1})
        train(again)
        assert [s for s, _, _ in curve(whole)] == [s for s, _, _ in curve(again)]
        assert [loss for _, loss, _ in curve(whole)] == pytest.approx([loss for _, loss, _ in curve(again)], abs=1e-5)


def test_four_processes_with_micro_batches_give_the_losses_of_one(
    make_config: MakeConfig, run_process: RunProcess
) -> None:
    one = losses(make_config, "one", train={"batch_size": 8})
    four = make_config("four", train={"batch_size": 8, "micro_batch_size": 1})
    process = run_process(four, processes=4)
    _, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    assert [loss for _, loss, _ in curve(four)] == pytest.approx(one, abs=1e-5)


def test_a_diverging_run_stops_with_advice(make_config: MakeConfig) -> None:
    config = make_config(schedule={"max_lr": 1e30, "warmup_steps": 0}, optimizer={"max_l2_norm": 0.0})
    with pytest.raises(
        DivergedError, match=r"of step \d+ is (nan|inf): the run diverged; .*Try a lower schedule\.max_lr"
    ):
        train(config)
    assert all(np.isfinite(loss) for _, loss, _ in curve(config))


def test_a_folder_that_holds_a_run_is_not_overwritten(make_config: MakeConfig) -> None:
    config = make_config(train={"steps": 1})
    train(config)
    with pytest.raises(ArgumentError, match="holds a run already: give --resume"):
        train(config)
    other = make_config(model={"d_model": 32})
    with pytest.raises(ArgumentError, match=r"holds a run of another model \(d_model 16 is 32 now"):
        train(other, resume=True)


def test_bad_data_is_named(make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(TokenIdError, match=r"train\.npy: id \d+ at position \d+ lies outside of the vocabulary of 260"):
        train(make_config(model={"vocab_size": 260}, data={"tokenizer": None}))
    with pytest.raises(FileNotFoundError, match=r"missing\.npy"):
        train(make_config(data={"train": [str(tmp_path / "missing.npy")]}))
    (tmp_path / "text.npy").write_text("no array", encoding="utf-8")
    with pytest.raises(InputError, match=r"text\.npy: "):
        train(make_config(data={"train": [str(tmp_path / "text.npy")]}))
    with pytest.raises(ArgumentError, match=r"data\.train is empty"):
        train(make_config(data={"train": []}))
    with pytest.raises(ArgumentError, match=r"train\.batch_size = 4 does not divide"):
        train(make_config(train={"micro_batch_size": 3}))
    with pytest.raises(ArgumentError, match=r"train\.device = 'gpu' is no device"):
        train(make_config(train={"device": "gpu"}))


def test_learning_rates(make_config: MakeConfig) -> None:
    def rates(**schedule: Any) -> list[float]:
        config = make_config(schedule={"max_lr": 1.0, "min_lr": 0.1, "warmup_steps": 2, **schedule})
        trainer = Trainer(config, Runtime.choose(config.train))
        return [trainer.learning_rate(step) for step in range(12)]

    cosine = rates()
    assert cosine[:2] == [0.5, 1.0]
    assert cosine[-1] == pytest.approx(0.1)
    assert cosine[1:] == sorted(cosine[1:], reverse=True)
    wsd = rates(name="wsd", decay_steps=4)
    assert wsd[1:8] == [1.0] * 7
    assert wsd[-1] == pytest.approx(0.1)
    assert rates(name="constant")[1:] == [1.0] * 11


def test_the_end_of_a_file_is_held_out(make_config: MakeConfig, corpus: Path, tmp_path: Path) -> None:
    ids = np.load(corpus / "train.npy")
    end = len(ids) - round(len(ids) * 0.25)
    np.save(tmp_path / "first.npy", ids[:end])
    np.save(tmp_path / "last.npy", ids[end:])
    held_out = make_config("held_out", data={"valid": [], "held_out": 0.25})
    apart = make_config("apart", data={"train": [str(tmp_path / "first.npy")], "valid": [str(tmp_path / "last.npy")]})
    train(held_out)
    train(apart)
    assert everything(held_out) == everything(apart)
