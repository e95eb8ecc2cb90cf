"""Application of modules to tensors: blocks are expanded and named here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from graphdl.graph.builder import Naming
from graphdl.graph.model import Module, Value
from graphdl.graph.types import Element
from graphdl.language import syntax
from graphdl.language.expansion import limits, shapes
from graphdl.language.expansion.arguments import bind, missing, too_many_inputs
from graphdl.language.expansion.context import Expansion
from graphdl.language.expansion.faults import Fault, Poison, Poisoned, Refused
from graphdl.language.expansion.frames import Frame, Scope
from graphdl.language.expansion.primitives import primitive
from graphdl.language.expansion.values import (
    Applied,
    Argument,
    Definition,
    Instance,
    Labelled,
    Outputs,
    Partial,
    Pipeline,
    PrimitiveCall,
    Recipe,
    Repeated,
    describe,
    first_of,
    kind_of,
    one_or_more,
)
from graphdl.operators.primitive import Primitive
from graphdl.source import Span


def apply(
    expansion: Expansion, module: Any, tensors: Sequence[Argument], frame: Frame, span: Span, home: Module | None = None
) -> tuple[Value, ...]:
    """The outputs of a module for the given tensors. ``home`` is its module in the graph, if it has a name."""
    expansion.spend(1, span)
    match module:
        case Recipe():
            return _block(expansion, module, tensors, frame, span, home)
        case Definition():
            return _block(expansion, bind(module, (), {}, span), tensors, frame, span, home)
        case PrimitiveCall():
            return _primitive(expansion, module.primitive, (*tensors, *module.positional), module.named, frame, span)
        case Primitive():
            return _primitive(expansion, module, tensors, {}, frame, span)
        case Partial():
            return apply(expansion, module.module, (*tensors, *module.tensors), frame, span, home)
        case Instance():
            return _instance(expansion, module, tensors, frame, span)
        case Labelled():
            return _labelled(expansion, module, tensors, frame, span)
        case Pipeline():
            return _chain(expansion, module.members, tensors, frame, span, home)
        case Repeated():
            expansion.spend(module.count, span)
            return _chain(expansion, (module.body,) * module.count, tensors, frame, span, home)
    raise Fault("E0310", f"what stands right of '->' is a module, not {describe(module)}", span)


def _primitive(
    expansion: Expansion,
    operator: Primitive,
    positional: Sequence[Argument],
    named: Mapping[str, Argument],
    frame: Frame,
    span: Span,
) -> tuple[Value, ...]:
    value = primitive(expansion, operator, positional, named, span, frame)
    if isinstance(value, PrimitiveCall):
        given = sum(isinstance(argument.value, Value) for argument in (*positional, *named.values()))
        raise Fault(
            "E0205",
            f"'{operator.name}' wants {len(operator.inputs)} tensors ({', '.join(operator.inputs)}), and gets {given}",
            span,
        )
    return value.values if isinstance(value, Outputs) else (value,)


def _chain(
    expansion: Expansion,
    members: Sequence[Argument],
    tensors: Sequence[Argument],
    frame: Frame,
    span: Span,
    home: Module | None,
) -> tuple[Value, ...]:
    """Applies the members one after the other, inside ``home`` if the chain has a name."""
    outer = frame.naming
    first = expansion.builder.count
    if home is not None:
        frame.naming = Naming(home)
        home.inputs = [argument.value for argument in tensors]
    try:
        values = tuple(argument.value for argument in tensors)
        flowing = tensors
        for member in members:
            values = apply(expansion, member.value, flowing, frame, member.span)
            flowing = (Argument(values[0], member.span),)
    finally:
        frame.naming = outer
    if not values:
        raise Fault("E0310", "an empty list of modules gives nothing by itself", span)
    if home is not None:
        home.outputs = list(values)
        home.applications.append((first, expansion.builder.count))
    return values


def _instance(
    expansion: Expansion, instance: Instance, tensors: Sequence[Argument], frame: Frame, span: Span
) -> tuple[Value, ...]:
    module = instance.module
    if isinstance(module, Instance):
        return _instance(expansion, module, tensors, frame, span)
    if instance.made is None and not isinstance(module, Primitive | PrimitiveCall):
        kind = "chain" if isinstance(module, Pipeline | Repeated) else kind_of(module)
        instance.made = expansion.builder.module(instance.naming, instance.name, kind, instance.span, level=False)
    return apply(expansion, module, tensors, frame, span, instance.made)


def _labelled(
    expansion: Expansion, labelled: Labelled, tensors: Sequence[Argument], frame: Frame, span: Span
) -> tuple[Value, ...]:
    """``as``: names the module and its value. In loops, the copies are numbered."""
    module = labelled.module
    complete: Sequence[Argument] = ()
    if isinstance(module, Partial):
        module, complete = module.module, module.tensors
    elif isinstance(module, Recipe) and module.tensors:
        complete = module.tensors
        module = Recipe(module.definition, (), module.ports, module.hypers, module.span)
    instance = module if isinstance(module, Instance) else Instance(module, labelled.name, frame.naming, span)
    values = _instance(expansion, instance, (*tensors, *complete), frame, span)
    home = labelled.scope.home
    if home.frame is frame:
        held = Applied(one_or_more(values), instance)
        home.names[labelled.name] = held
        made = instance.made
        if made is not None and made.path.rsplit(".", 1)[-1] != labelled.name and not isinstance(module, Instance):
            home.names[made.path.rsplit(".", 1)[-1]] = held
    node = values[0].node
    if node.name is None:
        node.name = labelled.name
    return values


# ----------------------------------------------------------------------------------------------------------- blocks


def _block(
    expansion: Expansion, recipe: Recipe, tensors: Sequence[Argument], frame: Frame, span: Span, home: Module | None
) -> tuple[Value, ...]:
    """Expands the body of a block for these tensors."""
    definition = recipe.definition
    if frame.depth >= limits.DEPTH:
        raise _too_deep(frame, span)
    expansion.spend(limits.BLOCK_STEPS, span)
    if not definition.outputs:
        raise Fault("E0501", f"'{definition.name}' has no output, so it gives nothing as a block", span)
    filled = _ports(recipe, [*tensors, *recipe.tensors], span)
    if home is None:
        home = expansion.builder.module(frame.naming, definition.name, definition.name, span, level=True)
    home.documentation = definition.written.documentation
    inner = Frame(
        definition.file, definition, Naming(home), frame, span,
        {name: argument.span for name, argument in recipe.hypers.items()}, frame.depth + 1, frame.in_scan,
    )  # fmt: skip
    scope = Scope(inner)
    bound: dict[str, str] = {}
    first = expansion.builder.count
    with reported(expansion, inner):
        bind_hypers(expansion, definition.written.hypers, {n: a.value for n, a in recipe.hypers.items()}, scope)
    home.hyperparameters = {hyper.name: scope.names[hyper.name] for hyper in definition.written.hypers}
    for port in definition.inputs:
        if port.name in filled:
            argument = filled[port.name]
            if port.type is not None and definition.needed is None:
                shapes.match(
                    expansion, port.name, port.type, argument.value, scope, span,
                    owner=definition.name, binds=True, bound=bound,
                )  # fmt: skip
            inner.given[port.name] = argument.value
    with reported(expansion, inner):
        for port in definition.inputs:
            if port.name not in filled:
                inner.given[port.name] = _default(expansion, port, scope, bound)
    if definition.needed is None:
        scope.names.update(inner.given)
    home.inputs = [inner.given[port.name] for port in definition.inputs if inner.given[port.name] is not None]
    try:
        expansion.execute(definition.written.body, scope)
    except Refused:
        raise Poisoned from None
    outputs = _outputs(expansion, definition, scope, bound)
    home.outputs = list(outputs)
    home.applications.append((first, expansion.builder.count))
    return outputs


@contextmanager
def reported(expansion: Expansion, frame: Frame) -> Iterator[None]:
    """Reports a fault in a block's own text, and raises Poisoned to the caller of the block."""
    try:
        yield
    except Fault as fault:
        expansion.report(fault, frame)
        raise Poisoned from None


def _too_deep(frame: Frame, span: Span) -> Fault:
    counts: dict[str, int] = {}
    current: Frame | None = frame
    while current is not None:
        if current.definition is not None:
            counts[current.definition.name] = counts.get(current.definition.name, 0) + 1
        current = current.caller
    name = max(counts, key=lambda key: counts[key])
    return Fault(
        "E0216", f"'{name}' stands inside itself without end: blocks nest more than {limits.DEPTH} deep", span,
        help="a block that uses itself needs an if that ends it",
    )  # fmt: skip


def _ports(recipe: Recipe, tensors: Sequence[Argument], span: Span) -> dict[str, Argument]:
    """Maps the ports to their tensors."""
    definition = recipe.definition
    filled = dict(recipe.ports)
    free = [port for port in definition.inputs if port.name not in filled]
    if len(tensors) > len(free):
        raise too_many_inputs(definition.name, [p.name for p in definition.inputs], tensors[len(free)])
    filled.update((port.name, argument) for port, argument in zip(free, tensors, strict=False))
    for port in free[len(tensors) :]:
        if port.default is None:
            raise missing(definition.name, port.name, span)
    return filled


def bind_hypers(expansion: Expansion, written: Sequence[syntax.Hyper], given: Mapping[str, Any], scope: Scope) -> None:
    """Sets each hyperparameter to its given value or to its default, which may refer to earlier ones."""
    for hyper in written:
        if hyper.name in given:
            scope.names[hyper.name] = given[hyper.name]
            continue
        assert hyper.default is not None  # the call has been checked for missing hyperparameters
        scope.names[hyper.name] = expansion.operand(hyper.default, scope)


def _default(expansion: Expansion, port: syntax.Port, scope: Scope, bound: dict[str, str]) -> Value | None:
    """The tensor for a port that is not given. None if its default is ``none``."""
    assert port.default is not None
    value = expansion.operand(port.default, scope)
    if value is None:
        return None
    if not isinstance(value, Value):
        element: Element | None = "float" if port.type is None or port.type.base == "float" else None
        value = expansion.tensor_of_numbers(value, element, scope.frame.naming.module, port.default.span)
    if port.type is not None:
        owner = scope.frame.definition.name if scope.frame.definition else "the net"
        shapes.match(
            expansion, port.name, port.type, value, scope, port.default.span, owner=owner, binds=True, bound=bound
        )
    return value


def _outputs(expansion: Expansion, definition: Definition, scope: Scope, bound: dict[str, str]) -> tuple[Value, ...]:
    written = definition.written
    values = []
    for number, name in enumerate(definition.outputs):
        port = written.outputs[number] if isinstance(written, syntax.Block) else None
        value = scope.frame.results.get(name) if port is None else scope.names.get(name)
        if isinstance(value, Applied):
            value = first_of(value)
        if isinstance(value, Poison):
            raise Poisoned
        place = port.span if port is not None else written.name_span
        if value is None:
            if expansion.reporter.complained_at(place):
                raise Poisoned
            raise Fault(
                "E0501", f"the output '{name}' of '{definition.name}' is not assigned", scope.frame.span,
                help="on the branches that were taken, no statement gives it a value",
            )  # fmt: skip
        value = first_of(value)
        if not isinstance(value, Value):
            value = expansion.tensor_of_numbers(value, "float", scope.frame.naming.module, place)
        if port is not None and port.type is not None:
            with reported(expansion, scope.frame):
                shapes.match(
                    expansion, name, port.type, value, scope, port.span, owner=definition.name, binds=True, bound=bound,
                    code="E0418",
                )  # fmt: skip
        values.append(value)
    return tuple(values)
