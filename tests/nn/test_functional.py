"""The written-out functions against torch's own."""

import math

import pytest
import torch
import torch.nn.functional as torch_functional

from bloomery.nn import cross_entropy, scaled_dot_product_attention, silu, softmax


@pytest.mark.parametrize("dim", (0, 1, -1))
@pytest.mark.parametrize("offset", (0.0, 1e4, -1e4))
def test_softmax(dim: int, offset: float) -> None:
    x = torch.randn(3, 4, 5) * 10 + offset
    torch.testing.assert_close(softmax(x, dim), torch.softmax(x, dim))


def test_softmax_gives_nothing_to_what_is_masked() -> None:
    x = torch.tensor([[1.0, -math.inf, 2.0]])
    torch.testing.assert_close(softmax(x, -1), torch.softmax(x, -1))
    assert softmax(x, -1)[0, 1] == 0


def test_silu() -> None:
    x = torch.linspace(-100, 100, 201)
    torch.testing.assert_close(silu(x), torch_functional.silu(x))


@pytest.mark.parametrize("leading", ((), (7,), (2, 3, 4)))
@pytest.mark.parametrize("scale", (1.0, 1e3, 1e30))
def test_cross_entropy(leading: tuple[int, ...], scale: float) -> None:
    logits = (torch.randn(*leading, 9) * scale).requires_grad_()
    targets = torch.randint(9, leading)
    loss = cross_entropy(logits, targets)
    (ours,) = torch.autograd.grad(loss, logits)
    expected = torch_functional.cross_entropy(logits.reshape(-1, 9), targets.reshape(-1))
    (theirs,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours, theirs)
    assert loss.isfinite()


def test_cross_entropy_of_low_precision_is_summed_in_float32() -> None:
    logits = torch.randn(5, 1000).bfloat16()
    targets = torch.randint(1000, (5,))
    loss = cross_entropy(logits, targets)
    torch.testing.assert_close(loss, torch_functional.cross_entropy(logits.float(), targets))


def test_cross_entropy_refuses_other_shapes() -> None:
    # Broadcasting would give a number, and a wrong one.
    with pytest.raises(ValueError, match=r"logits of shape \[2, 3, 9\] need targets of shape \[2, 3\], not \[3\]"):
        cross_entropy(torch.zeros(2, 3, 9), torch.zeros(3, dtype=torch.long))


@pytest.mark.parametrize("leading", ((), (2,), (2, 3)))
@pytest.mark.parametrize("masked", (False, True))
def test_attention(leading: tuple[int, ...], masked: bool) -> None:
    q, k, v = torch.randn(*leading, 5, 8), torch.randn(*leading, 7, 8), torch.randn(*leading, 7, 6)
    mask = torch.rand(*leading, 5, 7) < 0.5 if masked else None
    if mask is not None:
        mask[..., 0] = True  # every query has a key to look at
    expected = torch_functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(scaled_dot_product_attention(q, k, v, mask), expected)


def test_attention_masks_broadcast() -> None:
    q, k, v = torch.randn(3, 2, 4, 5, 8).unbind()
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    expected = torch_functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(scaled_dot_product_attention(q, k, v, mask), expected)
