"""Compiled loops: the body is a program of its own, whose arguments advance from step to step.

The feeds of the body's program are the items, the invariants, and the states before a step. Its fetches are the states
after a step, and the values that are stored. Each of them is an operand or an output of the loop. A state whose values
between the steps are needed has ``count + 1`` copies in memory: a step reads one and writes the next. Any other state
is a variable of the body's program, which is written in place. The setup of the body's program depends on invariants
alone and runs once, before the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from graphdl.compiler.memory import ALIGNMENT
from graphdl.compiler.program import Program
from graphdl.compiler.recurrence import Loop, substituted
from graphdl.compiler.rewrite import Replaced, rewrite
from graphdl.compiler.schedule import bytes_of
from graphdl.compiler.strided import stays_row_major
from graphdl.graph.types import Element, Shape
from graphdl.operators.kernels.family import Lasts, copy, nothing_lasts
from graphdl.operators.structure import reshape, slice_
from graphdl.operators.tensor import Part, Template, Tensor, feed, read, topological

Key = TypeVar("Key")

Compile = Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Lasts], Program]
"""Compiles fetches and updates to a program. The third argument says which sources keep their values."""


@dataclass(frozen=True, slots=True)
class Argument:
    """The memory of a buffer of a loop's program: a range of an operand, of an output or of the loop's own memory.

    At the first step that runs, the range begins at ``offset`` bytes. It moves by ``step`` bytes with every step.
    """

    kind: Literal["operand", "output", "own"]
    number: int
    offset: int
    step: int


Arguments = Mapping[tuple[str, str], Argument]
"""Maps the place and the name of each binding of a program to its memory."""


@dataclass(frozen=True)
class Linked:
    """A program and the memory of its buffers."""

    program: Program
    arguments: Arguments


@dataclass(frozen=True, eq=False)
class Repeated(Template):
    """A compiled loop: ``start`` writes the states at the start, then ``body`` runs ``count`` times.

    The inputs are the operands; the parts are the outputs.
    """

    count: int
    body: Linked
    start: Linked | None
    own_bytes: int
    """The bytes of memory that the loop needs while it runs."""
    outputs: tuple[tuple[Shape, Element], ...] = field(default=())

    takes_epilogue = False
    operand_layout = "contiguous"

    @property
    def name(self) -> str:
        return "loop"

    @property
    def programs(self) -> tuple[Linked, ...]:
        """The programs in the order in which they run: the start, if there is one, and the body."""
        return (self.body,) if self.start is None else (self.start, self.body)

    def flops(self, y: Tensor) -> int:
        return self.count * self.body.program.flops


def settle(results: Mapping[Key, Tensor], compiled: Compile) -> dict[Key, Tensor]:
    """The same results with the loops compiled. Each loop computes only the parts that are needed."""
    asked = _asked(list(results.values()))
    if not asked:
        return dict(results)
    made: dict[Tensor, _Settled] = {}

    def settled(tensor: Tensor, inputs: tuple[Tensor, ...], replaced: Replaced) -> Tensor | None:
        if isinstance(tensor.operation, Loop):
            if tensor not in asked:  # it is an input of another loop, which does not read it
                return None
            made[tensor] = _Settled(tensor.operation, tensor, inputs, asked[tensor], compiled)
            return made[tensor].whole
        if isinstance(tensor.operation, Part) and tensor.operation.number in asked.get(tensor.inputs[0], ()):
            return made[tensor.inputs[0]].part(tensor.operation.number)
        return None

    return rewrite(results, settled)


def _asked(results: Sequence[Tensor]) -> dict[Tensor, set[int]]:
    """The numbers of the needed parts of every loop. Inputs that a loop does not read are not needed."""
    alive = set(results)
    asked: dict[Tensor, set[int]] = {}
    for tensor in reversed(topological(results)):
        if tensor not in alive:
            continue
        if isinstance(tensor.operation, Loop):
            alive.update(_inputs_read(tensor.operation, tensor, asked[tensor]))
            continue
        alive.update(tensor.inputs)
        if isinstance(tensor.operation, Part) and isinstance(tensor.inputs[0].operation, Loop):
            asked.setdefault(tensor.inputs[0], set()).add(tensor.operation.number)
    return asked


def _inputs_read(loop: Loop, tensor: Tensor, asked: Collection[int]) -> list[Tensor]:
    _, read = _needs(loop, asked)
    return [x for leaf, x in zip(loop.leaves, tensor.inputs, strict=True) if leaf in read]


def _needs(loop: Loop, asked: Collection[int]) -> tuple[set[int], set[Tensor]]:
    """The states that a loop must carry for the parts with the numbers ``asked``, and the leaves that it reads."""
    states = len(loop.states)
    values = [loop.values[n - 2 * states] for n in sorted(asked) if n >= 2 * states]
    leaves = set(loop.leaves)
    needed = {n % states for n in asked if n < 2 * states}
    while True:
        reached = set(topological([*values, *(loop.following[k] for k in sorted(needed))], leaves))
        found = {k for k, leaf in enumerate(loop.states) if leaf in reached}
        if found <= needed:
            return needed, reached | {loop.states[k] for k in needed}
        needed = needed | found


class _Settled:
    """One loop, compiled for the parts with the numbers ``asked``."""

    def __init__(
        self, loop: Loop, tensor: Tensor, inputs: tuple[Tensor, ...], asked: Collection[int], compiled: Compile
    ) -> None:
        self.loop, self.inputs = loop, inputs
        states = len(loop.states)
        self.values = {n: loop.values[n - 2 * states] for n in sorted(asked) if n >= 2 * states}
        self.between = {n - states for n in asked if states <= n < 2 * states}
        self.last = {n for n in asked if n < states}
        self.needed, _ = _needs(loop, asked)
        self.operands: list[Tensor] = []
        self.outputs: dict[int, int] = {}
        """Maps the number of a part to its place among the outputs."""
        self.own_bytes = 0
        self._own: dict[int, int] = {}
        """Maps a state that is carried but not asked for to its offset in the loop's own memory."""
        types: list[tuple[Shape, Element]] = []
        for k in sorted(self.needed):
            if k in self.between:
                self.outputs[states + k] = len(types)
                types.append(loop.type_of(states + k))
            elif k in self.last:
                self.outputs[k] = len(types)
                types.append(loop.type_of(k))
            else:
                self._own[k] = self._claimed(bytes_of(loop.states[k]))
        for number in self.values:
            self.outputs[number] = len(types)
            types.append(loop.type_of(number))
        body = self._body(compiled)
        start = self._start(compiled) if self.needed else None
        operation = Repeated(loop.count, body, start, self.own_bytes, tuple(types))
        self.whole = Tensor(operation, tuple(self.operands), (), origin=tensor.origin)
        self._parts = [
            Tensor(Part(k), (self.whole,), shape, element, tensor.origin) for k, (shape, element) in enumerate(types)
        ]

    def part(self, number: int) -> Tensor:
        """The tensor that replaces a part of the loop."""
        loop, states = self.loop, len(self.loop.states)
        if number in self.outputs:
            return self._parts[self.outputs[number]]
        whole = self._parts[self.outputs[states + number]]  # the final state is the last between the steps
        end = loop.count - loop.first
        shape = loop.states[number].shape
        return reshape(slice_(whole, (end, *[0] * len(shape)), (1,) * whole.rank, (1, *shape)), shape)

    def _claimed(self, nbytes: int) -> int:
        start = self.own_bytes
        self.own_bytes += -(-nbytes // ALIGNMENT) * ALIGNMENT
        return start

    def _body(self, compiled: Compile) -> Linked:
        loop = self.loop
        leaves: dict[Tensor, Tensor] = {
            **{x: feed(f"item {i}", x.shape, x.element) for i, x in enumerate(loop.items)},
            **{x: feed(f"given {i}", x.shape, x.element) for i, x in enumerate(loop.invariants)},
        }
        for k, x in enumerate(loop.states):
            leaves[x] = (feed if k in self.between else read)(f"state {k}", x.shape, x.element)
        names = [f"value {number}" for number in self.values]
        ordered = sorted(self.needed)
        results = substituted([*self.values.values(), *(loop.following[k] for k in ordered)], leaves, loop.leaves)
        following = dict(zip(ordered, results[len(names) :], strict=True))
        fetches = dict(zip(names, results, strict=False))
        fetches |= {f"state {k}": x for k, x in following.items() if k in self.between}
        updates = {f"state {k}": x for k, x in following.items() if k not in self.between}
        program = compiled(fetches, updates, {leaves[x] for x in loop.invariants}.__contains__)
        return Linked(program, self._body_arguments(program))

    def _body_arguments(self, program: Program) -> dict[tuple[str, str], Argument]:
        loop, states = self.loop, len(self.loop.states)
        found: dict[tuple[str, str], Argument] = {}
        for i, x in enumerate(loop.items):
            if f"item {i}" in program.feeds:
                found["feed", f"item {i}"] = self._moving("operand", self._operand(i), bytes_of(x), 0)
        for i in range(len(loop.invariants)):
            if f"given {i}" in program.feeds:
                number = self._operand(len(loop.items) + states + i)
                found["feed", f"given {i}"] = Argument("operand", number, 0, 0)
        for k in self.needed:
            size = bytes_of(loop.states[k])
            if k in self.between:
                output = self.outputs[states + k]
                found["feed", f"state {k}"] = self._moving("output", output, size, loop.found)
                found["fetch", f"state {k}"] = self._moving("output", output, size, loop.left)
            else:
                found["variable", f"state {k}"] = self._still(k)
        for number, x in self.values.items():
            found["fetch", f"value {number}"] = self._moving("output", self.outputs[number], bytes_of(x), 0)
        found["arena", ""] = Argument("own", 0, self._claimed(program.arena_bytes), 0)
        return found

    def _moving(self, kind: Literal["operand", "output"], number: int, nbytes: int, ahead: int) -> Argument:
        """The memory of one element of a sequence: at step t, element t + ``ahead``."""
        if self.loop.backwards:
            return Argument(kind, number, (self.loop.count - 1 + ahead) * nbytes, -nbytes)
        return Argument(kind, number, ahead * nbytes, nbytes)

    def _still(self, state: int) -> Argument:
        """The memory of a state that has one copy."""
        if state in self._own:
            return Argument("own", 0, self._own[state], 0)
        return Argument("output", self.outputs[state], 0, 0)

    def _operand(self, number: int) -> int:
        """The place among the operands of the loop's input with this number."""
        x = self.inputs[number]
        if not stays_row_major(x):
            x = copy(x)
        if x not in self.operands:
            self.operands.append(x)
        return self.operands.index(x)

    def _start(self, compiled: Compile) -> Linked:
        loop, states = self.loop, len(self.loop.states)
        fetches: dict[str, Tensor] = {}
        arguments: dict[tuple[str, str], Argument] = {}
        for k in sorted(self.needed):
            x = loop.states[k]
            fetches[f"state {k}"] = copy(feed(f"start {k}", x.shape, x.element))
            arguments["feed", f"start {k}"] = Argument("operand", self._operand(len(loop.items) + k), 0, 0)
            if k in self.between:
                offset = loop.first * bytes_of(x)
                arguments["fetch", f"state {k}"] = Argument("output", self.outputs[states + k], offset, 0)
            else:
                arguments["fetch", f"state {k}"] = self._still(k)
        program = compiled(fetches, {}, nothing_lasts)
        arguments["arena", ""] = Argument("own", 0, self._claimed(program.arena_bytes), 0)
        return Linked(program, arguments)
