"""The order of kernels: topological, and of those that could run next the one that leaves fewest bytes alive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

from graphdl.compiler.fusion import KernelPlan
from graphdl.operators.tensor import Tensor


def bytes_of(tensor: Tensor) -> int:
    return tensor.size * tensor.stored.bytes


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
    readers: dict[Tensor, list[KernelPlan]] = {}
    for plan in plans:
        for t in plan.inputs:
            if t in makers and t not in kept:
                readers.setdefault(t, []).append(plan)
    left = {t: len(many) for t, many in readers.items()}
    number = {plan: k for k, plan in enumerate(plans)}
    ready: list[tuple[bool, int]] = []
    """A heap. A kernel comes in again when it frees more than before; it is taken once."""
    launched: set[KernelPlan] = set()
    result: list[KernelPlan] = []

    def offer(plan: KernelPlan) -> None:
        made = sum(bytes_of(t) for t in plan.outputs if t not in kept)
        freed = sum(bytes_of(t) for t in plan.inputs if left.get(t) == 1)
        heappush(ready, (made > freed, number[plan]))

    for plan in plans:
        if not waits[plan]:
            offer(plan)
    while ready:
        chosen = plans[heappop(ready)[1]]
        if chosen in launched:
            continue
        launched.add(chosen)
        result.append(chosen)
        for t in chosen.inputs:
            if t not in left:
                continue
            left[t] -= 1
            if left[t] == 1:
                last = next(plan for plan in readers[t] if plan not in launched)
                if not waits[last]:
                    offer(last)
        for follower in followers[chosen]:
            waits[follower].discard(chosen)
            if not waits[follower]:
                offer(follower)
    assert len(result) == len(plans), "kernels wait for one another in a circle"
    return result
