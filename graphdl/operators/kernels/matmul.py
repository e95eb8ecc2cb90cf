"""Chooses the parameters of ``opencl/matmul.cl``, and of ``opencl/tiled_product.cl`` on GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.operators.kernels.template import (
    RegisterTile,
    TemplateCall,
    ceil_div,
    lanes_of,
    register_tiles,
    step_cycles,
    tiled_product,
)

if TYPE_CHECKING:
    from graphdl.compiler.program import Target

Strides = tuple[int, int, int]


def matmul_call(
    target: Target, *, batch: int, m: int, n: int, k: int, a_strides: Strides, b_strides: Strides
) -> TemplateCall:
    """C[b, m, n] = Σ over k of A[b, m, k] B[b, k, n], with pointers ``A`` and ``B``.

    Strides are counted in elements: (batch, row, column). The kernel stores with ``STORE(V, value, b, m, n)``, a vector
    along n.
    """
    strides = dict(
        zip(("A_BATCH", "A_ROW", "A_COLUMN", "B_BATCH", "B_ROW", "B_COLUMN"), (*a_strides, *b_strides), strict=True)
    )
    if target.kind == "gpu":
        return tiled_product(
            target, 0, rows=m, columns=n, steps=k, layers=batch, operands=("A", "B"), defines=strides
        )
    lanes = lanes_of(target)
    tile = _choose_tile(target, m, ceil_div(n, lanes))
    panels = ceil_div(n, tile.vectors * lanes)
    tiles = ceil_div(m, tile.rows)
    pack_b = not (tiles <= 1 and b_strides[2] == 1 and n % (tile.vectors * lanes) == 0)
    # Rows, or steps, of A that lie far apart miss the caches' sets and the TLB: then a strip is copied for many panels.
    far_rows = a_strides[2] == 1 and a_strides[1] >= 2048
    far_steps = a_strides[1] == 1 and a_strides[2] >= 1024
    copy_a = tile.rows > 4 and (far_rows or far_steps)
    span = min(8, panels) if copy_a else 1
    spans = ceil_div(panels, span)
    depth = min(k, 256 if copy_a or m <= 128 else 1024)
    tile_cycles = k * span * step_cycles(tile)
    pack_cycles = k * span * tile.vectors * (4.0 if b_strides[2] == 1 else 8.0) if pack_b else 0.0
    blocks = _blocks(target, batch * spans, tiles, tile_cycles, pack_cycles)
    return TemplateCall(
        source="matmul.cl",
        prelude=("tile.cl",),
        defines={
            "LANES": lanes, "COLUMNS": n, "M": m, "K": k, **strides,
            "ROWS": tile.rows, "VECTORS": tile.vectors, "BLOCKS": blocks, "SPAN": span, "SPANS": spans, "DEPTH": depth,
            "PACK_B": int(pack_b), "PACK_A": int(copy_a),
        },
        global_size=(spans * ceil_div(tiles, blocks), batch),
        local_size=(1, 1),
        flops=2 * batch * m * n * k,
        operands=("A", "B"),
    )  # fmt: skip


def _choose_tile(target: Target, rows: int, vectors: int) -> RegisterTile:
    """The tile that covers ``rows`` × ``vectors`` in the fewest cycles."""
    return min(
        register_tiles(target, rows, vectors),
        key=lambda tile: (
            ceil_div(rows, tile.rows) * ceil_div(vectors, tile.vectors) * step_cycles(tile),
            -tile.rows * tile.vectors,
        ),
    )


def _blocks(target: Target, columns: int, tiles: int, tile_cycles: float, pack_cycles: float) -> int:
    """Tiles of a work-item: few enough for an even load, many enough to be worth the copy of a panel and the start of a
    work-item, and no more than the stack holds sums for."""

    def cycles(groups: int) -> float:
        rounds = ceil_div(columns * groups, target.compute_units)
        return rounds * (_START_CYCLES + pack_cycles + ceil_div(tiles, groups) * tile_cycles)

    fewest = ceil_div(tiles, _MOST_BLOCKS)
    return ceil_div(tiles, min(range(fewest, min(tiles, 64 * fewest) + 1), key=cycles))


_MOST_BLOCKS = 32
_START_CYCLES = 500
"""What a work-item costs before it does anything."""
