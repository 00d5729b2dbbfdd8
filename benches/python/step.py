"""bloomery's training step beside that of a GPT-2 written the usual short way, on the same machine in one go.

    python benches/python/step.py docs/gpt2-small.toml --train.batch_size 64

The plain model gets the shape of the config, and the feed-forward network of GPT-2: as many parameters as the gated
one, where that is 8/3 as wide as the model. Tokens are random, and the same for both. Both are warm before they are
timed; `--rounds` times each, and the table has the median and the range.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from bloomery.accounting import training_flops_per_token
from bloomery.train import RunConfig, parse_overrides
from bloomery.train.runtime import Runtime
from bloomery.train.step import TrainStep
from plain_gpt import PlainStep, Shape

WARM_UP = 5


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10, help="steps of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("config", type=Path)
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="--section.key VALUE")
    args = parser.parse_args()
    config = RunConfig.load(args.config, parse_overrides(args.rest))
    runtime = Runtime.choose(config.train)
    runtime.apply()
    shape = config.train.batch_size, config.model.context_length
    inputs, targets = (torch.randint(config.model.vocab_size, shape, device=runtime.device) for _ in range(2))
    print(f"{runtime}, torch {torch.__version__}, a batch of {shape[0]} windows of {shape[1]} tokens")
    model = config.model
    plain_shape = Shape(
        vocab_size=-(-model.vocab_size // 64) * 64,
        context_length=model.context_length,
        d_model=model.d_model,
        num_layers=model.num_layers,
        num_heads=model.num_heads,
    )
    plain_flops = training_flops_per_token(model) if model.d_ff * 3 == model.d_model * 8 else None

    def bloomery_step() -> Callable[[], object]:
        train = TrainStep(config, runtime)
        size = train.micro_batch_size
        parts = list(zip(inputs.split(size), targets.split(size), strict=True))
        return lambda: train(iter(parts), 6e-4)

    def plain_step() -> Callable[[], object]:
        step = PlainStep(plain_shape, runtime.device, runtime.precision)
        return lambda: step(inputs, targets)

    for name, make, flops in (
        ("bloomery", bloomery_step, training_flops_per_token(model)),
        ("plain GPT-2", plain_step, plain_flops),
    ):
        print(f"{name:12}  {measure(make(), args.steps, args.rounds, inputs.numel(), flops, runtime)}", flush=True)
        gc.collect()
        torch.cuda.empty_cache()


def measure(
    step: Callable[[], object], steps: int, rounds: int, tokens: int, flops: int | None, runtime: Runtime
) -> str:
    """A line of the table."""

    def run(count: int) -> float:
        runtime.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            step()
        runtime.synchronize()
        return time.perf_counter() - start

    warm_up = run(WARM_UP)
    if runtime.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    rates = sorted(tokens * steps / run(steps) for _ in range(rounds))
    rate = statistics.median(rates)
    line = f"{rate:12,.0f} tokens/s ({rates[0]:,.0f} to {rates[-1]:,.0f})"
    if flops is not None and runtime.peak_flops is not None:
        line += f", MFU {rate * flops / runtime.peak_flops:.1%}"
    if runtime.device.type == "cuda":
        line += f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
    return f"{line}, warm after {warm_up:.0f} s"


if __name__ == "__main__":
    main()
