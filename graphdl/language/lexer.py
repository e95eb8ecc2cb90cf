"""From text to tokens: words, numbers, strings, signs and ends of statements.

The parser always receives balanced brackets. The lexer reports unbalanced ones, inserts missing ones and drops surplus
ones. So a forgotten parenthesis affects one statement and not the rest of the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from graphdl.diagnostics import Diagnostic, Label
from graphdl.graph.train import WORDS
from graphdl.language.grammar import END, NEWLINE, grammar
from graphdl.language.words import continues, normal
from graphdl.source import Source, Span

RESERVED = frozenset(["if", "else", "for", "in", "as", "and", "or", "not", "scan", "repeat", "true", "false", "none"])
"""Words that are never names."""

MAXIMUM_NESTING = 200
"""The deepest nesting of brackets, which is also the greatest depth of a syntax tree."""

MAXIMUM_TOKENS = 200_000
"""The most tokens of a source."""

_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_OPENERS = {closer: opener for opener, closer in _CLOSERS.items()}
COMPARISONS = frozenset(["==", "!=", "<", "<=", ">", ">="])
OPERATORS = COMPARISONS | {"->", "and", "or", "..", "+", "-", "*", "/", "//", "%", "@", "**"}

_CONTINUES_AFTER = OPERATORS | {",", "=", "not", "as", "in", "if", "else"}
_CONTINUES_BEFORE = OPERATORS | {"else", "as", "in"}
_ENDS_A_VALUE = frozenset(["NAME", "NUMBER", "STRING", "true", "false", "none", ")", "]", "}"])

_FOLLOWS_A_NAME = OPERATORS - {"-"} | {"=", ":", ",", ".", "as", "if"}
"""The tokens after which a word such as ``loss`` at the start of a statement is a name. A minus is not one: ``emit
-h``.
"""
_DECLARES = frozenset(["import", "let", "block", "net", "train"])
_BEFORE_PATTERNS = frozenset(word for word, known in WORDS.items() if known.takes_patterns)
_FOLLOWS_A_DECLARING_WORD = frozenset(["NAME", "NUMBER", "STRING", "{", NEWLINE]) | RESERVED - _FOLLOWS_A_NAME

# Characters from other languages and keyboards, and their equivalents.
_MEANT = {
    "→": "->", "⟶": "->", "−": "-", "–": "-", "—": "-", "×": "*", "·": "*", "÷": "/", "≤": "<=", "≥": ">=", "≠": "!=",
    "|>": "->", "&": "and", "&&": "and", "|": "or", "||": "or", "!": "not", "^": "**", "…": "..",
}  # fmt: skip


class Token(NamedTuple):
    """A word or sign.

    The type of a token with a fixed text is that text. ``depth`` is the number of enclosing brackets; a bracket does
    not enclose itself.
    """

    type: str
    text: str
    start: int
    end: int
    depth: int


@dataclass
class Lexed:
    """The tokens of a source, of which the last is the end, and information beside the tokens.

    ``comments`` are the starts and ends of all comments. ``documentation`` maps the start of the token below ``##``
    lines to their text.
    """

    tokens: list[Token] = field(default_factory=list)
    comments: list[tuple[int, int]] = field(default_factory=list)
    documentation: dict[int, str] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)


class LimitError(Exception):
    """The source is larger or nests deeper than the limits. The diagnostic has the place."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def tokenize(source: Source) -> Lexed:
    """The tokens of a source.

    Raises:
        LimitError: brackets nest deeper than ``MAXIMUM_NESTING``, or there are more than ``MAXIMUM_TOKENS`` tokens.
    """
    return _Lexer(source).run()


@cache
def soft_words() -> frozenset[str]:
    """The words of the grammar that are names unless they begin a statement."""
    return frozenset(t for t in grammar().literals if t[0].isalpha()) - RESERVED


@cache
def _pattern() -> re.Pattern[str]:
    """Matches blanks followed by one token. Tokens outside of the grammar are matched to report them."""
    patterns = grammar().patterns
    signs = sorted((t for t in grammar().literals if not t[0].isalpha()), key=len, reverse=True)
    alternatives = {
        "NAME": patterns["NAME"],
        "FRACTION": r"\.\d\w*",
        "SIGN": "|".join(map(re.escape, signs)),
        "LINE": r"\n",
        "COMMENT": r"\#[^\n]*",
        "NUMBER": patterns["NUMBER"],
        "STRING": patterns["STRING"],
        "SEPARATOR": ";",
        "QUOTE": r'"[^\n]*|\'(?:[^\'\\\n]|\\.)*\'?|[“”„‘’][^“”‘’"\n]*[“”‘’"]?',
        "OTHER": r"&&|\|[|>]|[^\n]",
        "END": r"\Z",
    }
    return re.compile(r"[ \t\r\f\ufeff]*(?:" + "|".join(f"(?P<{k}>{v})" for k, v in alternatives.items()) + ")")


@cache
def _path_pattern() -> re.Pattern[str]:
    """Matches a pattern of paths, or a comma with an optional line break."""
    return re.compile(r"[ \t\r]*(?:(?P<PATTERN>" + grammar().patterns["PATTERN"] + r")|(?P<COMMA>,)(?:[ \t\r]*\n)?)")


def _end_of_word(text: str, start: int) -> int:
    found = re.compile(r"\w*").match(text, start)
    return found.end() if found is not None else start


class _Lexer:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.result = Lexed()
        self.tokens = self.result.tokens
        self.open: list[tuple[Token, int]] = []
        """The open brackets, each with the indentation of its line."""
        self.line_start = 0
        self.indentation = 0
        self.new_line = True
        """Whether there is no token on the current line yet."""
        self.documentation: list[str] = []
        self.in_train = False
        self.outer_statement = 0
        """The index of the first token of the last statement outside all brackets that was searched for."""
        self.searched = 0
        """The number of tokens that need not be searched again."""

    def run(self) -> Lexed:
        match = _pattern().match
        position = 0
        while True:
            found = match(self.text, position)
            assert found is not None  # OTHER matches any character
            kind = found.lastgroup or ""
            start, position = found.span(kind)
            if kind == "NAME":
                position = self.name(start, position)
            elif kind == "SIGN":
                self.sign(found[kind], start, position)
            elif kind == "LINE":
                if self.new_line and not self.text[self.line_start : start].strip():
                    self.documentation.clear()
                self.new_line = True
                self.line_start = position
            elif kind == "COMMENT":
                self.comment(start, position)
            elif kind == "NUMBER":
                position = self.number(start, position)
            elif kind == "STRING":
                self.put("STRING", found[kind], start, position)
            elif kind == "SEPARATOR":
                self.separator(start, position)
            elif kind == "FRACTION":
                position = self.fraction(found[kind], start, position)
            elif kind == "QUOTE":
                self.quote(found[kind], start, position)
            elif kind == "OTHER":
                position = self.other(found[kind], start, position)
            else:
                break
            if len(self.tokens) > MAXIMUM_TOKENS:
                message = f"the file has more than {MAXIMUM_TOKENS:,} words and signs"
                help = "split it, and import its parts"
                raise LimitError(Diagnostic("E0106", message, Span(self.source, start, position), help=help))
        if self.open:
            self.report_unclosed("the file ends here", len(self.text), len(self.text))
            self.close_down_to(0)
        self.end_statement()
        end = len(self.text)
        self.tokens.append(Token(END, "", end, end, 0))
        self.result.diagnostics.sort(key=lambda d: d.span.start if d.span else 0)
        return self.result

    # ---------------------------------------------------------------------------------------------- kinds of tokens

    def name(self, start: int, end: int) -> int:
        """Reads a name. A name in a script other than Latin may contain marks, which the grammar's pattern does not
        match.
        """
        text = self.text
        while end < len(text) and not text[end].isascii() and continues(text[end]):
            end = _end_of_word(text, end + 1)
        text = normal(text[start:end])
        if not text.isascii() and not text.isidentifier():
            strange = next((c for c in text if not f"a{c}".isidentifier()), None)
            message = f"a name cannot hold `{strange}`" if strange else f"a name cannot begin with `{text[0]}`"
            self.report("E0101", message, start, end)
        self.put(text if text in RESERVED else "NAME", text, start, end)
        if self.in_train and text in _BEFORE_PATTERNS and self.begins_statement(len(self.tokens) - 1):
            return self.paths(end)
        return end

    def paths(self, position: int) -> int:
        """Reads the patterns after ``only`` or ``rate``: ``encoder.*, *.W`` are not expressions."""
        while (found := _path_pattern().match(self.text, position)) and found["PATTERN"] not in RESERVED:
            kind = found.lastgroup or ""
            start, end = found.span(kind)
            position = found.end()
            while kind == "PATTERN" and end < len(self.text) and not self.text[end].isascii():
                if not continues(self.text[end]):
                    break
                end += 1
                rest = re.compile(r"[\w.*]*").match(self.text, end)
                end = position = rest.end() if rest else end
            self.put("," if kind == "COMMA" else "PATTERN", normal(self.text[start:end]), start, end)
        return position

    def sign(self, text: str, start: int, end: int) -> None:
        if text in _CLOSERS:
            self.put(text, text, start, end)
            if len(self.open) == MAXIMUM_NESTING:
                span = Span(self.source, start, end)
                raise LimitError(
                    Diagnostic("E0106", f"brackets are nested more than {MAXIMUM_NESTING} deep", span, "one too many")
                )
            if text == "{" and not self.open:
                self.in_train = self.tokens[self.statement_start()].type == "train"
            self.open.append((self.tokens[-1], self.indentation))
        elif text in _OPENERS:
            self.close(text, start, end)
        else:
            self.put(text, text, start, end)

    def number(self, start: int, end: int) -> int:
        rest = re.compile(r"\w+|\.(?![\w.])").match(self.text, end)
        if rest is None:
            self.put("NUMBER", self.text[start:end], start, end)
            return end
        whole = self.text[start : rest.end()]
        if whole.endswith("."):
            self.report("E0102", "a number has digits on both sides of its dot", start, rest.end(), f"write `{whole}0`")
        else:
            self.report("E0102", f"`{whole}` is neither a number nor a name", start, rest.end())
        self.put("NUMBER", self.text[start:end], start, rest.end())
        return rest.end()

    def fraction(self, text: str, start: int, end: int) -> int:
        help = f"write `0{text}`" if text[1:].isdigit() else None
        self.report("E0102", "a number has digits on both sides of its dot", start, end, help)
        self.put("NUMBER", "0", start, end)
        return end

    def quote(self, text: str, start: int, end: int) -> None:
        meant = f'"{text.strip(chr(39) + "“”„‘’" + chr(34))}"'
        if text.startswith('"'):
            self.report("E0103", "this text is not closed before the end of its line", start, end, 'close it with `"`')
        else:
            self.report("E0103", 'texts stand in double quotes, `"`', start, end, f"write `{meant}`")
        valid = re.fullmatch(grammar().patterns["STRING"], meant)
        self.put("STRING", meant if valid and len(text) > 1 else '""', start, end)

    def other(self, text: str, start: int, end: int) -> int:
        if text.isidentifier():
            return self.name(start, _end_of_word(self.text, end))
        meant = _MEANT.get(text)
        if meant is not None:
            self.report("E0101", f"`{text}` is no sign of the language", start, end, f"write `{meant}`")
            self.put(meant, text, start, end)
            return end
        run = re.compile(r"[^\w\s\"'(){}\[\];,.:=<>+*/%@#-]+").match(self.text, start)
        end = run.end() if run and not any(c in _MEANT for c in run[0]) else end
        text = self.text[start:end]
        shown = f"`{text}`" if text.isprintable() else " ".join(f"U+{ord(c):04X}" for c in text[:8])
        help = None
        if text == "\\":
            help = "a line goes on by itself when it ends in `,`, `=`, `->` or an operator"
        elif text.isspace():
            help = "write a plain space"
        self.report("E0101", f"{shown} is no sign of the language", start, end, help)
        return end

    def comment(self, start: int, end: int) -> None:
        self.result.comments.append((start, end))
        text = self.text[start:end]
        if self.new_line and text.startswith("##") and not text.startswith("###"):
            self.documentation.append(text[2:].strip())

    def separator(self, start: int, end: int) -> None:
        last = self.tokens[-1].type if self.tokens else "{"
        if last not in ("{", NEWLINE):
            self.new_line = False  # at the start of a line it ends only the statement above
            self.put(NEWLINE, ";", start, end)

    # ------------------------------------------------------------------------------------------ statements and lines

    def put(self, type: str, text: str, start: int, end: int) -> None:
        """Appends a token, and before it the end of the statement on the line above if it ends there."""
        if self.new_line:
            self.begin_line(type, text, start, end)
        if self.tokens and self.tokens[-1].type == "NAME":
            self.settle(type)
        self.tokens.append(Token(type, text, start, end, len(self.open)))

    def begin_line(self, type: str, text: str, start: int, end: int) -> None:
        self.new_line = False
        self.indentation = start - self.line_start
        if self.documentation:
            self.result.documentation[start] = "\n".join(self.documentation)
            self.documentation.clear()
        if not self.tokens:
            return
        if self.open and type == "NAME":
            self.mend_unclosed(text, start, end)
        elif type == "}":
            self.mend_unclosed_by_indentation(start)
        inside = self.open[-1][0].type if self.open else "{"
        if inside == "{" and not self.goes_on(type, text, start, end):
            self.end_statement()

    def goes_on(self, type: str, text: str, start: int, end: int) -> bool:
        """Whether this line, which begins with the given token, continues the statement of the line above."""
        last = self.tokens[-1].type
        if type == "{":
            if last != NEWLINE:
                self.report("E0107", "the brace stands below its line", start, start + 1, "put it at the line's end")
            return True
        if last in _CONTINUES_AFTER:
            # In `y =` above `z = 3`, something was forgotten. The line below must not be affected.
            forgotten = type == "NAME" and last != "," and self.looks_like_statement(text, end)
            return not forgotten
        return type in _CONTINUES_BEFORE

    def looks_like_statement(self, text: str, end: int) -> bool:
        """Whether a line that begins with this word can only be a new statement."""
        rest = self.text[end : end + 80]
        if text in soft_words():
            match = re.match(r"[ \t]+(\w+|[\"{])", rest)
            return match is not None and match[1] not in RESERVED
        return re.match(r"[ \t]*=(?!=)", rest) is not None

    def end_statement(self) -> None:
        """Appends the end of a statement after the last token, if there is a statement to end."""
        if self.tokens and self.tokens[-1].type not in (NEWLINE, "{"):
            if self.tokens[-1].type == "NAME":
                self.settle(NEWLINE)
            end = self.tokens[-1].end
            self.tokens.append(Token(NEWLINE, "", end, end, len(self.open)))

    def settle(self, following: str) -> None:
        """Decides whether the last token is a name or a word of the grammar, depending on the following token."""
        token = self.tokens[-1]
        if token.text not in soft_words() or not self.begins_statement(len(self.tokens) - 1):
            return
        is_word = (
            following in _FOLLOWS_A_DECLARING_WORD if token.text in _DECLARES else following not in _FOLLOWS_A_NAME
        )
        if is_word:
            self.tokens[-1] = token._replace(type=token.text)

    def begins_statement(self, index: int) -> bool:
        return index == 0 or self.tokens[index - 1].type in (NEWLINE, "{")

    def statement_start(self) -> int:
        """The index of the first token of the current statement outside all brackets."""
        last = len(self.tokens) - 1
        for index in range(last, self.searched, -1):
            if self.tokens[index - 1].type == NEWLINE and self.tokens[index - 1].depth == 0:
                self.outer_statement = index
                break
        self.searched = last
        return self.outer_statement

    # ------------------------------------------------------------------------------------------------------ brackets

    def close(self, closer: str, start: int, end: int) -> None:
        if self.new_line:
            self.begin_line(closer, closer, start, end)
        opener = _OPENERS[closer]
        level = self.innermost(opener)
        if level is None or (opener != "{" and "{" in (t.type for t, _ in self.open[level:])):
            self.close_stray(closer, start, end, level)
            return
        if level < len(self.open) - 1:
            self.report_unclosed(f"before this `{closer}`", start, end)
            self.close_down_to(level + 1)
        if closer == "}":
            self.end_statement()
        self.open.pop()
        self.put(closer, closer, start, end)

    def close_stray(self, closer: str, start: int, end: int, level: int | None) -> None:
        """Handles a closing bracket whose opening one is missing or is outside the innermost braces."""
        top = self.open[-1][0] if self.open else None
        if top is not None and top.type != "{":
            right = _CLOSERS[top.type]
            span = Span(self.source, start, end)
            opened = Label(Span(self.source, top.start, top.end), "opened here")
            message = f"`{top.type}` is closed by `{closer}`"
            self.result.diagnostics.append(
                Diagnostic("E0105", message, span, f"`{right}` is expected", (opened,), help=f"write `{right}`")
            )
            self.open.pop()
            self.put(right, right, start, end)
        elif level is not None:
            self.report_unclosed(f"before this `{closer}`", start, end)
            self.close_down_to(level + 1)
            self.open.pop()
            self.put(closer, closer, start, end)
        else:
            self.report("E0105", f"`{closer}` closes nothing: no `{_OPENERS[closer]}` is open here", start, end)

    def mend_unclosed(self, text: str, start: int, end: int) -> None:
        """Closes forgotten brackets above a line that begins like a statement."""
        begins_word = text in soft_words() and self.looks_like_statement(text, end)
        if text in _DECLARES and begins_word and self.indentation == 0:
            self.report_unclosed(f"before this `{text}`", start, end)
            self.close_down_to(0)
            return
        bracket, indentation = self.open[-1]
        if bracket.type == "{" or self.indentation > indentation:
            return
        if begins_word or self.tokens[-1].type in _ENDS_A_VALUE:
            self.report_unclosed("before this line", start, end)
            innermost = self.innermost("{")
            self.close_down_to(0 if innermost is None else innermost + 1)

    def mend_unclosed_by_indentation(self, start: int) -> None:
        """Closes forgotten brackets before a brace that is left of the line of its opening brace and aligned with an
        outer one's.
        """
        level = self.innermost("{")
        if level is None or self.indentation >= self.open[level][1]:
            return
        for outer in range(level - 1, -1, -1):
            bracket, indentation = self.open[outer]
            if bracket.type == "{" and indentation == self.indentation:
                self.report_unclosed("before this `}`", start, start + 1, level)
                self.close_down_to(outer + 1)
                return

    def innermost(self, opener: str) -> int | None:
        for level in range(len(self.open) - 1, -1, -1):
            if self.open[level][0].type == opener:
                return level
        return None

    def report_unclosed(self, where: str, start: int, end: int, level: int = -1) -> None:
        bracket = self.open[level][0]
        span = Span(self.source, bracket.start, bracket.end)
        place = Label(Span(self.source, start, end), where)
        help = f"close it with `{_CLOSERS[bracket.type]}`"
        self.result.diagnostics.append(
            Diagnostic("E0104", f"`{bracket.type}` is not closed", span, "opened here", (place,), help=help)
        )

    def close_down_to(self, level: int) -> None:
        """Inserts missing closing brackets after the last token."""
        while len(self.open) > level:
            closer = _CLOSERS[self.open[-1][0].type]
            if closer == "}":
                self.end_statement()
            self.open.pop()
            if self.tokens[-1].type == "NAME":
                self.settle(closer)
            end = self.tokens[-1].end
            self.tokens.append(Token(closer, "", end, end, len(self.open)))

    def report(self, code: str, message: str, start: int, end: int, help: str | None = None) -> None:
        self.result.diagnostics.append(Diagnostic(code, message, Span(self.source, start, end), help=help))
