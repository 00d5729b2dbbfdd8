"""Kernels of libraries for Hopper GPUs: QuACK's products that end in RoPE or in SwiGLU's gate, and FlashAttention 4.

A product that turns or gates what it has computed before it stores it saves another kernel's passes through memory.
On an H100, for a layer of GPT-2 small and 65,536 tokens, with torch's products and our own kernels for the rest in
brackets: gate 624 µs (601 + 266), its gradient 545 (324 + 446), queries, keys and values 357 (333 + 139).
FlashAttention's gradient of attention took 870 µs and leaves the parts side by side (cuDNN's 1,109, and 203 to join
them); its forward pass took 391 where cuDNN's took 298, which is therefore used. Over few tokens and narrow heads the
gradient is that of `triton_attention`.

In 8 bits the products that end in RoPE and in the gate's gradient are those of `hopper_fp8`.

The configurations are the best of 18 measured at the two shapes under docs. QuACK would try them at the start of every
run, for a minute.

Where there is no GPU the same is computed by torch, for tests.

Shapes: N tokens in all, B batches of T; H heads, D a head's width; K the model's width, F a feed-forward network's;
V the size of the vocabulary.
"""

import functools
import importlib
import math
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
import torch.nn.functional as torch_functional
from torch import Tensor

from bloomery.nn.fp8 import rounded
from bloomery.nn.functional import silu
from bloomery.nn.joint import turned_joint

MULTIPLE = 8
"""Widths must be multiples of this: rows begin at multiples of 16 bytes."""
LARGEST_HEAD = 128
SUMS_TILE = 192
"""Columns of a tile of `summed_product`."""
_CAPABILITY = (9, 0)


def is_there(device: torch.device) -> bool:
    """Whether the libraries are installed, and the device is a GPU that they were measured on."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device) != _CAPABILITY:
        return False
    try:
        return all(version(name) for name in ("quack-kernels", "flash-attn-4"))
    except PackageNotFoundError:
        return False


@torch.library.custom_op("bloomery::turned_product", mutates_args=())
def turned_product(x: Tensor, weight: Tensor, positions: Tensor, turns: Tensor) -> Tensor:
    """x·Wᵀ with pairs of neighbours turned by their positions.

    Args:
        x: [N, K].
        weight: [M, K].
        positions: [N], float32.
        turns: [M], float32: of each pair how far it turns from one position to the next, as
            `RotaryPositionalEmbedding.turns` has it; 0 for those that are not to turn.

    Returns:
        [N, M].
    """
    if x.is_cuda:
        y = x.new_empty(x.shape[0], weight.shape[0])
        options = {"config": _config(128, 192), "tuned": False}
        _library("quack.epilogue.rotary").rope_posfreq_epi(
            x, weight.T, out={"D": y}, pos=positions, freq=turns, **options
        )
        return y
    return turned_by(x @ weight.T, positions, turns)


def turned_by(y: Tensor, positions: Tensor, turns: Tensor) -> Tensor:
    """What `turned_product` makes of a product, without a GPU."""
    first, second = y[:, ::2], y[:, 1::2]
    angles = 2 * math.pi * positions.double().unsqueeze(-1) * (turns[::2].double() + turns[1::2])
    cos, sin = angles.cos().to(y.dtype), angles.sin().to(y.dtype)
    return torch.stack((first * cos - second * sin, first * sin + second * cos), -1).flatten(-2)


@torch.library.custom_op("bloomery::gated_product", mutates_args=())
def gated_product(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """A product whose columns are gate and what is gated, by turns, and silu(gate) times the other.

    Args:
        x: [N, K].
        weight: [2·F, K].

    Returns:
        The product [N, 2·F], and [N, F].
    """
    rows, columns = x.shape[0], weight.shape[0]
    joint, gated = x.new_empty(rows, columns), x.new_empty(rows, columns // 2)
    if x.is_cuda:
        # The wider tile is the faster one where it leaves none half empty.
        options = {"config": _config(128, 192) if columns % 192 == 0 else _config(192, 128), "activation": "swiglu"}
        _library("quack.gemm_interface").gemm_gated(x, weight.T, preact_out=joint, postact_out=gated, **options)
        return joint, gated
    joint = x @ weight.T
    return joint, silu(joint[:, ::2]) * joint[:, 1::2]


@torch.library.custom_op("bloomery::gated_product_gradient", mutates_args=())
def gated_product_gradient(gradient: Tensor, weight: Tensor, joint: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of `gated_product`'s first result where its second goes into the map of another weight.

    Args:
        gradient: [N, K], of what that map gives.
        weight: [K, F], of that map.
        joint: [N, 2·F], the first result.

    Returns:
        [N, 2·F], and the second result once more [N, F].
    """
    of_joint, gated = torch.empty_like(joint), joint.new_empty(joint.shape[0], weight.shape[1])
    if gradient.is_cuda:
        options = {"config": _config(128, 128), "dynamic_scheduler": True, "activation": "swiglu"}
        _library("quack.gemm_interface").gemm_dgated(
            gradient, weight, joint, dx_out=of_joint, postact_out=gated, **options
        )
        return of_joint, gated
    gate, up = joint[:, ::2], joint[:, 1::2]
    of_gated, sigmoid = gradient @ weight, torch.sigmoid(gate)
    of_gate = of_gated * up * sigmoid * (1 + gate * (1 - sigmoid))
    return torch.stack((of_gate, of_gated * silu(gate)), -1).flatten(-2), silu(gate) * up


def summed_product(x: Tensor, weight: Tensor, y: Tensor) -> Tensor:
    """[N, K] times the transpose of [V, K], written to y [N, V].

    Returns:
        Of each row of a tile of `SUMS_TILE` columns, the logarithm of the sum of exponentials: [N, tiles] in float32.
    """
    log_sums = y.new_empty(y.shape[0], -(-y.shape[1] // SUMS_TILE), dtype=torch.float32)
    if y.is_cuda:
        epilogues = _library("bloomery.nn.quack_epilogues")
        epilogues.launch(epilogues.summed, x, weight, y, log_sums=log_sums)
        return log_sums
    y.copy_(x @ weight.T)
    for tile in range(log_sums.shape[1]):
        log_sums[:, tile] = y[:, tile * SUMS_TILE : (tile + 1) * SUMS_TILE].logsumexp(-1)
    return log_sums


@torch.library.custom_op("bloomery::attend", mutates_args=())
def attend(joint: Tensor, num_heads: int) -> tuple[Tensor, Tensor]:
    """Causal attention of queries, keys and values side by side [B, T, 3·H·D].

    Returns:
        [B, T, H·D], and the logarithms of the softmaxes' sums [B, H, T] in float32.
    """
    q, k, v = (part.transpose(1, 2) for part in _heads(joint, num_heads))
    if joint.is_cuda:
        attention: Any = torch.ops.aten._scaled_dot_product_cudnn_attention  # noqa: SLF001 - the public one keeps the sums
        y, log_sums, *_ = attention(q, k, v, None, True, 0.0, True)  # noqa: FBT003 - as torch has it
        return y.transpose(1, 2).flatten(-2), log_sums.reshape(q.shape[:-1])
    scores = _scores(q, k)
    y = torch_functional.softmax(scores, -1) @ v
    return y.transpose(1, 2).flatten(-2), scores.logsumexp(-1).float()


@torch.library.custom_op("bloomery::attend_gradient", mutates_args=())
def attend_gradient(gradient: Tensor, joint: Tensor, y: Tensor, log_sums: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The gradient of `attend`, and of RoPE before it.

    Args:
        gradient: Of y.
        joint: What `attend` was given: [B, T, 3·H·D], queries and keys turned.
        y: What it gave, [B, T, H·D].
        log_sums: As y.
        cos: [T, D], as in `RotaryPositionalEmbedding`.
        sin: As cos.

    Returns:
        [B, T, 3·H·D]: of queries and keys before they were turned, and of values.
    """
    if gradient.is_cuda:
        from bloomery.nn import triton_attention, triton_kernels  # noqa: PLC0415 - Triton is not everywhere

        if cos.shape[0] <= triton_attention.MOST_TOKENS and cos.shape[1] in triton_attention.HEADS:
            return triton_attention.attend_gradient(gradient, joint, y, log_sums, cos, sin)
        of_joint = _attend_gradient(gradient, joint, y, log_sums)
        triton_kernels.turn_(of_joint, cos, -sin)
        return of_joint
    return turned_joint(_attend_gradient(gradient, joint, y, log_sums), cos, -sin)


@torch.library.custom_op("bloomery::attend_gradient_rounded", mutates_args=())
def attend_gradient_rounded(
    gradient: Tensor, joint: Tensor, y: Tensor, log_sums: Tensor, cos: Tensor, sin: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What `attend_gradient` gives, and the same as `fp8.rounded` gives it."""
    of_joint = _attend_gradient(gradient, joint, y, log_sums)
    if gradient.is_cuda:
        from bloomery.nn import triton_kernels  # noqa: PLC0415

        return of_joint, *triton_kernels.turn_back_rounded_(of_joint, cos, sin)
    of_joint = turned_joint(of_joint, cos, -sin)
    numbers, scales = rounded(of_joint.flatten(0, -2))
    return of_joint, numbers.reshape(of_joint.shape), scales.reshape(*of_joint.shape[:-1], 1)


def _attend_gradient(gradient: Tensor, joint: Tensor, y: Tensor, log_sums: Tensor) -> Tensor:
    of_joint, num_heads = torch.empty_like(joint), log_sums.shape[1]
    q, k, v = _heads(joint, num_heads)
    y, gradient = y.view(q.shape), gradient.contiguous().view(q.shape)
    if gradient.is_cuda:
        dq, dk, dv = _heads(of_joint, num_heads)
        # As torch's own hook for FlashAttention 4 calls it. Its sums of queries' gradients are in no fixed order.
        differentiate = _library("flash_attn.cute.interface")._flash_attn_bwd  # noqa: SLF001
        options = {"causal": True, "deterministic": torch.are_deterministic_algorithms_enabled()}
        differentiate(q, k, v, y, gradient, log_sums, dq=dq, dk=dk, dv=dv, **options)
        return of_joint
    q, k, v, y, gradient = (x.transpose(1, 2) for x in (q, k, v, y, gradient))
    scale, weights = q.shape[-1] ** -0.5, (_scores(q, k) - log_sums.unsqueeze(-1)).exp().to(v.dtype)
    of_scores = scale * weights * (gradient @ v.mT - (gradient * y).sum(-1, keepdim=True))
    parts = of_scores @ k, of_scores.mT @ q, weights.mT @ gradient
    return torch.cat([part.transpose(1, 2).flatten(-2) for part in parts], -1)


def _heads(joint: Tensor, num_heads: int) -> tuple[Tensor, ...]:
    """Views of the parts of [B, T, 3·H·D], each [B, T, H, D]."""
    return tuple(part.view(*part.shape[:-1], num_heads, -1) for part in joint.chunk(3, -1))


def _scores(q: Tensor, k: Tensor) -> Tensor:
    """Causal attention's [B, H, T, T] without a GPU."""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    return scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -math.inf)


@functools.cache
def _library(name: str) -> Any:
    """A module of a library; they take seconds to import."""
    # FlashAttention has arguments that its compiler tells of not to know, which no user can mend.
    warnings.filterwarnings("ignore", "Argument aux_data", UserWarning)
    return importlib.import_module(name)


@functools.cache
def _config(tile_rows: int, tile_columns: int) -> Any:
    """Two groups of warps by turns, one at a product while the other stores; two blocks of a row share its operand."""
    return _library("quack.gemm_config").GemmConfig(
        tile_m=tile_rows,
        tile_n=tile_columns,
        pingpong=True,
        cluster_m=1,
        cluster_n=2,
        is_dynamic_persistent=False,
        device_capacity=9,
    )


@turned_product.register_fake  # pyright: ignore[reportUnknownMemberType] - untyped in torch, as below
def _(x: Tensor, weight: Tensor, positions: Tensor, turns: Tensor) -> Tensor:  # noqa: ARG001
    return x.new_empty(x.shape[0], weight.shape[0])


@gated_product.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape[0], weight.shape[0]), x.new_empty(x.shape[0], weight.shape[0] // 2)


@gated_product_gradient.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(gradient: Tensor, weight: Tensor, joint: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    return torch.empty_like(joint), joint.new_empty(joint.shape[0], weight.shape[1])


@attend.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(joint: Tensor, num_heads: int) -> tuple[Tensor, Tensor]:
    batch, length, width = joint.shape
    log_sums = joint.new_empty(batch, num_heads, length, dtype=torch.float32)
    return joint.new_empty(batch, length, width // 3), log_sums


@attend_gradient.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(gradient: Tensor, joint: Tensor, y: Tensor, log_sums: Tensor, cos: Tensor, sin: Tensor) -> Tensor:  # noqa: ARG001
    return torch.empty_like(joint)


@attend_gradient_rounded.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(
    gradient: Tensor,  # noqa: ARG001
    joint: Tensor,
    y: Tensor,  # noqa: ARG001
    log_sums: Tensor,  # noqa: ARG001
    cos: Tensor,  # noqa: ARG001
    sin: Tensor,  # noqa: ARG001
) -> tuple[Tensor, Tensor, Tensor]:
    scales = joint.new_empty(*joint.shape[:-1], 1, dtype=torch.float32)
    return torch.empty_like(joint), torch.empty_like(joint, dtype=torch.float8_e4m3fn), scales
