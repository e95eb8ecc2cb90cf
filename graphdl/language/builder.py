"""Makes the nodes of the syntax tree during lark's parse, without a parse tree in between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from graphdl.diagnostics import Diagnostic
from graphdl.language.actions import Actions
from graphdl.language.lexer import MAXIMUM_NESTING, LimitError, Token
from graphdl.source import Span

# Rules without a node of their own.
_TRANSPARENT = frozenset(
    ["argument", "values", "targets", "names", "body", "hypers", "inputs", "outputs", "dimensions", "parentheses"]
)


class Builder:
    """A ``grammar.Reader`` of tokens, the last of which is the end.

    The value of a rule is a tuple: what the rule's action returns, the start and the end of the rule, and the depth of
    its tree. The start and the end include all symbols of the rule, brackets too.
    """

    def __init__(self, tokens: Sequence[Token], actions: Actions) -> None:
        self.tokens = tokens
        self.actions = actions
        self.token = tokens[0]

    def words(self) -> Iterator[str]:
        for token in self.tokens[:-1]:
            self.token = token
            yield token.type

    def shift(self) -> Token:
        return self.token

    def reduce(self, rule: str, symbols: list[Any]) -> tuple[Any, int, int, int]:
        values: list[Any] = []
        start = -1
        end = depth = 0
        for symbol in symbols:
            if symbol is None:
                values.append(None)
                continue
            if type(symbol) is Token:
                value, first, end = symbol, symbol.start, symbol.end
            else:
                value, first, end, below = symbol
                if below > depth:
                    depth = below
            values.append(value)
            if start < 0:
                start = first
        if rule not in _TRANSPARENT:
            depth += 1
            if depth > MAXIMUM_NESTING:
                raise _too_deep(self.actions.span(start, end))
        return getattr(self.actions, rule)(start, end, *values), start, end, depth


def _too_deep(span: Span) -> LimitError:
    message = f"this is nested, or goes on, more than {MAXIMUM_NESTING} deep"
    help = "give a name to a part of it, and go on from that name"
    return LimitError(Diagnostic("E0106", message, span, help=help))
