"""The machine that a run is on: device, precision, compilation and processes, chosen where the config does not."""

import os
import shutil
import sys
import sysconfig
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from bloomery.accounting import peak_flops
from bloomery.errors import ArgumentError
from bloomery.nn import hopper
from bloomery.train.config import TrainConfig

# It takes about a minute, and a fifth of a step is won (the demo's on one core: 135 ms of CPU time became 113).
_STEPS_WORTH_COMPILING = 5000
# Ada and Hopper.
_FP8_CAPABILITY = (8, 9)


@dataclass(frozen=True)
class Runtime:
    """What was chosen, and this process's place among all."""

    device: torch.device
    precision: torch.dtype
    fp8: bool
    compiled: bool
    hopper: bool
    """Whether kernels of libraries for Hopper GPUs are used; see `bloomery.nn.hopper`."""
    deterministic: bool
    rank: int
    world_size: int
    sharded: bool
    """Whether each process has only its shard of the model."""

    @classmethod
    def choose(cls, config: TrainConfig) -> "Runtime":
        """Chooses for this machine; under torchrun the process group must stand (`process_group`).

        Raises:
            ArgumentError: A device that is not there.
        """
        device = _device(config.device)
        precision = {"float32": torch.float32, "bfloat16": torch.bfloat16, "fp8": torch.bfloat16}.get(config.precision)
        if precision is None:
            fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
            precision = torch.bfloat16 if fast else torch.float32
        fp8 = config.precision == "fp8"
        if fp8 and (device.type != "cuda" or torch.cuda.get_device_capability(device) < _FP8_CAPABILITY):
            raise ArgumentError(f"train.precision = 'fp8': {device} has no units for 8-bit numbers; use auto")
        started = dist.is_initialized()
        world_size = dist.get_world_size() if started else 1
        compiled = config.compile == "on"
        if config.compile == "auto":
            compiled = device.type == "cuda" or (not started and _compiles_on_processor(config.steps))
        return cls(
            device=device,
            precision=precision,
            fp8=fp8,
            compiled=compiled,
            hopper=precision is torch.bfloat16 and hopper.is_there(device),
            deterministic=config.deterministic or device.type == "cpu",
            rank=dist.get_rank() if started else 0,
            world_size=world_size,
            sharded=config.parallel == "fsdp" and world_size > 1,
        )

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    @property
    def name(self) -> str:
        """The device as people call it."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"

    @property
    def peak_flops(self) -> float | None:
        """The bfloat16 peak of all processes' accelerators together, against which MFU is told."""
        peak = peak_flops(self.name) if self.device.type == "cuda" else None
        return None if peak is None else peak * self.world_size

    def apply(self) -> None:
        """Sets torch's process-wide switches."""
        if self.deterministic:
            # cuBLAS reads it when the first product is computed.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(self.deterministic)
        # Else every new tensor is filled, for those who read what was never written.
        torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue] - a property
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
            torch.set_float32_matmul_precision("high")

    def pinned(self, ids: NDArray[np.int64]) -> Tensor:
        """Token ids as a tensor that a device can copy by itself."""
        tensor = torch.as_tensor(ids)
        return tensor.pin_memory() if self.device.type == "cuda" else tensor

    def to_device(self, pinned: Tensor) -> Tensor:
        """What `pinned` gave as a tensor there, without waiting for the copy."""
        return pinned.to(self.device, non_blocking=True)

    def autocast(self) -> AbstractContextManager[object]:
        """Matrix products in the chosen precision."""
        if self.precision is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.precision)

    def sum(self, *values: float) -> list[float]:
        """The sums over all processes."""
        if self.world_size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [value.item() for value in total.cpu()]

    def sum_(self, values: Tensor) -> Tensor:
        """Replaces a tensor on the device by its sum over all processes, without waiting for it."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def synchronize(self) -> None:
        """Waits until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def wait(self) -> None:
        """Waits until all processes are here."""
        if self.world_size > 1:
            dist.barrier()

    def __str__(self) -> str:
        """The choices in a line."""
        kind = "fp8" if self.fp8 else str(self.precision).removeprefix("torch.")
        parts = [self.name, kind, "compiled" if self.compiled else "not compiled"]
        if self.device.type == "cpu":
            parts.append(f"{torch.get_num_threads()} threads")
        if self.hopper:
            parts.append("kernels for Hopper")
        if self.deterministic:
            parts.append("deterministic")
        if self.world_size > 1:
            parts.append(f"{self.world_size} processes with {'shards' if self.sharded else 'replicas'} of the model")
        return ", ".join(parts)


@contextmanager
def process_group(config: TrainConfig) -> Generator[None]:
    """The processes that torchrun started, joined; nothing where it did not."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield
        return
    device = _device(config.device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def _compiles_on_processor(steps: int) -> bool:
    """Whether compiling pays in a run of so many steps on a processor, and can be done."""
    # What torch.compile's code for processors is built with; see torch's documentation of CXX.
    compiler = shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++"))
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return steps >= _STEPS_WORTH_COMPILING and compiler is not None and headers.exists()


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ArgumentError(f"train.device = {name!r} is no device: use auto, cpu or cuda") from error
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ArgumentError(f"train.device = {name!r}: no CUDA device is there; use auto or cpu")
        if ":" not in name:
            device = torch.device("cuda", _local_rank())
    return device


def _local_rank() -> int:
    """Which of this machine's accelerators is this process's."""
    rank, accelerators = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if rank >= accelerators:
        raise ArgumentError(
            f"process {rank + 1} of this machine finds {accelerators} CUDA devices: "
            f"start at most {accelerators} (torchrun --nproc-per-node {accelerators}), or use train.device = 'cpu'"
        )
    return rank
