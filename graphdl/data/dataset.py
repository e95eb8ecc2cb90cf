"""Data sets: named fields, divided into splits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphdl.data.draws import permutation, raw
from graphdl.data.vocabulary import Writing
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
"""The NumPy type of an element on the host and in a feed."""

SPLIT_SEED = 20_240_229
"""The fixed seed of every split that graphdl makes: a test split must always be the same for everybody."""


@dataclass(frozen=True, eq=False)
class Origin:
    """The place from which the examples of a field were read."""

    path: Path
    word: str = "example"
    """The unit of ``numbers``: ``line`` in a table."""
    numbers: NDArray[np.integer[Any]] | None = None
    """The number of each example; None if the numbers are 0, 1, 2 …"""

    def of(self, row: int) -> str:
        """The place of one example: ``flowers.csv, line 17``."""
        return f"{self.path}, {self.word} {row if self.numbers is None else self.numbers[row]}"

    def select(self, rows: Rows) -> Origin:
        """The places of the given examples."""
        return Origin(self.path, self.word, rows if self.numbers is None else self.numbers[rows])


class Field(ABC):
    """A named quantity that every example of a split has."""

    type: TensorType
    """The type for one example."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of examples."""

    @abstractmethod
    def take(self, rows: Rows) -> Array:
        """The given examples: a new contiguous array ``[len(rows), *type.shape]`` of the element's NumPy type."""

    @abstractmethod
    def select(self, rows: Rows) -> Field:
        """A field of the given examples only."""

    def place(self, row: int) -> str | None:
        """The place from which an example was read, for error messages; None if it is from no file."""
        return None


@dataclass(frozen=True, eq=False)
class ArrayField(Field):
    """A field in memory: ``values`` is ``[examples, *type.shape]``.

    Pixels are stored as bytes, which takes a quarter of the memory. They are divided by ``divisor`` (255) when they are
    taken.
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
    """A field of images that are stored as ints and read as floats from 0 to 1."""
    return ArrayField(values, TensorType(values.shape[1:]), divisor, origin)


def numbers(values: Array, origin: Origin | None = None) -> ArrayField:
    """A field of floats, ints or bools, according to the array's NumPy type.

    Raises:
        ValueError: the type is another one, or an int does not fit into 32 bits.
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
    with np.errstate(over="ignore"):  # a number beyond 32 bits becomes infinite; feeding it is an error
        stored = np.ascontiguousarray(values, DTYPES[element])
    return ArrayField(stored, TensorType(values.shape[1:], element), origin=origin)


def labels(values: Array, classes: int, origin: Origin | None = None) -> ArrayField:
    """A field of class numbers. The caller has checked that they are at least 0 and less than ``classes``."""
    kind = TensorType(values.shape[1:], "int", classes)
    return ArrayField(np.ascontiguousarray(values, np.int32), kind, origin=origin)


@dataclass(frozen=True)
class Table:
    """The place of a field in a text table: the names of its columns, empty if the file has no header, and the
    separator.
    """

    columns: tuple[str, ...]
    separator: str


@dataclass(frozen=True)
class Sound:
    """The way in which a field was made from recordings. A prediction makes its inputs from others in the same way."""

    rate: int
    """Samples in a second."""
    length: int
    """The number of samples. A longer recording is cut, a shorter one is followed by silence."""
    gives: Literal["wave", "next", "length", "mask"] = "wave"
    """``next`` is the wave one sample ahead; ``length`` is the number of samples before the silence."""
    levels: int | None = None
    """The number of loudnesses, if samples are classes."""


Sizes = tuple[tuple[str, int], ...]
"""Values of ``let``s of the model file that differ from those of the file, by name."""


@dataclass(frozen=True)
class Buckets:
    """The lengths to which the sequences of a batch are filled up in training."""

    name: str
    """The ``let`` of the model file with the length of the inputs."""
    lengths: tuple[int, ...]
    """In ascending order. The last one is the value of the ``let``, and the length of the fields."""


@dataclass(frozen=True, eq=False)
class Split:
    """Fields of equal length."""

    name: str
    fields: Mapping[str, Field]
    properties: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """What is known of each example beside its fields, by which examples can be grouped: numbers or texts."""
    lengths: NDArray[np.intp] | None = None
    """The length that each example's sequences need at least, if the data set has buckets."""

    def __len__(self) -> int:
        return min(map(len, self.fields.values()), default=0)

    @property
    def types(self) -> dict[str, TensorType]:
        return {name: values.type for name, values in self.fields.items()}

    def select(self, rows: Rows, name: str) -> Split:
        """A split of the given examples only."""
        return Split(
            name,
            {key: values.select(rows) for key, values in self.fields.items()},
            {key: values[rows] for key, values in self.properties.items()},
            None if self.lengths is None else self.lengths[rows],
        )


class Statistics(NamedTuple):
    """Mean and standard deviation of each channel of a field (the first dimension of an image, else the last
    dimension).
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class DataSet:
    """A loaded data set. ``splits`` has ``train``, ``test`` and, on request, ``validation``."""

    name: str
    splits: Mapping[str, Split]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For fields of named classes and of tokens, the names in the order of the class numbers."""
    published: Mapping[str, Statistics] = field(default_factory=dict)
    """Published statistics. They take precedence over computed ones."""
    tables: Mapping[str, Table] = field(default_factory=dict)
    """For fields that were read from a table, the columns."""
    writings: Mapping[str, Writing] = field(default_factory=dict)
    """For fields that were made from text, the way. The names of the tokens are among ``class_names``."""
    sounds: Mapping[str, Sound] = field(default_factory=dict)
    """For fields that were made from recordings, the way."""
    buckets: Buckets | None = None
    """The lengths of batches in training, if they differ."""
    span: Span | None = None
    """The setting in the model file."""
    files: Sequence[Path] = ()
    """The files that were read."""
    warnings: Sequence[Diagnostic] = ()
    """What a user who trains on the data should know."""
    is_divided: bool = False
    """Whether the loader itself has made the split ``validation`` that the setting asks for."""

    @property
    def types(self) -> dict[str, TensorType]:
        """The type of each field, for one example."""
        return next(iter(self.splits.values())).types

    def split(self, name: str) -> Split:
        """A split by name.

        Raises:
            ModelError: E0712, the data set has no such split.
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
        """Mean and standard deviation of each channel of a float field: the published ones, or those of the training
        split.

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


def stratum(split: Split) -> str | None:
    """The field by which a split is divided evenly: ``label``, if it is one class for each example."""
    kind = split.types.get("label")
    return "label" if kind is not None and kind.classes is not None and kind.rank == 0 else None


def divide(split: Split, fraction: float, name: str, stratify: str | None = None) -> tuple[Split, Split]:
    """Divides a split into the rest and a fixed random part ``name``, and returns both.

    With ``stratify``, the name of a field in memory, each of its values is divided by the same fraction (to the nearest
    example). The same examples always give the same parts.
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
