"""The surroundings of the cursor, by tokens alone: a line that is being written can rarely be parsed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from graphdl.language.grammar import END, NEWLINE
from graphdl.language.lexer import Token
from graphdl.language.words import name_start, normal

_ENDS_A_VALUE = frozenset(["NAME", "NUMBER", "STRING", "PATTERN", "true", "false", "none", ")", "]", "}"])
_OPENERS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call whose closing parenthesis is to the right of the cursor or not written yet."""

    callee: tuple[Token, ...]
    """The names before the parenthesis, without the dots between them."""
    arguments: tuple[tuple[Token, ...], ...]
    """The tokens of each argument. The last argument is at the cursor."""
    piped: bool
    """Whether an arrow precedes it."""

    @property
    def named(self) -> list[str]:
        """The arguments that are given by name so far."""
        return [a[0].text for a in self.arguments if len(a) > 1 and a[0].type == "NAME" and a[1].type == "="]


@dataclass(frozen=True, slots=True)
class Context:
    word: str
    """The part of a name to the left of the cursor."""
    start: int
    """The start of the word."""
    before: tuple[Token, ...]
    """All tokens to the left of the word."""
    begins: bool
    """Whether a statement begins here."""
    declaration: str | None
    """The word of the declaration whose braces contain the cursor: block, net or train."""
    statement: tuple[Token, ...]
    """The tokens of the innermost statement to the left of the word."""
    call: OpenCall | None

    @property
    def last(self) -> str:
        """The type of the token before the word, or an empty string if a statement begins here."""
        return "" if self.begins or not self.before else self.before[-1].type


def context(text: str, tokens: Sequence[Token], offset: int) -> Context:
    """The surroundings of an offset in the text."""
    start = name_start(text, offset)
    word = normal(text[start:offset])
    stop = bisect_right([token.start for token in tokens], start)
    before = [token for token in tokens[:stop] if token.end <= start and token.type != END]
    # tokens that the lexer inserted after the last written word do not exist yet
    while before and not before[-1].text:
        before.pop()
    gap = text[before[-1].end : start] if before else ""
    begins = not before or before[-1].type in ("{", NEWLINE) or _ended(tokens, before[-1], gap)
    return Context(
        word, start, tuple(before), begins, _declaration(before), _statement(before, begins), _open_call(before, begins)
    )


def _ended(tokens: Sequence[Token], last: Token, gap: str) -> bool:
    """Whether the statement of the last token ends on its line, and the cursor is on a later line."""
    if "\n" not in gap or last.type not in _ENDS_A_VALUE:
        return False
    after = bisect_right([token.start for token in tokens], last.start)
    following = [token for token in tokens[after : after + 8] if token is not last]
    for token in following:
        if token.type == NEWLINE:
            return True
        if token.text:
            return False
    return True


def _declaration(before: Sequence[Token]) -> str | None:
    depth = 0
    for index in range(len(before) - 1, -1, -1):
        token = before[index]
        if token.type == "}":
            depth += 1
        elif token.type == "{":
            depth -= 1
        if depth < 0 and token.depth == 0:
            first = index
            while first > 0 and before[first - 1].type != NEWLINE:
                first -= 1
            return before[first].text
    return None


def _statement(before: Sequence[Token], begins: bool) -> tuple[Token, ...]:
    if begins:
        return ()
    index = len(before)
    closed = 0
    while index > 0:
        token = before[index - 1]
        if token.type == "}":
            closed += 1
        elif token.type == "{":
            if not closed:
                break
            closed -= 1
        elif token.type == NEWLINE and not closed:
            break
        index -= 1
    return tuple(before[index:])


def _open_call(before: Sequence[Token], begins: bool) -> OpenCall | None:
    if begins and before and before[-1].type in (NEWLINE, "{"):
        return None
    waiting: list[str] = []
    opener = None
    for index in range(len(before) - 1, -1, -1):
        kind = before[index].type
        if kind in _OPENERS:
            waiting.append(_OPENERS[kind])
        elif kind in ("(", "[", "{"):
            if waiting:
                if waiting.pop() != kind:
                    return None
            elif kind == "{":
                return None
            elif kind == "(" and index > 0 and before[index - 1].type == "NAME":
                opener = index
                break
        elif kind == NEWLINE and not waiting:
            return None
    if opener is None:
        return None
    first = opener - 1
    while first >= 2 and before[first - 1].type == "." and before[first - 2].type == "NAME":
        first -= 2
    callee = tuple(token for token in before[first:opener] if token.type == "NAME")
    piped = first > 0 and before[first - 1].type == "->"
    return OpenCall(callee, _split(before[opener + 1 :]), piped)


def _split(tokens: Sequence[Token]) -> tuple[tuple[Token, ...], ...]:
    """Splits the tokens at commas outside of brackets."""
    parts: list[list[Token]] = [[]]
    level = 0
    for token in tokens:
        if token.type in ("(", "[", "{"):
            level += 1
        elif token.type in _OPENERS:
            level -= 1
        if token.type == "," and level == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return tuple(map(tuple, parts))
