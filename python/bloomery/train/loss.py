"""The training loss of a batch, by torch's kernels or by the written-out functions."""

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from bloomery.nn import cross_entropy

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""(model, inputs [B, T], targets [B, T]) to the mean cross-entropy of a target, a float32 scalar."""


def fast_loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Torch's cross-entropy, in float32."""
    logits = model(inputs)
    return F.cross_entropy(logits.flatten(0, -2).float(), targets.flatten())


def plain_loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """The written-out cross-entropy, in float32."""
    return cross_entropy(model(inputs).float(), targets)
