"""Positions of the protocol, which count UTF-16 units, and places that have moved."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol.types import Position, PositionEncodingKind, Range

from graphdl.language_server.text import Positions, moved
from graphdl.source import Source, Span

TEXTS = st.text(alphabet="aé€😀\n\r", max_size=25)
ENCODINGS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(TEXTS, st.data())
def test_a_column_counts_units_from_the_start_of_the_line(encoding: str, text: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(text)))
    ends = [match.end() for match in re.finditer(r"\r\n|\n|\r", text) if match.end() <= offset]
    start = ends[-1] if ends else 0
    codec, size = ENCODINGS[encoding]
    found = Positions(text, encoding).position(offset)
    assert (found.line, found.character) == (len(ends), len(text[start:offset].encode(codec)) // size)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(TEXTS, st.data())
def test_a_position_leads_back_to_its_offset(encoding: str, text: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(text)))
    if text[max(0, offset - 1) : offset + 1] == "\r\n":
        return  # between the two no editor stands
    positions = Positions(text, encoding)
    assert positions.offset(positions.position(offset)) == offset


def test_beyond_the_end_is_the_end() -> None:
    positions = Positions("ab\r\n😀c\n")
    assert [positions.offset(Position(0, column)) for column in (2, 3, 99)] == [2, 2, 2]
    assert [positions.offset(Position(1, column)) for column in (0, 2, 3, 4, 99)] == [4, 5, 6, 6, 6]
    assert [positions.offset(Position(line, 0)) for line in (2, 3, 99)] == [7, 7, 7]
    assert positions.offset(Position(1, 1)) == 5, "within a pair of surrogates: after it"


def test_every_line_end_counts_as_one() -> None:
    positions = Positions("a\rb\r\nc\nd")
    assert (positions.starts, positions.ends) == ([0, 2, 5, 7], [1, 3, 6, 8])
    assert Positions("").starts == [0]


def test_utf16_is_what_counts_unless_it_is_agreed_otherwise() -> None:
    assert Positions("😀").encoding is PositionEncodingKind.Utf16
    assert Positions("😀").position(1).character == 2
    assert Positions("😀", "utf-32").position(1).character == 1
    assert Positions("😀", PositionEncodingKind.Utf8).position(1).character == 4


def test_the_range_of_a_span() -> None:
    source = Source("a.net", "x = 1\ny = é2")
    positions = Positions(source.text)
    assert positions.of(Span(source, 6, 12)) == Range(Position(1, 0), Position(1, 6))
    assert positions.range(2, 8) == Range(Position(0, 2), Position(1, 2))


PARTS, CHANGES = st.text(alphabet="ab", max_size=6), st.text(alphabet="xy", max_size=6)


@given(PARTS, CHANGES, CHANGES, PARTS)
def test_a_place_outside_of_a_change_is_found_again(before: str, old: str, new: str, after: str) -> None:
    """What stands before the change has not moved, what stands behind it has moved by the difference in length."""
    one, other = before + old + after, before + new + after
    for offset in range(len(before)):
        assert moved(offset, one, other) == offset
    for offset in range(len(before + new), len(other)):
        there = moved(offset, one, other)
        assert there is not None
        assert one[there] == other[offset]


@given(PARTS, PARTS)
def test_a_place_that_is_found_holds_the_same_letter(one: str, other: str) -> None:
    for offset in range(len(other)):
        there = moved(offset, one, other)
        assert there is None or one[there] == other[offset]


def test_a_place_within_a_change_is_not_found() -> None:
    assert [moved(k, "abc", "aXXc") for k in range(5)] == [0, None, None, 2, 3]
    assert moved(0, "", "x") is None
    assert moved(2, "same", "same") == 2
