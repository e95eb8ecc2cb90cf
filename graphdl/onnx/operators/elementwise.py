"""Operators that work element by element: arithmetic, comparisons, logic, bits, activations, conversions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphdl.importing import terms
from graphdl.importing.terms import Term, block, both, call, different, either, equal, negated, where
from graphdl.onnx.protocol import kind_of_element
from graphdl.onnx.step import BOOL, Step, kind_of
from graphdl.onnx.values import Const, UnsupportedNodeError, Value

Translate = Callable[[Step], Value]


def _formula(function: Callable[..., Term], kind: Any = None) -> Translate:
    return lambda step: step.elementwise(function, kind=kind)


def _function(name: str) -> Translate:
    return lambda step: step.elementwise(lambda x: call(name, x), 0)


def _divide(a: Any, b: Any) -> Term:
    """The quotient; of ints, rounded towards 0."""
    x = terms.as_term(a)
    quotient: Term = x / b if _element(a, b) == "float" else (x - call("fmod", a, b)) // b
    return quotient


def _element(*operands: Any) -> str:
    found = {terms.as_term(x).element for x in operands}
    return "float" if "float" in found else "int" if "int" in found else "bool"


def _mod(step: Step) -> Value:
    if step.attribute("fmod", 0):
        return step.elementwise(lambda a, b: call("fmod", a, b))
    return step.elementwise(lambda a, b: terms.as_term(a) % b)


def _power(step: Step) -> Value:
    kind = kind_of(step.source(0))

    def function(a: Any, b: Any) -> Term:
        power = terms.as_term(a) ** b
        return call("round", power) if kind.kind in "iu" else power

    return step.elementwise(function, kind=kind)


def _folded(combine: Callable[[Any, Any], Term]) -> Translate:
    """An operator that combines any number of inputs in their order."""

    def function(*operands: Any) -> Term:
        result = operands[0]
        for operand in operands[1:]:
            result = combine(result, operand)
        return terms.as_term(result)

    return lambda step: step.elementwise(function)


def _mean(step: Step) -> Value:
    def function(*operands: Any) -> Term:
        total = terms.as_term(operands[0])
        for operand in operands[1:]:
            total = total + operand
        return total / len(operands) if len(operands) > 1 else total

    return step.elementwise(function)


def _clip(step: Step) -> Value:
    bounds: list[tuple[str, int]] = []
    attributes = {}
    for index, (name, attribute) in enumerate((("maximum", "min"), ("minimum", "max")), 1):
        if step.has(index):
            bounds.append((name, index))
        elif attribute in step.attributes:
            attributes[name] = step.attributes[attribute]

    known = [_known_bound(step, name, index, attributes) for index, name in enumerate(("maximum", "minimum"), 1)]

    def function(x: Term, *given: Any) -> Term:
        if known == [0.0, 6.0] and x.element == "float":
            return block("relu6", x, x.shape)
        for (name, _), bound in zip(bounds, given, strict=True):
            x = call(name, x, bound)
        for name, bound in attributes.items():
            x = call(name, x, bound)
        return x

    return step.elementwise(function, 0, *(index for _, index in bounds), kind=kind_of(step.source(0)))


def _known_bound(step: Step, name: str, index: int, attributes: dict[str, Any]) -> Any:
    """A bound of ``Clip`` that is known; None if there is none."""
    if step.has(index):
        found = step.source(index)
        return found.known.reshape(()).item() if isinstance(found, Const) else None
    return attributes.get(name)


def _is_infinite(step: Step) -> Value:
    def function(x: Term) -> Term:
        above, below = equal(x, float("inf")), equal(x, float("-inf"))
        wanted = [
            mask for mask, name in ((above, "detect_positive"), (below, "detect_negative")) if step.attribute(name, 1)
        ]
        if not wanted:
            return both(above, below)  # nothing is both
        return wanted[0] if len(wanted) == 1 else either(*wanted)

    return step.elementwise(function, kind=BOOL)


def _cast(step: Step) -> Value:
    return _converted(step, kind_of_element(int(step.attribute("to"))))


def _converted(step: Step, kind: np.dtype[Any]) -> Value:
    if kind.kind in "fiub":
        return step.elementwise(lambda x: terms.convert(x, terms.element_of(kind)), 0, kind=kind)
    raise UnsupportedNodeError(f"elements of the type {kind}")


def _cast_like(step: Step) -> Value | Const:
    found, kind = step.source(0), kind_of(step.source(1))
    if isinstance(found, Const):
        return Const(found.known.astype(kind), name=found.name)
    return _converted(step, kind)


def _bit_cast(step: Step) -> Value:
    """The bits of ints as those of another type of ints of the same size."""
    value, kind = step.value(), kind_of_element(int(step.attribute("to")))
    if "f" in (value.kind.kind, kind.kind) or kind.itemsize != value.kind.itemsize or kind.kind == "b":
        raise UnsupportedNodeError("the bits of floats as ints, or the other way round")
    return step.elementwise(lambda x: x, 0, kind=kind)


def _bits(name: str) -> Translate:
    def function(a: Any, b: Any) -> Term:
        return call(name, a, b)

    return lambda step: step.elementwise(function)


def _shift(step: Step) -> Value:
    name = "shift_left" if step.attribute("direction") == "LEFT" else "shift_right"
    return step.elementwise(lambda a, b: call(name, a, b))


def _prelu(step: Step) -> Value:
    return step.elementwise(lambda x, slope: where(x > 0, x, slope * x), kind=kind_of(step.source(0)))


def _thresholded(step: Step) -> Value:
    return step.elementwise(lambda x: block("thresholded_relu", x, x.shape, float(step.attribute("alpha", 1.0))))


def _shrink(step: Step) -> Value:
    bias, edge = step.attribute("bias", 0.0), step.attribute("lambd", 0.5)
    kind = kind_of(step.source(0))
    return step.elementwise(lambda x: where(x < -edge, x + bias, where(x > edge, x - bias, 0 * x)), kind=kind)


def _gelu(step: Step) -> Value:
    forms = [] if step.attribute("approximate", "none") == "none" else ["tanh"]
    return step.elementwise(lambda x: block("gelu", x, x.shape, *forms))


def _selu(step: Step) -> Value:
    alpha, gamma = step.attribute("alpha", 1.6732632), step.attribute("gamma", 1.0507010)
    if abs(alpha - 1.6732632) < 1e-6 and abs(gamma - 1.0507010) < 1e-6:
        return step.elementwise(lambda x: block("selu", x, x.shape))
    return step.elementwise(lambda x: gamma * block("elu", x, x.shape, alpha))


def _celu(step: Step) -> Value:
    return step.elementwise(lambda x: block("celu", x, x.shape, float(step.attribute("alpha", 1.0))))


def _hard_sigmoid(step: Step) -> Value:
    slope, offset = float(step.attribute("alpha", 0.2)), float(step.attribute("beta", 0.5))
    usual = abs(slope - 1 / 6) < 1e-6 and offset == 0.5
    return step.elementwise(lambda x: block("hard_sigmoid", x, x.shape, *([] if usual else [slope, offset])))


def _swish(step: Step) -> Value:
    alpha = step.attribute("alpha", 1.0)
    return step.elementwise(lambda x: block("silu", x, x.shape) if alpha == 1 else x * call("sigmoid", alpha * x))


def _relu(x: Term) -> Term:
    return block("relu", x, x.shape) if x.element == "float" else call("maximum", x, 0)


TABLE: dict[str, Callable[[Step], Any]] = {
    **{
        op: _function(name)
        for op, name in {
            "Abs": "abs", "Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Sign": "sign", "Floor": "floor", "Ceil": "ceil",
            "Round": "round", "Sin": "sin", "Cos": "cos", "Tan": "tan", "Asin": "asin", "Acos": "acos", "Atan": "atan",
            "Sinh": "sinh", "Cosh": "cosh", "Tanh": "tanh", "Asinh": "asinh", "Acosh": "acosh", "Atanh": "atanh",
            "Sigmoid": "sigmoid", "Softplus": "softplus", "Erf": "erf", "BitwiseNot": "bit_not",
        }.items()
    },
    "Neg": _formula(lambda x: -x),
    "Reciprocal": _formula(lambda x: 1 / x),
    "Identity": _formula(lambda x: x),
    "Sub": _formula(lambda a, b: a - b),
    "Mul": _formula(lambda a, b: a * b),
    "Div": _formula(_divide),
    "Mod": _mod,
    "Pow": _power,
    "Sum": _folded(lambda a, b: a + b),
    "Max": _folded(lambda a, b: call("maximum", a, b)),
    "Min": _folded(lambda a, b: call("minimum", a, b)),
    "Mean": _mean,
    "Equal": _formula(equal, BOOL),
    "Less": _formula(lambda a, b: terms.as_term(a) < b, BOOL),
    "LessOrEqual": _formula(lambda a, b: terms.as_term(a) <= b, BOOL),
    "Greater": _formula(lambda a, b: terms.as_term(a) > b, BOOL),
    "GreaterOrEqual": _formula(lambda a, b: terms.as_term(a) >= b, BOOL),
    "And": _formula(both, BOOL),
    "Or": _formula(either, BOOL),
    "Xor": _formula(different, BOOL),
    "Not": _formula(negated, BOOL),
    "BitwiseAnd": _bits("bit_and"),
    "BitwiseOr": _bits("bit_or"),
    "BitwiseXor": _bits("bit_xor"),
    "BitShift": _shift,
    "IsNaN": _formula(lambda x: different(x, x), BOOL),
    "IsInf": _is_infinite,
    "Where": _formula(where),
    "Clip": _clip,
    "Cast": _cast,
    "BitCast": _bit_cast,
    "CastLike": _cast_like,
    "Relu": _formula(_relu),
    "LeakyRelu": lambda step: step.elementwise(
        lambda x: block("leaky_relu", x, x.shape, float(step.attribute("alpha", 0.01)))
    ),
    "PRelu": _prelu,
    "Elu": lambda step: step.elementwise(lambda x: block("elu", x, x.shape, float(step.attribute("alpha", 1.0)))),
    "Selu": _selu,
    "Celu": _celu,
    "Gelu": _gelu,
    "Mish": _formula(lambda x: block("mish", x, x.shape)),
    "Swish": _swish,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _formula(lambda x: block("hard_swish", x, x.shape)),
    "Softsign": _formula(lambda x: block("softsign", x, x.shape)),
    "ThresholdedRelu": _thresholded,
    "Shrink": _shrink,
}  # fmt: skip
