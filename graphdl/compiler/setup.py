"""The setup of an inference program: the kernels that depend on variables alone, such as those that pack filters.

These kernels run first, and only if a variable has been written since. Their results stay in memory between runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphdl.compiler.fusion import KernelPlan
from graphdl.operators.tensor import Array, Read, Tensor


def setup_plans(plans: Sequence[KernelPlan], before: Mapping[KernelPlan, Sequence[KernelPlan]]) -> set[KernelPlan]:
    """The plans that depend on variables and constants alone. ``before`` is as in ``schedule.order``.

    Plans without inputs are left out: a fill is cheap, and its result would occupy memory for good. A piece of an
    assembled tensor is included only if all pieces are.
    """
    makers = {t: plan for plan in plans for t in plan.outputs}
    found = {plan for plan in plans if plan.inputs}
    left = True
    while left:
        wrong = {plan for plan in found if not _depends_on(plan, found, makers, before)}
        for whole in plans:
            if whole.is_assembled and whole not in found:
                wrong |= {makers[t] for t in whole.inputs if t in makers and makers[t] in found}
        found -= wrong
        left = bool(wrong)
    return found


def _depends_on(
    plan: KernelPlan,
    found: set[KernelPlan],
    makers: Mapping[Tensor, KernelPlan],
    before: Mapping[KernelPlan, Sequence[KernelPlan]],
) -> bool:
    """Whether a plan depends only on variables, constants and the plans ``found``."""
    if any(earlier not in found for earlier in before.get(plan, ())):
        return False
    return all(makers[t] in found if t in makers else isinstance(t.operation, Read | Array) for t in plan.inputs)
