"""The module graph as networkx sees it, and the paths of gradients through it."""

from __future__ import annotations

from itertools import pairwise
from math import comb, prod

import networkx
import pytest

import graphdl
from graphdl.graph.digraph import digraph, modules
from graphdl.graph.paths import PathGraph, carries_gradient, library_block, steps

LENET = """
net lenet() {
    input image: [1, 12, 12]
    input label: class(4)
    features = image -> conv(3, 5) as c1 -> maxpool(2)
    logits = features -> flatten -> linear(4)
    output probability = softmax(logits)
    loss cross_entropy(logits, label)
    metric accuracy(logits, label)
}
"""

RESIDUAL = """
net tower() {{
    input x: [4]
    input y: [4]
    first = linear(4)
    h = x -> first
    {blocks}
    loss mean((h - y) ** 2)
}}
"""


def tower(depth: int) -> graphdl.Model:
    """Each block is a sum of two ways, so the paths from the first weights double."""
    blocks = "\n".join("h = tanh(h) + h" for _ in range(depth))
    return graphdl.loads(RESIDUAL.format(blocks=blocks))


@pytest.fixture(scope="module")
def lenet() -> graphdl.Model:
    return graphdl.loads(LENET)


def test_nodes_and_edges_are_those_of_the_graph(lenet: graphdl.Model) -> None:
    graph, made = lenet.module_graph, digraph(lenet.module_graph)
    assert set(made) == {node.id for node in graph.nodes}
    assert made.number_of_edges() == sum(len(node.inputs) for node in graph.nodes)
    for node in graph.nodes:
        entry = made.nodes[node.id]
        assert entry["operator"] == node.operator
        assert entry["module"] == node.module.path
        assert entry["hierarchy"][0] == ""
        assert entry["hierarchy"][-1] == node.module.path
        assert entry["types"] == tuple(value.type for value in node.outputs)
        for position, value in enumerate(node.inputs):
            edge = made.edges[value.node.id, node.id, position]
            assert edge["type"] == value.type
            assert (edge["output"], edge["input"], edge["batched"]) == (value.index, position, value.batched)


def test_it_has_no_circle_and_numbers_are_in_order(lenet: graphdl.Model) -> None:
    made = lenet.graph
    assert networkx.is_directed_acyclic_graph(made)
    assert all(source < target for source, target in made.edges())


def test_results_are_found_by_name(lenet: graphdl.Model) -> None:
    made = lenet.graph
    assert made.graph["name"] == "lenet"
    assert set(made.graph["inputs"]) == {"image", "label"}
    assert set(made.graph["outputs"]) == {"probability"}
    assert set(made.graph["parameters"]) == set(lenet.parameters)
    assert made.nodes[made.graph["inputs"]["image"]]["operator"] == "input"
    loss = next(iter(made.graph["losses"].values()))
    reached = networkx.ancestors(made, loss)
    assert set(made.graph["parameters"].values()) <= reached
    assert set(made.graph["inputs"].values()) <= reached


def test_blocks_are_a_tree(lenet: graphdl.Model) -> None:
    found = lenet.graph.graph["modules"]
    assert found[""]["parent"] is None
    assert found["c1"]["kind"] == "conv"
    for path, entry in found.items():
        assert all(found[child]["parent"] == path for child in entry["children"])
    order = [module.path for module in modules(lenet.module_graph.root)]
    assert order[0] == ""
    assert len(order) == len(set(order)) == len(found)
    assert all(order.index(entry["parent"]) < order.index(path) for path, entry in found.items() if path)


def test_a_block_of_the_library_is_one_step(lenet: graphdl.Model) -> None:
    nodes = lenet.module_graph.nodes
    conv = [node for node in nodes if node.module.path == "c1" and node.operator != "param"]
    assert {library_block(node).path for node in conv} == {"c1"}  # type: ignore[union-attr]
    found = [step for step in steps(nodes) if step.label == "c1"]
    assert len(found) == 1
    assert set(conv) <= set(found[0].nodes)
    inputs = [node for node in nodes if node.operator == "input"]
    assert all(library_block(node) is None for node in inputs)


def test_every_node_is_in_one_step(lenet: graphdl.Model) -> None:
    nodes = lenet.module_graph.nodes
    inside = [node for step in steps(nodes) for node in step.nodes]
    assert sorted(node.id for node in inside) == [node.id for node in nodes]


@pytest.mark.parametrize("depth", [0, 1, 5, 60])
def test_paths_double_with_every_sum_of_two_ways(depth: int) -> None:
    graph = tower(depth).network.training
    assert PathGraph(graph, "first.W").count() == 2**depth


def test_paths_are_told_one_by_one() -> None:
    paths = PathGraph(tower(4).network.training, "first.W")
    told = [tuple(link.step.label for link in path) for path, _ in paths.paths()]
    assert len(told) == len(set(told)) == 16
    lengths = sorted(len(path) for path in told)
    shortest = lengths[0]
    assert [lengths.count(shortest + k) for k in range(5)] == [comb(4, k) for k in range(5)]
    for path, end in paths.paths():
        assert path[0].source is paths.start
        assert path[-1].target is end
        assert all(a.target is b.source for a, b in pairwise(path))


def test_the_strongest_paths_come_first() -> None:
    paths = PathGraph(tower(5).network.training, "first.W")

    def strength(link: object) -> float:
        return 0.5 if "tanh" in link.step.label else 1.0  # type: ignore[attr-defined]

    found = [prod(strength(link) for link in path) for path, _ in paths.strongest(7, strength)]
    assert found == [1.0] + [0.5] * 5 + [0.25]
    every = sorted((prod(strength(link) for link in path) for path, _ in paths.paths()), reverse=True)
    assert found == every[:7]


def test_values_come_after_all_that_they_lead_to() -> None:
    paths = PathGraph(tower(3).network.training, "first.W")
    order = {id(value): place for place, value in enumerate(paths.order())}
    assert order[id(paths.start)] == len(order) - 1
    for links in paths.links.values():
        for link in links:
            if id(link.source) in order:
                assert order[id(link.target)] < order[id(link.source)]


def test_no_path_goes_through_a_stop() -> None:
    model = graphdl.loads(
        """
        net stopped() {
            input x: [3]
            a = linear(3)
            b = linear(3)
            loss mean(stop_gradient(x -> a) * (x -> b))
        }
        """
    )
    graph = model.network.training
    assert PathGraph(graph, "a.W").count() == 0
    assert PathGraph(graph, "b.W").count() == 1


def test_gradients_flow_through_floats_alone() -> None:
    model = graphdl.loads(
        """
        net counted() {
            input x: [3]
            input n: class(3)
            y = x * float(n)
            loss sum(y)
        }
        """
    )
    for node in model.module_graph.nodes:
        for value in node.outputs:
            assert carries_gradient(value) == (value.type.element == "float")
        if node.operator == "float":
            assert not carries_gradient(node.inputs[0], node)
