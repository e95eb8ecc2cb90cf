"""Inference of a net: predictions, measurements and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphdl.compiler.program import Program
from graphdl.compiler.reverse import gradients as reverse
from graphdl.data.batches import Batches
from graphdl.data.feed import as_feed
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.types import TensorType
from graphdl.operators.random import SEED
from graphdl.runtime import Executor, Pending
from graphdl.training.network import Network
from graphdl.training.program import (
    EXAMPLES,
    GRADIENT,
    clock_arrays,
    example_tensors,
    output_tensors,
    seed_array,
    total_loss,
)
from graphdl.training.reports import Queue

BATCH = 32
"""The default number of examples that are predicted at once."""
_LOSS = "loss"


@dataclass(frozen=True)
class Measurement:
    """Losses and metrics: exact means over all examples."""

    losses: dict[str, float]
    metrics: dict[str, float]
    examples: int

    def loss(self, minimize: tuple[str, ...]) -> float:
        """The sum of the losses with these names. Losses that inference does not have count as 0."""
        return sum(self.losses.get(name, 0.0) for name in minimize)


def predict(network: Network, arrays: Mapping[str, Any], batch: int | None = None) -> dict[str, np.ndarray]:
    """The outputs for any number of examples, by name, of shape ``[examples, *shape]``.

    They are computed ``batch`` examples at a time, or all at once if the examples of a batch depend on each other.

    Raises:
        ModelError: E0713 to E0717, the arrays do not fit the inputs that the outputs need; E0621, there is no output.
    """
    count = example_count(arrays)
    size = count if network.mixes_examples else min(batch or BATCH, 1 << (count - 1).bit_length())
    executor = _predictor(network, size)
    arranged = fed(network, executor.program, arrays)
    waiting: Queue[dict[str, Pending]] = Queue()
    parts: dict[str, list[np.ndarray]] = {name: [] for name in network.inference.outputs}

    def take(arrived: Iterable[dict[str, Pending]]) -> None:
        for outputs in arrived:
            for name, pending in outputs.items():
                parts[name].append(pending.result())

    for number, first in enumerate(range(0, count, size)):
        chunk = {name: _filled(array[first : first + size], size) for name, array in arranged.items()}
        waiting.add(executor.run_and_fetch(with_seed(executor, chunk, network.seed, number), parts))
        take(waiting.ready())
    take(waiting.drain())
    return {name: (np.concatenate(pieces) if len(pieces) > 1 else pieces[0])[:count] for name, pieces in parts.items()}


def measure(network: Network, batches: Batches, *, between: Callable[[], None] = lambda: None) -> Measurement:
    """The means of the losses and metrics over a whole split.

    ``batches`` are made for evaluation. ``between`` is called before each batch.

    Raises:
        ModelError: the data contains a value that cannot be fed.
    """
    graph = network.inference
    names = [*graph.losses, *graph.metrics]
    sums = np.zeros(len(names))
    waiting: Queue[tuple[Pending, int]] = Queue()

    def take(arrived: Iterable[tuple[Pending, int]]) -> None:
        for pending, count in arrived:
            sums[:] += pending.result()[:, :count].sum(axis=1, dtype=np.float64)

    for batch in batches.epoch(0):
        between()
        size = batch.count if network.mixes_examples else batches.batch
        executor = measurer(network, size)
        arrays = {name: array[:size] for name, array in batch.arrays.items()}
        fetched = executor.run_and_fetch(with_seed(executor, arrays, network.seed, batch.index), (EXAMPLES,))
        waiting.add((fetched[EXAMPLES], batch.count))
        take(waiting.ready())
    take(waiting.drain())
    examples = len(batches.examples)
    means = dict(zip(names, (sums / examples).tolist(), strict=True))
    return Measurement(
        {name: means[name] for name in graph.losses}, {name: means[name] for name in graph.metrics}, examples
    )


def measurer(network: Network, batch: int) -> Executor:
    """The program that measures ``batch`` examples.

    Raises:
        ModelError: E0621, the net has neither losses nor metrics.
    """
    graph = network.inference
    if not graph.losses and not graph.metrics:
        raise ModelError(Diagnostic("E0621", f"the net '{graph.name}' has no losses or metrics", graph.root.span))
    return network.executor(
        ("measure", batch),
        lambda: network.compiled({EXAMPLES: example_tensors(network.lower(False, batch))}),
    )


def measured_inputs(network: Network, batch: int) -> dict[str, TensorType]:
    """The inputs that the losses and metrics need."""
    return inputs_of(network, measurer(network, batch).program, training=False)


def predicted_inputs(network: Network) -> dict[str, TensorType]:
    """The inputs that the outputs need."""
    return inputs_of(network, _predictor(network, 1).program, training=False)


def gradients(
    network: Network, arrays: Mapping[str, Any], minimize: tuple[str, ...], *, training: bool
) -> tuple[float, dict[str, np.ndarray]]:
    """The loss of one batch, and its gradients by parameter path. Nothing is updated.

    Raises:
        ModelError: E0608, there is no loss; E0713 to E0717, the arrays do not fit the net's inputs.
    """
    executor = _differentiator(network, example_count(arrays), minimize, training)
    executor.run(with_seed(executor, fed(network, executor.program, arrays, training=training), network.seed, 0))
    by_path = {path: executor.fetch(GRADIENT + path) for path in network.graph(training).parameters}
    return float(executor.fetch(_LOSS)), by_path


def predicting(network: Network, arrays: Mapping[str, Any]) -> tuple[Executor, dict[str, np.ndarray]]:
    """The program that predicts all examples of the arrays at once, and its feeds.

    Raises:
        ModelError: E0713 to E0717, the arrays do not fit the inputs that the outputs need; E0621, there is no output.
    """
    executor = _predictor(network, example_count(arrays))
    return executor, with_seed(executor, fed(network, executor.program, arrays), network.seed, 0)


def _differentiator(network: Network, count: int, minimize: tuple[str, ...], training: bool) -> Executor:
    def program() -> Program:
        lowered = network.lower(training, count)
        total = total_loss(lowered, minimize)
        found = zip(lowered.parameters, reverse(total, list(lowered.parameters.values())), strict=True)
        return network.compiled({_LOSS: total} | {GRADIENT + path: g for path, g in found})

    return network.executor(("gradients", count, training, minimize), program)


def run_once(
    network: Network, program: Program, arrays: Mapping[str, Any], *, training: bool, draw: int = 0
) -> dict[str, np.ndarray]:
    """Runs a program a single time and returns its fetches. The arrays have the batch size of the program.

    Raises:
        ModelError: E0713 to E0717, the arrays do not fit the net's inputs.
    """
    executor = network.load(program)
    executor.run(with_seed(executor, fed(network, program, arrays, training=training), network.seed, draw))
    return {name: executor.fetch(name) for name in program.fetches}


def inputs_of(network: Network, program: Program, *, training: bool) -> dict[str, TensorType]:
    """The net's inputs that a program reads."""
    return {name: v.type for name, v in network.graph(training).inputs.items() if name in program.feeds}


def _predictor(network: Network, batch: int) -> Executor:
    return network.executor(
        ("predict", batch),
        lambda: network.compiled(output_tensors(network.lower(False, batch))),
    )


def fed(
    network: Network, program: Program, arrays: Mapping[str, Any], *, training: bool = False
) -> dict[str, np.ndarray]:
    """The arrays that a program reads, checked. Arrays for other inputs of the net are ignored.

    Raises:
        ModelError: E0713 to E0717, the arrays do not fit the net's inputs.
    """
    graph = network.graph(training)
    needed = inputs_of(network, program, training=training)
    given = {name: array for name, array in arrays.items() if name in needed or name not in graph.inputs}
    return as_feed(needed, given, spans={name: value.node.span for name, value in graph.inputs.items()})


def example_count(arrays: Mapping[str, Any]) -> int:
    """The number of examples in the arrays; 1 for a net without inputs."""
    return max((len(array) for array in map(np.asarray, arrays.values()) if array.ndim), default=1) or 1


def _filled(part: np.ndarray, size: int) -> np.ndarray:
    """A chunk of exactly ``size`` examples. The last example is repeated to fill it."""
    return part if len(part) == size else np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])


def with_seed(executor: Executor, arrays: dict[str, np.ndarray], seed: int, draw: int) -> dict[str, np.ndarray]:
    """The feeds of a program: arrays, the seed of its random draws and the clock, if it reads them."""
    feeds = executor.program.feeds
    seeds = {SEED: seed_array(seed, draw)} if SEED in feeds else {}
    return {**arrays, **seeds, **clock_arrays(feeds)}
