"""Writes what repeats in an imported net as blocks: each is declared once, and used with the numbers that differ.

The hyperparameters of a block are the numbers that differ between its uses. A number that is always a multiple of
another one, or the pad that a kernel needs, is written as such.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from graphdl.importing.bodies import Body, Instance, Member
from graphdl.importing.names import Names, simple
from graphdl.importing.repeats import Run, groups, may_differ
from graphdl.importing.statements import Layer, Number, Part, Read, Statement, merged, with_names

_MOST_HYPERS = 10
_LEAST_SAVING = 100
"""The characters that a block must save at least."""
_LEAST_COPIES = 4
"""The uses of a block in a chain that are written as ``repeat``."""
_SIZES = frozenset(["channels", "units", "groups", "size", "n"])
"""Numbers that may depend on each other."""


class Blocks:
    """The blocks of a net."""

    def __init__(self, net: Body, names: Names, classes: Mapping[tuple[str, ...], str]) -> None:
        self.net, self.names, self.classes = net, names, classes
        self.blocks: list[Body] = []
        self._words: set[str] = set()
        """The names in the blocks, which no block may have."""

    def find(self) -> list[Body]:
        """Replaces what repeats in the net by uses of blocks, the greatest saving first. Returns the blocks, each
        before its first use.
        """
        for named in (True, False):
            while self._fold_best(named):
                pass
        for body in [self.net, *self.blocks]:
            _repeat(body)
        return self.blocks

    def _fold_best(self, named: bool) -> bool:
        """Makes one block: with names the one that saves most, without them the one that is used most."""
        best, most = None, (0, 0)
        for runs in groups([self.net, *self.blocks], named=named):
            if named and self.classes and any(run.body.path + run.path not in self.classes for run in runs):
                continue  # these are no modules, but parts of names
            found = _Hypers(runs)
            if len(found.hypers) > _MOST_HYPERS or found.saving < _LEAST_SAVING:
                continue
            gain = (0 if named else len(runs), found.saving)
            if gain > most:
                best, most = found, gain
        if best is None:
            return False
        self._fold(best)
        return True

    def _fold(self, found: _Hypers) -> None:
        """Declares the block of these runs, and puts its uses in their places."""
        runs = found.runs
        block = self._declared(found)
        users = [self.blocks.index(run.body) for run in runs if run.body is not self.net]
        self.blocks.insert(min(users, default=len(self.blocks)), block)
        for place in reversed(range(len(runs))):  # from the last one, so that the places of those before it stay
            run = runs[place]
            body = run.body
            name = self._name_of_use(run)
            inside = [next(k for k, m in enumerate(body.members) if m.name == wanted) for wanted in run.members]
            kept = [k for k in range(len(body.members)) if k not in inside or k == inside[0]]
            for instance in body.instances:
                part = Instance([instance.parts[k] for k in inside])
                instance.parts[inside[0]] = part
                instance.parts = [instance.parts[k] for k in kept]
                block.instances.append(part)
            body.members[inside[0]] = Member(name, block.name, run.path, block)
            body.members = [body.members[k] for k in kept]
            layer = Layer(block.name, tuple(found.arguments(place, block.hypers)), name)
            use = Statement((run.result,), (*_operands(run.inputs), layer), 0)
            body.statements[run.start : run.stop] = [use]
            body.index()

    def _name_of_use(self, run: Run) -> str:
        """The name of a use of a block in its body."""
        label = simple("_".join(run.path))
        if label in run.members:
            return label  # the name is free now
        if run.body is self.net:
            return self.names.new(label)
        return run.body.names().new(label)

    def _declared(self, found: _Hypers) -> Body:
        first = found.runs[0]
        statements = first.body.statements[first.start : first.stop]
        own = Names()
        for block in self.blocks:
            own.take(block.name)
        inputs = ["x"] if len(first.inputs) == 1 else ["a", "b", "c"][: len(first.inputs)]
        for name in [*inputs, "y"]:
            own.take(name)
        values = dict(zip(first.inputs, inputs, strict=True))
        values[first.result] = "y"
        labels = {name: own.new(found.label(place)) for place, name in enumerate(first.members)}
        hints = [re.sub(r"_\d+$", "", hyper.hint) for hyper in found.hypers]
        hints = ["padding" if hint == "pad" else hint for hint in hints]  # a primitive is called pad
        hypers = [replace(hyper, hint=own.new(hint)) for hyper, hint in zip(found.hypers, hints, strict=True)]
        beginning = "_".join(first.path[-2:]) + "_"
        for statement in statements:
            for name in statement.names:
                if name not in values:
                    values[name] = (
                        "_" if name not in first.body.readers else own.new(name.rpartition(beginning)[2] or name)
                    )
        texts = iter(found.texts([h.hint for h in hypers]))
        members = []
        known = {member.name: member for member in first.body.members}
        for old, label in labels.items():
            inner = _within(known[old].path, first.path) or tuple(label.split("_"))
            members.append(replace(known[old], name=label, path=inner))
            values[old] = label
        body = []
        pending = {member.name: member for member in members if member.shape is not None}
        for statement in statements:
            parts: list[Part] = []
            for part in with_names(statement, values, labels).parts:
                if isinstance(part, Read) and part.name in pending:
                    member = pending.pop(part.name)
                    assert member.shape is not None
                    member.shape = tuple(replace(n, text=next(texts)) for n in member.shape)
                elif isinstance(part, Number):
                    part = replace(part, text=next(texts))
                elif isinstance(part, Layer):
                    numbers = (replace(n, text=next(texts)) if may_differ(n) else n for n in part.numbers)
                    part = replace(part, numbers=tuple(numbers))
                parts.append(part)
            names = tuple(values[n] for n in statement.names)
            scope = _within(statement.scope, first.path) if statement.scope else None
            body.append(replace(statement, names=names, parts=tuple(parts), scope=scope))
        self._words |= {*values.values(), *labels.values(), *(h.hint for h in hypers)}
        name = self._name(found.runs)
        path = first.body.path + first.path
        return Body(name, body, members, [], frozenset(["y"]), inputs, hypers, path=path)

    def _name(self, runs: Sequence[Run]) -> str:
        """The kind of module that the uses are, or the last word of the names that they have most often."""
        words: Counter[str] = Counter()
        for run in runs:
            paths = [member.path for member in run.body.members if member.name in run.members]
            kind = self.classes.get(run.body.path + run.path, "Sequential")
            if kind != "Sequential" and run.path not in paths:
                words[re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind)] += 1
                continue
            path = _beginning(paths) if run.path in paths else run.path
            letters = [re.sub(r"[\d_]+[a-z]?$", "", part).removesuffix("s") for part in path or run.path]
            words.update([part for part in letters if part and not part[0].isdigit()][-1:])
        word = simple(words.most_common(1)[0][0]).lower() if words else "unit"
        word = "unit" if word == "block" or len(word) < 3 else word
        if Names().new(word) != word:
            word = f"{word}_unit"  # the library has a layer of the name
        name = self.names.new(word)
        while name in self._words:
            name = self.names.new(f"{word}_unit")
        return name


class _Hypers:
    """The numbers of runs that are alike: those that are the same, those that are hyperparameters of their block, and
    those that follow from one.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        self.hypers: list[Number] = []
        self._values: list[list[str]] = []
        self._terms: list[Callable[[Sequence[str]], str]] = []
        """For each number of a run, its text, given the names of the hyperparameters."""
        for column in zip(*(run.numbers for run in runs), strict=True):
            self._terms.append(self._term(column))
        order = sorted(range(len(self.hypers)), key=lambda k: self.hypers[k].default is not None)
        self._places = {old: new for new, old in enumerate(order)}
        self.hypers = [self.hypers[k] for k in order]
        self._values = [self._values[k] for k in order]

    def _term(self, column: Sequence[Number]) -> Callable[[Sequence[str]], str]:
        first, values = column[0], [n.text for n in column]
        if len(set(values)) == 1 and first.is_plain:
            return lambda names: values[0]
        sizes = _ints(values)
        for k, (hyper, others) in enumerate(zip(self.hypers, self._values, strict=True)):
            same_kind = hyper.hint == first.hint or {hyper.hint, first.hint} <= _SIZES
            if values == others and same_kind:
                return lambda names: names[self._places[k]]
            if (hyper.hint, first.hint) == ("kernel", "pad") and values == [_half(kernel) for kernel in others]:
                return lambda names: f"{names[self._places[k]]} // 2"
            bases = _ints(others)
            if sizes is None or bases is None:
                continue
            factor = sizes[0] // bases[0] if bases[0] else 0
            if same_kind and factor > 1 and all(s == factor * b for s, b in zip(sizes, bases, strict=True)):
                return lambda names: f"{factor} * {names[self._places[k]]}"
        place = len(self.hypers)
        default = first.default if first.default in values else None
        self.hypers.append(Number(default or "", first.hint, first.hint, default))
        self._values.append(values)
        return lambda names: names[self._places[place]]

    def texts(self, names: Sequence[str]) -> list[str]:
        """The numbers of the block, with these names of its hyperparameters."""
        return [term(names) for term in self._terms]

    def arguments(self, run: int, hypers: Sequence[Number]) -> list[Number]:
        """The numbers that one of the runs gives to the hyperparameters of the block."""
        return [
            replace(hyper, text=values[run], key=hyper.hint if hyper.default is not None else None)
            for hyper, values in zip(hypers, self._values, strict=True)
        ]

    def label(self, place: int) -> str:
        """The name of a member in the block: that of the runs, without the numbers in which they differ."""
        labels = [run.labels[place] for run in self.runs]
        if len(self.runs[0].labels) == 1:
            return "layer"
        if len(set(labels)) == 1:
            return labels[0]
        pieces = [re.split(r"(\d+[a-z]?(?![a-z]))", label) for label in labels]
        kept = [each[0] for each in zip(*pieces, strict=True) if len(set(each)) == 1]
        return re.sub(r"__+", "_", "".join(kept)).strip("_") or "layer"

    @property
    def saving(self) -> int:
        """The characters that the block saves."""
        texts = [sum(run.body.lengths[run.start : run.stop]) for run in self.runs]
        uses = sum(30 + len("_".join(run.path)) + 5 * len(self.hypers) for run in self.runs)
        return sum(texts) - uses - min(texts) - 40 - 10 * len(self.hypers)


def _operands(inputs: Sequence[str]) -> tuple[Part, ...]:
    """What stands before the use of a block: ``x -> ``, or ``(a, b) -> ``."""
    if len(inputs) == 1:
        return (Read(inputs[0]), " -> ")
    listed: list[Part] = ["("]
    for value in inputs:
        listed += [Read(value), ", "]
    return merged([*listed[:-1], ") -> "])


def _beginning(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """What all the paths begin with."""
    return tuple(parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False)))


def _within(path: tuple[str, ...], outer: tuple[str, ...]) -> tuple[str, ...] | None:
    """What follows ``outer`` in a path; None if it does not begin so."""
    return path[len(outer) :] if path[: len(outer)] == outer else None


def _half(kernel: str) -> str:
    """The pad that keeps the extents of an image."""
    return str(int(kernel) // 2) if kernel.isdigit() else f"{kernel} // 2"


def _ints(values: Sequence[str]) -> list[int] | None:
    return [int(v) for v in values] if all(v.isdigit() for v in values) else None


def _repeat(body: Body) -> None:
    """Writes a chain of equal uses of a block as ``repeat``. The copies are numbered from the name of the first one."""
    members = {member.name: member for member in body.members}
    start = 0
    while start < len(body.statements):
        stop = start + 1
        while stop < len(body.statements) and _goes_on(body, start, stop):
            stop += 1
        layers = [s.layers[-1] for s in body.statements[start:stop] if s.layers]
        first = layers[0].name if layers else ""
        numbered = [first, *(f"{first}_{k}" for k in range(2, len(layers) + 1))]
        free = all(name not in members or members[name].name == layers[k].name for k, name in enumerate(numbered))
        if stop - start >= _LEAST_COPIES and free:
            for layer, name in zip(layers, numbered, strict=True):
                members[layer.name].name = name
            head = body.statements[start]
            use = replace(layers[0], copies=len(layers))
            body.statements[start:stop] = [Statement(body.statements[stop - 1].names, (*head.parts[:-1], use), 0)]
            body.index()
        start += 1


def _goes_on(body: Body, start: int, stop: int) -> bool:
    """Whether a statement is the same use of a block as an earlier one, on the result of the statement before it."""
    first, last, own = body.statements[start], body.statements[stop - 1], body.statements[stop]
    blocks = {member.name for member in body.members if member.block is not None}
    for statement in (first, own):
        plain = statement.follows is not None and len(statement.parts) == 3 and len(statement.layers) == 1
        if not plain or statement.layers[0].name not in blocks:
            return False
    a, b = first.layers[0], own.layers[0]
    alone = own.follows == last.names[0] and len(body.readers[last.names[0]]) == 1 and last.names[0] not in body.results
    return alone and (a.kind, a.numbers) == (b.kind, b.numbers)
