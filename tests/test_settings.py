"""Calls in a train section: arguments bound to a function's parameters, and every complaint about them."""

from __future__ import annotations

from typing import Any

import pytest

from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.train import Setting
from graphdl.settings import SettingCall, bind, describe, fits, written
from graphdl.source import Source, Span


def made(*arguments: Any, **keywords: Any) -> SettingCall:
    """A call of ``crop``; the span of each keyword argument holds its name."""
    source = Source("a.net", "augment crop " + " ".join(keywords))
    spans = {
        name: Span(source, source.text.index(name, 12), source.text.index(name, 12) + len(name)) for name in keywords
    }
    return SettingCall(Setting("crop", arguments, keywords, Span(source, 0, 12), spans))


def crop(
    call: SettingCall, size: int, pad: int | None = None, *, scale: float | list[float] = 1.0, mode: str = "zeros"
) -> None:
    """What a maker's signature looks like."""


def anything(call: SettingCall, path: str, **fields: str) -> None:
    """One that takes names of the user's."""


def nothing(call: SettingCall) -> None:
    """One without arguments."""


def complaints(call: SettingCall, function: Any = crop, extra: tuple[str, ...] = ()) -> list[Diagnostic]:
    with pytest.raises(ModelError) as caught:
        bind(call, function, extra)
    return list(caught.value.diagnostics)


def test_arguments_are_bound_by_place_and_by_name() -> None:
    assert bind(made(32), crop) == {"size": 32}
    assert bind(made(32, 4, scale=2), crop) == {"size": 32, "pad": 4, "scale": 2}
    assert bind(made(size=32, pad=None, scale=[1, 2.5], mode="mean"), crop) == {
        "size": 32, "pad": None, "scale": [1, 2.5], "mode": "mean",
    }  # fmt: skip
    assert bind(made("a.csv", label="kind", other="x"), anything) == {"path": "a.csv", "label": "kind", "other": "x"}
    assert bind(made(), nothing) == {}


def test_what_the_caller_takes_care_of_is_left_out() -> None:
    assert bind(made(32, at="train"), crop, extra=("at",)) == {"size": 32}


@pytest.mark.parametrize(
    ("call", "message", "place"),
    [
        (made(1, 2, 3), "'crop' takes at most 2 without a name, 3 are given", "augment crop"),
        (made(1, size=2), "'size' of 'crop' is given twice", "size"),
        (made(1, sclae=2), "'crop' has no argument 'sclae'", "sclae"),
        (made(), "'crop' needs 'size', an int", "augment crop"),
    ],
)
def test_arguments_that_do_not_fit_the_signature(call: SettingCall, message: str, place: str) -> None:
    (found,) = complaints(call)
    assert (found.code, found.message) == ("E0702", message)
    assert found.span is not None
    assert found.span.text == place


def test_an_unknown_argument_is_told_what_there_is() -> None:
    (found,) = complaints(made(1, sclae=2), extra=("at",))
    assert found.notes == ("it takes: at, mode, pad, scale, size",)
    assert found.help == "did you mean 'scale'?"
    first, second = complaints(made(1, a=2), nothing)
    assert first.message == "'crop' takes none without a name, 1 are given"
    assert second.notes == ("it takes no arguments",)
    assert second.help is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (made(1.0), "'size' of 'crop' must be an int, found 1.0"),
        (made(True), "'size' of 'crop' must be an int, found true"),
        (made(1, "wide"), "'pad' of 'crop' must be an int, found \"wide\""),
        (made(1, scale=[1, "a"]), "'scale' of 'crop' must be a number or a list of numbers, found [1, \"a\"]"),
        (made(1, mode=3), "'mode' of 'crop' must be a text, found 3"),
    ],
)
def test_values_of_the_wrong_kind(call: SettingCall, message: str) -> None:
    (found,) = complaints(call)
    assert (found.code, found.message) == ("E0703", message)


def test_names_of_the_users_have_a_kind_too() -> None:
    (found,) = complaints(made("a.csv", label=3), anything)
    assert found.message == "'label' of 'crop' must be a text, found 3"


def test_every_complaint_is_gathered() -> None:
    found = complaints(made(1.5, 2, 3, size=1, wide=2, mode=4))
    assert [each.code for each in found] == ["E0702", "E0703", "E0702", "E0702", "E0703"]


def test_a_subclass_has_codes_of_its_own() -> None:
    class TrainingCall(SettingCall):
        argument_code = "E0612"
        value_code = "E0613"

    setting = made(1.5, wide=2).setting
    assert [each.code for each in complaints(TrainingCall(setting))] == ["E0613", "E0612"]


@pytest.mark.parametrize(
    ("value", "hint", "answer"),
    [
        (1, int, True), (True, int, False), (1.0, int, False),
        (1, float, True), (1.5, float, True), (True, float, False), (float("inf"), float, False),
        (float("nan"), float, False), ("a", str, True), (1, str, False), (False, bool, True), (0, bool, False),
        ([1, 2], list[int], True), ((1, 2), list[int], True), ([1, 2.5], list[int], False), ([], list[int], True),
        ("12", list[str], False), ([[1], [2, 3]], list[list[int]], True), ([[1], 2], list[list[int]], False),
        (None, int | None, True), (1, int | None, True), ("a", int | None, False),
        ([1], int | list[int], True), (["a"], int | list[int], False), (None, object, True),
    ],
)  # fmt: skip
def test_what_fits_an_annotation(value: Any, hint: Any, answer: bool) -> None:
    assert fits(value, hint) == answer


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int, "an int"),
        (float | None, "a number"),
        (float | list[float], "a number or a list of numbers"),
        (list[list[float]], "a list, each item a list of numbers"),
        (bool, "true or false"),
        (str | int, "a text or an int"),
    ],
)
def test_an_annotation_in_words(hint: Any, words: str) -> None:
    assert describe(hint) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"), (None, "none"), (3, "3"), (0.5, "0.5"), ("a b", '"a b"'),
        ([1, [True, None]], "[1, [true, none]]"), ((), "[]"),
        (list(range(9)), "[0, 1, 2, 3, 4, 5, 6, 7, 8]"), (list(range(10)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, ...]"),
        ("x" * 58, '"' + "x" * 58 + '"'), ("x" * 59, '"' + "x" * 56 + "..."),
    ],
)  # fmt: skip
def test_values_as_the_language_writes_them(value: Any, text: str) -> None:
    assert written(value) == text


def test_a_complaint_of_a_call_points_at_the_argument() -> None:
    call = made(1, scale=2)
    diagnostic = call.error("E0705", "too large", argument="scale", notes=["a note"], help="less").diagnostics[0]
    assert (diagnostic.code, diagnostic.message, diagnostic.notes, diagnostic.help) == (
        "E0705", "too large", ("a note",), "less",
    )  # fmt: skip
    assert diagnostic.span is not None
    assert diagnostic.span.text == "scale"
    assert call.span().text == call.span("other").text == "augment crop"
