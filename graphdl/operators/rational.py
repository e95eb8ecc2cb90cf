"""Functions as quotients of polynomials, for scalars and for vectors of each width.

PoCL's ``erf`` of a vector goes element by element and takes eight times as long, that of Intel's runtime twice. PoCL's
``tanh`` takes five times as long, that of Intel's runtime three times.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class _Quotient:
    """``f(x) = x P(x²) / Q(x²)`` for -limit ≤ x ≤ limit. Beyond, f is 1 or -1 in single precision.

    The coefficients of P and Q, the highest power first, were found by least squares with iterated weights. The
    relative error is below 3e-8. Rounding to single precision brings it to 4e-7.
    """

    limit: float
    above: tuple[float, ...]
    below: tuple[float, ...]

    def function(self, name: str, width: int) -> str:
        """The C function of vectors of a width. A NaN stays one."""
        kind = f"float{width if width > 1 else ''}"
        above, below = (_polynomial(coefficients, kind) for coefficients in (self.above, self.below))
        return (
            f"inline {kind} {name}{width}({kind} given) {{\n"
            f"  const {kind} most = ({kind})({self.limit}f), one = ({kind})(1.0f);\n"
            f"  const {kind} x = given > most ? most : given < -most ? -most : given, t = x * x;\n"
            f"  const {kind} y = x * ({above}) / ({below});\n"
            "  return y > one ? one : y < -one ? -one : y;\n"
            "}\n"
        )


_ERROR_FUNCTION = _Quotient(
    4.0,
    (1.9867710e-06, 0.00028456723, 0.0038834058, 0.053101938, 0.19354651, 1.1283791),
    (3.7420126e-05, 0.0011855860, 0.015207376, 0.11535060, 0.50485869, 1.0),
)
_HYPERBOLIC_TANGENT = _Quotient(
    9.02,
    (1.331880839e-08, 2.058328643e-05, 0.003494022683, 0.1337970799, 0.999999979),
    (7.761909958e-07, 0.0003283073406, 0.02587102813, 0.4671302324, 1.0),
)


def error_function(width: int) -> str:
    """``erf(x)``."""
    return _ERROR_FUNCTION.function("error_function", width)


def hyperbolic_tangent(width: int) -> str:
    """``tanh(x)``."""
    return _HYPERBOLIC_TANGENT.function("hyperbolic_tangent", width)


def _polynomial(coefficients: tuple[float, ...], kind: str) -> str:
    """The C expression of a polynomial of ``t`` by Horner's scheme."""
    text = f"({kind})({coefficients[0]}f)"
    for coefficient in coefficients[1:]:
        text = f"({text} * t + {coefficient}f)"
    return text
