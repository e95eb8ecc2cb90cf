"""The setup of a program: the kernels that need not run in every run of it, such as those that pack filters.

The setup depends only on tensors that keep their values from run to run. For inference these are the variables: the
setup runs first, and again only after a variable was written. For the body of a loop these are the tensors that are the
same at all steps: the setup runs once before the loop. The results stay in memory between runs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from graphdl.compiler.fusion import KernelPlan
from graphdl.operators.kernels.family import Lasts
from graphdl.operators.tensor import Array, Read, Tensor


def variables_last(source: Tensor) -> bool:
    """Whether a source keeps its value in a program without updates: it is a variable or a constant."""
    return isinstance(source.operation, Read | Array)


def setup_plans(
    plans: Sequence[KernelPlan],
    before: Mapping[KernelPlan, Sequence[KernelPlan]],
    lasts: Lasts,
    results: Collection[Tensor],
) -> set[KernelPlan]:
    """The plans that depend only on tensors for which ``lasts`` is true. ``before`` is as in ``schedule.order``.

    Plans without inputs are left out: a fill is cheap, and its result would occupy memory for good. ``results`` are
    computed in every run. A piece of an assembled tensor is included only if all pieces are.
    """
    makers = {t: plan for plan in plans for t in plan.outputs}
    found = {plan for plan in plans if plan.inputs and not any(t in results for t in plan.outputs)}
    left = True
    while left:
        wrong = {plan for plan in found if not _depends_on(plan, found, makers, before, lasts)}
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
    lasts: Lasts,
) -> bool:
    """Whether a plan depends only on tensors for which ``lasts`` is true and on the plans ``found``."""
    if any(earlier not in found for earlier in before.get(plan, ())):
        return False
    return all(makers[t] in found if t in makers else lasts(t) for t in plan.inputs)
