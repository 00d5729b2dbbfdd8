"""The folder of a `LlamaForCausalLM`, which transformers, vLLM and their like open, written and read."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from bloomery import Tokenizer
from bloomery.errors import ArgumentError
from bloomery.export.llama import (
    from_llama_config,
    from_llama_weights,
    names,
    to_llama_config,
    to_llama_weights,
)
from bloomery.files import input_error, load_json, load_tensors, new_folder, save_json, save_tensors
from bloomery.nn import TransformerLM

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"


def export_hf(model: TransformerLM, tokenizer: Tokenizer, folder: str | os.PathLike[str]) -> None:
    """Writes config.json, generation_config.json, model.safetensors, tokenizer.json and tokenizer_config.json.

    The folder appears whole or not at all. ``<|endoftext|>``, where the tokenizer has it, ends texts there too, and
    begins those without a prompt.

    Args:
        model: The model; its weights are written in the dtype that they have.
        tokenizer: The tokenizer that it was trained with.
        folder: A new or empty folder.

    Raises:
        UnsupportedError: Llama cannot express the model (QK-norm, post-norm, no norm, no position, plain SiLU), or
            tokenizer.json the tokenizer.
        ArgumentError: The tokenizer has ids beyond the model's vocabulary.
        FileExistsError: The folder is not empty.
        OSError: A file cannot be written; nothing is left behind.
    """
    config = to_llama_config(model.config)
    if tokenizer.vocab_size > model.config.vocab_size:
        raise ArgumentError(
            f"the tokenizer has ids up to {tokenizer.vocab_size - 1} and the model a vocabulary of "
            f"{model.config.vocab_size}: use the tokenizer that the model was trained with"
        )
    dtype = str(model.token_embeddings.weight.dtype).removeprefix("torch.")
    ends = {"bos_token_id": tokenizer.eot_id, "eos_token_id": tokenizer.eot_id}
    end_token = None if tokenizer.eot_id is None else tokenizer.id_to_token(tokenizer.eot_id).decode()
    with new_folder(Path(folder)) as new:
        # torch_dtype, since older versions do not know it as dtype and newer ones know both.
        save_json({**config, **ends, "torch_dtype": dtype}, new / "config.json")
        save_json(ends, new / "generation_config.json")
        save_json(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": end_token,
                "eos_token": end_token,
                "model_max_length": model.config.context_length,
                "clean_up_tokenization_spaces": False,
            },
            new / "tokenizer_config.json",
        )
        tokenizer.save(new / "tokenizer.json")
        save_tensors(to_llama_weights(model.state_dict(), model.config), new / _WEIGHTS)


def import_hf(folder: str | os.PathLike[str]) -> tuple[TransformerLM, Tokenizer]:
    """Reads the folder of a `LlamaForCausalLM`, written here or elsewhere.

    Args:
        folder: With config.json, tokenizer.json and model.safetensors, or several files of weights and their index.

    Returns:
        The model on the CPU, its weights in float32 whatever they are in the file, and the tokenizer.

    Raises:
        UnsupportedError: The model or the tokenizer has what this package's has not (fewer heads for keys and values,
            scaled RoPE, biases ...); the message names it.
        InputError: A file is broken, or the weights are not those of the config.
        OSError: A file cannot be read.
    """
    folder = Path(folder)
    path = folder / "config.json"
    config = from_llama_config(load_json(path), path)
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    # Made without memory first: there is no sense in drawing weights that are replaced.
    model = TransformerLM(config, device="meta").to_empty(device="cpu")
    weights, origin = _load_weights(folder)
    expected = {theirs: model.get_parameter(ours).shape for ours, theirs in names(config)}
    _check(weights, expected, origin)
    model.load_state_dict(from_llama_weights(weights, config))
    return model, tokenizer


def _load_weights(folder: Path) -> tuple[dict[str, Tensor], Path]:
    """All weights, and the file to name in errors about them."""
    index = folder / _INDEX
    if not index.exists():
        return load_tensors(folder / _WEIGHTS), folder / _WEIGHTS
    files = load_json(index).get("weight_map", {})
    weights: dict[str, Tensor] = {}
    for name in sorted(set(files.values())):
        weights.update(load_tensors(folder / name))
    return weights, index


def _check(weights: Mapping[str, Tensor], expected: Mapping[str, torch.Size], path: Path) -> None:
    """Compares names and shapes. What a model computes itself, or ties, may be in the file too, and is not read."""
    problem = None
    for name, shape in expected.items():
        if name not in weights:
            problem = f"{name} is missing"
        elif weights[name].shape != shape:
            problem = f"{name} has the shape {list(weights[name].shape)}, and by config.json {list(shape)}"
    for name in weights.keys() - expected.keys():
        if name != "lm_head.weight" and not name.endswith("rotary_emb.inv_freq"):
            problem = f"{name} is no weight of a Llama of this config"
    if problem is not None:
        raise input_error(path, problem)
