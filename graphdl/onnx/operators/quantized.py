"""Quantized numbers: ints that stand for floats by a scale and a zero point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphdl.importing import terms
from graphdl.importing.terms import Term, call, convert
from graphdl.onnx.operators.images import convolution
from graphdl.onnx.operators.products import product
from graphdl.onnx.protocol import kind_of_element
from graphdl.onnx.step import FLOAT, Step, kind_of
from graphdl.onnx.values import Const, MixesExamplesError, Value

INT32 = np.dtype(np.int32)


def _along(step: Step, index: int, value: Value, axis: int) -> Any:
    """A scale or a zero point beside a tensor: one for all, one for each place along a dimension, or one for each
    block of places.
    """
    found = step.source(index)
    if isinstance(found, Const) and found.known.size == 1:
        return found.known.reshape(()).item()
    own = step.value(index)
    x = convert(own.term, "float")
    if x.type.size == 1 and own.batch is None:
        return terms.reshape(x, ())
    if own.batch != value.batch and own.batch is not None:
        raise MixesExamplesError
    inner = value.axis(axis)
    if own.rank <= 1:
        return terms.reshape(x, [x.type.size if d == inner else 1 for d in range(value.term.rank)])
    if own.batch != value.batch:
        raise MixesExamplesError
    times = int(step.attribute("block_size", 0)) or value.term.shape[inner] // x.shape[inner]
    several = terms.reshape(x, (*x.shape[: inner + 1], 1, *x.shape[inner + 1 :]))
    several = terms.broadcast_to(several, (*x.shape[: inner + 1], times, *x.shape[inner + 1 :]))
    whole = terms.reshape(several, (*x.shape[:inner], x.shape[inner] * times, *x.shape[inner + 1 :]))
    return terms.sliced(whole, inner, 0, value.term.shape[inner])


def _axis(step: Step, value: Value) -> int:
    axis = int(step.attribute("axis", 1))
    return axis if -value.rank <= axis < value.rank else 0


def _quantize(step: Step) -> Value:
    value = step.value()
    kind = np.dtype(np.uint8)
    if step.has(2):
        kind = kind_of(step.source(2))
    elif step.attribute("output_dtype", 0):
        kind = kind_of_element(int(step.attribute("output_dtype")))
    axis = _axis(step, value)
    scaled = convert(value.term, "float") / _along(step, 1, value, axis)
    return value.with_term(quantized(scaled, _along(step, 2, value, axis) if step.has(2) else 0, kind), kind)


def quantized(scaled: Term, zero: Any, kind: np.dtype[Any]) -> Term:
    """The nearest ints, moved by the zero point and limited to a type."""
    limits = np.iinfo(kind)
    moved = call("round", scaled) if isinstance(zero, int) and not zero else call("round", scaled) + zero
    return call("int", call("minimum", call("maximum", moved, float(limits.min)), float(limits.max)))


def _dequantize(step: Step) -> Value:
    value = step.value()
    axis = _axis(step, value)
    return value.with_term(_centred(step, value, 2, axis) * _along(step, 1, value, axis), kind_of(step.source(1)))


def _centred(step: Step, value: Value, index: int, axis: int) -> Term:
    """The ints as floats, without their zero point."""
    x = convert(value.term, "float")
    return x - _along(step, index, value, axis) if step.has(index) else x


def _product(step: Step) -> Value:
    a, b = step.value(0), step.value(1)
    left = a.with_term(_centred(step, a, 2, a.rank - 2 if a.rank > 1 else 0), FLOAT)
    right = b.with_term(_centred(step, b, 3, b.rank - 1), FLOAT)
    whole = product(left, right, FLOAT)
    return whole.with_term(call("int", whole.term), INT32)


def _scaled_product(step: Step) -> Value:
    a, b = step.value(0), step.value(3)
    left = a.with_term(_centred(step, a, 2, max(a.rank - 2, 0)), FLOAT)
    right = b.with_term(_centred(step, b, 5, b.rank - 1), FLOAT)
    whole = product(left, right, FLOAT)
    scales = [_along(step, k, v, axis) for k, v, axis in ((1, a, max(a.rank - 2, 0)), (4, b, b.rank - 1))]
    kind = kind_of(step.source(7))
    x = step.keep(whole.term) * scales[0] * scales[1] / _along(step, 6, whole, whole.rank - 1)
    return whole.with_term(quantized(x, _along(step, 7, whole, whole.rank - 1), kind), kind)


def _convolution(step: Step) -> Value:
    """A convolution of ints, exact up to sums of 2²⁴: one of floats."""
    value = step.value(0)
    w = Const(_known_centred(step, 1, 3).astype(np.float32), name=_name(step, 1))
    y = convolution(step, value.with_term(_centred(step, value, 2, 0), FLOAT), w, None)
    return y.with_term(call("int", step.keep(y.term)), INT32)


def _scaled_convolution(step: Step) -> Value:
    """A convolution of quantized numbers: a layer with the filters that they stand for."""
    value = step.value(0)
    scales, inward = step.constant(4), step.constant(1)
    filters = _known_centred(step, 3, 5) * _for_filters(scales, step.constant(3).ndim)
    bias = None
    if step.has(8):
        bias = Const((step.constant(8) * (inward * scales)).astype(np.float32))
    x = value.with_term(_centred(step, value, 2, 1) * _along(step, 1, value, 1), FLOAT)
    y = convolution(step, x, Const(filters.astype(np.float32), name=_name(step, 3)), bias)
    kind = kind_of(step.source(7))
    scaled = step.keep(y.term) / _along(step, 6, y, 1)
    return y.with_term(quantized(scaled, _along(step, 7, y, 1), kind), kind)


def _name(step: Step, index: int) -> str | None:
    found = step.source(index)
    return found.name if isinstance(found, Const) else None


def _known_centred(step: Step, index: int, zero: int) -> np.ndarray:
    """The filters, which must be known, without their zero point."""
    filters = step.constant(index).astype(np.float64)
    return filters - _for_filters(step.constant(zero).astype(np.float64), filters.ndim) if step.has(zero) else filters


def _for_filters(numbers: np.ndarray, rank: int) -> np.ndarray:
    """One number, or one for each filter, beside the filters."""
    return numbers.reshape(-1, *[1] * (rank - 1))


TABLE: dict[str, Callable[[Step], Any]] = {
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "MatMulInteger": _product,
    "QLinearMatMul": _scaled_product,
    "ConvInteger": _convolution,
    "QLinearConv": _scaled_convolution,
}
