"""Whether results agree. A disagreement goes into the table: it hides nothing and stops nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs import Task
from peers import END, Vocabulary
from runs import Record, run

_SHOWN = 3


class Checks:
    """Compares each peer's result with bloomery's for the same input, which is made once, unmeasured."""

    def __init__(self, folder: Path, timeout: float) -> None:
        self._folder = folder
        self._timeout = timeout
        self._made: dict[tuple[str, str, str], Path] = {}

    def check(self, record: Record, kept: Path) -> None:
        """Sets `record.agrees` to what a reader of the table should know."""
        task = record.task
        if task.job == "load":
            return
        ours = self.reference(task)
        if ours is None:
            record.agrees = "nothing to compare with"
        elif task.job == "train":
            theirs = json.loads(kept.read_text(encoding="utf-8"))
            record.agrees = self._merges(task, json.loads(ours.read_text(encoding="utf-8")), theirs)
        elif task.job == "count":
            expected, found = (json.loads(path.read_text(encoding="utf-8")) for path in (ours, kept))
            record.agrees = "equal" if expected == found else f"{found} distinct and all words, not {expected}"
        elif task.job.startswith("decode"):
            record.agrees = "equal" if ours.read_bytes() == kept.read_bytes() else "another text"
        else:
            record.agrees = self._ids(task, np.load(ours), np.load(kept))

    def reference(self, task: Task, peer: str = "bloomery") -> Path | None:
        """A file with bloomery's result for the input of a task."""
        # All calls for one string, and for the same ids, and any number of threads, have one answer.
        job = "decode" if task.job.startswith("decode") else {"string_array": "string"}.get(task.job, task.job)
        key = (peer, job, task.text)
        if key not in self._made:
            path = self._folder / f"reference-{len(self._made)}"
            outcome = run(Task(**(vars(task) | {"peer": peer, "job": job, "keep": str(path)})), self._timeout)
            if "unable" in outcome:
                return None
            self._made[key] = path
        return self._made[key]

    def _merges(self, task: Task, ours: list[str], theirs: list[str]) -> str:
        if theirs == ours:
            return "equal"
        path = self.reference(task, "bloomery (huggingface ties)")
        if path is not None and json.loads(path.read_text(encoding="utf-8")) == theirs:
            return 'equal to `tie_break="huggingface"`'
        common = len(set(ours) & set(theirs)) / max(len(ours), 1)
        return (
            f"{len(theirs):,} merges, first {_common_prefix(ours, theirs):,} equal, {common:.2%} of the tokens shared"
        )

    def _ids(self, task: Task, ours: NDArray[Any], theirs: NDArray[Any]) -> str:
        if np.array_equal(ours, theirs):
            return "equal"
        if task.job == "files":
            # Some drop the separators, which all agree about.
            end = Vocabulary.open(Path(task.vocabulary)).special_tokens[END]
            ours, theirs = ours[ours != end], theirs[theirs != end]
            if np.array_equal(ours, theirs):
                return "equal but for separators"
        at = _common_prefix(ours, theirs)
        shown = (f"{ids[at : at + _SHOWN].tolist()}" for ids in (theirs, ours))
        return f"differs from token {at:,} on: {' for '.join(shown)}"


def _common_prefix(ours: Any, theirs: Any) -> int:
    length = min(len(ours), len(theirs))
    different = np.flatnonzero(np.asarray(ours[:length]) != np.asarray(theirs[:length]))
    return int(different[0]) if different.size else length
