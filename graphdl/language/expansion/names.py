"""Errors about names that the resolver finds, and warnings about names that are never read."""

from __future__ import annotations

from graphdl.diagnostics import Diagnostic
from graphdl.language import syntax
from graphdl.language.expansion import symbols
from graphdl.language.expansion.faults import Reporter
from graphdl.language.expansion.files import FileScope
from graphdl.language.expansion.nets import statements_of, targets_of
from graphdl.language.expansion.symbols import Bindings, Occurrence
from graphdl.source import Span

_DECLARATIONS = {
    "loss": "a loss is declared without `=`: loss cross_entropy(logits, label)",
    "metric": "a metric is declared without `=`: metric accuracy(logits, label)",
    "output": "an output has a name: output y = ...",
}
"""Help for a value that is assigned to such a word and never read."""


def check(bindings: Bindings, reporter: Reporter) -> None:
    """Reports the resolver's errors about the names of a file."""
    for complaint in bindings.complaints:
        reporter.add(complaint)


def unused(file: FileScope, bindings: Bindings, reporter: Reporter) -> list[Span]:
    """Warns of names that are never read. Returns the statements with unused values, which have
    warnings of their own.
    """
    reads = _Reads(file, bindings)
    statements: list[Span] = []
    for declaration in file.tree.declarations:
        if isinstance(declaration, syntax.Block | syntax.Net):
            statements.extend(_unused_in(declaration, reads, reporter))
        elif isinstance(declaration, syntax.Let) and not reads.of(declaration.name_span):
            reporter.add(Diagnostic("W0204", f"nothing uses '{declaration.name}'", declaration.name_span))
        elif isinstance(declaration, syntax.Import):
            _unused_import(declaration, file, reads, reporter)
    return statements


class _Reads:
    """The names of a file that are read."""

    def __init__(self, file: FileScope, bindings: Bindings) -> None:
        trains = [d.span for d in file.tree.declarations if isinstance(d, syntax.Train)]
        self.in_training: set[str] = set()
        """The names that train sections read. Any net of the file may be the trained one."""
        self.everywhere: set[str] = set()
        self._places: dict[int, list[Span]] = {}
        self._defined: dict[int, int] = {}
        """Maps each place that assigns to a name to the place of the name's definition."""
        for occurrence in bindings.occurrences:
            symbol = occurrence.symbol
            is_own = symbol.span is not None and symbol.span.source is file.source
            if symbol.span is not None and is_own:
                self._defined[occurrence.span.start] = symbol.span.start
            if not _reads(occurrence):
                continue
            self.everywhere.add(symbol.name)
            if any(span.start <= occurrence.span.start < span.end for span in trains):
                self.in_training.add(symbol.name)
            if symbol.span is not None and is_own:
                self._places.setdefault(symbol.span.start, []).append(occurrence.span)

    def of(self, name: Span) -> list[Span]:
        """The places that read the name defined at ``name``."""
        return self._places.get(name.start, [])

    def of_target(self, name: syntax.Name) -> list[Span]:
        """The places that read the value assigned to ``name``, here or elsewhere."""
        return self._places.get(self._defined.get(name.span.start, name.span.start), [])


def _reads(occurrence: Occurrence) -> bool:
    """Whether an occurrence reads a value.

    The update of a state counts as a use of the state. The name of an argument does not.
    """
    symbol, place = occurrence.symbol, occurrence.span
    if symbol.kind == symbols.STATE:
        return symbol.span is None or place.start != symbol.span.start
    return not occurrence.writes and not occurrence.is_argument


def _unused_import(item: syntax.Import, file: FileScope, reads: _Reads, reporter: Reporter) -> None:
    if item.alias is not None:
        brought = [item.alias] if item.alias in file.namespaces else []
    else:
        source = {name: d.file.source.name for name, d in file.imported.items()}
        brought = [name for name, path in source.items() if path.endswith(item.path)]
    if brought and not any(name in reads.everywhere for name in brought):
        reporter.add(Diagnostic("W0202", f"nothing of '{item.path}' is used", item.path_span))


def _unused_in(written: syntax.Block | syntax.Net, reads: _Reads, reporter: Reporter) -> list[Span]:
    statements = []
    outputs: set[str] = set()
    for hyper in written.hypers:
        if not reads.of(hyper.span) and hyper.name not in reads.in_training:
            reporter.add(
                Diagnostic("W0203", f"'{written.name}' does not use its hyperparameter '{hyper.name}'", hyper.span)
            )
    if isinstance(written, syntax.Block):
        outputs = {port.name for port in written.outputs}
        for port in written.inputs:
            if not reads.of(port.span) and port.name not in outputs and not _binds_any(written, port, reads):
                reporter.add(Diagnostic("W0501", f"nothing reads the input '{port.name}'", port.span))
    for statement in statements_of(written.body):
        if isinstance(statement, syntax.Declare) and statement.name_span is not None:
            if reads.of(statement.name_span) or statement.name in outputs:
                continue
            if statement.word == "input":
                reporter.add(Diagnostic("W0501", f"nothing reads the input '{statement.name}'", statement.name_span))
            elif statement.word in ("param", "state"):
                reporter.add(Diagnostic("W0201", f"'{statement.name}' is never read", statement.name_span))
        elif isinstance(statement, syntax.Assign) and len(statement.names) == 1:
            (name,) = statement.names
            if name.name not in outputs and not reads.of_target(name):
                statements.append(statement.span)
                if not name.name.startswith("_"):
                    help = _DECLARATIONS.get(name.name) if isinstance(written, syntax.Net) else None
                    reporter.add(Diagnostic("W0201", f"'{name.name}' is never read", name.span, help=help))
        elif isinstance(statement, syntax.Evaluate) and not targets_of(statement):
            statements.append(statement.span)
    return statements


def _binds_any(block: syntax.Block, port: syntax.Port, reads: _Reads) -> bool:
    """Whether the type of a port binds a dimension that is read outside of the types: then the port is used."""
    if port.type is None:
        return False
    types = [each.type.span for each in (*block.inputs, *block.outputs) if each.type is not None]
    for dimension in (*port.type.dimensions, port.type.classes):
        if isinstance(dimension, syntax.Name):
            for place in reads.of_target(dimension):
                if not any(span.start <= place.start < span.end for span in types):
                    return True
    return False
