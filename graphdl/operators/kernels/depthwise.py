"""Depthwise convolution and its gradients: ``opencl/depthwise.cl`` and ``opencl/depthwise_weight_gradient.cl``.

Each channel has one filter, so there is no matrix product, and vectors run along the channels. Most of the time goes to
memory accesses: the data is read about once and the result is written once. Therefore zeros around an image are not
stored.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.graph.types import Shape
from graphdl.operators.kernels.family import Family, Operand, Planner
from graphdl.operators.kernels.geometry import (
    CHANNELS_LAST,
    UNPADDED,
    ConvolutionProblem,
    OfPaddedInput,
    Padding,
    Pair,
    zeros_around,
)
from graphdl.operators.kernels.template import TemplateCall, ceil_div, lanes_of, registers_of
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import reshape
from graphdl.operators.tensor import Tensor

if TYPE_CHECKING:
    from graphdl.compiler.program import Target

_MOST_PLACES = 8


@dataclass(frozen=True, slots=True)
class _Sums:
    """The problem of ``depthwise.cl``: at each pixel of ``out``, a sum over the taps that lie inside the ``data``."""

    data: Pair
    out: Pair
    step: Pair
    phases: Pair
    sign: int


class _SumFamily(Family[ConvolutionProblem, int]):
    """A kernel with the pointers ``X`` (the data, channels-last) and ``W``.

    It stores vectors along c: ``STORE(V, value, n, y, x, c)``. A candidate is the number of neighbouring pixels of a
    row that a work-item of a CPU computes at once.
    """

    operand_layouts = ("channels_last", "row_major")
    result_layout = "channels_last"
    coordinates = CHANNELS_LAST
    vector = 1

    @abstractmethod
    def _sums(self, problem: ConvolutionProblem) -> _Sums:
        """The problem in the terms of ``depthwise.cl``."""

    def candidates(self, problem: ConvolutionProblem, target: Target) -> Sequence[int]:
        if target.kind == "gpu":
            return [1]
        sums = self._sums(problem)
        free = registers_of(target) - problem.kernel[1] - 2
        return range(max(1, min(_MOST_PLACES, free, ceil_div(sums.out[1], sums.phases[1]))), 0, -1)

    def cycles(self, problem: ConvolutionProblem, candidate: int, target: Target) -> float:
        """The cycles of one row of a filter for one row of pixels: whole tiles, and the other pixels one by one."""
        sums, taps = self._sums(problem), ceil_div(problem.kernel[1], self._sums(problem).phases[1])
        places = ceil_div(sums.out[1], sums.phases[1])
        reach = (problem.kernel[1] - 1) * problem.dilation[1] // sums.phases[1]
        inner = max(0, min(places, (sums.data[1] - reach - 1) // sums.step[1] + 1))
        tiles, tuning = inner // candidate, target.tuning
        shared = sums.step[1] == 1 and problem.dilation[1] == 1
        loads = taps + (candidate + taps - 1 if shared else candidate * taps)
        multiply = max(candidate * taps / tuning.multiply_ports, float(tuning.multiply_latency))
        alone = 2 * tuning.multiply_latency + taps
        return tiles * (max(multiply, loads / tuning.load_ports) + 2) + (places - tiles * candidate) * alone

    def call(
        self, problem: ConvolutionProblem, candidate: int, target: Target, operands: Sequence[Operand] = ()
    ) -> TemplateCall:
        sums, channels = self._sums(problem), problem.channels
        (top, _), (left, _) = problem.padding
        defines = {
            "BATCH": problem.batch, "HEIGHT": sums.data[0], "WIDTH": sums.data[1], "CHANNELS": channels,
            "OUT_HEIGHT": sums.out[0], "OUT_WIDTH": sums.out[1], "TAPS_Y": problem.kernel[0],
            "TAPS_X": problem.kernel[1], "STEP_Y": sums.step[0], "STEP_X": sums.step[1], "PHASES_Y": sums.phases[0],
            "PHASES_X": sums.phases[1], "SIGN": sums.sign, "DILATION_Y": problem.dilation[0],
            "DILATION_X": problem.dilation[1], "TOP": top, "LEFT": left,
        }  # fmt: skip
        rows = problem.batch * sums.out[0]
        if target.kind == "gpu":
            side = _group(channels, target)
            pixels = ceil_div(rows * sums.out[1], side[1]) * side[1]
            return _call("depthwise.cl", "XW", problem, defines, (_whole(channels, side[0]), pixels, 1), (*side, 1))
        lanes = _lanes(channels, target)
        wanted = min(32 * target.compute_units, problem.flops // target.tuning.item_flops)
        items = max(target.compute_units, wanted)
        spans = ceil_div(items, rows)
        blocks = min(ceil_div(ceil_div(channels, lanes), spans), _most_blocks(problem, target))
        spans = ceil_div(channels, lanes * blocks)
        rows_each = ceil_div(rows * spans, items)
        defines |= {"LANES": lanes, "COLUMNS": channels, "TILE": candidate, "ROWS_EACH": rows_each, "BLOCKS": blocks}
        return _call("depthwise.cl", "XW", problem, defines, (ceil_div(rows, rows_each), spans, 1), (1, 1, 1))


class DepthwiseFamily(_SumFamily):
    """Y[n, oy, ox, c]. ``X`` is stored without the problem's padding."""

    name = "depthwise"

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        x, w = inputs
        problem = ConvolutionProblem.of(y, x.shape, w.shape, zeros_around(x))
        return planner.made(self, problem, (_unpadded(x, problem), w), y.shape, y, problem.flops)

    def _sums(self, problem: ConvolutionProblem) -> _Sums:
        return _Sums(problem.inner, problem.output, problem.stride, (1, 1), 1)


class DepthwiseInputFamily(OfPaddedInput, _SumFamily):
    """dX[n, y, x, c] without the problem's padding. ``X`` is the gradient of the output."""

    name = "depthwise_input_gradient"

    def prepare_padded(self, y: Tensor, inputs: tuple[Tensor, ...], padding: Padding, planner: Planner) -> Tensor:
        g, w = inputs
        problem = ConvolutionProblem.of(y, y.shape, w.shape, padding)
        return planner.made(self, problem, (g, w), (*y.shape[:2], *problem.inner), y, problem.flops)

    def _sums(self, problem: ConvolutionProblem) -> _Sums:
        return _Sums(problem.output, problem.inner, (1, 1), problem.stride, -1)


class DepthwiseWeightFamily(Family[ConvolutionProblem, int]):
    """dW[c, 0, ky, kx] from ``X`` (without the problem's padding) and the output's gradient ``G``, both channels-last.

    The kernel computes partial sums over parts of the lines, which are then added up in order. It stores vectors along
    c: ``STORE(V, value, split, c, i, ky, kx)``. A candidate is the number of partial sums.
    """

    name = "depthwise_weight_gradient"
    operand_layouts = ("channels_last", "channels_last")
    coordinates = (0, 1, 2, 3, 4)
    vector = 1

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        x, g = inputs
        problem = ConvolutionProblem.of(y, x.shape, y.shape, zeros_around(x))
        shape: Shape = (planner.chosen(self, problem), *y.shape)
        partial = planner.made(self, problem, (_unpadded(x, problem), g), shape, y, problem.flops)
        return reshape(reduce("sum", partial, (0,)), y.shape)

    def candidates(self, problem: ConvolutionProblem, target: Target) -> Sequence[int]:
        lines = problem.batch * problem.output[0]
        if target.kind == "gpu":
            return [max(1, min(lines, 64, 64 * target.shares // (problem.channels * problem.taps)))]
        return [min(lines, ceil_div(target.shares, _spans(problem, target)[1]))]

    def call(
        self, problem: ConvolutionProblem, candidate: int, target: Target, operands: Sequence[Operand] = ()
    ) -> TemplateCall:
        (top, _), (left, _) = problem.padding
        channels, (height, width) = problem.channels, problem.inner
        defines = problem.defines | {
            "HEIGHT": height, "WIDTH": width, "TOP": top, "LEFT": left, "DILATION_Y": problem.dilation[0],
            "DILATION_X": problem.dilation[1], "SPLITS": candidate,
        }  # fmt: skip
        source = "depthwise_weight_gradient.cl"
        if target.kind == "gpu":
            width = _group(channels, target)[0]
            return _call(
                source, "XG", problem, defines, (_whole(channels, width), problem.taps, candidate), (width, 1, 1)
            )
        blocks, spans = _spans(problem, target)
        defines |= {"LANES": _lanes(channels, target), "COLUMNS": channels, "BLOCKS": blocks}
        return _call(source, "XG", problem, defines, (spans, candidate, 1), (1, 1, 1))


def _spans(problem: ConvolutionProblem, target: Target) -> Pair:
    """The number of blocks of channels of a work-item of a CPU, and the number of such spans of channels.

    There are several spans if there are too few lines for an even load, or if one work-item would keep too many sums.
    """
    lanes = _lanes(problem.channels, target)
    blocks = ceil_div(problem.channels, lanes)
    spans = ceil_div(target.shares, problem.batch * problem.output[0])
    blocks = min(ceil_div(blocks, spans), _most_blocks(problem, target))
    return blocks, ceil_div(problem.channels, lanes * blocks)


DEPTHWISE = DepthwiseFamily()
DEPTHWISE_INPUT = DepthwiseInputFamily()
DEPTHWISE_WEIGHT = DepthwiseWeightFamily()


def _unpadded(x: Tensor, problem: ConvolutionProblem) -> Tensor:
    """The tensor inside the problem's padding."""
    return x if problem.padding == UNPADDED else x.inputs[0]


def _lanes(channels: int, target: Target) -> int:
    """The number of floats of the vectors along the channels. It is at most the number of channels."""
    lanes = lanes_of(target)
    while lanes > channels:
        lanes //= 2
    return lanes


def _most_blocks(problem: ConvolutionProblem, target: Target) -> int:
    """The most blocks of channels whose filters, or sums of gradients, a work-item can keep.

    With more blocks, they would displace the data from the core's caches.
    """
    return max(1, target.tuning.private_floats // (4 * problem.taps * _lanes(problem.channels, target)))


def _group(channels: int, target: Target) -> Pair:
    """The extents of a GPU's work-groups along the channels and along the pixels."""
    most = min(target.tuning.group_items, target.max_work_group)
    width = min(most, 1 << (channels - 1).bit_length())
    return width, most // width


def _whole(extent: int, part: int) -> int:
    return ceil_div(extent, part) * part


def _call(
    source: str,
    operands: str,
    problem: ConvolutionProblem,
    defines: dict[str, int],
    global_size: tuple[int, int, int],
    local_size: tuple[int, int, int],
) -> TemplateCall:
    on_gpu = "LANES" not in defines
    return TemplateCall(
        source=source,
        prelude=() if on_gpu else ("tile.cl",),
        defines={**defines, "ON_GPU": int(on_gpu)},
        global_size=global_size,
        local_size=local_size,
        flops=problem.flops,
        operands=tuple(operands),
    )
