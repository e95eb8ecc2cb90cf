from collections.abc import Callable
from typing import Any

import pytest

from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.train import Setting
from graphdl.source import Source, Span


@pytest.fixture
def call() -> Callable[..., Setting]:
    """``call("csv", "a.csv", label="kind")``: the setting of that line, with the spans of its keyword arguments."""

    def make(name: str, *arguments: Any, path: str | None = None, **keywords: Any) -> Setting:
        text = f"{name}("
        spans = {}
        for index, value in enumerate(
            [*map(repr, arguments), *(f"{key} = {value}" for key, value in keywords.items())]
        ):
            text += ", " if index else ""
            if index >= len(arguments):
                spans[value.split(" =")[0]] = (len(text), len(text) + len(value))
            text += value
        source = Source("model.net", text + ")", path)
        return Setting(
            name,
            arguments,
            keywords,
            Span(source, 0, len(source.text)),
            {key: Span(source, *place) for key, place in spans.items()},
        )

    return make


@pytest.fixture
def complaints() -> Callable[..., tuple[Diagnostic, ...]]:
    """Runs something that must be refused and returns the diagnostics."""

    def run(action: Callable[..., Any], *arguments: Any, **keywords: Any) -> tuple[Diagnostic, ...]:
        with pytest.raises(ModelError) as caught:
            action(*arguments, **keywords)
        return caught.value.diagnostics

    return run


@pytest.fixture
def complaint(complaints: Callable[..., tuple[Diagnostic, ...]]) -> Callable[..., Diagnostic]:
    """Runs something that must be refused with one diagnostic, of the given code, and returns it."""

    def run(code: str, action: Callable[..., Any], *arguments: Any, **keywords: Any) -> Diagnostic:
        (found,) = complaints(action, *arguments, **keywords)
        assert found.code == code
        return found

    return run
