"""The Box-Muller transform in operations that every device rounds the same way.

The ``log``, ``cos`` and ``sqrt`` of devices differ in their last digits. Sums, products and ``fma`` are rounded as the
IEEE standard says, so they give the same numbers everywhere. No product is added to anything but by ``fma``: the
compiler of a device may otherwise join the two or not.
"""

from __future__ import annotations

LOGARITHM = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1, -0.5,
)  # fmt: skip
"""log(1 + m) = m + m² P(m) for √½ - 1 ≤ m < √2 - 1, the highest power first (Moshier, Cephes)."""

SINE = (39.76072311, -76.58128357, 81.60247803, -41.34168243, 6.283185482)
"""sin(2πa) = a P(a²) for |a| ≤ 1/4, interpolated at Chebyshev's points; the error is below 1e-8."""


def _horner(coefficients: tuple[float, ...], x: str, kind: str) -> str:
    text = f"({kind})({coefficients[0]!r}f)"
    for coefficient in coefficients[1:]:
        text = f"fma({text}, {x}, ({kind})({coefficient!r}f))"
    return text


def box_muller(width: int) -> str:
    """``√(-2 log(1 - u)) cos(2πv)`` of two uniform draws of 24 bits, below 1: a standard normal draw, at most 5.8 away
    from 0.

    The square root is x / √x, and 1 / √x begins as a guess from the bits of x, which three of Newton's steps correct.
    """
    kind, ints = (f"{name}{width if width > 1 else ''}" for name in ("float", "int"))
    step = "root = root * fma(negated * root, root, one_and_a_half);"
    return (
        f"inline {kind} box_muller{width}({kind} u, {kind} v) {{\n"
        f"  const {kind} one_and_a_half = ({kind})(1.5f);\n"
        f"  const {ints} bits = as_{ints}(({kind})(1.0f) - u), above = (bits - ({ints})(0x3F3504F3)) >> 23;\n"
        f"  const {kind} exponent = convert_{kind}(above), m = as_{kind}(bits - above * 8388608) - ({kind})(1.0f);\n"
        f"  const {kind} logarithm = fma(m * m, {_horner(LOGARITHM, 'm', kind)}, m);\n"
        f"  const {kind} x = fma(exponent, ({kind})(0.6931471806f), logarithm) * ({kind})(-2.0f);\n"
        f"  const {kind} negated = x * ({kind})(-0.5f);\n"
        f"  {kind} root = as_{kind}(({ints})(0x5F3759DF) - (as_{ints}(x) >> 1));\n"
        f"  {step}\n  {step}\n  {step}\n"
        f"  const {kind} a = fabs(v - ({kind})(0.5f)) - ({kind})(0.25f), q = a * a;\n"
        f"  return x * root * (a * {_horner(SINE, 'q', kind)});\n"
        "}\n"
    )
