"""Operators that move elements: reshape, transpose, broadcast, slice, pad, reverse, concatenate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from graphdl.graph.types import Shape, TensorType
from graphdl.operators.index import Guard, Index
from graphdl.operators.primitive import REQUIRED, Hyper, Lowering, OperatorError, Primitive
from graphdl.operators.tensor import Access, Generator, Lookup, Tensor, View, constant, number


def flat(index: Sequence[Index], shape: Shape) -> Index:
    """The row-major number of the element at ``index``."""
    position = Index(0)
    for i, length in zip(index, shape, strict=True):
        position = position * length + i
    return position


def unflat(position: Index, shape: Shape) -> tuple[Index, ...]:
    """The index of the element with the row-major number ``position``."""
    index = []
    for length in reversed(shape):
        index.append(position % length if length > 1 else Index(0))
        position = position // length
    return tuple(reversed(index))


# ----------------------------------------------------------------------------------------------------------- views


@dataclass(frozen=True)
class Reshape(View):
    """The same elements, in row-major order, in another shape."""

    shape: Shape
    invertible = True
    keeps_order = True

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        return [Access(0, regroup(index, self.shape, y.inputs[0].shape))]

    def inverse(self, y: Tensor, index: tuple[Index, ...]) -> tuple[Index, ...]:
        return regroup(index, y.inputs[0].shape, self.shape)

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        return (reshape(g, y.inputs[0].shape),)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        return reshape(inputs[0], (count, *self.shape))


def regroup(index: Sequence[Index], shape: Shape, other: Shape) -> tuple[Index, ...]:
    """The index in ``other`` of the element at ``index`` in ``shape``.

    The dimensions are taken in runs of equal product, so that a quotient or a remainder appears only where a dimension
    is split or merged. From [2, 3, 4, 5] to [6, 4, 5] the runs are [2, 3] and [6], [4] and [4], [5] and [5]: index
    (a, b, c, d) becomes (3·a + b, c, d). From [6, 4] to [2, 3, 4] index (a, b) becomes (a // 3, a % 3, b).
    """
    result: list[Index] = []
    i = j = 0
    while i < len(shape) or j < len(other):
        i_end, j_end = i, j
        left = right = 1
        while True:
            if left <= right and i_end < len(shape) and (left < right or i_end == i):
                left *= shape[i_end]
                i_end += 1
            elif j_end < len(other):
                right *= other[j_end]
                j_end += 1
            elif i_end < len(shape):
                left *= shape[i_end]
                i_end += 1
            if left == right and (i_end > i or i_end == len(shape)) and (j_end > j or j_end == len(other)):
                break
        result.extend(unflat(flat(index[i:i_end], shape[i:i_end]), other[j:j_end]))
        i, j = i_end, j_end
    return tuple(result)


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    shape = tuple(shape)
    if shape == x.shape:
        return x
    if isinstance(x.operation, Reshape):
        return reshape(x.inputs[0], shape)
    if prod(shape) != x.size:
        raise ValueError(f"cannot reshape {list(x.shape)} to {list(shape)}")
    return Tensor(Reshape(shape), (x,), shape, x.element)


@dataclass(frozen=True)
class Transpose(View):
    """Dimension ``d`` of the result is dimension ``order[d]`` of the input."""

    order: tuple[int, ...]
    invertible = True

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        source: list[Index] = [Index(0)] * len(index)
        for d, axis in enumerate(self.order):
            source[axis] = index[d]
        return [Access(0, tuple(source))]

    def inverse(self, y: Tensor, index: tuple[Index, ...]) -> tuple[Index, ...]:
        return tuple(index[axis] for axis in self.order)

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        return (transpose(g, tuple(self.order.index(d) for d in range(len(self.order)))),)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        return transpose(inputs[0], (0, *(d + 1 for d in self.order)))


def transpose(x: Tensor, order: Sequence[int]) -> Tensor:
    order = tuple(order)
    if order == tuple(range(x.rank)):
        return x
    if isinstance(x.operation, Transpose):
        inner = x.operation.order
        return transpose(x.inputs[0], tuple(inner[d] for d in order))
    return Tensor(Transpose(order), (x,), tuple(x.shape[d] for d in order), x.element)


@dataclass(frozen=True)
class BroadcastTo(View):
    """Repeats dimensions of length 1, and adds leading dimensions."""

    shape: Shape
    broadcasts = True

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        x = y.inputs[0]
        tail = index[len(index) - x.rank :]
        return [Access(0, tuple(Index(0) if n == 1 else i for i, n in zip(tail, x.shape, strict=True)))]

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        return (g,)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        x = y.inputs[0]
        lined_up = reshape(inputs[0], (count, *[1] * (y.rank - x.rank), *x.shape))
        return broadcast_to(lined_up, (count, *self.shape))


def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    shape = tuple(shape)
    if shape == x.shape:
        return x
    if isinstance(x.operation, BroadcastTo):
        return broadcast_to(x.inputs[0], shape)
    return Tensor(BroadcastTo(shape), (x,), shape, x.element)


def for_each(x: Tensor, shape: Shape, count: int) -> Tensor:
    """``x`` repeated ``count`` times along a new first dimension if it has the ``shape`` of one application; else
    ``x``.
    """
    return broadcast_to(x, (count, *shape)) if x.rank == len(shape) else x


@dataclass(frozen=True)
class Slice(View):
    """``x[start : start + step·n : step]`` in every dimension; a negative step runs backwards."""

    starts: tuple[int, ...]
    steps: tuple[int, ...]
    shape: Shape

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        return [Access(0, tuple(i * k + s for i, s, k in zip(index, self.starts, self.steps, strict=True)))]

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        return (pad_to(g, y.inputs[0].shape, self.starts, self.steps),)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        return slice_(inputs[0], (0, *self.starts), (1, *self.steps), (count, *self.shape))


def slice_(x: Tensor, starts: Sequence[int], steps: Sequence[int], shape: Sequence[int]) -> Tensor:
    """The tensor of ``shape`` whose element ``i`` is element ``starts + i·steps`` of ``x``."""
    starts, steps, shape = tuple(starts), tuple(steps), tuple(shape)
    if shape == x.shape and not any(starts) and all(k == 1 for k, n in zip(steps, shape, strict=True) if n > 1):
        return x
    return Tensor(Slice(starts, steps, shape), (x,), shape, x.element)


@dataclass(frozen=True)
class Pad(View):
    """Places a tensor inside a larger one filled with ``otherwise``: element ``i`` goes to ``starts + i·steps``.

    With steps of 1 it is ordinary padding; larger steps also pad between the elements. Three elements with start 1 and
    step 2 in a shape of [7] give ``- a - b - c -``. Output 5 is element (5 - 1) / 2 = 2. Output 4 is padding, as 4 - 1
    is not divisible by 2. Output 0 is padding, as 0 - 1 is negative.
    """

    starts: tuple[int, ...]
    steps: tuple[int, ...]
    shape: Shape
    otherwise: float = 0.0

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        source: list[Index] = []
        guards: list[Guard] = []
        for i, start, step, length in zip(index, self.starts, self.steps, y.inputs[0].shape, strict=True):
            offset = (i - start) if step > 0 else (i - start) * -1
            size = abs(step)
            if length == 1:
                guards.append(Guard(offset, 0, 1))
                source.append(Index(0))
                continue
            guards.append(Guard(offset, 0, (length - 1) * size + 1))
            guards.append(Guard(offset, divisor=size))
            source.append(offset // size)
        return [Access(0, tuple(source), tuple(g for g in guards if not g.always))]

    def stretch(self, y: Tensor) -> tuple[int, int] | None:
        axes = [a for a, (n, whole) in enumerate(zip(y.inputs[0].shape, y.shape, strict=True)) if n != whole]
        if self.otherwise != 0 or any(step != 1 for step in self.steps) or len(axes) != 1:
            return None
        return axes[0], self.starts[axes[0]]

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        return (slice_(g, self.starts, self.steps, y.inputs[0].shape),)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        return pad_to(inputs[0], (count, *self.shape), (0, *self.starts), (1, *self.steps), self.otherwise)


def pad_to(
    x: Tensor, shape: Sequence[int], starts: Sequence[int], steps: Sequence[int], otherwise: float = 0.0
) -> Tensor:
    """Pads ``x`` to ``shape``; see ``Pad``."""
    shape, starts, steps = tuple(shape), tuple(starts), tuple(steps)
    if shape == x.shape and not any(starts):
        return x
    return Tensor(Pad(starts, steps, shape, otherwise), (x,), shape, x.element)


def pad(x: Tensor, before: Sequence[int], after: Sequence[int], value: float = 0.0) -> Tensor:
    """Pads ``x`` with ``before`` and ``after`` elements of ``value`` at the ends of each dimension."""
    shape = tuple(b + n + a for b, n, a in zip(before, x.shape, after, strict=True))
    return pad_to(x, shape, before, (1,) * x.rank, value)


@dataclass(frozen=True)
class Concat(View):
    """Concatenates the inputs along ``axis``."""

    axis: int

    @property
    def joins(self) -> int:
        return self.axis

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        result = []
        start = 0
        for k, x in enumerate(y.inputs):
            length = x.shape[self.axis]
            source = list(index)
            source[self.axis] = index[self.axis] - start if length > 1 else Index(0)
            guard = Guard(index[self.axis] - start, 0, length)
            if not guard.never:
                result.append(Access(k, tuple(source), () if guard.always else (guard,)))
            start += length
        return result

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        parts, start = [], 0
        for x in y.inputs:
            starts = tuple(start if a == self.axis else 0 for a in range(x.rank))
            parts.append(slice_(g, starts, (1,) * x.rank, x.shape))
            start += x.shape[self.axis]
        return parts

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        return concat([for_each(x, own.shape, count) for x, own in zip(inputs, y.inputs, strict=True)], self.axis + 1)


def concat(inputs: Sequence[Tensor], axis: int) -> Tensor:
    if len(inputs) == 1:
        return inputs[0]
    shape = list(inputs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in inputs)
    return Tensor(Concat(axis), tuple(inputs), tuple(shape), inputs[0].element)


# ------------------------------------------------------------------------------------------------------- positions


@dataclass(frozen=True)
class Positions(Generator):
    """The row-major number of an element, counted over ``axes`` only."""

    shape: Shape
    axes: tuple[int, ...]

    def typed(self, y: Tensor) -> bool:
        return y.element == "int"

    def position(self, y: Tensor, index: Sequence[Index]) -> Index:
        return flat([index[a] for a in self.axes], tuple(self.shape[a] for a in self.axes))

    def code(self, position: str, operands: Sequence[str], width: int) -> str:
        return f"convert_int{width}({position})" if width > 1 else f"((int)({position}))"


def positions(shape: Shape, axes: Sequence[int]) -> Tensor:
    """Ints that count along ``axes`` of ``shape``, row-major. The other dimensions have length 1, to be broadcast."""
    axes = tuple(axes)
    kept = tuple(n if a in axes else 1 for a, n in enumerate(shape))
    return Tensor(Positions(kept, axes), (), kept, "int")


# ------------------------------------------------------------------------------------------ as the language sees them


def _infer_reshape(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x, shape = types[0], list(attributes["shape"])
    if shape.count(-1) > 1 or any(n < 1 and n != -1 for n in shape):
        raise OperatorError("E0304", f"{shape} is no shape: dimensions are positive, and one may be -1", hyper="shape")
    if -1 in shape:
        known = prod(n for n in shape if n != -1)
        if x.size % known:
            raise OperatorError(
                "E0404", f"{x} has {x.size} elements, which {known} does not divide", inputs=(0,), hyper="shape"
            )
        shape[shape.index(-1)] = x.size // known
    if prod(shape) != x.size:
        raise OperatorError(
            "E0404", f"cannot reshape {x} ({x.size} elements) to {shape} ({prod(shape)} elements)",
            inputs=(0,), hyper="shape",
        )  # fmt: skip
    return (TensorType(tuple(shape), x.element, x.classes),)


def _with_batch(node: Lowering, shape: Shape) -> Shape:
    return (node.batch, *shape) if node.batched[0] else shape


def _lower_reshape(node: Lowering) -> Sequence[Tensor]:
    return (reshape(node.inputs[0], _with_batch(node, node.outputs[0].shape)),)


def order_of(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> list[int]:
    rank, order = types[0].rank, attributes.get("order")
    if order is None:
        if rank < 2:
            raise OperatorError(
                "E0402", f"transpose needs two dimensions at least, and {types[0]} has {rank}", inputs=(0,)
            )
        return [*range(rank - 2), rank - 1, rank - 2]
    if sorted(order) != list(range(rank)):
        raise OperatorError(
            "E0402", f"order {list(order)} does not name each of the {rank} dimensions of {types[0]} once",
            inputs=(0,), hyper="order",
        )  # fmt: skip
    return list(order)


def _infer_transpose(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x = types[0]
    return (TensorType(tuple(x.shape[d] for d in order_of(types, attributes)), x.element, x.classes),)


def _lower_transpose(node: Lowering) -> Sequence[Tensor]:
    order = order_of(node.types, node.attributes)
    return (transpose(node.inputs[0], [0, *(d + 1 for d in order)] if node.batched[0] else order),)


def align(inputs: Sequence[Tensor], batched: Sequence[bool], types: Sequence[TensorType], rank: int) -> list[Tensor]:
    """Inserts dimensions of length 1 after the batch of tensors of lower rank, so that their last
    dimensions line up.
    """
    aligned = []
    for tensor, is_batched, tensor_type in zip(inputs, batched, types, strict=True):
        missing = rank - tensor_type.rank
        if is_batched and missing and tensor_type.rank >= 0:
            tensor = reshape(tensor, (tensor.shape[0], *([1] * missing), *tensor_type.shape))
        aligned.append(tensor)
    return aligned


def _infer_broadcast(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x, shape = types[0], tuple(attributes["shape"])
    tail = shape[len(shape) - x.rank :] if x.rank <= len(shape) else ()
    if x.rank > len(shape) or any(n not in (1, m) for n, m in zip(x.shape, tail, strict=True)):
        raise OperatorError("E0401", f"{x} does not broadcast to {list(shape)}", inputs=(0,), hyper="shape")
    return (TensorType(shape, x.element, x.classes),)


def _lower_broadcast(node: Lowering) -> Sequence[Tensor]:
    shape = node.outputs[0].shape
    (x,) = align(node.inputs, node.batched, node.types, len(shape))
    return (broadcast_to(x, _with_batch(node, shape)),)


def _infer_slice(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x = types[0]
    lengths = [
        max(0, -((start - stop) // step))
        for start, stop, step in zip(attributes["starts"], attributes["stops"], attributes["steps"], strict=True)
    ]
    if 0 in lengths:
        raise OperatorError("E0405", f"the slice of {x} is empty in dimension {lengths.index(0)}", inputs=(0,))
    dropped = attributes["squeeze"]
    return (TensorType(tuple(n for d, n in enumerate(lengths) if d not in dropped), x.element, x.classes),)


def _lower_slice(node: Lowering) -> Sequence[Tensor]:
    a = node.attributes
    lengths = [-((start - stop) // step) for start, stop, step in zip(a["starts"], a["stops"], a["steps"], strict=True)]
    lead = (0,) if node.batched[0] else ()
    x = slice_(
        node.inputs[0], (*lead, *a["starts"]), (*(1 for _ in lead), *a["steps"]), _with_batch(node, tuple(lengths))
    )
    return (reshape(x, _with_batch(node, node.outputs[0].shape)),)


def axis_of(types: Sequence[TensorType], attributes: Mapping[str, Any], *, inputs: Sequence[int] = (0,)) -> int:
    """The hyperparameter ``axis`` as a non-negative dimension of the first input.

    Raises:
        OperatorError: the dimension is out of range.
    """
    rank, axis = types[0].rank, attributes["axis"]
    if not -rank <= axis < rank:
        raise OperatorError(
            "E0402", f"axis {axis} is out of range: {types[0]} has {rank} dimension{'s' if rank != 1 else ''}",
            inputs=inputs, hyper="axis",
        )  # fmt: skip
    return int(axis % rank)


def _infer_reverse(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    axis_of(types, attributes)
    return (types[0],)


def _lower_reverse(node: Lowering) -> Sequence[Tensor]:
    axis = axis_of(node.types, node.attributes) + (1 if node.batched[0] else 0)
    x = node.inputs[0]
    starts = [x.shape[a] - 1 if a == axis else 0 for a in range(x.rank)]
    return (slice_(x, starts, [-1 if a == axis else 1 for a in range(x.rank)], x.shape),)


def _infer_concat(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    first = types[0]
    axis = axis_of(types, attributes)
    for port, other in enumerate(types):
        if other.rank != first.rank:
            raise OperatorError(
                "E0403", f"concat joins tensors of one rank, and {first} and {other} differ", inputs=(0, port)
            )
        for d in range(first.rank):
            if d != axis and other.shape[d] != first.shape[d]:
                raise OperatorError(
                    "E0403",
                    f"concat along axis {axis} needs equal other dimensions, and {first} and {other} differ in "
                    f"dimension {d}",
                    inputs=(0, port),
                )
        if other.element != first.element:
            raise OperatorError("E0301", f"concat joins tensors of one kind, not {first} and {other}", inputs=(0, port))
    shape = tuple(sum(t.shape[d] for t in types) if d == axis else n for d, n in enumerate(first.shape))
    classes = first.classes if all(t.classes == first.classes for t in types) else None
    return (TensorType(shape, first.element, classes),)


def _lower_concat(node: Lowering) -> Sequence[Tensor]:
    axis = axis_of(node.types, node.attributes)
    inputs = list(node.inputs)
    if any(node.batched):
        axis += 1
        inputs = [
            x if batched else broadcast_to(x, (node.batch, *x.shape))
            for x, batched in zip(inputs, node.batched, strict=True)
        ]
    return (concat(inputs, axis),)


def _lower_fill(node: Lowering) -> Sequence[Tensor]:
    return (broadcast_to(constant(float(node.attributes["value"])), node.outputs[0].shape),)


CATEGORY = "Shape and place"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "reshape", ("x",), _infer_reshape, _lower_reshape, (Hyper("shape", "shape"),),
        moves=True,
        documentation="The same elements, in row-major order, under another shape; one dimension may be -1.",
    ),
    Primitive(
        "transpose", ("x",), _infer_transpose, _lower_transpose, (Hyper("order", "shape", None),),
        moves=True,
        documentation="The last two dimensions swapped, or all of them in a given order.",
    ),
    Primitive(
        "broadcast_to", ("x",), _infer_broadcast, _lower_broadcast, (Hyper("shape", "shape"),),
        moves=True,
        documentation="x broadcast to a larger shape.",
    ),
    Primitive(
        "slice", ("x",), _infer_slice, _lower_slice,
        (Hyper("starts", "shape"), Hyper("stops", "shape"), Hyper("steps", "shape"), Hyper("squeeze", "shape")),
        moves=True,
        documentation="The elements that x[1:3, ::2, 0] selects.",
    ),
    Primitive(
        "reverse", ("x",), _infer_reverse, _lower_reverse, (Hyper("axis", "int", 0),),
        moves=True,
        documentation="x in reverse order along a dimension.",
    ),
    Primitive(
        "concat", ("x",), _infer_concat, _lower_concat, (Hyper("axis", "int", 0),), variadic=True,
        documentation="Tensors concatenated along `axis`; by default along the channels.",
    ),
    Primitive(
        "fill", (), lambda types, attributes: (TensorType(tuple(attributes["shape"])),), _lower_fill,
        (Hyper("shape", "shape"), Hyper("value", "number", REQUIRED)),
        documentation="A tensor filled with one number.",
    ),
)  # fmt: skip

__all__ = [
    "PRIMITIVES",
    "Concat",
    "Pad",
    "Positions",
    "Reshape",
    "Slice",
    "Transpose",
    "axis_of",
    "broadcast_to",
    "concat",
    "flat",
    "number",
    "pad",
    "pad_to",
    "positions",
    "regroup",
    "reshape",
    "slice_",
    "transpose",
    "unflat",
]  # fmt: skip
