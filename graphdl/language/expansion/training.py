"""Train sections: each setting is evaluated to plain values and checked against the net."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graphdl.diagnostics import Diagnostic, Label
from graphdl.graph.model import Value
from graphdl.graph.operator import is_number
from graphdl.graph.train import WORDS, Best, Factors, Kind, Setting, Start, TrainSection, default_name, setting_of
from graphdl.language import syntax
from graphdl.language.expansion import expressions
from graphdl.language.expansion.context import Expansion, header
from graphdl.language.expansion.faults import Fault, Poisoned
from graphdl.language.expansion.frames import Scope
from graphdl.language.expansion.train_weights import best, dotted, may_be_lost, pattern, starts
from graphdl.language.expansion.values import Applied, describe, is_module, text
from graphdl.source import Span
from graphdl.suggest import did_you_mean, enumerated


def sections(
    expansion: Expansion, file: syntax.File, scope: Scope, given: Mapping[str, Any], *, is_model: bool
) -> list[TrainSection]:
    """The stages of a net: the sections that name it, and if it is the file's model those that name no net.

    ``scope`` has the net's hyperparameters, to which settings may refer. ``given`` are arguments from outside.
    """
    stages: list[TrainSection] = []
    if is_model:
        _check_nets(expansion, file)
    names: dict[str, Span] = {}
    net = expansion.graph.name
    for declaration in file.declarations:
        if not isinstance(declaration, syntax.Train) or not _is_for(declaration, net, is_model):
            continue
        if declaration.name is not None and declaration.name in names:
            expansion.reporter.add(
                Diagnostic(
                    "E0602", f"there are two stages '{declaration.name}'", header(declaration.span),
                    labels=(Label(names[declaration.name], "the first"),),
                )
            )  # fmt: skip
        if declaration.name is not None:
            names.setdefault(declaration.name, header(declaration.span))
        stages.append(_section(expansion, declaration, scope))
        if not expansion.graph.losses and not may_be_lost(expansion):
            others = [each.name for each in file.declarations if isinstance(each, syntax.Net) and each.name != net]
            help = (
                f"for another net, write train for {others[-1]} {{ ... }}" if others and not declaration.net else None
            )
            expansion.reporter.add(
                Diagnostic("E0608", f"the net '{net}' has no loss to train for", header(declaration.span), help=help)
            )
    return _with_given(expansion, stages, given)


def _check_nets(expansion: Expansion, file: syntax.File) -> None:
    """Reports the train sections that name a net that the file does not have."""
    nets = [each.name for each in file.declarations if isinstance(each, syntax.Net)]
    for declaration in file.declarations:
        if isinstance(declaration, syntax.Train) and declaration.net is not None and declaration.net.name not in nets:
            help = did_you_mean(declaration.net.name, nets) or f"its nets: {enumerated(nets)}"
            message = f"the file has no net '{declaration.net.name}'"
            expansion.reporter.add(Diagnostic("E0214", message, declaration.net.span, help=help))


def _with_given(expansion: Expansion, stages: list[TrainSection], given: Mapping[str, Any]) -> list[TrainSection]:
    """The stages with the arguments from outside: ``optimizer.lr`` is for all stages, ``fine.optimizer.lr`` for the
    stage ``fine`` or the turn ``fine``, ``fine.critic.optimizer.lr`` for one turn.
    """
    for name, value in given.items():
        *path, word, argument = name.split(".")
        known = word in WORDS and WORDS[word].kind == "call"
        found = []
        for number, stage in enumerate(stages):
            own = stage.name or default_name(number)
            turns = [
                _given_to(turn, word, argument, value, stage)
                if known and path in ([turn.name], [own, turn.name])
                else turn
                for turn in stage.turns
            ]
            if known and path in ([], [own]):
                turns = [
                    _given_to(turn, word, argument, value, turn) if getattr(turn, word) else turn for turn in turns
                ]
                stage = _given_to(stage, word, argument, value, stage)
            found.append(replace(stage, turns=tuple(turns)))
        if found == stages:
            calls = [each for each, kind in WORDS.items() if kind.kind == "call"]
            help = did_you_mean(word, calls) or f"a name with dots is an argument of {', '.join(calls)}"
            message = f"'{expansion.graph.name}' has no setting '{name}' in its train sections"
            expansion.reporter.add(Diagnostic("E0213", message, help=help))
        stages = found
    return stages


def _given_to(section: TrainSection, word: str, argument: str, value: Any, outer: TrainSection) -> TrainSection:
    """A section or turn with one more argument of a word. ``outer`` has the call if the turn itself has none."""
    default = WORDS[word].default
    call: Setting | None = getattr(section, word) or getattr(outer, word) or (setting_of(default) if default else None)
    if call is None:
        return section
    changed: dict[str, Any] = {word: replace(call, overrides={**call.overrides, argument: value})}
    return replace(section, **changed)


def _is_for(declaration: syntax.Train, net: str, is_model: bool) -> bool:
    return is_model if declaration.net is None else declaration.net.name == net


def _section(expansion: Expansion, written: syntax.Train, scope: Scope) -> TrainSection:
    fields, spans = _settings(expansion, written.settings, scope, None)
    if "epochs" in fields and "steps" in fields:
        expansion.reporter.add(
            Diagnostic(
                "E0607", "a stage lasts for epochs or for steps, not for both", spans["steps"],
                labels=(Label(spans["epochs"], "the other"),),
            )
        )  # fmt: skip
    turns: dict[str, TrainSection] = {}
    for turn in written.turns:
        if turn.name in turns:
            expansion.reporter.add(
                Diagnostic(
                    "E0602", f"there are two turns '{turn.name}'", turn.name_span,
                    labels=(Label(header(turns[turn.name].span), "the first"),),
                )
            )  # fmt: skip
        own, own_spans = _settings(expansion, turn.settings, scope, turn.name)
        turns.setdefault(turn.name, TrainSection(turn.name, turn.span, spans=own_spans, **own))
    return TrainSection(written.name, written.span, spans=spans, turns=tuple(turns.values()), **fields)


def _settings(
    expansion: Expansion, written: Sequence[syntax.Setting], scope: Scope, turn: str | None
) -> tuple[dict[str, Any], dict[str, Span]]:
    """The words of a section or of a turn, and their places."""
    fields: dict[str, Any] = {}
    spans: dict[str, Span] = {}
    for setting in written:
        if expansion.file.is_spoilt(setting):
            spans.setdefault(setting.word, setting.word_span)
            continue
        try:
            if turn is not None and setting.word in WORDS and not WORDS[setting.word].in_turn:
                raise Fault(
                    "E0601", f"'{setting.word}' holds for all turns of a stage", setting.word_span,
                    help=f"put it above the turn '{turn}'",
                )  # fmt: skip
            _read(expansion, setting, scope, fields, spans)
        except Fault as fault:
            expansion.report(fault, scope.frame)
        except Poisoned:
            pass
        spans.setdefault(setting.word, setting.word_span)
    return fields, spans


def _read(
    expansion: Expansion, setting: syntax.Setting, scope: Scope, fields: dict[str, Any], spans: dict[str, Span]
) -> None:
    word = setting.word
    known = WORDS.get(word)
    if known is None:
        raise Fault(
            "E0601", f"a train section has no '{word}'", setting.word_span,
            help=did_you_mean(word, WORDS) or f"it has {', '.join(WORDS)}",
        )  # fmt: skip
    if word in spans and not known.repeats:
        raise Fault("E0602", f"'{word}' is given twice", setting.word_span, labels=(Label(spans[word], "the first"),))
    if (setting.name is not None and known.kind != "feed") or (setting.patterns and not known.repeats):
        raise Fault("E0606", f"'{word}' assigns to no name", setting.span)
    fields[word] = _READERS[known.kind](expansion, setting, scope, fields.get(word))


# ------------------------------------------------------------------------------------------------------ the settings


def _called(expansion: Expansion, written: syntax.Expression, scope: Scope) -> Setting:
    """``sgd(lr = 0.01)`` or ``mnist``: the name stays a name, and the arguments become plain values."""
    callee = written.callee if isinstance(written, syntax.Call) else written
    if not isinstance(callee, syntax.Name):
        raise Fault("E0606", "here stands a name, with its settings in parentheses", written.span)
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    keyword_spans: dict[str, Span] = {}
    names: dict[str, str] = {}
    for argument in written.arguments if isinstance(written, syntax.Call) else ():
        value = _plain(expansion, argument.value, scope)
        if argument.name is None:
            positional.append(value)
        elif argument.name in keywords:
            raise Fault("E0207", f"'{argument.name}' is given twice", argument.name_span or argument.span)
        else:
            keywords[argument.name] = value
            keyword_spans[argument.name] = argument.value.span
            if isinstance(argument.value, syntax.Name):
                names[argument.name] = argument.value.name
    return Setting(callee.name, tuple(positional), keywords, written.span, keyword_spans, names=names)


def _plain(expansion: Expansion, written: syntax.Expression, scope: Scope) -> Any:
    value = expressions.operand(expansion, written, scope)
    if isinstance(value, Value | Applied) or is_module(value):
        raise Fault(
            "E0606", f"a setting is a number, a text, true, false or a list, not {describe(value)}", written.span
        )
    return value


def _one_call(expansion: Expansion, setting: syntax.Setting, scope: Scope, before: None) -> Setting:
    return _called(expansion, _single(setting), scope)


def _calls(
    expansion: Expansion, setting: syntax.Setting, scope: Scope, before: tuple[Setting, ...] | None
) -> tuple[Setting, ...]:
    calls = tuple(_called(expansion, value, scope) for value in setting.values)
    return (*(before or ()), *calls)


def _single(setting: syntax.Setting) -> syntax.Expression:
    if len(setting.values) != 1:
        raise Fault("E0606", f"'{setting.word}' takes one value", setting.span)
    return setting.values[0]


def _number(expansion: Expansion, setting: syntax.Setting, scope: Scope, before: None) -> float:
    written, word = _single(setting), WORDS[setting.word]
    value = _plain(expansion, written, scope)
    whole = word.kind == "int"
    kind = "an int" if whole else "a number"
    bound = f"above {text(word.least)}" if word.exclusive else f"from {text(word.least)} on"
    if word.below is not None:
        bound = f"from {text(word.least)} to below {text(word.below)}"
    if (
        not is_number(value)
        or (whole and not isinstance(value, int))
        or value < word.least
        or (word.exclusive and value == word.least)
        or (word.below is not None and value >= word.below)
    ):
        raise Fault("E0606", f"'{setting.word}' is {kind} {bound}, not {describe(value)}", written.span)
    number: float = value if whole else float(value)
    return number


def _word(expansion: Expansion, setting: syntax.Setting, scope: Scope, before: None) -> str:
    written = _single(setting)
    value = written.name if isinstance(written, syntax.Name) else _plain(expansion, written, scope)
    if not isinstance(value, str):
        raise Fault("E0606", f"'{setting.word}' is a word, not {describe(value)}", written.span)
    return value


def _losses(expansion: Expansion, setting: syntax.Setting, scope: Scope, before: None) -> tuple[str, ...]:
    losses = expansion.graph.losses
    names = []
    for written in setting.values:
        name = dotted(written)
        if name is None:
            raise Fault("E0603", f"'{setting.word}' names losses of the net", written.span)
        if name not in losses:
            if may_be_lost(expansion):
                raise Poisoned
            known = enumerated(losses) or "none"
            raise Fault(
                "E0603", f"the net has no loss '{name}'", written.span,
                help=did_you_mean(name, losses) or f"its losses: {known}",
            )  # fmt: skip
        names.append(name)
    return tuple(names)


def _parameters(expansion: Expansion, setting: syntax.Setting, scope: Scope, before: None) -> tuple[str, ...]:
    return tuple(pattern(expansion, setting.word, written) for written in setting.values)


def _factors(expansion: Expansion, setting: syntax.Setting, scope: Scope, before: Factors | None) -> Factors:
    if not setting.patterns:
        raise Fault("E0606", f"'{setting.word}' is written {setting.word} pattern = number", setting.span)
    # Only weights of two dimensions or more have several that come in to a unit.
    least = 2 if WORDS[setting.word].kind == "limits" else 0
    patterns = [pattern(expansion, setting.word, written, least_rank=least) for written in setting.patterns]
    number = _number(expansion, setting, scope, None)
    return (*(before or ()), *((each, number) for each in patterns))


def _starts(
    expansion: Expansion, setting: syntax.Setting, scope: Scope, before: tuple[Start, ...] | None
) -> tuple[Start, ...]:
    found = starts(expansion, setting)
    given = {each.target for each in before or ()}
    twice = next((each.target for each in found if each.target in given), None)
    if twice is not None:
        raise Fault("E0602", f"'{twice}' is started twice", setting.span)
    return (*(before or ()), *found)


def _best(expansion: Expansion, setting: syntax.Setting, scope: Scope, before: None) -> Best:
    return best(expansion, setting, _single(setting))


def _feed(
    expansion: Expansion, setting: syntax.Setting, scope: Scope, before: Mapping[str, str] | None
) -> Mapping[str, str]:
    field = dotted(_single(setting))
    if setting.name is None or field is None:
        raise Fault("E0606", "'feed' is written feed input = field", setting.span)
    if setting.name not in expansion.graph.inputs and not may_be_lost(expansion):
        raise Fault(
            "E0605", f"the net has no input '{setting.name}'", setting.span,
            help=did_you_mean(setting.name, expansion.graph.inputs),
        )  # fmt: skip
    feed = before or {}
    if setting.name in feed:
        raise Fault("E0602", f"the input '{setting.name}' is fed twice", setting.span)
    return {**feed, setting.name: field}


_READERS: Mapping[Kind, Callable[[Expansion, syntax.Setting, Scope, Any], Any]] = {
    "call": _one_call,
    "calls": _calls,
    "int": _number,
    "number": _number,
    "losses": _losses,
    "parameters": _parameters,
    "factors": _factors,
    "limits": _factors,
    "starts": _starts,
    "best": _best,
    "word": _word,
    "feed": _feed,
}
"""Maps each kind of word to its reader, whose last argument is the value from the section's earlier lines."""
