"""A convolution's gradient with respect to its filters: ``opencl/convolution_weight_gradient.cl``, and
``opencl/tiled_product.cl`` on GPUs.

On a CPU, the gradient of many filters with one tap is a matrix product: ``opencl/matmul.cl``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphdl.operators.kernels.family import Family, Operand, Planner, predicted
from graphdl.operators.kernels.geometry import ConvolutionProblem
from graphdl.operators.kernels.matmul import MatMulFamily, MatrixProduct
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
from graphdl.operators.kernels.unpacking import FILTER_UNPACKING, Unpacking
from graphdl.operators.kernels.winograd_steps import (
    STEP_WEIGHTS,
    Steps,
    cycles,
    gradient_of_filters,
    in_steps,
    steps_of,
)
from graphdl.operators.kernels.winograd_weights import WINOGRAD_WEIGHTS
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import reshape, transpose
from graphdl.operators.tensor import Tensor

if TYPE_CHECKING:
    from graphdl.compiler.program import Target


class WeightGradientFamily(Family[ConvolutionProblem, RegisterTile | GroupTile | Steps]):
    """dW[o, i, ky, kx] from ``X`` (with its padding) and the output's gradient ``G``, both channels-last.

    The kernel computes partial sums over parts of the lines. It stores vectors along o:
    ``STORE(V, value, split, o, i, ky, kx)``. The order in memory is [split, i, ky, kx, o], so that whole vectors are
    stored. The partial sums are then transposed and added up in order.
    """

    name = "weight_gradient"
    operand_layouts = ("channels_last", "channels_last")
    coordinates = (0, 4, 1, 2, 3)
    vector = 4

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        x, g = inputs
        problem = ConvolutionProblem.of(y, x.shape, y.shape)
        if planner.target.kind == "cpu" and _is_product(problem):
            pixels = problem.batch * problem.height * problem.width
            product = MatrixProduct(1, problem.filters, problem.channels, pixels)
            shape = (1, problem.filters, problem.channels)
            return reshape(planner.made(POINTWISE_GRADIENT, product, (g, x), shape, y, problem.flops), y.shape)
        candidate = planner.chosen(self, problem)
        if isinstance(candidate, Steps):
            return gradient_of_filters(y, x, g, in_steps(problem, candidate), planner, (self, problem, candidate))
        family: Family[ConvolutionProblem, Any] = self
        if self.is_slower(problem, planner.target):
            family, splits = WINOGRAD_WEIGHTS, planner.chosen(WINOGRAD_WEIGHTS, problem).splits
        else:
            splits = self.splits(problem, candidate, planner.target)
        filters, channels, height, width = y.shape
        partial_shape = (splits, channels, height, width, filters)
        partial = planner.made(family, problem, (x, g), partial_shape, y, problem.flops)
        if planner.target.kind == "gpu":
            return reduce("sum", transpose(partial, (0, 4, 1, 2, 3)), (0,), keep=False)
        unpacking = Unpacking(splits, channels * height * width, filters)
        total = planner.made(FILTER_UNPACKING, unpacking, (partial,), (filters, unpacking.positions), y)
        return reshape(total, y.shape)

    def candidates(self, problem: ConvolutionProblem, target: Target) -> Sequence[RegisterTile | GroupTile | Steps]:
        if target.kind == "gpu":
            return [group_tile(target), *steps_of(problem, target)]
        vectors = ceil_div(problem.group_filters, lanes_of(target))
        return sorted(register_tiles(target, _extent(problem), vectors), key=lambda tile: -tile.rows * tile.vectors)

    def cycles(self, problem: ConvolutionProblem, candidate: RegisterTile | GroupTile | Steps, target: Target) -> float:
        if isinstance(candidate, Steps):
            return cycles(in_steps(problem, candidate), target, of_filters=True)
        if isinstance(candidate, GroupTile):
            return self._group_cycles(problem, candidate, target)
        panels = ceil_div(ceil_div(problem.group_filters, lanes_of(target)), candidate.vectors)
        loads = (candidate.rows + candidate.vectors) / _LOADS + 0.5
        steps = ceil_div(_extent(problem), candidate.rows) * panels
        copies = panels * candidate.vectors * _COPY_CYCLES / _tap_rows(problem)
        return steps * max(step_cycles(candidate, target), loads) + copies

    def _group_cycles(self, problem: ConvolutionProblem, tile: GroupTile, target: Target) -> float:
        splits, pixels = self.splits(problem, tile, target), problem.output[0] * problem.output[1]
        product = tiled_cycles(
            tile, target, rows=problem.group_channels * problem.taps, columns=problem.group_filters,
            steps=problem.batch * pixels, layers=problem.groups, splits=splits,
        )  # fmt: skip
        images = problem.batch * (problem.channels * problem.height * problem.width + problem.filters * pixels)
        partial = splits * problem.filters * problem.group_channels * problem.taps
        return product + memory_cycles(images + 2 * partial, target) + target.tuning.gpu_launch

    def is_slower(self, problem: ConvolutionProblem, target: Target) -> bool:
        """Whether Winograd's method is chosen instead of this kernel."""
        if target.kind == "gpu":
            return False
        pixels = problem.batch * problem.output[0] * problem.output[1]
        steps = pixels * (problem.kernel[0] if _merges(problem) else problem.taps) * problem.groups
        cycles = self.cycles(problem, predicted(self, problem, target), target) * steps / target.compute_units
        return WINOGRAD_WEIGHTS.is_faster(problem, cycles, target)

    def splits(self, problem: ConvolutionProblem, candidate: RegisterTile | GroupTile, target: Target) -> int:
        """The number of partial sums of a form of the kernel."""
        if isinstance(candidate, GroupTile):
            rows, columns = problem.group_channels * problem.taps, problem.group_filters
            pixels = problem.batch * problem.output[0] * problem.output[1]
            tiles = ceil_div(rows, 64) * ceil_div(columns, 64) * problem.groups
            return max(1, min(4 * target.compute_units // tiles, ceil_div(pixels, 1024), 32))
        return _shares(problem, candidate, target).splits

    def call(
        self,
        problem: ConvolutionProblem,
        candidate: RegisterTile | GroupTile | Steps,
        target: Target,
        operands: Sequence[Operand] = (),
    ) -> TemplateCall:
        if isinstance(candidate, Steps):
            return STEP_WEIGHTS.call(in_steps(problem, candidate), None, target)
        splits = self.splits(problem, candidate, target)
        if isinstance(candidate, GroupTile):
            return tiled_product(
                candidate, 3, rows=problem.group_channels * problem.taps, columns=problem.group_filters,
                steps=problem.batch * problem.output[0] * problem.output[1], layers=problem.groups,
                operands=("X", "G"), defines=problem.gpu_defines | {"SPLITS": splits}, splits=splits,
            )  # fmt: skip
        shares = _shares(problem, candidate, target)
        return TemplateCall(
            source="convolution_weight_gradient.cl",
            prelude=("tile.cl",),
            defines=problem.defines
            | {
                "LANES": lanes_of(target), "COLUMNS": problem.group_filters, "GROUPS": problem.groups,
                "DILATION_Y": problem.dilation[0], "DILATION_X": problem.dilation[1],
                "MERGE_X": int(_merges(problem)), "ROWS": candidate.rows, "VECTORS": candidate.vectors,
                "BLOCKS": shares.blocks, "TAP_ROWS": _tap_rows(problem), "LINES": shares.lines, "SPAN": shares.span,
                "SPANS": shares.spans, "COPY_X": int(shares.copies), "ITEMS": shares.items, "SPLITS": splits,
            },
            global_size=(
                shares.items * _tap_items(problem),
                shares.spans * problem.groups, splits,
            ),
            local_size=(1, 1, 1),
            flops=problem.flops,
            operands=("X", "G"),
        )  # fmt: skip


class PointwiseGradientFamily(MatMulFamily):
    """dW[0, o, i] of filters with one tap, as a matrix product over all pixels.

    ``A`` is the transpose of the output's gradient [pixel, o], ``B`` is the data [pixel, i]. The vectors run along i,
    which is the memory order of the filters, so the result need not be transposed.
    """

    name = "pointwise_gradient"
    operand_layouts = ("channels_last", "channels_last")

    def call(
        self,
        problem: MatrixProduct,
        candidate: RegisterTile | GroupTile,
        target: Target,
        operands: Sequence[Operand] = (),
    ) -> TemplateCall:
        gradient, data = Operand(0, (0, 1, problem.m)), Operand(0, (0, problem.n, 1))
        return super().call(problem, candidate, target, (gradient, data))


WEIGHT_GRADIENT = WeightGradientFamily()
POINTWISE_GRADIENT = PointwiseGradientFamily()


def _is_product(problem: ConvolutionProblem) -> bool:
    """Whether the filters have one tap, and are so many that a matrix product is faster."""
    plain = problem.kernel == problem.stride == (1, 1) and problem.groups == 1
    return plain and problem.filters >= _MANY_FILTERS


_MANY_FILTERS = 256

_FEW_ROWS = 48
"""Rows of the product, for each row of taps, up to which one work-item computes all rows of taps."""

# Measured on an AMD Zen 3 with two cores and PoCL 3.0.
_LOADS = 1.8
"""Loads of a step in a cycle. Only tiles of one vector have so many loads that this matters."""
_COPY_CYCLES = 3
"""Cycles of the copy of one vector of G to private memory. With few rows this takes as long as the products."""


@dataclass(frozen=True, slots=True)
class _Shares:
    """The division of the work among the work-items of the CPU's form."""

    span: int
    """The number of panels of filters of a work-item."""
    spans: int
    blocks: int
    """The number of tiles of a work-item, along channels and merged taps."""
    items: int
    splits: int
    lines: int
    """The number of lines of pixels that are read at once."""
    copies: bool
    """Whether a tile's part of the pixels is copied once for many panels.

    It is copied if the pixels are far apart in memory, because reading them would cause conflict misses in the
    first-level cache."""


def _shares(problem: ConvolutionProblem, tile: RegisterTile, target: Target) -> _Shares:
    panel = tile.vectors * lanes_of(target)
    panels = ceil_div(problem.group_filters, panel)
    copies = problem.channels * problem.stride[1] >= target.tuning.page // 2 and tile.rows > 4 and panels > 1
    span = min(8 if copies else 4, panels)
    spans = ceil_div(panels, span)
    tiles = ceil_div(_extent(problem), tile.rows)
    sums = _tap_rows(problem) * tile.rows * panel * span
    blocks = min(tiles, max(1, target.tuning.private_floats // sums))
    items = ceil_div(tiles, blocks)
    work_items = items * _tap_items(problem) * spans * problem.groups
    lines = problem.batch * problem.output[0]
    splits = min(ceil_div(target.shares, work_items), lines)
    chunk = max(1, min(ceil_div(lines, splits), (256 if copies else 128) // problem.output[1]))
    return _Shares(span, spans, ceil_div(tiles, items), items, splits, chunk, copies)


def _merges(problem: ConvolutionProblem) -> bool:
    """Whether the taps of a row and the channels can be treated as one dimension of the data."""
    return problem.dilation[1] == 1 and problem.groups == 1


def _tap_rows(problem: ConvolutionProblem) -> int:
    """The rows of taps of a work-item: all if the products of one take little longer than the copy of the gradient."""
    return problem.kernel[0] if _merges(problem) and _extent(problem) <= _FEW_ROWS else 1


def _tap_items(problem: ConvolutionProblem) -> int:
    """The number of work-items among which the taps are divided."""
    return problem.kernel[0] // _tap_rows(problem) if _merges(problem) else problem.taps


def _extent(problem: ConvolutionProblem) -> int:
    """The number of rows of the product: the channels, times the taps of a row if they are merged."""
    return problem.group_channels * (problem.kernel[1] if _merges(problem) else 1)
