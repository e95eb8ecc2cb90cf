"""The interface of a primitive operator to a graph: its ports, its hyperparameters and its shape rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from graphdl.graph.limits import RANK
from graphdl.graph.types import TensorType
from graphdl.graph.wording import Describe, describe
from graphdl.suggest import did_you_mean

REQUIRED: Any = object()
"""The default of a hyperparameter that must be given."""


class GraphError(Exception):
    """A graph refuses a request. The caller adds the place: a span of a text, or a line of Python."""

    def __init__(self, code: str, message: str, *, help: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.help = code, message, help


class OperatorError(GraphError):
    """An operator refuses its inputs or a hyperparameter.

    ``inputs`` are the indices of the ports at fault, and ``hyper`` is the hyperparameter at fault, if there is one.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        inputs: Sequence[int] = (),
        hyper: str | None = None,
        help: str | None = None,
    ) -> None:
        super().__init__(code, message, help=help)
        self.inputs, self.hyper = tuple(inputs), hyper


@dataclass(frozen=True)
class Hyper:
    """A hyperparameter.

    ``kind`` is int, number, bool, string, shape (list of int), ints (int or list of int), numbers or any.
    """

    name: str
    kind: str
    default: Any = REQUIRED
    choices: tuple[str, ...] = ()


Infer = Callable[[Sequence[TensorType], Mapping[str, Any]], Sequence[TensorType]]
"""Infers the output types from the input types, for one example, and the hyperparameters. Raises OperatorError."""


class Operator(Protocol):
    """The part of ``graphdl.operators.primitive.Primitive`` that a graph uses."""

    @property
    def name(self) -> str: ...

    @property
    def inputs(self) -> tuple[str, ...]: ...

    @property
    def optional_inputs(self) -> int: ...

    @property
    def variadic(self) -> bool: ...

    @property
    def hypers(self) -> tuple[Hyper, ...]: ...

    @property
    def infer(self) -> Infer: ...

    def batched(self, inputs: Iterable[bool]) -> bool: ...


def hyperparameters(operator: Operator, given: Mapping[str, Any], describe: Describe = describe) -> dict[str, Any]:
    """The values of all hyperparameters: the given ones, which are checked, and defaults for the others.

    ``describe`` describes a value in an error message.

    Raises:
        OperatorError: E0205, one is missing; E0301, E0302 or E0306, a value does not fit.
    """
    values = {}
    for hyper in operator.hypers:
        if hyper.name in given:
            values[hyper.name] = _checked(hyper, given[hyper.name], describe)
        elif hyper.default is REQUIRED:
            message = f"'{operator.name}' wants '{hyper.name}', and it is not given"
            raise OperatorError("E0205", message, hyper=hyper.name)
        else:
            values[hyper.name] = hyper.default
    return values


_KINDS = {
    "int": "an int", "number": "a number", "bool": "true or false", "string": "a text",
    "shape": "a list of ints", "ints": "an int or a list of them", "numbers": "a list of numbers",
}  # fmt: skip


def _checked(hyper: Hyper, value: Any, describe: Describe) -> Any:
    if value is None and hyper.default is None:
        return None
    if hyper.kind == "any":
        return value
    fits = {
        "int": _is_whole(value),
        "number": is_number(value),
        "bool": isinstance(value, bool),
        "string": isinstance(value, str),
        "shape": isinstance(value, list) and all(map(_is_whole, value)),
        "ints": _is_whole(value) or (isinstance(value, list) and all(map(_is_whole, value))),
        "numbers": isinstance(value, list) and all(map(is_number, value)),
    }[hyper.kind]
    if not fits:
        help = None
        if isinstance(value, float) and hyper.kind in ("int", "ints") and value.is_integer():
            help = "divide with '//' for an int"
        message = f"'{hyper.name}' is {_KINDS[hyper.kind]}, not {describe(value)}"
        raise OperatorError("E0301", message, hyper=hyper.name, help=help)
    if hyper.kind in ("shape", "ints") and isinstance(value, list):
        try:
            check_rank(len(value))
        except GraphError as error:
            raise OperatorError(error.code, error.message, hyper=hyper.name) from None
    if hyper.choices and value not in hyper.choices:
        shown = ", ".join(f'"{choice}"' for choice in hyper.choices)
        message = f"'{hyper.name}' is one of {shown}, not \"{value}\""
        raise OperatorError("E0306", message, hyper=hyper.name, help=did_you_mean(value, hyper.choices))
    return list(value) if isinstance(value, list) else value


def check_rank(length: int) -> None:
    """Raises GraphError (E0302) if a tensor of ``length`` dimensions has too many."""
    if length > RANK:
        raise GraphError("E0302", f"a tensor of {length:,} dimensions has too many: the limit is {RANK}")


def is_number(value: Any) -> bool:
    """Whether the value is an int or a float, but not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
