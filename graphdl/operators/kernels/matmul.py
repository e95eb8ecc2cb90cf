"""The matrix product: ``opencl/matmul.cl``, and ``opencl/tiled_product.cl`` on GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from graphdl.operators.kernels.family import Family, Operand, Planner
from graphdl.operators.kernels.packing import PANEL_PACKING, Packing
from graphdl.operators.kernels.row_product import MOST_ROWS, ROW_PRODUCT, RowProduct
from graphdl.operators.kernels.template import (
    GroupTile,
    RegisterTile,
    TemplateCall,
    ceil_div,
    group_tile,
    lanes_of,
    register_tiles,
    step_cycles,
    tiled_product,
)
from graphdl.operators.tensor import Layout, Tensor

if TYPE_CHECKING:
    from graphdl.compiler.program import Target


@dataclass(frozen=True, slots=True)
class MatrixProduct(RowProduct):
    """The same product with any number of rows."""

    packed: bool = False
    """Whether B is given as packed panels and not as a matrix."""


class MatMulFamily(Family[MatrixProduct, RegisterTile | GroupTile]):
    """A kernel with the pointers ``A`` and ``B`` with any strides.

    It stores vectors along n: ``STORE(V, value, b, m, n)``.
    """

    name = "matmul"
    operand_layouts: ClassVar[tuple[Layout, ...]] = ("strided", "strided")
    coordinates = (0, 1, 2)
    vector = 2
    aligned = True

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        a, b = inputs
        batch, m, k = a.shape
        problem = MatrixProduct(batch, m, b.shape[2], k)
        if batch == 1 and planner.repeats(b):
            packed = replace(problem, packed=True)
            packing = self.packing(packed, planner.chosen(self, packed), planner.target)
            if packing is not None:
                problem, b = packed, planner.made(PANEL_PACKING, packing, (b,), (packing.size,), y)
        if m <= MOST_ROWS and not problem.packed:
            return ROW_PRODUCT.prepare(y, inputs, planner)
        return planner.made(self, problem, (a, b), y.shape, y, problem.flops)

    def packing(self, problem: MatrixProduct, candidate: RegisterTile | GroupTile, target: Target) -> Packing | None:
        """The packing of B for a form of the kernel. None if the form reads B as it is."""
        if isinstance(candidate, GroupTile):
            return None
        n, k = problem.n, problem.k
        if problem.m <= candidate.rows and n % (candidate.vectors * lanes_of(target)) == 0:
            return None
        return Packing(lanes_of(target), candidate.vectors, problem.batch, n, k, 1, (1, n), False)

    def candidates(self, problem: MatrixProduct, target: Target) -> Sequence[RegisterTile | GroupTile]:
        if target.kind == "gpu":
            return [group_tile(target)]
        return sorted(
            register_tiles(target, problem.m, ceil_div(problem.n, lanes_of(target))),
            key=lambda tile: -tile.rows * tile.vectors,
        )

    def cycles(self, problem: MatrixProduct, candidate: RegisterTile | GroupTile, target: Target) -> float:
        if isinstance(candidate, GroupTile):
            return 0.0
        vectors = ceil_div(problem.n, lanes_of(target))
        tiles = ceil_div(problem.m, candidate.rows) * ceil_div(vectors, candidate.vectors)
        return tiles * step_cycles(candidate, target)

    def call(
        self,
        problem: MatrixProduct,
        candidate: RegisterTile | GroupTile,
        target: Target,
        operands: Sequence[Operand] = (),
    ) -> TemplateCall:
        a, b = operands
        batch, m, n, k = problem.batch, problem.m, problem.n, problem.k
        names = ("A_BATCH", "A_ROW", "A_COLUMN", "B_BATCH", "B_ROW", "B_COLUMN")
        if isinstance(candidate, GroupTile):
            strides = dict(zip(names, (*a.strides, *b.strides), strict=True))
            return tiled_product(
                candidate, 0, rows=m, columns=n, steps=k, layers=batch, operands=("A", "B"), defines=strides
            )
        lanes, tile, tuning = lanes_of(target), candidate, target.tuning
        panel = tile.vectors * lanes
        b_strides = (0, panel, 1) if problem.packed else b.strides
        strides = dict(zip(names, (*a.strides, *b_strides), strict=True))
        panels = ceil_div(n, panel)
        tiles = ceil_div(m, tile.rows)
        in_place = problem.packed or (tiles <= 1 and b.strides[2] == 1 and n % panel == 0)
        # If the rows (or steps) of A are far apart, reading them causes conflict misses in the caches and TLB misses.
        # Then a strip is copied once for many panels. Steps conflict at smaller distances than rows, because a row is
        # read along its elements.
        far_rows = a.strides[2] == 1 and a.strides[1] >= 2 * tuning.page
        far_steps = a.strides[1] == 1 and a.strides[2] >= (tuning.page // 4 if panels >= 4 else tuning.page)
        copy_a = tile.rows >= 4 and (far_rows or far_steps)
        span = max(1, min(tuning.private_floats // (tuning.strip_steps * panel), panels)) if copy_a else 1
        spans = ceil_div(panels, span)
        depth = min(k, tuning.strip_steps if copy_a or (m <= 128 and not problem.packed) else tuning.panel_steps)
        tile_cycles = k * span * step_cycles(tile, target)
        pack_cycles = k * span * tile.vectors * (4.0 if b_strides[2] == 1 else 8.0) if not in_place else 0.0
        blocks = _blocks(target, batch * spans, tiles, 48 if copy_a else 32, tile_cycles, pack_cycles)
        return TemplateCall(
            source="matmul.cl",
            prelude=("tile.cl",),
            defines={
                "LANES": lanes, "COLUMNS": n, "M": m, "K": k, **strides,
                "ROWS": tile.rows, "VECTORS": tile.vectors, "BLOCKS": blocks, "SPAN": span, "SPANS": spans,
                "DEPTH": depth, "PACK_B": int(not in_place), "PACK_A": int(copy_a),
                "PANEL_STEP": k * panel if problem.packed else panel,
            },
            global_size=(spans * ceil_div(tiles, blocks), batch),
            local_size=(1, 1),
            flops=problem.flops,
            operands=("A", "B"),
        )  # fmt: skip


MATMUL = MatMulFamily()


def _blocks(target: Target, columns: int, tiles: int, most_blocks: int, tile_cycles: float, pack_cycles: float) -> int:
    """The number of tiles of a work-item.

    Few tiles distribute the load evenly; many tiles make up for the copy of a panel and the start of a work-item. The
    limit is ``most_blocks``: the stack holds the sums of the tiles, and the second-level cache holds their part of A.
    """

    def cycles(groups: int) -> float:
        rounds = ceil_div(columns * groups, target.compute_units)
        return rounds * (target.tuning.item_cycles + pack_cycles + ceil_div(tiles, groups) * tile_cycles)

    fewest = ceil_div(tiles, most_blocks)
    most = min(tiles, 64 * fewest)
    candidates = range(fewest, most + 1, ceil_div(most + 1 - fewest, _MOST_CANDIDATES))
    return ceil_div(tiles, min(candidates, key=cycles))


_MOST_CANDIDATES = 4096
