"""Lowering: from the module graph to the operator graph. The batch becomes a dimension, primitives become tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl import collector
from graphdl.compiler.recurrence import LoopBuilder, State
from graphdl.compiler.typed import check_lowered
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.model import ModuleGraph, Node, ScanBody, Value
from graphdl.operators import PRIMITIVES, Lowering, OperatorError
from graphdl.operators.elementwise import apart, apply, cast
from graphdl.operators.structure import broadcast_to, concat, positions, reshape, slice_, transpose
from graphdl.operators.tensor import Tensor, adopt, array, constant, feed, given, read
from graphdl.operators.tensor import number as number_of

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Lowered:
    """The operator tensors of a module graph's values.

    Inputs become feeds and variables become reads, under their own names. ``losses`` and ``metrics`` are means over the
    batch, of shape []. ``examples`` has losses and metrics for each example, of shape [batch].
    """

    graph: ModuleGraph
    batch: int
    values: Mapping[Value, Tensor]
    outputs: Mapping[str, Tensor]
    losses: Mapping[str, Tensor]
    metrics: Mapping[str, Tensor]
    examples: Mapping[str, Tensor]
    updates: Mapping[str, Tensor]
    parameters: Mapping[str, Tensor]


@collector.paused()
def lower(graph: ModuleGraph, batch: int, separate: Collection[Value] = (), *, unrolled: bool | None = None) -> Lowered:
    """Lowers every value of ``graph`` for ``batch`` examples.

    Values of ``separate`` become tensors that later passes do not look through; any other value may be fused away.
    ``unrolled`` decides whether scans are unrolled; with None, each scan is unrolled where that is faster. The values
    of the body of an unrolled scan are those of its last step. The values of a loop's body are not available.

    Raises:
        ModelError: the lowering rule of a primitive refuses its inputs.
    """
    lowering = _Lowering(graph, batch, separate, unrolled)
    lowering.run(graph.nodes, None)
    tensor = lowering.values.__getitem__

    def batched(value: Value) -> Tensor:
        x = tensor(value)
        return x if value.batched else broadcast_to(x, (batch, *x.shape))

    examples = {name: cast(batched(value), "float") for name, value in {**graph.losses, **graph.metrics}.items()}
    means = {name: _mean(x) for name, x in examples.items()}
    for name, value in {**graph.losses, **graph.metrics}.items():
        adopt((means[name],), (tensor(value),), value.node)
    return Lowered(
        graph,
        batch,
        lowering.values,
        outputs={name: batched(value) for name, value in graph.outputs.items()},
        losses={name: means[name] for name in graph.losses},
        metrics={name: means[name] for name in graph.metrics},
        examples=examples,
        updates={path: tensor(value) for path, value in graph.updates.items()},
        parameters={path: tensor(variable.value) for path, variable in graph.parameters.items()},
    )


def _mean(x: Tensor) -> Tensor:
    from graphdl.operators.reduction import reduce

    return reduce("sum", x, (0,), keep=False) / x.shape[0]


class _Lowering:
    def __init__(self, graph: ModuleGraph, batch: int, separate: Collection[Value], unrolled: bool | None) -> None:
        self.graph = graph
        self.batch = batch
        self.separate = separate
        self.unrolled = unrolled
        self.values: dict[Value, Tensor] = {}

    def run(self, nodes: Sequence[Node], step: Tensor | None) -> None:
        """Lowers nodes in order. ``step`` is the number of the step in a scan; random draws are keyed on it."""
        for node in nodes:
            if node.operator == "item":  # a value from outside the body of a scan: the scan has set it
                continue
            for value, tensor in zip(node.outputs, self.lower(node, step), strict=True):
                check_lowered(value, tensor, self.batch)
                self.values[value] = apart(tensor) if value in self.separate else tensor

    def lower(self, node: Node, step: Tensor | None) -> Sequence[Tensor]:
        match node.operator:
            case "input":
                kind = node.outputs[0].type
                tensors: Sequence[Tensor] = (feed(node.attributes["name"], (self.batch, *kind.shape), kind.element),)
            case "param" | "state":
                kind = node.outputs[0].type
                tensors = (read(node.attributes["name"], kind.shape, kind.element),)
            case "constant":
                tensors = (array(node.attributes["value"], node.outputs[0].type.element),)
            case "draw":
                tensors = (array(drawn(node).tolist()),)
            case "scan":
                tensors = self.scan(node, step)
            case _:
                tensors = self.apply(node, step)
        adopt(tensors, (self.values[value] for value in node.inputs), node)
        return tensors

    def apply(self, node: Node, step: Tensor | None) -> Sequence[Tensor]:
        request = Lowering(
            inputs=tuple(self.values[value] for value in node.inputs),
            batched=tuple(value.batched for value in node.inputs),
            types=tuple(value.type for value in node.inputs),
            attributes=node.attributes,
            outputs=tuple(value.type for value in node.outputs),
            batch=self.batch,
            key=f"{node.module.path}/{node.operator}/{node.id}",
            step=step,
        )
        try:
            return PRIMITIVES[node.operator].lower(request)
        except OperatorError as error:
            raise ModelError(Diagnostic(error.code, error.message, node.span, help=error.help)) from error

    def scan(self, node: Node, step: Tensor | None) -> Sequence[Tensor]:
        body: ScanBody = node.attributes["body"]
        sequences = node.inputs[: len(body.items)]
        starts = node.inputs[len(body.items) : len(body.items) + len(body.states)]
        captured = node.inputs[len(body.items) + len(body.states) :]
        first = [
            self._as_batched(self.values[start], state.batched, start.batched)
            for state, start in zip(body.states, starts, strict=True)
        ]
        length = sequences[0].type.shape[0]
        unrolls = (not body.recompute and worth_unrolling(body, length)) if self.unrolled is None else self.unrolled
        run = self.unroll if unrolls else self.loop
        return run(body, length, sequences, first, captured, step)

    def unroll(
        self,
        body: ScanBody,
        length: int,
        sequences: Sequence[Value],
        first: Sequence[Tensor],
        captured: Sequence[Value],
        step: Tensor | None,
    ) -> Sequence[Tensor]:
        """One copy of the body for each step: its nodes are lowered anew every time."""
        values = self.values
        values.update((inner, values[x]) for inner, x in zip(body.captured, captured, strict=True))
        values.update(zip(body.states, first, strict=True))
        emitted: list[list[Tensor]] = [[] for _ in body.emitted]
        for t in range(length):
            for item, sequence in zip(body.items, sequences, strict=True):
                values[item] = _element(values[sequence], t, 1 if sequence.batched else 0)
            self.run(body.nodes, _number_of_step(step, length, constant(t)))
            for column, value in zip(emitted, body.emitted, strict=True):
                column.append(values[value])
            values.update(zip(body.states, self._following(body), strict=True))
        columns = zip(emitted, body.emitted, strict=True)
        stacked = [_stack(column, 1 if value.batched else 0) for column, value in columns]
        return (*stacked, *(values[state] for state in body.states))

    def loop(
        self,
        body: ScanBody,
        length: int,
        sequences: Sequence[Value],
        first: Sequence[Tensor],
        captured: Sequence[Value],
        step: Tensor | None,
    ) -> Sequence[Tensor]:
        """One operation for all steps: the body's nodes are lowered once."""
        values = self.values
        items: dict[Tensor, Tensor] = {}
        for item, sequence in zip(body.items, sequences, strict=True):
            whole = _steps_first(values[sequence]) if sequence.batched else values[sequence]
            values[item] = given(whole.shape[1:], whole.element)
            items[values[item]] = whole
        number = given((), "int")
        items[number] = positions((length,), (0,))
        invariants: dict[Tensor, Tensor] = {}
        for inner, outer in zip(body.captured, captured, strict=True):
            if number_of(values[outer]) is None:
                values[inner] = given(values[outer].shape, values[outer].element)
                invariants[values[inner]] = values[outer]
            else:
                values[inner] = values[outer]
        values.update((state, given(x.shape, x.element)) for state, x in zip(body.states, first, strict=True))
        leaves = [values[state] for state in body.states]
        self.run(body.nodes, _number_of_step(step, length, number))
        states = map(State, leaves, first, self._following(body))
        wanted = [values[value] for value in body.emitted]
        run = LoopBuilder(length, False, items, list(states), invariants, wanted, recompute=body.recompute)
        emitted = [run.sequence(place) for place in range(len(body.emitted))]
        stacked = [_steps_first(x) if value.batched else x for x, value in zip(emitted, body.emitted, strict=True)]
        return (*stacked, *(run.last(k) for k in range(len(leaves))))

    def _following(self, body: ScanBody) -> list[Tensor]:
        return [
            self._as_batched(self.values[new], old.batched, new.batched)
            for old, new in zip(body.states, body.next_states, strict=True)
        ]

    def _as_batched(self, tensor: Tensor, wanted: bool, has: bool) -> Tensor:
        return broadcast_to(tensor, (self.batch, *tensor.shape)) if wanted and not has else tensor


MOST_FORMULAS = 32
"""The most steps at which a scan of elementwise formulas alone is unrolled."""


def worth_unrolling(body: ScanBody, length: int) -> bool:
    """Whether a scan of ``length`` steps is faster unrolled.

    The steps of formulas become one kernel: a running sum over 32 steps of [32, 16] takes 0.30 ms a training step
    unrolled and 0.48 ms as a loop (PoCL 3.0, AMD Zen 5). With a product in the body the two are equal within the noise
    (an RNN over 8 steps of 32 units: 0.75 and 0.79 ms of processor time), and a loop is compiled sooner.
    """
    formulas = all(
        node.operator in ("item", "constant") or (node.operator in PRIMITIVES and PRIMITIVES[node.operator].elementwise)
        for node in body.nodes
    )
    return length == 1 or (formulas and length <= MOST_FORMULAS)


def _number_of_step(outer: Tensor | None, length: int, number: Tensor) -> Tensor:
    """The number of a step, counted through all enclosing scans."""
    return number if outer is None else apply("add", apply("multiply", outer, length), number)


def _steps_first(x: Tensor) -> Tensor:
    """Exchanges the first two dimensions, which are the batch and the steps."""
    return transpose(x, (1, 0, *range(2, x.rank)))


def _element(x: Tensor, t: int, axis: int) -> Tensor:
    starts = [t if a == axis else 0 for a in range(x.rank)]
    shape = [1 if a == axis else n for a, n in enumerate(x.shape)]
    piece = slice_(x, starts, [1] * x.rank, shape)
    return reshape(piece, [n for a, n in enumerate(shape) if a != axis])


def _stack(pieces: Sequence[Tensor], axis: int) -> Tensor:
    first = pieces[0].shape
    shape = (*first[:axis], 1, *first[axis:])
    return concat([reshape(piece, shape) for piece in pieces], axis)


def drawn(node: Node) -> np.ndarray:
    """A fixed random tensor (an initializer used as a value), drawn once at compile time."""
    import zlib

    from graphdl.operators.initializers import initialize

    key = zlib.crc32(f"{node.module.path}/{node.id}".encode())
    return initialize(node.attributes["initializer"], tuple(node.attributes["shape"]), (0, key))
