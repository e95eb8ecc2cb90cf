"""The parse tables of ``grammar/net.lark``: built by lark, saved beside this file, and read without lark.

Importing lark and building the grammar takes a third of a second, reading the saved tables a few milliseconds.
``python -m graphdl.language.tables`` saves them anew after a change of the grammar. Tables that are missing, damaged
or older than the grammar are never an error: they are built on the spot.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphdl.resources import resource

if TYPE_CHECKING:
    from lark.grammar import Rule

SAVED = Path(__file__).with_name("tables.json")

END = "$END"
"""The type of the token after the last one."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """One alternative of a rule: ``size`` symbols become one of the kind ``origin``.

    ``name`` is the builder's method, or None for a helper rule whose values are spliced into its user's. ``children``
    says what the method gets: a symbol's index, None (an absent optional), or ``[index]`` for a list to splice.
    """

    origin: str
    size: int
    name: str | None
    passes: bool
    """A lone child stands for the node itself."""
    children: tuple[int | list[int] | None, ...]


@dataclass(frozen=True, slots=True)
class Tables:
    """An LALR(1) automaton, which starts in one state and is done in another.

    In ``actions[state][token type]`` a number that is not negative is the state to go to, and ``-1 - n`` is reduction
    ``n``. The type of a token that is always written alike is its text.
    """

    start: int
    end: int
    patterns: dict[str, str]
    literals: tuple[str, ...]
    reductions: tuple[Reduction, ...]
    actions: tuple[dict[str, int], ...]
    gotos: tuple[dict[str, int], ...]


@cache
def tables() -> Tables:
    """The tables of the grammar, saved or else built."""
    saved = _read_saved()
    return _decode(saved if saved is not None else _build(_grammar_path().read_text(encoding="utf-8")))


def save() -> None:
    """Builds the tables of the grammar and writes them beside this file."""
    data = _build(_grammar_path().read_text(encoding="utf-8"))
    plain = ("grammar", "start", "end", "patterns", "literals")
    lines = [f'"{key}": {json.dumps(data[key], separators=(",", ":"))}' for key in plain]
    for key in ("reductions", "actions", "gotos"):
        rows = ",\n".join(json.dumps(row, separators=(",", ":"), sort_keys=isinstance(row, dict)) for row in data[key])
        lines.append(f'"{key}": [\n{rows}\n]')
    SAVED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _grammar_path() -> Path:
    return resource("grammar/net.lark")


def _checksum(grammar: str) -> int:
    return zlib.crc32(grammar.encode())


def _read_saved() -> dict[str, Any] | None:
    try:
        data = json.loads(SAVED.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data["grammar"] != _checksum(_grammar_path().read_text(encoding="utf-8")):
            return None
        _decode(data)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return data


def _decode(data: dict[str, Any]) -> Tables:
    return Tables(
        start=data["start"],
        end=data["end"],
        patterns=data["patterns"],
        literals=tuple(data["literals"]),
        reductions=tuple(
            Reduction(origin, size, name, passes, tuple(children))
            for origin, size, name, passes, children in data["reductions"]
        ),
        actions=tuple(data["actions"]),
        gotos=tuple(data["gotos"]),
    )


def _build(grammar: str) -> dict[str, Any]:
    """The tables as plain data. Raises lark's GrammarError if the grammar is not LALR(1).

    Lark's rules and terminals are public, and its automaton is what an interactive parser steps through. Lark's own
    file of a saved grammar would do as well, but only for the release of lark that wrote it.
    """
    from lark import Lark
    from lark.lexer import Lexer, PatternStr

    class NoLexer(Lexer):
        """Lark wants one; the language's own works from the patterns."""

        def __init__(self, configuration: Any) -> None: ...

        def lex(self, lexer_state: Any, parser_state: Any) -> Any:
            raise AssertionError("the parser is asked for its table alone")

    lark = Lark(grammar, parser="lalr", lexer=NoLexer, start="file", strict=True)
    texts = {t.name: t.pattern.value for t in lark.terminals if isinstance(t.pattern, PatternStr)}
    automaton: Any = lark.parse_interactive().parser_state.parse_conf.parse_table
    reduced = {target for row in automaton.states.values() for _, target in row.values() if not isinstance(target, int)}
    rules = [rule for rule in lark.rules if rule in reduced]
    numbers = {rule: number for number, rule in enumerate(rules)}
    symbols = {str(rule.origin.name) for rule in lark.rules}

    actions: list[dict[str, int]] = []
    gotos: list[dict[str, int]] = []
    order = {state: number for number, state in enumerate(automaton.states)}
    for row in automaton.states.values():
        action: dict[str, int] = {}
        goto: dict[str, int] = {}
        for name, (_, target) in row.items():
            if name in symbols:
                goto[name] = order[target]
            else:
                action[texts.get(name, name)] = order[target] if isinstance(target, int) else -1 - numbers[target]
        actions.append(action)
        gotos.append(goto)
    return {
        "grammar": _checksum(grammar),
        "start": order[automaton.start_states["file"]],
        "end": order[automaton.end_states["file"]],
        "patterns": {t.name: t.pattern.value for t in lark.terminals if t.name not in texts},
        "literals": sorted(texts.values()),
        "reductions": [_reduction(rule) for rule in rules],
        "actions": actions,
        "gotos": gotos,
    }


def _reduction(rule: Rule) -> list[Any]:
    options = rule.options
    absent = _absent_before(tuple(options.empty_indices), len(rule.expansion))
    children: list[int | list[int] | None] = []
    for index, symbol in enumerate(rule.expansion):
        children += [None] * absent[index]
        if symbol.is_term:
            if options.keep_all_tokens or not getattr(symbol, "filter_out", False):
                children.append(index)
        else:
            children.append([index] if symbol.name.startswith("_") else index)
    children += [None] * absent[len(rule.expansion)]
    origin = str(rule.origin.name)
    name = None if origin.startswith("_") else rule.alias or origin
    return [origin, len(rule.expansion), name, bool(options.expand1 and not rule.alias), children]


def _absent_before(empty: tuple[bool, ...], size: int) -> list[int]:
    """How many absent optionals stand before each symbol of an expansion, and after the last."""
    if not empty:
        return [0] * (size + 1)
    return [len(run) for run in "".join("1" if flag else "0" for flag in empty).split("0")]


if __name__ == "__main__":
    save()
