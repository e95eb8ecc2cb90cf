"""Winograd's method for the gradient with respect to filters of 3 × 3 taps, on CPUs: ``opencl/winograd_weights.cl``.

See ``winograd.py``. The transforms are the transposes of those of the convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import lcm
from typing import TYPE_CHECKING

from graphdl.operators.kernels.family import Family, Operand, Planner, predicted
from graphdl.operators.kernels.geometry import ConvolutionProblem
from graphdl.operators.kernels.template import RegisterTile, TemplateCall, ceil_div, lanes_of, step_cycles
from graphdl.operators.kernels.winograd import (
    DATA_CYCLES,
    OUTPUTS,
    PRIVATE,
    SUM_CYCLES,
    WORTH,
    fast_tiles,
    fits,
    positions_of,
    tiles_of,
)
from graphdl.operators.tensor import Tensor

if TYPE_CHECKING:
    from graphdl.compiler.program import Target


@dataclass(frozen=True, slots=True)
class GradientTiling:
    """The division of the work. A register tile has channels of X as rows."""

    registers: RegisterTile
    channels: int
    """The number of channels of X of a work-item."""
    filters: int
    """The number of filters of a work-item."""
    chunk: int
    """The number of tiles that are transformed at once."""
    splits: int
    """The number of parts of the sum."""
    outputs: int
    """The number of rows and of columns of a tile of the output's gradient."""


class WinogradWeightFamily(Family[ConvolutionProblem, GradientTiling]):
    """A kernel with the pointers and the ``STORE`` of ``WeightGradientFamily``."""

    name = "winograd_weights"
    operand_layouts = ("channels_last", "channels_last")
    coordinates = (0, 4, 1, 2, 3)
    vector = 4

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        raise AssertionError("the family of weight gradients chooses this method")

    def candidates(self, problem: ConvolutionProblem, target: Target) -> Sequence[GradientTiling]:
        lanes = lanes_of(target)
        found: dict[GradientTiling, None] = {}
        for outputs, tile in product(OUTPUTS, fast_tiles(target, problem.channels, ceil_div(problem.filters, lanes))):
            tiles = tiles_of(problem.batch, problem.output, outputs)
            for most in _BLOCKS:
                # If there are several blocks, each begins with a whole vector.
                blocks = ceil_div(problem.channels, most)
                unit = tile.rows if blocks == 1 else lcm(tile.rows, lanes)
                channels = ceil_div(problem.channels, blocks * unit) * unit
                panel = tile.vectors * lanes
                filters = ceil_div(problem.filters, ceil_div(problem.filters, most) * panel) * panel
                items = ceil_div(problem.channels, channels) * ceil_div(problem.filters, filters)
                chunk = min(_CHUNK, tiles)
                splits = min(ceil_div(target.shares, items), ceil_div(tiles, chunk))
                row = ceil_div(channels, lanes) * lanes
                floats = positions_of(outputs) * (channels * filters + chunk * (row + filters))
                if floats <= PRIVATE * target.tuning.private_floats or most == min(_BLOCKS):
                    found[GradientTiling(tile, channels, filters, chunk, splits, outputs)] = None
        return sorted(found, key=lambda form: (form.registers.vectors, -form.registers.rows))

    def cycles(self, problem: ConvolutionProblem, candidate: GradientTiling, target: Target) -> float:
        lanes, tile = lanes_of(target), candidate.registers
        tiles = ceil_div(tiles_of(problem.batch, problem.output, candidate.outputs), candidate.splits)
        whole, rest = divmod(min(candidate.channels, problem.channels), lanes)
        vectors = whole + (rest if problem.channels % lanes else rest > 0)
        whole, rest = divmod(min(candidate.filters, problem.filters), lanes)
        vectors += whole + (rest if problem.filters % lanes else 0)
        data = tiles * vectors * DATA_CYCLES[candidate.outputs]
        blocks = (candidate.channels // tile.rows) * (candidate.filters // (tile.vectors * lanes))
        steps = positions_of(candidate.outputs) * blocks
        kept = 2 * tile.rows * tile.vectors * ceil_div(tiles, candidate.chunk)
        products = steps * (tiles * step_cycles(tile, target) + kept)
        sums = candidate.channels * candidate.filters / lanes * SUM_CYCLES[candidate.outputs]
        parts = ceil_div(problem.channels, candidate.channels) * ceil_div(problem.filters, candidate.filters)
        item = data + products + sums + target.tuning.item_cycles
        return ceil_div(parts * candidate.splits, target.compute_units) * item

    def call(
        self,
        problem: ConvolutionProblem,
        candidate: GradientTiling,
        target: Target,
        operands: Sequence[Operand] = (),
    ) -> TemplateCall:
        return TemplateCall(
            source="winograd_weights.cl",
            prelude=("tile.cl", "winograd_transforms.cl", "winograd_data.cl"),
            defines={
                "LANES": lanes_of(target), "COLUMNS": problem.filters, "BATCH": problem.batch,
                "HEIGHT": problem.height, "WIDTH": problem.width, "CHANNELS": problem.channels,
                "OUT_HEIGHT": problem.output[0], "OUT_WIDTH": problem.output[1], "PAD_TOP": 0, "PAD_LEFT": 0,
                "ROWS": candidate.registers.rows, "VECTORS": candidate.registers.vectors,
                "CHANNELS_EACH": candidate.channels, "FILTERS_EACH": candidate.filters, "CHUNK": candidate.chunk,
                "SPLITS": candidate.splits, "OUTPUTS": candidate.outputs,
            },
            global_size=(
                ceil_div(problem.channels, candidate.channels), ceil_div(problem.filters, candidate.filters),
                candidate.splits,
            ),
            local_size=(1, 1, 1),
            flops=problem.flops,
            operands=("X", "G"),
        )  # fmt: skip

    def is_faster(self, problem: ConvolutionProblem, direct: float, target: Target) -> bool:
        """Whether the method fits, and is predicted to be clearly faster than a kernel that takes ``direct`` cycles."""
        if not fits(problem):
            return False
        return self.cycles(problem, predicted(self, problem, target), target) < WORTH * direct


WINOGRAD_WEIGHTS = WinogradWeightFamily()

_BLOCKS = (32, 64, 128)
"""The most channels and filters of a work-item."""
_CHUNK = 24
