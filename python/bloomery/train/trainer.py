"""The training loop: what happens at each step, and what is kept so that a run can be killed at any of them."""

import dataclasses
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from bloomery import Tokenizer
from bloomery.accounting import training_flops_per_token
from bloomery.data import BatchSampler, check_ids, open_tokens, validation_windows
from bloomery.errors import ArgumentError, DivergedError
from bloomery.optim import cosine_schedule, wsd_schedule
from bloomery.train.checkpoint import Checkpoints, load_checkpoint, save_checkpoint
from bloomery.train.config import RunConfig
from bloomery.train.evaluate import Evaluation, evaluate
from bloomery.train.metrics import Metrics, cut_back
from bloomery.train.prefetch import Prefetcher
from bloomery.train.readings import Mark, Readings
from bloomery.train.run import CHECKPOINTS, CONFIG, TOKENIZER, write_config
from bloomery.train.runtime import Runtime
from bloomery.train.step import TrainStep


class Watcher(Protocol):
    """Who is told how a run goes; every method may be called often."""

    def started(self, step: int, steps: int) -> None:
        """Training goes on from `step` of `steps`."""
        ...

    def stepped(self, step: int, loss: float, tokens_per_second: float, mfu: float | None) -> None:
        """`step` steps are done."""
        ...

    def evaluated(self, step: int, evaluation: Evaluation) -> None:
        """There is a new validation loss."""
        ...


@dataclasses.dataclass(frozen=True)
class Result:
    """How a run ended."""

    step: int
    """Steps done in all."""
    stopped_by: signal.Signals | None
    """The signal that ended it early."""
    evaluation: Evaluation | None
    """The last one."""
    seconds: float
    """Of this process."""
    tokens_per_second: float
    """Of this process's steps, evaluations and checkpoints aside."""
    mfu: float | None
    """Model FLOPs utilisation, where the device's peak is known."""


@dataclasses.dataclass(frozen=True)
class _Step:
    """A step that was begun; its loss and gradient norm are on the device, perhaps not computed yet."""

    number: int
    lr: float
    loss: Tensor
    norm: Tensor


class Trainer:
    """One run, from its config to its last checkpoint."""

    def __init__(self, config: RunConfig, runtime: Runtime, *, resume: bool = False) -> None:
        """Opens the data, builds the model, and puts the latest checkpoint into it when resuming.

        Raises:
            ArgumentError: The folder holds a run and `resume` is not asked for, or the config contradicts the data or
                the run.
            OSError: A file is missing or cannot be written.
            InputError: A token file or checkpoint is broken, or of a model of another shape.
            TokenIdError: A token id lies beyond the model's vocabulary.
        """
        self.config, self.runtime = config, runtime
        self.folder = Path(config.folder)
        self.checkpoints = Checkpoints(self.folder / CHECKPOINTS)
        self._check_folder(resume=resume)
        runtime.apply()
        self._open_data()

        self._train = TrainStep(config, runtime)
        self.model, self.optimizer = self._train.model, self._train.optimizer
        self.step = 0
        latest = self.checkpoints.latest()
        if resume and latest is not None:
            self.step = load_checkpoint(latest, self.model, self.optimizer)
        # The first writes into the folder as soon as it trains: all must have read it.
        runtime.wait()
        self._started_at = self.step
        self._train_seconds = 0.0
        self._last = Mark(runtime.device)
        self._signal: signal.Signals | None = None
        self._evaluation: Evaluation | None = None
        self._evaluated_at = -1
        self._flops_per_token = training_flops_per_token(config.model)

    def run(self, watcher: Watcher | None = None) -> Result:
        """Trains to the last step, or until SIGINT or SIGTERM, which save and leave.

        Raises:
            DivergedError: A loss is not a finite number.
            OSError: A checkpoint cannot be written (a full disk); the last one is still there.
        """
        began = time.perf_counter()
        config = self.config
        self._prepare_folder()
        with Metrics(self.folder, config, enabled=self.runtime.is_main) as metrics, self._signals():
            if watcher is not None:
                watcher.started(self.step, config.train.steps)
            if self.step == 0:
                self._evaluate(metrics, watcher)
            self._last = Mark(self.runtime.device)
            with Prefetcher(self._batch, self._batches_to_come()) as batches:
                self._steps(self._on_device(batches), metrics, watcher)
        rate = (self.step - self._started_at) * self._tokens_per_step / max(self._train_seconds, 1e-9)
        seconds = time.perf_counter() - began
        return Result(self.step, self._signal, self._evaluation, seconds, rate, self._mfu(rate))

    def _steps(self, batches: Iterator[tuple[Tensor, Tensor]], metrics: Metrics, watcher: Watcher | None) -> None:
        """All steps that are left, and what is due after some of them."""
        config = self.config
        done_steps: list[_Step] = []
        posted: deque[tuple[list[_Step], Readings]] = deque()
        while self.step < config.train.steps:
            lr = self.learning_rate(self.step)
            loss, norm = self._train(batches, lr)
            self.step += 1
            done_steps.append(_Step(self.step, lr, loss, norm))
            done = self.step == config.train.steps
            if not (done or self.step % self._log_every == 0 or self._due()):
                continue
            posted.append((done_steps, self._read(done_steps)))
            done_steps = []
            # On an accelerator the latest are left for the next time: to wait for them would leave it without work.
            late = self.runtime.device.type == "cuda" and not (done or self._due())
            stop = False
            while len(posted) > late:
                stop |= self._log(*posted.popleft(), metrics, watcher)
            if stop:
                while posted:
                    self._log(*posted.popleft(), metrics, watcher)
            # A run that is told to stop leaves at once, and no trace of where it was stopped.
            if done or self.step % config.evaluation.every == 0:
                self._evaluate(metrics, watcher)
            if done or stop or self.step % config.checkpoint.every == 0:
                self._save()
            if stop:
                return
            if not late:
                self._last = Mark(self.runtime.device)

    # What a step is made of.

    def _batches_to_come(self) -> Iterator[tuple[int, int]]:
        """Step and micro-batch of each."""
        for step in range(self.step, self.config.train.steps):
            for micro in range(self._train.micro_steps):
                yield step, micro

    def _batch(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        step, micro = key
        runtime = self.runtime
        inputs, targets = self._sampler.batch(
            step, runtime.rank, runtime.world_size, micro=(micro, self._train.micro_steps)
        )
        return runtime.pinned(inputs), runtime.pinned(targets)

    def _on_device(
        self, batches: Prefetcher[tuple[int, int], tuple[Tensor, Tensor]]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            inputs, targets = batches.take()
            yield self.runtime.to_device(inputs), self.runtime.to_device(targets)

    def learning_rate(self, step: int) -> float:
        """The learning rate of the step that follows `step` steps."""
        schedule, steps = self.config.schedule, self.config.train.steps
        min_lr = schedule.max_lr / 10 if schedule.min_lr is None else schedule.min_lr
        warmup = max(1, steps // 20) if schedule.warmup_steps is None else schedule.warmup_steps
        # The schedules give 0 at step 0, which would waste it: step k is asked for the rate of k + 1.
        if schedule.name == "cosine":
            end = steps if schedule.cosine_steps is None else schedule.cosine_steps
            return cosine_schedule(step + 1, schedule.max_lr, min_lr, warmup, max(end, warmup))
        decay = steps // 5 if schedule.decay_steps is None else schedule.decay_steps
        if schedule.name == "wsd":
            return wsd_schedule(step + 1, schedule.max_lr, min_lr, warmup, max(steps - warmup - decay, 0), decay)
        return wsd_schedule(step + 1, schedule.max_lr, min_lr, warmup, steps, 0)

    # What happens between steps.

    @property
    def _log_every(self) -> int:
        every = self.config.logging.every
        return every if every is not None else 1 if self.runtime.device.type == "cpu" else 10

    def _due(self) -> bool:
        config = self.config
        return self.step % config.evaluation.every == 0 or self.step % config.checkpoint.every == 0

    def _read(self, steps: list["_Step"]) -> Readings:
        """What steps gave: mean losses over all processes, norms, and how many processes were told to stop."""
        told = torch.full((), self._signal is not None, dtype=torch.float64, device=self.runtime.device)
        summed = self.runtime.sum_(torch.stack([*(step.loss.double() for step in steps), told]))
        return Readings(torch.cat([summed, torch.stack([step.norm.double() for step in steps])]))

    def _log(self, steps: list["_Step"], readings: Readings, metrics: Metrics, watcher: Watcher | None) -> bool:
        """Waits for steps, writes what they gave, refuses a loss that is no number; says whether all are to stop."""
        values = readings.values()
        losses = [total / self.runtime.world_size for total in values[: len(steps)]]
        told, *norms = values[len(steps) :]
        seconds = readings.mark.seconds_since(self._last)
        self._last = readings.mark
        self._train_seconds += seconds
        rate = len(steps) * self._tokens_per_step / max(seconds, 1e-9)
        for step, loss, norm in zip(steps, losses, norms, strict=True):
            for what, value in (("loss", loss), ("gradient norm", norm)):
                if not math.isfinite(value):
                    self._diverged(step.number, what, value)
            metrics.write(
                {
                    "step": step.number,
                    "seconds": round(self._train_seconds, 3),
                    "tokens": step.number * self._tokens_per_step,
                    "loss": loss,
                    "lr": step.lr,
                    "gradient_norm": norm,
                    "tokens_per_second": round(rate, 1),
                }
            )
        if watcher is not None and self.runtime.is_main:
            watcher.stepped(steps[-1].number, losses[-1], rate, self._mfu(rate))
        return told > 0

    def _diverged(self, step: int, what: str, value: float) -> None:
        latest = self.checkpoints.latest()
        good = f"the last good checkpoint is {latest}" if latest else "there is no checkpoint yet"
        raise DivergedError(
            f"the {what} of step {step} is {value}: the run diverged; {good}. Try a lower schedule.max_lr, more "
            "schedule.warmup_steps, or a smaller optimizer.max_l2_norm, and train.precision = 'float32' if it is not"
        )

    def _evaluate(self, metrics: Metrics, watcher: Watcher | None) -> None:
        if not self._validations:
            return
        batch_size = self.config.evaluation.batch_size or self._train.micro_batch_size
        found = evaluate(self._train.loss, self._validations, batch_size, self.runtime, self._token_bytes)
        self._evaluation, self._evaluated_at = found, self.step
        metrics.write({"step": self.step, **found.metrics()})
        if watcher is not None and self.runtime.is_main:
            watcher.evaluated(self.step, found)

    def _save(self) -> None:
        if self.runtime.is_main or self.runtime.sharded:
            current = self._evaluation if self._evaluated_at == self.step else None
            extra = {} if current is None else {"valid_loss": current.loss}
            path = self.checkpoints.path(self.step)
            save_checkpoint(self.model, self.optimizer, self.step, path, extra=extra)
        if self.runtime.is_main:
            self.checkpoints.prune(self.config.checkpoint.keep)
        self.runtime.wait()

    @contextmanager
    def _signals(self) -> Generator[None]:
        """SIGINT and SIGTERM are noted, and heeded when the step is done. A second SIGINT interrupts at once."""

        def note(number: int, frame: FrameType | None) -> None:
            del frame
            if self._signal is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self._signal = signal.Signals(number)

        # Only a main thread may set handlers; elsewhere the caller has the signals.
        main = threading.current_thread() is threading.main_thread()
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM) if main}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _mfu(self, tokens_per_second: float) -> float | None:
        peak = self.runtime.peak_flops
        return None if peak is None else tokens_per_second * self._flops_per_token / peak

    # What a run stands on.

    def _check_folder(self, *, resume: bool) -> None:
        config = self.folder / CONFIG
        if not config.exists():
            return
        if not resume:
            raise ArgumentError(f"{self.folder} holds a run already: give --resume to go on with it, or another folder")
        before = RunConfig.load(config).model.to_dict()
        now = self.config.model.to_dict()
        changed = [f"{name} {before[name]} is {now[name]} now" for name in now if before[name] != now[name]]
        if changed:
            raise ArgumentError(
                f"{self.folder} holds a run of another model ({'; '.join(changed)}): choose another folder"
            )

    def _open_data(self) -> None:
        config = self.config
        if not config.data.train:
            raise ArgumentError("data.train is empty: name the token files to train on")
        vocab_size, context = config.model.vocab_size, config.model.context_length
        train = [open_tokens(path, dtype=config.data.dtype) for path in config.data.train]
        valid = [open_tokens(path, dtype=config.data.dtype) for path in config.data.valid]
        if self.runtime.is_main:
            for dataset in (*train, *valid):
                check_ids(dataset, vocab_size)
        if config.data.held_out:
            ends = [len(ids) - round(len(ids) * config.data.held_out) for ids in train]
            valid += [ids[end:] for ids, end in zip(train, ends, strict=True)]
            train = [ids[:end] for ids, end in zip(train, ends, strict=True)]
        self.tokenizer = None if config.data.tokenizer is None else Tokenizer.load(config.data.tokenizer)
        self._sampler = BatchSampler(
            train,
            config.data.weights,
            context_length=context,
            global_batch_size=config.train.batch_size,
            seed=config.train.seed,
        )
        windows = config.evaluation.windows or None
        self._validations = [validation_windows(dataset, context, windows, config.train.seed) for dataset in valid]
        self._token_bytes = None
        if self.tokenizer is not None:
            self._token_bytes = np.zeros(vocab_size, np.int64)
            for token_id, token in self.tokenizer.vocab.items():
                self._token_bytes[token_id] = len(token)
        self._tokens_per_step = config.train.batch_size * context

    def _prepare_folder(self) -> None:
        """Writes what a run begins with; a resumed run forgets what it measured after its checkpoint."""
        if self.runtime.is_main:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.checkpoints.clean()
            if self.tokenizer is not None:
                self.tokenizer.save(self.folder / TOKENIZER)
            # Last of all: a folder with a config is a run.
            write_config(self.folder, self.config)
            # At step 0 the first evaluation is made again too.
            cut_back(self.folder, self.step or -1)
        self.runtime.wait()
