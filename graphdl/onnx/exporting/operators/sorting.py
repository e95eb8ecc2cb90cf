"""Sorting and the greatest elements."""

from __future__ import annotations

from graphdl.onnx.exporting.step import Step
from graphdl.operators.structure import axis_of


def _in_order(step: Step, count: int, descending: bool) -> tuple[str, str]:
    """The first ``count`` elements along a dimension in order, and their indices."""
    x = step.inputs[0]
    is_bool = x.type.element == "bool"
    axis = axis_of(step.types, step.attributes) + x.batched
    name = step.name(x, "int" if is_bool else None)
    values, indices = step.ops(
        "TopK", name, step.ints(count), results=2, axis=axis, largest=int(descending), sorted=1
    )  # fmt: skip
    return step.cast(values, "int", "bool") if is_bool else values, indices


def _sort(step: Step) -> str:
    length = step.types[0].shape[axis_of(step.types, step.attributes)]
    return _in_order(step, length, bool(step.attributes["descending"]))[0]


def _argsort(step: Step) -> str:
    length = step.types[0].shape[axis_of(step.types, step.attributes)]
    return step.cast(_in_order(step, length, bool(step.attributes["descending"]))[1], None, "int")


def _topk(step: Step) -> tuple[str, str]:
    values, indices = _in_order(step, step.attributes["k"], True)
    return values, step.cast(indices, None, "int")


TABLE = {"sort": _sort, "argsort": _argsort, "topk": _topk}
