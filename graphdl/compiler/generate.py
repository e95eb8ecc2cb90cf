"""Generated kernels: elementwise loops, and reductions with what is computed before and after them.

An elementwise kernel runs over the elements of its outputs, innermost dimension in vectors:

    for rows of this work-item:
        for vectors of a row: load operands, compute, store outputs;  then the rest of the row by scalars

A reduction runs over the kept dimensions outside and the reduced ones inside. The vector runs along the dimension that
is contiguous in the largest operand: a kept one (each lane its own result) or a reduced one (lanes are added up last).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, prod

from graphdl.compiler.emit import REGISTER, Emitter, Lanes
from graphdl.compiler.expression import Expression, Load, Rebinder, Strides, Tracer, domain, indices_of, walk
from graphdl.compiler.loops import Deal, deal, decode, memory_order, merge
from graphdl.compiler.program import Target
from graphdl.operators.index import Index, Variable
from graphdl.operators.structure import Reshape, Transpose, regroup
from graphdl.operators.tensor import Reduction, Tensor


@dataclass(frozen=True)
class Body:
    """A kernel's statements and how it is launched. Pointers are ``p0, p1, …`` in the order of ``operands``."""

    text: str
    global_size: int
    local_size: int
    in_place: tuple[tuple[Tensor, Tensor], ...] = ()
    """Pairs of an operand and an output that may share memory if nobody needs the operand later."""


class Operands:
    """Names the pointers of a kernel in the order in which they are first used.

    What is constant in a tensor's first address goes into its pointer, so that kernels which differ in nothing else are
    one: the steps of a scan, say.
    """

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.starts: list[int] = []
        """For each tensor the element that its pointer points at."""
        self.written: set[Tensor] = set()

    def locate(self, tensor: Tensor, address: Index) -> tuple[str, Index]:
        """The pointer of a tensor and the address from there."""
        if tensor not in self.tensors:
            self.tensors.append(tensor)
            self.starts.append(max(0, address.constant))
        position = self.tensors.index(tensor)
        return f"p{position}", address - self.starts[position]

    def locate_written(self, tensor: Tensor, address: Index) -> tuple[str, Index]:
        self.written.add(tensor)
        return self.locate(tensor, address)


def address_of(index: Sequence[Index], strides: Sequence[int]) -> Index:
    total = Index(0)
    for i, stride in zip(index, strides, strict=True):
        total = total + i * stride
    return total


def forward_index(chain: Sequence[Tensor], index: tuple[Index, ...]) -> tuple[Index, ...]:
    """The index in the last tensor of a chain of what the first holds at ``index``."""
    for before, after in pairwise(chain):
        match after.operation:
            case Reshape():
                index = regroup(index, before.shape, after.shape)
            case Transpose():
                index = tuple(index[d] for d in after.operation.order)
            case _:
                assert after.shape == before.shape
    return index


# ----------------------------------------------------------------------------------------------------- elementwise


def elementwise(outputs: Sequence[Tensor], strides: Strides, target: Target, operands: Operands) -> Body:
    """A kernel that computes tensors of one shape, each perhaps from those before it."""
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
    widths = _widths(vector, expressions, places, target)
    rows = prod(v.extent for v in loops[:-1])
    columns = ceil(vector.extent / widths.main) if vector else 1
    cost = sum(1 for e in expressions for _ in indices_of([e])) + 1
    plan = deal(rows, columns, rows * (vector.extent if vector else 1) * cost, target)

    def body(lanes: int) -> list[str]:
        emitter = Emitter(_lanes(vector, lanes), operands.locate, {})
        write(emitter, outputs, expressions, places, operands)
        return emitter.lines

    text = "\n".join(_nest(loops, plan, rows, widths, body))
    return Body(text, plan.items, plan.local, _in_place(outputs, expressions, places))


def write(
    emitter: Emitter,
    outputs: Sequence[Tensor],
    expressions: Sequence[Expression],
    places: Sequence[Index],
    operands: Operands,
) -> None:
    """Computes all outputs, then stores them: an output may lie where an operand of another one lies."""
    for output, expression in zip(outputs, expressions, strict=True):
        emitter.results[output] = emitter.keep(expression)
    for output, place in zip(outputs, places, strict=True):
        pointer, address = operands.locate_written(output, place)
        emitter.store(output.element, pointer, address, emitter.results[output])


def _in_place(
    outputs: Sequence[Tensor], expressions: Sequence[Expression], places: Sequence[Index]
) -> tuple[tuple[Tensor, Tensor], ...]:
    """Pairs (operand, output) that may share memory: the operand is read only where the output is written."""
    addresses: dict[Tensor, set[Index]] = {}
    for expression in walk(expressions):
        if isinstance(expression, Load):
            addresses.setdefault(expression.tensor, set()).add(expression.address)
    return tuple(
        (tensor, output)
        for tensor, found in addresses.items()
        for output, place in zip(outputs, places, strict=True)
        if found == {place} and tensor.size == output.size and tensor.element == output.element
    )


@dataclass(frozen=True)
class Widths:
    """Lanes of the vectors of a row, and of those of the rest that they leave."""

    main: int
    rest: int


def _widths(
    vector: Variable | None, expressions: Sequence[Expression], places: Sequence[Index], target: Target
) -> Widths:
    """The widest vectors that the innermost loop fills and every access allows; the rest goes by narrower ones."""
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


def _lanes(vector: Variable | None, width: int) -> Lanes | None:
    return Lanes(vector, width) if vector is not None and width > 1 else None


def _nest(
    loops: Sequence[Variable], plan: Deal, rows: int, widths: Widths, body: Callable[[int], list[str]]
) -> list[str]:
    """The loops around a body that is written for vectors and, where a row leaves a rest, for narrower ones."""
    lines = ["const int item = get_global_id(0);"]
    if not loops:
        return [*lines, "if (item == 0) {", *body(1), "}"]
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
    lines.append("for (int row = first_row; row < last_row; ++row) {")
    lines.extend(decode(loops[:-1], "row"))
    name = vector.name
    lines.append(f"int {name}_ = begin;")
    for width in (widths.main, widths.rest) if vector.extent % widths.main else (widths.main,):
        lines.append(f"for (; {name}_ + {width} <= end; {name}_ += {width}) {{ const int {name} = {name}_;")
        lines.extend(body(width))
        lines.append("}")
    lines.append("}")
    return lines


# ------------------------------------------------------------------------------------------------------- reductions


@dataclass
class _Reduced:
    """One reduction of a kernel: what it combines, and where its position is counted."""

    root: Tensor
    expression: Expression
    position: Index
    name: str

    @property
    def kind(self) -> str:
        assert isinstance(self.root.operation, Reduction)
        return self.root.operation.kind

    @property
    def element(self) -> str:
        return REGISTER[self.root.inputs[0].element]

    @property
    def worse(self) -> str:
        """The comparison that holds when the kept value must give way. A NaN that is kept stays."""
        return ">" if self.kind == "min" else "<"

    def declare(self, width: int) -> list[str]:
        suffix = str(width) if width > 1 else ""
        start = {"sum": "0", "max": "-INFINITY", "argmax": "-INFINITY", "min": "INFINITY"}[self.kind]
        if self.element == "int" and self.kind != "sum":
            start = "INT_MAX" if self.kind == "min" else "INT_MIN"
        lines = [f"{self.element}{suffix} {self.name} = ({self.element}{suffix})({start});"]
        if self.kind == "argmax":
            lines.append(f"int{suffix} {self.name}_at = (int{suffix})(0);")
        return lines

    def combine(self, value: str, position: str, width: int) -> list[str]:
        name = self.name
        if self.kind == "sum":
            return [f"{name} += {value};"]
        if self.kind != "argmax":
            return [f"{name} = {name} {self.worse} {value} ? {value} : {name};"]
        if width == 1:
            return [f"if ({value} > {name}) {{ {name} = {value}; {name}_at = {position}; }}"]
        mask = f"{name}_mask"
        return [
            f"const int{width} {mask} = {value} > {name};",
            f"{name}_at = {mask} ? {position} : {name}_at;",
            f"{name} = {mask} ? {value} : {name};",
        ]

    def across(self, width: int) -> list[str]:
        """Combines the lanes of the vector ``name`` into the scalar ``name_all``, always in the same order."""
        name = self.name
        lines = [f"{self.element} {name}_all = {name}.s0;"]
        if self.kind == "argmax":
            lines.append(f"int {name}_all_at = {name}_at.s0;")
        for digit in "123456789abcdef"[: width - 1]:
            lane = f"{name}.s{digit}"
            if self.kind == "sum":
                lines.append(f"{name}_all += {lane};")
            elif self.kind != "argmax":
                lines.append(f"{name}_all = {name}_all {self.worse} {lane} ? {lane} : {name}_all;")
            else:
                at = f"{name}_at.s{digit}"
                better = f"{lane} > {name}_all || ({lane} == {name}_all && {at} < {name}_all_at)"
                lines.append(f"if ({better}) {{ {name}_all = {lane}; {name}_all_at = {at}; }}")
        return lines

    def result(self, suffix: str = "") -> str:
        return f"{self.name}{suffix}_at" if self.kind == "argmax" else f"{self.name}{suffix}"


def reduction(
    roots: Sequence[Tensor],
    outputs: Sequence[Tensor],
    chains: Mapping[Tensor, Sequence[Tensor]],
    strides: Strides,
    target: Target,
    operands: Operands,
) -> Body:
    """A kernel that reduces tensors of one shape over the same axes, and computes ``outputs`` of the results.

    ``chains`` holds for each output the way from its root.
    """
    operation, x = roots[0].operation, roots[0].inputs[0]
    assert isinstance(operation, Reduction)
    variables = domain(x.shape)
    inner = [variables[a] for a in operation.axes]
    outer = [v for a, v in enumerate(variables) if a not in operation.axes]
    index = tuple(Index.of(v) for v in variables)
    tracer = Tracer(strides)
    traced = [tracer.trace(root.inputs[0], index) for root in roots]
    order = memory_order(variables, traced)
    kept_index = tuple(Index(0) if a in operation.axes else i for a, i in enumerate(index))
    after = Tracer(strides, [*roots, *outputs])
    tails, places = [], []
    for output in outputs:
        at = forward_index(chains[output], kept_index)
        tails.append(after.trace(output, at, root=output not in roots))
        places.append(address_of(at, strides[output]))
    count = Index(0)
    for a in operation.axes:
        count = count * x.shape[a] + index[a]
    counts = [count] if any(_kind(r) == "argmax" for r in roots) else []

    outer_loops, outer_values = merge(
        [v for v in order if v in outer], [*indices_of(traced), *places, *indices_of(tails)]
    )
    # the first of equal maxima counts, so positions must come in their order
    inner_order = inner if counts else [v for v in order if v in inner]
    inner_loops, inner_values = merge(inner_order, [*indices_of(traced), *counts])
    rebinder = Rebinder({**outer_values, **inner_values})
    traced = [rebinder.expression(e) for e in traced]
    tails = [rebinder.expression(e) for e in tails]
    places = [rebinder.index(p) for p in places]
    reduced = [
        _Reduced(root, expression, rebinder.index(count), f"r{k}")
        for k, (root, expression) in enumerate(zip(roots, traced, strict=True))
    ]
    return _reduction_nest(reduced, outputs, tails, places, outer_loops, inner_loops, order, target, operands)


def _kind(root: Tensor) -> str:
    assert isinstance(root.operation, Reduction)
    return root.operation.kind


def _reduction_nest(
    reduced: list[_Reduced],
    outputs: Sequence[Tensor],
    tails: list[Expression],
    places: list[Index],
    outer: list[Variable],
    inner: list[Variable],
    order: list[Variable],
    target: Target,
    operands: Operands,
) -> Body:
    expressions = [r.expression for r in reduced]
    innermost = next((v.name for v in reversed(order) if v.extent > 1), None)

    def holds(loops: list[Variable]) -> bool:
        return bool(loops) and innermost is not None and innermost in loops[-1].name.split("_")

    def finish(lanes: int, suffix: str) -> list[str]:
        results = {r.root: r.result(suffix) for r in reduced}
        emitter = Emitter(_lanes(vector_outer, lanes), operands.locate, results, prefix="u")
        write(emitter, outputs, tails, places, operands)
        return emitter.lines

    def combine(lanes: int, vector: Variable | None) -> list[str]:
        emitter = Emitter(_lanes(vector, lanes), operands.locate, {})
        lines = []
        for r in reduced:
            value = emitter.value(r.expression)
            position = emitter.index(r.position)
            if lanes > 1 and r.kind == "argmax":
                assert emitter.lanes is not None
                step = emitter.lanes.step(r.position) or 0
                steps = ", ".join(str(lane * step) for lane in range(lanes))
                position = f"((int{lanes})({position}) + (int{lanes})({steps}))"
            lines.extend(r.combine(value, position, lanes))
        return [*emitter.lines, *lines]

    vector_outer: Variable | None = outer[-1] if outer else None
    outer_widths, inner_width = Widths(1, 1), 1
    if holds(outer):
        outer_widths = _widths(vector_outer, [*expressions, *tails], places, target)
    elif holds(inner):
        counts = [r.position for r in reduced if r.kind == "argmax"]
        inner_width = _widths(inner[-1], expressions, counts, target).main

    def around(lines: list[str], loops: Sequence[Variable]) -> list[str]:
        heads = [f"for (int {v.name} = 0; {v.name} < {v.extent}; ++{v.name}) {{" for v in loops]
        return [*heads, *lines, *("}" for _ in loops)]

    def body(lanes: int) -> list[str]:
        if inner_width == 1:
            declared = [line for r in reduced for line in r.declare(lanes)]
            return [*declared, *around(combine(lanes, vector_outer if lanes > 1 else None), inner), *finish(lanes, "")]
        vector = inner[-1]
        name, whole = vector.name, vector.extent - vector.extent % inner_width
        lines = [line for r in reduced for line in r.declare(inner_width)]
        vector_loop = [
            f"for (int {name} = 0; {name} < {whole}; {name} += {inner_width}) {{",
            *combine(inner_width, vector),
            "}",
        ]
        lines += around(vector_loop, inner[:-1])
        lines += [line for r in reduced for line in r.across(inner_width)]
        if whole < vector.extent:
            rest = [_Reduced(r.root, r.expression, r.position, f"{r.name}_all") for r in reduced]
            emitter = Emitter(None, operands.locate, {})
            combined = []
            for r in rest:
                value = emitter.value(r.expression)
                combined += r.combine(value, emitter.index(r.position), 1)
            scalar_loop = [f"for (int {name} = {whole}; {name} < {vector.extent}; ++{name}) {{"]
            lines += around([*scalar_loop, *emitter.lines, *combined, "}"], inner[:-1])
        return [*lines, *finish(1, "_all")]

    rows = prod(v.extent for v in outer[:-1])
    columns = ceil(outer[-1].extent / outer_widths.main) if outer else 1
    reduced_size = prod(v.extent for v in inner)
    work = rows * (outer[-1].extent if outer else 1) * reduced_size * 2
    plan = deal(rows, columns, work, target)
    return Body("\n".join(_nest(outer, plan, rows, outer_widths, body)), plan.items, plan.local)
