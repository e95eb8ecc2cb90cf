"""Each form of the language, and what it expands to."""

import pytest
from expanding import body, faults, graph, operators, shape, shapes_of

LINEAR = """
block linear(units, bias = true): x: [.., n] -> y: [.., units] {
    param W: [n, units] = uniform(-1 / sqrt(n), 1 / sqrt(n))
    y = x @ W
    if bias {
        param b: [units] = uniform(-1 / sqrt(n), 1 / sqrt(n))
        y = y + b
    }
}
"""


def test_a_chain_is_calls_inside_out():
    chain = body("output y = x -> flatten -> linear(4)")
    call = body("output y = linear(flatten(x), 4)")
    assert operators(chain) == operators(call) == ["input", "reshape", "param", "matmul", "param", "add"]
    assert shape(chain, "y") == shape(call, "y") == [4]


def test_what_stands_left_of_the_arrow_comes_first():
    g = body("output y = (x, x * 2) -> subtract", inputs="input x: [4]")
    left, right = g.outputs["y"].node.inputs
    assert left is g.inputs["x"]
    assert right.node.operator == "multiply"


def test_an_arrow_fills_the_first_port_of_a_call_with_tensors():
    before = "block mix(scale): a: [n], b: [n] -> y { y = a + scale * b }"
    g = body("output y = x -> mix(z, 3.0)", inputs="input x: [4]; input z: [4]", before=before)
    assert g.root.children[0].inputs == [g.inputs["x"], g.inputs["z"]]


def test_a_port_can_be_filled_by_name():
    before = "block mix(): a: [n], b: [n] = zeros([n]) -> y { y = a - b }"
    g = body("output y = mix(b = x, a = z)", inputs="input x: [4]; input z: [4]", before=before)
    assert g.outputs["y"].node.inputs == (g.inputs["z"], g.inputs["x"])


def test_a_port_of_ints_or_bools_may_have_a_number_as_its_default():
    before = "block cut(): x: [n], many: int = n, on: bool = true -> y { y = where(on, x * many, x) }"
    g = body("output y = x -> cut", inputs="input x: [4]", before=before)
    found = {node.attributes["value"]: node.outputs[0].type.element for node in g.nodes if node.operator == "constant"}
    assert found[4] == "int"
    assert found[True] == "bool"


def test_a_port_of_ints_refuses_a_fraction_as_its_default():
    with pytest.raises(AssertionError, match="float is not int"):
        body(
            "output y = x -> cut", inputs="input x: [4]",
            before="block cut(): x: [n], many: int = 2.5 -> y { y = x * many }",
        )  # fmt: skip


def test_hyperparameters_by_position_and_by_name():
    g = body("output y = x -> conv(5, 3, pad = 1, bias = false)")
    assert shapes_of(g) == {"y.conv.W": [5, 3, 3, 3]}
    assert g.root.children[0].hyperparameters["channels"] == 5
    assert g.root.children[0].hyperparameters["stride"] == 1


def test_numbers_stand_for_tensors_in_elementwise_functions():
    g = body("output y = maximum(x, 0)")
    zero = g.outputs["y"].node.inputs[1]
    assert zero.node.operator == "constant"
    assert zero.node.attributes == {"value": 0.0}
    assert zero.type.shape == ()
    assert not zero.batched


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("sqrt(16)", 4.0),
        ("7 // 2 + 7 % 2", 4),
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2", -4),
        ("1 if 2 > 1 and not false else 2", 1),
        ("len(0..4) + [10, 20][1]", 24),
        ("max(3, 5) + min([4, 2]) + sum([1, 2, 3])", 13),
        ("[k * k for k in 0..5 if k % 2 == 1][1]", 9),
        ("sum([a * b for a, b in [[1, 2], [3, 4]]])", 14),
        ("([1, 2] + [3])[-1]", 3),
        ("len([7] * 3)", 3),
        ("int(2.7) + round(2.5)", 4),
        ("x.shape[0] + x.rank + x.channels + x.height + x.width", 3 + 3 + 3 + 8 + 8),
        ('1 if "a" + "b" == "ab" and none == none else 0', 1),
        ("0..3 == [0, 1, 2]", True),
    ],
)
def test_numbers_are_computed_when_the_file_is_expanded(expression, value):
    g = body(f"v = {expression}\nassert v == {str(value).lower()}\noutput y = x * v")
    constant = next(node for node in g.nodes if node.operator == "constant")
    assert constant.attributes["value"] == value


@pytest.mark.parametrize(
    ("sign", "operator"),
    [
        ("+", "add"), ("-", "subtract"), ("*", "multiply"), ("/", "divide"), ("//", "floor_divide"), ("%", "remainder"),
        ("**", "power"), ("==", "equal"), ("!=", "not_equal"), ("<", "less"), ("<=", "less_equal"), (">", "greater"),
        (">=", "greater_equal"), ("@", "matmul"),
    ],
)  # fmt: skip
def test_signs_are_primitives_on_tensors(sign, operator):
    g = body(f"output y = x {sign} x")
    assert g.outputs["y"].node.operator == operator


def test_conditions_on_tensors_join_by_element():
    g = body("output y = where(x > 0 and not (x > 1) or x < -1, x, 0.0)")
    assert [o for o in operators(g) if o.startswith("logical")] == ["logical_not", "logical_and", "logical_or"]


def test_slices():
    g = body("output y = x[0, 1:, ::3]")
    node = g.outputs["y"].node
    assert node.operator == "slice"
    assert dict(node.attributes) == {
        "starts": [0, 1, 0], "stops": [1, 8, 8], "steps": [1, 1, 3], "squeeze": [0],
    }  # fmt: skip
    assert shape(g, "y") == [7, 3]


def test_negative_and_far_bounds_as_in_python():
    g = body("output a = x[-1]; output b = x[:, -3:, :100]")
    assert g.outputs["a"].node.attributes["starts"] == [2, 0, 0]
    assert shape(g, "b") == [3, 3, 8]


def test_constant_tensors_are_written_as_lists():
    g = body("output y = x @ [[1, 0], [0, 1], [1, 1]]\noutput z = tensor([[1.0, 2], [3, 4]])", inputs="input x: [3]")
    matrix = g.outputs["y"].node.inputs[1]
    assert matrix.node.attributes["value"] == [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    assert matrix.type.shape == (3, 2)
    assert g.outputs["z"].node.attributes["value"] == [[1.0, 2.0], [3.0, 4.0]]


def test_whole_numbers_stay_whole_beside_classes():
    g = body("output y = float(label == 3)", inputs="input label: class(10)")
    three = next(node for node in g.nodes if node.operator == "constant")
    assert three.outputs[0].type.element == "int"
    assert three.attributes["value"] == 3


@pytest.mark.parametrize(
    ("expression", "element"),
    [("where(l == 2, 0, l)", "int"), ("where(l == 2, 0.0, l)", "float"), ("where(l == 2, 0, x)", "float")],
)
def test_whole_numbers_stay_whole_beside_a_mask(expression, element):
    g = body(f"output y = {expression}", inputs="input l: class(4)[3]; input x: [3]")
    assert g.outputs["y"].type.element == element


def test_a_module_chain_and_a_list_of_modules():
    stem = body("stem = conv(4, 3) -> batchnorm -> relu\noutput y = x -> stem")
    assert [m.kind for m in stem.root.children[0].children] == ["conv", "batchnorm", "relu"]
    listed = body("output y = x -> [conv(w, 3, pad = 1) -> relu for w in [4, 6]] -> maxpool(2)")
    assert shapes_of(listed)["y.conv_2.W"] == [6, 4, 3, 3]
    assert shape(listed, "y") == [6, 4, 4]


def test_repeat_makes_copies():
    g = body("output y = x -> repeat 3 { conv(3, 3, pad = 1) -> relu }")
    assert [p for p in g.parameters if p.endswith("W")] == ["y.conv.W", "y.conv_2.W", "y.conv_3.W"]


@pytest.mark.parametrize("none", ["repeat 0 { relu }", "[relu for k in []]"])
def test_no_modules_pass_a_tensor_on(none):
    g = body(f"output y = x -> {none}")
    assert g.outputs["y"] is g.inputs["x"]


def test_for_and_if_open_no_scope():
    g = body(
        """
        for k in [4, 6] {
            x = x -> conv(k, 3, pad = 1)
            if k == 6 { last = x }
        }
        output last
        """
    )
    assert list(g.parameters) == ["x.conv.W", "x.conv.b", "x.conv_2.W", "x.conv_2.b"]
    assert shape(g, "last") == [6, 8, 8]


def test_the_newer_value_of_a_name_holds():
    g = body("y = x * 2\ny = y + 1\noutput y")
    assert operators(g)[1:] == ["constant", "multiply", "constant", "add"]


def test_several_outputs():
    before = "block both(): x -> a, b, c { a = x + 1; b = x + 2; c = x + 3 }"
    g = body("p, _, q = x -> both\nr, s = both(x)\noutput p; output q; output r; output s\noutput t = both(x) * 2",
             before=before)  # fmt: skip
    added = {name: g.outputs[name].node.inputs[1].node.attributes["value"] for name in "pqrs"}
    assert added == {"p": 1, "q": 3, "r": 1, "s": 2}
    first = g.outputs["t"].node.inputs[0]
    assert first.node.inputs[1].node.attributes["value"] == 1


def test_two_values_are_assigned_at_once():
    g = body("a, b = (x * 2, x * 3)\na, b = (b, a)\noutput a; output b")
    assert g.outputs["a"].node.inputs[1].node.attributes["value"] == 3


def test_higher_order_blocks():
    before = """
    block unit(channels, norm = batchnorm, act = relu): x -> y { y = x -> conv(channels, 3) -> norm -> act }
    """
    g = body("output y = x -> unit(4) -> unit(5, norm = identity, act = leaky_relu(0.2))", before=before)
    kinds = [[m.kind for m in unit.children] for unit in g.root.children]
    assert kinds == [["conv", "batchnorm", "relu"], ["conv", "identity", "leaky_relu"]]


def test_conditional_modules_and_values():
    g = body("output y = x -> (conv(4, 3) if x.height > 4 else identity)\noutput z = x if training else x * 0")
    assert shape(g, "y") == [4, 6, 6]
    assert g.outputs["z"].node.operator == "multiply"


def test_training_makes_two_programs_of_one_net():
    text = "output y = x -> batchnorm -> dropout(0.5)"
    inference, training = body(text), body(text, training=True)
    assert "uniform_like" in operators(training)
    assert "uniform_like" not in operators(inference)
    assert sorted(training.updates) == ["y.batchnorm.mean", "y.batchnorm.variance"]
    assert inference.updates == {}
    assert list(inference.parameters) == list(training.parameters)


def test_what_batch_words_give_belongs_to_no_example():
    g = body("output y = x - batch_mean(x) * batch_count", training=True)
    mean, count = g.outputs["y"].node.inputs[1].node.inputs
    assert not mean.batched
    assert count.node.operator == "batch_count"
    assert g.outputs["y"].batched


def test_the_languages_own_linear_is_the_librarys():
    g = body("output y = x -> linear(4) -> linear(2, bias = false)", inputs="input x: [6]", before=LINEAR)
    assert shapes_of(g) == {"y.linear.W": [6, 4], "y.linear.b": [4], "y.linear_2.W": [4, 2]}
    initializer = g.parameters["y.linear.W"].initializer
    assert initializer.name == "uniform"
    assert initializer.arguments == pytest.approx((-(6**-0.5), 6**-0.5))


def test_initializers():
    g = body(
        """
        param a: [3] = 2
        param b: [2, 2] = [[1, 2], [3, 4]]
        param c: [3, 3] = identity()
        param d: [3] = normal(sd = 0.1)
        param e: [3] = zeros() if a.rank == 1 else ones()
        state s: [3]
        output y = x @ c + a + d + e + s + sum(b)
        """,
        inputs="input x: [3]",
    )
    first = {path: (v.initializer.name, v.initializer.arguments) for path, v in g.parameters.items()}
    assert first == {
        "a": ("constant", (2.0,)),
        "b": ("values", (1.0, 2.0, 3.0, 4.0)),
        "c": ("identity", ()),
        "d": ("normal", (0.0, 0.1)),
        "e": ("zeros", ()),
    }
    assert g.states["s"].initializer.name == "zeros"


def test_initializers_as_functions_of_a_shape_are_values():
    g = body("output y = x + zeros([3]) + constant([3], 2.5) + uniform([3], -1, 1)", inputs="input x: [3]")
    made = [(n.operator, dict(n.attributes)) for n in g.nodes if n.operator in ("fill", "draw")]
    assert [(operator, a.get("value")) for operator, a in made] == [("fill", 0.0), ("fill", 2.5), ("draw", None)]
    assert made[2][1]["initializer"].arguments == (-1.0, 1.0)
    assert list(made[2][1]["shape"]) == [3]


def test_concat_takes_tensors_or_a_list_of_them():
    for text in ("concat(x, x, x)", "concat([x, x, x])", "concat([x for k in 0..3], axis = 0)", "[x, x, x] -> concat"):
        assert shape(body(f"output y = {text}"), "y") == [9, 8, 8]


def test_lists_of_tensors_grow():
    g = body("all = [x]\nfor k in 0..2 { all = all + [concat(all) -> conv(2, 1)] }\noutput y = concat(all)")
    assert shape(g, "y") == [7, 8, 8]
    assert shapes_of(g)["all.conv_2.W"] == [2, 5, 1, 1]


def test_a_net_is_a_block_of_its_outputs():
    text = """
    net encoder(units = 4) {
        input image: [1, 6, 6]
        input label: class(3)
        features = image -> flatten -> linear(units)
        output code = tanh(features)
        loss cross_entropy(features -> linear(3), label)
        metric spread = mean(features)
    }
    net whole() {
        input picture: [1, 6, 6]
        output y = picture -> encoder(5) -> linear(2)
    }
    """
    g = graph(text)
    assert list(g.inputs) == ["picture"]
    assert list(g.parameters) == [
        "y.encoder.features.linear.W", "y.encoder.features.linear.b", "y.linear.W", "y.linear.b",
    ]  # fmt: skip
    assert not g.losses
    assert [m.kind for m in g.root.children] == ["encoder", "linear"]


def test_the_model_is_the_last_net_or_the_one_that_is_named():
    text = "net a() { input x: [2]; output y = x }\nnet b() { input z: [2]; output y = z }\n"
    assert graph(text).name == "b"
    assert graph(text, net="a").name == "a"


def test_hyperparameters_and_lets_are_set_from_outside():
    text = (
        'let widths = [4]\nlet name = "a"\n'
        "net n(k = 2, f = 0.5) { input x: [k]; output y = x -> [linear(w) for w in widths] }"
    )
    g = graph(text, settings={"k": 3, "widths": [5, 6], "f": 1, "name": "12"})
    assert shapes_of(g)["y.linear.W"] == [3, 5]
    assert g.hyperparameters == {"k": 3, "f": 1, "widths": [5, 6], "name": "12"}
    spelt = graph(text, settings={"k": "3", "widths": "[5, 6]", "f": "1e-3"})
    assert spelt.hyperparameters == {"k": 3, "f": 0.001, "widths": [5, 6], "name": "a"}


def test_unnamed_losses_and_metrics_are_called_what_makes_them():
    g = body(
        """
        loss mse(x, 2 * x)
        loss mse(x, 3 * x)
        loss weight = 0.1 * mean(x)
        metric mae(x, x + 1)
        output total = weight * 2
        """
    )
    assert list(g.losses) == ["mse", "mse_2", "weight"]
    assert list(g.metrics) == ["mae"]
    assert g.outputs["total"].node.inputs[0] is g.losses["weight"]


def test_types_are_written_as_the_language_has_them():
    g = body(
        "output y = x",
        inputs="input x: int[4]; input m: bool[2]; input w: class(9)[5]; input s: []",
    )
    assert [str(v.type) for v in g.inputs.values()] == ["int[4]", "bool[2]", "class(9)[5]", "[]"]


def test_as_names_a_module_and_its_value():
    g = body("z = x -> conv(4, 3) as c1 -> relu\noutput y = c1 * 2\noutput again = x -> c1\noutput z")
    assert list(g.parameters) == ["c1.W", "c1.b"]
    assert g.outputs["y"].node.inputs[0].node.module.path == "c1"
    assert g.outputs["again"].node.module.path == "c1"


def test_as_at_the_head_of_a_chain_and_alone():
    g = body(
             "y = linear(x, 4) as first -> relu\nx -> linear(3) as second\noutput y; output first; output second",
             inputs="input x: [5]")  # fmt: skip
    assert list(g.parameters) == ["first.W", "first.b", "second.W", "second.b"]


def test_a_node_has_the_name_that_the_text_gives_it():
    g = body("a = x * 2\noutput y = a")
    assert g.outputs["y"].node.name == "a"


def test_documentation_reaches_the_graph():
    g = graph(
        "## Doubles.\n"
        "block twice(): x -> y { y = 2 * x }\n"
        "## The net.\n"
        "net n() { input x: [1]; output y = x -> twice }\n"
    )
    assert g.documentation == "The net."
    assert g.root.children[0].documentation == "Doubles."


OPTIONAL = """
block shifted(): x: [n], by: [n] = none -> y: [n] {
    y = x if by == none else x + by
}
block outer(): x: [n], by: [n] = none -> y: [n] {
    y = x -> shifted(by = by)
}
"""


def test_a_port_without_a_tensor():
    g = body("output y = x -> outer\noutput z = (x, x) -> outer", inputs="input x: [4]", before=OPTIONAL)
    assert operators(g) == ["input", "add"]
    assert [m.inputs for m in g.root.children[0].children] == [[g.inputs["x"]]]
    assert body("output y = outer(x, by = none)", inputs="input x: [4]", before=OPTIONAL).outputs


def test_none_is_no_tensor_of_other_ports():
    text = "net n() {\n input x: [4]\n output y = lstm(x, 3, x = none)\n}"
    assert faults(text) == ["E0301 3:28 'x' is an input of 'lstm', a tensor, not none"]
