# pyright: basic
# Triton's language has no types.
"""Kernels for GPUs where a measurement asked for them; imported only there, as Triton comes with torch for GPUs alone.

Each replaces code that torch.compile made slower; the written-out code stays beside the caller, and the tests hold the
kernels to it.
"""

import math
from typing import Any, cast

import torch
import triton  # pyright: ignore[reportMissingTypeStubs]
import triton.language as tl  # pyright: ignore[reportMissingTypeStubs]
from torch import Tensor

# Rows of a vocabulary smaller than the larger block are read by it in one go, and take longer. Others measured, and the
# time they took of a step of 65,536 tokens and 50,257 in the vocabulary on an H200: 4096 numbers by 8 warps 4.9 ms,
# 8192 by 16 4.4, 8192 by 32 3.9 (and twice the time of the best with 10,000 in the vocabulary), 16384 by 16 3.9.
_BLOCKS = ((16384, 16), (4096, 8))
# Numbers of a row that a thread holds side by side: 16 bytes of bfloat16.
_VECTOR: tl.constexpr = tl.constexpr(8)
_LOG2_E: tl.constexpr = tl.constexpr(math.log2(math.e))
_YES: tl.constexpr = tl.constexpr(True)  # noqa: FBT003
_NO: tl.constexpr = tl.constexpr(False)  # noqa: FBT003


@triton.jit
def _sum_exponentials(
    base,
    largest,
    sums,
    start,
    width,
    vocab_size,
    MASKED: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """Takes a block of a row into the running maxima, times log2(e), and sums of exponentials: one of each a vector."""
    rows = tl.arange(0, BLOCK // _VECTOR)
    columns = start + rows[:, None] * _VECTOR + tl.arange(0, _VECTOR)[None, :]
    if MASKED:
        # Masked by the width, which is a multiple of 16, and not by the vocabulary size: else every load is of 2 bytes.
        x = tl.load(base + columns, mask=columns < width, other=0.0).to(tl.float32)
        x = tl.where(columns < vocab_size, x, -float("inf"))
    else:
        x = tl.load(base + columns).to(tl.float32)
    # One rescaling of the sum for a vector, not for each number: exponentials are what this kernel waits for.
    larger = tl.maximum(largest, tl.max(x, 1) * _LOG2_E)
    sums = sums * tl.exp2(largest - larger) + tl.sum(tl.exp2(x * _LOG2_E - larger[:, None]), 1)
    return larger, sums


@triton.jit
def _cross_entropy_kernel(logits, targets, losses, width, vocab_size, BLOCK: tl.constexpr):  # noqa: N803
    """One program a row: once over it for the sum of exponentials, once more, out of the cache, for the gradient."""
    row = tl.program_id(0).to(tl.int64)
    base = logits + row * width
    whole = vocab_size // BLOCK * BLOCK
    largest = tl.full([BLOCK // _VECTOR], -1e30, tl.float32)
    sums = tl.zeros([BLOCK // _VECTOR], tl.float32)
    for start in range(0, whole, BLOCK):
        largest, sums = _sum_exponentials(base, largest, sums, start, width, vocab_size, MASKED=_NO, BLOCK=BLOCK)
    largest, sums = _sum_exponentials(base, largest, sums, whole, width, vocab_size, MASKED=_YES, BLOCK=BLOCK)
    top = tl.max(largest)
    log_total = top + tl.log2(tl.sum(sums * tl.exp2(largest - top)))
    target = tl.load(targets + row)
    of_target = tl.load(base + target).to(tl.float32)
    tl.store(losses + row, log_total / _LOG2_E - of_target)
    # Every thread has read the target's logit before any overwrites it.
    tl.debug_barrier()
    columns = tl.arange(0, BLOCK)
    for start in range(0, whole, BLOCK):
        x = tl.load(base + start + columns).to(tl.float32)
        tl.store(base + start + columns, tl.exp2(x * _LOG2_E - log_total).to(logits.dtype.element_ty))
    rest = whole + columns
    x = tl.load(base + rest, mask=rest < width, other=0.0).to(tl.float32)
    gradient = tl.where(rest < vocab_size, tl.exp2(x * _LOG2_E - log_total), 0.0)
    tl.store(base + rest, gradient.to(logits.dtype.element_ty), mask=rest < width)
    # The target's is one less, written after what other threads wrote.
    tl.debug_barrier()
    tl.store(base + target, (tl.exp2(of_target * _LOG2_E - log_total) - 1.0).to(logits.dtype.element_ty))


def loss_and_gradient_(logits: Tensor, targets: Tensor, vocab_size: int) -> tuple[Tensor, Tensor]:
    """The summed loss of logits [N, V or more], contiguous, and its gradient, which overwrites them.

    One pass through memory and a half, where compiled code took two kernels and twice the time.
    """
    rows, width = logits.shape
    losses = torch.empty(rows, dtype=torch.float32, device=logits.device)
    block, warps = next((item for item in _BLOCKS if item[0] <= vocab_size), _BLOCKS[-1])
    _launch(_cross_entropy_kernel, (rows,), logits, targets, losses, width, vocab_size, BLOCK=block, num_warps=warps)
    return losses.sum(), logits


@triton.jit
def _store_rounded(x, largest, numbers, scales, row, columns, mask):
    """Stores a part of a row in 8 bits, and the row's scale, as `fp8.rounded` has them."""
    scale = tl.maximum(largest, 1e-12) / 448.0
    tl.store(scales + row, scale)
    tl.store(numbers + columns, (x / scale).to(numbers.dtype.element_ty), mask=mask)


@triton.jit
def _heads_kernel(
    joint,
    q,
    k,
    v,
    cos,
    sin,
    numbers,
    scales,
    length,
    width,
    d_head,
    INVERSE: tl.constexpr,  # noqa: N803
    ROUND: tl.constexpr,  # noqa: N803
    PAIRS: tl.constexpr,  # noqa: N803
):
    """One program a token. Forwards joint to q, k, v; inversely they are turned back and joined, in 8 bits too."""
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
    here, there = token * 3 * width + columns, token * width + columns
    largest = 0.0
    for part in tl.static_range(3):  # pyright: ignore[reportGeneralTypeIssues]
        apart = (q if part == 0 else k if part == 1 else v) + there
        source = apart if INVERSE else joint + here + part * width
        target = joint + here + part * width if INVERSE else apart
        x = tl.load(source, mask=mask, other=0.0)
        if part < 2:
            first, second = tl.split(tl.reshape(x.to(tl.float32), [PAIRS, 2]))
            turned = tl.join(first * cosine - second * sine, second * cosine + first * sine)
            x = tl.reshape(turned, [2 * PAIRS]).to(x.dtype)
        tl.store(target, x, mask=mask)
        if ROUND:
            largest = tl.maximum(largest, tl.max(tl.abs(x.to(tl.float32))))
    if ROUND:
        # What was stored is read again, out of the cache.
        tl.debug_barrier()
        for part in tl.static_range(3):  # pyright: ignore[reportGeneralTypeIssues]
            x = tl.load(joint + here + part * width, mask=mask, other=0.0).to(tl.float32)
            _store_rounded(x, largest, numbers, scales, token, here + part * width, mask)


def split_heads(joint: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys turned by RoPE, and values: each [B, T, H·D], out of [B, T, 3·H·D]; see `joint.split_heads`."""
    width = joint.shape[-1] // 3
    q, k, v = (joint.new_empty(*joint.shape[:-1], width) for _ in range(3))
    _launch_heads(joint, q, k, v, cos, sin, None, inverse=False)
    return q, k, v


def join_heads(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The gradient of `split_heads`: of its result, each [B, T, H·D], to that of its argument."""
    joint = q.new_empty(*q.shape[:-1], 3 * q.shape[-1])
    _launch_heads(joint, q.contiguous(), k.contiguous(), v.contiguous(), cos, sin, None, inverse=True)
    return joint


def join_heads_rounded(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What `join_heads` gives, and the same as `fp8.rounded` gives it."""
    joint = q.new_empty(*q.shape[:-1], 3 * q.shape[-1])
    numbers, scales = rounded = _empty_rounded(joint)
    _launch_heads(joint, q.contiguous(), k.contiguous(), v.contiguous(), cos, sin, rounded, inverse=True)
    return joint, numbers, scales


Rounded = tuple[Tensor, Tensor]


def _empty_rounded(x: Tensor) -> Rounded:
    return torch.empty_like(x, dtype=torch.float8_e4m3fn), x.new_empty(*x.shape[:-1], 1, dtype=torch.float32)


def _launch_heads(
    joint: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cos: Tensor,
    sin: Tensor,
    rounded: Rounded | None,
    *,
    inverse: bool,
) -> None:
    (_, length, width), d_head = q.shape, cos.shape[-1]
    pairs = triton.next_power_of_2(width) // 2
    grid = (q.shape[0] * length,)
    numbers, scales = rounded or (joint, joint)  # not used where there is nothing to round
    constants = {"INVERSE": inverse, "ROUND": rounded is not None, "PAIRS": pairs}
    _launch(
        _heads_kernel, grid, joint, q, k, v, cos, sin, numbers, scales, length, width, d_head, **constants, num_warps=4
    )


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
        product = (silu * up).to(gated.dtype.element_ty)
        tl.store(gated + here, product, mask=mask)
        if ROUND:
            product = product.to(tl.float32)
            _store_rounded(product, tl.max(tl.abs(product)), numbers, scales, token, here, mask)


def gate(joint: Tensor) -> Tensor:
    """Silu of the first half of the last dimension times the second: [..., 2·F] to [..., F]."""
    gated = joint.new_empty(*joint.shape[:-1], joint.shape[-1] // 2)
    _launch_gate(joint, gated, joint, None, backward=False)
    return gated


def gate_rounded(joint: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What `gate` gives, and the same as `fp8.rounded` gives it."""
    gated = joint.new_empty(*joint.shape[:-1], joint.shape[-1] // 2)
    numbers, scales = rounded = _empty_rounded(gated)
    _launch_gate(joint, gated, joint, rounded, backward=False)
    return gated, numbers, scales


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
    _launch(_gate_kernel, grid, joint, gated, gradient, numbers, scales, width, **constants, num_warps=warps)


def _launch(kernel: object, grid: tuple[int, ...], *arguments: object, **options: object) -> None:
    cast("Any", kernel)[grid](*arguments, **options)
