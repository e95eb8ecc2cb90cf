"""Data sets: named fields, cut into splits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphdl.data.draws import permutation, raw
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.types import Element, TensorType
from graphdl.source import Span

Array = NDArray[Any]
Rows = NDArray[np.intp]

DTYPES: Mapping[Element, np.dtype[Any]] = {
    "float": np.dtype(np.float32),
    "int": np.dtype(np.int32),
    "bool": np.dtype(np.bool_),
}
"""How an element is stored on the host, and fed."""

SPLIT_SEED = 20_240_229
"""The fixed seed of every split that graphdl makes itself: a test split must be the same for everybody, always."""


@dataclass(frozen=True, eq=False)
class Origin:
    """Where the examples of a field were read."""

    path: Path
    word: str = "example"
    """What ``numbers`` count: ``line`` in a table."""
    numbers: NDArray[np.integer[Any]] | None = None
    """Of each example; None where they are 0, 1, 2 …"""

    def of(self, row: int) -> str:
        """One example's: ``flowers.csv, line 17``."""
        return f"{self.path}, {self.word} {row if self.numbers is None else self.numbers[row]}"

    def select(self, rows: Rows) -> Origin:
        """Of the given examples alone."""
        return Origin(self.path, self.word, rows if self.numbers is None else self.numbers[rows])


class Field(ABC):
    """One named quantity of every example of a split."""

    type: TensorType
    """Of one example."""

    @abstractmethod
    def __len__(self) -> int:
        """How many examples."""

    @abstractmethod
    def take(self, rows: Rows) -> Array:
        """The given examples: ``[len(rows), *type.shape]``, new, contiguous, in the element's dtype."""

    @abstractmethod
    def select(self, rows: Rows) -> Field:
        """A field of the given examples alone."""

    def place(self, row: int) -> str | None:
        """Where an example was read, for complaints; None where it is from no file."""
        return None


@dataclass(frozen=True, eq=False)
class ArrayField(Field):
    """A field held in memory: ``values`` is ``[examples, *type.shape]``.

    Pixels stay bytes there, a quarter of the memory; ``divisor`` (255) scales them when they are taken.
    """

    values: Array
    type: TensorType
    divisor: float = 1.0
    origin: Origin | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Rows) -> Array:
        taken = self.values[rows].astype(DTYPES[self.type.element], order="C", copy=False)
        if self.divisor != 1.0:
            taken /= np.float32(self.divisor)
        return taken

    def select(self, rows: Rows) -> ArrayField:
        origin = self.origin.select(rows) if self.origin is not None else None
        return ArrayField(self.values[rows], self.type, self.divisor, origin)

    def place(self, row: int) -> str | None:
        return self.origin.of(row) if self.origin is not None else None


def pixels(values: Array, divisor: float = 255.0, origin: Origin | None = None) -> ArrayField:
    """Images stored as ints, read as floats from 0 to 1."""
    return ArrayField(values, TensorType(values.shape[1:]), divisor, origin)


def numbers(values: Array, origin: Origin | None = None) -> ArrayField:
    """A field of floats, ints or bools, as the array's dtype says.

    Raises:
        ValueError: of another dtype, or an int that 32 bits cannot hold.
    """
    element: Element
    match values.dtype.kind:
        case "f":
            element = "float"
        case "i" | "u":
            element = "int"
            if values.size and (values.min() < -(2**31) or values.max() >= 2**31):
                raise ValueError("an int is too large for 32 bits")
        case "b":
            element = "bool"
        case _:
            raise ValueError(f"elements of type {values.dtype}; floats, ints or bools are expected")
    with np.errstate(over="ignore"):  # a number too large for 32 bits is infinite, and complained about when it is fed
        stored = np.ascontiguousarray(values, DTYPES[element])
    return ArrayField(stored, TensorType(values.shape[1:], element), origin=origin)


def labels(values: Array, classes: int, origin: Origin | None = None) -> ArrayField:
    """Class numbers; the caller has checked that they are at least 0 and below ``classes``."""
    kind = TensorType(values.shape[1:], "int", classes)
    return ArrayField(np.ascontiguousarray(values, np.int32), kind, origin=origin)


@dataclass(frozen=True)
class Table:
    """How a field lies in a text table: its columns' names, empty where the file has no header, and what parts them."""

    columns: tuple[str, ...]
    separator: str


@dataclass(frozen=True, eq=False)
class Split:
    """Fields of equal length."""

    name: str
    fields: Mapping[str, Field]

    def __len__(self) -> int:
        return min(map(len, self.fields.values()), default=0)

    @property
    def types(self) -> dict[str, TensorType]:
        return {name: values.type for name, values in self.fields.items()}

    def select(self, rows: Rows, name: str) -> Split:
        """A split of the given examples alone."""
        return Split(name, {key: values.select(rows) for key, values in self.fields.items()})


class Statistics(NamedTuple):
    """Mean and standard deviation of a field by channel (an image's first dimension, else the last)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class DataSet:
    """What ``load`` returns. ``splits`` holds ``train``, ``test`` and, where asked for, ``validation``."""

    name: str
    splits: Mapping[str, Split]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of the fields that hold classes with names, in the order of their numbers."""
    published: Mapping[str, Statistics] = field(default_factory=dict)
    """Statistics that everybody uses for this set; they win over computed ones."""
    tables: Mapping[str, Table] = field(default_factory=dict)
    """Of the fields that were read from the columns of a table."""
    span: Span | None = None
    """Where the model file asks for it."""
    files: Sequence[Path] = ()
    """What was read."""

    @property
    def types(self) -> dict[str, TensorType]:
        """Of each field, for one example."""
        return next(iter(self.splits.values())).types

    def split(self, name: str) -> Split:
        """A split by name.

        Raises:
            ModelError: E0712, the set has no such split.
        """
        if name not in self.splits:
            raise ModelError(
                Diagnostic(
                    "E0712",
                    f"data set '{self.name}' has no split '{name}'",
                    self.span,
                    notes=(f"it has: {', '.join(self.splits)}",),
                    help="ask for one with 'validation = 0.1'" if name == "validation" else None,
                )
            )
        return self.splits[name]

    def statistics(self, name: str) -> Statistics:
        """Mean and standard deviation of a float field over the training split, by channel; published ones first.

        Raises:
            ModelError: E0711, the field is read from files one by one and has no published statistics.
        """
        if name in self.published:
            return self.published[name]
        values = self.split("train").fields[name]
        if not isinstance(values, ArrayField):
            raise ModelError(
                Diagnostic(
                    "E0711",
                    f"the statistics of '{name}' are unknown: its examples are read one by one",
                    self.span,
                    help="write them: normalize(mean = [...], std = [...])",
                )
            )
        channel = 1 if values.type.rank == 3 else values.type.rank
        others = tuple(axis for axis in range(values.type.rank + 1) if axis != channel)
        mean = values.values.mean(axis=others, dtype=np.float64) / values.divisor
        std = values.values.std(axis=others, dtype=np.float64) / values.divisor
        return Statistics(tuple(map(float, mean)), tuple(map(float, std)))


def divide(split: Split, fraction: float, name: str, stratify: str | None = None) -> tuple[Split, Split]:
    """Cuts a fixed random part ``name`` off a split: what remains, and the part.

    With ``stratify``, the name of a field in memory, each of its values keeps its share (to the nearest example).
    The same examples always give the same parts.
    """
    count = len(split)
    shuffled = permutation(SPLIT_SEED, 0, count)
    groups = [shuffled]
    if stratify is not None:
        kinds = split.fields[stratify].take(shuffled)
        by_kind = np.argsort(kinds, kind="stable")
        groups = np.split(shuffled[by_kind], np.flatnonzero(np.diff(kinds[by_kind])) + 1)
    chosen = np.zeros(count, np.bool_)
    for group in groups:
        chosen[group[: round(fraction * len(group))]] = True
    return split.select(np.flatnonzero(~chosen), split.name), split.select(np.flatnonzero(chosen), name)


def noise_bytes(shape: tuple[int, ...], seed: int) -> NDArray[np.uint8]:
    """Uniform random bytes."""
    size = int(np.prod(shape))
    return raw(seed, 0, 1, 0, -(-size // 32)).view(np.uint8).ravel()[:size].reshape(shape)
