"""The symbols of names: one for each definition."""

from __future__ import annotations

from graphdl.language import syntax
from graphdl.language.expansion import symbols
from graphdl.language.expansion.meaning import Word, word
from graphdl.language.expansion.nets import statements_of
from graphdl.language.expansion.symbols import Symbol
from graphdl.language.expansion.values import Definition
from graphdl.language.words import name_end
from graphdl.operators import PRIMITIVES
from graphdl.source import Span


class Registry:
    """The symbols of several files, one for each place where a name is defined."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, int], str, str], Symbol] = {}
        self._words: dict[tuple[str, str], Symbol] = {}

    def add(self, symbol: Symbol) -> Symbol:
        return self._known.setdefault((symbol.key, symbol.kind, symbol.name), symbol)

    def word(self, name: str, kind: str) -> Symbol:
        """The symbol of a word of the language."""
        return self._words.setdefault((kind, name), Symbol(name, kind, None, PRIMITIVES.get(name)))

    def language(self, name: str) -> Symbol | None:
        """The symbol of a name that no file defines; None if there is none."""
        found = word(name)
        return None if found is None else self.of_word(found)

    def of_word(self, found: Word) -> Symbol:
        kinds = {"initializer": symbols.INITIALIZER, "primitive": symbols.PRIMITIVE}
        return self.word(found.name, kinds.get(found.kind, symbols.FUNCTION))

    def of_definition(self, definition: Definition) -> Symbol:
        written = definition.written
        kind = symbols.BLOCK if isinstance(written, syntax.Block) else symbols.NET
        return self.add(Symbol(written.name, kind, written.name_span, written, definition=definition))

    def of_argument(self, definition: Definition, name: str) -> Symbol | None:
        """The hyperparameter or input with this name."""
        for hyper in definition.written.hypers:
            if hyper.name == name:
                return self.of_hyper(definition.written, hyper)
        if isinstance(definition.written, syntax.Block):
            for port in definition.written.inputs:
                if port.name == name:
                    return self.of_port(definition.written, port, symbols.INPUT)
            return None
        for statement in statements_of(definition.written.body):
            if isinstance(statement, syntax.Declare) and statement.word == "input" and statement.name == name:
                assert statement.name_span is not None  # it has a name
                extent = definition.written.span
                owner = definition.name
                return self.add(Symbol(name, symbols.INPUT, statement.name_span, statement, extent, owner=owner))
        return None

    def of_hyper(self, owner: syntax.Block | syntax.Net, hyper: syntax.Hyper) -> Symbol:
        span = head(hyper.span)
        return self.add(Symbol(hyper.name, symbols.HYPER, span, hyper, owner.span, owner=owner.name))

    def of_port(self, owner: syntax.Block, port: syntax.Port, kind: str) -> Symbol:
        return self.add(Symbol(port.name, kind, head(port.span), port, owner.span, owner=owner.name))


def head(span: Span) -> Span:
    """The name at the start of a span."""
    return Span(span.source, span.start, name_end(span.source.text, span.start))
