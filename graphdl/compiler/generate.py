"""Elementwise kernels, and the parts that all generated kernels share.

An elementwise kernel runs over the elements of its outputs. The innermost dimension runs in vectors:

    for rows of this work-item:
        for vectors of a row: load operands, compute, store outputs;  then the remainder of the row in narrower vectors
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, prod

from graphdl.compiler.emit import Emitter, Lanes
from graphdl.compiler.expression import (
    Expression,
    Load,
    Rebinder,
    Result,
    Strides,
    Tracer,
    domain,
    indices_of,
    walk,
)
from graphdl.compiler.loops import Deal, advance, deal, decode, merge
from graphdl.compiler.program import Target
from graphdl.operators.index import Index, LoopVariable
from graphdl.operators.tensor import Tensor, View


@dataclass(frozen=True)
class Body:
    """The statements of a kernel and its launch sizes. Pointers are named ``p0, p1, …`` in the
    order of ``operands``.
    """

    text: str
    global_size: int
    local_size: int
    in_place: tuple[tuple[Tensor, Tensor], ...] = ()
    """Pairs of an operand and an output that may share memory if the operand is not needed later."""
    shared: str = ""
    """Declarations of arrays in local memory, which OpenCL C wants at the beginning of a kernel."""


class Operands:
    """Names the pointers of a kernel in the order of their first use.

    The constant part of a tensor's first address is added to its pointer. Kernels that differ only in it, such as the
    steps of a scan, then have the same text.
    """

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.starts: list[int] = []
        """For each tensor, the element to which its pointer points."""
        self.written: set[Tensor] = set()
        self.functions: dict[str, str] = {}
        """The C functions that the kernel calls, by name."""

    def locate(self, tensor: Tensor, address: Index) -> tuple[str, Index]:
        """The pointer of a tensor, and ``address`` relative to that pointer."""
        if tensor not in self.tensors:
            self.tensors.append(tensor)
            self.starts.append(max(0, address.constant))
        position = self.tensors.index(tensor)
        return f"p{position}", address - self.starts[position]

    @property
    def pointers(self) -> list[tuple[Tensor, int]]:
        """The tensors, each with the element that its pointer points at."""
        return list(zip(self.tensors, self.starts, strict=True))

    def moved(self, twins: Mapping[Tensor, Tensor]) -> Operands:
        """The same names for other tensors in place of those of ``twins``."""
        made = Operands()
        made.tensors = [twins.get(t, t) for t in self.tensors]
        made.starts, made.functions = self.starts, self.functions
        made.written = {twins.get(t, t) for t in self.written}
        return made

    def locate_written(self, tensor: Tensor, address: Index) -> tuple[str, Index]:
        self.written.add(tensor)
        return self.locate(tensor, address)


def address_of(index: Sequence[Index], strides: Sequence[int]) -> Index:
    total = Index(0)
    for i, stride in zip(index, strides, strict=True):
        total = total + i * stride
    return total


def forward_index(chain: Sequence[Tensor], index: tuple[Index, ...]) -> tuple[Index, ...]:
    """The index in the last tensor of a chain that corresponds to ``index`` in the first."""
    for before, after in pairwise(chain):
        if isinstance(after.operation, View):
            index = after.operation.inverse(after, index)
        else:
            assert after.shape == before.shape
    return index


# ----------------------------------------------------------------------------------------------------- elementwise


class ElementwiseKernels:
    """Writes elementwise kernels and caches their texts.

    Updates of parameters of one shape differ only in their tensors, so they share one text.
    """

    def __init__(self, strides: Strides, target: Target) -> None:
        self.strides = strides
        self.target = target
        self._known: dict[Hashable, tuple[Body, Operands, Sequence[Tensor]]] = {}

    def write(self, outputs: Sequence[Tensor], operands: Operands) -> Body:
        """A kernel that computes ``outputs`` of one shape. Each output may depend on those before it."""
        form, tensors = _form(outputs, self.strides)
        known = self._known.get(form)
        if known is None:
            made = Operands()
            known = self._known[form] = elementwise(outputs, self.strides, self.target, made), made, tensors
        body, made, numbered = known
        here = dict(zip(numbered, tensors, strict=True))
        operands.tensors.extend(here[t] for t in made.tensors)
        operands.starts.extend(made.starts)
        operands.written.update(here[t] for t in made.written)
        operands.functions.update(made.functions)
        return replace(body, in_place=tuple((here[x], here[y]) for x, y in body.in_place))


def _form(outputs: Sequence[Tensor], strides: Strides) -> tuple[Hashable, list[Tensor]]:
    """The key that determines the text of an elementwise kernel, in which numbers stand for tensors; and the tensors by
    number.
    """
    number: dict[Tensor, int] = {}
    computed: set[Tensor] = set()
    stack = list(outputs)
    while stack:
        tensor = stack.pop()
        if tensor not in number:
            number[tensor] = len(number)
            if tensor in outputs or tensor not in strides:
                computed.add(tensor)
                stack += tensor.inputs
    form: list[Hashable] = [number[output] for output in outputs]
    for tensor in number:
        made: Hashable = None
        if tensor in computed:
            made = tensor.operation, tuple([number[x] for x in tensor.inputs])
        form.append((made, tensor.shape, tensor.element, tensor.stored, strides.get(tensor)))
    return tuple(form), list(number)


def elementwise(outputs: Sequence[Tensor], strides: Strides, target: Target, operands: Operands) -> Body:
    """A kernel that computes ``outputs`` of one shape. Each output may depend on those before it."""
    shape = outputs[0].shape
    variables = domain(shape)
    index = tuple(Index.of(v) for v in variables)
    tracer = Tracer(strides, outputs)
    expressions = [tracer.trace(output, index, root=True) for output in outputs]
    places = [address_of(index, strides[output]) for output in outputs]
    order = sorted(variables, key=lambda v: -strides[outputs[0]][variables.index(v)])
    loops, values = merge(order, [*places, *indices_of(expressions)])
    rebinder = Rebinder(values)
    expressions = [rebinder.expression(e) for e in expressions]
    places = [rebinder.index(place) for place in places]
    vector = loops[-1] if loops else None
    widths = widths_of(vector, expressions, places, target)
    rows = prod(v.extent for v in loops[:-1])
    columns = ceil(vector.extent / widths.main) if vector else 1
    cost = sum(len(indices_of([e])) for e in expressions) + 1
    plan = deal(rows, columns, rows * (vector.extent if vector else 1) * cost, target)

    def body(lanes: int) -> list[str]:
        emitter = Emitter(lanes_along(vector, lanes), operands, {})
        write(emitter, outputs, expressions, places, operands)
        return emitter.lines

    text = "\n".join(loop_nest(loops, plan, rows, widths, body))
    return Body(text, plan.items, plan.local, _in_place(outputs, expressions, places))


def write(
    emitter: Emitter,
    outputs: Sequence[Tensor],
    expressions: Sequence[Expression],
    places: Sequence[Index],
    operands: Operands,
) -> None:
    """Computes all outputs before it stores any: an output may share memory with an operand of another one.

    An output that others are computed from is rounded to its form in memory first. Every kernel then computes with the
    same value.
    """
    used = _used(outputs, expressions) if any(output.stored.source for output in outputs) else set()
    for output, expression in zip(outputs, expressions, strict=True):
        emitter.results[output] = emitter.keep(expression)
        if output in used:
            emitter.results[output] = emitter.rounded(output, emitter.results[output])
    for output, place in zip(outputs, places, strict=True):
        pointer, address = operands.locate_written(output, place)
        emitter.store(output, pointer, address, emitter.results[output])


def _used(outputs: Sequence[Tensor], expressions: Sequence[Expression]) -> set[Tensor]:
    """The outputs in a form of their own from which other outputs are computed."""
    each = zip(outputs, expressions, strict=True)
    found = {e.tensor for output, x in each for e in walk([x]) if isinstance(e, Result) and e.tensor is not output}
    return {output for output in outputs if output in found and output.stored.source}


def _in_place(
    outputs: Sequence[Tensor], expressions: Sequence[Expression], places: Sequence[Index]
) -> tuple[tuple[Tensor, Tensor], ...]:
    """Pairs (operand, output) that may share memory: the operand is read only at the address where the output is
    written.
    """
    addresses: dict[Tensor, set[Index]] = {}
    for expression in walk(expressions):
        if isinstance(expression, Load):
            addresses.setdefault(expression.tensor, set()).add(expression.address)
    return tuple(
        (tensor, output)
        for tensor, found in addresses.items()
        for output, place in zip(outputs, places, strict=True)
        if found == {place} and tensor.size == output.size and tensor.stored == output.stored
    )


@dataclass(frozen=True)
class Widths:
    """The number of lanes of the vectors of a row, and of the narrower vectors for its remainder."""

    main: int
    rest: int


def widths_of(
    vector: LoopVariable | None, expressions: Sequence[Expression], places: Sequence[Index], target: Target
) -> Widths:
    """The widest vectors that fit into the innermost loop and suit every access; and the width for its remainder."""
    if vector is None:
        return Widths(1, 1)

    def possible(width: int) -> bool:
        lanes = Lanes(vector, width)
        return all(lanes.step(place) is not None for place in places) and lanes.can_run(expressions)

    main = target.vector_width
    while main > 1 and (vector.extent < main or not possible(main)):
        main //= 2
    left = vector.extent % main
    rest = left & -left if left else 1
    while rest > 1 and not possible(rest):
        rest //= 2
    return Widths(main, rest)


def lanes_along(vector: LoopVariable | None, width: int) -> Lanes | None:
    return Lanes(vector, width) if vector is not None and width > 1 else None


def loop_nest(
    loops: Sequence[LoopVariable], plan: Deal, rows: int, widths: Widths, body: Callable[[int], list[str]]
) -> list[str]:
    """The loops around a body, for the work-item ``item``.

    The body is written for vectors and, if a row leaves a remainder, for narrower ones.
    """
    if not loops:
        return ["if (item == 0) {", *body(1), "}"]
    lines = []
    vector = loops[-1]
    span = plan.columns_each * widths.main
    if plan.column_chunks == 1:
        lines.append(f"const int first_row = item * {plan.rows_each};")
    else:
        lines.append(f"const int first_row = item / {plan.column_chunks} * {plan.rows_each};")
    lines.append(f"const int last_row = min(first_row + {plan.rows_each}, {rows});")
    begin, end = "0", str(vector.extent)
    if plan.column_chunks > 1:
        begin = f"item % {plan.column_chunks} * {span}"
        end = f"min({begin} + {span}, {vector.extent})"
    lines.append(f"const int begin = {begin}, end = {end};")
    # Divisions for each row would take longer than the rows themselves if these are short.
    steps = plan.rows_each > 1 and len(loops) > 2
    if steps:
        lines.extend(decode(loops[:-1], "first_row", "int"))
    lines.append("for (int row = first_row; row < last_row; ++row) {")
    if not steps:
        lines.extend(decode(loops[:-1], "row"))
    name = vector.name
    lines.append(f"int {name}_ = begin;")
    for width in (widths.main, widths.rest) if vector.extent % widths.main else (widths.main,):
        lines.append(f"for (; {name}_ + {width} <= end; {name}_ += {width}) {{ const int {name} = {name}_;")
        lines.extend(body(width))
        lines.append("}")
    if steps:
        lines.extend(advance(loops[:-1]))
    lines.append("}")
    return lines
