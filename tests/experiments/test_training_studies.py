"""The studies that train: at the smallest size they run, go on where they were, and judge what they find."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is absent: install the extra `train`")
pytest.importorskip("matplotlib", reason="matplotlib is absent: install the extra `train`")

import torch
from torch import Tensor

from bloomery.accounting import training_flops_per_token
from bloomery.cli import main
from bloomery.errors import ArgumentError
from bloomery.experiments import ablations, batch_size, corpora, generate, learning_rate
from bloomery.experiments.study import budget, runs
from bloomery.experiments.study.desk import Desk
from bloomery.experiments.study.runs import Outcome
from bloomery.experiments.study.training import training_data
from bloomery.report.history import Curve, History
from bloomery.report.page import Page, write_page
from bloomery.train import RunConfig, read_metrics
from bloomery.train.runtime import Runtime

MakeDesk = Callable[..., Desk]


def check(page: Page, folder: Path) -> str:
    """Writes the page, and gives it back as text."""
    html = write_page(page, folder).read_text(encoding="utf-8")
    assert all(sentence.endswith(".") for sentence in (*page.answer, *page.setting))
    assert "bloomery train" in html
    json.dumps(page.results, allow_nan=False)
    return html


@pytest.mark.usefixtures("small")
def test_learning_rate_and_again(make_desk: MakeDesk, tmp_path: Path) -> None:
    said: list[str] = []
    desk = dataclasses.replace(make_desk("learning-rate"), say=said.append)
    page = learning_rate.run(desk)
    check(page, desk.folder)
    rates = [run["max_lr"] for run in page.results["runs"]]
    assert rates == sorted(rates)
    assert len(rates) >= 10
    assert {0.00032, 0.01, 1.0} <= set(rates)
    # Runs are the trainer's own: any command works on them.
    run = desk.folder / "runs" / "lr-0.01"
    assert main(["report", str(run), "--output", str(tmp_path / "page")]) == 0
    assert RunConfig.load(run / "config.toml").schedule.max_lr == 0.01
    # What is finished is not repeated.
    written = {path: path.stat().st_mtime_ns for path in desk.folder.glob("runs/*/metrics.jsonl")}
    said.clear()
    again = learning_rate.run(desk)
    assert again.results == page.results
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert "8 of 8 runs were trained before" in said


@pytest.mark.usefixtures("small")
def test_batch_size(make_desk: MakeDesk, tmp_path: Path) -> None:
    page = batch_size.run(make_desk("batch-size"))
    check(page, tmp_path / "page")
    rows = page.results["sizes"]
    assert [row["batch_size"] for row in rows] == [1, 4]
    assert [row["steps"] for row in rows] == [120, 30]
    for row in rows:
        tried = [run["valid_loss"] for run in page.results["runs"] if run["batch_size"] == row["batch_size"]]
        assert len(tried) >= 3
        assert row["valid_loss"] == min(tried)
    assert page.results["largest_in_memory"] > 1000


@pytest.mark.usefixtures("small")
def test_ablations(make_desk: MakeDesk, tmp_path: Path) -> None:
    desk = make_desk("ablations")
    page = ablations.run(desk)
    check(page, tmp_path / "page")
    found = page.results["variants"]
    assert set(found) == set(ablations.ABOUT)
    assert all(len(each["runs"]) == 2 for each in found.values())
    assert found["base"]["difference"] == 0
    tried = page.results["no_norm_rates"]
    best = f"{page.results['no_norm_best']:g}"
    assert tried[best]["valid_loss"] == min(each["valid_loss"] for each in tried.values())
    models = {
        variant: RunConfig.load(Path(each["runs"][0]["folder"]) / "config.toml").model
        for variant, each in found.items()
    }
    assert models["SiLU"].d_ff == 4 * models["SiLU"].d_model
    assert (models["no norm"].norm, models["post-norm"].norm_position) == ("none", "post")
    assert models["no position"].position == "none"


@pytest.mark.usefixtures("small")
def test_corpora(make_desk: MakeDesk, two_corpora: tuple[str, str], tmp_path: Path) -> None:
    page = corpora.run(make_desk("corpora"))
    check(page, tmp_path / "page")
    rows = page.results["rows"]
    assert [row["corpus"] for row in rows] == ["stories", "stories", "code", "code"]
    for row in rows:
        bits = row["valid_loss"] / np.log(2) / row["bytes_per_token"]
        assert bits == pytest.approx(row["valid_bits_per_byte"])
    with pytest.raises(ArgumentError, match="name a second one"):
        corpora.run(make_desk("corpora-of-one", inputs=two_corpora[:1]))


@pytest.mark.usefixtures("small")
def test_generate(make_desk: MakeDesk, tmp_path: Path) -> None:
    desk = make_desk("generate")
    page = generate.run(desk)
    check(page, tmp_path / "page")
    rows = page.results["rows"]
    assert len(rows) == 1 + len(generate.TEMPERATURES) * len(generate.TOP_P)
    assert all(count >= 256 for row in rows for count in row["tokens"])
    assert all(0 <= row["repeated"] <= 1 and 0 <= row["unknown"] <= 1 for row in rows)
    shown = page.results["next_token"]
    assert all(sum(values) <= 1 for values in shown["probabilities"].values())
    # A run of one's own in the place of one that is trained.
    other = generate.run(make_desk("generate-mine", run=str(desk.folder / "runs" / "model")))
    assert [row["text"] for row in other.results["rows"]] == [row["text"] for row in rows]
    with pytest.raises(ArgumentError, match="is not the folder of a run"):
        generate.run(make_desk("generate-none", run=str(tmp_path)))


def test_real_processes_and_an_interruption(two_corpora: tuple[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bloomery.cli", "study", "generate", two_corpora[0], "--minutes", "0.6"]
    command += ["--folder", str(tmp_path)]
    metrics = tmp_path / "generate" / "runs" / "model" / "metrics.jsonl"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    deadline = time.monotonic() + 300
    while (
        not (metrics.exists() and metrics.read_text(encoding="utf-8").count("\n") > 5) and time.monotonic() < deadline
    ):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    # It has saved where it stood, and is no finished run.
    assert list((metrics.parent / "checkpoints").iterdir())
    assert not (metrics.parent / "outcome.json").exists()
    stopped = read_metrics(metrics.parent)[-1]["step"]
    assert 0 < stopped < RunConfig.load(metrics.parent / "config.toml").train.steps


def history(valid: Sequence[float], train: Sequence[float] | None = None, folder: Path = Path("run")) -> History:
    """Losses made up."""
    losses = np.array(train if train is not None else valid, np.float64)
    steps = np.arange(len(losses), dtype=np.float64)
    curve = Curve(steps, steps, steps, losses)
    steps = np.arange(len(valid), dtype=np.float64)
    return History(
        folder, RunConfig(), curve, Curve(steps, steps, steps, np.array(valid, np.float64)), np.array([]), []
    )


@pytest.mark.parametrize(
    ("valid", "message", "stability"),
    (
        ([6, 4, 3], None, "stable"),
        ([6, 5.9, 5.8], None, "stable"),  # slow, no more
        ([6, 9, 4], None, "unstable"),
        ([6, 9, 5.5], None, "diverged"),
        ([6, 30, 60], None, "diverged"),
        ([6, 4, 3], "the loss of step 9 is nan", "diverged"),
    ),
)
def test_what_diverging_means(
    valid: Sequence[float], message: str | None, stability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "unigram_loss", lambda path: 5.0)
    config = RunConfig.from_dict({"data": {"train": ["tokens.npy"]}})
    made = history(valid)
    outcome = Outcome("run", History(made.folder, config, made.train, made.valid, np.array([]), []), message)
    assert outcome.stability == stability
    assert (outcome.loss is None) == (stability == "diverged")


def test_a_killed_process_is_told() -> None:
    future: Future[bool] = Future()
    future.set_exception(BrokenProcessPool())
    with pytest.raises(ArgumentError, match="trained base was killed, most likely for want of memory"):
        runs._result("base", future)


def test_the_loss_of_knowing_how_frequent_tokens_are(tmp_path: Path) -> None:
    np.save(tmp_path / "tokens.npy", np.array([0, 1, 2, 3] * 100, np.uint16))
    assert runs.unigram_loss(str(tmp_path / "tokens.npy")) == pytest.approx(np.log(4))


def lr_run(rate: float, loss: float | None, stability: str = "stable") -> dict[str, Any]:
    return {"max_lr": rate, "valid_loss": loss, "stability": stability, "first_loss": 6.0, "message": None}


def test_the_learning_rates_verdict_follows_from_the_runs() -> None:
    made = [lr_run(0.001, 4.0), lr_run(0.003, 3.0), lr_run(0.01, 3.5), lr_run(0.03, 4.5, "unstable")]
    told = "\n".join(learning_rate.answers({"runs": [*made, lr_run(0.1, None, "diverged")], "unigram_loss": 5.0}))
    assert "The best learning rate is 0.003" in told
    assert "At 0.03 the loss was thrown back" in told
    assert "At 0.1 training diverged: the loss was thrown back" in told
    assert "The edge of stability lies between 0.01" in told
    assert "and 0.03. The best rate is 3.3 times below it: close to the edge" in told
    told = "\n".join(learning_rate.answers({"runs": made[:2], "unigram_loss": 5.0}))
    assert "It is the highest that was tried" in told
    assert "No rate that was tried diverged" in told
    assert learning_rate.answers({"runs": [lr_run(1, None, "diverged")], "unigram_loss": 5.0})[0].startswith(
        "Every run"
    )


@pytest.mark.parametrize(
    ("differences", "diverged", "verdict"),
    (
        ([0.05, 0.06], 0, "worse"),
        ([-0.05, -0.06], 0, "better"),
        ([0.05, -0.01], 0, "undecided"),
        # Far apart, but each farther from the base than seeds of the base are from each other.
        ([0.3, 2.9], 0, "worse"),
        ([-0.3, -2.9], 0, "better"),
        ([0.01, 0.06], 0, "undecided"),
        ([0.05], 1, "diverges"),
        ([0.05], 0, "worse"),
    ),
)
def test_a_verdict_needs_seeds_that_agree(differences: list[float], diverged: int, verdict: str) -> None:
    assert ablations.verdict(differences, diverged=diverged, noise=0.04) == verdict


def test_a_variant_that_learns_nothing_is_told() -> None:
    base = {"mean": 4.0, "spread": 0.04, "verdict": "undecided", "unstable": 0, "stuck": 0}
    norms = {"verdict": "worse", "mean": 5.6, "differences": [0.3, 2.9], "unstable": 0, "stuck": 1}
    found = {"max_lr": 0.01, "seeds": 2, "unigram_loss": 6.95, "no_norm_best": 0.01, "variants": {}}
    found["variants"] = {
        "base": base,
        "no norm": norms | {"differences": [0.3, 0.31], "stuck": 0},
        "post-norm": norms,
    }
    _, post, without, _ = ablations.answers(found)
    assert "worse by 0.300 to 2.900 nats a token" in post
    assert "in 1 of 2 runs it learned no more than how frequent each token is (6.950)" in post
    assert "worse by 0.305 ± 0.005 nats a token." in without


def test_the_learning_rate_goes_with_the_batch_size() -> None:
    rows = [{"batch_size": size, "max_lr": 0.001 * size**0.5} for size in (1, 4, 16)]
    assert batch_size.exponent(rows) == pytest.approx(0.5)
    assert batch_size.exponent(rows[:1]) is None


def corpus_row(corpus: str, size: int, loss: float, ratio: float) -> dict[str, Any]:
    bits = loss / np.log(2) / ratio
    names = {"run": f"{corpus}-{size}", "corpus": corpus, "vocab_size": size}
    return {**names, "valid_loss": loss, "valid_bits_per_byte": bits, "bytes_per_token": ratio}


def test_losses_by_token_and_by_byte_may_disagree() -> None:
    rows = [corpus_row("a", 512, 3.0, 2.0), corpus_row("a", 2048, 4.0, 3.0)]
    rows += [corpus_row("b", 512, 4.0, 2.0), corpus_row("b", 2048, 7.0, 3.0)]
    _, a, b, _ = corpora.answers(rows)
    assert a.endswith("Told by tokens it looks worse, and it is better.")
    assert b.endswith("bits.")


def test_a_budget_buys_a_larger_model_and_more_steps(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pool:
        places = runs.Places(2, 1, None)

        def everywhere(self, function: Callable[..., float], *arguments: Any) -> float:
            return 2e10

    plans = {
        minutes: budget.make_plan(make_desk(f"plan-{minutes}", minutes=minutes), Pool(), 8)  # type: ignore[arg-type]
        for minutes in (1.0, 3.0, 60.0, 1000.0, None)
    }
    sizes = [plan.config.d_model for plan in plans.values()]
    assert sizes == sorted(sizes)
    assert sizes[0] == 64
    assert sizes[-1] == 512
    assert plans[3.0].steps > plans[1.0].steps
    assert plans[None].tokens == 40_960_000
    # The runs of a plan take no longer than the minutes.
    seconds = 4 * plans[3.0].tokens * training_flops_per_token(plans[3.0].config) / 2e10
    assert 60 < seconds < 180


class Accelerator:
    """Four places, in which steps of all sizes take the same time: that of starting their kernels."""

    places = runs.Places(4, 1, "H200", 1)

    def __init__(self, gain: float) -> None:
        self.gain = gain
        self.compiled: list[int] = []

    def everywhere(self, function: Callable[..., float], rung: dict[str, Any], mode: str) -> float:
        assert function is budget.measure_speed
        if mode == "on":
            self.compiled.append(rung["d_model"])
        return 1.6e11 * (rung["d_model"] / 64) ** 3 * (self.gain if mode == "on" else 1)


def test_on_an_accelerator_each_size_is_measured(make_desk: MakeDesk) -> None:
    pool = Accelerator(2.0)
    plan = budget.make_plan(make_desk("plan", minutes=2.0), pool, 4)  # type: ignore[arg-type]
    assert plan.config.d_model == 384
    assert plan.speed == 1.6e11 * 6**3
    # Too short to win back what compiling takes.
    assert (plan.compile, pool.compiled) == ("off", [])


@pytest.mark.parametrize(("gain", "compiled"), ((1.1, [512, 384]), (2.5, [512])))
def test_sizes_are_measured_compiled_where_the_runs_will_be(
    gain: float, compiled: list[int], make_desk: MakeDesk
) -> None:
    pool = Accelerator(gain)
    plan = budget.make_plan(make_desk("plan", minutes=6.0), pool, 14)  # type: ignore[arg-type]
    assert pool.compiled == compiled
    assert plan.compile == "auto"
    assert plan.config.d_model == compiled[-1]
    assert plan.speed == pytest.approx(gain * 1.6e11 * (compiled[-1] / 64) ** 3)


def test_the_courses_own_size_is_not_measured(make_desk: MakeDesk) -> None:
    desk, pool = make_desk("plan", minutes=None), Accelerator(2.0)
    plan = budget.make_plan(desk, pool, 11)  # type: ignore[arg-type]
    run = plan.run(desk, training_data(desk, plan), "base")
    assert (pool.compiled, plan.speed, run.train.compile) == ([], None, "auto")
    assert run.train.steps * run.train.batch_size * run.model.context_length == 327_680_000
    assert (run.model.d_model, run.model.num_layers, run.model.num_heads, run.model.d_ff) == (512, 4, 16, 1344)


@pytest.mark.parametrize("mode", ("off", "on"))
def test_the_speed_is_that_of_the_trainers_step(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Step:
        micro_batch_size = 4

        def __init__(self, config: RunConfig, runtime: Runtime) -> None:
            seen.append(config.train.compile)
            self.runtime = runtime

        def __call__(self, batches: Iterator[tuple[Tensor, Tensor]], lr: float) -> None:
            inputs, targets = next(batches)
            assert inputs.shape == targets.shape == (4, 16)
            time.sleep(0.01)

    rung = budget.Rung(
        vocab_size=300, context_length=16, d_model=16, num_layers=1, num_heads=2, batch_size=4, max_lr=1e-2
    )
    monkeypatch.setattr(budget, "TrainStep", Step)
    monkeypatch.setattr(budget, "_MEASURING_SECONDS", 0.2)
    speed = budget.measure_speed(dataclasses.asdict(rung), mode)  # type: ignore[arg-type]
    assert seen == [mode]
    assert 0.3 < speed / (4 * 16 * training_flops_per_token(rung.model) / 0.01) <= 1
    torch.use_deterministic_algorithms(False)


def test_an_accelerator_has_several_runs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(runs.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(runs.torch.cuda, "get_device_name", lambda _: "H200")
    monkeypatch.setattr(runs.os, "sched_getaffinity", lambda _: set(range(16)))
    assert str(runs.Places.find(11)) == "2 H200, 4 runs on each at a time"
    assert runs.Places.find(11).count == 8
    # No more than there are, than there are cores for, or than are to share its memory.
    assert runs.Places.find(4).count == 4
    assert str(runs.Places.find(11, alone=True)) == "2 H200, one run on each at a time"
    monkeypatch.setattr(runs.os, "sched_getaffinity", lambda _: set(range(4)))
    assert runs.Places.find(11).count == 4


@pytest.mark.usefixtures("small")
def test_other_studies_take_the_rate_that_the_sweep_found(
    make_desk: MakeDesk, two_corpora: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = make_desk("learning-rate")
    page = learning_rate.run(sweep)
    write_page(page, sweep.folder)
    best = min(page.results["runs"], key=lambda run: run["valid_loss"] or np.inf)
    with runs.workers(sweep, 1) as pool:
        assert budget.make_plan(make_desk("corpora"), pool, 1).max_lr == best["max_lr"]
        # On another corpus another rate may be best.
        other = make_desk("generate", inputs=two_corpora[1:])
        assert budget.make_plan(other, pool, 1).max_lr == budget.LADDER[0].max_lr
