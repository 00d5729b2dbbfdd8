"""Several optimizers that look like one."""

from collections.abc import Callable
from typing import Any, overload

import torch


class Combined(torch.optim.Optimizer):
    """Optimizers of different parameters, used, saved and loaded as one.

    Groups and state are those of all, in order; a schedule writes ``group["lr"]`` into every group.

    Args:
        optimizers: Which; no parameter may be in two of them.

    Raises:
        ValueError: A parameter is in two.
    """

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.optimizers = optimizers
        super().__init__([group for optimizer in optimizers for group in optimizer.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Gives every optimizer its part of the groups, and the state that all have in common."""
        groups = iter(self.param_groups)
        for optimizer in self.optimizers:
            optimizer.param_groups = [next(groups) for _ in optimizer.param_groups]
            optimizer.state = self.state

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """A step of each; gives the closure's loss, if one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        super().load_state_dict(state_dict)
        self._share()
