r"""Validation loss after equal time: bloomery's recipes, and a GPT-2 trained the usual short way, on the same windows.

    python benches/python/recipes.py docs/gpt2-small.toml --seconds 150 --arm plain --arm adamw \
        --arm muon='--optimizer.name=muon --schedule.max_lr=3e-3' \
        --arm muon-half@75='--optimizer.name=muon --schedule.max_lr=3e-3' --model.vocab_size 32000 --data.held_out 0.0 \
        --data.tokenizer tokenizer.json --data.train '["tokens.npy"]' --data.valid '["valid.npy"]'

An arm is a name, perhaps a time of its own, and what it changes in the config; `plain` is the step of plain_gpt.py,
with AdamW and the same learning rates. Each first trains for a few steps that are thrown away: they compile, and tell
how many steps fit the time, over which the arm's schedule is then laid. Its metrics are kept in a folder of its own; an
arm whose folder is there already is not trained again. All are drawn in one picture, by time and by step. Evaluation
and checkpoints do not count as time.
"""

import argparse
import dataclasses
import itertools
import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bloomery.data import BatchSampler, open_tokens, validation_windows
from bloomery.optim import cosine_schedule
from bloomery.train import RunConfig, load_config, parse_overrides, read_metrics, train
from bloomery.train.runtime import Runtime
from plain_gpt import PlainStep, Shape

PROBE_STEPS = 40
EVALUATIONS = 10
PLAIN = "plain"


def main() -> None:
    """Trains every arm and draws them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--steps", type=int, help="steps of every arm, instead of as many as fit the time")
    parser.add_argument("--folder", type=Path, default=Path("runs/recipes"))
    parser.add_argument("--arm", action="append", required=True, metavar="NAME[@SECONDS][=OVERRIDE ...]")
    args, rest = parser.parse_known_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    for arm in args.arm:
        label, _, changes = arm.partition("=")
        name, _, seconds = label.partition("@")
        names.append(name)
        if (args.folder / name).exists():
            continue
        config = load_config(args.config, parse_overrides([*rest, *changes.split()]))
        run = run_plain if name == PLAIN else run_bloomery
        steps = args.steps
        if steps is None:
            probe = at_length(config, args.folder / f"{name}-probe", PROBE_STEPS)
            run(probe)
            steps = round((float(seconds) if seconds else args.seconds) / seconds_per_step(Path(probe.folder)))
            shutil.rmtree(probe.folder)
        run(at_length(config, args.folder / name, steps))
        shutil.rmtree(args.folder / name / "checkpoints", ignore_errors=True)
        last = [line["valid_loss"] for line in read_metrics(args.folder / name) if "valid_loss" in line][-1]
        print(f"{name}: {steps} steps, validation loss {last:.4f}", flush=True)
    draw(args.folder, names)


def at_length(config: RunConfig, folder: Path, steps: int) -> RunConfig:
    """The run over so many steps, evaluated a few times."""
    every = max(steps // EVALUATIONS, 1) if steps > PROBE_STEPS else steps
    return dataclasses.replace(
        config,
        folder=str(folder),
        train=dataclasses.replace(config.train, steps=steps),
        evaluation=dataclasses.replace(config.evaluation, every=every),
        checkpoint=dataclasses.replace(config.checkpoint, every=steps, keep=1),
    )


def seconds_per_step(folder: Path) -> float:
    """Of the second half of the run; the steps that were looked at together end at the middle."""
    lines = [line for line in read_metrics(folder) if "loss" in line]
    middle, last = lines[len(lines) // 2 - 1], lines[-1]
    return (last["seconds"] - middle["seconds"]) / (last["step"] - middle["step"])


def run_bloomery(config: RunConfig) -> None:
    """Trains by bloomery."""
    train(config, announce=lambda line: print(line, flush=True))


def run_plain(config: RunConfig) -> None:
    """Trains the plain GPT-2, and writes metrics as bloomery does."""
    runtime = Runtime.choose(config.train)
    runtime.apply()
    model, schedule, steps = config.model, config.schedule, config.train.steps
    context = model.context_length
    datasets = [open_tokens(path) for path in config.data.train]
    sampler = BatchSampler(
        datasets, context_length=context, global_batch_size=config.train.batch_size, seed=config.train.seed
    )
    windows = [
        validation_windows(open_tokens(path), context, config.evaluation.windows, config.train.seed)
        for path in config.data.valid
    ]
    torch.manual_seed(config.train.seed)
    shape = Shape(-(-model.vocab_size // 64) * 64, context, model.d_model, model.num_layers, model.num_heads)
    step = PlainStep(shape, runtime.device, runtime.precision)
    folder = Path(config.folder)
    folder.mkdir(parents=True)

    def to_device(ids: np.ndarray[Any, Any]) -> torch.Tensor:
        return runtime.to_device(runtime.pinned(ids))

    @torch.no_grad()
    def evaluate() -> float:
        total = count = 0.0
        for inputs, targets in itertools.chain.from_iterable(w.batches(config.train.batch_size) for w in windows):
            with runtime.autocast():
                total += step.model(to_device(inputs), to_device(targets)).item() * targets.size
            count += targets.size
        return total / count

    warmup = max(1, steps // 20) if schedule.warmup_steps is None else schedule.warmup_steps
    seconds, start, losses = 0.0, time.perf_counter(), []
    with (folder / "metrics.jsonl").open("w", encoding="utf-8") as file:
        for done in range(1, steps + 1):
            lr = cosine_schedule(done, schedule.max_lr, schedule.max_lr / 10, warmup, max(steps, warmup))
            for group in step.optimizer.param_groups:
                group["lr"] = lr
            losses.append(step(*map(to_device, sampler.batch(done - 1))))
            due = done == steps or done % config.evaluation.every == 0
            if done % 10 == 0 or due:
                values = torch.stack(losses).tolist()
                seconds += time.perf_counter() - start
                for offset, loss in enumerate(values, done - len(values) + 1):
                    file.write(json.dumps({"step": offset, "seconds": seconds, "loss": loss, "lr": lr}) + "\n")
                losses = []
                if due:
                    file.write(json.dumps({"step": done, "valid_loss": evaluate()}) + "\n")
                file.flush()
                start = time.perf_counter()


def draw(folder: Path, names: list[str]) -> None:
    """The validation losses by time and by step, in loss.png."""
    figure = Figure(figsize=(9, 4), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    for place, (what, unit) in enumerate((("seconds", "seconds of training"), ("step", "step")), 1):
        axes: Any = figure.add_subplot(1, 2, place)
        for name in names:
            lines = read_metrics(folder / name)
            seconds = {line["step"]: line["seconds"] for line in lines if "seconds" in line}
            points = [
                (seconds[line["step"]] if what == "seconds" else line["step"], line["valid_loss"])
                for line in lines
                if "valid_loss" in line and line["step"] in seconds
            ]
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=f"{name}: {points[-1][1]:.3f}")
        axes.set_xlabel(unit)
        axes.set_ylabel("validation loss (nats per token)")
        axes.set_ylim(top=min(axes.get_ylim()[1], math.ceil(axes.get_ylim()[0]) + 2))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(folder / "loss.png")


if __name__ == "__main__":
    main()
