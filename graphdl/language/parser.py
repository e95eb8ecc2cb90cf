"""From text to the syntax tree: an LALR(1) automaton over the tables of ``grammar/net.lark``.

Nodes are built as rules are recognized; there is no parse tree in between. After a syntax error the parser drops the
statement (its header alone, if it opens a body) and goes on, so that every independent error comes in one run.

The tables are lark's, the automaton is not. What lark's ``InteractiveParser`` lacks for it:

- dropping what has been read of a statement: nothing public takes symbols off its stacks. A copy made before each
  statement is no substitute, for lark's lists of statements grow in place, in all copies that share them, and copies of
  the values make reading a file quadratic;
- the place of a node: a callback gets the symbols that a rule keeps, so that brackets around it are lost, unless
  ``propagate_positions`` wraps every rule, which takes two to three times as long;
- the depth of a node, which is limited while the tree is being built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from graphdl.diagnostics import Diagnostic
from graphdl.language.actions import Actions
from graphdl.language.lexer import MAXIMUM_NESTING, NEWLINE, Lexed, LimitError, Token, tokenize
from graphdl.language.syntax import File
from graphdl.language.syntax_errors import explain
from graphdl.language.tables import END, Reduction, tables
from graphdl.source import Places, Source, Span

MAXIMUM_SIZE = 1_000_000
"""Characters of a source."""

# Rules that make no node of their own.
_TRANSPARENT = frozenset(
    ["argument", "values", "targets", "names", "body", "hypers", "inputs", "outputs", "dimensions"]
)

# Words that begin a statement of a body, of a train section and of a file, and nothing else: in a state that welcomes
# one of them a statement may begin.
_MARKS = ("assert", "only", "net")

# Headers that stand in for one with an error in it, so that the body behind it is read.
_HEADERS = {
    "net": ("net", "NAME"),
    "block": ("block", "NAME", ":", "->", "NAME"),
    "train": ("train",),
    "if": ("if", "NAME"),
    "for": ("for", "NAME", "in", "NAME"),
    "scan": ("NAME", "=", "scan", "NAME", "in", "NAME"),
    "repeat": ("NAME", "=", "repeat", "NAME"),
}


def parse(source: Source) -> tuple[File, list[Diagnostic]]:
    """The syntax tree of a source and the errors of its syntax, in order.

    With errors the tree lacks the statements that could not be read, and says where it is not what was written.
    A source beyond a limit has no declarations.
    """
    if len(source.text) > MAXIMUM_SIZE:
        message = f"the file has more than {MAXIMUM_SIZE:,} characters"
        help = "split it, and import its parts"
        return File(source, ()), [Diagnostic("E0106", message, Span(source, 0, 0), help=help)]
    try:
        return _Parser(source, tokenize(source)).run()
    except LimitError as error:
        return File(source, ()), [error.diagnostic]


class _Parser:
    """The automaton: parallel stacks of states, values, their places and the depth of their trees."""

    def __init__(self, source: Source, lexed: Lexed) -> None:
        self.source = source
        self.tokens = lexed.tokens
        self.diagnostics: list[Diagnostic] = []
        self.lexical = lexed.diagnostics
        self.misread = Places(d.span for d in lexed.diagnostics if d.span is not None)
        self.builder = Actions(source, lexed, self.diagnostics)
        self.tables = tables()
        self.states = [self.tables.start]
        self.values: list[Any] = [None]
        self.starts = [0]
        self.ends = [0]
        self.depths = [0]
        self.mended: list[Span] = []
        self.lost: set[str] = set()
        self.resumed = 0
        """The index of the token at which reading went on after the last error."""

    def run(self) -> tuple[File, list[Diagnostic]]:
        index = 0
        while self.states[-1] != self.tables.end:
            if self.feed(self.tokens[index]):
                index += 1
            else:
                index = self.recover(index)
        diagnostics = sorted(self.lexical + self.diagnostics, key=lambda d: d.span.start if d.span else 0)
        places = [*(d.span for d in diagnostics if d.span is not None), *self.mended]
        file: File = self.values[1]
        file = replace(file, tokens=len(self.tokens), spoilt=tuple(places), lost=frozenset(self.lost))
        return file, diagnostics

    def feed(self, token: Token) -> bool:
        """Takes one token in, after the reductions that it brings about. False if it cannot stand here."""
        states, values, starts, ends, depths = self.states, self.values, self.starts, self.ends, self.depths
        actions, gotos, reductions = self.tables.actions, self.tables.gotos, self.tables.reductions
        type = token.type
        while True:
            action = actions[states[-1]].get(type)
            if action is None:
                return False
            if action >= 0:
                states.append(action)
                values.append(token)
                starts.append(token.start)
                ends.append(token.end)
                depths.append(0)
                return True
            reduction = reductions[-1 - action]
            size = reduction.size
            if size == 1 and reduction.passes:
                states[-1] = gotos[states[-2]][reduction.origin]
                continue
            self.reduce(reduction, token)
            states.append(gotos[states[-1]][reduction.origin])
            if states[-1] == self.tables.end:
                return True

    def reduce(self, reduction: Reduction, token: Token) -> None:
        """Replaces the topmost symbols by what they become; the new state is the caller's to set."""
        values, starts, ends, depths = self.values, self.starts, self.ends, self.depths
        size, name = reduction.size, reduction.name
        if size == 0:
            start = end = token.start
            depth = 0
            symbols: list[Any] = []
        else:
            start, end, depth = starts[-size], ends[-1], max(depths[-size:])
            symbols = values[-size:]
            del self.states[-size:], values[-size:], starts[-size:], ends[-size:], depths[-size:]
        children: list[Any] = []
        for child in reduction.children:
            if child is None:
                children.append(None)
            elif isinstance(child, int):
                children.append(symbols[child])
            elif children:
                children += symbols[child[0]]
            else:
                children = symbols[child[0]]  # a list grows in place
        if name is None:
            value: Any = children
        elif reduction.passes and len(children) == 1:
            value = children[0]
        else:
            method: Callable[..., Any] = getattr(self.builder, name)
            value = method(start, end, *children)
            if name not in _TRANSPARENT:
                depth += 1
                if depth > MAXIMUM_NESTING:
                    self.refuse(start, end)
        values.append(value)
        starts.append(start)
        ends.append(end)
        depths.append(depth)

    def refuse(self, start: int, end: int) -> None:
        message = f"this is nested, or goes on, more than {MAXIMUM_NESTING} deep"
        help = "give a name to a part of it, and go on from that name"
        raise LimitError(Diagnostic("E0106", message, Span(self.source, start, end), help=help))

    # ------------------------------------------------------------------------------------------------------ recovery

    def accepts(self, type: str) -> bool:
        """Whether a token of this type could stand next."""
        states = self.states.copy()
        while True:
            action = self.tables.actions[states[-1]].get(type)
            if action is None or action >= 0:
                return action is not None
            reduction = self.tables.reductions[-1 - action]
            if reduction.size:
                del states[-reduction.size :]
            states.append(self.tables.gotos[states[-1]][reduction.origin])
            if states[-1] == self.tables.end:
                return True

    def recover(self, index: int) -> int:
        """Reports the token that cannot stand here, drops its statement and says where to go on."""
        expected = frozenset(t for t in self.tables.actions[self.states[-1]] if self.accepts(t))
        depth = self.unwind()
        first = self.statement_start(index, depth)
        stop = self.statement_end(index, depth)
        low, high = self.tokens[first].start, self.tokens[min(stop + 1, len(self.tokens) - 1)].start
        if not self.misread.begin_within(low, high + 1):
            self.diagnostics.append(explain(self.source, self.tokens, first, index, expected))
        self.lose(first, stop)
        if self.tokens[stop].type == "{":
            self.mended.append(Span(self.source, low, self.tokens[stop].end))
            self.take_header(first, stop)
        elif self.tokens[stop].type == END:
            while not self.accepts(END):
                self.drop()
        self.resumed = stop + 1 if self.tokens[stop].type in ("{", NEWLINE) else stop
        return self.resumed

    def lose(self, first: int, stop: int) -> None:
        """Remembers the names that a dropped statement would have given a value, or a dropped header declared."""
        if self.tokens[first].type == "import":
            self.lost.add("*")
        is_header = self.tokens[stop].type == "{"
        is_assigned, before = True, ""
        for token in self.tokens[first:stop]:
            is_assigned = is_assigned and token.type not in ("=", ":", "->")
            if token.type == "NAME" and (is_header or is_assigned or before == "as"):
                self.lost.add(token.text)
            before = token.type

    def unwind(self) -> int:
        """Drops what has been read of the statement; the number of brackets around it."""
        while not any(mark in self.tables.actions[self.states[-1]] for mark in _MARKS):
            self.drop()
        for value in reversed(self.values):
            if isinstance(value, Token) and value.type == "{":
                return value.depth + 1
        return 0

    def drop(self) -> None:
        for stack in (self.states, self.values, self.starts, self.ends, self.depths):
            stack.pop()

    def statement_start(self, index: int, depth: int) -> int:
        """The index of the first token of a statement; what was dropped already is not looked at again."""
        while index > self.resumed:
            before = self.tokens[index - 1]
            if (before.type == NEWLINE and before.depth == depth) or (before.type == "{" and before.depth == depth - 1):
                break
            index -= 1
        return index

    def statement_end(self, index: int, depth: int) -> int:
        """The index of the token that ends the statement or opens its body."""
        first = self.statement_start(index, depth)
        before = {t.type for t in self.tokens[first:index]}
        while True:
            token = self.tokens[index]
            if token.type == "{" and token.depth == depth and _opens_no_body(before):
                while not self.closes(index, depth):
                    before.add(self.tokens[index].type)
                    index += 1
                continue
            if token.type == END or (token.type == NEWLINE and token.depth == depth):
                return index
            if (token.type == "{" and token.depth == depth) or (token.type == "}" and token.depth == depth - 1):
                return index
            before.add(token.type)
            index += 1

    def closes(self, index: int, depth: int) -> bool:
        return self.tokens[index].type == "}" and self.tokens[index].depth == depth

    def take_header(self, first: int, opener: int) -> None:
        """Takes in a header like the one that had the error, and the brace that opens its body."""
        tokens = self.tokens[first:opener]
        depth = self.tokens[opener].depth
        kind = next((t.type for t in reversed(tokens) if t.depth == depth and t.type in ("scan", "repeat")), None)
        kind = kind or next((t.text for t in tokens if t.text in _HEADERS), None)
        if kind not in _HEADERS or not self.accepts(_HEADERS[kind][0]):
            kind = next(k for k in ("net", "if", "train") if self.accepts(_HEADERS[k][0]) or k == "train")
        name = next((t.text for t in tokens[1:2] if t.type == "NAME"), "_")
        start = tokens[0].start if tokens else self.tokens[opener].start
        for type in _HEADERS[kind]:
            if not self.feed(Token(type, name if type == "NAME" else type, start, start, depth)):
                break
        self.feed(self.tokens[opener])


def _opens_no_body(before: set[str]) -> bool:
    """Whether a brace is a slip, as in ``y = {1, 2}``: nothing before it in its statement, by types, has a body."""
    return "=" in before and before.isdisjoint(_HEADERS)
