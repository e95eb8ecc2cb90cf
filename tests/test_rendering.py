"""Diagnostics as people see them."""

import re

import pytest

from graphdl.diagnostics import Diagnostic, Label
from graphdl.rendering import printable_lines, render
from graphdl.source import Source, Span


def place(source, text, after=0):
    start = source.text.index(text, after)
    return Span(source, start, start + len(text))


def shown(diagnostic):
    return "\n" + render(diagnostic) + "\n"


LENET = Source(
    "lenet.net",
    "net lenet {\n    input image: [1, 28, 28]\n    flat = image -> flatten\n\n"
    "    logits = flat -> linear(10)\n    c1 = flat -> conv(20, 5)\n}\n",
)


def test_the_culprit_other_places_notes_and_help():
    diagnostic = Diagnostic(
        "E0401",
        "conv expects an input of rank 3, found [784]",
        place(LENET, "conv(20, 5)"),
        "expected [c, h, w]",
        (Label(place(LENET, "flatten"), "this makes [784]"),),
        ("the image was [1, 28, 28]\nbefore that",),
        "put conv before flatten",
    )
    assert (
        shown(diagnostic)
        == """
error[E0401]: conv expects an input of rank 3, found [784]
 --> lenet.net:6:18
  |
3 |     flat = image -> flatten
  |                     ------- this makes [784]
...
6 |     c1 = flat -> conv(20, 5)
  |                  ^^^^^^^^^^^ expected [c, h, w]
  = note: the image was [1, 28, 28]
          before that
  = help: put conv before flatten
"""
    )


def test_a_single_line_between_is_shown():
    diagnostic = Diagnostic("W0201", "unused", place(LENET, "c1"), "", (Label(place(LENET, "flat "), "here"),))
    source_rows = [row for row in render(diagnostic).splitlines() if re.match(r"\d|\.\.\.", row)]
    assert [row.split(" ")[0] for row in source_rows] == ["3", "...", "6"]
    near = Diagnostic("W0201", "unused", place(LENET, "image: "), "", (Label(place(LENET, "logits"), "here"),))
    source_rows = [row for row in render(near).splitlines() if re.match(r"\d|\.\.\.", row)]
    assert [row.split(" ")[0] for row in source_rows] == ["2", "...", "5"]
    nearer = Diagnostic("W0201", "unused", place(LENET, "flat "), "", (Label(place(LENET, "logits"), "here"),))
    assert (
        shown(nearer)
        == """
warning[W0201]: unused
 --> lenet.net:3:5
  |
3 |     flat = image -> flatten
  |     ^^^^^
4 |
5 |     logits = flat -> linear(10)
  |     ------ here
"""
    )


def test_several_places_on_one_line():
    source = Source("m.net", "y = first + second + third\n")
    labels = (Label(place(source, "first"), "[3]"), Label(place(source, "third"), "[5]"))
    diagnostic = Diagnostic("E0403", "shapes", place(source, "second"), "[4]", labels)
    assert (
        shown(diagnostic)
        == """
error[E0403]: shapes
 --> m.net:1:13
  |
1 | y = first + second + third
  |     -----   ^^^^^^   ----- [5]
  |     |       |
  |     |       [4]
  |     [3]
"""
    )


def test_the_culprit_within_another_place():
    source = Source("m.net", "y = conv(8, pad = -1)\n")
    diagnostic = Diagnostic(
        "E0304", "pad", place(source, "-1"), "negative", (Label(place(source, "conv(8, pad = -1)"), "of this"),)
    )
    assert (
        shown(diagnostic)
        == """
error[E0304]: pad
 --> m.net:1:19
  |
1 | y = conv(8, pad = -1)
  |     --------------^^- negative
  |     |
  |     of this
"""
    )


def test_tabs_and_wide_characters_are_underlined_where_they_stand():
    source = Source("m.net", "\tx\t= 漢字(1) + e\u0301(2)\n")
    diagnostic = Diagnostic("E0201", "wide", place(source, "漢字"), "", (Label(place(source, "(2)"), "here"),))
    assert (
        shown(diagnostic)
        == """
error[E0201]: wide
 --> m.net:1:6
  |
1 |     x   = 漢字(1) + e\u0301(2)
  |           ^^^^       --- here
"""
    )


def test_a_place_over_several_lines():
    source = Source("m.net", "y = f(1,\n\n\n      2,\n      3)\n")
    diagnostic = Diagnostic("E0303", "too many", Span(source, 4, len(source.text) - 1), "these")
    assert (
        shown(diagnostic)
        == """
error[E0303]: too many
 --> m.net:1:5
  |
1 | y = f(1,
  |     ^^^^
...
5 |       3)
  |       ^^ these
"""
    )


def test_a_place_up_to_the_end_of_its_line():
    source = Source("m.net", "y = f\nz = g\n")
    assert (
        shown(Diagnostic("E0107", "line", Span(source, 4, 6), "here"))
        == """
error[E0107]: line
 --> m.net:1:5
  |
1 | y = f
  |     ^ here
"""
    )


@pytest.mark.parametrize(("text", "row", "line"), [("", 1, ""), ("y = f", 1, " y = f"), ("y = f\n", 2, "")])
def test_the_end_of_the_file(text, row, line):
    source = Source("m.net", text)
    lines = render(Diagnostic("E0107", "end", Span(source, len(text), len(text)), "here")).splitlines()
    assert lines[3] == f"{row} |{line}"
    assert lines[4].endswith("^ here")


def test_places_in_several_files():
    source = Source("lib.net", "block f: x -> y {\n}\n")
    diagnostic = Diagnostic("E0202", "twice", place(LENET, "flat"), "again", (Label(place(source, "f"), "first"),))
    assert (
        shown(diagnostic)
        == """
error[E0202]: twice
 --> lenet.net:3:5
  |
3 |     flat = image -> flatten
  |     ^^^^ again
 ::: lib.net:1:7
  |
1 | block f: x -> y {
  |       - first
"""
    )


def test_without_a_place():
    assert render(Diagnostic("E0801", "no device", notes=("why",), help="install one")) == (
        "error[E0801]: no device\n  = note: why\n  = help: install one"
    )


def test_line_numbers_are_aligned():
    source = Source("m.net", "a = 1\n" * 120)
    diagnostic = Diagnostic(
        "E0202", "twice", Span(source, 6 * 99, 6 * 99 + 1), "", (Label(Span(source, 12, 13), "first"),)
    )
    assert [line[:5] for line in render(diagnostic).splitlines()[1:]] == [
        *("   --", "    |", "  3 |", "    |", "...", "100 |", "    |")
    ]


def test_a_very_long_line_is_cut_around_the_culprit():
    source = Source("m.net", "y = [" + "1, " * 400 + "oops, " + "2, " * 400 + "]\n")
    lines = render(Diagnostic("E0201", "unknown", place(source, "oops"), "here")).splitlines()
    assert max(map(len, lines)) < 200
    start = lines[4].index("^")
    assert lines[3][start : start + 4] == "oops"
    assert lines[3].endswith("…")


def test_what_could_steer_a_terminal_is_not_passed_on():
    source = Source("m\x1b.net", "y = \x1b[31m + \x00\n")
    text = render(Diagnostic("E0101", "bad \x1b[0m", Span(source, 4, 9), "no \x07"))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\x00" not in text


def test_no_character_of_an_excerpt_could_steer_a_terminal():
    """An excerpt and a message have one notion of what is safe to show; whatever is replaced takes one column."""
    for first in range(0, 0x110000, 128):
        characters = [chr(code) for code in range(first, first + 128)]
        source = Source("m.net", "".join(c for c in characters if not c.isspace()) + "oops\n")
        shown = render(Diagnostic("E0101", "bad", place(source, "oops")))
        assert printable_lines(shown) == shown, hex(first)
    source = Source("m.net", "a\U000e0100b oops\n")
    lines = render(Diagnostic("E0101", "bad", place(source, "oops"))).splitlines()
    assert lines[3:] == ["1 | a\N{REPLACEMENT CHARACTER}b oops", "  |     ^^^^"]


def test_color_adds_nothing_but_color():
    labels = (Label(place(LENET, "image:"), "label"), Label(place(LENET, "input"), "other"))
    diagnostic = Diagnostic("E0401", "message", place(LENET, "flatten"), "culprit", labels, ("note",), "help")
    colored = render(diagnostic, color=True)
    assert "\x1b[1;31m" in colored
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == render(diagnostic)
    assert "\x1b[1;33m" in render(Diagnostic("W0201", "unused"), color=True)
