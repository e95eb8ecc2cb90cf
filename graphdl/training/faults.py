"""Errors about a training whose numbers are no longer finite, and a warning about one that diverges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path

import numpy as np

from graphdl.data.batches import Batches
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.language.expansion.context import header, visible
from graphdl.training.diagnosis import Fault
from graphdl.training.inference import Measurement
from graphdl.training.network import Network
from graphdl.training.reports import Report
from graphdl.training.stages import Stage

DIVERGED = 1000.0
"""A training diverges when its loss exceeds this multiple of its first loss, or of 1 if that is greater."""
_HELP = "try a smaller learning rate, or limit the gradients: clip 1.0"


def of_loss(
    network: Network, stage: Stage, report: Report, *, epoch: int, rate: float, last: Path | None,
    replayed: Callable[[], Fault | None],
) -> ModelError:  # fmt: skip
    """E0615 about a step's loss. ``replayed`` finds the first node whose output is not finite."""
    names, what = _culprits(report.losses, float(report))
    place, label = stage.span, ""
    if names:
        place = visible(network.training.losses[names[0]])
    notes = [f"the learning rate is {rate:g}", *_before(last)]
    fault = replayed() if last is not None else None
    if fault is not None and fault.node.operator in ("param", "state"):
        name = fault.node.attributes["name"]
        notes.append(f"'{name}' is no longer finite: the step before gave it {fault.elements} such numbers")
        place, label = visible(fault.node.outputs[0]), f"'{name}' belongs to this"
    elif fault is not None:
        place, label = visible(fault.node.outputs[0]), "made the first numbers that are not finite"
        notes.append(f"{fault.elements} of them, by the operator '{fault.node.operator}'")
    message = f"{what} at step {report.step + 1} of stage '{stage.name}' (epoch {epoch})"
    return ModelError(Diagnostic("E0615", message, place, label=label, notes=tuple(notes), help=_HELP))


def of_scale(stage: Stage, report: Report) -> ModelError:
    """E0615 about gradients that overflow 16 bits whatever the scale of the loss."""
    message = (
        f"the gradients of stage '{stage.name}' are not finite at step {report.step + 1}, at any scale of its loss"
    )
    notes = (f"steps were skipped, and the scale of the loss was halved, down to {report.scale:g}",)
    return ModelError(Diagnostic("E0615", message, stage.span, notes=notes, help="a wider range: precision bfloat16"))


def of_held_out(
    network: Network, stage: Stage, found: Measurement, batches: Batches, *, epoch: int, last: Path | None
) -> ModelError:
    """E0615 about the loss on held-out data after an epoch. It names an example whose input is not finite, if there is
    one.
    """
    losses = {name: value for name, value in found.losses.items() if name in stage.minimize}
    names, what = _culprits(losses, found.loss(stage.minimize))
    split = batches.examples.name
    notes = list(_before(last))
    for batch in batches.epoch(0):
        for name, array in batch.arrays.items():
            if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
                bad = np.flatnonzero(~finite.reshape(len(array), -1).all(axis=1))[0]
                notes.append(f"the input '{name}' of example {batch.index * batches.batch + bad} is not finite")
                break
        else:
            continue
        break
    message = f"{what} on the split '{split}' after epoch {epoch} of stage '{stage.name}'"
    place = visible(network.inference.losses[names[0]]) if names else stage.span
    help = "look for a logarithm, a root or a division of something that may be 0, and at the data"
    return ModelError(Diagnostic("E0615", message, place, notes=tuple(notes), help=help))


def of_variable(network: Network, stage: Stage, name: str, *, step: int, rate: float, last: Path | None) -> ModelError:
    """E0615 about a parameter, a state or a variable of the optimizer."""
    path, word = name.split(":")[1:] if ":" in name else (name, "")
    of = f" of '{path}'" if path else ""
    what = f"what the optimizer keeps{of} ({word})" if word else f"'{path}'"
    notes = (f"the learning rate is {rate:g}", *_before(last))
    message = f"{what} is no longer finite at step {step} of stage '{stage.name}'"
    place = visible(network.variables[path].value) if path else stage.span
    return ModelError(Diagnostic("E0615", message, place, notes=notes, help=_HELP))


def divergence(stage: Stage, *, first: float, loss: float, rate: float) -> Diagnostic | None:
    """W0601 if the loss exceeds ``DIVERGED`` times the first one; else None."""
    if loss <= DIVERGED * max(abs(first), 1.0):
        return None
    return Diagnostic(
        "W0601",
        f"stage '{stage.name}' diverges: its loss was {first:.4g} at first and is {loss:.4g} now",
        header(stage.span) if stage.span.text else None,
        notes=(f"the learning rate is {rate:g}",),
        help=_HELP,
    )


def not_finite(tensors: Mapping[str, np.ndarray]) -> str | None:
    """The name of the first array that contains NaN or an infinity; None if all are finite."""
    return next((name for name, array in tensors.items() if not np.isfinite(array).all()), None)


def _culprits(losses: Mapping[str, float], total: float) -> tuple[list[str], str]:
    """The losses that are not finite: their names, and a description."""
    names = [name for name, value in losses.items() if not isfinite(value)]
    what = " and ".join(f"loss '{name}' is {losses[name]}" for name in names)
    return names, what or f"the loss is {total}"


def _before(last: Path | None) -> list[str]:
    return [f"the last checkpoint, {last}, is from before"] if last is not None else []
