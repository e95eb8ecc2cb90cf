"""Matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphdl.importing import terms
from graphdl.importing.terms import Term, block, call
from graphdl.onnx.step import Step
from graphdl.onnx.values import Const, Merged, MixesExamplesError, Value, with_element, without_batch


def _dense(step: Step, value: Value, weight: Const, matrix: np.ndarray, bias: Const | None, name: str) -> Value:
    """``x -> linear(units)``, with its own parameters."""
    weights = {"W": matrix}
    if bias is not None:
        weights["b"] = bias.known.reshape(-1)
    shape = (*value.term.shape[:-1], matrix.shape[1])
    applied = block("linear", value.term, shape, matrix.shape[1], **({} if bias is not None else {"bias": False}))
    return value.with_term(step.writer.layer(applied, name, weights))


def _gemm(step: Step) -> Value:
    a, b = step.value(0), step.source(1)
    alpha, beta = float(step.attribute("alpha", 1.0)), float(step.attribute("beta", 1.0))
    c = step.source(2) if step.has(2) else None
    if _is_layer(step, a, b, c) and (alpha, beta) == (1.0, 1.0):
        assert isinstance(b, Const)
        matrix = b.known.T if step.attribute("transB", 0) else b.known
        if c is None or (isinstance(c, Const) and c.array.size == matrix.shape[1]):
            return _dense(step, a, b, matrix, c if isinstance(c, Const) else None, layer_name(step, b))
    if a.batch not in (None, 0) or (a.batch == 0 and step.attribute("transA", 0)):
        raise MixesExamplesError
    right = step.value(1)
    if right.batch is not None:
        raise MixesExamplesError
    left = terms.transpose(a.term, [1, 0]) if step.attribute("transA", 0) else a.term
    other = terms.transpose(right.term, [1, 0]) if step.attribute("transB", 0) else right.term
    product = left @ other if alpha == 1 else alpha * (left @ other)
    result = a.with_term(with_element(product, a.kind))
    if c is None:
        return result
    (p, q), like = step.combined(result, c)
    total = terms.as_term(p) + (q if beta == 1 else beta * terms.as_term(q))
    return Value(with_element(total, a.kind), a.kind, like.batch, like.merged)


def layer_name(step: Step, weight: Const) -> str:
    """A name for the module of a weight: ``layer1.0.conv1.weight`` belongs to ``layer1.0.conv1``. A weight that the
    exporter has computed has no name of its own, but its node may have one.
    """
    name = weight.name or "layer"
    if step.scope and (name.startswith(("onnx::", "/", "val_")) or name == "layer"):
        return step.scope
    head, dot, tail = name.rpartition(".")
    return head if dot and tail in ("weight", "W", "w", "kernel", "gamma", "scale", "Wx") else name


def _is_layer(step: Step, a: Value, b: Value | Const, c: Value | Const | None) -> bool:
    return (
        a.batch is not None and a.batch < a.rank - 1 and not step.attribute("transA", 0) and isinstance(b, Const)
        and b.other is None and (c is None or (isinstance(c, Const) and c.other is None)) and a.kind.kind == "f"
    )  # fmt: skip


def _matmul(step: Step) -> Value:
    a, known = step.value(0), step.source(1)
    if isinstance(known, Const) and known.array.ndim == 2 and _is_layer(step, a, known, None) and a.term.rank:
        return _dense(step, a, known, known.known, None, layer_name(step, known))
    return product(a, step.value(1), a.kind)


def _add(step: Step) -> Value:
    """A sum. What a layer without a bias is added to becomes its bias."""
    for x, y in ((0, 1), (1, 0)):
        value, bias = step.source(x), step.source(y)
        if isinstance(value, Value) and isinstance(bias, Const) and bias.other is None and step.alone[x]:
            units = value.term.shape[-1:]
            wide = bias.array.ndim <= 1 or bias.array.shape[:-1] == (1,) * (bias.array.ndim - 1)
            fits = bias.array.shape[-1:] == units and wide and bias.array.ndim <= value.rank
            if fits and value.kind.kind == "f" and step.writer.biased(value.term, bias.array):
                return value
    return step.elementwise(lambda a, b: a + b)


def product(a: Value, b: Value, kind: np.dtype[Any]) -> Value:
    """NumPy's ``a @ b``. The batch must be one of the leading dimensions, or that of the rows of ``a``."""
    batch: int | None = None
    merged: Merged = ""
    x, y = a.term, b.term
    if a.batch is not None and b.batch is not None:
        if (a.rank - a.batch, a.merged) != (b.rank - b.batch, b.merged) or a.rank - a.batch < 3:
            raise MixesExamplesError
        batch, merged = max(a.rank, b.rank) - (a.rank - a.batch), a.merged
    elif a.batch is not None:
        if a.batch == a.rank - 1 and a.rank > 0:
            raise MixesExamplesError
        batch, merged = a.batch, a.merged
        if b.rank > 2:
            place = a.rank - a.batch
            if place < 3:
                raise MixesExamplesError
            batch += max(0, b.rank - a.rank)
            y = _beside(y, place, merged)
    elif b.batch is not None:
        if b.batch >= b.rank - 2:
            raise MixesExamplesError
        batch, merged = b.batch + max(0, a.rank - b.rank), b.merged
        if a.rank > 2:
            x = _beside(x, b.rank - b.batch, merged)
    result = x @ y
    if batch is not None and b.rank == 1 and not merged:
        batch = min(batch, result.rank)
    return Value(with_element(result, kind), kind, batch, merged)


def _beside(term: Term, place: int, merged: Merged) -> Term:
    """An operand without a batch beside one that has it at ``place`` from the right."""
    return terms.reshape(term, without_batch(term.shape, place, merged))


def _einsum(step: Step) -> Value:
    equation = str(step.attribute("equation")).replace(" ", "")
    values = [step.value(k) for k in range(len(step.inputs))]
    if any(value.batch is not None for value in values):
        raise MixesExamplesError
    return values[0].with_term(call("einsum", *(v.term for v in values), equation=equation))


TABLE: dict[str, Callable[[Step], Any]] = {"Add": _add, "Gemm": _gemm, "MatMul": _matmul, "Einsum": _einsum}
