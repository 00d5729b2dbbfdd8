"""Checkpoints: a model, its optimizer and where the run stands, written whole or not at all.

A checkpoint is a folder: `model.safetensors` (the state dict), `optimizer.safetensors` (`exp_avg.{parameter}` and the
like, and the random states), `state.json` (the rest). Nothing in it is code, so loading one runs none. It is the same
whether one process held the weights or each had a shard of them, and any number of processes goes on from it.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bloomery.errors import ArgumentError
from bloomery.files import input_error, load_json, load_tensors, new_folder, save_json, save_tensors, tensor_shapes
from bloomery.train.distributed import is_sharded

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
        model: The model. Where its parameters are sharded over processes, all of them must call this, and each writes
            its own.
        optimizer: Its optimizer.
        iteration: Steps done.
        out: A path, which becomes a checkpoint folder and appears whole; or a binary file, which gets one `torch.save`.
        extra: More for `state.json` (a path only).

    Raises:
        OSError: It cannot be written; what stood at the path before is still there.
        ArgumentError: A sharded model, and a file.
    """
    sharded = is_sharded(model)
    if not isinstance(out, str | os.PathLike):
        if sharded:
            raise ArgumentError("weights that are sharded over processes do not go into a file: give a path")
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "iteration": iteration}, out)
        return
    main = not sharded or dist.get_rank() == 0
    tensors, values = _optimizer_parts(model, optimizer)
    if main:
        tensors.update(random_states())
    state = {"iteration": iteration, **(extra or {}), "optimizer": values}
    folder = Path(out)
    # A folder cannot be replaced in one step: the old one makes way when the new one is whole.
    made = folder.with_name(f"{_UNFINISHED}{folder.name}") if folder.exists() else folder
    with _one_folder(made) if sharded else new_folder(made) as unfinished:
        _save(model.state_dict(), unfinished / MODEL, sharded=sharded)
        _save(tensors, unfinished / OPTIMIZER, sharded=sharded)
        if main:
            save_json(state, unfinished / STATE)
    if main and made != folder:
        _remove(folder)
        made.rename(folder)


def load_checkpoint(src: PathLike | FileLike, model: nn.Module, optimizer: torch.optim.Optimizer | None) -> int:
    """Puts a checkpoint into a model and, unless it is None, an optimizer.

    Where the parameters are sharded over processes, all of them must call this, and each reads its own; how many wrote
    the checkpoint does not matter.

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
        path = folder / OPTIMIZER
        tensors = _load_optimizer_shards(path, model) if is_sharded(model) else load_tensors(path)
        _restore_optimizer(folder, model, optimizer, tensors, state["optimizer"])
    return int(state["iteration"])


def load_weights(folder: Path, model: nn.Module) -> None:
    """Puts a checkpoint's weights into a model.

    Raises:
        InputError: A weight is missing, unknown or of another shape.
    """
    path = folder / MODEL
    found, wanted = tensor_shapes(path), model.state_dict()
    for name in sorted(wanted.keys() | found.keys()):
        here, there = wanted.get(name), found.get(name)
        if there is None or here is None:
            what = "lacks" if there is None else "has"
            raise input_error(path, f"it {what} {name}, so it is of another model: give that model's config")
        if here.shape != there:
            raise input_error(
                path,
                f"{name} has the shape {tuple(there)} there and {tuple(here.shape)} in this model: "
                "give the config that it was trained with",
            )
    if is_sharded(model):
        _shards().load_shards(path, wanted)
    else:
        model.load_state_dict(load_tensors(path))


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
    tensors: dict[str, Tensor] = {}
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


def _load_optimizer_shards(path: Path, model: nn.Module) -> dict[str, Tensor]:
    """This process's part of an optimizer's tensors; whole are those that have not their parameter's shape."""
    parameters = dict(model.named_parameters())
    tensors: dict[str, Tensor] = {}
    for name, shape in tensor_shapes(path).items():
        key, _, of = name.partition(".")
        parameter = parameters.get(of)
        if parameter is not None and parameter.shape == shape:
            tensors[name] = torch.zeros_like(parameter)
        else:
            tensors[name] = torch.zeros(shape, dtype=torch.uint8 if key == _RANDOM else torch.float32)
    _shards().load_shards(path, tensors)
    return tensors


def _save(tensors: Mapping[str, Tensor], path: Path, *, sharded: bool) -> None:
    if sharded:
        _shards().save_shards(tensors, path)
    else:
        save_tensors(tensors, path)


def _shards() -> Any:
    from bloomery.train import shards  # noqa: PLC0415 - seconds to import, and only sharded runs need it

    return shards


@contextmanager
def _one_folder(folder: Path) -> Generator[Path]:
    """`new_folder`, made and named by the first process for all."""
    if dist.get_rank() == 0:
        with new_folder(folder) as unfinished:
            dist.broadcast_object_list([str(unfinished)])
            yield unfinished
        return
    name: list[Any] = [None]
    dist.broadcast_object_list(name)
    try:
        yield Path(name[0])
    except OSError as error:
        error.filename = str(error.filename or folder).replace(name[0], str(folder))
        raise


def _remove(folder: Path) -> None:
    """Removes a folder, which is renamed first so that it is never seen half removed."""
    doomed = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_UNFINISHED))
    folder.rename(doomed / folder.name)
    shutil.rmtree(doomed)
