"""Indexing, slicing and attributes of tensors."""

from __future__ import annotations

from typing import Any

from graphdl.diagnostics import Label
from graphdl.graph.model import Value
from graphdl.language import syntax
from graphdl.language.expansion.context import Expansion, visible
from graphdl.language.expansion.faults import Fault
from graphdl.language.expansion.frames import Scope
from graphdl.language.expansion.primitives import primitive
from graphdl.language.expansion.values import Argument, describe, plural
from graphdl.operators import PRIMITIVES
from graphdl.suggest import did_you_mean

DIMENSIONS = {"channels": (0, (3,)), "height": (1, (3,)), "width": (2, (3,)), "length": (0, (1, 2))}
"""The index of each named dimension, and the ranks that have it."""

_RANKS = {(3,): "images [channels, height, width]", (1, 2): "sequences [length] and [length, n]"}


def attribute(expansion: Expansion, value: Value, expression: syntax.Attribute) -> Any:
    """``x.shape``, ``x.rank`` and the named dimensions."""
    name = expression.name
    if name == "shape":
        return list(value.type.shape)
    if name == "rank":
        return value.type.rank
    if name not in DIMENSIONS:
        help = did_you_mean(name, ("shape", "rank", *DIMENSIONS))
        raise Fault("E0215", f"a tensor has no '{name}'", expression.name_span, help=help)
    axis, ranks = DIMENSIONS[name]
    if value.type.rank not in ranks:
        made = visible(value)
        labels = () if made == expression.value.span else (Label(made, str(value.type)),)
        raise Fault(
            "E0402", f"'{name}' is known of {_RANKS[ranks]}, not of {value.type}", expression.name_span, labels=labels
        )
    return value.type.shape[axis]


def index(expansion: Expansion, value: Any, expression: syntax.Index, scope: Scope) -> Any:
    """``x[0]``, ``x[:, 1:3]``, ``x[.., :3]``; for a list, an item or a sublist."""
    if isinstance(value, list):
        return _of_list(expansion, value, expression, scope)
    if not isinstance(value, Value):
        raise Fault("E0301", f"{describe(value)} has no parts", expression.value.span)
    shape = value.type.shape
    given = [item for item in expression.items if not isinstance(item, syntax.Rest)]
    if len(given) > len(shape):
        raise Fault(
            "E0402", f"{len(given)} indices for {value.type}, which has {plural(len(shape), 'dimension')}",
            given[len(shape)].span,
        )  # fmt: skip
    before = next((k for k, item in enumerate(expression.items) if isinstance(item, syntax.Rest)), len(given))
    items = [*given[:before], *[None] * (len(shape) - len(given)), *given[before:]]
    starts, stops, steps, squeeze = [], [], [], []
    for axis, (length, item) in enumerate(zip(shape, items, strict=True)):
        if item is None:
            start, stop, step = 0, length, 1
        elif isinstance(item, syntax.Slice):
            start, stop, step = _bounds(expansion, item, length, scope)
            if stop <= start:
                raise Fault("E0405", f"nothing is left of dimension {axis}, which has {length}", item.span)
        else:
            start = _whole(expansion, item, scope)
            if not -length <= start < length:
                raise Fault("E0417", f"index {start} is out of range: dimension {axis} has {length}", item.span)
            start %= length
            stop, step = start + 1, 1
            squeeze.append(axis)
        starts.append(start)
        stops.append(stop)
        steps.append(step)
    attributes = {"starts": starts, "stops": stops, "steps": steps, "squeeze": squeeze}
    arguments = {name: Argument(numbers, expression.span) for name, numbers in attributes.items()}
    base = Argument(value, expression.value.span)
    return primitive(expansion, PRIMITIVES["slice"], (base,), arguments, expression.span, scope.frame)


def _of_list(expansion: Expansion, value: list[Any], expression: syntax.Index, scope: Scope) -> Any:
    result: Any = value
    for item in expression.items:
        if not isinstance(result, list):
            raise Fault("E0301", f"{describe(result)} has no parts", item.span)
        if isinstance(item, syntax.Rest):
            raise Fault("E0301", "`..` stands for dimensions of a tensor, and this is a list", item.span)
        if isinstance(item, syntax.Slice):
            start, stop, step = _bounds(expansion, item, len(result), scope)
            result = expansion.listed(result[start:stop:step], item.span)
        else:
            place = _whole(expansion, item, scope)
            if not -len(result) <= place < len(result):
                raise Fault("E0417", f"index {place} is out of range: the list has {len(result)} items", item.span)
            result = result[place]
    return result


def _bounds(expansion: Expansion, item: syntax.Slice, length: int, scope: Scope) -> tuple[int, int, int]:
    """The bounds of a slice as in Python: negative bounds count from the end, and bounds out of range are clipped."""
    step = 1 if item.step is None else _whole(expansion, item.step, scope)
    if step < 1:
        raise Fault(
            "E0304", f"the step of a slice is at least 1, not {step}", item.span, help="reverse(x) runs backwards"
        )
    start = 0 if item.start is None else _whole(expansion, item.start, scope)
    stop = length if item.stop is None else _whole(expansion, item.stop, scope)
    return *slice(start, stop).indices(length)[:2], step


def _whole(expansion: Expansion, expression: syntax.Expression, scope: Scope) -> int:
    value = expansion.operand(expression, scope)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    help = "take(table, index) takes rows, pick(x, index) an element of each" if isinstance(value, Value) else None
    raise Fault("E0301", f"an index is an int, not {describe(value)}", expression.span, help=help)
