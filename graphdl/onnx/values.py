"""The values of an ONNX graph during the import, and the batch.

The language describes one example, and ONNX a whole batch. So a ``Value`` has the type of one example, and says which
dimension of the ONNX tensor is the batch. Where no dimension is, the value is the same for all examples, or the whole
graph is imported without a batch: then every dimension is one of the example.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from graphdl.graph.types import Shape
from graphdl.importing import terms
from graphdl.importing.terms import Term

Merged = Literal["", "after", "before"]


class UnsupportedNodeError(Exception):
    """A node that cannot be imported, and why."""


class MixesExamplesError(Exception):
    """A node that combines the examples of a batch, or moves them. The graph may still be imported without a batch."""

    node = ""
    """What is known of the node."""


class UnknownValueError(UnsupportedNodeError):
    """The values of inputs of the graph decide the form of the net, so they must be given with the import."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(names))
        listed = ", ".join(f"'{name}'" for name in self.names)
        source = f"the value of {listed}: give it with the import" if listed else "a value that is computed"
        super().__init__(f"the form of the net depends on {source}")


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the net.

    ``kind`` is its ONNX element type as NumPy's. ``batch`` is the dimension of the ONNX tensor that is the batch. With
    ``merged`` that dimension also has a dimension of the example: ``"after"`` the batch in ``[batch * heads, n]``,
    ``"before"`` it in ``[length * batch, n]``.
    """

    term: Term
    kind: np.dtype[Any]
    batch: int | None = None
    merged: Merged = ""
    given: str | None = None
    """The name of the input of the graph that it is, if it is one."""
    sources: frozenset[str] = frozenset()
    """The inputs of the graph on which it depends."""

    @property
    def rank(self) -> int:
        """The number of dimensions of the ONNX tensor."""
        return self.term.rank + (self.batch is not None and not self.merged)

    def axis(self, axis: int) -> int:
        """The dimension of an example that is dimension ``axis`` of the ONNX tensor.

        Raises:
            MixesExamplesError: it is the batch.
        """
        if not -max(self.rank, 1) <= axis < max(self.rank, 1):
            raise UnsupportedNodeError(f"dimension {axis} of a tensor with {self.rank}")
        axis %= max(self.rank, 1)
        if self.batch is None:
            return axis
        if axis == self.batch:
            raise MixesExamplesError
        return axis if self.merged or axis < self.batch else axis - 1

    def outer(self, shape: Sequence[Any], length: Any) -> list[Any]:
        """A shape of an example as that of the ONNX tensor, where ``length`` is the batch."""
        result = list(shape)
        if self.batch is None:
            return result
        if self.merged:
            result[self.batch] *= length
        else:
            result.insert(self.batch, length)
        return result

    def with_term(self, term: Term, kind: np.dtype[Any] | None = None) -> Value:
        """Another value with the same batch."""
        return replace(self, term=term, kind=kind or self.kind, given=None)


@dataclass(frozen=True, slots=True)
class Const:
    """A tensor that is known: an initializer, or computed from such.

    ``other`` is its value for another size of the batch, if the size is not fixed and the value depends on it.
    ``name`` is that of the initializer, if it is one.
    """

    array: np.ndarray
    other: np.ndarray | None = None
    name: str | None = None

    @property
    def rank(self) -> int:
        return self.array.ndim

    @property
    def known(self) -> np.ndarray:
        """The value, which must not depend on the size of the batch."""
        if self.other is not None:
            raise UnsupportedNodeError("a number that depends on the size of the batch")
        return self.array


def position(values: Sequence[Value | Const]) -> tuple[int | None, Merged]:
    """The place of the batch, counted from the right, in values that are combined element by element, and whether it
    is merged with a dimension.

    Raises:
        MixesExamplesError: the values differ in it.
    """
    found = {(v.rank - v.batch, v.merged) for v in values if isinstance(v, Value) and v.batch is not None}
    if len(found) > 1:
        raise MixesExamplesError
    return found.pop() if found else (None, "")


def without_batch(shape: Shape, place: int | None, merged: Merged) -> Shape:
    """The shape of an operand without a batch, beside operands with one at ``place`` from the right."""
    if place is None or len(shape) < place:
        return shape
    axis = len(shape) - place
    if shape[axis] != 1:
        raise MixesExamplesError
    return shape if merged else shape[:axis] + shape[axis + 1 :]


def with_element(term: Term, kind: np.dtype[Any]) -> Term:
    return terms.convert(term, terms.element_of(kind))
