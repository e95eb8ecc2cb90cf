"""Arguments: assigned to ports and hyperparameters, with errors for those that do not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphdl.graph.model import Value
from graphdl.graph.numbers import is_numeric
from graphdl.language import syntax
from graphdl.language.expansion.faults import Fault
from graphdl.language.expansion.values import Argument, Definition, Recipe, describe
from graphdl.source import Span
from graphdl.suggest import did_you_mean, enumerated


def bind(definition: Definition, positional: Sequence[Argument], named: Mapping[str, Argument], span: Span) -> Recipe:
    """Assigns the arguments of a block: tensors to its ports, other values to its hyperparameters."""
    written = definition.written.hypers
    names = [hyper.name for hyper in written]
    ports = [port.name for port in definition.inputs]
    tensors = []
    hypers: dict[str, Argument] = {}
    for argument in positional:
        if isinstance(argument.value, Value):
            tensors.append(argument)
        elif definition.file.is_library and len(tensors) < len(ports) and has_tensors(argument.value):
            raise wrong_input(definition.name, ports[len(tensors)], argument)
        elif len(hypers) == len(names):
            raise too_many(definition.name, "hyperparameters", names, argument)
        else:
            hypers[names[len(hypers)]] = argument
    filled: dict[str, Argument] = {}
    check_names(definition.name, named, [*names, *ports])
    for name, argument in named.items():
        if name in names:
            if name in hypers:
                raise Fault("E0207", f"'{name}' is given twice", argument.written)
            if isinstance(argument.value, Value):
                raise Fault(
                    "E0301", f"'{name}' is a hyperparameter of '{definition.name}' and takes no tensor", argument.span
                )
            hypers[name] = argument
        elif isinstance(argument.value, Value):
            filled[name] = argument
        elif argument.value is not None or not _may_be_none(definition, name):
            raise Fault(
                "E0301", f"'{name}' is an input of '{definition.name}', a tensor, not {describe(argument.value)}",
                argument.span,
            )  # fmt: skip
    if len(tensors) + len(filled) > len(ports):
        raise too_many_inputs(definition.name, ports, tensors[len(ports) - len(filled)])
    for hyper in written:
        if hyper.default is None and hyper.name not in hypers:
            raise missing(definition.name, hyper.name, span)
    return Recipe(definition, tuple(tensors), filled, hypers, span)


def _may_be_none(definition: Definition, name: str) -> bool:
    """Whether ``none`` may be given for a port: its default is ``none``."""
    (port,) = (port for port in definition.inputs if port.name == name)
    return isinstance(port.default, syntax.Literal) and port.default.value is None


def missing(owner: str, name: str, span: Span) -> Fault:
    return Fault("E0205", f"'{owner}' wants '{name}', and it is not given", span)


def too_many(owner: str, what: str, names: Sequence[str], argument: Argument) -> Fault:
    known = f"{len(names)} ({enumerated(names)})" if names else "none"
    help = no_tensor(argument) if is_numeric(argument.value) and isinstance(argument.value, list) else None
    return Fault("E0206", f"too many {what} for '{owner}': it has {known}", argument.span, help=help)


def too_many_inputs(owner: str, ports: Sequence[str], argument: Argument) -> Fault:
    """The fault of a tensor for which no input is left."""
    if argument.in_list and len(ports) == 1:
        message = f"'{ports[0]}' of '{owner}' is a tensor, not a list of tensors"
        return Fault("E0301", message, argument.span, help=_joined(argument.span))
    return too_many(owner, "inputs", ports, argument)


def has_tensors(value: Any) -> bool:
    """Whether the value is a list with a tensor in it."""
    return isinstance(value, list) and any(isinstance(item, Value) or has_tensors(item) for item in value)


def wrong_input(owner: str, port: str, argument: Argument) -> Fault:
    """The fault of a value in place of a tensor that no hyperparameter takes either."""
    listed = has_tensors(argument.value)
    found = "a list of tensors" if listed else describe(argument.value)
    help = one_tensor(argument) if listed else None
    return Fault("E0301", f"'{port}' of '{owner}' is a tensor, not {found}", argument.span, help=help)


def one_tensor(argument: Argument) -> str:
    """The help for a list of tensors in place of a tensor."""
    if len(argument.value) == 1 and isinstance(argument.value[0], Value):
        return "without the brackets it is a tensor"
    return _joined(argument.span)


def _joined(span: Span) -> str:
    return f"join them first: concat({span.text if len(span.text) <= 40 else '[...]'})"


def no_tensor(argument: Argument) -> str:
    """The help for a list of numbers in place of a tensor."""
    written = argument.span.text
    return f"a list is no tensor: write tensor({written if len(written) <= 40 else '[...]'})"


def check_names(owner: str, named: Mapping[str, Argument], known: Sequence[str]) -> None:
    for name, argument in named.items():
        if name not in known:
            raise unknown_argument(owner, name, known, argument.written)


def unknown_argument(owner: str, name: str, known: Sequence[str], span: Span) -> Fault:
    help = did_you_mean(name, known)
    if help is None and known:
        help = f"it has {enumerated(known)}"
    return Fault("E0204", f"'{owner}' has no argument '{name}'", span, help=help)
