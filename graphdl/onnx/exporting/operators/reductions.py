"""Reductions, also over the batch, and prefix sums."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from graphdl.onnx.exporting.step import Step
from graphdl.operators.reduction import axes_of
from graphdl.operators.structure import axis_of


def _reduce(operator: str, whole_image: str | None = None) -> Callable[[Step], str]:
    """A reduction. ``whole_image`` is the operator for all extents of images [channels, ..]."""

    def translate(step: Step) -> str:
        (x,), axes = step.inputs, axes_of(step.types, step.attributes)
        name = step.name(x, step.outputs[0].element)
        keep = bool(step.attributes["keep"])
        if not axes:
            return name
        is_image = x.batched and keep and x.type.rank > 1 and axes == tuple(range(1, x.type.rank))
        if whole_image is not None and is_image and step.outputs[0].element == "float":
            return step.op(whole_image, name)
        return step.op(operator, name, step.ints(*(a + x.batched for a in axes)), keepdims=int(keep))

    return translate


def _place_of(operator: str) -> Callable[[Step], str]:
    """The place of the first greatest or least element, row-major over several dimensions."""

    def translate(step: Step) -> str:
        (x,), axes = step.inputs, axes_of(step.types, step.attributes)
        keep, shape = bool(step.attributes["keep"]), x.type.shape
        name = step.name(x, "int" if x.type.element == "bool" else None)
        if len(axes) == 1:
            return step.cast(step.op(operator, name, axis=axes[0] + x.batched, keepdims=int(keep)), None, "int")
        others = [a for a in range(x.type.rank) if a not in axes]
        order = [*range(x.batched), *(a + x.batched for a in (*others, *axes))]
        rows = [*(shape[a] for a in others), prod(shape[a] for a in axes)]
        name = step.reshape(step.transpose(name, order), rows, x.batched)
        found = step.cast(step.op(operator, name, axis=-1, keepdims=0), None, "int")
        return step.reshape(found, step.outputs[0].shape, x.batched) if keep else found

    return translate


def _truth(operator: str) -> Callable[[Step], str]:
    """Whether any or all elements are true: the greatest or least of ones and zeros."""

    def translate(step: Step) -> str:
        (x,), axes = step.inputs, axes_of(step.types, step.attributes)
        name = step.name(x, "bool")
        if not axes:
            return name
        places = step.ints(*(a + x.batched for a in axes))
        ones = step.cast(name, "bool", "int")
        return step.cast(step.op(operator, ones, places, keepdims=int(step.attributes["keep"])), "int", "bool")

    return translate


def _over_batch(step: Step) -> tuple[str, list[int], bool]:
    """The operand with the batch, the dimensions over which it is reduced, and whether they are kept."""
    axes = axes_of(step.types, step.attributes)
    return step.for_each(step.inputs[0], "float"), [0, *(a + 1 for a in axes)], bool(step.attributes["keep"])


def _without_batch(step: Step, y: str, keep: bool) -> str:
    return step.squeeze(y, 0) if keep else y


def _batch_mean(step: Step) -> str:
    x, axes, keep = _over_batch(step)
    return _without_batch(step, step.op("ReduceMean", x, step.ints(*axes), keepdims=int(keep)), keep)


def _batch_var(step: Step) -> str:
    x, axes, keep = _over_batch(step)
    centred = step.op("Sub", x, step.op("ReduceMean", x, step.ints(*axes), keepdims=1))
    square = step.op("Mul", centred, centred)
    return _without_batch(step, step.op("ReduceMean", square, step.ints(*axes), keepdims=int(keep)), keep)


def _batch_count(step: Step) -> str:
    return step.cast(step.squeeze(step.batch(), 0), None, "float")


def _cumsum(step: Step) -> str:
    x = step.inputs[0]
    axis = axis_of(step.types, step.attributes) + x.batched
    name = step.name(x, step.outputs[0].element)
    flags = {flag: int(step.attributes[flag]) for flag in ("exclusive", "reverse")}
    return step.op("CumSum", name, step.array(np.array(axis)), **flags)


TABLE = {
    "sum": _reduce("ReduceSum"),
    "mean": _reduce("ReduceMean", "GlobalAveragePool"),
    "product": _reduce("ReduceProd"),
    "max": _reduce("ReduceMax", "GlobalMaxPool"),
    "min": _reduce("ReduceMin"),
    "argmax": _place_of("ArgMax"),
    "argmin": _place_of("ArgMin"),
    "any": _truth("ReduceMax"),
    "all": _truth("ReduceMin"),
    "logsumexp": _reduce("ReduceLogSumExp"),
    "batch_mean": _batch_mean,
    "batch_var": _batch_var,
    "batch_count": _batch_count,
    "cumsum": _cumsum,
}
