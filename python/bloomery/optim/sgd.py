"""Stochastic gradient descent whose steps shrink."""

import math
from collections.abc import Callable
from typing import overload

import torch
from torch.optim.optimizer import ParamsT


class SGD(torch.optim.Optimizer):
    """Steps of lr / sqrt(t + 1) against the gradient, t = 0, 1, ..: p = p - lr / sqrt(t + 1) · g.

    A learning rate that falls as 1/sqrt(t) is the classic choice for convergence (Zinkevich, 2003, theorem 1).

    Args:
        params: Parameters, or groups of them as dicts with an lr of their own.
        lr: The first step's learning rate.

    Raises:
        ValueError: lr is negative.
    """

    def __init__(self, params: ParamsT, lr: float = 1e-3) -> None:
        if not lr >= 0:
            raise ValueError(f"lr = {lr} is not allowed: it must be 0 or more")
        super().__init__(params, {"lr": lr})

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
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                step: int = state.get("step", 0)
                parameter.add_(parameter.grad, alpha=-group["lr"] / math.sqrt(step + 1))
                state["step"] = step + 1
        return loss
