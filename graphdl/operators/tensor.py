"""The operator graph: tensors, each made by one operation from other tensors. This is what is executed.

A ``Tensor`` has the batch as an ordinary first dimension. An operation is a small immutable value that holds its
attributes, so two tensors with equal operations and the same inputs are the same tensor to the compiler.

An operation may have several outputs: then its own tensor stands for all of them together and is never stored, and a
``Part`` of it is each of them. ``parts`` makes both.

There are few kinds of operation, and the compiler knows only the kinds:

===============  ======================================================================================
``Source``       a feed, a variable's value, a constant
``Elementwise``  a C expression of its operands; broadcasts as NumPy does
``View``         moves elements without computing: every output index names an input index, or nothing
``Reduction``    sum, maximum, … over some axes
``Generator``    a value that is a function of the index alone (positions, random draws)
``Template``     a hand-written kernel family (matrix product, convolution, sort)
``Part``         one of the outputs of an operation that has several
===============  ======================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Literal, cast

from graphdl.graph.elements import ELEMENTS, Stored
from graphdl.graph.types import Element, Shape
from graphdl.operators.index import Guard, Index

if TYPE_CHECKING:
    from graphdl.graph.model import Node
    from graphdl.operators.kernels.family import Family


class Operation:
    """What makes a tensor. Subclasses are frozen data classes: their fields are the attributes.

    Methods that raise NotImplementedError are the interface of a kind. The kinds are no abstract base classes:
    ``isinstance`` takes ten times as long of those, and the compiler asks it of every tensor in every pass.
    """

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    def functions(self, width: int) -> Mapping[str, str]:
        """The C functions, by name, that the operation's ``code`` calls when it is written for vectors of ``width``."""
        return {}

    def flops(self, y: Tensor) -> int:
        """The floating-point operations that make ``y`` from its inputs."""
        return 0

    def evaluations(self, y: Tensor, x: Tensor) -> int:
        """How many elements of the input ``x`` are asked for when ``y`` is computed once."""
        return x.size

    def recomputed(self, operands: Sequence[int]) -> int | None:
        """What an element costs where it is computed at each use, from what an element of each input costs; None for
        what is always stored, or comes from outside."""
        return None

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor | None:
        """The results of ``count`` applications, ``[count, *y.shape]``, as one operation; None where there is none.

        Each input holds that of all applications, with a further first dimension of ``count``, or it is the same for
        all and has the shape that it has in ``y``. Elementwise operations need no rule.
        """
        return None

    def batched_sum(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor | None:
        """The sum of the results of ``count`` applications, of the shape of ``y``, where it is less work than
        ``batched`` and a sum; inputs are as there."""
        return None

    def simplified(self, y: Tensor, inputs: Sequence[Tensor]) -> Tensor | None:
        """A shorter way to ``y`` from its inputs, which are simplified already; None if there is none."""
        return None

    broadcasts = False
    """Whether elements of an input may be repeated as NumPy does. The reverse rule may then give a gradient for each
    repetition, in the shape of the result, or one number for all: the reverse pass sums what was repeated."""

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
        """The reverse rule: for each input of ``y``, the gradient that reaches it when ``g`` reaches ``y``; None
        where no gradient flows."""
        return [None] * len(y.inputs)

    def reverse_parts(self, y: Tensor, gradients: Mapping[int, Tensor]) -> Sequence[Tensor | None]:
        """The reverse rule of an operation with several outputs. ``gradients`` holds what reaches each of them, by its
        number; it lacks those that nothing reaches."""
        return [None] * len(y.inputs)


class Tensor:
    """A value of the operator graph. Identity counts: compare with ``is``."""

    __slots__ = ("element", "inputs", "operation", "origin", "shape", "stored")

    def __init__(
        self,
        operation: Operation,
        inputs: tuple[Tensor, ...],
        shape: Shape,
        element: Element = "float",
        origin: Node | None = None,
        stored: Stored | None = None,
    ) -> None:
        self.operation = operation
        self.inputs = inputs
        self.shape = shape
        self.element: Element = element
        self.origin = origin
        """The node of the module graph that asked for it."""
        self.stored = stored or ELEMENTS[element].stored
        """The form of the elements in memory, if it is stored."""

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    def __repr__(self) -> str:
        return f"<{self.operation.name} {list(self.shape)} {self.element}>"

    # Arithmetic, so that reverse rules and optimizers read as their formulas do.
    def __add__(self, other: Tensor | float) -> Tensor:
        return _elementwise("add", self, other)

    def __radd__(self, other: float) -> Tensor:
        return _elementwise("add", other, self)

    def __sub__(self, other: Tensor | float) -> Tensor:
        return _elementwise("subtract", self, other)

    def __rsub__(self, other: float) -> Tensor:
        return _elementwise("subtract", other, self)

    def __mul__(self, other: Tensor | float) -> Tensor:
        return _elementwise("multiply", self, other)

    def __rmul__(self, other: float) -> Tensor:
        return _elementwise("multiply", other, self)

    def __truediv__(self, other: Tensor | float) -> Tensor:
        return _elementwise("divide", self, other)

    def __rtruediv__(self, other: float) -> Tensor:
        return _elementwise("divide", other, self)

    def __pow__(self, other: Tensor | float) -> Tensor:
        return _elementwise("power", self, other)

    def __neg__(self) -> Tensor:
        return _elementwise("negative", self)

    def __lt__(self, other: Tensor | float) -> Tensor:
        return _elementwise("less", self, other)

    def __gt__(self, other: Tensor | float) -> Tensor:
        return _elementwise("greater", self, other)

    def __ge__(self, other: Tensor | float) -> Tensor:
        return _elementwise("greater_equal", self, other)

    def __le__(self, other: Tensor | float) -> Tensor:
        return _elementwise("less_equal", self, other)


Apply = Callable[..., Tensor]
"""An elementwise operator by its name, on tensors and numbers: ``graphdl.operators.elementwise.apply``."""
_defined: list[Apply] = []


def define_arithmetic(apply: Apply) -> None:
    """Gives the signs of arithmetic their meaning. The elementwise operators do so: their own rules use the signs."""
    _defined[:] = [apply]


def _elementwise(name: str, *operands: Tensor | float) -> Tensor:
    return _defined[0](name, *operands)


# --------------------------------------------------------------------------------------------------------- sources


@dataclass(frozen=True)
class Source(Operation):
    """A tensor that comes from outside the program."""


@dataclass(frozen=True)
class Feed(Source):
    """Given anew at each run, by name."""

    key: str


@dataclass(frozen=True)
class Read(Source):
    """The value that the variable ``key`` had when the program began."""

    key: str


@dataclass(frozen=True, eq=False)
class Constant(Source):
    """One number, of shape []. Constants are equal when they are written alike: 0.0 and -0.0 are two."""

    value: float | int | bool

    def recomputed(self, operands: Sequence[int]) -> int | None:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and repr(other.value) == repr(self.value)

    def __hash__(self) -> int:
        return hash(repr(self.value))


@dataclass(frozen=True, eq=False)
class Array(Source):
    """A constant tensor; ``values`` in row-major order. Equal as constants are."""

    values: tuple[float | int | bool, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and repr(other.values) == repr(self.values)

    def __hash__(self) -> int:
        return hash(repr(self.values))


@dataclass(frozen=True, eq=False)
class Given(Source):
    """A leaf of the body of a loop: the loop says what it is at each step. Each is one of its own."""


def given(shape: Shape, element: Element = "float") -> Tensor:
    return Tensor(Given(), (), shape, element)


def feed(key: str, shape: Shape, element: Element = "float") -> Tensor:
    return Tensor(Feed(key), (), shape, element)


def read(key: str, shape: Shape, element: Element = "float") -> Tensor:
    return Tensor(Read(key), (), shape, element)


def constant(value: float | int | bool, element: Element | None = None) -> Tensor:
    if element is None:
        element = "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "float"
    return Tensor(Constant(float(value) if element == "float" else value), (), (), element)


def array(values: Any, element: Element = "float") -> Tensor:
    """A constant from a number or nested lists of numbers."""
    flat: list[Any] = []
    shape: list[int] = []
    level = values
    while isinstance(level, list | tuple):
        shape.append(len(level))
        level = level[0] if level else None

    def walk(value: Any) -> None:
        if isinstance(value, list | tuple):
            for item in value:
                walk(item)
        else:
            flat.append(value)

    walk(values)
    if not shape:
        return constant(flat[0], element)
    return Tensor(Array(tuple(flat)), (), tuple(shape), element)


def number(tensor: Tensor) -> float | None:
    """The value of a constant scalar, else None."""
    return tensor.operation.value if isinstance(tensor.operation, Constant) else None


# ----------------------------------------------------------------------------------------------------- other kinds


@dataclass(frozen=True)
class Elementwise(Operation):
    """``code`` makes a C expression from the operands' expressions and the vector width (1: scalars).

    Bools in a kernel are integers: 0 or 1 for a scalar, 0 or -1 in each lane of a vector.
    ``cost`` is about how many floating-point operations an element takes.
    """

    key: str
    code: Callable[[Sequence[str], int], str]
    gradient: Callable[[Tensor, Tensor], Sequence[Tensor | None]] | None
    cost: int = 1
    called: Callable[[int], Mapping[str, str]] | None = None
    """What ``functions`` gives, where the code calls any."""
    identity: bool = False
    """Whether the result is the operand, which kernels read in its place."""
    sums: bool = False
    """Whether the result is the sum of the operands."""
    odd: bool = False
    """Whether a sign before one operand is a sign before the result."""
    negates: bool = False
    """Whether the result is the operand with a sign before it."""
    broadcasts = True

    def functions(self, width: int) -> Mapping[str, str]:
        return self.called(width) if self.called is not None else {}

    @property
    def name(self) -> str:
        return self.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Elementwise) and other.key == self.key

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
        return self.gradient(y, g) if self.gradient else [None] * len(y.inputs)

    def flops(self, y: Tensor) -> int:
        return y.size * self.cost

    def evaluations(self, y: Tensor, x: Tensor) -> int:
        return y.size

    def recomputed(self, operands: Sequence[int]) -> int | None:
        return self.cost + sum(operands)


@dataclass(frozen=True, slots=True)
class Access:
    """Where a view finds an element: in input ``source`` at ``index``, if all ``guards`` hold; else ``otherwise``."""

    source: int
    index: tuple[Index, ...]
    guards: tuple[Guard, ...] = ()


Lookup = Callable[[int, Sequence[Index], "int | None"], Index]


class View(Operation):
    """Moves elements. ``accesses`` gives, for an output index, the places to look; the first whose guards hold counts.

    ``lookup(k, index, extent)`` gives the integer found in input ``k``, for views steered by data. With an extent it
    is known to lie from 0 to below it wherever the access is made: the data's type says so, or a guard asks. A guard's
    own value has the extent none: nothing is known of it.
    """

    otherwise: float = 0.0
    invertible = False
    """Every element of the one input is in the result exactly once, and ``inverse`` says where."""
    keeps_order = False
    """The elements keep their row-major order: only the shape differs."""

    @property
    def joins(self) -> int | None:
        """The dimension along which the inputs stand one after the other in the result; None where they do not."""
        return None

    def stretch(self, y: Tensor) -> tuple[int, int] | None:
        """A dimension along which the one input fills a stretch of the result, and where that begins, if all else of
        the result is 0; None if it is not so."""
        return None

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        raise NotImplementedError(type(self))

    def inverse(self, y: Tensor, index: tuple[Index, ...]) -> tuple[Index, ...]:
        """The index in ``y`` of the element that lies at ``index`` in the input, for a view that is ``invertible``."""
        raise NotImplementedError(type(self))

    def evaluations(self, y: Tensor, x: Tensor) -> int:
        """Of several inputs, each gives its elements about once."""
        return min(y.size, x.size) if len(y.inputs) > 1 else y.size

    def recomputed(self, operands: Sequence[int]) -> int | None:
        return 1 + max(operands)


class Generator(Operation):
    """A value made of its own index: ``code`` gives the C expression. Inputs, if any, are scalars.

    ``position`` is the number that ``code`` gets as a C expression: an ``int``, or a ``uint`` where ``unsigned``.
    ``cost`` is as for ``Elementwise``.
    """

    unsigned = False
    cost = 1

    def position(self, y: Tensor, index: Sequence[Index]) -> Index:
        raise NotImplementedError(type(self))

    def code(self, position: str, operands: Sequence[str], width: int) -> str:
        raise NotImplementedError(type(self))

    def flops(self, y: Tensor) -> int:
        return y.size * self.cost

    def recomputed(self, operands: Sequence[int]) -> int | None:
        return self.cost


Layout = Literal["row_major", "channels_last", "strided", "contiguous"]
"""How a tensor lies in memory. A strided operand has an offset and one stride a dimension, whatever they are; a
contiguous one is row-major within another tensor."""


class Template(Operation):
    """What a hand-written kernel computes."""

    takes_epilogue = True
    """Whether its kernel can compute further elementwise steps of what it stores."""
    operand_layout: Layout = "row_major"
    """How its operands lie in memory, unless a kernel family says it of each."""

    @property
    def family(self) -> Family[Any, Any]:
        """What knows how the kernel is prepared and called."""
        raise NotImplementedError(type(self))


@dataclass(frozen=True)
class Part(Operation):
    """One output of the operation that made the input, by its number.

    The outputs of a hand-written kernel have one shape, which is that of the input, and are stored together, element by
    element.
    """

    number: int


def parts(operation: Operation, inputs: Sequence[Tensor], outputs: Sequence[tuple[Shape, Element]]) -> list[Tensor]:
    """The outputs of an operation that has several, each with its shape and element type."""
    whole = Tensor(operation, tuple(inputs), outputs[0][0])
    return [Tensor(Part(k), (whole,), shape, element) for k, (shape, element) in enumerate(outputs)]


def adopt(made: Iterable[Tensor], parents: Iterable[Tensor], origin: Node | None) -> None:
    """Tensors newly made from ``parents`` belong to the node that asked for them."""
    if origin is None:
        return
    known = {id(x) for x in parents}
    stack = list(made)
    while stack:
        tensor = stack.pop()
        if tensor.origin is None and id(tensor) not in known:
            known.add(id(tensor))
            tensor.origin = origin
            stack.extend(tensor.inputs)


def topological(outputs: Iterable[Tensor], leaves: Collection[int] = ()) -> list[Tensor]:
    """Every tensor that the outputs need, inputs first; the same order from run to run.

    ``leaves`` are the ids of tensors whose own inputs are not asked for.
    """
    order: list[Tensor] = []
    seen: set[int] = set()
    for output in outputs:
        stack: list[Tensor | None] = [output]
        while stack:
            tensor = stack.pop()
            if tensor is None:  # the inputs of the tensor below have all been listed
                order.append(cast(Tensor, stack.pop()))
            elif id(tensor) not in seen:
                seen.add(id(tensor))
                if tensor.inputs and id(tensor) not in leaves:
                    stack += (tensor, None)
                    stack += tensor.inputs[::-1]
                else:
                    order.append(tensor)
    return order
