"""The origin of a number that is not finite: the first node of the forward pass whose output is NaN or infinite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from graphdl.data.dataset import Sizes
from graphdl.graph.model import Node
from graphdl.operators.elementwise import apply
from graphdl.operators.random import SEED
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import concat, reshape
from graphdl.operators.tensor import Tensor
from graphdl.training.network import Network
from graphdl.training.program import clock_arrays, seed_array

_COUNTS = "counts"


@dataclass(frozen=True)
class Fault:
    """A node with finite inputs and an output that is not finite; or a parameter or state that is not finite."""

    node: Node
    elements: int
    """The number of its elements that are not finite."""


def first_fault(
    network: Network,
    arrays: Mapping[str, np.ndarray],
    seed: int,
    draw: int,
    step: int = 0,
    steps_per_epoch: int | None = None,
    sizes: Sizes = (),
) -> Fault | None:
    """The first node of the training graph, in its order, whose output for a batch is not finite; None if there is
    none. ``draw`` and ``step`` are those of the step of the run and of the stage, ``sizes`` those of the batch.

    Raises:
        DeviceError: the device has too little memory for the counts.
    """
    batch = len(next(iter(arrays.values()))) if arrays else 1
    lowered = network.lower(True, batch, sizes)
    watched = [
        (node, lowered.values[value])
        for node in lowered.graph.nodes
        for value in node.outputs
        if lowered.values[value].element == "float" and node.operator != "constant"
    ]
    counts = concat([reshape(_not_finite(tensor), (1,)) for _, tensor in watched], 0)
    program = network.compiled({_COUNTS: counts})
    executor = network.load(program)
    feeds = {name: array for name, array in arrays.items() if name in program.feeds}
    if SEED in program.feeds:
        feeds[SEED] = seed_array(seed, draw)
    feeds |= clock_arrays(program.feeds, step, steps_per_epoch)
    executor.run(feeds)
    found = executor.fetch(_COUNTS)
    return next((Fault(node, int(count)) for (node, _), count in zip(watched, found, strict=True) if count), None)


def _not_finite(x: Tensor) -> Tensor:
    """The number of elements that are infinite or NaN. For all other elements, x - x is 0."""
    return reduce("sum", apply("where", apply("equal", x - x, 0.0), 0.0, 1.0), range(x.rank), keep=False)
