"""Numbers and times on their way from the device, so that nothing in a step waits for it."""

import time

import torch
from torch import Tensor


class Mark:
    """A point in the work of a device.

    Attributes:
        time: When the work up to here was given to the device, in seconds; on a processor that is when it was done.
        event: Tells when it was done on an accelerator.
    """

    def __init__(self, device: torch.device) -> None:
        self.time = time.perf_counter()
        self.event = None
        if device.type == "cuda":
            self.event = torch.cuda.Event(enable_timing=True)
            self.event.record()

    def wait(self) -> None:
        """Waits until the device has come here."""
        if self.event is not None:
            self.event.synchronize()

    def seconds_since(self, earlier: "Mark") -> float:
        """From when the device was at an earlier mark until it was here; waits for it."""
        if self.event is None or earlier.event is None:
            return self.time - earlier.time
        self.wait()
        return earlier.event.elapsed_time(self.event) / 1000


class Readings:
    """Numbers that are copied from a device behind the work that makes them.

    Args:
        together: [n] of them.

    Attributes:
        mark: Where the work that makes them ends.
    """

    def __init__(self, together: Tensor) -> None:
        self._values = together
        if together.is_cuda:
            self._values = torch.empty_like(together, device="cpu", pin_memory=True)
            self._values.copy_(together, non_blocking=True)
        self.mark = Mark(together.device)

    def values(self) -> list[float]:
        """The numbers; waits until they are there."""
        self.mark.wait()
        return [value.item() for value in self._values]
