"""The validation loss: the mean over windows that are the same at every evaluation."""

import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bloomery.data import Validation
from bloomery.train.distributed import reshard
from bloomery.train.loss import LanguageModelLoss
from bloomery.train.runtime import Runtime


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found."""

    loss: float
    """Mean cross-entropy of a token, in nats."""
    bits_per_byte: float | None
    """The same by the bytes of text that the tokens stand for: comparable between tokenizers."""

    @property
    def perplexity(self) -> float:
        """exp(loss)."""
        return math.exp(min(self.loss, 700))

    def metrics(self) -> dict[str, float]:
        """As it is written to metrics.jsonl."""
        metrics = {"valid_loss": self.loss, "valid_perplexity": self.perplexity}
        if self.bits_per_byte is not None:
            metrics["valid_bits_per_byte"] = self.bits_per_byte
        return metrics


@torch.no_grad()
def evaluate(
    loss: LanguageModelLoss,
    validations: Sequence[Validation],
    batch_size: int,
    runtime: Runtime,
    token_bytes: NDArray[np.int64] | None = None,
) -> Evaluation:
    """The loss over all windows of all files, shared among the processes.

    Args:
        loss: The model's.
        validations: The windows of each file.
        batch_size: Windows at a time.
        runtime: Where it runs.
        token_bytes: By id, the bytes of a token; None leaves bits per byte out.
    """
    loss.eval()
    sum_of_losses = torch.zeros((), dtype=torch.float64, device=runtime.device)
    tokens, size = 0, 0
    # Not through compiled code: windows of other lengths would be compiled anew.
    with torch.compiler.set_stance("force_eager") if loss.compiled else nullcontext():
        for validation in validations:
            for inputs, targets, counted in _batches(validation, batch_size, runtime):
                with runtime.autocast():
                    mean = loss(*(runtime.to_device(runtime.pinned(ids)) for ids in (inputs, targets)))
                if not counted:
                    continue
                sum_of_losses += mean.double() * targets.size
                tokens += targets.size
                if token_bytes is not None:
                    size += int(token_bytes[targets].sum())
    reshard(loss)
    loss.train()
    total, all_tokens, all_bytes = runtime.sum(sum_of_losses.item(), float(tokens), float(size))
    bits = total / math.log(2) / all_bytes if all_bytes else None
    return Evaluation(total / all_tokens, bits)


def _batches(
    validation: Validation, batch_size: int, runtime: Runtime
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], bool]]:
    """This process's inputs and targets, and whether they count.

    Where weights are sharded, a forward pass fetches them from all processes, which must compute equally many: those
    that have no batch left take one of a token, which does not count.
    """
    left = validation.most_batches(batch_size, runtime.world_size) if runtime.sharded else 0
    for inputs, targets in validation.batches(batch_size, runtime.rank, runtime.world_size):
        yield inputs, targets, True
        left -= 1
    token = np.zeros((1, 1), np.int64)
    for _ in range(left):
        yield token, token, False
