"""The state of an expansion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from graphdl.diagnostics import Diagnostic, Label
from graphdl.graph.model import Module, ModuleGraph, Value
from graphdl.graph.operator import OperatorError
from graphdl.graph.types import Element
from graphdl.language import syntax
from graphdl.language.expansion import arithmetic, limits
from graphdl.language.expansion.builder import PlacingBuilder, at
from graphdl.language.expansion.faults import Fault, Poisoned, Reporter
from graphdl.language.expansion.files import FileScope
from graphdl.language.expansion.frames import Frame, Scope, user_span
from graphdl.language.expansion.values import describe
from graphdl.language.expansion.watching import Watcher
from graphdl.source import Span


@dataclass(frozen=True)
class Recursion:
    """The functions by which the parts of an expansion call each other.

    An expression contains calls, a call expands a body, a body contains statements, and these contain expressions.
    """

    evaluate: Callable[[Expansion, syntax.Expression, Scope], Any]
    """``expressions.evaluate``."""
    operand: Callable[[Expansion, syntax.Expression, Scope], Any]
    """``expressions.operand``."""
    execute: Callable[[Expansion, Iterable[syntax.Statement], Scope], None]
    """``statements.execute``."""


class Expansion:
    """The expansion of one net for training or for inference."""

    def __init__(
        self,
        graph: ModuleGraph,
        file: FileScope,
        reporter: Reporter,
        let_settings: Mapping[str, Any],
        recursion: Recursion,
        watcher: Watcher | None = None,
    ) -> None:
        self.graph = graph
        self.builder = PlacingBuilder(graph)
        self.file = file
        self.reporter = reporter
        self.let_settings = let_settings
        self.recursion = recursion
        self.watcher = watcher
        self.steps = 0
        self.is_sound = True
        """Whether every statement of the net was expanded. If not, missing names may belong to faulty statements."""

    @property
    def training(self) -> bool:
        return self.graph.training

    def evaluate(self, expression: syntax.Expression, scope: Scope) -> Any:
        """The value of an expression. Raises Fault, or Poisoned if a fault has been reported already."""
        return self.recursion.evaluate(self, expression, scope)

    def operand(self, expression: syntax.Expression, scope: Scope) -> Any:
        """The value as an operand: the first of several outputs."""
        return self.recursion.operand(self, expression, scope)

    def execute(self, body: Iterable[syntax.Statement], scope: Scope) -> None:
        """Expands statements in order."""
        self.recursion.execute(self, body, scope)

    def spend(self, steps: int, span: Span, what: str = "expanding this") -> None:
        """Counts work, and raises Fault above the limit. ``what`` is the subject of the message."""
        if self.steps > limits.STEPS:
            raise Poisoned
        self.steps += steps
        if self.steps > limits.STEPS:
            raise Fault("E0314", f"{what} takes more than {limits.STEPS:,} steps", header(span))

    def copied(self, items: int, span: Span) -> None:
        """Counts the work and the memory of copied items."""
        if items >= limits.COPIES:
            self.spend(items // limits.COPIES, span)

    def listed(self, items: list[Any], span: Span) -> list[Any]:
        """Checks the length, the nesting and the size of a new list, and returns it.

        A list that occurs several times in a list is a single object, but is visited several times. So the size is that
        of the list written out.
        """
        if len(items) > limits.LIST:
            raise arithmetic.too_long(len(items), span)
        self.copied(len(items), span)
        inner = [item for item in items if isinstance(item, list)]
        depth = 1
        while inner:
            depth += 1
            if depth > limits.NESTING:
                raise Fault("E0314", f"lists are nested more than {limits.NESTING} deep", span)
            written_out = 1 + sum(map(len, inner)) // limits.COPIES
            self.spend(written_out, span, "this list, with the lists inside it, is too large: writing it out")
            inner = [item for outer in inner for item in outer if isinstance(item, list)]
        return items

    # ------------------------------------------------------------------------------------------------------ reporting

    def report(self, fault: Fault, frame: Frame) -> None:
        """Reports a fault. One in the library is moved to the user's line that caused it."""
        self.reporter.add(placed(fault.diagnostic, frame))

    def producer(self, value: Value, what: str = "") -> Label:
        """A label at the place that computes a tensor."""
        return Label(visible(value), what or str(value.type))

    def operator_fault(
        self, error: OperatorError, inputs: list[Value], span: Span, hyper_spans: Mapping[str, Span], frame: Frame
    ) -> Fault:
        """The error of a shape rule, with the places of the inputs or the hyperparameter at fault."""
        if error.hyper is not None:
            span = hyper_spans.get(error.hyper, span)
            if frame.file.is_library:  # the user's own argument, if the block passes it on
                given = frame.argument_spans
                span = given.get(error.hyper, given.get(span.text, span))
        place, _ = user_span(span, frame)
        labels: list[Label] = []
        for port in error.inputs:
            label = self.producer(inputs[port])
            if label.span != place and label not in labels:
                labels.append(label)
        return Fault(error.code, error.message, span, labels=labels, help=error.help)

    # -------------------------------------------------------------------------------------------------------- tensors

    def tensor_of_numbers(self, value: Any, element: Element | None, module: Module, span: Span) -> Value:
        """A constant node from a number or from nested lists of equal lengths."""
        if not isinstance(value, int | float | list):
            raise Fault("E0301", f"a tensor is wanted here, not {describe(value)}", span)
        with at(span):
            made = self.builder.tensor(value, element, module, span)
        self.copied(made.type.size, span)
        return made


def header(span: Span) -> Span:
    """The first line of a statement or declaration, up to its brace."""
    text = span.text.partition("\n")[0].partition("{")[0].rstrip()
    return Span(span.source, span.start, span.start + len(text)) if text else span


def visible(value: Value) -> Span:
    """The place in the user's text that computes the value: for a value computed in a library
    block, the block's call.
    """
    span, module = value.node.span, value.node.module
    while span.in_library and module.parent is not None:
        span, module = module.span, module.parent
    return span


def placed(diagnostic: Diagnostic, frame: Frame) -> Diagnostic:
    """Moves a diagnostic from inside a library block to the call in the user's text.

    A diagnostic in a user's block gets a note that says where the block was called.
    """
    span = diagnostic.span
    assert span is not None  # every fault has a place
    notes = list(diagnostic.notes)
    if span.in_library and span.text in frame.argument_spans:
        span = frame.argument_spans[span.text]  # the block passes on an argument of its call
    place, caller = user_span(span, frame)
    if span.in_library:
        outermost = frame
        while outermost.caller is not None and outermost.caller is not caller:
            outermost = outermost.caller
        block = f"{outermost.definition.name}, " if outermost.definition is not None else ""
        notes.append(f"inside the library's {block}{span}")
    if caller is not None and caller.caller is not None:
        notes.append(_trail(caller))
    return replace(diagnostic, span=place, notes=tuple(notes))


def _trail(frame: Frame) -> str:
    """``in residual, called at file.net:3:4``, for up to four calls."""
    parts: list[str] = []
    current: Frame | None = frame
    while current is not None and current.caller is not None and len(parts) < 4:
        name = current.definition.name if current.definition else "the net"
        part = f"in {name}, called at {current.span}"
        if part not in parts:
            parts.append(part)
        current = current.caller
    return "; ".join(parts)
