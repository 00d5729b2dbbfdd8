"""How fast a run's training step is on this machine, and what it spends its time on."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from bloomery.accounting import training_flops_per_token
from bloomery.tokenizer.peak import peak_memory
from bloomery.train.config import RunConfig
from bloomery.train.runtime import Runtime, process_group
from bloomery.train.step import TrainStep

_WARM_UP = 5
_PROFILED = 3
_KERNELS = 10


@dataclass(frozen=True)
class Kernel:
    """What the device did under one name."""

    name: str
    seconds: float
    """In a step."""
    calls: float
    """In a step."""
    share: float
    """Of the time of all kernels."""


@dataclass(frozen=True)
class StepBenchmark:
    """What a step takes, warm."""

    device: str
    """Where, in what precision, and how."""
    parameters: int
    vocab_size: int
    tokens_per_step: int
    """Over all processes."""
    warm_up_seconds: float
    """Of the first steps, which compile and are not measured."""
    step_seconds: float
    tokens_per_second: float
    flops_per_second: float
    """Of the model: three times the products of a forward pass, causal attention counted half."""
    mfu: float | None
    """By the accelerators' bfloat16 peak, where it is known."""
    peak_memory: int | None
    """Bytes: of this process's accelerator, or of the process where there is none; None where nobody tells."""
    kernels: list[Kernel]
    """The ten that took longest; operators on a processor."""

    def to_dict(self) -> dict[str, Any]:
        """The figures for machines."""
        return asdict(self)


def benchmark_step(config: RunConfig, steps: int = 20) -> StepBenchmark | None:
    """Times the training step of a run on random token ids: the trainer's own, and no data is needed.

    Args:
        config: The run; under torchrun every process takes its share.
        steps: How many are timed, after those that compile.

    Returns:
        The figures; None in all processes but the first.

    Raises:
        ArgumentError: As `TrainStep`.
    """
    with process_group(config.train):
        runtime = Runtime.choose(config.train)
        runtime.apply()
        train = TrainStep(config, runtime)
        batches = random_batches(config, train)

        def run(count: int) -> float:
            runtime.synchronize()
            start = time.perf_counter()
            for _ in range(count):
                train(batches, config.schedule.max_lr)
            runtime.synchronize()
            return time.perf_counter() - start

        warm_up = run(_WARM_UP)
        if runtime.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(runtime.device)
        seconds = run(steps) / steps
        on_gpu = runtime.device.type == "cuda"
        memory = torch.cuda.max_memory_allocated(runtime.device) if on_gpu else peak_memory()
        kernels = _largest_kernels(lambda: run(_PROFILED), on_gpu=on_gpu)
        runtime.wait()
    tokens = config.train.batch_size * config.model.context_length
    flops = tokens * training_flops_per_token(config.model) / seconds
    result = StepBenchmark(
        device=str(runtime),
        parameters=sum(parameter.numel() for parameter in train.model.parameters()),
        vocab_size=config.model.vocab_size,
        tokens_per_step=tokens,
        warm_up_seconds=warm_up,
        step_seconds=seconds,
        tokens_per_second=tokens / seconds,
        flops_per_second=flops,
        mfu=None if runtime.peak_flops is None else flops / runtime.peak_flops,
        peak_memory=memory,
        kernels=kernels,
    )
    return result if runtime.is_main else None


def random_batches(config: RunConfig, train: TrainStep) -> Iterator[tuple[Tensor, Tensor]]:
    """The same batch of random ids again and again, as a step of the run takes it."""
    shape = train.micro_batch_size, config.model.context_length + 1
    ids = torch.randint(config.model.vocab_size, shape, device=train.runtime.device)
    inputs, targets = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
    while True:
        yield inputs, targets


def _largest_kernels(run: Callable[[], object], *, on_gpu: bool) -> list[Kernel]:
    # With torch's stacks and shapes the profile would take longer than the steps.
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiled:
        run()
    events: Any = profiled.key_averages()
    times: list[tuple[str, float, int]] = [
        (event.key, (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6, event.count)
        for event in events
    ]
    total = sum(seconds for _, seconds, _ in times)
    largest = sorted(times, key=lambda item: -item[1])[:_KERNELS]
    return [Kernel(name, seconds / _PROFILED, count / _PROFILED, seconds / total) for name, seconds, count in largest]
