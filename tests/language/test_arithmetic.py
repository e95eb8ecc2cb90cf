"""What is computed while a file is expanded: numbers, lists and texts, as Python computes them, and what is refused."""

from __future__ import annotations

from math import isfinite, pi
from typing import Any

import pytest
from expanding import faults, graph
from hypothesis import given, settings
from hypothesis import strategies as st

TEXT = "net n(v = {}) {{\n    input x: [2, 3]\n    output y = x\n}}\n"


def value(written: str) -> Any:
    """What an expression of numbers, lists and texts is worth."""
    return graph(TEXT.format(written)).hyperparameters["v"]


def fault(written: str) -> str:
    """The one complaint about an expression: its code and its words."""
    (found,) = faults(TEXT.format(written))
    code, _, message = found.split(" ", 2)
    return f"{code} {message}"


# ----------------------------------------------------------------------------------------------------------- numbers

NUMBERS = st.integers(-30, 30) | st.sampled_from([0.5, -1.5, 2.0, 0.1, 7.25])


def test_numbers_with_names() -> None:
    assert value("2 * pi") == 2 * pi
    assert value("[-inf, nan][0] < 1e308")
    assert fault("inf + 1") == "E0308 the number is too large, or none at all"
    assert fault("zeros([inf])") == "E0302 a dimension is an int, not inf"


def literal(number: float) -> str:
    return f"({number})" if number < 0 else str(number)


SUMS = st.recursive(
    NUMBERS.map(lambda n: (literal(n), literal(n))),
    lambda inner: st.tuples(st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner, inner).map(
        lambda t: (f"({t[1][0]} {t[0]} {t[2][0]})", f"({t[1][1]} {t[0]} {t[2][1]})")
    ),
    max_leaves=6,
)


@given(SUMS)
@settings(max_examples=80, deadline=None)
def test_numbers_are_computed_as_in_python(pair: tuple[str, str]) -> None:
    written, python = pair
    try:
        expected = eval(python)
    except ZeroDivisionError:
        assert fault(written) == "E0308 a division by zero"
        return
    found = value(written)
    assert found == expected
    assert type(found) is type(expected)
    assert isfinite(found)


@pytest.mark.parametrize(
    "written",
    [
        "1 + 2 * 3", "2 * 3 + 1", "10 - 3 - 2", "100 / 10 / 5", "2 ** 3 ** 2", "-2 ** 2", "2 ** -1", "7 // 2 * 2",
        "7 % 4 + 1", "-7 // 2", "-7 % 3", "7 % -3", "1 + 2 == 3", "not 1 == 2", "1 < 2 and 2 < 3 or false",
        "false and false or true", "true or false and false", "not false and false", "[1, 2] + [3] == [1, 2, 3]",
        "1 if 2 < 3 else 4", "1 if 2 > 3 else 4 if 1 > 2 else 5", "3 * [1, 2]", "[0] * 2 + [1]", "-3 + 5", "- -3",
    ],
)  # fmt: skip
def test_signs_bind_as_in_python(written: str) -> None:
    expected = eval(written.replace("true", "True").replace("false", "False"))
    assert value(written) == expected
    assert type(value(written)) is type(expected)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("1 // 0", "E0308 a division by zero"),
        ("1 % 0", "E0308 a division by zero"),
        ("0 ** -1", "E0308 a division by zero"),
        ("(-2) ** 0.5", "E0308 a root of a negative number"),
        ("2 ** 65", "E0308 the number is too large"),
        ("1e300 * 1e300", "E0308 the number is too large, or none at all"),
        ("1e200 ** 2.0", "E0308 the number is too large"),
        ("10 ** 18 * 10 ** 18", "E0308 the number is too large"),
    ],
)
def test_numbers_that_cannot_be_held(written: str, complaint: str) -> None:
    assert fault(written) == complaint


def test_ones_may_have_any_power() -> None:
    assert (value("1 ** 1000"), value("(-1) ** 999"), value("2 ** 40")) == (1, -1, 2**40)


# -------------------------------------------------------------------------------------------------- lists and slices

ITEMS = st.lists(st.integers(-9, 9), max_size=6)
BOUNDS = st.none() | st.integers(-8, 8)


@given(ITEMS, BOUNDS, BOUNDS, st.none() | st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_parts_of_lists_are_pythons(items: list[int], start: int | None, stop: int | None, step: int | None) -> None:
    def part(bound: int | None) -> str:
        return "" if bound is None else str(bound)

    written = f"{items}[{part(start)}:{part(stop)}" + (f":{step}]" if step is not None else "]")
    assert value(written) == items[start:stop:step]


@given(ITEMS, st.integers(-8, 8))
@settings(max_examples=40, deadline=None)
def test_items_count_from_either_end(items: list[int], place: int) -> None:
    if -len(items) <= place < len(items):
        assert value(f"{items}[{place}]") == items[place]
    else:
        assert fault(f"{items}[{place}]") == f"E0417 index {place} is out of range: the list has {len(items)} items"


@given(st.integers(-5, 9), st.integers(-5, 9))
@settings(max_examples=30, deadline=None)
def test_a_range_leaves_its_end_out(start: int, stop: int) -> None:
    assert value(f"{literal(start)}..{literal(stop)}") == list(range(start, stop))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[k * k for k in 0..4]", [0, 1, 4, 9]),
        ("[[[j, k] for k in [3, 4]] for j in [1, 2]]", [[[1, 3], [1, 4]], [[2, 3], [2, 4]]]),
        ("[k for k in 0..9 if k % 3 == 1]", [1, 4, 7]),
        ("len([1, [2, 3]])", 2),
        ("[[1, 2], [3, 4]][1][0]", 3),
        ("[[1, 2], [3, 4]][1, 0]", 3),
        ("[1, 2, 3][1:][0]", 2),
        ("is_list([])", True),
        ("is_list(3)", False),
        ("[] == []", True),
        ("[1, [2]] == [1, [2.0]]", True),
        ("[1] != [1, 1]", True),
        ('"a" + "bc"', "abc"),
        ('"a" < "b"', True),
        ('"a" == 1', False),
        ("none == none", True),
    ],
)
def test_lists_texts_and_none(written: str, expected: Any) -> None:
    found = value(written)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ('1 + "a"', "E0301 '+' does not work on 1 and the text \"a\""),
        ("[1] - [1]", "E0301 '-' does not work on the list [1] and the list [1]"),
        ("true + 1", "E0301 '+' does not work on true and 1"),
        ("1 and true", "E0301 'and' joins conditions, not 1 and true"),
        ("not 1", "E0301 'not' wants a condition, not 1"),
        ("-[1]", "E0301 '-' does not work on the list [1]"),
        ("1 < [1]", "E0301 '<' does not work on 1 and the list [1]"),
        ("0..1.5", "E0301 a range runs between ints"),
        ("[1, 2][0.5]", "E0301 an index is an int, not 0.5"),
        ("[1, 2][true]", "E0301 an index is an int, not true"),
        ("3[0]", "E0301 3 has no parts"),
        ("[1, 2][0, 0]", "E0301 1 has no parts"),
        ("[1, 2][::0]", "E0304 the step of a slice is at least 1, not 0"),
        ("[1, 2][::-1]", "E0304 the step of a slice is at least 1, not -1"),
        ("[0] * 2000000", "E0314 a list of 2,000,000 items is too long"),
        ("0..2000000", "E0314 a list of 2,000,000 items is too long"),
    ],
)
def test_what_does_not_suit_a_sign(written: str, complaint: str) -> None:
    assert fault(written).startswith(complaint)


# ----------------------------------------------------------------------------------------------------------- tensors


@pytest.mark.parametrize(
    ("written", "shape"),
    [
        ("x[0]", [3]), ("x[-1]", [3]), ("x[:, 1]", [2]), ("x[:, 1:]", [2, 2]), ("x[:, ::2]", [2, 2]),
        ("x[1:, :2]", [1, 2]), ("x[0, 0]", []), ("x[:, -2:]", [2, 2]), ("x[:, :99]", [2, 3]), ("x[-99:]", [2, 3]),
    ],
)  # fmt: skip
def test_parts_of_tensors_have_numpys_shapes(written: str, shape: list[int]) -> None:
    found = graph(f"net n() {{\n    input x: [2, 3]\n    output y = {written}\n}}\n")
    assert list(found.outputs["y"].type.shape) == shape


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("x[2]", "E0417 3:18 index 2 is out of range: dimension 0 has 2"),
        ("x[-3]", "E0417 3:18 index -3 is out of range: dimension 0 has 2"),
        ("x[:, 3]", "E0417 3:21 index 3 is out of range: dimension 1 has 3"),
        ("x[0, 0, 0]", "E0402 3:24 3 indices for [2, 3], which has 2 dimensions"),
        ("x[2:]", "E0405 3:18 nothing is left of dimension 0, which has 2"),
        ("x[:, 2:1]", "E0405 3:21 nothing is left of dimension 1, which has 3"),
        ("x.channels", "E0402 3:18 'channels' is known of images [channels, height, width], not of [2, 3]"),
        ("x.shpae", "E0215 3:18 a tensor has no 'shpae'"),
    ],
)
def test_parts_that_a_tensor_has_not(written: str, complaint: str) -> None:
    assert faults(f"net n() {{\n    input x: [2, 3]\n    output y = {written}\n}}\n") == [complaint]


@pytest.mark.parametrize(
    ("sign", "operator"),
    [("+", "add"), ("-", "subtract"), ("*", "multiply"), ("/", "divide"), ("**", "power"), ("<", "less"),
     ("<=", "less_equal"), (">", "greater"), (">=", "greater_equal"), ("==", "equal"), ("!=", "not_equal")],
)  # fmt: skip
def test_a_sign_between_tensors_is_a_primitive(sign: str, operator: str) -> None:
    found = graph(f"net n() {{\n    input x: [2, 3]\n    output y = x {sign} 2.0\n}}\n")
    assert found.outputs["y"].node.operator == operator
    assert [v.node.operator for v in found.outputs["y"].node.inputs] == ["input", "constant"]
