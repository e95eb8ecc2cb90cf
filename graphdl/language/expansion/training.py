"""Train sections: each setting evaluated to plain values, and what it says of the net checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphdl.diagnostics import Diagnostic, Label
from graphdl.graph.model import ModuleGraph, Setting, TrainSection, Value
from graphdl.graph.operator import is_number
from graphdl.language import syntax
from graphdl.language.expansion import expressions
from graphdl.language.expansion.faults import Fault, Poisoned
from graphdl.language.expansion.frames import Scope
from graphdl.language.expansion.run import Run, header
from graphdl.language.expansion.values import Applied, describe, is_module, text
from graphdl.source import Span
from graphdl.suggest import did_you_mean, enumerated

REPEATABLE = ("augment", "feed")
"""The words that may be written on several lines."""


def sections(run: Run, file: syntax.File, scope: Scope) -> list[TrainSection]:
    """The stages of the file. ``scope`` holds the net's hyperparameters, of which settings may speak."""
    stages = []
    names: dict[str, Span] = {}
    for declaration in file.declarations:
        if isinstance(declaration, syntax.Train):
            if declaration.name is not None and declaration.name in names:
                run.reporter.add(
                    Diagnostic(
                        "E0602", f"there are two stages '{declaration.name}'", header(declaration.span),
                        labels=(Label(names[declaration.name], "the first"),),
                    )
                )  # fmt: skip
            if declaration.name is not None:
                names.setdefault(declaration.name, header(declaration.span))
            stages.append(_section(run, declaration, scope))
            if not run.graph.losses and not _may_be_lost(run):
                run.reporter.add(
                    Diagnostic(
                        "E0608", f"the net '{run.graph.name}' has no loss to train for", header(declaration.span)
                    )
                )
    return stages


def _section(run: Run, written: syntax.Train, scope: Scope) -> TrainSection:
    fields: dict[str, Any] = {}
    spans: dict[str, Span] = {}
    for setting in written.settings:
        if run.file.is_spoilt(setting):
            spans.setdefault(setting.word, setting.word_span)
            continue
        try:
            _read(run, setting, scope, fields, spans)
        except Fault as fault:
            run.report(fault, scope.frame)
        except Poisoned:
            pass
        spans.setdefault(setting.word, setting.word_span)
    if "epochs" in fields and "steps" in fields:
        run.reporter.add(
            Diagnostic(
                "E0607", "a stage lasts for epochs or for steps, not for both", spans["steps"],
                labels=(Label(spans["epochs"], "the other"),),
            )
        )  # fmt: skip
    return TrainSection(written.name, written.span, spans=spans, **fields)


def _read(run: Run, setting: syntax.Setting, scope: Scope, fields: dict[str, Any], spans: dict[str, Span]) -> None:
    word = setting.word
    read = WORDS.get(word)
    if read is None:
        raise Fault(
            "E0601", f"a train section has no '{word}'", setting.word_span,
            help=did_you_mean(word, WORDS) or f"it has {', '.join(WORDS)}",
        )  # fmt: skip
    if word in spans and word not in REPEATABLE:
        raise Fault("E0602", f"'{word}' is given twice", setting.word_span, labels=(Label(spans[word], "the first"),))
    if setting.name is not None and word != "feed":
        raise Fault("E0606", f"'{word}' assigns to no name", setting.span)
    read(run, setting, scope, fields)


# ------------------------------------------------------------------------------------------------------ the settings


def _called(run: Run, written: syntax.Expression, scope: Scope) -> Setting:
    """``sgd(lr = 0.01)`` or ``mnist``: the name stays a name, the arguments become plain values."""
    callee = written.callee if isinstance(written, syntax.Call) else written
    if not isinstance(callee, syntax.Name):
        raise Fault("E0606", "here stands a name, with its settings in parentheses", written.span)
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    keyword_spans: dict[str, Span] = {}
    for argument in written.arguments if isinstance(written, syntax.Call) else ():
        value = _plain(run, argument.value, scope)
        if argument.name is None:
            positional.append(value)
        elif argument.name in keywords:
            raise Fault("E0207", f"'{argument.name}' is given twice", argument.name_span or argument.span)
        else:
            keywords[argument.name] = value
            keyword_spans[argument.name] = argument.value.span
    return Setting(callee.name, tuple(positional), keywords, written.span, keyword_spans)


def _plain(run: Run, written: syntax.Expression, scope: Scope) -> Any:
    value = expressions.operand(run, written, scope)
    if isinstance(value, Value | Applied) or is_module(value):
        raise Fault(
            "E0606", f"a setting is a number, a text, true, false or a list, not {describe(value)}", written.span
        )
    return value


def _one_call(run: Run, setting: syntax.Setting, scope: Scope, fields: dict[str, Any]) -> None:
    fields[setting.word] = _called(run, _single(setting), scope)


def _augment(run: Run, setting: syntax.Setting, scope: Scope, fields: dict[str, Any]) -> None:
    calls = tuple(_called(run, value, scope) for value in setting.values)
    fields["augment"] = (*fields.get("augment", ()), *calls)


def _single(setting: syntax.Setting) -> syntax.Expression:
    if len(setting.values) != 1:
        raise Fault("E0606", f"'{setting.word}' takes one value", setting.span)
    return setting.values[0]


def _number(least: float, *, whole: bool, exclusive: bool = False) -> Callable[..., None]:
    def read(run: Run, setting: syntax.Setting, scope: Scope, fields: dict[str, Any]) -> None:
        written = _single(setting)
        value = _plain(run, written, scope)
        kind = "an int" if whole else "a number"
        bound = f"above {text(least)}" if exclusive else f"from {text(least)} on"
        if (
            not is_number(value)
            or (whole and not isinstance(value, int))
            or value < least
            or (exclusive and value == least)
        ):
            raise Fault("E0606", f"'{setting.word}' is {kind} {bound}, not {describe(value)}", written.span)
        fields[setting.word] = value if whole else float(value)

    return read


def _precision(run: Run, setting: syntax.Setting, scope: Scope, fields: dict[str, Any]) -> None:
    written = _single(setting)
    value = written.name if isinstance(written, syntax.Name) else _plain(run, written, scope)
    if not isinstance(value, str):
        raise Fault("E0606", f"'precision' is a word, not {describe(value)}", written.span)
    fields["precision"] = value


def _may_be_lost(run: Run) -> bool:
    """Whether the net lacks what a fault of its own has spoilt: then nothing is said of what it does not have."""
    return not run.is_sound or bool(run.file.tree.spoilt or run.file.lost)


def _minimize(run: Run, setting: syntax.Setting, scope: Scope, fields: dict[str, Any]) -> None:
    losses = run.graph.losses
    names = []
    for written in setting.values:
        name = _dotted(written)
        if name is None:
            raise Fault("E0603", "'minimize' names losses of the net", written.span)
        if name not in losses:
            if _may_be_lost(run):
                raise Poisoned
            known = enumerated(losses) or "none"
            raise Fault(
                "E0603", f"the net has no loss '{name}'", written.span,
                help=did_you_mean(name, losses) or f"its losses: {known}",
            )  # fmt: skip
        names.append(name)
    fields["minimize"] = tuple(names)


def _dotted(written: syntax.Expression) -> str | None:
    if isinstance(written, syntax.Name):
        return written.name
    if isinstance(written, syntax.Attribute):
        head = _dotted(written.value)
        return f"{head}.{written.name}" if head is not None else None
    if isinstance(written, syntax.Literal) and isinstance(written.value, str):
        return written.value
    return None


def _only(run: Run, setting: syntax.Setting, scope: Scope, fields: dict[str, Any]) -> None:
    patterns = []
    for written in setting.values:
        pattern = _dotted(written)
        if pattern is None:
            raise Fault("E0604", "'only' names parameters, by patterns such as encoder.*", written.span)
        if not any(matches(pattern, path) for path in run.graph.parameters) and not _may_be_lost(run):
            raise Fault(
                "E0604", f"no parameter of the net matches '{pattern}'", written.span,
                help=did_you_mean(pattern, run.graph.parameters) or _some_paths(run.graph),
            )  # fmt: skip
        patterns.append(pattern)
    fields["only"] = tuple(patterns)


def _some_paths(graph: ModuleGraph) -> str:
    paths = list(graph.parameters)
    if not paths:
        return "the net has no parameters"
    return "its parameters: " + ", ".join(paths[:6]) + (", …" if len(paths) > 6 else "")


def matches(pattern: str, path: str) -> bool:
    """Whether a parameter's path is among those that ``only`` names; ``*`` crosses dots."""
    first, *others = pattern.split("*")
    if not others:
        return path == pattern
    *middle, last = others
    end = len(path) - len(last)
    if not path.startswith(first) or not path.endswith(last):
        return False
    at = len(first)
    for part in middle:  # the first place that fits leaves most room for the rest
        found = path.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end


def _feed(run: Run, setting: syntax.Setting, scope: Scope, fields: dict[str, Any]) -> None:
    field = _dotted(_single(setting))
    if setting.name is None or field is None:
        raise Fault("E0606", "'feed' is written feed input = field", setting.span)
    if setting.name not in run.graph.inputs and not _may_be_lost(run):
        raise Fault(
            "E0605", f"the net has no input '{setting.name}'", setting.span,
            help=did_you_mean(setting.name, run.graph.inputs),
        )  # fmt: skip
    feed: Mapping[str, str] = fields.get("feed", {})
    if setting.name in feed:
        raise Fault("E0602", f"the input '{setting.name}' is fed twice", setting.span)
    fields["feed"] = {**feed, setting.name: field}


WORDS: dict[str, Callable[[Run, syntax.Setting, Scope, dict[str, Any]], None]] = {
    "data": _one_call,
    "augment": _augment,
    "optimizer": _one_call,
    "schedule": _one_call,
    "batch": _number(1, whole=True),
    "epochs": _number(1, whole=True),
    "steps": _number(1, whole=True),
    "minimize": _minimize,
    "only": _only,
    "clip": _number(0, whole=False, exclusive=True),
    "seed": _number(0, whole=True),
    "precision": _precision,
    "feed": _feed,
}
