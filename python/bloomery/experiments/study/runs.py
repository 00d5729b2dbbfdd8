"""Runs in parallel: as many at a time as the machine has room for, each trained once however often a study is called.

A run is the trainer's own, in a folder of its own under `runs/`, so that every command works on it. `outcome.json`
beside its config says that it has ended, and how.
"""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from bloomery.data import open_tokens
from bloomery.errors import ArgumentError, DivergedError
from bloomery.experiments.study.desk import Desk, write_json
from bloomery.report.history import History, running_mean
from bloomery.train import RunConfig, train
from bloomery.train.metrics import NAME as METRICS

Stability = Literal["stable", "unstable", "diverged"]

_OUTCOME = "outcome.json"
_POLL_SECONDS = 0.5
# Small models leave gaps on an accelerator, in which others are computed. Speeds are measured in all places at a time.
_RUNS_ON_AN_ACCELERATOR = 4
_CHUNK = 1 << 24
# A loss that is higher than before the first step by this factor has been thrown back, not merely noisy.
_THROWN_BACK = 1.05


@dataclass(frozen=True)
class Outcome:
    """A run that has ended."""

    name: str
    history: History
    message: str | None
    """Why it stopped early, where its loss became infinite or no number."""

    @property
    def stability(self) -> Stability:
        """Whether the loss stayed below where it began.

        `unstable`: at some time it was higher than before the first step, and came back. `diverged`: it became infinite
        or no number, or it was thrown back and never again better than knowing how frequent each token is. Otherwise
        `stable`, however slow.
        """
        history = self.history
        if self.message is not None:
            return "diverged"
        highest = max(running_mean(history.train.loss).max(), history.valid.loss.max())
        if highest <= _THROWN_BACK * history.first_loss:
            return "stable"
        return "unstable" if history.final_loss < unigram_loss(history.config.data.train[0]) else "diverged"

    @property
    def loss(self) -> float | None:
        """The final validation loss; None where it diverged."""
        return None if self.stability == "diverged" else self.history.final_loss

    @property
    def bits_per_byte(self) -> float | None:
        """The final one; None where it diverged."""
        return None if self.stability == "diverged" else float(self.history.bits_per_byte[-1])

    def to_dict(self) -> dict[str, Any]:
        """What a page's results say of the run."""
        history = self.history
        config = history.config
        return {
            "run": self.name,
            "folder": str(history.folder),
            "max_lr": config.schedule.max_lr,
            "batch_size": config.train.batch_size,
            "steps": config.train.steps,
            "seed": config.train.seed,
            "stability": self.stability,
            "message": self.message,
            "first_loss": history.first_loss,
            "valid_loss": self.loss,
            "valid_bits_per_byte": self.bits_per_byte,
            "seconds": float(history.train.seconds[-1]) if len(history.train) else 0.0,
            "tokens_per_second": history.tokens_per_second,
        }


@cache
def unigram_loss(tokens: str) -> float:
    """The loss of a model that knows how frequent each token of a file is, and nothing else: their entropy, in nats."""
    ids = np.asarray(open_tokens(tokens))
    counts = np.zeros(np.iinfo(ids.dtype).max + 1 if ids.dtype == np.uint16 else int(ids.max()) + 1, np.int64)
    for first in range(0, len(ids), _CHUNK):
        counts += np.bincount(ids[first : first + _CHUNK], minlength=len(counts))
    shares = counts[counts > 0] / len(ids)
    return float(-(shares * np.log(shares)).sum())


@dataclass(frozen=True)
class Places:
    """How many runs the machine trains at a time, and with what each."""

    count: int
    threads: int
    accelerator: str | None
    """Its name; None for a processor."""
    accelerators: int = 0

    @classmethod
    def find(cls, runs: int, *, alone: bool = False) -> "Places":
        """Places on every accelerator, or else the processor's cores shared among as many runs as there are.

        Args:
            runs: How many there are.
            alone: Whether a run has an accelerator for itself.
        """
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if torch.cuda.is_available():
            accelerators = torch.cuda.device_count()
            each = 1 if alone else max(min(_RUNS_ON_AN_ACCELERATOR, runs // accelerators, cores // accelerators), 1)
            return cls(each * accelerators, torch.get_num_threads(), torch.cuda.get_device_name(0), accelerators)
        count = min(runs, cores)
        return cls(count, cores // count, None)

    def __str__(self) -> str:
        """In words."""
        if self.accelerator is not None:
            each = self.count // self.accelerators
            at_a_time = "one run" if each == 1 else f"{each} runs"
            return f"{self.accelerators} {self.accelerator}, {at_a_time} on each at a time"
        threads = "thread" if self.threads == 1 else "threads"
        runs = "run" if self.count == 1 else "runs"
        return f"a processor, {self.count} {runs} at a time on {self.threads} {threads} each"


class Workers:
    """Processes that train, one a place. Made by `workers`."""

    def __init__(self, desk: Desk, pool: ProcessPoolExecutor, places: Places) -> None:
        self.places = places
        self._desk = desk
        self._pool = pool

    def everywhere(self, function: Callable[..., float], *arguments: Any) -> float:
        """Calls a function in every place at the same time; the slowest answer, which is the smallest."""
        futures = [self._pool.submit(function, *arguments) for _ in range(self.places.count)]
        return min(future.result() for future in futures)

    def train(self, configs: Mapping[str, RunConfig]) -> dict[str, Outcome]:
        """Trains the runs that have not ended yet.

        Args:
            configs: The runs by name; see `run_folder` for their folders.

        Raises:
            KeyboardInterrupt: It was interrupted; every run has saved where it stands.
            ArgumentError, OSError, InputError: As the trainer.
        """
        waiting = {name: config for name, config in configs.items() if not _ended(Path(config.folder))}
        if len(waiting) < len(configs):
            self._desk.say(f"{len(configs) - len(waiting)} of {len(configs)} runs were trained before")
        # No more than there are places: what is submitted cannot be taken back, and would begin after an interruption.
        queue, running, done = list(waiting), dict[Future[bool], str](), 0
        with _bar(sum(config.train.steps for config in waiting.values())) as bar:
            while queue or running:
                while queue and len(running) < self.places.count:
                    name = queue.pop(0)
                    running[self._pool.submit(_train, waiting[name].to_dict())] = name
                for future in wait(running, _POLL_SECONDS, FIRST_COMPLETED).done:
                    name = running.pop(future)
                    if not _result(name, future):
                        raise KeyboardInterrupt
                    done += 1
                    self._announce(bar, configs, name, f"{done} of {len(waiting)} runs")
                bar.set_description(f"{done} of {len(waiting)} runs", refresh=False)
                bar.update(sum(_steps_done(Path(config.folder)) for config in waiting.values()) - bar.n)
        return {name: read_outcome(name, Path(config.folder)) for name, config in configs.items()}

    def _announce(self, bar: Any, configs: Mapping[str, RunConfig], name: str, progress: str) -> None:
        outcome = read_outcome(name, Path(configs[name].folder))
        told = outcome.stability if outcome.loss is None else f"validation loss {outcome.loss:.4f}"
        bar.clear()
        self._desk.say(f"{name}: {told} ({progress})")


@contextmanager
def workers(desk: Desk, runs: int, *, alone: bool = False) -> Generator[Workers]:
    """Starts the processes for a study of so many runs, and ends them, saving what they do, whatever happens.

    Args:
        desk: The study's.
        runs: How many there are.
        alone: Whether a run has an accelerator, and its memory, for itself.
    """
    places = Places.find(runs, alone=alone)
    # Spawned: torch's threads and CUDA do not survive a fork.
    context = multiprocessing.get_context("spawn")
    free: Any = context.Queue()
    for place in range(places.count):
        free.put(place)
    pool = ProcessPoolExecutor(places.count, context, _start, (free, places))
    try:
        yield Workers(desk, pool, places)
    except BaseException:
        # A trainer that is told to end saves first.
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGTERM)
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def run_folder(desk: Desk, name: str) -> str:
    """The folder of one of a study's runs."""
    return str(desk.folder / "runs" / name)


def training_commands(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """The command lines that train the same runs."""
    return [["bloomery", "train", str(outcome.history.folder / "config.toml"), "--resume"] for outcome in outcomes]


def read_outcome(name: str, folder: Path) -> Outcome:
    """What became of a run that has ended."""
    told = json.loads((folder / _OUTCOME).read_text(encoding="utf-8"))
    return Outcome(name, History.read(folder), told["diverged"])


def _result(name: str, future: Future[bool]) -> bool:
    """What `_train` gave.

    Raises:
        ArgumentError: Its process is gone.
    """
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise ArgumentError(
            f"the process that trained {name} was killed, most likely for want of memory: free some, or ask for a "
            "smaller model with fewer --minutes; what is finished is kept"
        ) from error


def _ended(folder: Path) -> bool:
    return (folder / _OUTCOME).exists()


def _start(free: Any, places: Places) -> None:
    """Takes a place, in a new process."""
    # Ctrl-C reaches all processes of a terminal: while it trains, the trainer saves; otherwise the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    place = free.get()
    if places.accelerator is None:
        torch.set_num_threads(places.threads)
    else:
        os.environ["LOCAL_RANK"] = str(place % places.accelerators)  # which of the accelerators the trainer takes


def _train(values: dict[str, Any]) -> bool:
    """Trains a run to its end, from wherever it stands; false where it was told to stop."""
    config = RunConfig.from_dict(values)
    message = None
    try:
        result = train(config, resume=True)
    except DivergedError as error:
        message = str(error)
    else:
        if result.stopped_by is not None:
            return False
    write_json({"diverged": message}, Path(config.folder) / _OUTCOME)
    return True


def _steps_done(folder: Path) -> int:
    """The last step that a run wrote down."""
    try:
        with (folder / METRICS).open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - 2048, 0))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return 0
    for line in reversed(lines):
        try:
            return int(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError):
            continue
    return 0


@contextmanager
def _bar(steps: int) -> Generator[Any]:
    """A progress bar over the steps of all runs, on a terminal only."""
    from tqdm import tqdm  # noqa: PLC0415 - its import warns where there is no terminal

    with tqdm(total=steps, unit="step", disable=None, dynamic_ncols=True, leave=False) as bar:
        yield bar
