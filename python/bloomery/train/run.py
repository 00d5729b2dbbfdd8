"""The folder of a run: `config.toml`, `tokenizer.json`, `metrics.jsonl` and `checkpoints/step-N`."""

from pathlib import Path

import torch
from torch import nn

from bloomery import Tokenizer
from bloomery.config import TransformerConfig
from bloomery.errors import ArgumentError
from bloomery.nn import TransformerLM
from bloomery.train.checkpoint import Checkpoints, load_weights, save_checkpoint
from bloomery.train.config import DataConfig, RunConfig

CONFIG, TOKENIZER, CHECKPOINTS = "config.toml", "tokenizer.json", "checkpoints"


def load_model(
    run_folder: Path, checkpoint: str | Path = "latest", device: torch.device | str = "cpu"
) -> tuple[TransformerLM, Tokenizer]:
    """A trained model and its tokenizer.

    Args:
        run_folder: The folder of the run.
        checkpoint: "latest", "best" (by validation loss), or the folder of a checkpoint.
        device: Where the weights go.

    Raises:
        OSError: A file is missing.
        ArgumentError: The run has no checkpoint, or no tokenizer.
        InputError: A file is broken.
    """
    config = RunConfig.load(run_folder / CONFIG)
    checkpoints = Checkpoints(run_folder / CHECKPOINTS)
    if isinstance(checkpoint, Path) or checkpoint not in {"latest", "best"}:
        chosen = Path(checkpoint)
    else:
        found = checkpoints.latest() if checkpoint == "latest" else checkpoints.best()
        if found is None:
            raise ArgumentError(f"{run_folder} has no checkpoint yet: train it with `bloomery train`")
        chosen = found
    if not (run_folder / TOKENIZER).is_file():
        raise ArgumentError(f"{run_folder} has no {TOKENIZER}: put the tokenizer that made its token ids there")
    model = TransformerLM(config.model, device=device)
    load_weights(chosen, model)
    model.use_fused_attention()
    return model.eval(), Tokenizer.load(run_folder / TOKENIZER)


def save_model(folder: Path, model: TransformerLM, tokenizer: Tokenizer) -> None:
    """Makes a run folder with one checkpoint, of no step, out of a model from elsewhere.

    Raises:
        ArgumentError: The folder holds a run already.
        OSError: It cannot be written.
    """
    if (folder / CONFIG).exists():
        raise ArgumentError(f"{folder} holds a run already: choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(folder / TOKENIZER)
    data = DataConfig(tokenizer=str(folder / TOKENIZER))
    config = RunConfig(folder=str(folder), model=model.config, data=data)
    write_config(folder, config)
    save_checkpoint(model, _no_optimizer(model), 0, folder / CHECKPOINTS / "step-0")


def write_config(folder: Path, config: RunConfig) -> None:
    """Writes `config.toml`, whole or not at all."""
    unfinished = folder / f".{CONFIG}"
    unfinished.write_text(config.to_toml(), encoding="utf-8")
    unfinished.replace(folder / CONFIG)


def model_config(config: RunConfig, tokenizer: Tokenizer | None, *, named: bool) -> TransformerConfig:
    """The model's config, with the tokenizer's vocabulary size unless the run names one itself.

    Raises:
        ArgumentError: The size named is smaller than the tokenizer's.
    """
    if tokenizer is None:
        return config.model
    if not named:
        return TransformerConfig.from_dict({**config.model.to_dict(), "vocab_size": tokenizer.vocab_size})
    if config.model.vocab_size < tokenizer.vocab_size:
        raise ArgumentError(
            f"model.vocab_size = {config.model.vocab_size} is smaller than the tokenizer's {tokenizer.vocab_size}: "
            "leave it out, and it is the tokenizer's"
        )
    return config.model


def _no_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.0)
