"""The structure of scans."""

import pytest
from expanding import body, faults, graph, shape, shapes_of

ELMAN = """
block elman(units): x: [T, n], start: [units] = zeros([units]) -> y: [T, units], last: [units] {
    inward = linear(units)
    back = linear(units, bias = false)
    y, last = scan xt in x, h = start {
        h = tanh((xt -> inward) + (h -> back))
        emit h
    }
}
"""


def scan_of(g):
    (node,) = [node for node in g.nodes if node.operator == "scan"]
    return node


def test_a_scan_is_one_node_with_a_body():
    g = body("y, last = x -> elman(4)\noutput y; output last", inputs="input x: [7, 3]", before=ELMAN)
    node = scan_of(g)
    content = node.attributes["body"]
    assert [str(v.type) for v in node.outputs] == ["[7, 4]", "[4]"]
    assert (g.outputs["y"], g.outputs["last"]) == node.outputs
    assert [str(v.type) for v in content.items] == ["[3]"]
    assert [str(v.type) for v in content.states] == ["[4]"]
    assert content.next_states == content.emitted
    assert shapes_of(g) == {"y.elman.inward.W": [3, 4], "y.elman.inward.b": [4], "y.elman.back.W": [4, 4]}
    assert [v.node.attributes["name"] for v in node.inputs[2:]] == list(g.parameters)
    assert node.inputs[0] is g.inputs["x"]
    assert node.inputs[1].node.operator == "fill"


def test_the_body_closes_over_what_is_inside_it():
    g = body("y, last = x -> elman(4)\noutput y", inputs="input x: [7, 3]", before=ELMAN)
    content = scan_of(g).attributes["body"]
    inside = {node.id for node in content.nodes}
    for node in content.nodes:
        assert all(value.node.id in inside for value in node.inputs)
    assert {v.node.operator for v in (*content.items, *content.states, *content.captured)} == {"item"}
    assert not inside & {node.id for node in g.nodes}


def test_a_state_is_batched_as_soon_as_its_next_value_is():
    g = body("y, last = x -> elman(4)\noutput y; output last", inputs="input x: [7, 3]", before=ELMAN)
    node = scan_of(g)
    content = node.attributes["body"]
    assert not node.inputs[1].batched
    assert content.states[0].batched
    assert all(v.batched for v in node.outputs)
    assert not any(v.batched for v in content.captured)


def test_a_scan_over_parameters_alone_is_not_batched():
    g = body("param w: [5, 2] = ones()\ntotal = scan row in w, s = zeros([2]) { s = s + row }\noutput y = x + total",
             inputs="input x: [2]")  # fmt: skip
    assert not scan_of(g).outputs[0].batched


def test_the_initial_state_is_an_optional_input():
    g = body("y, last = (x, h) -> elman(4)\noutput y", inputs="input x: [7, 3]; input h: [4]", before=ELMAN)
    assert scan_of(g).inputs[1] is g.inputs["h"]


def test_several_sequences_and_states_and_outputs():
    g = body(
        """
        p, q, a, b = scan xt in x, zt in z, a = zeros([3]), b = 0.0 {
            a = a + xt * zt
            b = b + sum(a)
            emit a, b
        }
        output p; output q; output a; output b
        """,
        inputs="input x: [7, 3]; input z: [7]",
    )
    assert [str(v.type) for v in scan_of(g).outputs] == ["[7, 3]", "[7]", "[3]", "[]"]
    assert len(scan_of(g).attributes["body"].items) == 2


def test_only_states():
    g = body("last = scan xt in x, h = zeros([3]) { h = h * 0.5 + xt }\noutput last", inputs="input x: [7, 3]")
    assert shape(g, "last") == [3]


def test_backwards():
    g = body("y = reverse(scan xt in reverse(x), h = 0.0 { h = h + xt; emit h })\noutput y", inputs="input x: [7]")
    assert scan_of(g).inputs[0].node.operator == "reverse"
    assert g.outputs["y"].node.operator == "reverse"


def test_other_names_of_the_body_stay_in_it():
    text = (
        "net n() {\n"
        " input x: [7, 3]\n"
        " y = scan xt in x, h = zeros([3]) { d = xt * 2\n"
        " h = h + d\n"
        " emit d }\n"
        " output d\n"
        " output y\n"
        "}"
    )
    assert faults(text) == ["E0201 6:9 'd' is not defined"]


def test_scans_nest():
    g = body(
        """
        param w: [2] = ones()
        y = scan row in x, h = zeros([2]) {
            inner = scan v in row, s = h { s = s * w + v + offset }
            h = inner
            emit h
        }
        output y
        """,
        inputs="input x: [7, 3]; input offset: [2]",
    )
    outer = scan_of(g).attributes["body"]
    (inner,) = [node for node in outer.nodes if node.operator == "scan"]
    assert [v.node.attributes["name"] for v in scan_of(g).inputs[2:]] == ["w", "offset"]
    inside = {node.id for node in outer.nodes}
    assert all(v.node.id in inside for v in inner.inputs)
    assert inner.attributes["body"].states[0].batched


def test_a_module_is_made_once_for_all_steps():
    g = body("y = scan xt in x, h = zeros([4]) { h = (xt -> linear(4)) + (h -> linear(4)); emit h }\noutput y",
             inputs="input x: [7, 3]")  # fmt: skip
    assert list(g.parameters) == ["h.linear.W", "h.linear.b", "h.linear_2.W", "h.linear_2.b"]
    assert all(node in g.nodes for node in (v.value.node for v in g.parameters.values()))


@pytest.mark.parametrize(("kind", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_the_recurrent_layers(kind, gates):
    g = body(f"y, h = x -> {kind}(6)\noutput y; output h", inputs="input x: [7, 3]")
    assert (shape(g, "y"), shape(g, "h")) == ([7, 6], [6])
    assert list(shapes_of(g).values()) == [[3, 6 * gates], [6, 6 * gates], [6 * gates], [6 * gates]]


def test_lstm_takes_its_states():
    g = body("y, a, b = (x, h, c) -> lstm(6)\noutput y", inputs="input x: [7, 3]; input h: [6]; input c: [6]")
    assert scan_of(g).inputs[1:3] == (g.inputs["h"], g.inputs["c"])


def test_stacked_layers_in_both_directions():
    text = 'y, h, c = x -> lstm(6, length = n, layers = 2, direction = "both") as m\noutput y; output h; output c'
    g = body(text, inputs="input x: [7, 3]; input n: int")
    assert [shape(g, name) for name in "yhc"] == [[7, 12], [4, 6], [4, 6]]
    found = shapes_of(g)
    assert [path for path in found if path.endswith("Wx")] == ["m.ahead.Wx", "m.back.Wx", "m.ahead_2.Wx", "m.back_2.Wx"]
    assert found["m.back.Wx"] == [3, 24]
    assert found["m.ahead_2.Wx"] == [12, 24]


def test_a_direction_that_there_is_not():
    text = 'net n() {\n input x: [7, 3]\n output y = x -> gru(4, direction = "up")\n}'
    assert faults(text) == ['E0312 3:18 direction is "forward", "backward" or "both", not "up"']


def test_states_with_a_row_for_each_layer():
    text = "net n() {\n input x: [7, 3]\n input h: [3, 4]\n output y = (x, h) -> gru(4, layers = 2)\n}"
    assert faults(text) == ["E0312 4:23 start is [2, 4], not [3, 4]"]


def test_a_scan_that_computes_its_steps_again():
    assert scan_of(body("y = scan recompute r in x { emit r @ x }\noutput y")).attributes["body"].recompute
    assert not scan_of(body("y = scan recompute in x { emit recompute @ x }\noutput y")).attributes["body"].recompute


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        (
            "y = scan a in x, b in z { emit a }",
            "E0416 3:28 a scan runs over sequences of one length, and [7, 3] and [6] differ",
        ),
        (
            "y = scan a in x, h = 0.0 { h = a; emit h }",
            "E0415 3:27 the state 'h' is [] at the start and [3] after a step",
        ),
        ("y = scan h = 0.0 { emit h }", "E0502 3:10 a scan runs over a sequence at least: item in sequence"),
        ("y = scan a in 3 { emit a }", "E0301 3:20 a scan runs over a tensor, not 3"),
        ("y = scan a in x { loss mean(a); emit a }", "E0502 3:24 'loss' stands in a net, not inside a scan"),
        ("emit x", "E0502 3:6 'emit' stands in the body of a scan"),
        (
            "y = scan again a in x { emit a }",
            "E0107 3:15 after `scan` comes an item, a state or the word `recompute`, not `again`",
        ),
    ],
)
def test_complaints(statement, complaint):
    text = f"net n() {{\n     input x: [7, 3]; input z: [6]; output o = x + mean(z)\n     {statement}\n}}"
    assert faults(text) == [complaint]


def test_a_state_is_not_updated_in_a_scan():
    text = "net n() {\n input x: [7, 3]\n output y = scan a in x { emit a -> batchnorm }\n}"
    found = faults(text)
    assert found == ["E0502 3:37 a state is not updated inside a scan: its steps share one body"]
    assert graph(text).outputs["y"].type.shape == (7, 3)
