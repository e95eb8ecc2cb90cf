"""The sum of partial gradients of filters, in the memory order of the filters: ``opencl/unpack_filters.cl``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.operators.kernels.family import Family, Operand, Planner
from graphdl.operators.kernels.template import TemplateCall, ceil_div, lanes_of
from graphdl.operators.tensor import Tensor

if TYPE_CHECKING:
    from graphdl.compiler.program import Target


@dataclass(frozen=True, slots=True)
class Unpacking:
    """The sizes of partial gradients P [splits, positions, filters], whose sum is dW [filters, positions]."""

    splits: int
    positions: int
    """The number of elements of a filter: channels × taps."""
    filters: int


class FilterUnpacking(Family[Unpacking, None]):
    """A kernel for CPUs with the pointer ``P``.

    It stores vectors along the positions: ``STORE(V, value, filter, position)``.
    """

    name = "unpack_filters"
    operand_layouts = ("row_major",)
    coordinates = (0, 1)
    vector = 1

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        raise AssertionError("no operation of the language unpacks filters")

    def candidates(self, problem: Unpacking, target: Target) -> Sequence[None]:
        return [None]

    def call(
        self, problem: Unpacking, candidate: None, target: Target, operands: Sequence[Operand] = ()
    ) -> TemplateCall:
        blocks = ceil_div(problem.filters, _WIDTH)
        lanes = lanes_of(target)
        share = max(_FEWEST, ceil_div(problem.positions, ceil_div(target.shares, blocks)))
        share = ceil_div(share, lanes) * lanes
        return TemplateCall(
            source="unpack_filters.cl",
            prelude=("tile.cl",),
            defines={"LANES": lanes},
            sizes={
                "COLUMNS": problem.filters, "SPLITS": problem.splits, "POSITIONS": problem.positions,
                "POSITIONS_PER_ITEM": share,
            },
            global_size=(ceil_div(problem.positions, share), blocks),
            local_size=(1, 1),
            flops=(problem.splits - 1) * problem.positions * problem.filters,
            operands=("P",),
        )  # fmt: skip


FILTER_UNPACKING = FilterUnpacking()

_WIDTH = 16
"""The number of filters of a work-item, as in the kernel."""
_FEWEST = 64
"""The fewest positions of a work-item. With fewer, another work-item costs more than it saves."""
