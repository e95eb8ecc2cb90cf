"""Reductions and arg-reductions, softmax and its kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphdl.importing import terms
from graphdl.importing.terms import Term, block, call, convert
from graphdl.onnx.step import INT64, Step, narrowed
from graphdl.onnx.values import MixesExamplesError, Value

Reduce = Callable[[Term, dict[str, Any]], Term]


def _log_sum_exp(step: Step) -> Reduce:
    def reduce(x: Term, over: dict[str, Any]) -> Term:
        kept = {**over, "keep": True}
        peak = step.keep(call("max", x, **kept))
        total = call("log", call("sum", call("exp", x - peak), **kept)) + peak
        return total if over["keep"] else terms.reshape(step.keep(total), call("max", x, **over).shape)

    return reduce


def _plain(name: str) -> Callable[[Step], Reduce]:
    return lambda step: lambda x, over: call(name, x, **over)


_REDUCTIONS: dict[str, Callable[[Step], Reduce]] = {
    "ReduceSum": _plain("sum"),
    "ReduceMean": _plain("mean"),
    "ReduceMax": _plain("max"),
    "ReduceMin": _plain("min"),
    "ReduceProd": _plain("product"),
    "ReduceL1": lambda step: lambda x, over: call("sum", call("abs", x), **over),
    "ReduceL2": lambda step: lambda x, over: call("sqrt", call("sum", x * x, **over)),
    "ReduceSumSquare": lambda step: lambda x, over: call("sum", x * x, **over),
    "ReduceLogSum": lambda step: lambda x, over: call("log", call("sum", x, **over)),
    "ReduceLogSumExp": _log_sum_exp,
}


def without(value: Value, axes: list[int], keep: bool) -> int | None:
    """The dimension that is the batch when these dimensions of the ONNX tensor are dropped."""
    if value.batch is None or keep:
        return value.batch
    return value.batch - sum(axis < value.batch for axis in axes)


def _reduce(step: Step) -> Value:
    value = step.value()
    keep = bool(step.attribute("keepdims", 1))
    axes = step.listed(1, "axes")
    if not axes and step.attribute("noop_with_empty_axes", 0):
        if step.op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"):
            return value
        chosen: list[int] = []
    elif not axes:
        if value.batch is not None:
            raise MixesExamplesError
        chosen = list(range(value.rank))
    else:
        chosen = sorted(axis % max(value.rank, 1) for axis in axes)
    inner = [value.axis(axis) for axis in chosen] if value.term.rank else []
    x = convert(value.term, "int") if value.kind.kind == "b" else value.term
    if step.op == "ReduceMean" and value.batch == 0 and keep and inner == [1, 2] and x.rank == 3:
        return value.with_term(block("global_avgpool", x, (x.shape[0], 1, 1)))
    over: dict[str, Any] = {"axis": None if len(inner) == x.rank else inner, "keep": keep}
    y = _REDUCTIONS[step.op](step)(x, over)
    return Value(narrowed(y, value.kind), value.kind, without(value, chosen, keep), value.merged)


def _arg(step: Step) -> Value:
    value = step.value()
    keep, last = bool(step.attribute("keepdims", 1)), bool(step.attribute("select_last_index", 0))
    outer = int(step.attribute("axis", 0)) % max(value.rank, 1)
    axis = value.axis(outer)
    x = call("reverse", value.term, axis=axis) if last else value.term
    y = call(step.op.lower(), x, axis=axis, keep=keep)
    if last:
        y = value.term.shape[axis] - 1 - y
    return Value(y, INT64, without(value, [outer], keep), value.merged)


def _softmax(step: Step) -> Value:
    value = step.value()
    name = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}.get(step.op)

    def apply(x: Term, axis: int) -> Term:
        if name is not None:
            return block(name, x, x.shape, axis - x.rank) if axis != x.rank - 1 else block(name, x, x.shape)
        hottest = step.keep(call("argmax", x, axis=axis, keep=True))
        shape = [n if a == axis else 1 for a, n in enumerate(x.shape)]
        places = terms.reshape(terms.numbers_below(x.shape[axis]), shape)
        return convert(terms.equal(places, hottest), "float")

    if step.version >= 13:
        return value.with_term(apply(value.term, step.axis(value, -1)))
    # In older versions all dimensions from ``axis`` on are one.
    start = int(step.attribute("axis", 1)) % max(value.rank, 1)
    if value.batch is not None and value.batch >= start:
        raise MixesExamplesError
    axis = start - (value.batch is not None and not value.merged)
    shape = value.term.shape
    flat = terms.reshape(value.term, (*shape[:axis], int(np.prod(shape[axis:]))))
    return value.with_term(terms.reshape(step.keep(apply(flat, axis)), shape))


TABLE: dict[str, Callable[[Step], Any]] = {
    **dict.fromkeys(_REDUCTIONS, _reduce),
    "ArgMax": _arg,
    "ArgMin": _arg,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Hardmax": _softmax,
}
