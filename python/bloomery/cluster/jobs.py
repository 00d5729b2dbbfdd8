"""Tasks of one job, a few ahead of the cluster's hands."""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any, cast

from ray.exceptions import OutOfMemoryError, RayError, RayTaskError, TaskUnschedulableError

from bloomery.cluster.api import ray
from bloomery.errors import ClusterError

# How often the caller is heard.
_TICK_SECONDS = 0.1
Reference = Any


def run_all(
    submit: Callable[[Any], list[Reference]],
    work: Iterable[Any],
    ahead: Callable[[], int],
    tick: Callable[[], object],
) -> Generator[tuple[Any, Any, list[Reference]]]:
    """Runs a task for every item of work.

    Args:
        submit: Begins a task; its first result says that it is done, the others are left in the cluster.
        work: The items.
        ahead: How many tasks to have begun at a time, now.
        tick: Is called ten times a second; what it raises ends the job, Ctrl-C too.

    Yields:
        An item, its task's first result, and references to the others, as tasks end.

    Raises:
        BloomeryError, OSError: What the first task that failed raised.
        ClusterError: A task was lost again and again.
    """
    rest = iter(work)
    running: dict[Reference, tuple[Any, list[Reference]]] = {}
    while True:
        while len(running) < ahead():
            item = next(rest, _NONE)
            if item is _NONE:
                break
            first, *others = submit(item)
            running[first] = (item, others)
        if not running:
            return
        for done in wait_for_any(list(running), tick):
            item, others = running.pop(done)
            yield item, get(done), others


def wait_for_any(references: list[Reference], tick: Callable[[], object]) -> list[Reference]:
    """Those of the results that are there, one at least."""
    while True:
        done, _ = ray.wait(references, num_returns=len(references), timeout=0, fetch_local=False)
        if not done:
            done, _ = ray.wait(references, timeout=_TICK_SECONDS, fetch_local=False)
        tick()
        if done:
            return done


def get(reference: Reference) -> Any:
    """A result, or what its task raised."""
    with faults():
        return ray.get(reference)


@contextmanager
def faults() -> Generator[None]:
    """What Ray raises, as the task's own error or one of ours."""
    try:
        yield
    except RayTaskError as error:
        cause = cast("BaseException | None", error.cause)
        if isinstance(cause, ModuleNotFoundError):
            raise ClusterError(
                f"{cause} on a node of the cluster: install this bloomery with the extra ray on all of them"
            ) from error
        raise (cause if cause is not None else ClusterError(str(error))) from None
    except OutOfMemoryError as error:
        message = f"the nodes have too little memory for a task: use max_memory, or fewer threads ({error})"
        raise ClusterError(message) from error
    except TaskUnschedulableError as error:
        raise ClusterError(f"no node of the cluster can run the tasks ({error})") from error
    except RayError as error:
        raise ClusterError(f"a task was lost again and again ({type(error).__name__}: {error})") from error


_NONE = object()
