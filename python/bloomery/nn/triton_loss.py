# pyright: basic, reportArgumentType=false
# Triton's language has no types.
"""The kernels of the loss; see `triton_kernels`.

Shapes: N tokens, V the size of the vocabulary.
"""

import math

import torch
import triton  # pyright: ignore[reportMissingTypeStubs]
import triton.language as tl  # pyright: ignore[reportMissingTypeStubs]
from torch import Tensor

from bloomery.nn.triton_kernels import launch

# Rows of a vocabulary smaller than the larger block are read by it in one go, and take longer. Others measured, and the
# time they took of a step of 65,536 tokens and 50,257 in the vocabulary on an H200: 4096 numbers by 8 warps 4.9 ms,
# 8192 by 16 4.4, 8192 by 32 3.9 (and twice the time of the best with 10,000 in the vocabulary), 16384 by 16 3.9.
_BLOCKS = ((16384, 16), (4096, 8))
# Numbers of a row that a thread holds side by side: 16 bytes of bfloat16.
_VECTOR: tl.constexpr = tl.constexpr(8)
_LOG2_E: tl.constexpr = tl.constexpr(math.log2(math.e))
# Tokens and words of a tile of the rounded gradient, and its warps. For 16,384 tokens and 50,257 words it took 1.20 ms
# on an H100 that products kept as hot as in a step; with single bytes transposed 1.42 to 1.46.
_TOKENS, _WORDS, _WARPS = 64, 128, 4
# Four words' numbers of each of four tokens, a register a token, to a register a word. Shifted and or-ed by Triton a
# part of them are wrong, with its version 3.6.
_PACKED: tl.constexpr = tl.constexpr("=r,=r,=r,=r,r,r,r,r")
_PACK: tl.constexpr = tl.constexpr("""{
.reg .b32 ab, cd, ab_more, cd_more;
prmt.b32 ab, $4, $5, 0x5140;
prmt.b32 ab_more, $4, $5, 0x7362;
prmt.b32 cd, $6, $7, 0x5140;
prmt.b32 cd_more, $6, $7, 0x7362;
prmt.b32 $0, ab, cd, 0x5410;
prmt.b32 $1, ab, cd, 0x7632;
prmt.b32 $2, ab_more, cd_more, 0x5410;
prmt.b32 $3, ab_more, cd_more, 0x7632;
}""")
# As `fp8_loss.rounded_by_chance` has them.
_MULTIPLIER: tl.constexpr = tl.constexpr(0x9E3779B1)
_DROPPED: tl.constexpr = tl.constexpr(21)
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
    CACHE: tl.constexpr,  # noqa: N803
):
    """Takes a block of a row into the running maxima, times log2(e), and sums of exponentials: one of each a vector."""
    rows = tl.arange(0, BLOCK // _VECTOR)
    columns = start + rows[:, None] * _VECTOR + tl.arange(0, _VECTOR)[None, :]
    if MASKED:
        # Masked by the width, which is a multiple of 16, and not by the vocabulary size: else every load is of 2 bytes.
        x = tl.load(base + columns, mask=columns < width, other=0.0, eviction_policy=CACHE).to(tl.float32)
        x = tl.where(columns < vocab_size, x, -float("inf"))
    else:
        x = tl.load(base + columns, eviction_policy=CACHE).to(tl.float32)
    # One rescaling of the sum for a vector, not for each number: exponentials are what this kernel waits for.
    larger = tl.maximum(largest, tl.max(x, 1) * _LOG2_E)
    sums = sums * tl.exp2(largest - larger) + tl.sum(tl.exp2(x * _LOG2_E - larger[:, None]), 1)
    return larger, sums


@triton.jit
def _log_total(base, width, vocab_size, BLOCK: tl.constexpr, CACHE: tl.constexpr):  # noqa: N803
    """The logarithm to base 2 of a row's sum of exponentials."""
    whole = vocab_size // BLOCK * BLOCK
    largest = tl.full([BLOCK // _VECTOR], -1e30, tl.float32)
    sums = tl.zeros([BLOCK // _VECTOR], tl.float32)
    for start in range(0, whole, BLOCK):
        largest, sums = _sum_exponentials(base, largest, sums, start, width, vocab_size, _NO, BLOCK, CACHE)
    largest, sums = _sum_exponentials(base, largest, sums, whole, width, vocab_size, _YES, BLOCK, CACHE)
    top = tl.max(largest)
    return top + tl.log2(tl.sum(sums * tl.exp2(largest - top)))


@triton.jit
def _cross_entropy_kernel(logits, targets, losses, width, vocab_size, BLOCK: tl.constexpr):  # noqa: N803
    """One program a row: once over it for the sum of exponentials, once more, out of the cache, for the gradient."""
    row = tl.program_id(0).to(tl.int64)
    base = logits + row * width
    whole = vocab_size // BLOCK * BLOCK
    # The row is to stay in the cache until it is read again, and nothing else: 5.0 ms of a step became 4.1 on an H100.
    log_total = _log_total(base, width, vocab_size, BLOCK=BLOCK, CACHE="evict_last")
    target = tl.load(targets + row)
    of_target = tl.load(base + target).to(tl.float32)
    tl.store(losses + row, log_total / _LOG2_E - of_target)
    # Every thread has read the target's logit before any overwrites it.
    tl.debug_barrier()
    columns = tl.arange(0, BLOCK)
    for start in range(0, whole, BLOCK):
        here = base + start + columns
        x = tl.load(here, eviction_policy="evict_first").to(tl.float32)
        tl.store(here, tl.exp2(x * _LOG2_E - log_total).to(logits.dtype.element_ty), cache_modifier=".cs")
    here = base + whole + columns
    inside = whole + columns < width
    x = tl.load(here, mask=inside, other=0.0, eviction_policy="evict_first").to(tl.float32)
    gradient = tl.where(whole + columns < vocab_size, tl.exp2(x * _LOG2_E - log_total), 0.0)
    tl.store(here, gradient.to(logits.dtype.element_ty), mask=inside, cache_modifier=".cs")
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
    launch(_cross_entropy_kernel, (rows,), logits, targets, losses, width, vocab_size, BLOCK=block, num_warps=warps)
    return losses.sum(), logits


@triton.jit
def _loss_kernel(logits, targets, losses, log_totals, width, vocab_size, BLOCK: tl.constexpr):  # noqa: N803
    """One program a row: its loss, and the logarithm of its sum of exponentials."""
    row = tl.program_id(0).to(tl.int64)
    base = logits + row * width
    log_total = _log_total(base, width, vocab_size, BLOCK=BLOCK, CACHE="evict_first")
    tl.store(log_totals + row, log_total)
    tl.store(losses + row, log_total / _LOG2_E - tl.load(base + tl.load(targets + row)).to(tl.float32))


@triton.jit
def _loss_of_sums_kernel(log_sums, logits, targets, losses, log_totals, tiles, width, BLOCK: tl.constexpr):  # noqa: N803
    """As `_loss_kernel`, where the logarithms of the sums of parts of a row are there."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    of_tiles = tl.load(log_sums + row * tiles + columns, mask=columns < tiles, other=-float("inf")) * _LOG2_E
    top = tl.max(of_tiles)
    log_total = top + tl.log2(tl.sum(tl.exp2(of_tiles - top)))
    tl.store(log_totals + row, log_total)
    of_target = tl.load(logits + row * width + tl.load(targets + row)).to(tl.float32)
    tl.store(losses + row, log_total / _LOG2_E - of_target)


@triton.jit
def _rounded_rows(
    logits,
    targets,
    log_totals,
    gradient,
    tokens,
    word,
    width,
    words,
    log_scale,
    i,
    j,
):
    """Rounds and stores rows i of a tile of the gradient; there pointers begin, and tokens and words are counted."""
    inside = i < tokens
    # Where there is no token the sum of exponentials is infinite, and the gradient 0.
    log_total = tl.load(log_totals + i, mask=inside, other=float("inf")) - log_scale
    target = (tl.load(targets + i, mask=inside, other=-1) - word).to(tl.int32)
    here = i[:, None] * width + j
    x = tl.load(logits + here, mask=inside[:, None], other=0.0).to(tl.float32)
    one = tl.exp2(0.0 + log_scale)
    of_x = tl.exp2(x * _LOG2_E - log_total[:, None]) - tl.where(j == target[:, None], one, 0.0)
    of_x = tl.where(j < words, of_x, 0.0)
    # Up or down by chance, as `fp8_loss.rounded_by_chance` tells.
    bits = of_x.to(tl.uint32, bitcast=True)
    bits = (bits + ((bits * _MULTIPLIER) >> (32 - _DROPPED))) >> _DROPPED << _DROPPED
    numbers = bits.to(tl.float32, bitcast=True).to(gradient.dtype.element_ty)
    tl.store(gradient + here, numbers, mask=inside[:, None], cache_modifier=".cs")
    return numbers


@triton.jit
def _rounded_gradient_kernel(
    logits,
    targets,
    log_totals,
    gradient,
    transposed,
    tokens,
    stride,
    width,
    vocab_size,
    log_scale,
    TOKENS: tl.constexpr,  # noqa: N803
    WORDS: tl.constexpr,  # noqa: N803
):
    """One program a tile of the gradient, in 8 bits and times 2^log_scale; the transpose is zero beyond the tokens."""
    first = tl.program_id(0).to(tl.int64) * TOKENS
    word = tl.program_id(1).to(tl.int64) * WORDS
    fours, j = tl.arange(0, TOKENS // 4), tl.arange(0, WORDS)[None, :]
    # Positions are counted from the tile's corner, so that 32 bits hold them.
    corner, left, words = first * width + word, (tokens - first).to(tl.int32), (vocab_size - word).to(tl.int32)
    rows = logits + corner, targets + first, log_totals + first, gradient + corner, left, word, width, words, log_scale
    a = _rounded_rows(*rows, 4 * fours, j)
    b = _rounded_rows(*rows, 4 * fours + 1, j)
    c = _rounded_rows(*rows, 4 * fours + 2, j)
    d = _rounded_rows(*rows, 4 * fours + 3, j)
    # Four tokens' numbers of a word go into 32 bits before they are transposed, which single bytes would make the tile
    # wait for.
    packed = tl.inline_asm_elementwise(_PACK, _PACKED, [a, b, c, d], dtype=tl.int32, is_pure=True, pack=4)
    there = transposed + (word * stride + first) // 4
    there += tl.arange(0, WORDS)[:, None] * (stride // 4) + fours[None, :]
    tl.store(there, tl.trans(packed), cache_modifier=".cs")


def loss(logits: Tensor, targets: Tensor, vocab_size: int, log_sums: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The summed loss of logits [N, V or more], contiguous, and what `rounded_gradient` asks for.

    Faster where `hopper.summed_product` has given the logarithms of sums of exponentials.
    """
    rows, width = logits.shape
    losses, log_totals = logits.new_empty(2, rows, dtype=torch.float32)
    if log_sums is None:
        arguments = logits, targets, losses, log_totals, width, vocab_size
        launch(_loss_kernel, (rows,), *arguments, BLOCK=4096, num_warps=8)
    else:
        tiles = log_sums.shape[1]
        arguments = log_sums, logits, targets, losses, log_totals, tiles, width
        launch(_loss_of_sums_kernel, (rows,), *arguments, BLOCK=triton.next_power_of_2(tiles), num_warps=1)
    return losses.sum(), log_totals


def rounded_gradient(
    logits: Tensor, targets: Tensor, log_totals: Tensor, vocab_size: int, log_scale: int, transposed: Tensor
) -> Tensor:
    """The gradient of `loss`, times 2^log_scale and in 8 bits (e5m2): [N, width], a multiple of 128.

    Its transpose is written to `transposed`, [width, N or more], where the number of columns, and the distance of rows,
    is a multiple of 128.
    """
    tokens, width = logits.shape
    gradient = torch.empty_like(logits, dtype=torch.float8_e5m2)
    grid = transposed.shape[1] // _TOKENS, width // _WORDS
    places = gradient, transposed.view(torch.int32), tokens, transposed.stride(0), width, vocab_size, log_scale
    constants = {"TOKENS": _TOKENS, "WORDS": _WORDS}
    launch(_rounded_gradient_kernel, grid, logits, targets, log_totals, *places, **constants, num_warps=_WARPS)
    return gradient
