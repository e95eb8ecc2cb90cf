"""The bits of ints."""

from __future__ import annotations

import numpy as np

from graphdl.graph.types import Element
from graphdl.onnx.exporting.operators.elementwise import formula, plain
from graphdl.onnx.exporting.step import Step

_WORD = 32


def _moved(step: Step, x: str, amount: str, direction: str) -> str:
    """A shift of the bits of an int; ONNX shifts ints without a sign only."""
    bits, places = step.cast_to(x, np.uint32), step.cast_to(amount, np.uint32)
    return step.cast_to(step.op("BitShift", bits, places, direction=direction), np.int32)


def _fits(step: Step, amount: str) -> str:
    """Whether an amount is from 0 to 31."""
    from_zero = step.op("GreaterOrEqual", amount, step.number(0, "int"))
    return step.op("And", from_zero, step.op("Less", amount, step.number(_WORD, "int")))


def _shift_left(step: Step, element: Element, x: str, amount: str) -> str:
    fits, zero = _fits(step, amount), step.number(0, "int")
    moved = _moved(step, x, step.op("Where", fits, amount, zero), "LEFT")
    return step.op("Where", fits, moved, zero)


def _shift_right(step: Step, element: Element, x: str, amount: str) -> str:
    """A negative int is shifted with its bits inverted, so that copies of the sign come in."""
    places = step.op("Where", _fits(step, amount), amount, step.number(_WORD - 1, "int"))
    negative = step.op("Less", x, step.number(0, "int"))
    moved = _moved(step, step.op("Where", negative, step.op("BitwiseNot", x), x), places, "RIGHT")
    return step.op("Where", negative, step.op("BitwiseNot", moved), moved)


TABLE = {
    "bit_and": plain("BitwiseAnd"),
    "bit_or": plain("BitwiseOr"),
    "bit_xor": plain("BitwiseXor"),
    "bit_not": plain("BitwiseNot"),
    "shift_left": formula(_shift_left),
    "shift_right": formula(_shift_right),
}
