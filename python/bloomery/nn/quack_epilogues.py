# pyright: basic
# The language of QuACK's epilogues has no types.
"""How products end on Hopper GPUs, in the words of QuACK; imported only there.

An epilogue computes on numbers of the product before they are stored, which saves another kernel's passes through
memory. Those of numbers in 8 bits begin with the scales: `rows` those of the first operand, `columns` of the second.
"""

from dataclasses import dataclass
from typing import Any

import torch
from cutlass import Float32  # pyright: ignore[reportMissingImports]
from cutlass._mlir.dialects import llvm  # pyright: ignore[reportMissingImports]
from cutlass.cutlass_dsl import T  # pyright: ignore[reportMissingImports]
from quack.activation import dswiglu  # pyright: ignore[reportMissingImports]
from quack.epilogue.frontend import gemm_epilogue, pack, unpack  # pyright: ignore[reportMissingImports]
from quack.epilogue.ops import ColVecLoad, OnlineLSEReduce, RowVecLoad  # pyright: ignore[reportMissingImports]
from quack.epilogue.rotary import rope_posfreq_epi  # pyright: ignore[reportMissingImports]
from torch import Tensor

from bloomery.nn.fp8 import Rounded
from bloomery.nn.hopper import SUMS_TILE

_rope = rope_posfreq_epi.fn
_SCALES = {"rows": ColVecLoad("rows"), "columns": RowVecLoad("columns")}


def _pair_of_8_bits(first, second):
    """Two numbers as float8_e4m3fn in the 16 bits of a float16, which is given as the float32 that equals it."""
    # Outputs beside the product are stored as 16 bits on these GPUs. Those of a pair are a float16 that is no infinity
    # where the second number is below 384, and going to float32 and back changes no other.
    return Float32(
        llvm.inline_asm(
            T.f32(),
            [Float32(x).ir_value() for x in (first, second)],
            "{.reg .b16 pair;\ncvt.rn.satfinite.e4m3x2.f32 pair, $2, $1;\ncvt.f32.f16 $0, pair;}",
            "=f,f,f",
            has_side_effects=False,
            is_align_stack=False,
            asm_dialect=llvm.AsmDialect.AD_ATT,
        )
    )


@gemm_epilogue(ops={**_SCALES, "inverses": ColVecLoad("inverses")}, outputs=("numbers",), mode="packed_cd_b16x2")
def gate_gradient(acc, c, rows, columns, inverses):
    """The gradient of c, pairs of SwiGLU's gate and what is gated, and the same times `inverses` in 8 bits."""
    first, second = unpack(c)
    of_first, of_second, _ = dswiglu(first, second, acc * rows * columns)
    return {"D": pack(of_first, of_second), "numbers": _pair_of_8_bits(of_first * inverses, of_second * inverses)}


@gemm_epilogue(ops={**_SCALES, "positions": ColVecLoad("positions"), "turns": RowVecLoad("turns")}, mode="acc_pair")
def turned(acc, rows, columns, positions, turns):
    """The product with pairs of neighbours turned by their positions, as `hopper.turned_product` has it."""
    return _rope(acc * columns * rows, positions, turns)


@gemm_epilogue(outs={"log_sums": OnlineLSEReduce("log_sums")})
def summed(acc):
    """The product, of numbers that have no scales, and of each tile's rows the logarithm of the sum of exponentials."""
    return {"D": acc, "log_sums": acc}


@dataclass(frozen=True)
class Shape:
    """How a product is cut into tiles.

    Attributes:
        tile: Rows and columns of a tile.
        cluster: Blocks, of rows and of columns of tiles, that share what they read.
        by_turns: Whether two groups of warps take turns, one at a product while the other stores; else both share one.
        in_order: Whether blocks take tiles in a fixed order; else each the next one when it is done.
    """

    tile: tuple[int, int]
    cluster: tuple[int, int]
    by_turns: bool
    in_order: bool


# On an H100, GPT-2 small: what is turned, for 65,536 tokens, took 254 µs, in order 261, the best of 30. The gradient of
# the gate took 551 µs, in order 599, the best of ten. The logits of 16,384 tokens and their sums took 1.84 ms, in order
# 1.93, with tiles of 256 columns 2.18; torch's product alone took 2.04.
_SHAPES = {
    turned: Shape(tile=(128, 192), cluster=(2, 1), by_turns=True, in_order=False),
    gate_gradient: Shape(tile=(128, 128), cluster=(1, 2), by_turns=True, in_order=False),
    summed: Shape(tile=(128, SUMS_TILE), cluster=(2, 1), by_turns=True, in_order=False),
}


def launch(
    epilogue: Any, a: Rounded | Tensor, b: Rounded | Tensor, y: Tensor, c: Tensor | None = None, **operands: Tensor
) -> None:
    """Computes [N, K] times the transpose of [M, K] to y.

    Args:
        epilogue: How it ends.
        a: Numbers, and scales [N, 1] if they are of 8 bits.
        b: As a, [M, 1].
        y: [N, M], or [N, 2·M] where the epilogue packs pairs.
        c: As y.
        operands: What else the epilogue reads and writes: of rows [N], of columns [M], outputs as it has them.
    """
    if isinstance(a, tuple) and isinstance(b, tuple):
        operands |= {"rows": a[1].flatten(), "columns": b[1].flatten()}
        a, b = a[0], b[0]
    vectors = {name: x.view(1, -1) for name, x in operands.items() if x.ndim == 1}
    shape = _SHAPES[epilogue]
    # The matrix units keep sums of numbers of 8 bits along a row, as in `fp8.product` where they are not exact.
    options: dict[str, Any] = {"persistent": True, "post_init_attrs": (("fp8_slow_accum", False),)}
    if not shape.in_order:
        semaphore = torch.zeros(1, dtype=torch.int32, device=y.device)
        options |= {"is_dynamic_persistent": True, "tile_count_semaphore": semaphore}
    epilogue.gemm(
        a,
        b,
        y,
        c,
        epi_args={**operands, **vectors},
        tile_M=shape.tile[0],
        tile_N=shape.tile[1],
        cluster_M=shape.cluster[0],
        cluster_N=shape.cluster[1],
        pingpong=shape.by_turns,
        **options,
    )
