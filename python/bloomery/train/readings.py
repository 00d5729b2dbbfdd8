"""Numbers on their way from the device, so that nothing in a step waits for it."""

import torch
from torch import Tensor


class Readings:
    """Numbers that are copied from a device behind the work that makes them.

    Args:
        together: [n] of them.
    """

    def __init__(self, together: Tensor) -> None:
        self._event = None
        self._values = together
        if together.is_cuda:
            self._values = torch.empty_like(together, device="cpu", pin_memory=True)
            self._values.copy_(together, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    def values(self) -> list[float]:
        """The numbers; waits until they are there."""
        if self._event is not None:
            self._event.synchronize()
        return self._values.tolist()
