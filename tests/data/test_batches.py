"""Training batches as a pure function of (seed, step), the windows of a validation set, and `get_batch`."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bloomery.data import BatchSampler, Validation, get_batch, open_tokens, validation_windows
from bloomery.errors import ArgumentError

IDS = np.arange(1000, dtype=np.uint16)


def sampler(datasets=(IDS,), weights=None, *, context_length=8, global_batch_size=16, seed=0) -> BatchSampler:
    return BatchSampler(
        datasets, weights, context_length=context_length, global_batch_size=global_batch_size, seed=seed
    )


def chi_square(counts: Counter[int], expected: dict[int, float]) -> float:
    assert set(counts) <= set(expected)
    return sum((counts[outcome] - mean) ** 2 / mean for outcome, mean in expected.items())


def test_a_batch_is_windows_of_the_file() -> None:
    batches = sampler(seed=5)
    inputs, targets = batches.batch(3)
    files, starts = batches.starts(3)
    assert inputs.shape == targets.shape == (16, 8)
    assert inputs.dtype == targets.dtype == np.int64
    assert inputs.flags.c_contiguous
    assert targets.flags.c_contiguous
    assert (files == 0).all()
    # The ids of this file are their own positions.
    assert np.array_equal(inputs, starts[:, None] + np.arange(8))
    assert np.array_equal(targets, inputs + 1)


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    left, right = sampler(seed=1), sampler(seed=1)
    for step in (0, 1, 10**12):
        right.batch(step + 1)
        for one, other in zip(left.batch(step), right.batch(step), strict=True):
            assert np.array_equal(one, other)
    steps = {tuple(left.starts(step)[1]) for step in range(200)}
    seeds = {tuple(sampler(seed=seed).starts(0)[1]) for seed in range(200)}
    # (1, 0) is in both; seed and step do not stand in for each other.
    assert len(steps | seeds) == 399


def test_the_windows_of_a_seed_stay_the_same_for_ever() -> None:
    files, starts = sampler([IDS, IDS[:50]], [1, 1], global_batch_size=6, seed=2**64 - 1).starts(7)
    assert files.tolist() == [0, 1, 0, 0, 1, 0]
    assert starts.tolist() == [737, 25, 906, 319, 2, 660]


@given(
    seed=st.integers(0, 2**64 - 1),
    step=st.integers(0, 2**63),
    world_size=st.sampled_from((1, 2, 8)),
    micros=st.sampled_from((1, 2, 4)),
)
def test_processes_and_micro_batches_share_the_step_in_order(
    seed: int, step: int, world_size: int, micros: int
) -> None:
    datasets = [IDS, np.arange(100_000, 200_000, dtype=np.uint32)]
    whole = sampler(datasets, [1, 2], global_batch_size=32, seed=seed).batch(step)
    parts = [
        sampler(datasets, [1, 2], global_batch_size=32, seed=seed).batch(step, rank, world_size, (micro, micros))
        for rank in range(world_size)
        for micro in range(micros)
    ]
    for side in (0, 1):
        assert {len(part[side]) for part in parts} == {32 // (world_size * micros)}
        assert np.array_equal(whole[side], np.concatenate([part[side] for part in parts]))


def test_every_start_is_as_likely_as_another() -> None:
    # 28 ids hold 20 windows of 8 + 1; the last one takes the last id.
    batches = sampler([IDS[:28]], global_batch_size=64, seed=11)
    counts = Counter(int(start) for step in range(400) for start in batches.starts(step)[1])
    assert set(counts) == set(range(20))
    assert chi_square(counts, dict.fromkeys(range(20), 64 * 400 / 20)) < 43.8  # 19 degrees of freedom, p = 0.001
    assert max(int(batches.batch(step)[1].max()) for step in range(20)) == 27


def test_a_file_of_a_single_window() -> None:
    inputs, targets = sampler([IDS[:9]]).batch(0)
    assert (inputs == np.arange(8)).all()
    assert (targets == np.arange(1, 9)).all()


@pytest.mark.parametrize(
    ("weights", "shares"),
    (
        ([1, 2, 5], [0.125, 0.25, 0.625]),
        ([0.1, 0, 0.1], [0.5, 0, 0.5]),
        ([0, 3, 0], [0, 1, 0]),
        # By the number of windows: 92, 192 and 492.
        (None, [92 / 776, 192 / 776, 492 / 776]),
    ),
)
def test_files_are_drawn_by_their_weights(weights: list[float] | None, shares: list[float]) -> None:
    datasets = [IDS[:100], IDS[:200], IDS[:500]]
    batches = sampler(datasets, weights, global_batch_size=100, seed=3)
    files = np.concatenate([batches.starts(step)[0] for step in range(200)])
    expected = {file: share * 20_000 for file, share in enumerate(shares) if share}
    assert chi_square(Counter(files.tolist()), expected) < 13.8  # 2 degrees of freedom, p = 0.001


def test_starts_are_uniform_within_each_weighted_file() -> None:
    batches = sampler([IDS[:18], IDS[:13]], [1, 3], global_batch_size=100, seed=4)
    drawn = [batches.starts(step) for step in range(200)]
    files = np.concatenate([files for files, _ in drawn])
    starts = np.concatenate([starts for _, starts in drawn])
    for file, windows, limit in ((0, 10, 27.9), (1, 5, 18.5)):
        counts: Counter[int] = Counter(starts[files == file].tolist())
        assert chi_square(counts, dict.fromkeys(range(windows), counts.total() / windows)) < limit


def test_files_of_both_types_mix(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(100, dtype=np.uint16))
    np.save(tmp_path / "b.npy", np.arange(100_000, 100_100, dtype=np.uint32))
    batches = sampler([open_tokens(tmp_path / "a.npy"), open_tokens(tmp_path / "b.npy")], global_batch_size=64)
    inputs, targets = batches.batch(0)
    files, starts = batches.starts(0)
    assert np.array_equal(inputs, (files * 100_000 + starts)[:, None] + np.arange(8))
    assert np.array_equal(targets, inputs + 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        ({"datasets": []}, "no datasets"),
        ({"datasets": [IDS, IDS[:8]]}, "8 ids are too few for context_length 8, whose windows take 9"),
        ({"datasets": [IDS.reshape(2, 500)]}, "token ids have one dimension, this array has 2"),
        ({"weights": [1, 2]}, "2 weights for 1 files"),
        ({"weights": [0]}, "are no shares"),
        ({"weights": [-1]}, "are no shares"),
        ({"weights": [float("nan")]}, "are no shares"),
        ({"context_length": 0}, "context_length 0 is not positive"),
        ({"global_batch_size": 0}, "global_batch_size 0 is not positive"),
        ({"seed": -1}, "seed -1 does not fit 64 bits"),
        ({"seed": 2**64}, "does not fit 64 bits"),
    ),
)
def test_what_cannot_be_drawn_from(arguments: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        sampler(**arguments)


def test_a_short_file_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "short.npy", IDS[:3])
    with pytest.raises(ArgumentError, match=r"short\.npy: 3 ids are too few"):
        sampler([IDS, open_tokens(tmp_path / "short.npy")])


@pytest.mark.parametrize(
    ("share", "message"),
    (
        ((0, 0, 3), "does not divide into 3 processes with 1 micro-batches each: choose a multiple of 3"),
        ((0, 0, 2, (0, 3)), "choose a multiple of 6"),
        ((0, 2, 2), "rank 2 of 2"),
        ((0, -1, 2), "rank -1 of 2"),
        ((0, 0, 1, (2, 2)), "micro-batch 2 of 2"),
        ((0, 0, 0), "rank 0 of 0"),
        ((-1,), "step -1 is not a step"),
    ),
)
def test_shares_that_there_are_not(share: tuple, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        sampler().batch(*share)


@given(length=st.integers(9, 60), context_length=st.integers(1, 8), batch_size=st.integers(1, 9))
def test_validation_predicts_every_id_but_the_first_once(length: int, context_length: int, batch_size: int) -> None:
    validation = validation_windows(IDS[:length], context_length)
    batches = list(validation.batches(batch_size))
    targets = np.concatenate([targets.ravel() for _, targets in batches])
    assert targets.tolist() == list(range(1, length))
    assert validation.targets == length - 1
    assert all(np.array_equal(targets, inputs + 1) for inputs, targets in batches)
    assert all(inputs.shape[0] <= batch_size and inputs.shape[1] <= context_length for inputs, _ in batches)
    # Only the last may be of another length.
    assert {inputs.shape[1] for inputs, _ in batches[:-1]} <= {context_length}


@pytest.mark.parametrize("max_windows", (None, 7))
@pytest.mark.parametrize("world_size", (1, 2, 3, 8))
def test_processes_share_the_validation(world_size: int, max_windows: int | None) -> None:
    validation = validation_windows(IDS[:70], 8, max_windows)
    shares = [list(validation.batches(3, rank, world_size)) for rank in range(world_size)]
    together = np.concatenate([targets.ravel() for share in shares for _, targets in share])
    alone = np.concatenate([targets.ravel() for _, targets in validation.batches(3)])
    assert together.tolist() == alone.tolist()
    assert len(together) == validation.targets


def test_a_sample_for_validation_is_fixed_and_has_no_window_twice() -> None:
    def starts(validation: Validation) -> list[int]:
        assert validation.tail is None
        return validation.starts.tolist()

    sample = starts(validation_windows(IDS, 8, 20, seed=1))
    assert sample == starts(validation_windows(IDS, 8, 20, seed=1))
    assert sample != starts(validation_windows(IDS, 8, 20, seed=2))
    assert sample == sorted(set(sample))
    assert len(sample) == 20
    assert all(start % 8 == 0 and start + 9 <= 1000 for start in sample)
    # More than there are is all the full ones.
    assert starts(validation_windows(IDS, 8, 999)) == list(range(0, 992, 8))
    chosen = Counter(start for seed in range(500) for start in starts(validation_windows(IDS[:81], 8, 3, seed)))
    assert chi_square(chosen, dict.fromkeys(range(0, 80, 8), 150.0)) < 27.9  # 9 degrees of freedom, p = 0.001


def test_validation_that_cannot_be() -> None:
    with pytest.raises(ArgumentError, match="8 ids are too few"):
        validation_windows(IDS[:8], 8)
    with pytest.raises(ArgumentError, match="max_windows 0 is not positive: leave it out"):
        validation_windows(IDS, 8, 0)
    with pytest.raises(ArgumentError, match="context_length 0 is not positive"):
        validation_windows(IDS, 0)
    with pytest.raises(ArgumentError, match="batch_size 0 is not positive"):
        next(validation_windows(IDS, 8).batches(0))
    with pytest.raises(ArgumentError, match="rank 1 of 1"):
        next(validation_windows(IDS, 8).batches(1, 1))


@pytest.mark.parametrize("dtype", (np.uint16, np.uint32, np.int64))
def test_get_batch_draws_uniformly(dtype: type) -> None:
    dataset = np.arange(100, dtype=dtype)
    generator = torch.Generator().manual_seed(1)
    counts: Counter[int] = Counter()
    for _ in range(500):
        inputs, targets = get_batch(dataset, 32, 7, "cpu", generator)
        assert inputs.shape == targets.shape == (32, 7)
        assert inputs.dtype == targets.dtype == torch.int64
        assert torch.equal(inputs[:, 1:], targets[:, :-1])
        assert torch.equal(inputs + 1, targets)
        counts.update(inputs[:, 0].tolist())
    assert set(counts) == set(range(93))
    assert chi_square(counts, dict.fromkeys(range(93), 500 * 32 / 93)) < 139  # 92 degrees of freedom, p = 0.001


def test_get_batch_follows_the_seed() -> None:
    def drawn(generator: torch.Generator | None = None) -> list[int]:
        return get_batch(IDS, 8, 4, "cpu", generator)[0][:, 0].tolist()

    torch.manual_seed(1)
    first = drawn()
    assert drawn() != first
    torch.manual_seed(1)
    assert drawn() == first
    assert drawn(torch.Generator().manual_seed(1)) == first


def test_get_batch_puts_tensors_where_it_is_told() -> None:
    inputs, targets = get_batch(IDS, 2, 4, torch.device("meta"))
    assert inputs.device.type == targets.device.type == "meta"
    with pytest.raises((RuntimeError, AssertionError), match=r"CUDA|NVIDIA"):
        get_batch(IDS, 2, 4, "cuda:99")


def test_get_batch_of_too_short_a_dataset() -> None:
    get_batch(IDS[:5], 2, 4, "cpu")
    with pytest.raises(ArgumentError, match="4 ids are too few for context_length 4"):
        get_batch(IDS[:4], 2, 4, "cpu")
