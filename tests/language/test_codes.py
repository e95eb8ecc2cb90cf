"""The catalogue of codes: well formed, and its examples are what it says."""

import re

import pytest

from graphdl.language.codes import catalogue, explanation
from graphdl.language.parser import parse
from graphdl.source import Source


def test_a_code_is_found_in_any_case_and_an_unknown_one_is_not():
    assert explanation("e0107").title == "Something else is expected"
    assert explanation("E0107").text.startswith("The reader met")
    assert explanation("E0199") is None
    assert explanation("nonsense") is None


def test_codes_are_in_order_and_in_the_file_of_their_family():
    assert list(catalogue()) == sorted(catalogue())
    assert all(re.fullmatch(r"[EW]\d{4}", code) and entry.title and entry.text for code, entry in catalogue().items())


# Those whose wrong examples are single lines of a body.
@pytest.mark.parametrize(
    "code", ["E0101", "E0102", "E0103", "E0105", "E0108", "E0110", "E0111", "E0112", "E0114", "E0115", "E0116"]
)
def test_the_examples_of_syntax_are_wrong_and_right_as_they_say(code):
    lines = re.findall(r"^(.+?) *# (wrong|right)", explanation(code).text, re.MULTILINE)
    assert len(lines) >= 2
    for line, verdict in lines:
        found = {d.code for d in parse(Source("test.net", f"net test {{\n{line}\n}}"))[1]}
        assert found == ({code} if verdict == "wrong" else set()), line
