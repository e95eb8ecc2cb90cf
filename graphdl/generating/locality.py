"""Which values of a net have an element for each place of a sequence, and depend there on no later place.

A value that does is a ``Stream``. Each operator that can compute the newest element of its result from the newest
elements of its inputs has a rule here. Any other operator raises ``NotLocalError``: the net is then run on its whole
sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from graphdl.graph.model import Node
from graphdl.graph.types import Shape
from graphdl.operators import PRIMITIVES
from graphdl.operators.reduction import axes_of
from graphdl.operators.sliding import sliding
from graphdl.operators.structure import axis_of, order_of


class NotLocalError(Exception):
    """A value at a place of the sequence cannot be computed from the newest elements."""


@dataclass(frozen=True)
class Stream:
    """A value with an element for each place of the sequence along the dimension ``axis``.

    ``before`` further elements lie before the first place: a convolution reads those. In the form for one step the
    dimension has the newest ``1 + before`` elements.
    """

    axis: int
    before: int = 0


@dataclass(frozen=True)
class Local:
    """The result of an operator as a stream, and the operator's hyperparameters in the form for one step."""

    stream: Stream
    attributes: Mapping[str, Any]
    kept: int = 0
    """The number of elements of the input that the next step needs: they come before the new one."""


Streams = Sequence[Stream | None]
"""The stream of each input of a node; None for one that is the same at all places."""


def local(node: Node, streams: Streams, length: int) -> Local:
    """The result of a node, of whose inputs one is a stream at least, over a sequence of ``length`` places.

    Raises:
        NotLocalError: the operator reads several places, or an input is different at each place without being a stream.
    """
    primitive = PRIMITIVES.get(node.operator)
    if primitive is not None and primitive.elementwise and not primitive.random:
        return _elementwise(node, streams, length)
    rule = _RULES.get(node.operator)
    if rule is None:
        raise NotLocalError
    return rule(node, streams, length)


def _require(condition: bool) -> None:
    if not condition:
        raise NotLocalError


def _shapes(node: Node) -> list[Shape]:
    return [value.type.shape for value in node.inputs]


def _first(streams: Streams) -> Stream:
    """The stream of an operator's only input, or of its first one if the others are no streams."""
    stream, *others = streams
    if stream is None or any(others):
        raise NotLocalError
    return stream


def _elementwise(node: Node, streams: Streams, length: int) -> Local:
    """The inputs line up at their last dimensions."""
    shapes = _shapes(node)
    found = {(len(shape) - x.axis, x.before) for shape, x in zip(shapes, streams, strict=True) if x is not None}
    _require(len(found) == 1)
    ((place, before),) = found
    for shape, x in zip(shapes, streams, strict=True):
        _require(x is not None or len(shape) < place or shape[-place] == 1)
    return Local(Stream(len(node.outputs[0].type.shape) - place, before), node.attributes)


def _reduction(node: Node, streams: Streams, length: int) -> Local:
    stream = _first(streams)
    axes = axes_of([node.inputs[0].type], node.attributes)
    _require(stream.axis not in axes)
    gone = 0 if node.attributes.get("keep") else sum(axis < stream.axis for axis in axes)
    return Local(Stream(stream.axis - gone, stream.before), node.attributes)


def _reshape(node: Node, streams: Streams, length: int) -> Local:
    """The sequence keeps its dimension if as many elements lie before it."""
    stream = _first(streams)
    (shape,) = _shapes(node)
    extent, outer = length + stream.before, prod(shape[: stream.axis])
    result = node.outputs[0].type.shape
    places = [axis for axis, n in enumerate(result) if n == extent and prod(result[:axis]) == outer]
    _require(bool(places))
    new = [1 + stream.before if axis == places[0] else n for axis, n in enumerate(result)]
    return Local(Stream(places[0], stream.before), {**node.attributes, "shape": new})


def _transpose(node: Node, streams: Streams, length: int) -> Local:
    stream = _first(streams)
    order = order_of([node.inputs[0].type], node.attributes)
    return Local(Stream(order.index(stream.axis), stream.before), node.attributes)


def _broadcast(node: Node, streams: Streams, length: int) -> Local:
    stream = _first(streams)
    (shape,), result = _shapes(node), list(node.outputs[0].type.shape)
    axis = stream.axis + len(result) - len(shape)
    _require(result[axis] == length + stream.before)
    result[axis] = 1 + stream.before
    return Local(Stream(axis, stream.before), {**node.attributes, "shape": result})


def _slice(node: Node, streams: Streams, length: int) -> Local:
    """A slice may drop the oldest elements, not the newest ones."""
    stream, a = _first(streams), node.attributes
    axis = stream.axis
    start, stop, step = (a[name][axis] for name in ("starts", "stops", "steps"))
    fits = step == 1 and stop == length + stream.before and 0 <= start <= stream.before
    _require(fits and axis not in a["squeeze"])
    stops = [1 + stream.before if d == axis else n for d, n in enumerate(a["stops"])]
    gone = sum(d < axis for d in a["squeeze"])
    return Local(Stream(axis - gone, stream.before - start), {**a, "stops": stops})


def _along_another_axis(node: Node, streams: Streams, length: int) -> Local:
    """An operator along a dimension other than the sequence's, whose result has the shape of its input there."""
    stream = _first(streams)
    _require(axis_of([node.inputs[0].type], node.attributes) != stream.axis)
    return Local(stream, node.attributes)


def _concat(node: Node, streams: Streams, length: int) -> Local:
    (stream, *others) = streams
    if stream is None or any(other != stream for other in others):
        raise NotLocalError
    _require(axis_of([node.inputs[0].type], node.attributes) != stream.axis)
    return Local(stream, node.attributes)


def _matmul(node: Node, streams: Streams, length: int) -> Local:
    """Rows of the left matrix, columns of the right one, or a dimension over whose elements the product is repeated.

    ``place`` counts dimensions from the last one, which is 1.
    """
    (a, b), (left, right) = _shapes(node), streams
    place = len(a) - left.axis if left is not None else 0
    other = len(b) - right.axis if right is not None else 0
    _require(place != 1 and (other == 0 or (len(b) > 1 and other != 2)))
    if left is not None and right is not None:
        _require(place == other > 2 and left.before == right.before)
    elif left is not None:
        _require(place == 2 or len(b) < max(place, 3) or b[-place] == 1)
    else:
        _require(other == 1 or (len(a) > 1 and (len(a) < other or a[-other] == 1)))
    stream = left or right
    assert stream is not None
    rank = len(node.outputs[0].type.shape)
    at = place - (len(b) == 1) if left is not None else other
    return Local(Stream(rank - at, stream.before), node.attributes)


def _take(node: Node, streams: Streams, length: int) -> Local:
    """Rows of one table, or the same rows of each place's table."""
    table, index = streams
    axis = axis_of([node.inputs[0].type], node.attributes)
    if table is None:
        assert index is not None
        return Local(Stream(axis + index.axis, index.before), node.attributes)
    _require(index is None and axis != table.axis)
    moved = len(node.inputs[1].type.shape) - 1 if axis < table.axis else 0
    return Local(Stream(table.axis + moved, table.before), node.attributes)


def _pick(node: Node, streams: Streams, length: int) -> Local:
    x, index = streams
    axis = axis_of([node.inputs[0].type], node.attributes)
    if x is None or x.axis == axis:
        raise NotLocalError
    result = Stream(x.axis - (axis < x.axis), x.before)
    _require(index == result)
    return Local(result, node.attributes)


def _at_each_place(node: Node, streams: Streams, length: int) -> Local:
    return Local(_first(streams), node.attributes)


def _pad(node: Node, streams: Streams, length: int) -> Local:
    """Elements before the first place make the older ones of a step available: they are kept from step to step."""
    stream, a = _first(streams), node.attributes
    kept, after = a["before"][stream.axis], a["after"][stream.axis]
    if not kept and not after:
        return Local(stream, a)
    _require(after == 0 and stream.before == 0 and a["mode"] == "constant" and node.inputs[0].type.element == "float")
    before = [0 if axis == stream.axis else n for axis, n in enumerate(a["before"])]
    return Local(Stream(stream.axis, kept), {**a, "before": before}, kept)


def _convolve(node: Node, streams: Streams, length: int) -> Local:
    stream = _first(streams)
    _require(stream.axis > 0)
    x, w = (value.type for value in node.inputs)
    windows, along = sliding(x, w.shape[2:], node.attributes), stream.axis - 1
    reach = windows.dilation[along] * (windows.kernel[along] - 1)
    _require(windows.stride[along] == 1 and windows.before[along] == windows.after[along] == 0)
    _require(reach <= stream.before)
    return Local(Stream(stream.axis, stream.before - reach), node.attributes)


_RULES: Mapping[str, Callable[[Node, Streams, int], Local]] = {
    **dict.fromkeys(("sum", "mean", "product", "max", "min", "argmax", "argmin", "logsumexp"), _reduction),
    **dict.fromkeys(("reverse", "cumsum", "sort", "argsort", "topk"), _along_another_axis),
    **dict.fromkeys(("class", "one_hot", "stop_gradient"), _at_each_place),
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast_to": _broadcast,
    "slice": _slice,
    "concat": _concat,
    "matmul": _matmul,
    "take": _take,
    "pick": _pick,
    "pad": _pad,
    "convolve": _convolve,
}
