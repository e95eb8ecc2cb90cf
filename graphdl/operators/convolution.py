"""Convolution of images (a cross-correlation, as usual in deep learning), its two gradients and its transpose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from graphdl.graph.types import Shape, TensorType
from graphdl.operators.kernels.convolution import CONVOLUTION, INPUT_GRADIENT
from graphdl.operators.kernels.depthwise import DEPTHWISE, DEPTHWISE_INPUT, DEPTHWISE_WEIGHT
from graphdl.operators.kernels.family import Family
from graphdl.operators.kernels.geometry import Convolving, Geometry
from graphdl.operators.kernels.weight_gradient import WEIGHT_GRADIENT
from graphdl.operators.primitive import Hyper, Lowering, OperatorError, Primitive
from graphdl.operators.structure import broadcast_to, for_each, pad, reshape, slice_, transpose
from graphdl.operators.tensor import Tensor
from graphdl.operators.window import Pair, image_rank, pair, window_size

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


# ------------------------------------------------------------------------------------------ as the language sees them


def _geometry(attributes: Mapping[str, Any]) -> Geometry:
    groups = attributes["groups"]
    if groups < 1:
        raise OperatorError("E0304", f"groups is at least 1, not {groups}", hyper="groups")
    return Geometry(pair(attributes["stride"], "stride"), pair(attributes["dilation"], "dilation"), groups)


def _padding(attributes: Mapping[str, Any], kernel: Pair, geometry: Geometry) -> tuple[Pair, Pair]:
    """The rows and columns added before and after the image. ``"same"`` keeps the size and needs a stride of 1."""
    if attributes["pad"] == "same":
        if geometry.stride != (1, 1):
            raise OperatorError("E0304", 'pad = "same" needs stride 1', hyper="pad")
        total = [d * (k - 1) for k, d in zip(kernel, geometry.dilation, strict=True)]
        return (total[0] // 2, total[1] // 2), (total[0] - total[0] // 2, total[1] - total[1] // 2)
    if isinstance(attributes["pad"], str):
        raise OperatorError(
            "E0306", f'pad is a number, a list of two or "same", not "{attributes["pad"]}"', hyper="pad"
        )
    around = pair(attributes["pad"], "pad", 0)
    return around, around


def _only_floats(types: Sequence[TensorType]) -> None:
    """Raises OperatorError unless both inputs are floats: a conversion must be written explicitly."""
    for port, (given, what) in enumerate(zip(types, ("the image is", "the filters are"), strict=True)):
        if given.element != "float":
            raise OperatorError(
                "E0301", f"a convolution works on floats, and {what} {given}", inputs=(port,),
                help="float(x) makes floats of ints",
            )  # fmt: skip


def _infer(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x, w = types
    _only_floats(types)
    image_rank(x, "convolution")
    if w.rank != 4:
        raise OperatorError(
            "E0402", f"filters are [out, in/groups, height, width], and {w} has {w.rank} dimensions", inputs=(1,)
        )
    geometry = _geometry(attributes)
    out, inward, kh, kw = w.shape
    if x.shape[0] % geometry.groups or out % geometry.groups:
        number = x.shape[0] if x.shape[0] % geometry.groups else out
        raise OperatorError(
            "E0407", f"{geometry.groups} groups do not divide {number} channels", inputs=(0,), hyper="groups"
        )
    if inward * geometry.groups != x.shape[0]:
        raise OperatorError(
            "E0408", f"filters {w} with {geometry.groups} groups want {inward * geometry.groups} channels, and {x} has "
            f"{x.shape[0]}", inputs=(0, 1),
        )  # fmt: skip
    before, after = _padding(attributes, (kh, kw), geometry)
    if before == after:
        size = window_size(x, (kh, kw), geometry.stride, before, geometry.dilation)
    else:
        size = (x.shape[1], x.shape[2])
    return (TensorType((out, *size)),)


def _lower(node: Lowering) -> Sequence[Tensor]:
    (x, w), (x_batched, w_batched) = node.inputs, node.batched
    if w_batched:
        raise OperatorError(
            "E0307", "filters that differ from example to example cannot be convolved with", inputs=(1,)
        )
    geometry = _geometry(node.attributes)
    before, after = _padding(node.attributes, (w.shape[2], w.shape[3]), geometry)
    if not x_batched:
        x = reshape(x, (1, *x.shape))
    x = pad(x, (0, 0, *before), (0, 0, *after))
    y = convolution(x, w, geometry)
    return (y if x_batched else reshape(y, y.shape[1:]),)


def _transposed_size(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> tuple[Pair, Pair, Pair, Pair]:
    """The stride, the padding, the output padding and the size of the result, each for height and width."""
    x, w = types
    stride = pair(attributes["stride"], "stride")
    around = pair(attributes["pad"], "pad", 0)
    extra = pair(attributes["output_pad"], "output_pad", 0)
    if any(e >= s for e, s in zip(extra, stride, strict=True)):
        raise OperatorError("E0304", "output_pad is smaller than the stride", hyper="output_pad")
    size = [
        (n - 1) * s - 2 * p + k + e
        for n, k, s, p, e in zip(x.shape[1:], w.shape[2:], stride, around, extra, strict=True)
    ]
    if min(size) < 1:
        raise OperatorError("E0405", f"the result of {x} would be {size}: nothing is left", inputs=(0,), hyper="pad")
    return stride, around, extra, (size[0], size[1])


def _infer_transposed(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x, w = types
    _only_floats(types)
    image_rank(x, "transposed convolution")
    if w.rank != 4:
        raise OperatorError(
            "E0402", f"filters are [in, out, height, width], and {w} has {w.rank} dimensions", inputs=(1,)
        )
    if w.shape[0] != x.shape[0]:
        raise OperatorError("E0408", f"filters {w} want {w.shape[0]} channels, and {x} has {x.shape[0]}", inputs=(0, 1))
    *_, size = _transposed_size(types, attributes)
    return (TensorType((w.shape[1], *size)),)


def _lower_transposed(node: Lowering) -> Sequence[Tensor]:
    x, w = node.inputs
    if not node.batched[0]:
        x = reshape(x, (1, *x.shape))
    stride, around, _, size = _transposed_size(node.types, node.attributes)
    whole = (x.shape[0], w.shape[1], size[0] + 2 * around[0], size[1] + 2 * around[1])
    y = input_gradient(x, w, whole, Geometry(stride, (1, 1), 1))
    y = slice_(y, (0, 0, *around), (1, 1, 1, 1), (*whole[:2], *size))
    return (y if node.batched[0] else reshape(y, y.shape[1:]),)


CATEGORY = "Convolution"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "convolve", ("x", "w"), _infer, _lower,
        (Hyper("stride", "ints", 1), Hyper("pad", "any", 0), Hyper("dilation", "ints", 1), Hyper("groups", "int", 1)),
        documentation="Images [in, height, width] with filters [out, in/groups, height, width].",
    ),
    Primitive(
        "convolve_transpose", ("x", "w"), _infer_transposed, _lower_transposed,
        (Hyper("stride", "ints", 1), Hyper("pad", "ints", 0), Hyper("output_pad", "ints", 0)),
        documentation="The transpose of a convolution: images [in, height, width], filters [in, out, height, width].",
    ),
)  # fmt: skip

__all__ = [
    "PRIMITIVES", "Convolution", "ConvolutionInputGradient", "ConvolutionWeightGradient", "Geometry", "broadcast_to",
    "convolution", "input_gradient", "transpose", "weight_gradient",
]  # fmt: skip
