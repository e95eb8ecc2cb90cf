"""Train sections: the table of their words, and the patterns that name parameters."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphdl.graph.train import WORDS, TrainSection, matches, number_of, setting_of
from graphdl.source import Source, Span

PARTS = st.text(alphabet="ab.", max_size=5)


@given(st.text(alphabet="ab.*", max_size=7), st.text(alphabet="ab.", max_size=10))
def test_a_star_stands_for_any_letters(pattern: str, path: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert matches(pattern, path) == bool(re.fullmatch(expression, path))


@given(st.lists(PARTS, min_size=2, max_size=4), st.data())
def test_what_fills_the_stars_is_matched(parts: list[str], data: st.DataObject) -> None:
    fillings = [data.draw(PARTS) for _ in parts[1:]]
    path = parts[0] + "".join(filling + part for filling, part in zip(fillings, parts[1:], strict=True))
    assert matches("*".join(parts), path)


@pytest.mark.parametrize(
    ("pattern", "path", "answer"),
    [
        ("head.*", "head.linear.W", True),
        ("head.*", "head", False),
        ("*.b", "a.conv.b", True),
        ("a*a", "a", False),
        ("ab*ba", "aba", False),
        ("conv", "conv_2", False),
    ],
)
def test_patterns(pattern: str, path: str, answer: bool) -> None:
    assert matches(pattern, path) == answer


def test_only_settings_that_add_up_may_repeat() -> None:
    assert {name for name, word in WORDS.items() if word.repeats} == {"augment", "feed", "start", "rate", "max_norm"}


def test_a_section_leaves_the_defaults_to_the_stage() -> None:
    """A section that says nothing holds nothing; the table knows what holds then."""
    section = TrainSection(None, Span(Source("a.net", "train {}"), 0, 5))
    assert [name for name in WORDS if getattr(section, name)] == []
    assert {name: word.default for name, word in WORDS.items() if word.default is not None} == {
        "optimizer": "adam", "schedule": "constant", "batch": 32, "epochs": 10, "seed": 0, "precision": "float32",
    }  # fmt: skip


def test_numbers_have_bounds() -> None:
    bounds = {name: (word.least, word.exclusive) for name, word in WORDS.items() if word.kind in ("int", "number")}
    assert bounds == {
        "batch": (1, False), "epochs": (1, False), "steps": (1, False), "clip": (0, True), "seed": (0, False),
        "average": (0, False),
    }  # fmt: skip
    assert WORDS["average"].below == 1
    assert (WORDS["max_norm"].least, WORDS["max_norm"].exclusive, WORDS["rate"].exclusive) == (0, True, False)


def test_the_last_pattern_that_matches_counts() -> None:
    factors = (("a.*", 0.5), ("*.b", 2.0))
    found = [number_of(factors, path, 1.0) for path in ("a.W", "a.b", "c.W")]
    assert found == [0.5, 2.0, 1.0]
    assert number_of(factors, "c.W") is None


def test_a_name_from_python_is_a_setting_without_arguments() -> None:
    setting = setting_of("digits")
    assert (setting.name, setting.arguments, setting.keywords) == ("digits", (), {})
    assert setting.span.text == "digits"
