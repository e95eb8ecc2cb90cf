"""A net as a block: its ports are the inputs that its outputs need, and its outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from graphdl.language import syntax
from graphdl.language.expansion.values import Definition
from graphdl.source import Span

if TYPE_CHECKING:
    from graphdl.language.expansion.files import FileScope


def definition_of(item: syntax.Block | syntax.Net, file: FileScope) -> Definition:
    """The block, or the block that a net stands for."""
    if isinstance(item, syntax.Block):
        return Definition(item, file, item.inputs, tuple(port.name for port in item.outputs))
    declared = [s for s in statements_of(item.body) if isinstance(s, syntax.Declare)]
    outputs = tuple(dict.fromkeys(output_name(s) for s in declared if s.word == "output"))
    needed = _needed(item)
    inputs = tuple(
        syntax.Port(s.span, s.name, s.type, None)
        for s in declared
        if s.word == "input" and s.name is not None and s.name in needed
    )
    return Definition(item, file, inputs, outputs, needed)


def output_name(statement: syntax.Declare) -> str:
    """The name of an output, loss or metric: its own, else that of the value or of the call that makes it."""
    if statement.name is not None:
        return statement.name
    return value_name(statement.value) or statement.word


def value_name(value: syntax.Expression | None) -> str | None:
    """``logits`` for a name, ``cross_entropy`` for a call or a chain that ends in one."""
    while True:
        match value:
            case syntax.Name():
                return value.name
            case syntax.Call():
                value = value.callee
            case syntax.Pipe():
                value = value.right
            case syntax.Named() | syntax.Attribute():
                return value.name
            case _:
                return None


def statements_of(body: Iterable[syntax.Statement]) -> Iterator[syntax.Statement]:
    """Every statement, those inside ``if`` and ``for`` included."""
    for statement in body:
        yield statement
        if isinstance(statement, syntax.If):
            yield from statements_of(statement.then)
            yield from statements_of(statement.otherwise)
        elif isinstance(statement, syntax.For):
            yield from statements_of(statement.body)


def header_of(node: syntax.Syntax) -> Span:
    """The place of a statement or declaration without the body that it opens."""
    match node:
        case syntax.If():
            end = node.condition.span.end
        case syntax.For():
            end = node.iterable.span.end
        case syntax.Block():
            end = max(
                part.end for part in (node.name_span, *(p.span for p in (*node.hypers, *node.inputs, *node.outputs)))
            )
        case syntax.Net():
            end = max(part.end for part in (node.name_span, *(hyper.span for hyper in node.hypers)))
        case _:
            end = node.span.end
    return Span(node.span.source, node.span.start, end)


def targets_of(statement: syntax.Statement) -> set[str]:
    """The names that a statement gives a value, ``as`` names included."""
    return set().union(*(_own_targets(inner) for inner in statements_of((statement,))))


def _own_targets(statement: syntax.Statement) -> set[str]:
    """The names that a statement gives a value, those of the statements inside it left out."""
    names = {node.name for node in walk(_own_part(statement)) if isinstance(node, syntax.Named)}
    if isinstance(statement, syntax.Assign):
        names.update(name.name for name in statement.names)
    elif isinstance(statement, syntax.Declare) and statement.name is not None:
        names.add(statement.name)
    return names


def _own_part(statement: syntax.Statement) -> syntax.Syntax:
    """A statement without the statements inside it, which would be visited once for each level around them."""
    if isinstance(statement, syntax.If):
        return statement.condition
    return statement.iterable if isinstance(statement, syntax.For) else statement


def walk(node: Any) -> Iterator[Any]:
    """A syntax node and all below it."""
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, tuple):
            stack.extend(reversed(current))
        elif isinstance(current, syntax.Syntax):
            yield current
            kind: Any = type(current)
            stack.extend([getattr(current, name) for name in _parts(kind)])


@cache
def _parts(kind: Any) -> tuple[str, ...]:
    """The fields of a kind of node that may hold nodes, the last one first."""
    return tuple(name for name in reversed(kind.__dataclass_fields__) if not name.endswith("span"))


def copied(name: str) -> str | None:
    """``c`` for ``c_2``, the numbered name of a copy that a loop has made; None for other names."""
    base, _, number = name.rpartition("_")
    return base if base and number.isdecimal() else None


def _needed(net: syntax.Net) -> frozenset[str]:
    """The names that the outputs need, by the text: every assignment of a needed name makes what it reads needed."""
    reads: dict[str, set[str]] = {}
    needed: set[str] = set()
    _collect(net.body, reads, needed)
    pending = list(needed)
    while pending:
        for name in reads.get(pending.pop(), ()):
            if name not in needed:
                needed.add(name)
                pending.append(name)
    return frozenset(needed)


def _collect(body: Iterable[syntax.Statement], reads: dict[str, set[str]], needed: set[str]) -> set[str]:
    """Adds what each name of a body is made of, and what the outputs read; returns the names that the body assigns."""
    targets: set[str] = set()
    for statement in body:
        names = {node.name for node in walk(_own_part(statement)) if isinstance(node, syntax.Name)}
        names |= {base for base in map(copied, names) if base is not None}
        made = _own_targets(statement)
        if isinstance(statement, syntax.If):
            made |= _collect(statement.then, reads, needed) | _collect(statement.otherwise, reads, needed)
        elif isinstance(statement, syntax.For):
            made |= _collect(statement.body, reads, needed)
        for target in made:
            reads.setdefault(target, set()).update(names)
        if isinstance(statement, syntax.Declare) and statement.word == "output":
            needed |= names
        targets |= made
    return targets
