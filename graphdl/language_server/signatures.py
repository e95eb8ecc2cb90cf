"""The signatures of blocks, primitives, initializers and the settings of a train section."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphdl.language import syntax
from graphdl.language.expansion import symbols
from graphdl.language.expansion.symbols import Symbol
from graphdl.language.expansion.values import Definition
from graphdl.operators.initializers import INITIALIZERS
from graphdl.operators.primitive import REQUIRED, Primitive

Settings = Mapping[str, Mapping[str, Callable[..., Any]]]
"""Maps words such as ``optimizer`` to their settings, each with the function that makes it. The function's first
parameter is not an argument of the user.
"""

_FUNCTIONS = {
    "len": ("list", "How many items a list has."),
    "is_list": ("value", "Whether a value is a list."),
    "tensor": ("list", "A tensor of the numbers of nested lists."),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    label: str
    """The parameter as written in a declaration: ``stride = 1``."""
    required: bool
    port: bool = False
    """Whether it takes a tensor."""


@dataclass(frozen=True, slots=True)
class Signature:
    name: str
    parameters: tuple[Parameter, ...]
    results: str = ""
    documentation: str | None = None
    label: str = ""
    """The whole signature, as written in a declaration."""

    @property
    def ports(self) -> list[Parameter]:
        return [p for p in self.parameters if p.port]

    @property
    def places(self) -> list[tuple[int, int]]:
        """The start and end of each parameter in the label."""
        found: dict[str, tuple[int, int]] = {}
        end = len(self.name)
        for parameter in (*self.hypers, *self.ports):
            start = self.label.index(parameter.label, end + 1)
            end = start + len(parameter.label)
            found[parameter.name] = (start, end)
        return [found[parameter.name] for parameter in self.parameters]

    @property
    def hypers(self) -> list[Parameter]:
        return [p for p in self.parameters if not p.port]


def of_symbol(symbol: Symbol) -> Signature | None:
    """The signature of a symbol; None if it is not certainly callable."""
    if symbol.definition is not None:
        return of_definition(symbol.definition)
    if isinstance(symbol.written, Primitive):
        return of_primitive(symbol.written)
    if symbol.kind == symbols.INITIALIZER:
        return of_initializer(symbol.name)
    if symbol.kind == symbols.FUNCTION and symbol.name in _FUNCTIONS:
        argument, documentation = _FUNCTIONS[symbol.name]
        return Signature(
            symbol.name, (Parameter(argument, argument, True),), "", documentation, f"{symbol.name}({argument})"
        )
    return None


def of_definition(definition: Definition) -> Signature:
    written = definition.written
    hypers = [Parameter(h.name, _flat(h.span.text), h.default is None) for h in written.hypers]
    ports = [Parameter(p.name, _port(p), p.default is None, port=True) for p in definition.inputs]
    results = ", ".join(_port(p) for p in written.outputs) if isinstance(written, syntax.Block) else ""
    results = results or ", ".join(definition.outputs)
    head = f"{definition.name}({', '.join(h.label for h in hypers)})"
    label = f"{head}: {', '.join(p.label for p in ports)} -> {results}"
    return Signature(definition.name, (*ports, *hypers), results, written.documentation, label)


def of_primitive(primitive: Primitive) -> Signature:
    ports = [
        Parameter(name, name, number < len(primitive.inputs) - primitive.optional_inputs, port=True)
        for number, name in enumerate(primitive.inputs)
    ]
    hypers = [
        Parameter(
            hyper.name,
            hyper.name if hyper.default is REQUIRED else f"{hyper.name} = {_literal(hyper.default)}",
            hyper.default is REQUIRED,
        )
        for hyper in primitive.hypers
    ]
    results = ", ".join(primitive.outputs)
    head = f"{primitive.name}({', '.join(h.label for h in hypers)})"
    inputs = ", ".join(p.label for p in ports) + (", …" if primitive.variadic else "")
    label = f"{head}: {inputs} -> {results}" if ports or primitive.variadic else head
    return Signature(primitive.name, (*ports, *hypers), results, primitive.documentation or None, label)


def of_initializer(name: str) -> Signature:
    parameters = tuple(
        Parameter(key, key if default is None else f"{key} = {_literal(default)}", default is None)
        for key, default in INITIALIZERS[name].items()
    )
    label = f"{name}({', '.join(p.label for p in parameters)})"
    return Signature(name, parameters, "", "An initializer; with a shape first, a tensor.", label)


def of_setting(name: str, make: Callable[..., Any]) -> Signature:
    """The signature of a setting of a train section, from the Python function that makes it."""
    parameters = []
    for parameter in list(inspect.signature(make).parameters.values())[1:]:
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            required = parameter.default is parameter.empty
            label = parameter.name if required else f"{parameter.name} = {_literal(parameter.default)}"
            parameters.append(Parameter(parameter.name, label, required))
    label = f"{name}({', '.join(p.label for p in parameters)})"
    return Signature(name, tuple(parameters), "", inspect.getdoc(make), label)


def _port(port: syntax.Port) -> str:
    """``x: [c, h, w]``; for an input of a net, only the name and the type."""
    if port.type is None:
        return port.name
    text = f"{port.name}: {_flat(port.type.span.text)}"
    return f"{text} = {_flat(port.default.span.text)}" if port.default is not None else text


def _flat(text: str) -> str:
    return " ".join(text.split())


def _literal(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
