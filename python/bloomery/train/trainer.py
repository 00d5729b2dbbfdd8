"""The training loop: what happens at each step, and what is kept so that a run can be killed at any of them."""

import dataclasses
import math
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bloomery import Tokenizer
from bloomery.accounting import training_flops_per_token
from bloomery.data import BatchSampler, check_ids, open_tokens, validation_windows
from bloomery.errors import ArgumentError, DivergedError
from bloomery.nn import TransformerLM
from bloomery.optim import AdamW, clip_gradients, cosine_schedule, wsd_schedule
from bloomery.train.checkpoint import Checkpoints, load_checkpoint, save_checkpoint
from bloomery.train.config import RunConfig
from bloomery.train.evaluate import Evaluation, evaluate
from bloomery.train.loss import fast_loss, plain_loss
from bloomery.train.metrics import Metrics, cut_back
from bloomery.train.run import CHECKPOINTS, CONFIG, TOKENIZER, write_config
from bloomery.train.runtime import Runtime


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

        torch.manual_seed(config.train.seed)  # pyright: ignore[reportUnknownMemberType] - untyped in torch
        self.model = TransformerLM(config.model, device=runtime.device)
        fast = config.train.implementation == "fast"
        self.model.use_fused_attention(enabled=fast)
        self._loss = fast_loss if fast else plain_loss
        self.optimizer = self._make_optimizer(fused=fast)
        self._forward: nn.Module = self.model
        if runtime.compiled:
            self._forward = torch.compile(self.model)  # pyright: ignore[reportAttributeAccessIssue] - a module again
        if runtime.world_size > 1:
            self._forward = DistributedDataParallel(self._forward)
        self.step = 0
        latest = self.checkpoints.latest()
        if resume and latest is not None:
            self.step = load_checkpoint(latest, self.model, self.optimizer)
        self._started_at = self.step
        self._train_seconds = 0.0
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
            pending: list[tuple[int, Tensor, Tensor, float]] = []
            last = time.perf_counter()
            while self.step < config.train.steps:
                pending.append(self._train_step())
                done = self.step == config.train.steps
                if done or self.step % self._log_every == 0 or self._due():
                    stop = self._stop_asked()
                    last = self._log(pending, last, metrics, watcher)
                    pending.clear()
                    # A run that is told to stop leaves at once, and no trace of where it was stopped.
                    if done or self.step % config.evaluation.every == 0:
                        self._evaluate(metrics, watcher)
                    if done or stop or self.step % config.checkpoint.every == 0:
                        self._save()
                    if stop:
                        break
                    last = time.perf_counter()
        rate = (self.step - self._started_at) * self._tokens_per_step / max(self._train_seconds, 1e-9)
        seconds = time.perf_counter() - began
        return Result(self.step, self._signal, self._evaluation, seconds, rate, self._mfu(rate))

    # What a step is.

    def _train_step(self) -> tuple[int, Tensor, Tensor, float]:
        """One optimizer step; returns its number, loss and gradient norm (on the device) and learning rate."""
        lr = self.learning_rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        total = torch.zeros((), device=self.runtime.device)
        for micro in range(self._micro_steps):
            inputs, targets = map(self.runtime.to_device, self._batch(micro))
            # Gradients are summed over micro-batches here, and over processes with the last one.
            partial = micro + 1 < self._micro_steps and isinstance(self._forward, DistributedDataParallel)
            with self._forward.no_sync() if partial else nullcontext():  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
                with self.runtime.autocast():
                    loss = self._loss(self._forward, inputs, targets) / self._micro_steps
                loss.backward()  # pyright: ignore[reportUnknownMemberType] - untyped in torch
            total += loss.detach()
        norm = clip_gradients(self.model.parameters(), self.config.optimizer.max_l2_norm or math.inf)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return self.step, total, norm, lr

    def _batch(self, micro: int) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
        return self._sampler.batch(
            self.step, self.runtime.rank, self.runtime.world_size, micro=(micro, self._micro_steps)
        )

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

    def _log(
        self, pending: list[tuple[int, Tensor, Tensor, float]], last: float, metrics: Metrics, watcher: Watcher | None
    ) -> float:
        """Waits for the steps, writes what they gave, and refuses a loss that is no number."""
        losses = [self._mean_over_processes(loss) for _, loss, _, _ in pending]
        norms = [norm.item() for _, _, norm, _ in pending]
        now = time.perf_counter()
        self._train_seconds += now - last
        rate = len(pending) * self._tokens_per_step / max(now - last, 1e-9)
        for (step, _, _, lr), loss, norm in zip(pending, losses, norms, strict=True):
            for what, value in (("loss", loss), ("gradient norm", norm)):
                if not math.isfinite(value):
                    self._diverged(step, what, value)
            metrics.write(
                {
                    "step": step,
                    "seconds": round(self._train_seconds, 3),
                    "tokens": step * self._tokens_per_step,
                    "loss": loss,
                    "lr": lr,
                    "gradient_norm": norm,
                    "tokens_per_second": round(rate, 1),
                }
            )
        if watcher is not None and self.runtime.is_main:
            watcher.stepped(self.step, losses[-1], rate, self._mfu(rate))
        return now

    def _mean_over_processes(self, loss: Tensor) -> float:
        return self.runtime.sum(loss.item())[0] / self.runtime.world_size

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
        batch_size = self.config.evaluation.batch_size or self._micro_batch_size
        # Not the compiled model: windows of other lengths would be compiled anew.
        found = evaluate(self.model, self._loss, self._validations, batch_size, self.runtime, self._token_bytes)
        self._evaluation, self._evaluated_at = found, self.step
        metrics.write({"step": self.step, **found.metrics()})
        if watcher is not None and self.runtime.is_main:
            watcher.evaluated(self.step, found)

    def _save(self) -> None:
        if self.runtime.is_main:
            current = self._evaluation if self._evaluated_at == self.step else None
            extra = {} if current is None else {"valid_loss": current.loss}
            path = self.checkpoints.path(self.step)
            save_checkpoint(self.model, self.optimizer, self.step, path, extra=extra)
            self.checkpoints.prune(self.config.checkpoint.keep)
        self.runtime.wait()

    def _stop_asked(self) -> bool:
        """Whether any process was told to stop: all leave at the same step."""
        return self.runtime.sum(float(self._signal is not None))[0] > 0

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
        share, rest = divmod(config.train.batch_size, self.runtime.world_size)
        self._micro_batch_size = config.train.micro_batch_size or max(share, 1)
        if rest or share % self._micro_batch_size:
            raise ArgumentError(
                f"train.batch_size = {config.train.batch_size} does not divide into {self.runtime.world_size} "
                f"processes with micro-batches of {self._micro_batch_size} windows each"
            )
        self._micro_steps = share // self._micro_batch_size
        self._tokens_per_step = config.train.batch_size * context

    def _make_optimizer(self, *, fused: bool) -> torch.optim.Optimizer:
        config = self.config.optimizer
        beta1, beta2 = config.betas
        options: dict[str, Any] = {
            "lr": self.config.schedule.max_lr,
            "betas": (beta1, beta2),
            "eps": config.eps,
            "weight_decay": config.weight_decay,
        }
        if fused:
            return torch.optim.AdamW(self.model.parameters(), fused=True, **options)
        return AdamW(self.model.parameters(), **options)

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
