# pyright: basic
# Triton's language has no types.
"""Kernels for GPUs where a measurement asked for them; imported only there, as Triton comes with torch for GPUs alone.

Each replaces code that torch.compile made slower; the written-out code stays beside the caller, and the tests hold the
kernels to it.
"""

from typing import Any, cast

import torch
import triton  # pyright: ignore[reportMissingTypeStubs]
import triton.language as tl  # pyright: ignore[reportMissingTypeStubs]
from torch import Tensor


@triton.jit
def _scale_kernel(x, scale, count, BLOCK: tl.constexpr):  # noqa: N803
    columns = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    factor = tl.load(scale)
    if factor != 1.0:
        scaled = tl.load(x + columns, mask=columns < count).to(tl.float32) * factor
        tl.store(x + columns, scaled.to(x.dtype.element_ty), mask=columns < count)


def scale_(x: Tensor, scale: Tensor) -> Tensor:
    """X, contiguous, times a float32 scalar on the device, in place; times 1 it is not touched.

    Torch's own `mul_` took four times as long.
    """
    launch(_scale_kernel, (triton.cdiv(x.numel(), 4096),), x, scale, x.numel(), BLOCK=4096, num_warps=8)
    return x


@triton.jit
def _store_rounded(x, largest, numbers, scales, row, columns, mask):
    """Stores a part of a row in 8 bits, and the row's scale, as `fp8.rounded` has them."""
    scale = tl.maximum(largest, 1e-12) / 448.0
    tl.store(scales + row, scale)
    tl.store(numbers + columns, (x / scale).to(numbers.dtype.element_ty), mask=mask)


@triton.jit
def _turned(x, cosine, sine, PAIRS: tl.constexpr):  # noqa: N803
    """RoPE for a part of a token, by the cosine and the sine of every pair."""
    first, second = tl.split(tl.reshape(x.to(tl.float32), [PAIRS, 2]))
    pairs = tl.join(first * cosine - second * sine, second * cosine + first * sine)
    return tl.reshape(pairs, [2 * PAIRS]).to(x.dtype)


@triton.jit
def _turn_kernel(joint, cos, sin, length, width, d_head, PAIRS: tl.constexpr):  # noqa: N803
    """One program a token: turns the first two of the three parts of joint where they are."""
    token = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, 2 * PAIRS)
    mask = columns < width
    pairs = 2 * tl.arange(0, PAIRS)
    table = (token % length) * d_head + pairs % d_head
    cosine = tl.load(cos + table, mask=pairs < width, other=0.0)
    # The table has the sine of the second of a pair behind that of the first, which is negative.
    sine = tl.load(sin + table + 1, mask=pairs < width, other=0.0)
    for part in tl.static_range(2):  # pyright: ignore[reportGeneralTypeIssues]
        here = joint + (token * 3 + part) * width + columns
        x = tl.load(here, mask=mask, other=0.0)
        tl.store(here, _turned(x, cosine, sine, PAIRS), mask=mask)


def turn_(joint: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Turns the first two thirds of [B, T, 3·H·D] by RoPE, in place."""
    batch, length, width = joint.shape[0], joint.shape[1], joint.shape[2] // 3
    pairs = triton.next_power_of_2(width) // 2
    launch(_turn_kernel, (batch * length,), joint, cos, sin, length, width, cos.shape[-1], PAIRS=pairs, num_warps=4)


@triton.jit
def _join_heads_kernel(
    q,
    k,
    v,
    cos,
    sin,
    joint,
    numbers,
    scales,
    length,
    stride,
    width,
    d_head,
    ROUND: tl.constexpr,  # noqa: N803
    PAIRS: tl.constexpr,  # noqa: N803
):
    """One program a token: q and k are turned back, and joined with v; in 8 bits too.

    The three may be joint's own parts, and are if the stride of a token is three widths.
    """
    token = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, 2 * PAIRS)
    mask = columns < width
    pairs = 2 * tl.arange(0, PAIRS)
    table = (token % length) * d_head + pairs % d_head
    cosine = tl.load(cos + table, mask=pairs < width, other=0.0)
    sine = -tl.load(sin + table + 1, mask=pairs < width, other=0.0)
    here, there = token * 3 * width + columns, token * stride + columns
    of_q = _turned(tl.load(q + there, mask=mask, other=0.0), cosine, sine, PAIRS)
    of_k = _turned(tl.load(k + there, mask=mask, other=0.0), cosine, sine, PAIRS)
    of_v = tl.load(v + there, mask=mask, other=0.0)
    tl.store(joint + here, of_q, mask=mask)
    tl.store(joint + here + width, of_k, mask=mask)
    if stride == width:
        tl.store(joint + here + 2 * width, of_v, mask=mask)
    if ROUND:
        of_q, of_k, of_v = of_q.to(tl.float32), of_k.to(tl.float32), of_v.to(tl.float32)
        largest = tl.max(tl.maximum(tl.maximum(tl.abs(of_q), tl.abs(of_k)), tl.abs(of_v)))
        _store_rounded(of_q, largest, numbers, scales, token, here, mask)
        _store_rounded(of_k, largest, numbers, scales, token, here + width, mask)
        _store_rounded(of_v, largest, numbers, scales, token, here + 2 * width, mask)


def join_heads(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The gradient of `joint.split_and_turn`: of its result, each [B, T, H·D], to that of its argument."""
    joint = q.new_empty(*q.shape[:-1], 3 * q.shape[-1])
    _launch_join((q, k, v), cos, sin, joint, None)
    return joint


def join_heads_rounded(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What `join_heads` gives, and the same as `fp8.rounded` gives it."""
    joint = q.new_empty(*q.shape[:-1], 3 * q.shape[-1])
    numbers, scales = rounded = _empty_rounded(joint)
    _launch_join((q, k, v), cos, sin, joint, rounded)
    return joint, numbers, scales


def turn_back_rounded_(joint: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Undoes `turn_` in place, and gives the result as `fp8.rounded` gives it."""
    rounded = _empty_rounded(joint)
    _launch_join(joint.chunk(3, -1), cos, sin, joint, rounded)
    return rounded


Rounded = tuple[Tensor, Tensor]


def _empty_rounded(x: Tensor) -> Rounded:
    return torch.empty_like(x, dtype=torch.float8_e4m3fn), x.new_empty(*x.shape[:-1], 1, dtype=torch.float32)


def _launch_join(parts: tuple[Tensor, ...], cos: Tensor, sin: Tensor, joint: Tensor, rounded: Rounded | None) -> None:
    (batch, length, width), d_head = parts[0].shape, cos.shape[-1]
    stride = 3 * width
    if parts[0].data_ptr() != joint.data_ptr():
        parts, stride = tuple(part.contiguous() for part in parts), width
    numbers, scales = rounded or (joint, joint)  # not used where there is nothing to round
    constants = {"ROUND": rounded is not None, "PAIRS": triton.next_power_of_2(width) // 2}
    arguments = (*parts, cos, sin, joint, numbers, scales, length, stride, width, d_head)
    launch(_join_heads_kernel, (batch * length,), *arguments, **constants, num_warps=4)


@triton.jit
def _gate_kernel(
    joint,
    gated,
    gradient,
    numbers,
    scales,
    width,
    BACKWARD: tl.constexpr,  # noqa: N803
    ROUND: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """One program a part of a token, or all of it where it is rounded to 8 bits too.

    Forwards joint to gated; backwards the gradient of gated to that of joint.
    """
    token = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = columns < width
    gate_at = token * 2 * width + columns
    gate = tl.load(joint + gate_at, mask=mask, other=0.0).to(tl.float32)
    up = tl.load(joint + gate_at + width, mask=mask, other=0.0).to(tl.float32)
    sigmoid = 1.0 / (1.0 + tl.exp(-gate))
    silu = gate * sigmoid
    here = token * width + columns
    if BACKWARD:
        of_gated = tl.load(gated + here, mask=mask, other=0.0).to(tl.float32)
        of_gate = (of_gated * up * (sigmoid + silu * (1.0 - sigmoid))).to(gradient.dtype.element_ty)
        of_up = (of_gated * silu).to(gradient.dtype.element_ty)
        tl.store(gradient + gate_at, of_gate, mask=mask)
        tl.store(gradient + gate_at + width, of_up, mask=mask)
        if ROUND:
            of_gate, of_up = of_gate.to(tl.float32), of_up.to(tl.float32)
            largest = tl.max(tl.maximum(tl.abs(of_gate), tl.abs(of_up)))
            _store_rounded(of_gate, largest, numbers, scales, token, gate_at, mask)
            _store_rounded(of_up, largest, numbers, scales, token, gate_at + width, mask)
    else:
        tl.store(gated + here, (silu * up).to(gated.dtype.element_ty), mask=mask)


def gate(joint: Tensor) -> Tensor:
    """Silu of the first half of the last dimension times the second: [..., 2·F] to [..., F]."""
    gated = joint.new_empty(*joint.shape[:-1], joint.shape[-1] // 2)
    _launch_gate(joint, gated, joint, None, backward=False)
    return gated


def gate_gradient(of_gated: Tensor, joint: Tensor) -> Tensor:
    """The gradient of `gate`: of its result [..., F] to that of its argument [..., 2·F]."""
    gradient = torch.empty_like(joint)
    _launch_gate(joint, of_gated.contiguous(), gradient, None, backward=True)
    return gradient


def gate_gradient_rounded(of_gated: Tensor, joint: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What `gate_gradient` gives, and the same as `fp8.rounded` gives it."""
    gradient = torch.empty_like(joint)
    numbers, scales = rounded = _empty_rounded(joint)
    _launch_gate(joint, of_gated.contiguous(), gradient, rounded, backward=True)
    return gradient, numbers, scales


def _launch_gate(joint: Tensor, gated: Tensor, gradient: Tensor, rounded: Rounded | None, *, backward: bool) -> None:
    width = gated.shape[-1]
    block = triton.next_power_of_2(width)
    if rounded is None:
        block = min(block, 2048)
    grid = (gated.numel() // width, triton.cdiv(width, block))
    numbers, scales = rounded or (joint, joint)  # not used where there is nothing to round
    constants = {"BACKWARD": backward, "ROUND": rounded is not None, "BLOCK": block}
    warps = 8 if block <= 2048 else 16
    launch(_gate_kernel, grid, joint, gated, gradient, numbers, scales, width, **constants, num_warps=warps)


def launch(kernel: object, grid: tuple[int, ...], *arguments: object, **options: object) -> None:
    """Starts a kernel, whose type nobody knows."""
    cast("Any", kernel)[grid](*arguments, **options)
