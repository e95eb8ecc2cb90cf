"""The layout of one statement: spaces between its tokens, line breaks, and the columns of continuation lines.

This is a part of the formatter. Line breaks by the author are kept before an arrow, an operator or ``else``, and after
a comma. Further breaks are inserted if a line is too long. Continuation lines are aligned: arrows with the chain's
first arrow, arguments with the first argument (or indented by a level, if the author broke after the opening bracket),
everything else with the start of its value.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from graphdl.language.grammar import NEWLINE
from graphdl.language.lexer import OPERATORS, Token, tokenize
from graphdl.source import Source

WIDTH = 120
INDENT = 4

_ENDS_A_VALUE = frozenset(["NAME", "NUMBER", "STRING", "PATTERN", "true", "false", "none", ")", "]", "}"])
_CLOSERS = frozenset([")", "]", "}"])

# The ranks of breaks at the same depth: lower ones are chosen first.
_ELSE, _ARROW, _COMMA, _OPERATOR, _BRACE = range(5)


class Text:
    """A source as tokens and comments, with the text between them."""

    def __init__(self, source: Source) -> None:
        self.text = source.text
        lexed = tokenize(source)
        self.tokens = lexed.tokens
        self.comments = [start for start, _ in lexed.comments]
        self.comment_ends = dict(lexed.comments)
        self.partner = _partners(self.tokens)
        trains = [i for i, token in enumerate(self.tokens) if token.type == "train"]
        bodies = [next(i for i in range(train, len(self.tokens)) if self.tokens[i].type == "{") for train in trains]
        self.settings = [range(opener + 1, self.partner[opener]) for opener in bodies]
        """The token indices of the settings of each train section."""

    def comments_between(self, start: int, end: int) -> list[int]:
        """The starts of the comments between two offsets."""
        return self.comments[bisect_left(self.comments, start) : bisect_left(self.comments, end)]

    def stands_alone(self, comment: int) -> bool:
        """Whether a comment has a line of its own."""
        line = self.text[self.text.rfind("\n", 0, comment) + 1 : comment]
        return not line.strip("\ufeff \t\r\f")

    def comment(self, start: int) -> str:
        text = self.text[start : self.comment_ends[start]].rstrip()
        words = text.lstrip("#")
        return text.removesuffix(words) + " " + words if words[:1].isalnum() else text

    def line_ends_between(self, start: int, end: int) -> int:
        return self.text.count("\n", start, end)


@dataclass(frozen=True, slots=True)
class Break:
    """A possible line break before token ``index``, which would move it to column ``target``."""

    rank: tuple[int, int]
    column: int
    index: int
    target: int


@dataclass
class Line:
    indent: int
    text: str = ""
    comment: str = ""
    breaks: list[Break] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.indent + len(self.text)


@dataclass(frozen=True, slots=True)
class Body:
    """Statements on their own lines: the tokens from ``first`` up to ``last``, the closing brace."""

    first: int
    last: int
    indent: int


def lay_out(text: Text, first: int, stop: int, indent: int) -> list[Line | Body]:
    """The lines of the statement with the tokens from ``first`` up to ``stop``, and its bodies in their places."""
    chosen: set[int] = set()
    while True:
        lines = _Layout(text, first, stop, indent, chosen).run()
        more = {index for line in lines if isinstance(line, Line) for index in _choose(line)} - chosen
        if not more:
            return lines
        chosen |= more


def _choose(line: Line) -> list[int]:
    """The tokens before which a line that is too long is broken: of the lowest rank, as few as possible."""
    if line.end <= WIDTH or not line.breaks:
        return []
    rank = min(b.rank for b in line.breaks)
    candidates = [b for b in line.breaks if b.rank == rank]
    chosen: list[int] = []
    shift = 0
    for candidate, following in zip(candidates, [b.column - 1 for b in candidates[1:]] + [line.end], strict=True):
        if following - shift > WIDTH:
            chosen.append(candidate.index)
            shift = candidate.column - candidate.target
    return chosen


def _partners(tokens: Sequence[Token]) -> dict[int, int]:
    """Maps the index of each bracket to that of its partner."""
    partners: dict[int, int] = {}
    stack: list[int] = []
    for index, token in enumerate(tokens):
        if token.type in ("(", "[", "{"):
            stack.append(index)
        elif token.type in _CLOSERS:
            opener = stack.pop()
            partners[opener], partners[index] = index, opener
    return partners


@dataclass
class _Context:
    """The inside of a bracket, or a statement, with the columns of its continuation lines."""

    opener: str
    base: int
    align: int | None
    """The column after a comma; None before the first token."""
    value: int | None
    """The start of the current value; None before its first token."""
    closing: int | None = None
    """The column of the closing bracket if it has a line of its own."""
    arrow: int | None = None
    """The column of the first arrow of the current chain."""


class _Layout:
    def __init__(self, text: Text, first: int, stop: int, indent: int, chosen: Collection[int]) -> None:
        self.text = text
        self.tokens = text.tokens
        self.first = first
        self.stop = stop
        self.indent = indent
        self.chosen = chosen
        self.lines: list[Line | Body] = []
        # A statement that starts with an operator would continue the line above, so a semicolon precedes it.
        follows = first > 0 and self.tokens[first - 1].type == NEWLINE
        self.line = Line(indent, "; " if follows and self.tokens[first].type in OPERATORS else "")
        header = self.tokens[first].type in ("block", "net")
        self.contexts = [_Context("", indent, indent + 2 * INDENT if header else None, None)]
        if header:
            self.contexts[0].base = indent + INDENT
        self.loop: str | None = None
        """``repeat`` or ``scan`` before its opening brace."""
        self.assigns = self.last_equals()

    def last_equals(self) -> int:
        """The index of the statement's own ``=``, or that of its first token."""
        depth = self.tokens[self.first].depth
        indices = (i for i in range(self.first, self.stop) if self.tokens[i].depth == depth)
        if self.tokens[self.first].type == "block":
            return self.first
        return next((i for i in indices if self.tokens[i].type == "="), self.first)

    def run(self) -> list[Line | Body]:
        index = self.first
        while index < self.stop:
            index = self.token(index)
        self.trailing_comment(self.tokens[self.stop - 1].end, self.tokens[self.stop + 1].start)
        self.lines.append(self.line)
        return self.lines

    # -------------------------------------------------------------------------------------------------------- tokens

    def token(self, index: int) -> int:
        """Writes a token and the space before it. Returns the index of the next token to write."""
        token = self.tokens[index]
        if token.type == NEWLINE:  # the end of a repeat's chain
            return index + 1
        if token.type == "," and self.is_superfluous(index):
            return index + 1
        context = self.contexts[-1]
        if token.type in _CLOSERS:
            self.contexts.pop()
            self.close(index, context)
        else:
            self.before(index, context)
            self.note(index, context)
            self.line.text += token.text
        if token.type in ("(", "["):
            self.open(index)
        elif token.type == "{":
            return self.brace(index)
        elif token.type in ("repeat", "scan"):
            self.loop = token.type
        return index + 1

    def before(self, index: int, context: _Context) -> None:
        """Writes the space before a token: a blank, nothing, or a line break."""
        if index == self.first:
            return
        before = self.previous(index)
        kind = self.kind(index, before, context)
        target = self.target(kind, context)
        broken = self.comments_before(index, before, target)
        if kind is not None:
            # A line break by the author after an arrow or operator means the same as one before it.
            behind = self.tokens[index + 1].start if kind in (_ARROW, _OPERATOR) else self.tokens[index].start
            ends = self.text.line_ends_between(self.tokens[before].end, behind)
            broken = broken or ends > 0 or index in self.chosen
        if broken:
            self.break_line(target)
        elif self.line.text:
            space = self.space(before, index, context)
            if kind is not None:
                rank = (len(self.contexts), kind)
                self.line.breaks.append(Break(rank, self.line.end + space, index, target))
            self.line.text += " " * space

    def comments_before(self, index: int, before: int, column: int) -> bool:
        """Writes the comments between two tokens of the statement. Returns whether there are any."""
        start, end = self.tokens[before].end, self.tokens[index].start
        comments = self.text.comments_between(start, end)
        if not comments:
            return False
        self.trailing_comment(start, end)
        for comment in comments:
            if self.text.stands_alone(comment):
                self.break_line(column)
                self.line.comment = self.text.comment(comment)
        return True

    def trailing_comment(self, start: int, end: int) -> None:
        for comment in self.text.comments_between(start, end):
            if not self.text.stands_alone(comment):
                self.line.comment = self.text.comment(comment)

    def note(self, index: int, context: _Context) -> None:
        """Records the columns of a token that continuation lines need."""
        type, column = self.tokens[index].type, self.line.end
        if context.value is None:
            context.value = column
            context.arrow = None
        if context.align is None and (context.opener or index > self.assigns or self.assigns == self.first):
            context.align = column
        if type == "->" and context.arrow is None:
            context.arrow = column
        elif type in ("=", ","):
            context.value = None
        elif type in ("if", "else"):
            context.arrow = None

    def previous(self, index: int) -> int:
        index -= 1
        while self.tokens[index].type == NEWLINE or (self.tokens[index].type == "," and self.is_superfluous(index)):
            index -= 1
        return index

    def is_superfluous(self, index: int) -> bool:
        """Whether a comma is redundant: the last one of a setting's values, of a scan's bindings, or before a closing
        bracket on the same line.

        At the end of a line it would continue the statement on the next line.
        """
        after = self.tokens[index + 1]
        if after.type in (NEWLINE, "{"):
            return True
        if after.type not in (")", "]") or self.closes_apart(self.text.partner[index + 1]):
            return False
        opener = self.text.partner[index + 1]
        is_tuple = after.type == ")" and (opener == 0 or self.tokens[opener - 1].type not in _ENDS_A_VALUE)
        return not is_tuple and not self.text.comments_between(self.tokens[index].end, after.start)

    # ------------------------------------------------------------------------------------------------------ brackets

    def closes_apart(self, opener: int) -> bool:
        """Whether the inside of a bracket has lines of its own: there is a line break after the bracket."""
        start, end = self.tokens[opener].end, self.tokens[opener + 1].start
        return opener + 1 in self.chosen or self.text.line_ends_between(start, end) > 0

    def open(self, index: int) -> None:
        indent = self.line.indent
        apart = self.closes_apart(index)
        inside = indent + INDENT if apart or self.tokens[index].type == "{" else self.line.end
        closing = indent if apart else None
        self.contexts.append(_Context(self.tokens[index].type, inside, inside if apart else None, None, closing))

    def close(self, index: int, context: _Context) -> None:
        before = self.previous(index)
        broken = self.comments_before(index, before, context.base)
        if context.closing is not None and self.tokens[before].type not in ("(", "["):
            self.break_line(context.closing)
        elif broken:
            self.break_line(context.base)
        elif self.tokens[index].type == "}":
            self.line.text += " "
        self.line.text += self.tokens[index].text

    def brace(self, index: int) -> int:
        """Opens the braces of a repeat, or inserts a body and its closing brace."""
        loop, self.loop = self.loop, None
        if loop == "repeat":
            self.open(index)
            return index + 1
        closing = self.text.partner[index]
        indent = self.line.indent if loop == "scan" and len(self.contexts) > 1 else self.indent
        start, end = self.tokens[index].end, self.tokens[closing].start
        if closing == index + 1 and not self.text.comments_between(start, end):
            self.line.text += " }"
        else:
            self.trailing_comment(start, self.tokens[index + 1].start)
            self.lines += [self.line, Body(index + 1, closing, indent + INDENT)]
            self.line = Line(indent, "}")
        return closing + 1

    # -------------------------------------------------------------------------------------------------------- breaks

    def break_line(self, column: int) -> None:
        if self.line.text or self.line.comment:
            self.lines.append(self.line)
        self.line = Line(column)

    def kind(self, index: int, before: int, context: _Context) -> int | None:
        """The kind of a line break before a token; None if the style does not break there."""
        type, last = self.tokens[index].type, self.tokens[before].type
        if last in ("(", "["):
            return _BRACE if context.closing is not None else None
        if last == "{":
            return _BRACE
        if len(self.contexts) == 1 and index <= self.assigns:
            return None
        if type == "->":
            return _ARROW
        if last == ",":
            return _COMMA
        if type == "else":
            return None if last == "}" and len(self.contexts) == 1 and self.assigns == self.first else _ELSE
        if type in ("for", "if"):
            # Outside of brackets, a line that begins with `if` is a statement.
            return _OPERATOR if context.opener in ("(", "[") else None
        return _OPERATOR if type in OPERATORS and type != ".." and last in _ENDS_A_VALUE else None

    def target(self, kind: int | None, context: _Context) -> int:
        """The column of the line after a break."""
        further = context.base + (0 if context.closing is not None else INDENT)
        if kind == _ARROW:
            if context.arrow is not None:
                return context.arrow
            return context.base + INDENT if context.value is not None else further
        if kind == _BRACE:
            return context.base
        if kind == _COMMA:
            return context.align if context.align is not None else further
        return context.value if context.value is not None else further

    # -------------------------------------------------------------------------------------------------------- spaces

    def space(self, before: int, index: int, context: _Context) -> bool:
        """Whether there is a space between two tokens on a line."""
        last, type = self.tokens[before].type, self.tokens[index].type
        if last == ",":
            return True
        if last in ("(", "[", ".", "..") or type in (",", ".", "..", ":"):
            return False
        if last == ":":
            return context.opener != "["
        if last in ("-", "+"):
            return before > self.first and self.tokens[self.previous(before)].type in _ENDS_A_VALUE
        if type in ("(", "["):
            begins_setting = before == self.first and any(before in settings for settings in self.text.settings)
            return begins_setting or last not in _ENDS_A_VALUE
        return True
