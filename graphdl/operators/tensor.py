"""The operator graph: tensors, each computed by one operation from other tensors. The compiler compiles this graph.

The batch is an ordinary first dimension of a ``Tensor``. An operation is a small immutable value that holds its
attributes. The compiler treats two tensors with equal operations and the same inputs as one.

The tensor of an operation with several outputs represents all of them and is never stored. Each output is a ``Part`` of
it. ``parts`` makes both.

There are few kinds of operation, and the compiler distinguishes only these:

===============  ======================================================================================
``Source``       a feed, a variable's value, a constant
``Elementwise``  a C expression of its operands; broadcasts as NumPy does
``View``         moves elements without computing: every output index has an input index, or none
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
from typing import TYPE_CHECKING, Any, Literal

from graphdl.graph.elements import ELEMENTS, Stored
from graphdl.graph.types import Element, Shape
from graphdl.operators.index import Guard, Index

if TYPE_CHECKING:
    import numpy as np

    from graphdl.graph.model import Node
    from graphdl.operators.kernels.family import Family


class Operation:
    """The operation that computes a tensor. Subclasses are frozen data classes whose fields are the attributes.

    Methods that raise NotImplementedError are the interface of a kind. The kinds are not abstract base classes:
    ``isinstance`` takes ten times as long for those, and the compiler calls it for every tensor in every pass.
    """

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    def functions(self, width: int) -> Mapping[str, str]:
        """The C functions, by name, that ``code`` calls in its form for vectors of ``width``."""
        return {}

    def flops(self, y: Tensor) -> int:
        """The number of floating-point operations that compute ``y`` from its inputs."""
        return 0

    def evaluations(self, y: Tensor, x: Tensor) -> int:
        """The number of elements of the input ``x`` that one computation of ``y`` reads."""
        return x.size

    def recomputed(self, operands: Sequence[int]) -> int | None:
        """The cost of one element if it is recomputed at each use, given the cost of an element of each input.

        None for a tensor that is always stored or is a source.
        """
        return None

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor | None:
        """The results of ``count`` applications, ``[count, *y.shape]``, as one operation; None if there is no rule.

        Each input holds either the inputs of all applications, with a further first dimension of ``count``, or one that
        is the same for all, with the shape that it has in ``y``. Elementwise operations need no rule.
        """
        return None

    def batched_sum(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor | None:
        """The sum over ``count`` applications, of the shape of ``y``, if that takes less work than ``batched`` and a
        sum; else None.

        The inputs are as for ``batched``.
        """
        return None

    def simplified(self, y: Tensor, inputs: Sequence[Tensor]) -> Tensor | None:
        """A simpler tensor equal to ``y``, from its simplified ``inputs``; None if there is none."""
        return None

    def typed(self, y: Tensor) -> bool:
        """Whether ``y`` and its inputs have the element types with which the operation computes.

        The compiler asks it of every tensor: see ``graphdl.compiler.typed``.
        """
        return True

    broadcasts = False
    """Whether elements of an input may be repeated as in NumPy's broadcasting.

    The reverse rule may then return a gradient of the result's shape, or a scalar. The reverse pass sums over the
    repeated elements.
    """

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
        """The reverse rule: the gradient of each input of ``y`` from ``g``, that of ``y``; None where no gradient
        flows.
        """
        return [None] * len(y.inputs)

    def reverse_parts(self, y: Tensor, gradients: Mapping[int, Tensor]) -> Sequence[Tensor | None]:
        """The reverse rule of an operation with several outputs.

        ``gradients`` holds the gradients of the outputs, by number; outputs without a gradient are missing.
        """
        return [None] * len(y.inputs)


class Tensor:
    """A value of the operator graph. Tensors compare by identity."""

    __slots__ = ("element", "inputs", "operation", "origin", "shape", "size", "stored")

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
        self.size = prod(shape)
        self.element: Element = element
        self.origin = origin
        """The node of the module graph from which the tensor was lowered."""
        self.stored = stored or ELEMENTS[element].stored
        """The form of the elements in memory, if the tensor is stored."""

    @property
    def rank(self) -> int:
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<{self.operation.name} {list(self.shape)} {self.element}>"

    # Arithmetic operators, for reverse rules and optimizers that read like formulas.
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
"""Applies an elementwise operator, by name, to tensors and numbers: ``graphdl.operators.elementwise.apply``."""
_defined: list[Apply] = []


def define_arithmetic(apply: Apply) -> None:
    """Defines the arithmetic operators of ``Tensor``. The elementwise operators call it; their own rules use the
    operators.
    """
    _defined[:] = [apply]


def _elementwise(name: str, *operands: Tensor | float) -> Tensor:
    return _defined[0](name, *operands)


# --------------------------------------------------------------------------------------------------------- sources


@dataclass(frozen=True)
class Source(Operation):
    """A tensor that comes from outside the program."""


@dataclass(frozen=True)
class Feed(Source):
    """A value given at each run, by name."""

    key: str


@dataclass(frozen=True)
class Read(Source):
    """The value of the variable ``key`` at the start of the program."""

    key: str


@dataclass(frozen=True, eq=False)
class Constant(Source):
    """One number, of shape []. Constants are equal if their texts are: 0.0 and -0.0 differ."""

    value: float | int | bool

    def recomputed(self, operands: Sequence[int]) -> int | None:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and repr(other.value) == repr(self.value)

    def __hash__(self) -> int:
        return hash(repr(self.value))


@dataclass(frozen=True, eq=False)
class Array(Source):
    """A constant tensor with ``values`` in row-major order. Equality is as for ``Constant``."""

    values: tuple[float | int | bool, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and repr(other.values) == repr(self.values)

    def __hash__(self) -> int:
        return hash(repr(self.values))


@dataclass(frozen=True, eq=False)
class Given(Source):
    """A leaf of the body of a loop, which sets its value at each step. No two are equal."""


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
    """The value of a constant scalar; None for any other tensor."""
    return tensor.operation.value if isinstance(tensor.operation, Constant) else None


# ----------------------------------------------------------------------------------------------------- other kinds


@dataclass(frozen=True, eq=False)
class Elementwise(Operation):
    """An elementwise formula. ``code`` makes its C expression from those of the operands and the vector width (1:
    scalars). There is one object for each operator, so they compare by identity.

    Bools in a kernel are integers: 0 or 1 for a scalar, 0 or -1 in each lane of a vector. ``cost`` is the approximate
    number of floating-point operations for an element.
    """

    key: str
    code: Callable[[Sequence[str], int], str]
    gradient: Callable[[Tensor, Tensor], Sequence[Tensor | None]] | None
    cost: int = 1
    called: Callable[[int], Mapping[str, str]] | None = None
    """The result of ``functions``, if the code calls any."""
    identity: bool = False
    """Whether the result equals the operand. Kernels then read the operand instead."""
    sums: bool = False
    """Whether the result is the sum of the operands."""
    odd: bool = False
    """Whether negating one operand negates the result."""
    negates: bool = False
    """Whether the result is the negated operand."""
    element: Element | None = None
    """The element type of the result; None if it is that of the operands."""
    masked: bool = False
    """Whether the first operand is a mask of bools beside the others."""
    broadcasts = True

    def functions(self, width: int) -> Mapping[str, str]:
        return self.called(width) if self.called is not None else {}

    @property
    def name(self) -> str:
        return self.key

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
        return self.gradient(y, g) if self.gradient else [None] * len(y.inputs)

    def typed(self, y: Tensor) -> bool:
        """All operands are of one type, except a mask."""
        operands, element = y.inputs, y.inputs[-1].element
        if self.masked:
            mask, operands = operands[0], operands[1:]
            if mask.element != "bool":
                return False
        for x in operands:  # called for every tensor
            if x.element != element:
                return False
        return y.element == (self.element or element)

    def flops(self, y: Tensor) -> int:
        return y.size * self.cost

    def evaluations(self, y: Tensor, x: Tensor) -> int:
        return y.size

    def recomputed(self, operands: Sequence[int]) -> int | None:
        return self.cost + sum(operands)


@dataclass(frozen=True, slots=True)
class Access:
    """One place from which a view may read: input ``source`` at ``index``, provided that all ``guards`` hold."""

    source: int
    index: tuple[Index, ...]
    guards: tuple[Guard, ...] = ()


Lookup = Callable[[int, Sequence[Index], "int | None"], Index]


class View(Operation):
    """Moves elements. ``accesses`` lists, for an output index, the places to read; the first whose guards hold is used,
    or the value is ``otherwise``.

    ``lookup(k, index, extent)`` is an integer read from input ``k``, for views indexed by data. With an extent, 0 ≤
    integer < extent wherever the access is made: the type of the data or a guard ensures it. A guard itself looks up
    with the extent None, as nothing is known about the integer.
    """

    otherwise: float = 0.0
    invertible = False
    """Whether the result holds every element of the one input exactly once. ``inverse`` then gives its index."""
    keeps_order = False
    """Whether the elements keep their row-major order, so that only the shape differs."""

    @property
    def joins(self) -> int | None:
        """The dimension along which the view concatenates its inputs; None if it does not."""
        return None

    def stretch(self, y: Tensor) -> tuple[int, int] | None:
        """The dimension along which the view pads its input with zeros, and the index where the input begins.

        None if it pads several dimensions, spreads the elements, or is not a padding with zeros.
        """
        return None

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        raise NotImplementedError(type(self))

    def typed(self, y: Tensor) -> bool:
        if len(y.inputs) == 1:  # most views
            return y.inputs[0].element == y.element
        return all(x.element == y.element for x in y.inputs)

    def inverse(self, y: Tensor, index: tuple[Index, ...]) -> tuple[Index, ...]:
        """The index in ``y`` of the input's element at ``index``. Only for views that are ``invertible``."""
        raise NotImplementedError(type(self))

    def evaluations(self, y: Tensor, x: Tensor) -> int:
        """With several inputs, each element of them is read about once."""
        return min(y.size, x.size) if len(y.inputs) > 1 else y.size

    def recomputed(self, operands: Sequence[int]) -> int | None:
        return 1 + max(operands)


class Generator(Operation):
    """A function of the element's index: ``code`` gives its C expression. Inputs, if any, are scalars.

    ``position`` is the number passed to ``code`` as a C expression: an ``int``, or a ``uint`` if ``unsigned``. ``cost``
    is as for ``Elementwise``.
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
"""The memory layout of a tensor. A strided operand has an offset and any stride for each dimension. A contiguous
operand is row-major within another tensor.
"""


class Template(Operation):
    """An operation computed by a hand-written kernel."""

    takes_epilogue = True
    """Whether the kernel can apply further elementwise steps to the values that it stores."""
    operand_layout: Layout = "row_major"
    """The layout of all operands, unless the kernel family gives one for each."""

    def reference(self, y: Tensor, inputs: Sequence[np.ndarray]) -> np.ndarray | None:
        """The result as NumPy computes it in float64, from float64 inputs. A form of a kernel must agree with it to be
        chosen. Without an implementation the result is None, and forms are compared with the predicted form instead.
        """
        return None

    @property
    def family(self) -> Family[Any, Any]:
        """The kernel family, which prepares and calls the kernel."""
        raise NotImplementedError(type(self))


@dataclass(frozen=True)
class Part(Operation):
    """One output, by number, of the operation that computes the input.

    The outputs of a hand-written kernel all have the shape of the input and are stored together, element by element.
    """

    number: int


def parts(operation: Operation, inputs: Sequence[Tensor], outputs: Sequence[tuple[Shape, Element]]) -> list[Tensor]:
    """The outputs of an operation with several, each with its shape and element type."""
    whole = Tensor(operation, tuple(inputs), outputs[0][0])
    return [Tensor(Part(k), (whole,), shape, element) for k, (shape, element) in enumerate(outputs)]


def adopt(made: Iterable[Tensor], parents: Iterable[Tensor], origin: Node | None) -> None:
    """Sets the origin of tensors that were made from ``parents`` and have none yet."""
    if origin is None:
        return
    known = set(parents)
    stack = list(made)
    while stack:
        tensor = stack.pop()
        if (tensor.origin is None or tensor.origin is origin) and tensor not in known:
            known.add(tensor)
            tensor.origin = origin
            stack.extend(tensor.inputs)


def topological(outputs: Iterable[Tensor], leaves: Collection[Tensor] = ()) -> list[Tensor]:
    """All tensors that the outputs need, inputs first, in an order that is the same from run to run.

    The inputs of ``leaves`` are not visited.
    """
    order: list[Tensor] = []
    seen: set[Tensor] = set()
    for output in outputs:
        stack: list[Any] = [output]
        while stack:
            tensor = stack.pop()
            if tensor is None:  # the inputs of the tensor below have all been listed
                order.append(stack.pop())
            elif tensor not in seen:
                seen.add(tensor)
                inputs = tensor.inputs
                if inputs and tensor not in leaves:
                    stack += (tensor, None, *inputs[::-1])
                else:
                    order.append(tensor)
    return order
