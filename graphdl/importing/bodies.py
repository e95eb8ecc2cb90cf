"""The body of an imported net, and of the blocks that were found in it: statements, members, and their weights.

A member is a layer or a parameter of a body. An instance of a body is one use of it: for each member the weights, or
the instance of the block that the member is a use of. The net has one instance, a block as many as its uses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphdl.graph.types import Shape
from graphdl.importing.names import Names
from graphdl.importing.statements import Number, Part, Read, Statement, shown
from graphdl.importing.terms import ATOM

_INSERTED = 60
"""The most characters of a call that is written inside another expression."""
_LINKS = frozenset(["reshape", "transpose", "mean", "sum", "resize"])
"""Primitives with hyperparameters that are written as links of a chain."""
_MADE = re.compile(
    r"(?:^|_)(?:[A-Z][A-Za-z]*|val|view|select|transpose|permute|reshape|squeeze|unsqueeze|slice|cat|embedding|getitem)"
    r"(?:_\d+)?$"
)
"""Names that an exporter has made from the name of an operator: such a value needs none."""
_WIDTH = 110
"""The most characters of such an expression."""


@dataclass
class Instance:
    """The parts of one use of a body, in the order of its members. A text is the name that weights had before."""

    parts: list[str | Instance]


@dataclass
class Member:
    """A layer or a parameter: its name in the body, the name of its layer, the parts of the name that it has in the
    imported model, and the block that it is a use of. ``shape`` is that of a parameter.
    """

    name: str
    kind: str
    path: tuple[str, ...]
    block: Body | None = None
    shape: tuple[Number, ...] | None = None


@dataclass
class Body:
    """The statements of the net, or of a block ``name(hypers): inputs -> y``."""

    name: str
    statements: list[Statement]
    members: list[Member]
    instances: list[Instance]
    results: frozenset[str]
    """The values that are outputs."""
    inputs: Sequence[str] = ()
    hypers: Sequence[Number] = ()
    """The hyperparameters, with their names as hints and the defaults that they have."""
    readers: dict[str, list[int]] = field(default_factory=dict)
    """The statements that read a value or a parameter, by its name."""
    path: tuple[str, ...] = ()
    """The module that the first use of the block is, in parts."""
    lengths: Sequence[int] = ()
    """The characters of each statement."""

    def __post_init__(self) -> None:
        self.index()

    def index(self) -> None:
        """Notes which statements read what, and how long they are."""
        self.readers = {}
        self.lengths = [len(str(statement)) for statement in self.statements]
        for place, statement in enumerate(self.statements):
            for name in statement.reads:
                self.readers.setdefault(name, []).append(place)

    def names(self) -> Names:
        """Names that are different from all names in a block."""
        names = Names()
        values = [name for statement in self.statements for name in statement.names]
        for name in [*values, *self.inputs, *(m.name for m in self.members), *(n.hint for n in self.hypers)]:
            names.take(name)
        return names

    @property
    def parameters(self) -> dict[str, Member]:
        return {member.name: member for member in self.members if member.shape is not None}

    def lines(self) -> Iterator[str]:
        """The text of a block."""
        hypers = [n.hint if n.default is None else f"{n.hint} = {n.default}" for n in self.hypers]
        yield f"block {self.name}({', '.join(hypers)}): {', '.join(self.inputs)} -> y {{"
        yield from self.declarations()
        yield from map(str, chained(self.statements, self.results))
        yield "}"

    def declarations(self) -> Iterator[str]:
        for member in self.members:
            if member.shape is not None:
                yield f"param {member.name}: [{', '.join(n.text for n in member.shape)}] = zeros()"


def parameter(name: str, path: tuple[str, ...], shape: Shape) -> Member:
    return Member(name, "param", path, shape=tuple(Number(str(n), "size") for n in shape))


def final_names(body: Body, instance: Instance, prefix: str = "") -> dict[str, str]:
    """The path that the weights of each name have in the written net."""
    found: dict[str, str] = {}
    for member, part in zip(body.members, instance.parts, strict=True):
        if isinstance(part, Instance):
            assert member.block is not None
            found |= final_names(member.block, part, f"{prefix}{member.name}.")
        else:
            found[part] = prefix + member.name
    return found


def chained(statements: Sequence[Statement], results: frozenset[str]) -> list[Statement]:
    """The statements, where a value that only the next layer of a chain reads has no statement of its own, and neither
    has a short call that only the next statement reads.
    """
    uses = Counter(name for statement in statements for name in statement.reads)
    uses.update(results)
    done: list[Statement] = []
    for statement in statements:
        while done and len(done[-1].names) == 1 and uses[done[-1].names[0]] == 1:
            joined = _joined(done[-1], statement)
            if joined is None:
                break
            done.pop()
            statement = joined
        done.append(statement)
    return done


def _joined(last: Statement, statement: Statement) -> Statement | None:
    """Two statements as one, if the second reads the first one's value, and the whole reads well."""
    (value,) = last.names
    if statement.follows == value:
        return Statement(statement.names, (*last.parts, *statement.parts[1:]), 0)
    called = _as_link(statement, value) if last.layers else None
    if called is not None:
        return Statement(statement.names, (*last.parts, *called), 0)
    short = len(last.text) <= _INSERTED and len(str(statement)) + len(last.text) <= _WIDTH
    if value not in statement.reads or last.level != ATOM or not short or _MADE.search(value) is None:
        return None
    parts: list[Part] = []
    for part in statement.parts:
        parts += last.parts if part == Read(value) else [part]
    return Statement(statement.names, tuple(parts), statement.level)


def _as_link(statement: Statement, value: str) -> tuple[Part, ...] | None:
    """A call ``f(value, …)`` as the link of a chain: `` -> f(…)``."""
    parts = statement.parts
    called = re.fullmatch(r"(\w+)\(", parts[0]) if isinstance(parts[0], str) else None
    if called is None or statement.level != ATOM or statement.reads != [value] or parts[1] != Read(value):
        return None
    rest = parts[2:]
    if rest == (")",):
        return (f" -> {called[1]}",)
    listed = rest[0]
    if called[1] not in _LINKS or rest[-1] != ")" or not isinstance(listed, str):
        return None
    return (f" -> {called[1]}(", listed.removeprefix(", "), *rest[1:])


def _calls(statement: Statement | None, name: str) -> bool:
    """Whether a statement is ``name(value, numbers)`` and nothing else."""
    if statement is None or statement.level != ATOM:
        return False
    parts = statement.parts
    return [type(part) for part in parts] == [str, Read, str, Number, str] and (parts[0], parts[4]) == (f"{name}(", ")")


def tidied(net: Body) -> None:
    """Writes shorter what exporters write at length: ``concat(a, b, c)`` where ``concat(a, b)`` is there already, a
    reshape of a reshape, a transpose of a transpose, ``x * sigmoid(x)``. Also drops results that nothing reads.
    """
    made = {statement.names[0]: statement for statement in net.statements}
    known: dict[Any, str] = {}
    for place, statement in enumerate(net.statements):
        names = [*statement.names]
        while len(names) > 1 and names[-1] not in net.readers and names[-1] not in net.results:
            names.pop()
        parts = statement.parts
        sources = [made.get(name) for name in statement.reads]
        match parts:
            case ("concat(", *_, ")") if statement.level == ATOM and {*parts[2 : 2 * len(sources) : 2]} <= {", "}:
                reads = [Read(name) for name in statement.reads]
                tail = parts[2 * len(reads) :]
                for count in range(len(reads) - 1, 1, -1):
                    earlier = known.get((tuple(reads[:count]), tail))
                    if earlier is not None:
                        rest = [part for read in reads[count:] for part in (", ", read)]
                        parts = ("concat(", Read(earlier), *rest, *tail)
                        break
                known[tuple(reads), tail] = names[0]
            case ("reshape(", Read(), *rest) if _calls(sources[0], "reshape"):
                assert sources[0] is not None
                parts = ("reshape(", sources[0].parts[1], *rest)
            case ("transpose(", Read(), _, Number() as order, ")") if _calls(sources[0], "transpose"):
                assert sources[0] is not None
                first = [int(n) for n in re.findall(r"\d+", shown(sources[0].parts[3]))]
                both = [first[int(n)] for n in re.findall(r"\d+", order.text)]
                parts = ("transpose(", sources[0].parts[1], ", ", replace(order, text=str(both)), ")")
            case (Read() as x, " * ", Read()) if sources[1] is not None and sources[1].parts == ("sigmoid(", x, ")"):
                statement, parts = replace(statement, level=0), (x, " -> silu")
        net.statements[place] = replace(statement, names=tuple(names), parts=parts)
        made[names[0]] = net.statements[place]
    used = {*net.results}
    kept = []
    for statement in reversed(net.statements):
        if statement.layers or used & {*statement.names}:
            used.update(statement.reads)
            kept.append(statement)
    net.statements = kept[::-1]
    net.index()
