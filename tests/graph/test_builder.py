"""The builder of module graphs: names of modules, shared variables, values of scans, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from graphdl.graph import limits
from graphdl.graph.builder import Body, Builder, Naming, check_type, first_values, join
from graphdl.graph.model import Initializer, Module, ModuleGraph, Value
from graphdl.graph.operator import GraphError, OperatorError
from graphdl.graph.types import TensorType
from graphdl.operators import PRIMITIVES
from graphdl.source import Source, Span

PLACE = Span(Source("a.net", "net a() {}"), 0, 3)
ZEROS = Initializer("constant", (0.0,))


@pytest.fixture
def builder() -> Builder:
    return Builder(ModuleGraph("a", True, Module("", "a", None, PLACE)))


def root(builder: Builder) -> Module:
    return builder.graph.root


def feed(builder: Builder, name: str = "x", shape: tuple[int, ...] = (3,)) -> Value:
    return builder.input(name, TensorType(shape), root(builder), PLACE)


def apply(builder: Builder, operator: str, *inputs: Value, **attributes: Any) -> Value:
    primitive = PRIMITIVES[operator]
    given = {hyper.name: hyper.default for hyper in primitive.hypers} | attributes
    return builder.apply(primitive, inputs, given, root(builder), PLACE)[0]


def refused(code: str, action: Any, *arguments: Any, **more: Any) -> GraphError:
    with pytest.raises(GraphError) as caught:
        action(*arguments, **more)
    assert caught.value.code == code
    return caught.value


# ------------------------------------------------------------------------------------------------------------ modules


def applied(builder: Builder, naming: Naming, name: str, *, level: bool = False) -> Module:
    return builder.module(naming, name, name, PLACE, level=level)


def test_the_first_of_a_kind_is_bare_and_others_are_counted(builder: Builder) -> None:
    naming = Naming(root(builder))
    assert [applied(builder, naming, kind).path for kind in ("conv", "conv", "relu", "conv")] == [
        "conv", "conv_2", "relu", "conv_3",
    ]  # fmt: skip
    assert [child.path for child in root(builder).children] == ["conv", "conv_2", "relu", "conv_3"]


def test_a_number_that_is_taken_is_passed_over(builder: Builder) -> None:
    naming = Naming(root(builder))
    paths = [applied(builder, naming, kind).path for kind in ("conv_2", "conv", "conv", "conv_2")]
    assert paths == ["conv_2", "conv", "conv_3", "conv_2_2"]


def test_a_level_puts_modules_under_the_name_of_their_statement(builder: Builder) -> None:
    naming = Naming(root(builder), level="logits")
    paths = [applied(builder, naming, "linear", level=level).path for level in (True, True, False)]
    assert paths == ["logits.linear", "logits.linear_2", "linear"]
    naming.level = None
    assert applied(builder, naming, "linear", level=True).path == "linear_2"


def test_modules_inside_modules_have_paths(builder: Builder) -> None:
    outer = applied(builder, Naming(root(builder)), "block")
    inner = applied(builder, Naming(outer), "conv")
    assert (inner.path, inner.parent, outer.children, outer.parent) == ("block.conv", outer, [inner], root(builder))


def test_a_shared_module_is_found_again_and_so_are_those_inside(builder: Builder) -> None:
    outer = applied(builder, Naming(root(builder)), "encoder")
    first, second = ([applied(builder, Naming(outer), "conv")] for _ in range(2))
    assert first[0] is second[0]
    assert outer.children == first


def test_modules_of_other_parents_do_not_take_each_others_paths(builder: Builder) -> None:
    """A statement named ``a.b`` in the net, and a module ``b`` of ``a``, would both be ``a.b``."""
    naming = Naming(root(builder), level="a")
    assert applied(builder, naming, "b", level=True).path == "a.b"
    a = applied(builder, Naming(root(builder)), "a")
    assert a.path == "a"
    assert applied(builder, Naming(a), "b").path == "a.b_2"


def test_paths_join_with_dots() -> None:
    assert (join("", "W"), join("a.b", "W")) == ("W", "a.b.W")


# -------------------------------------------------------------------------------------------------------------- nodes


def test_nodes_are_numbered_in_the_order_in_which_they_are_made(builder: Builder) -> None:
    x = feed(builder)
    y = apply(builder, "add", x, x)
    z = apply(builder, "tanh", y)
    assert [node.id for node in builder.graph.nodes] == [0, 1, 2]
    assert [node.operator for node in builder.graph.nodes] == ["input", "add", "tanh"]
    assert z.node.inputs == (y,)
    assert (z.index, z.type) == (0, TensorType((3,)))


def test_what_is_made_of_an_example_belongs_to_one(builder: Builder) -> None:
    x = feed(builder)
    w = builder.variable("param", "w", TensorType((3,)), ZEROS, root(builder), PLACE).value
    assert (x.batched, w.batched) == (True, False)
    assert apply(builder, "add", x, w).batched
    assert not apply(builder, "add", w, w).batched
    assert not apply(builder, "batch_mean", x).batched


def test_a_constant_has_the_type_that_its_numbers_say(builder: Builder) -> None:
    made = [builder.tensor(value, None, root(builder), PLACE) for value in (1, 0.5, True, [[1, 2], [3, 4]])]
    assert [str(value.type) for value in made] == ["int", "[]", "bool", "int[2, 2]"]
    assert made[3].node.attributes == {"value": [[1, 2], [3, 4]]}
    as_float = builder.tensor([1, 2], "float", root(builder), PLACE)
    assert (as_float.type, as_float.node.attributes["value"]) == (TensorType((2,)), [1.0, 2.0])


def test_an_operator_refuses_what_does_not_fit(builder: Builder) -> None:
    x, y = feed(builder, "x", (3,)), feed(builder, "y", (4,))
    error = refused("E0401", apply, builder, "add", x, y)
    assert isinstance(error, OperatorError)
    assert [node.operator for node in builder.graph.nodes] == ["input", "input"], "nothing is made"


def test_no_node_makes_what_is_no_tensor(builder: Builder) -> None:
    refused("E0302", feed, builder, "x", (3, 0))
    refused("E0302", builder.item, TensorType((-1,)), True, root(builder), PLACE, None)
    assert builder.graph.nodes == []
    assert builder.count == 0


def test_there_are_only_so_many_nodes(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NODES", 3)
    for name in "abc":
        feed(builder, name)
    assert "more than 3 nodes" in refused("E0504", feed, builder, "d").message
    assert len(builder.graph.nodes) == 3


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((3, 0), "a dimension is at least 1, and this would be [3, 0]"),
        ((-1,), "at least 1"),
        ((1,) * 33, "a tensor of 33 dimensions has too many: the limit is 32"),
        ((2**20, 2**20, 2), "has 2.19902e+12 elements, too many"),
    ],
)
def test_types_that_are_no_tensors(shape: tuple[int, ...], words: str) -> None:
    assert words in refused("E0302", check_type, TensorType(shape)).message


@pytest.mark.parametrize("shape", [(), (1,), (1,) * 32, (2**20, 2**20)])
def test_types_that_are_just_within_the_limits(shape: tuple[int, ...]) -> None:
    check_type(TensorType(shape))


# ---------------------------------------------------------------------------------------------------------- variables


def test_a_shared_variable_is_one(builder: Builder) -> None:
    module = applied(builder, Naming(root(builder)), "linear")
    first, second = (
        builder.variable("param", "W", TensorType((3, 4)), ZEROS, module, PLACE) for _ in range(2)
    )  # fmt: skip
    assert first is second
    assert (first.path, first.value.node.attributes) == ("linear.W", {"name": "linear.W"})
    assert list(builder.graph.parameters) == ["linear.W"]
    error = refused("E0413", builder.variable, "param", "W", TensorType((3, 5)), ZEROS, module, PLACE)
    assert error.message == "'linear.W' is shared, and would be [3, 4] in one place and [3, 5] in another"


def test_parameters_and_states_are_apart(builder: Builder) -> None:
    for word in ("param", "state"):
        builder.variable(word, "mean", TensorType(()), ZEROS, root(builder), PLACE)
    assert list(builder.graph.parameters) == list(builder.graph.states) == ["mean"]
    assert [node.operator for node in builder.graph.nodes] == ["param", "state"]


@pytest.mark.parametrize(
    ("numbers", "shape", "expected"),
    [
        (2, (3,), Initializer("constant", (2.0,))),
        (0.5, (), Initializer("constant", (0.5,))),
        ([1, 2, 3], (3,), Initializer("values", (1.0, 2.0, 3.0))),
        ([[1, 2], [3, 4]], (2, 2), Initializer("values", (1.0, 2.0, 3.0, 4.0))),
    ],
)
def test_numbers_that_a_variable_starts_from(numbers: Any, shape: tuple[int, ...], expected: Initializer) -> None:
    assert first_values(numbers, TensorType(shape)) == expected


@pytest.mark.parametrize(("numbers", "code"), [([1, 2], "E0418"), ([[1, 2, 3]], "E0418"), ([[1], [2, 3]], "E0303")])
def test_numbers_that_do_not_fit_the_variable(numbers: Any, code: str) -> None:
    refused(code, first_values, numbers, TensorType((3,)))


# ------------------------------------------------------------------------------------------------------------ results


def test_of_equal_names_each_result_gets_a_number(builder: Builder) -> None:
    x = feed(builder, "x", ())
    module = applied(builder, Naming(root(builder)), "head")
    for where in (root(builder), root(builder), module, module):
        builder.result("loss", "mse", x, where)
    builder.result("metric", "mse", x, root(builder))
    assert list(builder.graph.losses) == ["mse", "mse_2", "head.mse", "head.mse_2"]
    assert list(builder.graph.metrics) == ["mse"]


def test_a_loss_is_one_number_an_example(builder: Builder) -> None:
    several, label = feed(builder), builder.input("n", TensorType((), "int", 3), root(builder), PLACE)
    error = refused("E0414", builder.result, "loss", "l", several, root(builder))
    assert (error.message, error.help) == (
        "a loss is one number an example, and this is [3]", "the mean over all its elements: loss mean(…)"
    )  # fmt: skip
    error = refused("E0414", builder.result, "metric", "m", label, root(builder))
    assert (error.message, error.help) == (
        "a metric is one number an example, and this is class(3)", "float(x) makes a number of it"
    )  # fmt: skip
    builder.result("output", "o", several, root(builder))
    assert list(builder.graph.outputs) == ["o"]


def test_a_state_is_given_a_value_of_its_own_type(builder: Builder) -> None:
    state = builder.variable("state", "mean", TensorType((3,)), ZEROS, root(builder), PLACE)
    x = feed(builder)
    shorter = builder.variable("param", "w", TensorType((2,)), ZEROS, root(builder), PLACE).value
    assert "is [3], and its next value [2]" in refused("E0418", builder.update, state, "mean", shorter).message
    assert refused("E0506", builder.update, state, "mean", x).help == "batch_mean(x) makes one value of a batch"
    mean = apply(builder, "batch_mean", x, axis=[])
    builder.update(state, "mean", mean)
    assert builder.graph.updates == {"mean": mean}


# -------------------------------------------------------------------------------------------------------------- scans


def test_a_value_from_outside_is_captured_once(builder: Builder) -> None:
    x = feed(builder)
    body = Body(builder.main)
    first, second = builder.bring(x, body), builder.bring(x, body)
    assert first is second
    assert body.captured == [(x, first)]
    assert (first.node.operator, first.type, first.batched) == ("item", x.type, x.batched)
    assert first.node in body.nodes
    assert first.node not in builder.graph.nodes
    assert builder.bring(first, body) is first
    assert builder.bring(x, builder.main) is x


def test_a_constant_is_made_again_inside(builder: Builder) -> None:
    two = builder.tensor(2, "float", root(builder), PLACE)
    body = Body(builder.main)
    inside = builder.bring(two, body)
    assert (inside.node.operator, inside.node.attributes, body.captured) == ("constant", {"value": 2.0}, [])
    assert inside is not two


def test_a_value_passes_through_every_scan_around(builder: Builder) -> None:
    x = feed(builder)
    outer = Body(builder.main)
    inner = Body(outer)
    value = builder.bring(x, inner)
    ((from_main, in_outer),), ((from_outer, in_inner),) = outer.captured, inner.captured
    assert from_main is x
    assert in_outer is from_outer
    assert in_inner is value


def test_inputs_of_a_node_in_a_body_are_brought_in(builder: Builder) -> None:
    x = feed(builder)
    w = builder.variable("param", "w", TensorType((3,)), ZEROS, root(builder), PLACE).value
    builder.body = body = Body(builder.main)
    total = apply(builder, "add", x, w)
    assert [value.node.operator for value in total.node.inputs] == ["item", "item"]
    assert [outer for outer, _ in body.captured] == [x, w]
    assert total.batched
    late = builder.variable("param", "late", TensorType((3,)), ZEROS, root(builder), PLACE)
    assert late.value.node in builder.graph.nodes, "a variable of a scan's step belongs to the net"
    assert late.value.node not in body.nodes


def test_the_steps_of_scans_are_counted(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    x = feed(builder)
    outer = Body(builder.main)
    inner = Body(outer)
    builder.bring(x, inner)
    builder.node("tanh", [inner.nodes[0].outputs[0]], {}, [x.type], root(builder), PLACE, body=inner)
    assert (len(inner.nodes), len(outer.nodes)) == (2, 1)
    builder.unroll(inner, 5)
    assert outer.unrolled == 10
    monkeypatch.setattr(limits, "NODES", 44)
    builder.unroll(outer, 4)
    assert builder.main.unrolled == 44
    error = refused("E0504", builder.unroll, outer, 1)
    assert "with the steps of its scans" in error.message
    assert error.help == "a scan over a shorter sequence makes fewer"
