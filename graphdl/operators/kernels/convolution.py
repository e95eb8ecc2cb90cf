"""Convolution and its gradient with respect to the input: ``opencl/convolution.cl``, and ``opencl/tiled_product.cl`` on
GPUs.

On a CPU both are one kernel. At each pixel of a grid, it sums the products of data and packed filters over channels and
taps. For the gradient, the data is the gradient of the output with zeros around it, and the order of the taps is
reversed. The kernel runs once for each phase of the stride.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd, prod
from typing import TYPE_CHECKING

from graphdl.graph.types import Shape
from graphdl.operators.kernels.family import Family, Operand, Planner, predicted
from graphdl.operators.kernels.geometry import (
    CHANNELS_LAST,
    UNPADDED,
    ConvolutionProblem,
    OfPaddedInput,
    Padding,
    Pair,
    zeros_around,
)
from graphdl.operators.kernels.packing import FILTER_PACKING, Packing
from graphdl.operators.kernels.template import (
    GroupTile,
    RegisterTile,
    TemplateCall,
    ceil_div,
    group_tile,
    lanes_of,
    memory_cycles,
    register_tiles,
    step_cycles,
    tiled_cycles,
    tiled_product,
)
from graphdl.operators.kernels.winograd import WinogradProblem, faster_problem, winograd
from graphdl.operators.kernels.winograd_steps import STEP_OUTPUTS, Steps, computed, cycles, in_steps, steps_of
from graphdl.operators.structure import pad
from graphdl.operators.tensor import Tensor

if TYPE_CHECKING:
    from graphdl.compiler.program import Target


@dataclass(frozen=True, slots=True)
class PixelTile:
    """A register tile whose rows are a box of pixels: images × rows × columns."""

    registers: RegisterTile
    box: tuple[int, int, int]


Form = PixelTile | GroupTile | Steps
"""On a CPU a tile of pixels; on a GPU a tile of the direct kernel, or Winograd's method."""


@dataclass(frozen=True, slots=True)
class _Windows:
    """The problem of ``convolution.cl``: ``columns`` sums for each group, pixel of the ``grid`` (N, H, W) and phase."""

    columns: int
    groups: int
    rows: int
    """The number of channels of a group that are summed over."""
    taps: int
    grid: tuple[int, int, int]
    phases: Pair
    blank: Pair
    """The numbers of rows at the top and at the bottom of the data that are known to be zero."""
    filter_strides: Pair
    """The strides of W along the columns and along the rows."""
    turn: bool
    """Whether the order of the taps is reversed."""


class _WindowFamily(Family[ConvolutionProblem, Form]):
    """A kernel with the pointers ``X`` (the data, channels-last) and ``W`` (packed on a CPU).

    It stores vectors along c: ``STORE(V, value, n, y, x, c)``.
    """

    operand_layouts = ("channels_last", "row_major")
    result_layout = "channels_last"
    coordinates = CHANNELS_LAST
    vector = 1

    def candidates(self, problem: ConvolutionProblem, target: Target) -> Sequence[Form]:
        if target.kind == "gpu":
            return [group_tile(target), *steps_of(problem, target)]
        windows = self._windows(problem)
        grid = windows.grid
        # If rows are blank, tiles of several images are better than tiles of several rows: more of them read blank rows
        # only.
        flat = any(windows.blank)
        found = [
            PixelTile(tile, box)
            for tile in register_tiles(target, grid[0] * grid[1] * grid[2], ceil_div(windows.columns, lanes_of(target)))
            for box in _boxes(tile.rows, grid)
        ]
        return sorted(found, key=lambda c: (-c.registers.rows * c.registers.vectors, c.box[1 if flat else 0]))

    def cycles(self, problem: ConvolutionProblem, candidate: Form, target: Target) -> float:
        if isinstance(candidate, Steps):
            return cycles(self._in_steps(problem, candidate), target)
        if isinstance(candidate, GroupTile):
            return _group_cycles(problem, self._windows(problem), candidate, target)
        windows, tile = self._windows(problem), candidate.registers
        tiles = 1
        for extent, part in zip(windows.grid, candidate.box, strict=True):
            tiles *= ceil_div(extent, part)
        return tiles * ceil_div(ceil_div(windows.columns, lanes_of(target)), tile.vectors) * step_cycles(tile, target)

    def packing(self, problem: ConvolutionProblem, candidate: Form, target: Target) -> Packing | None:
        """The packing of the filters for a form of the kernel. None if it reads them as they are."""
        if not isinstance(candidate, PixelTile):
            return None
        windows = self._windows(problem)
        return Packing(
            lanes_of(target), candidate.registers.vectors, windows.groups, windows.columns, windows.rows, windows.taps,
            windows.filter_strides, windows.turn,
        )  # fmt: skip

    @abstractmethod
    def _windows(self, problem: ConvolutionProblem) -> _Windows:
        """The problem in the terms of ``convolution.cl``."""

    def _in_steps(self, problem: ConvolutionProblem, form: Steps) -> WinogradProblem:
        return in_steps(problem, form, gradient=self._windows(problem).turn)

    def _computed(
        self, y: Tensor, shape: Shape, data: Tensor, filters: Tensor, problem: ConvolutionProblem, planner: Planner
    ) -> Tensor:
        """The tensor of ``shape`` that the kernel computes from data and filters, which are packed if necessary."""
        candidate = planner.chosen(self, problem)
        if isinstance(candidate, Steps):
            form = (self, problem, candidate)
            return computed(y, shape, data, filters, self._in_steps(problem, candidate), planner, form)
        packing = self.packing(problem, candidate, planner.target)
        if packing is not None:
            filters = planner.made(FILTER_PACKING, packing, (filters,), (packing.size,), y)
        return planner.made(self, problem, (data, filters), shape, y, problem.flops)

    def transformed(self, problem: ConvolutionProblem, lasts: bool, target: Target) -> WinogradProblem | None:
        """The problem for Winograd's method, if that is chosen instead of this kernel. See ``faster_problem``."""
        if target.kind == "gpu":
            return None
        windows = self._windows(problem)
        steps = self.cycles(problem, predicted(self, problem, target), target)
        cycles = steps * windows.rows * windows.taps / target.compute_units
        return faster_problem(problem, cycles, lasts, target, gradient=windows.turn)

    def _windows_call(
        self, problem: ConvolutionProblem, tile: PixelTile, target: Target, defines: Mapping[str, int]
    ) -> TemplateCall:
        windows, lanes = self._windows(problem), lanes_of(target)
        grid, phases, box = windows.grid, windows.phases, tile.box
        panels = ceil_div(windows.columns, tile.registers.vectors * lanes)
        tile_rows = ceil_div(grid[0], box[0]) * ceil_div(grid[1], box[1])
        span = max(1, min(panels, _SPAN_BYTES // (4 * windows.taps * windows.rows * tile.registers.vectors * lanes)))
        spans = ceil_div(panels, span)
        others = spans * windows.groups * phases[0] * phases[1]
        items = max(target.compute_units, min(32 * target.compute_units, problem.flops // target.tuning.item_flops))
        rows_per_item = ceil_div(tile_rows * others, items)
        return TemplateCall(
            source="convolution.cl",
            prelude=("tile.cl",),
            defines={
                **defines,
                "LANES": lanes, "COLUMNS": windows.columns, "GRID_HEIGHT": grid[1], "GRID_WIDTH": grid[2],
                "PHASES_Y": phases[0], "PHASES_X": phases[1], "BLANK_TOP": windows.blank[0],
                "BLANK_BOTTOM": windows.blank[1], "TILE_N": box[0], "TILE_Y": box[1], "TILE_X": box[2],
                "VECTORS": tile.registers.vectors, "ROWS_PER_ITEM": rows_per_item, "PANELS": panels,
                "SPAN": span,
            },
            global_size=(ceil_div(tile_rows, rows_per_item), spans * windows.groups, phases[0] * phases[1]),
            local_size=(1, 1, 1),
            flops=problem.flops,
            operands=("X", "W"),
        )  # fmt: skip


class ConvolutionFamily(_WindowFamily):
    """Y[n, oy, ox, o]. X contains the problem's padding as zeros; the kernel can skip some of them."""

    name = "convolution"

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        x, w = inputs
        problem = ConvolutionProblem.of(y, x.shape, w.shape, zeros_around(x))
        transformed = self.transformed(problem, planner.repeats(w), planner.target)
        if transformed is not None:
            return winograd(y, y.shape, x, w, transformed, planner)
        return self._computed(y, y.shape, x, w, problem, planner)

    def call(
        self,
        problem: ConvolutionProblem,
        candidate: Form,
        target: Target,
        operands: Sequence[Operand] = (),
    ) -> TemplateCall:
        if isinstance(candidate, Steps):
            return STEP_OUTPUTS.call(self._in_steps(problem, candidate), None, target)
        if isinstance(candidate, GroupTile):
            out_height, out_width = problem.output
            return tiled_product(
                candidate, 1, rows=problem.batch * out_height * out_width, columns=problem.group_filters,
                steps=problem.group_channels * problem.taps, layers=problem.groups, operands=("X", "W"),
                defines=problem.gpu_defines,
            )  # fmt: skip
        defines = problem.defines | {
            "TAP_STEP_Y": problem.dilation[0], "TAP_STEP_X": problem.dilation[1],
            "PHASE_DILATION_Y": 1, "PHASE_DILATION_X": 1, "ORIGIN_Y": 0, "ORIGIN_X": 0,
        }  # fmt: skip
        return self._windows_call(problem, candidate, target, defines)

    def _windows(self, problem: ConvolutionProblem) -> _Windows:
        return _Windows(
            problem.group_filters, problem.groups, problem.group_channels, problem.taps,
            (problem.batch, *problem.output), (1, 1), problem.padding[0],
            (problem.group_channels * problem.taps, problem.taps), False,
        )  # fmt: skip


class InputGradientFamily(OfPaddedInput, _WindowFamily):
    """dX[n, y, x, c] without the problem's padding: y = 0 is the first row behind the padding.

    ``X`` is the gradient of the output. On a CPU it has zeros around it: see ``gradient_padding``.
    """

    name = "input_gradient"

    def prepare_padded(self, y: Tensor, inputs: tuple[Tensor, ...], padding: Padding, planner: Planner) -> Tensor:
        g, w = inputs
        problem = ConvolutionProblem.of(y, y.shape, w.shape, padding)
        transformed = self.transformed(problem, planner.repeats(w), planner.target)
        if transformed is not None:
            return winograd(y, (*y.shape[:2], *problem.inner), g, w, transformed, planner)
        (top, bottom), (left, right) = self.gradient_padding(problem, planner.target)
        n, c = y.shape[:2]
        data = pad(g, (0, 0, top, left), (0, 0, bottom, right))
        return self._computed(y, (n, c, *problem.inner), data, w, problem, planner)

    def gradient_padding(self, problem: ConvolutionProblem, target: Target) -> Padding:
        """The rows and columns of zeros that the kernel needs around the gradient of the output."""
        return UNPADDED if target.kind == "gpu" else _gradient_padding(problem)[0]

    def call(
        self,
        problem: ConvolutionProblem,
        candidate: Form,
        target: Target,
        operands: Sequence[Operand] = (),
    ) -> TemplateCall:
        height, width = problem.inner
        (top, _), (left, _) = problem.padding
        if isinstance(candidate, Steps):
            return STEP_OUTPUTS.call(self._in_steps(problem, candidate), None, target)
        if isinstance(candidate, GroupTile):
            return tiled_product(
                candidate, 2, rows=problem.batch * height * width, columns=problem.group_channels,
                steps=problem.group_filters * problem.taps, layers=problem.groups, operands=("X", "W"),
                defines=problem.gpu_defines | {"HEIGHT": height, "WIDTH": width, "PAD_TOP": top, "PAD_LEFT": left},
            )  # fmt: skip
        around, origins = _gradient_padding(problem)
        out_height, out_width = problem.output
        dilation, stride = problem.dilation, problem.stride
        defines = {
            "BATCH": problem.batch, "HEIGHT": out_height + sum(around[0]), "WIDTH": out_width + sum(around[1]),
            "CHANNELS": problem.filters, "GROUP_CHANNELS": problem.group_filters, "OUT_HEIGHT": height,
            "OUT_WIDTH": width, "TAPS_Y": problem.kernel[0], "TAPS_X": problem.kernel[1], "STRIDE_Y": 1, "STRIDE_X": 1,
            "TAP_STEP_Y": dilation[0] // gcd(dilation[0], stride[0]),
            "TAP_STEP_X": dilation[1] // gcd(dilation[1], stride[1]),
            "PHASE_DILATION_Y": dilation[0], "PHASE_DILATION_X": dilation[1],
            "ORIGIN_Y": origins[0], "ORIGIN_X": origins[1],
        }  # fmt: skip
        return self._windows_call(problem, candidate, target, defines)

    def _windows(self, problem: ConvolutionProblem) -> _Windows:
        return _Windows(
            problem.group_channels, problem.groups, problem.group_filters, problem.taps,
            (problem.batch, *_phase_grid(problem)), problem.stride, _gradient_padding(problem)[0][0],
            (problem.taps, problem.group_channels * problem.taps), True,
        )  # fmt: skip


_SPAN_BYTES = 1 << 17
"""Bytes of filters that a work-item reads for each row of tiles: they stay in the second-level cache."""

CONVOLUTION = ConvolutionFamily()
INPUT_GRADIENT = InputGradientFamily()


def _group_cycles(problem: ConvolutionProblem, windows: _Windows, tile: GroupTile, target: Target) -> float:
    """The cycles of the direct kernel on a GPU. For the gradient of the input it computes all pixels as one grid."""
    height, width = problem.inner if windows.turn else problem.output
    product = tiled_cycles(
        tile, target, rows=problem.batch * height * width, columns=windows.columns, steps=windows.rows * windows.taps,
        layers=windows.groups,
    )  # fmt: skip
    data, result = problem.channels * problem.height * problem.width, problem.filters * prod(problem.output)
    moved = problem.batch * (data + result) + problem.filters * problem.group_channels * problem.taps
    return product + memory_cycles(moved, target)


def _phase_grid(problem: ConvolutionProblem) -> Pair:
    """The numbers of rows and columns of the input that one phase of the stride computes."""
    height, width = problem.inner
    return ceil_div(height, problem.stride[0]), ceil_div(width, problem.stride[1])


def _gradient_padding(problem: ConvolutionProblem) -> tuple[Padding, Pair]:
    """The padding of the output's gradient, and the parameters ORIGIN of ``convolution.cl``.

    Input row q * stride + phase, counted without the padding, contributes through tap t to output row
    q + (phase + pad - t * dilation) / stride, if this is an integer. The reversed filters begin with the last tap.

    An example along one axis: 3 taps, stride 1, pad 1. Row q contributes through tap t to row q + 1 - t, so the shifts
    are 1, 0, -1. The gradient needs one row of zeros before it, for row -1, and one behind it, for row ``output``.
    """
    grid = _phase_grid(problem)
    pads, origins = [], []
    for axis in range(2):
        taps, dilation, stride = problem.kernel[axis], problem.dilation[axis], problem.stride[axis]
        before_input = problem.padding[axis][0]
        shifts = [
            (phase + before_input - t * dilation) // stride
            for phase in range(stride)
            for t in range(taps)
            if (phase + before_input - t * dilation) % stride == 0
        ]
        before = max(0, -min(shifts))
        pads.append((before, max(0, grid[axis] + max(shifts) - problem.output[axis])))
        origins.append(before * stride + before_input - (taps - 1) * dilation)
    return (pads[0], pads[1]), (origins[0], origins[1])


def _boxes(pixels: int, grid: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """All boxes of ``pixels`` pixels that fit in the grid, the widest first."""
    return [
        (pixels // (x * y), y, x)
        for x in range(min(pixels, grid[2]), 0, -1)
        if pixels % x == 0
        for y in range(min(pixels // x, grid[1]), 0, -1)
        if pixels // x % y == 0 and pixels // (x * y) <= grid[0]
    ]
