"""How a reduction combines values in a generated kernel: one class per kind of reduction writes the statements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from graphdl.compiler.expression import Apply, Expression, Number
from graphdl.graph.elements import ELEMENTS
from graphdl.operators.index import Index
from graphdl.operators.reduction import Reduction
from graphdl.operators.tensor import Tensor


@dataclass
class Combining(ABC):
    """One reduction of a kernel.

    It has the expression of its terms, their ``position`` along the reduced axes, and the C variable ``name`` that
    accumulates them.
    """

    root: Tensor
    expression: Expression
    position: Index
    name: str
    in_blocks: ClassVar[bool] = False
    """Whether long reductions are accumulated in blocks, each with its own partial result, to bound the rounding error.
    """
    counts: ClassVar[bool] = False
    """Whether the result depends on the positions of the values. The values are then combined in order."""

    @property
    def element(self) -> str:
        return ELEMENTS[self.root.inputs[0].element].register

    @abstractmethod
    def start(self) -> str:
        """The C text of the initial value, which is the result of an empty reduction."""

    def declare(self, width: int) -> list[str]:
        """Declares the variable, a vector of ``width`` or a scalar."""
        suffix = str(width) if width > 1 else ""
        return [f"{self.element}{suffix} {self.name} = ({self.element}{suffix})({self.start()});"]

    @abstractmethod
    def combine(self, value: str, position: str, width: int) -> list[str]:
        """Combines the accumulated value with a further value, or a vector of values, at ``position``."""

    def across(self, width: int) -> list[str]:
        """Combines the lanes of the vector ``name`` into the scalar ``name_all``, in a fixed order. A width of 1 has no
        lanes.
        """
        if width == 1:
            return [f"{self.element} {self.name}_all = {self.name};"]
        lines = [f"{self.element} {self.name}_all = {self.name}.s0;"]
        for digit in "123456789abcdef"[: width - 1]:
            lines.extend(self.combine_lane(digit))
        return lines

    @abstractmethod
    def combine_lane(self, digit: str) -> list[str]:
        """Combines one lane of ``name`` into ``name_all``."""

    def result(self, suffix: str = "") -> str:
        """The C text of the result, read from the variable ``name`` with a suffix."""
        return f"{self.name}{suffix}"


@dataclass
class Sum(Combining):
    """A sum. The sum of negated terms is computed as the negated sum of the terms."""

    negated: bool = False
    in_blocks: ClassVar[bool] = True

    def start(self) -> str:
        return "0"

    def combine(self, value: str, position: str, width: int) -> list[str]:
        return [f"{self.name} += {value};"]

    def combine_lane(self, digit: str) -> list[str]:
        return [f"{self.name}_all += {self.name}.s{digit};"]

    def result(self, suffix: str = "") -> str:
        if self.negated:
            return f"(0.0f - {self.name}{suffix})"  # 0, not -0, for a sum of nothing but zeros
        return super().result(suffix)


@dataclass
class Product(Combining):
    """A product."""

    def start(self) -> str:
        return "1"

    def combine(self, value: str, position: str, width: int) -> list[str]:
        return [f"{self.name} *= {value};"]

    def combine_lane(self, digit: str) -> list[str]:
        return [f"{self.name}_all *= {self.name}.s{digit};"]


@dataclass
class Maximum(Combining):
    """The greatest value, or NaN if any value is NaN.

    A comparison with NaN is false, so an accumulated NaN stays. A new NaN is tested for explicitly.
    """

    comparison: ClassVar[str] = "<"
    least: ClassVar[tuple[str, str]] = ("-INFINITY", "INT_MIN")
    """Initial values for floats and for ints: no other value is smaller (for a minimum: greater)."""

    def start(self) -> str:
        return self.least[self.element == "int"]

    def better(self, kept: str, value: str) -> str:
        lost = f"({value} != {value}) ? {value} : " if self.element == "float" else ""
        return f"{lost}({kept} {self.comparison} {value}) ? {value} : {kept}"

    def combine(self, value: str, position: str, width: int) -> list[str]:
        return [f"{self.name} = {self.better(self.name, value)};"]

    def combine_lane(self, digit: str) -> list[str]:
        return [f"{self.name}_all = {self.better(f'{self.name}_all', f'{self.name}.s{digit}')};"]


@dataclass
class Minimum(Maximum):
    """The least value, or NaN if any value is NaN."""

    comparison: ClassVar[str] = ">"
    least: ClassVar[tuple[str, str]] = ("INFINITY", "INT_MAX")


@dataclass
class ArgMax(Maximum):
    """The position of the first greatest value, or of the first NaN."""

    counts: ClassVar[bool] = True

    def beats(self, kept: str, value: str) -> str:
        """Whether a later value replaces the accumulated one: it is greater, or it is the first NaN."""
        if self.element == "int":
            return f"{value} > {kept}"
        return f"({value} > {kept}) | (({value} != {value}) & ({kept} == {kept}))"

    def ties(self, kept: str, value: str) -> str:
        """Whether two values are equal or both NaN."""
        if self.element == "int":
            return f"({value} == {kept})"
        return f"(({value} == {kept}) | (({value} != {value}) & ({kept} != {kept})))"

    def declare(self, width: int) -> list[str]:
        suffix = str(width) if width > 1 else ""
        return [*super().declare(width), f"int{suffix} {self.name}_at = (int{suffix})(0);"]

    def combine(self, value: str, position: str, width: int) -> list[str]:
        name = self.name
        if width == 1:
            return [f"if ({self.beats(name, value)}) {{ {name} = {value}; {name}_at = {position}; }}"]
        mask = f"{name}_mask"
        return [
            f"const int{width} {mask} = {self.beats(name, value)};",
            f"{name}_at = {mask} ? {position} : {name}_at;",
            f"{name} = {mask} ? {value} : {name};",
        ]

    def across(self, width: int) -> list[str]:
        first, *rest = super().across(width)
        return [first, f"int {self.name}_all_at = {self.name}_at.s0;", *rest]

    def combine_lane(self, digit: str) -> list[str]:
        name = self.name
        lane, at = f"{name}.s{digit}", f"{name}_at.s{digit}"
        first = f"{self.ties(f'{name}_all', lane)} & ({at} < {name}_all_at)"
        wins = f"({self.beats(f'{name}_all', lane)}) | ({first})"
        return [f"if ({wins}) {{ {name}_all = {lane}; {name}_all_at = {at}; }}"]

    def result(self, suffix: str = "") -> str:
        return f"{self.name}{suffix}_at"


_KINDS: Mapping[str, type[Combining]] = {
    "sum": Sum,
    "product": Product,
    "max": Maximum,
    "min": Minimum,
    "argmax": ArgMax,
}


def kind_of(root: Tensor) -> type[Combining]:
    """The class that combines a reduction of this kind."""
    assert isinstance(root.operation, Reduction)
    return _KINDS[root.operation.kind]


def combining(root: Tensor, expression: Expression, position: Index, name: str) -> Combining:
    """The combination of the values of ``expression`` into ``root``, in the variable ``name``."""
    kind = kind_of(root)
    if kind is Sum and root.element == "float":
        positive, negated = _without_sign(expression)
        return Sum(root, positive, position, name, negated)
    return kind(root, expression, position, name)


def _without_sign(expression: Expression) -> tuple[Expression, bool]:
    """Moves a sign out of an expression.

    Returns the expression without the sign, and whether the original is its negation.
    """
    match expression:
        case Number() if expression.value < 0:
            return Number(expression.element, -expression.value), True
        case Apply() if expression.operation.odd:
            pairs = [_without_sign(x) for x in expression.operands]
            signs = sum(negated for _, negated in pairs)
            if expression.operation.negates:
                return pairs[0][0], not signs
            if signs:
                return Apply(expression.element, expression.operation, tuple(x for x, _ in pairs)), signs == 1
    return expression, False
