"""A model as Llama writes it: the config's fields, the weights' names, and the order of the rows that RoPE turns."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from bloomery.config import TransformerConfig
from bloomery.errors import ArgumentError, UnsupportedError
from bloomery.files import input_error

_FIELDS = {
    "vocab_size": "vocab_size",
    "context_length": "max_position_embeddings",
    "d_model": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "d_ff": "intermediate_size",
}
_LAYER = {
    "attn.q_proj": "self_attn.q_proj",
    "attn.k_proj": "self_attn.k_proj",
    "attn.v_proj": "self_attn.v_proj",
    "attn.output_proj": "self_attn.o_proj",
    "ln1": "input_layernorm",
    "ln2": "post_attention_layernorm",
    "ffn.w1": "mlp.gate_proj",
    "ffn.w2": "mlp.down_proj",
    "ffn.w3": "mlp.up_proj",
}
# What Llama is; a model of this package that is something else cannot be written as one.
_LLAMA = {"norm": "rms", "norm_position": "pre", "position": "rope", "feed_forward": "swiglu", "qk_norm": False}


def to_llama_config(config: TransformerConfig) -> dict[str, Any]:
    """The fields of Llama's config.json.

    Raises:
        UnsupportedError: Llama has no such model; nothing near it is written instead.
    """
    for field, value in _LLAMA.items():
        if getattr(config, field) != value:
            raise _unsupported(
                "the model",
                f"{field} = {getattr(config, field)!r}",
                f"LlamaForCausalLM cannot express it (it has {field} = {value!r})",
            )
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **{theirs: getattr(config, ours) for ours, theirs in _FIELDS.items()},
        "num_key_value_heads": config.num_heads,
        "head_dim": config.d_head,
        "hidden_act": "silu",
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": config.tie_embeddings,
        "attention_bias": False,
        "mlp_bias": False,
    }


def from_llama_config(values: Mapping[str, Any], path: Path) -> TransformerConfig:
    """The config that Llama's config.json describes.

    Args:
        values: The file's content. Fields left out have Llama's defaults; those of the size must be there.
        path: The file, for errors.

    Raises:
        UnsupportedError: It is no Llama, or has what this package's model does not.
        InputError: A field is missing or has an impossible value.
    """
    if values.get("model_type") != "llama":
        raise _unsupported(str(path), f"model_type = {values.get('model_type')!r}", "only 'llama' can be imported")
    missing = [name for name in _FIELDS.values() if name not in values]
    if missing:
        raise input_error(path, f"{missing[0]!r} is missing")
    rope: Mapping[str, Any] = values.get("rope_parameters") or values.get("rope_scaling") or {}
    try:
        config = TransformerConfig(
            **{ours: values[theirs] for ours, theirs in _FIELDS.items()},
            rms_norm_eps=values.get("rms_norm_eps", 1e-6),
            rope_theta=rope.get("rope_theta", values.get("rope_theta", 10_000.0)),
            tie_embeddings=values.get("tie_word_embeddings", False),
        )
    except ArgumentError as error:
        raise input_error(path, str(error)) from error
    for name, value, ours in (
        ("num_key_value_heads", values.get("num_key_value_heads"), config.num_heads),
        ("head_dim", values.get("head_dim"), config.d_head),
        ("hidden_act", values.get("hidden_act"), "silu"),
        ("rope_type", rope.get("rope_type", rope.get("type")), "default"),
        ("attention_bias", values.get("attention_bias"), False),
        ("mlp_bias", values.get("mlp_bias"), False),
        ("quantization_config", values.get("quantization_config"), None),
    ):
        if value not in (None, ours):
            raise _unsupported(str(path), f"{name} = {value!r}", f"of this model only {ours!r} can be imported")
    return config


def to_llama_weights(weights: Mapping[str, Tensor], config: TransformerConfig) -> dict[str, Tensor]:
    """A state dict of `TransformerLM` under Llama's names, with its order of rows."""
    return {
        theirs: _halves(weights[ours], config.num_heads) if _is_turned(ours) else weights[ours]
        for ours, theirs in names(config)
    }


def from_llama_weights(weights: Mapping[str, Tensor], config: TransformerConfig) -> dict[str, Tensor]:
    """The inverse of `to_llama_weights`."""
    return {
        ours: _pairs(weights[theirs], config.num_heads) if _is_turned(ours) else weights[theirs]
        for ours, theirs in names(config)
    }


def names(config: TransformerConfig) -> Iterator[tuple[str, str]]:
    """The names of each weight, here and in Llama."""
    yield "token_embeddings.weight", "model.embed_tokens.weight"
    for layer in range(config.num_layers):
        for ours, theirs in _LAYER.items():
            yield f"layers.{layer}.{ours}.weight", f"model.layers.{layer}.{theirs}.weight"
    yield "ln_final.weight", "model.norm.weight"
    if not config.tie_embeddings:
        yield "lm_head.weight", "lm_head.weight"


def _is_turned(name: str) -> bool:
    return name.endswith(("q_proj.weight", "k_proj.weight"))


def _halves(weight: Tensor, num_heads: int) -> Tensor:
    """From RoPE on neighbours (2i, 2i+1) to RoPE on (i, i + d_head/2): in each head the even rows first, then the odd.

    The same rows of queries and keys move, so their products stay what they were.
    """
    return weight.reshape(num_heads, -1, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def _pairs(weight: Tensor, num_heads: int) -> Tensor:
    """The inverse of `_halves`."""
    return weight.reshape(num_heads, 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def _unsupported(origin: str, feature: str, why: str) -> UnsupportedError:
    error = UnsupportedError(f"{origin}: {feature}: {why}")
    error.origin, error.feature = origin, feature
    return error
