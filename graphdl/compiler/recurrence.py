"""Loops: an operation that runs a body once for each element of its sequences and carries states from step to step.

Work that does not depend on the states is moved out of the loop. Values that are computed from the sequences and from
values outside are computed before the loop, for all steps at once, if they need a product or a reduction or an
expensive formula. Values that no state depends on are computed after the loop, for all steps at once.

The reverse of a loop is a loop in the other direction. It reads the states, and the results of the products and
reductions of the first loop, which the first loop stores. The elementwise steps between them are recomputed. The
gradient of a matrix by which all steps multiply is one product after the loop, over the values of all steps.

A loop with ``recompute`` keeps nothing of a step but its results. What depends on the step stays in the loop, and the
reverse loop computes the whole step again from the items and the states between the steps.

The first dimension of a sequence runs over the steps, in the same order for both directions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from graphdl.compiler.reverse import pull_back_all
from graphdl.compiler.rewrite import with_inputs
from graphdl.graph.types import Element, Shape
from graphdl.operators.reduction import Reduction, reduce
from graphdl.operators.structure import broadcast_to, for_each, reshape, slice_
from graphdl.operators.tensor import (
    Elementwise,
    Feed,
    Given,
    Operation,
    Part,
    Read,
    Template,
    Tensor,
    View,
    constant,
    given,
    topological,
)

COSTLY = 10
"""The cost in floating-point operations from which a formula is computed before the loop, for all steps, and stored."""

MOST_KEPT = 1 << 20
"""The most elements that a value may have over all steps to be stored and summed after the loop.

A larger value is summed in the loop."""


@dataclass(frozen=True)
class State:
    """A value that a loop carries: its leaf in the body, its value at the start, and its value after a step."""

    leaf: Tensor
    start: Tensor
    following: Tensor


@dataclass(frozen=True)
class Loop(Operation):
    """``count`` runs of a body, one after the other. A loop with ``backwards`` runs the last step first.

    The body is the graph of ``following``, the states after a step. Its leaves get their values from outside. ``items``
    are one element of each sequence, ``states`` are the values that the previous step left, and ``invariants`` are the
    same at all steps. The inputs of the loop are the sequences ``[count, ...]``, the states at the start, and the
    invariants, in this order.

    With S states the numbers of the parts are:

    - ``k``: state k at the end.
    - ``S + k``: state k between the steps, ``[count + 1, ...]``. Step t reads element t and writes element t + 1.
      Backwards, it reads element t + 1 and writes element t.
    - ``2·S + j``: the value ``values[j]`` of the body at each step, ``[count, ...]``.
    """

    count: int
    backwards: bool
    recompute: bool
    """Whether the reverse loop computes each step again, so that no value of the body is stored for it."""
    items: tuple[Tensor, ...]
    states: tuple[Tensor, ...]
    invariants: tuple[Tensor, ...]
    following: tuple[Tensor, ...]
    values: tuple[Tensor, ...] = field(compare=False)
    """All tensors of the body, inputs first."""

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        return (*self.items, *self.states, *self.invariants)

    @property
    def found(self) -> int:
        """The offset from the number of a step to the element that it reads of a state between the steps."""
        return 1 if self.backwards else 0

    @property
    def left(self) -> int:
        """The offset from the number of a step to the element that it writes of a state between the steps."""
        return 1 - self.found

    @property
    def first(self) -> int:
        """The index of the start value in a state between the steps."""
        return self.count if self.backwards else 0

    def part(self, whole: Tensor, number: int) -> Tensor:
        """The part ``number`` of the loop whose tensor is ``whole``."""
        shape, element = self.type_of(number)
        return Tensor(Part(number), (whole,), shape, element, whole.origin)

    def type_of(self, number: int) -> tuple[Shape, Element]:
        """The shape and the element type of a part."""
        states = len(self.states)
        if number < states:
            return self.states[number].shape, self.states[number].element
        if number < 2 * states:
            state = self.states[number - states]
            return (self.count + 1, *state.shape), state.element
        value = self.values[number - 2 * states]
        return (self.count, *value.shape), value.element

    def reverse_parts(self, y: Tensor, gradients: Mapping[int, Tensor]) -> Sequence[Tensor | None]:
        return _Reverse(self, y, gradients).run()


# ----------------------------------------------------------------------------------------------------- building a loop


class LoopBuilder:
    """Builds a loop in the graph, and the tensors outside the loop for the values of its body."""

    def __init__(
        self,
        count: int,
        backwards: bool,
        items: Mapping[Tensor, Tensor],
        states: Sequence[State],
        invariants: Mapping[Tensor, Tensor],
        wanted: Sequence[Tensor],
        *,
        recompute: bool = False,
    ) -> None:
        """``items`` and ``invariants`` map leaves of the body to the sequences and the tensors outside that they
        represent. ``wanted`` are the values of the body that ``sequence`` and ``total`` take by their place in it."""
        self.count, self.recompute = count, recompute
        self.items, self.invariants = dict(items), dict(invariants)
        self.state_leaves = [state.leaf for state in states]
        results = [*(state.following for state in states), *wanted]
        results = self._hoisted(results)
        self.following, self.wanted = results[: len(states)], results[len(states) :]
        self._classify(results)
        loop = Loop(
            count, backwards, recompute, tuple(self.items), tuple(self.state_leaves), tuple(self.invariants),
            tuple(self.following), tuple(self.order),
        )  # fmt: skip
        inputs = (*self.items.values(), *(state.start for state in states), *self.invariants.values())
        self.loop, self.whole = loop, Tensor(loop, inputs, ())
        self._place = {tensor: place for place, tensor in enumerate(loop.values)}
        self._known: dict[Tensor, Tensor] = {}

    def _classify(self, results: Sequence[Tensor]) -> None:
        self.leaves: set[Tensor] = {*self.items, *self.state_leaves, *self.invariants}
        self.order = topological(results, self.leaves)
        for tensor in self.order:  # sources that the body uses without declaring them, such as the run's seed
            if isinstance(tensor.operation, Feed | Read | Given) and tensor not in self.leaves:
                self.invariants[tensor] = tensor
                self.leaves.add(tensor)
        self.varying = self._made_of([*self.items, *self.state_leaves])
        self.moving = self.varying if self.recompute else self._made_of(self.state_leaves)
        """The values that are computed in the loop: those that depend on the states, or on the step."""
        self.heavy = self._made_of(t for t in self.order if t not in self.leaves and _is_heavy(t))

    def _made_of(self, sources: Iterable[Tensor]) -> set[Tensor]:
        made = set(sources)
        for tensor in self.order:
            if tensor not in self.leaves and any(x in made for x in tensor.inputs):
                made.add(tensor)
        return made

    def _hoisted(self, results: list[Tensor]) -> list[Tensor]:
        """The results of a body in which leaves represent the values that are computed before the loop."""
        self._classify(results)
        self._known = {}
        places: dict[Tensor, Tensor] = {}
        for tensor in self.order:
            if tensor in self.leaves or ((self.state_leaves or self.recompute) and tensor not in self.moving):
                continue
            for x in tensor.inputs:
                for point in self._points(x):
                    outside = self._ahead(point) if point not in places else None
                    if outside is not None:
                        leaf = places[point] = given(point.shape, point.element)
                        (self.items if outside.rank > point.rank else self.invariants)[leaf] = outside
        return substituted(results, places, self.leaves)

    def _points(self, tensor: Tensor) -> list[Tensor]:
        """The tensors that should be computed before the loop for a value that a step reads.

        If the value is the same at all steps, or needs a product or a reduction, this is the value itself, without the
        views of one tensor at its end. Otherwise these are its costly formulas. There are none for a leaf, a value
        without inputs, and a value that depends on the states.
        """
        while isinstance(tensor.operation, View) and len(tensor.inputs) == 1 and tensor not in self.leaves:
            tensor = tensor.inputs[0]
        if tensor in self.moving or tensor in self.leaves or not tensor.inputs:
            return []
        if tensor not in self.varying or tensor in self.heavy:
            return [tensor]
        within = topological([tensor], self.leaves)
        return [x for x in within if isinstance(x.operation, Elementwise) and x.operation.cost >= COSTLY]

    def _ahead(self, tensor: Tensor) -> Tensor | None:
        """A value that does not depend on the states, for all steps at once, or once if it is the same at all steps.

        None if an operation cannot be computed for all steps at once.
        """
        for x in topological([tensor], {*self.leaves, *self._known}):
            if x not in self._known:
                inputs = [self._known[i] for i in x.inputs] if x not in self.leaves else []
                made = self._leaf(x) if x in self.leaves else _for_all(x, inputs, self.count)
                if made is None:
                    return None
                self._known[x] = made
        return self._known[tensor]

    def _leaf(self, leaf: Tensor) -> Tensor:
        if leaf in self.items:
            return self.items[leaf]
        if leaf in self.invariants:
            return self.invariants[leaf]
        return self._between(self.state_leaves.index(leaf), self.loop.found)

    # ----------------------------------------------------------------------------------------------- results of a loop

    def last(self, state: int) -> Tensor:
        """The value of a state after all steps."""
        return self.loop.part(self.whole, state)

    def _between(self, state: int, start: int) -> Tensor:
        whole = self.loop.part(self.whole, len(self.state_leaves) + state)
        return _steps(whole, start, self.count)

    def sequence(self, place: int) -> Tensor:
        """A wanted value at every step, ``[count, ...]``."""
        tensor = self.wanted[place]
        return for_each(self.outside(tensor), tensor.shape, self.count)

    def outside(self, tensor: Tensor) -> Tensor:
        """A value of the body at every step, or once if it is the same at all steps."""
        for x in topological([tensor], {*self._kept, *self._known}):
            if x in self._known:
                continue
            if x in self.leaves:
                self._known[x] = self._leaf(x)
            elif x in self.following:
                self._known[x] = self._between(self.following.index(x), self.loop.left)
            elif x in self._kept:
                self._known[x] = self._stored(x)
            else:
                made = _for_all(x, [self._known[i] for i in x.inputs], self.count)
                self._known[x] = self._stored(x) if made is None else made
        return self._known[tensor]

    @cached_property
    def _kept(self) -> set[Tensor]:
        """The leaves, the states after a step, and the other values that are computed in the loop.

        A value that depends on the states is computed in the loop if a state after the step depends on it, or if it
        needs no further product or reduction. Views of one tensor are not included: they are applied to that tensor at
        all steps.
        """
        ends = [*self.following, *(self.wanted if self.recompute else ())]
        needed = {t for t in topological(ends, self.leaves) if t in self.moving}
        after = (t for t in self.order if t not in needed and t not in self.leaves and _is_heavy(t))
        heavy = self._made_of(after)
        inside = needed | (self.moving - heavy)
        views = {t for t in inside if isinstance(t.operation, View) and len(t.inputs) == 1}
        return {*self.leaves, *self.following, *(inside - views)}

    def _stored(self, tensor: Tensor) -> Tensor:
        return self.loop.part(self.whole, 2 * len(self.state_leaves) + self._place[tensor])

    def total(self, place: int) -> Tensor | None:
        """The sum of a wanted value over all steps. None if it should be summed in the loop."""
        return self._total(self.wanted[place])

    def _total(self, tensor: Tensor) -> Tensor | None:
        if tensor not in self.varying:
            return self.outside(tensor) * float(self.count)
        operation = tensor.operation
        if tensor not in self._kept:
            if isinstance(operation, View) and len(tensor.inputs) == 1 and operation.otherwise == 0:
                inner = self._total(tensor.inputs[0])
                return None if inner is None else with_inputs(tensor, (inner,))
            is_sum = isinstance(operation, Elementwise) and operation.sums
            if is_sum and all(x.shape == tensor.shape for x in tensor.inputs):
                a, b = (self._total(x) for x in tensor.inputs)
                return None if a is None or b is None else a + b
            summed = operation.batched_sum(tensor, [self.outside(x) for x in tensor.inputs], self.count)
            if summed is not None:
                return summed
        if self.recompute:
            return None
        outside = self.outside(tensor)
        if isinstance(outside.operation, Part) and outside.size > MOST_KEPT:
            return None
        return reduce("sum", outside, (0,), keep=False)


def _is_heavy(tensor: Tensor) -> bool:
    """Whether a tensor needs a kernel of its own, as products and reductions do."""
    return isinstance(tensor.operation, Template | Reduction | Part | Loop)


def _for_all(tensor: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor | None:
    """The result of an operation for all steps at once, or once if none of its inputs varies.

    None if the operation cannot be computed for all steps at once.
    """
    varies = [x.rank > own.rank for x, own in zip(inputs, tensor.inputs, strict=True)]
    if not any(varies):
        return with_inputs(tensor, tuple(inputs))
    if not isinstance(tensor.operation, Elementwise):
        made = tensor.operation.batched(tensor, inputs, count)
    else:
        lined_up = [
            reshape(x, (count, *[1] * (tensor.rank + 1 - x.rank), *x.shape[1:])) if has_steps else x
            for x, has_steps in zip(inputs, varies, strict=True)
        ]
        made = Tensor(tensor.operation, tuple(lined_up), (count, *tensor.shape), tensor.element)
    if made is not None and made.origin is None:
        made.origin = tensor.origin
    return made


def substituted(
    results: Sequence[Tensor], replaced: Mapping[Tensor, Tensor], leaves: Collection[Tensor]
) -> list[Tensor]:
    """The results of a graph with the tensors in ``replaced`` replaced. Tensors before ``leaves`` are not visited."""
    made = dict(replaced)
    for tensor in topological(results, {*leaves, *replaced}):
        if tensor not in made:
            inputs = tensor.inputs if tensor in leaves else tuple(made[x] for x in tensor.inputs)
            made[tensor] = with_inputs(tensor, inputs)
    return [made[x] for x in results]


# -------------------------------------------------------------------------------------------------------- the reverse


class _Reverse:
    """The gradients of one loop. ``arrived`` maps the numbers of its parts to the gradients of the parts."""

    def __init__(self, loop: Loop, whole: Tensor, arrived: Mapping[int, Tensor]) -> None:
        self.loop, self.whole = loop, whole
        states = len(loop.states)
        self.at_end = {k: g for k, g in arrived.items() if k < states}
        self.between = {n - states: g for n, g in arrived.items() if states <= n < 2 * states}
        self.items: dict[Tensor, Tensor] = {}
        """The items of the reverse loop."""
        self.carried = {k: given(x.shape) for k, x in enumerate(loop.states) if x.element == "float"}
        """The leaf of the gradient of each float state, which the reverse loop carries."""
        self.seeds: list[tuple[Tensor, Tensor]] = [
            (loop.values[n - 2 * states], self._item(g)) for n, g in arrived.items() if n >= 2 * states
        ]
        self.arriving = dict(self.carried)
        """The gradient of each state after a step: the carried one, plus that of the state between the steps."""
        for k, g in self.between.items():
            self.arriving[k] = self.carried[k] + self._item(_steps(g, loop.left, loop.count))

    def run(self) -> list[Tensor | None]:
        """The gradients of the loop's inputs."""
        loop = self.loop
        sloped = [x for x in loop.leaves if x.element == "float"]
        active = {*self.at_end, *self.between}
        while True:
            seeds = [*((loop.following[k], self.arriving[k]) for k in sorted(active)), *self.seeds]
            pulled = zip(sloped, pull_back_all(seeds, sloped, loop.leaves), strict=True)
            found = {leaf: g for leaf, g in pulled if g is not None}
            reached = {k for k in self.carried if loop.states[k] in found}
            if reached <= active:
                break
            active |= reached
        order = sorted(active)
        leaves = [x for x in (*loop.items, *loop.invariants) if x in found]
        before = [found.get(loop.states[k]) for k in order]
        zeros = [broadcast_to(constant(0.0), loop.states[k].shape) for k in order]
        results = [g if g is not None else zero for g, zero in zip(before, zeros, strict=True)]
        results = self._reading([*results, *(found[x] for x in leaves)])
        states = [
            State(self.carried[k], self.at_end.get(k, zero), result)
            for k, zero, result in zip(order, zeros, results, strict=False)
        ]
        return self._gradients(order, states, dict(zip(leaves, results[len(order) :], strict=True)))

    def _gradients(
        self, order: Sequence[int], states: Sequence[State], slopes: Mapping[Tensor, Tensor]
    ) -> list[Tensor | None]:
        loop = self.loop
        outer = dict(zip(loop.leaves, self.whole.inputs, strict=True))
        given_outside = {x: outer[x] for x in loop.invariants}
        run = self._builder(states, given_outside, slopes)
        places = {leaf: place for place, leaf in enumerate(slopes)}
        totals = {x: run.total(places[x]) for x in loop.invariants if x in places}
        if None in totals.values():
            summed = [x for x, total in totals.items() if total is None]
            accumulators = [given(x.shape) for x in summed]
            states = [
                *states,
                *(
                    State(sum_, broadcast_to(constant(0.0), x.shape), sum_ + slopes[x])
                    for x, sum_ in zip(summed, accumulators, strict=True)
                ),
            ]
            run = self._builder(states, given_outside, slopes)
            totals = {x: run.total(places[x]) for x in totals if x not in summed}
            totals |= {x: run.last(len(order) + k) for k, x in enumerate(summed)}
        starts: dict[Tensor, Tensor] = {}
        for position, k in enumerate(order):
            g = run.last(position)
            if k in self.between:
                g = g + reshape(_steps(self.between[k], loop.first, 1), g.shape)
            starts[loop.states[k]] = g
        sequences = {x: run.sequence(places[x]) for x in loop.items if x in places}
        gradients = {**sequences, **starts, **totals}
        return [gradients.get(x) for x in loop.leaves]

    def _builder(
        self, states: Sequence[State], invariants: Mapping[Tensor, Tensor], slopes: Mapping[Tensor, Tensor]
    ) -> LoopBuilder:
        loop, wanted = self.loop, list(slopes.values())
        backwards, again = not loop.backwards, loop.recompute
        return LoopBuilder(loop.count, backwards, self.items, states, invariants, wanted, recompute=again)

    def _item(self, sequence: Tensor) -> Tensor:
        leaf = given(sequence.shape[1:], sequence.element)
        self.items[leaf] = sequence
        return leaf

    def _reading(self, results: Sequence[Tensor]) -> list[Tensor]:
        """The results of the reverse body, in which items represent the values that the loop stores for it."""
        loop = self.loop
        body = set(loop.values)
        own = [x for x in topological(results, body) if x not in body]
        read = {x for tensor in own for x in tensor.inputs if x in body} | (body & set(results))
        stored = {} if loop.recompute else {x: self._item(self._sequence(x)) for x in self._stored(read)}
        made = substituted(results, stored, loop.leaves)
        for x in topological(made, set(loop.leaves)):
            if x in loop.items:
                self.items[x] = self.whole.inputs[loop.items.index(x)]
            elif x in loop.states:
                number = len(loop.states) + loop.states.index(x)
                self.items[x] = _steps(loop.part(self.whole, number), loop.found, loop.count)
        return made

    def _sequence(self, tensor: Tensor) -> Tensor:
        loop, states = self.loop, len(self.loop.states)
        if tensor in loop.following:
            return _steps(loop.part(self.whole, states + loop.following.index(tensor)), loop.left, loop.count)
        return loop.part(self.whole, 2 * states + loop.values.index(tensor))

    def _stored(self, read: set[Tensor]) -> list[Tensor]:
        """The values that the loop stores, so that formulas alone compute ``read`` from them and the leaves.

        For each product and reduction this is the last tensor that its kernel computes in its epilogue.
        """
        loop = self.loop
        ends = {*loop.leaves, *(x for x in loop.values if not x.inputs)}
        users: dict[Tensor, list[Tensor]] = {x: [] for x in loop.values}
        for tensor in loop.values:
            for x in tensor.inputs if tensor not in ends else ():
                users[x].append(tensor)
        points = set(loop.following) - ends
        for root in loop.values:
            if root in ends or not _is_heavy(root) or any(isinstance(x.operation, Part) for x in users[root]):
                continue
            point = root
            while (
                point not in read and point not in points and len(users[point]) == 1 and _passes(users[point][0], point)
            ):
                (point,) = users[point]
            points.add(point)
        found: dict[Tensor, None] = {}
        stack = [x for x in loop.values if x in read]
        seen: set[Tensor] = set()
        while stack:
            x = stack.pop()
            if x in points:
                found[x] = None
            elif x not in seen and x not in ends:
                seen.add(x)
                stack.extend(x.inputs)
        return list(found)


def _passes(after: Tensor, x: Tensor) -> bool:
    """Whether the kernel that computes ``x`` can compute ``after`` in its epilogue."""
    if isinstance(after.operation, View):
        return after.operation.invertible
    return isinstance(after.operation, Elementwise) and after.shape == x.shape


def _steps(whole: Tensor, start: int, count: int) -> Tensor:
    """``count`` elements of a sequence, from ``start``."""
    return slice_(whole, (start, *[0] * (whole.rank - 1)), (1,) * whole.rank, (count, *whole.shape[1:]))
