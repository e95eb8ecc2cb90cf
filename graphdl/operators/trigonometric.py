"""Trigonometric and hyperbolic functions and their inverses."""

from __future__ import annotations

import math

from graphdl.operators.elementwise import apply, elementwise_primitive
from graphdl.operators.primitive import Primitive
from graphdl.operators.tensor import Tensor


def _squared(x: Tensor) -> Tensor:
    return x * x


CATEGORY = "Element by element"

PRIMITIVES: tuple[Primitive, ...] = (
    elementwise_primitive(
        "tan", 1, "tan({0})", math.tan, gradient=lambda y, g: (g * (1.0 + y * y),), wants="float", cost=25,
        documentation="the tangent",
    ),
    elementwise_primitive(
        "asin", 1, "asin({0})", math.asin,
        gradient=lambda y, g: (g * apply("rsqrt", 1.0 - _squared(y.inputs[0])),), wants="float", cost=25,
        documentation="the inverse of the sine, from -π/2 to π/2",
    ),
    elementwise_primitive(
        "acos", 1, "acos({0})", math.acos,
        gradient=lambda y, g: (-(g * apply("rsqrt", 1.0 - _squared(y.inputs[0]))),), wants="float", cost=25,
        documentation="the inverse of the cosine, from 0 to π",
    ),
    elementwise_primitive(
        "atan", 1, "atan({0})", math.atan,
        gradient=lambda y, g: (g / (1.0 + _squared(y.inputs[0])),), wants="float", cost=25,
        documentation="the inverse of the tangent, from -π/2 to π/2",
    ),
    elementwise_primitive(
        "sinh", 1, "sinh({0})", math.sinh,
        gradient=lambda y, g: (g * apply("cosh", y.inputs[0]),), wants="float", cost=25,
        documentation="(eˣ - e⁻ˣ) / 2",
    ),
    elementwise_primitive(
        "cosh", 1, "cosh({0})", math.cosh,
        gradient=lambda y, g: (g * apply("sinh", y.inputs[0]),), wants="float", cost=25,
        documentation="(eˣ + e⁻ˣ) / 2",
    ),
    elementwise_primitive(
        "asinh", 1, "asinh({0})", math.asinh,
        gradient=lambda y, g: (g * apply("rsqrt", 1.0 + _squared(y.inputs[0])),), wants="float", cost=25,
        documentation="the inverse of sinh",
    ),
    elementwise_primitive(
        "acosh", 1, "acosh({0})", math.acosh,
        gradient=lambda y, g: (g * apply("rsqrt", _squared(y.inputs[0]) - 1.0),), wants="float", cost=25,
        documentation="the inverse of cosh, from 0 on",
    ),
    elementwise_primitive(
        "atanh", 1, "atanh({0})", math.atanh,
        gradient=lambda y, g: (g / (1.0 - _squared(y.inputs[0])),), wants="float", cost=25,
        documentation="the inverse of tanh",
    ),
)  # fmt: skip
