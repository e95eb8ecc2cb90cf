"""Paths of gradients in nets at random, against a plain walk over all of them."""

from __future__ import annotations

from math import prod
from random import Random

import pytest

import graphdl
from graphdl.graph.model import ModuleGraph, Node, Value
from graphdl.graph.paths import Link, PathGraph, carries_gradient, library_block, steps


def random_net(number: int) -> ModuleGraph:
    """A net of sums, products and stops, with two losses, whose values are read several times."""
    random = Random(number)
    net = graphdl.Net("random", training=True)
    values = [net.input("x", [3]), net.parameter("w", [3], 1.0)]
    for _ in range(random.randint(2, 9)):
        kind = random.choice(["add", "multiply", "tanh", "tanh", "stop_gradient", "sign", "maximum"])
        inputs = [random.choice(values) for _ in range(1 if kind in ("tanh", "stop_gradient", "sign") else 2)]
        values.append(net.apply(kind, *inputs))
    for name in ("first", "second"):
        net.loss(name, net.apply("sum", random.choice(values[2:])))
    return net.graph


def walked(graph: ModuleGraph, start: Value) -> list[tuple[Value, ...]]:
    """Every way from a value to a loss, value by value; a value that a node reads twice is one way."""
    readers: dict[int, list[Node]] = {}
    for node in graph.nodes:
        for value in {id(v): v for v in node.inputs}.values():
            readers.setdefault(id(value), []).append(node)
    ends = list(graph.losses.values())

    def on(value: Value) -> list[tuple[Value, ...]]:
        found: list[tuple[Value, ...]] = [(value,) for end in ends if end is value]
        for node in readers.get(id(value), []):
            if carries_gradient(value, node):
                for output in node.outputs:
                    if carries_gradient(output):
                        found += [(value, *rest) for rest in on(output)]
        return found

    return on(start)


@pytest.mark.parametrize("number", range(40))
def test_all_paths_are_found_and_counted(number: int) -> None:
    graph = random_net(number)
    paths = PathGraph(graph, "w")
    expected = walked(graph, paths.start)
    assert paths.count() == len(expected)
    found = [(paths.start, *(link.target for link in path)) for path, _ in paths.paths()]
    assert sorted([tuple(map(id, way)) for way in found]) == sorted(tuple(map(id, way)) for way in expected)
    for path, end in paths.paths():
        assert (path[-1].target if path else paths.start) is end


@pytest.mark.parametrize("number", range(20))
def test_the_strongest_are_those_of_all(number: int) -> None:
    paths = PathGraph(random_net(number), "w")
    strengths = {"tanh": 0.5, "add": 1.0, "multiply": 2.0, "maximum": 0.75, "sum": 1.0}

    def strength(link: Link) -> float:
        return strengths.get(link.step.nodes[0].operator, 1.0)

    every = sorted((prod(map(strength, path)) for path, _ in paths.paths()), reverse=True)
    for most in (1, 3, 100):
        found = [prod(map(strength, path)) for path, _ in paths.strongest(most, strength)]
        assert found == pytest.approx(every[:most])


@pytest.mark.parametrize("number", range(10))
def test_only_what_leads_to_a_loss_is_kept(number: int) -> None:
    graph = random_net(number)
    paths = PathGraph(graph, "w")
    reached = {id(value) for way in walked(graph, paths.start) for value in way}
    order = [id(value) for value in paths.order()]
    assert set(order) - reached <= {id(paths.start)}
    assert len(order) == len(set(order))
    assert {id(value) for value in paths.values} >= {id(end) for end in paths.ends}


def test_steps_are_labelled_by_where_they_stand() -> None:
    text = """
    net shared() {
        input x: [4]
        encoder = linear(4)
        a = x -> encoder
        b = a -> encoder
        h = tanh(b) * 2.0
        loss mean(h)
    }
    """
    graph = graphdl.loads(text).network.training
    labels = [step.label for step in steps(graph.nodes)]
    assert "encoder@1" in labels
    assert "encoder@2" in labels
    assert {"encoder.W", "encoder.b", "x"} <= set(labels)
    assert "h" in labels
    for step in steps(graph.nodes):
        blocks = {library_block(node) for node in step.nodes}
        assert len(blocks) == 1 or step.nodes[0].operator in ("param", "state", "input")


def test_a_loss_that_is_the_parameter_itself_has_an_empty_path() -> None:
    net = graphdl.Net("n", training=True)
    net.loss("w", net.parameter("w", [], 1.0))
    paths = PathGraph(net.graph, "w")
    assert paths.count() == 1
    assert list(paths.paths()) == [((), paths.start)]
    assert paths.strongest(3, lambda link: 0.5) == [((), paths.start)]
