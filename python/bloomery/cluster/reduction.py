"""The sum of many word counts, by parts: a tree of tasks, so that no process holds more than a part of all words."""

from typing import Any

from bloomery.cluster import tasks

_FAN_IN = 16
"""Counts that are added up at once: all of one part must fit a node's object store, a tree of many is deep."""

Reference = Any
"""To an object in the cluster."""


class Reduction:
    """Takes counts as they are finished, and begins to add up as soon as there are enough."""

    def __init__(self, job: str, counting: Reference, parts: int) -> None:
        self._job = job
        self._counting = counting
        self._parts = parts
        # Counts, each a list of parts, by how many additions they have behind them.
        self._levels: list[list[list[Reference]]] = [[]]

    def add(self, parts: list[Reference]) -> None:
        """Takes the parts of one count."""
        self._add(parts, 0)

    def finish(self) -> tuple[list[Reference], list[Reference]]:
        """Parts of which no two hold the same word, and what was left out of each."""
        counts = [parts for level in self._levels for parts in level]
        while len(counts) > _FAN_IN:
            counts = [*counts[_FAN_IN:], self._sum(counts[:_FAN_IN])]
        columns = [[parts[part] for parts in counts] for part in range(self._parts)]
        last = [tasks.add_up_last.remote(self._counting, *column) for column in columns]
        return [part for part, _ in last], [left_out for _, left_out in last]

    def _add(self, parts: list[Reference], level: int) -> None:
        if level == len(self._levels):
            self._levels.append([])
        waiting = self._levels[level]
        waiting.append(parts)
        if len(waiting) == _FAN_IN:
            self._levels[level] = []
            self._add(self._sum(waiting), level + 1)

    def _sum(self, counts: list[list[Reference]]) -> list[Reference]:
        columns = ([parts[part] for parts in counts] for part in range(self._parts))
        return [tasks.add_up.remote(self._job, self._counting, *column) for column in columns]
