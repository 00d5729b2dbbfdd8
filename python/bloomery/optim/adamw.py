"""Adam with decoupled weight decay."""

import math
from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT


class AdamW(torch.optim.Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019, algorithm 2), in the order of the paper's code.

    With g the gradient, m and v its moments, t = 1, 2, .. and all operations elementwise, a step is::

        p = p - lr · weight_decay · p
        m = beta1 · m + (1 - beta1) · g
        v = beta2 · v + (1 - beta2) · g²
        p = p - lr · (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    The weights equal those of `torch.optim.AdamW`, and the state has its names (step, exp_avg, exp_avg_sq), so that
    either goes on from the other's state dict.

    Args:
        params: Parameters, or groups of them as dicts with values of their own.
        lr: Learning rate; a schedule writes ``group["lr"]`` before each step.
        betas: How much of each moment stays at a step.
        eps: Added to the root of the second moment.
        weight_decay: Share of a weight lost at a step, times lr.

    Raises:
        ValueError: A value out of its range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        for name, value in (("lr", lr), ("eps", eps), ("weight_decay", weight_decay)):
            if not value >= 0:
                raise ValueError(f"{name} = {value} is not allowed: it must be 0 or more")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas = {betas} are not allowed: each must be in 0..1, and below 1")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

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
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """One parameter's step; gradient and moments have its shape."""
        lr, (beta1, beta2) = group["lr"], group["betas"]
        state = self.state[parameter]
        if not state:
            # A tensor, as torch has it, and on the CPU, where reading it does not wait for an accelerator.
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        step: float = state["step"].item()
        mean: Tensor = state["exp_avg"]
        mean_square: Tensor = state["exp_avg_sq"]

        parameter.mul_(1 - lr * group["weight_decay"])
        mean.lerp_(gradient, 1 - beta1)
        mean_square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        root = mean_square.sqrt().div_(math.sqrt(1 - beta2**step)).add_(group["eps"])
        parameter.addcdiv_(mean, root, value=-lr / (1 - beta1**step))
