"""JSON as its standard has it: what comes back, and what is refused."""

from __future__ import annotations

from math import inf, isfinite, nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphdl.strict_json import decode, encode, finite

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats()
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


def holds_only_finite(value: Any) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, dict):
        return all(map(holds_only_finite, value.values()))
    return not isinstance(value, list) or all(map(holds_only_finite, value))


@given(VALUES)
@settings(max_examples=50, deadline=None)
def test_what_is_written_is_read_again(value: Any) -> None:
    plain = finite(value)
    assert holds_only_finite(plain)
    assert decode(encode(value)) == plain
    assert decode(encode(value).encode()) == plain
    assert finite(plain) == plain


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_json_has_no_word_for_becomes_null(value: float) -> None:
    assert encode({"loss": value, "several": [1.0, (value, 2.5)]}) == '{"loss": null, "several": [1.0, [null, 2.5]]}'


def test_the_form_may_be_chosen() -> None:
    assert encode({"b": 1, "a": 2}) == '{"b": 1, "a": 2}'
    assert encode({"b": 1, "a": 2}, sort_keys=True) == '{"a": 2, "b": 1}'
    assert encode({"b": 1}, indent=1) == '{\n "b": 1\n}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": NaN}', "NaN is no JSON"),
        ("[-Infinity]", "-Infinity is no JSON"),
        ("1e999", "the number 1e999 is too large"),
        ("-1e999", "the number -1e999 is too large"),
        ('{"a": 1, "b": {"c": 1, "d": 2, "c": 3}}', "the entry 'c' stands twice"),
        ('{"a": 1,}', "Illegal trailing comma|Expecting property name"),
        ("", "Expecting value"),
        (b"\xff\xfe", "can't decode byte 0xff"),
        ("[" * 65 + "]" * 65, "nested more than 64 deep"),
        ('{"a":' * 65 + "1" + "}" * 65, "nested more than 64 deep"),
        ("[" * 200_000 + "]" * 200_000, "nested more than 64 deep"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_no_json_is_refused(text: str | bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode(text)


@pytest.mark.parametrize("text", ["[" * 63 + "]" * 63, "[" * 63 + "1" + "]" * 63, '{"a":' * 63 + "1" + "}" * 63])
def test_what_is_nested_less_deep_is_read(text: str) -> None:
    value, depth = decode(text), 0
    while isinstance(value, list | dict) and value:
        value = value[0] if isinstance(value, list) else value["a"]
        depth += 1
    assert depth >= 62


def test_a_large_number_that_is_finite_is_read() -> None:
    assert decode("1e308") == 1e308
    assert decode("123456789012345678901234567890") == 123456789012345678901234567890
