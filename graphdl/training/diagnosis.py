"""Where a number stopped being finite: the first node of the forward pass that made a NaN or an infinity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from graphdl.compiler.build import build
from graphdl.graph.model import Node
from graphdl.operators.elementwise import apply
from graphdl.operators.random import SEED
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import concat, reshape
from graphdl.operators.tensor import Tensor
from graphdl.training.network import Network
from graphdl.training.program import seed_array

_COUNTS = "counts"


@dataclass(frozen=True)
class Fault:
    """A node whose inputs are finite and whose output is not; or a parameter or state that is not."""

    node: Node
    elements: int
    """How many of its elements are no finite numbers."""


def first_fault(network: Network, arrays: Mapping[str, np.ndarray], seed: int, draw: int) -> Fault | None:
    """The first node of the training graph, in its order, that makes something else than finite numbers of a batch.

    Raises:
        DeviceError: the device has no room for the counts.
    """
    batch = len(next(iter(arrays.values()))) if arrays else 1
    lowered = network.lower(True, batch)
    watched = [
        (node, lowered.values[value])
        for node in lowered.graph.nodes
        for value in node.outputs
        if lowered.values[value].element == "float" and node.operator != "constant"
    ]
    counts = concat([reshape(_not_finite(tensor), (1,)) for _, tensor in watched], 0)
    program = build({_COUNTS: counts}, {}, network.device.target)
    executor = network.load(program)
    feeds = {name: array for name, array in arrays.items() if name in program.feeds}
    if SEED in program.feeds:
        feeds[SEED] = seed_array(seed, draw)
    executor.run(feeds)
    found = executor.fetch(_COUNTS)
    return next((Fault(node, int(count)) for (node, _), count in zip(watched, found, strict=True) if count), None)


def _not_finite(x: Tensor) -> Tensor:
    """How many elements are infinite or no number: what is subtracted from itself is 0 for all others."""
    return reduce("sum", apply("where", apply("equal", x - x, 0.0), 0.0, 1.0), range(x.rank), keep=False)
