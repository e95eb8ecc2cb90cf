"""Convolution of images (a cross-correlation, as usual in deep learning), its two gradients and its transpose.

The kernels work on images of height and width. An image that only has a length gets a height of 1. In a convolution
with a depth, every plane of the result is an image whose channels are the planes under the taps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from graphdl.graph.types import Shape, TensorType
from graphdl.operators.kernels.convolution import CONVOLUTION, INPUT_GRADIENT
from graphdl.operators.kernels.depthwise import DEPTHWISE, DEPTHWISE_INPUT, DEPTHWISE_WEIGHT
from graphdl.operators.kernels.family import Family
from graphdl.operators.kernels.geometry import Convolving, Geometry, Pair
from graphdl.operators.kernels.weight_gradient import WEIGHT_GRADIENT
from graphdl.operators.primitive import Hyper, Lowering, OperatorError, Primitive
from graphdl.operators.sliding import AXES, Extents, Sliding, image_extents, padding, per_extent, sliding
from graphdl.operators.structure import for_each, pad, reshape, slice_, transpose
from graphdl.operators.tensor import Tensor
from graphdl.operators.window import im2col, sum_of_windows

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Convolution(Convolving):
    """``y[n, o, p, q] = Σ x[n, i, p·s + a·d, q·s + b·d] · w[o, i, a, b]`` over i, a, b. ``x`` is padded already."""

    family: ClassVar[Family[Any, Any]] = CONVOLUTION

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        x, w = y.inputs
        return (input_gradient(g, w, x.shape, self.geometry), weight_gradient(x, g, w.shape, self.geometry))

    def flops(self, y: Tensor) -> int:
        w = y.inputs[1]
        return 2 * y.size * (w.size // w.shape[0])

    def reference(self, y: Tensor, inputs: Sequence[np.ndarray]) -> np.ndarray:
        import numpy as np

        x, w = inputs
        found, groups = np.zeros(y.shape), self.geometry.groups
        for ky, kx, seen in _taps(x, w.shape, y.shape, self.geometry):
            found += (_flat(w[:, :, ky, kx], groups) @ _flat(seen, groups)).reshape(y.shape)
        return found

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor | None:
        x, w = inputs
        if w.rank != 4:
            return None
        return reshape(convolution(_images(x), w, self.geometry), (count, *y.shape))


@dataclass(frozen=True)
class ConvolutionInputGradient(Convolving):
    """The gradient with respect to ``x``, of ``shape``, from ``g`` (of the convolution's output shape) and ``w``."""

    shape: Shape
    family: ClassVar[Family[Any, Any]] = INPUT_GRADIENT

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        upper, w = y.inputs
        return (convolution(g, w, self.geometry), weight_gradient(g, upper, w.shape, self.geometry))

    def flops(self, y: Tensor) -> int:
        g, w = y.inputs
        return 2 * g.size * (w.size // w.shape[0])

    def reference(self, y: Tensor, inputs: Sequence[np.ndarray]) -> np.ndarray:
        import numpy as np

        g, w = inputs
        found, groups = np.zeros(self.shape), self.geometry.groups
        for ky, kx, seen in _taps(found, w.shape, g.shape, self.geometry):
            seen += (_flat(w[:, :, ky, kx], groups).swapaxes(1, 2) @ _flat(g, groups)).reshape(seen.shape)
        return found

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor | None:
        g, w = inputs
        if w.rank != 4:
            return None
        shape = (count * self.shape[0], *self.shape[1:])
        return reshape(input_gradient(_images(g), w, shape, self.geometry), (count, *y.shape))


@dataclass(frozen=True)
class ConvolutionWeightGradient(Convolving):
    """The gradient with respect to ``w`` from ``x`` and ``g``, in ``splits`` partial sums over the batch: ``[splits, O,
    I/groups, KH, KW]``.
    """

    shape: Shape
    family: ClassVar[Family[Any, Any]] = WEIGHT_GRADIENT

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        x, upper = y.inputs
        return (input_gradient(upper, g, x.shape, self.geometry), convolution(x, g, self.geometry))

    def flops(self, y: Tensor) -> int:
        g = y.inputs[1]
        return 2 * g.size * (y.size // self.shape[0])

    def reference(self, y: Tensor, inputs: Sequence[np.ndarray]) -> np.ndarray:
        import numpy as np

        x, g = inputs
        found, groups = np.zeros(self.shape), self.geometry.groups
        for ky, kx, seen in _taps(x, self.shape, g.shape, self.geometry):
            product = _flat(g, groups) @ _flat(seen, groups).swapaxes(2, 3)
            found[:, :, ky, kx] = product.sum(0).reshape(self.shape[:2])
        return found

    def batched_sum(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        """All applications are examples of one batch."""
        x, g = (_images(for_each(x, own.shape, count)) for x, own in zip(inputs, y.inputs, strict=True))
        return weight_gradient(x, g, self.shape, self.geometry)


def _taps(x: np.ndarray, filters: Shape, out: Shape, geometry: Geometry) -> Iterator[tuple[int, int, np.ndarray]]:
    """For each tap of the filters, a view of the pixels of ``x`` that it multiplies, ``[N, C, OH, OW]``."""
    (sy, sx), (dy, dx) = geometry.stride, geometry.dilation
    height, width = out[2:]
    for ky in range(filters[2]):
        for kx in range(filters[3]):
            top, left = ky * dy, kx * dx
            rows, columns = slice(top, top + (height - 1) * sy + 1, sy), slice(left, left + (width - 1) * sx + 1, sx)
            yield ky, kx, x[:, :, rows, columns]


def _flat(array: np.ndarray, groups: int) -> np.ndarray:
    """Images ``[N, C, H, W]`` as ``[N, groups, C / groups, H · W]``, or one tap of filters as ``[groups, O, C]``."""
    if array.ndim == 2:
        return array.reshape(groups, -1, array.shape[1])
    return array.reshape(len(array), groups, array.shape[1] // groups, -1)


def _images(x: Tensor) -> Tensor:
    """Merges the applications and the batch into one dimension: ``[count, N, …]`` to ``[count·N, …]``."""
    return reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))


@dataclass(frozen=True)
class Depthwise(Convolution):
    """A convolution with one filter for each channel."""

    family = DEPTHWISE


@dataclass(frozen=True)
class DepthwiseInputGradient(ConvolutionInputGradient):
    family = DEPTHWISE_INPUT


@dataclass(frozen=True)
class DepthwiseWeightGradient(ConvolutionWeightGradient):
    family = DEPTHWISE_WEIGHT


def _is_depthwise(filters: Shape, geometry: Geometry) -> bool:
    return geometry.groups > 1 and geometry.groups == filters[0] and filters[1] == 1


def convolution(x: Tensor, w: Tensor, geometry: Geometry) -> Tensor:
    """Convolves ``x [N, C, H, W]``, which is padded already, with filters ``w [O, C/groups, KH, KW]``."""
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    n, _, h, width = x.shape
    o, _, kh, kw = w.shape
    shape = (n, o, (h - dh * (kh - 1) - 1) // sh + 1, (width - dw * (kw - 1) - 1) // sw + 1)
    kind = Depthwise if _is_depthwise(w.shape, geometry) else Convolution
    return Tensor(kind(geometry), (x, w), shape)


def input_gradient(g: Tensor, w: Tensor, shape: Shape, geometry: Geometry) -> Tensor:
    kind = DepthwiseInputGradient if _is_depthwise(w.shape, geometry) else ConvolutionInputGradient
    return Tensor(kind(geometry, shape), (g, w), shape)


def weight_gradient(x: Tensor, g: Tensor, shape: Shape, geometry: Geometry) -> Tensor:
    kind = DepthwiseWeightGradient if _is_depthwise(shape, geometry) else ConvolutionWeightGradient
    return Tensor(kind(geometry, shape), (x, g), shape)


# ------------------------------------------------------------------------------------ images of one or three extents


def _plane(numbers: Extents) -> Pair:
    """The last two numbers; 1 in place of a height that is missing."""
    return (1, numbers[0]) if len(numbers) == 1 else (numbers[-2], numbers[-1])


def _flattened(w: Tensor) -> Tensor:
    """Filters ``[O, I, D, H, W]`` or ``[O, I, L]`` for planes: ``[O, I · D, H, W]`` or ``[O, I, 1, L]``."""
    depth = w.shape[2] if w.rank == 5 else 1
    return reshape(w, (w.shape[0], w.shape[1] * depth, *_plane(w.shape[2:])))


def _convolved(x: Tensor, w: Tensor, windows: Sliding, groups: int) -> Tensor:
    """Convolves images ``x [N, C, ..]``, padded already, of as many extents as the filters ``w`` have."""
    geometry = Geometry(_plane(windows.stride), _plane(windows.dilation), groups)
    n, channels, *extents = x.shape
    plane = _plane(tuple(extents))
    if len(extents) < 3:
        images = reshape(x, (n, channels, *plane))
    else:
        rows = reshape(x, (n, channels, extents[0], plane[0] * plane[1]))
        under = im2col(rows, (windows.kernel[0], 1), (windows.stride[0], 1), (windows.dilation[0], 1))
        turned = transpose(under, (0, 2, 1, 4, 3, 5))  # [N, OD, C, KD, H · W, 1]
        images = reshape(turned, (n * windows.counts[0], channels * windows.kernel[0], *plane))
    y = convolution(images, _flattened(w), geometry)
    if len(extents) == 3:
        y = transpose(reshape(y, (n, windows.counts[0], *y.shape[1:])), (0, 2, 1, 3, 4))
    return reshape(y, (n, w.shape[0], *windows.counts))


def _transposed(g: Tensor, w: Tensor, extents: Extents, stride: Extents, dilation: Extents, groups: int) -> Tensor:
    """The transpose of ``_convolved``: ``[N, C, *extents]`` from ``g [N, O, ..]`` and ``w [O, C / groups, ..]``."""
    geometry = Geometry(_plane(stride), _plane(dilation), groups)
    n, outward, *counts = g.shape
    channels, plane = w.shape[1] * groups, _plane(extents)
    if len(extents) < 3:
        images = reshape(g, (n, outward, *_plane(tuple(counts))))
        y = input_gradient(images, _flattened(w), (n, channels, *plane), geometry)
        return reshape(y, (n, channels, *extents))
    planes, taps = counts[0], w.shape[2]
    images = reshape(transpose(g, (0, 2, 1, 3, 4)), (n * planes, outward, *counts[1:]))
    y = input_gradient(images, _flattened(w), (n * planes, channels * taps, *plane), geometry)
    turned = transpose(reshape(y, (n, planes, channels, taps, plane[0] * plane[1], 1)), (0, 2, 1, 4, 3, 5))
    rows = (n, channels, extents[0], plane[0] * plane[1])
    return reshape(sum_of_windows(turned, rows, (stride[0], 1), (dilation[0], 1)), (n, channels, *extents))


# ------------------------------------------------------------------------------------------ as the language sees them


def _only_floats(types: Sequence[TensorType]) -> None:
    """Raises OperatorError unless both inputs are floats: a conversion must be written explicitly."""
    for port, (given, what) in enumerate(zip(types, ("the image is", "the filters are"), strict=True)):
        if given.element != "float":
            raise OperatorError(
                "E0301", f"a convolution works on floats, and {what} {given}", inputs=(port,),
                help="float(x) makes floats of ints",
            )  # fmt: skip


def _groups(x: TensorType, w: TensorType, attributes: Mapping[str, Any]) -> int:
    """The number of groups. It divides the channels of ``x`` and the filters' first dimension."""
    groups: int = attributes["groups"]
    if groups < 1:
        raise OperatorError("E0304", f"groups is at least 1, not {groups}", hyper="groups")
    for channels in (x.shape[0], w.shape[0]):
        if channels % groups:
            raise OperatorError(
                "E0407", f"{groups} groups do not divide {channels} channels", inputs=(0,), hyper="groups"
            )
    return groups


def _filters(x: TensorType, w: TensorType, what: str) -> None:
    """Raises OperatorError unless the filters have as many extents as the image."""
    if w.rank != x.rank + 1:
        form = ", ".join((*what.split(), *AXES[x.rank - 1]))
        raise OperatorError("E0402", f"filters are [{form}], and {w} has {w.rank} dimensions", inputs=(1,))


def _infer(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x, w = types
    _only_floats(types)
    image_extents(x, "convolution")
    _filters(x, w, "out in/groups")
    groups = _groups(x, w, attributes)
    out, inward, *kernel = w.shape
    if inward * groups != x.shape[0]:
        raise OperatorError(
            "E0408",
            f"filters {w} with {groups} groups want {inward * groups} channels, and {x} has {x.shape[0]}",
            inputs=(0, 1),
        )
    return (TensorType((out, *sliding(x, kernel, attributes).counts)),)


def _same_filters(node: Lowering) -> None:
    """Raises OperatorError if the filters are computed for each example."""
    if node.batched[1]:
        raise OperatorError(
            "E0307", "filters that differ from example to example cannot be convolved with", inputs=(1,)
        )


def _lower(node: Lowering) -> Sequence[Tensor]:
    _same_filters(node)
    x, w = node.inputs
    windows = sliding(node.types[0], w.shape[2:], node.attributes)
    if not node.batched[0]:
        x = reshape(x, (1, *x.shape))
    x = pad(x, (0, 0, *windows.before), (0, 0, *windows.after))
    y = _convolved(x, w, windows, node.attributes["groups"])
    return (y if node.batched[0] else reshape(y, y.shape[1:]),)


@dataclass(frozen=True)
class Enlarging:
    """A transposed convolution: its strides, and the extents of its result before and after its pad is cut off."""

    stride: Extents
    dilation: Extents
    before: Extents
    whole: Extents
    extents: Extents


def enlarging(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Enlarging:
    x, w = types
    count = x.rank - 1
    stride = per_extent(attributes["stride"], "stride", count)
    dilation = per_extent(attributes["dilation"], "dilation", count)
    extra = per_extent(attributes["output_pad"], "output_pad", count, 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise OperatorError("E0304", "output_pad is smaller than the stride", hyper="output_pad")
    reach = tuple(d * (k - 1) + 1 for k, d in zip(w.shape[2:], dilation, strict=True))
    larger = tuple(n * s for n, s in zip(x.shape[1:], stride, strict=True))
    before, after = padding(attributes["pad"], larger, reach, stride)
    whole = tuple((n - 1) * s + r + e for n, s, r, e in zip(x.shape[1:], stride, reach, extra, strict=True))
    extents = tuple(n - b - a for n, b, a in zip(whole, before, after, strict=True))
    if min(extents) < 1:
        raise OperatorError(
            "E0405", f"the result of {x} would be {list(extents)}: nothing is left", inputs=(0,), hyper="pad"
        )
    return Enlarging(stride, dilation, before, whole, extents)


def _infer_transposed(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x, w = types
    _only_floats(types)
    image_extents(x, "transposed convolution")
    _filters(x, w, "in out/groups")
    if w.shape[0] != x.shape[0]:
        raise OperatorError("E0408", f"filters {w} want {w.shape[0]} channels, and {x} has {x.shape[0]}", inputs=(0, 1))
    return (TensorType((w.shape[1] * _groups(x, w, attributes), *enlarging(types, attributes).extents)),)


def _lower_transposed(node: Lowering) -> Sequence[Tensor]:
    _same_filters(node)
    x, w = node.inputs
    if not node.batched[0]:
        x = reshape(x, (1, *x.shape))
    sizes = enlarging(node.types, node.attributes)
    y = _transposed(x, w, sizes.whole, sizes.stride, sizes.dilation, node.attributes["groups"])
    y = slice_(y, (0, 0, *sizes.before), (1,) * y.rank, (*y.shape[:2], *sizes.extents))
    return (y if node.batched[0] else reshape(y, y.shape[1:]),)


CATEGORY = "Convolution"

_SETTINGS = (Hyper("dilation", "ints", 1), Hyper("groups", "int", 1))

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "convolve", ("x", "w"), _infer, _lower, (Hyper("stride", "ints", 1), Hyper("pad", "any", 0), *_SETTINGS),
        documentation="Images [in, ..] of one to three extents with filters [out, in/groups, ..].",
    ),
    Primitive(
        "convolve_transpose", ("x", "w"), _infer_transposed, _lower_transposed,
        (Hyper("stride", "ints", 1), Hyper("pad", "any", 0), Hyper("output_pad", "ints", 0), *_SETTINGS),
        documentation="The transpose of a convolution: images [in, ..], filters [in, out/groups, ..].",
    ),
)  # fmt: skip
