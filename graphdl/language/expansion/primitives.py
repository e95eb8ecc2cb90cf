"""Application of primitives and initializers: arguments are checked, numbers are folded, and a node is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphdl.graph.model import Initializer, Value
from graphdl.graph.numbers import element_for, is_numeric
from graphdl.graph.operator import OperatorError, check_rank, hyperparameters, is_number
from graphdl.graph.types import Element, TensorType
from graphdl.language.expansion import arithmetic
from graphdl.language.expansion.arguments import check_names, missing, no_tensor, too_many, too_many_inputs, wrong_input
from graphdl.language.expansion.builder import at, fault_of
from graphdl.language.expansion.context import Expansion
from graphdl.language.expansion.faults import Fault
from graphdl.language.expansion.frames import Frame
from graphdl.language.expansion.shapes import whole_dimension
from graphdl.language.expansion.values import (
    Argument,
    PrimitiveCall,
    describe,
    one_or_more,
)
from graphdl.operators import PRIMITIVES
from graphdl.operators.initializers import INITIALIZERS
from graphdl.operators.primitive import Primitive
from graphdl.source import Span

_COMBINING: dict[str, Callable[[list[Any]], Any]] = {
    "sum": sum,
    "max": max,
    "min": min,
    "mean": lambda items: sum(items) / len(items),
}
"""Reductions that also accept lists of plain numbers."""


def primitive(
    expansion: Expansion,
    operator: Primitive,
    positional: Sequence[Argument],
    named: Mapping[str, Argument],
    span: Span,
    frame: Frame,
    *,
    convert: bool = False,
) -> Any:
    """Applies a primitive. The result is a number if all inputs are numbers, a module if inputs are missing, or a
    tensor.

    ``convert`` converts lists of numbers to tensors, for a primitive that is written as an operator (``x @ [[1],
    [2]]``).
    """
    names = [hyper.name for hyper in operator.hypers]
    check_names(operator.name, named, [*operator.inputs, *names])
    slots: list[Argument | None] = [named.get(port) for port in operator.inputs]
    given: dict[str, Argument] = {name: named[name] for name in names if name in named}
    extra: list[Argument] = []
    free = [i for i, slot in enumerate(slots) if slot is None]
    takes_numbers = operator.elementwise or convert
    for argument in positional:
        value = argument.value
        if operator.variadic and isinstance(value, list) and value and all(isinstance(v, Value) for v in value):
            extra.extend(Argument(item, argument.span) for item in value)
        elif isinstance(value, Value) or (free and is_numeric(value) and (takes_numbers or _is_nested(value))):
            if operator.variadic:
                extra.append(argument)
            elif free:
                slots[free.pop(0)] = argument
            else:
                raise too_many_inputs(operator.name, operator.inputs, argument)
        elif free and not operator.variadic and not _is_plain(value):
            raise wrong_input(operator.name, operator.inputs[free[0]], argument)
        else:
            left = [name for name in names if name not in given]
            if not left:
                raise too_many(operator.name, "hyperparameters", names, argument)
            given[left[0]] = argument
    if operator.variadic:
        if not extra:
            return PrimitiveCall(operator, tuple(positional), named, span)
        inputs = extra
    else:
        required = len(slots) - operator.optional_inputs
        if any(slot is None for slot in slots[:required]):
            return PrimitiveCall(operator, tuple(positional), named, span)
        inputs = [slot for slot in slots if slot is not None]
    if inputs and not any(isinstance(slot.value, Value) for slot in inputs):
        return _fold(operator, inputs, span)
    return _emit(expansion, operator, inputs, _hypers(operator, given, span), given, span, frame)


def _is_plain(value: Any) -> bool:
    """Whether a hyperparameter of a primitive may take the value: a number, a text, ``none`` or a list of these."""
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, int | float | str)


def _is_nested(value: Any) -> bool:
    """Whether the value is a list of lists. Given by position it is a tensor: a hyperparameter takes one by name."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], list)


def _emit(
    expansion: Expansion,
    operator: Primitive,
    inputs: Sequence[Argument],
    attributes: dict[str, Any],
    given: Mapping[str, Argument],
    span: Span,
    frame: Frame,
) -> Any:
    module = frame.naming.module
    values: list[Value] = []
    element: Element | None = None
    for argument in inputs:
        value = argument.value
        if not isinstance(value, Value):
            if not is_numeric(value):
                raise Fault("E0301", f"'{operator.name}' works on tensors, not {describe(value)}", argument.span)
            if element is None:
                element = element_for(operator.name, [a.value for a in inputs])
            value = expansion.tensor_of_numbers(value, element, module, argument.span)
        values.append(value)
    expansion.spend(1, span)
    try:
        return one_or_more(expansion.builder.apply(operator, values, attributes, module, span))
    except OperatorError as error:
        spans = {name: argument.span for name, argument in given.items()}
        raise expansion.operator_fault(error, values, span, spans, frame) from None


def _fold(operator: Primitive, inputs: Sequence[Argument], span: Span) -> Any:
    numbers = [argument.value for argument in inputs]
    for argument in inputs:
        if not isinstance(argument.value, int | float):
            message = f"'{operator.name}' works on tensors, not {describe(argument.value)}"
            help = no_tensor(argument) if isinstance(argument.value, list) else None
            raise Fault("E0301", message, argument.span, help=help)
    fold = operator.foldable
    if fold is None:
        raise Fault("E0301", f"'{operator.name}' works on tensors, not on numbers alone", span)
    return arithmetic.checked(lambda: fold(*numbers), span)


def fold_list(
    operator: Primitive, positional: Sequence[Argument], named: Mapping[str, Argument], span: Span
) -> float | None:
    """The value of ``max(3, n)`` or ``sum([1, 2])``, reductions of plain numbers; None for reductions of tensors."""
    if operator.name not in _COMBINING or named or not positional:
        return None
    combine = _COMBINING[operator.name]
    items = [argument.value for argument in positional]
    if len(items) == 1 and isinstance(items[0], list):
        items = items[0]
    elif len(items) == 1:
        return None
    if not items or not all(is_number(item) for item in items):
        return None
    result: float = arithmetic.checked(lambda: combine(items), span)
    return result


def _hypers(operator: Primitive, given: Mapping[str, Argument], span: Span) -> dict[str, Any]:
    try:
        return hyperparameters(operator, {name: argument.value for name, argument in given.items()}, describe)
    except OperatorError as error:
        argument = given.get(error.hyper or "")
        if argument is not None and isinstance(argument.value, list) and is_numeric(argument.value):
            error.help = error.help or no_tensor(argument)
        raise fault_of(error, span if argument is None else argument.span) from None


# ----------------------------------------------------------------------------------------------------- initializers


def initializer(
    expansion: Expansion,
    name: str,
    positional: Sequence[Argument],
    named: Mapping[str, Argument],
    span: Span,
    frame: Frame,
) -> Any:
    """An initializer for ``uniform(-1, 1)``, or a tensor for a shape as first argument, ``uniform([n], -1, 1)``."""
    known = INITIALIZERS[name]
    shape: Argument | None = None
    rest = list(positional)
    if rest and isinstance(rest[0].value, list):
        shape = rest.pop(0)
    check_names(name, named, list(known))
    arguments = dict(zip(known, rest, strict=False))
    if len(rest) > len(known):
        raise too_many(name, "numbers", list(known), rest[len(known)])
    for key, argument in named.items():
        if key in arguments:
            raise Fault("E0207", f"'{key}' is given twice", argument.written)
        arguments[key] = argument
    numbers = []
    for key, default in known.items():
        value = arguments[key].value if key in arguments else default
        if value is None:
            raise missing(name, key, span)
        if not is_number(value):
            raise Fault("E0301", f"'{key}' of '{name}' is a number, not {describe(value)}", arguments[key].span)
        numbers.append(float(value))
    made = Initializer(name, tuple(numbers))
    if shape is None:
        return made
    with at(shape.span):
        check_rank(len(shape.value))
    sizes = [whole_dimension(size, shape.span) for size in shape.value]
    constant = {"zeros": 0.0, "ones": 1.0}.get(name, numbers[0] if name == "constant" else None)
    if constant is not None:
        attributes = {"shape": sizes, "value": constant}
        return _emit(expansion, PRIMITIVES["fill"], (), attributes, {}, span, frame)
    attributes = {"initializer": made, "shape": sizes}
    node = expansion.builder.node("draw", (), attributes, (TensorType(tuple(sizes)),), frame.naming.module, span)
    return node.outputs[0]
