"""What can be said of names by the text alone: undefined ones, repeated ones, unused ones, outputs never assigned.

This reaches what expansion does not: branches that are not taken and blocks that no net uses.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from graphdl.diagnostics import Diagnostic, Label
from graphdl.language import syntax
from graphdl.language.expansion import expressions
from graphdl.language.expansion.arguments import too_many, unknown_argument
from graphdl.language.expansion.faults import Reporter
from graphdl.language.expansion.files import FileScope
from graphdl.language.expansion.frames import MISSING
from graphdl.language.expansion.nets import copied, output_name, statements_of, targets_of, walk
from graphdl.language.expansion.values import Argument, Definition, Namespace
from graphdl.language.words import placeholders
from graphdl.operators import PRIMITIVES
from graphdl.source import Span
from graphdl.suggest import did_you_mean


def check(file: FileScope, reporter: Reporter) -> None:
    """Reports the faults of every declaration of a file."""
    seen: dict[str, Span] = {}
    lets: set[str] = set()
    for declaration in file.tree.declarations:
        if isinstance(declaration, syntax.Block | syntax.Net | syntax.Let):
            if declaration.name in seen and not file.is_spoilt(declaration):
                reporter.add(_repeated(declaration.name, declaration.name_span, seen[declaration.name]))
            seen.setdefault(declaration.name, declaration.name_span)
        if isinstance(declaration, syntax.Let):
            if not file.is_spoilt(declaration):
                _Body(file, reporter, {}, known_lets=lets).expression(declaration.value)
            lets.add(declaration.name)
        elif isinstance(declaration, syntax.Block | syntax.Net):
            _definition(declaration, file, reporter)


def _repeated(name: str, span: Span, first: Span) -> Diagnostic:
    return Diagnostic("E0202", f"'{name}' is declared twice", span, labels=(Label(first, "the first"),))


def _definition(written: syntax.Block | syntax.Net, file: FileScope, reporter: Reporter) -> None:
    body = _Body(file, reporter, {}, later=_targets(written.body))
    if file.is_spoilt(written):
        _spoilt_header(written, body)
        body.statements(written.body)
        return
    for hyper in written.hypers:
        if hyper.default is not None:
            body.expression(hyper.default)
        body.declare(hyper.name, hyper.span)
    if isinstance(written, syntax.Block):
        for port in written.inputs:
            if port.type is not None:
                body.bind_dimensions(port.type)
            body.declare(port.name, port.span)
        for port in written.inputs:
            if port.type is not None:
                body.type(port.type)
            if port.default is not None:
                body.expression(port.default)
        outputs: dict[str, Span] = {}
        for port in written.outputs:
            if port.name in outputs:
                reporter.add(_repeated(port.name, port.span, outputs[port.name]))
            outputs[port.name] = port.span
            if port.name not in body.later and port.name not in body.defined:
                reporter.add(
                    Diagnostic("E0501", f"the output '{port.name}' of '{written.name}' is never assigned", port.span)
                )
    body.statements(written.body)
    if isinstance(written, syntax.Block):
        for port in written.outputs:
            if port.type is not None:
                body.bind_dimensions(port.type)
                body.type(port.type)


def _spoilt_header(written: syntax.Block | syntax.Net, body: _Body) -> None:
    """Declares what can be made out of a header with a syntax error, and says nothing of it."""
    ports = (*written.inputs, *written.outputs) if isinstance(written, syntax.Block) else ()
    body.defined |= {hyper.name for hyper in written.hypers} | {port.name for port in ports}
    for port in ports:
        if port.type is not None:
            body.bind_dimensions(port.type)


def _targets(body: Iterable[syntax.Statement]) -> set[str]:
    return set().union(*(targets_of(statement) for statement in body))


class _Body:
    """The names of one body, statement by statement."""

    def __init__(
        self,
        file: FileScope,
        reporter: Reporter,
        declared: dict[str, Span],
        *,
        later: set[str] | None = None,
        known_lets: set[str] | None = None,
    ) -> None:
        self.file = file
        self.reporter = reporter
        self.declared = declared
        """Inputs, params, states, ports and ``as`` names, which may not repeat."""
        self.results: dict[str, Span] = {}
        self.defined: set[str] = set(declared)
        self.later = later or set()
        """Every name that the body assigns anywhere."""
        self.lets = set(file.lets) if known_lets is None else known_lets
        self.language = set(expressions.language_names())
        self.loops = 0
        self.copied: set[str] = set()
        """The ``as`` names inside loops."""

    # -------------------------------------------------------------------------------------------------------- names

    def declare(self, name: str, span: Span) -> None:
        if name in self.declared:
            self.reporter.add(_repeated(name, span, self.declared[name]))
        else:
            self.declared[name] = span
        self.defined.add(name)

    def known(self, name: str) -> bool:
        if name in self.defined or name in self.lets or name in self.language:
            return True
        return self.file.find(name) is not MISSING or self._is_copy(name)

    def _is_copy(self, name: str) -> bool:
        """Whether it is the numbered name of a copy that a loop has made: c_2 of ``as c``."""
        base = copied(name)
        return base in self.copied and base in self.defined

    def name(self, name: str, span: Span) -> None:
        if self.known(name):
            return
        if self.file.is_excused(name):
            return
        if name in self.later or name in self.file.lets:
            self.reporter.add(Diagnostic("E0203", f"'{name}' is used before it is defined", span))
            return
        known = chain(self.defined, self.lets, self.file.known(), self.language, self.later)
        self.reporter.add(expressions.undefined(name, span, known).diagnostic)

    # -------------------------------------------------------------------------------------------------- expressions

    def expression(self, written: syntax.Expression | None) -> None:
        match written:
            case None | syntax.Literal():
                return
            case syntax.Name():
                self.name(written.name, written.span)
            case syntax.Named():
                self.expression(written.value)
                if self.loops:
                    self.defined.add(written.name)
                    self.copied.add(written.name)
                else:
                    self.declare(written.name, written.name_span)
            case syntax.Comprehension():
                self.expression(written.iterable)
                before = set(self.defined)
                self.defined.update(written.names)
                self.loops += 1
                self.expression(written.condition)
                self.expression(written.element)
                self.loops -= 1
                self.defined = before | (self.defined - set(written.names))
            case syntax.Repeat():
                self.expression(written.count)
                self.loops += 1
                self.expression(written.body)
                self.loops -= 1
            case syntax.Scan():
                self._scan(written)
            case syntax.Call():
                self.expression(written.callee)
                for argument in written.arguments:
                    self.expression(argument.value)
                self._arguments(written)
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
            case syntax.Conditional():
                for part in (written.condition, written.then, written.otherwise):
                    self.expression(part)
            case syntax.Index():
                for part in (written.value, *written.items):
                    self.expression(part)
            case syntax.Slice():
                for bound in (written.start, written.stop, written.step):
                    self.expression(bound)
            case syntax.Attribute():
                self._attribute(written)
            case syntax.ListExpression() | syntax.Tuple():
                for part in written.items:
                    self.expression(part)

    def _attribute(self, written: syntax.Attribute) -> None:
        self.expression(written.value)
        if isinstance(written.value, syntax.Name) and written.value.name not in self.defined:
            namespace = self.file.find(written.value.name)
            if isinstance(namespace, Namespace) and written.name not in {*namespace.members, *namespace.lost}:
                help = did_you_mean(written.name, namespace.members)
                message = f"'{namespace.name}' has no '{written.name}'"
                self.reporter.add(Diagnostic("E0210", message, written.name_span, help=help))

    def _scan(self, written: syntax.Scan) -> None:
        for binding in written.bindings:
            self.expression(binding.sequence if isinstance(binding, syntax.ScanSequence) else binding.start)
        inner = _Body(self.file, self.reporter, {}, later=_targets(written.body))
        inner.defined = self.defined | {binding.name for binding in written.bindings}
        inner.lets, inner.loops, inner.copied = self.lets, self.loops, self.copied
        inner.statements(written.body)

    def _arguments(self, written: syntax.Call) -> None:
        """The names of the arguments, where the callee is a block or a primitive for certain."""
        callee: object = MISSING
        if isinstance(written.callee, syntax.Name) and not (
            written.callee.name in self.defined or written.callee.name in self.lets
        ):
            callee = self.file.find(written.callee.name)
            if callee is MISSING:
                callee = PRIMITIVES.get(written.callee.name, MISSING)
        elif isinstance(written.callee, syntax.Attribute) and isinstance(written.callee.value, syntax.Name):
            namespace = self.file.find(written.callee.value.name)
            if isinstance(namespace, Namespace) and written.callee.value.name not in self.defined:
                callee = namespace.members.get(written.callee.name, MISSING)
        if isinstance(callee, Definition) and callee.is_spoilt:
            return
        if isinstance(callee, Definition):
            known = [*(h.name for h in callee.written.hypers), *(p.name for p in callee.inputs)]
            owner = callee.name
        elif callee is not MISSING and hasattr(callee, "hypers") and isinstance(written.callee, syntax.Name):
            primitive = PRIMITIVES[written.callee.name]
            known = [*primitive.inputs, *(h.name for h in primitive.hypers)]
            owner = primitive.name
        else:
            return
        positional = [a for a in written.arguments if a.name is None]
        if len(positional) > len(known) and not (known and owner in PRIMITIVES and PRIMITIVES[owner].variadic):
            argument = Argument(None, positional[len(known)].value.span)
            self.reporter.add(too_many(owner, "arguments", known, argument).diagnostic)
        for argument_ in written.arguments:
            if argument_.name is not None and argument_.name not in known:
                span = argument_.name_span or argument_.value.span
                self.reporter.add(unknown_argument(owner, argument_.name, known, span).diagnostic)

    # --------------------------------------------------------------------------------------------------------- types

    def bind_dimensions(self, written: syntax.TypeExpression) -> None:
        """The names that a port binds."""
        for dimension in (*written.dimensions, written.classes):
            if isinstance(dimension, syntax.Name) and dimension.name not in self.lets:
                self.defined.add(dimension.name)

    def type(self, written: syntax.TypeExpression) -> None:
        for dimension in written.dimensions:
            if not isinstance(dimension, syntax.Rest):
                self.expression(dimension)
        self.expression(written.classes)

    # ---------------------------------------------------------------------------------------------------- statements

    def statements(self, body: Iterable[syntax.Statement]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, written: syntax.Statement) -> None:
        if self.file.is_spoilt(written):
            self.defined |= targets_of(written)
            return
        match written:
            case syntax.Assign():
                if written.type is not None:
                    self.type(written.type)
                self.expression(written.value)
                self.defined.update(name.name for name in written.names if name.name != "_")
            case syntax.Declare():
                self._declaration(written)
            case syntax.If():
                self.expression(written.condition)
                self._branches(written.then, written.otherwise)
            case syntax.For():
                self.expression(written.iterable)
                hidden = set(written.names) & self.defined
                self.defined.update(written.names)
                self.loops += 1
                self.statements(written.body)
                self.loops -= 1
                self.defined = (self.defined - set(written.names)) | hidden
            case syntax.Assert():
                self.expression(written.condition)
                if written.message is not None:
                    for _, (name, *_) in placeholders(str(written.message.value)):
                        self.name(name, written.message.span)
            case syntax.Update():
                self.expression(written.value)
                self.name(written.name, written.name_span)
            case syntax.Emit():
                for value in written.values:
                    self.expression(value)
            case syntax.Evaluate():
                self.expression(written.value)

    def _branches(self, *branches: tuple[syntax.Statement, ...]) -> None:
        """Each branch starts from the same names; afterwards what any of them defines may be there."""
        defined, declared, results = set(self.defined), dict(self.declared), dict(self.results)
        after = set(defined), dict(declared), dict(results)
        for branch in branches:
            self.defined, self.declared, self.results = set(defined), dict(declared), dict(results)
            self.statements(branch)
            after[0].update(self.defined)
            after[1].update(self.declared)
            after[2].update(self.results)
        self.defined, self.declared, self.results = after

    def _declaration(self, written: syntax.Declare) -> None:
        if written.type is not None:
            self.type(written.type)
        self.expression(written.value)
        if written.word in ("input", "param", "state") and written.name is not None and written.name_span is not None:
            if self.loops:
                help = "in a block of its own each use has its own"
                message = f"a {written.word} inside a loop would be declared at each pass"
                self.reporter.add(Diagnostic("E0202", message, written.name_span, help=help))
            self.declare(written.name, written.name_span)
            return
        name = output_name(written)
        span = written.name_span or (written.value.span if written.value is not None else written.span)
        if written.word == "output" or written.name is not None:
            if name in self.results:
                self.reporter.add(_repeated(name, span, self.results[name]))
            self.results.setdefault(name, span)
        if written.name is not None:
            self.defined.add(written.name)


# ---------------------------------------------------------------------------------------------------- unused names


def unused(file: FileScope, reporter: Reporter) -> list[Span]:
    """Warns of names that nothing reads. Returns the statements whose values are unused, with their own warnings."""
    statements: list[Span] = []
    everywhere: set[str] = set()
    in_training: set[str] = set()
    for declaration in file.tree.declarations:
        names = _reads(declaration)
        everywhere |= names
        if isinstance(declaration, syntax.Train):
            in_training |= names
    for declaration in file.tree.declarations:
        if isinstance(declaration, syntax.Block | syntax.Net):
            statements.extend(_unused_in(declaration, in_training, reporter))
        elif isinstance(declaration, syntax.Let) and declaration.name not in everywhere:
            reporter.add(Diagnostic("W0204", f"nothing uses '{declaration.name}'", declaration.name_span))
        elif isinstance(declaration, syntax.Import):
            _unused_import(declaration, file, everywhere, reporter)
    return statements


def _unused_import(item: syntax.Import, file: FileScope, used: set[str], reporter: Reporter) -> None:
    if item.alias is not None:
        brought = [item.alias] if item.alias in file.namespaces else []
    else:
        source = {name: d.file.source.name for name, d in file.imported.items()}
        brought = [name for name, path in source.items() if path.endswith(item.path)]
    if brought and not any(name in used for name in brought):
        reporter.add(Diagnostic("W0202", f"nothing of '{item.path}' is used", item.path_span))


_DECLARATIONS = {
    "loss": "a loss is declared without `=`: loss cross_entropy(logits, label)",
    "metric": "a metric is declared without `=`: metric accuracy(logits, label)",
    "output": "an output has a name: output y = ...",
}
"""What was meant, perhaps, where a value is given to the word and never read."""


def _unused_in(written: syntax.Block | syntax.Net, in_training: set[str], reporter: Reporter) -> list[Span]:
    used = _reads(written)
    inputs = written.inputs if isinstance(written, syntax.Block) else ()
    used_beside_inputs = _reads(*written.hypers, *written.body, *(p.default for p in inputs if p.default is not None))
    statements = []
    ports: list[syntax.Port] = []
    if isinstance(written, syntax.Block):
        used |= {port.name for port in written.outputs}
        ports = list(written.inputs)
    for hyper in written.hypers:
        if hyper.name not in used and hyper.name not in in_training:
            reporter.add(
                Diagnostic("W0203", f"'{written.name}' does not use its hyperparameter '{hyper.name}'", hyper.span)
            )
    for port in ports:
        if port.name not in used and not _binds_any(port, used_beside_inputs):
            reporter.add(Diagnostic("W0501", f"nothing reads the input '{port.name}'", port.span))
    for statement in statements_of(written.body):
        if isinstance(statement, syntax.Declare) and statement.name_span is not None and statement.name not in used:
            if statement.word == "input":
                reporter.add(Diagnostic("W0501", f"nothing reads the input '{statement.name}'", statement.name_span))
            elif statement.word in ("param", "state"):
                reporter.add(Diagnostic("W0201", f"'{statement.name}' is never read", statement.name_span))
        elif isinstance(statement, syntax.Assign) and len(statement.names) == 1:
            (name,) = statement.names
            if name.name not in used:
                statements.append(statement.span)
                if not name.name.startswith("_"):
                    help = _DECLARATIONS.get(name.name) if isinstance(written, syntax.Net) else None
                    reporter.add(Diagnostic("W0201", f"'{name.name}' is never read", name.span, help=help))
        elif isinstance(statement, syntax.Evaluate) and not targets_of(statement):
            statements.append(statement.span)
    return statements


def _binds_any(port: syntax.Port, names: set[str]) -> bool:
    """Whether the port's type binds one of the names: then the port is there for its dimensions."""
    dimensions = () if port.type is None else (*port.type.dimensions, port.type.classes)
    return any(isinstance(dimension, syntax.Name) and dimension.name in names for dimension in dimensions)


def _reads(*parts: syntax.Syntax) -> set[str]:
    """Every name that is read anywhere in some declarations or their parts."""
    names: set[str] = set()
    targets: set[int] = set()
    for node in walk(parts):
        match node:
            case syntax.Assign():
                targets.update(map(id, node.names))
            case syntax.Name() if id(node) not in targets:
                names.add(node.name)
            case syntax.Update():
                names.add(node.name)
            case syntax.Assert() if node.message is not None:
                names.update(parts[0] for _, parts in placeholders(str(node.message.value)))
    return names
