"""Clipping of gradients."""

from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor

_EPS = 1e-6
# torch does not type it.
_vector_norm = cast("Callable[..., Tensor]", torch.linalg.vector_norm)  # pyright: ignore[reportUnknownMemberType]


@torch.no_grad()
def clip_gradients(parameters: Iterable[Tensor], max_l2_norm: float) -> Tensor:
    """Scales all gradients, in place, so that their joint L2 norm is max_l2_norm at most (Pascanu et al., 2013).

    Each is multiplied by min(1, max_l2_norm / (norm + 1e-6)), as `torch.nn.utils.clip_grad_norm_` does; nothing waits
    for the device. A norm that is infinite or NaN spoils the gradients: look at what is returned.

    Args:
        parameters: Of any shapes; those without a gradient are left out.
        max_l2_norm: The largest norm allowed.

    Returns:
        The norm before clipping: a float32 scalar on the first gradient's device, 0 without gradients.

    Raises:
        ValueError: max_l2_norm is negative.
    """
    if not max_l2_norm >= 0:
        raise ValueError(f"max_l2_norm = {max_l2_norm} is not allowed: it must be 0 or more")
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.tensor(0.0)
    device = gradients[0].device
    norms = [_vector_norm(gradient, dtype=torch.float32).to(device) for gradient in gradients]
    total = _vector_norm(torch.stack(norms))
    scale = (max_l2_norm / (total + _EPS)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale.to(gradient.device))
    return total
