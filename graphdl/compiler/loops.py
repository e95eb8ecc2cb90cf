"""Loop nests of generated kernels: the order of loops, merging of neighbours, and division of the work."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil, prod

from graphdl.compiler.expression import Expression, Load, walk
from graphdl.compiler.program import Target
from graphdl.operators.index import Index, Loaded, LoopVariable, Quotient, Remainder, variables_of
from graphdl.operators.tensor import Tensor


def approximate_stride(index: Index, variable: LoopVariable) -> float:
    """The approximate distance in memory, in elements, between steps of the variable."""
    total = 0.0
    for atom, coefficient in index.terms:
        match atom:
            case LoopVariable():
                total += abs(coefficient) if atom == variable else 0
            case Quotient():
                total += abs(coefficient) * approximate_stride(atom.value, variable) / atom.divisor
            case Remainder():
                total += abs(coefficient) * min(approximate_stride(atom.value, variable), atom.divisor)
            case Loaded():
                pass
    return total


def memory_order(
    variables: Sequence[LoopVariable],
    expressions: Sequence[Expression],
    stores: Sequence[tuple[Tensor, Index]] = (),
    kept: Collection[LoopVariable] = (),
) -> list[LoopVariable]:
    """The variables by falling stride in the largest tensor that is loaded or stored.

    ``stores`` are the stored tensors and their addresses. Of tensors of one size, a loaded one counts. Variables that
    the tensor does not use keep their place. Of variables with the same stride, those that are ``kept`` come last.
    """
    order = list(variables)
    loads = [(e.tensor, e.address) for e in walk(expressions) if isinstance(e, Load)]
    if not loads and not stores:
        return order
    largest = max([*loads, *stores], key=lambda access: access[0].size)
    strides = {v: approximate_stride(largest[1], v) for v in order}
    placed = sorted((v for v in order if strides[v]), key=lambda v: (-strides[v], v in kept))
    if largest not in loads:  # the other variables are reduced
        return [*(v for v in order if not strides[v]), *placed]
    slots = iter(placed)
    return [next(slots) if strides[v] else v for v in order]


def merge(
    order: Sequence[LoopVariable], indices: Sequence[Index]
) -> tuple[list[LoopVariable], dict[LoopVariable, Index]]:
    """Merges neighbouring loops wherever every index advances through both as through one longer loop.

    Returns the new loops, and for each old variable its value in terms of the new ones.
    """
    inside = frozenset().union(
        *(variables_of(atom) for index in indices for atom, _ in index.terms if not isinstance(atom, LoopVariable))
    )
    groups: list[list[LoopVariable]] = []
    for variable in order:
        if variable.extent == 1:
            continue
        if groups:
            outer = groups[-1][-1]
            joined = variable not in inside and outer not in inside
            if joined and all(_plain(i, outer) == _plain(i, variable) * variable.extent for i in indices):
                groups[-1].append(variable)
                continue
        groups.append([variable])
    loops: list[LoopVariable] = []
    values: dict[LoopVariable, Index] = {v: Index(0) for v in order if v.extent == 1}
    for group in groups:
        if len(group) == 1:
            loops.append(group[0])
            continue
        merged = LoopVariable("_".join(v.name for v in group), prod(v.extent for v in group))
        loops.append(merged)
        # The last variable runs beyond its extent and the others stay at 0. Every index has the same value as before.
        for variable in group[:-1]:
            values[variable] = Index(0)
        values[group[-1]] = Index.of(merged)
    return loops, values


def _plain(index: Index, variable: LoopVariable) -> int:
    return sum(c for atom, c in index.terms if atom == variable)


@dataclass(frozen=True)
class Deal:
    """How a loop nest of ``rows`` by ``columns`` steps is divided among work-items."""

    rows_each: int
    columns_each: int
    items: int
    column_chunks: int
    local: int


def deal(rows: int, columns: int, work: int, target: Target) -> Deal:
    """Divides the steps among work-items: a few long chunks on a CPU, one step for each work-item on a GPU.

    ``work`` is the total number of element operations.
    """
    if target.kind == "gpu":
        items = rows * columns
        local = min(target.tuning.group_items, target.max_work_group)
        return Deal(1, 1, ceil(items / local) * local, columns, local)
    wanted = max(1, min(work // target.tuning.item_share, target.shares))
    if wanted > target.compute_units:
        wanted -= wanted % target.compute_units  # else the last round would leave cores idle
    if rows >= wanted:
        rows_each = ceil(rows / wanted)
        return Deal(rows_each, columns, ceil(rows / rows_each), 1, 1)
    chunks = max(1, min(columns, ceil(wanted / rows)))
    columns_each = ceil(columns / chunks)
    chunks = ceil(columns / columns_each)
    return Deal(1, columns_each, rows * chunks, chunks, 1)


def decode(variables: Sequence[LoopVariable], flat: str, kind: str = "const int") -> list[str]:
    """Declarations that give each variable its value from the row-major number ``flat``."""
    lines = []
    rest = prod(v.extent for v in variables)
    for position, variable in enumerate(variables):
        rest //= variable.extent
        quotient = flat if rest == 1 else f"({flat} / {rest})"
        text = quotient if position == 0 else f"({quotient} % {variable.extent})"
        lines.append(f"{kind} {variable.name} = {text};")
    return lines


def advance(variables: Sequence[LoopVariable]) -> list[str]:
    """Statements that step the variables to their values of the next row-major number."""
    first, *others = [v.name for v in variables]
    inner = list(zip(others, [v.extent for v in variables[1:]], strict=True))
    opened = [f"if (++{name} == {extent}) {{ {name} = 0;" for name, extent in reversed(inner)]
    return [*opened, f"++{first};" + " }" * len(inner)]
