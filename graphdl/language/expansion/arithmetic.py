"""Operators on plain numbers, lists and strings, which are evaluated during expansion."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from graphdl.graph.operator import is_number
from graphdl.language.expansion import limits
from graphdl.language.expansion.faults import Fault
from graphdl.language.expansion.values import describe
from graphdl.source import Span

if TYPE_CHECKING:
    from graphdl.language.expansion.context import Expansion

PRIMITIVE_OF = {
    "+": "add", "-": "subtract", "*": "multiply", "/": "divide", "//": "floor_divide", "%": "remainder",
    "**": "power", "@": "matmul", "==": "equal", "!=": "not_equal", "<": "less", "<=": "less_equal",
    ">": "greater", ">=": "greater_equal", "and": "logical_and", "or": "logical_or",
}  # fmt: skip
"""The primitive for each operator with a tensor among its operands."""

_NUMBERS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "**": operator.pow,
}  # fmt: skip

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def binary(sign: str, left: Any, right: Any, span: Span, expansion: Expansion) -> Any:
    """The value of ``left sign right`` without tensors. Raises Fault if the operator does not accept the operands."""
    if sign in ("==", "!="):
        expansion.spend(_size(left), span)
        return (left == right) == (sign == "==")
    if is_number(left) and is_number(right):
        if sign in _NUMBERS:
            return checked(lambda: _compute(sign, left, right), span)
        if sign in _ORDER:
            return _ORDER[sign](left, right)
        if sign == "..":
            return expansion.listed(whole_range(left, right, span), span)
    if isinstance(left, bool) and isinstance(right, bool) and sign in ("and", "or"):
        return left and right if sign == "and" else left or right
    if isinstance(left, list) and isinstance(right, list) and sign == "+":
        return expansion.listed([*left, *right], span)
    if sign == "*" and {type(left), type(right)} == {list, int}:
        items, count = (left, right) if isinstance(left, list) else (right, left)
        if len(items) * max(count, 0) > limits.LIST:
            raise too_long(len(items) * count, span)
        return expansion.listed(items * count, span)
    if isinstance(left, str) and isinstance(right, str):
        expansion.spend(min(len(left), len(right)) // limits.TEXT_COPIES, span)
        if sign == "+":
            expansion.spend(max(len(left), len(right)) // limits.TEXT_COPIES, span)
            return limited_text(left + right, span)
        if sign in _ORDER:
            return _ORDER[sign](left, right)
    if sign in ("and", "or"):
        raise Fault("E0301", f"'{sign}' joins conditions, not {describe(left)} and {describe(right)}", span)
    raise Fault("E0301", f"'{sign}' does not work on {describe(left)} and {describe(right)}", span)


def unary(sign: str, value: Any, span: Span) -> Any:
    if sign == "not":
        if isinstance(value, bool):
            return not value
        raise Fault("E0301", f"'not' wants a condition, not {describe(value)}", span)
    if is_number(value):
        return -value if sign == "-" else value
    raise Fault("E0301", f"'{sign}' does not work on {describe(value)}", span)


def checked(compute: Callable[[], Any], span: Span) -> Any:
    """The number that ``compute`` returns. Raises Fault if it is not a number that the language can represent."""
    try:
        result = compute()
    except ZeroDivisionError:
        raise Fault("E0308", "a division by zero", span) from None
    except OverflowError:
        raise Fault("E0308", "the number is too large", span) from None
    except (ValueError, TypeError):
        raise Fault("E0308", f"{span.text} has no value", span) from None
    if isinstance(result, complex):
        raise Fault("E0308", "a root of a negative number", span)
    if isinstance(result, int) and abs(result) > limits.NUMBER:
        raise Fault("E0308", "the number is too large", span)
    if isinstance(result, float) and (result != result or result in (float("inf"), float("-inf"))):
        raise Fault("E0308", "the number is too large, or none at all", span)
    return result


def whole_range(start: Any, stop: Any, span: Span) -> list[int]:
    if not isinstance(start, int) or not isinstance(stop, int):
        raise Fault("E0301", "a range runs between ints", span)
    if stop - start > limits.LIST:
        raise too_long(stop - start, span)
    return list(range(start, stop))


def too_long(length: int, span: Span) -> Fault:
    return Fault("E0314", f"a list of {length:,} items is too long: the limit is {limits.LIST:,}", span)


def limited_text(text: str, span: Span) -> str:
    if len(text) > limits.LIST:
        raise Fault("E0314", f"a text of {len(text):,} characters is too long", span)
    return text


def _compute(sign: str, left: Any, right: Any) -> Any:
    if sign == "**" and isinstance(left, int) and isinstance(right, int) and abs(left) > 1 and right > 64:
        raise OverflowError
    return _NUMBERS[sign](left, right)


def _size(value: Any) -> int:
    """The number of items that a comparison of nested lists may visit; counting stops at the limit."""
    count = 0
    pending = [value]
    while pending and count < limits.STEPS:
        item = pending.pop()
        count += 1 + (len(item) // limits.TEXT_COPIES if isinstance(item, str) else 0)
        if isinstance(item, list):
            pending.extend(item)
    return count
