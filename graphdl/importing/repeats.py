"""Finds what repeats in an imported net: runs of statements that are alike, with one result.

First the names of the layers are followed: ``layer1.0.conv1`` and ``layer1.0.conv2`` belong together, and so do those
of ``layer1.1``. What has no such names is compared statement by statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from graphdl.importing.bodies import Body, Member
from graphdl.importing.statements import Layer, Number, Read, Statement

_LONGEST = 64
"""The most statements of a run that is found without names."""
_MOST_INPUTS = 3
_VARYING = re.compile(r"\d+[a-z]?(?![a-z])")


@dataclass(frozen=True)
class Run:
    """The statements from ``start`` to ``stop`` - 1 of a body, as one use of a block.

    ``form`` is equal for runs that are alike. ``members`` are the names of those that are in the run, and ``labels``
    their names in the block. ``numbers`` may differ between runs that are alike.
    """

    body: Body
    start: int
    stop: int
    path: tuple[str, ...]
    form: tuple[Any, ...]
    inputs: tuple[str, ...]
    result: str
    members: tuple[str, ...]
    labels: tuple[str, ...]
    numbers: tuple[Number, ...]


def groups(bodies: Sequence[Body], *, named: bool) -> list[list[Run]]:
    """The runs that are alike, at least two each, in the order of the first ones."""
    found: dict[tuple[Any, ...], list[Run]] = {}
    for body in bodies:
        for run in _named(body) if named else _unnamed(body):
            found.setdefault(run.form, []).append(run)
    apart = (_apart(runs) for runs in found.values() if len(runs) > 1)
    return [runs for runs in apart if len(runs) > 1]


def _apart(runs: Sequence[Run]) -> list[Run]:
    """The runs without those that overlap with one before them."""
    chosen: list[Run] = []
    for run in sorted(runs, key=lambda r: r.start):
        others = [other for other in chosen if other.body is run.body]
        if not others or others[-1].stop <= run.start:
            chosen.append(run)
    return chosen


def _named(body: Body) -> Iterator[Run]:
    """Runs of the members whose names have one beginning, with the statements around them that have no members."""
    places = _places(body)
    beginnings = dict.fromkeys(m.path[:k] for m in body.members for k in range(1, len(m.path)))
    for beginning in beginnings:
        inside = [k for k, m in enumerate(body.members) if m.path[: len(beginning)] == beginning]
        if any(body.members[k].path == beginning for k in inside):
            continue
        names = [body.members[k].name for k in inside]
        path, labels = _labels([body.members[k] for k in inside], beginning)
        if not all(labels) or len(set(labels)) < len(labels):
            continue
        own = sorted(place for k in inside for place in places[k])
        if not own:
            continue
        others = [place for k in range(len(body.members)) if k not in inside for place in places[k]]
        first, last = own[0], own[-1]
        low = max((p + 1 for p in others if p < first), default=0)
        high = min((p for p in others if p > first), default=len(body.statements))
        if high <= last:
            continue
        given = dict(zip(names, labels, strict=True))
        for stop in _ends(body, last + 1, high, path):
            starts = range(first, low - 1, -1)
            runs = [run for start in starts if (run := _run(body, start, stop, path, given)) is not None]
            if runs:  # the statements before the members belong to them only if that makes the inputs fewer
                run = min(runs, key=lambda run: len(run.inputs))
                if len(inside) > 1 or _is_module(run):
                    yield run


def _is_module(run: Run) -> bool:
    """Whether a run with one member is all of a module, and more than a chain."""
    statements = run.body.statements[run.start : run.stop]
    around = [s for s in statements if not s.layers]
    known = all(s.scope is not None and s.scope[: len(run.path)] == run.path for s in around)
    return known and not _is_chain(run.body, run.start, run.stop)


def _ends(body: Body, first: int, last: int, path: tuple[str, ...]) -> Sequence[int]:
    """The places where a run may end: behind the statements that belong to the module ``path``, if that is known."""
    inside = [s.scope is not None and s.scope[: len(path)] == path for s in body.statements[first:last]]
    if any(inside):
        first += len(inside) - inside[::-1].index(True)
    if first < last and body.statements[first].scope is not None:
        return [first]
    return range(first, last + 1)


def _labels(members: Sequence[Member], beginning: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """The name of a run, and those of its members in it; "" if a member has none."""
    rests = [m.path[len(beginning) :] for m in members]
    if any(rest[0][0].isdigit() for rest in rests) and len(beginning) > 1 and not beginning[-1][0].isdigit():
        beginning, last = beginning[:-1], beginning[-1]
        rests = [(last, *rest) for rest in rests]
    labels = []
    for member, rest in zip(members, rests, strict=True):
        label = "_".join(rest)
        if label[0].isdigit():
            label = f"{member.kind}_{label}" if len(rest) == 1 else ""
        labels.append(label)
    return beginning, labels


def _unnamed(body: Body) -> Iterator[Run]:
    """Runs that are no mere chains, and whose members have names that differ in numbers alone."""
    count = len(body.statements)
    alike = [_alike(statement) for statement in body.statements]
    ends = {name: max(body.readers.get(name, [0])) for s in body.statements for name in s.names}
    ends |= dict.fromkeys(body.results, count)
    links = [_is_chain(body, place, place + 1) for place in range(count)]
    found: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for start in range(count):
        alive: dict[str, int] = {}  # the values that are read later, with their last readers
        chain = True
        for stop in range(start + 1, min(count, start + _LONGEST) + 1):
            last = body.statements[stop - 1]
            alive |= {name: ends[name] for name in last.names}
            alive = {name: reader for name, reader in alive.items() if reader >= stop}
            chain = chain and links[stop - 1]
            if len(alive) == 1 and alive.keys() & set(last.names) and not chain:
                found.setdefault(tuple(alike[start:stop]), []).append((start, stop))
    for places in found.values():
        for start, stop in places if len(places) > 1 else ():
            run = _run(body, start, stop, (), None)
            if run is not None:
                yield run


def _alike(statement: Statement) -> int:
    """A number that is equal for statements that may be alike."""
    return hash(
        tuple(
            part.kind if isinstance(part, Layer) else type(part) if not isinstance(part, str) else part
            for part in statement.parts
        )
    )


def _is_chain(body: Body, start: int, stop: int) -> bool:
    return all(s.follows is not None and len(s.reads) == 1 for s in body.statements[start:stop])


def _places(body: Body) -> list[list[int]]:
    """The statements of each member."""
    layers = {layer.name: [k] for k, s in enumerate(body.statements) for layer in s.layers}
    return [layers.get(m.name) or body.readers.get(m.name, []) for m in body.members]


def _result(body: Body, start: int, stop: int) -> str | None:
    """The only value of the statements that others read, if the last of them defines it."""
    last = body.statements[stop - 1].names
    found = None
    for place in range(start, stop):
        for name in body.statements[place].names:
            if name in body.results or any(reader >= stop for reader in body.readers.get(name, ())):
                if found is not None or name not in last:
                    return None
                found = name
    return found


def _run(body: Body, start: int, stop: int, path: tuple[str, ...], labels: dict[str, str] | None) -> Run | None:
    """The run of these statements, if they can be a block. Without ``labels`` the members' names are those that they
    have, without the numbers that differ."""
    result = _result(body, start, stop)
    if result is None:
        return None
    parameters = body.parameters
    order = {member.name: member for member in body.members}
    inner: dict[str, Any] = {}
    inputs: list[str] = []
    members: list[str] = []
    numbers: list[Number] = []
    form: list[Any] = []
    for place in range(start, stop):
        statement = body.statements[place]
        for part in statement.parts:
            match part:
                case Number(_, hint, key):
                    numbers.append(part)
                    form.append((hint, key))
                case Layer(kind, own, name, copies):
                    if name in body.readers:
                        return None  # the layer is used again elsewhere
                    members.append(name)
                    numbers += [n for n in own if may_differ(n)]
                    form.append((kind, copies, *((n.key, None if may_differ(n) else n.text) for n in own)))
                case Read(name) if name in parameters:
                    if any(not start <= reader < stop for reader in body.readers[name]):
                        return None
                    if name not in members:
                        members.append(name)
                        shape = parameters[name].shape
                        assert shape is not None
                        numbers += shape
                        form.append(len(shape))
                    form.append(("member", members.index(name)))
                case Read(name) if name in order:
                    return None
                case Read(name):
                    if name not in inner and name not in inputs:
                        inputs.append(name)
                    form.append(inner.get(name) or ("input", inputs.index(name)))
                case _:
                    form.append(part)
        for k, name in enumerate(statement.names):
            inner[name] = ("value", place - start, k)
        form.append(("end", len(statement.names)))
    if not inputs or len(inputs) > _MOST_INPUTS or not members:
        return None
    if _is_chain(body, start, stop) and sum(order[name].block is not None for name in members) == stop - start:
        return None  # a chain of blocks reads well as it is
    if labels is None:
        own_names = ["_".join(order[name].path) for name in members]
        form += [_VARYING.sub("#", name) for name in own_names]
        path = order[members[0]].path
    else:
        if set(members) != set(labels):
            return None
        own_names = [labels[name] for name in members]
        form += own_names
    form.append(inner[result])
    return Run(
        body, start, stop, path, tuple(form), tuple(inputs), result, tuple(members), tuple(own_names), tuple(numbers)
    )


def may_differ(number: Number) -> bool:
    """Whether a hyperparameter of a layer may be one of the block: not if it is a word."""
    return number.text not in ("true", "false", "none") and not number.text.startswith('"')
