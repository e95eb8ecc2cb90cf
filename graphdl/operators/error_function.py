"""The error function, for scalars and for vectors of each width.

PoCL's ``erf`` of a vector goes element by element and takes eight times as long, that of Intel's runtime twice.
"""

from __future__ import annotations

_ABOVE = (1.9867710e-06, 0.00028456723, 0.0038834058, 0.053101938, 0.19354651, 1.1283791)
_BELOW = (3.7420126e-05, 0.0011855860, 0.015207376, 0.11535060, 0.50485869, 1.0)
"""The coefficients of P and Q, the highest power first. ``erf(x) = x P(x²) / Q(x²)`` for -4 ≤ x ≤ 4, with a relative
error below 3e-8, found by least squares with iterated weights. Rounding to single precision brings the error to 3e-7.
"""


def error_function(width: int) -> str:
    """``erf(x)``. Beyond 4 it is 1 in single precision."""
    kind = f"float{width if width > 1 else ''}"
    above, below = (_polynomial(coefficients, kind) for coefficients in (_ABOVE, _BELOW))
    return (
        f"inline {kind} error_function{width}({kind} given) {{\n"
        f"  const {kind} most = ({kind})(4.0f), one = ({kind})(1.0f);\n"
        f"  const {kind} x = given > most ? most : given < -most ? -most : given, t = x * x;\n"
        f"  const {kind} y = x * ({above}) / ({below});\n"
        "  return y > one ? one : y < -one ? -one : y;\n"
        "}\n"
    )


def _polynomial(coefficients: tuple[float, ...], kind: str) -> str:
    """The C expression of a polynomial of ``t`` by Horner's scheme."""
    text = f"({kind})({coefficients[0]}f)"
    for coefficient in coefficients[1:]:
        text = f"({text} * t + {coefficient}f)"
    return text
