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

_BLOCK = 2048


@triton.jit
def _cross_entropy_kernel(logits, targets, losses, width, vocab_size, BLOCK: tl.constexpr):  # noqa: N803
    """One program a row: once over it for the sum of exponentials, once more, out of the cache, for the gradient."""
    row = tl.program_id(0).to(tl.int64)
    base = logits + row * width
    largest = tl.full([BLOCK], -1e30, tl.float32)
    sums = tl.zeros([BLOCK], tl.float32)
    for start in range(0, width, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        # Masked by the width, which is a multiple of 16, and not by the vocabulary size: else every load is of 2 bytes.
        x = tl.load(base + columns, mask=columns < width, other=0.0).to(tl.float32)
        x = tl.where(columns < vocab_size, x, -1e30)
        larger = tl.maximum(largest, x)
        sums = sums * tl.exp(largest - larger) + tl.exp(x - larger)
        largest = larger
    top = tl.max(largest)
    total = tl.sum(sums * tl.exp(largest - top))
    target = tl.load(targets + row)
    tl.store(losses + row, top + tl.log(total) - tl.load(base + target).to(tl.float32))
    # Every thread has read the target's logit before any overwrites it.
    tl.debug_barrier()
    inverse = 1.0 / total  # pyright: ignore[reportOperatorIssue]
    for start in range(0, width, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        x = tl.load(base + columns, mask=columns < width, other=0.0).to(tl.float32)
        gradient = tl.where(columns < vocab_size, tl.exp(x - top) * inverse, 0.0)
        gradient -= tl.where(columns == target, 1.0, 0.0)
        tl.store(base + columns, gradient.to(logits.dtype.element_ty), mask=columns < width)


def loss_and_gradient_(logits: Tensor, targets: Tensor, vocab_size: int) -> tuple[Tensor, Tensor]:
    """The summed loss of logits [N, V or more], contiguous, and its gradient, which overwrites them.

    One pass through memory and a half, where compiled code took two kernels and twice the time.
    """
    rows, width = logits.shape
    losses = torch.empty(rows, dtype=torch.float32, device=logits.device)
    _launch(_cross_entropy_kernel, (rows,), logits, targets, losses, width, vocab_size, BLOCK=_BLOCK, num_warps=8)
    return losses.sum(), logits


@triton.jit
def _heads_kernel(
    joint,
    q,
    k,
    v,
    cos,
    sin,
    length,
    width,
    d_head,
    INVERSE: tl.constexpr,  # noqa: N803
    PAIRS: tl.constexpr,  # noqa: N803
):
    """One program a token. Forwards joint to q, k, v; inversely the other way round, turning back."""
    token = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, 2 * PAIRS)
    mask = columns < width
    pairs = tl.arange(0, PAIRS)
    table = (token % length) * d_head + (2 * pairs) % d_head
    cosine = tl.load(cos + table, mask=2 * pairs < width, other=0.0)
    # The table has the sine of the second of a pair behind that of the first, which is negative.
    sine = tl.load(sin + table + 1, mask=2 * pairs < width, other=0.0)
    if INVERSE:
        sine = -sine
    here, there = joint + token * 3 * width + columns, token * width + columns
    for part in tl.static_range(3):  # pyright: ignore[reportGeneralTypeIssues]
        apart = (q if part == 0 else k if part == 1 else v) + there
        source = apart if INVERSE else here + part * width
        target = here + part * width if INVERSE else apart
        x = tl.load(source, mask=mask, other=0.0)
        if part < 2:
            first, second = tl.split(tl.reshape(x.to(tl.float32), [PAIRS, 2]))
            turned = tl.join(first * cosine - second * sine, second * cosine + first * sine)
            x = tl.reshape(turned, [2 * PAIRS]).to(x.dtype)
        tl.store(target, x, mask=mask)


def split_heads(joint: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys turned by RoPE, and values: each [B, T, H·D], out of [B, T, 3·H·D]; see `joint.split_heads`."""
    width = joint.shape[-1] // 3
    q, k, v = (joint.new_empty(*joint.shape[:-1], width) for _ in range(3))
    _launch_heads(joint, q, k, v, cos, sin, inverse=False)
    return q, k, v


def join_heads(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The gradient of `split_heads`: of its result, each [B, T, H·D], to that of its argument."""
    joint = q.new_empty(*q.shape[:-1], 3 * q.shape[-1])
    _launch_heads(joint, q.contiguous(), k.contiguous(), v.contiguous(), cos, sin, inverse=True)
    return joint


def _launch_heads(joint: Tensor, q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor, *, inverse: bool) -> None:
    (_, length, width), d_head = q.shape, cos.shape[-1]
    pairs = triton.next_power_of_2(width) // 2
    grid = (q.shape[0] * length,)
    _launch(
        _heads_kernel, grid, joint, q, k, v, cos, sin, length, width, d_head, INVERSE=inverse, PAIRS=pairs, num_warps=4
    )


@triton.jit
def _gate_kernel(joint, gated, gradient, width, BACKWARD: tl.constexpr, BLOCK: tl.constexpr):  # noqa: N803
    """One program a part of a token. Forwards joint to gated; backwards the gradient of gated to that of joint."""
    token = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = columns < width
    gate_at = token * 2 * width + columns
    gate = tl.load(joint + gate_at, mask=mask, other=0.0).to(tl.float32)
    up = tl.load(joint + gate_at + width, mask=mask, other=0.0).to(tl.float32)
    sigmoid = 1.0 / (1.0 + tl.exp(-gate))
    silu = gate * sigmoid
    here = gated + token * width + columns
    if BACKWARD:
        of_gated = tl.load(here, mask=mask, other=0.0).to(tl.float32)
        of_gate = of_gated * up * (sigmoid + silu * (1.0 - sigmoid))
        tl.store(gradient + gate_at, of_gate.to(gradient.dtype.element_ty), mask=mask)
        tl.store(gradient + gate_at + width, (of_gated * silu).to(gradient.dtype.element_ty), mask=mask)
    else:
        tl.store(here, (silu * up).to(gated.dtype.element_ty), mask=mask)


def gate(joint: Tensor) -> Tensor:
    """Silu of the first half of the last dimension times the second: [..., 2·F] to [..., F]."""
    gated = joint.new_empty(*joint.shape[:-1], joint.shape[-1] // 2)
    _launch_gate(joint, gated, joint, backward=False)
    return gated


def gate_gradient(of_gated: Tensor, joint: Tensor) -> Tensor:
    """The gradient of `gate`: of its result [..., F] to that of its argument [..., 2·F]."""
    gradient = torch.empty_like(joint)
    _launch_gate(joint, of_gated.contiguous(), gradient, backward=True)
    return gradient


def _launch_gate(joint: Tensor, gated: Tensor, gradient: Tensor, *, backward: bool) -> None:
    width = gated.shape[-1]
    block = min(triton.next_power_of_2(width), 2048)
    grid = (gated.numel() // width, triton.cdiv(width, block))
    _launch(_gate_kernel, grid, joint, gated, gradient, width, BACKWARD=backward, BLOCK=block, num_warps=8)


def _launch(kernel: object, grid: tuple[int, ...], *arguments: object, **options: object) -> None:
    cast("Any", kernel)[grid](*arguments, **options)
