"""Batches made ready while the device is busy with those before."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

_AHEAD = 2

Key = TypeVar("Key")
Batch = TypeVar("Batch")


class Prefetcher(Generic[Key, Batch]):
    """Calls `make` with one key after the other in a thread, two calls ahead of those who ask.

    What is made depends on its key alone, so nothing that was made too early is lost when a run ends.

    Args:
        make: Makes a batch.
        keys: Of the batches, in the order in which they are asked for.
    """

    def __init__(self, make: Callable[[Key], Batch], keys: Iterator[Key]) -> None:
        self._make, self._keys = make, keys
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._waiting: deque[Future[Batch]] = deque()

    def take(self) -> Batch:
        """The next batch; raises what `make` raised."""
        while len(self._waiting) <= _AHEAD and (key := next(self._keys, None)) is not None:
            self._waiting.append(self._pool.submit(self._make, key))
        return self._waiting.popleft().result()

    def __enter__(self) -> Self:
        """Nothing is made before the first is asked for."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Drops what was made and not asked for."""
        self._pool.shutdown(cancel_futures=True)
