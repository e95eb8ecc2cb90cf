"""Shapes and places."""

from __future__ import annotations

from graphdl.onnx.exporting.step import Step
from graphdl.operators.border import source
from graphdl.operators.stack import new_axis
from graphdl.operators.structure import axis_of, order_of

_BEFORE_ALL = -(2**31)
"""The end of a slice that runs backwards to the first element."""


def _reshape(step: Step) -> str:
    x = step.inputs[0]
    name, shape = step.name(x), step.outputs[0].shape
    return name if shape == x.type.shape else step.reshape(name, shape, x.batched)


def _transpose(step: Step) -> str:
    x, order = step.inputs[0], order_of(step.types, step.attributes)
    return step.transpose(step.name(x), [0, *(d + 1 for d in order)] if x.batched else order)


def _broadcast_to(step: Step) -> str:
    x, shape = step.inputs[0], step.outputs[0].shape
    if shape == x.type.shape:
        return step.name(x)
    name, missing = step.name(x), len(shape) - x.type.rank
    if x.batched and missing:
        name = step.unsqueeze(name, *range(1, 1 + missing))
    return step.op("Expand", name, step.ints(*([1] if x.batched else []), *shape))


def _slice(step: Step) -> str:
    x, a = step.inputs[0], step.attributes
    shape = x.type.shape
    taken = [
        d
        for d, (n, start, stop, by) in enumerate(zip(shape, a["starts"], a["stops"], a["steps"], strict=True))
        if (start, by) != (0, 1) or stop < n
    ]
    name = step.name(x)
    if taken:
        stops = [_BEFORE_ALL if a["steps"][d] < 0 and a["stops"][d] < 0 else a["stops"][d] for d in taken]
        name = step.op(
            "Slice", name, step.ints(*(a["starts"][d] for d in taken)), step.ints(*stops),
            step.ints(*(d + x.batched for d in taken)), step.ints(*(a["steps"][d] for d in taken)),
        )  # fmt: skip
    dropped = [d + x.batched for d in a["squeeze"]]
    return step.squeeze(name, *dropped) if dropped else name


def _reverse(step: Step) -> str:
    x = step.inputs[0]
    axis = step.ints(axis_of(step.types, step.attributes) + x.batched)
    return step.op("Slice", step.name(x), step.ints(-1), step.ints(_BEFORE_ALL), axis, step.ints(-1))


def _concat(step: Step) -> str:
    if len(step.inputs) == 1:
        return step.name(step.inputs[0])
    names = [step.for_each(x) for x in step.inputs] if step.batched else step.names()
    return step.op("Concat", *names, axis=axis_of(step.types, step.attributes) + step.batched)


def _stack(step: Step) -> str:
    axis = new_axis(step.types, step.attributes) + step.batched
    names = [step.for_each(x) for x in step.inputs] if step.batched else step.names()
    return step.op("Concat", *(step.unsqueeze(name, axis) for name in names), axis=axis)


def _pad(step: Step) -> str:
    x, a = step.inputs[0], step.attributes
    lead, name = [0] * x.batched, step.name(x)
    if a["mode"] == "constant":
        pads = step.ints(*lead, *a["before"], *lead, *a["after"])
        return step.op("Pad", name, pads, step.number(a["value"], x.type.element))
    amounts = list(zip(a["before"], x.type.shape, a["after"], strict=True))
    if a["mode"] == "edge" or all(max(before, after) < length for before, length, after in amounts):
        return step.op("Pad", name, step.ints(*lead, *a["before"], *lead, *a["after"]), mode=a["mode"])
    for axis, (before, length, after) in enumerate(amounts):  # more than ONNX allows
        if before or after:
            places = [*range(-before, 0), *range(length), *range(length, length + after)]
            found = [p if 0 <= p < length else source(p, length, a["mode"]) for p in places]
            name = step.op("Gather", name, step.ints(*found), axis=axis + x.batched)
    return name


def _fill(step: Step) -> str:
    number, shape = step.number(step.attributes["value"]), step.outputs[0].shape
    return step.op("Expand", number, step.ints(*shape)) if shape else number


TABLE = {
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast_to": _broadcast_to,
    "slice": _slice,
    "reverse": _reverse,
    "concat": _concat,
    "stack": _stack,
    "pad": _pad,
    "fill": _fill,
}
