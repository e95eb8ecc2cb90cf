"""Types and written-out numbers, as messages and expansion see them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphdl.graph.model import Value
from graphdl.graph.numbers import element_for, is_numeric, numbers_of, written_out
from graphdl.graph.operator import GraphError
from graphdl.graph.types import TensorType
from graphdl.graph.wording import describe, number_text, text


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (TensorType((3, 224, 224)), "[3, 224, 224]"),
        (TensorType(()), "[]"),
        (TensorType((), "int"), "int"),
        (TensorType((5,), "bool"), "bool[5]"),
        (TensorType((), "int", 10), "class(10)"),
        (TensorType((7,), "int", 10), "class(10)[7]"),
    ],
)
def test_a_type_reads_as_the_language_writes_it(kind: TensorType, written: str) -> None:
    assert str(kind) == written


def test_sizes() -> None:
    assert (TensorType((3, 4, 5)).rank, TensorType((3, 4, 5)).size) == (3, 60)
    assert (TensorType(()).rank, TensorType(()).size) == (0, 1)


def test_what_a_kernel_may_assume_is_no_part_of_a_type() -> None:
    assert TensorType((3,), "int", limit=7) == TensorType((3,), "int")
    assert TensorType((3,), "int", 7) != TensorType((3,), "int")


NESTED = st.recursive(
    st.integers(-100, 100) | st.floats(-100, 100) | st.booleans(),
    lambda inner: st.integers(1, 3).flatmap(lambda n: st.lists(inner, min_size=n, max_size=n)),
    max_leaves=8,
)


def shape_of(value: Any) -> tuple[int, ...] | None:
    """The shape of nested lists, or None if they are ragged."""
    if not isinstance(value, list):
        return ()
    shapes = {shape_of(item) for item in value}
    (shape,) = shapes if len(shapes) == 1 else (None,)
    return None if shape is None else (len(value), *shape)


@given(NESTED)
def test_lists_are_tensors_unless_they_are_ragged(value: Any) -> None:
    assert is_numeric(value)
    shape = shape_of(value)
    if shape is None:
        with pytest.raises(GraphError):
            written_out(value, None)
        return
    plain, kind = written_out(value, None)
    assert kind.shape == shape
    assert shape_of(plain) == shape
    assert numbers_of(plain)[1] == [pytest.approx(float(n)) for n in numbers_of(value)[1]]


@pytest.mark.parametrize(
    ("value", "element"),
    [(1, "int"), ([1, 2.5], "float"), ([True, False], "bool"), ([True, 2], "int"), ([[1.0], [2]], "float")],
)
def test_the_numbers_say_the_element_type(value: Any, element: str) -> None:
    plain, kind = written_out(value, None)
    assert kind.element == element
    leaf = plain
    while isinstance(leaf, list):
        leaf = leaf[0]
    assert type(leaf) is {"float": float, "int": int, "bool": bool}[element]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ([], "E0303"),
        ([[]], "E0303"),
        ([[1, 2], [3]], "E0303"),
        ([1, [2]], "E0301"),
        ([1, "a"], "E0301"),
        (2**31, "E0308"),
        ([-(2**31) - 1], "E0308"),
    ],
)
def test_what_makes_no_tensor_is_refused(value: Any, code: str) -> None:
    with pytest.raises(GraphError) as raised:
        written_out(value, None)
    assert raised.value.code == code


def test_the_least_int_is_one() -> None:
    assert written_out([-(2**31), 2**31 - 1], None)[1] == TensorType((2,), "int")


def test_lists_can_be_nested_too_deeply() -> None:
    value: Any = 1
    for _ in range(40):
        value = [value]
    with pytest.raises(GraphError, match="nested too deeply"):
        numbers_of(value)


def test_numbers_beside_each_other() -> None:
    assert element_for("add", [1, 2]) == "float"  # the language computes in floats unless a tensor says otherwise
    assert element_for("add", [True]) == "bool"
    integer, floating = (Value(None, 0, TensorType((2,), kind), True) for kind in ("int", "float"))  # type: ignore[arg-type]
    assert element_for("add", [integer, 1]) == "int"
    assert element_for("add", [integer, 1.0]) == element_for("add", [floating, integer, 1]) == "float"
    assert element_for("where", [floating, integer, 1]) == "int"  # the mask decides nothing


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "true"),
        (None, "none"),
        (3, "3"),
        (3.0, "3.0"),
        (0.1 + 0.2, "0.3"),
        (10**30, "beyond 10^20"),
        ("wide", 'the text "wide"'),
        ("x" * 50, f'the text "{"x" * 40}…"'),
        ([1, [2, 3]], "the list [1, [2, 3]]"),
        (object(), "a value of type object"),
    ],
)
def test_values_in_messages(value: Any, words: str) -> None:
    assert describe(value) == words


def test_long_lists_are_shortened() -> None:
    assert text(list(range(20))) == "[0, 1, 2, 3, 4, 5, …]"
    assert text([[1, 2], [3, 4]]) == "[[1, 2], [3, 4]]"
    assert "…" in text([[[1, 2, 3, 4, 5]]])


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_number_in_a_message_is_near_the_number(value: float) -> None:
    assert float(number_text(value)) == pytest.approx(value, rel=1e-5, abs=0.05)
