"""Random nets over ints, bools and floats, with the values that NumPy gives for them.

Ints are of any size and wrap around. Floats are small multiples of a quarter, infinities and NaN, so that both come to
the same bits. Everything a chain needs is drawn from one number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

LEAST, GREATEST = -(2**31), 2**31 - 1
BATCH = 2
LARGEST = 2**14
"""Of floats: beyond, sums and products of quarters are not exact for long."""

ARITHMETIC: dict[str, Callable[..., Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "//": np.floor_divide, "%": np.remainder, "fmod": np.fmod,
    "maximum": np.maximum, "minimum": np.minimum,
}  # fmt: skip
COMPARISONS: dict[str, Callable[..., Any]] = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip
BITS = {"bit_and": np.bitwise_and, "bit_or": np.bitwise_or, "bit_xor": np.bitwise_xor}
SCATTERS: dict[str, Callable[..., Any]] = {
    "set": lambda old, new: new, "add": np.add, "multiply": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
}  # fmt: skip
KINDS = {"i": "int", "b": "bool", "f": "float"}


@dataclass(frozen=True, eq=False)
class Value:
    """A named value of a net, and its array with the batch in front."""

    name: str
    array: np.ndarray

    @property
    def kind(self) -> str:
        return KINDS[self.array.dtype.kind]


class Chain:
    """The lines of a net: ``lines`` with the inputs, ``feeds``, and ``values``, some of which become outputs."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.random = Random(number)
        self.numbers = np.random.default_rng(number)
        self.lines: list[str] = []
        self.feeds: dict[str, np.ndarray] = {}
        self.values: list[Value] = []
        self.count = 0
        shape = [self.random.randint(1, 6) for _ in range(self.random.randint(1, 3))]
        for kind in ("int", "int", "bool", "float"):
            self.source(shape, kind)
        with np.errstate(all="ignore"):
            for _ in range(self.random.randint(4, 10)):
                self.random.choice(STEPS)(self, self.random.choice(self.values[-6:]))

    @property
    def wanted(self) -> dict[str, np.ndarray]:
        """The outputs: the last value, and some of the others."""
        chosen = {v.name: v.array for v in self.values[:-1] if self.random.random() < 0.25}
        return chosen | {self.values[-1].name: self.values[-1].array}

    # ------------------------------------------------------------------------------------------------------- values

    def named(self) -> str:
        self.count += 1
        return f"c{self.number}_{self.count}"

    def add(self, text: str, array: np.ndarray) -> Value | None:
        """A value, unless it is a float that is not exact."""
        if array.dtype.kind == "f":
            finite = array[np.isfinite(array)]
            if (np.abs(finite) > LARGEST).any() or (finite * 4 != np.round(finite * 4)).any():
                return None
        self.values.append(Value(self.named(), array))
        self.lines.append(f"{self.values[-1].name} = {text}")
        return self.values[-1]

    def source(self, shape: Sequence[int], kind: str) -> Value:
        name, full = self.named(), (BATCH, *shape)
        given: np.ndarray
        if kind == "bool":
            given = self.numbers.random(full) < 0.5
        elif kind == "float":
            given = (self.numbers.integers(-5, 6, full) / 2).astype(np.float32)
        else:
            large = [0, 1, -1, 2, -3, 2**24 + 1, -(2**24) - 3, LEAST, GREATEST]
            given = self.numbers.choice(large if self.random.random() < 0.5 else range(-5, 6), full).astype(np.int32)
        self.feeds[name] = given
        self.lines.append(f"input {name}: {kind}{list(shape)}")
        self.values.append(Value(name, given))
        if kind == "float" and self.random.random() < 0.5:  # nets are fed finite numbers
            odd = np.where(given > 2, np.inf, np.where(given < -2, np.nan, given)).astype(np.float32)
            self.add(f"where({name} > 2, {name} / 0, where({name} < -2, sqrt({name}), {name}))", odd)
        return self.values[-1]

    def beside(self, x: Value, *kinds: str) -> Value:
        """A value of the same shape and of one of these kinds."""
        found = [v for v in self.values if v.kind in kinds and v.array.shape == x.array.shape]
        if found and self.random.random() < 0.8:
            return self.random.choice(found)
        return self.source(x.array.shape[1:], self.random.choice(kinds))

    def common(self, *values: Value) -> tuple[list[str], list[np.ndarray]]:
        """Operands of one type, as the language converts them. Large ints are cut beside floats."""
        floating = any(v.kind == "float" for v in values)
        names, arrays = [], []
        for v in values:
            cut = floating and v.kind == "int"
            names.append(f"({v.name} % 1000)" if cut else v.name)
            arrays.append((v.array % 1000 if cut else v.array).astype(np.float32 if floating else np.int32))
        return names, arrays

    def axis(self, x: Value) -> int:
        return self.random.randrange(x.array.ndim - 1)

    # ------------------------------------------------------------------------------------------------------- steps

    def arithmetic(self, x: Value) -> None:
        (a, b), (left, right) = self.common(x, self.beside(x, "int", "bool", "float"))
        sign = self.random.choice(list(ARITHMETIC))
        divides = sign in ("//", "%", "fmod")
        if divides and left.dtype.kind == "f" and not (np.isfinite([left, right]).all() and right.all()):
            return
        self.add(f"{sign}({a}, {b})" if sign.isalpha() else f"{a} {sign} {b}", ARITHMETIC[sign](left, right))

    def constant(self, x: Value) -> None:
        if x.kind != "bool":
            number = self.random.choice([1, 2, 3, 7, 2**24 + 1, GREATEST] if x.kind == "int" else [1, 2, 0.5])
            sign = self.random.choice(["+", "-", "*", "//", "%"] if x.kind == "int" else ["+", "-", "*"])
            self.add(f"{x.name} {sign} {number}", ARITHMETIC[sign](x.array, x.array.dtype.type(number)))

    def compare(self, x: Value) -> None:
        (a, b), arrays = self.common(x, self.beside(x, "int", "bool", "float"))
        sign = self.random.choice(list(COMPARISONS))
        self.add(f"{a} {sign} {b}", COMPARISONS[sign](*arrays))

    def choose(self, x: Value) -> None:
        one, other = (self.beside(x, "int", "bool", "float") for _ in range(2))
        names, arrays = self.common(one, other)
        if one.kind == other.kind == "bool":
            arrays = [one.array, other.array]
        self.add(f"where({x.name}, {names[0]}, {names[1]})", np.where(x.array != 0, *arrays))

    def unary(self, x: Value) -> None:
        _, (array,) = self.common(x)
        name, reference = self.random.choice([("abs", np.abs), ("sign", np.sign), ("negative", np.negative)])
        self.add(f"-{x.name}" if name == "negative" else f"{name}({x.name})", reference(array))

    def logic(self, x: Value) -> None:
        y = self.beside(x, "int", "bool", "float")
        sign, reference = self.random.choice([("and", np.logical_and), ("or", np.logical_or)])
        self.add(f"{x.name} {sign} not {y.name}", reference(x.array != 0, y.array == 0))

    def reduce(self, x: Value) -> None:
        if x.array.ndim == 1:
            return
        axis, keep = self.axis(x), self.random.random() < 0.5
        name = self.random.choice(["sum", "product", "max", "min", "argmax", "argmin", "any", "all"])
        array = x.array.astype(np.float32) if x.kind == "bool" else x.array
        more: dict[str, Any] = {"axis": axis + 1, "keepdims": keep}
        if name in ("sum", "product"):
            reduced = getattr(np, name.replace("product", "prod"))(array, dtype=array.dtype, **more)
        elif name in ("any", "all"):
            reduced = getattr(np, name)(array != 0, **more)
        else:
            reduced = getattr(np, name)(array, **more)
        if name.startswith("arg"):
            reduced = reduced.astype(np.int32)
        self.add(f"{name}({x.name}, axis = {axis}, keep = {str(keep).lower()})", reduced)

    def prefix(self, x: Value) -> None:
        array = x.array.astype(np.float32) if x.kind == "bool" else x.array
        if x.array.ndim > 1 and (x.kind != "float" or np.isfinite(array).all()):
            axis, back = self.axis(x), self.random.random() < 0.5
            turned = np.flip(array, axis + 1) if back else array
            sums = np.cumsum(turned, axis + 1, dtype=array.dtype)
            sums = np.flip(sums, axis + 1) if back else sums
            self.add(f"cumsum({x.name}, axis = {axis}, reverse = {str(back).lower()})", sums)

    def order(self, x: Value) -> None:
        if x.array.ndim > 1:
            axis = self.axis(x)
            self.add(f"sort({x.name}, axis = {axis})", np.sort(x.array, axis + 1))
            places = np.argsort(x.array, axis + 1, kind="stable").astype(np.int32)
            self.add(f"argsort({x.name}, axis = {axis})", places)

    def index(self, x: Value, length: int) -> Value:
        """Indices for each element of x; some lie outside."""
        low = self.random.choice([-1, 0, 0])
        source = self.source(x.array.shape[1:], "int")
        made = self.add(f"{source.name} % {length + 1} + {low}", source.array % (length + 1) + np.int32(low))
        assert made is not None
        return made

    def look_up(self, x: Value) -> None:
        if x.array.ndim > 1:
            axis = self.axis(x)
            length = x.array.shape[axis + 1]
            index = self.index(x, length)
            inside = (index.array >= 0) & (index.array < length)
            missing = {"float": np.nan, "int": LEAST, "bool": False}[x.kind]
            found = np.take_along_axis(x.array, np.clip(index.array, 0, length - 1), axis + 1)
            gathered = np.where(inside, found, missing).astype(x.array.dtype)
            self.add(f"gather({x.name}, {index.name}, axis = {axis})", gathered)
            hot = (index.array[..., None] == np.arange(3)).astype(np.float32)
            self.add(f"one_hot({index.name}, classes = 3)", hot)

    def scatter(self, x: Value) -> None:
        y = self.beside(x, x.kind)
        if x.array.ndim == 1 or (x.kind == "float" and not np.isfinite([x.array, y.array]).all()):
            return
        axis, kind = self.axis(x), self.random.choice(list(SCATTERS))
        index = self.index(x, x.array.shape[axis + 1])
        made = x.array.copy()
        for place in np.ndindex(index.array.shape):
            to = (*place[: axis + 1], int(index.array[place]), *place[axis + 2 :])
            if 0 <= to[axis + 1] < made.shape[axis + 1]:
                made[to] = SCATTERS[kind](made[to], y.array[place])
        self.add(f'scatter({x.name}, {index.name}, {y.name}, axis = {axis}, reduce = "{kind}")', made)

    def move(self, x: Value) -> None:
        if x.array.ndim == 1:
            return
        axis = self.axis(x)
        ends = [int(d == axis) for d in range(x.array.ndim - 1)]
        y, widths = self.beside(x, x.kind), [(0, 0), *((n, n) for n in ends)]
        mode = self.random.choice(["constant", "edge", "wrap"])
        text, array = self.random.choice(
            [
                (f"reverse({x.name}, axis = {axis})", np.flip(x.array, axis + 1)),
                (f"flatten({x.name})", x.array.reshape(BATCH, -1)),
                (f"concat({x.name}, {y.name}, axis = {axis})", np.concatenate([x.array, y.array], axis + 1)),
                (f'pad({x.name}, {ends}, {ends}, mode = "{mode}")', np.pad(x.array, widths, mode=mode)),  # type: ignore[call-overload]
            ]
        )
        self.add(text, array)

    def product(self, x: Value) -> None:
        if x.kind == "int" and x.array.ndim == 3:
            y = self.source([x.array.shape[2], self.random.randint(1, 4)], "int")
            self.add(f"{x.name} @ {y.name}", (x.array.astype(np.int64) @ y.array).astype(np.int32))

    def bits(self, x: Value) -> None:
        if x.kind == "int":
            y, name = self.beside(x, "int"), self.random.choice(list(BITS))
            self.add(f"{name}({x.name}, {y.name})", BITS[name](x.array, y.array))

    def convert(self, x: Value) -> None:
        whole = np.clip(np.trunc(np.nan_to_num(x.array.astype(np.float64), posinf=3e9, neginf=-3e9)), LEAST, GREATEST)
        self.add(f"int({x.name})", whole.astype(np.int32))


STEPS: list[Callable[[Chain, Value], None]] = [
    Chain.arithmetic, Chain.arithmetic, Chain.constant, Chain.compare, Chain.choose, Chain.unary, Chain.logic,
    Chain.reduce, Chain.reduce, Chain.prefix, Chain.order, Chain.look_up, Chain.scatter, Chain.move, Chain.move,
    Chain.product, Chain.bits, Chain.convert,
]  # fmt: skip
