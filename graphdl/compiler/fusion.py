"""Fusion: which tensors are stored in memory, and which kernel computes each of them.

A tensor is *realized* if a kernel stores it. All others are recomputed wherever they are used. Reductions and templates
are the *roots* of kernels. The elementwise chain that follows a root is computed in the same kernel (its *epilogue*) as
long as no other tensor uses an intermediate value of the chain. A template with several outputs has no epilogue: it
stores all its outputs. Elementwise kernels may still be merged into its kernel.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from graphdl.compiler.assembly import Assembled
from graphdl.compiler.program import Target
from graphdl.operators.reduction import Reduction
from graphdl.operators.tensor import (
    Array,
    Constant,
    Elementwise,
    Feed,
    Part,
    Read,
    Source,
    Template,
    Tensor,
    View,
    topological,
)

MOST_OPERANDS = 60
"""OpenCL guarantees 1024 bytes of kernel arguments; an operand takes 16."""

MOST_OUTPUTS = 6
"""The most tensors that one kernel stores, except for reductions that share a pass."""

TOO_LARGE = 150
"""The cost above which an expression is never inlined, so that kernels stay small."""


@dataclass(eq=False)
class KernelPlan:
    """A kernel to be generated: its ``roots`` and the ``outputs`` that it stores.

    The roots are several reductions or one template; an elementwise kernel has none. If a root has several outputs, the
    outputs of the kernel are its parts.
    """

    roots: list[Tensor]
    outputs: list[Tensor]
    inputs: list[Tensor] = field(default_factory=list)
    """The realized tensors that the kernel reads."""
    chains: dict[Tensor, list[Tensor]] = field(default_factory=dict)
    """For each output of a kernel with roots, the chain of tensors from a root to the tensor whose index the output
    shares.
    """

    @property
    def is_elementwise(self) -> bool:
        return not self.roots

    @property
    def computed(self) -> list[Tensor]:
        """The tensors that it computes between its inputs and its outputs."""
        found = dict.fromkeys([*self.outputs, *self.roots])
        inputs = set(self.inputs)
        stack = list(found)
        while stack:
            for x in stack.pop().inputs:
                if x not in found and x not in inputs and not isinstance(x.operation, Source):
                    found[x] = None
                    stack.append(x)
        return list(found)

    @property
    def takes_epilogue(self) -> bool:
        operation = self.roots[0].operation if self.roots else None
        return not isinstance(operation, Template) or operation.takes_epilogue

    @property
    def is_assembled(self) -> bool:
        """Whether the kernel needs no launch: the kernels of its inputs have already stored everything."""
        return bool(self.roots) and isinstance(self.roots[0].operation, Assembled)


def fuse(results: Sequence[Tensor], operands: Mapping[Tensor, Sequence[Tensor]], target: Target) -> list[KernelPlan]:
    """The kernels that compute ``results``; ``schedule.order`` puts them in an order.

    ``operands`` maps each template to the tensors that it reads from memory.
    """
    return _Fusion(results, operands, target.tuning.load_cost).run()


class _Fusion:
    def __init__(self, results: Sequence[Tensor], operands: Mapping[Tensor, Sequence[Tensor]], load: int) -> None:
        self.load = load
        """The cost of reading an element, in floating-point operations."""
        self.results = [r for r in results if not isinstance(r.operation, Source)]
        self.operands = operands
        self.order = topological([*results, *(o for many in operands.values() for o in many)])
        self.position = {t: k for k, t in enumerate(self.order)}
        self.users: dict[Tensor, list[Tensor]] = {t: [] for t in self.order}
        """A tensor that reads another one twice is in its list twice."""
        for tensor in self.order:
            for x in operands.get(tensor, tensor.inputs):
                self.users[x].append(tensor)
        self.realized: set[Tensor] = set(self.results)
        for read in operands.values():
            self.realized.update(o for o in read if not isinstance(o.operation, Source))
        self.absorbed: dict[Tensor, list[Tensor]] = {}
        """Maps the last tensor of an epilogue to the chain from its root to it."""

    def inputs_of(self, tensor: Tensor) -> Sequence[Tensor]:
        return self.operands.get(tensor, tensor.inputs)

    def run(self) -> list[KernelPlan]:
        self._absorb_epilogues()
        self._choose_realized()
        plans = self._plans()
        merging = _Merging(plans, self.position)
        _merge_reductions(plans, merging)
        _merge_elementwise(plans, merging)
        left = [plan for plan in plans if plan not in merging.joined]
        self._drop_unread(left)
        return [plan for plan in left if plan.outputs]

    def _drop_unread(self, plans: Sequence[KernelPlan]) -> None:
        """Leaves out outputs that only their own kernel reads, after kernels were merged into it."""
        read = {*self.results, *(x for plan in plans for x in plan.inputs)}
        for plan in plans:
            plan.outputs = [t for t in plan.outputs if t in read or isinstance(t.operation, Part)]
            plan.chains = {t: chain for t, chain in plan.chains.items() if t in plan.outputs}

    # An epilogue is extended while its last tensor has exactly one user.
    def _absorb_epilogues(self) -> None:
        taken: set[Tensor] = set()
        for root in reversed(self.order):
            if not isinstance(root.operation, Reduction | Template):
                continue
            outputs = [user for user in self.users[root] if isinstance(user.operation, Part)]
            if outputs or (isinstance(root.operation, Template) and not root.operation.takes_epilogue):
                self.absorbed.update({end: [root, end] for end in outputs} or {root: [root]})
                self.realized.update(outputs or [root])
                continue
            tail, chain = root, [root]
            while tail not in self.realized and len(self.users[tail]) == 1:
                after = self.users[tail][0]
                moves = isinstance(after.operation, View) and after.operation.invertible
                computes = isinstance(after.operation, Elementwise) and after.shape == tail.shape
                if after in taken or not (moves or computes):
                    break
                taken.add(after)
                chain.append(after)
                tail = after
            self.absorbed[tail] = chain
            self.realized.add(tail)

    # A tensor with several uses is stored if recomputing it for each use would cost more than storing it once.
    def _choose_realized(self) -> None:
        inside = {tensor for chain in self.absorbed.values() for tensor in chain}
        readers = {tensor: _readers(users) for tensor, users in self.users.items()}
        asked = {tensor: sum([_evaluations(user, tensor) for user in users]) for tensor, users in readers.items()}
        """How many elements of a tensor are computed for one evaluation of each of its users."""
        cost: dict[Tensor, int] = {}
        for tensor in self.order:
            cost[tensor] = self._cost(tensor, cost)
            if tensor in self.realized or tensor in inside or isinstance(tensor.operation, Source):
                continue
            self._decide(tensor, asked[tensor], cost)
        for tensor in reversed(self.order):
            if tensor in self.realized or tensor in inside or isinstance(tensor.operation, Source):
                continue
            total = sum([self._total(user, tensor, asked) for user in readers[tensor]])
            self._decide(tensor, total, cost)

    def _cost(self, tensor: Tensor, cost: Mapping[Tensor, int]) -> int:
        operands = [self.load if x in self.realized else cost[x] for x in tensor.inputs]
        recomputed = tensor.operation.recomputed(operands)
        return self.load if recomputed is None else recomputed

    def _decide(self, tensor: Tensor, evaluations: float, cost: Mapping[Tensor, int]) -> None:
        x = tensor.inputs[0] if tensor.inputs else tensor
        if isinstance(tensor.operation, View) and (x in self.realized or isinstance(x.operation, Source)):
            return  # a view of a tensor in memory costs nothing
        times = evaluations / max(1, tensor.size)
        saved = (times - 1) * cost[tensor]
        if cost[tensor] > TOO_LARGE or saved > self.load + self.load * times:
            self.realized.add(tensor)

    def _total(self, user: Tensor, tensor: Tensor, asked: Mapping[Tensor, int]) -> float:
        """How many elements of ``tensor`` are computed for ``user``, including repeated evaluations
        of ``user`` itself.
        """
        evaluations = _evaluations(user, tensor)
        if user in self.realized or not isinstance(user.operation, Elementwise | View):
            return evaluations
        return evaluations * max(1.0, asked[user] / max(1, user.size))

    def _plans(self) -> list[KernelPlan]:
        plans: list[KernelPlan] = []
        of_root: dict[Tensor, KernelPlan] = {}
        for tensor in self.order:
            if tensor not in self.realized or isinstance(tensor.operation, Source):
                continue
            chain = self.absorbed.get(tensor)
            if chain and chain[0] in of_root:  # a further output of the same kernel
                plan = of_root[chain[0]]
                plan.outputs.append(tensor)
                plan.chains[tensor] = chain
                continue
            plan = KernelPlan([chain[0]], [tensor], chains={tensor: chain}) if chain else KernelPlan([], [tensor])
            if chain:
                of_root[chain[0]] = plan
            plan.inputs = self._reads(plan)
            plans.append(plan)
        return plans

    def _reads(self, plan: KernelPlan) -> list[Tensor]:
        found: dict[Tensor, None] = {}
        stack = [x for output in plan.outputs for x in self.inputs_of(output)]
        seen: set[Tensor] = set()
        while stack:
            x = stack.pop()
            if x in seen:
                continue
            seen.add(x)
            if isinstance(x.operation, Constant):
                continue
            if x in self.realized or isinstance(x.operation, Feed | Read | Array):
                found[x] = None
            else:
                stack.extend(self.inputs_of(x))
        return list(found)


def _readers(users: Sequence[Tensor]) -> list[Tensor]:
    """The users of a tensor without repetitions of elementwise ones: ``x * x`` computes each element of ``x`` once."""
    if len(users) < 2:
        return list(users)
    once = dict.fromkeys(user for user in users if isinstance(user.operation, Elementwise))
    return [*once, *(user for user in users if user not in once)]


def _evaluations(user: Tensor, tensor: Tensor) -> int:
    """The number of elements of ``tensor`` that one computation of ``user`` reads."""
    return user.operation.evaluations(user, tensor)


# ------------------------------------------------------------------------------------------------- merging kernels


class _Merging:
    """The kernel of each tensor, and the dependencies between kernels, while kernels are merged."""

    def __init__(self, plans: Sequence[KernelPlan], position: Mapping[Tensor, int]) -> None:
        self.position = position
        """The place of each tensor in a topological order."""
        self.makers = {t: plan for plan in plans for t in plan.outputs}
        self.joined: set[KernelPlan] = set()
        """The kernels that are part of another one."""
        self._last = {plan: max(position[t] for t in plan.outputs) for plan in plans}
        """The greatest position of the outputs of a kernel and of all kernels that it depends on.

        It never decreases along a dependency."""
        self._readers: dict[Tensor, list[KernelPlan]] = {}
        for plan in plans:
            for x in plan.inputs:
                self._readers.setdefault(x, []).append(plan)

    def depends(self, plan: KernelPlan, on: KernelPlan) -> bool:
        """Whether ``plan`` needs a result of ``on``, directly or through other kernels.

        Kernels whose latest output comes before that of ``on`` cannot depend on it and are not searched.
        """
        stack, seen = [plan], {plan}
        while stack:
            for x in stack.pop().inputs:
                maker = self.makers.get(x)
                if maker is on:
                    return True
                if maker is not None and maker not in seen and self._last[maker] >= self._last[on]:
                    seen.add(maker)
                    stack.append(maker)
        return False

    def independent(self, a: KernelPlan, b: KernelPlan) -> bool:
        return not self.depends(b, a) and not self.depends(a, b)

    def join(self, first: KernelPlan, other: KernelPlan) -> None:
        """Makes ``other`` a part of ``first``."""
        first.roots.extend(other.roots)
        first.outputs.extend(other.outputs)
        first.chains.update(other.chains)
        first.inputs = list(dict.fromkeys([*first.inputs, *(x for x in other.inputs if x not in first.outputs)]))
        self.joined.add(other)
        self.makers.update(dict.fromkeys(other.outputs, first))
        for x in other.inputs:
            self._readers[x].append(first)
        # Kernels that depend on ``first`` now depend on the inputs of ``other``, too, even if their own outputs come
        # earlier.
        self._last[first] = max(self._last[first], self._last[other])
        stack = [first]
        while stack:
            plan = stack.pop()
            for reader in {reader for t in plan.outputs for reader in self._readers.get(t, ())}:
                if reader not in self.joined and self._last[reader] < self._last[plan]:
                    self._last[reader] = self._last[plan]
                    stack.append(reader)


def _merge_reductions(plans: Sequence[KernelPlan], merging: _Merging) -> None:
    """Merges independent reductions over the same elements, so that they share one pass."""
    groups: dict[tuple[object, ...], list[KernelPlan]] = {}
    for plan in plans:
        operation = plan.roots[0].operation if plan.roots else None
        if isinstance(operation, Reduction):
            groups.setdefault((plan.roots[0].inputs[0].shape, operation.axes), []).append(plan)
    for members in groups.values():
        members.sort(key=lambda p: merging.position[p.outputs[0]])
        readers: dict[Tensor, list[tuple[int, KernelPlan]]] = {}
        for place, plan in enumerate(members):
            for x in plan.inputs:
                readers.setdefault(x, []).append((place, plan))
        for place, first in enumerate(members):
            at = place
            while first not in merging.joined and len(first.roots) < 4 and first.inputs:
                # Candidates are the later kernels that read the same largest input. A merged kernel may bring a larger
                # input.
                large = readers[max(first.inputs, key=lambda t: t.size)]
                rest = large[bisect_right(large, at, key=lambda entry: entry[0]) :]
                found = ((k, p) for k, p in rest if p not in merging.joined and merging.independent(first, p))
                at, other = next(found, (len(members), first))
                if other is first:
                    break
                merging.join(first, other)


def _merge_elementwise(plans: Sequence[KernelPlan], merging: _Merging) -> None:
    """Merges elementwise kernels into others."""
    readers: dict[Tensor, list[KernelPlan]] = {}
    for plan in sorted(plans, key=lambda p: merging.position[p.outputs[0]]):
        if plan.is_elementwise and not _join_maker(plan, merging) and not _join_reader(plan, readers, merging):
            for x in plan.inputs:
                readers.setdefault(x, []).append(plan)


def _join_maker(plan: KernelPlan, merging: _Merging) -> bool:
    """Merges an elementwise kernel into the kernel of one of its inputs, if none of its other inputs depends on that
    kernel. Returns whether it did.
    """
    for source in plan.inputs:
        maker = merging.makers.get(source)
        if maker is not None and _may_join(plan, maker, merging):
            if maker.roots:
                plan.chains.update(dict.fromkeys(plan.outputs, maker.chains[source]))
            merging.join(maker, plan)
            return True
    return False


def _join_reader(plan: KernelPlan, readers: dict[Tensor, list[KernelPlan]], merging: _Merging) -> bool:
    """Merges an elementwise kernel into an independent one of the same shape that reads a tensor of that shape, too.
    Returns whether it did.

    So the moments of Adam, which share the gradient, are computed in one pass.
    """
    shape = plan.outputs[0].shape
    for x in plan.inputs:
        if x.size != plan.outputs[0].size or x not in readers:
            continue
        readers[x] = [other for other in readers[x] if len(other.outputs) < MOST_OUTPUTS]  # thousands may share ``x``
        for other in readers[x]:
            fits = len(other.outputs) + len(plan.outputs) <= MOST_OUTPUTS and _operands(plan, other) <= MOST_OPERANDS
            if fits and other.outputs[0].shape == shape and merging.independent(plan, other):
                merging.join(other, plan)
                return True
    return False


def _operands(plan: KernelPlan, other: KernelPlan) -> int:
    """The number of tensors that one kernel for both reads and writes."""
    return len({*plan.inputs, *plan.outputs, *other.inputs, *other.outputs})


def _may_join(plan: KernelPlan, maker: KernelPlan, merging: _Merging) -> bool:
    """Whether the kernel ``maker`` can also compute the elementwise ``plan``.

    A kernel knows only the current element of its own results, so the plan must read each of them at that element
    alone.
    """
    if not maker.takes_epilogue or len(maker.roots) > 1 or len(maker.outputs) >= MOST_OUTPUTS:
        return False
    if _operands(plan, maker) > MOST_OPERANDS:
        return False
    makers = merging.makers
    own = [x for x in plan.inputs if makers.get(x) is maker]
    if not all(elementwise_of(plan.outputs, x, makers.keys()) for x in own):
        return False
    others = [makers[x] for x in plan.inputs if x in makers and makers[x] is not maker]
    return not any(merging.depends(other, maker) for other in others)


def elementwise_of(outputs: Sequence[Tensor], source: Tensor, realized: AbstractSet[Tensor]) -> bool:
    """Whether every path from ``source`` to the outputs is elementwise and keeps the shape."""
    stack: list[tuple[Tensor, bool]] = [(output, True) for output in outputs]
    seen = set(stack)
    while stack:
        tensor, straight = stack.pop()
        straight = straight and isinstance(tensor.operation, Elementwise) and tensor.shape == source.shape
        for x in tensor.inputs:
            if x is source:
                if not straight:
                    return False
            elif x not in realized and (x, straight) not in seen:
                seen.add((x, straight))
                stack.append((x, straight))
    return True


def reads(operands: Iterable[Tensor], source: Tensor, realized: set[Tensor]) -> bool:
    """Whether the formulas of ``operands`` contain ``source``. The search stops at ``realized`` tensors."""
    stack, seen = list(operands), set()
    while stack:
        tensor = stack.pop()
        if tensor is source:
            return True
        if tensor not in seen and tensor not in realized:
            seen.add(tensor)
            stack.extend(tensor.inputs)
    return False


def label_of(tensors: Sequence[Tensor]) -> str:
    """A label for people: the operations that compute these tensors, and the modules that they belong to."""
    names = dict.fromkeys(t.operation.name for t in tensors)
    modules = dict.fromkeys(t.origin.module.path for t in tensors if t.origin is not None)
    return " ".join(("+".join(names), *list(modules)[:2])).strip()
