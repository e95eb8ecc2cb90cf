"""Places in a text: lines and columns, spans, and which spans hold a place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphdl.source import Places, Source, Span

TEXTS = st.text(alphabet="ab \n\r\té", max_size=40)


@given(TEXTS, st.data())
def test_a_position_counts_the_line_ends_before_it(text: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(text)))
    before = text[:offset]
    assert Source("a.net", text).position(offset) == (before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


@given(TEXTS)
def test_the_lines_are_those_of_the_text(text: str) -> None:
    source = Source("a.net", text)
    expected = text.split("\n")
    assert len(source.line_starts) == len(expected)
    assert [source.line(number) for number in range(1, len(expected) + 1)] == [line.rstrip("\r") for line in expected]


def test_a_last_line_without_an_end_is_whole() -> None:
    source = Source("a.net", "one\r\ntwo\r\n\nlast")
    assert [source.line(n) for n in (1, 2, 3, 4)] == ["one", "two", "", "last"]


def test_a_span_says_where_it_is_and_what_it_holds() -> None:
    source = Source("a.net", "net a() {\n    y = nothing\n}")
    span = Span(source, 14, 25)
    assert (span.line, span.column, span.text, str(span)) == (2, 5, "y = nothing", "a.net:2:5")


def test_a_span_to_another_ends_where_the_further_one_ends() -> None:
    source = Source("a.net", "0123456789")
    outer, inner, later = Span(source, 2, 8), Span(source, 3, 5), Span(source, 6, 9)
    assert outer.to(inner) == outer
    assert inner.to(later) == Span(source, 3, 9)
    assert inner.to(inner) == inner


@pytest.mark.parametrize(("origin", "answer"), [("user", False), ("import", False), ("library", True)])
def test_only_the_librarys_files_are_the_library(origin: str, answer: bool) -> None:
    source = Source("library/mine.net", "x", origin=origin)  # type: ignore[arg-type]
    assert Span(source, 0, 1).in_library == answer


def test_equal_texts_are_two_sources() -> None:
    """A span belongs to one file, however alike another one is."""
    one, two = Source("a.net", "x"), Source("a.net", "x")
    assert one != two
    assert Span(one, 0, 1) != Span(two, 0, 1)
    assert len({one, two}) == 2


SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), max_size=8)


@given(SPANS, st.integers(0, 30), st.integers(0, 8))
def test_places_answer_as_a_look_at_each_span_would(spans: list[tuple[int, int]], start: int, length: int) -> None:
    source = Source("a.net", "x" * 40)
    found = [Span(source, first, first + size) for first, size in spans]
    places, end = Places(found), start + length
    assert places.cover(start) == any(span.start <= start < span.end for span in found)
    assert places.begin_within(start, end) == any(start <= span.start < end for span in found)
