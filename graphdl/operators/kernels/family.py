"""The interface of hand-written kernel families, and the tensors that the compiler makes with it.

A family is one file of this folder and one or more files of ``opencl/``. It gives the compiler:

- ``prepare``: the tensors that replace the inputs of an operation (packed filters, padding).
- ``operand_layouts`` and ``result_layout``: the order of these tensors and of the result in memory.
- ``candidates`` and ``cycles``: the forms of the kernel for a problem, and the predicted time of each.
- ``call``: the launch of a candidate.

The compiler gets a function (``Choose``) that chooses among the candidates.
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
    """The place of a strided operand in memory: the offset of its first element, and its strides, in elements."""

    offset: int
    strides: tuple[int, ...]


class Family(ABC, Generic[Problem, Candidate]):
    """A hand-written kernel with all its forms. A problem holds the sizes, a candidate the parameters of one form."""

    name: ClassVar[str]
    operand_layouts: ClassVar[tuple[Layout, ...]]
    result_layout: ClassVar[Layout] = "row_major"
    coordinates: ClassVar[tuple[int, ...]]
    """The dimension of the result for each coordinate of the kernel's ``STORE``."""
    vector: ClassVar[int]
    """The dimension of the result along which ``STORE`` gets vectors."""
    aligned: ClassVar[bool] = False
    """Whether the coordinate along which ``STORE`` gets a vector is always a multiple of the vector's width."""
    even: ClassVar[bool] = True
    """Whether all work-items do about the same work, whatever the data."""
    outputs: ClassVar[tuple[Element, ...]] = ("float",)
    """The element types of the outputs. If there are several, ``STORE`` takes a value of each, then the coordinates."""

    @abstractmethod
    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        """The tensor that replaces ``y``, whose operation belongs to this family. The ``inputs`` are prepared."""

    def prepare_viewed(self, view: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor | None:
        """The tensor that replaces ``view``, a view of such a ``y`` with these ``inputs``.

        None if the whole of ``y`` is computed first.
        """
        return None

    @abstractmethod
    def candidates(self, problem: Problem, target: Target) -> Sequence[Candidate]:
        """Every form of the kernel that fits the target. Of forms with the same prediction, the first is chosen."""

    def cycles(self, problem: Problem, candidate: Candidate, target: Target) -> float:
        """The predicted cycles of a form, for comparison with the other forms of the same problem."""
        return 0.0

    @abstractmethod
    def call(
        self, problem: Problem, candidate: Candidate, target: Target, operands: Sequence[Operand] = ()
    ) -> TemplateCall:
        """The launch of one form; of a form with several kernels, that of the last one. Only families with strided
        operands use ``operands``.
        """


Choose = Callable[[Family[Any, Any], Any, "Target"], Any]
"""Chooses a candidate of a family for a problem on a target."""


Lasts = Callable[[Tensor], bool]
"""Whether a source keeps its value over many runs of a program. Tensors that depend on such sources alone are computed
once."""


def nothing_lasts(source: Tensor) -> bool:
    """The ``Lasts`` of a program whose sources all change in every run."""
    return False


@lru_cache(maxsize=4096)
def predicted(family: Family[Any, Any], problem: Hashable, target: Target) -> Any:
    """The candidate with the fewest cycles by the family's prediction."""
    return min(family.candidates(problem, target), key=lambda form: family.cycles(problem, form, target))


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a kernel in a program, and a tensor that computes the same outside of the program."""

    family: Family[Any, Any]
    problem: Hashable
    candidate: Hashable
    operands: tuple[Operand, ...]
    """The places of the operands; none if the family has no strided ones, because then its kernel is the same for all
    places."""
    alone: Tensor | None = field(compare=False)
    """The tensor for which the kernel runs, computed from feeds. A program of this tensor has the same problem."""


Choosing = tuple[Family[Any, Any], Hashable, Hashable]
"""A family, a problem and the candidate that was chosen for it."""


@dataclass(frozen=True)
class Prepared(Template):
    """A hand-written kernel with a chosen form."""

    kernels: Family[Any, Any]
    problem: Hashable
    candidate: Hashable
    work: int = field(compare=False)
    """The number of floating-point operations."""
    alone: Tensor | None = field(default=None, compare=False)
    """See ``Form.alone``."""
    last_of: Choosing | None = None
    """If this is the last one of several kernels that make up a form of another family: that family, the problem and
    the candidate."""

    @property
    def family(self) -> Family[Any, Any]:
        return self.kernels

    @property
    def name(self) -> str:
        return self.family.name

    def flops(self, y: Tensor) -> int:
        return self.work

    def typed(self, y: Tensor) -> bool:
        return y.element == self.family.outputs[0]

    def call(self, target: Target, operands: Sequence[Operand] = ()) -> TemplateCall:
        return self.family.call(self.problem, self.candidate, target, operands)

    def form(self, operands: Sequence[Operand]) -> Form:
        """The form that the kernel completes, with the places of the operands in memory."""
        family, problem, candidate = self.last_of or (self.kernels, self.problem, self.candidate)
        places = tuple(operands) if "strided" in family.operand_layouts else ()
        return Form(family, problem, candidate, places, self.alone)


@dataclass(frozen=True)
class Planner:
    """Makes the tensors of the hand-written kernels that compute one tensor on a target."""

    target: Target
    choose: Choose = predicted
    repeated: Lasts = nothing_lasts
    alone: Tensor | None = None
    """The tensor, computed from feeds: see ``Form.alone``."""

    def repeats(self, x: Tensor) -> bool:
        """Whether ``x`` is a view of a source that many runs read before it changes. Then it is worth packing."""
        while isinstance(x.operation, View) and len(x.inputs) == 1:
            (x,) = x.inputs
        return self.repeated(x)

    def chosen(self, family: Family[Problem, Candidate], problem: Problem) -> Candidate:
        """The chosen form of the kernel for a problem."""
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
        last_of: Choosing | None = None,
    ) -> Tensor:
        """The tensor of ``shape`` that the family's kernel computes from ``operands``. Its origin is that of ``y``.

        ``last_of``: see ``Prepared``.
        """
        laid = zip(family.operand_layouts, operands, strict=True)
        operation = Prepared(family, problem, self.chosen(family, problem), work, self.alone, last_of)
        return Tensor(operation, tuple(_laid(layout, x) for layout, x in laid), shape, family.outputs[0], y.origin)


@dataclass(frozen=True)
class Copy(View):
    """The identity view. It gives a tensor a second place in memory."""

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        return [Access(0, tuple(index))]


def copy(x: Tensor) -> Tensor:
    """A copy of ``x`` with its own memory."""
    return Tensor(Copy(), (x,), x.shape, x.element, x.origin)


def _laid(layout: Layout, x: Tensor) -> Tensor:
    """``x``, or a copy if the order of ``x`` in memory is not ``layout``.

    Tensors from outside and from a loop are row-major. With one channel or one pixel this is also channels-last.
    """
    if not isinstance(x.operation, Source | Part):
        return x if x.inputs or layout != "row_major" else copy(x)
    return copy(x) if layout == "channels_last" and x.shape[1] > 1 and x.shape[2] * x.shape[3] > 1 else x
