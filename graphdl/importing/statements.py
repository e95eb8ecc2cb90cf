"""The statements of an imported net in parts: what they read, the layers that they name, and their numbers.

Two statements are alike if their parts are the same except for names and numbers. That is what the search for repeated
blocks compares.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace

_TOKEN = re.compile(r'"[^"]*"|[^\W\d]\w*|\d[\w.]*(?:(?<=e)[-+]\d+)?|\s+|\S')
_NUMBERS = re.compile(r"\[[-\d.,e\s\[\]]*\]")
_LAYER = re.compile(r"(?P<before>.*) -> (?P<kind>\w+)(?:\((?P<arguments>[^()]*)\))? as (?P<name>\w+)", re.DOTALL)
_PLAIN = re.compile(r'[-\d.,e\s\[\]]+|true|false|none|"[^"]*"')
_POSITIONS = {"conv": ("channels", "kernel"), "linear": ("units",), "lstm": ("units",), "gru": ("units",)}
"""The names of the first hyperparameters of some layers, by the beginning of the layer's name."""
_DEFAULTS = {"stride": "1", "pad": "0", "dilation": "1", "groups": "1"}
"""The defaults of convolutions, which the import leaves out."""


@dataclass(frozen=True, slots=True)
class Read:
    """A value or a parameter that is read."""

    name: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number or a list of numbers, or an expression in its place; ``hint`` is a proposal for its name. ``key`` and
    ``default`` are those of a hyperparameter that is given by name and may be left out.
    """

    text: str
    hint: str = "n"
    key: str | None = None
    default: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the text names nothing."""
        return _PLAIN.fullmatch(self.text) is not None


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with weights, under its own name: ``kind(numbers) as name``. With ``copies`` it is repeated."""

    kind: str
    numbers: tuple[Number, ...]
    name: str
    copies: int = 1

    def __str__(self) -> str:
        given = [f"{n.key} = {n.text}" if n.key else n.text for n in self.numbers if not n.key or n.text != n.default]
        arguments = f"({', '.join(given)})" if given else ""
        text = f"{self.kind}{arguments} as {self.name}"
        return text if self.copies == 1 else f"repeat {self.copies} {{ {text} }}"


Part = str | Read | Number | Layer


@dataclass(frozen=True, slots=True)
class Statement:
    """``names = text`` in parts; ``level`` says how tightly the text binds (see ``terms``). ``scope`` is the module of
    the imported model to which it belongs, if that is known.
    """

    names: tuple[str, ...]
    parts: tuple[Part, ...]
    level: int
    scope: tuple[str, ...] | None = None

    @property
    def text(self) -> str:
        return "".join(shown(part) for part in self.parts)

    def __str__(self) -> str:
        return f"{', '.join(self.names)} = {self.text}"

    @property
    def reads(self) -> list[str]:
        return [part.name for part in self.parts if isinstance(part, Read)]

    @property
    def layers(self) -> list[Layer]:
        return [part for part in self.parts if isinstance(part, Layer)]

    @property
    def follows(self) -> str | None:
        """The value that a chain of this statement begins with."""
        first = self.parts[0]
        goes_on = len(self.parts) > 1 and isinstance(self.parts[1], str) and self.parts[1].startswith(" -> ")
        return first.name if isinstance(first, Read) and goes_on else None


def shown(part: Part) -> str:
    """The text of a part."""
    match part:
        case Read(name):
            return name
        case Number(text):
            return text
    return str(part)


def parsed(statement: Statement, values: Container[str]) -> Statement:
    """A statement of one text in parts; ``values`` has the names of all values, parameters and layers."""
    text = statement.text
    layer = _LAYER.fullmatch(text)
    if layer is None:
        return replace(statement, parts=merged(_parts(text, values)))
    numbers = _numbers(layer["kind"], layer["arguments"] or "")
    last = Layer(layer["kind"], tuple(numbers), layer["name"])
    return replace(statement, parts=(*merged(_parts(f"{layer['before']} -> ", values)), last))


def _numbers(kind: str, arguments: str) -> Iterator[Number]:
    """The hyperparameters of a layer; those that a convolution leaves out have their defaults."""
    positions = next((found for start, found in _POSITIONS.items() if kind.startswith(start)), ())
    given: dict[str, str] = {}
    for place, argument in enumerate(_split(arguments)):
        key, equals, value = argument.partition(" = ")
        if equals:
            given[key] = value
        else:
            yield Number(argument, positions[place] if place < len(positions) else "n")
    if kind.startswith("conv"):
        for key, default in _DEFAULTS.items():
            yield Number(given.pop(key, default), key, key, default)
    for key, value in given.items():
        yield Number(value, key, key)


def _split(arguments: str) -> list[str]:
    """What commas outside of brackets separate."""
    found, depth = [""], 0
    for sign in arguments:
        depth += (sign in "[(") - (sign in ")]")
        if sign == "," and not depth:
            found.append("")
        else:
            found[-1] += sign
    return [item.strip() for item in found if item.strip()]


def _parts(text: str, values: Container[str]) -> Iterator[Part]:
    place, before, hint = 0, "", "n"
    while place < len(text):
        is_index = before[-1:].isalnum() or before[-1:] in ("_", "]", ")")
        listed = _NUMBERS.match(text, place) if text[place] == "[" and not is_index else None
        found = listed or _TOKEN.match(text, place)
        assert found is not None
        token, place = found[0], found.end()
        if token.isspace():
            yield token
            continue
        is_key = re.match(r"\s*=(?!=)", text[place:]) is not None
        if listed or token[0].isdigit():
            yield Number(token, hint)
        elif token in values and not is_key:
            yield Read(token)
        else:
            yield token
        if is_key:
            hint = token
        elif token != "=":
            hint = "n"
        before = token


def merged(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The parts, where texts that follow each other are one."""
    result: list[Part] = []
    for part in parts:
        if isinstance(part, str) and result and isinstance(result[-1], str):
            result[-1] += part
        else:
            result.append(part)
    return tuple(result)


def with_names(statement: Statement, names: dict[str, str], layers: dict[str, str]) -> Statement:
    """The statement with other names for what it defines and reads, and for its layers."""
    parts: list[Part] = []
    for part in statement.parts:
        if isinstance(part, Read):
            part = Read(names.get(part.name, part.name))
        elif isinstance(part, Layer):
            part = replace(part, name=layers.get(part.name, part.name))
        parts.append(part)
    return replace(statement, names=tuple(names.get(n, n) for n in statement.names), parts=tuple(parts))
