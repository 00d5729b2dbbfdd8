"""The closed forms of the parameters against published figures and against the parameters of real models."""

from collections import Counter

import pytest

from bloomery.accounting import count_parameters, load_bytes, parameters_by_part
from bloomery.config import PRESETS, TransformerConfig


def test_gpt2_xl(xl: TransformerConfig, narrow_xl: TransformerConfig) -> None:
    assert count_parameters(xl) == 2_127_057_600
    assert load_bytes(xl) == 8_508_230_400
    assert load_bytes(xl, "bfloat16") == 4_254_115_200
    assert count_parameters(narrow_xl) == 1_640_452_800


def test_the_tinystories_model_has_17_million_beside_its_embeddings() -> None:
    parts = parameters_by_part(PRESETS["tinystories-17m"])
    assert sum(parts.values()) - parts["token_embeddings"] == 17_576_448


def part_of(name: str) -> str:
    if name.startswith("layers."):
        _, _, module, weight, *_ = name.split(".")
        if module == "attn":
            return "qk_norm" if "norm" in weight else "attention_projections"
        return {"ffn": "feed_forward", "ln1": "norms", "ln2": "norms"}[module]
    parts = {"token_embeddings": "token_embeddings", "ln_final": "norms", "lm_head": "output_head"}
    return parts[name.removesuffix(".weight")]


def test_every_part_equals_the_parameters_of_the_model(config: TransformerConfig) -> None:
    pytest.importorskip("torch")
    from bloomery.nn import TransformerLM

    model = TransformerLM(config, device="meta")
    counted: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        counted[part_of(name)] += parameter.numel()
    assert {part: count for part, count in parameters_by_part(config).items() if count} == counted
    assert count_parameters(config) == sum(parameter.numel() for parameter in model.parameters())
