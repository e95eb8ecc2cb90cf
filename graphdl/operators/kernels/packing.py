"""Filters, and the second factor of matrix products, in the order in which ``opencl/convolution.cl`` and
``opencl/matmul.cl`` read them: ``opencl/pack_filters.cl``."""

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
    """Panels of ``vectors`` × ``lanes`` columns, each with all rows and taps; what no column fills is zero."""

    lanes: int
    vectors: int
    groups: int
    columns: int
    """Results of the product that the filters are a factor of, in one group."""
    rows: int
    """Channels that are summed over."""
    taps: int
    strides: Pair
    """Of filters along the columns and along the rows; those of a matrix are its own."""
    turn: bool
    """The last tap comes first."""

    @property
    def panel(self) -> int:
        return self.vectors * self.lanes

    @property
    def panels(self) -> int:
        return ceil_div(self.columns, self.panel)

    @property
    def size(self) -> int:
        """Floats of the packed filters."""
        return self.groups * self.panels * self.panel * self.rows * self.taps


class FilterPacking(Family[Packing, None]):
    """Pointer ``W``; ``STORE(V, value, position)``."""

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
    """The same for a matrix B[b, k, n] with any strides: a group is a b, a row a k, a column an n."""

    name = "pack_panels"
    operand_layouts = ("strided",)

    def call(self, problem: Packing, candidate: None, target: Target, operands: Sequence[Operand] = ()) -> TemplateCall:
        (b,) = operands
        batch, row, column = b.strides
        last = (problem.groups - 1) * batch + (problem.rows - 1) * row + (problem.columns - 1) * column
        forward = min(batch, row, column) >= 0  # backwards, no vector is known to lie within the data
        return _call(problem, batch, (column, row), last + 1 if forward else 0)


FILTER_PACKING = FilterPacking()
PANEL_PACKING = PanelPacking()


def _call(problem: Packing, group_stride: int, strides: Pair, floats: int) -> TemplateCall:
    """The launch that packs data of so many ``floats`` with these strides along the groups, columns and rows."""
    panel, panels, columns, rows, taps = (
        problem.panel, problem.panels, problem.columns, problem.rows, problem.taps,
    )  # fmt: skip
    rows_packed = ceil_div(16384, panel * taps)
    return TemplateCall(
        source="pack_filters.cl",
        prelude=("tile.cl",),
        defines={
            "LANES": problem.lanes, "PANEL": panel, "PANELS": panels, "COLUMNS": columns, "ROWS": rows,
            "TAPS": taps, "GROUP_STRIDE": group_stride, "COLUMN_STRIDE": strides[0],
            "ROW_STRIDE": strides[1], "TURN": int(problem.turn), "ROWS_PER_ITEM": rows_packed,
            "FLOATS": floats,
        },
        global_size=(problem.vectors, ceil_div(rows, rows_packed), panels * problem.groups),
        local_size=(1, 1, 1),
        flops=0,
        operands=("W",),
    )  # fmt: skip
