"""Tensors that are written out as numbers and nested lists of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from graphdl.graph.limits import GREATEST, LEAST, NUMBERS, RANK
from graphdl.graph.model import Value
from graphdl.graph.operator import GraphError
from graphdl.graph.types import Element, TensorType


def is_numeric(value: Any) -> bool:
    """Whether a tensor can be made of the value: a number, a bool, or a nested list of them."""
    while isinstance(value, list):
        if not value:
            return False
        value = value[0]
    return isinstance(value, int | float)


def written_out(value: Any, element: Element | None) -> tuple[Any, TensorType]:
    """Plain data of one element type, and its tensor type, from a number or nested lists.

    If ``element`` is None, the numbers determine it.

    Raises:
        GraphError: the lists are ragged, too deep or too long, or a number does not fit.
    """
    shape, flat = numbers_of(value)
    if element is None:
        element = "float" if any(isinstance(n, float) for n in flat) else "int"
        element = "bool" if all(isinstance(n, bool) for n in flat) else element
    if element == "int" and any(not LEAST <= n <= GREATEST for n in flat):
        raise GraphError("E0308", "a tensor holds ints of 32 bits, and this one has no place in them")
    kind: Any = {"float": float, "int": int, "bool": bool}[element]
    plain = kind(value) if not shape else _rebuilt(list(map(kind, flat)), shape)
    return plain, TensorType(shape, element)


def numbers_of(value: Any) -> tuple[tuple[int, ...], list[Any]]:
    """The shape of nested lists, and their numbers in row-major order.

    Raises:
        GraphError: the lists are ragged, too deep or too long, or hold something else.
    """
    shape: list[int] = []
    level = value
    while isinstance(level, list):
        if len(shape) >= RANK or not level:
            raise GraphError("E0303", "these lists make no tensor: one is empty, or they are nested too deeply")
        shape.append(len(level))
        level = level[0]
    size = 1
    for length in shape:
        size *= length
    if size > NUMBERS:
        raise GraphError("E0314", f"a tensor written out as {size:,} numbers is too large")
    items = [value]
    for length in shape:
        if any(not isinstance(item, list) or len(item) != length for item in items):
            raise GraphError("E0303", f"the lists differ in length: each would have {length} items")
        items = [inner for item in items for inner in item]
    if any(not isinstance(item, int | float) for item in items):
        raise GraphError("E0301", "a tensor is written as numbers, in lists of one length")
    return tuple(shape), items


def _rebuilt(flat: list[Any], shape: tuple[int, ...]) -> Any:
    for length in reversed(shape[1:]):
        flat = [flat[i : i + length] for i in range(0, len(flat), length)]
    return flat


def element_for(operator: str, values: Sequence[Any]) -> Element:
    """The element type of the numbers among the inputs of an operator: int for ints beside tensors of ints, bool for
    bools, and else float. The mask of ``where`` decides nothing.
    """
    if operator == "where":
        values = values[1:]
    elements = {v.type.element for v in values if isinstance(v, Value)}
    numbers = [n for v in values if not isinstance(v, Value) for n in _leaves(v)]
    if all(isinstance(n, bool) for n in numbers):
        return "bool"
    if "int" in elements and "float" not in elements and all(isinstance(n, int) for n in numbers):
        return "int"
    return "float"


def _leaves(value: Any) -> Iterator[Any]:
    """The items of nested lists, in no particular order."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(item)
        else:
            yield item
