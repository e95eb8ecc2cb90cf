"""Convolutions, windows and changes of size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from graphdl.graph.limits import LEAST
from graphdl.onnx.exporting.step import Step
from graphdl.operators.convolution import enlarging
from graphdl.operators.resize import sizes_of
from graphdl.operators.sliding import Sliding, per_extent, sliding
from graphdl.operators.window import windows_of


def _over_images(write: Callable[..., str]) -> Callable[[Step], str]:
    """A translation for images with a batch, applied to one image if there is no batch."""

    def translate(step: Step) -> str:
        x = step.inputs[0]
        if x.batched:
            return write(step, step.name(x))
        return step.squeeze(write(step, step.unsqueeze(step.name(x), 0)), 0)

    return translate


def convolve(step: Step, x: str, *bias: str) -> str:
    """A convolution of images ``x`` by the second operand, with a bias or without."""
    filters = step.types[1]
    windows = sliding(step.types[0], filters.shape[2:], step.attributes)
    return step.op(
        "Conv", x, step.name(step.inputs[1]), *bias, kernel_shape=windows.kernel, strides=windows.stride,
        dilations=windows.dilation, pads=[*windows.before, *windows.after], group=step.attributes["groups"],
    )  # fmt: skip


def convolve_transpose(step: Step, x: str, *bias: str) -> str:
    """The transpose of a convolution. Elements that the pad cuts off are counted from both ends."""
    sizes, kernel = enlarging(step.types[:2], step.attributes), step.types[1].shape[2:]
    extra = per_extent(step.attributes["output_pad"], "output_pad", len(kernel), 0)
    behind = [
        whole - extent - before for whole, extent, before in zip(sizes.whole, sizes.extents, sizes.before, strict=True)
    ]
    return step.op(
        "ConvTranspose", x, step.name(step.inputs[1]), *bias, kernel_shape=kernel, strides=sizes.stride,
        dilations=sizes.dilation, pads=[*sizes.before, *behind], output_padding=extra, group=step.attributes["groups"],
    )  # fmt: skip


def _padded(step: Step, x: str, windows: Sliding, behind: Sequence[int], value: float) -> tuple[str, dict[str, Any]]:
    """The images, and the attributes of a pooling of them. A pad as wide as the kernel is written as a node."""
    shape = {"kernel_shape": windows.kernel, "strides": windows.stride, "dilations": windows.dilation}
    pads = [*windows.before, *behind]
    if all(p < k for p, k in zip(pads, (*windows.kernel, *windows.kernel), strict=True)):
        return x, {**shape, "pads": pads}
    around = step.ints(0, 0, *windows.before, 0, 0, *behind)
    return step.op("Pad", x, around, step.number(value)), shape


def _behind(windows: Sliding, extents: Sequence[int]) -> list[int]:
    """The pad behind each extent, with what the last windows reach beyond it."""
    return [a + b for a, b in zip(windows.after, windows.beyond(extents), strict=True)]


def _max_window(step: Step, x: str) -> str:
    windows = windows_of(step.types[0], step.attributes)
    behind = _behind(windows, step.types[0].shape[1:])
    if step.types[0].element == "float":
        x, attributes = _padded(step, x, windows, behind, -math.inf)
        return step.op("MaxPool", x, **attributes)
    pads = step.ints(0, 0, *windows.before, 0, 0, *behind)
    whole = step.types[0].element == "int"
    lowest = step.array(np.array(LEAST if whole else 0, np.float64))
    x = step.op("Pad", step.cast_to(x, np.float64), pads, lowest)  # there is no pooling of ints; doubles hold them
    y = step.op("MaxPool", x, kernel_shape=windows.kernel, strides=windows.stride, dilations=windows.dilation)
    return step.cast(y, None, "int" if whole else "float")


def _mean_window(step: Step, x: str) -> str:
    """Means by the taps that count. A node divides by all taps, or by those in the image."""
    extents, windows = step.types[0].shape[1:], windows_of(step.types[0], step.attributes)
    counts_pad = bool(step.attributes["count_pad"])
    x = step.cast(x, step.types[0].element, "float")
    taken, attributes = _padded(step, x, windows, _behind(windows, extents), 0.0)
    if taken == x and not counts_pad:
        return step.op("AveragePool", x, count_include_pad=0, **attributes)
    y = step.op("AveragePool", taken, count_include_pad=1, **attributes)
    ratio = _share(windows, extents, counts_pad)
    return step.op("Mul", y, step.array(ratio.astype(np.float32))) if (ratio != 1).any() else y


def _share(windows: Sliding, extents: Sequence[int], counts_pad: bool) -> np.ndarray:
    """The taps of a window in relation to those that count, for each window: all of the image, and of its pad with
    ``counts_pad``.
    """
    whole = np.ones(())
    for n, k, s, d, b, a, count in zip(
        extents, windows.kernel, windows.stride, windows.dilation, windows.before, windows.after, windows.counts,
        strict=True,
    ):  # fmt: skip
        places = np.arange(count)[:, None] * s - b + np.arange(k) * d
        first, last = (-b, n + a) if counts_pad else (0, n)
        valid = ((places >= first) & (places < last)).sum(1)
        whole = whole[..., None] * (k / valid)
    return whole


def _sum_window(step: Step, x: str) -> str:
    """The windows of a sum reach into zeros, so all taps count."""
    windows = windows_of(step.types[0], step.attributes)
    behind = _behind(windows, step.types[0].shape[1:])
    element = step.outputs[0].element
    x = step.cast(x, step.types[0].element, element)
    if element == "float":
        taken, attributes = _padded(step, x, windows, behind, 0.0)
        y = step.op("AveragePool", taken, count_include_pad=1, **attributes)
        return step.op("Mul", y, step.number(math.prod(windows.kernel)))
    x = step.op("Pad", x, step.ints(0, 0, *windows.before, 0, 0, *behind))
    axes, total = step.ints(*range(2, 2 + len(windows.kernel))), ""
    for tap in product(*map(range, windows.kernel)):  # there is no pooling of ints: the elements under each tap
        first = [t * d for t, d in zip(tap, windows.dilation, strict=True)]
        last = [f + (n - 1) * s + 1 for f, n, s in zip(first, windows.counts, windows.stride, strict=True)]
        under = step.op("Slice", x, step.ints(*first), step.ints(*last), axes, step.ints(*windows.stride))
        total = step.op("Add", total, under) if total else under
    return total


def _resize_nearest(step: Step, x: str) -> str:
    factors = per_extent(step.attributes["factor"], "factor", step.types[0].rank - 1)
    scales = step.array(np.array([1, 1, *factors], np.float32))
    return step.op(
        "Resize", x, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )


def _resize(step: Step) -> str:
    x, a = step.inputs[0], step.attributes
    nearest = a["mode"] == "nearest"
    sizes = sizes_of(step.types[0], a)
    first = x.rank - len(sizes)
    coordinates = a["coordinates"] or ("asymmetric" if nearest else "half_pixel")
    attributes = {
        "mode": a["mode"], "coordinate_transformation_mode": coordinates, "nearest_mode": a["rounding"],
        "cubic_coeff_a": float(a["cubic"]), "antialias": int(a["antialias"]),
        "exclude_outside": int(a["exclude_outside"]), "axes": list(range(first, x.rank)),
    }  # fmt: skip
    name = step.name(x, None if nearest else "float")
    if a["scale"] is not None:
        return step.op("Resize", name, "", step.array(np.array([s for _, s in sizes], np.float32)), **attributes)
    return step.op("Resize", name, "", "", step.ints(*(n for n, _ in sizes)), **attributes)


TABLE = {
    "convolve": _over_images(convolve),
    "convolve_transpose": _over_images(convolve_transpose),
    "max_window": _over_images(_max_window),
    "mean_window": _over_images(_mean_window),
    "sum_window": _over_images(_sum_window),
    "resize_nearest": _over_images(_resize_nearest),
    "resize": _resize,
}
