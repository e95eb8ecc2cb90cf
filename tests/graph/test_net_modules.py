"""Modules of a net that is built in Python: their paths, and the values that enter and leave them."""

from __future__ import annotations

import linecache

import pytest

import graphdl
from graphdl.diagnostics import ModelError
from graphdl.graph.digraph import modules
from graphdl.graph.model import Module, Value
from graphdl.graph.types import TensorType


def scaled(net: graphdl.Net, x: Value, name: str = "scaled") -> Value:
    with net.module(name, "scale"):
        return net.apply("multiply", x, net.parameter("w", x.type.shape, 1.0))


def found(net: graphdl.Net) -> dict[str, Module]:
    return {module.path: module for module in modules(net.graph.root)}


def test_modules_of_one_name_are_numbered() -> None:
    net = graphdl.Net("n")
    x = net.input("x", [3])
    for _ in range(3):
        x = scaled(net, x)
    assert list(found(net)) == ["", "scaled", "scaled_2", "scaled_3"]
    assert list(net.graph.parameters) == ["scaled.w", "scaled_2.w", "scaled_3.w"]
    assert {module.kind for path, module in found(net).items() if path} == {"scale"}


def test_modules_inside_modules() -> None:
    net = graphdl.Net("n")
    x = net.input("x", [3])
    with net.module("outer"):
        y = scaled(net, x, "inner")
        with net.module("other"):
            y = net.apply("tanh", y)
        y = scaled(net, y, "inner")
    net.output("y", scaled(net, y))
    assert list(found(net)) == ["", "outer", "outer.inner", "outer.other", "outer.inner_2", "scaled"]
    assert found(net)["outer"].kind == "outer"
    assert y.node.module.path == "outer.inner_2"


def test_what_enters_and_what_leaves_a_module() -> None:
    net = graphdl.Net("n")
    x, z = net.input("x", [3]), net.input("z", [3])
    with net.module("both") as both:
        inside = net.apply("tanh", x)
        total = net.apply("add", inside, z)
        lost = net.apply("exp", total)
    net.output("y", net.apply("multiply", total, inside))
    module = found(net)["both"]
    assert module is both
    assert module.inputs == [x, z]
    assert set(map(id, module.outputs)) == {id(total), id(inside)}
    assert all(value is not lost for value in module.outputs), "nobody reads it"


def test_results_and_updates_leave_their_module() -> None:
    net = graphdl.Net("n", training=True)
    x = net.input("x", [])
    with net.module("head"):
        loss = net.apply("multiply", x, x)
        state = net.state("mean", [])
        following = net.apply("batch_mean", x, axis=[])
        net.loss("square", loss)
        net.update(state, following)
    assert list(net.graph.losses) == ["head.square"]
    assert list(net.graph.updates) == ["head.mean"]
    assert set(map(id, found(net)["head"].outputs)) == {id(loss), id(following)}


def test_a_value_that_passes_through_modules_enters_each_of_them() -> None:
    net = graphdl.Net("n")
    x = net.input("x", [3])
    with net.module("outer"):
        with net.module("first"):
            y = net.apply("tanh", x)
        with net.module("second"):
            z = net.apply("exp", y)
    net.output("z", z)
    modules_ = found(net)
    assert modules_["outer"].inputs == modules_["outer.first"].inputs == [x]
    assert modules_["outer.first"].outputs == modules_["outer.second"].inputs == [y]
    assert modules_["outer.second"].outputs == modules_["outer"].outputs == [z]


def test_a_module_knows_the_nodes_of_its_application() -> None:
    net = graphdl.Net("n")
    x = net.input("x", [3])
    with net.module("block") as block:
        y = net.apply("tanh", net.apply("exp", x))
    after = net.apply("exp", y)
    assert block.applications == [(1, 3)]
    assert (x.node.id, y.node.id, after.node.id) == (0, 2, 3)


def test_a_module_ends_also_when_something_fails_in_it() -> None:
    net = graphdl.Net("n")
    x = net.input("x", [3])
    with pytest.raises(ModelError), net.module("broken"):
        net.apply("add", x, [1.0, 2.0])
    assert net.apply("tanh", x).node.module.path == ""
    assert found(net)["broken"].applications == [(1, 2)], "the constant was made before the shapes met"


def test_an_operator_of_several_outputs_gives_a_tuple() -> None:
    net = graphdl.Net("n")
    greatest, places = net.apply("topk", net.input("x", [7]), k=3)
    assert (greatest.type, places.type.shape, places.type.element) == (TensorType((3,)), (3,), "int")


def test_numbers_take_the_element_of_what_they_stand_beside() -> None:
    net = graphdl.Net("n")
    x, n, b = net.input("x", [2]), net.input("n", [2], element="int"), net.input("b", [2], element="bool")
    assert net.apply("add", x, 1).type.element == "float"
    assert net.apply("add", n, 1).type.element == "int"
    assert net.apply("add", n, 1.5).type.element == "float"
    assert net.apply("where", b, x, 0).type.element == "float"
    assert net.apply("add", n, [1, 2]).type == TensorType((2,), "int")


def test_updates_belong_to_training() -> None:
    net = graphdl.Net("n")
    state = net.state("count", [])
    net.update(state, net.apply("add", state.value, 1.0))
    assert net.graph.updates == {}
    assert not net.training


def test_a_text_that_is_not_known_has_places_nevertheless() -> None:
    """Typed into a prompt, or made by a program: there is no line to show."""
    names: dict[str, object] = {"graphdl": graphdl}
    code = compile("net = graphdl.Net('n')\nx = net.input('x', [2])\n", "<typed in>", "exec")
    exec(code, names)
    assert "<typed in>" not in linecache.cache
    value = names["x"]
    assert isinstance(value, Value)
    assert value.node.span.text == ""
    assert value.node.span.source.path == "<typed in>"
