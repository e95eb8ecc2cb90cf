"""Binds every name of a file to what it means, without expanding anything: broken files are bound as far as they go.

It follows the rules by which expansion looks names up: a body's own, then the file's, then imports, then the library.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from graphdl.graph.train import WORDS
from graphdl.language import syntax
from graphdl.language.expansion.expressions import FUNCTIONS, HIDDEN
from graphdl.language.expansion.files import FileScope
from graphdl.language.expansion.nets import output_name, statements_of, targets_of
from graphdl.language.expansion.values import Definition, Namespace
from graphdl.language.lexer import LimitError, Token, tokenize
from graphdl.language.words import name_end, name_start, normal, placeholders
from graphdl.language_server import symbols
from graphdl.language_server.symbols import Bindings, Occurrence, Symbol
from graphdl.operators import PRIMITIVES
from graphdl.operators.initializers import INITIALIZERS
from graphdl.source import Source, Span

_DECLARED = {"input": symbols.INPUT, "param": symbols.PARAM, "state": symbols.STATE}


class Registry:
    """The symbols of several files, one for each place where a name is defined."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, int], str, str], Symbol] = {}
        self._words: dict[tuple[str, str], Symbol] = {}

    def add(self, symbol: Symbol) -> Symbol:
        return self._known.setdefault((symbol.key, symbol.kind, symbol.name), symbol)

    def word(self, name: str, kind: str) -> Symbol:
        """A word of the language itself."""
        return self._words.setdefault((kind, name), Symbol(name, kind, None, PRIMITIVES.get(name)))

    def language(self, name: str) -> Symbol | None:
        """What a name means that no file defines."""
        if name in INITIALIZERS:
            return self.word(name, symbols.INITIALIZER)
        if name in PRIMITIVES and name not in HIDDEN:
            return self.word(name, symbols.PRIMITIVE)
        if name in FUNCTIONS or name == "training":
            return self.word(name, symbols.FUNCTION)
        return None

    def of_definition(self, definition: Definition) -> Symbol:
        written = definition.written
        kind = symbols.BLOCK if isinstance(written, syntax.Block) else symbols.NET
        return self.add(Symbol(written.name, kind, written.name_span, written, definition=definition))

    def of_argument(self, definition: Definition, name: str) -> Symbol | None:
        """The hyperparameter or input of that name."""
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
        span = _head(hyper.span)
        return self.add(Symbol(hyper.name, symbols.HYPER, span, hyper, owner.span, owner=owner.name))

    def of_port(self, owner: syntax.Block, port: syntax.Port, kind: str) -> Symbol:
        return self.add(Symbol(port.name, kind, _head(port.span), port, owner.span, owner=owner.name))


def bind(file: FileScope, registry: Registry) -> Bindings:
    """Every name of a file."""
    return _File(file, registry).run()


class _File:
    def __init__(self, file: FileScope, registry: Registry) -> None:
        self.file = file
        self.registry = registry
        self.result = Bindings()
        self.names = _name_tokens(file.source)
        self.starts = [token.start for token in self.names]
        self.bodies: dict[str, _Body] = {}
        """The body of each net."""

    def run(self) -> Bindings:
        for declaration in self.file.tree.declarations:
            match declaration:
                case syntax.Import():
                    if declaration.alias is not None:
                        self.occur(self.alias(declaration), self.alias_span(declaration), writes=True)
                case syntax.Let():
                    self.occur(self.let(declaration), declaration.name_span, writes=True)
                    _Body(self, declaration.span).expression(declaration.value)
                case syntax.Block() | syntax.Net():
                    self.definition(declaration)
                case syntax.Train():
                    self.train(declaration)
        seen: dict[tuple[int, int], Occurrence] = {}
        for occurrence in self.result.occurrences:
            if normal(occurrence.span.text) != occurrence.symbol.name:
                continue  # the parser has mended a broken header, and put in what is not written
            seen.setdefault((occurrence.span.start, occurrence.span.end), occurrence)
        self.result.occurrences = sorted(seen.values(), key=lambda o: o.span.start)
        return self.result

    def occur(self, symbol: Symbol, span: Span, *, writes: bool = False) -> None:
        self.result.occurrences.append(Occurrence(span, symbol, writes))

    # --------------------------------------------------------------------------------------------- names of the file

    def alias(self, item: syntax.Import) -> Symbol:
        assert item.alias is not None
        return self.registry.add(Symbol(item.alias, symbols.IMPORT, self.alias_span(item), item))

    def alias_span(self, item: syntax.Import) -> Span:
        assert item.alias is not None
        return Span(item.span.source, name_start(item.span.source.text, item.span.end), item.span.end)

    def let(self, item: syntax.Let) -> Symbol:
        return self.registry.add(Symbol(item.name, symbols.LET, item.name_span, item))

    def look_up(self, name: str, *, initializer: bool = False) -> Symbol | None:
        """What a name means that no body defines. After ``param`` an initializer wins over the library's block."""
        file = self.file
        if name in file.lets:
            return self.let(file.lets[name])
        own = name in file.definitions or name in file.imported or name in file.namespaces
        if initializer and name in INITIALIZERS and not own:
            return self.registry.word(name, symbols.INITIALIZER)
        found = file.find(name)
        if isinstance(found, Definition):
            return self.registry.of_definition(found)
        if isinstance(found, Namespace):
            for item in file.tree.declarations:
                if isinstance(item, syntax.Import) and item.alias == name:
                    return self.alias(item)
        return self.registry.language(name)

    def spans_after(self, start: int, names: Sequence[str]) -> list[Span]:
        """The places of names that follow one another, from ``start`` on."""
        index = bisect_left(self.starts, start)
        found = []
        for name in names:
            while index < len(self.names) and self.names[index].text != name:
                index += 1
            if index == len(self.names):
                break
            found.append(Span(self.file.source, self.names[index].start, self.names[index].end))
            index += 1
        return found

    # -------------------------------------------------------------------------------------------------- declarations

    def definition(self, written: syntax.Block | syntax.Net) -> None:
        own = self.file.definitions.get(written.name)
        if own is not None and own.written is written:
            symbol = self.registry.of_definition(own)
        else:  # a second one of that name: an error, and still something to look at
            kind = symbols.BLOCK if isinstance(written, syntax.Block) else symbols.NET
            symbol = self.registry.add(Symbol(written.name, kind, written.name_span, written))
        self.occur(symbol, written.name_span, writes=True)
        body = _Body(self, written.span, owner=written.name)
        body.later = set().union(*(targets_of(statement) for statement in statements_of(written.body)))
        for hyper in written.hypers:
            if hyper.default is not None:
                body.expression(hyper.default)
            body.declare(self.registry.of_hyper(written, hyper), value=hyper.default)
        if isinstance(written, syntax.Block):
            self.ports(written, body)
        else:
            self.bodies[written.name] = body
        body.statements(written.body)
        if isinstance(written, syntax.Block):
            for port in written.outputs:
                if port.type is not None:
                    body.dimensions(port.type)

    def ports(self, written: syntax.Block, body: _Body) -> None:
        for port in written.inputs:
            if port.type is not None:
                body.dimensions(port.type)
        for port in written.inputs:
            if port.default is not None:
                body.expression(port.default)
        for port in written.inputs:
            body.declare(self.registry.of_port(written, port, symbols.INPUT))
        for port in written.outputs:
            # an output is assigned in the body: until then its name means what it means outside
            symbol = self.registry.of_port(written, port, symbols.OUTPUT)
            assert symbol.span is not None
            body.mine.setdefault(port.name, symbol)
            self.occur(symbol, symbol.span, writes=True)
            self.result.locals.append(symbol)

    def train(self, written: syntax.Train) -> None:
        if written.name is not None:
            for span in self.spans_after(written.span.start + len("train"), [written.name]):
                self.occur(self.registry.add(Symbol(written.name, symbols.STAGE, span, written)), span, writes=True)
        nets = [d for d in self.file.tree.declarations if isinstance(d, syntax.Net)]
        net = nets[-1] if nets else None
        body = _Body(self, written.span)
        if net is not None:
            body.names.update({h.name: self.registry.of_hyper(net, h) for h in net.hypers})
        for setting in written.settings:
            self.setting(setting, body, net)

    def setting(self, setting: syntax.Setting, body: _Body, net: syntax.Net | None) -> None:
        inner = self.bodies.get(net.name) if net is not None else None
        kind = WORDS[setting.word].kind if setting.word in WORDS else None
        if kind == "losses" and net is not None:
            for value in setting.values:
                if isinstance(value, syntax.Name):
                    self.loss(value, net)
        elif kind == "parameters" and inner is not None:
            for value in setting.values:
                if isinstance(value, syntax.Literal):
                    self.pattern(value, inner)
        elif kind == "feed" and setting.name is not None and inner is not None:
            symbol = inner.mine.get(setting.name)
            if symbol is not None and symbol.kind == symbols.INPUT:
                for span in self.spans_after(setting.word_span.end, [setting.name]):
                    self.occur(symbol, span)
        elif kind in ("call", "calls"):
            for value in setting.values:
                for argument in value.arguments if isinstance(value, syntax.Call) else ():
                    body.expression(argument.value)
        elif kind not in ("losses", "parameters", "feed", "word"):
            for value in setting.values:
                body.expression(value)

    def loss(self, name: syntax.Name, net: syntax.Net) -> None:
        """``minimize`` names a loss: by its own name, or by that of what makes it."""
        inner = self.bodies[net.name]
        for statement in statements_of(net.body):
            if not isinstance(statement, syntax.Declare) or statement.word != "loss":
                continue
            if output_name(statement) != name.name:
                continue
            if statement.name is not None:
                symbol = inner.mine.get(name.name)
            else:
                symbol = inner.mine.get(name.name) or self.look_up(name.name)
            if symbol is not None:
                self.occur(symbol, name.span)
            return

    def pattern(self, value: syntax.Literal, inner: _Body) -> None:
        """The first name of a parameter's path is that of a value or module of the net."""
        text = value.span.text
        skipped = 1 if text.startswith('"') else 0
        end = name_end(text, skipped)
        symbol = inner.mine.get(normal(text[skipped:end]))
        if symbol is not None:
            self.occur(symbol, Span(value.span.source, value.span.start + skipped, value.span.start + end))


class _Body:
    """The names of one body, in the order in which it gives them values."""

    def __init__(self, file: _File, extent: Span, outer: _Body | None = None, owner: str | None = None) -> None:
        self.file = file
        self.registry = file.registry
        self.extent = extent
        self.owner: str | None = owner if outer is None else outer.owner
        self.names: dict[str, Symbol] = dict(outer.names) if outer is not None else {}
        """What holds at this point."""
        self.mine: dict[str, Symbol] = {}
        """Every name that this body itself has given a value so far."""
        self.loops: dict[str, Symbol] = {}
        self.later: set[str] = set(outer.later) if outer is not None else set()

    # --------------------------------------------------------------------------------------------------------- names

    def declare(self, symbol: Symbol, value: syntax.Expression | None = None) -> None:
        """A symbol that is defined here."""
        assert symbol.span is not None
        if symbol.definition is None:
            symbol.definition = self.callee(value)
        self.names[symbol.name] = symbol
        if self.mine.setdefault(symbol.name, symbol) is symbol:
            self.file.result.locals.append(symbol)
        self.file.occur(symbol, symbol.span, writes=True)

    def target(
        self, name: str, span: Span, kind: str, written: syntax.Syntax, value: syntax.Expression | None = None
    ) -> None:
        """A name is given a value: perhaps not for the first time."""
        symbol = self.loops.get(name) or self.mine.get(name)
        if symbol is None:
            symbol = self.registry.add(Symbol(name, kind, span, written, self.extent, owner=self.owner))
            symbol.definition = self.callee(value)
            self.mine[name] = symbol
            self.file.result.locals.append(symbol)
        self.names[name] = symbol
        self.file.occur(symbol, span, writes=True)

    def read(self, name: str, span: Span, *, initializer: bool = False) -> None:
        symbol = self.names.get(name) or self.file.look_up(name, initializer=initializer) or self.mine.get(name)
        if symbol is not None:
            self.file.occur(symbol, span)

    def callee(self, expression: syntax.Expression | None) -> Definition | None:
        """The block that an expression names, where that is certain."""
        if isinstance(expression, syntax.Name):
            symbol = self.names.get(expression.name) or self.file.look_up(expression.name)
            return symbol.definition if symbol is not None else None
        if isinstance(expression, syntax.Attribute) and isinstance(expression.value, syntax.Name):
            namespace = self.file.file.namespaces.get(expression.value.name)
            if namespace is not None and expression.value.name not in self.names:
                return namespace.members.get(expression.name)
        return None

    # --------------------------------------------------------------------------------------------------- expressions

    def expression(self, written: syntax.Expression | None, *, initializer: bool = False) -> None:
        match written:
            case None | syntax.Literal():
                return
            case syntax.Name():
                self.read(written.name, written.span, initializer=initializer)
            case syntax.Named():
                self.expression(written.value)
                self.target(written.name, written.name_span, symbols.MODULE, written)
            case syntax.Comprehension():
                self.expression(written.iterable)
                spans = self.file.spans_after(written.element.span.end, written.names)
                with_loop = self.enter(spans, written)
                self.expression(written.condition)
                self.expression(written.element)
                self.leave(*with_loop)
            case syntax.Repeat():
                self.expression(written.count)
                self.expression(written.body)
            case syntax.Scan():
                self.scan(written)
            case syntax.Call():
                self.expression(written.callee, initializer=initializer)
                definition = self.callee(written.callee)
                for argument in written.arguments:
                    if argument.name is not None and argument.name_span is not None and definition is not None:
                        symbol = self.registry.of_argument(definition, argument.name)
                        if symbol is not None:
                            self.file.occur(symbol, argument.name_span)
                    self.expression(argument.value)
            case syntax.Attribute():
                self.expression(written.value)
                member = self.callee(written)
                if member is not None:
                    self.file.occur(self.registry.of_definition(member), written.name_span)
            case syntax.Conditional():
                self.expression(written.condition)
                self.expression(written.then, initializer=initializer)
                self.expression(written.otherwise, initializer=initializer)
            case syntax.Binary() | syntax.Pipe():
                spine = []
                left: syntax.Expression = written
                while isinstance(left, syntax.Binary | syntax.Pipe):
                    spine.append(left.right)
                    left = left.left
                for part in (left, *reversed(spine)):
                    self.expression(part)
            case syntax.Unary():
                self.expression(written.operand)
            case syntax.Index():
                for part in (written.value, *written.items):
                    self.expression(part)
            case syntax.Slice():
                for bound in (written.start, written.stop, written.step):
                    self.expression(bound)
            case syntax.ListExpression() | syntax.Tuple():
                for part in written.items:
                    self.expression(part)

    def enter(self, spans: Sequence[Span], written: syntax.For | syntax.Comprehension) -> tuple[dict[str, Symbol], ...]:
        """A loop begins: its own variables hide what has their names. Returns what ``leave`` brings back."""
        before = dict(self.names), dict(self.loops)
        for span in spans:
            symbol = self.registry.add(
                Symbol(span.text, symbols.LOOP, span, written, written.span, owner=self.owner)
            )  # fmt: skip
            self.names[symbol.name] = self.loops[symbol.name] = symbol
            self.file.result.locals.append(symbol)
            self.file.occur(symbol, span, writes=True)
        return before

    def leave(self, names: dict[str, Symbol], loops: dict[str, Symbol]) -> None:
        for name in self.loops.keys() - loops.keys() | {n for n in loops if self.loops[n] is not loops[n]}:
            self.names.pop(name, None)
            if name in names:
                self.names[name] = names[name]
        self.loops = loops

    def scan(self, written: syntax.Scan) -> None:
        for binding in written.bindings:
            self.expression(binding.sequence if isinstance(binding, syntax.ScanSequence) else binding.start)
        inner = _Body(self.file, written.span, self)
        inner.loops = dict(self.loops)
        for binding in written.bindings:
            span = _head(binding.span)
            inner.loops.pop(binding.name, None)
            inner.declare(
                self.registry.add(Symbol(binding.name, symbols.ITEM, span, binding, written.span, owner=self.owner))
            )
        inner.statements(written.body)

    # --------------------------------------------------------------------------------------------------------- types

    def dimensions(self, written: syntax.TypeExpression) -> None:
        """A port's type: a bare name that is not known yet is bound."""
        for dimension in (written.classes, *written.dimensions):
            if isinstance(dimension, syntax.Name):
                name = dimension.name
                if name not in self.names and name not in self.file.file.lets:
                    self.target(name, dimension.span, symbols.DIMENSION, dimension)
                else:
                    self.read(name, dimension.span)
            elif dimension is not None and not isinstance(dimension, syntax.Rest):
                self.expression(dimension)

    def type(self, written: syntax.TypeExpression) -> None:
        self.expression(written.classes)
        for dimension in written.dimensions:
            if not isinstance(dimension, syntax.Rest):
                self.expression(dimension)

    # ---------------------------------------------------------------------------------------------------- statements

    def statements(self, body: Iterable[syntax.Statement]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, written: syntax.Statement) -> None:
        match written:
            case syntax.Assign():
                if written.type is not None:
                    self.type(written.type)
                self.expression(written.value)
                for name in written.names:
                    if name.name != "_":
                        value = written.value if len(written.names) == 1 else None
                        self.target(name.name, name.span, symbols.VALUE, written, value)
            case syntax.Declare():
                self.declaration(written)
            case syntax.If():
                self.expression(written.condition)
                before = dict(self.names)
                self.statements(written.then)
                after = self.names
                self.names = before
                self.statements(written.otherwise)
                self.names = after | self.names
            case syntax.For():
                self.expression(written.iterable)
                spans = self.file.spans_after(written.span.start, written.names)
                with_loop = self.enter(spans, written)
                self.statements(written.body)
                self.leave(*with_loop)
            case syntax.Assert():
                self.expression(written.condition)
                if written.message is not None:
                    start = written.message.span.start
                    for match, (head, *_) in placeholders(written.message.span.text):
                        length = len(match[1].partition(".")[0])
                        place = Span(written.span.source, start + match.start(1), start + match.start(1) + length)
                        self.read(head, place)
            case syntax.Update():
                self.expression(written.value)
                symbol = self.mine.get(written.name)
                if symbol is not None:
                    self.file.occur(symbol, written.name_span, writes=True)
            case syntax.Emit():
                for value in written.values:
                    self.expression(value)
            case syntax.Evaluate():
                self.expression(written.value)

    def declaration(self, written: syntax.Declare) -> None:
        if written.type is not None:
            self.type(written.type)
        self.expression(written.value, initializer=written.word in ("param", "state"))
        if written.name is not None and written.name_span is not None:
            self.target(written.name, written.name_span, _DECLARED.get(written.word, symbols.OUTPUT), written)


def _head(span: Span) -> Span:
    """The name with which a piece of syntax begins."""
    return Span(span.source, span.start, name_end(span.source.text, span.start))


def _name_tokens(source: Source) -> list[Token]:
    try:
        return [token for token in tokenize(source).tokens if token.text.isidentifier()]
    except LimitError:
        return []
