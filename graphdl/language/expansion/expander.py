"""Expands a source to its module graph, or reports all errors."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from graphdl import collector
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.builder import Naming
from graphdl.graph.model import Module, ModuleGraph
from graphdl.language.expansion import expressions, limits, modules, names, settings, statements, training, warnings
from graphdl.language.expansion.context import Expansion, Recursion
from graphdl.language.expansion.faults import Fault, Poisoned, Reporter
from graphdl.language.expansion.files import Files, FileScope, read_source
from graphdl.language.expansion.frames import Frame, Scope
from graphdl.language.expansion.indices import limit_inputs
from graphdl.language.expansion.nets import model_of
from graphdl.language.expansion.registry import Registry
from graphdl.language.expansion.resolver import resolve
from graphdl.language.expansion.values import Definition
from graphdl.language.expansion.watching import Abandoned, Watcher
from graphdl.source import Source
from graphdl.suggest import did_you_mean, enumerated, limited_suggestions

_RECURSION = Recursion(expressions.evaluate, expressions.operand, statements.execute)


class Loaded:
    """A source and all files that it imports, read once. It can be expanded several times.

    ``allow_outside`` lets imports leave ``root``, which is the project's folder by default.
    """

    def __init__(self, source: Source, *, root: str | None = None, allow_outside: bool = False) -> None:
        self.source = source
        self._found = Reporter()
        with collector.paused(), _deep_recursion(), limited_suggestions():
            self._files, self._file = _load(source, self._found, Files(root=root, allow_outside=allow_outside))
            for scope in self._files.scopes:
                names.check(resolve(scope, Registry()), self._found)

    @property
    def files(self) -> list[Source]:
        """The source and all files that it imports, except the standard library."""
        return self._files.sources

    def settable(self, net: str) -> set[str]:
        """The names of the hyperparameters of a net and of the ``let``s of the file."""
        hypers = (hyper.name for each in self._file.nets if each.name == net for hyper in each.written.hypers)
        return {*hypers, *self._file.lets}

    def expand(
        self, *, net: str | None = None, settings: Mapping[str, object] | None = None, training: bool = False
    ) -> ModuleGraph:
        """The module graph of the file's model: the net that it trains by name, else its last one, or the one named
        ``net``.

        ``settings`` sets hyperparameters of the net, ``let``s of the file and arguments of train sections, as ``--set``
        does; strings are parsed as values.

        Raises:
            ModelError: the file has errors. It contains all of them, in order.
        """
        reporter = self._found.copy()
        graph = None
        with collector.paused(), _deep_recursion(), limited_suggestions():
            definition = _chosen(self._file, net, reporter, self.source)
            if definition is not None:
                graph = _expand(definition, self._file, settings or {}, training, reporter, is_model=True)
        errors = [d for d in reporter.in_order(self._files.sources) if d.is_error]
        if errors or graph is None:
            raise ModelError(*errors)
        limit_inputs(graph)
        return graph


def check(
    source: Source,
    *,
    settings: Mapping[str, object] | None = None,
    net: str | None = None,
    allow_outside: bool = False,
    watcher: Watcher | None = None,
) -> list[Diagnostic]:
    """All errors and warnings of the file, in order. Never raises an exception because of the file's content.

    All nets without required hyperparameters (or only ``net``) are expanded, both for training and for inference.
    Blocks that no net uses are only checked by their names. A ``watcher`` receives the events.
    """
    reporter = Reporter()
    with collector.paused(), _deep_recursion(), limited_suggestions():
        read = read_source if watcher is None else watcher.read
        files, file = _load(source, reporter, Files(allow_outside=allow_outside, read=read))
        resolved = {id(scope): resolve(scope, Registry()) for scope in files.scopes}
        for bindings in resolved.values():
            names.check(bindings, reporter)
        unused = [] if reporter.has_errors else names.unused(file, resolved[id(file)], reporter)
        model = _chosen(file, net, reporter, None)
        with suppress(Abandoned):
            if watcher is not None:
                watcher.loaded(files, file)
            for definition in file.nets if net is None else [model] if model is not None else []:
                if definition is not model and any(hyper.default is None for hyper in definition.written.hypers):
                    continue
                if any(file.is_spoilt(hyper) for hyper in definition.written.hypers):
                    continue
                is_model = definition is model
                given = (settings or {}) if is_model else _of_lets(settings or {}, file)
                for mode in (False, True) if watcher is None else watcher.modes:
                    if reporter.has_code("E0314", "E0504"):
                        break  # a file beyond the limits is not expanded twice
                    graph = _expand(definition, file, given, mode, reporter, is_model=is_model, watcher=watcher)
                    if graph is not None and mode and not reporter.has_errors:
                        warnings.check(graph, file.source, reporter, stages=is_model, unused=unused)
                    if graph is not None and watcher is not None:
                        watcher.expanded(definition, graph)
    return reporter.in_order(files.sources)


def _of_lets(given: Mapping[str, object], file: FileScope) -> dict[str, object]:
    return {name: value for name, value in given.items() if name in file.lets}


def _load(source: Source, reporter: Reporter, files: Files) -> tuple[Files, FileScope]:
    file = files.main(source)
    for diagnostic in files.diagnostics:
        reporter.add(diagnostic)
    return files, file


def _chosen(file: FileScope, net: str | None, reporter: Reporter, source: Source | None) -> Definition | None:
    """The requested net, or None. If ``source`` is given, a missing net is an error."""
    nets = file.nets
    if net is not None:
        for definition in nets:
            if definition.name == net:
                return definition
        known = [definition.name for definition in nets]
        help = did_you_mean(net, known) or (f"its nets: {enumerated(known)}" if known else None)
        reporter.add(Diagnostic("E0214", f"{file.source.name} has no net '{net}'", help=help))
    elif nets:
        model = model_of(file.tree)
        return next((definition for definition in reversed(nets) if definition.written is model), nets[-1])
    elif source is not None and not reporter.has_errors:
        reporter.add(Diagnostic("E0214", f"{source.name} has no net"))
    return None


def _expand(
    definition: Definition,
    file: FileScope,
    given: Mapping[str, object],
    mode: bool,
    reporter: Reporter,
    *,
    is_model: bool,
    watcher: Watcher | None = None,
) -> ModuleGraph | None:
    """Expands one net. Returns None if its expansion cannot start. Faults are reported."""
    written = definition.written
    root = Module("", definition.name, None, written.span, documentation=written.documentation)
    graph = ModuleGraph(definition.name, mode, root, documentation=written.documentation)
    hypers, lets, of_training = settings.sort(given, definition, file, reporter)
    expansion = Expansion(graph, file, reporter, lets, _RECURSION, watcher)
    file.let_values.clear()
    frame = Frame(file, definition, Naming(root), None, written.span)
    scope = Scope(frame)
    try:
        for hyper in written.hypers:
            if hyper.default is None and hyper.name not in hypers:
                raise Fault(
                    "E0205", f"the net '{definition.name}' wants '{hyper.name}', and it is not given", hyper.span,
                    help=f"give it a default, or set it: --set {hyper.name}=…",
                )  # fmt: skip
        modules.bind_hypers(expansion, written.hypers, hypers, scope)
        graph.hyperparameters = {name: scope.names[name] for name in (h.name for h in written.hypers)}
        root.hyperparameters = dict(graph.hyperparameters)
        outer = dict(scope.names)
        statements.execute(expansion, written.body, scope)
        sections = Scope(frame)
        sections.names = outer
        graph.stages = training.sections(expansion, file.tree, sections, of_training, is_model=is_model)
        if is_model:
            for let in file.lets:
                settings.let_into(expansion, let, file)
    except Fault as fault:
        expansion.report(fault, frame)
        return None
    except Poisoned:
        return None
    except RecursionError:
        reporter.add(
            Diagnostic("E0216", f"expanding '{definition.name}' goes too deep: expressions or blocks nest without end",
                       written.name_span)
        )  # fmt: skip
        return None
    root.inputs, root.outputs = list(graph.inputs.values()), list(graph.outputs.values())
    return graph


@contextmanager
def _deep_recursion() -> Iterator[None]:
    """Raises Python's recursion limit: expansion follows the nesting of the text, which has its own limits."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, limits.PYTHON_DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
