"""Small models that between them turn every switch, and the models whose figures are known."""

from dataclasses import replace
from typing import Any

import pytest

from bloomery.config import PRESETS, TransformerConfig

# No two widths are equal, so that a formula with the wrong one shows.
SMALL = {"vocab_size": 97, "context_length": 10, "d_model": 24, "num_layers": 3, "num_heads": 4, "d_ff": 40}
SWITCHES: tuple[dict[str, Any], ...] = (
    {},
    {"norm": "none"},
    {"norm_position": "post"},
    {"position": "none"},
    {"feed_forward": "silu"},
    {"tie_embeddings": True},
    {"qk_norm": True},
    {"norm": "none", "qk_norm": True, "feed_forward": "silu", "tie_embeddings": True, "position": "none"},
    {"num_heads": 1, "d_ff": 0},
)


@pytest.fixture(params=SWITCHES, ids=lambda switches: ",".join(switches) or "plain")
def config(request: pytest.FixtureRequest) -> TransformerConfig:
    return TransformerConfig(**{**SMALL, **request.param})


@pytest.fixture
def xl() -> TransformerConfig:
    return PRESETS["gpt2-xl"]


@pytest.fixture
def narrow_xl(xl: TransformerConfig) -> TransformerConfig:
    """XL with the usual inner width of a gated feed-forward network."""
    return replace(xl, d_ff=4_288)
