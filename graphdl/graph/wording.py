"""Values in messages, as the language writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphdl.graph.model import Initializer, Value

Describe = Callable[[Any], str]
"""Describes a value for a message."""


def describe(value: Any, other: Describe = lambda value: f"a value of type {type(value).__name__}") -> str:
    """Describes a value: ``the tensor [3, 4]``, ``3``. ``other`` describes values that are neither tensors nor plain
    data.
    """
    match value:
        case Value():
            return f"the tensor {value.type}"
        case bool():
            return "true" if value else "false"
        case None:
            return "none"
        case int() | float():
            return number_text(value)
        case str():
            return f'the text "{value if len(value) <= 40 else value[:40] + "…"}"'
        case list():
            return f"the list {text(value, other=other)}"
        case Initializer():
            return f"the initializer {value.name}"
    return other(value)


def number_text(value: float) -> str:
    if isinstance(value, int):
        return str(value) if abs(value) < 10**20 else "beyond 10^20"
    return f"{value:.1f}" if abs(value) < 1e6 and value == int(value) else f"{value:.6g}"


def text(value: Any, room: int = 6, other: Describe = describe) -> str:
    """A value as the language writes it, shortened to ``room`` items of a list."""
    if isinstance(value, list):
        shown = [text(item, 3, other) if room > 3 or not isinstance(item, list) else "[…]" for item in value[:room]]
        return "[" + ", ".join(shown + ["…"] * (len(value) > room)) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, str):
        return value
    if isinstance(value, Value):
        return str(value.type)
    return other(value)
