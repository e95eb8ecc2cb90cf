"""The programs of training: one that does a whole step, and one that measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphdl.compiler.lowering import Lowered
from graphdl.compiler.reverse import gradients
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.types import Shape
from graphdl.operators.elementwise import apply
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import BroadcastTo, concat, reshape, slice_
from graphdl.operators.tensor import Tensor, feed, number, read
from graphdl.training.stages import Stage

REPORT = "training.report"
"""The fetch of a step: the minimized total, then every loss, then every metric, means over the batch."""
SCALARS = "training.scalars"
"""The feed of what changes from step to step: ``Optimizer.scalars``."""
EXAMPLES = "training.examples"
"""The fetch of a measurement, ``[losses and metrics, batch]``: for each example its losses, then its metrics."""

_CLIP_EPSILON = 1e-6


@dataclass(frozen=True)
class StepTensors:
    """What a training step computes and which variables it changes."""

    report: Tensor
    updates: Mapping[str, Tensor]
    slots: Mapping[str, Shape]
    """The optimizer's variables, zeros at first."""


def step_tensors(lowered: Lowered, stage: Stage) -> StepTensors:
    """One step of a stage: forward pass, reverse pass, clipping, updates of parameters, slots and states.

    As in PyTorch, a parameter that no minimized loss reaches stays as it is.

    Raises:
        ModelError: E0608, there is no loss to minimize.
    """
    total = total_loss(lowered, stage.minimize)
    optimizer = stage.optimizer
    count = len(optimizer.scalars(0, optimizer.lr))
    fed = feed(SCALARS, (count,))
    scalars = [reshape(slice_(fed, (k,), (1,), (1,)), ()) for k in range(count)]
    parameters = {path: lowered.parameters[path] for path in stage.parameters}
    reached = {
        path: (parameters[path], gradient)
        for path, gradient in zip(parameters, gradients(total, list(parameters.values())), strict=True)
        if not _is_zero(gradient)
    }
    if stage.clip is not None and reached:
        factor = _clipping([gradient for _, gradient in reached.values()], stage.clip)
        reached = {path: (parameter, gradient * factor) for path, (parameter, gradient) in reached.items()}
    updates = dict(lowered.updates)
    slots: dict[str, Shape] = {}
    for path, (parameter, gradient) in reached.items():
        kept = {slot: f"{stage.name}:{path}:{slot}" for slot in optimizer.slots}
        slots |= dict.fromkeys(kept.values(), parameter.shape)
        following, changed = optimizer.update(
            parameter, gradient, {slot: read(name, parameter.shape) for slot, name in kept.items()}, scalars
        )
        updates[path] = following
        updates |= {kept[slot]: tensor for slot, tensor in changed.items()}
    scalar = [total, *lowered.losses.values(), *lowered.metrics.values()]
    return StepTensors(concat([reshape(x, (1,)) for x in scalar], 0), updates, slots)


def total_loss(lowered: Lowered, minimize: Sequence[str]) -> Tensor:
    """The sum of the losses of these names.

    Raises:
        ModelError: E0608, there are none.
    """
    if not minimize:
        raise ModelError(
            Diagnostic(
                "E0608",
                f"the net '{lowered.graph.name}' has no loss to minimize",
                lowered.graph.root.span,
                help="declare one: loss cross_entropy(logits, label)",
            )
        )
    total = lowered.losses[minimize[0]]
    for name in minimize[1:]:
        total = total + lowered.losses[name]
    return total


def output_tensors(lowered: Lowered) -> Mapping[str, Tensor]:
    """What a prediction computes: the outputs by name, ``[batch, *shape]``.

    Raises:
        ModelError: E0621, there are none.
    """
    if not lowered.outputs:
        graph = lowered.graph
        raise ModelError(Diagnostic("E0621", f"the net '{graph.name}' has no outputs", graph.root.span))
    return lowered.outputs


def example_tensors(lowered: Lowered) -> Tensor:
    """The losses and metrics of every example of a batch, ``[losses and metrics, batch]``."""
    return concat([reshape(x, (1, lowered.batch)) for x in lowered.examples.values()], 0)


def seed_array(seed: int, step: int) -> np.ndarray:
    """What the feed ``graphdl.operators.random.SEED`` takes."""
    return np.array([seed % 2**31, step % 2**31], np.int32)


def _clipping(found: Sequence[Tensor], most: float) -> Tensor:
    """The factor that brings the global norm of the gradients down to ``most`` (Pascanu et al., 2013); 1 if it is."""
    squares = [reduce("sum", g * g, range(g.rank), keep=False) for g in found]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    return apply("minimum", most / (total**0.5 + _CLIP_EPSILON), 1.0)


def _is_zero(gradient: Tensor) -> bool:
    """Whether a gradient is the constant zero: no path leads to its parameter."""
    if isinstance(gradient.operation, BroadcastTo):
        gradient = gradient.inputs[0]
    return number(gradient) == 0
