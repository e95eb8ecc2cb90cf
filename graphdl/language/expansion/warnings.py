"""What can be warned of once the graph stands: work for nothing, and parameters that nothing trains."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphdl.diagnostics import Diagnostic
from graphdl.graph.model import ModuleGraph, Node, Value
from graphdl.language.expansion.faults import Reporter
from graphdl.language.expansion.frames import is_library
from graphdl.language.expansion.run import header, visible
from graphdl.language.expansion.training import matches
from graphdl.source import Source, Span

_LEAVES = frozenset(("input", "param", "state", "constant", "item"))


def check(graph: ModuleGraph, source: Source, reporter: Reporter, *, stages: bool, unused: Sequence[Span] = ()) -> None:
    """Warns of dead branches (but for ``unused`` statements, which have their warning), and of untrained parameters."""
    results = [*graph.outputs.values(), *graph.losses.values(), *graph.metrics.values(), *graph.updates.values()]
    if results:
        _dead(graph, source, reporter, _ancestors(results), unused)
    else:
        message = f"the net '{graph.name}' has no output, loss or metric"
        reporter.add(Diagnostic("W0505", message, header(graph.root.span)))
        return
    lost: list[str] = []
    if graph.losses:
        reached = _ancestors(graph.losses.values(), through_stops=False)
        lost = [path for path, variable in graph.parameters.items() if variable.value.node.id not in reached]
        _by_place(graph, lost, "W0503", "no loss reaches", reporter)
    if stages and graph.stages and all(stage.only for stage in graph.stages):
        patterns = [pattern for stage in graph.stages for pattern in stage.only]
        trained = [path for path in graph.parameters if path not in lost]
        left = [path for path in trained if not any(matches(pattern, path) for pattern in patterns)]
        _by_place(graph, left, "W0504", "no stage trains", reporter)


def _ancestors(values: Iterable[Value], *, through_stops: bool = True) -> set[int]:
    """The ids of all nodes that the values are made from; gradients do not pass ``stop_gradient``."""
    seen: set[int] = set()
    pending = [value.node for value in values]
    while pending:
        node = pending.pop()
        if node.id in seen:
            continue
        seen.add(node.id)
        if through_stops or node.operator != "stop_gradient":
            pending.extend(value.node for value in node.inputs)
    return seen


def _dead(graph: ModuleGraph, source: Source, reporter: Reporter, alive: set[int], unused: Sequence[Span]) -> None:
    used = {value.node.id for node in graph.nodes for value in node.inputs}
    for node in graph.nodes:
        if node.id in alive or node.id in used or node.operator in _LEAVES or _belongs_to_living(node, alive):
            continue
        place = visible(node.outputs[0])
        if place.source is source and not any(s.start <= place.start < s.end for s in unused):
            reporter.add(Diagnostic("W0502", "nothing uses what this computes", place))


def _belongs_to_living(node: Node, alive: set[int]) -> bool:
    """Whether the node is a part of a library block that is used: then it is not the user's affair."""
    span, module = node.span, node.module
    while is_library(span) and module.parent is not None:
        if any(value.node.id in alive for value in module.outputs):
            return True
        span, module = module.span, module.parent
    return False


def _by_place(graph: ModuleGraph, paths: Sequence[str], code: str, what: str, reporter: Reporter) -> None:
    """One warning a place: the parameters of one layer together."""
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
