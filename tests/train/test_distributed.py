"""Several processes: the losses of one, by replicas or by shards; checkpoints for any other number of them."""

import json
import multiprocessing
import runpy
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bloomery.cli import main
from bloomery.errors import ArgumentError
from bloomery.files import load_tensors, save_tensors
from bloomery.train import Checkpoints, RunConfig, load_model, read_metrics, train
from bloomery.train.config import TrainConfig
from bloomery.train.runtime import Runtime

MakeConfig = Callable[..., RunConfig]
RunProcess = Callable[..., Any]
Job = tuple[str, dict[str, Any]]

# Forked from a process that has imported torch: starting two or four then takes a moment.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["bloomery.train.shards", "torch.distributed.fsdp", "torch.distributed.tensor.debug"])

# Shards of unequal size: 301 rows of the embedding, and 18 of a layer's matrices, by two or four processes.
MODEL = {"vocab_size": 301, "d_model": 18, "num_heads": 3, "d_ff": 30}
SECTIONS = {
    "model": MODEL,
    "train": {"steps": 6, "batch_size": 8, "micro_batch_size": 1, "device": "cpu"},
    "evaluation": {"every": 3},
    "schedule": {"cosine_steps": 6, "warmup_steps": 1, "max_lr": 0.01},
}


def together(number: int, *jobs: Job, killed: bool = False) -> list[list[Any]]:
    """Does jobs in some processes; gives what came of each job in each process."""
    described = [{"name": name, "arguments": arguments, "port": free_port()} for name, arguments in jobs]
    worker = str(Path(__file__).with_name("worker.py"))
    with tempfile.TemporaryDirectory() as folder:
        given = {"jobs": described, "processes": number, "folder": folder}
        processes = [
            CONTEXT.Process(target=runpy.run_path, args=(worker, {"GIVEN": {**given, "rank": rank}}, "worker"))
            for rank in range(number)
        ]
        for process in processes:
            process.start()
        try:
            for process in processes:
                process.join(120)
                assert process.exitcode is not None, "a process waits for ever"
                assert killed or process.exitcode == 0, f"a process failed with {process.exitcode}"
        finally:
            for process in processes:
                process.kill()
        results = Path(folder)
        return [
            [json.loads(path.read_text()) for path in sorted(results.glob(f"{job}-*.json"))] for job in range(len(jobs))
        ]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def training(config: RunConfig, *, resume: bool = False) -> Job:
    return "train", {"config": config.to_dict(), "resume": resume}


def curve(config: RunConfig) -> list[list[float]]:
    """Step, loss and gradient norm of every step, and the validation losses."""
    lines = read_metrics(Path(config.folder))
    steps = [[line["step"], line["loss"], line["gradient_norm"]] for line in lines if "loss" in line]
    return [*steps, [line["valid_loss"] for line in lines if "valid_loss" in line]]


def same(found: RunConfig, expected: RunConfig, within: float = 2e-5) -> bool:
    pairs = zip(curve(found), curve(expected), strict=True)
    return all(a == pytest.approx(b, abs=within) for a, b in pairs)


def last(config: RunConfig) -> dict[str, bytes]:
    """The files of the last checkpoint."""
    folder = Checkpoints(Path(config.folder) / "checkpoints").latest()
    assert folder is not None
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def make(make_config: MakeConfig) -> MakeConfig:
    """Runs of six steps, sharded where there are several processes."""

    def run(folder: str, **changes: dict[str, Any]) -> RunConfig:
        sections = {name: {**SECTIONS.get(name, {}), **changes.get(name, {})} for name in {*SECTIONS, *changes}}
        sections["train"] = {"parallel": "fsdp", **sections["train"]}
        return make_config(folder, **sections)

    return run


def test_any_number_of_processes_gives_the_same_curve(make: MakeConfig) -> None:
    one, ddp, two, four = make("one"), make("ddp", train={"parallel": "ddp"}), make("two"), make("four")
    tied = {"model": {"tie_embeddings": True, "norm": "none"}}
    others = {
        "plain": {"train": {"implementation": "plain"}},
        "tied": tied,
        "muon": {"optimizer": {"name": "muon"}},
        # Three windows for two processes: one computes a batch more.
        "windows": {"evaluation": {"windows": 3, "batch_size": 1}},
    }
    alone = {name: make(f"{name}-one", **sections) for name, sections in others.items()}
    shared = {name: make(f"{name}-two", **sections) for name, sections in others.items()}
    narrow = make("narrow", train={"precision": "bfloat16"})
    train(one)
    for config in alone.values():
        train(config)
    together(2, *map(training, (ddp, two, narrow, *shared.values())))
    together(4, training(four))
    for config in (ddp, two, four):
        assert same(config, one)
    # Muon's directions are computed in bfloat16, and so is all of the last.
    tolerance = {"muon": 5e-3}
    for name, config in shared.items():
        assert same(config, alone[name], tolerance.get(name, 2e-5)), name
    assert same(narrow, one, 0.05)
    assert not same(narrow, one, 1e-5)


def test_checkpoints_are_for_any_number_of_processes(make: MakeConfig, tmp_path: Path) -> None:
    def half(name: str, parallel: str = "fsdp") -> RunConfig:
        return make(name, train={"steps": 3, "parallel": parallel})

    def going_on(name: str) -> Job:
        return training(make(name), resume=True)

    one = make("one")
    train(one)
    train(half("1-2"))
    together(
        2, training(make("2")), *(training(half(name)) for name in ("2-2", "2-4", "2-1")), training(half("ddp", "ddp"))
    )
    together(4, training(half("4-2")), going_on("2-4"))
    together(2, going_on("2-2"), going_on("4-2"), going_on("1-2"), going_on("ddp"))
    train(make("2-1"), resume=True)
    for name in ("2-4", "4-2", "1-2", "2-1", "ddp"):
        assert same(make(name), one), name
    # As if it had not stopped.
    assert last(make("2-2")) == last(make("2"))
    assert curve(make("2-2")) == curve(make("2"))

    # The files are what one process writes, and the other commands read.
    for name in ("model.safetensors", "optimizer.safetensors"):
        save_tensors(load_tensors(Path(one.folder, "checkpoints", "step-6", name)), tmp_path / name)
        tensors = load_tensors(Path(make("2").folder, "checkpoints", "step-6", name))
        assert {key: tensor.shape for key, tensor in tensors.items()} == {
            key: tensor.shape for key, tensor in load_tensors(tmp_path / name).items()
        }
        save_tensors(tensors, tmp_path / name)
        assert (tmp_path / name).read_bytes() == last(make("2"))[name]
    model, _ = load_model(Path(make("2").folder))
    expected, _ = load_model(Path(one.folder))
    ids = torch.arange(16).reshape(1, 16)
    assert torch.allclose(model(ids), expected(ids), atol=1e-4)


def test_gradients_are_reduced_once_a_step(make: MakeConfig) -> None:
    def job(parallel: str) -> Job:
        return "count", {"config": make("counted", train={"parallel": parallel}).to_dict()}

    ddp, fsdp = together(2, job("ddp"), job("fsdp"))
    for counts in ddp:
        # One bucket, after the last of four micro-batches.
        assert counts["reduced"] == 1
        assert counts["held"] == counts["all"]
    for counts in fsdp:
        # Each of two layers, and the rest.
        assert counts["_reduce_scatter_base_"] == 3
        # In each of four micro-batches the rest once, and a layer once in each direction.
        assert counts["_allgather_base_"] == 4 * (1 + 2 * 2)
        # The norm of the gradients.
        assert counts["all_reduce"] == 1
    assert sum(counts["held"] for counts in fsdp) == fsdp[0]["all"]
    assert max(counts["held"] for counts in fsdp) < 0.55 * fsdp[0]["all"]


@pytest.mark.parametrize(("rank", "at"), ((1, "tensors"), (0, "state")))
def test_a_kill_in_a_checkpoint_leaves_the_one_before(make: MakeConfig, rank: int, at: str) -> None:
    sections = {"checkpoint": {"every": 2}}
    config, whole = make("killed", **sections), make("whole", **sections)
    together(2, ("killed", {"config": config.to_dict(), "rank": rank, "at": at}), killed=True)
    checkpoints = Path(config.folder) / "checkpoints"
    assert Checkpoints(checkpoints).steps() == [2]
    unfinished = [path for path in checkpoints.iterdir() if path.name != "step-2"]
    assert len(unfinished) == (rank == 0)  # the first process clears up when it can
    together(2, training(config, resume=True), training(whole))
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step-4", "step-6"]
    assert last(config) == last(whole)
    assert curve(config) == curve(whole)


def test_bad_runs_are_named_in_every_process(make: MakeConfig, tmp_path: Path) -> None:
    def message(job: Job) -> str:
        (messages,) = together(2, job)
        assert len(messages) == 2
        assert messages[0] == messages[1]
        return messages[0]

    indivisible = make("bad", train={"batch_size": 9})
    assert message(training(indivisible)) == (
        "train.batch_size = 9 does not divide into 2 processes with micro-batches of 1 windows each"
    )
    assert message(("save_to_file", {"config": make("bad").to_dict()})) == (
        "weights that are sharded over processes do not go into a file: give a path"
    )
    config = make("cut", train={"steps": 3})
    train(config)
    path = Path(config.folder) / "checkpoints" / "step-3" / "optimizer.safetensors"
    path.write_bytes(path.read_bytes()[:-20])
    found = message(training(make("cut"), resume=True))
    assert found.startswith(f"{path}: not a whole safetensors file (")
    assert found.endswith("): copy it again")


def test_a_full_disk_is_named_and_loses_nothing(make: MakeConfig) -> None:
    config = make("full")
    # Room for the weights, and not for the optimizer's twice as many numbers.
    together(2, training(make("full", train={"steps": 3})))
    checkpoints = Path(config.folder) / "checkpoints"
    limit = (checkpoints / "step-3" / "model.safetensors").stat().st_size + 1000
    name, arguments = training(config, resume=True)
    (messages,) = together(2, (name, {**arguments, "largest_file": limit}))
    path = checkpoints / "step-6" / "optimizer.safetensors"
    assert messages == [f"[Errno 27] File too large: '{path}'"] * 2
    assert [path.name for path in checkpoints.iterdir()] == ["step-3"]


def test_more_processes_than_devices_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ArgumentError) as caught:
        Runtime.choose(TrainConfig(device="cuda"))
    assert str(caught.value) == (
        "process 3 of this machine finds 2 CUDA devices: start at most 2 (torchrun --nproc-per-node 2), "
        "or use train.device = 'cpu'"
    )


def test_torchrun_needs_nothing_but_the_config(
    make: MakeConfig, run_process: RunProcess, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = make("run")
    process = run_process(config, processes=2)
    _, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    assert "on cpu, float32, not compiled, 1 threads, deterministic, 2 processes with shards of the model" in error
    assert main(["generate", config.folder, "--prompt", "the cat", "--max-tokens", "5"]) == 0
    assert main(["export", config.folder, str(tmp_path / "exported")]) == 0
    capfd.readouterr()
