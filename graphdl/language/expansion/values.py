"""The values of expressions during expansion.

Numbers, bools, strings, ``none`` and lists are Python's own. A tensor is a ``Value`` of the module graph. This file has
the other values: several tensors at once, and the kinds of modules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphdl.graph import wording
from graphdl.graph.model import Module, Value
from graphdl.language import syntax
from graphdl.operators.primitive import Primitive
from graphdl.source import Span

if TYPE_CHECKING:
    from graphdl.graph.builder import Naming
    from graphdl.language.expansion.files import FileScope
    from graphdl.language.expansion.frames import Scope


@dataclass(frozen=True, slots=True)
class Outputs:
    """The values of a call with several outputs. As an operand or in a chain it stands for the first."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Argument:
    """An evaluated argument and its place in the text."""

    value: Any
    span: Span
    name_span: Span | None = None
    in_list: bool = False
    """Whether it is an item of a list that flows along an arrow. The span is then that of the list."""

    @property
    def written(self) -> Span:
        """The span of the argument's name, if it has one, else of its value."""
        return self.name_span or self.span


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """A block, or a net that is used as one: a recipe without its hyperparameters."""

    written: syntax.Block | syntax.Net
    file: FileScope
    inputs: tuple[syntax.Port, ...]
    outputs: tuple[str, ...]
    needed: frozenset[str] | None = None
    """For a net used as a block, the names that its outputs need."""

    @property
    def name(self) -> str:
        return self.written.name

    @property
    def is_spoilt(self) -> bool:
        """Whether its header had a syntax error. The tree of the header then differs from the text."""
        return self.file.is_spoilt(self.written)

    @property
    def required(self) -> int:
        """The number of input ports without a default."""
        return sum(port.default is None for port in self.inputs)


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """A block with its hyperparameters, and possibly some of its tensors: a module that is made at each use."""

    definition: Definition
    tensors: tuple[Argument, ...]
    ports: Mapping[str, Argument]
    hypers: Mapping[str, Argument]
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class PrimitiveCall:
    """A primitive with the arguments to the right of an arrow: ``maximum(0)``."""

    primitive: Primitive
    positional: tuple[Argument, ...]
    named: Mapping[str, Argument]
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """A module with some of its tensors: ``x -> cell(h)`` is ``cell(x, h)``."""

    module: Any
    tensors: tuple[Argument, ...]
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    """Modules one after the other, each with its place in the text."""

    members: tuple[Argument, ...]
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Repeated:
    """``repeat count { body }``."""

    count: int
    body: Argument
    span: Span


@dataclass(slots=True, eq=False)
class Instance:
    """A named module: one set of parameters wherever the name is used."""

    module: Any
    name: str
    naming: Naming
    span: Span
    made: Module | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """``module as name``: names the module and, when it is applied, its value."""

    module: Any
    name: str
    span: Span
    scope: Scope


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """The value of an ``as`` name: the values for reading, the module for another application."""

    values: Any
    module: Any


@dataclass(frozen=True, slots=True, eq=False)
class InitializerName:
    """The name of an initializer. Calling it with numbers makes an initializer, calling it with a
    shape makes a tensor.
    """

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function of the language itself: ``len``, ``tensor``."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Namespace:
    """A file imported ``as`` a name."""

    name: str
    members: Mapping[str, Definition] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    """The names that are missing because of syntax errors in the file."""


MODULES = (Definition, Recipe, PrimitiveCall, Partial, Pipeline, Repeated, Instance, Labelled, Primitive)


def is_module(value: Any) -> bool:
    return isinstance(value, MODULES)


def describe(value: Any) -> str:
    """Describes a value for a message: ``the tensor [3, 4]``, ``3``, ``a module``."""
    return wording.describe(value, _describe)


def _describe(value: Any) -> str:
    match value:
        case Outputs():
            return f"{len(value.values)} tensors"
        case Applied():
            return describe(value.values)
        case InitializerName():
            return f"the initializer {value.name}"
        case Function():
            return f"the function {value.name}"
        case Namespace():
            return f"the file {value.name}"
        case Definition() | Primitive():
            return f"the module {value.name}"
        case Recipe():
            return f"the module {value.definition.name}"
        case PrimitiveCall():
            return f"the module {value.primitive.name}"
    return "a module"


def text(value: Any) -> str:
    """A value as the language writes it, shortened."""
    return wording.text(value, other=describe)


def plural(number: int, noun: str) -> str:
    """``1 dimension``, ``2 dimensions``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def kind_of(module: Any) -> str:
    """The name that a module gives to its modules in the graph."""
    match module:
        case Definition() | Primitive():
            return module.name
        case Recipe():
            return module.definition.name
        case PrimitiveCall():
            return module.primitive.name
        case Instance() | Labelled():
            return module.name
        case Partial():
            return kind_of(module.module)
    return "chain"


def values_of(value: Any) -> Sequence[Any]:
    """The values of several outputs; any other value alone."""
    if isinstance(value, Applied):
        value = value.values
    return value.values if isinstance(value, Outputs) else (value,)


def one_or_more(values: Sequence[Value]) -> Any:
    """A single value alone, or several as ``Outputs``."""
    return values[0] if len(values) == 1 else Outputs(tuple(values))


def first_of(value: Any) -> Any:
    """The value as an operand: the first of several outputs."""
    if isinstance(value, Applied):
        value = value.values
    return value.values[0] if isinstance(value, Outputs) else value
