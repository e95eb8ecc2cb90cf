"""The symbols of a file as a tree, which an editor lists beside the text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from graphdl.language import syntax
from graphdl.language.expansion import symbols
from graphdl.language.expansion.nets import output_name, statements_of, walk
from graphdl.source import Span

_WORDS = {"input": symbols.INPUT, "param": symbols.PARAM, "state": symbols.STATE}


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    kind: str
    span: Span
    name_span: Span
    detail: str = ""
    children: tuple[Entry, ...] = ()


def outline(tree: syntax.File) -> Iterator[Entry]:
    for item in tree.declarations:
        match item:
            case syntax.Let():
                yield Entry(item.name, symbols.LET, item.span, item.name_span)
            case syntax.Block():
                ports = [Entry(p.name, symbols.INPUT, p.span, p.span) for p in item.inputs]
                body = tuple(_statements(item.body))
                yield Entry(item.name, symbols.BLOCK, item.span, item.name_span, "", (*ports, *body))
            case syntax.Net():
                yield Entry(item.name, symbols.NET, item.span, item.name_span, "", tuple(_statements(item.body)))
            case syntax.Train():
                settings = tuple(
                    Entry(s.word, "setting", s.span, s.word_span, " ".join(v.span.text for v in s.values)[:60])
                    for s in item.settings
                )
                head = Span(item.span.source, item.span.start, item.span.start + len("train"))
                yield Entry(item.name or "train", symbols.STAGE, item.span, head, "", settings)


def _statements(body: Iterable[syntax.Statement]) -> Iterator[Entry]:
    seen: set[str] = set()
    for statement in statements_of(body):
        if isinstance(statement, syntax.Declare):
            span = statement.name_span or (statement.value.span if statement.value is not None else statement.span)
            kind = _WORDS.get(statement.word, symbols.OUTPUT)
            yield Entry(output_name(statement), kind, statement.span, span, statement.word)
        elif isinstance(statement, syntax.Assign):
            for name in statement.names:
                if name.name != "_" and name.name not in seen:
                    seen.add(name.name)
                    yield Entry(name.name, symbols.VALUE, statement.span, name.span)
        for node in walk(statement) if not isinstance(statement, syntax.If | syntax.For) else ():
            if isinstance(node, syntax.Named):
                yield Entry(node.name, symbols.MODULE, node.span, node.name_span)
