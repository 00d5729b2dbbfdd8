# pyright: basic
# Triton's language has no types.
"""The gradient of attention over few tokens, with that of RoPE; see `triton_kernels`.

A program has all tokens of a head on the chip. So it reads each number once and writes each gradient once, where
kernels for any number of tokens add parts of the queries' gradients up in memory, in float32, and leave it to others to
sum gradient · result before, to round the sums after, and to turn them back. On an H100, for 256 windows of 256 tokens
and 16 heads 32 wide, it took 392 µs, where FlashAttention 4 and turning back took 596 on another.

Programs wait for memory, and of a multiprocessor's registers there are enough for two only. So what is read is asked
for a tile ahead (from 685 µs to 543), and what lives long is kept small: scores are queries by keys, as a thread then
has few rows and their sums (499), and RoPE's tables are those of one tile, moved on (392). Slower were three programs
with fewer registers each (706 when two took 499) and tiles of 128 tokens by 8 warps (536). For heads 64 wide it took
574 at best, and FlashAttention with turning 532.

Shapes: B is the batch, T the tokens, H the heads, D a head's width.
"""

import math

import torch
import triton  # pyright: ignore[reportMissingTypeStubs]
import triton.language as tl  # pyright: ignore[reportMissingTypeStubs]
from torch import Tensor

from bloomery.nn.triton_kernels import launch

MOST_TOKENS = 256
"""Four tiles, as the kernel has them."""
HEADS = (16, 32)
"""Widths of heads for which it is there."""
# Tokens of a tile, and its warps.
_BLOCK, _WARPS = 64, 4
_LOG2_E: tl.constexpr = tl.constexpr(math.log2(math.e))


@triton.jit
def _rows(base, first, length, stride, BLOCK: tl.constexpr, D: tl.constexpr):  # noqa: N803
    """Some tokens' part [BLOCK, D], zero beyond the last."""
    rows = first + tl.arange(0, BLOCK)
    here = base + rows[:, None] * stride + tl.arange(0, D)[None, :]
    return tl.load(here, mask=(rows < length)[:, None], other=0.0)


@triton.jit
def _store_rows(base, x, first, length, stride, BLOCK: tl.constexpr, D: tl.constexpr):  # noqa: N803
    rows = first + tl.arange(0, BLOCK)
    here = base + rows[:, None] * stride + tl.arange(0, D)[None, :]
    tl.store(here, x.to(base.dtype.element_ty), mask=(rows < length)[:, None])


@triton.jit
def _turned_back(x, cosine, sine, BLOCK: tl.constexpr, D: tl.constexpr):  # noqa: N803
    """The gradient of RoPE: of what was turned to that before."""
    a, b = tl.split(tl.reshape(x, [BLOCK, D // 2, 2]))
    return tl.reshape(tl.join(a * cosine + b * sine, b * cosine - a * sine), [BLOCK, D])


@triton.jit
def _moved(cosine, sine, cosine_of_tile, sine_of_tile):
    """RoPE's tables of the next tile, as a turn by so many tokens more: nothing is read."""
    return cosine * cosine_of_tile - sine * sine_of_tile, sine * cosine_of_tile + cosine * sine_of_tile


@triton.jit
def _attend_gradient_kernel(
    joint,
    y,
    gradient,
    log_sums,
    cos,
    sin,
    of_joint,
    length,
    heads,
    scale,
    BLOCK: tl.constexpr,  # noqa: N803
    BLOCKS: tl.constexpr,  # noqa: N803
    D: tl.constexpr,  # noqa: N803
):
    """One program a head of a window: from the last tile of keys to the first, each with the queries that see it."""
    program = tl.program_id(0).to(tl.int64)
    window, head = program // heads, program % heads
    width = (heads * D).to(tl.int32)
    at, there = (window * length * 3 * heads + head) * D, (window * length * heads + head) * D
    q_base, of_q_base = joint + at, of_joint + at
    y_base, gradient_base, sums_base = y + there, gradient + there, log_sums + program * length
    stride = 3 * width
    last: tl.constexpr = (BLOCKS - 1) * BLOCK
    k = _rows(q_base + width, last, length, stride, BLOCK, D)
    q = _rows(q_base, last, length, stride, BLOCK, D)
    v = _rows(q_base + 2 * width, last, length, stride, BLOCK, D)
    of_y = _rows(gradient_base, last, length, width, BLOCK, D)
    result = _rows(y_base, last, length, width, BLOCK, D)
    # The table has the sine of the second of a pair behind that of the first, which is negative.
    tokens, pairs = tl.arange(0, BLOCK), 2 * tl.arange(0, D // 2)
    table, there = tokens[:, None] * D + pairs[None, :], (tokens < length)[:, None]
    cosine = tl.load(cos + table, mask=there, other=0.0)
    sine = tl.load(sin + table + 1, mask=there, other=0.0)
    cosine_of_tile = tl.load(cos + BLOCK * D + pairs, mask=pairs < last, other=0.0)[None, :]
    sine_of_tile = tl.load(sin + BLOCK * D + pairs + 1, mask=pairs < last, other=0.0)[None, :]
    for _ in tl.static_range(BLOCKS - 1):  # pyright: ignore[reportGeneralTypeIssues]
        cosine, sine = _moved(cosine, sine, cosine_of_tile, sine_of_tile)
    nothing = tl.zeros([BLOCK, D], tl.float32)
    parts = (nothing, nothing, nothing, nothing)  # of the queries' gradients, until their first keys were there
    none = tl.zeros([BLOCK], tl.float32)
    sums, alongs = (none, none, none, none), (none, none, none, none)
    for tile in tl.static_range(BLOCKS):  # pyright: ignore[reportGeneralTypeIssues]
        # Infinite where there is no token, whose weights then are zero.
        log_sum = tl.load(sums_base + tile * BLOCK + tokens, mask=tokens < length - tile * BLOCK, other=float("inf"))
        sums = sums[:tile] + (log_sum * _LOG2_E,) + sums[tile + 1 :]  # noqa: RUF005 - Triton does not unpack
    for key_tile in tl.static_range(BLOCKS - 1, -1, -1):  # pyright: ignore[reportGeneralTypeIssues]
        first_key = key_tile * BLOCK
        of_k, of_v = nothing, nothing
        q_cosine, q_sine = cosine, sine
        next_k, next_v, next_result = k, v, result
        for tile in tl.static_range(key_tile, BLOCKS):  # pyright: ignore[reportGeneralTypeIssues]
            first = tile * BLOCK
            rows = first + tl.arange(0, BLOCK)
            # What the next products read is asked for before these.
            next_q, next_of_y = q, of_y
            if tile < BLOCKS - 1:
                next_q = _rows(q_base, first + BLOCK, length, stride, BLOCK, D)
                next_of_y = _rows(gradient_base, first + BLOCK, length, width, BLOCK, D)
            elif key_tile > 0:
                next_k = _rows(q_base + width, first_key - BLOCK, length, stride, BLOCK, D)
                next_q = _rows(q_base, first_key - BLOCK, length, stride, BLOCK, D)
                next_v = _rows(q_base + 2 * width, first_key - BLOCK, length, stride, BLOCK, D)
                next_of_y = _rows(gradient_base, first_key - BLOCK, length, width, BLOCK, D)
                next_result = _rows(y_base, first_key - BLOCK, length, width, BLOCK, D)
            if tile == key_tile:
                along = tl.sum(of_y.to(tl.float32) * result.to(tl.float32), 1)
                alongs = alongs[:tile] + (along,) + alongs[tile + 1 :]  # noqa: RUF005
            weights = tl.exp2(tl.dot(q, tl.trans(k)) * (scale * _LOG2_E) - sums[tile][:, None])
            if tile == key_tile:
                weights = tl.where(rows[:, None] >= (first_key + tokens)[None, :], weights, 0.0)
            of_v = tl.dot(tl.trans(weights.to(of_y.dtype)), of_y, of_v)
            of_scores = (weights * (tl.dot(of_y, tl.trans(v)) - alongs[tile][:, None])).to(q.dtype)
            of_k = tl.dot(tl.trans(of_scores), q, of_k)
            of_q = tl.dot(of_scores, k, parts[tile])
            if key_tile == 0:
                of_q = _turned_back(of_q * scale, q_cosine, q_sine, BLOCK, D)
                q_cosine, q_sine = _moved(q_cosine, q_sine, cosine_of_tile, sine_of_tile)
                _store_rows(of_q_base, of_q, first, length, stride, BLOCK, D)
            else:
                parts = parts[:tile] + (of_q,) + parts[tile + 1 :]  # noqa: RUF005
            q, of_y = next_q, next_of_y
        of_k = _turned_back(of_k * scale, cosine, sine, BLOCK, D)
        cosine, sine = _moved(cosine, sine, cosine_of_tile, -sine_of_tile)
        _store_rows(of_q_base + width, of_k, first_key, length, stride, BLOCK, D)
        _store_rows(of_q_base + 2 * width, of_v, first_key, length, stride, BLOCK, D)
        k, v, result = next_k, next_v, next_result


def attend_gradient(gradient: Tensor, joint: Tensor, y: Tensor, log_sums: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`hopper.attend_gradient` for at most `MOST_TOKENS` tokens, and heads of a width in `HEADS`."""
    batch, heads, length = log_sums.shape
    of_joint, d_head = torch.empty_like(joint), cos.shape[-1]
    tensors = joint, y.contiguous(), gradient.contiguous(), log_sums, cos, sin, of_joint
    constants = {"BLOCK": _BLOCK, "BLOCKS": triton.cdiv(length, _BLOCK), "D": d_head}
    launch(
        _attend_gradient_kernel,
        (batch * heads,),
        *tensors,
        length,
        heads,
        1 / math.sqrt(d_head),
        **constants,
        num_warps=_WARPS,
    )
    return of_joint
