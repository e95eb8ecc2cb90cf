"""The computation of one element in a generated kernel: a tree of loads and formulas with linear addresses.

``Tracer`` follows a tensor back to the realized tensors that it depends on. A view leaves no node in the tree: it only
changes the index at which its input is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphdl.graph.types import Element
from graphdl.operators.index import Guard, Index, Loaded, LoopVariable, variables_of
from graphdl.operators.tensor import Constant, Elementwise, Generator, Tensor, View


@dataclass(frozen=True, eq=False)
class Expression:
    """A value in a kernel. Expressions compare by identity, so that a shared value is computed once."""

    element: Element


@dataclass(frozen=True, eq=False)
class Number(Expression):
    value: float | int | bool


@dataclass(frozen=True, eq=False)
class Load(Expression):
    """The element of a realized tensor at ``address``, in elements from the tensor's first."""

    tensor: Tensor
    index: tuple[Index, ...]
    address: Index


@dataclass(frozen=True, eq=False)
class Apply(Expression):
    operation: Elementwise
    operands: tuple[Expression, ...]


@dataclass(frozen=True, eq=False)
class Generate(Expression):
    operation: Generator
    position: Index
    operands: tuple[Expression, ...]


@dataclass(frozen=True, eq=False)
class Result(Expression):
    """A value that the kernel itself has computed: the result of a reduction or template, or an
    output stored earlier.
    """

    tensor: Tensor


@dataclass(frozen=True, eq=False)
class Choose(Expression):
    """The value of the first case whose guards all hold, or ``otherwise`` if there is no such case."""

    cases: tuple[tuple[tuple[Guard, ...], Expression], ...]
    otherwise: float


Strides = Mapping[Tensor, tuple[int, ...]]


class Tracer:
    """Traces tensors at an index.

    ``strides`` has an entry for every realized tensor. ``results`` are the tensors that the kernel itself computes.
    """

    def __init__(self, strides: Strides, results: Sequence[Tensor] = ()) -> None:
        self.strides = strides
        self.results = set(results)
        self._known: dict[tuple[int, tuple[Index, ...]], Expression] = {}

    def trace(self, tensor: Tensor, index: tuple[Index, ...], *, root: bool = False) -> Expression:
        """The expression of ``tensor`` at ``index``; with ``root``, its formula even if the tensor is realized."""
        key = (id(tensor), index)
        if not root and key in self._known:
            return self._known[key]
        expression = self._trace(tensor, index, root)
        if not (root and tensor.stored.source):  # other tensors are computed from what is stored, not from the formula
            self._known[key] = expression
        return expression

    def _trace(self, tensor: Tensor, index: tuple[Index, ...], root: bool) -> Expression:
        operation = tensor.operation
        if tensor in self.results and not root:
            return Result(tensor.element, tensor)
        if isinstance(operation, Constant):
            return Number(tensor.element, operation.value)
        if tensor in self.strides and not root:
            address = Index(0)
            for i, stride in zip(index, self.strides[tensor], strict=True):
                address = address + i * stride
            return Load(tensor.element, tensor, index, address.recombined())
        if isinstance(operation, Elementwise):
            operands = tuple(self.trace(x, broadcast_index(index, x)) for x in tensor.inputs)
            return operands[0] if operation.identity else Apply(tensor.element, operation, operands)
        if isinstance(operation, View):
            return self._view(tensor, operation, index)
        if isinstance(operation, Generator):
            operands = tuple(self.trace(x, ()) for x in tensor.inputs)
            return Generate(tensor.element, operation, operation.position(tensor, index), operands)
        raise AssertionError(f"{tensor} is not realized")

    def _view(self, tensor: Tensor, view: View, index: tuple[Index, ...]) -> Expression:
        def lookup(k: int, at: Sequence[Index], extent: int | None) -> Index:
            source = tensor.inputs[k]
            expression = self.trace(source, tuple(at))
            uses = frozenset().union(*(variables_of(i) for i in at)) if at else frozenset()
            return Index.of(Loaded(expression, extent, uses))

        accesses = view.accesses(tensor, index, lookup)
        if len(accesses) == 1 and not accesses[0].guards:
            return self.trace(tensor.inputs[accesses[0].source], accesses[0].index)
        cases = []
        for access in accesses:
            if not any(guard.never for guard in access.guards):
                source = self.trace(tensor.inputs[access.source], access.index)
                cases.append((tuple(g for g in access.guards if not g.always), source))
        return Choose(tensor.element, tuple(cases), view.otherwise)


def broadcast_index(index: tuple[Index, ...], x: Tensor) -> tuple[Index, ...]:
    """The index into an operand under NumPy's broadcasting."""
    tail = index[len(index) - x.rank :]
    return tuple(Index(0) if n == 1 else i for i, n in zip(tail, x.shape, strict=True))


def domain(shape: Sequence[int], prefix: str = "i") -> tuple[LoopVariable, ...]:
    """One loop variable for each dimension."""
    return tuple(LoopVariable(f"{prefix}{d}", n) for d, n in enumerate(shape))


def walk(expressions: Sequence[Expression]) -> Iterator[Expression]:
    """Yields every expression of the trees once."""
    seen: set[int] = set()
    stack = list(reversed(expressions))
    while stack:
        expression = stack.pop()
        if id(expression) in seen:
            continue
        seen.add(id(expression))
        yield expression
        match expression:
            case Apply():
                stack.extend(expression.operands)
            case Generate():
                stack.extend(expression.operands)
                stack.extend(_loaded([expression.position]))
            case Load():
                stack.extend(_loaded([expression.address]))
            case Choose():
                for guards, value in expression.cases:
                    stack.append(value)
                    stack.extend(_loaded([g.value for g in guards]))


def _loaded(indices: Sequence[Index]) -> list[Expression]:
    found = []
    for index in indices:
        for atom, _ in index.terms:
            if isinstance(atom, Loaded):
                assert isinstance(atom.expression, Expression)
                found.append(atom.expression)
            elif not isinstance(atom, LoopVariable):
                found.extend(_loaded([atom.value]))
    return found


def indices_of(expressions: Sequence[Expression]) -> list[Index]:
    """All linear forms in the trees: addresses, positions and the values of guards."""
    result = []
    for expression in walk(expressions):
        match expression:
            case Load():
                result.append(expression.address)
            case Generate():
                result.append(expression.position)
            case Choose():
                result.extend(g.value for guards, _ in expression.cases for g in guards)
    return result


class Rebinder:
    """Replaces loop variables in expressions. Shared subexpressions stay shared."""

    def __init__(self, values: Mapping[LoopVariable, Index]) -> None:
        self.values = values
        self._known: dict[int, Expression] = {}

    def index(self, index: Index) -> Index:
        return index.substitute(self.values, self._loaded)

    def _loaded(self, atom: Loaded) -> Index:
        assert isinstance(atom.expression, Expression)
        uses = frozenset().union(*(variables_of(self.values.get(v, Index.of(v))) for v in atom.uses))
        return Index.of(Loaded(self.expression(atom.expression), atom.extent, uses))

    def expression(self, expression: Expression) -> Expression:
        known = self._known.get(id(expression))
        if known is None:
            known = self._known[id(expression)] = self._rebound(expression)
        return known

    def _rebound(self, expression: Expression) -> Expression:
        match expression:
            case Load():
                return Load(expression.element, expression.tensor, expression.index, self.index(expression.address))
            case Apply():
                operands = tuple(self.expression(x) for x in expression.operands)
                return Apply(expression.element, expression.operation, operands)
            case Generate():
                operands = tuple(self.expression(x) for x in expression.operands)
                return Generate(expression.element, expression.operation, self.index(expression.position), operands)
            case Choose():
                cases = tuple(
                    (
                        tuple(Guard(self.index(g.value), g.low, g.high, g.divisor) for g in guards),
                        self.expression(value),
                    )
                    for guards, value in expression.cases
                )
                return Choose(expression.element, cases, expression.otherwise)
            case _:
                return expression
