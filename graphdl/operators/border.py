"""Padding: further elements at the ends of each dimension, of one value or taken from the tensor itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphdl.graph.types import TensorType
from graphdl.operators.primitive import Hyper, Lowering, OperatorError, Primitive
from graphdl.operators.structure import broadcast_to, concat, pad, slice_
from graphdl.operators.tensor import Tensor

MODES = ("constant", "edge", "reflect", "wrap")


def extended(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    """``x`` with elements of its own before and after its dimension ``axis``.

    ``edge`` repeats the outermost element, ``reflect`` mirrors the others at it, and ``wrap`` continues from the other
    end, as in NumPy.
    """
    length = x.shape[axis]
    ends = [
        _pieces(x, axis, [source(i, length, mode) for i in places])
        for places in (range(-before, 0), range(length, length + after))
    ]
    return concat([*ends[0], x, *ends[1]], axis)


def source(place: int, length: int, mode: str) -> int:
    """The element that stands at a place outside of a dimension."""
    if mode == "edge" or length == 1:
        return 0 if place < 0 else length - 1
    if mode == "wrap":
        return place % length
    place %= 2 * length - 2
    return min(place, 2 * length - 2 - place)


def _pieces(x: Tensor, axis: int, sources: Sequence[int]) -> list[Tensor]:
    """The elements ``sources`` along ``axis``, in slices of evenly spaced ones."""
    pieces = []
    start = 0
    while start < len(sources):
        step = sources[start + 1] - sources[start] if start + 1 < len(sources) else 1
        end = start + 1
        while end < len(sources) and sources[end] - sources[end - 1] == step:
            end += 1
        starts, steps, shape = [0] * x.rank, [1] * x.rank, list(x.shape)
        starts[axis], steps[axis], shape[axis] = sources[start], step or 1, end - start if step else 1
        piece = slice_(x, starts, steps, shape)
        shape[axis] = end - start
        pieces.append(broadcast_to(piece, shape))
        start = end
    return pieces


def _infer(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x = types[0]
    for name in ("before", "after"):
        amounts = attributes[name]
        if len(amounts) != x.rank:
            raise OperatorError(
                "E0402",
                f"{name} has {len(amounts)} numbers for the {x.rank} dimensions of {x}",
                inputs=(0,),
                hyper=name,
            )
        if any(n < 0 for n in amounts):
            raise OperatorError("E0304", f"{name} = {list(amounts)} holds a negative number", hyper=name)
    value = attributes["value"]
    if x.element != "float" and value != int(value):
        raise OperatorError("E0301", f"value = {value} is no int, and {x} holds nothing else", hyper="value")
    shape = tuple(b + n + a for b, n, a in zip(attributes["before"], x.shape, attributes["after"], strict=True))
    return (TensorType(shape, x.element, x.classes if attributes["mode"] != "constant" else None),)


def _lower(node: Lowering) -> Sequence[Tensor]:
    (x,), a = node.inputs, node.attributes
    lead = (0,) if node.batched[0] else ()
    before, after = (*lead, *a["before"]), (*lead, *a["after"])
    if a["mode"] == "constant":
        return (pad(x, before, after, float(a["value"])),)
    for axis in range(x.rank):
        if before[axis] or after[axis]:
            x = extended(x, axis, before[axis], after[axis], a["mode"])
    return (x,)


CATEGORY = "Shape and place"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "pad", ("x",), _infer, _lower,
        (Hyper("before", "shape"), Hyper("after", "shape"), Hyper("value", "number", 0.0),
         Hyper("mode", "string", "constant", MODES)),
        documentation="x with further elements at the ends of each dimension: `value`, or elements of x, if `mode` is "
        '`"edge"` (the outermost), `"reflect"` (mirrored at it) or `"wrap"` (from the other end).',
    ),
)  # fmt: skip
