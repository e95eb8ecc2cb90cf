"""The order of kernels.

The order is topological. Of the kernels that can run next, those that free at least as many bytes of the arena as they
write come first.
"""

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

    ``before`` lists, for a kernel, those that must precede it in addition to the makers of its inputs. Tensors of
    ``kept`` are stored outside the arena and do not count.
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
    """A heap. A kernel is pushed again when it frees more than before; only its first entry counts."""
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
