"""``--set name=value``: sets hyperparameters of the net, ``let``s of the file, and arguments of train sections
(``--set optimizer.lr=0.1``) from outside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from graphdl.diagnostics import Diagnostic
from graphdl.language import syntax
from graphdl.language.expansion import expressions, limits
from graphdl.language.expansion.context import Expansion
from graphdl.language.expansion.faults import Reporter
from graphdl.language.expansion.files import FileScope
from graphdl.language.expansion.values import Definition, describe
from graphdl.language.words import normal
from graphdl.source import Source
from graphdl.suggest import did_you_mean, enumerated


def sort(
    given: Mapping[str, object], definition: Definition, file: FileScope, reporter: Reporter
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Divides settings into those of the net's hyperparameters, which take precedence, those of the file's lets, and
    those of the train sections, whose names have dots.
    """
    hypers: dict[str, Any] = {}
    lets: dict[str, Any] = {}
    of_training: dict[str, Any] = {}
    written = {hyper.name: hyper.default for hyper in definition.written.hypers}
    for name, value in ((normal(name), value) for name, value in given.items()):
        default: syntax.Expression | None = None
        if "." in name:
            table = of_training
        elif name in written:
            default, table = written[name], hypers
        elif name in file.lets:
            default, table = file.lets[name].value, lets
        elif name not in file.lost:
            known = [*written, *file.lets]
            help = did_you_mean(name, known) or (f"known: {enumerated(known)}" if known else "the file has none")
            reporter.add(Diagnostic("E0213", f"'{definition.name}' has no hyperparameter '{name}' to set", help=help))
            continue
        else:
            continue
        read = _spelt(value) if isinstance(value, str) and not _is_text(default) else _plain(value)
        if not _is_bearable(read):
            reporter.add(Diagnostic("E0308", f"'{name}' cannot be set to a number that is too large, or none at all"))
            continue
        wanted = _kind(default)
        if wanted is not None and not _fits(read, wanted):
            reporter.add(Diagnostic("E0301", f"'{name}' is {wanted}, and cannot be set to {describe(read)}"))
            continue
        table[name] = read
    return hypers, lets, of_training


def let_into(expansion: Expansion, name: str, file: FileScope) -> None:
    """Adds the value of a let to the graph's hyperparameters, unless the net has one of that name."""
    value = expressions.let_value(expansion, name, file.lets[name].span, file)
    if isinstance(value, int | float | str | list | None):
        expansion.graph.hyperparameters.setdefault(name, value)


def _is_text(default: syntax.Expression | None) -> bool:
    return isinstance(default, syntax.Literal) and isinstance(default.value, str)


def _spelt(value: str) -> Any:
    """Parses a value of the command line: a number, bool, list or string."""
    words: dict[str, Any] = {"true": True, "false": False, "none": None}
    text = value.strip()
    if text in words:
        return words[text]
    if text.startswith("[") and text.endswith("]"):
        return _items(text)
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return value


def _items(text: str) -> Any:
    """A list, parsed by the language's own parser: nested lists of numbers and strings."""
    from graphdl.language.parser import parse

    tree, diagnostics = parse(Source("--set", f"let value = {text}\n"))
    if diagnostics or len(tree.declarations) != 1 or not isinstance(tree.declarations[0], syntax.Let):
        return text
    return _literal(tree.declarations[0].value, text)


def _literal(expression: syntax.Expression, text: str) -> Any:
    match expression:
        case syntax.Literal():
            return expression.value
        case syntax.ListExpression():
            return [_literal(item, text) for item in expression.items]
        case syntax.Unary(operator="-", operand=syntax.Literal(value=int() | float() as number)):
            return -number
    return text


def _is_bearable(value: Any) -> bool:
    """Whether the language can represent all numbers in the value."""
    if isinstance(value, list):
        return all(map(_is_bearable, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or abs(value) <= limits.NUMBER


def _plain(value: object) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _kind(default: syntax.Expression | None) -> str | None:
    """The kind of values that may replace a default; None for any kind."""
    while isinstance(default, syntax.Unary):
        default = default.operand
    if isinstance(default, syntax.ListExpression | syntax.Comprehension):
        return "a list"
    if not isinstance(default, syntax.Literal) or default.value is None:
        return None
    value = default.value
    if isinstance(value, bool):
        return "true or false"
    return "a text" if isinstance(value, str) else "an int" if isinstance(value, int) else "a number"


def _fits(value: Any, wanted: str) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return {
        "true or false": isinstance(value, bool),
        "a text": isinstance(value, str),
        "an int": whole,
        "a number": whole or isinstance(value, float),
        "a list": isinstance(value, list),
    }[wanted]
