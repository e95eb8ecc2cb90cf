"""Matrix products and sums of products over named dimensions."""

from __future__ import annotations

from graphdl.onnx.exporting.step import Step
from graphdl.operators.einsum import equation_of


def _matmul(step: Step) -> str:
    """A product as NumPy's for each example. ONNX broadcasts leading dimensions alone, so vectors become matrices."""
    (a, b), (left, right) = step.inputs, step.names(step.outputs[0].element)
    if not a.batched and not b.batched:
        return step.op("MatMul", left, right)
    rows, columns = a.type.shape, b.type.shape
    plain = True
    if len(columns) == 1 and b.batched:
        columns, plain = (*columns, 1), False
        right = step.unsqueeze(right, 2)
    if len(rows) == 1 and b.batched:
        rows, plain = (1, *rows), False
        left = step.unsqueeze(left, 1 if a.batched else 0)
    rank = max(len(rows), len(columns), 2)
    if a.batched and len(columns) > 2 and len(rows) < rank:
        plain = plain and len(rows) > 1
        left = step.reshape(left, [*[1] * (rank - len(rows)), *rows], True)
    if b.batched and len(columns) < rank:
        right = step.reshape(right, [*[1] * (rank - len(columns)), *columns], True)
    y = step.op("MatMul", left, right)
    return y if plain else step.reshape(y, step.outputs[0].shape, True)


def _einsum(step: Step) -> str:
    equation = equation_of(step.types, step.attributes)
    letters = sorted(set("".join((*equation.inputs, equation.result))))
    spare = (chr(code) for code in (*range(ord("a"), ord("z") + 1), *range(ord("A"), ord("Z") + 1)))
    free = (letter for letter in spare if letter not in letters)
    names = {letter: letter if letter.isascii() else next(free) for letter in letters}
    batch = next(free)
    terms = [
        batch * term.batched + "".join(names[letter] for letter in part)
        for term, part in zip(step.inputs, equation.inputs, strict=True)
    ]
    result = batch * step.batched + "".join(names[letter] for letter in equation.result)
    return step.op("Einsum", *step.names(step.outputs[0].element), equation=f"{','.join(terms)}->{result}")


TABLE = {"matmul": _matmul, "einsum": _einsum}
