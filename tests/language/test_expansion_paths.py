"""The paths of parameters, and which modules share them."""

from expanding import body, graph, shapes_of

RESIDUAL = """
block residual(channels, stride = 1): x -> y {
    main = x -> conv(channels, 3, stride = stride, pad = 1, bias = false) -> batchnorm -> relu
             -> conv(channels, 3, pad = 1, bias = false) -> batchnorm
    skip = x if stride == 1 and x.channels == channels
           else x -> conv(channels, 1, stride = stride, bias = false) -> batchnorm
    y = relu(main + skip)
}
"""


def weights(g):
    return [path for path in g.parameters if path.endswith("W")]


def test_within_a_statement_the_first_of_a_kind_is_bare():
    g = body("main = x -> conv(4, 3) -> relu -> conv(5, 3) -> conv(6, 3)\noutput main")
    assert weights(g) == ["main.conv.W", "main.conv_2.W", "main.conv_3.W"]


def test_as_names_are_not_counted_and_stand_below_the_body():
    g = body("main = x -> conv(4, 3) as c1 -> conv(5, 3)\noutput main")
    assert weights(g) == ["c1.W", "main.conv.W"]


def test_blocks_in_blocks():
    g = body("output y = x -> residual(4, stride = 2) -> residual(4) as last", before=RESIDUAL)
    assert weights(g) == [
        "y.residual.main.conv.W", "y.residual.main.conv_2.W", "y.residual.skip.conv.W",
        "last.main.conv.W", "last.main.conv_2.W",
    ]  # fmt: skip
    assert "y.residual.main.batchnorm_2.gamma" in g.parameters
    assert "last.main.batchnorm.variance" in g.states


def test_an_edit_elsewhere_renames_nothing():
    one = body("a = x -> conv(4, 3)\nb = a -> conv(5, 3)\noutput b")
    two = body("z = x -> conv(3, 3, pad = 1)\na = z -> conv(4, 3)\nb = a -> conv(5, 3)\noutput b")
    assert weights(two)[1:] == weights(one) == ["a.conv.W", "b.conv.W"]


def test_loops_add_no_level():
    g = body("for k in 0..2 { x = x -> repeat 2 { conv(3, 3, pad = 1) } }\noutput x")
    assert weights(g) == ["x.conv.W", "x.conv_2.W", "x.conv_3.W", "x.conv_4.W"]


def test_copies_of_an_as_name_are_numbered():
    g = body("for k in 0..2 { x = x -> conv(3, 3, pad = 1) as c }\nz = x -> repeat 2 { conv(3, 1) as d }\n"
             "output c_2; output c; output d_2; output z")  # fmt: skip
    assert weights(g) == ["c.W", "c_2.W", "d.W", "d_2.W"]
    assert g.outputs["c_2"] is g.outputs["c"]
    assert g.outputs["d_2"].node.module.path == "d_2"


def test_the_kind_is_the_blocks_own_name():
    text = "net n() { input x: [3, 8, 8]\n layer = conv\n y = x -> layer(4, 3) -> layer(5, 3)\n output y }"
    assert weights(graph(text)) == ["y.conv.W", "y.conv_2.W"]


def test_a_named_module_is_one_module():
    g = body("f = linear(4)\na = x -> f\nb = z -> f\noutput y = a + b", inputs="input x: [6]; input z: [6]")
    assert shapes_of(g) == {"f.W": [6, 4], "f.b": [4]}
    assert [m.path for m in g.root.children] == ["f"]
    assert [node.operator for node in g.nodes].count("param") == 2


def test_a_named_chain_is_one_module_with_a_level_of_its_own():
    g = body("encoder = linear(4) -> relu -> linear(4)\noutput y = (x -> encoder) + (z -> encoder)",
             inputs="input x: [6]; input z: [6]")  # fmt: skip
    assert list(g.parameters) == ["encoder.linear.W", "encoder.linear.b", "encoder.linear_2.W", "encoder.linear_2.b"]
    (encoder,) = g.root.children
    assert [encoder.kind, *(m.path for m in encoder.children)] == [
        "chain", "encoder.linear", "encoder.relu", "encoder.linear_2",
    ]  # fmt: skip


def test_a_shared_block_shares_all_that_is_inside_it():
    g = body("f = residual(3)\noutput y = x -> f -> f -> f", before=RESIDUAL)
    assert weights(g) == ["f.main.conv.W", "f.main.conv_2.W"]
    assert len(g.parameters) == 6
    assert len(g.states) == 4


def test_the_running_value_of_a_shared_module_moves_at_each_use():
    g = body("f = batchnorm\noutput y = x -> f -> f", training=True)
    assert list(g.updates) == ["f.mean", "f.variance"]
    state = g.states["f.mean"].value
    chain = []
    value = g.updates["f.mean"]
    while value is not state:  # (1 - momentum) * before + momentum * now
        chain.append(value)
        value = value.node.inputs[0].node.inputs[1]
    assert len(chain) == 2


def test_a_hyperparameter_is_a_recipe():
    before = "block twice(f): x -> y { y = x -> f -> f }"
    g = body("output y = x -> twice(conv(3, 3, pad = 1))", before=before)
    assert weights(g) == ["y.twice.y.conv.W", "y.twice.y.conv_2.W"]


def test_a_named_module_stays_one_where_it_is_passed_on():
    before = "block twice(f): x -> y { y = x -> f -> f }"
    g = body("shared = conv(3, 3, pad = 1)\noutput y = x -> twice(shared) -> shared", before=before)
    assert weights(g) == ["shared.W"]


def test_the_items_of_a_list_are_recipes():
    g = body("layers = [conv(3, 3, pad = 1), conv(3, 1)]\noutput y = x -> layers -> layers[0]")
    assert weights(g) == ["y.conv.W", "y.conv_2.W", "y.conv_3.W"]


def test_a_module_named_in_a_loop_is_a_new_one_at_each_pass():
    g = body("for k in 0..2 { f = conv(3, 3, pad = 1)\n x = x -> f -> f }\noutput x")
    assert weights(g) == ["f.W", "f_2.W"]


def test_a_second_name_of_a_module_is_the_same_module():
    g = body("f = conv(3, 3, pad = 1)\ng = f\noutput y = x -> f -> g")
    assert weights(g) == ["f.W"]


def test_what_stands_in_a_module_of_the_name_of_another_does_not_collide():
    before = "block a(): x -> y { c = conv(3, 1)\n y = x -> c }"
    g = body(
        "x -> a as a_1\na_1 = x -> c(3)\noutput y = a_1", before=before + "\nblock c(n): x -> y { y = x -> conv(n, 1) }"
    )
    assert len(set(g.parameters)) == 4


def test_the_hierarchy_of_modules():
    g = body("output y = x -> residual(4, stride = 2)", before=RESIDUAL)
    (residual,) = g.root.children
    assert (residual.kind, residual.path, residual.parent) == ("residual", "y.residual", g.root)
    assert [m.path for m in residual.children][:2] == ["y.residual.main.conv", "y.residual.main.batchnorm"]
    assert residual.hyperparameters == {"channels": 4, "stride": 2}
    assert residual.inputs == [g.inputs["x"]]
    assert residual.outputs == [g.outputs["y"]]
    owners = {node.module.kind for node in g.nodes if node.operator == "convolve"}
    assert owners == {"conv"}


def test_nodes_stand_in_topological_order():
    g = body("output y = x -> residual(4, stride = 2) -> residual(4)", before=RESIDUAL, training=True)
    seen = set()
    for node in g.nodes:
        assert all(value.node.id in seen for value in node.inputs)
        seen.add(node.id)
