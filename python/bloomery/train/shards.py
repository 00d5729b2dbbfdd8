"""Safetensors files that many processes write and read together: storage for torch.distributed.checkpoint.

Torch's planner says which process has which part of which tensor. The first process writes the file's header, and every
process its parts straight to their places behind it: nothing is gathered, and the file is byte for byte the one that a
single process writes. Reading, every process takes its parts out of the file, however many wrote it.
"""

import dataclasses
import json
import math
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import safetensors
import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, SavePlan, SavePlanner, WriteItem
from torch.distributed.checkpoint.state_dict_loader import load as load_planned  # pyright: ignore[reportUnknownVariableType] - partly untyped, as below
from torch.distributed.checkpoint.state_dict_saver import save as save_planned  # pyright: ignore[reportUnknownVariableType]
from torch.distributed.checkpoint.storage import StorageReader, StorageWriter, WriteResult
from torch.futures import Future

from bloomery.files import tensor_shapes

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
}


def save_shards(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Writes tensors of which every process has a part, and has it on the disk when it returns; all must call it.

    Args:
        tensors: DTensors that are sharded along their first dimension, or whole tensors: of those that several
            processes have, one is written.
        path: The file, the same for all.

    Raises:
        OSError: A process cannot write it; raised in all.
    """
    _together(lambda: save_planned(dict(tensors), storage_writer=_Writer(path)))


def load_shards(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Fills tensors, DTensors or whole ones, with what a safetensors file has under their names; all must call it.

    Args:
        path: The file, the same for all.
        tensors: They have the file's shapes.

    Raises:
        OSError: A process cannot read it; raised in all.
        InputError: It is no whole safetensors file.
    """
    tensor_shapes(path)
    _together(lambda: load_planned(dict(tensors), storage_reader=_Reader(path)))


class _Writer(StorageWriter):
    def __init__(self, path: Path) -> None:
        self._path = path

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        pass

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:  # noqa: FBT001 - as torch calls it
        pass

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """In the first process: begins the file, and tells all where each tensor's bytes start."""
        parts = [item.tensor_data for plan in plans for item in plan.items]
        names = [item.index.fqn for plan in plans for item in plan.items]
        tensors = {name: part for name, part in zip(names, parts, strict=True) if part is not None}
        # The order of the safetensors library: wide numbers first, so that all are aligned.
        order = sorted(tensors, key=lambda name: (-tensors[name].properties.dtype.itemsize, name))
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        starts: dict[str, int] = {}
        end = 0
        for name in order:
            size, dtype = tensors[name].size, tensors[name].properties.dtype
            starts[name], end = end, end + math.prod(size) * dtype.itemsize
            header[name] = {"dtype": _NAMES[dtype], "shape": list(size), "data_offsets": [starts[name], end]}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with _naming(self._path), self._path.open("xb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + end)
        places = {name: 8 + len(text) + start for name, start in starts.items()}
        return [dataclasses.replace(plan, storage_data=places) for plan in plans]

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        places: dict[str, int] = plan.storage_data
        with _naming(self._path), self._path.open("r+b") as file:
            for item in plan.items:
                part = cast("Tensor", planner.resolve_data(item)).detach().cpu().contiguous()
                file.seek(places[item.index.fqn] + _first_byte(item, part))
                file.write(part.reshape(-1).view(torch.uint8).numpy().data)
            file.flush()
            os.fsync(file.fileno())
        return _done([])

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        pass

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:  # noqa: ARG003
        return True


class _Reader(StorageReader):
    def __init__(self, path: Path) -> None:
        self._path = path

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        pass

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:  # noqa: ARG002
        """Every tensor as one part."""
        return Metadata(
            {
                name: TensorStorageMetadata(
                    TensorProperties(), shape, [ChunkStorageMetadata(torch.Size([0] * len(shape)), shape)]
                )
                for name, shape in tensor_shapes(self._path).items()
            }
        )

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:  # noqa: FBT001
        pass

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        reader: Any = safetensors.safe_open(self._path, "pt")  # no types in the library
        with reader as file:
            for item in plan.items:
                name = item.storage_index.fqn
                part = tuple(slice(o, o + length) for o, length in zip(item.storage_offsets, item.lengths, strict=True))
                target = planner.resolve_tensor(item).detach()
                # A scalar has no slices.
                target.copy_(file.get_slice(name)[part] if part else file.get_tensor(name))
                planner.commit_tensor(item, target)
        return _done(None)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:  # noqa: ARG003
        return True


@contextmanager
def _naming(path: Path) -> Generator[None]:
    """Gives a path to errors that have none: a write that fails does not know its file."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _first_byte(item: WriteItem, part: Tensor) -> int:
    """Where a part begins in its tensor's bytes."""
    whole = item.tensor_data
    if whole is None or tuple(whole.chunk.sizes[1:]) != tuple(whole.size[1:]):
        raise ValueError(f"{item.index.fqn} is not sharded along its first dimension alone")
    first = whole.chunk.offsets[0] if whole.size else 0
    return first * math.prod(whole.size[1:]) * part.element_size()


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def _together(call: Callable[[], object]) -> None:
    """Calls torch, which tells all processes what failed in any, and raises what failed rather than its wrapping."""
    try:
        call()
    except CheckpointException as error:
        for failure, _ in error.failures.values():
            if isinstance(failure, OSError):
                raise failure from None
        raise
