"""Complaints: what other programs read of them, and what an exception says."""

from __future__ import annotations

import json

import pytest

from graphdl.diagnostics import DeviceError, Diagnostic, Label, ModelError
from graphdl.source import Source, Span

SOURCE = Source("a.net", "net a() {\n    y = nothing\n}\n")
NOTHING = Span(SOURCE, 18, 25)


def test_what_other_programs_read() -> None:
    diagnostic = Diagnostic(
        "E0201", "there is no 'nothing'", NOTHING, "unknown", (Label(Span(SOURCE, 4, 5), "in here"),),
        ("a note", "another"), "did you mean 'noting'?",
    )  # fmt: skip
    assert json.loads(json.dumps(diagnostic.to_json())) == {
        "code": "E0201",
        "severity": "error",
        "message": "there is no 'nothing'",
        "file": "a.net",
        "line": 2,
        "column": 9,
        "end_line": 2,
        "end_column": 16,
        "notes": ["a note", "another"],
        "help": "did you mean 'noting'?",
    }


def test_the_end_of_a_span_over_several_lines() -> None:
    found = Diagnostic("E0101", "no end", Span(SOURCE, 8, 27)).to_json()
    assert (found["line"], found["column"], found["end_line"], found["end_column"]) == (1, 9, 3, 2)


def test_a_complaint_without_a_place_names_none() -> None:
    found = Diagnostic("W0601", "nothing to learn").to_json()
    assert found == {
        "code": "W0601",
        "severity": "warning",
        "message": "nothing to learn",
        "notes": [],
        "help": None,
    }


@pytest.mark.parametrize(("code", "error"), [("E0101", True), ("W0204", False)])
def test_the_letter_of_a_code_says_whether_it_is_an_error(code: str, error: bool) -> None:
    assert Diagnostic(code, "").is_error == error


def test_an_error_of_the_model_reads_as_a_line_for_each_complaint() -> None:
    error = ModelError(Diagnostic("E0201", "there is no 'nothing'", NOTHING), Diagnostic("E0801", "no memory"))
    assert str(error) == "a.net:2:9: E0201: there is no 'nothing'\nE0801: no memory"
    assert [diagnostic.code for diagnostic in error.diagnostics] == ["E0201", "E0801"]


def test_an_error_of_the_device_has_a_code_only_where_there_is_more_to_say() -> None:
    assert (str(DeviceError("unplugged")), DeviceError("unplugged").code) == ("unplugged", None)
    assert DeviceError("too little memory", "E0803").code == "E0803"
