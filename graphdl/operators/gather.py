"""Operators steered by whole numbers: one-hot, picking along a dimension, rows of a table, rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphdl.graph.types import TensorType
from graphdl.operators.elementwise import apply, cast
from graphdl.operators.index import Index
from graphdl.operators.primitive import Hyper, Lowering, OperatorError, Primitive
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import Lookup, axis_of, positions, reshape
from graphdl.operators.tensor import Access, Tensor, View


@dataclass(frozen=True)
class Take(View):
    """Rows: ``y[i.., j..] = table[index[i..], j..]``."""

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        rank = y.inputs[1].rank
        return [Access(0, (lookup(1, index[:rank]), *index[rank:]))]

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
        table, index = y.inputs
        count = index.size
        units = table.size // table.shape[0]
        # every row gathers what was taken from it, in the order of the index: no two writers, no atomics
        hit = apply("equal", reshape(index, (1, count, 1)), positions((table.shape[0], 1, 1), (0,)))
        spread = apply("where", hit, reshape(g, (1, count, units)), 0.0)
        return (reshape(reduce("sum", spread, (1,)), table.shape), None)


@dataclass(frozen=True)
class Pick(View):
    """One element along the last dimension: ``y[i..] = x[i.., index[i..]]``."""

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        return [Access(0, (*index, lookup(1, index)))]

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
        x, index = y.inputs
        hit = apply("equal", reshape(index, (*index.shape, 1)), positions(x.shape, (x.rank - 1,)))
        return (apply("where", hit, reshape(g, (*g.shape, 1)), 0.0), None)


def take(table: Tensor, index: Tensor) -> Tensor:
    return Tensor(Take(), (table, index), (*index.shape, *table.shape[1:]), table.element)


def one_hot(x: Tensor, classes: int) -> Tensor:
    """Whole numbers to rows of zeros with a one: ``[..] -> [.., classes]``."""
    hit = apply("equal", reshape(x, (*x.shape, 1)), positions((*x.shape, classes), (x.rank,)))
    return cast(hit, "float")


# ------------------------------------------------------------------------------------------ as the language sees them


def _whole(x: TensorType, port: int, what: str) -> None:
    if x.element != "int":
        raise OperatorError("E0301", f"{what} wants whole numbers, such as class(10), and found {x}", inputs=(port,))


def _infer_one_hot(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x = types[0]
    _whole(x, 0, "one_hot")
    if x.classes is None:
        raise OperatorError(
            "E0301", f"one_hot needs to know how many classes there are, and {x} does not say", inputs=(0,),
            help="declare the input as class(n)",
        )  # fmt: skip
    return (TensorType((*x.shape, x.classes)),)


def _lower_one_hot(node: Lowering) -> Sequence[Tensor]:
    classes = node.types[0].classes
    assert classes is not None  # the shape rule has seen to it
    return (one_hot(node.inputs[0], classes),)


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _infer_pick(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x, index = types
    axis = axis_of(types, attributes)
    _whole(index, 1, "picking")
    if index.shape != _without(x.shape, axis):
        raise OperatorError(
            "E0409", f"the index {index} has not the shape of {x} without dimension {axis}", inputs=(0, 1)
        )
    if index.classes is not None and index.classes > x.shape[axis]:
        raise OperatorError(
            "E0409",
            f"{index} counts {index.classes} classes, and dimension {axis} of {x} has {x.shape[axis]}",
            inputs=(0, 1),
        )
    return (TensorType(index.shape, x.element),)


def _axis_last(x: Tensor, axis: int) -> Tensor:
    from graphdl.operators.structure import transpose

    return transpose(x, (*(d for d in range(x.rank) if d != axis), axis))


def _paired(node: Lowering) -> tuple[Tensor, Tensor]:
    """The tensor with the chosen dimension last, and the index, both with the batch where one has it."""
    from graphdl.operators.structure import broadcast_to

    x, index = node.inputs
    if any(node.batched):
        x = x if node.batched[0] else broadcast_to(x, (node.batch, *x.shape))
        index = index if node.batched[1] else broadcast_to(index, (node.batch, *index.shape))
    return _axis_last(x, axis_of(node.types, node.attributes) + (1 if any(node.batched) else 0)), index


def _lower_pick(node: Lowering) -> Sequence[Tensor]:
    x, index = _paired(node)
    return (Tensor(Pick(), (x, index), index.shape, x.element),)


def _infer_rank(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    _infer_pick(types, attributes)
    return (TensorType(types[1].shape),)


def _lower_rank(node: Lowering) -> Sequence[Tensor]:
    x, index = _paired(node)
    chosen = reshape(Tensor(Pick(), (x, index), index.shape, x.element), (*index.shape, 1))
    larger = cast(apply("greater", x, chosen), "float")
    return (reduce("sum", larger, (x.rank - 1,), keep=False),)


def _infer_take(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    table, index = types
    _whole(index, 1, "take")
    if not table.rank:
        raise OperatorError("E0402", f"take wants a table of rows, and {table} is a number", inputs=(0,))
    if index.classes is not None and index.classes > table.shape[0]:
        raise OperatorError(
            "E0409",
            f"{index} counts {index.classes} classes, and the table {table} has {table.shape[0]} rows",
            inputs=(0, 1),
        )
    return (TensorType((*index.shape, *table.shape[1:]), table.element),)


def _lower_take(node: Lowering) -> Sequence[Tensor]:
    table, index = node.inputs
    if not node.batched[0]:
        return (take(table, index),)
    # a table of each example's own: its rows are found by a product with one-hot rows
    from graphdl.operators.matmul import matmul

    count = node.types[1].size
    hot = one_hot(reshape(index, (node.batch if node.batched[1] else 1, count)), table.shape[1])
    flat = reshape(table, (table.shape[0], table.shape[1], table.size // (table.shape[0] * table.shape[1])))
    return (reshape(matmul(hot, flat), (node.batch, *node.outputs[0].shape)),)


PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "one_hot", ("x",), _infer_one_hot, _lower_one_hot, documentation="class(n) to a row of n with a single one."
    ),
    Primitive(
        "pick", ("x", "index"), _infer_pick, _lower_pick, (Hyper("axis", "int", -1),),
        documentation="The element of x that the index names along a dimension.",
    ),
    Primitive(
        "rank_of", ("x", "index"), _infer_rank, _lower_rank, (Hyper("axis", "int", -1),), flat=True,
        documentation="How many elements along a dimension are greater than the one that the index names.",
    ),
    Primitive("take", ("table", "index"), _infer_take, _lower_take, documentation="Rows of a table."),
)  # fmt: skip
