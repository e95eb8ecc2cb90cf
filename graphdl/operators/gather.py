"""Operators indexed by ints: one-hot, gather along a dimension, gather of rows, rank."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphdl.graph.limits import LEAST
from graphdl.graph.types import Element, TensorType
from graphdl.operators.elementwise import apply, cast
from graphdl.operators.index import Guard, Index
from graphdl.operators.kernels.segment_sum import SEGMENT_SUM
from graphdl.operators.primitive import REQUIRED, Hyper, Lowering, OperatorError, Primitive
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import axis_of, broadcast_to, for_each, positions, reshape, transpose
from graphdl.operators.tensor import Access, Lookup, Template, Tensor, View


def _missing(element: Element) -> float:
    """The value for an index out of range: NaN, the least int, or false."""
    return {"float": math.nan, "int": LEAST, "bool": 0}[element]


@dataclass(frozen=True)
class _Gather(View):
    """The common part of both gathers. ``known``: the type of the index guarantees that it is in range."""

    known: bool
    otherwise: float

    def typed(self, y: Tensor) -> bool:
        source, index = y.inputs
        return (source.element, index.element) == (y.element, "int")

    def found(self, at: Sequence[Index], extent: int, lookup: Lookup) -> tuple[Index, tuple[Guard, ...]]:
        """The index held at ``at``, and the guards of the access."""
        guards = () if self.known else (Guard(lookup(1, at, None), 0, extent),)
        return lookup(1, at, extent), guards


@dataclass(frozen=True)
class GatherRows(_Gather):
    """Gathers rows: ``y[i.., j..] = table[index[i..], j..]``.

    ``own``: both inputs have the batch as their first dimension, and each example has its own table.
    """

    own: bool = False

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        table, rank = y.inputs[0], y.inputs[1].rank
        lead = 1 if self.own else 0
        row, guards = self.found(index[:rank], table.shape[lead], lookup)
        return [Access(0, (*index[:lead], row, *index[rank:]), guards)]

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
        table, index = y.inputs
        tables = table.shape[0] if self.own else 1
        rows = table.shape[1 if self.own else 0]
        count, units = index.size // tables, table.size // (tables * rows)
        sums = segment_sum(reshape(index, (tables, count)), reshape(g, (tables, count, units)), rows)
        return (reshape(sums, table.shape), None)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        table, index = inputs
        if table.rank == y.inputs[0].rank and not self.own:
            return Tensor(self, (table, index), (count, *y.shape), y.element)
        table, index = (for_each(x, own.shape, count) for x, own in zip(inputs, y.inputs, strict=True))
        if self.own:  # each application, and each example in it, has its own table
            table, index = (reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:])) for x in (table, index))
        rows = (*index.shape, *table.shape[2:])
        taken = Tensor(GatherRows(self.known, self.otherwise, own=True), (table, index), rows, y.element)
        return reshape(taken, (count, *y.shape))


@dataclass(frozen=True)
class SegmentSum(Template):
    """``y[t, r, u] = Σ over k with index[t, k] = r of g[t, k, u]``, added in the order of k. Rows without an index are
    0.
    """

    family = SEGMENT_SUM

    def typed(self, y: Tensor) -> bool:
        return [x.element for x in (*y.inputs, y)] == ["int", "float", "float"]

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
        index, summed = y.inputs
        shape = (*index.shape, summed.shape[2])
        return (None, Tensor(GatherRows(known=False, otherwise=0.0, own=True), (g, index), shape, summed.element))

    def batched_sum(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        """All applications add to the same rows."""
        index, summed = (for_each(x, own.shape, count) for x, own in zip(inputs, y.inputs, strict=True))
        tables, rows, units = y.shape
        return segment_sum(
            reshape(transpose(index, (1, 0, 2)), (tables, index.size // tables)),
            reshape(transpose(summed, (1, 0, 2, 3)), (tables, summed.size // tables // units, units)),
            rows,
        )

    def flops(self, y: Tensor) -> int:
        return y.inputs[1].size


@dataclass(frozen=True)
class GatherAlong(_Gather):
    """Gathers one element along the last dimension: ``y[i..] = x[i.., index[i..]]``."""

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        place, guards = self.found(index, y.inputs[0].shape[-1], lookup)
        return [Access(0, (*index, place), guards)]

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
        x, index = y.inputs
        hit = apply("equal", reshape(index, (*index.shape, 1)), positions(x.shape, (x.rank - 1,)))
        return (apply("where", hit, reshape(g, (*g.shape, 1)), 0.0), None)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        x, index = (for_each(x, own.shape, count) for x, own in zip(inputs, y.inputs, strict=True))
        return Tensor(self, (x, index), (count, *y.shape), y.element)


def take(table: Tensor, index: Tensor, *, known: bool, own: bool = False) -> Tensor:
    """Gathers rows of ``table``; see ``GatherRows``."""
    shape = (*index.shape, *table.shape[2 if own else 1 :])
    return Tensor(GatherRows(known, _missing(table.element), own), (table, index), shape, table.element)


def segment_sum(index: Tensor, g: Tensor, rows: int) -> Tensor:
    """Sums the rows of ``g`` [tables, count, units] by ``index`` [tables, count]. The result is
    [tables, rows, units].
    """
    return Tensor(SegmentSum(), (index, g), (g.shape[0], rows, g.shape[2]), g.element)


def pick(x: Tensor, index: Tensor, *, known: bool) -> Tensor:
    """Gathers the elements at ``index`` along the last dimension of ``x``."""
    return Tensor(GatherAlong(known, _missing(x.element)), (x, index), index.shape, x.element)


def one_hot(x: Tensor, classes: int) -> Tensor:
    """One-hot rows of ints: ``[..] -> [.., classes]``."""
    hit = apply("equal", reshape(x, (*x.shape, 1)), positions((*x.shape, classes), (x.rank,)))
    return cast(hit, "float")


# ------------------------------------------------------------------------------------------ as the language sees them


def _whole(x: TensorType, port: int, what: str) -> None:
    if x.element != "int":
        raise OperatorError("E0301", f"{what} wants ints, such as class(10), and found {x}", inputs=(port,))


def _infer_one_hot(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x, classes = types[0], attributes["classes"]
    _whole(x, 0, "one_hot")
    if classes is None and x.classes is None:
        raise OperatorError(
            "E0301", f"one_hot needs to know how many classes there are, and {x} does not say", inputs=(0,),
            help="declare the input as class(n), or give `classes`",
        )  # fmt: skip
    if classes is not None and classes < 1:
        raise OperatorError("E0304", f"classes is at least 1, not {classes}", hyper="classes")
    return (TensorType((*x.shape, int(classes or x.classes or 0))),)


def _infer_class(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x, classes = types[0], attributes["classes"]
    _whole(x, 0, "class")
    if classes < 1:
        raise OperatorError("E0304", f"classes is at least 1, not {classes}", hyper="classes")
    return (TensorType(x.shape, "int", int(classes)),)


def _lower_class(node: Lowering) -> Sequence[Tensor]:
    # Indices of a class type are not compared with a table's length, so no element may be out of range.
    return (apply("minimum", apply("maximum", node.inputs[0], 0), node.attributes["classes"] - 1),)


def _lower_one_hot(node: Lowering) -> Sequence[Tensor]:
    return (one_hot(node.inputs[0], node.outputs[0].shape[-1]),)


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _infer_pick(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x, index = types
    axis = axis_of(types, attributes)
    _whole(index, 1, "picking")
    if index.shape != _without(x.shape, axis):
        raise _wrong_positions(x, index, axis)
    if index.classes is not None and index.classes > x.shape[axis]:
        raise OperatorError(
            "E0409",
            f"{index} counts {index.classes} classes, and dimension {axis} of {x} has {x.shape[axis]}",
            inputs=(0, 1),
        )
    return (TensorType(index.shape, x.element),)


def _wrong_positions(x: TensorType, index: TensorType, axis: int) -> OperatorError:
    positions = _without(x.shape, axis)
    if not positions:
        wanted, help = "one index", None
    else:
        wanted = f"an index for each of {' × '.join(map(str, positions))} positions"
        help = f"is a `flatten` missing before the layer that makes {x}?" if not index.shape else None
    message = f"along dimension {axis} of {x} {wanted} is expected, found {index}"
    return OperatorError("E0409", message, inputs=(0, 1), help=help)


def _places(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> int:
    return types[0].shape[axis_of(types, attributes)]


def _axis_last(x: Tensor, axis: int) -> Tensor:
    return transpose(x, (*(d for d in range(x.rank) if d != axis), axis))


def _paired(node: Lowering) -> tuple[Tensor, Tensor]:
    """The tensor with the chosen dimension last, and the index. Both have the batch if either input has it."""
    x, index = node.inputs
    if any(node.batched):
        x = x if node.batched[0] else broadcast_to(x, (node.batch, *x.shape))
        index = index if node.batched[1] else broadcast_to(index, (node.batch, *index.shape))
    return _axis_last(x, axis_of(node.types, node.attributes) + (1 if any(node.batched) else 0)), index


def _known(node: Lowering) -> bool:
    """Whether the index is of a class type. The shape rule has compared its number of classes, and
    fed data is checked.
    """
    return node.types[1].classes is not None


def _lower_pick(node: Lowering) -> Sequence[Tensor]:
    x, index = _paired(node)
    return (pick(x, index, known=_known(node)),)


def _infer_rank(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    _infer_pick(types, attributes)
    return (TensorType(types[1].shape),)


def _lower_rank(node: Lowering) -> Sequence[Tensor]:
    """The number of elements before the chosen one in descending order. Equal elements keep their order, and NaN is
    last.
    """
    x, index = _paired(node)
    if x.element == "bool":
        x = cast(x, "int")
    chosen = reshape(pick(x, index, known=_known(node)), (*index.shape, 1))
    place = reshape(index, (*index.shape, 1))
    earlier = apply("less", positions(x.shape, (x.rank - 1,)), place)
    if not _known(node):  # an index out of range is last, whatever its sign
        earlier = apply("logical_or", earlier, apply("less", place, 0))
    tied = apply("equal", x, chosen)
    before = apply("greater", x, chosen)
    if x.element == "float":
        lost = apply("not_equal", chosen, chosen)
        tied = apply("logical_or", tied, apply("logical_and", lost, apply("not_equal", x, x)))
        before = apply("logical_or", before, apply("logical_and", lost, apply("equal", x, x)))
    before = apply("logical_or", before, apply("logical_and", tied, earlier))
    return (reduce("sum", cast(before, "float"), (x.rank - 1,), keep=False),)


def _infer_take(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    table, index = types
    _whole(index, 1, "take")
    if not table.rank:
        raise OperatorError("E0402", f"take wants a table of rows, and {table} is a number", inputs=(0,))
    axis = axis_of(types, attributes)
    if index.classes is not None and index.classes > table.shape[axis]:
        raise OperatorError(
            "E0409",
            f"{index} counts {index.classes} classes, and the table {table} has {table.shape[axis]} rows",
            inputs=(0, 1),
        )
    return (TensorType((*table.shape[:axis], *index.shape, *table.shape[axis + 1 :]), table.element),)


def _lower_take(node: Lowering) -> Sequence[Tensor]:
    table, index = node.inputs
    own = node.batched[0]
    if own and not node.batched[1]:
        index = broadcast_to(index, (node.batch, *index.shape))
    axis, lead = axis_of(node.types, node.attributes), 1 if own else 0
    others = [d for d in range(lead, table.rank) if d != axis + lead]
    rows = transpose(table, (*range(lead), axis + lead, *others))
    taken = take(rows, index, known=_known(node), own=own)
    # the dimensions of the index move to the place of the one that they replace
    first = 1 if any(node.batched) else 0
    places, rest = node.types[1].rank, first + node.types[1].rank
    order = (*range(first), *range(rest, rest + axis), *range(first, first + places), *range(rest + axis, taken.rank))
    return (transpose(taken, order),)


def _infer_gather(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x, index = types
    axis = axis_of(types, attributes)
    _whole(index, 1, "gather")
    if index.rank != x.rank or _without(index.shape, axis) != _without(x.shape, axis):
        raise OperatorError(
            "E0409", f"gather along dimension {axis} wants an index that is like {x} in all others, and found {index}",
            inputs=(0, 1),
        )  # fmt: skip
    if index.classes is not None and index.classes > x.shape[axis]:
        raise OperatorError("E0409", f"{index} counts beyond the {x.shape[axis]} places of {x}", inputs=(0, 1))
    return (TensorType(index.shape, x.element),)


def _lower_gather(node: Lowering) -> Sequence[Tensor]:
    x, index = _paired(node)
    axis = axis_of(node.types, node.attributes) + (1 if any(node.batched) else 0)
    count, length = index.shape[axis], x.shape[-1]
    others = _without(index.shape, axis)
    x = broadcast_to(reshape(x, (*others, 1, length)), (*others, count, length))
    y = pick(x, _axis_last(index, axis), known=_known(node))
    return (transpose(y, (*range(axis), y.rank - 1, *range(axis, y.rank - 1))),)


CATEGORY = "Classes and look-up"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "class", ("x",), _infer_class, _lower_class, (Hyper("classes", "int", REQUIRED),), flat=True,
        documentation="Ints as class(n): `class(x, 10)`. Those out of range become the nearest class.",
    ),
    Primitive(
        "one_hot", ("x",), _infer_one_hot, _lower_one_hot, (Hyper("classes", "int", None),),
        documentation="A one-hot row of n numbers for class(n), or of `classes` numbers; zeros for x out of range.",
    ),
    Primitive(
        "pick", ("x", "index"), _infer_pick, _lower_pick, (Hyper("axis", "int", -1),), places=_places,
        documentation="The element of x at the index along a dimension; NaN where the index is out of range.",
    ),
    Primitive(
        "rank_of", ("x", "index"), _infer_rank, _lower_rank, (Hyper("axis", "int", -1),), flat=True, places=_places,
        documentation="The number of elements along a dimension that precede the one at the index in descending order; "
        "equal elements keep their order, and NaN is last.",
    ),
    Primitive(
        "take", ("table", "index"), _infer_take, _lower_take, (Hyper("axis", "int", 0),), places=_places,
        documentation="Rows of a table, or its slices along another `axis`; NaN where the index is out of range.",
    ),
    Primitive(
        "gather", ("x", "index"), _infer_gather, _lower_gather, (Hyper("axis", "int", -1),), places=_places,
        documentation="The elements of x along a dimension at several indices for each place in the other dimensions; "
        "NaN where the index is out of range.",
    ),
)  # fmt: skip
