"""The memory that training steps take, measured: on an accelerator by its allocator, on a processor by the system.

Run as a module, `python -m bloomery.experiments.study.memory`, it reads a model's config and batch sizes from standard
input and prints the bytes: in a process of its own, so that nothing else is in the measurement.
"""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from bloomery.config import TransformerConfig
from bloomery.nn import TransformerLM, cross_entropy
from bloomery.optim import AdamW

_REFERENCES, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def measure(config: TransformerConfig, batch_sizes: Sequence[int]) -> dict[int, int] | None:
    """The peak bytes of a step at each batch size, beyond what Python and torch take; None where nobody can say."""
    if not torch.cuda.is_available() and not _REFERENCES.exists():
        return None
    # Large blocks are given back when they are freed, whatever came before.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(  # noqa: S603 - this package's own module
        [sys.executable, "-m", __name__],
        input=json.dumps({"config": config.to_dict(), "batch_sizes": list(batch_sizes)}),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode:
        return None  # the system keeps it to itself
    return {int(size): peak for size, peak in json.loads(done.stdout).items()}


def main() -> None:
    """Measures as standard input says."""
    asked = json.loads(sys.stdin.read())
    config = TransformerConfig.from_dict(asked["config"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # What the first products and the first step allocate for good is none of the model's.
    tiny = TransformerLM(
        TransformerConfig(vocab_size=300, context_length=16, d_model=32, num_layers=1, num_heads=2), device
    )
    _step(tiny, AdamW(tiny.parameters(), lr=1e-4), 2)
    before = _peak(device)
    model = TransformerLM(config, device)
    optimizer = AdamW(model.parameters(), lr=1e-4)
    _step(model, optimizer, 1)  # makes the moments
    peaks: dict[int, int] = {}
    for size in asked["batch_sizes"]:
        gc.collect()
        _reset(device)
        _step(model, optimizer, size)
        peaks[size] = _peak(device) - before
    sys.stdout.write(json.dumps(peaks))


def _step(model: TransformerLM, optimizer: AdamW, batch_size: int) -> None:
    config = model.config
    shape = (batch_size, config.context_length + 1)
    windows = torch.randint(config.vocab_size, shape, device=model.token_embeddings.weight.device)
    # Gradients stay until the next step, as the accounting has them.
    optimizer.zero_grad(set_to_none=False)
    cross_entropy(model(windows[:, :-1]), windows[:, 1:]).backward()  # pyright: ignore[reportUnknownMemberType]
    optimizer.step()


def _reset(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        _REFERENCES.write_text("5", encoding="ascii")  # the peak becomes what is resident now


def _peak(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
