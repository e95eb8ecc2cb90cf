"""What the compiler asks of a hand-written kernel family, and what it makes of the answers.

A family is one file of this folder and one or more files of ``opencl/``. It answers five questions:

- ``prepare``: which tensors does the kernel want in place of an operation's inputs (packed filters, padding)?
- ``operand_layouts`` and ``result_layout``: how do they lie in memory?
- ``candidates`` and ``cycles``: which forms of the kernel are there for a problem, and how long does each take?
- ``call``: what is launched, once a candidate is chosen?

The choice among the candidates is a function of its own (``Choose``): the compiler is given it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from graphdl.graph.types import Element, Shape
from graphdl.operators.index import Index
from graphdl.operators.kernels.template import TemplateCall
from graphdl.operators.tensor import Access, Layout, Lookup, Part, Source, Template, Tensor, View

if TYPE_CHECKING:
    from graphdl.compiler.program import Target

Problem = TypeVar("Problem", bound=Hashable)
Candidate = TypeVar("Candidate", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Operand:
    """Where a strided operand is read: the offset of its first element, and its strides, counted in elements."""

    offset: int
    strides: tuple[int, ...]


class Family(ABC, Generic[Problem, Candidate]):
    """A hand-written kernel with all its forms. A problem holds the sizes, a candidate the parameters of one form."""

    name: ClassVar[str]
    operand_layouts: ClassVar[tuple[Layout, ...]]
    result_layout: ClassVar[Layout] = "row_major"
    coordinates: ClassVar[tuple[int, ...]]
    """For each coordinate of the kernel's ``STORE`` the dimension of the result that it runs along."""
    vector: ClassVar[int]
    """The dimension of the result along which ``STORE`` gets vectors."""
    outputs: ClassVar[tuple[Element, ...]] = ("float",)
    """The elements that the kernel stores. With several, ``STORE`` takes a value of each, then the coordinates."""

    @abstractmethod
    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        """The tensor that replaces ``y``, whose operation belongs to this family, now that its inputs are prepared."""

    def prepare_viewed(self, view: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor | None:
        """The tensor that replaces ``view``, a view of such a ``y`` with these ``inputs``; None if ``y`` is made whole
        first."""
        return None

    @abstractmethod
    def candidates(self, problem: Problem, target: Target) -> Sequence[Candidate]:
        """Every form of the kernel that fits the target; among equally fast ones the first is the best."""

    def cycles(self, problem: Problem, candidate: Candidate, target: Target) -> float:
        """A prediction of the cycles that a form takes, to be compared with those of the others."""
        return 0.0

    @abstractmethod
    def call(
        self, problem: Problem, candidate: Candidate, target: Target, operands: Sequence[Operand] = ()
    ) -> TemplateCall:
        """The launch of one form. ``operands`` are for families with strided operands."""


Choose = Callable[[Family[Any, Any], Any, "Target"], Any]
"""Chooses a candidate of a family for a problem on a target."""


Lasts = Callable[[Tensor], bool]
"""Whether a source has the same value in many runs of a program: then what depends on it alone is computed once."""


def nothing_lasts(source: Tensor) -> bool:
    """For programs of which every source is new in every run."""
    return False


@lru_cache(maxsize=4096)
def predicted(family: Family[Any, Any], problem: Hashable, target: Target) -> Any:
    """The candidate of which the family predicts the fewest cycles."""
    return min(family.candidates(problem, target), key=lambda form: family.cycles(problem, form, target))


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a kernel as a program launches it, and how the same can be computed alone."""

    family: Family[Any, Any]
    problem: Hashable
    candidate: Hashable
    operands: tuple[Operand, ...]
    alone: Tensor | None = field(compare=False)
    """The tensor that the kernel serves, computed from feeds. A program of this tensor has the same problem."""


@dataclass(frozen=True)
class Prepared(Template):
    """A hand-written kernel whose form is chosen."""

    kernels: Family[Any, Any]
    problem: Hashable
    candidate: Hashable
    work: int = field(compare=False)
    """Floating-point operations."""
    alone: Tensor | None = field(default=None, compare=False)
    """See ``Form``."""

    @property
    def family(self) -> Family[Any, Any]:
        return self.kernels

    @property
    def name(self) -> str:
        return self.family.name

    def flops(self, y: Tensor) -> int:
        return self.work

    def call(self, target: Target, operands: Sequence[Operand] = ()) -> TemplateCall:
        return self.family.call(self.problem, self.candidate, target, operands)

    def form(self, operands: Sequence[Operand]) -> Form:
        """The form, with the places where the operands are read."""
        return Form(self.family, self.problem, self.candidate, tuple(operands), self.alone)


@dataclass(frozen=True)
class Planner:
    """Makes the tensors of the hand-written kernels that serve one tensor, for a target."""

    target: Target
    choose: Choose = predicted
    repeated: Lasts = nothing_lasts
    alone: Tensor | None = None
    """The tensor, computed from feeds: see ``Form``."""

    def repeats(self, x: Tensor) -> bool:
        """Whether ``x`` is a view of a source that many runs read before it changes: packing it pays."""
        while isinstance(x.operation, View) and len(x.inputs) == 1:
            (x,) = x.inputs
        return self.repeated(x)

    def chosen(self, family: Family[Problem, Candidate], problem: Problem) -> Candidate:
        """The form of the kernel that is taken for a problem."""
        candidate: Candidate = self.choose(family, problem, self.target)
        return candidate

    def made(
        self,
        family: Family[Problem, Candidate],
        problem: Problem,
        operands: Sequence[Tensor],
        shape: Shape,
        y: Tensor,
        work: int = 0,
    ) -> Tensor:
        """The tensor of ``shape`` that the family's kernel computes for the node that asked for ``y``."""
        laid = zip(family.operand_layouts, operands, strict=True)
        operation = Prepared(family, problem, self.chosen(family, problem), work, self.alone)
        return Tensor(operation, tuple(_laid(layout, x) for layout, x in laid), shape, family.outputs[0], y.origin)


@dataclass(frozen=True)
class Copy(View):
    """The same tensor, stored once more."""

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        return [Access(0, tuple(index))]


def copy(x: Tensor) -> Tensor:
    """The same values in memory of their own."""
    return Tensor(Copy(), (x,), x.shape, x.element, x.origin)


def _laid(layout: Layout, x: Tensor) -> Tensor:
    """``x``, or a copy where it does not lie in memory as the kernel wants it.

    What comes from outside or from a loop is row-major: that is channels-last too if there is one channel or one
    pixel.
    """
    if not isinstance(x.operation, Source | Part):
        return x if x.inputs or layout != "row_major" else copy(x)
    return copy(x) if layout == "channels_last" and x.shape[1] > 1 and x.shape[2] * x.shape[3] > 1 else x
