"""The tensors of training: those of a step and those of a measurement.

A step has two halves. The first makes gradients of a batch, the second makes the next values of the parameters of
gradients. One program does both (``step_tensors``); where something comes between them, such as a sum over devices or
over batches, each is a program of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphdl.compiler.lowering import Lowered
from graphdl.compiler.reverse import gradients
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.operators.elementwise import apply
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import BroadcastTo, concat, reshape, slice_
from graphdl.operators.tensor import Tensor, feed, number, read
from graphdl.training.optimizers.optimizer import Kept
from graphdl.training.stages import Stage

REPORT = "training.report"
"""The fetch of a step: the minimized total, then every loss, then every metric, means over the batch."""
SCALARS = "training.scalars"
"""The feed of what changes from step to step: ``Optimizer.scalars``."""
GRADIENT = "gradient "
"""What the name of a parameter's gradient begins with, as a fetch of the first half and as a feed of the second."""
EXAMPLES = "training.examples"
"""The fetch of a measurement, ``[losses and metrics, batch]``: for each example its losses, then its metrics."""

_CLIP_EPSILON = 1e-6


@dataclass(frozen=True)
class GradientTensors:
    """The first half of a training step: what a batch says."""

    report: Tensor
    gradients: Mapping[str, Tensor]
    """Of the minimized total, by the paths of the parameters that it reaches."""
    updates: Mapping[str, Tensor]
    """The states' next values."""


@dataclass(frozen=True)
class UpdateTensors:
    """The second half of a training step: what follows from the gradients."""

    updates: Mapping[str, Tensor]
    """The next values of the parameters and of what the optimizer keeps."""
    kept: Mapping[str, Kept]
    """The optimizer's variables."""


@dataclass(frozen=True)
class StepTensors:
    """What a training step computes and which variables it changes."""

    report: Tensor
    updates: Mapping[str, Tensor]
    kept: Mapping[str, Kept]
    """The optimizer's variables."""


def step_tensors(lowered: Lowered, stage: Stage) -> StepTensors:
    """A whole step of a stage, both halves in one.

    Raises:
        ModelError: E0608, there is no loss to minimize.
    """
    first = gradient_tensors(lowered, stage)
    second = update_tensors(lowered.parameters, first.gradients, stage)
    return StepTensors(first.report, {**first.updates, **second.updates}, second.kept)


def gradient_tensors(lowered: Lowered, stage: Stage) -> GradientTensors:
    """Forward and reverse pass of a stage. As in PyTorch, a parameter that no minimized loss reaches has no gradient.

    Raises:
        ModelError: E0608, there is no loss to minimize.
    """
    total = total_loss(lowered, stage.minimize)
    parameters = {path: lowered.parameters[path] for path in stage.parameters}
    found = zip(parameters, gradients(total, list(parameters.values())), strict=True)
    scalar = [total, *lowered.losses.values(), *lowered.metrics.values()]
    return GradientTensors(
        concat([reshape(x, (1,)) for x in scalar], 0),
        {path: gradient for path, gradient in found if not _is_zero(gradient)},
        lowered.updates,
    )


def update_tensors(parameters: Mapping[str, Tensor], found: Mapping[str, Tensor], stage: Stage) -> UpdateTensors:
    """Clipping and the optimizer's update for the parameters that have a gradient; ``found`` holds the gradients by
    path, wherever they come from: from the same program, or from a feed that holds the mean over many devices."""
    optimizer = stage.optimizer
    count = len(optimizer.scalars(0, optimizer.lr))
    fed = feed(SCALARS, (count,))
    scalars = [reshape(slice_(fed, (k,), (1,), (1,)), ()) for k in range(count)]
    if stage.clip is not None and found:
        factor = _clipping(list(found.values()), stage.clip)
        found = {path: gradient * factor for path, gradient in found.items()}
    reached = {path: parameters[path] for path in found}
    kept = optimizer.variables({path: parameter.shape for path, parameter in reached.items()})
    names = {name: f"{stage.name}:{name}" for name in kept}
    values = {name: read(names[name], variable.shape) for name, variable in kept.items()}
    following = optimizer.update(reached, found, values, scalars)
    return UpdateTensors(
        {names.get(name, name): tensor for name, tensor in following.items()},
        {names[name]: variable for name, variable in kept.items()},
    )


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
