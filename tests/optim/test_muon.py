"""Muon against torch's own and against the singular value decomposition, and several optimizers as one."""

import copy

import pytest
import torch

from bloomery.optim import AdamW, Combined, Muon
from bloomery.optim.muon import orthogonalize

SHAPES = ((16, 16), (16, 16), (40, 16), (16, 40))


def make_matrices() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(shape, requires_grad=True) for shape in SHAPES]


def give_gradients(step: int, *lists: list[torch.Tensor]) -> None:
    generator = torch.Generator().manual_seed(step)
    for same in zip(*lists, strict=True):
        gradient = torch.randn(same[0].shape, generator=generator)
        for parameter in same:
            parameter.grad = gradient.clone()


def test_singular_values_come_near_one_and_vectors_stay() -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, 24, 60)
    u, _, vt = torch.linalg.svd(matrices, full_matrices=False)
    made = orthogonalize(matrices.bfloat16()).float()
    assert made.shape == matrices.shape
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.6
    assert values.max() < 1.3
    diagonal = (u.mT @ made @ vt.mT).diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(diagonal.sort(-1, descending=True).values, values, rtol=0, atol=0.05)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
def test_equals_torch() -> None:
    ours, theirs = make_matrices(), make_matrices()
    first = Muon(ours, lr=0.01)
    second = torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for step in range(5):
        give_gradients(step, ours, theirs)
        first.step()
        second.step()
    for mine, other, begin in zip(ours, theirs, make_matrices(), strict=True):
        # bfloat16 has three digits, and matrices are taken together here.
        assert (mine - other).norm() < 0.03 * (other - begin).norm()
    assert first.state_dict()["state"].keys() == second.state_dict()["state"].keys()


def test_a_step_is_as_large_as_adamws() -> None:
    parameter = torch.zeros(64, 256, requires_grad=True)
    parameter.grad = torch.randn(64, 256)
    Muon([parameter], lr=0.01).step()
    assert parameter.square().mean().sqrt().item() == pytest.approx(0.2 * 0.01, rel=0.15)


def test_what_it_is_not_for_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Muon is for matrices, not for a parameter of shape \[3\]"):
        Muon([torch.zeros(3)])
    with pytest.raises(ValueError, match="momentum = 1"):
        Muon([torch.zeros(3, 3)], momentum=1)
    with pytest.raises(ValueError, match="lr = -1"):
        Muon([torch.zeros(3, 3)], lr=-1)


def make_combined(matrices: list[torch.Tensor]) -> Combined:
    return Combined(Muon(matrices[:2], lr=0.01), AdamW(matrices[2:], lr=0.01))


def test_several_are_as_each_alone() -> None:
    together, apart = make_matrices(), make_matrices()
    combined, muon, adamw = make_combined(together), Muon(apart[:2], lr=0.01), AdamW(apart[2:], lr=0.01)
    for step in range(3):
        for group in (*combined.param_groups, *muon.param_groups, *adamw.param_groups):
            group["lr"] = 0.01 / (step + 1)
        give_gradients(step, together, apart)
        combined.step()
        muon.step()
        adamw.step()
    for mine, other in zip(together, apart, strict=True):
        assert torch.equal(mine, other)


def test_several_go_on_from_their_state() -> None:
    through, resumed = make_matrices(), make_matrices()
    first = make_combined(through)
    give_gradients(0, through)
    first.step()
    second = make_combined(resumed)
    with torch.no_grad():
        for mine, other in zip(resumed, through, strict=True):
            mine.copy_(other)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for step in (1, 2):
        for group in (*first.param_groups, *second.param_groups):
            group["lr"] = 0.02
        give_gradients(step, through, resumed)
        first.step()
        second.step()
    for mine, other in zip(resumed, through, strict=True):
        assert torch.equal(mine, other)
