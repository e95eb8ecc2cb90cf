"""Element by element."""

from __future__ import annotations

from collections.abc import Callable

from graphdl.graph.types import Element
from graphdl.onnx.exporting.step import Step
from graphdl.operators.elementwise import operand_elements

Write = Callable[..., str]
"""Writes a formula: it gets the step, the element type of the operands and their names."""


def formula(write: Write) -> Callable[[Step], str]:
    def translate(step: Step) -> str:
        elements = operand_elements(step.operator, [t.element for t in step.types])
        return write(step, elements[-1], *step.aligned(step.inputs, elements))

    return translate


def plain(operator: str) -> Callable[[Step], str]:
    return formula(lambda step, element, *names: step.op(operator, *names))


def _negated(operator: str) -> Callable[[Step], str]:
    return formula(lambda step, element, *names: step.op("Not", step.op(operator, *names)))


def _maximum(step: Step) -> str:
    x, bound = step.inputs
    if bound.number == 0 and x.type.element == "float":
        return step.op("Relu", step.name(x))
    return plain("Max")(step)


def _where(step: Step, element: Element, mask: str, a: str, b: str) -> str:
    if element == "bool":
        return step.op("Or", step.op("And", mask, a), step.op("And", step.op("Not", mask), b))
    return step.op("Where", mask, a, b)


def _rsqrt(step: Step, element: Element, x: str) -> str:
    return step.op("Reciprocal", step.op("Sqrt", x))


def _expm1(step: Step, element: Element, x: str) -> str:
    """tanh(x / 2) (exp(x) + 1), which is exact for small x, too."""
    half = step.op("Tanh", step.op("Mul", x, step.number(0.5)))
    return step.op("Mul", half, step.op("Add", step.op("Exp", x), step.number(1)))


def _log1p(step: Step, element: Element, x: str) -> str:
    """log(u) x / (u - 1) with u = 1 + x as it is rounded, which is exact for small x, too (Kahan)."""
    one = step.number(1)
    u = step.op("Add", x, one)
    log, rounded = step.op("Log", u), step.op("Sub", u, one)
    small = step.op("Mul", log, step.op("Div", x, rounded))
    near = step.op("Where", step.op("Equal", rounded, step.number(0)), x, small)
    return step.op("Where", step.op("Less", step.op("Abs", x), step.number(0.5)), near, log)


def other_sign(step: Step, element: Element, remainder: str, divisor: str) -> str:
    """Whether a remainder of division towards 0 lacks the divisor's sign."""
    zero = step.number(0, element)
    signs = step.op("Xor", step.op("Less", remainder, zero), step.op("Less", divisor, zero))
    return step.op("And", step.op("Not", step.op("Equal", remainder, zero)), signs)


def safe_divisor(step: Step, divisor: str) -> str:
    """An int divisor with 1 in place of 0 and of -1, by which runtimes may trap."""
    zero, minus = step.number(0, "int"), step.number(-1, "int")
    unsafe = step.op("Or", step.op("Equal", divisor, zero), step.op("Equal", divisor, minus))
    return step.op("Where", unsafe, step.number(1, "int"), divisor)


def _floor_divide(step: Step, element: Element, a: str, b: str) -> str:
    zero, one = step.number(0, element), step.number(1, element)
    if element == "float":
        r = step.op("Mod", a, b, fmod=1)
        q = step.op("Div", step.op("Sub", a, r), b)
        q = step.op("Where", other_sign(step, element, r, b), step.op("Sub", q, one), q)
        return step.op("Where", step.op("Equal", b, zero), step.op("Div", a, b), step.op("Round", q))
    safe = safe_divisor(step, b)
    q = step.op("Div", a, safe)
    r = step.op("Sub", a, step.op("Mul", q, safe))
    q = step.op("Where", other_sign(step, element, r, safe), step.op("Sub", q, one), q)
    q = step.op("Where", step.op("Equal", b, step.number(-1, "int")), step.op("Neg", a), q)
    return step.op("Where", step.op("Equal", b, zero), zero, q)


def _remainder(step: Step, element: Element, a: str, b: str) -> str:
    if element != "float":
        return step.op("Mod", a, safe_divisor(step, b))
    r = step.op("Mod", a, b, fmod=1)
    return step.op("Where", other_sign(step, element, r, b), step.op("Add", r, b), r)


def _fmod(step: Step, element: Element, a: str, b: str) -> str:
    return step.op("Mod", a, b if element == "float" else safe_divisor(step, b), fmod=1)


def _convert(step: Step) -> str:
    return step.name(step.inputs[0], step.outputs[0].element)


TABLE = {
    "add": plain("Add"),
    "subtract": plain("Sub"),
    "multiply": plain("Mul"),
    "divide": plain("Div"),
    "floor_divide": formula(_floor_divide),
    "remainder": formula(_remainder),
    "fmod": formula(_fmod),
    "power": plain("Pow"),
    "negative": plain("Neg"),
    "maximum": _maximum,
    "minimum": plain("Min"),
    "where": formula(_where),
    "equal": plain("Equal"),
    "not_equal": _negated("Equal"),
    "less": plain("Less"),
    "less_equal": plain("LessOrEqual"),
    "greater": plain("Greater"),
    "greater_equal": plain("GreaterOrEqual"),
    "logical_and": plain("And"),
    "logical_or": plain("Or"),
    "logical_not": plain("Not"),
    "exp": plain("Exp"),
    "expm1": formula(_expm1),
    "log": plain("Log"),
    "log1p": formula(_log1p),
    "sqrt": plain("Sqrt"),
    "rsqrt": formula(_rsqrt),
    "abs": plain("Abs"),
    "sign": plain("Sign"),
    "floor": plain("Floor"),
    "ceil": plain("Ceil"),
    "round": plain("Round"),
    "sin": plain("Sin"),
    "cos": plain("Cos"),
    "tan": plain("Tan"),
    "asin": plain("Asin"),
    "acos": plain("Acos"),
    "atan": plain("Atan"),
    "sinh": plain("Sinh"),
    "cosh": plain("Cosh"),
    "asinh": plain("Asinh"),
    "acosh": plain("Acosh"),
    "atanh": plain("Atanh"),
    "tanh": plain("Tanh"),
    "sigmoid": plain("Sigmoid"),
    "softplus": plain("Softplus"),
    "erf": plain("Erf"),
    "float": _convert,
    "int": _convert,
    "stop_gradient": _convert,
}
