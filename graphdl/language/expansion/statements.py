"""Statements: each is expanded separately, so that an error in one does not hide those in the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from graphdl.diagnostics import Diagnostic
from graphdl.graph.builder import first_values, join
from graphdl.graph.model import Initializer, Value
from graphdl.graph.types import TensorType
from graphdl.language import syntax
from graphdl.language.expansion import expressions, indexing, shapes
from graphdl.language.expansion.builder import at
from graphdl.language.expansion.context import Expansion
from graphdl.language.expansion.faults import POISON, Fault, Poisoned, Refused
from graphdl.language.expansion.frames import Scope, user_span
from graphdl.language.expansion.nets import output_name, targets_of
from graphdl.language.expansion.values import (
    Applied,
    Definition,
    Instance,
    Outputs,
    Pipeline,
    Recipe,
    Repeated,
    describe,
    first_of,
    plural,
    text,
    values_of,
)
from graphdl.language.words import placeholders


def execute(expansion: Expansion, body: Iterable[syntax.Statement], scope: Scope) -> None:
    """Expands statements in order."""
    definition = scope.frame.definition
    needed = definition.needed if definition is not None and scope.frame.caller is not None else None
    for statement in body:
        if needed is not None and not _is_needed(statement, needed):
            continue
        naming = scope.frame.naming
        if scope.frame.file.is_spoilt(statement):
            _poison(expansion, statement, scope)
            continue
        try:
            _HANDLERS[type(statement)](expansion, statement, scope)
        except Fault as fault:
            expansion.report(fault, scope.frame)
            _poison(expansion, statement, scope)
        except Refused:
            expansion.is_sound = False
            if scope.frame.caller is not None:
                raise
        except Poisoned:
            _poison(expansion, statement, scope)
        naming.level = None


def _is_needed(statement: syntax.Statement, needed: frozenset[str]) -> bool:
    """Whether a statement of a net used as a block is expanded: if its outputs need it, and it is no loss or metric."""
    if isinstance(statement, syntax.Declare) and statement.word in ("loss", "metric"):
        return False
    if isinstance(statement, syntax.Declare) and statement.word == "output":
        return True
    if isinstance(statement, syntax.Update):
        return statement.name in needed
    if isinstance(statement, syntax.Assert):
        return False
    return bool(targets_of(statement) & needed)


def _poison(expansion: Expansion, statement: syntax.Statement, scope: Scope) -> None:
    expansion.is_sound = False
    for name in targets_of(statement):
        scope.names[name] = POISON
    if isinstance(statement, syntax.Declare) and statement.word == "output":
        scope.frame.results[output_name(statement)] = POISON
    if isinstance(statement, syntax.Emit | syntax.If | syntax.For) and scope.emitted is not None:
        scope.emitted.append(POISON)


# ----------------------------------------------------------------------------------------------------- assignments


def _assign(expansion: Expansion, statement: syntax.Assign, scope: Scope) -> None:
    names = statement.names
    target = next((name.name for name in names if name.name != "_"), None)
    scope.frame.naming.level = target
    if len(names) > 1:
        _assign_several(expansion, statement, scope)
        return
    value = expressions.evaluate(expansion, statement.value, scope)
    if statement.type is not None:
        _check_type(expansion, statement.type, first_of(value), target or "_", statement, scope)
    if target is not None:
        scope.names[target] = _held(expansion, value, target, statement, scope)


def _assign_several(expansion: Expansion, statement: syntax.Assign, scope: Scope) -> None:
    if isinstance(statement.value, syntax.Tuple):
        values: tuple[Any, ...] = tuple(expressions.operand(expansion, item, scope) for item in statement.value.items)
        exact = True
    else:
        value = expressions.evaluate(expansion, statement.value, scope)
        exact = isinstance(value, list)
        values = tuple(value) if isinstance(value, list) else tuple(values_of(value))
    count = len(statement.names)
    if count > len(values) or (exact and count != len(values)):
        raise Fault("E0303", f"{count} names, and {plural(len(values), 'value')} on the right", statement.value.span)
    for name, value in zip(statement.names, values, strict=False):
        if name.name != "_":
            scope.names[name.name] = _held(expansion, value, name.name, statement, scope)


def _held(expansion: Expansion, value: Any, name: str, statement: syntax.Assign, scope: Scope) -> Any:
    """The value of a name. A named recipe becomes one module, and the node of a tensor gets the name."""
    if isinstance(value, Outputs):
        value = Outputs(value.values)
    first = first_of(value)
    if isinstance(first, Value):
        node = first.node
        if node.name is None and not scope.frame.file.is_library:
            node.name = name
        return value
    if isinstance(value, Recipe | Pipeline | Repeated) or (
        isinstance(value, Definition) and all(h.default is not None for h in value.written.hypers)
    ):
        return Instance(value, name, scope.frame.naming, statement.span)
    return value


def _check_type(
    expansion: Expansion, written: syntax.TypeExpression, value: Any, name: str, statement: syntax.Assign, scope: Scope
) -> None:
    if not isinstance(value, Value):
        raise Fault("E0301", f"'{name}' is declared as a tensor, not {describe(value)}", statement.value.span)
    shapes.match(
        expansion, name, written, value, scope, statement.value.span, owner=None, binds=False, bound={},
        code="E0418",
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------- declarations


def _declare(expansion: Expansion, statement: syntax.Declare, scope: Scope) -> None:
    frame = scope.frame
    word = statement.word
    is_net = frame.definition is not None and isinstance(frame.definition.written, syntax.Net)
    if frame.in_scan and word not in ("param", "state"):
        raise Fault("E0502", f"'{word}' stands in a net, not inside a scan", statement.span)
    if word in ("input", "output") and not is_net:
        raise Fault("E0502", f"'{word}' stands in a net; a block has its {word}s in its first line", statement.span)
    _DECLARATIONS[word](expansion, statement, scope)


def _input(expansion: Expansion, statement: syntax.Declare, scope: Scope) -> None:
    assert statement.name is not None
    assert statement.type is not None
    frame = scope.frame
    assert frame.definition is not None
    tensor_type = shapes.concrete(expansion, statement.type, scope)
    if statement.value is not None:
        raise Fault("E0502", "an input of a net has no value: it is fed", statement.value.span)
    if statement.name in frame.given:
        value = frame.given[statement.name]
        shapes.match(
            expansion, statement.name, statement.type, value, scope, frame.span, owner=frame.definition.name,
            binds=False, bound={},
        )  # fmt: skip
        scope.names[statement.name] = value
        return
    scope.names[statement.name] = expansion.builder.input(
        statement.name, tensor_type, frame.naming.module, statement.span
    )


def _variable(expansion: Expansion, statement: syntax.Declare, scope: Scope) -> None:
    """``param`` and ``state``."""
    assert statement.name is not None
    assert statement.type is not None
    name, frame = statement.name, scope.frame
    tensor_type = shapes.concrete(expansion, statement.type, scope)
    if tensor_type.element != "float" or tensor_type.classes is not None:
        raise Fault("E0301", f"a {statement.word} holds floating-point numbers", statement.type.span)
    if statement.value is None:
        if statement.word == "param":
            raise Fault(
                "E0205", f"the parameter '{name}' wants its first values", statement.span,
                help="write = zeros(), = he_normal(), = uniform(-1, 1) or another initializer",
            )  # fmt: skip
        initializer = Initializer("zeros", ())
    else:
        value = expressions.initializer_of(expansion, statement.value, scope)
        initializer = _initializer(value, tensor_type, statement.value)
    with at(statement.span):
        variable = expansion.builder.variable(
            statement.word, name, tensor_type, initializer, frame.naming.module, statement.span
        )
    # a further application of a shared module continues with the updated state
    scope.names[name] = expansion.graph.updates.get(variable.path, variable.value)


def _initializer(value: Any, tensor_type: TensorType, written: syntax.Expression) -> Initializer:
    if isinstance(value, Initializer):
        return value
    if isinstance(value, int | float | list):
        with at(written.span):
            return first_values(value, tensor_type)
    raise Fault("E0301", f"first values are an initializer or numbers, not {describe(value)}", written.span)


def _result(expansion: Expansion, statement: syntax.Declare, scope: Scope) -> None:
    """``output``, ``loss`` and ``metric``."""
    assert statement.value is not None
    frame, word = scope.frame, statement.word
    name = output_name(statement)
    frame.naming.level = statement.name
    value = first_of(expressions.evaluate(expansion, statement.value, scope))
    if not isinstance(value, Value):
        value = expansion.tensor_of_numbers(value, "float", frame.naming.module, statement.value.span)
    if statement.type is not None:
        shapes.match(
            expansion, name, statement.type, value, scope, statement.value.span, owner=None, binds=False, bound={},
            code="E0418",
        )  # fmt: skip
    if statement.name is not None:
        scope.names[statement.name] = value
        if value.node.name is None:
            value.node.name = statement.name
    if word == "output":
        frame.results[name] = value
        if frame.caller is not None:
            return
    with at(statement.value.span):
        expansion.builder.result(word, name, value, frame.naming.module)


_DECLARATIONS: dict[str, Callable[[Expansion, syntax.Declare, Scope], None]] = {
    "input": _input, "param": _variable, "state": _variable, "output": _result, "loss": _result, "metric": _result,
}  # fmt: skip


# ------------------------------------------------------------------------------------------------- control and rest


def _if(expansion: Expansion, statement: syntax.If, scope: Scope) -> None:
    holds = expressions.condition(expansion, statement.condition, scope, "'if'")
    execute(expansion, statement.then if holds else statement.otherwise, scope)


def _for(expansion: Expansion, statement: syntax.For, scope: Scope) -> None:
    hidden = {name: scope.names[name] for name in statement.names if name in scope.names}
    for item in expressions.iterate(expansion, statement.iterable, scope):
        expansion.spend(1, statement.span)
        expressions.bind_names(scope, statement.names, item, statement.iterable.span)
        execute(expansion, statement.body, scope)
    for name in statement.names:
        scope.names.pop(name, None)
    scope.names.update(hidden)


def _assert(expansion: Expansion, statement: syntax.Assert, scope: Scope) -> None:
    if expressions.condition(expansion, statement.condition, scope, "assert"):
        return
    frame = scope.frame
    message = f"{' '.join(statement.condition.span.text.split())} does not hold"
    if statement.message is not None:
        message = _formatted(expansion, statement.message, scope)
    if frame.caller is None:
        expansion.reporter.add(Diagnostic("E0312", message, statement.span))
    else:
        place, _ = user_span(frame.span, frame.caller)
        note = f"asserted at {statement.span}: {' '.join(statement.condition.span.text.split())}"
        expansion.reporter.add(Diagnostic("E0312", message, place, notes=(note,)))
    raise Refused


def _formatted(expansion: Expansion, message: syntax.Literal, scope: Scope) -> str:
    """The message of an assert, with names in braces, optionally with attributes, replaced by their values."""

    def shown(head: str, *attributes: str) -> str:
        value = first_of(expressions.look_up(expansion, head, message.span, scope))
        for name in attributes:
            written = syntax.Attribute(message.span, syntax.Name(message.span, head), name, message.span)
            value = indexing.attribute(expansion, value, written) if isinstance(value, Value) else value
        return text(value)

    written_text, pieces, last = str(message.value), [], 0
    for match, names in placeholders(written_text):
        pieces += [written_text[last : match.start()], shown(*names)]
        last = match.end()
    return "".join([*pieces, written_text[last:]])


def _update(expansion: Expansion, statement: syntax.Update, scope: Scope) -> None:
    frame = scope.frame
    path = join(frame.naming.module.path, statement.name)
    state = expansion.graph.states.get(path)
    if state is None:
        if expansion.reporter.complained_at(statement.name_span) or scope.find(statement.name) is POISON:
            raise Poisoned
        raise Fault("E0505", f"'{statement.name}' is no state of this body", statement.name_span)
    if frame.in_scan:
        raise Fault("E0502", "a state is not updated inside a scan: its steps share one body", statement.span)
    if not expansion.training:
        return
    frame.naming.level = statement.name
    value = expressions.operand(expansion, statement.value, scope)
    if not isinstance(value, Value):
        value = expansion.tensor_of_numbers(value, "float", frame.naming.module, statement.value.span)
    with at(statement.value.span):
        expansion.builder.update(state, statement.name, value)


def _emit(expansion: Expansion, statement: syntax.Emit, scope: Scope) -> None:
    if scope.emitted is None:
        raise Fault("E0502", "'emit' stands in the body of a scan", statement.span)
    for expression in statement.values:
        value = expressions.operand(expansion, expression, scope)
        if not isinstance(value, Value):
            value = expansion.tensor_of_numbers(value, "float", scope.frame.naming.module, expression.span)
        scope.emitted.append(value)


def _evaluate(expansion: Expansion, statement: syntax.Evaluate, scope: Scope) -> None:
    value = expressions.evaluate(expansion, statement.value, scope)
    if not isinstance(value, Value | Outputs | Applied):
        raise Fault("E0502", f"a statement that does nothing: {describe(value)}", statement.value.span)
    if not targets_of(statement):
        expansion.reporter.add(Diagnostic("W0502", "nothing uses this value", statement.span))


_HANDLERS: dict[type, Callable[[Expansion, Any, Scope], None]] = {
    syntax.Assign: _assign,
    syntax.Declare: _declare,
    syntax.If: _if,
    syntax.For: _for,
    syntax.Assert: _assert,
    syntax.Update: _update,
    syntax.Emit: _emit,
    syntax.Evaluate: _evaluate,
}
