"""Evaluates traced expressions with plain numbers: what a generated kernel must come to, without generating it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np

from graphdl.compiler.expression import Apply, Choose, Expression, Load, Number, Tracer, domain
from graphdl.compiler.strided import row_major_strides
from graphdl.operators.elementwise import ROWS
from graphdl.operators.index import Guard, Index, Loaded, LoopVariable, Quotient, Remainder
from graphdl.operators.tensor import Source, Tensor, topological

Values = Mapping[LoopVariable, int]
Arrays = Mapping[Tensor, np.ndarray]


def at(index: Index, values: Values, arrays: Arrays | None = None) -> int:
    """The value of a linear form, its loaded integers read from ``arrays``."""
    total = index.constant
    for atom, coefficient in index.terms:
        match atom:
            case LoopVariable():
                total += coefficient * values[atom]
            case Quotient():
                total += coefficient * (at(atom.value, values, arrays) // atom.divisor)
            case Remainder():
                total += coefficient * (at(atom.value, values, arrays) % atom.divisor)
            case Loaded():
                assert isinstance(atom.expression, Expression)
                total += coefficient * int(value(atom.expression, values, arrays or {}))
    return total


def holds(guard: Guard, values: Values, arrays: Arrays | None = None) -> bool:
    number = at(guard.value, values, arrays)
    return number % guard.divisor == 0 if guard.divisor else guard.low <= number < guard.high


def value(expression: Expression, values: Values, arrays: Arrays) -> Any:
    """What an expression comes to where the loop variables have these values."""
    match expression:
        case Number():
            return expression.value
        case Load():
            return arrays[expression.tensor].reshape(-1)[at(expression.address, values, arrays)]
        case Apply():
            fold = ROWS[expression.operation.key].fold
            assert fold is not None
            return fold(*(value(x, values, arrays) for x in expression.operands))
        case Choose():
            for guards, case in expression.cases:
                if all(holds(guard, values, arrays) for guard in guards):
                    return value(case, values, arrays)
            return expression.otherwise
    raise AssertionError(expression)


def everywhere(variables: tuple[LoopVariable, ...]) -> list[Values]:
    return [dict(zip(variables, place, strict=True)) for place in product(*(range(v.extent) for v in variables))]


def evaluated(tensor: Tensor, arrays: Arrays) -> np.ndarray:
    """Every element of a tensor, traced back to its sources, which lie row-major."""
    strides = {x: row_major_strides(x.shape) for x in topological([tensor]) if isinstance(x.operation, Source)}
    variables = domain(tensor.shape)
    expression = Tracer(strides).trace(tensor, tuple(Index.of(v) for v in variables))
    elements = [value(expression, place, arrays) for place in everywhere(variables)]
    return np.array(elements, arrays[next(iter(arrays))].dtype).reshape(tensor.shape)
