"""Checkpoints: a model, its optimizer and where the run stands, written whole or not at all.

A checkpoint is a folder: `model.safetensors` (the state dict), `optimizer.safetensors` (`exp_avg.{parameter}` and the
like, and the random states), `state.json` (the rest). Nothing in it is code, so loading one runs none.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn

from bloomery.files import input_error, load_json, load_tensors, new_folder, save_json, save_tensors

MODEL, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"
_UNFINISHED = ".old-"
_RANDOM = "random"

PathLike = str | os.PathLike[str]
FileLike = IO[bytes]


def save_checkpoint(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    iteration: int,
    out: PathLike | FileLike,
    *,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Saves a model, an optimizer and the number of steps done.

    Args:
        model: The model.
        optimizer: Its optimizer.
        iteration: Steps done.
        out: A path, which becomes a checkpoint folder and appears whole; or a binary file, which gets one `torch.save`.
        extra: More for `state.json` (a path only).

    Raises:
        OSError: It cannot be written; what stood at the path before is still there.
    """
    if not isinstance(out, str | os.PathLike):
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "iteration": iteration}, out)
        return
    tensors, values = _optimizer_parts(model, optimizer)
    state = {"iteration": iteration, **(extra or {}), "optimizer": values}
    folder = Path(out)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A folder cannot be replaced in one step: the old one makes way when the new one is whole.
    made = folder.with_name(f"{_UNFINISHED}{folder.name}") if folder.exists() else folder
    with new_folder(made) as unfinished:
        save_tensors(model.state_dict(), unfinished / MODEL)
        save_tensors(tensors, unfinished / OPTIMIZER)
        save_json(state, unfinished / STATE)
    if made != folder:
        _remove(folder)
        made.rename(folder)


def load_checkpoint(src: PathLike | FileLike, model: nn.Module, optimizer: torch.optim.Optimizer | None) -> int:
    """Puts a checkpoint into a model and, unless it is None, an optimizer.

    Returns:
        The number of steps done.

    Raises:
        OSError: It cannot be read.
        InputError: It is broken, or of a model of another shape.
    """
    if not isinstance(src, str | os.PathLike):
        values = torch.load(src, map_location="cpu", weights_only=True)
        model.load_state_dict(values["model"])
        if optimizer is not None:
            optimizer.load_state_dict(values["optimizer"])
        return int(values["iteration"])
    folder = Path(src)
    state = read_state(folder)
    load_weights(folder, model)
    if optimizer is not None:
        tensors = load_tensors(folder / OPTIMIZER)
        _restore_optimizer(folder, model, optimizer, tensors, state["optimizer"])
    return int(state["iteration"])


def load_weights(folder: Path, model: nn.Module) -> None:
    """Puts a checkpoint's weights into a model.

    Raises:
        InputError: A weight is missing, unknown or of another shape.
    """
    weights = load_tensors(folder / MODEL)
    wanted = model.state_dict()
    for name in sorted(wanted.keys() | weights.keys()):
        here, there = wanted.get(name), weights.get(name)
        if there is None or here is None:
            what = "lacks" if there is None else "has"
            raise input_error(folder / MODEL, f"it {what} {name}, so it is of another model: give that model's config")
        if here.shape != there.shape:
            raise input_error(
                folder / MODEL,
                f"{name} has the shape {tuple(there.shape)} there and {tuple(here.shape)} in this model: "
                "give the config that it was trained with",
            )
    model.load_state_dict(weights)


def read_state(folder: Path) -> dict[str, Any]:
    """A checkpoint's `state.json`.

    Raises:
        OSError: It cannot be read.
        InputError: It is broken.
    """
    state = load_json(folder / STATE)
    if "iteration" not in state or "optimizer" not in state:
        raise input_error(folder / STATE, "not the state of a checkpoint")
    return state


def random_states() -> dict[str, Tensor]:
    """The states of torch's generators."""
    states = {f"{_RANDOM}.cpu": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states[f"{_RANDOM}.cuda"] = torch.cuda.get_rng_state()
    return states


class Checkpoints:
    """The checkpoints of a run, `step-N` each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def steps(self) -> list[int]:
        """Their steps, in order."""
        if not self.folder.is_dir():
            return []
        found = (re.fullmatch(r"step-(\d+)", path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def path(self, step: int) -> Path:
        """The folder of the checkpoint after `step` steps."""
        return self.folder / f"step-{step}"

    def latest(self) -> Path | None:
        """The last one."""
        steps = self.steps()
        return self.path(steps[-1]) if steps else None

    def best(self) -> Path | None:
        """The one with the lowest validation loss; the last one where none was evaluated."""
        losses = [(state["valid_loss"], step) for step in self.steps() if "valid_loss" in (state := self._state(step))]
        return self.path(min(losses)[1]) if losses else self.latest()

    def prune(self, keep: int) -> None:
        """Removes all but the last `keep` and the best."""
        best = self.best()
        for step in self.steps()[:-keep]:
            if self.path(step) != best:
                _remove(self.path(step))

    def clean(self) -> None:
        """Removes what an interrupted run left unfinished."""
        if self.folder.is_dir():
            for path in (*self.folder.glob(f"{_UNFINISHED}*"), *self.folder.glob(".step-*.tmp")):
                shutil.rmtree(path, ignore_errors=True)

    def _state(self, step: int) -> dict[str, Any]:
        return read_state(self.path(step))


def _optimizer_parts(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The optimizer's tensors by name, and its other values."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    tensors = random_states()
    values: dict[str, dict[str, Any]] = {}
    for parameter, state in optimizer.state.items():
        name = names[id(parameter)]
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{key}.{name}"] = value
            else:
                values.setdefault(key, {})[name] = value
    return tensors, values


def _restore_optimizer(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    tensors: dict[str, Tensor],
    values: Mapping[str, Mapping[str, Any]],
) -> None:
    parameters = dict(model.named_parameters())
    states: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        key, _, parameter = name.partition(".")
        if key == _RANDOM:
            if parameter == "cpu":
                torch.set_rng_state(tensor)
            elif torch.cuda.is_available():
                torch.cuda.set_rng_state(tensor)
        else:
            states.setdefault(parameter, {})[key] = tensor
    for key, by_name in values.items():
        for parameter, value in by_name.items():
            states.setdefault(parameter, {})[key] = value
    unknown = states.keys() - parameters.keys()
    if unknown:
        raise input_error(folder / OPTIMIZER, f"it has a state for {min(unknown)}, which this model lacks")
    numbers = {id(p): number for number, p in enumerate(p for g in optimizer.param_groups for p in g["params"])}
    current = optimizer.state_dict()
    current["state"] = {numbers[id(parameters[name])]: state for name, state in states.items()}
    optimizer.load_state_dict(current)


def _remove(folder: Path) -> None:
    """Removes a folder, which is renamed first so that it is never seen half removed."""
    doomed = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_UNFINISHED))
    folder.rename(doomed / folder.name)
    shutil.rmtree(doomed)
