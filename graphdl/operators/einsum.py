"""Products over named dimensions: ``einsum``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from graphdl.graph.types import TensorType
from graphdl.operators.elementwise import apply, cast
from graphdl.operators.matmul import element_of_products, matmul
from graphdl.operators.primitive import Hyper, Lowering, OperatorError, Primitive
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import broadcast_to, positions, reshape, transpose
from graphdl.operators.tensor import Tensor

_BATCH = "#"
"""The letter of the batch in a lowered equation."""


@dataclass(frozen=True)
class Equation:
    """The letters of the dimensions of each input and of the result. ``..`` is replaced by digits."""

    inputs: tuple[str, ...]
    result: str


def equation_of(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Equation:
    """The equation of these inputs.

    Raises:
        OperatorError: it is no equation, or does not fit the inputs.
    """
    text = str(attributes["equation"]).replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if not all(re.fullmatch(r"[A-Za-z]*(\.{3})?[A-Za-z]*", part) for part in (*parts, right)):
        raise _wrong(f'"{text}" is no equation such as "ij,jk->ik"')
    if len(parts) != len(types):
        raise _wrong(f'"{text}" names {len(parts)} tensors, and there are {len(types)}')
    named = []
    for port, (part, given) in enumerate(zip(parts, types, strict=True)):
        free = given.rank - len(part.replace("...", ""))
        if free < 0 or (free and "..." not in part):
            raise _wrong(f'"{part}" does not name the {given.rank} dimensions of {given}', port)
        named.append(part.replace("...", _digits(free)))
    widest = max(
        (part.count("...") and t.rank - len(part) + 3 for part, t in zip(parts, types, strict=True)), default=0
    )
    if arrow:
        result = right.replace("...", _digits(widest))
    else:  # the letters that occur once, in order of the alphabet
        letters = "".join(named)
        result = _digits(widest) + "".join(sorted(c for c in set(letters) if letters.count(c) == 1 and c.isalpha()))
    if len(set(result)) != len(result) or not set(result) <= set("".join(named)):
        raise _wrong(f'the result of "{text}" names a dimension twice, or one that no tensor has')
    return Equation(tuple(named), result)


def _digits(count: int) -> str:
    """Letters of the dimensions for which ``...`` stands, of which the last ones line up."""
    return "".join(chr(ord("①") + k) for k in reversed(range(count)))


def _wrong(message: str, port: int | None = None) -> OperatorError:
    return OperatorError("E0304", message, hyper="equation", inputs=() if port is None else (port,))


def _lengths(equation: Equation, shapes: Sequence[Sequence[int]]) -> dict[str, int]:
    """The length of each letter; a length of 1 is repeated.

    Raises:
        OperatorError: a letter has two lengths.
    """
    found: dict[str, int] = {}
    for port, (letters, shape) in enumerate(zip(equation.inputs, shapes, strict=True)):
        for letter, length in zip(letters, shape, strict=True):
            known = found.get(letter, 1)
            if known != length and 1 not in (known, length):
                raise OperatorError(
                    "E0401", f"the dimension {letter} is {known} in one tensor and {length} in another", inputs=(port,)
                )
            found[letter] = max(known, length)
    return found


def _infer(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    equation = equation_of(types, attributes)
    lengths = _lengths(equation, [t.shape for t in types])
    return (TensorType(tuple(lengths[letter] for letter in equation.result), element_of_products(types)),)


def _lower(node: Lowering) -> Sequence[Tensor]:
    equation = equation_of(node.types, node.attributes)
    inputs = [_BATCH * own + letters for own, letters in zip(node.batched, equation.inputs, strict=True)]
    result = _BATCH * any(node.batched) + equation.result
    lengths = _lengths(Equation(tuple(inputs), result), [x.shape for x in node.inputs])
    element = node.outputs[0].element
    left, current = inputs[0], cast(node.inputs[0], element)
    current, left = _diagonal(current, left)
    for k in range(1, len(inputs)):
        needed = set(result).union(*inputs[k + 1 :])
        right, other = cast(node.inputs[k], element), inputs[k]
        right, other = _diagonal(right, other)
        current, left = _product(current, left, right, other, needed, lengths)
    current, left = _summed(current, left, set(result))
    current = transpose(current, [left.index(letter) for letter in result])
    return (broadcast_to(current, tuple(lengths[letter] for letter in result)),)


def _diagonal(x: Tensor, letters: str) -> tuple[Tensor, str]:
    """Each letter once: of a letter that occurs twice, the elements on the diagonal."""
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            on = positions(x.shape, (first,)) - positions(x.shape, (second,))
            x = reduce("sum", apply("where", apply("equal", on, 0), x, 0), (second,), keep=False)
            letters = letters[:second] + letters[second + 1 :]
    return x, letters


def _summed(x: Tensor, letters: str, needed: set[str]) -> tuple[Tensor, str]:
    """Sums over the letters that nothing else needs."""
    axes = [axis for axis, letter in enumerate(letters) if letter not in needed]
    return reduce("sum", x, axes, keep=False), "".join(letter for letter in letters if letter in needed)


def _product(
    a: Tensor, left: str, b: Tensor, right: str, needed: set[str], lengths: Mapping[str, int]
) -> tuple[Tensor, str]:
    """The product of two tensors as one matrix product: [shared, left only, summed] @ [shared, summed, right only]."""
    a, left = _summed(a, left, needed | set(right))
    b, right = _summed(b, right, needed | set(left))
    shared = [c for c in left if c in right and c in needed]
    inner = [c for c in left if c in right and c not in needed]
    rows, columns = [c for c in left if c not in right], [c for c in right if c not in left]
    x = _ordered(a, left, (shared, rows, inner), lengths)
    y = _ordered(b, right, (shared, inner, columns), lengths)
    product = matmul(x, y) if inner else x * y  # without a sum, [s, r, 1] times [s, 1, c]
    names = [*shared, *rows, *columns]
    return reshape(product, tuple(lengths[c] for c in names)), "".join(names)


def _ordered(x: Tensor, letters: str, groups: Sequence[Sequence[str]], lengths: Mapping[str, int]) -> Tensor:
    """The tensor with one dimension for each group of letters."""
    order = [letters.index(c) for group in groups for c in group]
    x = transpose(x, order)
    x = broadcast_to(x, tuple(lengths[c] for group in groups for c in group))
    return reshape(x, tuple(prod(lengths[c] for c in group) for group in groups))


CATEGORY = "Reductions"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "einsum", ("x",), _infer, _lower, (Hyper("equation", "string"),), variadic=True,
        documentation='Products summed over named dimensions: `einsum(a, b, equation = "ij,jk->ik")` is a matrix '
        "product (Einstein's notation). `...` stands for further dimensions, a letter twice in one tensor for "
        "its diagonal.",
    ),
)  # fmt: skip
