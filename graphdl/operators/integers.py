"""Operators of ints: bits, and the remainder of division towards 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graphdl.graph.types import TensorType
from graphdl.operators.division import truncated_remainder
from graphdl.operators.elementwise import FunctionCall, apply, elementwise_primitive
from graphdl.operators.primitive import OperatorError, Primitive
from graphdl.operators.tensor import Tensor


def _fmod_gradient(y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
    a, b = y.inputs
    return g, -(g * apply("divide", a - y, b))


def _fmod(a: float, b: float) -> float:
    if isinstance(a, int) and isinstance(b, int):
        return int(math.copysign(abs(a) % abs(b), a)) if b else 0
    return math.fmod(a, b)


def _shift(sign: str) -> Callable[[Sequence[str], int], str]:
    """A shift by 0 to 31. Another amount moves all bits out. The sign comes in from above, and 0 from below."""

    def code(operands: Sequence[str], width: int) -> str:
        x, amount = operands
        if sign == ">>":
            return f"({x} >> ((({amount}) & ~31) != 0 ? ({_kind(width)})(31) : ({amount})))"
        moved = f"({x} << (({amount}) & 31))"
        return f"((({amount}) & ~31) != 0 ? ({_kind(width)})(0) : {moved})"

    return code


def _of_ints(primitive: Primitive) -> Primitive:
    """A primitive that refuses floats and bools."""

    def infer(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
        for port, given in enumerate(types):
            if given.element != "int":
                raise OperatorError(
                    "E0301", f"{primitive.name} works on the bits of ints, not on {given}", inputs=(port,)
                )
        return primitive.infer(types, attributes)

    return replace(primitive, infer=infer)


def _kind(width: int) -> str:
    return f"int{width}" if width > 1 else "int"


def _shifted_left(a: int, b: int) -> int:
    return a << b if 0 <= b < 32 else 0


def _shifted_right(a: int, b: int) -> int:
    return a >> (b if 0 <= b < 32 else 31)


CATEGORY = "Element by element"

PRIMITIVES: tuple[Primitive, ...] = (
    elementwise_primitive(
        "fmod", 2, "fmod({0}, {1})", _fmod, gradient=_fmod_gradient, of_ints=FunctionCall(truncated_remainder), cost=10,
        documentation="The remainder of division towards 0, which has the sign of a. For ints it is 0 where b is 0.",
    ),
    *map(
        _of_ints,
        (
            elementwise_primitive(
                "bit_and", 2, "({0} & {1})", lambda a, b: a & b, documentation="The bits that both ints have."
            ),
            elementwise_primitive(
                "bit_or", 2, "({0} | {1})", lambda a, b: a | b, documentation="The bits that one of the ints has."
            ),
            elementwise_primitive(
                "bit_xor", 2, "({0} ^ {1})", lambda a, b: a ^ b,
                documentation="The bits that exactly one of the ints has.",
            ),
            elementwise_primitive(
                "bit_not", 1, "(~{0})", lambda a: ~a, documentation="The bits that the int does not have."
            ),
            elementwise_primitive(
                "shift_left", 2, _shift("<<"), _shifted_left,
                documentation="The bits of a moved up by b places; 0 unless b is from 0 to 31.",
            ),
            elementwise_primitive(
                "shift_right", 2, _shift(">>"), _shifted_right,
                documentation="The bits of a moved down by b places, with copies of the sign above; nothing but those "
                "unless b is from 0 to 31.",
            ),
        ),
    ),
)  # fmt: skip
