"""From a config to a finished run, in as many processes as torchrun started."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bloomery import Tokenizer
from bloomery.train.config import RunConfig
from bloomery.train.run import model_config
from bloomery.train.runtime import Runtime, process_group
from bloomery.train.trainer import Result, Trainer, Watcher


def train(
    config: RunConfig,
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> Result:
    """Trains as the config says.

    Args:
        config: The run.
        resume: Goes on with the run in the config's folder; starts it where there is none.
        watcher: Is told how it goes, in the main process.
        announce: Is told in a line what was chosen for this machine, in the main process.

    Raises:
        ArgumentError, OSError, InputError, TokenIdError, DivergedError: As `Trainer` and `Trainer.run`.
    """
    with process_group(config.train):
        runtime = Runtime.choose(config.train)
        trainer = Trainer(config, runtime, resume=resume)
        if runtime.is_main:
            parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
            announce(f"{parameters:,} parameters on {runtime}")
            if trainer.step:
                announce(f"going on from step {trainer.step:,}")
        return trainer.run(watcher if runtime.is_main else None)


def load_config(path: Path, overrides: Mapping[str, str]) -> RunConfig:
    """Reads a config, and gives its model the tokenizer's vocabulary size unless it names one.

    Raises:
        As `RunConfig.load` and `Tokenizer.load`.
    """
    values = RunConfig.read(path, overrides)
    config = RunConfig.from_dict(values)
    if config.data.tokenizer is None:
        return config
    section: Mapping[str, Any] = values.get("model", {})
    model = model_config(config, Tokenizer.load(config.data.tokenizer), named="vocab_size" in section)
    return dataclasses.replace(config, model=model)
