"""The names of one body, statement by statement: the meaning of each, and errors about it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain

from graphdl.diagnostics import Diagnostic, Label
from graphdl.language import syntax
from graphdl.language.expansion import symbols
from graphdl.language.expansion.arguments import too_many, unknown_argument
from graphdl.language.expansion.files import FileScope
from graphdl.language.expansion.meaning import Word, language_names, meaning, undefined, word
from graphdl.language.expansion.nets import copied, output_name, targets_of
from graphdl.language.expansion.registry import Registry, head
from graphdl.language.expansion.symbols import Bindings, Occurrence, Symbol
from graphdl.language.expansion.values import Argument, Definition, Namespace
from graphdl.language.lexer import LimitError, Token, tokenize
from graphdl.language.words import name_start, normal, placeholders
from graphdl.operators import PRIMITIVES
from graphdl.operators.primitive import Primitive
from graphdl.source import Source, Span
from graphdl.suggest import did_you_mean

_DECLARED = {"input": symbols.INPUT, "param": symbols.PARAM, "state": symbols.STATE}


class FileNames:
    """The names of a file outside of its bodies, and the results so far."""

    def __init__(self, file: FileScope, registry: Registry) -> None:
        self.file = file
        self.registry = registry
        self.result = Bindings()
        self.lets: set[str] = set()
        """The lets declared so far."""
        self.is_quiet = False
        """Whether errors are suppressed: after a syntax error, the tree differs from the text."""

    @cached_property
    def names(self) -> list[Token]:
        """The names in the text, in order."""
        return _name_tokens(self.file.source)

    @cached_property
    def starts(self) -> list[int]:
        return [token.start for token in self.names]

    def complain(self, diagnostic: Diagnostic) -> None:
        if not self.is_quiet:
            self.result.complaints.append(diagnostic)

    def repeated(self, name: str, span: Span, first: Span) -> None:
        self.complain(Diagnostic("E0202", f"'{name}' is declared twice", span, labels=(Label(first, "the first"),)))

    @contextmanager
    def quiet(self, holds: bool = True) -> Iterator[None]:
        """Suppresses errors in the block if ``holds``."""
        before = self.is_quiet
        self.is_quiet = before or holds
        try:
            yield
        finally:
            self.is_quiet = before

    def occur(self, symbol: Symbol, span: Span, *, writes: bool = False, is_argument: bool = False) -> None:
        self.result.occurrences.append(Occurrence(span, symbol, writes, is_argument))

    def alias(self, item: syntax.Import) -> Symbol:
        assert item.alias is not None
        return self.registry.add(Symbol(item.alias, symbols.IMPORT, self.alias_span(item), item))

    def alias_span(self, item: syntax.Import) -> Span:
        assert item.alias is not None
        return Span(item.span.source, name_start(item.span.source.text, item.span.end), item.span.end)

    def let(self, item: syntax.Let) -> Symbol:
        return self.registry.add(Symbol(item.name, symbols.LET, item.name_span, item))

    def look_up(self, name: str, *, initializer: bool = False) -> Symbol | None:
        """The meaning of a name that no body defines. After ``param``, initializers take precedence over library
        blocks.
        """
        found = meaning(self.file, name, initializer=initializer)
        match found:
            case syntax.Let():
                return self.let(found)
            case Definition():
                return self.registry.of_definition(found)
            case Word():
                return self.registry.of_word(found)
            case Namespace():
                for item in self.file.tree.declarations:
                    if isinstance(item, syntax.Import) and item.alias == name:
                        return self.alias(item)
        return None

    def spans_in(self, span: Span, names: Sequence[str]) -> list[Span]:
        """The spans of the names of a loop, which are located at ``span``."""
        return [span] if len(names) == 1 else self.spans_after(span.start, names)

    def spans_after(self, start: int, names: Sequence[str]) -> list[Span]:
        """The spans of names that follow one another from ``start`` on."""
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


class Body:
    """The names of one body, in the order in which values are assigned."""

    def __init__(
        self,
        file: FileNames,
        extent: Span,
        outer: Body | None = None,
        owner: str | None = None,
        lets: Iterable[str] | None = None,
    ) -> None:
        self.file = file
        self.registry = file.registry
        self.extent = extent
        self.owner: str | None = owner if outer is None else outer.owner
        self.names: dict[str, Symbol] = dict(outer.names) if outer is not None else {}
        """The symbols of the names that are defined at the current statement."""
        self.mine: dict[str, Symbol] = {}
        """The names to which this body itself has assigned values so far."""
        self.loops: dict[str, Symbol] = {}
        self.later: set[str] = set()
        """All names that the body assigns anywhere."""
        self.lets = file.file.lets if lets is None else lets
        """The names of the file's lets that are defined here."""
        self.declared: dict[str, Span] = {}
        """Inputs, params, states, ports and ``as`` names, which must be unique."""
        self.results: dict[str, Span] = {}
        """Outputs, losses and metrics, which must be unique."""
        self.excused: set[str] = set(outer.excused) if outer is not None else set()
        """Names that faulty statements should have defined."""
        self.depth: int = outer.depth if outer is not None else 0
        """The number of enclosing loops."""
        self.copies: set[str] = outer.copies if outer is not None else set()
        """The ``as`` names inside loops."""

    # --------------------------------------------------------------------------------------------------------- names

    def declare(self, symbol: Symbol, value: syntax.Expression | None = None) -> None:
        """Adds a symbol that is defined here."""
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
        """Assigns a value to a name, possibly not for the first time."""
        symbol = self.loops.get(name) or self.mine.get(name)
        if symbol is None:
            symbol = self.registry.add(Symbol(name, kind, span, written, self.extent, owner=self.owner))
            symbol.definition = self.callee(value)
            self.mine[name] = symbol
            self.file.result.locals.append(symbol)
        self.names[name] = symbol
        self.file.occur(symbol, span, writes=True)

    def once(self, name: str, span: Span) -> None:
        """Reports an error if the name has been declared already."""
        if name in self.declared:
            self.file.repeated(name, span, self.declared[name])
        self.declared.setdefault(name, span)

    def read(self, name: str, span: Span, *, initializer: bool = False) -> None:
        self.occur(name, span, initializer=initializer)
        self.require(name, span)

    def occur(self, name: str, span: Span, *, initializer: bool = False) -> None:
        """Records an occurrence of a name, which may precede its definition."""
        symbol = self.names.get(name) or self.file.look_up(name, initializer=initializer) or self.mine.get(name)
        if symbol is not None:
            self.file.occur(symbol, span)

    def require(self, name: str, span: Span) -> None:
        """Reports an error if the name is not defined here."""
        file = self.file.file
        if name in self.names or name in self.lets or word(name) is not None or file.find(name) is not None:
            return
        if name in self.excused or self.is_copy(name) or file.is_excused(name):
            return
        if name in self.later or name in file.lets:
            self.file.complain(Diagnostic("E0203", f"'{name}' is used before it is defined", span))
        elif not self.file.is_quiet:
            known = chain(self.names, self.lets, file.known(), language_names(), self.later)
            self.file.complain(undefined(name, span, known).diagnostic)

    def is_copy(self, name: str) -> bool:
        """Whether the name is the numbered name of a copy made by a loop: c_2 of ``as c``."""
        base = copied(name)
        return base in self.copies and base in self.names

    def callee(self, expression: syntax.Expression | None) -> Definition | None:
        """The block that an expression certainly refers to; None if that is not known."""
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
                if self.depth:
                    self.copies.add(written.name)
                else:
                    self.once(written.name, written.name_span)
                self.target(written.name, written.name_span, symbols.MODULE, written)
            case syntax.Comprehension():
                self.expression(written.iterable)
                spans = self.file.spans_in(written.names_span, written.names)
                with_loop = self.enter(spans, written)
                self.depth += 1
                self.expression(written.condition)
                self.expression(written.element)
                self.depth -= 1
                self.leave(*with_loop)
            case syntax.Repeat():
                self.expression(written.count)
                self.depth += 1
                self.expression(written.body)
                self.depth -= 1
            case syntax.Scan():
                self.scan(written)
            case syntax.Call():
                self.expression(written.callee, initializer=initializer)
                definition = self.callee(written.callee)
                for argument in written.arguments:
                    if argument.name is not None and argument.name_span is not None and definition is not None:
                        symbol = self.registry.of_argument(definition, argument.name)
                        if symbol is not None:
                            self.file.occur(symbol, argument.name_span, is_argument=True)
                    self.expression(argument.value)
                self.arguments(written)
            case syntax.Attribute():
                self.expression(written.value)
                self.member(written)
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
                self.expression(written.value)
                for item in written.items:
                    if not isinstance(item, syntax.Rest):
                        self.expression(item)
            case syntax.Slice():
                for bound in (written.start, written.stop, written.step):
                    self.expression(bound)
            case syntax.ListExpression() | syntax.Tuple():
                for part in written.items:
                    self.expression(part)

    def member(self, written: syntax.Attribute) -> None:
        """Reports an error for a name that an imported file does not have."""
        if isinstance(written.value, syntax.Name) and written.value.name not in self.names:
            namespace = self.file.file.find(written.value.name)
            if isinstance(namespace, Namespace) and written.name not in {*namespace.members, *namespace.lost}:
                help = did_you_mean(written.name, namespace.members)
                message = f"'{namespace.name}' has no '{written.name}'"
                self.file.complain(Diagnostic("E0210", message, written.name_span, help=help))

    def arguments(self, written: syntax.Call) -> None:
        """Reports errors about arguments if the callee is certainly a block or a primitive."""
        callee = self.called(written.callee)
        match callee:
            case Definition() if not callee.is_spoilt:
                known = [*(h.name for h in callee.written.hypers), *(p.name for p in callee.inputs)]
            case Primitive():
                known = [*callee.inputs, *(h.name for h in callee.hypers)]
            case _:
                return
        owner, variadic = callee.name, isinstance(callee, Primitive) and callee.variadic
        positional = [a for a in written.arguments if a.name is None]
        if len(positional) > len(known) and not (known and variadic):
            argument = Argument(None, positional[len(known)].value.span)
            self.file.complain(too_many(owner, "arguments", known, argument).diagnostic)
        for each in written.arguments:
            if each.name is not None and each.name not in known:
                span = each.name_span or each.value.span
                self.file.complain(unknown_argument(owner, each.name, known, span).diagnostic)

    def called(self, callee: syntax.Expression) -> Definition | Primitive | None:
        """The block or primitive that a callee refers to, unless a name of the body hides it."""
        file = self.file.file
        if isinstance(callee, syntax.Name) and callee.name not in self.names and callee.name not in self.lets:
            found = meaning(file, callee.name)
            if isinstance(found, Word):
                return PRIMITIVES.get(found.name)
            return found if isinstance(found, Definition) else None
        if isinstance(callee, syntax.Attribute) and isinstance(callee.value, syntax.Name):
            namespace = file.find(callee.value.name)
            if isinstance(namespace, Namespace) and callee.value.name not in self.names:
                return namespace.members.get(callee.name)
        return None

    def enter(self, spans: Sequence[Span], written: syntax.For | syntax.Comprehension) -> tuple[dict[str, Symbol], ...]:
        """Enters a loop, whose variables hide outer names. Returns the arguments for ``leave``."""
        before = dict(self.names), dict(self.loops)
        for span in spans:
            symbol = self.registry.add(
                Symbol(normal(span.text), symbols.LOOP, span, written, written.span, owner=self.owner)
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
        inner = Body(self.file, written.span, self, lets=self.lets)
        inner.later = targets(written.body)
        inner.loops = dict(self.loops)
        for binding in written.bindings:
            span = head(binding.span)
            inner.loops.pop(binding.name, None)
            inner.declare(
                self.registry.add(Symbol(binding.name, symbols.ITEM, span, binding, written.span, owner=self.owner))
            )
        inner.statements(written.body)

    # --------------------------------------------------------------------------------------------------------- types

    def types(self, written: Iterable[syntax.TypeExpression | None]) -> None:
        """Resolves the types of ports: unknown bare names are bound before other dimensions are evaluated."""
        known = [each for each in written if each is not None]
        for each in known:
            for dimension in (each.classes, *each.dimensions):
                if isinstance(dimension, syntax.Name):
                    name = dimension.name
                    if name not in self.names and name not in self.lets:
                        self.target(name, dimension.span, symbols.DIMENSION, dimension)
                    else:
                        self.read(name, dimension.span)
        for each in known:
            for dimension in (each.classes, *each.dimensions):
                if dimension is not None and not isinstance(dimension, syntax.Rest | syntax.Name):
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
        if self.file.file.is_spoilt(written):
            self.excused |= targets_of(written)
            with self.file.quiet():
                self.resolve(written)
        else:
            self.resolve(written)

    def resolve(self, written: syntax.Statement) -> None:
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
                self.branches(written.then, written.otherwise)
            case syntax.For():
                self.expression(written.iterable)
                spans = self.file.spans_in(written.names_span, written.names)
                with_loop = self.enter(spans, written)
                self.depth += 1
                self.statements(written.body)
                self.depth -= 1
                self.leave(*with_loop)
            case syntax.Assert():
                self.expression(written.condition)
                if written.message is not None:
                    start = written.message.span.start
                    for match, (head, *_) in placeholders(written.message.span.text):
                        length = len(match[1].partition(".")[0])
                        place = Span(written.span.source, start + match.start(1), start + match.start(1) + length)
                        self.occur(head, place)
                    for _, (head, *_) in placeholders(str(written.message.value)):
                        self.require(head, written.message.span)
            case syntax.Update():
                self.expression(written.value)
                self.require(written.name, written.name_span)
                symbol = self.mine.get(written.name)
                if symbol is not None:
                    self.file.occur(symbol, written.name_span, writes=True)
            case syntax.Emit():
                for value in written.values:
                    self.expression(value)
            case syntax.Evaluate():
                self.expression(written.value)

    def branches(self, *branches: Sequence[syntax.Statement]) -> None:
        """Resolves branches: each starts with the same names, and the names defined by any of them are defined
        afterwards.
        """
        names, declared, results = dict(self.names), dict(self.declared), dict(self.results)
        after = dict(names), dict(declared), dict(results)
        for branch in branches:
            self.names, self.declared, self.results = dict(names), dict(declared), dict(results)
            self.statements(branch)
            after[0].update(self.names)
            after[1].update(self.declared)
            after[2].update(self.results)
        self.names, self.declared, self.results = after

    def declaration(self, written: syntax.Declare) -> None:
        if written.type is not None:
            self.type(written.type)
        self.expression(written.value, initializer=written.word in ("param", "state"))
        self.declared_once(written)
        if written.name is not None and written.name_span is not None:
            self.target(written.name, written.name_span, _DECLARED.get(written.word, symbols.OUTPUT), written)

    def declared_once(self, written: syntax.Declare) -> None:
        """Reports errors for names that a net or block declares twice, or in each iteration of a loop."""
        if written.word in _DECLARED and written.name is not None and written.name_span is not None:
            if self.depth:
                help = "in a block of its own each use has its own"
                message = f"a {written.word} inside a loop would be declared at each pass"
                self.file.complain(Diagnostic("E0202", message, written.name_span, help=help))
            self.once(written.name, written.name_span)
            return
        name = output_name(written)
        span = written.name_span or (written.value.span if written.value is not None else written.span)
        if written.word == "output" or written.name is not None:
            if name in self.results:
                self.file.repeated(name, span, self.results[name])
            self.results.setdefault(name, span)


def targets(body: Iterable[syntax.Statement]) -> set[str]:
    """All names to which a body assigns values."""
    return set().union(*(targets_of(statement) for statement in body))


def _name_tokens(source: Source) -> list[Token]:
    try:
        return [token for token in tokenize(source).tokens if token.text.isidentifier()]
    except LimitError:
        return []
