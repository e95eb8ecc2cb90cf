"""One node of an ONNX graph while it is translated: its inputs, its attributes, and the form of its results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from graphdl.importing import terms
from graphdl.importing.terms import Term
from graphdl.onnx.values import (
    Const,
    UnknownValueError,
    UnsupportedNodeError,
    Value,
    position,
    with_element,
    without_batch,
)


class Writer(Protocol):
    """The text that is being written."""

    def declare(self, name: str, array: np.ndarray) -> Term:
        """A parameter of the net with a proposed name and its values."""

    def layer(self, term: Term, name: str, weights: Mapping[str, np.ndarray]) -> Term:
        """The application of a block of the library whose parameters and states have these values, by their names in
        the block. ``name`` is a proposal for its module.
        """

    def fresh(self, wanted: str) -> str:
        """A name that nothing else has."""

    def biased(self, term: Term, bias: np.ndarray) -> bool:
        """Gives the layer that computes ``term`` a bias, if it was written last and has none."""

    def keep(self, *several: Term, hints: Sequence[str] = ()) -> tuple[Term, ...]:
        """Gives an expression a name, or each of the results of one call, so that it can be used twice. ``hints`` are
        proposals for the names.
        """

    def inside(self, names: Iterable[str]) -> AbstractContextManager[Callable[[Iterable[str]], list[str]]]:
        """What is written within belongs to the body of a loop with these variables. The function that the context
        gives returns the statements of the body, given the expressions that it results in.
        """


FLOAT, INT64, BOOL = np.dtype(np.float32), np.dtype(np.int64), np.dtype(bool)


@dataclass(frozen=True)
class Step:
    """A node. ``scope`` is the module to which it belongs, if that is known. ``inputs`` has None for inputs that are
    left out; ``version`` is that of the operator set.
    """

    op: str
    scope: str
    version: int
    attributes: Mapping[str, Any]
    inputs: Sequence[Value | Const | None]
    outputs: Sequence[str]
    writer: Writer
    alone: Sequence[bool]
    """Whether nothing else uses the input."""
    size: int | None
    """The fixed size of the batch; None if it is not fixed, or there is none."""
    inside: Callable[[Any, Sequence[Value | Const]], Sequence[Value | Const | None]]
    """Translates a graph that is an attribute, for these inputs; a result is None if the reason is told already."""

    def has(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] is not None

    def keep(self, term: Term) -> Term:
        """The value of an expression under a name, so that it can be used twice."""
        return self.writer.keep(term)[0]

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def wants(self, output: int) -> bool:
        """Whether the output is used."""
        return output < len(self.outputs) and bool(self.outputs[output])

    # ------------------------------------------------------------------------------------------------------- inputs

    def source(self, index: int) -> Value | Const:
        found = self.inputs[index] if index < len(self.inputs) else None
        if found is None:
            raise UnsupportedNodeError(f"input {index} is missing")
        return found

    def value(self, index: int = 0) -> Value:
        """An input as a tensor of the net."""
        found = self.source(index)
        return found if isinstance(found, Value) else self.tensor(found)

    def constant(self, index: int) -> np.ndarray:
        """The value of an input that decides the form of the net.

        Raises:
            UnsupportedNodeError: it is not known.
        """
        found = self.source(index)
        if isinstance(found, Const):
            return found.known
        raise UnknownValueError(found.sources)

    def constants(self, index: int, default: Any = None) -> list[int] | Any:
        """The ints of an optional input."""
        return [int(n) for n in np.atleast_1d(self.constant(index))] if self.has(index) else default

    def listed(self, index: int, name: str, default: Any = None) -> Any:
        """Ints that are an input, or an attribute in older versions."""
        return self.constants(index) if self.has(index) else self.attribute(name, default)

    def tensor(self, found: Const) -> Value:
        return as_value(found, self.writer)

    def axis(self, value: Value, default: int | None = None) -> int:
        """The dimension of an example that the attribute ``axis`` names."""
        return value.axis(int(self.attribute("axis", default)))

    # ------------------------------------------------------------------------------------------- element by element

    def combined(self, *found: Value | Const) -> tuple[list[Any], Value]:
        """Operands that are combined element by element: terms that broadcast as the ONNX tensors do, or numbers; and
        a value with the batch of the result.
        """
        place, merged = position(found)
        rank = max(v.rank for v in found)
        operands: list[Any] = []
        for v in found:
            if isinstance(v, Const) and v.other is not None:
                v = self.tensor(v)
            if isinstance(v, Const):
                widest = any(o is not v and isinstance(o, Value) and o.rank >= v.rank for o in found)
                if v.array.size == 1 and widest and v.array.dtype.kind in "fiub":
                    operands.append(v.array.reshape(()).item())
                    continue
                shape = without_batch(v.array.shape, place, merged)
                operands.append(self.tensor(Const(v.array.reshape(shape), name=v.name)).term)
            elif v.batch is None:
                operands.append(terms.reshape(v.term, without_batch(v.term.shape, place, merged)))
            else:
                operands.append(v.term)
        batch = None if place is None else rank - place
        like = next((v for v in found if isinstance(v, Value)), None)
        kind = like.kind if like is not None else FLOAT
        return operands, Value(terms.as_term(0.0), kind, batch, merged)

    def elementwise(self, function: Callable[..., Term], *indices: int, kind: Any = None) -> Value:
        """Applies a function of terms to inputs (by default all) element by element."""
        chosen = indices or range(len(self.inputs))
        found = [self.source(i) for i in chosen]
        operands, like = self.combined(*found)
        wanted = np.dtype(kind) if kind is not None else kind_of(found[-1])
        return Value(narrowed(terms.as_term(function(*operands)), wanted), wanted, like.batch, like.merged)


def as_value(found: Const, writer: Writer) -> Value:
    """A known tensor as one of the net. What only repeats along the batch is the same for all examples."""
    array, batch = found.array, None
    if found.other is not None:
        array, batch = repeated(found)
    kind = found.array.dtype
    if array.size == 0:
        raise UnsupportedNodeError("a tensor without elements")
    if kind.kind not in "fiub":
        raise UnsupportedNodeError(f"a tensor of {kind}")
    if found.name is not None and kind.kind == "f" and array.size > 1 and batch is None:
        return Value(writer.declare(found.name, array), kind)
    return Value(terms.literal(array), kind, batch)


def kind_of(found: Value | Const) -> np.dtype[Any]:
    return found.kind if isinstance(found, Value) else found.array.dtype


def narrowed(term: Term, kind: np.dtype[Any]) -> Term:
    """A result as its ONNX type. Ints of fewer than 32 bits wrap around."""
    term = with_element(term, kind)
    if kind.kind in "iu" and kind.itemsize < 4:
        return wrapped(term, kind)
    return term


def wrapped(term: Term, kind: np.dtype[Any]) -> Term:
    """Ints that wrap around to the range of a type of 8 or 16 bits."""
    whole = 1 << (8 * kind.itemsize)
    if kind.kind == "u":
        return term % whole
    return (term + whole // 2) % whole - whole // 2


def repeated(found: Const) -> tuple[np.ndarray, int]:
    """The tensor that a known one repeats along the batch, and the dimension that is the batch.

    Raises:
        UnsupportedNodeError: it depends on the size of the batch in another way.
    """
    array, other = found.array, found.other
    assert other is not None
    if array.ndim == other.ndim:
        axes = [a for a, (m, n) in enumerate(zip(array.shape, other.shape, strict=True)) if m != n]
        if len(axes) == 1:
            axis = axes[0]
            first = array.take([0], axis)
            if (array == first).all() and (other == first).all():
                return first.squeeze(axis), axis
    raise UnsupportedNodeError("a tensor that depends on the size of the batch")
