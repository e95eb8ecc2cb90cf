"""The sizes of a convolution, as its three kernels share them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.graph.types import Shape
from graphdl.operators.structure import Pad, Slice
from graphdl.operators.tensor import Template, Tensor

if TYPE_CHECKING:
    from graphdl.operators.kernels.family import Planner

Pair = tuple[int, int]

Padding = tuple[Pair, Pair]
"""The numbers of rows before and after an image, and of columns before and after it."""

UNPADDED: Padding = ((0, 0), (0, 0))

CHANNELS_LAST = (0, 2, 3, 1)
"""The dimensions of an image [N, C, H, W] in the order in which they lie in memory."""


@dataclass(frozen=True)
class Geometry:
    """The stride, the dilation and the groups of a convolution."""

    stride: Pair
    dilation: Pair
    groups: int


@dataclass(frozen=True)
class Convolving(Template):
    """A convolution or one of its gradients."""

    geometry: Geometry

    def typed(self, y: Tensor) -> bool:
        return all(x.element == "float" for x in (*y.inputs, y))


@dataclass(frozen=True, slots=True)
class ConvolutionProblem:
    """The sizes of X [N, H, W, C] with its padding, W [O, C/groups, KH, KW], Y and its gradient G [N, OH, OW, O]."""

    batch: int
    channels: int
    height: int
    width: int
    filters: int
    kernel: Pair
    stride: Pair
    dilation: Pair
    groups: int
    padding: Padding = UNPADDED
    """The part of ``height`` and ``width`` that is padding with zeros."""

    @staticmethod
    def of(y: Tensor, x: Shape, w: Shape, padding: Padding = UNPADDED) -> ConvolutionProblem:
        """The problem of ``y``, the result of a convolution or of one of its gradients."""
        assert isinstance(y.operation, Convolving)
        geometry = y.operation.geometry
        return ConvolutionProblem(
            x[0], x[1], x[2], x[3], w[0], (w[2], w[3]), geometry.stride, geometry.dilation, geometry.groups, padding
        )

    @property
    def output(self) -> Pair:
        """The numbers of rows and columns of Y."""
        height, width = (
            (extent - step * (taps - 1) - 1) // stride + 1
            for extent, taps, stride, step in zip(
                (self.height, self.width), self.kernel, self.stride, self.dilation, strict=True
            )
        )
        return height, width

    @property
    def inner(self) -> Pair:
        """The numbers of rows and columns of X without its padding."""
        return self.height - sum(self.padding[0]), self.width - sum(self.padding[1])

    @property
    def group_channels(self) -> int:
        return self.channels // self.groups

    @property
    def group_filters(self) -> int:
        return self.filters // self.groups

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def flops(self) -> int:
        return (
            2 * self.batch * self.output[0] * self.output[1] * self.filters
            * self.group_channels * self.taps
        )  # fmt: skip

    @property
    def defines(self) -> dict[str, int]:
        """The parameters that all kernels have."""
        return {
            "BATCH": self.batch, "HEIGHT": self.height, "WIDTH": self.width, "CHANNELS": self.channels,
            "GROUP_CHANNELS": self.group_channels, "OUT_HEIGHT": self.output[0], "OUT_WIDTH": self.output[1],
            "TAPS_Y": self.kernel[0], "TAPS_X": self.kernel[1], "STRIDE_Y": self.stride[0], "STRIDE_X": self.stride[1],
        }  # fmt: skip

    @property
    def gpu_defines(self) -> dict[str, int]:
        return self.defines | {
            "GROUP_FILTERS": self.group_filters, "DILATION_Y": self.dilation[0], "DILATION_X": self.dilation[1],
            "SPLITS": 1,
        }  # fmt: skip


def zeros_around(x: Tensor) -> Padding:
    """The rows and columns of zeros around an image, if a pad with zeros makes it. Its first input lies inside them."""
    padding = x.operation
    if not isinstance(padding, Pad) or padding.otherwise != 0 or any(step != 1 for step in padding.steps):
        return UNPADDED
    inner = x.inputs[0].shape
    if inner[:2] != x.shape[:2]:
        return UNPADDED
    _, _, top, left = padding.starts
    _, _, height, width = x.shape
    return (top, height - inner[2] - top), (left, width - inner[3] - left)


def cut_off(view: Tensor) -> Padding | None:
    """The rows and columns that a slice cuts off around an image. None if ``view`` is not such a slice."""
    cut, whole = view.operation, view.inputs[0]
    if not isinstance(cut, Slice) or any(step != 1 for step in cut.steps):
        return None
    if cut.starts[:2] != (0, 0) or view.shape[:2] != whole.shape[:2]:
        return None
    rows, columns = (
        (start, extent - start - size)
        for start, size, extent in zip(cut.starts[2:], view.shape[2:], whole.shape[2:], strict=True)
    )
    return rows, columns


class OfPaddedInput(ABC):
    """A family whose kernel computes the gradient of an input that may be padded.

    If only the gradient without the padding is needed, the kernel does not compute the rest.
    """

    @abstractmethod
    def prepare_padded(self, y: Tensor, inputs: tuple[Tensor, ...], padding: Padding, planner: Planner) -> Tensor:
        """The tensor that replaces ``y``, the gradient of the whole input, without the ``padding`` around it."""

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        return self.prepare_padded(y, inputs, UNPADDED, planner)

    def prepare_viewed(self, view: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor | None:
        padding = cut_off(view)
        return None if padding is None else self.prepare_padded(view.inputs[0], inputs, padding, planner)
