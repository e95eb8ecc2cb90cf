"""Calls in a train section (``data csv("a.csv")``, ``augment crop(32)``): checks of their arguments, and errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from types import NoneType, UnionType
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.train import Setting
from graphdl.source import Span
from graphdl.suggest import did_you_mean

_WORDS: Mapping[Any, tuple[str, str]] = {
    int: ("an int", "ints"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    bool: ("true or false", "bools"),
    NoneType: ("none", "none"),
    object: ("anything", "anything"),
}


@dataclass(frozen=True)
class SettingCall:
    """A setting, which makes errors about itself."""

    argument_code: ClassVar[str] = "E0702"
    """The code of errors about an unknown, missing, repeated or surplus argument."""
    value_code: ClassVar[str] = "E0703"
    """The code of errors about an argument of the wrong kind."""

    setting: Setting

    def span(self, argument: str | None = None) -> Span:
        """The span of a keyword argument if it is known, else that of the whole setting."""
        return self.setting.keyword_spans.get(argument or "", self.setting.span)

    def error(
        self,
        code: str,
        message: str,
        *,
        argument: str | None = None,
        notes: Sequence[str] = (),
        help: str | None = None,
    ) -> ModelError:
        """An error at this setting, or at one of its arguments, to be raised."""
        return ModelError(Diagnostic(code, message, self.span(argument), notes=tuple(notes), help=help))


def bind(call: SettingCall, function: Callable[..., Any], extra: Sequence[str] = ()) -> dict[str, Any]:
    """The keyword arguments of ``function`` from a setting, checked against its signature and annotations.

    The first parameter of ``function`` is the call itself and not an argument of the user. ``extra`` are names that the
    caller handles. All errors are collected.

    Raises:
        ModelError: the call's ``argument_code`` for an unknown, missing, repeated or surplus argument, its
            ``value_code`` for one of the wrong kind.
    """
    setting = call.setting
    hints = get_type_hints(function)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    others = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
    errors: list[ModelError] = []
    bound: dict[str, Any] = {}

    if len(setting.arguments) > len(positional):
        most = f"at most {len(positional)}" if positional else "none"
        errors.append(
            call.error(
                call.argument_code,
                f"'{setting.name}' takes {most} without a name, {len(setting.arguments)} are given",
            )
        )
    written_in_file = [*zip(positional, setting.arguments, strict=False), *setting.keywords.items()]
    given = [each for each in written_in_file if each[0] not in setting.overrides] + [*setting.overrides.items()]
    for name, value in given:
        if name in extra:
            continue
        if name in bound:
            errors.append(call.error(call.argument_code, f"'{name}' of '{setting.name}' is given twice", argument=name))
        elif name not in named and others is None:
            known = sorted({*named, *extra})
            errors.append(
                call.error(
                    call.argument_code,
                    f"'{setting.name}' has no argument '{name}'",
                    argument=name,
                    notes=[f"it takes: {', '.join(known)}" if known else "it takes no arguments"],
                    help=did_you_mean(name, known),
                )
            )
        else:
            hint = hints[name if name in named else others or ""]
            if not fits(value, hint):
                errors.append(
                    call.error(
                        call.value_code,
                        f"'{name}' of '{setting.name}' must be {describe(hint)}, found {written(value)}",
                        argument=name,
                    )
                )
        bound[name] = value
    for parameter in parameters:
        if parameter.name in named and parameter.default is parameter.empty and parameter.name not in bound:
            errors.append(
                call.error(
                    call.argument_code, f"'{setting.name}' needs '{parameter.name}', {describe(hints[parameter.name])}"
                )
            )
    if errors:
        raise ModelError(*(diagnostic for error in errors for diagnostic in error.diagnostics))
    return bound


def fits(value: Any, hint: Any) -> bool:
    """Whether a value of the language has an annotated kind. An int is a number; a bool is neither."""
    if isinstance(hint, UnionType):
        return any(fits(value, kind) for kind in get_args(hint))
    if get_origin(hint) is list:
        return isinstance(value, list | tuple) and all(fits(item, get_args(hint)[0]) for item in value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return isinstance(value, hint)


def describe(hint: Any) -> str:
    """An annotated kind in words: ``a number or a list of numbers``."""
    if isinstance(hint, UnionType):
        return " or ".join(describe(kind) for kind in get_args(hint) if kind is not NoneType)
    if get_origin(hint) is list:
        (item,) = get_args(hint)
        return f"a list of {_WORDS[item][1]}" if item in _WORDS else f"a list, each item {describe(item)}"
    return _WORDS[hint][0]


def written(value: Any) -> str:
    """A value as the language writes it, shortened."""
    match value:
        case bool():
            text = str(value).lower()
        case None:
            text = "none"
        case str():
            text = f'"{value}"'
        case list() | tuple():
            text = "[" + ", ".join(map(written, value[:9])) + (", ...]" if len(value) > 9 else "]")
        case _:
            text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
