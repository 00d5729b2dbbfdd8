"""Fitting a study into its minutes: a model from a ladder, and as many steps as this machine manages.

The speed is measured, in all places at the same time, as the runs will be. A model is chosen that the time gives at
least a few tokens for each of its parameters: a larger one would end half-trained, and say less about the question.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from bloomery.accounting import count_parameters, training_flops_per_token
from bloomery.config import TransformerConfig
from bloomery.experiments.study.corpora import Prepared
from bloomery.experiments.study.desk import Desk
from bloomery.experiments.study.runs import Workers, run_folder
from bloomery.report.page import RESULTS
from bloomery.train import RunConfig
from bloomery.train.benchmark import random_batches
from bloomery.train.config import CheckpointConfig, DataConfig, EvaluationConfig, ScheduleConfig, TrainConfig
from bloomery.train.runtime import Runtime
from bloomery.train.step import TrainStep

SWEEP = "learning-rate"
"""The study whose best rate the others take."""

_TOKENS_PER_PARAMETER = 4
_ENOUGH_TOKENS = 20
"""A parameter, for a model that is not to be larger than its training (Hoffmann et al., 2022)."""
_FEWEST_STEPS = 30
# What is not training: starting the processes, tokenizing, judging and drawing.
_OVERHEAD_SECONDS = 12.0
_FOR_TRAINING = 0.85
_EVALUATIONS = 10
_MEASURING_SECONDS = 1.5
_WARM_UP = 2
"""Steps, which allocate and compile."""
_AHEAD = 10
"""Steps that an accelerator is given before they are waited for, as in training."""
# Of training in each place of an accelerator. Compiling takes some 15 seconds there, once for each shape of model: the
# runs of a study that a place trains share their code.
_WORTH_COMPILING_SECONDS = 180.0
_HELD_OUT = 0.05
_COURSE_TOKENS, _COURSE_TOKENS_WITHOUT_GPU = 327_680_000, 40_960_000


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A size on the ladder."""

    vocab_size: int
    context_length: int
    d_model: int
    num_layers: int
    num_heads: int
    batch_size: int
    max_lr: float
    """A good one at this size, for studies of something else."""

    @property
    def model(self) -> TransformerConfig:
        """The model."""
        return TransformerConfig(
            vocab_size=self.vocab_size,
            context_length=self.context_length,
            d_model=self.d_model,
            num_layers=self.num_layers,
            num_heads=self.num_heads,
        )


LADDER = (
    Rung(vocab_size=512, context_length=64, d_model=64, num_layers=2, num_heads=4, batch_size=16, max_lr=1e-2),
    Rung(vocab_size=1024, context_length=128, d_model=128, num_layers=3, num_heads=4, batch_size=16, max_lr=6e-3),
    Rung(vocab_size=4096, context_length=256, d_model=256, num_layers=4, num_heads=8, batch_size=32, max_lr=3e-3),
    Rung(vocab_size=4096, context_length=256, d_model=384, num_layers=4, num_heads=6, batch_size=64, max_lr=2e-3),
    Rung(vocab_size=10_000, context_length=256, d_model=512, num_layers=4, num_heads=16, batch_size=64, max_lr=1e-3),
)
"""From what two processor cores train in a minute to the course's 17M-parameter model."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The run that a study varies."""

    model: dict[str, Any]
    batch_size: int
    steps: int
    max_lr: float
    compile: Literal["auto", "off"]
    places: str
    """Where the runs are trained, in words."""
    speed: float | None
    """FLOP/s measured in each place; None at full scale, where nothing depends on it."""

    @property
    def config(self) -> TransformerConfig:
        """The model."""
        return TransformerConfig.from_dict(self.model)

    @property
    def tokens(self) -> int:
        """That a run sees."""
        return self.steps * self.batch_size * self.config.context_length

    def run(
        self,
        desk: Desk,
        data: Prepared,
        name: str,
        *,
        max_lr: float | None = None,
        seed: int = 0,
        batch_size: int | None = None,
        model: Mapping[str, Any] | None = None,
    ) -> RunConfig:
        """The run as it is, or with something changed; another batch size sees as many tokens.

        The model has the vocabulary of the data's tokenizer.
        """
        batch_size = batch_size or self.batch_size
        steps = max(self.tokens // (batch_size * self.config.context_length), 1)
        # The usual width of another kind of feed-forward network is another one.
        changes = {"d_ff": 0, **model} if model else {}
        return RunConfig(
            folder=run_folder(desk, name),
            model=dataclasses.replace(self.config, vocab_size=data.tokenizer.vocab_size, **changes),
            data=DataConfig(train=[str(data.tokens_path)], held_out=_HELD_OUT, tokenizer=str(data.tokenizer_path)),
            schedule=ScheduleConfig(max_lr=max_lr or self.max_lr),
            train=TrainConfig(steps=steps, batch_size=batch_size, seed=seed, compile=self.compile),
            evaluation=EvaluationConfig(every=max(steps // _EVALUATIONS, 1), windows=128, batch_size=16),
            checkpoint=CheckpointConfig(every=max(steps // 4, 1), keep=1),
        )

    def sentences(self, data: Prepared, runs: int) -> list[str]:
        """What a page says of the runs."""
        model = self.config
        parameters = count_parameters(dataclasses.replace(model, vocab_size=data.tokenizer.vocab_size))
        epochs = self.tokens / ((1 - _HELD_OUT) * data.about["tokens"])
        ratio = self.tokens / parameters
        early = (
            f"That is {ratio:.2g} tokens a parameter, where about {_ENOUGH_TOKENS} are usual: what follows is about "
            "the early part of training, and more `--minutes` go further."
        )
        return [
            (
                f"{'One run' if runs == 1 else f'{runs} runs'} of a model with {parameters:,} parameters (vocabulary "
                f"{data.tokenizer.vocab_size:,}, context {model.context_length}, d_model {model.d_model}, "
                f"{model.num_layers} layers, {model.num_heads} heads, d_ff {model.d_ff}), "
                f"{'' if runs == 1 else 'unless said otherwise '}on {self.tokens:,} "
                f"tokens{'' if runs == 1 else ' each'}: {self.steps:,} steps of {self.batch_size} windows, "
                f"{epochs:.2g} times the training part of the corpus."
            ),
            *([early] if ratio < _ENOUGH_TOKENS / 2 else []),
            (
                f"Text: {data.name}, {data.bytes / 1e6:,.1f} MB, {data.about['tokens']:,} tokens; its last "
                f"{_HELD_OUT:.0%} are held out, and the validation loss is the mean over the same windows of them "
                "each time. AdamW with weight decay 0.1, gradients clipped to a norm of 1, linear warm-up over a "
                "twentieth of the steps, then a cosine down to a tenth of the learning rate. Trained on "
                f"{self.places}."
            ),
        ]


def make_plan(desk: Desk, workers: Workers, runs: int, *, share: float = 1.0) -> Plan:
    """Fits so many runs into their share of the minutes, or takes the course's size; kept for when it is resumed."""
    return Plan(**desk.once("plan", lambda: dataclasses.asdict(_plan(desk, workers, runs, share))))


def _plan(desk: Desk, workers: Workers, runs: int, share: float) -> Plan:
    minutes = desk.settings.minutes
    if minutes is None:
        return _course(desk, workers)
    start = time.perf_counter()
    # Runs that do not fill the last round leave places empty.
    rounds = -(-runs // workers.places.count)

    def per_run() -> float:
        spent = _OVERHEAD_SECONDS + time.perf_counter() - start
        return max(60 * minutes - spent, 10) * _FOR_TRAINING * share / rounds

    compiled = False
    if workers.places.accelerator is None:
        rung, speed = _on_processor(workers, per_run())
    else:
        compiled = rounds * per_run() > _WORTH_COMPILING_SECONDS
        rung, speed = _on_accelerator(workers, per_run, "on" if compiled else "off")
    steps = max(_steps(rung, speed, per_run()), _FEWEST_STEPS)
    desk.say(
        f"{runs} {'run' if runs == 1 else 'runs'} of {count_parameters(rung.model):,} parameters, {steps:,} steps of "
        f"{_tokens(rung):,} tokens each, on {workers.places}"
    )
    return Plan(
        model=rung.model.to_dict(),
        batch_size=rung.batch_size,
        steps=steps,
        max_lr=_tuned_rate(desk, rung) or rung.max_lr,
        compile="auto" if compiled else "off",
        places=str(workers.places),
        speed=speed,
    )


def _measured(workers: Workers, rung: Rung, mode: Literal["on", "off"] = "off") -> float:
    return workers.everywhere(measure_speed, dataclasses.asdict(rung), mode)


def _on_processor(workers: Workers, seconds: float) -> tuple[Rung, float]:
    """The model for so many seconds a run, and its speed."""
    rung, speed = LADDER[0], _measured(workers, LADDER[0])
    for larger in LADDER[1:]:
        # Larger models are computed at a higher rate: this errs on the side of finishing.
        if not _affords(larger, speed, seconds):
            break
        rung = larger
    return rung, speed if rung is LADDER[0] else _measured(workers, rung)


def _on_accelerator(workers: Workers, seconds: Callable[[], float], mode: Literal["on", "off"]) -> tuple[Rung, float]:
    """The same where every size is measured, for one says nothing of another: below some size steps take the same time.

    On an H100, four at a time, compiled steps of 5 and of 10 million parameters took 15 ms, those of 23 million 19 ms,
    and uncompiled ones 20, 43 and 77 ms.
    """
    for rung in reversed(LADDER[1:]):
        speed = _measured(workers, rung, mode)
        if _affords(rung, speed, seconds()):
            return rung, speed
    return LADDER[0], _measured(workers, LADDER[0], mode)


def _affords(rung: Rung, speed: float, seconds: float) -> bool:
    """Whether there are enough tokens in so many seconds for each of the model's parameters."""
    return _steps(rung, speed, seconds) * _tokens(rung) >= _TOKENS_PER_PARAMETER * count_parameters(rung.model)


def _course(desk: Desk, workers: Workers) -> Plan:
    rung = LADDER[-1]
    tokens = _COURSE_TOKENS if workers.places.accelerator is not None else _COURSE_TOKENS_WITHOUT_GPU
    return Plan(
        model=rung.model.to_dict(),
        batch_size=rung.batch_size,
        steps=tokens // _tokens(rung),
        max_lr=_tuned_rate(desk, rung) or rung.max_lr,
        compile="auto",
        places=str(workers.places),
        speed=None,
    )


def _tuned_rate(desk: Desk, rung: Rung) -> float | None:
    """The best rate that the study `learning-rate` found for this model on the same corpus, where it was run before."""
    sweep = dataclasses.replace(desk, name=SWEEP)
    results = sweep.folder / RESULTS
    if desk.name == SWEEP or not results.exists():
        return None
    settings, plan = sweep.found_settings(), sweep.once("plan", dict[str, Any])
    if settings["inputs"][:1] != list(desk.settings.inputs[:1]) or plan["model"] != rung.model.to_dict():
        return None
    runs = json.loads(results.read_text(encoding="utf-8"))["runs"]
    finished = [run for run in runs if run["valid_loss"] is not None]
    best = min(finished, key=lambda run: run["valid_loss"], default=None)
    if best is None:
        return None
    desk.say(f"the learning rate is {best['max_lr']:g}, the best that the study {SWEEP} found")
    return best["max_lr"]


def _tokens(rung: Rung) -> int:
    """Of a step."""
    return rung.batch_size * rung.context_length


def _steps(rung: Rung, speed: float, seconds: float) -> int:
    flops = training_flops_per_token(rung.model)
    # An evaluation is forward alone, a third of a step's work on as many tokens.
    evaluating = (_EVALUATIONS + 2) * 128 * rung.context_length * flops / 3
    return int(max(seconds * speed - evaluating, 0) / (flops * _tokens(rung)))


def measure_speed(values: dict[str, Any], mode: Literal["on", "off"]) -> float:
    """The FLOP/s at which a model of this size trains here, for a moment; by the trainer's own step.

    Args:
        values: The rung's.
        mode: Whether by torch.compile; what it compiles here serves the runs that this process trains.
    """
    rung = Rung(**values)
    config = RunConfig(model=rung.model, train=TrainConfig(batch_size=rung.batch_size, compile=mode))
    runtime = Runtime.choose(config.train)
    runtime.apply()
    # A process keeps the code of a few shapes only; those of the sizes that are not chosen would take its place.
    torch.compiler.reset()
    step = TrainStep(config, runtime)
    batches = random_batches(config, step)
    steps, start = 0, 0.0
    while steps < _WARM_UP + 2 or time.perf_counter() - start < _MEASURING_SECONDS:
        if steps == _WARM_UP:
            runtime.synchronize()
            start = time.perf_counter()
        step(batches, config.schedule.max_lr)
        steps += 1
        if steps % _AHEAD == 0:
            runtime.synchronize()
    runtime.synchronize()
    flops = (steps - _WARM_UP) * _tokens(rung) * training_flops_per_token(rung.model)
    return flops / (time.perf_counter() - start)
