"""The end of a job before its time: what it began returns by itself, wherever it runs.

`ray.cancel` is not used: where a task ends at the moment in which it is cancelled, Ray's client library (2.60) fails a
check of its own, "Tried to complete task that was not pending", and aborts the process.
"""

import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress

from bloomery.cluster.api import is_marked, mark
from bloomery.tokenizer.progress import ProgressCallback

_NAMESPACE = b"bloomery"
# How often a task looks whether its job goes on.
_LOOK_SECONDS = 1.0


class StoppedError(Exception):
    """A task's job was ended."""


@contextmanager
def job() -> Generator[str]:
    """Gives a job a name, by which its tasks learn that the block was left with an error, Ctrl-C too."""
    name = uuid.uuid4().hex
    try:
        yield name
    except BaseException:
        # The mark stays in the cluster: nobody knows when the last task has looked. Where it cannot be set, the cluster
        # is gone, and the error says more.
        with suppress(Exception):
            mark(name, b"", namespace=_NAMESPACE)
        raise


def is_ended(job: str) -> bool:
    """Whether a job was ended."""
    return is_marked(job, namespace=_NAMESPACE)


def watch(job: str) -> ProgressCallback:
    """Looks whether a job was ended, and makes a callback that looks again, once a second at most.

    Raises:
        StoppedError: It was; the callback raises the same.
    """
    last = -_LOOK_SECONDS

    def look(_: object = None) -> None:
        nonlocal last
        if time.monotonic() - last < _LOOK_SECONDS:
            return
        if is_ended(job):
            raise StoppedError
        last = time.monotonic()

    look()
    return look
