"""Sliding windows over the last two dimensions, and the poolings of images of one to three extents that reduce them.

A pooling is a view that adds the elements of each window as two dimensions, and a reduction over these. The compiler
fuses the two, so windows are never stored. The reverse pass uses the inverse view.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from graphdl.graph.limits import LEAST
from graphdl.graph.types import Shape, TensorType
from graphdl.operators.elementwise import cast
from graphdl.operators.index import Guard, Index
from graphdl.operators.primitive import Hyper, Lowering, OperatorError, Primitive
from graphdl.operators.reduction import reduce
from graphdl.operators.sliding import Sliding, image_extents, per_extent, sliding
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
        return (sum_of_windows(g, y.inputs[0].shape, self.stride, self.dilation),)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        return Tensor(self, (inputs[0],), (count, *y.shape), y.element)


def sum_of_windows(g: Tensor, shape: Shape, stride: Pair, dilation: Pair = (1, 1)) -> Tensor:
    """The transpose of ``im2col``: an image of ``shape``, each pixel the sum of its elements in ``g [.., OH, OW, KH,
    KW]``.
    """
    kernel = g.shape[-2:]
    if kernel == stride and dilation == (1, 1):
        return _side_by_side(g, shape)
    if dilation == (1, 1):
        return _covering(g, shape, stride)
    spread = Tensor(
        Col2im((kernel[0], kernel[1]), stride, dilation, (shape[-2], shape[-1])), (g,), (*shape, *kernel), g.element
    )
    return reshape(reduce("sum", spread, (len(shape), len(shape) + 1)), shape)


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


def over_windows(kind: str, x: Tensor, windows: Sliding, value: float, beyond: float | None = None) -> Tensor:
    """Reduces each window of the image ``x``, whose extents are its last dimensions.

    The pad has this ``value``, and what the last windows reach beyond it has ``beyond`` (by default the same).
    Images of three extents are reduced along height and width first, then along depth.
    """
    lead = x.shape[: x.rank - len(windows.kernel)]
    none = (0,) * len(lead)
    further = windows.beyond(x.shape[len(lead) :])
    x = pad(x, (*none, *windows.before), (*none, *windows.after), value)
    x = pad(x, (0,) * x.rank, (*none, *further), value if beyond is None else beyond)
    sizes = windows.kernel, windows.stride, windows.dilation
    if len(windows.kernel) == 1:
        x = reshape(x, (*lead, 1, x.shape[-1]))
        y = _over_planes(kind, x, *((1, numbers[0]) for numbers in sizes))
    else:
        y = _over_planes(kind, x, *((numbers[-2], numbers[-1]) for numbers in sizes))
    if len(windows.kernel) == 3:
        y = reshape(y, (*y.shape[:-2], y.shape[-2] * y.shape[-1]))
        y = _over_planes(kind, y, *((numbers[0], 1) for numbers in sizes))
    return reshape(y, (*lead, *windows.counts))


def _over_planes(kind: str, x: Tensor, kernel: Pair, stride: Pair, dilation: Pair) -> Tensor:
    windows = im2col(x, kernel, stride, dilation)
    return reduce(kind, windows, (windows.rank - 2, windows.rank - 1), keep=False)


# ------------------------------------------------------------------------------------------ as the language sees them


def windows_of(x: TensorType, attributes: Mapping[str, Any]) -> Sliding:
    extents = image_extents(x, "pooling")
    kernel = per_extent(attributes["kernel"], "kernel", len(extents))
    windows = sliding(x, kernel, attributes, ceil=attributes["ceil"])
    for n, k, s, d, b, count in zip(
        extents, kernel, windows.stride, windows.dilation, windows.before, windows.counts, strict=True
    ):
        if any(_is_all_pad(w * s - b, n, k, d) for w in _at_the_ends(n, k, s, d, b, count)):
            raise OperatorError(
                "E0304",
                f"pad {_shown(windows)} is more than half the kernel {list(kernel)}: some windows would be all pad",
                hyper="pad",
            )
    return windows


def _at_the_ends(extent: int, kernel: int, stride: int, dilation: int, before: int, count: int) -> list[int]:
    """The windows that reach beyond the image on one side."""
    first = range(min(-(-before // stride), count))
    last = range(max((extent - dilation * (kernel - 1) + before) // stride, 0), count)
    return [*first, *last]


def _is_all_pad(start: int, extent: int, kernel: int, dilation: int) -> bool:
    return not any(0 <= start + tap * dilation < extent for tap in range(kernel))


def _shown(windows: Sliding) -> list[Any]:
    same = windows.before == windows.after
    return list(windows.before) if same else [list(p) for p in zip(windows.before, windows.after, strict=True)]


def _infer_max(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x = types[0]
    shape = (x.shape[0], *windows_of(x, attributes).counts)
    return (TensorType(shape, "int" if x.element == "int" else "float", x.classes),)


def _infer_sum(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x = types[0]
    return (TensorType((x.shape[0], *windows_of(x, attributes).counts), "int" if x.element == "int" else "float"),)


def _infer_mean(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x = types[0]
    return (TensorType((x.shape[0], *windows_of(x, attributes).counts)),)


def _lower_max(node: Lowering) -> Sequence[Tensor]:
    x, windows = node.inputs[0], windows_of(node.types[0], node.attributes)
    if x.element == "int":
        return (over_windows("max", x, windows, LEAST),)
    return (over_windows("max", cast(x, "float"), windows, -math.inf),)


def _lower_sum(node: Lowering) -> Sequence[Tensor]:
    x = cast(node.inputs[0], node.outputs[0].element)
    return (over_windows("sum", x, windows_of(node.types[0], node.attributes), 0.0),)


def _lower_mean(node: Lowering) -> Sequence[Tensor]:
    extents, windows = node.types[0].shape[1:], windows_of(node.types[0], node.attributes)
    total = over_windows("sum", cast(node.inputs[0], "float"), windows, 0.0)
    padded = any(windows.before) or any(windows.after)
    counts_pad = node.attributes["count_pad"]
    if not any(windows.beyond(extents)) and (counts_pad or not padded):
        return (total / prod(windows.kernel),)
    ones = broadcast_to(constant(1.0), (1, *extents))
    return (total / over_windows("sum", ones, windows, 1.0 if counts_pad else 0.0, beyond=0.0),)


def _infer_resize(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x = types[0]
    extents = image_extents(x, "upsampling")
    factors = per_extent(attributes["factor"], "factor", len(extents))
    larger = (n * f for n, f in zip(extents, factors, strict=True))
    return (TensorType((x.shape[0], *larger), x.element, x.classes),)


def _lower_resize(node: Lowering) -> Sequence[Tensor]:
    x, extents = node.inputs[0], node.types[0].shape[1:]
    factors = per_extent(node.attributes["factor"], "factor", len(extents))
    lead = x.shape[: x.rank - len(extents)]
    apart = (size for n in extents for size in (n, 1))
    wide = (size for both in zip(extents, factors, strict=True) for size in both)
    larger = (n * f for n, f in zip(extents, factors, strict=True))
    return (reshape(broadcast_to(reshape(x, (*lead, *apart)), (*lead, *wide)), (*lead, *larger)),)


_POOLING_HYPERS = (
    Hyper("kernel", "ints"), Hyper("stride", "ints", None), Hyper("pad", "any", 0), Hyper("dilation", "ints", 1),
    Hyper("ceil", "bool", False),
)  # fmt: skip

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
        "sum_window", ("x",), _infer_sum, _lower_sum, _POOLING_HYPERS, documentation="The sum of each window.",
    ),
    Primitive(
        "resize_nearest", ("x",), _infer_resize, _lower_resize, (Hyper("factor", "ints"),),
        documentation="Each pixel repeated `factor` times along each extent.",
    ),
)  # fmt: skip
