"""Windows that slide over the extents of an image: their sizes, strides and pads, as hyperparameters give them.

An image is ``[channels, length]``, ``[channels, height, width]`` or ``[channels, depth, height, width]``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphdl.graph.types import Shape, TensorType
from graphdl.operators.primitive import OperatorError

Extents = tuple[int, ...]
"""A number for each extent of an image: its length, its height and width, or its depth, height and width."""

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_COUNTS = {1: "one", 2: "two", 3: "three"}


@dataclass(frozen=True)
class Sliding:
    """Windows that slide over an image, and the elements that are added ``before`` and ``after`` each extent."""

    kernel: Extents
    stride: Extents
    dilation: Extents
    before: Extents
    after: Extents
    counts: Extents
    """The number of windows along each extent."""

    def beyond(self, extents: Sequence[int]) -> Extents:
        """How far the last windows reach beyond the padded image: 0, unless a count was rounded up."""
        return tuple(
            max((c - 1) * s + d * (k - 1) + 1 - (n + b + a), 0)
            for n, k, s, d, b, a, c in zip(
                extents, self.kernel, self.stride, self.dilation, self.before, self.after, self.counts, strict=True
            )
        )


def image_extents(x: TensorType, what: str) -> Shape:
    """The extents of the image ``x``.

    Raises:
        OperatorError: E0402, ``x`` is no image.
    """
    if x.rank - 1 not in AXES:
        raise OperatorError(
            "E0402", f"{what} works on images [channels, height, width], and {x} has {x.rank} dimensions", inputs=(0,)
        )
    return x.shape[1:]


def per_extent(value: Any, name: str, count: int, least: int = 1) -> Extents:
    """A number for each of ``count`` extents, from one for all or from a list of them.

    Raises:
        OperatorError: the value is neither, or less than ``least``.
    """
    items: Extents = tuple(value) if isinstance(value, list | tuple) else (value,) * count
    if any(not isinstance(n, int) or isinstance(n, bool) for n in items):
        raise OperatorError("E0301", f"{name} is an int or a list of {_COUNTS[count]}", hyper=name)
    if len(items) != count:
        raise OperatorError(
            "E0303", f"{name} is a number or a list of {_COUNTS[count]}, not of {len(items)}", hyper=name
        )
    if any(n < least for n in items):
        shown = value if isinstance(value, int) else list(items)
        raise OperatorError("E0304", f"{name} is at least {least}, not {shown}", hyper=name)
    return items


def sliding(x: TensorType, kernel: Sequence[int], attributes: Mapping[str, Any], *, ceil: bool = False) -> Sliding:
    """The windows of ``kernel`` with the hyperparameters ``stride``, ``dilation`` and ``pad`` over the image ``x``.

    With ``ceil`` a last window that reaches beyond the padded image counts, if it begins before its pad behind.

    Raises:
        OperatorError: a hyperparameter does not fit the image, or no window does.
    """
    extents, kernel = x.shape[1:], tuple(kernel)
    count = len(extents)
    stride = kernel if attributes["stride"] is None else per_extent(attributes["stride"], "stride", count)
    dilation = per_extent(attributes.get("dilation", 1), "dilation", count)
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    before, after = padding(attributes["pad"], extents, reach, stride)
    counts = []
    for axis, n, r, s, b, a in zip(AXES[count], extents, reach, stride, before, after, strict=True):
        whole = n + b + a
        if whole < r:
            padded = f" (padded to {whole})" if b or a else ""
            raise OperatorError(
                "E0405",
                f"a kernel that reaches over {r} does not fit the {axis} {n}{padded} of {x}",
                inputs=(0,),
                hyper="kernel",
                help=f"pad = {math.ceil((r - n) / 2)} would make room" if r > n else None,
            )
        windows = (whole - r) // s + 1
        if ceil and (whole - r) % s and windows * s < n + b:
            windows += 1
        counts.append(windows)
    return Sliding(kernel, stride, dilation, before, after, tuple(counts))


def padding(pad: Any, extents: Extents, reach: Extents, stride: Extents) -> tuple[Extents, Extents]:
    """The numbers of elements that the hyperparameter ``pad`` adds before and after each extent.

    ``pad`` is a number, a list of one for each extent, or a list of pairs [before, after]. ``"valid"`` adds none.
    ``"same"`` adds as many as give a window for each ``stride`` elements, half of them before and half after; an odd
    one is added after, and with ``"same_lower"`` before.

    Raises:
        OperatorError: the value is something else.
    """
    count = len(extents)
    if pad in ("same", "same_lower"):
        totals = [max((-(-n // s) - 1) * s + r - n, 0) for n, r, s in zip(extents, reach, stride, strict=True)]
        less, more = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
        return (less, more) if pad == "same" else (more, less)
    if pad == "valid":
        return (0,) * count, (0,) * count
    if isinstance(pad, str):
        raise OperatorError("E0306", f'pad is a number, a list of {_COUNTS[count]} or "same", not "{pad}"', hyper="pad")
    if isinstance(pad, list | tuple) and len(pad) == count and all(_is_pair(item) for item in pad):
        pairs = [per_extent(item, "pad", 2, 0) for item in pad]
        return tuple(b for b, _ in pairs), tuple(a for _, a in pairs)
    around = per_extent(pad, "pad", count, 0)
    return around, around


def _is_pair(item: Any) -> bool:
    return isinstance(item, list | tuple) and len(item) == 2
