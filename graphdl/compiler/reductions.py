"""Generated kernels of reductions, with the elementwise formulas before and after them.

The outer loops run over the kept dimensions, the inner loops over the reduced ones. The vector runs along the dimension
that is contiguous in the largest operand. If it is a kept dimension, each lane has its own result. If it is a reduced
dimension, the lanes are combined at the end, in order.

Long sums are computed in blocks: ``BLOCK`` elements form a partial sum, which is added to the total. So the rounding
error of n terms grows with BLOCK + n / BLOCK and not with n.

On a GPU, a work-group reduces a long row that is contiguous in memory, so that its work-items read neighbouring
elements. They combine their results in local memory, in a fixed order. Otherwise a work-item has a result of its own.

A sum of negated terms is computed as the negated sum of the terms. Compilers turn ``sum += -x`` into ``sum -= x``.
Intel's compiler of 2026 for AVX-512 then computes an unrolled chain of subtractions as a tree of subtractions, in which
terms have the wrong sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, prod

from graphdl.compiler.combining import Combining, combining, kind_of
from graphdl.compiler.emit import Emitter
from graphdl.compiler.expression import Expression, Rebinder, Strides, Tracer, domain, indices_of
from graphdl.compiler.generate import (
    Body,
    Operands,
    Widths,
    address_of,
    forward_index,
    lanes_along,
    loop_nest,
    widths_of,
    write,
)
from graphdl.compiler.loops import deal, decode, memory_order, merge
from graphdl.compiler.program import Target
from graphdl.operators.index import Index, LoopVariable
from graphdl.operators.reduction import Reduction
from graphdl.operators.tensor import Tensor

BLOCK = 32

SCALAR = Widths(1, 1)


def reduction(
    roots: Sequence[Tensor],
    outputs: Sequence[Tensor],
    chains: Mapping[Tensor, Sequence[Tensor]],
    strides: Strides,
    target: Target,
    operands: Operands,
) -> Body:
    """The kernel that reduces tensors of one shape over the same axes and computes ``outputs`` from the results.

    ``chains`` maps each output to a chain of tensors from its root: see ``KernelPlan``.
    """
    operation, x = roots[0].operation, roots[0].inputs[0]
    assert isinstance(operation, Reduction)
    variables = domain(x.shape)
    inner = [variables[a] for a in operation.axes]
    outer = [v for a, v in enumerate(variables) if a not in operation.axes]
    index = tuple(Index.of(v) for v in variables)
    tracer = Tracer(strides)
    traced = [tracer.trace(root.inputs[0], index) for root in roots]
    kept_index = tuple(Index(0) if a in operation.axes else i for a, i in enumerate(index))
    after = Tracer(strides, [*roots, *outputs])
    tails, places = [], []
    for output in outputs:
        at = forward_index(chains[output], kept_index)
        tails.append(after.trace(output, at, root=output not in roots))
        places.append(address_of(at, strides[output]))
    order = memory_order(variables, traced, list(zip(outputs, places, strict=True)), outer)
    count = Index(0)
    for a in operation.axes:
        count = count * x.shape[a] + index[a]
    counts = [count] if any(kind_of(r).counts for r in roots) else []

    outer_loops, outer_values = merge(
        [v for v in order if v in outer], [*indices_of(traced), *places, *indices_of(tails)]
    )
    # The first of equal maxima is the result, so positions must be visited in order.
    inner_order = inner if counts else [v for v in order if v in inner]
    inner_loops, inner_values = merge(inner_order, [*indices_of(traced), *counts])
    rebinder = Rebinder({**outer_values, **inner_values})
    traced = [rebinder.expression(e) for e in traced]
    tails = [rebinder.expression(e) for e in tails]
    places = [rebinder.index(p) for p in places]
    reduced = [
        combining(root, expression, rebinder.index(count), f"r{k}")
        for k, (root, expression) in enumerate(zip(roots, traced, strict=True))
    ]
    nest = _Nest(reduced, outputs, tails, places, outer_loops, inner_loops, operands)
    innermost = next((v.name for v in reversed(order) if v.extent > 1), "")
    if outer_loops and innermost in outer_loops[-1].name.split("_"):
        # Rows of the operand may be far apart in memory, so each is read in whole cache lines.
        wide = max(target.vector_width, target.cache_line // 4) if target.kind == "cpu" else target.vector_width
        across = replace(target, vector_width=wide)
        nest.outer_widths = widths_of(outer_loops[-1], [*traced, *tails], places, across)
    elif inner_loops and innermost in inner_loops[-1].name.split("_"):
        nest.inner_width = widths_of(inner_loops[-1], traced, [rebinder.index(c) for c in counts], target).main
        nest.group = _group(nest, target)
    rows = prod(v.extent for v in outer_loops[:-1])
    if nest.group > 1:
        lines, shared = nest.in_groups()
        results = prod(v.extent for v in outer_loops)
        return Body("\n".join(lines), results * nest.group, nest.group, shared=shared)
    length = outer_loops[-1].extent if outer_loops else 1
    plan = deal(
        rows, ceil(length / nest.outer_widths.main), rows * length * prod(v.extent for v in inner_loops) * 2, target
    )
    lines = loop_nest(outer_loops, plan, rows, nest.outer_widths, nest.body)
    return Body("\n".join(lines), plan.items, plan.local)


def _group(nest: _Nest, target: Target) -> int:
    """The number of work-items that reduce a row; 1 if each reduces rows of its own."""
    most = min(target.tuning.group_items, target.max_work_group)
    group = 1 << most.bit_length() - 1
    fits = target.kind == "gpu" and nest.inner[-1].extent >= group // 2 * nest.inner_width
    return group if fits and not any(r.counts for r in nest.reduced) else 1


@dataclass
class _Nest:
    """The loops of a reduction kernel and their contents."""

    reduced: list[Combining]
    outputs: Sequence[Tensor]
    tails: list[Expression]
    places: list[Index]
    outer: list[LoopVariable]
    inner: list[LoopVariable]
    operands: Operands
    outer_widths: Widths = SCALAR
    inner_width: int = 1
    group: int = 1
    """The number of work-items that share a row."""

    def in_groups(self) -> tuple[list[str], str]:
        """The statements of a kernel whose work-groups reduce a row each, and the arrays in local memory."""
        width, group = self.inner_width, self.group
        shared = "".join(f"__local {r.element} {r.name}_shared[{group}];\n" for r in self.reduced)
        others = [
            line
            for r in self.reduced
            for line in replace(r, name=f"{r.name}_all").combine(f"{r.name}_shared[lane + distance]", "", 1)
        ]
        published = [f"{r.name}_shared[lane] = {r.name}_all;" for r in self.reduced]
        lines = [
            "const int row = get_group_id(0), lane = get_local_id(0);",
            *decode(self.outer, "row"),
            *(line for r in self.reduced for line in r.declare(width)),
            *self._loops(width, self.inner[-1] if width > 1 else None),
            *(line for r in self.reduced for line in r.across(width)),
            *self._rest(),
            *published,
            "barrier(CLK_LOCAL_MEM_FENCE);",
            f"for (int distance = {group // 2}; distance > 0; distance /= 2) {{",
            "if (lane < distance) {",
            *others,
            *published,
            "}",
            "barrier(CLK_LOCAL_MEM_FENCE);",
            "}",
            "if (lane == 0) {",
            *self._finish(1, "_all"),
            "}",
        ]
        return lines, shared

    def body(self, lanes: int) -> list[str]:
        """The lines of one step of the outer loops, for a vector of ``lanes`` results."""
        if self.inner_width == 1:
            vector = self.outer[-1] if lanes > 1 else None
            declared = [line for r in self.reduced for line in r.declare(lanes)]
            return [*declared, *self._loops(lanes, vector), *self._finish(lanes, "")]
        declared = [line for r in self.reduced for line in r.declare(self.inner_width)]
        across = [line for r in self.reduced for line in r.across(self.inner_width)]
        return [
            *declared, *self._loops(self.inner_width, self.inner[-1]), *across, *self._rest(), *self._finish(1, "_all"),
        ]  # fmt: skip

    def _loops(self, lanes: int, vector: LoopVariable | None) -> list[str]:
        """The loops over the reduced dimensions. The innermost one runs in blocks if the sum is long."""
        if not self.inner:
            return self._combine(self.reduced, lanes, vector)
        last = self.inner[-1]
        step = self.inner_width
        end = last.extent - last.extent % step
        first = "0" if self.group == 1 else "lane" if step == 1 else f"lane * {step}"
        stride = step * self.group
        sums = [r for r in self.reduced if r.in_blocks]
        count = prod(v.extent for v in self.inner) // stride
        if not sums or count <= 2 * BLOCK:
            head = f"for (int {last.name} = {first}; {last.name} < {end}; {last.name} += {stride}) {{"
            return _around([head, *self._combine(self.reduced, lanes, vector), "}"], self.inner[:-1])
        partial = [replace(r, name=f"{r.name}_part") if r.in_blocks else r for r in self.reduced]
        block, name = BLOCK * stride, last.name
        lines = [
            f"for (int {name}_block = {first}; {name}_block < {end}; {name}_block += {block}) {{",
            f"const int {name}_end = min({name}_block + {block}, {end});",
            *(line for r in partial if r.in_blocks for line in r.declare(lanes)),
            f"for (int {name} = {name}_block; {name} < {name}_end; {name} += {stride}) {{",
            *self._combine(partial, lanes, vector),
            "}",
            *(f"{r.name} += {r.name}_part;" for r in sums),
            "}",
        ]
        return _around(lines, self.inner[:-1])

    def _rest(self) -> list[str]:
        """The loop over the elements that do not fill a vector along the reduced dimension, one by one."""
        last = self.inner[-1]
        begin = last.extent - last.extent % self.inner_width
        if begin == last.extent:
            return []
        rest = [replace(r, name=f"{r.name}_all") for r in self.reduced]
        first = f"{begin} + lane" if self.group > 1 else str(begin)
        head = f"for (int {last.name} = {first}; {last.name} < {last.extent}; {last.name} += {self.group}) {{"
        return _around([head, *self._combine(rest, 1, None), "}"], self.inner[:-1])

    def _combine(self, reduced: Sequence[Combining], lanes: int, vector: LoopVariable | None) -> list[str]:
        emitter = Emitter(lanes_along(vector, lanes), self.operands, {})
        lines = []
        for r in reduced:
            value = emitter.value(r.expression)
            position = emitter.index(r.position)
            if emitter.lanes is not None and r.counts:
                step = emitter.lanes.step(r.position) or 0
                steps = ", ".join(str(lane * step) for lane in range(lanes))
                position = f"((int{lanes})({position}) + (int{lanes})({steps}))"
            lines.extend(r.combine(value, position, lanes))
        return [*emitter.lines, *lines]

    def _finish(self, lanes: int, suffix: str) -> list[str]:
        results = {r.root: r.result(suffix) for r in self.reduced}
        vector = self.outer[-1] if self.outer else None
        emitter = Emitter(lanes_along(vector, lanes), self.operands, results, prefix="u")
        write(emitter, self.outputs, self.tails, self.places, self.operands)
        return emitter.lines


def _around(lines: list[str], loops: Sequence[LoopVariable]) -> list[str]:
    heads = [f"for (int {v.name} = 0; {v.name} < {v.extent}; ++{v.name}) {{" for v in loops]
    return [*heads, *lines, *("}" for _ in loops)]
