"""A stable sort by merging: ``opencl/sort_blocks.cl`` sorts blocks, ``opencl/merge_runs.cl`` joins them two by two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.operators.kernels.family import Family, Operand, Planner
from graphdl.operators.kernels.template import TemplateCall, ceil_div
from graphdl.operators.tensor import Template, Tensor

if TYPE_CHECKING:
    from graphdl.compiler.program import Target


@dataclass(frozen=True)
class ArgSort(Template):
    """For keys [rows, length] the positions, in each row, of the keys in ascending order, or in descending order.

    Equal keys keep their order, and a NaN counts as the greatest.
    """

    descending: bool = False

    @property
    def family(self) -> SortedBlocks:
        return SORTED_BLOCKS

    def flops(self, y: Tensor) -> int:
        return y.size * y.shape[1].bit_length()

    def typed(self, y: Tensor) -> bool:
        return y.element == "int" and y.inputs[0].element != "bool"


def argsort(keys: Tensor, *, descending: bool = False) -> Tensor:
    """The positions that sort each row of ``keys`` [rows, length], floats or ints; see ``ArgSort``."""
    return Tensor(ArgSort(descending), (keys,), keys.shape, "int")


@dataclass(frozen=True, slots=True)
class Rows:
    """The sizes of a sort: ``rows`` rows of ``length`` keys each."""

    rows: int
    length: int
    floating: bool
    descending: bool

    def defines(self, keys: Operand) -> dict[str, int]:
        """The parameters that both kernels have."""
        return {
            "LENGTH": self.length, "FLOATING": int(self.floating), "DESCENDING": int(self.descending),
            "KEY_ROW": keys.strides[0], "KEY_STEP": keys.strides[1],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    """A block of ``extent`` neighbouring keys that a group of ``side`` work-items sorts."""

    extent: int
    side: int


class SortedBlocks(Family[Rows, Block]):
    """A kernel with the pointer ``KEYS`` with any strides. It stores with ``STORE(1, position, row, place)``."""

    name = "sort_blocks"
    operand_layouts = ("strided",)
    outputs = ("int",)
    coordinates = (0, 1)
    vector = 1

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        """Sorted blocks, which are merged until each row is one run."""
        assert isinstance(y.operation, ArgSort)
        (keys,) = inputs
        rows, length = keys.shape
        problem = Rows(rows, length, keys.element == "float", y.operation.descending)
        order = planner.made(self, problem, (keys,), y.shape, y)
        run = planner.chosen(self, problem).extent
        while run < length:
            order = planner.made(MERGED_RUNS, Runs(problem, run), (keys, order), y.shape, y)
            run *= 2
        return order

    def candidates(self, problem: Rows, target: Target) -> Sequence[Block]:
        whole = 1 << (problem.length - 1).bit_length()
        held = target.local_memory // (2 * _ENTRY_BYTES)
        most = min(2048 if target.kind == "cpu" else 1024, 1 << (held.bit_length() - 1))
        extent = min(whole, most)
        side = 1 if target.kind == "cpu" else max(1, min(extent // 4, target.max_work_group))
        return [Block(extent, 1 << (side.bit_length() - 1))]

    def call(self, problem: Rows, candidate: Block, target: Target, operands: Sequence[Operand] = ()) -> TemplateCall:
        return TemplateCall(
            source="sort_blocks.cl",
            prelude=("merging.cl",),
            defines={**problem.defines(operands[0]), "BLOCK": candidate.extent, "SIDE": candidate.side},
            global_size=(ceil_div(problem.length, candidate.extent) * candidate.side, problem.rows),
            local_size=(candidate.side, 1),
            flops=0,
            operands=("KEYS",),
        )


@dataclass(frozen=True, slots=True)
class Runs:
    """The sizes of a merge: rows that consist of sorted runs of ``run`` elements."""

    sorted: Rows
    run: int


class MergedRuns(Family[Runs, int]):
    """A kernel with the pointers ``KEYS`` with any strides and ``ORDER``.

    It stores with ``STORE(1, position, row, place)``. A candidate is the number of places that a work-item writes.
    """

    name = "merge_runs"
    operand_layouts = ("strided", "row_major")
    outputs = ("int",)
    coordinates = (0, 1)
    vector = 1

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        raise AssertionError("no operation of the language merges runs")

    def candidates(self, problem: Runs, target: Target) -> Sequence[int]:
        if target.kind == "gpu":
            return [8]
        return [max(1024, ceil_div(problem.sorted.rows * problem.sorted.length, target.shares))]

    def call(self, problem: Runs, candidate: int, target: Target, operands: Sequence[Operand] = ()) -> TemplateCall:
        parts = ceil_div(problem.sorted.length, candidate)
        side = 1 if target.kind == "cpu" else min(64, target.max_work_group)
        return TemplateCall(
            source="merge_runs.cl",
            prelude=("merging.cl",),
            defines={**problem.sorted.defines(operands[0]), "RUN": problem.run, "EACH": candidate},
            global_size=(ceil_div(parts, side) * side, problem.sorted.rows),
            local_size=(side, 1),
            flops=0,
            operands=("KEYS", "ORDER"),
        )


SORTED_BLOCKS = SortedBlocks()
MERGED_RUNS = MergedRuns()

_ENTRY_BYTES = 8
"""The bytes of a key and its position."""
