"""Paths in a module graph from a parameter to the losses: where gradients flow, and how many paths there are.

The steps of a path are applied blocks of the standard library and single operators, as a person would draw them. The
vertices are the tensors between the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest

from graphdl.graph.model import Module, ModuleGraph, Node, Value

_CUT = {"stop_gradient", "batch_count"}


def carries_gradient(value: Value, reader: Node | None = None) -> bool:
    """Whether a gradient can flow to the value from a node that reads it.

    Both must be floats, with no ``stop_gradient`` between them. Without a reader: whether the value itself can have a
    gradient.
    """
    if value.type.element != "float":
        return False
    if reader is None:
        return True
    return reader.operator not in _CUT and any(output.type.element == "float" for output in reader.outputs)


@dataclass(frozen=True, eq=False)
class PathStep:
    """One step of a path: an applied block of the library, or a single operator."""

    label: str
    """The path of the block, or of the operator's value: ``main.conv_2``, ``x.residual.add``. The applications of a
    shared block are numbered: ``encoder@2``.
    """
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Link:
    """One step between two tensors: ``step`` reads ``source`` and computes ``target``."""

    source: Value
    target: Value
    step: PathStep


Path = tuple[Link, ...]
"""From the parameter to a loss; empty if the parameter is itself a loss."""


class PathGraph:
    """All paths from one parameter to the losses."""

    def __init__(self, graph: ModuleGraph, parameter: str) -> None:
        self.graph = graph
        self.start = graph.parameters[parameter].value
        self.ends = list(graph.losses.values())
        self.steps = steps(graph.nodes)
        self.borders = self._borders()
        """For each step, the values that it reads from outside."""
        self.links = self._useful(self._links())
        """For each tensor, the links that lead from it towards a loss."""
        self._count: dict[int, int] = {}

    @property
    def values(self) -> set[Value]:
        """The tensors at which paths can meet and part: those between steps, the parameter and the losses."""
        return {value for values in self.borders.values() for value in values} | {self.start, *self.ends}

    def count(self) -> int:
        """The number of paths."""
        for value in self.order():
            following = sum(self._count.get(id(link.target), 0) for link in self.links.get(id(value), ()))
            self._count[id(value)] = following + sum(end is value for end in self.ends)
        return self._count.get(id(self.start), 0)

    def order(self) -> list[Value]:
        """The tensors on the paths, each after the targets of its links."""
        order: list[Value] = []
        seen: set[int] = set()
        stack: list[tuple[Value, bool]] = [(self.start, False)]
        while stack:
            value, done = stack.pop()
            if done:
                order.append(value)
            elif id(value) not in seen:
                seen.add(id(value))
                stack.append((value, True))
                stack.extend((link.target, False) for link in self.links.get(id(value), ()))
        return order

    def paths(self) -> Iterator[tuple[Path, Value]]:
        """Yields every path with the loss at its end. There may be very many."""
        stack: list[tuple[Value, Path]] = [(self.start, ())]
        while stack:
            value, path = stack.pop()
            for end in self.ends:
                if end is value:
                    yield path, end
            stack.extend((link.target, (*path, link)) for link in reversed(self.links.get(id(value), ())))

    def strongest(self, most: int, strength: Callable[[Link], float]) -> list[tuple[Path, Value]]:
        """The ``most`` paths with the greatest products of their links' strengths, each with its loss."""
        best: dict[int, list[tuple[float, Path, Value]]] = {}
        for value in self.order():
            found: list[tuple[float, Path, Value]] = [(1.0, (), end) for end in self.ends if end is value]
            for link in self.links.get(id(value), ()):
                factor = strength(link)
                found += [(factor * rest, (link, *path), end) for rest, path, end in best[id(link.target)]]
            best[id(value)] = nlargest(most, found, key=lambda each: each[0])
        return [(path, end) for _, path, end in best[id(self.start)]]

    # ---------------------------------------------------------------------------------------------------- the links

    def _borders(self) -> dict[int, list[Value]]:
        borders: dict[int, list[Value]] = {}
        for step in self.steps:
            inside = {id(node) for node in step.nodes}
            outside = {id(v): v for node in step.nodes for v in node.inputs if id(v.node) not in inside}
            borders[id(step)] = list(outside.values())
        return borders

    def _links(self) -> dict[int, list[Link]]:
        """The links from each tensor that depends on the parameter."""
        wanted = {id(end) for end in self.ends}
        for step in self.steps:
            wanted |= {id(value) for value in self.borders[id(step)]}
        readers: dict[int, list[PathStep]] = {}
        for step in self.steps:
            for value in self.borders[id(step)]:
                readers.setdefault(id(value), []).append(step)
        links: dict[int, list[Link]] = {}
        pending = [self.start]
        while pending:
            value = pending.pop()
            if id(value) in links:
                continue
            links[id(value)] = []
            for step in readers.get(id(value), ()):
                for target in self._through(step, value):
                    if id(target) in wanted:
                        links[id(value)].append(Link(value, target, step))
                        pending.append(target)
        return links

    def _through(self, step: PathStep, value: Value) -> Iterable[Value]:
        """The values of a step that receive a path from one of its inputs."""
        reached = {id(value)}
        for node in step.nodes:
            if any(id(v) in reached and carries_gradient(v, node) for v in node.inputs):
                outputs = [output for output in node.outputs if carries_gradient(output)]
                reached |= {id(output) for output in outputs}
                yield from outputs

    def _useful(self, links: dict[int, list[Link]]) -> dict[int, list[Link]]:
        """The links from which a loss can be reached."""
        before: dict[int, list[int]] = {}
        for source, leaving in links.items():
            for link in leaving:
                before.setdefault(id(link.target), []).append(source)
        useful: set[int] = set()
        pending = [id(end) for end in self.ends]
        while pending:
            value = pending.pop()
            if value not in useful:
                useful.add(value)
                pending.extend(before.get(value, ()))
        return {
            source: [link for link in leaving if id(link.target) in useful]
            for source, leaving in links.items()
            if source in useful
        }


def steps(nodes: Sequence[Node]) -> list[PathStep]:
    """Groups the nodes into steps, in a topological order of their first nodes."""
    groups: dict[Hashable, list[Node]] = {}
    labels: dict[Hashable, str] = {}
    for node in nodes:
        block = library_block(node)
        if block is None:
            key: Hashable = node.id
            labels[key] = ".".join(filter(None, (node.module.path, node.name or node.operator)))
        else:
            turn = next((k for k, (first, end) in enumerate(block.applications) if first <= node.id < end), 0)
            key = (id(block), turn)
            labels[key] = block.path + (f"@{turn + 1}" if len(block.applications) > 1 else "")
        if node.operator in ("param", "state", "input"):
            key = node.id
            labels[key] = str(node.attributes["name"])
        groups.setdefault(key, []).append(node)
    return [PathStep(labels[key], tuple(group)) for key, group in groups.items()]


def library_block(node: Node) -> Module | None:
    """The outermost block of the standard library that contains the node; None if there is none."""
    if not node.span.in_library:
        return None
    module: Module | None = node.module
    while module is not None and module.span.in_library:
        module = module.parent
    return module if module is not None and module.parent is not None else None
