"""AdamW and SGD: the same weights as torch's own, state dicts that both read, and the course's SGD by hand."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bloomery.optim import SGD, AdamW

STEPS = 20
DECAYED = {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}


def make_parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((4, 3), (5,), ())]


def gradients(step: int, parameters: list[nn.Parameter]) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def run(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        gradients(step, parameters)
        for group in optimizer.param_groups:
            group["lr"] = 0.02 / (step + 1)  # as a schedule does
        optimizer.step()


def assert_equal(left: list[nn.Parameter], right: list[nn.Parameter]) -> None:
    torch.testing.assert_close([p.data for p in left], [p.data for p in right], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("options", (DECAYED, {"weight_decay": 0.0}, {}))
@pytest.mark.parametrize("kind", ({"foreach": False}, {"foreach": True}, {"fused": True}))
def test_adamw_gives_the_weights_of_torch(options: dict[str, Any], kind: dict[str, Any]) -> None:
    ours, theirs = make_parameters(), make_parameters()
    run(AdamW(ours, **options), ours, range(STEPS))
    run(torch.optim.AdamW(theirs, **{"weight_decay": 0.01, **options}, **kind), theirs, range(STEPS))
    assert_equal(ours, theirs)


def test_adamw_by_hand() -> None:
    # A second step, so that the moments are neither empty nor equal to the gradient.
    parameter = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer = AdamW([parameter], lr=0.1, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.5)
    weight, mean, square = 2.0, 0.0, 0.0
    for step, gradient in enumerate((3.0, -1.0), start=1):
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        weight -= 0.1 * 0.5 * weight
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.99 * square + 0.01 * gradient**2
        weight -= 0.1 * (mean / (1 - 0.9**step)) / (math.sqrt(square / (1 - 0.99**step)) + 1e-3)
        assert parameter.item() == pytest.approx(weight, rel=1e-12)


@pytest.mark.parametrize("fused", (False, True))
def test_adamw_and_torch_go_on_from_each_other(fused: bool) -> None:
    whole, ours, theirs = make_parameters(), make_parameters(), make_parameters()
    run(AdamW(whole, **DECAYED), whole, range(STEPS))

    written = AdamW(ours, **DECAYED)
    builtin = torch.optim.AdamW(theirs, **DECAYED, fused=fused)
    run(written, ours, range(10))
    run(builtin, theirs, range(10))
    states = copy.deepcopy((written.state_dict(), builtin.state_dict()))
    builtin.load_state_dict(states[0])
    written.load_state_dict(states[1])
    run(written, ours, range(10, STEPS))
    run(builtin, theirs, range(10, STEPS))
    assert_equal(ours, whole)
    assert_equal(theirs, whole)


def test_groups_have_their_own_values() -> None:
    ours, theirs = make_parameters(), make_parameters()
    for parameters, kind in ((ours, AdamW), (theirs, torch.optim.AdamW)):
        groups = [{"params": parameters[:1], "weight_decay": 0.5}, {"params": parameters[1:], "lr": 1e-4}]
        optimizer = kind(groups, lr=1e-2, weight_decay=0.0)
        for step in range(5):
            gradients(step, parameters)
            optimizer.step()
    assert_equal(ours, theirs)


def test_sgd_by_hand() -> None:
    parameter = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = SGD([parameter], lr=0.3)
    expected = parameter.detach().clone()
    for t in range(10):
        parameter.grad = parameter.detach() * 2  # of the sum of squares
        expected -= 0.3 / math.sqrt(t + 1) * (2 * expected)
        optimizer.step()
        torch.testing.assert_close(parameter.detach(), expected)


def test_sgd_goes_on_from_its_state_dict() -> None:
    whole, parts = make_parameters(), make_parameters()
    for steps, parameters in ((range(10), whole), (range(5), parts)):
        optimizer = SGD(parameters)
        run(optimizer, parameters, steps)
    state = copy.deepcopy(optimizer.state_dict())
    second = SGD(parts)
    second.load_state_dict(state)
    run(second, parts, range(5, 10))
    assert_equal(parts, whole)


@pytest.mark.parametrize("kind", (AdamW, SGD))
def test_closures_and_missing_gradients(kind: type[AdamW] | type[SGD]) -> None:
    used, unused = make_parameters()[:2]
    before = unused.detach().clone()
    optimizer = kind([used, unused], lr=0.1)

    def closure() -> float:
        optimizer.zero_grad()
        loss: Tensor = used.square().sum()
        loss.backward()
        return loss.item()

    losses = [optimizer.step(closure) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == 5
    assert optimizer.step() is None
    assert torch.equal(unused, before)
    assert unused not in optimizer.state


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    (
        (AdamW, {"lr": -1.0}, r"lr = -1.0 is not allowed: it must be 0 or more"),
        (AdamW, {"lr": math.nan}, r"lr = nan"),
        (AdamW, {"eps": -1.0}, r"eps = -1.0"),
        (AdamW, {"weight_decay": -1.0}, r"weight_decay = -1.0"),
        (AdamW, {"betas": (0.9, 1.0)}, r"betas = \(0.9, 1.0\) are not allowed"),
        (SGD, {"lr": -1.0}, r"lr = -1.0"),
    ),
)
def test_values_out_of_range_are_refused(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(make_parameters(), **options)
