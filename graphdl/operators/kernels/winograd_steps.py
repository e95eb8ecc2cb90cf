"""Winograd's method on GPUs: ``opencl/winograd_steps.cl``, and ``opencl/tiled_product.cl`` between its kernels.

See ``winograd.py`` for the method and its errors. On a GPU the transformed data, the transformed filters and the sums
of all tiles are in memory. For each of the 36 or 16 positions there is a matrix product, and the products of all
positions are one launch:

    forward pass and gradient of the input    sums [tile, column] = data [tile, channel] × filters [channel, column]
    gradient of the filters                   sums [filter, channel] = gradient' [filter, tile] × data [tile, channel]

The products take less time than the direct kernel, and the transforms are limited by the memory. So the method is
worth it if there are many channels on both sides.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from graphdl.graph.types import Shape
from graphdl.operators.kernels.family import Choosing, Family, Operand, Planner
from graphdl.operators.kernels.geometry import CHANNELS_LAST, ConvolutionProblem
from graphdl.operators.kernels.matmul import MATMUL, MatrixProduct
from graphdl.operators.kernels.template import TemplateCall, ceil_div, group_tile, memory_cycles, tiled_cycles
from graphdl.operators.kernels.winograd import OUTPUTS, WinogradProblem, positions_of, winograd_problem
from graphdl.operators.structure import transpose
from graphdl.operators.tensor import Layout, Tensor

if TYPE_CHECKING:
    from graphdl.compiler.program import Target


@dataclass(frozen=True, slots=True)
class Steps:
    """The GPU's form of a convolution or of a gradient by Winograd's method."""

    outputs: int
    """The number of rows and of columns of a tile."""


class TransformFamily(Family[WinogradProblem, None]):
    """A kernel with the pointer ``X``. The operations are numbered in ``opencl/winograd_steps.cl``."""

    operation: ClassVar[int]
    operand_layouts: ClassVar[tuple[Layout, ...]] = ("row_major",)
    coordinates: ClassVar[tuple[int, ...]] = (0, 1, 2)
    vector = 2

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        raise AssertionError("the families of convolutions choose this method")

    def candidates(self, problem: WinogradProblem, target: Target) -> Sequence[None]:
        return [None]

    @abstractmethod
    def extents(self, problem: WinogradProblem) -> tuple[int, int]:
        """The extents of ``outer`` and of ``inner``."""

    def sizes(self, problem: WinogradProblem) -> Mapping[str, int]:
        """Further parameters."""
        return {}

    def call(
        self, problem: WinogradProblem, candidate: None, target: Target, operands: Sequence[Operand] = ()
    ) -> TemplateCall:
        outer, inner = self.extents(problem)
        side = min(target.tuning.group_items, target.max_work_group)
        return TemplateCall(
            source="winograd_steps.cl",
            prelude=("winograd_transforms.cl",),
            defines={"OPERATION": self.operation, "OUTPUTS": problem.outputs},
            sizes={"OUTER": outer, "INNER": inner, **self.sizes(problem)},
            global_size=(ceil_div(outer * inner, side) * side,),
            local_size=(side,),
            flops=0,
            operands=("X",),
        )


def _tiles(problem: WinogradProblem, height: int, width: int) -> dict[str, int]:
    """The parameters of images of a size that are divided into the tiles of a problem."""
    across = (ceil_div(extent, problem.outputs) for extent in problem.output)
    return {"HEIGHT": height, "WIDTH": width, **dict(zip(("TILES_Y", "TILES_X"), across, strict=True))}


class _Data(TransformFamily):
    """D[position, tile, channel]."""

    name = "winograd_step_data"
    operation = 0
    operand_layouts = ("channels_last",)

    def extents(self, problem: WinogradProblem) -> tuple[int, int]:
        return problem.tiles, problem.channels

    def sizes(self, problem: WinogradProblem) -> Mapping[str, int]:
        tiles = _tiles(problem, problem.height, problem.width)
        return tiles | {"PAD_TOP": problem.before[0], "PAD_LEFT": problem.before[1]}


class _Filters(TransformFamily):
    """U[position, channel, column]."""

    name = "winograd_step_filters"
    operation = 1

    def extents(self, problem: WinogradProblem) -> tuple[int, int]:
        return problem.channels, problem.columns

    def sizes(self, problem: WinogradProblem) -> Mapping[str, int]:
        inner, outer = problem.filter_strides
        return {"INNER_STRIDE": inner, "OUTER_STRIDE": outer, "TURN": int(problem.turn)}


class _Outputs(TransformFamily):
    """Y[n, y, x, column] of the sums [position, tile, column]."""

    name = "winograd_step_outputs"
    operation = 2
    result_layout = "channels_last"
    coordinates = CHANNELS_LAST
    vector = 1

    def extents(self, problem: WinogradProblem) -> tuple[int, int]:
        return problem.tiles, problem.columns

    def sizes(self, problem: WinogradProblem) -> Mapping[str, int]:
        return _tiles(problem, *problem.output)


class _Gradient(TransformFamily):
    """E[position, tile, filter] of the output's gradient."""

    name = "winograd_step_gradient"
    operation = 3
    operand_layouts = ("channels_last",)

    def extents(self, problem: WinogradProblem) -> tuple[int, int]:
        return problem.tiles, problem.columns

    def sizes(self, problem: WinogradProblem) -> Mapping[str, int]:
        return _tiles(problem, *problem.output)


class _Weights(TransformFamily):
    """dW[filter, channel, ky, kx] of the sums [position, filter, channel]."""

    name = "winograd_step_weights"
    operation = 4
    coordinates = (0, 1, 2, 3)
    vector = 3

    def extents(self, problem: WinogradProblem) -> tuple[int, int]:
        return problem.columns, problem.channels


STEP_DATA, STEP_FILTERS, STEP_OUTPUTS = _Data(), _Filters(), _Outputs()
STEP_GRADIENT, STEP_WEIGHTS = _Gradient(), _Weights()


def steps_of(problem: ConvolutionProblem, target: Target) -> list[Steps]:
    """The forms of a convolution, and of its gradients, by this method."""
    sizes = {outputs: winograd_problem(problem, gradient=False, outputs=outputs) for outputs in OUTPUTS}
    room = target.max_buffer // _SHARE
    return [Steps(outputs) for outputs, found in sizes.items() if found is not None and 4 * _between(found) <= room]


def in_steps(problem: ConvolutionProblem, form: Steps, *, gradient: bool = False) -> WinogradProblem:
    """The problem of a form of a convolution and of the gradient of its filters, or of the gradient of its input."""
    found = winograd_problem(problem, gradient=gradient, outputs=form.outputs)
    assert found is not None, "steps_of has such a form where the method fits"
    return found


def computed(
    y: Tensor, shape: Shape, data: Tensor, filters: Tensor, problem: WinogradProblem, planner: Planner, form: Choosing
) -> Tensor:
    """The tensor of ``shape`` of the forward pass, or of the gradient of the input. ``form`` is what was chosen."""
    positions, tiles, channels, columns = _extents(problem)
    patches = planner.made(STEP_DATA, problem, (data,), (positions, tiles, channels), y)
    weights = planner.made(STEP_FILTERS, problem, (filters,), (positions, channels, columns), y)
    product = MatrixProduct(positions, tiles, columns, channels)
    sums = planner.made(MATMUL, product, (patches, weights), (positions, tiles, columns), y, problem.flops)
    return planner.made(STEP_OUTPUTS, problem, (sums,), shape, y, last_of=form)


def gradient_of_filters(
    y: Tensor, data: Tensor, gradient: Tensor, problem: WinogradProblem, planner: Planner, form: Choosing
) -> Tensor:
    """The gradient of the filters, from data with their padding and the output's gradient."""
    positions, tiles, channels, columns = _extents(problem)
    patches = planner.made(STEP_DATA, problem, (data,), (positions, tiles, channels), y)
    parts = planner.made(STEP_GRADIENT, problem, (gradient,), (positions, tiles, columns), y)
    product = MatrixProduct(positions, columns, channels, tiles)
    turned = transpose(parts, (0, 2, 1))
    sums = planner.made(MATMUL, product, (turned, patches), (positions, columns, channels), y, problem.flops)
    return planner.made(STEP_WEIGHTS, problem, (sums,), y.shape, y, last_of=form)


def cycles(problem: WinogradProblem, target: Target, *, of_filters: bool = False) -> float:
    """The predicted cycles of all kernels, with a reserve: they were measured on no GPU."""
    positions, tiles, channels, columns = _extents(problem)
    rows, across, steps = (columns, channels, tiles) if of_filters else (tiles, columns, channels)
    product = tiled_cycles(group_tile(target), target, rows=rows, columns=across, steps=steps, layers=positions)
    data = problem.batch * problem.height * problem.width * channels
    image = problem.batch * problem.output[0] * problem.output[1] * columns
    moved = data + image + 9 * channels * columns + 2 * _between(problem)
    return (product + memory_cycles(moved, target) + 3 * target.tuning.gpu_launch) / _WORTH


def _extents(problem: WinogradProblem) -> tuple[int, int, int, int]:
    return positions_of(problem.outputs), problem.tiles, problem.channels, problem.columns


def _between(problem: WinogradProblem) -> int:
    """The floats that the kernels exchange."""
    positions, tiles, channels, columns = _extents(problem)
    return positions * (tiles * (channels + columns) + channels * columns)


_WORTH = 0.7
"""The method is chosen if its time is predicted to be below this fraction of the direct kernel's time."""
_SHARE = 8
"""The part of the largest buffer that the tensors between the kernels may take."""
