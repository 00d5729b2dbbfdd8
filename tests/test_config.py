"""The model's config: defaults, presets, what is refused, and the way through a file."""

import dataclasses
import json
import tomllib
from typing import Any

import pytest

from bloomery.config import PRESETS, TransformerConfig, default_d_ff
from bloomery.errors import ArgumentError


def test_defaults_are_the_tinystories_model() -> None:
    config = TransformerConfig()
    assert config == PRESETS["tinystories-17m"]
    assert (config.vocab_size, config.context_length, config.d_model) == (10_000, 256, 512)
    assert (config.num_layers, config.num_heads, config.d_ff, config.d_head) == (4, 16, 1_344, 32)
    assert (config.rope_theta, config.rms_norm_eps) == (10_000.0, 1e-5)


@pytest.mark.parametrize(
    ("d_model", "feed_forward", "d_ff"),
    ((512, "swiglu", 1_344), (768, "swiglu", 2_048), (1_600, "swiglu", 4_288), (8, "swiglu", 64), (8, "silu", 32)),
)
def test_d_ff_follows_d_model(d_model: int, feed_forward: Any, d_ff: int) -> None:
    assert default_d_ff(d_model, feed_forward) == d_ff
    config = TransformerConfig(d_model=d_model, num_heads=4, feed_forward=feed_forward)
    assert config.d_ff == d_ff
    assert TransformerConfig.from_dict({**config.to_dict(), "d_ff": None}) == config
    assert dataclasses.replace(config, d_ff=7).d_ff == 7


def test_gpt2_presets_have_its_sizes() -> None:
    sizes = {name: (c.d_model, c.num_layers, c.num_heads, c.d_ff) for name, c in PRESETS.items() if "gpt2" in name}
    assert sizes == {
        "gpt2-small": (768, 12, 12, 3_072),
        "gpt2-medium": (1_024, 24, 16, 4_096),
        "gpt2-large": (1_280, 36, 20, 5_120),
        "gpt2-xl": (1_600, 48, 25, 6_400),
    }
    assert {(PRESETS[name].vocab_size, PRESETS[name].context_length) for name in sizes} == {(50_257, 1_024)}


def test_config_goes_through_json_and_toml() -> None:
    config = TransformerConfig(norm="none", position="none", tie_embeddings=True, qk_norm=True, d_ff=100)
    assert TransformerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    lines = [f"{name} = {json.dumps(value)}" for name, value in config.to_dict().items()]
    assert TransformerConfig.from_dict(tomllib.loads("\n".join(lines))) == config


def test_whole_numbers_become_floats_where_floats_belong() -> None:
    config = TransformerConfig.from_dict({"rope_theta": 10_000})
    assert config == TransformerConfig()
    assert isinstance(config.rope_theta, float)


@pytest.mark.parametrize(
    ("values", "message"),
    (
        ({"vocab_size": 0}, r"vocab_size = 0 is not allowed: it must be a positive integer"),
        ({"d_model": "512"}, r"d_model = '512' is not allowed: it must be a positive integer"),
        ({"num_layers": 2.0}, r"num_layers = 2.0 is not allowed"),
        ({"num_layers": True}, r"num_layers = True is not allowed"),
        ({"d_ff": -1}, r"d_ff = -1 is not allowed"),
        ({"d_model": 100}, r"d_model = 100 does not divide into num_heads = 16 equal heads"),
        ({"d_model": 48}, r"d_model / num_heads = 3 is odd.*position = 'none'"),
        ({"rope_theta": 0}, r"rope_theta = 0 is not allowed: it must be a positive number"),
        ({"rms_norm_eps": float("nan")}, r"rms_norm_eps = nan is not allowed"),
        ({"rms_norm_eps": "1e-5"}, r"rms_norm_eps = '1e-5' is not allowed"),
        ({"tie_embeddings": 1}, r"tie_embeddings = 1 is not allowed: it must be true or false"),
        ({"norm": "layer"}, r"norm = 'layer' is not allowed: it must be 'rms' or 'none'"),
        ({"norm_position": "mid"}, r"'pre' or 'post'"),
        ({"position": "alibi"}, r"'rope' or 'none'"),
        ({"feed_forward": "relu"}, r"'swiglu' or 'silu'"),
        ({"num_head": 4}, r"'num_head' is not a field of a model: did you mean 'num_heads'\?"),
        ({"zzz": 4}, r"'zzz' is not a field of a model: there are vocab_size, context_length"),
    ),
)
def test_what_no_model_can_have_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        TransformerConfig.from_dict(values)


def test_odd_heads_are_fine_without_rope() -> None:
    assert TransformerConfig(d_model=48, position="none").d_head == 3


def test_config_is_immutable_and_hashable() -> None:
    config = TransformerConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.d_model = 1  # pyright: ignore[reportAttributeAccessIssue] # what is tested
    assert len({config, TransformerConfig(), TransformerConfig(d_model=256)}) == 2
