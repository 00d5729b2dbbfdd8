"""The closed forms of the FLOPs against published figures and against torch's counter."""

from dataclasses import replace

import pytest

from bloomery.accounting import (
    adamw_step_flops,
    flops_by_part,
    forward_flops,
    forward_matmuls,
    shares,
    training_flops_per_token,
)
from bloomery.config import PRESETS, TransformerConfig


@pytest.mark.parametrize(
    ("name", "flops"),
    (
        ("gpt2-small", "3.50e+11"),
        ("gpt2-medium", "1.03e+12"),
        ("gpt2-large", "2.26e+12"),
        ("gpt2-xl", "4.51e+12"),
    ),
)
def test_gpt2(name: str, flops: str) -> None:
    assert f"{forward_flops(PRESETS[name]):.2e}" == flops


def test_gpt2_xl(xl: TransformerConfig, narrow_xl: TransformerConfig) -> None:
    assert forward_flops(xl) == 4_513_336_524_800
    assert forward_flops(narrow_xl) == 3_516_769_894_400
    long = replace(xl, context_length=16_384)
    assert forward_flops(long) == 149_522_795_724_800
    assert round(shares(flops_by_part(long))["attention_products"], 3) == 0.552


def test_the_shares_of_gpt2_small() -> None:
    parts = shares(flops_by_part(PRESETS["gpt2-small"]))
    assert {name: round(100 * share, 1) for name, share in parts.items()} == {
        "feed_forward": 49.8,
        "projections": 16.6,
        "attention_products": 11.1,
        "output_head": 22.6,
    }


def torch_counts(config: TransformerConfig, batch_size: int) -> tuple[int, int]:
    """The FLOPs that torch sees in a forward and in a backward pass; on the meta device nothing is computed."""
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from bloomery.nn import TransformerLM

    model = TransformerLM(config, device="meta")
    tokens = torch.zeros(batch_size, config.context_length, dtype=torch.long, device="meta")
    with FlopCounterMode(display=False) as forward:
        logits = model(tokens)
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    return forward.get_total_flops(), backward.get_total_flops()


@pytest.mark.parametrize("batch_size", (1, 3))
def test_torch_counts_the_same(config: TransformerConfig, batch_size: int) -> None:
    forward, backward = torch_counts(config, batch_size)
    assert forward == forward_flops(config, batch_size=batch_size)
    tokens = batch_size * config.context_length
    assert forward + backward == training_flops_per_token(config, causal=False) * tokens


def test_torch_counts_the_same_for_gpt2_xl(xl: TransformerConfig) -> None:
    config = replace(xl, context_length=16_384)
    forward, backward = torch_counts(config, 1)
    assert (forward, backward) == (forward_flops(config), 2 * forward_flops(config))


def test_parts_are_sums_of_products(config: TransformerConfig) -> None:
    products = forward_matmuls(config, batch_size=2)
    for part, flops in flops_by_part(config, batch_size=2).items():
        assert flops == sum(
            2 * product.m * product.n * product.p * product.count for product in products if product.part == part
        )
    assert {product.part for product in products} == set(flops_by_part(config))


def test_causal_attention_counts_half(config: TransformerConfig) -> None:
    whole, half = flops_by_part(config), flops_by_part(config, causal=True)
    assert 2 * half.pop("attention_products") == whole.pop("attention_products")
    assert half == whole


def test_mfu_counts_causal_attention_half() -> None:
    config = PRESETS["gpt2-small"]
    weights = 12 * (4 * 768**2 + 3 * 768 * 3072) + 768 * 50_257
    assert training_flops_per_token(config) == 6 * weights + 6 * 12 * 768 * 1024
    assert training_flops_per_token(config, causal=False) == 6 * weights + 12 * 12 * 768 * 1024


def test_an_optimizer_step(xl: TransformerConfig) -> None:
    assert adamw_step_flops(xl) == 14 * 2_127_057_600
