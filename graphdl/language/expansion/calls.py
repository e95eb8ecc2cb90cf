"""Calls: a callee and its arguments make a value or a module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphdl.graph.model import Value
from graphdl.language.expansion import modules
from graphdl.language.expansion.arguments import bind, check_names, has_tensors, one_tensor
from graphdl.language.expansion.context import Expansion
from graphdl.language.expansion.faults import Fault
from graphdl.language.expansion.frames import Frame, Scope
from graphdl.language.expansion.primitives import fold_list, initializer, primitive
from graphdl.language.expansion.values import (
    Argument,
    Definition,
    Function,
    InitializerName,
    Instance,
    Labelled,
    Partial,
    Pipeline,
    PrimitiveCall,
    Recipe,
    Repeated,
    describe,
    kind_of,
    one_or_more,
)
from graphdl.operators.primitive import Primitive
from graphdl.source import Span


def call(
    expansion: Expansion,
    callee: Any,
    positional: Sequence[Argument],
    named: Mapping[str, Argument],
    span: Span,
    scope: Scope,
) -> Any:
    """The value of ``callee(…)``: tensors if every port is filled, else a module."""
    if isinstance(callee, Instance) and isinstance(callee.module, Primitive):
        callee = callee.module
    if isinstance(callee, Primitive):
        folded = fold_list(callee, positional, named, span)
        return primitive(expansion, callee, positional, named, span, scope.frame) if folded is None else folded
    if isinstance(callee, InitializerName):
        return initializer(expansion, callee.name, positional, named, span, scope.frame)
    if isinstance(callee, Function):
        return _function(expansion, callee.name, positional, named, span, scope.frame)
    module = waiting(expansion, callee, positional, named, span)
    if is_complete(module):
        return one_or_more(modules.apply(expansion, module, (), scope.frame, span))
    return module


def waiting(
    expansion: Expansion, callee: Any, positional: Sequence[Argument], named: Mapping[str, Argument], span: Span
) -> Any:
    """The module that a call makes, with the tensors given so far."""
    if isinstance(callee, list):
        callee = Pipeline(tuple(Argument(item, span) for item in callee), span)
    match callee:
        case Primitive():
            check_names(callee.name, named, [*callee.inputs, *(h.name for h in callee.hypers)])
            return PrimitiveCall(callee, tuple(positional), named, span)
        case Definition():
            return bind(callee, positional, named, span)
        case Instance(module=Definition()) if not all(
            isinstance(a.value, Value) for a in (*positional, *named.values())
        ):
            return bind(callee.module, positional, named, span)  # `f = batchnorm` was an alias, not yet a module
        case Recipe() | Pipeline() | Repeated() | Instance() | Labelled() | Partial() | PrimitiveCall():
            for argument in (*positional, *named.values()):
                if has_tensors(argument.value):
                    message = f"'{kind_of(callee)}' takes tensors here, not a list of tensors"
                    raise Fault("E0301", message, argument.span, help=one_tensor(argument))
                if not _is_tensor(argument):
                    raise Fault(
                        "E0313",
                        f"'{kind_of(callee)}' has its hyperparameters already; {describe(argument.value)} is late",
                        argument.span,
                        help="the hyperparameters of a module are given all at once",
                    )
            if named:
                name, argument = next(iter(named.items()))
                raise Fault("E0204", f"the inputs of '{kind_of(callee)}' have no names here: '{name}'", argument.span)
            return Partial(callee, tuple(positional), span) if positional else callee
    raise Fault("E0310", f"{describe(callee)} cannot be called", span)


def is_complete(module: Any) -> bool:
    """Whether every port without a default is filled."""
    match module:
        case Recipe():
            return not _unfilled(module, len(module.tensors))
        case Partial():
            return True
        case Labelled():
            return is_complete(module.module)
    return False


def _unfilled(recipe: Recipe, tensors: int) -> list[str]:
    """The ports without a default that are unfilled after ``tensors`` tensors."""
    free = [port for port in recipe.definition.inputs if port.name not in recipe.ports]
    return [port.name for port in free[tensors:] if port.default is None]


def _function(
    expansion: Expansion,
    name: str,
    positional: Sequence[Argument],
    named: Mapping[str, Argument],
    span: Span,
    frame: Frame,
) -> Any:
    if named or len(positional) != 1:
        raise Fault("E0206", f"'{name}' takes one argument", span)
    (argument,) = positional
    if name == "is_list":
        return isinstance(argument.value, list)
    if not isinstance(argument.value, list):
        raise Fault("E0301", f"'{name}' works on a list, not {describe(argument.value)}", argument.span)
    if name == "len":
        return len(argument.value)
    return expansion.tensor_of_numbers(argument.value, None, frame.naming.module, argument.span)


def _is_tensor(argument: Argument) -> bool:
    return isinstance(argument.value, Value)
