"""Operators whose results depend on shapes alone, and those whose inputs decide the shape of the result."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from graphdl.onnx.operators.shapes import sizes_of
from graphdl.onnx.protocol import kind_of_element
from graphdl.onnx.step import Step
from graphdl.onnx.values import Const, MixesExamplesError


def _shape(step: Step) -> Const:
    """The shape, or a part of it. If the size of the batch is open, it is known for two sizes."""
    value = step.value()
    shapes = [value.outer(value.term.shape, size) for size in sizes_of(step)]
    start, stop = step.attribute("start", 0), step.attribute("end")
    found = [np.array(prod(shape) if step.op == "Size" else shape[start:stop], np.int64) for shape in shapes]
    one, other = found[0], found[-1]
    return Const(one, None if (one == other).all() else other)


def _unit(step: Step) -> Const:
    """The result of ``EyeLike``, which depends on the shape of its input alone."""
    value = step.value()
    if value.batch is not None:
        raise MixesExamplesError
    kind = kind_of_element(step.attribute("dtype")) if "dtype" in step.attributes else value.kind
    rows, columns = value.term.shape
    return Const(np.eye(rows, columns, int(step.attribute("k", 0)), dtype=kind))


def _of_known(step: Step) -> Any:
    """An operator that is computed during the import, if all its inputs are known; here one of them is not."""
    for index in range(len(step.inputs)):
        step.constant(index)
    return NotImplemented


TABLE: dict[str, Callable[[Step], Any]] = {
    "Shape": _shape,
    "Size": _shape,
    "EyeLike": _unit,
    **dict.fromkeys(("Range", "ConstantOfShape", "HannWindow", "HammingWindow", "BlackmanWindow"), _of_known),
}
