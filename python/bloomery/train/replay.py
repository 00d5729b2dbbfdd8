"""Work on a GPU that is recorded once and then replayed, without the gaps between kernels launched one by one."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class Replayed:
    """A function of tensors as a CUDA graph.

    The first `DIRECT` calls run as they are, which compiles what there is to compile; the next one is recorded. From
    then on the function itself is not called again: its kernels run on the same addresses, with the arguments copied
    there. So whatever it makes and leaves behind, gradients above all, stays where it is and is overwritten by the next
    call; it must not be there when a call begins, and nobody may drop it after the recording.

    Args:
        function: Of tensors on one GPU whose shapes stay the same; it must wait for nothing on the device.

    Attributes:
        recorded: Whether calls are replayed.
    """

    DIRECT = 3

    def __init__(self, function: Callable[[Sequence[Tensor]], tuple[Tensor, ...]]) -> None:
        self._function = function
        self._calls = 0
        self._graph = torch.cuda.CUDAGraph()
        self._arguments: list[Tensor] = []
        self._results: tuple[Tensor, ...] = ()
        self.recorded = False

    def __call__(self, arguments: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What the function gives."""
        self._calls += 1
        if self._calls <= self.DIRECT:
            return self._function(arguments)
        if not self.recorded:
            self._arguments = [argument.clone() for argument in arguments]
            # Other threads, which make batches ready, may allocate meanwhile.
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._results = self._function(self._arguments)
            self.recorded = True
        for here, argument in zip(self._arguments, arguments, strict=True):
            here.copy_(argument)
        self._graph.replay()
        return tuple(result.clone() for result in self._results)
