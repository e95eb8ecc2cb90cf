"""Warnings about a complete graph: unused computations, and parameters that are never trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from graphdl.diagnostics import Diagnostic
from graphdl.graph.model import ModuleGraph, Node, ScanBody, Value
from graphdl.graph.train import matches
from graphdl.language.expansion.context import header, visible
from graphdl.language.expansion.faults import Reporter
from graphdl.operators import PRIMITIVES
from graphdl.source import Places, Source, Span

_LEAVES = frozenset(("input", "param", "state", "constant", "item"))


def check(graph: ModuleGraph, source: Source, reporter: Reporter, *, stages: bool, unused: Sequence[Span] = ()) -> None:
    """Warns of unused computations, except for ``unused`` statements, which have warnings already, and of untrained
    parameters.
    """
    results = [*graph.outputs.values(), *graph.losses.values(), *graph.metrics.values(), *graph.updates.values()]
    if results:
        _dead(graph, source, reporter, _ancestors(results), unused)
    else:
        message = f"the net '{graph.name}' has no output, loss or metric"
        reporter.add(Diagnostic("W0505", message, header(graph.root.span)))
        return
    lost: list[str] = []
    if graph.losses:
        reached = _sloped(graph.losses.values())
        lost = [path for path, variable in graph.parameters.items() if variable.value.node.id not in reached]
        excused = _flat_losses(graph, _minimized(graph) if stages else graph.losses, reporter)
        nodes = {path: graph.parameters[path].value.node.id for path in lost}
        named = [path for path in lost if nodes[path] not in excused and not (stages and _is_copy(graph, path))]
        _by_place(graph, named, "W0503", "no loss reaches", reporter)
    parts = [part for stage in graph.stages for part in stage.parts()]
    if stages and parts and all(part.only for part in parts):
        patterns = [pattern for part in parts for pattern in part.only]
        trained = [path for path in graph.parameters if path not in lost]
        left = [path for path in trained if not any(matches(pattern, path) for pattern in patterns)]
        _by_place(graph, left, "W0504", "no stage trains", reporter)


def _is_copy(graph: ModuleGraph, path: str) -> bool:
    """Whether a stage starts a parameter from another one, as that of a target network."""
    targets = {start.target for stage in graph.stages for start in stage.start}
    return any(path == target or path.startswith(f"{target}.") for target in targets)


def _ancestors(values: Iterable[Value], passes: Callable[[Value], bool] = lambda value: True) -> set[int]:
    """The ids of all nodes that the values depend on. The search stops at values for which ``passes`` is false."""
    seen: set[int] = set()
    pending = list(values)
    while pending:
        value = pending.pop()
        if value.node.id not in seen and passes(value):
            seen.add(value.node.id)
            pending.extend(value.node.inputs)
    return seen


def _is_handed_on(value: Value) -> bool:
    return value.node.operator != "stop_gradient"


def _sloped(values: Iterable[Value]) -> set[int]:
    """The ids of all nodes that receive a gradient from the values, including nodes in the bodies of scans."""
    seen: set[int] = set()
    nodes: set[int] = set()
    outer: dict[int, list[Value]] = {}
    pending = list(values)
    while pending:
        value = pending.pop()
        primitive = PRIMITIVES.get(value.node.operator)
        if id(value) in seen or value.type.element != "float" or (primitive is not None and primitive.flat):
            continue
        seen.add(id(value))
        nodes.add(value.node.id)
        body = value.node.attributes.get("body")
        if isinstance(body, ScanBody):
            inside = [*body.items, *body.states, *body.captured]
            outer |= {id(inner): [given] for inner, given in zip(inside, value.node.inputs, strict=True)}
            for state, following in zip(body.states, body.next_states, strict=True):
                outer[id(state)].append(following)
            results = [*body.emitted, *body.next_states]
            place = next(k for k, output in enumerate(value.node.outputs) if output is value)
            pending.append(results[place])
        else:
            pending.extend(outer.get(id(value), value.node.inputs))
    return nodes


def _minimized(graph: ModuleGraph) -> Mapping[str, Value]:
    """The losses that some stage minimizes. A stage without ``minimize`` minimizes all."""
    names = {name for stage in graph.stages for part in stage.parts() for name in part.minimize or graph.losses}
    return {name: value for name, value in graph.losses.items() if name in names or not graph.stages}


def _flat_losses(graph: ModuleGraph, losses: Mapping[str, Value], reporter: Reporter) -> set[int]:
    """Warns of losses that depend on parameters but have no gradient. Returns the ids of the nodes
    that they depend on.
    """
    parameters = {variable.value.node.id for variable in graph.parameters.values()}
    found: set[int] = set()
    for name, value in losses.items():
        behind = _ancestors([value], _is_handed_on)
        sloped = _sloped([value])
        if sloped & parameters or not behind & parameters:
            continue
        found |= behind
        ends = [node.operator for node in graph.nodes if node.id in behind - sloped and node.operator in PRIMITIVES]
        flat = sorted({operator for operator in ends if PRIMITIVES[operator].flat or operator == "argmax"})
        reporter.add(
            Diagnostic(
                "W0503",
                f"the loss '{name}' has no slope: no gradient comes from it to any parameter",
                visible(value),
                notes=(f"without a slope: {', '.join(flat)}",) if flat else (),
                help="train with a smooth loss, such as cross_entropy, and measure this one as a metric",
            )
        )
    return found


def _dead(graph: ModuleGraph, source: Source, reporter: Reporter, alive: set[int], unused: Sequence[Span]) -> None:
    used = {value.node.id for node in graph.nodes for value in node.inputs}
    places = Places(unused)
    for node in graph.nodes:
        if node.id in alive or node.id in used or node.operator in _LEAVES or _belongs_to_living(node, alive):
            continue
        place = visible(node.outputs[0])
        if place.source is source and not places.cover(place.start):
            reporter.add(Diagnostic("W0502", "nothing uses what this computes", place))


def _belongs_to_living(node: Node, alive: set[int]) -> bool:
    """Whether the node is a part of a library block with an output that is used. The user cannot
    change such a block.
    """
    span, module = node.span, node.module
    while span.in_library and module.parent is not None:
        if any(value.node.id in alive for value in module.outputs):
            return True
        span, module = module.span, module.parent
    return False


def _by_place(graph: ModuleGraph, paths: Sequence[str], code: str, what: str, reporter: Reporter) -> None:
    """Reports one warning for each place, for all parameters of a layer together."""
    places: dict[tuple[int, int], list[str]] = {}
    spans: dict[tuple[int, int], Span] = {}
    for path in paths:
        span = visible(graph.parameters[path].value)
        key = (id(span.source), span.start)
        places.setdefault(key, []).append(path)
        spans[key] = span
    for key, group in places.items():
        names = ", ".join(group[:4]) + (", …" if len(group) > 4 else "")
        noun = "the parameter" if len(group) == 1 else "the parameters"
        reporter.add(Diagnostic(code, f"{what} {noun} {names}", spans[key]))
