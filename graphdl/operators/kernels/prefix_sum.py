"""Prefix sums, also called cumulative sums: ``opencl/prefix_sum.cl``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.graph.types import Element
from graphdl.operators.kernels.family import Family, Operand, Planner
from graphdl.operators.kernels.template import TemplateCall, ceil_div, lanes_of
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import broadcast_to, pad, reshape, slice_
from graphdl.operators.tensor import Template, Tensor

if TYPE_CHECKING:
    from graphdl.compiler.program import Target


@dataclass(frozen=True)
class PrefixSum(Template):
    """``y[o, k, i] = Σ over j ≤ k of x[o, j, i]``; with ``exclusive``, over j < k."""

    exclusive: bool
    element: Element

    @property
    def family(self) -> PrefixSumFamily:
        return PREFIX_SUMS[self.element]

    def flops(self, y: Tensor) -> int:
        return y.size

    def typed(self, y: Tensor) -> bool:
        return y.element == y.inputs[0].element == self.element

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
        """Each element contributes to the sums at and after its place, so the gradient is a prefix sum from the end."""
        return (turned(prefix_sum(turned(g), exclusive=self.exclusive)),)


def prefix_sum(x: Tensor, *, exclusive: bool = False) -> Tensor:
    """The sums along the second of three dimensions; see ``PrefixSum``. ``x`` holds floats or ints."""
    return Tensor(PrefixSum(exclusive, x.element), (x,), x.shape, x.element)


def turned(x: Tensor) -> Tensor:
    """The second of three dimensions in reverse order."""
    return slice_(x, (0, x.shape[1] - 1, 0), (1, -1, 1), x.shape)


@dataclass(frozen=True, slots=True)
class Sums:
    """The sizes of a prefix sum over x [outer, length, inner]."""

    outer: int
    length: int
    inner: int
    exclusive: bool


class PrefixSumFamily(Family[Sums, int]):
    """A kernel with the pointer ``X`` with any strides.

    It stores vectors along i: ``STORE(V, value, o, k, i)``. A candidate is the most lanes that a vector may have.
    """

    name = "prefix_sum"
    operand_layouts = ("strided",)
    coordinates = (0, 1, 2)
    vector = 2

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        assert isinstance(y.operation, PrefixSum)
        return self._made(inputs[0], y.operation.exclusive, y, planner)

    def _made(self, x: Tensor, exclusive: bool, y: Tensor, planner: Planner) -> Tensor:
        """The prefix sum by one kernel, or by blocks if one kernel would leave cores idle.

        With blocks, the sum of all blocks before it is added to the prefix sums of each block. For blocks of 2, the
        inclusive sums of [1, 2, 3, 4] are [1, 3] and [3, 7] inside the blocks, and 0 and 3 are added to them.
        """
        outer, length, inner = x.shape
        problem = Sums(outer, length, inner, exclusive)
        blocks = _blocks(problem, planner.target)
        if blocks == 1:
            return planner.made(self, problem, (x,), x.shape, y, x.size)
        block = ceil_div(length, blocks)
        blocks = ceil_div(length, block)
        whole = pad(x, (0, 0, 0), (0, blocks * block - length, 0))
        whole = reshape(whole, (outer * blocks, block, inner))
        sums = reshape(reduce("sum", whole, (1,)), (outer, blocks, inner))
        before = reshape(self._made(sums, True, y, planner), (outer * blocks, 1, inner))
        inside = planner.made(self, Sums(outer * blocks, block, inner, exclusive), (whole,), whole.shape, y, whole.size)
        total = reshape(inside + broadcast_to(before, whole.shape), (outer, blocks * block, inner))
        return slice_(total, (0, 0, 0), (1, 1, 1), x.shape)

    def candidates(self, problem: Sums, target: Target) -> Sequence[int]:
        return [1 if target.kind == "gpu" else lanes_of(target)]

    def call(self, problem: Sums, candidate: int, target: Target, operands: Sequence[Operand] = ()) -> TemplateCall:
        (x,) = operands
        lanes = candidate
        while lanes > 1 and (x.strides[2] != 1 or lanes > problem.inner):
            lanes //= 2
        columns = ceil_div(problem.inner, lanes)
        tasks = problem.outer * columns
        side, each = min(64, target.max_work_group), 1
        if target.kind == "cpu":
            side, each = 1, ceil_div(tasks, target.shares)
        return TemplateCall(
            source="prefix_sum.cl",
            defines={
                "LENGTH": problem.length, "INNER": problem.inner, "LANES": lanes, "COLUMNS": columns, "TASKS": tasks,
                "EACH": each, "EXCLUSIVE": int(problem.exclusive), "FLOATING": int(self.outputs == ("float",)),
                "X_OUTER": x.strides[0], "X_STEP": x.strides[1], "X_INNER": x.strides[2],
            },
            global_size=(ceil_div(ceil_div(tasks, each), side) * side,),
            local_size=(side,),
            flops=0,
            operands=("X",),
        )  # fmt: skip


class IntPrefixSumFamily(PrefixSumFamily):
    """Prefix sums of ints."""

    outputs = ("int",)


PREFIX_SUMS: dict[Element, PrefixSumFamily] = {"float": PrefixSumFamily(), "int": IntPrefixSumFamily()}


def _blocks(problem: Sums, target: Target) -> int:
    """The number of blocks of a sum that gives work to all cores."""
    tasks = problem.outer * problem.inner
    if target.kind == "gpu":
        return ceil_div(problem.length, 32) if tasks < target.shares and problem.length >= 64 else 1
    vectors = problem.outer * ceil_div(problem.inner, lanes_of(target))
    return max(1, min(ceil_div(target.shares, vectors), problem.length // target.tuning.item_share))
