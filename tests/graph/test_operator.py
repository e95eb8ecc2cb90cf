"""Hyperparameters: which values each kind takes, and what is said about those that it does not."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from graphdl.graph.operator import REQUIRED, GraphError, Hyper, OperatorError, check_rank, hyperparameters, is_number
from graphdl.operators.primitive import Primitive


def primitive(*hypers: Hyper) -> Primitive:
    return Primitive("op", ("x",), lambda types, attributes: types, lambda node: node.inputs, hypers)


def taken(kind: str, value: Any, **more: Any) -> Any:
    return hyperparameters(primitive(Hyper("h", kind, **more)), {"h": value})["h"]


def refused(code: str, kind: str, value: Any, **more: Any) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        taken(kind, value, **more)
    assert (caught.value.code, caught.value.hyper) == (code, "h")
    return caught.value


SAMPLES: dict[str, Any] = {
    "int": 3, "float": 2.5, "bool": True, "text": "a", "none": None, "list": [1, 2], "empty": [], "floats": [1, 2.5],
    "bools": [True, 1], "nested": [[1]], "texts": ["a"], "tuple": (1, 2),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [
        ("int", {"int"}),
        ("number", {"int", "float"}),
        ("bool", {"bool"}),
        ("string", {"text"}),
        ("shape", {"list", "empty"}),
        ("ints", {"int", "list", "empty"}),
        ("numbers", {"list", "empty", "floats"}),
        ("any", set(SAMPLES)),
    ],
)
def test_what_each_kind_takes(kind: str, accepted: set[str]) -> None:
    for name, value in SAMPLES.items():
        if name in accepted:
            assert taken(kind, value) == value
        else:
            refused("E0301", kind, value)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("int", 2.5, "'h' is an int, not 2.5"),
        ("number", "a", "'h' is a number, not the text \"a\""),
        ("bool", 1, "'h' is true or false, not 1"),
        ("string", [1], "'h' is a text, not the list [1]"),
        ("shape", 3, "'h' is a list of ints, not 3"),
        ("ints", [1.5], "'h' is an int or a list of them, not the list [1.5]"),
        ("numbers", True, "'h' is a list of numbers, not true"),
    ],
)
def test_a_complaint_says_what_is_wanted_and_what_is_there(kind: str, value: Any, message: str) -> None:
    assert refused("E0301", kind, value).message == message


@pytest.mark.parametrize(
    ("kind", "value", "helps"),
    [("int", 4.0, True), ("ints", 4.0, True), ("int", 4.5, False), ("shape", 4.0, False), ("int", "4", False)],
)
def test_an_int_that_a_division_made_a_float_gets_help(kind: str, value: Any, helps: bool) -> None:
    assert refused("E0301", kind, value).help == ("divide with '//' for an int" if helps else None)


@pytest.mark.parametrize("value", [inf, -inf, nan])
def test_what_is_not_finite_is_no_int(value: float) -> None:
    assert refused("E0301", "int", value).message == f"'h' is an int, not {value}"
    assert taken("number", value) is value


def test_none_is_taken_where_it_is_the_default() -> None:
    assert taken("int", None, default=None) is None
    refused("E0301", "int", None, default=3)
    refused("E0301", "int", None)


def test_words_are_chosen_from_a_list() -> None:
    choices = ("zeros", "reflect")
    assert taken("string", "reflect", choices=choices) == "reflect"
    error = refused("E0306", "string", "reflcet", choices=choices)
    assert error.message == '\'h\' is one of "zeros", "reflect", not "reflcet"'
    assert error.help == "did you mean 'reflect'?"


def test_defaults_stand_for_what_is_not_given() -> None:
    op = primitive(Hyper("axis", "int"), Hyper("keep", "bool", False), Hyper("pad", "ints", None))
    assert hyperparameters(op, {"axis": 1}) == {"axis": 1, "keep": False, "pad": None}
    assert hyperparameters(op, {"axis": 1, "keep": True, "pad": 2}) == {"axis": 1, "keep": True, "pad": 2}
    with pytest.raises(OperatorError) as caught:
        hyperparameters(op, {"keep": True})
    assert (caught.value.code, caught.value.message) == ("E0205", "'op' wants 'axis', and it is not given")
    assert caught.value.hyper == "axis"


def test_a_list_is_taken_as_a_copy() -> None:
    given = [1, 2]
    found = taken("shape", given)
    given.append(3)
    assert found == [1, 2]


def test_a_list_may_be_as_long_as_a_tensor_has_dimensions() -> None:
    assert taken("shape", [1] * 32) == [1] * 32
    assert "a tensor of 33 dimensions" in refused("E0302", "shape", [1] * 33).message
    refused("E0302", "ints", [1] * 33)
    assert len(taken("numbers", [1] * 33)) == 33
    check_rank(32)
    with pytest.raises(GraphError, match="1,000 dimensions has too many"):
        check_rank(1000)


def test_the_words_for_a_value_are_the_callers() -> None:
    with pytest.raises(OperatorError, match="not something"):
        hyperparameters(primitive(Hyper("h", "int")), {"h": object()}, lambda value: "something")


def test_a_default_that_is_required_is_none_of_pythons() -> None:
    assert Hyper("h", "int").default is REQUIRED
    assert [is_number(value) for value in (1, 1.5, True, "1", None)] == [True, True, False, False, False]
