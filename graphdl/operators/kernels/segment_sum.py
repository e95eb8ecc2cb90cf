"""Sums over segments, in a fixed order and without atomics: ``opencl/segment_sum.cl``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.operators.elementwise import apply
from graphdl.operators.kernels.family import Family, Operand, Planner
from graphdl.operators.kernels.sorting import SORTED_BLOCKS, argsort
from graphdl.operators.kernels.template import TemplateCall, ceil_div, lanes_of
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import positions, reshape
from graphdl.operators.tensor import Tensor

if TYPE_CHECKING:
    from graphdl.compiler.program import Target


@dataclass(frozen=True, slots=True)
class Segments:
    """``count`` rows of ``units`` that are summed into ``rows`` rows, for each of ``tables`` tables."""

    tables: int
    count: int
    rows: int
    units: int


class SegmentSumFamily(Family[Segments, int]):
    """A kernel with the pointers ``INDEX``, ``ORDER`` and ``G``.

    It stores vectors along the units: ``STORE(V, value, table, row, unit)``. A candidate is the number of rows that a
    work-item computes.
    """

    name = "segment_sum"
    operand_layouts = ("strided", "row_major", "strided")
    coordinates = (0, 1, 2)
    vector = 2
    even = False

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        index, g = inputs
        tables, rows, units = y.shape
        problem = Segments(tables, index.shape[1], rows, units)
        if rows * units <= MOST_COMPARED:
            return compared(index, g, rows)
        order = SORTED_BLOCKS.prepare(argsort(index), (index,), planner)
        return planner.made(self, problem, (index, order, g), y.shape, y, g.size)

    def candidates(self, problem: Segments, target: Target) -> Sequence[int]:
        if target.kind == "gpu":
            return [8 if problem.units >= 32 else 1]
        whole = problem.tables * problem.rows
        shares = max(1, min(4 * target.shares, whole * problem.units // target.tuning.item_share))
        return [min(problem.rows, ceil_div(whole, shares))]

    def call(self, problem: Segments, candidate: int, target: Target, operands: Sequence[Operand] = ()) -> TemplateCall:
        index, _, g = operands
        lanes = lanes_of(target) if target.kind == "cpu" else 4 if target.vector_width >= 4 else 1
        while lanes > 1 and (g.strides[2] != 1 or lanes > problem.units):
            lanes //= 2
        units_each = problem.units if target.kind == "cpu" else lanes
        across, along = ceil_div(problem.units, units_each), ceil_div(problem.rows, candidate)
        side = (1, 1)
        if target.kind == "gpu":
            most = min(64, target.max_work_group)
            width = min(most, 1 << (across - 1).bit_length())
            side = (width, most // width)
        return TemplateCall(
            source="segment_sum.cl",
            defines={
                "COUNT": problem.count, "ROWS": problem.rows, "UNITS": problem.units, "LANES": lanes,
                "ROWS_EACH": candidate, "UNITS_EACH": units_each, "BLOCK": 32,
                "INDEX_TABLE": index.strides[0], "INDEX_STEP": index.strides[1],
                "G_TABLE": g.strides[0], "G_STEP": g.strides[1], "G_UNIT": g.strides[2],
            },
            global_size=(ceil_div(across, side[0]) * side[0], ceil_div(along, side[1]) * side[1], problem.tables),
            local_size=(*side, 1),
            flops=0,
            operands=("INDEX", "ORDER", "G"),
        )  # fmt: skip


SEGMENT_SUM = SegmentSumFamily()

MOST_COMPARED = 128
"""The most elements of a table for which comparing every row with every index is faster than sorting the indices.

For each index the comparison takes about one operation for each element of the table."""


def compared(index: Tensor, g: Tensor, rows: int) -> Tensor:
    """The segment sums of ``g`` [tables, count, units] by comparing every row with every ``index`` [tables, count]."""
    tables, count, units = g.shape
    hit = apply("equal", reshape(index, (tables, 1, count, 1)), positions((1, rows, 1, 1), (1,)))
    spread = apply("where", hit, reshape(g, (tables, 1, count, units)), 0.0)
    return reduce("sum", spread, (2,), keep=False)
