"""The text of an imported net while it is written: parameters, statements, and the values of the weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from graphdl.graph.types import TensorType
from graphdl.importing.blocks import Blocks
from graphdl.importing.bodies import Body, Instance, Member, chained, final_names, parameter, tidied
from graphdl.importing.names import Names, simple
from graphdl.importing.statements import Statement, parsed
from graphdl.importing.terms import ATOM, Term
from graphdl.language.formatter import format_source
from graphdl.source import Source

_WORD = re.compile(r"[^\W\d]\w*")


class NetText:
    """The statements of one net."""

    def __init__(self) -> None:
        self.names = Names()
        self.inputs: list[str] = []
        self.statements: list[Statement] = []
        self.outputs: list[str] = []
        self.weights: dict[str, np.ndarray] = {}
        self.hint = "t"
        """A proposal for the names of what is written next."""
        self.scope: tuple[str, ...] | None = None
        """The module of the imported model to which what is written next belongs, if that is known."""
        self.classes: dict[tuple[str, ...], str] = {}
        """The kinds of the modules of the imported model, if they are known."""
        self._around: set[str] = set()
        """The names outside of the body of a loop, while it is written, and its variables."""
        self._members: dict[str, Member] = {}
        """The parameters and layers by their names."""
        self._declared: dict[str, Term] = {}
        self._modules: dict[tuple[str, tuple[int, ...]], str] = {}
        """Modules by their call and the identities of their weights."""
        self._kept: list[np.ndarray] = []
        """The weights of the modules: while they live, their identities are theirs."""

    def input(self, wanted: str, kind: TensorType) -> tuple[str, Term]:
        """An input of the net: its name, and its value."""
        name = self.names.new(wanted)
        self.inputs.append(f"input {name}: {kind}")
        return name, Term(name, kind)

    def output(self, wanted: str, term: Term) -> str:
        """Makes a value an output of the net, and returns its name."""
        base = simple(wanted)
        name = base if term.text == base else self.names.new(wanted)
        if name != base and re.fullmatch(rf"{re.escape(base)}_\d+", term.text):
            name = term.text  # the value's own name is as near to it as any
        if name == term.text and f"output {name}" in self.outputs:
            name = self.names.new(wanted)
        self.outputs.append(f"output {name}" if name == term.text else f"output {name} = {term.text}")
        return name

    def declare(self, name: str, array: np.ndarray) -> Term:
        if name not in self._declared:
            local = self.names.new(name)
            kind = TensorType(array.shape)
            self._members[local] = parameter(local, parts(name), array.shape)
            self.weights[local] = np.array(array, np.float32, order="C")
            self._declared[name] = Term(local, kind)
        return self._declared[name]

    def layer(self, term: Term, name: str, weights: Mapping[str, np.ndarray]) -> Term:
        operand, _, applied = term.text.rpartition(" -> ")
        key = (applied, tuple(map(_identity, weights.values())))
        known = self._modules.get(key)
        if known is not None:  # the same layer again
            return Term(f"{operand} -> {known}", term.type, 0)
        local = self._modules[key] = self.names.new(name)
        self._members[local] = Member(local, applied.partition("(")[0], parts(name))
        self._kept.extend(weights.values())
        for port, array in weights.items():
            self.weights[f"{local}.{port}"] = np.array(array, np.float32, order="C")
        return Term(f"{term.text} as {local}", term.type, 0)

    def biased(self, term: Term, bias: np.ndarray) -> bool:
        last = self.statements[-1] if self.statements else None
        if last is None or last.names != (term.text,):
            return False
        found = re.search(r" -> linear\((\d+), bias = false\) as (\w+)$", last.text)
        if found is None or int(found[1]) != bias.size:
            return False
        operand, units, module = last.text[: found.start()], found[1], found[2]
        plain = next(key for key, name in self._modules.items() if name == module)
        del self._modules[plain]
        key = (f"linear({units})", (*plain[1], _identity(bias)))
        known = self._modules.setdefault(key, module)
        self._kept.append(bias)
        if known == module:
            self.weights[f"{module}.b"] = np.array(bias, np.float32, order="C").reshape(-1)
            text = f"{operand} -> linear({units}) as {module}"
        else:  # the same layer again
            del self.weights[f"{module}.W"], self._members[module]
            text = f"{operand} -> {known}"
        self.statements[-1] = replace(last, parts=(text,))
        return True

    def fresh(self, wanted: str) -> str:
        return self.names.new(wanted)

    def keep(self, *several: Term, hints: Sequence[str] = ()) -> tuple[Term, ...]:
        if len(several) == 1 and several[0].level == ATOM and several[0].text.isidentifier():
            return several
        names = tuple(self.names.new(hint) for hint in hints or [self.hint] * len(several))
        self.statements.append(Statement(names, (several[0].text,), several[0].level, self.scope))
        return tuple(Term(name, term.type) for name, term in zip(names, several, strict=True))

    @contextmanager
    def inside(self, names: Iterable[str]) -> Iterator[Callable[[Iterable[str]], list[str]]]:
        outer = self.statements, self._modules, self._around, self.hint, self.scope
        own = {*names, *(name for statement in self.statements for name in statement.names)}
        # layers of the body have no names outside of it
        self.statements, self._modules, self._around = [], dict(self._modules), self._around | own
        try:
            yield self._lines
        finally:
            self.statements, self._modules, self._around, self.hint, self.scope = outer

    def _lines(self, results: Iterable[str]) -> list[str]:
        """The statements of the body of a loop."""
        body = self._body("", [], results)
        return [str(statement) for statement in chained(body.statements, body.results)]

    def _body(self, name: str, members: list[Member], results: Iterable[str]) -> Body:
        """The statements in parts, and written shorter. ``results`` are texts that read values."""
        values = {*self._members, *self._around, *(line.split()[1].rstrip(":") for line in self.inputs)}
        values.update(name for statement in self.statements for name in statement.names)
        statements = [parsed(s, values) for s in self.statements]
        read = frozenset(word for text in results for word in _WORD.findall(text) if word in values)
        body = Body(name, statements, members, [Instance([member.name for member in members])], read)
        tidied(body)
        return body

    def finished(self, wanted: str) -> tuple[str, dict[str, np.ndarray]]:
        """The text of the net, and its weights by the paths that they have there."""
        name = self.names.new(wanted)
        places = {word: k for k, s in reversed([*enumerate(self.statements)]) for word in _WORD.findall(s.text)}
        members = sorted(self._members.values(), key=lambda member: places.get(member.name, -1))
        net = self._body(name, members, self.outputs)
        blocks = Blocks(net, self.names, self.classes).find()
        paths = final_names(net, net.instances[0])
        weights = {".".join([paths[head], *rest]): w for (head, *rest), w in _by_parts(self.weights)}
        body = [*self.inputs, *net.declarations(), *map(str, chained(net.statements, net.results)), *self.outputs]
        texts = ["\n".join(block.lines()) for block in blocks] + ["\n".join([f"net {name}() {{", *body, "}"])]
        return format_source(Source(name, "\n\n".join(texts) + "\n")), weights


def parts(name: str) -> tuple[str, ...]:
    """The parts of a layer's name: ``layer1.0.conv1`` has three."""
    found = [part for part in re.split(r"[^0-9A-Za-z_]+", name) if part]
    found = found if len(found) > 1 else [part for part in name.split("_") if part]
    return tuple(found) or ("t",)


def _by_parts(weights: Mapping[str, np.ndarray]) -> Iterator[tuple[list[str], np.ndarray]]:
    for path, array in weights.items():
        yield path.split("."), array


def _identity(array: np.ndarray) -> int:
    """The identity of the array of which another is a view: of the initializer."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return id(array)
