"""Attention and the block: against torch's own, causality, positions, and with any leading dimensions."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bloomery.nn import CausalMultiHeadSelfAttention, LayerCache, RotaryPositionalEmbedding, TransformerBlock

D_MODEL, HEADS, LENGTH = 12, 2, 7


def make_rope() -> RotaryPositionalEmbedding:
    return RotaryPositionalEmbedding(10_000.0, D_MODEL // HEADS, 20)


def torch_attention(attention: CausalMultiHeadSelfAttention, x: Tensor) -> Tensor:
    """nn.MultiheadAttention with the same weights, on [batch, T, d_model]."""
    reference = nn.MultiheadAttention(D_MODEL, HEADS, bias=False, batch_first=True)
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    reference.in_proj_weight = nn.Parameter(torch.cat([projection.weight for projection in projections]))
    reference.out_proj.weight = attention.output_proj.weight
    mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)  # there, true is hidden
    return reference(x, x, x, attn_mask=mask, need_weights=False)[0]


@pytest.mark.parametrize("fused", (False, True))
def test_equals_torch(fused: bool) -> None:
    attention = CausalMultiHeadSelfAttention(D_MODEL, HEADS)
    attention.fused = fused
    x = torch.randn(3, LENGTH, D_MODEL)
    torch.testing.assert_close(attention(x), torch_attention(attention, x))


@pytest.mark.parametrize("fused", (False, True))
@pytest.mark.parametrize("qk_norm", (False, True))
@pytest.mark.parametrize("rope", (False, True))
def test_the_future_does_not_matter(fused: bool, qk_norm: bool, rope: bool) -> None:
    attention = CausalMultiHeadSelfAttention(D_MODEL, HEADS, make_rope() if rope else None, qk_norm=qk_norm)
    attention.fused = fused
    x = torch.randn(2, LENGTH, D_MODEL)
    changed = x.clone()
    changed[:, 4] += 1
    before, after = attention(x), attention(changed)
    torch.testing.assert_close(before[:, :4], after[:, :4], rtol=0, atol=0)
    assert (before[:, 4:] - after[:, 4:]).abs().amax((0, 2)).min() > 1e-4


@pytest.mark.parametrize("leading", ((), (3,), (2, 3)))
@pytest.mark.parametrize("make", (CausalMultiHeadSelfAttention, lambda d, h, r: TransformerBlock(d, h, 8, r)))
def test_leading_dimensions(leading: tuple[int, ...], make: Any) -> None:
    module = make(D_MODEL, HEADS, make_rope())
    x = torch.randn(*leading, LENGTH, D_MODEL)
    result = module(x)
    each = torch.stack([module(row) for row in x.reshape(-1, LENGTH, D_MODEL)])
    torch.testing.assert_close(result, each.reshape(x.shape))


def test_positions_count_from_zero_and_matter_by_distance() -> None:
    attention = CausalMultiHeadSelfAttention(D_MODEL, HEADS, make_rope())
    x = torch.randn(2, LENGTH, D_MODEL)
    positions = torch.arange(LENGTH)
    torch.testing.assert_close(attention(x, positions), attention(x))
    torch.testing.assert_close(attention(x, positions + 13), attention(x))
    torch.testing.assert_close(attention(x, torch.stack([positions, positions + 1])), attention(x))
    assert (attention(x, positions * 2) - attention(x)).abs().max() > 1e-3


def test_qk_norm_forgets_the_size_of_queries_and_keys() -> None:
    attention = CausalMultiHeadSelfAttention(D_MODEL, HEADS, make_rope(), qk_norm=True, eps=1e-12)
    x = torch.randn(2, LENGTH, D_MODEL)
    before = attention(x)
    with torch.no_grad():
        attention.q_proj.weight.mul_(100)
        attention.k_proj.weight.mul_(0.01)
    torch.testing.assert_close(attention(x), before)
    assert {name for name, p in attention.named_parameters() if p.shape == (D_MODEL // HEADS,)} == {
        "q_norm.weight",
        "k_norm.weight",
    }


def test_block_as_written() -> None:
    x = torch.randn(2, LENGTH, D_MODEL)
    pre = TransformerBlock(D_MODEL, HEADS, 8, make_rope())
    inner = x + pre.attn(pre.ln1(x))
    torch.testing.assert_close(pre(x), inner + pre.ffn(pre.ln2(inner)))
    post = TransformerBlock(D_MODEL, HEADS, 8, make_rope(), norm_position="post")
    inner = post.ln1(x + post.attn(x))
    torch.testing.assert_close(post(x), post.ln2(inner + post.ffn(inner)))


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match=r"d_model = 12 does not divide into num_heads = 5"):
        CausalMultiHeadSelfAttention(12, 5)


@torch.inference_mode()
@pytest.mark.parametrize("fused", (False, True))
def test_cached_pieces_equal_the_whole(fused: bool) -> None:
    attention = CausalMultiHeadSelfAttention(D_MODEL, HEADS, make_rope())
    attention.fused = fused
    x = torch.randn(3, 6, D_MODEL)
    cache = LayerCache(3, HEADS, 6, D_MODEL // HEADS)
    pieces = [attention(piece, cache=cache) for piece in x.split([2, 3, 1], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, 1), attention(x))


def test_cache_says_what_it_cannot_hold() -> None:
    attention = CausalMultiHeadSelfAttention(D_MODEL, HEADS)
    cache = LayerCache(2, HEADS, 4, D_MODEL // HEADS)
    x = torch.randn(2, 5, D_MODEL)
    with pytest.raises(RuntimeError, match=r"call the model under torch.inference_mode\(\)"):
        attention(x[:, :2], cache=cache)
    with torch.inference_mode():
        with pytest.raises(ValueError, match=r"holds \[2, 2, tokens, 6\] .* not \[1, 2, 2, 6\]"):
            attention(x[:1, :2], cache=cache)
        with pytest.raises(ValueError, match=r"holds 4 tokens, not 5"):
            attention(x, cache=cache)
        attention(x[:, :4], cache=cache)
        assert cache.length == 4
        cache.clear()
        assert cache.length == 0
