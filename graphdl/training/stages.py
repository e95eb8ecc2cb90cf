"""What a train section comes to: a stage with every setting checked and every default filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.model import ModuleGraph, Setting, TrainSection
from graphdl.settings import nearest
from graphdl.source import Source, Span
from graphdl.training.optimizers import Adam, Optimizer, optimizer
from graphdl.training.schedules import Schedule, schedule

BATCH = 32
EPOCHS = 10
SEED = 0
OPTIMIZER = Adam(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, decoupled=False)
"""The defaults of a train section: 32 examples a batch, 10 epochs, seed 0 and ``adam(lr = 0.001)``."""


@dataclass(frozen=True)
class Stage:
    """One stage of training. Its ``length`` is ``steps`` where that is given, else ``epochs``."""

    name: str
    span: Span
    optimizer: Optimizer
    schedule: Schedule
    batch: int
    epochs: int
    steps: int | None
    minimize: tuple[str, ...]
    """The losses whose sum is minimized."""
    parameters: tuple[str, ...]
    """The paths of the parameters that are trained."""
    clip: float | None
    """The greatest global norm of the gradients."""
    seed: int
    data: Setting | None
    augment: tuple[Setting, ...]
    feed: Mapping[str, str]

    def total_steps(self, steps_per_epoch: int) -> int:
        """How many steps the stage has."""
        return self.steps if self.steps is not None else self.epochs * steps_per_epoch


@dataclass(frozen=True)
class Overrides:
    """What the command line or a caller sets for every stage, whatever the file says."""

    batch: int | None = None
    epochs: int | None = None
    seed: int | None = None
    data: Setting | None = None


def stages(graph: ModuleGraph, overrides: Overrides | None = None) -> list[Stage]:
    """The stages of a net's file, in order; one of defaults where it has no train section.

    Raises:
        ModelError: E0601 to E0607 or E0613, a setting is wrong. Every complaint is gathered.
    """
    sections = graph.stages or [TrainSection(None, Span(Source("<defaults>", ""), 0, 0))]
    found: list[Stage] = []
    complaints: list[Diagnostic] = []
    for number, section in enumerate(sections):
        try:
            found.append(_stage(graph, section, number, overrides or Overrides()))
        except ModelError as error:
            complaints.extend(error.diagnostics)
    if complaints:
        raise ModelError(*complaints)
    return found


def _stage(graph: ModuleGraph, section: TrainSection, number: int, overrides: Overrides) -> Stage:
    complaints: list[Diagnostic] = []

    def complain(code: str, message: str, word: str, *, notes: Sequence[str] = (), help: str | None = None) -> None:
        span = section.spans.get(word, section.span)
        complaints.append(Diagnostic(code, message, span, notes=tuple(notes), help=help))

    chosen, planned = OPTIMIZER, schedule(None, OPTIMIZER.lr)
    try:
        chosen = optimizer(section.optimizer) if section.optimizer else OPTIMIZER  # type: ignore[assignment]
        planned = schedule(section.schedule, chosen.lr)
    except ModelError as error:
        complaints.extend(error.diagnostics)
    for word, least in (("batch", 1), ("epochs", 0), ("steps", 0)):
        value = getattr(overrides, word, None)
        value = getattr(section, word) if value is None else value
        if value is not None and value < least:
            complain("E0607", f"'{word}' must be at least {least}, found {value}", word)
    if section.epochs is not None and section.steps is not None:
        complain("E0607", "a stage has 'epochs' or 'steps', not both", "steps")
    if section.clip is not None and not section.clip > 0:
        complain("E0607", f"'clip' must be above 0, found {section.clip:g}", "clip")
    if section.seed is not None and not 0 <= section.seed < 2**31:
        complain("E0607", f"'seed' must be at least 0 and below 2 ** 31, found {section.seed}", "seed")
    if section.precision not in (None, "float32"):
        complain("E0613", f"unknown precision '{section.precision}'", "precision", notes=["known: float32"])
    for name in section.minimize:
        if name not in graph.losses:
            complain(
                "E0604",
                f"the net has no loss '{name}' to minimize",
                "minimize",
                notes=[f"its losses are: {', '.join(graph.losses)}" if graph.losses else "it has no losses"],
                help=nearest(name, list(graph.losses)),
            )
    parameters = _chosen(graph, section.only, complain)
    if complaints:
        raise ModelError(*complaints)
    epochs = overrides.epochs
    return Stage(
        name=section.name or ("train" if number == 0 else f"train_{number + 1}"),
        span=section.span,
        optimizer=chosen,
        schedule=planned,
        batch=overrides.batch or section.batch or BATCH,
        epochs=epochs if epochs is not None else EPOCHS if section.epochs is None else section.epochs,
        steps=section.steps if epochs is None else None,
        minimize=section.minimize or tuple(graph.losses),
        parameters=parameters,
        clip=section.clip,
        seed=next(seed for seed in (overrides.seed, section.seed, SEED) if seed is not None),
        data=overrides.data or section.data,
        augment=section.augment,
        feed=section.feed,
    )


def _chosen(graph: ModuleGraph, patterns: Sequence[str], complain: object) -> tuple[str, ...]:
    """The parameters that match one of the patterns; all without any."""
    if not patterns:
        return tuple(graph.parameters)
    chosen: set[str] = set()
    for pattern in patterns:
        matched = {path for path in graph.parameters if matches(pattern, path)}
        if not matched:
            modules = sorted({path.rpartition(".")[0] for path in graph.parameters} - {""})
            complain(  # type: ignore[operator]
                "E0605",
                f"no parameter matches '{pattern}'",
                "only",
                notes=[f"the parameters are: {_listed(list(graph.parameters))}"],
                help=nearest(pattern, [*graph.parameters, *(f"{module}.*" for module in modules)]),
            )
        chosen |= matched
    return tuple(path for path in graph.parameters if path in chosen)


def matches(pattern: str, path: str) -> bool:
    """Whether a parameter's path matches a pattern, in which ``*`` stands for any characters, dots included."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), path) is not None


def _listed(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
