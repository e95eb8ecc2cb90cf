"""The module graph as plain data: what a file says once its blocks are expanded.

``Node`` is one application of a primitive operator. The blocks that a person wrote are a tree of ``Module``
over the nodes. Nodes stand in a topological order. ``check`` reads this without importing networkx;
``graphdl.graph.digraph`` makes the networkx graph when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphdl.graph.train import TrainSection
from graphdl.graph.types import TensorType
from graphdl.source import Span


@dataclass(eq=False, slots=True)
class Value:
    """One output of a node: an edge of the graph starts here."""

    node: Node
    index: int
    type: TensorType
    batched: bool
    """Whether each example of a batch has its own; parameters and what is made of them alone have not."""


@dataclass(eq=False, slots=True)
class Module:
    """One applied block (or the net itself, which has no parent and the path '').

    ``path`` names it and its parameters: ``main.conv_2``. A module that is used twice is one Module.
    """

    path: str
    kind: str
    """The block's own name: ``conv``, ``residual``, ``lenet``."""
    parent: Module | None
    span: Span
    """Where it is applied (for the net: its declaration)."""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    documentation: str | None = None
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    """Of the latest application."""
    children: list[Module] = field(default_factory=list)
    applications: list[tuple[int, int]] = field(default_factory=list)
    """For each time it was applied the numbers of the nodes that came of it: the first, and the one after the last."""


@dataclass(eq=False, slots=True)
class Node:
    """One application of a primitive: ``operator`` is its name in ``graphdl.operators.PRIMITIVES``.

    Four operators have no inputs: ``input``, ``param`` and ``state`` (attribute ``name``, the path) and ``constant``
    (attribute ``value``, a number or nested list).
    """

    id: int
    operator: str
    inputs: tuple[Value, ...]
    attributes: Mapping[str, Any]
    module: Module
    span: Span
    outputs: tuple[Value, ...] = ()
    name: str | None = None
    """The name that the user's text gives the first output, where there is one."""


@dataclass(frozen=True, slots=True)
class Initializer:
    """``uniform(-0.1, 0.1)``: a name of ``graphdl.operators.initializers`` with its numbers."""

    name: str
    arguments: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A parameter (trained) or a state (a running value, updated in training)."""

    path: str
    type: TensorType
    initializer: Initializer
    value: Value
    span: Span


@dataclass(eq=False, slots=True)
class ModuleGraph:
    """A net, expanded for training or for inference."""

    name: str
    training: bool
    root: Module
    nodes: list[Node] = field(default_factory=list)
    inputs: dict[str, Value] = field(default_factory=dict)
    parameters: dict[str, Variable] = field(default_factory=dict)
    states: dict[str, Variable] = field(default_factory=dict)
    outputs: dict[str, Value] = field(default_factory=dict)
    losses: dict[str, Value] = field(default_factory=dict)
    metrics: dict[str, Value] = field(default_factory=dict)
    updates: dict[str, Value] = field(default_factory=dict)
    """From a state's path to its next value."""
    stages: list[TrainSection] = field(default_factory=list)
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    documentation: str | None = None


@dataclass(eq=False, slots=True)
class ScanBody:
    """The body of a ``scan``, made once and shared by all steps: the attribute ``body`` of a node ``scan``.

    The node's inputs are the sequences, then the states' first values, then the captured outer values; ``items``,
    ``states`` and ``captured`` are the values (of ``item`` nodes in the body) that stand for them inside, in that
    order. Its outputs are the emitted sequences, then the final states.
    """

    nodes: list[Node]
    items: list[Value]
    states: list[Value]
    captured: list[Value]
    next_states: list[Value]
    emitted: list[Value]
