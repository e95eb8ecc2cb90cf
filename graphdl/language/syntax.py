"""The syntax tree: the output of the parser, and the input of expansion, the formatter and the editor.

Every node has its span. The tree conforms to the grammar; nothing else has been checked. Nodes compare by identity.
The classes have neither ``__eq__`` nor slots, which would take a third of the time to import this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphdl.source import Source, Span


@dataclass(frozen=True, eq=False)
class Syntax:
    span: Span


# ---------------------------------------------------------------------------------------------------- expressions


@dataclass(frozen=True, eq=False)
class Literal(Syntax):
    """A number, a string, ``true``, ``false`` or ``none``."""

    value: int | float | str | bool | None


@dataclass(frozen=True, eq=False)
class Name(Syntax):
    name: str


@dataclass(frozen=True, eq=False)
class Unary(Syntax):
    operator: str  # "-" | "+" | "not"
    operand: Expression


@dataclass(frozen=True, eq=False)
class Binary(Syntax):
    """``+ - * / // % ** @``, the comparisons ``== != < <= > >=``, ``and``, ``or`` and the range ``..``."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, eq=False)
class Conditional(Syntax):
    """``then if condition else otherwise``."""

    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, eq=False)
class Pipe(Syntax):
    """``left -> right``; left-associative. ``(a, b) -> f`` has a Tuple on the left."""

    left: Expression
    right: Expression


@dataclass(frozen=True, eq=False)
class Named(Syntax):
    """``value as name``. ``value`` is the right operand of an arrow, or a call at the head of a chain."""

    value: Expression
    name: str
    name_span: Span


@dataclass(frozen=True, eq=False)
class Argument(Syntax):
    name: str | None
    value: Expression
    name_span: Span | None = None


@dataclass(frozen=True, eq=False)
class Call(Syntax):
    callee: Expression
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, eq=False)
class Slice(Syntax):
    start: Expression | None
    stop: Expression | None
    step: Expression | None


@dataclass(frozen=True, eq=False)
class Index(Syntax):
    value: Expression
    items: tuple[Expression | Rest, ...]  # a Slice is allowed only here, and a Rest stands for any dimensions


@dataclass(frozen=True, eq=False)
class Attribute(Syntax):
    """``x.channels``, ``resnet.bottleneck``."""

    value: Expression
    name: str
    name_span: Span


@dataclass(frozen=True, eq=False)
class ListExpression(Syntax):
    items: tuple[Expression, ...]


@dataclass(frozen=True, eq=False)
class Tuple(Syntax):
    """``(a, b)``: several tensors, to the left of an arrow or on the right side of a multiple assignment."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, eq=False)
class Comprehension(Syntax):
    """``[element for names in iterable if condition]``."""

    element: Expression
    names: tuple[str, ...]
    names_span: Span
    iterable: Expression
    condition: Expression | None


@dataclass(frozen=True, eq=False)
class Repeat(Syntax):
    """``repeat count { body }``: a module; ``body`` is a chain of modules."""

    count: Expression
    body: Expression


@dataclass(frozen=True, eq=False)
class ScanSequence(Syntax):
    """``item in sequence``."""

    name: str
    sequence: Expression


@dataclass(frozen=True, eq=False)
class ScanState(Syntax):
    """``state = start``."""

    name: str
    start: Expression


@dataclass(frozen=True, eq=False)
class Scan(Syntax):
    """``scan item in sequence, state = start { body }``; with ``recompute`` after ``scan``, ``recompute`` is true."""

    bindings: tuple[ScanSequence | ScanState, ...]
    body: tuple[Statement, ...]
    recompute: bool


Expression = (
    Literal
    | Name
    | Unary
    | Binary
    | Conditional
    | Pipe
    | Named
    | Call
    | Slice
    | Index
    | Attribute
    | ListExpression
    | Tuple
    | Comprehension
    | Repeat
    | Scan
)


# ----------------------------------------------------------------------------------------------------------- types


@dataclass(frozen=True, eq=False)
class Rest(Syntax):
    """``..``: any further dimensions."""


@dataclass(frozen=True, eq=False)
class TypeExpression(Syntax):
    """``[c, h, w]``, ``int[n]``, ``bool[n]``, ``class(v)``, ``class(v)[n]``. A scalar has ``dimensions == ()``."""

    base: str  # "float" | "int" | "bool" | "class"
    classes: Expression | None
    dimensions: tuple[Expression | Rest, ...]


# ------------------------------------------------------------------------------------------------------ statements


@dataclass(frozen=True, eq=False)
class Assign(Syntax):
    """``name: type = value`` or ``a, _, b = value``."""

    names: tuple[Name, ...]
    type: TypeExpression | None
    value: Expression


@dataclass(frozen=True, eq=False)
class Declare(Syntax):
    """``WORD [name] [: type] [= value]`` with WORD one of input, param, state, output, loss, metric.

    In ``output f(x)`` the name is None. In ``output y`` (a bare name) ``value`` is the Name and ``name`` is None.
    """

    word: str
    name: str | None
    name_span: Span | None
    type: TypeExpression | None
    value: Expression | None
    documentation: str | None = None


@dataclass(frozen=True, eq=False)
class If(Syntax):
    """``else if`` is an If as the only statement of ``otherwise``."""

    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True, eq=False)
class For(Syntax):
    names: tuple[str, ...]
    names_span: Span
    iterable: Expression
    body: tuple[Statement, ...]


@dataclass(frozen=True, eq=False)
class Assert(Syntax):
    """``assert condition, "text with {values}"``."""

    condition: Expression
    message: Literal | None


@dataclass(frozen=True, eq=False)
class Update(Syntax):
    """``update state = value``."""

    name: str
    name_span: Span
    value: Expression


@dataclass(frozen=True, eq=False)
class Emit(Syntax):
    values: tuple[Expression, ...]


@dataclass(frozen=True, eq=False)
class Evaluate(Syntax):
    """An expression as a statement, which is useful only for a chain with an ``as``."""

    value: Expression


Statement = Assign | Declare | If | For | Assert | Update | Emit | Evaluate


# ---------------------------------------------------------------------------------------------------- declarations


@dataclass(frozen=True, eq=False)
class Import(Syntax):
    path: str
    path_span: Span
    alias: str | None


@dataclass(frozen=True, eq=False)
class Let(Syntax):
    name: str
    name_span: Span
    value: Expression
    documentation: str | None = None


@dataclass(frozen=True, eq=False)
class Hyper(Syntax):
    """A hyperparameter of a block or net, with its default."""

    name: str
    default: Expression | None


@dataclass(frozen=True, eq=False)
class Port(Syntax):
    """An input of a block, which may have a default, or an output."""

    name: str
    type: TypeExpression | None
    default: Expression | None


@dataclass(frozen=True, eq=False)
class Block(Syntax):
    name: str
    name_span: Span
    hypers: tuple[Hyper, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    body: tuple[Statement, ...]
    documentation: str | None = None


@dataclass(frozen=True, eq=False)
class Net(Syntax):
    name: str
    name_span: Span
    hypers: tuple[Hyper, ...]
    body: tuple[Statement, ...]
    documentation: str | None = None


@dataclass(frozen=True, eq=False)
class Setting(Syntax):
    """One line of a train section: ``optimizer sgd(lr = 0.01)``, ``batch 64``, ``minimize a, b``, ``feed x = field``.

    ``values`` holds calls, names or literals as written; a pattern of ``only`` is a Literal string. ``patterns`` are
    those left of the ``=`` in ``rate encoder.* = 0.1``.
    """

    word: str
    word_span: Span
    name: str | None  # of ``feed name = field``
    values: tuple[Expression, ...]
    patterns: tuple[Literal, ...] = ()


@dataclass(frozen=True, eq=False)
class Turn(Syntax):
    """``turn name { settings }``: one of several parts of a stage that alternate."""

    name: str
    name_span: Span
    settings: tuple[Setting, ...]


@dataclass(frozen=True, eq=False)
class Train(Syntax):
    """``train name for net { ... }``, with either name left out."""

    name: str | None
    net: Name | None
    settings: tuple[Setting, ...]
    turns: tuple[Turn, ...] = ()
    documentation: str | None = None

    @property
    def all_settings(self) -> Iterator[Setting]:
        """The settings of the section, and those of its turns."""
        yield from self.settings
        for turn in self.turns:
            yield from turn.settings


Declaration = Import | Let | Block | Net | Train


@dataclass(frozen=True, eq=False)
class File:
    source: Source
    declarations: tuple[Declaration, ...]
    tokens: int = 0
    """The number of tokens."""
    spoilt: tuple[Span, ...] = ()
    """The places of syntax errors, and the headers that were inserted for unreadable ones."""
    lost: frozenset[str] = frozenset()
    """The names that unreadable statements would have assigned. ``*`` stands for any name, because of an import."""
