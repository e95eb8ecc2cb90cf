"""Diagnostics in the form of the protocol."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from lsprotocol import types

from graphdl.diagnostics import Diagnostic, Label
from graphdl.language import syntax
from graphdl.language_server.analysis import PATIENCE, Analysis
from graphdl.source import Source, Span

_UNUSED = frozenset(["W0201", "W0202", "W0203", "W0204", "W0501", "W0502"])
"""Warnings about text without effect. Editors show it faded."""

Place = Callable[[Span], types.Location]


def problems(analysis: Analysis, place: Place) -> Iterator[types.Diagnostic]:
    """The diagnostics for the file of an analysis. An error in an imported file is shown at its import."""
    for diagnostic in analysis.diagnostics:
        span = diagnostic.span or Span(analysis.source, 0, 0)
        if span.source is analysis.source:
            yield _shown(diagnostic, span, diagnostic.message, diagnostic.labels, place)
        elif diagnostic.is_error:
            message = f"in {span}: {diagnostic.message}"
            labels = (Label(span, diagnostic.message), *diagnostic.labels)
            yield _shown(diagnostic, _import_of(analysis, span.source), message, labels, place)
    if analysis.abandoned:
        yield types.Diagnostic(
            place(Span(analysis.source, 0, 0)).range,
            f"expanding this file takes more than {PATIENCE:g} seconds: some shapes and faults are not shown here",
            types.DiagnosticSeverity.Information,
            source="graphdl",
        )


def _shown(
    diagnostic: Diagnostic, span: Span, message: str, labels: tuple[Label, ...], place: Place
) -> types.Diagnostic:
    lines = [message, *([diagnostic.label] if diagnostic.label else []), *diagnostic.notes]
    if diagnostic.help:
        lines.append(f"help: {diagnostic.help}")
    return types.Diagnostic(
        place(span).range,
        "\n".join(lines),
        types.DiagnosticSeverity.Error if diagnostic.is_error else types.DiagnosticSeverity.Warning,
        code=diagnostic.code,
        source="graphdl",
        tags=[types.DiagnosticTag.Unnecessary] if diagnostic.code in _UNUSED else None,
        related_information=[types.DiagnosticRelatedInformation(place(at.span), at.text or "here") for at in labels]
        or None,
    )


def _import_of(analysis: Analysis, source: Source) -> Span:
    """The import through which a file has come: the one that names it, else the first."""
    imports = [d for d in analysis.file.tree.declarations if isinstance(d, syntax.Import)] if analysis.file else []
    for item in imports:
        if source.path is not None and os.path.basename(item.path) == os.path.basename(source.path):
            return item.path_span
    return imports[0].path_span if imports else Span(analysis.source, 0, 0)
