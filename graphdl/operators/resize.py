"""Changes of size by interpolation: nearest elements, lines and cubic curves.

An element ``o`` of the result lies at the place ``slope · o + intercept`` of the input. Both are rational numbers, so
the elements around a place, and its distance from them, are index arithmetic: ``(o·step + offset) // unit`` is the
element before it. The gradient of an input element is the sum over the results that lie behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, gcd, lcm
from typing import Any

from graphdl.graph.types import TensorType
from graphdl.operators.border import extended
from graphdl.operators.elementwise import apply, cast
from graphdl.operators.index import Guard, Index
from graphdl.operators.primitive import Hyper, Lowering, OperatorError, Primitive
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import positions, reshape
from graphdl.operators.tensor import Access, Lookup, Tensor, View

MODES = ("nearest", "linear", "cubic")
COORDINATES = ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "align_corners", "asymmetric")
ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
_FINEST = 10_000
"""The greatest denominator of a scale. A scale is a float, and its fraction the nearest one."""


@dataclass(frozen=True)
class Places:
    """Places ``(o·step + offset) / unit`` along a dimension, for ``o`` from 0 to ``count`` - 1."""

    step: int
    offset: int
    unit: int
    count: int

    @staticmethod
    def of(slope: Fraction, intercept: Fraction, count: int) -> Places:
        unit = lcm(slope.denominator, intercept.denominator)
        step, offset = int(slope * unit), int(intercept * unit)
        common = gcd(step, offset, unit)
        return Places(step // common, offset // common, unit // common, count)

    def moved(self, elements: int) -> Places:
        """The places that lie this many elements behind."""
        return Places(self.step, self.offset + elements * self.unit, self.unit, self.count)

    @property
    def first(self) -> int:
        """The element at or before the first place."""
        return self.offset // self.unit

    @property
    def last(self) -> int:
        return ((self.count - 1) * self.step + self.offset) // self.unit

    def source(self, o: Index) -> Index:
        """The element at or before place ``o``."""
        return (o * self.step + self.offset) // self.unit

    def behind(self, i: Index) -> Index:
        """The first place at or behind the element ``i``."""
        return (i * self.unit + (self.step - 1 - self.offset)) // self.step


@dataclass(frozen=True)
class Spread(View):
    """Along ``axis``, element ``o`` is the one at or before place ``o`` of the input. All of these exist."""

    places: Places
    axis: int

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        source = list(index)
        source[self.axis] = self.places.source(index[self.axis])
        return [Access(0, tuple(source))]

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        shape = y.inputs[0].shape
        most = -(-self.places.unit // self.places.step)
        found = Tensor(Collect(self.places, self.axis), (g,), (*shape, most), g.element)
        return (reshape(reduce("sum", found, (len(shape),)), shape),)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        return Tensor(Spread(self.places, self.axis + 1), (inputs[0],), (count, *y.shape), y.element)


@dataclass(frozen=True)
class Collect(View):
    """Along ``axis``, the elements whose places lie behind each input element and before the next: the last dimension.

    Element ``(.., i, .., u)`` is the one at place ``behind(i) + u``, or 0 if that is not before element ``i`` + 1.
    """

    places: Places
    axis: int

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        *source, u = index
        i, places = source[self.axis], self.places
        o = places.behind(i) + u
        guards = (Guard(o, 0, places.count), Guard(o * places.step + places.offset - i * places.unit, 0, places.unit))
        source[self.axis] = o if places.count > 1 else Index(0)
        return [Access(0, tuple(source), tuple(guard for guard in guards if not guard.always))]

    def evaluations(self, y: Tensor, x: Tensor) -> int:
        """Each place lies behind one element."""
        return x.size

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        return (Tensor(Return(self.places, self.axis), (g,), y.inputs[0].shape, g.element),)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        return Tensor(Collect(self.places, self.axis + 1), (inputs[0],), (count, *y.shape), y.element)


@dataclass(frozen=True)
class Return(View):
    """The reverse of ``Collect``, for second derivatives: element ``o`` from its place in the last dimension."""

    places: Places
    axis: int

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        source, o = list(index), index[self.axis]
        source[self.axis] = self.places.source(o)
        return [Access(0, (*source, o - self.places.behind(source[self.axis])))]

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        x = y.inputs[0]
        return (Tensor(Collect(self.places, self.axis), (g,), x.shape, g.element),)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        return Tensor(Return(self.places, self.axis + 1), (inputs[0],), (count, *y.shape), y.element)


def spread(x: Tensor, axis: int, places: Places) -> Tensor:
    """For each of ``places`` the element of ``x`` at or before it, along ``axis``. Beyond an end, it is the end's."""
    length = x.shape[axis]
    before, after = max(-places.first, 0), max(places.last + 1 - length, 0)
    x = extended(x, axis, before, after, "edge")
    places = places.moved(before)
    shape = (*x.shape[:axis], places.count, *x.shape[axis + 1 :])
    return Tensor(Spread(places, axis), (x,), shape, x.element)


# ------------------------------------------------------------------------------------------------------ interpolation


def places_of(length: int, count: int, scale: Fraction, coordinates: str) -> Places:
    """Where ``count`` elements lie in a dimension that has ``length`` of them and becomes ``scale`` times as long."""
    slope, intercept = 1 / scale, Fraction(0)
    if coordinates in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):
        intercept = (slope - 1) / 2
    if coordinates == "half_pixel_symmetric":
        intercept += Fraction(length, 2) * (1 - count / (scale * length))
    if coordinates == "align_corners" and count > 1:
        slope = Fraction(length - 1, count - 1)
    if coordinates == "pytorch_half_pixel" and count == 1:
        intercept = Fraction(0)
    return Places.of(slope or Fraction(1, count), intercept, count)


def rounded(places: Places, rounding: str) -> Places:
    """Places whose elements before them are the nearest ones of ``places``."""
    unit = 2 * places.unit
    further = {"floor": 0, "ceil": unit - 1, "round_prefer_ceil": unit // 2, "round_prefer_floor": unit // 2 - 1}
    intercept = Fraction(2 * places.offset + further[rounding], unit)
    return Places.of(Fraction(places.step, places.unit), intercept, places.count)


@dataclass(frozen=True)
class Curve:
    """The weights of the elements around a place: ``linear``, or Keys's cubic curves (1981) with the slope ``cubic``.

    ``width`` is how many times as wide as usual the curve is: more than 1 where the elements of a smaller result are
    means of what lies between them. ``inside`` leaves out what lies beyond the ends, which else has the ends' values.
    """

    mode: str
    cubic: float
    width: Fraction
    inside: bool

    def weights(self, t: Tensor) -> list[tuple[int, Tensor]]:
        """For each element, counted from the one before the place, its weight. ``t`` is how far the place is behind."""
        reach = 1 if self.mode == "linear" else 2
        first = floor(-reach * self.width) + 1
        return [(k, self._at(t, k)) for k in range(first, 2 - first)]

    def _at(self, t: Tensor, k: int) -> Tensor:
        distance = t - float(k) if k < 1 else float(k) - t  # k - t, which lies in one unit, without its sign
        d = distance / float(self.width)
        if self.mode == "linear":
            return 1.0 - d if self.width == 1 else apply("maximum", 1.0 - d, 0.0)
        a = self.cubic
        near = ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
        far = ((d - 5.0) * d + 8.0) * d * a - 4.0 * a
        if self.width == 1:
            return near if k in (0, 1) else far
        return apply("where", apply("less", d, 1.0), near, apply("where", apply("less", d, 2.0), far, 0.0))


def interpolated(x: Tensor, axis: int, places: Places, curve: Curve) -> Tensor:
    """The values of ``x`` at ``places`` along ``axis``."""
    shape = tuple(places.count if d == axis else 1 for d in range(x.rank))
    whole = positions(shape, (axis,)) * places.step + places.offset
    t = cast(apply("remainder", whole, places.unit), "float") / places.unit
    weights = curve.weights(t)
    if curve.inside:
        before = apply("floor_divide", whole, places.unit)
        weights = [(k, _within(before, k, x.shape[axis], weight)) for k, weight in weights]
    y = _sum([spread(x, axis, places.moved(k)) * weight for k, weight in weights])
    return y / _sum([weight for _, weight in weights]) if curve.inside or curve.width > 1 else y


def _within(before: Tensor, k: int, length: int, weight: Tensor) -> Tensor:
    """The weight of the element ``k`` behind ``before``, or 0 if there is no such element."""
    beyond = apply("logical_or", apply("less", before, -k), apply("greater_equal", before, length - k))
    return apply("where", beyond, 0.0, weight)


def _sum(tensors: Sequence[Tensor]) -> Tensor:
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total


# ------------------------------------------------------------------------------------------ as the language sees them


def sizes_of(x: TensorType, attributes: Mapping[str, Any]) -> list[tuple[int, Fraction]]:
    """The new length of each of the last dimensions, and its ratio to the old one."""
    size, scale = attributes["size"], attributes["scale"]
    if size is None and scale is None:
        raise OperatorError("E0205", "'resize' wants 'size' or 'scale', and neither is given", hyper="size")
    for name, given in (("size", size), ("scale", scale)):
        if isinstance(given, list) and not 1 <= len(given) <= x.rank:
            raise OperatorError("E0303", f"{name} = {given} has {len(given)} numbers, and {x} has {x.rank} dimensions",
                                inputs=(0,), hyper=name)  # fmt: skip
    count = len(next((given for given in (size, scale) if isinstance(given, list)), x.shape[1:]))
    lengths = x.shape[x.rank - count :]
    scales = [None] * count if scale is None else scale if isinstance(scale, list) else [scale] * count
    sizes = [None] * count if size is None else size if isinstance(size, list) else [size] * count
    if len(scales) != len(sizes):
        raise OperatorError("E0303", f"size and scale have {len(sizes)} and {len(scales)} numbers", hyper="scale")
    found = []
    for length, new, ratio in zip(lengths, sizes, scales, strict=True):
        if ratio is not None and (isinstance(ratio, bool) or not isinstance(ratio, int | float) or not ratio > 0):
            raise OperatorError("E0304", f"scale is a number above 0 or a list of them, not {scale}", hyper="scale")
        exact = Fraction(ratio).limit_denominator(_FINEST) if ratio is not None else Fraction(new, length)
        new = floor(length * exact) if new is None else new
        if new < 1 or not exact:
            raise OperatorError("E0304", f"a length of {length} would become {new}", inputs=(0,), hyper="size")
        found.append((new, exact))
    return found


def _infer(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x = types[0]
    sizes = [new for new, _ in sizes_of(x, attributes)]
    kept = attributes["mode"] == "nearest"
    shape = (*x.shape[: x.rank - len(sizes)], *sizes)
    return (TensorType(shape, x.element if kept else "float", x.classes if kept else None),)


def _lower(node: Lowering) -> Sequence[Tensor]:
    a, x = node.attributes, node.inputs[0]
    mode, coordinates = a["mode"], a["coordinates"]
    if coordinates is None:
        coordinates = "asymmetric" if mode == "nearest" else "half_pixel"
    sizes = sizes_of(node.types[0], a)
    if mode != "nearest":
        x = cast(x, "float")
    for axis, (count, scale) in enumerate(sizes, x.rank - len(sizes)):
        places = places_of(x.shape[axis], count, scale, coordinates)
        if places == Places(1, 0, 1, x.shape[axis]):
            continue
        if mode == "nearest":
            x = spread(x, axis, rounded(places, a["rounding"]))
        else:
            width = max(1 / scale, Fraction(1)) if a["antialias"] else Fraction(1)
            x = interpolated(x, axis, places, Curve(mode, a["cubic"], width, a["exclude_outside"]))
    return (x,)


CATEGORY = "Windows of images"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "resize", ("x",), _infer, _lower,
        (Hyper("size", "ints", None), Hyper("mode", "string", "nearest", MODES), Hyper("scale", "any", None),
         Hyper("coordinates", "string", None, COORDINATES), Hyper("rounding", "string", "floor", ROUNDINGS),
         Hyper("cubic", "number", -0.75), Hyper("antialias", "bool", False), Hyper("exclude_outside", "bool", False)),
        documentation="The last dimensions (all but the first, or as many as the list `size` or `scale` has) in other "
        'lengths, by interpolation. `coordinates` says where elements lie, by default `"asymmetric"` for `"nearest"` '
        'and else `"half_pixel"`, as in PyTorch; the names are those of ONNX. With `antialias` the elements of a '
        "smaller result are means of what lies between them. Beyond the ends lie the ends' values, or with "
        "`exclude_outside` none.",
    ),
)  # fmt: skip
