"""How near the matrix products of a training step on a processor come to what the processor can do.

    python benches/python/products.py
    python benches/python/products.py docs/tinystories-17m.toml --train.batch_size 4

Without a config it is the step of `bloomery demo`. Everything runs on one thread and in float32, and CPU time is told:
other work on the machine takes little away. The rate to compare with is the best of a product of 1,024 by 1,024
matrices. `--train.compile on` tells the time of a compiled step, whose products cannot be told apart.
"""

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from bloomery.experiments.demo import Demo
from bloomery.train import RunConfig, parse_overrides
from bloomery.train.runtime import Runtime
from bloomery.train.step import TrainStep

SIZE = 1024
ROUNDS = 30


class Times(TorchDispatchMode):
    """Seconds and FLOPs of every operator, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: Counter[str] = Counter()
        self.flops: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs and times an operator."""
        start = time.thread_time()
        out = func(*args, **(kwargs or {}))
        self.seconds[str(func.overloadpacket)] += time.thread_time() - start
        if (count := flop_registry.get(func.overloadpacket)) is not None:
            self.flops[str(func.overloadpacket)] += count(*args, **(kwargs or {}), out_val=out)
        return out


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="?")
    args, rest = parser.parse_known_args()
    with TemporaryDirectory() as folder:
        demo = Path(folder) / "demo.toml"
        demo.write_text(Demo(folder=Path("demo")).config().to_toml(), encoding="utf-8")
        config = RunConfig.load(args.config or demo, {**parse_overrides(rest), "train.device": "cpu"})
    torch.set_num_threads(1)
    a, b = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
    best = 2 * SIZE**3 / min(seconds(lambda: a @ b))
    print(f"a product of {SIZE} by {SIZE} matrices: {best / 1e9:.1f} GFLOP/s")

    runtime = Runtime.choose(config.train)
    runtime.apply()
    train = TrainStep(config, runtime)
    batches = random_batches(config, train.micro_batch_size)
    for _ in range(3):
        train(batches, 1e-3)
    each = seconds(lambda: train(batches, 1e-3))
    print(f"a step: {statistics.median(each) * 1e3:.0f} ms (at best {min(each) * 1e3:.0f})")
    if runtime.compiled:
        return
    with Times() as times:
        for _ in range(ROUNDS):
            train(batches, 1e-3)
    whole = sum(times.seconds.values())
    print("operator, share of the time, and of the best rate:")
    for name, took in times.seconds.most_common(8):
        rate = f"{times.flops[name] / took / best:5.0%}" if name in times.flops else ""
        print(f"  {name:55} {took / whole:5.1%} {rate}")


def seconds(function: Any) -> list[float]:
    """CPU time of some calls."""
    found: list[float] = []
    for _ in range(ROUNDS):
        start = time.thread_time()
        function()
        found.append(time.thread_time() - start)
    return found


def random_batches(config: RunConfig, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The same batch again and again."""
    ids = torch.randint(config.model.vocab_size, (size, config.model.context_length + 1))
    while True:
        yield ids[:, :-1], ids[:, 1:]


if __name__ == "__main__":
    main()
