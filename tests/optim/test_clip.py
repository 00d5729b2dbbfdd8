"""Clipping equals torch's."""

import pytest
import torch
from torch import nn

from bloomery.optim import clip_gradients


def make_parameters(scale: float, dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(2)
    parameters = [nn.Parameter(torch.zeros(shape, dtype=dtype)) for shape in ((4, 3), (5,), (2,))]
    for parameter in parameters[:2]:
        parameter.grad = (torch.randn(parameter.shape, generator=generator) * scale).to(dtype)
    return parameters


@pytest.mark.parametrize("scale", (1e-8, 1e-2, 1.0, 1e4, 1e10))
@pytest.mark.parametrize("max_norm", (1e-3, 1.0, 0.0))
def test_equals_torch(scale: float, max_norm: float) -> None:
    ours, theirs = make_parameters(scale), make_parameters(scale)
    norm = clip_gradients(iter(ours), max_norm)
    torch.testing.assert_close(norm, nn.utils.clip_grad_norm_(theirs, max_norm))
    assert ours[2].grad is None
    torch.testing.assert_close([p.grad for p in ours[:2]], [p.grad for p in theirs[:2]])


def test_eps_is_a_millionth() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3e-6, 4e-6])
    assert clip_gradients([parameter], 3e-6).item() == pytest.approx(5e-6)
    torch.testing.assert_close(parameter.grad, torch.tensor([1.5e-6, 2e-6]))


def test_small_gradients_stay_to_the_bit() -> None:
    parameters = make_parameters(1e-3)
    before = [parameter.grad for parameter in make_parameters(1e-3)]
    clip_gradients(parameters, 1.0)
    assert all(
        torch.equal(p.grad, b) for p, b in zip(parameters, before, strict=True) if p.grad is not None and b is not None
    )


def test_half_precision_is_summed_in_float32() -> None:
    parameters = make_parameters(1.0, torch.bfloat16)
    wide = torch.cat([p.grad.float().flatten() for p in parameters if p.grad is not None])
    norm = clip_gradients(parameters, 1e9)
    torch.testing.assert_close(norm, wide.norm())


def test_no_gradients() -> None:
    assert clip_gradients([nn.Parameter(torch.zeros(2))], 1.0).item() == 0.0
    assert clip_gradients([], 1.0).item() == 0.0


def test_non_finite_norms_are_told() -> None:
    parameters = make_parameters(1.0)
    assert parameters[0].grad is not None
    parameters[0].grad[0, 0] = torch.inf
    assert clip_gradients(parameters, 1.0).isinf()


def test_a_negative_norm_is_refused() -> None:
    with pytest.raises(ValueError, match=r"max_l2_norm = -1.0 is not allowed"):
        clip_gradients([], -1.0)
