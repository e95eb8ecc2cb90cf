"""The text of an imported net while it is written: parameters, statements, and the values of the weights."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from graphdl.graph.types import TensorType
from graphdl.importing.names import Names, simple
from graphdl.importing.terms import ATOM, Term

_WORD = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class _Statement:
    """``names = text``, and how tightly the text binds."""

    names: tuple[str, ...]
    text: str
    level: int

    def __str__(self) -> str:
        return f"{', '.join(self.names)} = {self.text}"


class NetText:
    """The statements of one net."""

    def __init__(self) -> None:
        self.names = Names()
        self.inputs: list[str] = []
        self.parameters: list[str] = []
        self.statements: list[_Statement] = []
        self.outputs: list[str] = []
        self.weights: dict[str, np.ndarray] = {}
        self.hint = "t"
        """A proposal for the names of what is written next."""
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
        own = re.fullmatch(rf"{re.escape(simple(wanted))}(_\d+)?", term.text)
        if own and f"output {term.text}" not in self.outputs:
            self.outputs.append(f"output {term.text}")
            return term.text
        name = self.names.new(wanted)
        self.outputs.append(f"output {name} = {term.text}")
        return name

    def declare(self, name: str, array: np.ndarray) -> Term:
        if name not in self._declared:
            local = self.names.new(name)
            kind = TensorType(array.shape)
            self.parameters.append(f"param {local}: {kind} = zeros()")
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
            del self.weights[f"{module}.W"]
            text = f"{operand} -> {known}"
        self.statements[-1] = _Statement(last.names, text, last.level)
        return True

    def fresh(self, wanted: str) -> str:
        return self.names.new(wanted)

    def keep(self, *several: Term) -> tuple[Term, ...]:
        if len(several) == 1 and several[0].level == ATOM and several[0].text.isidentifier():
            return several
        names = tuple(self.names.new(self.hint) for _ in several)
        self.statements.append(_Statement(names, several[0].text, several[0].level))
        return tuple(Term(name, term.type) for name, term in zip(names, several, strict=True))

    def lines(self, name: str) -> Iterator[str]:
        yield f"net {name}() {{"
        yield from self.inputs
        yield from self.parameters
        yield from map(str, self._chained())
        yield from self.outputs
        yield "}"

    def _chained(self) -> list[_Statement]:
        """The statements, where a value that only the next layer of a chain reads has no statement of its own."""
        uses = Counter(word for text in (*map(str, self.statements), *self.outputs) for word in _WORD.findall(text))
        result: list[_Statement] = []
        for statement in self.statements:
            last = result[-1] if result else None
            if last is not None and len(last.names) == 1:
                (value,) = last.names
                start = f"{value} -> "
                if uses[value] == 2 and statement.text.startswith(start) and last.level in (0, ATOM):
                    text = f"{last.text} -> {statement.text.removeprefix(start)}"
                    result[-1] = _Statement(statement.names, text, 0)
                    continue
            result.append(statement)
        return result


def _identity(array: np.ndarray) -> int:
    """The identity of the array of which another is a view: of the initializer."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return id(array)
