from graphdl.diagnostics import Diagnostic
from graphdl.source import Source, Span


def explain(source, tokens, first, index, expected):
    t = tokens[index]
    return Diagnostic("E0107", f"unexpected {t.text!r} {sorted(expected)}", Span(source, t.start, t.end))
