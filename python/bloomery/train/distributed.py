"""How the processes of a run share a step: each with all the weights (DDP), or each with its shard of them (FSDP2)."""

import inspect
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bloomery.train.loss import LanguageModelLoss
from bloomery.train.runtime import Runtime

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule

# Torch's sharded tensors take seconds to import, and runs without them need not: they are imported where they are made,
# and elsewhere known by their methods.


def share_work(loss: LanguageModelLoss, runtime: Runtime) -> nn.Module:
    """Makes all processes train one model; to be called before an optimizer takes the parameters.

    Args:
        loss: Of the same weights in all processes. Where the runtime shards, its parameters become DTensors: every
            process keeps a slice of each, and has a layer whole only while it computes it.
        runtime: The processes.

    Returns:
        What to call in the place of the loss: the loss itself where weights are sharded, or where a process is alone.
    """
    if runtime.world_size == 1:
        return loss
    if not runtime.sharded:
        # The only buffers are RoPE's tables, the same everywhere. Torch has renamed the option.
        known = inspect.signature(DistributedDataParallel).parameters
        option = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        return DistributedDataParallel(loss, **{option: False})  # pyright: ignore[reportArgumentType] - not of one type

    from torch.distributed.device_mesh import init_device_mesh  # noqa: PLC0415
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard  # noqa: PLC0415

    # Layers are fetched in the type that they are computed in, and gradients summed in that of the weights.
    narrow = runtime.precision is not torch.float32
    precision = MixedPrecisionPolicy(runtime.precision, torch.float32) if narrow else MixedPrecisionPolicy()
    mesh = init_device_mesh(runtime.device.type, (runtime.world_size,))
    for layer in loss.model.layers:
        fully_shard(layer, mesh=mesh, mp_policy=precision)
    # Embedding, final norm and head are the root's.
    fully_shard(loss, mesh=mesh, mp_policy=precision)
    return loss


def reducing(module: nn.Module, *, enabled: bool) -> AbstractContextManager[None]:
    """Around a forward and backward pass of what `share_work` gave: whether gradients are summed over processes.

    Those that are not are summed in this process, until a pass with `enabled` takes all of them to the others.
    """
    if isinstance(module, DistributedDataParallel):
        return nullcontext() if enabled else module.no_sync()
    if hasattr(module, "set_requires_gradient_sync"):
        cast("FSDPModule", module).set_requires_gradient_sync(enabled)
    return nullcontext()


def reshard(module: nn.Module) -> None:
    """Frees the weights that a forward pass without a backward pass has left whole."""
    if hasattr(module, "reshard"):
        cast("FSDPModule", module).reshard()


def is_sharded(module: nn.Module) -> bool:
    """Whether `share_work` left slices of the parameters in this process."""
    return any(hasattr(parameter, "full_tensor") for parameter in module.parameters())


def whole(tensor: Tensor) -> Tensor:
    """The tensor itself, or what the slices of all processes make together; all of them must ask."""
    return cast("Any", tensor).full_tensor() if hasattr(tensor, "full_tensor") else tensor
