"""The analysis of a file: its diagnostics, the meaning of its names, and the values of its expressions during
expansion.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from time import monotonic
from typing import Any

from graphdl.diagnostics import Diagnostic
from graphdl.graph.model import Module, ModuleGraph, Node, ScanBody, Value
from graphdl.language import syntax
from graphdl.language.expansion.expander import check
from graphdl.language.expansion.files import Files, FileScope
from graphdl.language.expansion.nets import model_of, walk
from graphdl.language.expansion.registry import Registry
from graphdl.language.expansion.resolver import resolve
from graphdl.language.expansion.symbols import Bindings, Symbol
from graphdl.language.expansion.values import Definition, Outputs, values_of
from graphdl.language.expansion.watching import Abandoned, Watcher
from graphdl.language.lexer import LimitError, Token, tokenize
from graphdl.language_server.text import moved
from graphdl.source import Source, Span

PATIENCE = 3.0
"""Seconds that an expansion may take. An editor does not wait longer."""

_KEPT = 8
"""The number of different values that are stored for one expression."""

Complain = Callable[[ModuleGraph], list[Diagnostic]]


class Analysis(Watcher):
    """The facts about one version of a file. They include its expansion for inference, and, after ``finish``, for
    training.

    Args:
        source: the file as the editor shows it.
        read: returns the text of an imported file, which may be open as well.
        complain: returns further diagnostics about the train sections of the model's graph.
        earlier: an analysis of an earlier text without errors, for answers that a broken text cannot give.
    """

    def __init__(
        self,
        source: Source,
        read: Callable[[str], Source],
        complain: Complain | None = None,
        earlier: Analysis | None = None,
    ) -> None:
        self.modes = (False,)
        self.source = source
        self.is_finished = False
        self._complain = complain
        self._read = read
        self.files: Files | None = None
        self.file: FileScope | None = None
        self.graphs: dict[str, ModuleGraph] = {}
        """The nets, expanded for inference."""
        self.model: ModuleGraph | None = None
        self._facts: dict[Source, dict[tuple[int, int], list[Any]]] = {}
        self._bindings: dict[Source, Bindings] = {}
        self.registry = Registry()
        self._deadline = monotonic() + PATIENCE
        self._count = 0
        self.abandoned = False
        """Whether the expansion took too long, so that it is incomplete."""
        with _without_collection():
            self.diagnostics = check(source, watcher=self)
        self.earlier = earlier if self.is_broken or self.abandoned else None

    def finish(self) -> None:
        """Expands for training as well, which completes the diagnostics."""
        if self.is_finished or self.abandoned:
            return
        self.is_finished = True
        self._deadline = monotonic() + PATIENCE
        with _without_collection():
            found = check(self.source, watcher=_Training(self))
        if self.model is not None and self._complain is not None and not any(d.is_error for d in found):
            found += self._complain(self.model)
        known = {(d.code, d.message, d.span and d.span.start) for d in self.diagnostics}
        self.diagnostics = [
            *self.diagnostics,
            *(d for d in found if (d.code, d.message, d.span and d.span.start) not in known),
        ]

    # ----------------------------------------------------------------------------------------------------- watching

    def read(self, path: str) -> Source:
        return self._read(path)

    def loaded(self, files: Files, file: FileScope) -> None:
        self.files, self.file = files, file
        for scope in files.scopes:
            if not scope.is_library:
                self._facts[scope.source] = {}

    def evaluated(self, expression: syntax.Expression, value: Any) -> None:
        self.be_patient()
        span = expression.span
        facts = self._facts.get(span.source)
        if facts is None:
            return
        known = facts.setdefault((span.start, span.end), [])
        if len(known) < _KEPT and not any(_alike(value, other) for other in known):
            known.append(value)

    def be_patient(self) -> None:
        """Raises Abandoned if the time is over."""
        self._count += 1
        if self._count % 64 == 0 and monotonic() > self._deadline:
            self.abandoned = True
            raise Abandoned

    def learn(self, span: Span, value: Any) -> None:
        """Stores a value of an expression of the file itself, if it has no value in inference."""
        facts = self._facts.get(span.source)
        if facts is not None:
            facts.setdefault((span.start, span.end), [value])

    def expanded(self, definition: Definition, graph: ModuleGraph) -> None:
        self.graphs[definition.name] = graph
        if graph.stages and definition.written is model_of(definition.file.tree):
            self.model = graph

    # ------------------------------------------------------------------------------------------------------- answers

    @property
    def is_broken(self) -> bool:
        return any(diagnostic.is_error for diagnostic in self.diagnostics)

    @property
    def last_graph(self) -> ModuleGraph | None:
        """The graph of the file's model; the earlier graph if it cannot be expanded."""
        known = self.graphs or (self.earlier.graphs if self.earlier is not None else {})
        model = model_of(self.file.tree) if self.file is not None else None
        last = next(reversed(known.values()), None)
        return known.get(model.name, last) if model is not None else last

    @property
    def scopes(self) -> list[FileScope]:
        return self.files.scopes if self.files is not None else []

    @cached_property
    def tokens(self) -> list[Token]:
        try:
            return tokenize(self.source).tokens
        except LimitError:
            return []

    @property
    def bindings(self) -> Bindings:
        """The names of the file itself."""
        return self.bindings_of(self.file) if self.file is not None else Bindings()

    def bindings_of(self, scope: FileScope) -> Bindings:
        if scope.source not in self._bindings:
            self._bindings[scope.source] = resolve(scope, self.registry)
        return self._bindings[scope.source]

    def values(self, span: Span) -> list[Any]:
        """The different values of the expression at a span, in order of evaluation."""
        found = self._facts.get(span.source, {}).get((span.start, span.end))
        if found is None and (before := self._before(span)) is not None and self.earlier is not None:
            return self.earlier.values(before)
        return found or []

    def modules_at(self, span: Span) -> list[tuple[ModuleGraph, Module]]:
        """The modules that the text at a span applies or names, each with its graph."""
        found = self._modules.get((span.source, span.start, span.end))
        if found is None and (before := self._before(span)) is not None and self.earlier is not None:
            return self.earlier.modules_at(before)
        return found or []

    def nodes_at(self, span: Span) -> list[Node]:
        """The nodes that the text at a span makes."""
        found = self._nodes.get((span.source, span.start, span.end))
        if found is None and (before := self._before(span)) is not None and self.earlier is not None:
            return self.earlier.nodes_at(before)
        return found or []

    def _before(self, span: Span) -> Span | None:
        """The corresponding span of the earlier text; None if it was changed."""
        if self.earlier is None or span.source is not self.source:
            return None
        old = self.earlier.source
        start = moved(span.start, old.text, self.source.text)
        if start is None or old.text[start : start + span.end - span.start] != span.text:
            return None
        return Span(old, start, start + span.end - span.start)

    def values_of(self, symbol: Symbol, near: Span) -> list[Any]:
        """The values of a name: at ``near``, where it is read or assigned, else at its next occurrence, else at any."""
        found = self.values(near) or self._assigned(symbol, near)
        if found or symbol.span is None:
            return found
        scope = next((s for s in self.scopes if s.source is near.source), None)
        if scope is None:
            return []
        places = [o.span for o in self.bindings_of(scope).of(symbol.key)]
        later = [span for span in places if span.start > near.start]
        for span in (*later, *reversed([span for span in places if span.start < near.start])):
            found = self.values(span) or self._assigned(symbol, span)
            if found:
                return found
        return []

    def _assigned(self, symbol: Symbol, near: Span) -> list[Any]:
        """The values that the statement at a place assigns to a name."""
        statement = self.writers.get((near.source, near.start))
        match statement:
            case syntax.Assign():
                index = next(i for i, name in enumerate(statement.names) if name.span.start == near.start)
                found = self.values(statement.value.span)
                if len(statement.names) > 1:
                    return [parts[index] for value in found if len(parts := list(_parts(value))) > index]
                return found
            case syntax.Declare() if statement.word in ("param", "state", "input"):
                return [node.outputs[0] for node in self.nodes_at(statement.span) if node.outputs]
            case syntax.Declare() if statement.value is not None:
                return self.values(statement.value.span)
            case syntax.Named():
                return self.values(statement.span)
        return []

    @cached_property
    def writers(self) -> dict[tuple[Source, int], syntax.Syntax]:
        """Maps each place where a name is assigned to its statement."""
        found: dict[tuple[Source, int], syntax.Syntax] = {}
        for scope in self.scopes:
            for node in (n for declaration in scope.tree.declarations for n in walk(declaration)):
                match node:
                    case syntax.Assign():
                        found.update({(scope.source, name.span.start): node for name in node.names})
                    case syntax.Declare(name_span=Span() as span) | syntax.Named(name_span=Span() as span):
                        found[scope.source, span.start] = node
        return found

    @cached_property
    def _modules(self) -> dict[tuple[Source, int, int], list[tuple[ModuleGraph, Module]]]:
        found: dict[tuple[Source, int, int], list[tuple[ModuleGraph, Module]]] = {}
        for graph in self.graphs.values():
            pending = deque(graph.root.children)
            while pending:
                module = pending.popleft()
                place = (module.span.source, module.span.start, module.span.end)
                found.setdefault(place, []).append((graph, module))
                pending.extend(module.children)
        return found

    @cached_property
    def _nodes(self) -> dict[tuple[Source, int, int], list[Node]]:
        found: dict[tuple[Source, int, int], list[Node]] = {}
        for graph in self.graphs.values():
            for node in _all_nodes(graph):
                found.setdefault((node.span.source, node.span.start, node.span.end), []).append(node)
        return found


class _Training(Watcher):
    """Expands for training and adds the values that only training has to an analysis."""

    modes = (True,)

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis

    def read(self, path: str) -> Source:
        return self.analysis.read(path)

    def evaluated(self, expression: syntax.Expression, value: Any) -> None:
        self.analysis.be_patient()
        self.analysis.learn(expression.span, value)


def _all_nodes(graph: ModuleGraph) -> Iterator[Node]:
    """All nodes, including those in the bodies of scans."""
    pending = list(reversed(graph.nodes))
    while pending:
        node = pending.pop()
        yield node
        body = node.attributes.get("body")
        if isinstance(body, ScanBody):
            pending.extend(reversed(body.nodes))


def _parts(value: Any) -> Any:
    return value if isinstance(value, list) else values_of(value)


def _alike(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, Value) and isinstance(other, Value):
        return one.type == other.type
    if isinstance(one, Outputs) and isinstance(other, Outputs):
        return [v.type for v in one.values] == [v.type for v in other.values]
    return type(one) is type(other) and isinstance(one, int | float | str | bool | list) and bool(one == other)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Disables garbage collection: an expansion makes many objects and frees few, and collection would take a third of
    its time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
