"""Nets as blocks: the ports are the inputs that the outputs need, and the outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

from graphdl.language import syntax
from graphdl.language.expansion.values import Definition
from graphdl.source import Span

if TYPE_CHECKING:
    from graphdl.language.expansion.files import FileScope


def definition_of(item: syntax.Block | syntax.Net, file: FileScope) -> Definition:
    """The definition of a block, or of a net as a block."""
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


def model_of(file: syntax.File) -> syntax.Net | None:
    """The net that is the model of a file: the last one that a train section names, else the last one."""
    nets = [item for item in file.declarations if isinstance(item, syntax.Net)]
    named = {item.net.name for item in file.declarations if isinstance(item, syntax.Train) and item.net is not None}
    trained = [net for net in nets if net.name in named]
    return next(reversed(trained or nets), None)


def output_name(statement: syntax.Declare) -> str:
    """The name of an output, loss or metric: its own, else that of its value or of the call that computes it."""
    if statement.name is not None:
        return statement.name
    return value_name(statement.value) or statement.word


def value_name(value: syntax.Expression | None) -> str | None:
    """``logits`` for a name, ``cross_entropy`` for a call or for a chain that ends in one."""
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
    """All statements, including those inside ``if`` and ``for``."""
    for statement in body:
        yield statement
        if isinstance(statement, syntax.If):
            yield from statements_of(statement.then)
            yield from statements_of(statement.otherwise)
        elif isinstance(statement, syntax.For):
            yield from statements_of(statement.body)


def header_of(node: syntax.Syntax) -> Span:
    """The span of a statement or declaration without its body."""
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
    """The names to which a statement assigns values, including ``as`` names."""
    return set().union(*(_own_names(inner)[0] for inner in statements_of((statement,))))


def _own_names(statement: syntax.Statement) -> tuple[set[str], set[str]]:
    """The names to which a statement assigns values, and the names that it reads, without the statements inside it."""
    made: set[str] = set()
    read: set[str] = set()
    for node in walk(_own_part(statement)):
        if isinstance(node, syntax.Name):
            read.add(node.name)
        elif isinstance(node, syntax.Named):
            made.add(node.name)
    if isinstance(statement, syntax.Assign):
        made.update(name.name for name in statement.names)
    elif isinstance(statement, syntax.Declare) and statement.name is not None:
        made.add(statement.name)
    return made, read


def _own_part(statement: syntax.Statement) -> syntax.Syntax:
    """A statement without the statements inside it, which would be visited once for each enclosing level."""
    if isinstance(statement, syntax.If):
        return statement.condition
    return statement.iterable if isinstance(statement, syntax.For) else statement


def walk(node: Any) -> Iterator[Any]:
    """A syntax node and all nodes below it."""
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, tuple):
            stack += current[::-1]
        elif isinstance(current, syntax.Syntax):
            yield current
            kind: Any = type(current)
            stack += [getattr(current, name) for name in _parts(kind)]


_NO_NODES = frozenset(["Span", "Span | None", "str", "str | None", "tuple[str, ...]"])


@cache
def _parts(kind: Any) -> tuple[str, ...]:
    """The fields of a kind of node that may contain nodes, the last one first."""
    return tuple(field.name for field in reversed(fields(kind)) if field.type not in _NO_NODES)


def copied(name: str) -> str | None:
    """``c`` for ``c_2``, the numbered name of a copy made by a loop; None for other names."""
    base, _, number = name.rpartition("_")
    return base if base and number.isdecimal() else None


def _needed(net: syntax.Net) -> frozenset[str]:
    """The names that the outputs depend on according to the text: any assignment to such a name adds the names that it
    reads.
    """
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
    """Collects the names that each name of a body depends on, and those that the outputs read. Returns the assigned
    names.
    """
    targets: set[str] = set()
    for statement in body:
        made, names = _own_names(statement)
        names |= {base for base in map(copied, names) if base is not None}
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
