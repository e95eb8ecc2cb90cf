"""Sliding windows over the last two dimensions, and the poolings that reduce them.

A pooling is a view that adds the elements of each window as two dimensions, and a reduction over these. The compiler
fuses the two, so windows are never stored. The reverse pass uses the inverse view.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphdl.graph.limits import LEAST
from graphdl.graph.types import Shape, TensorType
from graphdl.operators.elementwise import cast
from graphdl.operators.index import Guard, Index
from graphdl.operators.primitive import Hyper, Lowering, OperatorError, Primitive
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import BroadcastTo, broadcast_to, pad, pad_to, reshape, transpose
from graphdl.operators.tensor import Access, Lookup, Tensor, View, constant

Pair = tuple[int, int]


@dataclass(frozen=True)
class Im2col(View):
    """``[.., H, W]`` to ``[.., OH, OW, KH, KW]``: element (p, q, i, j) is ``x[.., p·s + i·d, q·s + j·d]``."""

    kernel: Pair
    stride: Pair
    dilation: Pair

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        *lead, p, q, i, j = index
        (sh, sw), (dh, dw) = self.stride, self.dilation
        return [Access(0, (*lead, p * sh + i * dh, q * sw + j * dw))]

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        x = y.inputs[0]
        height, width = x.shape[-2:]
        if self.kernel == self.stride and self.dilation == (1, 1):
            return (_side_by_side(g, x.shape),)
        if self.dilation == (1, 1):
            return (_covering(g, x.shape, self.stride),)
        spread = Tensor(
            Col2im(self.kernel, self.stride, self.dilation, (height, width)),
            (g,),
            (*x.shape, *self.kernel),
            g.element,
        )
        return (reshape(reduce("sum", spread, (x.rank, x.rank + 1)), x.shape),)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        return Tensor(self, (inputs[0],), (count, *y.shape), y.element)


def _side_by_side(g: Tensor, shape: Shape) -> Tensor:
    """Puts the gradients of windows that neither overlap nor leave gaps back to their places."""
    *lead, oh, ow, kh, kw = g.shape
    rank = len(lead)
    rows = transpose(g, (*range(rank), rank, rank + 2, rank + 1, rank + 3))
    whole = reshape(rows, (*lead, oh * kh, ow * kw))
    return pad_to(whole, shape, (0,) * len(shape), (1,) * len(shape))


def _covering(g: Tensor, shape: Shape, stride: Pair) -> Tensor:
    """For each pixel, the sum of the gradients of the windows that cover it."""
    height, width = shape[-2:]
    if stride == (1, 1) and isinstance(g.operation, BroadcastTo) and g.inputs[0].shape[-2:] == (1, 1):
        # All elements of a window have one gradient, as those of a mean. Then the sums are windows of these, too.
        *lead, oh, ow, kh, kw = g.shape
        one = reshape(broadcast_to(g.inputs[0], (*lead, oh, ow, 1, 1)), (*lead, oh, ow))
        around = (*(0 for _ in lead), kh - 1, kw - 1)
        windows = im2col(pad(one, around, around), (kh, kw), stride)
        return reshape(reduce("sum", windows, (len(shape), len(shape) + 1)), shape)
    most = tuple(-(-taps // step) for taps, step in zip(g.shape[-2:], stride, strict=True))
    covering = Tensor(Cover(stride), (g,), (*shape[:-2], height, width, *most), g.element)
    return reshape(reduce("sum", covering, (len(shape), len(shape) + 1)), shape)


@dataclass(frozen=True)
class Cover(View):
    """``[.., OH, OW, KH, KW]`` to ``[.., H, W, U, V]``: at each pixel the windows that cover it, U × V at most.

    Element (r, c, u, v) is element (r % s + u·s, c % s + v·s) of window (r // s - u, c // s - v), or 0 if that is
    outside of the window, or there is no such window. ``Col2im`` asks for every tap of a window instead, of which each
    s-th fits.

    In one dimension, with a kernel of 3 and a stride of 2: pixel 4 is element 0 of window 2 (u = 0) and element 2 of
    window 1 (u = 1); pixel 3 is element 1 of window 1, and would be element 3 of window 0.
    """

    stride: Pair

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        *lead, r, c, u, v = index
        windows, taps, guards = [], [], []
        *_, height, width, rows, columns = y.inputs[0].shape
        for position, back, stride, count, kernel in zip(
            (r, c), (u, v), self.stride, (height, width), (rows, columns), strict=True
        ):
            windows.append(position // stride - back)
            taps.append(position % stride + back * stride)
            guards += [Guard(windows[-1], 0, count), Guard(taps[-1], 0, kernel)]
        return [Access(0, (*lead, *windows, *taps), tuple(g for g in guards if not g.always))]

    def evaluations(self, y: Tensor, x: Tensor) -> int:
        """Each element of a window belongs to one pixel."""
        return x.size

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        x = y.inputs[0]
        return (Tensor(Uncover(self.stride), (g,), x.shape, g.element),)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        return Tensor(self, (inputs[0],), (count, *y.shape), y.element)


@dataclass(frozen=True)
class Uncover(View):
    """``[.., H, W, U, V]`` to ``[.., OH, OW, KH, KW]``: the reverse of ``Cover``, for second derivatives."""

    stride: Pair

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        *lead, p, q, i, j = index
        sh, sw = self.stride
        return [Access(0, (*lead, p * sh + i, q * sw + j, i // sh, j // sw))]

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        x = y.inputs[0]
        return (Tensor(Cover(self.stride), (g,), x.shape, g.element),)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        return Tensor(self, (inputs[0],), (count, *y.shape), y.element)


@dataclass(frozen=True)
class Col2im(View):
    """``[.., OH, OW, KH, KW]`` to ``[.., H, W, KH, KW]``: the inverse of ``Im2col``.

    Element (r, c, i, j) is element (i, j) of window ((r - i·d)/s, (c - j·d)/s), or 0 if there is no such window.

    In one dimension, with a kernel of 3, a stride of 2 and windows 0, 1, 2: pixel 4 is element 0 of window 2 and
    element 2 of window 1. Its element 1 would belong to window 3/2, so that is 0. The sum over (i, j) is the gradient.
    """

    kernel: Pair
    stride: Pair
    dilation: Pair
    size: Pair

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        *lead, r, c, i, j = index
        guards: list[Guard] = []
        source: list[Index] = []
        outputs = y.inputs[0].shape[-4:-2]
        for position, tap, stride, dilation, count in zip(
            (r, c), (i, j), self.stride, self.dilation, outputs, strict=True
        ):
            offset = position - tap * dilation
            guards.append(Guard(offset, 0, (count - 1) * stride + 1))
            guards.append(Guard(offset, divisor=stride))
            source.append(offset // stride if count > 1 else Index(0))
        return [Access(0, (*lead, *source, i, j), tuple(g for g in guards if not g.always))]

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        x = y.inputs[0]
        return (Tensor(Rewindow(self.kernel, self.stride, self.dilation), (g,), x.shape, g.element),)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        return Tensor(self, (inputs[0],), (count, *y.shape), y.element)


@dataclass(frozen=True)
class Rewindow(View):
    """``[.., H, W, KH, KW]`` to ``[.., OH, OW, KH, KW]``: the reverse of ``Col2im``, for second derivatives."""

    kernel: Pair
    stride: Pair
    dilation: Pair

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        *lead, p, q, i, j = index
        (sh, sw), (dh, dw) = self.stride, self.dilation
        return [Access(0, (*lead, p * sh + i * dh, q * sw + j * dw, i, j))]

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        x = y.inputs[0]
        size = (x.shape[-4], x.shape[-3])
        return (Tensor(Col2im(self.kernel, self.stride, self.dilation, size), (g,), x.shape, g.element),)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        return Tensor(self, (inputs[0],), (count, *y.shape), y.element)


def im2col(x: Tensor, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Tensor:
    """All windows that lie completely within ``x``: ``[.., OH, OW, KH, KW]``."""
    size = tuple(
        (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[-2:], kernel, stride, dilation, strict=True)
    )
    return Tensor(Im2col(kernel, stride, dilation), (x,), (*x.shape[:-2], *size, *kernel), x.element)


def pair(value: int | Sequence[int], name: str, least: int = 1) -> Pair:
    """A pair from an int, for both image dimensions, or from a list of two.

    Raises:
        OperatorError: the value is neither, or less than ``least``.
    """
    items = value if isinstance(value, list | tuple) else (value, value)
    if any(not isinstance(n, int) or isinstance(n, bool) for n in items):
        raise OperatorError("E0301", f"{name} is an int or a list of two", hyper=name)
    both = tuple(items)
    if len(both) != 2:
        raise OperatorError("E0303", f"{name} is a number or a list of two, not of {len(both)}", hyper=name)
    if any(n < least for n in both):
        shown = value if isinstance(value, int) else list(both)
        raise OperatorError("E0304", f"{name} is {'at least ' + str(least)}, not {shown}", hyper=name)
    return both[0], both[1]


def window_size(
    x: TensorType, kernel: Pair, stride: Pair, before: Pair, dilation: Pair = (1, 1), name: str = "kernel"
) -> Pair:
    """The number of windows that fit along height and width.

    Raises:
        OperatorError: no window fits.
    """
    result = []
    for axis, n, k, s, p, d in zip(("height", "width"), x.shape[-2:], kernel, stride, before, dilation, strict=True):
        reach = d * (k - 1) + 1
        if n + 2 * p < reach:
            padded = f" (padded to {n + 2 * p})" if p else ""
            raise OperatorError(
                "E0405",
                f"a {name} that reaches over {reach} does not fit the {axis} {n}{padded} of {x}",
                inputs=(0,),
                hyper=name,
                help=f"pad = {math.ceil((reach - n) / 2)} would make room" if reach > n else None,
            )
        result.append((n + 2 * p - reach) // s + 1)
    return result[0], result[1]


def image_rank(x: TensorType, what: str) -> None:
    if x.rank != 3:
        raise OperatorError(
            "E0402", f"{what} works on images [channels, height, width], and {x} has {x.rank} dimensions", inputs=(0,)
        )


@dataclass(frozen=True)
class _Pooling:
    kernel: Pair
    stride: Pair
    pad: Pair


def _pooling(attributes: Mapping[str, Any]) -> _Pooling:
    kernel = pair(attributes["kernel"], "kernel")
    stride = kernel if attributes["stride"] is None else pair(attributes["stride"], "stride")
    around = pair(attributes["pad"], "pad", 0)
    if any(2 * p > k for p, k in zip(around, kernel, strict=True)):
        raise OperatorError(
            "E0304", f"pad {list(around)} is more than half the kernel {list(kernel)}: some windows would be all pad",
            hyper="pad",
        )  # fmt: skip
    return _Pooling(kernel, stride, around)


def _pooled(x: TensorType, attributes: Mapping[str, Any]) -> Shape:
    image_rank(x, "pooling")
    pooling = _pooling(attributes)
    return (x.shape[0], *window_size(x, pooling.kernel, pooling.stride, pooling.pad))


def _infer_max(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x = types[0]
    return (TensorType(_pooled(x, attributes), "int" if x.element == "int" else "float", x.classes),)


def _infer_mean(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    return (TensorType(_pooled(types[0], attributes)),)


def _padded(x: Tensor, around: Pair, value: float) -> Tensor:
    amounts = (*([0] * (x.rank - 2)), *around)
    return pad(x, amounts, amounts, value)


def _over_windows(node: Lowering, kind: str, x: Tensor, value: float) -> Tensor:
    pooling = _pooling(node.attributes)
    windows = im2col(_padded(x, pooling.pad, value), pooling.kernel, pooling.stride)
    return reduce(kind, windows, (windows.rank - 2, windows.rank - 1), keep=False)


def _lower_max(node: Lowering) -> Sequence[Tensor]:
    x = node.inputs[0]
    if x.element == "int":
        return (_over_windows(node, "max", x, LEAST),)
    return (_over_windows(node, "max", cast(x, "float"), -math.inf),)


def _lower_mean(node: Lowering) -> Sequence[Tensor]:
    pooling = _pooling(node.attributes)
    total = _over_windows(node, "sum", cast(node.inputs[0], "float"), 0.0)
    if node.attributes["count_pad"] or pooling.pad == (0, 0):
        return (total / (pooling.kernel[0] * pooling.kernel[1]),)
    ones = broadcast_to(constant(1.0), node.types[0].shape)
    count = _over_windows(node, "sum", ones, 0.0)
    return (total / count,)


def _infer_resize(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x = types[0]
    image_rank(x, "upsampling")
    fh, fw = pair(attributes["factor"], "factor")
    return (TensorType((x.shape[0], x.shape[1] * fh, x.shape[2] * fw), x.element, x.classes),)


def _lower_resize(node: Lowering) -> Sequence[Tensor]:
    x = node.inputs[0]
    fh, fw = pair(node.attributes["factor"], "factor")
    *lead, h, w = x.shape
    wide = broadcast_to(reshape(x, (*lead, h, 1, w, 1)), (*lead, h, fh, w, fw))
    return (reshape(wide, (*lead, h * fh, w * fw)),)


_POOLING_HYPERS = (Hyper("kernel", "ints"), Hyper("stride", "ints", None), Hyper("pad", "ints", 0))

CATEGORY = "Windows of images"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "max_window", ("x",), _infer_max, _lower_max, _POOLING_HYPERS,
        documentation="The greatest element of each window.",
    ),
    Primitive(
        "mean_window", ("x",), _infer_mean, _lower_mean, (*_POOLING_HYPERS, Hyper("count_pad", "bool", True)),
        documentation="The mean of each window; padding counts as zeros unless `count_pad = false`.",
    ),
    Primitive(
        "resize_nearest", ("x",), _infer_resize, _lower_resize, (Hyper("factor", "ints"),),
        documentation="Each pixel repeated `factor` times along height and width.",
    ),
)  # fmt: skip
