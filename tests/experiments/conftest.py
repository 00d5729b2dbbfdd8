"""Studies at a size for tests: two small corpora, a model of a few thousand weights, runs in this process."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is absent: install the extra `train`")

from bloomery.experiments.study import budget, runs  # noqa: E402 - after the skip
from bloomery.experiments.study.desk import Desk, Settings  # noqa: E402

MakeDesk = Callable[..., Desk]
END = "<|endoftext|>"
VOCABULARIES = {
    "stories": "the cat sat on a mat and the dog ran to its park while one bird sang in some tree",
    "code": "def return für Größe self.value = 12 [0] {'a': 1} () => 한국어 import numpy",
}


class Inline:
    """A pool whose work is done when it is submitted: no process has to start and import torch."""

    def __init__(self, *_: object) -> None:
        pass

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future

    def shutdown(self, *, cancel_futures: bool = False) -> None:
        pass


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs of thirty steps of the smallest model, in this process."""
    rung = budget.Rung(
        vocab_size=300, context_length=16, d_model=16, num_layers=1, num_heads=2, batch_size=4, max_lr=1e-2
    )
    monkeypatch.setattr(budget, "LADDER", (rung,))
    monkeypatch.setattr(budget, "measure_speed", lambda values, mode: 1.0)
    monkeypatch.setattr(runs, "ProcessPoolExecutor", Inline)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def two_corpora(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A corpus of simple sentences, and one of another language with signs that are not ASCII."""
    folder = tmp_path_factory.mktemp("corpora")
    random = np.random.default_rng(0)
    paths: list[str] = []
    for name, vocabulary in VOCABULARIES.items():
        words = vocabulary.split()
        made = [
            f"{word}{random.integers(100)}" if random.random() < 0.2 else word for word in random.choice(words, 6000)
        ]
        text = "".join(f"{' '.join(made[first : first + 30])}.\n{END}" for first in range(0, len(made), 30))
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        paths.append(str(folder / f"{name}.txt"))
    return paths[0], paths[1]


@pytest.fixture
def make_desk(tmp_path: Path, two_corpora: tuple[str, str]) -> MakeDesk:
    """The desk of a study on the two corpora, opened."""

    def make(name: str, **settings: Any) -> Desk:
        given = {"inputs": two_corpora, "minutes": 0.01, "vocab_sizes": (300, 400), **settings}
        desk = Desk(name=name, root=tmp_path / "studies", settings=Settings(**given))
        desk.open()
        return desk

    return make
