"""One process of several, in the tests of training with several: does its jobs, and writes down what came of them.

It is given as a global: its rank, the number of processes, a folder for results, and jobs, each with the name of a
function below, its arguments and a port.
"""

import json
import os
import resource
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode

from bloomery.errors import BloomeryError
from bloomery.train import RunConfig, checkpoint, shards
from bloomery.train import train as train_run
from bloomery.train.runtime import Runtime, process_group
from bloomery.train.step import TrainStep

GIVEN: dict[str, Any] = globals()["GIVEN"]


def train(config: RunConfig, resume: bool = False, largest_file: int = resource.RLIM_INFINITY) -> str | None:
    """Trains, where no file may be larger; gives the message of the error that stopped it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    try:
        train_run(config, resume=resume)
    except (BloomeryError, OSError) as error:
        return str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return None


def killed(config: RunConfig, rank: int, at: str) -> None:
    """Trains until a process is killed in the middle of a checkpoint, the second one, with its bytes half written."""
    saved = checkpoint.save_json if at == "state" else shards.os.fsync
    calls = 0

    def kill(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        # A checkpoint has two files of tensors and one of state.
        if rank == GIVEN["rank"] and calls == (2 if at == "state" else 3):
            os.kill(os.getpid(), signal.SIGKILL)
        saved(*arguments)

    setattr(*((checkpoint, "save_json", kill) if at == "state" else (shards.os, "fsync", kill)))
    train_run(config)


class Communication(TorchDispatchMode):
    """Counts what processes send each other, by name. Torch's own (CommDebugMode) fails with FSDP in torch 2.11."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Counts an operator, and calls it; what sharded tensors send is seen when they are taken apart."""
        if DTensor in types:
            return NotImplemented
        if func.namespace in ("c10d", "_c10d_functional"):
            self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def count(config: RunConfig) -> dict[str, Any]:
    """What is sent in a step, by kind of communication, and how much of the model is here."""
    with process_group(config.train):
        runtime = Runtime.choose(config.train)
        step = TrainStep(config, runtime)
        reduced = 0
        if isinstance(step._forward, nn.parallel.DistributedDataParallel):

            def hook(_: None, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:  # pyright: ignore[reportPrivateImportUsage]
                nonlocal reduced
                reduced += 1
                future: torch.futures.Future[torch.Tensor] = torch.futures.Future()
                future.set_result(bucket.buffer())
                return future

            step._forward.register_comm_hook(None, hook)
        ids = torch.zeros(step.micro_batch_size, config.model.context_length, dtype=torch.int64)
        with Communication() as sent:
            step(iter([(ids, ids)] * step.micro_steps), 0.0)
        tensors = [*step.model.parameters(), *(s["exp_avg"] for s in step.optimizer.state.values())]
        held = sum((t.to_local() if hasattr(t, "to_local") else t).numel() for t in tensors)  # type: ignore[operator]
        return {**sent.counts, "reduced": reduced, "held": held, "all": sum(t.numel() for t in tensors)}


def save_to_file(config: RunConfig) -> str:
    """The message of an error."""
    import io

    with process_group(config.train):
        step = TrainStep(config, Runtime.choose(config.train))
        try:
            checkpoint.save_checkpoint(step.model, step.optimizer, 1, io.BytesIO())
        except BloomeryError as error:
            return str(error)
    return ""


torch.set_num_threads(1)
os.environ.update(
    RANK=str(GIVEN["rank"]), LOCAL_RANK=str(GIVEN["rank"]), WORLD_SIZE=str(GIVEN["processes"]), MASTER_ADDR="127.0.0.1"
)
for number, job in enumerate(GIVEN["jobs"]):
    os.environ["MASTER_PORT"] = str(job["port"])
    arguments = {**job["arguments"], "config": RunConfig.from_dict(job["arguments"]["config"])}
    result = {"train": train, "killed": killed, "count": count, "save_to_file": save_to_file}[job["name"]](**arguments)
    path = Path(GIVEN["folder"]) / f"{number}-{GIVEN['rank']}.json"
    path.write_text(json.dumps(result), encoding="utf-8")
