"""RoPE against the multiplication of complex numbers, and what it is for: products that know distances alone."""

import pytest
import torch
from torch import Tensor

from bloomery.nn import RotaryPositionalEmbedding

THETA, D_K, LENGTH = 100.0, 8, 12


@pytest.fixture
def rope() -> RotaryPositionalEmbedding:
    return RotaryPositionalEmbedding(THETA, D_K, LENGTH)


def turn(x: Tensor, positions: Tensor) -> Tensor:
    """By e^(i · position · frequency), of pairs taken as complex numbers."""
    frequencies = THETA ** (-torch.arange(D_K // 2, dtype=torch.float64) * 2 / D_K)
    angles = positions.double().unsqueeze(-1) * frequencies
    pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2).to(x.dtype)


@pytest.mark.parametrize("leading", ((), (3,), (2, 3)))
def test_pairs_of_neighbours_turn(rope: RotaryPositionalEmbedding, leading: tuple[int, ...]) -> None:
    x = torch.randn(*leading, 5, D_K)
    torch.testing.assert_close(rope(x), turn(x, torch.arange(5)))
    positions = torch.tensor([3, 0, 11, 3, 7])
    torch.testing.assert_close(rope(x, positions), turn(x, positions))
    each = torch.randint(LENGTH, (*leading, 5))
    torch.testing.assert_close(rope(x, each), turn(x, each))


def test_products_depend_on_the_distance(rope: RotaryPositionalEmbedding) -> None:
    q, k = torch.randn(2, 1, D_K)
    products = [(rope(q, torch.tensor([t + 4])) * rope(k, torch.tensor([t]))).sum() for t in range(8)]
    torch.testing.assert_close(torch.stack(products), products[0].expand(8))


def test_far_positions_are_exact() -> None:
    position = 100_000
    rope = RotaryPositionalEmbedding(10_000.0, 2, position + 1)
    turned = rope(torch.tensor([[1.0, 0.0]]), torch.tensor([position]))
    expected = torch.tensor([[position]], dtype=torch.float64)
    torch.testing.assert_close(turned, torch.cat([expected.cos(), expected.sin()], -1).float())


def test_tables_are_no_state_and_stay_float32(rope: RotaryPositionalEmbedding) -> None:
    assert rope.state_dict() == {}
    assert list(rope.parameters()) == []
    x = torch.randn(LENGTH, D_K)
    expected = rope(x)
    assert rope.to(torch.bfloat16).cos.dtype == torch.float32
    assert torch.equal(rope(x), expected)
    assert rope(x.bfloat16()).dtype == torch.bfloat16
    filled = RotaryPositionalEmbedding(THETA, D_K, LENGTH, device="meta").to_empty(device="cpu")
    assert torch.equal(filled(x), expected)


def test_meta_device_in_context() -> None:
    with torch.device("meta"):
        assert RotaryPositionalEmbedding(THETA, D_K, LENGTH).cos.is_meta


def test_what_cannot_turn_is_refused(rope: RotaryPositionalEmbedding) -> None:
    with pytest.raises(ValueError, match=r"d_k = 7 is odd"):
        RotaryPositionalEmbedding(THETA, 7, LENGTH)
    with pytest.raises(ValueError, match=r"13 positions, but .* end at max_seq_len = 12"):
        rope(torch.zeros(13, D_K))
