"""Learning rates at the points that have names."""

import math
from functools import partial

import pytest

from bloomery.optim import cosine_schedule, wsd_schedule

cosine = partial(cosine_schedule, max_lr=1.0, min_lr=0.1, warmup_steps=10, cosine_steps=30)
wsd = partial(wsd_schedule, max_lr=1.0, min_lr=0.1, warmup_steps=10, stable_steps=15, decay_steps=5)


@pytest.mark.parametrize(
    ("step", "lr"),
    (
        (0, 0.0),
        (5, 0.5),
        (10, 1.0),
        (15, 0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2),
        (20, 0.55),
        (30, 0.1),
        (31, 0.1),
        (10_000, 0.1),
    ),
)
def test_cosine(step: int, lr: float) -> None:
    assert cosine(step) == pytest.approx(lr, rel=1e-12)


def test_cosine_is_at_its_ends_exactly() -> None:
    assert (cosine(10), cosine(30)) == (1.0, 0.1)


def test_cosine_never_rises_after_the_warm_up() -> None:
    rates = [cosine(step) for step in range(10, 40)]
    assert rates == sorted(rates, reverse=True)


def test_cosine_without_warm_up_or_without_cosine() -> None:
    assert cosine_schedule(0, 1.0, 0.1, 0, 10) == 1.0
    assert [cosine_schedule(step, 1.0, 0.1, 2, 2) for step in range(4)] == [0.0, 0.5, 0.1, 0.1]


@pytest.mark.parametrize(
    ("step", "lr"), ((0, 0.0), (5, 0.5), (10, 1.0), (24, 1.0), (25, 1.0), (26, 0.82), (29, 0.28), (30, 0.1), (99, 0.1))
)
def test_wsd(step: int, lr: float) -> None:
    assert wsd(step) == pytest.approx(lr, rel=1e-12)


def test_wsd_without_decay() -> None:
    assert [wsd_schedule(step, 1.0, 0.1, 0, 2, 0) for step in range(4)] == [1.0, 1.0, 0.1, 0.1]


def test_impossible_steps_are_refused() -> None:
    with pytest.raises(ValueError, match=r"step = -1 is not allowed"):
        cosine(-1)
    with pytest.raises(ValueError, match=r"cosine_steps = 5 is below warmup_steps = 10"):
        cosine(0, cosine_steps=5)
    with pytest.raises(ValueError, match=r"decay_steps = -1 is not allowed"):
        wsd(0, decay_steps=-1)
