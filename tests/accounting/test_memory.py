"""Memory of training: each term by hand for one model, and what the sum is good for."""

from dataclasses import replace

import pytest

from bloomery.accounting import TrainingMemory, activation_elements, training_memory
from bloomery.config import TransformerConfig

# T = 10, d = 24, f = 40, H = 4, V = 97, L = 3
PLAIN = {
    "rms_norms": 3 * 2 * 240,
    "qkv_projections": 3 * 3 * 240,
    "queries_keys": 3 * 400,
    "softmax": 3 * 400,
    "weighted_sum": 3 * 240,
    "output_projection": 3 * 240,
    "feed_forward_w1": 3 * 400,
    "silu": 3 * 400,
    "feed_forward_w3": 3 * 400,
    "gate_product": 3 * 400,
    "feed_forward_w2": 3 * 240,
    "final_rms_norm": 240,
    "output_head": 970,
    "cross_entropy": 970,
}
CONFIG = TransformerConfig(vocab_size=97, context_length=10, d_model=24, num_layers=3, num_heads=4, d_ff=40)


@pytest.mark.parametrize(
    ("switches", "changed"),
    (
        ({}, {}),
        ({"tie_embeddings": True, "norm_position": "post", "position": "none"}, {}),
        ({"norm": "none"}, {"rms_norms": 0, "final_rms_norm": 0}),
        ({"qk_norm": True}, {"rms_norms": 3 * 4 * 240}),
        ({"norm": "none", "qk_norm": True}, {"rms_norms": 3 * 2 * 240, "final_rms_norm": 0}),
        ({"feed_forward": "silu"}, {"feed_forward_w3": 0, "gate_product": 0}),
    ),
)
def test_activations(switches: dict[str, object], changed: dict[str, int]) -> None:
    assert activation_elements(replace(CONFIG, **switches)) == {**PLAIN, **changed}


def test_memory_is_linear_in_the_batch(xl: TransformerConfig) -> None:
    memory = training_memory(xl)
    assert memory.fixed == 16 * 2_127_057_600
    assert memory.per_sequence == 4 * sum(activation_elements(xl).values())
    assert memory.total(3) == 3 * memory.per_sequence + memory.fixed


def test_the_largest_batch_is_the_largest(xl: TransformerConfig, narrow_xl: TransformerConfig) -> None:
    for config in (xl, narrow_xl):
        memory = training_memory(config)
        batch = memory.largest_batch(80 * 10**9)
        assert memory.total(batch) <= 80 * 10**9 < memory.total(batch + 1)
    assert training_memory(xl).largest_batch(80 * 10**9) == 2
    assert training_memory(narrow_xl).largest_batch(80 * 10**9) == 3


def test_the_largest_batch_at_the_edge() -> None:
    memory = TrainingMemory(parameters=10, gradients=10, optimizer_state=20, activations={"softmax": 7})
    assert [memory.largest_batch(size) for size in (0, 39, 40, 46, 47, 54)] == [0, 0, 0, 0, 1, 2]


def test_dtypes(xl: TransformerConfig) -> None:
    full, half = training_memory(xl), training_memory(xl, dtype="bfloat16")
    mixed = training_memory(xl, activation_dtype="bfloat16")
    assert (half.fixed * 2, half.per_sequence * 2) == (full.fixed, full.per_sequence)
    assert (mixed.fixed, mixed.per_sequence) == (full.fixed, half.per_sequence)
