"""Windows whose places are data: pooling with the places of the greatest elements and back, and columns to images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any

from graphdl.importing import terms
from graphdl.importing.terms import Term, call
from graphdl.onnx.step import INT64, Step
from graphdl.onnx.values import MixesExamplesError, UnsupportedNodeError, Value


def greatest_places(step: Step, value: Value, extents: Sequence[int]) -> Value:
    """The places of the greatest elements of windows, in the whole ONNX tensor; ``extents`` are those of the result.

    Of the elements of all windows at one place in them, a tensor is made. The greatest of these tensors is the place in
    the window. The count goes on from image to image, so it is the same for all examples only without a batch.
    """
    if value.batch is not None:
        raise MixesExamplesError
    if str(step.attribute("auto_pad", "NOTSET")) not in ("NOTSET", "VALID"):
        raise UnsupportedNodeError("the places of the greatest elements with auto_pad")
    count, shape = prod(value.term.shape[:2]), value.term.shape[2:]
    n = len(shape)
    kernel = [int(k) for k in step.attribute("kernel_shape")]
    strides, dilations = (step.attribute(name, [1] * n) for name in ("strides", "dilations"))
    before = list(step.attribute("pads", [0] * (2 * n)))[:n]
    reach = [(o - 1) * s + d * (k - 1) + 1 for o, s, d, k in zip(extents, strides, dilations, kernel, strict=True)]
    after = [r - m - b for r, m, b in zip(reach, shape, before, strict=True)]
    x = terms.reshape(terms.convert(value.term, "float"), (count, *shape))
    x = step.keep(terms.padded(x, [0, *before], [0, *after], float("-inf")))
    parts = [_part(x, offset, strides, dilations, extents) for offset in product(*map(range, kernel))]
    which = step.keep(call("argmax", call("stack", *parts), axis=0))
    lengths = [prod(shape[k + 1 :]) for k in range(n)]
    if step.attribute("storage_order", 0):
        lengths = [prod(shape[:k]) for k in range(n)]
    places = terms.reshape(terms.numbers_below(count), (count, *[1] * n)) * prod(shape)
    for axis in range(n):
        inner = prod(kernel[axis + 1 :])
        offset = (which // inner if inner > 1 else which) % kernel[axis]
        row = terms.reshape(terms.numbers_below(extents[axis]), [e if k == axis else 1 for k, e in enumerate(extents)])
        places = places + (row * int(strides[axis]) + offset * int(dilations[axis]) - before[axis]) * lengths[axis]
    return Value(terms.reshape(step.keep(places), (*value.term.shape[:2], *extents)), INT64)


def _part(
    x: Term, offset: Sequence[int], strides: Sequence[int], dilations: Sequence[int], extents: Sequence[int]
) -> Term:
    """The elements of all windows at one place in them."""
    for axis, (o, s, d, e) in enumerate(zip(offset, strides, dilations, extents, strict=True), 1):
        x = terms.sliced(x, axis, o * d, o * d + (e - 1) * s + 1, s)
    return x


def _unpool(step: Step) -> Value:
    value, index = step.value(0), step.value(1)
    if value.batch is not None or index.batch is not None:
        raise MixesExamplesError  # places are counted through all images
    shape = value.term.shape
    n = len(shape) - 2
    kernel, strides = step.attribute("kernel_shape"), step.attribute("strides", [1] * n)
    pads = step.attribute("pads", [0] * (2 * n))
    extents = [
        (m - 1) * s + k - b - a for m, s, k, b, a in zip(shape[2:], strides, kernel, pads[:n], pads[n:], strict=True)
    ]
    whole, size = (*shape[:2], *extents), prod(shape)
    nothing = call("fill", shape=[prod(whole)], value=0.0)
    flat = call("scatter", nothing, terms.reshape(index.term, (size,)), terms.reshape(value.term, (size,)), axis=0)
    y = terms.reshape(flat, whole)
    if step.has(2):
        missing = [wanted - own for wanted, own in zip(step.constants(2), whole, strict=True)]
        y = terms.padded(y, [0] * len(whole), missing)
    return Value(y, value.kind)


def _to_image(step: Step) -> Value:
    """The sum of overlapping blocks: a transposed convolution, whose filters put each element in its place."""
    value, image, block = step.value(), step.constants(1), step.constants(2)
    n, size = len(block), prod(block)
    lead = value.term.shape[:-2] if value.batch is None else ()
    if value.batch not in (None, 0) or value.merged:
        raise MixesExamplesError
    strides, dilations = (step.attribute(name, [1] * n) for name in ("strides", "dilations"))
    pads = list(step.attribute("pads", [0] * (2 * n)))
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, block, strict=True)]
    wide = [m + b + a for m, b, a in zip(image, pads[:n], pads[n:], strict=True)]
    grid = [(w - r) // s + 1 for w, r, s in zip(wide, reach, strides, strict=True)]
    extra = [w - (g - 1) * s - r for w, g, s, r in zip(wide, grid, strides, reach, strict=True)]
    channels = value.term.shape[-2] // size
    groups = prod(lead) * channels
    x = terms.reshape(value.term, (groups * size, *grid))
    unit = terms.reshape(call("one_hot", terms.numbers_below(size), classes=size), (1, size, 1, *block))
    filters = terms.reshape(terms.broadcast_to(unit, (groups, size, 1, *block)), (groups * size, 1, *block))
    pairs = [[int(b), int(a)] for b, a in zip(pads[:n], pads[n:], strict=True)]
    y = call("convolve_transpose", x, step.keep(filters), stride=list(strides), pad=pairs, output_pad=extra,
             dilation=list(dilations), groups=groups)  # fmt: skip
    return value.with_term(terms.reshape(y, (*lead, channels, *image)))


TABLE: dict[str, Callable[[Step], Any]] = {"MaxUnpool": _unpool, "Col2Im": _to_image}
