"""Packing of filters and of the second factor of matrix products: ``opencl/pack_filters.cl``.

The packed elements have the order in which ``opencl/convolution.cl`` and ``opencl/matmul.cl`` read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from graphdl.operators.kernels.family import Family, Operand, Planner
from graphdl.operators.kernels.geometry import Pair
from graphdl.operators.kernels.template import TemplateCall, ceil_div
from graphdl.operators.tensor import Layout, Tensor

if TYPE_CHECKING:
    from graphdl.compiler.program import Target


@dataclass(frozen=True, slots=True)
class Packing:
    """Panels of ``vectors`` × ``lanes`` columns, each with all rows and taps. Lanes beyond the last column are zero."""

    lanes: int
    vectors: int
    groups: int
    columns: int
    """The number of results of one group, for each pixel."""
    rows: int
    """The number of channels that are summed over."""
    taps: int
    strides: Pair
    """The strides of filters along the columns and along the rows. For a matrix the strides of the operand count."""
    turn: bool
    """Whether the order of the taps is reversed."""

    @property
    def panel(self) -> int:
        return self.vectors * self.lanes

    @property
    def panels(self) -> int:
        return ceil_div(self.columns, self.panel)

    @property
    def size(self) -> int:
        """The number of floats of the packed filters."""
        return self.groups * self.panels * self.panel * self.rows * self.taps


class FilterPacking(Family[Packing, None]):
    """A kernel with the pointer ``W``. It stores with ``STORE(V, value, position)``."""

    name = "pack_filters"
    operand_layouts: ClassVar[tuple[Layout, ...]] = ("row_major",)
    coordinates = (0,)
    vector = 0

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        raise AssertionError("no operation of the language packs filters")

    def candidates(self, problem: Packing, target: Target) -> Sequence[None]:
        return [None]

    def call(self, problem: Packing, candidate: None, target: Target, operands: Sequence[Operand] = ()) -> TemplateCall:
        columns, rows, taps = problem.columns, problem.rows, problem.taps
        return _call(problem, columns * rows * taps, problem.strides, problem.groups * columns * rows * taps)


class PanelPacking(FilterPacking):
    """The packing of a matrix B[b, k, n] with any strides. Groups run along b, rows along k, columns along n."""

    name = "pack_panels"
    operand_layouts = ("strided",)

    def call(self, problem: Packing, candidate: None, target: Target, operands: Sequence[Operand] = ()) -> TemplateCall:
        (b,) = operands
        batch, row, column = b.strides
        last = (problem.groups - 1) * batch + (problem.rows - 1) * row + (problem.columns - 1) * column
        forward = min(batch, row, column) >= 0  # with a negative stride, no vector is known to lie inside the data
        return _call(problem, batch, (column, row), last + 1 if forward else 0)


FILTER_PACKING = FilterPacking()
PANEL_PACKING = PanelPacking()


def _call(problem: Packing, group_stride: int, strides: Pair, floats: int) -> TemplateCall:
    """The launch that packs an array of ``floats`` floats, with these strides along the groups, columns and rows."""
    panel, panels, columns, rows, taps = (
        problem.panel, problem.panels, problem.columns, problem.rows, problem.taps,
    )  # fmt: skip
    rows_packed = ceil_div(16384, panel * taps)
    return TemplateCall(
        source="pack_filters.cl",
        prelude=("tile.cl",),
        defines={
            "LANES": problem.lanes, "TAPS": taps, "TURN": int(problem.turn), "ADJACENT_COLUMNS": int(strides[0] == 1),
            "ADJACENT_ROWS": int(strides[1] == taps),
        },
        sizes={
            "PANEL": panel, "PANELS": panels, "COLUMNS": columns, "ROWS": rows, "GROUP_STRIDE": group_stride,
            "COLUMN_STRIDE": strides[0], "ROW_STRIDE": strides[1], "ROWS_PER_ITEM": rows_packed, "FLOATS": floats,
        },
        global_size=(problem.vectors, ceil_div(rows, rows_packed), panels * problem.groups),
        local_size=(1, 1, 1),
        flops=0,
        operands=("W",),
    )  # fmt: skip
