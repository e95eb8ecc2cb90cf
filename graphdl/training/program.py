"""The tensors of training: those of a step and those of a measurement.

A step has two halves. The first computes the gradients of a batch. The second computes the next values of the
parameters from gradients. One program does both (``step_tensors``). If something comes between them, such as a sum over
devices or over batches, each half is a separate program.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphdl import collector
from graphdl.compiler.lowering import Lowered
from graphdl.compiler.reverse import gradients
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.operators.clock import EPOCH, STEP
from graphdl.operators.elementwise import apply
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import BroadcastTo, concat, reshape, slice_
from graphdl.operators.tensor import Tensor, adopt, feed, number, read
from graphdl.training.optimizers.optimizer import Kept
from graphdl.training.scaling import WINDOW, Scaling, all_finite, gated
from graphdl.training.stages import Stage

REPORT = "training.report"
"""The fetch of a step: the minimized total, then all losses, then all metrics, as means over the batch. If the loss is
scaled, the numbers of ``Scaling.report`` follow."""
SCALARS = "training.scalars"
"""The feed of the numbers that change from step to step: ``Optimizer.scalars``; if the loss is scaled, a row for each
number of skipped steps that the host may not know of."""
GRADIENT = "gradient "
"""The prefix of the name of a parameter's gradient, as a fetch of the first half and as a feed of the second."""
EXAMPLES = "training.examples"
"""The fetch of a measurement, ``[losses and metrics, batch]``: for each example its losses, followed by its metrics."""

_CLIP_EPSILON = 1e-6
_LEAST_NORM = 1e-30


@dataclass(frozen=True)
class GradientTensors:
    """The first half of a training step: the report and the gradients of a batch."""

    report: Tensor
    gradients: Mapping[str, Tensor]
    """The gradients of the minimized total, by path of the parameters on which it depends."""
    updates: Mapping[str, Tensor]
    """The next values of the states."""
    finite: Tensor | None = None
    """If the loss is scaled: whether all gradients are finite. The states stay if not."""


@dataclass(frozen=True)
class UpdateTensors:
    """The second half of a training step: the updates from the gradients."""

    updates: Mapping[str, Tensor]
    """The next values of the parameters and of the optimizer's variables."""
    kept: Mapping[str, Kept]
    """The optimizer's variables."""


@dataclass(frozen=True)
class StepTensors:
    """The report of a training step, and the variables that it changes."""

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
    second = update_tensors(lowered.parameters, first.gradients, stage, first.finite)
    report = _reported(first.report, Scaling.of(stage), first.finite, second.updates)
    return StepTensors(report, {**first.updates, **second.updates}, second.kept)


@collector.paused()
def gradient_tensors(lowered: Lowered, stage: Stage) -> GradientTensors:
    """The forward and the reverse pass of a stage.

    As in PyTorch, a parameter has no gradient if no minimized loss depends on it.

    Raises:
        ModelError: E0608, there is no loss to minimize.
    """
    total = total_loss(lowered, stage.minimize)
    parameters = {path: lowered.parameters[path] for path in stage.parameters}
    scaling = Scaling.of(stage)
    scaled = total if scaling is None else total * scaling.read("scale")
    pairs = zip(parameters, gradients(scaled, list(parameters.values())), strict=True)
    found = {path: gradient for path, gradient in pairs if not _is_zero(gradient)}
    scalar = [total, *lowered.losses.values(), *lowered.metrics.values()]
    report = concat([reshape(x, (1,)) for x in scalar], 0)
    if scaling is None or not found:
        return GradientTensors(report, found, lowered.updates)
    finite = all_finite(list(found.values()))
    inverse = 1.0 / scaling.read("scale")
    states = {path: read(path, x.shape, x.element) for path, x in lowered.updates.items()}
    return GradientTensors(
        report, {path: g * inverse for path, g in found.items()}, gated(finite, lowered.updates, states), finite
    )


def first_report(found: GradientTensors, stage: Stage) -> Tensor:
    """The report of the first half of a step as a program of its own."""
    return _reported(found.report, Scaling.of(stage), found.finite, {})


def _reported(
    report: Tensor, scaling: Scaling | None, finite: Tensor | None, following: Mapping[str, Tensor]
) -> Tensor:
    """The report with the numbers of the scaling, if there is any."""
    if scaling is None or finite is None:
        return report
    return concat([report, *(reshape(x, (1,)) for x in scaling.report(finite, following))], 0)


@collector.paused()
def update_tensors(
    parameters: Mapping[str, Tensor], found: Mapping[str, Tensor], stage: Stage, finite: Tensor | None = None
) -> UpdateTensors:
    """Gradient clipping, the optimizer's update, the limits of norms and the moving average, for the parameters that
    have a gradient.

    ``found`` maps paths to gradients. They come from the same program, or from feeds, such as means over several
    devices. ``finite`` says whether the gradients are, if that is known already.
    """
    optimizer = stage.optimizer
    count = len(optimizer.scalars(0, optimizer.lr))
    total = count * len(stage.factors)
    scaling = Scaling.of(stage) if found else None
    if scaling is None:
        fed = feed(SCALARS, (total,))
        scalars = [reshape(slice_(fed, (k,), (1,), (1,)), ()) for k in range(total)]
    else:
        finite = all_finite(list(found.values())) if finite is None else finite
        scalars = scaling.scalars(total, feed(SCALARS, (WINDOW, total)))
    if stage.clip is not None and found:
        factor = _clipping(list(found.values()), stage.clip)
        found = {path: gradient * factor for path, gradient in found.items()}
    reached = {path: parameters[path] for path in found}
    kept = optimizer.variables({path: parameter.shape for path, parameter in reached.items()})
    names = {name: f"{stage.name}:{name}" for name in kept}
    values = {name: read(names[name], variable.shape) for name, variable in kept.items()}
    following: dict[str, Tensor] = {}
    for place, share in enumerate(stage.factors):
        group = {path: parameter for path, parameter in reached.items() if stage.rate[path] == share}
        of_group = scalars[place * count : (place + 1) * count]
        following |= optimizer.update(group, {path: found[path] for path in group}, values, of_group) if group else {}
    for path, limit in stage.max_norm.items():
        if path in reached:
            free = following[path]
            following[path] = _limited(free, limit)
            adopt((following[path],), (free,), reached[path].origin)
    updates = {names.get(name, name): tensor for name, tensor in following.items()}
    variables = {names[name]: variable for name, variable in kept.items()}
    old = reached | {names[name]: tensor for name, tensor in values.items()}
    if stage.average is not None:
        for path, parameter in reached.items():
            name = average_of(stage, path)
            variables[name] = Kept(parameter.shape, initial=path)
            before = old[name] = read(name, parameter.shape)
            updates[name] = before + (following[path] - before) * (1 - stage.average)
            adopt((updates[name],), (parameter, following[path], before), parameter.origin)
    if scaling is None or finite is None:
        return UpdateTensors(updates, variables)
    return UpdateTensors({**gated(finite, updates, old), **scaling.following(finite)}, {**variables, **scaling.kept})


def average_of(stage: Stage, path: str) -> str:
    """The name of the variable with the moving average of a parameter."""
    return f"{stage.name}:{path}:moving average"


def total_loss(lowered: Lowered, minimize: Sequence[str]) -> Tensor:
    """The sum of the losses with these names.

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
    """The tensors of a prediction: the outputs by name, ``[batch, *shape]``.

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
    """The value of the feed ``graphdl.operators.random.SEED``."""
    return np.array([seed % 2**31, step % 2**31], np.int32)


def clock_arrays(feeds: Container[str], step: int = 0, steps_per_epoch: int | None = None) -> Mapping[str, np.ndarray]:
    """The values of the feeds of ``graphdl.operators.clock`` that a program has.

    Without ``steps_per_epoch``, all steps are at the beginning of the first epoch.
    """
    values = {STEP: np.array(step, np.int32), EPOCH: np.array(step / (steps_per_epoch or np.inf), np.float32)}
    return {name: value for name, value in values.items() if name in feeds}


def _clipping(found: Sequence[Tensor], most: float) -> Tensor:
    """The factor that limits the global norm of the gradients to ``most`` (Pascanu et al., 2013); at most 1."""
    squares = [reduce("sum", g * g, range(g.rank), keep=False) for g in found]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    return apply("minimum", most / (total**0.5 + _CLIP_EPSILON), 1.0)


def _limited(weights: Tensor, most: float) -> Tensor:
    """Weights whose norm is at most ``most`` for each unit (Srebro et al., 2005; Hinton et al., 2012).

    The incoming weights of a unit are a column of a matrix [n, units], and the filter of a channel [out, in, ..].
    """
    axes = (0,) if weights.rank == 2 else tuple(range(1, weights.rank))
    norm = reduce("sum", weights * weights, axes) ** 0.5
    return weights * apply("minimum", most / apply("maximum", norm, _LEAST_NORM), 1.0)


def _is_zero(gradient: Tensor) -> bool:
    """Whether a gradient is the constant zero: the loss does not depend on the parameter."""
    if isinstance(gradient.operation, BroadcastTo):
        gradient = gradient.inputs[0]
    return number(gradient) == 0
