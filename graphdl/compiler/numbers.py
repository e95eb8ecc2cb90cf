"""Numbers in the text of generated kernels that become arguments, so that kernels of different sizes share one text.

A driver takes a tenth of a second to compile a kernel, and a deep network has many kernels that differ only in sizes.
These numbers become arguments:

- how the work is divided among work-items,
- the bounds of long loops,
- strides in memory,
- factors and other floats.

A compiler uses the value of other numbers: it replaces the division by a constant by a multiplication, and unrolls
short loops.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from graphdl.compiler.program import Target

SHORT = 32
"""The extent up to which the bound of a loop stays in the text."""

_ARGUMENT_BYTES = 1024
"""The bytes of arguments that OpenCL guarantees. An operand takes 16, a number 4."""

_FLOAT = r"(?<![\w.])\d+(?:\.\d*)?(?:e[+-]?\d+)?f\b"
_DIVISION = re.compile(rf"(?P<float>{_FLOAT})|(?<![\w.])(?P<int>\d+)(?![\w.])")
_BOUND = re.compile(rf"(?P<float>{_FLOAT})|(?:(?<=< )|(?<=, ))(?P<int>\d+)(?=[;)])")
_FORMULA = re.compile(rf"(?P<float>{_FLOAT})|(?<=\* )(?P<int>\d+)(?![\w.])")
_EXTENT = re.compile(rf"(?P<float>{_FLOAT})|(?<= == )(?P<int>\d+)(?=\))")


def most_numbers(operands: int, target: Target) -> int:
    """The most arguments that a kernel with ``operands`` takes besides them.

    A GPU gets none: its work-items are short, so a division by an argument in each of them would cost too much.
    """
    return max(0, (_ARGUMENT_BYTES - 16 * operands) // 4) if target.kind == "cpu" else 0


class Numbers:
    """The arguments of one kernel, in the order of their first use in its text."""

    def __init__(self, most: int, before: int = 0) -> None:
        """``most`` is the greatest number of arguments. Further numbers stay in the text. ``before`` arguments of the
        kernel are named ``n0, n1, …`` already.
        """
        self._most = most
        self._before = before
        self._names: dict[str, str] = {}

    def taken_from(self, text: str) -> str:
        """The statements with the names of arguments in place of numbers."""
        pieces = list(_pieces(text))
        pieces[1::2] = [self._name(number) for number in pieces[1::2]]
        return "".join(pieces)

    @property
    def parameters(self) -> list[str]:
        """The declarations of the parameters."""
        return [f"const {'float' if text.endswith('f') else 'int'} {name}" for text, name in self._names.items()]

    @property
    def names(self) -> Iterable[str]:
        """The names of the parameters."""
        return self._names.values()

    @property
    def values(self) -> tuple[int | float, ...]:
        """The values of the arguments: an int or a float of C for each Python's."""
        return tuple(float(text[:-1]) if text.endswith("f") else int(text) for text in self._names)

    def _name(self, number: str) -> str:
        if number not in self._names and len(self._names) == self._most:
            return number
        return self._names.setdefault(number, f"n{self._before + len(self._names)}")


@lru_cache(maxsize=1024)
def _pieces(text: str) -> tuple[str, ...]:
    """The statements divided at the numbers that can be arguments: every other piece is one of them."""
    pieces: list[str] = [""]
    for line in text.splitlines(keepends=True):
        if "first_row " in line or line.startswith("const int begin = "):
            pattern, short = _DIVISION, 0
        elif line.startswith("if (++"):
            pattern, short = _EXTENT, 0
        else:
            pattern, short = _BOUND if line.startswith("for (") or "_end = min(" in line else _FORMULA, SHORT
        end = 0
        for match in pattern.finditer(line):
            if _can_be_argument(match, short):
                pieces[-1] += line[end : match.start()]
                pieces += (match[0], "")
                end = match.end()
        pieces[-1] += line[end:]
    return tuple(pieces)


def _can_be_argument(number: re.Match[str], short: int) -> bool:
    if number["float"]:
        return float(number["float"][:-1]) not in (0.0, 1.0)
    return short < int(number["int"]) < 2**31
