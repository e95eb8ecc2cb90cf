"""Updates in place: a variable's new value overwrites the old one once every kernel has read the old one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphdl.compiler.expression import domain
from graphdl.compiler.fusion import KernelPlan, elementwise_of, reads
from graphdl.compiler.generate import forward_index
from graphdl.compiler.program import Result
from graphdl.operators.index import Index
from graphdl.operators.kernels.family import copy
from graphdl.operators.tensor import Read, Tensor


@dataclass(frozen=True)
class InPlace:
    """The results and the plans of a program that writes variables in place."""

    results: dict[Result, Tensor]
    plans: list[KernelPlan]
    before: dict[KernelPlan, list[KernelPlan]]
    """For each plan that writes a variable, the plans that read the old value and must run before it."""


def write_in_place(
    results: Mapping[Result, Tensor], plans: Sequence[KernelPlan], operands: Mapping[Tensor, Sequence[Tensor]]
) -> InPlace:
    """Inserts a copy wherever the kernel that computes a variable's new value cannot overwrite the old one.

    ``operands`` maps each template to the tensors that it reads from memory.
    """
    made = InPlace(dict(results), list(plans), {})
    old_values = _old_values(plans)
    makers = {t: p for p in plans for t in p.outputs}
    users: dict[Tensor, list[KernelPlan]] = {}
    for p in plans:
        for x in p.inputs:
            users.setdefault(x, []).append(p)
    awaited = {makers[x] for x in users if x in makers}
    for (kind, name), tensor in results.items():
        if kind != "variable" or name not in old_values:
            continue
        old = old_values[name]
        maker = makers[tensor]
        readers = [p for p in users[old] if p is not maker]
        in_step = _reads_in_step(maker, tensor, old, makers, operands)
        if not in_step or (maker in awaited and any(_needs(p, maker, made.before, makers) for p in readers)):
            copied = made.results[kind, name] = copy(tensor)
            readers.append(maker)
            maker = KernelPlan([], [copied], [tensor])
            made.plans.append(maker)
        made.before.setdefault(maker, []).extend(readers)
        awaited.update(readers)
    return made


def _old_values(plans: Sequence[KernelPlan]) -> dict[str, Tensor]:
    """The variables that some kernel reads, by name."""
    return {x.operation.key: x for p in plans for x in p.inputs if isinstance(x.operation, Read)}


def _reads_in_step(
    maker: KernelPlan,
    new: Tensor,
    old: Tensor,
    makers: Mapping[Tensor, KernelPlan],
    operands: Mapping[Tensor, Sequence[Tensor]],
) -> bool:
    """Whether a kernel reads the old value only at the index where it writes the new one, or not at all."""
    if old not in maker.inputs:
        return True
    realized = {t for t in maker.inputs if t in makers}
    if any(reads(operands.get(root, root.inputs), old, realized) for root in maker.roots):
        return False
    stop = realized.union(maker.roots)
    if not elementwise_of(maker.outputs, old, stop):
        return False
    if not maker.chains:  # all that an elementwise kernel stores is stored at one index
        return True
    readers = [output for output in maker.outputs if reads(output.inputs, old, stop)]
    return all(_is_at(maker, output, new) for output in readers)


def _is_at(plan: KernelPlan, output: Tensor, other: Tensor) -> bool:
    """Whether a kernel stores both outputs at the same index. Chains from several roots may lead to different ones."""
    chains = plan.chains
    if chains[output] is chains[other]:
        return True
    index = tuple(Index.of(v) for v in domain(chains[output][0].shape))
    return forward_index(chains[output], index) == forward_index(chains[other], index)


def _needs(
    reader: KernelPlan,
    maker: KernelPlan,
    before: Mapping[KernelPlan, Sequence[KernelPlan]],
    makers: Mapping[Tensor, KernelPlan],
) -> bool:
    """Whether ``reader`` can only run after ``maker``."""
    stack, seen = [reader], {reader}
    while stack:
        current = stack.pop()
        for earlier in (*(makers[x] for x in current.inputs if x in makers), *before.get(current, ())):
            if earlier is maker:
                return True
            if earlier not in seen:
                seen.add(earlier)
                stack.append(earlier)
    return False
