"""The search for the fastest forms of hand-written kernels on a device.

Each form is measured in a program of its own, which computes the tensor of the kernel from feeds. The program includes
everything that belongs to the form, such as packed filters and partial sums. The result is compared with NumPy's before
the time counts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np

from graphdl.compiler.build import build
from graphdl.compiler.program import Launch, Program, Target
from graphdl.diagnostics import DeviceError
from graphdl.operators.kernels.family import Family, Form, copy, predicted
from graphdl.operators.kernels.geometry import CHANNELS_LAST
from graphdl.operators.structure import transpose
from graphdl.operators.tensor import Feed, Template, Tensor, View, feed, topological
from graphdl.runtime.executor import Executor
from graphdl.runtime.opencl import Device
from graphdl.runtime.profiler import seconds_of, timeline
from graphdl.runtime.tuned import Entry, Key, Pattern, own_table, source_of, write_own
from graphdl.runtime.variables import VariableStore

TOLERANCE = 5e-5
"""The greatest accepted error of an element, relative to the root mean square of all elements."""
PATIENCE = 10
"""The search for a problem ends after this many consecutive forms that are no faster."""
WORTH = 0.95
"""Another form is chosen if its time is below this fraction of the predicted form's time. Smaller gains of a
kernel alone did not make the steps of LeNet and an MLP faster (AMD Zen 3, PoCL 3.0).
"""
_FAR = 2.0
_FINALS = 5
_SECONDS = 0.05
_MOST_RUNS = 8
_RESULT = "result"


@dataclass
class Task:
    """One problem of a program, with the offsets and strides at which its operands are read."""

    family: Family[Any, Any]
    problem: Hashable
    seconds: float = 0.0
    """The time of the launches with this problem in one run of the program."""
    forms: dict[Pattern, tuple[Form, int]] = field(default_factory=dict)
    """For each pattern a form, and the number of its launches in one run."""

    @property
    def key(self) -> Key:
        return self.family.name, repr(self.problem)


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a task."""

    entry: Entry
    tried: int
    refused: int

    @property
    def gain(self) -> float:
        """The ratio of the predicted form's time to the chosen form's time."""
        seconds = self.entry.seconds
        before, after = seconds.get(self.entry.predicted), seconds.get(self.entry.chosen)
        return before / after if before and after else 1.0


def tasks_of(launches: Iterable[tuple[Launch, float]], target: Target) -> list[Task]:
    """The problems of launches that have more than one form, the one with the longest time first."""
    found: dict[tuple[Family[Any, Any], Hashable], Task] = {}
    left_out: set[tuple[Family[Any, Any], Hashable]] = set()
    for launch, seconds in launches:
        form = launch.form
        if form is None or (form.family, form.problem) in left_out:
            continue
        if (form.family, form.problem) not in found:
            if len(form.family.candidates(form.problem, target)) < 2 or not _stands_alone(form, target):
                left_out.add((form.family, form.problem))
                continue
            found[form.family, form.problem] = Task(form.family, form.problem)
        task = found[form.family, form.problem]
        task.seconds += seconds
        pattern = tuple((operand.offset, operand.strides) for operand in form.operands)
        task.forms[pattern] = (form, task.forms.get(pattern, (form, 0))[1] + launch.times)
    return sorted(found.values(), key=lambda task: -task.seconds)


def _stands_alone(form: Form, target: Target) -> bool:
    """Whether a program that computes only the tensor of a form has the same problem. If not, the form depends on its
    surroundings, such as a loop that reads a packed matrix at every step.
    """
    if form.alone is None:
        return False
    program = build({_RESULT: form.alone}, {}, target)
    forms = [launch.form for launch in program.launches if launch.form is not None]
    return any(each.family is form.family and each.problem == form.problem for each in forms)


class Tuner:
    """Searches for the fastest forms of tasks, and stores them in the user's own table of the device.

    ``report`` is called after each form and at the end of each task.
    """

    def __init__(self, device: Device, report: Callable[[Task, Found | None, int], None] = lambda *_: None) -> None:
        self.device = device
        self.report = report

    def run(self, tasks: Sequence[Task], budget: float) -> list[Found]:
        """Searches the tasks in order for ``budget`` seconds. A task that an earlier search has completed with the same
        driver and kernel source is skipped.

        Returns the results, including those of skipped tasks. If the search is interrupted, all measurements are
        stored.

        Raises:
            DeviceError: the device fails.
            OSError: the table cannot be written.
            KeyboardInterrupt: Ctrl-C; all measurements are stored.
        """
        end = monotonic() + budget
        table = own_table(self.device.info)
        known = table.by_key if table is not None else {}
        found: list[Found] = []
        for task in tasks:
            before = known.get(task.key)
            if before is not None and not self._holds(task, before):
                before = None
            if before is None or not before.complete:
                if monotonic() >= end:
                    break
                search = _Search(self.device, task, before)
                try:
                    for tried in search.steps():
                        self.report(task, None, tried)
                        if monotonic() >= end:
                            break
                    before = search.entry()
                except KeyboardInterrupt:
                    if search.seconds:
                        write_own(self.device.info, {task.key: search.entry(final=False)})
                    raise
                write_own(self.device.info, {task.key: before})
            seconds = before.seconds
            found.append(Found(before, len(seconds), sum(value is None for value in seconds.values())))
            self.report(task, found[-1], len(seconds))
        return found

    def _holds(self, task: Task, entry: Entry) -> bool:
        """Whether an entry is valid for the task."""
        names = (entry.chosen, entry.predicted)
        source = source_of(task.family, task.problem, names, tuple(task.forms), self.device.target)
        return set(entry.patterns) == set(task.forms) and entry.source == source


class _Search:
    """The search for the fastest form of one task. ``before`` is the result of an earlier search."""

    def __init__(self, device: Device, task: Task, before: Entry | None) -> None:
        self.device, self.task = device, task
        family, problem, target = task.family, task.problem, device.target
        self.first = predicted(family, problem, target)
        order = sorted(family.candidates(problem, target), key=lambda form: family.cycles(problem, form, target))
        self.candidates = list(dict.fromkeys([self.first, *order]))
        self.seconds: dict[str, float | None] = dict(before.seconds) if before is not None else {}
        self.complete = False
        self._trials = [_Trial(device, form, times) for form, times in task.forms.values()]
        self._rejected = 0

    def steps(self) -> Iterable[int]:
        """Measures one form after the other. Yields the number of measured forms."""
        best = min((value for value in self.seconds.values() if value is not None), default=np.inf)
        idle = 0
        for candidate in self.candidates:
            name = repr(candidate)
            if name in self.seconds:
                continue
            self.seconds[name] = seconds = self._measured(candidate, best)
            idle = 0 if seconds is not None and seconds < best else idle + 1
            best = min(best, seconds if seconds is not None else np.inf)
            yield len(self.seconds)
            if idle >= PATIENCE:
                break
        self.complete = True

    def entry(self, *, final: bool = True) -> Entry:
        """The result of the search. With ``final``, the best form and the predicted form are measured once more, in
        turn.
        """
        first, best = repr(self.first), self._best()
        if final and best != first and self.seconds.get(first) is not None:
            self._run_off(first, best)
        seconds, before = self.seconds.get(best), self.seconds.get(first)
        worth = seconds is not None and (before is None or seconds < WORTH * before)
        chosen = best if worth else first
        patterns, target = tuple(self.task.forms), self.device.target
        source = source_of(self.task.family, self.task.problem, (chosen, first), patterns, target)
        return Entry(*self.task.key, chosen, first, patterns, source, self.seconds, self.complete)

    def _best(self) -> str:
        measured = {name: value for name, value in self.seconds.items() if value is not None}
        return min(measured, key=measured.__getitem__, default=repr(self.first))

    def _run_off(self, first: str, best: str) -> None:
        named = {repr(candidate): candidate for candidate in self.candidates}
        times: dict[str, list[float]] = {first: [], best: []}
        for _ in range(_FINALS):
            for name, column in times.items():
                seconds = self._measured(named[name])
                if seconds is None:  # it was right before; such a form is no choice
                    self.seconds[name] = None
                    return
                column.append(seconds)
        for name, column in times.items():
            self.seconds[name] = min(column)

    def _measured(self, candidate: Hashable, best: float = np.inf) -> float | None:
        """The seconds of a form in one run of the program; None if the form is refused. A form much slower than
        ``best`` is measured only once.
        """
        total = 0.0
        for trial in self._trials:
            seconds = trial.seconds(candidate, _FAR * best / trial.times)
            if seconds is None:
                return None
            total += trial.times * seconds
        return total


class _Trial:
    """A problem at one place in a program, computed in a program of its own."""

    def __init__(self, device: Device, form: Form, times: int) -> None:
        assert form.alone is not None
        self.device, self.form, self.times = device, form, times
        last = form.family.result_layout == "channels_last" and form.alone.rank == 4
        # In this order, the elements are stored as the kernel writes them in a larger program.
        self.result = transpose(form.alone, CHANNELS_LAST) if last else form.alone
        self.feeds = _drawn(self.result)
        self._wanted: np.ndarray | None = None
        self._executors: dict[Hashable, Executor] = {}

    def seconds(self, candidate: Hashable, far: float) -> float | None:
        """The least time of a run of a form, in seconds. A form that takes longer than ``far`` is run only once.
        Returns None if the result is wrong or the device does not build the form.
        """
        fresh = candidate not in self._executors
        try:
            executor = self._executors.get(candidate) or self._executor(candidate)
            if fresh:
                executor.spoil()
                executor.run(self.feeds)
                if not self._agrees(executor.fetch(_RESULT)):
                    return None
        except DeviceError:
            return None
        self._executors = {candidate: executor, **dict(list(self._executors.items())[:2])}
        return self._timed(executor, far)

    def _executor(self, candidate: Hashable) -> Executor:
        form, device = self.form, self.device

        def choose(family: Family[Any, Any], problem: Hashable, target: Target) -> Any:
            same = family is form.family and problem == form.problem
            return candidate if same else predicted(family, problem, target)

        program = build({_RESULT: self.result}, {}, device.target, choose=choose)
        return Executor(program, device, VariableStore(device))

    def _timed(self, executor: Executor, far: float) -> float:
        counted = _counted(executor.program)

        def run(count: int) -> float:
            found = timeline(executor, lambda: self.feeds, count)
            return min(
                sum(each for number, each in enumerate(seconds_of(executor.program, one)) if number in counted)
                for one in found.runs
            )

        first = run(1)
        return first if first > far else min(first, run(max(2, min(_MOST_RUNS, int(_SECONDS / max(first, 1e-9))))))

    def _agrees(self, found: np.ndarray) -> bool:
        if self._wanted is None:
            self._wanted = self._reference()
        wanted = self._wanted
        scale = float(np.sqrt(np.mean(np.square(wanted, dtype=np.float64)))) or 1.0
        with np.errstate(invalid="ignore"):
            return bool(np.all(np.abs(found - wanted) <= TOLERANCE * scale))

    def _reference(self) -> np.ndarray:
        """The result that every form must have: that of NumPy in float64 if the operation has a ``reference``, else
        that of the predicted form.
        """
        node = self.result
        while not isinstance(node.operation, Template):
            (node,) = node.inputs
        inputs = _computed(self.device, {str(k): x for k, x in enumerate(node.inputs)}, self.feeds)
        exact = node.operation.reference(node, [inputs[str(k)].astype(np.float64) for k in range(len(node.inputs))])
        if exact is None:
            first = predicted(self.form.family, self.form.problem, self.device.target)
            executor = self._executor(first)
            executor.spoil()
            executor.run(self.feeds)
            return executor.fetch(_RESULT)
        # The views of the result only move elements. The device applies them to the reference.
        given = feed("exact", node.shape, node.element)
        moved = _moved(self.result, node, given)
        return _computed(self.device, {_RESULT: moved}, {"exact": exact.astype(np.float32)})[_RESULT]


def _counted(program: Program) -> set[int]:
    """The launches whose time counts for a form: those of hand-written kernels, and those that read their results.
    Launches that prepare the feeds are the same for all forms.
    """
    counted: set[int] = set()
    blocks: set[int] = set()
    for number, launch in enumerate(program.launches):
        if launch.form is not None or blocks.intersection(launch.reads):
            counted.add(number)
            blocks.update(launch.writes)
    return counted


def _drawn(result: Tensor) -> dict[str, np.ndarray]:
    """Random values for the feeds that a tensor depends on."""
    random = np.random.default_rng(0)
    feeds: dict[str, np.ndarray] = {}
    for x in topological([result]):
        if isinstance(x.operation, Feed):
            if x.element == "float":
                feeds[x.operation.key] = random.standard_normal(x.shape, np.float32)
            else:
                values = random.integers(0, 2, x.shape, np.int32)
                feeds[x.operation.key] = values.astype(bool) if x.element == "bool" else values
    return feeds


def _computed(device: Device, results: Mapping[str, Tensor], feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The values of tensors. ``feeds`` may have more feeds than these need."""
    program = build({name: copy(x) for name, x in results.items()}, {}, device.target)
    executor = Executor(program, device, VariableStore(device))
    executor.run({name: feeds[name] for name in program.feeds})
    return {name: executor.fetch(name) for name in program.fetches}


def _moved(x: Tensor, node: Tensor, given: Tensor) -> Tensor:
    """Applies the view ``x`` of ``node`` to ``given``."""
    if x is node:
        return given
    assert isinstance(x.operation, View)
    return Tensor(x.operation, (_moved(x.inputs[0], node, given),), x.shape, x.element)
