"""The order of kernels: topological, and of those that could run next the one that leaves fewest bytes alive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphdl.compiler.fusion import KernelPlan
from graphdl.compiler.program import ELEMENT_BYTES
from graphdl.operators.tensor import Tensor


def bytes_of(tensor: Tensor) -> int:
    return tensor.size * ELEMENT_BYTES[tensor.element]


def order(
    plans: Sequence[KernelPlan], before: Mapping[KernelPlan, Sequence[KernelPlan]], kept: set[Tensor]
) -> list[KernelPlan]:
    """The kernels in the order of their launches.

    ``before`` names for a kernel those that must come first beside the makers of its inputs. Tensors of ``kept`` lie
    outside the arena and cost nothing.
    """
    makers = {t: plan for plan in plans for t in plan.outputs}
    waits: dict[KernelPlan, set[KernelPlan]] = {
        plan: {makers[t] for t in plan.inputs if t in makers} | set(before.get(plan, ())) for plan in plans
    }
    followers: dict[KernelPlan, list[KernelPlan]] = {plan: [] for plan in plans}
    for plan in plans:
        for earlier in waits[plan]:
            followers[earlier].append(plan)
    readers: dict[Tensor, int] = {}
    for plan in plans:
        for t in plan.inputs:
            if t in makers and t not in kept:
                readers[t] = readers.get(t, 0) + 1
    number = {plan: k for k, plan in enumerate(plans)}
    ready = [plan for plan in plans if not waits[plan]]
    result: list[KernelPlan] = []

    def growth(plan: KernelPlan) -> int:
        made = sum(bytes_of(t) for t in plan.outputs if t not in kept)
        freed = sum(bytes_of(t) for t in plan.inputs if readers.get(t) == 1)
        return made - freed

    while ready:
        chosen = min(ready, key=lambda plan: (growth(plan) > 0, number[plan]))
        ready.remove(chosen)
        result.append(chosen)
        for t in chosen.inputs:
            if t in readers:
                readers[t] -= 1
        for follower in followers[chosen]:
            waits[follower].discard(chosen)
            if not waits[follower]:
                ready.append(follower)
    assert len(result) == len(plans), "kernels wait for one another in a circle"
    return result
