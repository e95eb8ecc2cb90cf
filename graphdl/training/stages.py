"""Stages: train sections with every setting checked and every default filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any

from graphdl.data.augmentations import augmentation
from graphdl.data.catalog import data_set
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.model import ModuleGraph
from graphdl.graph.train import WORDS, Setting, TrainSection, matches, setting_of
from graphdl.settings import written
from graphdl.source import Source, Span
from graphdl.training.optimizers import Optimizer, optimizer
from graphdl.training.schedules import Schedule, schedule


@dataclass(frozen=True)
class Stage:
    """One stage of training. Its length is ``steps`` if that is given, else ``epochs``."""

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
    said: Mapping[str, Any]
    """The value of each word of the section (see ``graphdl.graph.train.WORDS``), including defaults."""

    def total_steps(self, steps_per_epoch: int) -> int:
        """The number of steps of the stage."""
        return self.steps if self.steps is not None else self.epochs * steps_per_epoch


@dataclass(frozen=True)
class Overrides:
    """Settings of the command line or a caller that override those of the file in every stage."""

    batch: int | None = None
    epochs: int | None = None
    seed: int | None = None
    data: Setting | None = None


def stages(graph: ModuleGraph, overrides: Overrides | None = None) -> list[Stage]:
    """The stages of a net's file, in order; one with defaults if the file has no train section.

    Raises:
        ModelError: E0611 to E0614, E0620, E0701 to E0703 or E0710, a setting is wrong. All errors are collected.
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

    said = _complete(section, overrides)
    chosen = optimizer(setting_of(WORDS["optimizer"].default))
    with gathered():
        chosen = optimizer(said["optimizer"])
    planned = schedule(setting_of(WORDS["schedule"].default), chosen.lr)
    with gathered():
        planned = schedule(said["schedule"], chosen.lr)
    if said["data"] is not None:
        with gathered():
            data_set(said["data"])
    for setting in said["augment"]:
        with gathered():
            augmentation(setting)
    for word, known in WORDS.items():
        if known.known and said[word] not in known.known:
            place, notes = section.spans.get(word, section.span), (f"known: {', '.join(known.known)}",)
            complaints.append(Diagnostic("E0620", f"unknown {word} '{said[word]}'", place, notes=notes))
    if complaints:
        raise ModelError(*complaints)
    plain = {field.name: said[field.name] for field in fields(Stage) if field.name in WORDS}
    return Stage(
        **plain | {"optimizer": chosen, "schedule": planned, "minimize": said["minimize"] or tuple(graph.losses)},
        name=section.name or ("train" if number == 0 else f"train_{number + 1}"),
        span=section.span,
        parameters=tuple(
            path for path in graph.parameters if not said["only"] or any(matches(each, path) for each in said["only"])
        ),
        said=said,
    )


def _complete(section: TrainSection, overrides: Overrides) -> dict[str, Any]:
    """The value of each word: that of an override, else of the section, else the default."""
    said: dict[str, Any] = {}
    for word, known in WORDS.items():
        value = getattr(overrides, word, None)
        if value is None:
            value = getattr(section, word)
        if value is None and known.default is not None:
            value = setting_of(known.default) if known.kind == "call" else known.default
        said[word] = value
    if overrides.epochs is not None:
        said["steps"] = None
    return said


def described(stage: Stage) -> dict[str, Any]:
    """The settings of a stage as JSON, one entry for each word of a train section."""
    found: dict[str, Any] = {"name": stage.name}
    for word, known in WORDS.items():
        value = stage.said[word]
        if known.kind == "call":
            value = None if value is None else _call(value)
        elif known.kind == "calls":
            value = [_call(each) for each in value]
        elif known.kind in ("losses", "parameters"):
            value = list(value)
        elif known.kind == "feed":
            value = dict(value)
        found[word] = value
    numbers = asdict(stage.optimizer)  # type: ignore[call-overload]
    found |= {"optimizer": {"name": stage.said["optimizer"].name, **numbers}, "minimize": list(stage.minimize)}
    del found["steps" if stage.steps is None else "epochs"]
    return found


def _call(setting: Setting) -> str:
    """A call as the language writes it."""
    arguments = [*map(written, setting.arguments)]
    arguments += [f"{name} = {written(value)}" for name, value in setting.keywords.items()]
    return f"{setting.name}({', '.join(arguments)})" if arguments else setting.name
