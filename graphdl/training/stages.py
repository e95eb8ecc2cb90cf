"""Stages: train sections with every setting checked and every default filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

from graphdl.data.augmentations import augmentation
from graphdl.data.declared import data_set
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.model import ModuleGraph
from graphdl.graph.train import (
    WORDS,
    Best,
    Setting,
    Start,
    TrainSection,
    default_name,
    matches,
    number_of,
    setting_of,
)
from graphdl.settings import written
from graphdl.source import Source, Span
from graphdl.suggest import did_you_mean
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
    start: tuple[Start, ...]
    """The variables that take the values of others when the stage starts."""
    rate: Mapping[str, float]
    """The factor of the learning rate by trained parameter. Those whose factor is 0 are not trained."""
    clip: float | None
    """The greatest global norm of the gradients."""
    max_norm: Mapping[str, float]
    """The greatest norm of a unit's incoming weights, by trained parameter that has such a limit."""
    average: float | None
    """The decay of the moving average of the parameters."""
    best: Best | None
    """The choice of the best weights. None stands for the least of what is minimized."""
    seed: int
    precision: str
    """The form in memory of activations and gradients: a key of ``graphdl.compiler.precision.FORMS``."""
    data: Setting | None
    augment: tuple[Setting, ...]
    feed: Mapping[str, str]
    said: Mapping[str, Any]
    """The value of each word of the section (see ``graphdl.graph.train.WORDS``), including defaults."""
    turns: tuple[Stage, ...] = ()
    """The parts of the stage that alternate, if it has some: step after step, the first ``in_a_row`` of ``period`` ones
    belong to the first turn, and so on.
    """
    begin: int = 0
    """For a turn, the first of its steps in a period."""
    in_a_row: int = 1
    period: int = 1

    @property
    def first(self) -> Stage:
        """The stage itself, or its first turn."""
        return self.turns[0] if self.turns else self

    def turn_of(self, step: int) -> int:
        """The index of the turn to which a step of the stage belongs."""
        place = step % self.turns[0].period
        return next(k for k, turn in enumerate(self.turns) if place < turn.begin + turn.in_a_row)

    def updates_before(self, step: int) -> int:
        """The number of updates of this turn before a step of the stage. Without turns, each step is an update."""
        periods, place = divmod(step, self.period)
        return periods * self.in_a_row + min(max(place - self.begin, 0), self.in_a_row)

    @cached_property
    def factors(self) -> tuple[float, ...]:
        """The different factors of the learning rate, in the order of the parameters; 1 if there are none."""
        return tuple(dict.fromkeys(self.rate.values())) or (1.0,)

    def scalars(self, step: int, rate: float) -> list[float]:
        """The numbers of the optimizer for a step with learning rate ``rate``, for each of the factors in turn."""
        return [number for factor in self.factors for number in self.optimizer.scalars(step, rate * factor)]

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

    def __post_init__(self) -> None:
        """Raises ModelError: E0606, a number is too small."""
        for word in ("batch", "epochs", "seed"):
            number, least = getattr(self, word), int(WORDS[word].least)
            if number is not None and number < least:
                raise ModelError(Diagnostic("E0606", f"'{word}' is an int from {least} on, not {number}"))


def named(found: Sequence[Stage], stage: int | str | None) -> Stage:
    """The stage with this number, from 0, or name, or the turn ``name.turn`` alone; by default the first stage.

    Raises:
        ModelError: E0619, there is none.
    """
    # A turn alone has no others between its steps.
    turns = [replace(turn, begin=0, in_a_row=1, period=1) for each in found for turn in each.turns]
    by_name = {each.name: each for each in (*found, *turns)}
    if isinstance(stage, str) and stage in by_name:
        return by_name[stage]
    number = 0 if stage is None else stage
    if isinstance(number, int) and 0 <= number < len(found):
        return found[number]
    notes = (f"the stages are: {', '.join(by_name)}",)
    help = did_you_mean(stage, by_name) if isinstance(stage, str) else None
    raise ModelError(Diagnostic("E0619", f"there is no stage '{stage}'", notes=notes, help=help))


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
    name = section.name or default_name(number)
    said = _complete(section, overrides)
    if not section.turns:
        return _made(graph, section, name, said)
    period = sum(turn.steps or 1 for turn in section.turns)
    turns: list[Stage] = []
    complaints: list[Diagnostic] = []
    begin = 0
    for turn, whole in zip(section.turns, section.parts(), strict=True):
        words = [word for word, known in WORDS.items() if known.in_turn and word != "steps"]
        own = {word: getattr(whole, word) for word in words if getattr(whole, word) not in (None, ())}
        in_a_row = turn.steps or 1
        try:
            made = _made(graph, whole, f"{name}.{turn.name}", {**said, **own})
            turns.append(replace(made, begin=begin, in_a_row=in_a_row, period=period))
        except ModelError as error:
            complaints.extend(error.diagnostics)
        begin += in_a_row
    if complaints:
        raise ModelError(*complaints)
    return replace(
        turns[0],
        name=name,
        span=section.span,
        minimize=tuple(dict.fromkeys(loss for turn in turns for loss in turn.minimize)),
        parameters=tuple(path for path in graph.parameters if any(path in turn.parameters for turn in turns)),
        said=said,
        turns=tuple(turns),
        begin=0,
        in_a_row=1,
        period=1,
    )


def _made(graph: ModuleGraph, section: TrainSection, name: str, said: dict[str, Any]) -> Stage:
    complaints: list[Diagnostic] = []

    @contextmanager
    def gathered() -> Iterator[None]:
        try:
            yield
        except ModelError as error:
            complaints.extend(error.diagnostics)

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
    chosen_paths = [
        path for path in graph.parameters if not said["only"] or any(matches(each, path) for each in said["only"])
    ]
    rate = {path: number_of(said["rate"], path, 1.0) for path in chosen_paths}
    parameters = tuple(path for path in chosen_paths if rate[path] != 0)
    limits = {path: number_of(said["max_norm"], path) for path in parameters if graph.parameters[path].type.rank >= 2}
    plain = {field.name: said[field.name] for field in fields(Stage) if field.name in WORDS}
    computed = {
        "optimizer": chosen,
        "schedule": planned,
        "minimize": said["minimize"] or tuple(graph.losses),
        "rate": {path: rate[path] for path in parameters},
        "max_norm": {path: limit for path, limit in limits.items() if limit is not None},
    }
    return Stage(
        **plain | computed,
        name=name,
        span=section.span,
        parameters=parameters,
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
        elif known.kind in ("factors", "limits"):
            value = dict(value)
        elif known.kind == "starts":
            value = [str(each) for each in value]
        elif known.kind == "best":
            value = None if value is None else str(value)
        elif known.kind == "feed":
            value = dict(value)
        found[word] = value
    numbers = asdict(stage.optimizer)  # type: ignore[call-overload]
    found |= {"optimizer": {"name": stage.said["optimizer"].name, **numbers}, "minimize": list(stage.minimize)}
    del found["steps" if stage.steps is None else "epochs"]
    if stage.turns:
        # A stage with turns only passes these on to them.
        found = {word: value for word, value in found.items() if word == "steps" or not _is_of_turn(word)}
        found["turns"] = [
            {word: value for word, value in described(turn).items() if word == "name" or _is_of_turn(word)}
            | {"steps": turn.in_a_row}
            for turn in stage.turns
        ]
    return found


def _is_of_turn(word: str) -> bool:
    return word in WORDS and WORDS[word].in_turn


def _call(setting: Setting) -> str:
    """A call as the language writes it."""
    arguments = [*map(written, setting.arguments)]
    keywords = {**setting.keywords, **setting.overrides}
    arguments += [f"{name} = {written(value)}" for name, value in keywords.items()]
    return f"{setting.name}({', '.join(arguments)})" if arguments else setting.name
