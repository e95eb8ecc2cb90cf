"""Resolution of names by the text alone: the meaning of each name, its occurrences, and errors about it.

One walk over a file does all of it. The checker reads the errors: undefined names, repeated ones, outputs that are
never assigned. Branches that are not taken and blocks that no net uses are included; expansion does not reach them. The
editor reads the occurrences.
"""

from __future__ import annotations

from graphdl.diagnostics import Diagnostic
from graphdl.graph.train import WORDS
from graphdl.language import syntax
from graphdl.language.expansion import symbols
from graphdl.language.expansion.body_names import Body, FileNames, targets
from graphdl.language.expansion.files import FileScope
from graphdl.language.expansion.nets import model_of, output_name, statements_of
from graphdl.language.expansion.registry import Registry
from graphdl.language.expansion.symbols import Bindings, Occurrence, Symbol
from graphdl.language.words import name_end, normal
from graphdl.source import Span


def resolve(file: FileScope, registry: Registry) -> Bindings:
    """Resolves all names of a file. Returns them with the errors about names."""
    return _Declarations(file, registry).run()


class _Declarations(FileNames):
    """The declarations of a file."""

    def __init__(self, file: FileScope, registry: Registry) -> None:
        super().__init__(file, registry)
        self.bodies: dict[str, Body] = {}
        """The body of each net."""

    def run(self) -> Bindings:
        declared: dict[str, Span] = {}
        for declaration in self.file.tree.declarations:
            if isinstance(declaration, syntax.Block | syntax.Net | syntax.Let):
                if declaration.name in declared and not self.file.is_spoilt(declaration):
                    self.repeated(declaration.name, declaration.name_span, declared[declaration.name])
                declared.setdefault(declaration.name, declaration.name_span)
            match declaration:
                case syntax.Import():
                    if declaration.alias is not None:
                        self.occur(self.alias(declaration), self.alias_span(declaration), writes=True)
                case syntax.Let():
                    self.occur(self.let(declaration), declaration.name_span, writes=True)
                    with self.quiet(self.file.is_spoilt(declaration)):
                        Body(self, declaration.span, lets=self.lets).expression(declaration.value)
                    self.lets.add(declaration.name)
                case syntax.Block() | syntax.Net():
                    self.definition(declaration)
                case syntax.Train():
                    with self.quiet():  # expansion reports errors in train sections
                        self.train(declaration)
        seen: dict[tuple[int, int], Occurrence] = {}
        for occurrence in self.result.occurrences:
            if normal(occurrence.span.text) != occurrence.symbol.name:
                continue  # the parser has repaired a broken header and inserted text that is not written
            seen.setdefault((occurrence.span.start, occurrence.span.end), occurrence)
        self.result.occurrences = sorted(seen.values(), key=lambda o: o.span.start)
        return self.result

    def definition(self, written: syntax.Block | syntax.Net) -> None:
        own = self.file.definitions.get(written.name)
        if own is not None and own.written is written:
            symbol = self.registry.of_definition(own)
        else:  # a second declaration of the name: an error, but its body is still resolved
            kind = symbols.BLOCK if isinstance(written, syntax.Block) else symbols.NET
            symbol = self.registry.add(Symbol(written.name, kind, written.name_span, written))
        self.occur(symbol, written.name_span, writes=True)
        body = Body(self, written.span, owner=written.name)
        body.later = targets(written.body)
        with self.quiet(self.file.is_spoilt(written)):
            for hyper in written.hypers:
                if hyper.default is not None:
                    body.expression(hyper.default)
                body.once(hyper.name, hyper.span)
                body.declare(self.registry.of_hyper(written, hyper), value=hyper.default)
            if isinstance(written, syntax.Block):
                self.ports(written, body)
            else:
                self.bodies[written.name] = body
        body.statements(written.body)
        if isinstance(written, syntax.Block):
            with self.quiet(self.file.is_spoilt(written)):
                body.types(port.type for port in written.outputs)

    def ports(self, written: syntax.Block, body: Body) -> None:
        body.types(port.type for port in written.inputs)
        for port in written.inputs:
            if port.default is not None:
                body.expression(port.default)
        for port in written.inputs:
            body.once(port.name, port.span)
            body.declare(self.registry.of_port(written, port, symbols.INPUT))
        outputs: dict[str, Span] = {}
        for port in written.outputs:
            if port.name in outputs:
                self.repeated(port.name, port.span, outputs[port.name])
            outputs[port.name] = port.span
            if port.name not in body.later and port.name not in body.names:
                message = f"the output '{port.name}' of '{written.name}' is never assigned"
                self.complain(Diagnostic("E0501", message, port.span))
            # an output is assigned in the body; before that, its name has its outer meaning
            symbol = self.registry.of_port(written, port, symbols.OUTPUT)
            assert symbol.span is not None
            body.mine.setdefault(port.name, symbol)
            self.occur(symbol, symbol.span, writes=True)
            self.result.locals.append(symbol)
            if self.is_quiet:
                body.excused.add(port.name)

    def train(self, written: syntax.Train) -> None:
        if written.name is not None:
            for span in self.spans_after(written.span.start + len("train"), [written.name]):
                self.occur(self.registry.add(Symbol(written.name, symbols.STAGE, span, written)), span, writes=True)
        nets = [d for d in self.file.tree.declarations if isinstance(d, syntax.Net)]
        net = model_of(self.file.tree)
        if written.net is not None:
            net = next((each for each in nets if each.name == written.net.name), None)
            own = self.file.definitions.get(written.net.name)
            if net is not None and own is not None:
                self.occur(self.registry.of_definition(own), written.net.span)
        body = Body(self, written.span)
        # Without a name the model is trained, which --net may name.
        for each in nets if written.net is None else [net] if net is not None else []:
            body.names.update({h.name: self.registry.of_hyper(each, h) for h in each.hypers})
        for setting in written.all_settings:
            self.setting(setting, body, net)

    def setting(self, setting: syntax.Setting, body: Body, net: syntax.Net | None) -> None:
        inner = self.bodies.get(net.name) if net is not None else None
        kind = WORDS[setting.word].kind if setting.word in WORDS else None
        if kind == "losses" and net is not None:
            for value in setting.values:
                if isinstance(value, syntax.Name):
                    self.loss(value, net)
        elif kind == "best" and net is not None:
            for value in setting.values:
                for argument in value.arguments if isinstance(value, syntax.Call) else ():
                    if isinstance(argument.value, syntax.Name):
                        self.loss(argument.value, net)
        elif kind in ("parameters", "factors", "limits", "starts") and inner is not None:
            for value in (*setting.patterns, *(setting.values if kind == "parameters" else ())):
                if isinstance(value, syntax.Literal):
                    self.pattern(value, inner)
            for value in setting.values if kind != "parameters" else ():
                if kind == "starts":
                    self.path(value, inner)
                else:
                    body.expression(value)
        elif kind == "feed" and setting.name is not None and inner is not None:
            symbol = inner.mine.get(setting.name)
            if symbol is not None and symbol.kind == symbols.INPUT:
                for span in self.spans_after(setting.word_span.end, [setting.name]):
                    self.occur(symbol, span)
        elif kind in ("call", "calls"):
            for value in setting.values:
                for argument in value.arguments if isinstance(value, syntax.Call) else ():
                    body.expression(argument.value)
        elif kind in ("int", "number"):
            for value in setting.values:
                body.expression(value)

    def loss(self, name: syntax.Name, net: syntax.Net) -> None:
        """Resolves a loss or metric named by ``minimize`` or ``best``, by its own name or by that of the call that
        computes it.
        """
        inner = self.bodies[net.name]
        for statement in statements_of(net.body):
            if not isinstance(statement, syntax.Declare) or statement.word not in ("loss", "metric"):
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

    def pattern(self, value: syntax.Literal, inner: Body) -> None:
        """Resolves the first name of a parameter's path, which is that of a value or module of the net."""
        text = value.span.text
        skipped = 1 if text.startswith('"') else 0
        end = name_end(text, skipped)
        symbol = inner.mine.get(normal(text[skipped:end]))
        if symbol is not None:
            self.occur(symbol, Span(value.span.source, value.span.start + skipped, value.span.start + end))

    def path(self, value: syntax.Expression, inner: Body) -> None:
        """Resolves the first name of ``m1.W`` and of ``transpose(m1.W)``."""
        if isinstance(value, syntax.Call) and value.arguments:
            value = value.arguments[0].value
        while isinstance(value, syntax.Attribute):
            value = value.value
        symbol = inner.mine.get(value.name) if isinstance(value, syntax.Name) else None
        if symbol is not None:
            self.occur(symbol, value.span)
