"""Expressions of the language with their types: how the import writes its text.

A ``Term`` is a piece of text that is an expression, together with the type that the language gives it. Arithmetic with
terms writes larger expressions. Their types come from the shape rules of the primitives, so an expression that the
language would refuse is refused here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphdl.graph.operator import REQUIRED, hyperparameters
from graphdl.graph.types import Element, Shape, TensorType
from graphdl.operators import PRIMITIVES

ATOM, POWER, UNARY, PRODUCT, SUM, COMPARISON, NOT, AND, OR = range(100, 10, -10)
"""How tightly the outermost operator of an expression binds."""

Operand = "Term | float | int | bool"


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """An expression: its text, its type for one example, and how tightly it binds."""

    text: str
    type: TensorType
    level: int = ATOM

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def rank(self) -> int:
        return self.type.rank

    @property
    def element(self) -> Element:
        return self.type.element

    def __add__(self, other: Any) -> Term:
        return _binary("add", "+", SUM, self, other)

    def __radd__(self, other: Any) -> Term:
        return _binary("add", "+", SUM, other, self)

    def __sub__(self, other: Any) -> Term:
        return _binary("subtract", "-", SUM, self, other)

    def __rsub__(self, other: Any) -> Term:
        return _binary("subtract", "-", SUM, other, self)

    def __mul__(self, other: Any) -> Term:
        return _binary("multiply", "*", PRODUCT, self, other)

    def __rmul__(self, other: Any) -> Term:
        return _binary("multiply", "*", PRODUCT, other, self)

    def __truediv__(self, other: Any) -> Term:
        return _binary("divide", "/", PRODUCT, self, other)

    def __rtruediv__(self, other: Any) -> Term:
        return _binary("divide", "/", PRODUCT, other, self)

    def __floordiv__(self, other: Any) -> Term:
        return _binary("floor_divide", "//", PRODUCT, self, other)

    def __mod__(self, other: Any) -> Term:
        return _binary("remainder", "%", PRODUCT, self, other)

    def __matmul__(self, other: Any) -> Term:
        return _binary("matmul", "@", PRODUCT, self, other)

    def __pow__(self, other: Any) -> Term:
        return _binary("power", "**", POWER, self, other)

    def __rpow__(self, other: Any) -> Term:
        return _binary("power", "**", POWER, other, self)

    def __neg__(self) -> Term:
        return Term(f"-{_within(self, UNARY)}", _infer("negative", [self], {}), UNARY)

    def __lt__(self, other: Any) -> Term:
        return _binary("less", "<", COMPARISON, self, other)

    def __le__(self, other: Any) -> Term:
        return _binary("less_equal", "<=", COMPARISON, self, other)

    def __gt__(self, other: Any) -> Term:
        return _binary("greater", ">", COMPARISON, self, other)

    def __ge__(self, other: Any) -> Term:
        return _binary("greater_equal", ">=", COMPARISON, self, other)


def equal(a: Any, b: Any) -> Term:
    return _binary("equal", "==", COMPARISON, a, b)


def different(a: Any, b: Any) -> Term:
    return _binary("not_equal", "!=", COMPARISON, a, b)


def both(a: Any, b: Any) -> Term:
    return _binary("logical_and", "and", AND, a, b)


def either(a: Any, b: Any) -> Term:
    return _binary("logical_or", "or", OR, a, b)


def negated(a: Term) -> Term:
    return Term(f"not {_within(a, NOT)}", _infer("logical_not", [a], {}), NOT)


def call(name: str, *operands: Any, **attributes: Any) -> Term:
    """A call of a primitive with one output."""
    return calls(name, *operands, **attributes)[0]


def calls(name: str, *operands: Any, **attributes: Any) -> tuple[Term, ...]:
    """A call of a primitive with several outputs. Each output is a term with the whole call as its text."""
    terms = [as_term(operand) for operand in operands]
    hypers = PRIMITIVES[name].hypers
    types = PRIMITIVES[name].infer([t.type for t in terms], hyperparameters(PRIMITIVES[name], dict(attributes)))
    listed = [t.text for t in terms]
    for k, hyper in enumerate(hypers):
        if hyper.name in attributes and not _same(attributes[hyper.name], hyper.default):
            text = argument(attributes[hyper.name])
            plain = not k and (hyper.kind == "shape" or hyper.default is REQUIRED) and hyper.kind != "string"
            listed.append(text if plain else f"{hyper.name} = {text}")
    text = f"{name}({', '.join(listed)})"
    return tuple(Term(text, each) for each in types)


def block(name: str, operand: Term, shape: Sequence[int], *hypers: Any, **named: Any) -> Term:
    """``x -> name(…)``: a library block that is applied to a tensor, with the shape of its result."""
    return block_of([operand], name, shape, *hypers, **named)


def block_of(operands: Sequence[Term], name: str, shape: Sequence[int], *hypers: Any, **named: Any) -> Term:
    """``(a, b) -> name(…)``: a library block of several tensors."""
    listed = [argument(value) for value in hypers] + [f"{key} = {argument(value)}" for key, value in named.items()]
    arguments = f"({', '.join(listed)})" if listed else ""
    before = ", ".join(_within(operand, OR) for operand in operands)
    before = before if len(operands) == 1 else f"({before})"
    return Term(f"{before} -> {name}{arguments}", TensorType(tuple(shape)), 0)


def where(mask: Any, a: Any, b: Any) -> Term:
    return call("where", mask, a, b)


def reshape(x: Term, shape: Sequence[int]) -> Term:
    shape = tuple(int(n) for n in shape)
    return x if shape == x.shape else call("reshape", x, shape=list(shape))


def transpose(x: Term, order: Sequence[int]) -> Term:
    order = [int(axis) for axis in order]
    return x if order == list(range(x.rank)) else call("transpose", x, order=order)


def broadcast_to(x: Term, shape: Sequence[int]) -> Term:
    shape = tuple(int(n) for n in shape)
    return x if shape == x.shape else call("broadcast_to", x, shape=list(shape))


def concat(terms: Sequence[Term], axis: int) -> Term:
    return terms[0] if len(terms) == 1 else call("concat", *terms, axis=axis)


def sliced(x: Term, axis: int, start: int, stop: int, step: int = 1) -> Term:
    """``x[:, start:stop:step]``; a negative step counts backwards from ``start``, and ``stop`` may be -1."""
    length = x.shape[axis]
    count = max(0, -((start - stop) // step))
    if step < 0:
        x = call("reverse", x, axis=axis)
        start, step = length - 1 - start, -step
        stop = start + (count - 1) * step + 1 if count else start
    if start == 0 and step == 1 and stop >= length:
        return x
    starts, stops, steps = [0] * x.rank, list(x.shape), [1] * x.rank
    starts[axis], stops[axis], steps[axis] = start, min(stop, length), step
    (kind,) = PRIMITIVES["slice"].infer(
        [x.type], {"starts": starts, "stops": stops, "steps": steps, "squeeze": []}
    )  # fmt: skip
    place = f"{start or ''}:{'' if stop >= length else stop}" + (f":{step}" if step != 1 else "")
    return Term(f"{_within(x, ATOM)}[{', '.join([':'] * axis + [place])}]", kind)


def indexed(x: Term, axis: int, place: int) -> Term:
    """``x[:, place]``: the dimension is dropped."""
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    places = ", ".join([":"] * axis + [str(place)])
    return Term(f"{_within(x, ATOM)}[{places}]", TensorType(shape, x.element, x.type.classes))


def padded(x: Term, before: Sequence[int], after: Sequence[int], value: float = 0.0) -> Term:
    """``x`` with further elements at its ends. Negative amounts cut off."""
    for axis, (low, high) in enumerate(zip(before, after, strict=True)):
        if low < 0 or high < 0:
            x = sliced(x, axis, max(0, -low), x.shape[axis] + min(0, high))
    before, after = [max(0, int(n)) for n in before], [max(0, int(n)) for n in after]
    if not any(before) and not any(after):
        return x
    if x.element == "bool":
        return different(call("pad", convert(x, "int"), before=before, after=after, value=int(value)), 0)
    return call("pad", x, before=before, after=after, value=value if x.element == "float" else int(value))


def convert(x: Term, element: Element) -> Term:
    """``x`` as another element type."""
    if x.element == element:
        return x
    return different(x, 0) if element == "bool" else call(element, x)


def numbers_below(n: int) -> Term:
    """The ints from 0 to n - 1, as a vector."""
    return Term(f"tensor(0..{n})" if n > 1 else "tensor([0])", TensorType((n,), "int"))


def literal(array: np.ndarray) -> Term:
    """A tensor that is written out."""
    element = element_of(array.dtype)
    if array.size > 1 and element == "float" and (array == array.flat[0]).all():
        return call("fill", shape=list(array.shape), value=float(array.flat[0]))
    if not array.ndim and element == "float":
        return call("float", _scalar(array.item()))
    if not array.ndim:  # a number alone would become a float
        return reshape(literal(array[None]), ())
    return Term(f"tensor({argument(array.tolist(), element)})", TensorType(array.shape, element))


def element_of(kind: np.dtype[Any]) -> Element:
    """The element type of the language for a NumPy type."""
    return "bool" if kind.kind == "b" else "int" if kind.kind in "iu" else "float"


def number(value: float | int | bool) -> str:
    """A number as the language writes it."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if not math.isfinite(value):
        return str(float(value))
    short = np.float32(value)
    text = str(short) if float(short) == value else repr(float(value))
    mantissa, _, exponent = text.partition("e")
    if exponent:
        return f"{mantissa}e{int(exponent)}"
    return text


def argument(value: Any, element: Element | None = None) -> str:
    """A hyperparameter as the language writes it."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(argument(item, element) for item in value) + "]"
    if isinstance(value, str):
        return f'"{value}"'
    if value is None:
        return "none"
    return number(float(value) if element == "float" else value)


def as_term(value: Any) -> Term:
    return value if isinstance(value, Term) else _scalar(value)


def _scalar(value: Any) -> Term:
    text = number(value)
    element: Element = "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "float"
    return Term(text, TensorType((), element), UNARY if text.startswith("-") else ATOM)


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)


def _within(term: Term, level: int) -> str:
    return term.text if term.level >= level else f"({term.text})"


def _infer(name: str, operands: Sequence[Term], attributes: Mapping[str, Any]) -> TensorType:
    return PRIMITIVES[name].infer([t.type for t in operands], attributes)[0]


def _binary(name: str, sign: str, level: int, a: Any, b: Any) -> Term:
    """An operation written between its operands. All associate to the left, except ``**``; comparisons not at all."""
    a, b = as_term(a), as_term(b)
    left = level + 1 if level in (POWER, COMPARISON) else level
    right = UNARY if level == POWER else level + 1
    return Term(f"{_within(a, left)} {sign} {_within(b, right)}", _infer(name, [a, b], {}), level)
