"""Muon: momentum whose matrices are made orthogonal before each step."""

import math
from collections.abc import Callable
from typing import Any, cast, overload

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

_COEFFICIENTS = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_EPS = 1e-7


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised steps (Jordan et al., 2024), for the matrices of hidden layers.

    With g the gradient of a matrix [m, n] and b its momentum, a step is::

        b = momentum · b + (1 - momentum) · g
        o = orthogonalize((1 - momentum) · g + momentum · b)    Nesterov's
        p = p - lr · weight_decay · p
        p = p - lr · 0.2 · sqrt(max(m, n)) · o

    The factor gives a step the size of AdamW's, so that the two take the same learning rate and weight decay (Liu et
    al., 2025, section 2.2). Embeddings, the output head and gains are not for Muon: give them to `AdamW`.

    The weights equal those of `torch.optim.Muon` with ``adjust_lr_fn="match_rms_adamw"`` but for rounding, and the
    state has its name (momentum_buffer). Here matrices of a shape are orthogonalised together: one by one, thousands of
    small kernels took a quarter of the step of a GPT-2 small on an H200.

    Parameters may be sharded over processes (DTensors): the directions, in bfloat16, are brought together in every
    process, each makes all of them orthogonal, and takes its slices. The momentum stays sharded.

    Args:
        params: Matrices, or groups of them as dicts with values of their own.
        lr: Learning rate; a schedule writes ``group["lr"]`` before each step.
        momentum: How much of the momentum stays at a step.
        weight_decay: Share of a weight lost at a step, times lr.

    Raises:
        ValueError: A value out of its range, or a parameter that is no matrix.
    """

    def __init__(self, params: ParamsT, lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.1) -> None:
        for name, value in (("lr", lr), ("weight_decay", weight_decay)):
            if not value >= 0:
                raise ValueError(f"{name} = {value} is not allowed: it must be 0 or more")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum = {momentum} is not allowed: it must be in 0..1, and below 1")
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    raise ValueError(f"Muon is for matrices, not for a parameter of shape {list(parameter.shape)}")

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Moves every parameter that has a gradient; gives the closure's loss, if one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    rows, columns = parameter.shape
                    # A tall matrix is orthogonalised as its transpose.
                    alike.setdefault((min(rows, columns), max(rows, columns)), []).append(parameter)
            for parameters in alike.values():
                self._move(parameters, group)
        return loss

    def _move(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """One step of matrices that have the same shape, or one its transpose."""
        lr, momentum = group["lr"], group["momentum"]
        gradients: list[Tensor] = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
        buffers: list[Tensor] = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        for buffer, gradient in zip(buffers, gradients, strict=True):
            buffer.lerp_(gradient, 1 - momentum)
        updates = [gradient.lerp(buffer, momentum) for gradient, buffer in zip(gradients, buffers, strict=True)]
        wide = torch.stack([_transposed_if_tall(_whole(update.bfloat16())) for update in updates])
        scale = 0.2 * math.sqrt(wide.shape[-1])
        for parameter, direction in zip(parameters, orthogonalize(wide), strict=True):
            parameter.mul_(1 - lr * group["weight_decay"])
            # Its shape is the transpose's where the parameter is tall.
            step = direction.mT if parameter.shape[0] > parameter.shape[1] else direction
            parameter.add_(_sliced_like(parameter, step), alpha=-lr * scale)


def orthogonalize(matrices: Tensor) -> Tensor:
    """Gives each matrix the singular vectors it has, and singular values between about 0.7 and 1.2.

    Five Newton-Schulz iterations of degree five in bfloat16, whose coefficients lift small singular values fast rather
    than bring them all to 1.

    Args:
        matrices: [..., m, n] with m at most n, bfloat16.

    Returns:
        The same shape and dtype.
    """
    a, b, c = _COEFFICIENTS
    # The spectral norm is the Frobenius norm at most; the iteration needs it to be at most 1.
    x = (matrices / matrices.float().square().sum((-2, -1), keepdim=True).sqrt().clamp(min=_EPS)).to(matrices.dtype)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _transposed_if_tall(matrix: Tensor) -> Tensor:
    return matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix


# Torch's sharded tensors take seconds to import, and are known by their methods.


def _whole(tensor: Tensor) -> Tensor:
    return cast("Any", tensor).full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _sliced_like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """A tensor that all processes have, sharded as the parameter is."""
    if not hasattr(parameter, "full_tensor"):
        return tensor
    from torch.distributed.tensor import DTensor, Replicate  # noqa: PLC0415

    sharded = cast("DTensor", parameter)
    everywhere = [Replicate()] * sharded.device_mesh.ndim
    replicas = DTensor.from_local(tensor, sharded.device_mesh, everywhere, run_check=False)
    return replicas.redistribute(placements=sharded.placements)
