"""Index arithmetic: the integer expressions by which a generated kernel reaches the elements of its operands.

An ``Index`` is a linear form ``c + Σ a·t`` whose terms ``t`` are loop variables or opaque atoms (a quotient, a
remainder or an integer that the kernel has loaded). Every term has a known range, by which quotients and remainders are
simplified.

Division. For a divisor ``d > 0``, ``f // d`` and ``f % d`` mean floor division: ``f = d·(f // d) + f % d`` with
``0 ≤ f % d < d``, for a negative ``f`` too. Two rules follow for all integers ``f`` and ``q``:

    (f + d·q) // d = f // d + q        (f + d·q) % d = f % d

C rounds towards 0 instead: ``-1 / 6`` is 0 and ``-1 % 6`` is -1, where floor division gives -1 and 5. The two agree
exactly if the dividend is not negative. So the dividends of ``Quotient`` and ``Remainder`` are never negative, for any
values of their variables, and the C text of an atom is a plain ``/`` or ``%``. Every form can be brought to this form.
The terms that ``d`` divides are moved out of the dividend by the rules above. The least value ``m`` of the rest ``r``
is known, and ``d·(m // d)`` is moved out as well. The least value of the remaining dividend is ``m % d``, and ``0 ≤ m %
d < d``.

An example: ``f = 8·i + 3 - j`` with ``0 ≤ i < 2``, ``0 ≤ j < 6`` and ``d = 4``. The divisor divides 8·i, so the rest is
``r = 3 - j``. Its least value is -2, and -2 // 4 = -1, so -4 is moved out as well and ``7 - j`` is the dividend:
``f // 4 = 2·i - 1 + (7 - j) // 4`` and ``f % 4 = (7 - j) % 4``. For i = 0, j = 5: f is -2, and C computes
-1 + 2 / 4 = -1 and 2 % 4 = 2. Both atoms have the same dividend, by which ``recombined`` recognizes the pair.

The ranges ignore guards: inside a guard a form takes fewer values, and outside of it its value is not used. The rules
hold for all integers, so a quotient is right on both sides of a guard.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True, slots=True)
class LoopVariable:
    """A loop variable with 0 ≤ value < ``extent``."""

    name: str
    extent: int

    @property
    def low(self) -> int:
        return 0

    @property
    def high(self) -> int:
        return self.extent - 1


@dataclass(frozen=True, slots=True)
class Quotient:
    """``value // divisor``. ``value`` is never negative, for any values of its variables."""

    value: Index
    divisor: int

    @property
    def low(self) -> int:
        return self.value.low // self.divisor

    @property
    def high(self) -> int:
        return self.value.high // self.divisor


@dataclass(frozen=True, slots=True)
class Remainder:
    """``value % divisor``. ``value`` is never negative, for any values of its variables."""

    value: Index
    divisor: int

    @property
    def low(self) -> int:
        return 0

    @property
    def high(self) -> int:
        return self.divisor - 1


@dataclass(frozen=True, slots=True)
class Loaded:
    """An integer that the kernel loads: the traced ``expression``, which depends on the loop variables ``uses``.

    Where it is used, 0 ≤ value < ``extent``. If the extent is None, it may be any integer of 32 bits.
    """

    expression: Hashable
    extent: int | None
    uses: frozenset[LoopVariable]

    @property
    def low(self) -> int:
        return 0 if self.extent is not None else -(2**31)

    @property
    def high(self) -> int:
        return self.extent - 1 if self.extent is not None else 2**31 - 1


Atom = Union[LoopVariable, Quotient, Remainder, Loaded]  # noqa: UP007 - the classes refer to each other


@dataclass(frozen=True, slots=True)
class Index:
    """``constant + Σ coefficient · atom``. The terms are in the order in which they were added; no coefficient is 0."""

    constant: int = 0
    terms: tuple[tuple[Atom, int], ...] = ()

    @staticmethod
    def of(value: int | Atom | Index) -> Index:
        if isinstance(value, Index):
            return value
        if isinstance(value, int):
            return Index(value)
        if isinstance(value, LoopVariable) and value.extent == 1:
            return Index(0)
        return Index(0, ((value, 1),))

    @property
    def low(self) -> int:
        return self.constant + sum(c * (a.low if c > 0 else a.high) for a, c in self.terms)

    @property
    def high(self) -> int:
        return self.constant + sum(c * (a.high if c > 0 else a.low) for a, c in self.terms)

    def __add__(self, other: int | Index) -> Index:
        other = Index.of(other)
        terms = dict(self.terms)
        for atom, coefficient in other.terms:
            terms[atom] = terms.get(atom, 0) + coefficient
        return Index(self.constant + other.constant, tuple((a, c) for a, c in terms.items() if c))

    def __mul__(self, factor: int) -> Index:
        if factor == 0:
            return Index(0)
        return Index(self.constant * factor, tuple((a, c * factor) for a, c in self.terms))

    def __sub__(self, other: int | Index) -> Index:
        return self + Index.of(other) * -1

    def _split(self, divisor: int) -> tuple[Index, Index]:
        """``(whole, rest)`` with ``self = divisor·whole + rest`` and ``0 ≤ rest.low < divisor``."""
        whole = Index(0, tuple((a, c // divisor) for a, c in self.terms if c % divisor == 0))
        rest = Index(self.constant, tuple((a, c) for a, c in self.terms if c % divisor))
        least = rest.low // divisor
        return whole + least, rest - least * divisor

    def __floordiv__(self, divisor: int) -> Index:
        """Floor division by a positive integer."""
        whole, rest = self._split(divisor)
        return whole if rest.high < divisor else whole + Index(0, ((Quotient(rest, divisor), 1),))

    def __mod__(self, divisor: int) -> Index:
        """The remainder of floor division by a positive integer: 0 ≤ remainder < divisor."""
        _, rest = self._split(divisor)
        return rest if rest.high < divisor else Index(0, ((Remainder(rest, divisor), 1),))

    def recombined(self) -> Index:
        """The same value with each ``d·(x // d) + x % d`` replaced by ``x``."""
        for atom, coefficient in self.terms:
            if not isinstance(atom, Remainder):
                continue
            quotient = Quotient(atom.value, atom.divisor)
            if (quotient, coefficient * atom.divisor) in self.terms:
                rest = tuple(t for t in self.terms if t[0] not in (atom, quotient))
                return (Index(self.constant, rest) + atom.value * coefficient).recombined()
        return self

    def code(self, loaded: Callable[[Loaded], str]) -> str:
        """The C expression. ``loaded`` returns the name of the variable that holds a loaded integer."""
        parts = []
        for atom, coefficient in self.terms:
            text = _atom_code(atom, loaded)
            parts.append(text if coefficient == 1 else f"{text} * {coefficient}")
        if self.constant or not parts:
            parts.append(str(self.constant))
        return " + ".join(parts)

    def substitute(self, values: Mapping[LoopVariable, Index], loaded: Callable[[Loaded], Index]) -> Index:
        """The same form with loop variables and loaded integers replaced."""
        result = Index(self.constant)
        for atom, coefficient in self.terms:
            result = result + _substituted(atom, values, loaded) * coefficient
        return result


def _atom_code(atom: Atom, loaded: Callable[[Loaded], str]) -> str:
    match atom:
        case LoopVariable():
            return atom.name
        case Quotient():
            return f"(({atom.value.code(loaded)}) / {atom.divisor})"
        case Remainder():
            return f"(({atom.value.code(loaded)}) % {atom.divisor})"
        case Loaded():
            return loaded(atom)


def _substituted(atom: Atom, values: Mapping[LoopVariable, Index], loaded: Callable[[Loaded], Index]) -> Index:
    match atom:
        case LoopVariable():
            return values.get(atom, Index.of(atom))
        case Quotient():
            return atom.value.substitute(values, loaded) // atom.divisor
        case Remainder():
            return atom.value.substitute(values, loaded) % atom.divisor
        case Loaded():
            return loaded(atom)


def variables_of(value: Index | Atom) -> frozenset[LoopVariable]:
    """The loop variables that a value depends on."""
    match value:
        case Index():
            return frozenset().union(*(variables_of(atom) for atom, _ in value.terms))
        case LoopVariable():
            return frozenset((value,))
        case Loaded():
            return value.uses
        case _:
            return variables_of(value.value)


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition: ``low <= value < high``, or ``value`` divisible by ``divisor``."""

    value: Index
    low: int = 0
    high: int = 0
    divisor: int = 0

    @property
    def always(self) -> bool:
        if self.divisor:
            return self.divisor == 1 or (self.value % self.divisor) == Index(0)
        return self.low <= self.value.low and self.value.high < self.high

    @property
    def never(self) -> bool:
        if self.divisor:
            return (self.value % self.divisor).low > 0
        return self.value.high < self.low or self.value.low >= self.high

    def code(self, loaded: Callable[[Loaded], str]) -> str:
        """The C condition. C's ``%`` is 0 exactly where that of floor division is, so it suits any dividend."""
        value = self.value.code(loaded)
        if self.divisor:
            return f"(({value}) % {self.divisor} == 0)"
        parts = []
        if self.value.low < self.low:
            parts.append(f"({value}) >= {self.low}")
        if self.value.high >= self.high:
            parts.append(f"({value}) < {self.high}")
        return f"({' && '.join(parts) or '1'})"
