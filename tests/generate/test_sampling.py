"""Sampling: the filters against a plain reference in Python, the draw against the distribution, and bad settings."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bloomery.errors import ArgumentError
from bloomery.generate import Sampling

# Few values, so that many logits are equal.
logits_lists = st.lists(
    st.one_of(st.sampled_from([-2.0, 0.0, 1.0, 1.5]), st.floats(-30, 30, width=32)), min_size=1, max_size=12
)
temperatures = st.sampled_from([0.25, 0.7, 1.0, 2.0])
top_ks = st.none() | st.integers(1, 14)
top_ps = st.none() | st.floats(0.01, 1.0)


def reference(logits: list[float], temperature: float, top_k: int | None, top_p: float | None) -> list[float]:
    """The distribution, token by token."""
    weights = [math.exp((logit - max(logits)) / temperature) for logit in logits]
    order = sorted(range(len(logits)), key=lambda token: (-logits[token], token))[:top_k]
    kept: list[int] = []
    total = sum(weights[token] for token in order)
    for token in order:
        if top_p is not None and sum(weights[earlier] for earlier in kept) / total >= top_p:
            break
        kept.append(token)
    mass = sum(weights[token] for token in kept)
    return [weights[token] / mass if token in kept else 0.0 for token in range(len(logits))]


@given(logits=logits_lists, temperature=temperatures, top_k=top_ks, top_p=top_ps)
def test_the_filters_equal_the_reference(
    logits: list[float], temperature: float, top_k: int | None, top_p: float | None
) -> None:
    made = Sampling(temperature=temperature, top_k=top_k, top_p=top_p).probabilities(torch.tensor(logits))
    expected = reference(logits, temperature, top_k, top_p)
    # Where a sum of probabilities meets top_p within rounding, one token more or less is right too.
    near = top_p is not None and any(
        math.isclose(sum(sorted(reference(logits, temperature, top_k, None), reverse=True)[:count]), top_p)
        for count in range(1, len(logits) + 1)
    )
    if not near:
        assert made.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_examples_by_hand() -> None:
    logits = torch.tensor([0.1, 0.4, 0.2, 0.3], dtype=torch.float64).log()
    cases = {
        (1.0, None, None): [0.1, 0.4, 0.2, 0.3],
        (1.0, 2, None): [0, 4 / 7, 0, 3 / 7],
        (1.0, 9, None): [0.1, 0.4, 0.2, 0.3],
        (1.0, None, 0.65): [0, 4 / 7, 0, 3 / 7],
        (1.0, None, 0.75): [0, 4 / 9, 2 / 9, 3 / 9],
        (1.0, None, 0.01): [0, 1, 0, 0],
        # 0.4 and 0.3 of the three that top-k keeps are 7/9 of them: above 0.75, which 0.7 of all is not.
        (1.0, 3, 0.75): [0, 4 / 7, 0, 3 / 7],
        (0.5, None, None): [1 / 30, 16 / 30, 4 / 30, 9 / 30],
        (0.0, None, None): [0, 1, 0, 0],
        (0.0, 3, 0.5): [0, 1, 0, 0],
    }
    for (temperature, top_k, top_p), expected in cases.items():
        sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
        assert sampling.probabilities(logits).tolist() == pytest.approx(expected)


def test_of_equals_the_lower_id_is_kept() -> None:
    equal = torch.zeros(5)
    assert Sampling(top_k=2).probabilities(equal).tolist() == [0.5, 0.5, 0, 0, 0]
    assert Sampling(top_p=0.3).probabilities(equal).tolist() == [0.5, 0.5, 0, 0, 0]
    assert Sampling(temperature=0).choose(equal, torch.tensor(0.9)).item() == 0


@pytest.mark.parametrize(
    "sampling", (Sampling(), Sampling(top_k=7), Sampling(top_p=0.6), Sampling(temperature=0.5, top_k=9, top_p=0.9))
)
def test_the_draw_follows_the_distribution(sampling: Sampling) -> None:
    # Evenly spaced numbers stand for uniform ones: each token comes up as often as its probability says, within one.
    logits = torch.randn(16, generator=torch.Generator().manual_seed(1))
    number = 10_000
    uniform = (torch.arange(number) + 0.5) / number
    drawn = sampling.choose(logits.expand(number, -1), uniform.to(torch.float64))
    counts = torch.bincount(drawn, minlength=16)
    assert (counts - number * sampling.probabilities(logits)).abs().max() <= 1.001


def test_rows_are_chosen_apart() -> None:
    logits = torch.randn(4, 3, 20, generator=torch.Generator().manual_seed(2))
    uniform = torch.rand(4, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    sampling = Sampling(temperature=0.8, top_k=11, top_p=0.8)
    together = sampling.choose(logits, uniform)
    assert together.shape == (4, 3)
    for index in ((0, 0), (2, 1), (3, 2)):
        assert together[index] == sampling.choose(logits[index], uniform[index])


@pytest.mark.parametrize("uniform", (0.0, 1 - 2.0**-53))
@pytest.mark.parametrize("sampling", (Sampling(), Sampling(top_k=3), Sampling(top_p=0.99), Sampling(temperature=1e-30)))
def test_no_draw_takes_what_is_impossible(sampling: Sampling, uniform: float) -> None:
    logits = torch.tensor([-torch.inf, 2.0, -torch.inf, 1.0, 2.5, -torch.inf])
    chosen = sampling.choose(logits, torch.tensor(uniform, dtype=torch.float64))
    assert sampling.probabilities(logits)[chosen] > 0


def test_a_temperature_near_zero_is_greedy() -> None:
    logits = torch.tensor([3.0, 3.5, -4.0])
    for temperature in (1e-3, 1e-300):
        assert Sampling(temperature=temperature).probabilities(logits).tolist() == pytest.approx([0, 1, 0])


@pytest.mark.parametrize(
    ("settings", "message"),
    (
        ({"temperature": -0.1}, "temperature must be 0"),
        ({"temperature": math.nan}, "temperature must be 0"),
        ({"temperature": math.inf}, "temperature must be 0"),
        ({"top_k": 0}, "top_k must be at least 1, not 0"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, not 0.0"),
        ({"top_p": 1.5}, "top_p must be above 0 and at most 1, not 1.5"),
        ({"top_p": math.nan}, "top_p must be above 0"),
    ),
)
def test_settings_out_of_range(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Sampling(**settings)  # pyright: ignore[reportArgumentType] - some of the values are bad on purpose
