"""Winograd's method for convolutions with 3 × 3 taps, on CPUs: ``opencl/winograd.cl``.

A tile of 4 × 4 pixels takes 36 products for each channel and filter instead of 144, a tile of 2 × 2 pixels 16 instead
of 36 (Lavin and Gray, 2016). The small tiles have smaller filters, which counts where there are few pixels. The direct
method adds the products as they are; here sums and differences of pixels and of weights are multiplied. Rounding errors
are therefore in proportion to the largest pixels of a tile's patch. With the points of
``opencl/winograd_transforms.cl`` they are a small multiple of those of the direct method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.graph.types import Shape
from graphdl.operators.kernels.family import Family, Operand, Planner, predicted
from graphdl.operators.kernels.geometry import CHANNELS_LAST, ConvolutionProblem, Pair
from graphdl.operators.kernels.packing import Packing
from graphdl.operators.kernels.template import (
    RegisterTile,
    TemplateCall,
    ceil_div,
    lanes_of,
    register_tiles,
    step_cycles,
)
from graphdl.operators.tensor import Tensor

if TYPE_CHECKING:
    from graphdl.compiler.program import Target


def fits(problem: ConvolutionProblem) -> bool:
    """Whether the method can compute a convolution and its gradients."""
    return problem.kernel == (3, 3) and problem.stride == problem.dilation == (1, 1) and problem.groups == 1


def tiles_of(batch: int, size: Pair, outputs: int) -> int:
    """The number of tiles of ``outputs`` × ``outputs`` pixels of images of a size."""
    return batch * ceil_div(size[0], outputs) * ceil_div(size[1], outputs)


def positions_of(outputs: int) -> int:
    """The number of products for each channel and filter of a tile."""
    return (outputs + 2) ** 2


def fast_tiles(target: Target, most_rows: int, most_vectors: int) -> list[RegisterTile]:
    """The register tiles whose products take little more time than those of the fastest one."""

    def cycles(tile: RegisterTile) -> float:
        return step_cycles(tile, target) / (tile.rows * tile.vectors)

    tiles = register_tiles(target, most_rows, most_vectors)
    best = min(map(cycles, tiles))
    return [tile for tile in tiles if cycles(tile) <= _SLOWEST * best]


@dataclass(frozen=True, slots=True)
class TransformedFilters(Packing):
    """Filters of 9 taps in panels, with the transformed weights in place of the taps: one set of panels for each."""

    outputs: int

    @property
    def step(self) -> int:
        """The distance of neighbouring positions. The 16 keep them out of the same sets of the caches."""
        return self.panels * self.panel * self.rows + 16

    @property
    def size(self) -> int:
        """The number of floats, with those between the positions."""
        return positions_of(self.outputs) * self.step


@dataclass(frozen=True, slots=True)
class WinogradProblem:
    """The sizes of X [N, H, W, C] and of Y [N, OH, OW, columns].

    X has ``before`` rows and columns of zeros before it that are not in memory, and as many behind it as Y needs.
    """

    batch: int
    channels: int
    height: int
    width: int
    columns: int
    output: Pair
    before: Pair
    filter_strides: Pair
    """The strides of W along the columns and along the channels."""
    turn: bool
    """Whether the order of the taps is reversed."""
    outputs: int
    """The number of rows and of columns of a tile."""

    @property
    def tiles(self) -> int:
        return tiles_of(self.batch, self.output, self.outputs)

    @property
    def flops(self) -> int:
        """The number of operations of the direct method."""
        return 18 * self.batch * self.output[0] * self.output[1] * self.channels * self.columns


@dataclass(frozen=True, slots=True)
class Tiling:
    """The division of the work. A register tile has tiles of the image as rows."""

    registers: RegisterTile
    block: int
    """The number of tiles of a work-item, a multiple of the register tile's rows."""
    chunk: int
    """The number of channels that are transformed at once."""
    span: int
    """The number of panels of a work-item."""


class FilterTransform(Family[TransformedFilters, None]):
    """A kernel with the pointer ``W``. It stores with ``STORE(V, value, position)``."""

    name = "winograd_filters"
    operand_layouts = ("row_major",)
    coordinates = (0,)
    vector = 0

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        raise AssertionError("no operation of the language transforms filters")

    def candidates(self, problem: TransformedFilters, target: Target) -> Sequence[None]:
        return [None]

    def call(
        self, problem: TransformedFilters, candidate: None, target: Target, operands: Sequence[Operand] = ()
    ) -> TemplateCall:
        rows_each = ceil_div(_WEIGHTS_EACH, problem.panel)
        return TemplateCall(
            source="winograd_filters.cl",
            prelude=("tile.cl", "winograd_transforms.cl"),
            defines={
                "LANES": problem.lanes, "COLUMNS": problem.columns, "PANEL": problem.panel, "ROWS": problem.rows,
                "COLUMN_STRIDE": problem.strides[0], "ROW_STRIDE": problem.strides[1],
                "FLOATS": problem.taps * problem.columns * problem.rows, "TURN": int(problem.turn),
                "POSITION_STEP": problem.step, "ROWS_PER_ITEM": rows_each, "OUTPUTS": problem.outputs,
            },
            global_size=(problem.panels, ceil_div(problem.rows, rows_each)),
            local_size=(1, 1),
            flops=0,
            operands=("W",),
        )  # fmt: skip


class WinogradFamily(Family[WinogradProblem, Tiling]):
    """A kernel with the pointers ``X`` (channels-last) and ``U`` (transformed filters).

    It stores vectors along c: ``STORE(V, value, n, y, x, c)``.
    """

    name = "winograd"
    operand_layouts = ("channels_last", "row_major")
    result_layout = "channels_last"
    coordinates = CHANNELS_LAST
    vector = 1

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        raise AssertionError("the families of convolutions choose this method")

    def candidates(self, problem: WinogradProblem, target: Target) -> Sequence[Tiling]:
        lanes = lanes_of(target)
        parts = ceil_div(problem.channels, _CHUNK)
        chunk = problem.channels if parts == 1 else ceil_div(problem.channels, parts * lanes) * lanes
        found: dict[Tiling, None] = {}
        for tile in fast_tiles(target, problem.tiles, ceil_div(problem.columns, lanes)):
            panels = ceil_div(problem.columns, tile.vectors * lanes)
            for most in _BLOCKS:
                blocks = ceil_div(problem.tiles, max(most, tile.rows))
                block = ceil_div(problem.tiles, blocks * tile.rows) * tile.rows
                for share in _SPANS:
                    span = ceil_div(panels, share)
                    floats = positions_of(problem.outputs) * block * (chunk + span * tile.vectors * lanes)
                    if floats <= PRIVATE * target.tuning.private_floats or (block == tile.rows and span == 1):
                        found[Tiling(tile, block, chunk, span)] = None
        return sorted(found, key=lambda form: (form.registers.vectors, -form.registers.rows))

    def cycles(self, problem: WinogradProblem, candidate: Tiling, target: Target) -> float:
        lanes, tile = lanes_of(target), candidate.registers
        positions = positions_of(problem.outputs)
        panels = ceil_div(problem.columns, tile.vectors * lanes)
        vectors = problem.channels // lanes + problem.channels % lanes
        data = candidate.block * vectors * DATA_CYCLES[problem.outputs]
        kept = 2 * tile.rows * tile.vectors * ceil_div(problem.channels, candidate.chunk)
        steps = positions * candidate.span * (candidate.block // tile.rows)
        products = steps * (problem.channels * step_cycles(tile, target) + kept)
        filters = 4 * positions * candidate.span * tile.vectors * lanes * problem.channels
        rate = _MEMORY_RATE if 4 * self.filters(problem, candidate, target).size > _CACHED else _CACHE_RATE
        sums = candidate.block * candidate.span * tile.vectors * SUM_CYCLES[problem.outputs]
        items = ceil_div(problem.tiles, candidate.block) * ceil_div(panels, candidate.span)
        item = data + max(products, filters / rate) + sums + target.tuning.item_cycles
        return ceil_div(items, target.compute_units) * item

    def filters(self, problem: WinogradProblem, candidate: Tiling, target: Target) -> TransformedFilters:
        """The filters that a form of the kernel reads."""
        return TransformedFilters(
            lanes_of(target), candidate.registers.vectors, 1, problem.columns, problem.channels, 9,
            problem.filter_strides, problem.turn, problem.outputs,
        )  # fmt: skip

    def call(
        self, problem: WinogradProblem, candidate: Tiling, target: Target, operands: Sequence[Operand] = ()
    ) -> TemplateCall:
        filters, tile = self.filters(problem, candidate, target), candidate.registers
        return TemplateCall(
            source="winograd.cl",
            prelude=("tile.cl", "winograd_transforms.cl", "winograd_data.cl"),
            defines={
                "LANES": filters.lanes, "COLUMNS": problem.columns, "BATCH": problem.batch, "HEIGHT": problem.height,
                "WIDTH": problem.width, "CHANNELS": problem.channels, "OUT_HEIGHT": problem.output[0],
                "OUT_WIDTH": problem.output[1], "PAD_TOP": problem.before[0], "PAD_LEFT": problem.before[1],
                "ROWS": tile.rows, "VECTORS": tile.vectors, "BLOCK": candidate.block, "CHUNK": candidate.chunk,
                "SPAN": candidate.span, "PANELS": filters.panels, "POSITION_STEP": filters.step,
                "OUTPUTS": problem.outputs,
            },
            global_size=(ceil_div(problem.tiles, candidate.block), ceil_div(filters.panels, candidate.span)),
            local_size=(1, 1),
            flops=problem.flops,
            operands=("X", "U"),
        )  # fmt: skip


WINOGRAD_FILTERS = FilterTransform()
WINOGRAD = WinogradFamily()


def winograd_problem(problem: ConvolutionProblem, *, gradient: bool, outputs: int) -> WinogradProblem | None:
    """The problem of a convolution, or of its gradient with respect to its input without the padding.

    The data of the gradient are the gradient of the output without zeros around it. None if the method does not fit.
    """
    if not fits(problem):
        return None
    batch, channels, filters = problem.batch, problem.channels, problem.filters
    if not gradient:
        return WinogradProblem(
            batch, channels, problem.height, problem.width, filters, problem.output, (0, 0), (9 * channels, 9), False,
            outputs,
        )  # fmt: skip
    (top, _), (left, _) = problem.padding
    return WinogradProblem(
        batch, filters, *problem.output, channels, problem.inner, (2 - top, 2 - left), (9, 9 * channels), True, outputs
    )


def faster_problem(
    problem: ConvolutionProblem, direct: float, lasts: bool, target: Target, *, gradient: bool
) -> WinogradProblem | None:
    """The problem with the best tiles if the method is predicted to be clearly faster than the direct one.

    The direct method takes ``direct`` cycles. If the filters last, they are transformed only once, but are not in the
    cache when the kernel reads them.
    """
    weights = 0 if lasts else 9 * problem.filters * problem.channels
    most = WORTH * (direct + weights * _PACKING_CYCLES / target.compute_units)
    best = None
    for outputs in OUTPUTS:
        found = winograd_problem(problem, gradient=gradient, outputs=outputs)
        if found is not None and (cycles := _whole_cycles(found, lasts, target)) < most:
            best, most = found, cycles
    return best


def _whole_cycles(problem: WinogradProblem, lasts: bool, target: Target) -> float:
    """The predicted cycles, with those of the filters."""
    candidate = predicted(WINOGRAD, problem, target)
    filters = 4 * WINOGRAD.filters(problem, candidate, target).size
    if lasts:
        made = filters / _MEMORY_RATE
    else:
        spilled = max(0, filters - _CACHED)
        transform = 9 * problem.columns * problem.channels * _TRANSFORM_CYCLES[problem.outputs]
        made = transform + spilled * (1 / _MEMORY_RATE + 1 / _WRITE_RATE)
    return WINOGRAD.cycles(problem, candidate, target) + made / target.compute_units


def winograd(
    y: Tensor, shape: Shape, data: Tensor, filters: Tensor, problem: WinogradProblem, planner: Planner
) -> Tensor:
    """The tensor of ``shape`` that the method computes from data and filters."""
    transformed = WINOGRAD.filters(problem, planner.chosen(WINOGRAD, problem), planner.target)
    packed = planner.made(WINOGRAD_FILTERS, transformed, (filters,), (transformed.size,), y)
    return planner.made(WINOGRAD, problem, (data, packed), shape, y, problem.flops)


OUTPUTS = (4, 2)
"""The numbers of rows and columns that a tile may have."""
_SLOWEST = 1.3
"""Register tiles whose products take this multiple of the least time are no candidates."""
_CHUNK = 64
"""The most channels that are transformed at once."""
_BLOCKS = (12, 24, 36, 48, 72)
"""The most tiles of a work-item, unless a register tile has more rows."""
_SPANS = (1, 2, 3, 4, 6, 8, 16, 32, 64)
"""The numbers of work-items among which the panels are divided."""
PRIVATE = 4
"""Multiples of ``Tuning.private_floats`` that a work-item may use. Part of them is read from the third-level cache."""
_WEIGHTS_EACH = 1024
"""The number of filters of one channel that a work-item transforms."""
WORTH = 0.85
"""The method is chosen if its time is predicted to be below this fraction of the direct method's time."""

# Measured on an AMD Zen 3 with two cores and PoCL 3.0.
DATA_CYCLES = {4: 130, 2: 50}
"""Cycles of the transform of one vector of channels of a tile, by the tile's outputs."""
SUM_CYCLES = {4: 160, 2: 60}
"""Cycles of the transform of one vector of sums of a tile, and of its stores, by the tile's outputs."""
_TRANSFORM_CYCLES = {4: 3.3, 2: 2.0}
"""Cycles of the transform of the filters, for each weight, by the tile's outputs."""
_PACKING_CYCLES = 1.7
"""Cycles of the packing of filters for the direct method, for each weight."""
_CACHE_RATE = 4
"""Bytes that a core reads from the third-level cache in a cycle."""
_MEMORY_RATE = 3
_WRITE_RATE = 2
"""Bytes that a core reads from memory, or writes to it, in a cycle."""
_CACHED = 12 << 20
"""Bytes of transformed filters that stay in the third-level cache."""
