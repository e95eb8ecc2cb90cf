"""C functions of floor division, for scalars and for vectors of each width.

The name of a function ends in its width: ``floored_remainder8``.
"""

from __future__ import annotations


def _suffix(width: int) -> str:
    return str(width) if width > 1 else ""


_OTHER_SIGN = "((r != 0) & ((r < 0) != (b < 0)))"
"""Whether the remainder of division towards zero must be shifted by one divisor to get the divisor's sign."""


def floored_remainder(width: int) -> str:
    """``a - b * floor(a / b)``, computed without rounding ``a / b``: ``fmod`` is exact."""
    kind = f"float{_suffix(width)}"
    return (
        f"inline {kind} floored_remainder{width}({kind} a, {kind} b) {{\n"
        f"  const {kind} r = fmod(a, b);\n"
        f"  return {_OTHER_SIGN} ? r + b : r;\n"
        "}\n"
    )


def floored_quotient(width: int) -> str:
    """``floor(a / b)`` of the exact quotient, or ``a / b`` where b is 0."""
    kind = f"float{_suffix(width)}"
    return (
        f"inline {kind} floored_quotient{width}({kind} a, {kind} b) {{\n"
        f"  const {kind} r = fmod(a, b), q = (a - r) / b;\n"
        f"  return b == 0 ? a / b : rint({_OTHER_SIGN} ? q - 1.0f : q);\n"
        "}\n"
    )


def whole_quotient(width: int) -> str:
    """``floor(a / b)`` of ints, or 0 where b is 0.

    The divisor is replaced where the processor would trap: division by 0, and of the least int by -1.
    """
    kind, suffix = f"int{_suffix(width)}", _suffix(width)
    return (
        f"inline {kind} whole_quotient{width}({kind} a, {kind} divisor) {{\n"
        f"  const {kind} b = ((divisor == 0) | (divisor == -1)) ? ({kind})(1) : divisor;\n"
        f"  const {kind} q = a / b, r = a - q * b;\n"
        f"  const {kind} floored = q {'+' if width > 1 else '-'} {_OTHER_SIGN};\n"
        f"  const {kind} negative = as_int{suffix}((uint{suffix})(0) - as_uint{suffix}(a));\n"
        f"  return divisor == 0 ? ({kind})(0) : divisor == -1 ? negative : floored;\n"
        "}\n"
    )


def whole_remainder(width: int) -> str:
    """``a - b * floor(a / b)`` of ints, or 0 where b is 0. (The simulator Oclgrind 19.10 takes the vector form's 1 for
    255.)
    """
    kind = f"int{_suffix(width)}"
    return (
        f"inline {kind} whole_remainder{width}({kind} a, {kind} divisor) {{\n"
        f"  const {kind} b = ((divisor == 0) | (divisor == -1)) ? ({kind})(1) : divisor;\n"
        f"  const {kind} r = a % b;\n"
        f"  return {_OTHER_SIGN} ? r + b : r;\n"
        "}\n"
    )


def truncated_remainder(width: int) -> str:
    """``a - b * trunc(a / b)`` of ints, or 0 where b is 0."""
    kind = f"int{_suffix(width)}"
    return (
        f"inline {kind} truncated_remainder{width}({kind} a, {kind} divisor) {{\n"
        f"  const {kind} b = ((divisor == 0) | (divisor == -1)) ? ({kind})(1) : divisor;\n"
        "  return a % b;\n"
        "}\n"
    )
