"""Evaluation of expressions: from syntax to values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from graphdl.graph.builder import Naming
from graphdl.graph.model import Value
from graphdl.graph.numbers import is_numeric
from graphdl.language import syntax
from graphdl.language.expansion import arithmetic, calls, clock, indexing, modules, scans, weights
from graphdl.language.expansion.context import Expansion
from graphdl.language.expansion.faults import POISON, Fault, Poison, Poisoned
from graphdl.language.expansion.files import FileScope
from graphdl.language.expansion.frames import MISSING, Frame, Scope
from graphdl.language.expansion.meaning import CONSTANTS, Word, language_names, meaning, undefined
from graphdl.language.expansion.primitives import initializer, primitive
from graphdl.language.expansion.values import (
    Applied,
    Argument,
    Definition,
    Function,
    InitializerName,
    Labelled,
    Namespace,
    Outputs,
    Pipeline,
    Repeated,
    describe,
    is_module,
    one_or_more,
)
from graphdl.operators import PRIMITIVES
from graphdl.operators.primitive import Primitive
from graphdl.source import Span
from graphdl.suggest import did_you_mean, enumerated


def evaluate(expansion: Expansion, expression: syntax.Expression, scope: Scope) -> Any:
    """The value of an expression. Raises Fault, or Poisoned if a fault has been reported already."""
    value = _HANDLERS[type(expression)](expansion, expression, scope)
    if expansion.watcher is not None:
        expansion.watcher.evaluated(expression, value)
    return value


def operand(expansion: Expansion, expression: syntax.Expression, scope: Scope) -> Any:
    """The value as an operand: the first of several outputs."""
    value = _HANDLERS[type(expression)](expansion, expression, scope)
    if expansion.watcher is not None:
        expansion.watcher.evaluated(expression, value)
    return value.values[0] if type(value) is Outputs else value


def condition(expansion: Expansion, expression: syntax.Expression, scope: Scope, what: str) -> bool:
    """The value of a condition, which must be a bool known during expansion."""
    value = operand(expansion, expression, scope)
    if isinstance(value, bool):
        return value
    if isinstance(value, Value):
        raise Fault(
            "E0309", f"the condition of {what} is decided when the file is expanded, and {describe(value)} is not "
            "known until the net runs", expression.span, help="where(mask, a, b) chooses by element",
        )  # fmt: skip
    definition = scope.frame.definition
    hypers = [hyper.name for hyper in definition.written.hypers] if definition is not None else []
    if definition is not None and isinstance(expression, syntax.Name) and expression.name in hypers:
        message = f"'{expression.name}' of '{definition.name}' is true or false, not {describe(value)}"
        help = f"'{definition.name}' takes {enumerated(hypers)}"
        raise Fault("E0309", message, expression.span, help=help)
    raise Fault("E0309", f"the condition of {what} is true or false, not {describe(value)}", expression.span)


# ----------------------------------------------------------------------------------------------------------- names


def look_up(expansion: Expansion, name: str, span: Span, scope: Scope) -> Any:
    """The value of a name. Raises Fault if the name is not defined."""
    value = scope.find(name)
    if value is MISSING:
        value = _of_file(expansion, name, span, scope.frame.file)
    if value is MISSING:
        if scope.frame.file.is_excused(name) or expansion.reporter.complained_at(span):
            raise Poisoned
        raise undefined(name, span, known_names(scope))
    if isinstance(value, Poison) or (isinstance(value, Definition) and value.is_spoilt):
        raise Poisoned
    return value


def known_names(scope: Scope) -> Iterator[str]:
    yield from scope.known()
    yield from scope.frame.file.known()
    yield from language_names()


def _of_file(expansion: Expansion, name: str, span: Span, file: FileScope) -> Any:
    found = meaning(file, name)
    if isinstance(found, syntax.Let):
        return let_value(expansion, name, span, file)
    if not isinstance(found, Word):
        return MISSING if found is None else found
    match found.kind:
        case "training":
            return expansion.training
        case "constant":
            return CONSTANTS[name]
        case "initializer":
            return InitializerName(name)
        case "primitive":
            return PRIMITIVES[name]
    return Function(name)


def let_value(expansion: Expansion, name: str, span: Span, file: FileScope) -> Any:
    """The value of a ``let``: that of the command line, else that of the file."""
    if name in file.let_values:
        value = file.let_values[name]
        if value is MISSING:
            raise Fault("E0203", f"'{name}' is used before it is defined", span)
        return value
    if file is expansion.file and name in expansion.let_settings:
        file.let_values[name] = expansion.let_settings[name]
        return file.let_values[name]
    let = file.lets[name]
    if file.is_spoilt(let):
        raise Poisoned
    file.let_values[name] = MISSING
    frame = Frame(file, None, Naming(expansion.graph.root), None, let.span)
    try:
        value = operand(expansion, let.value, Scope(frame))
        if isinstance(value, Value):
            raise Fault("E0301", f"a let names a hyperparameter, not {describe(value)}", let.value.span)
    except Fault as fault:
        expansion.report(fault, frame)
        value = POISON
    except Poisoned:
        value = POISON
    file.let_values[name] = value
    return value


def _name(expansion: Expansion, expression: syntax.Name, scope: Scope) -> Any:
    value = look_up(expansion, expression.name, expression.span, scope)
    if type(value) is Applied:
        return value.values
    if type(value) is Primitive and not value.inputs and not value.hypers:
        return primitive(expansion, value, (), {}, expression.span, scope.frame)
    return value


def _attribute(expansion: Expansion, expression: syntax.Attribute, scope: Scope) -> Any:
    variable = weights.of_module(expansion, expression, scope)
    if variable is not None:
        return variable
    if clock.is_training(expression.value, scope):
        return clock.time(expansion, expression)
    value = operand(expansion, expression.value, scope)
    if isinstance(value, Namespace):
        member = value.members.get(expression.name)
        if expression.name in value.lost or (member is not None and member.is_spoilt):
            raise Poisoned
        if member is None:
            raise Fault(
                "E0210", f"'{value.name}' has no '{expression.name}'", expression.name_span,
                help=did_you_mean(expression.name, value.members),
            )  # fmt: skip
        return member
    if isinstance(value, Value):
        return indexing.attribute(expansion, value, expression)
    raise Fault("E0215", f"{describe(value)} has no '{expression.name}'", expression.name_span)


# ------------------------------------------------------------------------------------------------------- operators


def _literal(expansion: Expansion, expression: syntax.Literal, scope: Scope) -> Any:
    return expression.value


def _unary(expansion: Expansion, expression: syntax.Unary, scope: Scope) -> Any:
    value = operand(expansion, expression.operand, scope)
    if isinstance(value, Value):
        if expression.operator == "+":
            return value
        name = "logical_not" if expression.operator == "not" else "negative"
        argument = Argument(value, expression.operand.span)
        return primitive(expansion, PRIMITIVES[name], (argument,), {}, expression.span, scope.frame)
    return arithmetic.unary(expression.operator, value, expression.span)


def _binary(expansion: Expansion, expression: syntax.Binary, scope: Scope) -> Any:
    spine = [expression]  # long sums nest to the left, so this is a loop instead of a recursion
    while isinstance(spine[-1].left, syntax.Binary):
        spine.append(spine[-1].left)
    value = operand(expansion, spine[-1].left, scope)
    for step in reversed(spine):
        sign = step.operator
        if sign in ("and", "or") and isinstance(value, bool) and value == (sign == "or"):
            continue
        value = _combine(expansion, step, value, operand(expansion, step.right, scope), scope)
    return value


def _combine(expansion: Expansion, step: syntax.Binary, left: Any, right: Any, scope: Scope) -> Any:
    sign = step.operator
    if sign in ("==", "!=") and (left is None or right is None):
        return (left is right) == (sign == "==")
    if isinstance(left, Value) or isinstance(right, Value):
        if sign == "..":
            raise Fault("E0301", "a range runs between ints, not tensors", step.span)
        for side, value in ((step.left, left), (step.right, right)):
            if not isinstance(value, Value) and not is_numeric(value):
                raise Fault("E0301", f"'{sign}' does not work on {describe(value)}", side.span)
        arguments = (Argument(left, step.left.span), Argument(right, step.right.span))
        return primitive(
            expansion, PRIMITIVES[arithmetic.PRIMITIVE_OF[sign]], arguments, {}, step.span, scope.frame, convert=True
        )
    return arithmetic.binary(sign, left, right, step.span, expansion)


def _conditional(expansion: Expansion, expression: syntax.Conditional, scope: Scope) -> Any:
    holds = condition(expansion, expression.condition, scope, "'if'")
    return evaluate(expansion, expression.then if holds else expression.otherwise, scope)


# ------------------------------------------------------------------------------------------------------------ lists


def _list(expansion: Expansion, expression: syntax.ListExpression, scope: Scope) -> list[Any]:
    expansion.spend(len(expression.items), expression.span)
    return expansion.listed([operand(expansion, item, scope) for item in expression.items], expression.span)


def _tuple(expansion: Expansion, expression: syntax.Tuple, scope: Scope) -> Any:
    raise Fault("E0301", "several values stand only left of '->' and right of 'a, b ='", expression.span)


def _comprehension(expansion: Expansion, expression: syntax.Comprehension, scope: Scope) -> list[Any]:
    result = []
    inner = Scope(scope.frame, scope, passing=True)
    for item in iterate(expansion, expression.iterable, scope):
        expansion.spend(1, expression.span)
        bind_names(inner, expression.names, item, expression.iterable.span)
        if expression.condition is None or condition(expansion, expression.condition, inner, "a comprehension"):
            result.append(operand(expansion, expression.element, inner))
    return expansion.listed(result, expression.span)


def iterate(expansion: Expansion, expression: syntax.Expression, scope: Scope) -> list[Any]:
    """The items over which a loop runs."""
    value = operand(expansion, expression, scope)
    if not isinstance(value, list):
        help = "scan runs over the first dimension of a tensor" if isinstance(value, Value) else None
        raise Fault("E0301", f"a loop runs over a list or a range, not {describe(value)}", expression.span, help=help)
    return value


def bind_names(scope: Scope, names: tuple[str, ...], item: Any, span: Span) -> None:
    """Binds an item to the loop's name, or its parts to several names."""
    if len(names) == 1:
        scope.names[names[0]] = item
        return
    if not isinstance(item, list) or len(item) != len(names):
        raise Fault("E0303", f"{len(names)} names want lists of {len(names)} items, not {describe(item)}", span)
    scope.names.update(zip(names, item, strict=True))


def _index(expansion: Expansion, expression: syntax.Index, scope: Scope) -> Any:
    return indexing.index(expansion, operand(expansion, expression.value, scope), expression, scope)


# ----------------------------------------------------------------------------------------------- calls and modules


def _call(expansion: Expansion, expression: syntax.Call, scope: Scope) -> Any:
    callee, positional, named = _called(expansion, expression, scope)
    return calls.call(expansion, callee, positional, named, expression.span, scope)


def _called(
    expansion: Expansion, expression: syntax.Call, scope: Scope
) -> tuple[Any, list[Argument], dict[str, Argument]]:
    callee = raw(expansion, expression.callee, scope)
    positional: list[Argument] = []
    named: dict[str, Argument] = {}
    for argument in expression.arguments:
        value = evaluate(expansion, argument.value, scope)
        if type(value) is Outputs:
            value = value.values[0]
        if argument.name is None:
            if named:
                raise Fault("E0206", "an argument without a name stands after one with a name", argument.value.span)
            positional.append(Argument(value, argument.value.span))
        elif argument.name in named:
            raise Fault("E0207", f"'{argument.name}' is given twice", argument.name_span or argument.span)
        else:
            named[argument.name] = Argument(value, argument.value.span, argument.name_span)
    return callee, positional, named


def raw(expansion: Expansion, expression: syntax.Expression, scope: Scope) -> Any:
    """A value for use as a module. For an ``as`` name this is the module, not its value."""
    if isinstance(expression, syntax.Name):
        value = look_up(expansion, expression.name, expression.span, scope)
        if type(value) is Applied and value.module is not None:
            return value.module
        return value.values if type(value) is Applied else value
    return operand(expansion, expression, scope)


def module_of(expansion: Expansion, expression: syntax.Expression, scope: Scope) -> Any:
    """The right operand of an arrow as a module that waits for its tensors."""
    match expression:
        case syntax.Name():
            return as_module(expansion, raw(expansion, expression, scope), expression.span)
        case syntax.Call():
            callee, positional, named = _called(expansion, expression, scope)
            return calls.waiting(expansion, callee, positional, named, expression.span)
        case syntax.Named():
            inner = module_of(expansion, expression.value, scope)
            return Labelled(inner, expression.name, expression.span, scope)
        case syntax.ListExpression() | syntax.Comprehension():
            return as_module(expansion, _modules(expansion, expression, scope), expression.span)
        case syntax.Pipe():
            head, steps = _spine(expression)
            members = [Argument(module_of(expansion, part, scope), part.span) for part in (head, *steps)]
            return Pipeline(tuple(members), expression.span)
        case syntax.Conditional():
            holds = condition(expansion, expression.condition, scope, "'if'")
            return module_of(expansion, expression.then if holds else expression.otherwise, scope)
    return as_module(expansion, operand(expansion, expression, scope), expression.span)


def _modules(expansion: Expansion, expression: syntax.ListExpression | syntax.Comprehension, scope: Scope) -> list[Any]:
    if isinstance(expression, syntax.ListExpression):
        expansion.spend(len(expression.items), expression.span)
        return [module_of(expansion, item, scope) for item in expression.items]
    result = []
    inner = Scope(scope.frame, scope, passing=True)
    for item in iterate(expansion, expression.iterable, scope):
        expansion.spend(1, expression.span)
        bind_names(inner, expression.names, item, expression.iterable.span)
        if expression.condition is None or condition(expansion, expression.condition, inner, "a comprehension"):
            result.append(module_of(expansion, expression.element, inner))
    return expansion.listed(result, expression.span)


def as_module(expansion: Expansion, value: Any, span: Span) -> Any:
    if isinstance(value, list):
        expansion.spend(len(value), span)
        return Pipeline(tuple(Argument(as_module(expansion, item, span), span) for item in value), span)
    if is_module(value):
        return value
    raise Fault("E0310", f"what stands right of '->' is a module, not {describe(value)}", span)


def _spine(expression: syntax.Pipe) -> tuple[syntax.Expression, list[syntax.Expression]]:
    """The head of a chain, and its steps."""
    steps: list[syntax.Expression] = []
    head: syntax.Expression = expression
    while isinstance(head, syntax.Pipe):
        steps.append(head.right)
        head = head.left
    steps.reverse()
    return head, steps


def _pipe(expansion: Expansion, expression: syntax.Pipe, scope: Scope) -> Any:
    head, steps = _spine(expression)
    if isinstance(head, syntax.Tuple):
        flowing = [Argument(_tensor(operand(expansion, item, scope), item.span), item.span) for item in head.items]
    else:
        value = operand(expansion, head, scope)
        if is_module(value) or (isinstance(value, list) and value and all(map(is_module, value))):
            first = value if isinstance(head, syntax.Call | syntax.Named) else as_module(expansion, value, head.span)
            members = [Argument(first, head.span)]
            members += [Argument(module_of(expansion, step, scope), step.span) for step in steps]
            return Pipeline(tuple(members), expression.span)
        if isinstance(value, list) and value and all(isinstance(item, Value) for item in value):
            flowing = [Argument(item, head.span, in_list=True) for item in value]
        else:
            flowing = [Argument(_tensor(value, head.span), head.span)]
    values: tuple[Value, ...] = ()
    for step in steps:
        values = modules.apply(expansion, module_of(expansion, step, scope), flowing, scope.frame, step.span)
        if expansion.watcher is not None:
            expansion.watcher.evaluated(step, one_or_more(values))
        flowing = [Argument(values[0], step.span)]
    return one_or_more(values)


def _tensor(value: Any, span: Span) -> Value:
    if isinstance(value, Value):
        return value
    raise Fault("E0301", f"what flows along '->' is a tensor, not {describe(value)}", span)


def _named(expansion: Expansion, expression: syntax.Named, scope: Scope) -> Any:
    """``f(x) as name`` at the head of a chain."""
    if isinstance(expression.value, syntax.Call):
        callee, positional, named = _called(expansion, expression.value, scope)
        waiting = calls.waiting(expansion, callee, positional, named, expression.value.span)
        if calls.is_complete(waiting):
            labelled = Labelled(waiting, expression.name, expression.span, scope)
            return one_or_more(modules.apply(expansion, labelled, (), scope.frame, expression.value.span))
        return Labelled(waiting, expression.name, expression.span, scope)
    value = evaluate(expansion, expression.value, scope)
    if is_module(value) or isinstance(value, list):
        return Labelled(as_module(expansion, value, expression.value.span), expression.name, expression.span, scope)
    scope.home.names[expression.name] = value
    return value


def _repeat(expansion: Expansion, expression: syntax.Repeat, scope: Scope) -> Repeated:
    count = operand(expansion, expression.count, scope)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise Fault("E0304", f"repeat wants an int from 0 on, not {describe(count)}", expression.count.span)
    body = Argument(module_of(expansion, expression.body, scope), expression.body.span)
    return Repeated(count, body, expression.span)


def _scan(expansion: Expansion, expression: syntax.Scan, scope: Scope) -> Any:
    return scans.scan(expansion, expression, scope)


def _slice(expansion: Expansion, expression: syntax.Slice, scope: Scope) -> Any:
    raise Fault("E0301", "a slice stands only inside an index", expression.span)


_HANDLERS: dict[type, Callable[[Expansion, Any, Scope], Any]] = {
    syntax.Literal: _literal,
    syntax.Name: _name,
    syntax.Unary: _unary,
    syntax.Binary: _binary,
    syntax.Conditional: _conditional,
    syntax.Pipe: _pipe,
    syntax.Named: _named,
    syntax.Call: _call,
    syntax.Slice: _slice,
    syntax.Index: _index,
    syntax.Attribute: _attribute,
    syntax.ListExpression: _list,
    syntax.Tuple: _tuple,
    syntax.Comprehension: _comprehension,
    syntax.Repeat: _repeat,
    syntax.Scan: _scan,
}


def initializer_of(expansion: Expansion, expression: syntax.Expression, scope: Scope) -> Any:
    """The value after ``param W: […] =``. An initializer takes precedence over a library block of the same name."""
    called = expression.callee if isinstance(expression, syntax.Call) else expression
    if (
        isinstance(called, syntax.Name)
        and scope.find(called.name) is MISSING
        and meaning(scope.frame.file, called.name, initializer=True) == Word(called.name, "initializer")
    ):
        positional: list[Argument] = []
        named: dict[str, Argument] = {}
        if isinstance(expression, syntax.Call):
            for argument in expression.arguments:
                value = Argument(operand(expansion, argument.value, scope), argument.value.span)
                if argument.name is None:
                    positional.append(value)
                else:
                    named[argument.name] = Argument(value.value, value.span, argument.name_span)
        return initializer(expansion, called.name, positional, named, expression.span, scope.frame)
    if isinstance(expression, syntax.Conditional):
        holds = condition(expansion, expression.condition, scope, "'if'")
        return initializer_of(expansion, expression.then if holds else expression.otherwise, scope)
    value = operand(expansion, expression, scope)
    if isinstance(value, InitializerName):
        return initializer(expansion, value.name, [], {}, expression.span, scope.frame)
    return value
