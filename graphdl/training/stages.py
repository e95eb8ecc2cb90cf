"""What a train section comes to: a stage with every setting checked and every default filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from graphdl.data.declarations import augmentation, data_set
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.model import ModuleGraph, Setting, TrainSection
from graphdl.language.expansion.training import matches
from graphdl.settings import setting_of
from graphdl.source import Source, Span
from graphdl.training.optimizers import Optimizer, optimizer
from graphdl.training.schedules import Schedule, schedule

BATCH = 32
EPOCHS = 10
SEED = 0
OPTIMIZER = optimizer(setting_of("adam"))
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
        ModelError: E0611 to E0614, E0620, E0701 to E0703 or E0710, a setting is wrong. Every complaint is gathered.
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
        raise ModelError(*sorted(complaints, key=lambda complaint: complaint.span.start if complaint.span else 0))
    return found


def _stage(graph: ModuleGraph, section: TrainSection, number: int, overrides: Overrides) -> Stage:
    complaints: list[Diagnostic] = []

    @contextmanager
    def gathered() -> Iterator[None]:
        try:
            yield
        except ModelError as error:
            complaints.extend(error.diagnostics)

    chosen: Optimizer = OPTIMIZER
    if section.optimizer is not None:
        with gathered():
            chosen = optimizer(section.optimizer)
    planned = schedule(None, chosen.lr)
    with gathered():
        planned = schedule(section.schedule, chosen.lr)
    data = overrides.data or section.data
    if data is not None:
        with gathered():
            data_set(data)
    for setting in section.augment:
        with gathered():
            augmentation(setting)
    if section.precision not in (None, "float32"):
        complaints.append(
            Diagnostic(
                "E0620",
                f"unknown precision '{section.precision}'",
                section.spans.get("precision", section.span),
                notes=("known: float32",),
            )
        )
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
        parameters=tuple(
            path
            for path in graph.parameters
            if not section.only or any(matches(pattern, path) for pattern in section.only)
        ),
        clip=section.clip,
        seed=next(seed for seed in (overrides.seed, section.seed, SEED) if seed is not None),
        data=data,
        augment=section.augment,
        feed=section.feed,
    )
