"""The module graph as plain data: the content of a file after its blocks are expanded.

A ``Node`` is one application of a primitive operator. The blocks of the text are a tree of ``Module`` over the nodes.
Nodes are in topological order. ``check`` reads this without importing networkx; ``graphdl.graph.digraph`` makes a
networkx graph on request.
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
    """One output of a node."""

    node: Node
    index: int
    type: TensorType
    batched: bool
    """Whether each example of a batch has its own value. Values that depend on parameters alone are not batched."""


@dataclass(eq=False, slots=True)
class Module:
    """One applied block, or the net itself, which has no parent and the path ''.

    ``path`` is the prefix of the names of its parameters: ``main.conv_2``. A module that is used twice is one Module.
    """

    path: str
    kind: str
    """The name of the block: ``conv``, ``residual``, ``lenet``."""
    parent: Module | None
    span: Span
    """The place where it is applied; for the net, its declaration."""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    documentation: str | None = None
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    """The outputs of the latest application."""
    children: list[Module] = field(default_factory=list)
    applications: list[tuple[int, int]] = field(default_factory=list)
    """For each application the numbers of its nodes: the first, and the one after the last."""


@dataclass(eq=False, slots=True)
class Node:
    """One application of a primitive. ``operator`` is its name in ``graphdl.operators.PRIMITIVES``.

    Further operators without inputs are ``input``, ``param`` and ``state`` (attribute ``name``, the path) and
    ``constant`` (attribute ``value``, a number or nested list).
    """

    id: int
    operator: str
    inputs: tuple[Value, ...]
    attributes: Mapping[str, Any]
    module: Module
    span: Span
    outputs: tuple[Value, ...] = ()
    name: str | None = None
    """The name of the first output in the user's text, if it has one."""


@dataclass(frozen=True, slots=True)
class Initializer:
    """``uniform(-0.1, 0.1)``: a name of ``graphdl.operators.initializers`` with its arguments."""

    name: str
    arguments: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A parameter, which is trained, or a state, which has a formula for its update in training."""

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
    """Maps the path of a state to its next value."""
    stages: list[TrainSection] = field(default_factory=list)
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    documentation: str | None = None


@dataclass(eq=False, slots=True)
class ScanBody:
    """The body of a ``scan``, shared by all steps: the attribute ``body`` of a node ``scan``.

    The inputs of the node are the sequences, the initial states and the captured outer values. The values ``items``,
    ``states`` and ``captured`` (of ``item`` nodes) stand for them in the body, in that order. The outputs of the node
    are the emitted sequences and the final states.
    """

    nodes: list[Node]
    items: list[Value]
    states: list[Value]
    captured: list[Value]
    next_states: list[Value]
    emitted: list[Value]
    recompute: bool = False
    """Whether the steps run one after the other, and nothing of a step is kept but its results: the reverse pass
    computes the step again."""
