"""Parameters of modules, lists of states, casts to classes, and `..` in an index: types, places and complaints."""

import pytest
from expanding import faults, graph

NET = """net n() {{
 input x: [4]
 input k: int[3]
 input s: [5, 4]
 input image: [3, 8, 6]
{}
 output x
 output k
 output s
 output image
}}"""


def net(body):
    return NET.format(body)


def types(body):
    return {
        name: str(value.type)
        for name, value in graph(net(body)).outputs.items()
        if name not in ("x", "k", "s", "image")
    }


@pytest.mark.parametrize(
    ("index", "type"),
    [
        ("image[.., :2]", "[3, 8, 2]"),
        ("image[0, .., 1:3]", "[8, 2]"),
        ("image[..]", "[3, 8, 6]"),
        ("image[1, 2, 3, ..]", "[]"),
        ("image[.., 0, 0]", "[3]"),
        ("x[.., 1]", "[]"),
    ],
)
def test_two_dots_in_an_index_stand_for_the_other_dimensions(index, type):
    assert types(f" output y = {index}") == {"y": type}


def test_an_int_becomes_a_class():
    assert types(" output y = class(k, 10)\n output z = k -> class(7) -> embedding(2)") == {
        "y": "class(10)[3]", "z": "[3, 2]",
    }  # fmt: skip


def test_parameters_of_modules_are_values():
    found = graph(
        net(
            """ up = linear(2)
 code = x -> up
 output back = code @ transpose(up.W) + x
 mixed = code -> linear(3) as head -> linear(4)
 output width = head.W.shape[1] * head.b[0]
 stack = linear(3) -> batchnorm
 h = mixed -> stack
 output w = sum(stack.linear.W) + stack.batchnorm.mean[0]
 output h"""
        )
    )
    assert {path: str(variable.type) for path, variable in found.parameters.items()}["up.W"] == "[4, 2]"
    assert [path for path in found.parameters if path.startswith("stack")][:2] == ["stack.linear.W", "stack.linear.b"]


def test_a_scan_carries_lists_of_states():
    body = """ zero = zeros([2])
 cells = [linear(2) for _k in 0..2]
 low = linear(2)
 high = linear(2)
 outs, hs, total = scan xt in s, hs = [zero, [zero, zeros([4])]], total = [0, 0] {
     first = tanh((xt -> low) + hs[0])
     hs = [first, [tanh((first -> high) + hs[1][0]), xt]]
     total = total + first
     emit hs[1][0]
 }
 output outs
 output a = hs[0]
 output b = hs[1][1]
 output total""".replace(" cells = [linear(2) for _k in 0..2]\n", "")
    assert types(body) == {"outs": "[5, 2]", "a": "[2]", "b": "[4]", "total": "[2]"}


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (" output y = image[.., 0, ..]", "E0113 an index has `..` at most once"),
        (" output y = image[0, 0, 0, .., 0]", "E0402 4 indices for [3, 8, 6], which has 3 dimensions"),
        (" l = [1, 2]\n output y = x * l[..]", "E0301 `..` stands for dimensions of a tensor, and this is a list"),
        (" output y = class(x, 3)", "E0301 class wants ints, such as class(10), and found [4]"),
        (" output y = class(k, 0)", "E0304 classes is at least 1, not 0"),
        (
            " a = linear(3)\n output y = sum(a.W)\n output z = x -> a",
            "E0215 'a' has no parameters yet: its first use makes them",
        ),
        (" a = linear(3)\n output z = x -> a\n output y = sum(a.w)", "E0215 'a' has no parameter or state 'w'"),
        (" output y = x -> linear(3) as a\n output z = a.w", "E0215 a tensor has no 'w'"),
        (
            " output y = scan v in s, h = [x, x] {\n  h = [h[0]]\n }",
            "E0415 the state 'h' is a list of 2 at the start and the list [[4]] after a step",
        ),
        (" output y = x * training.epoch", "E0502 'training.epoch' is known only in training"),
        (" if training {\n  loss l = sum(x) * training.epok\n }", "E0215 'training' has no 'epok'"),
    ],
)
def test_what_is_wrong_is_said(body, fault):
    code, _, message = fault.partition(" ")
    found = faults(net(body))
    assert any(each.startswith(code) and message in each for each in found), found
