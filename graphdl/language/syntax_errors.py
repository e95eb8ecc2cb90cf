"""Messages for syntax errors, in the words of the language.

The automaton knows the token that it found and the tokens that it expected. The message is derived from these and from
the surrounding statement: common mistakes have messages of their own, all others say what was expected, after which
token, and what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphdl.diagnostics import Diagnostic
from graphdl.graph.train import WORDS
from graphdl.language.grammar import END, NEWLINE
from graphdl.language.lexer import COMPARISONS, OPERATORS, RESERVED, Token, soft_words
from graphdl.source import Source, Span
from graphdl.suggest import did_you_mean

_DECLARES = frozenset(["import", "let", "block", "net", "train"])
_LITERALS = frozenset(["NUMBER", "STRING", "true", "false", "none"])
_BEGINS_A_VALUE = _LITERALS | {"NAME", "(", "[", "+", "-", "not", "repeat", "scan"}
_FOLLOWS_A_VALUE = OPERATORS | {"(", "[", ".", "as", "if"}
_SHAPES = {
    "import": 'import "file.net"',
    "let": "let name = value",
    "block": "block name(hyperparameters): inputs -> outputs { ... }",
    "net": "net name(hyperparameters) { ... }",
    "train": "train { ... }",
    "turn": "turn name { ... }",
    "input": "input name: [3, 224, 224]",
    "param": "param name: [n] = zeros()",
    "state": "state name: [n] = zeros()",
    "for": "for name in list { ... }",
    "scan": "scan item in sequence, state = start { ... }",
    "repeat": "repeat 3 { module }",
    "update": "update name = value",
    "assert": 'assert condition, "text"',
}
_ELSEWHERE = {
    "return": "a block's outputs are assigned: `y = ...`",
    "yield": "a scan gives its values with `emit`",
    "def": "a module is declared with `block`",
    "class": "a module is declared with `block`",
    "layer": "a module is declared with `block`",
    "model": "a model is declared with `net`",
    "while": "loops are `for`, `repeat` and `scan`",
    "from": 'write `import "file.net"`',
    "var": "write `name = value`",
    "const": "write `let name = value`",
}


@dataclass(frozen=True)
class _Place:
    """The place where the parser stopped: ``tokens[index]`` cannot follow in the statement that begins at ``first``."""

    source: Source
    tokens: Sequence[Token]
    first: int
    index: int
    expected: frozenset[str]

    @property
    def found(self) -> Token:
        return self.tokens[self.index]

    @property
    def before(self) -> Token | None:
        """The token before, if it belongs to the statement."""
        return self.tokens[self.index - 1] if self.index > self.first else None

    @property
    def head(self) -> Token:
        return self.tokens[self.first]

    def follows(self, distance: int = 1) -> str:
        at = self.index + distance
        return self.tokens[at].type if at < len(self.tokens) else END

    def error(self, code: str, message: str, help: str | None = None, token: Token | None = None) -> Diagnostic:
        token = token or self.found
        return Diagnostic(code, message, Span(self.source, token.start, token.end), help=help)


def explain(source: Source, tokens: Sequence[Token], first: int, index: int, expected: frozenset[str]) -> Diagnostic:
    """The error for ``tokens[index]`` at a place where only the ``expected`` types of tokens are allowed."""
    place = _Place(source, tokens, first, index, expected)
    for slip in _SLIPS:
        diagnostic = slip(place)
        if diagnostic is not None:
            return diagnostic
    return _general(place)


# ----------------------------------------------------------------------------------------------------- common slips


def _reserved_name(place: _Place) -> Diagnostic | None:
    found, before = place.found, place.before
    token = None
    if (
        found.type in RESERVED
        and "NAME" in place.expected
        and (not place.expected & {"NUMBER"} or place.follows() in ("=", ":", ","))
    ):
        token = found
    elif found.type in ("=", ":") and before is not None and before.type in RESERVED and before == place.head:
        token = before
    if token is None:
        return None
    return place.error("E0108", f"`{token.text}` is a reserved word and cannot be a name", token=token)


def _foreign_comment(place: _Place) -> Diagnostic | None:
    """``// words`` or ``/* words``: ``//`` divides, but here it begins a line or is followed by two words."""
    source, tokens = place.source, place.tokens
    line = source.line_starts[source.position(place.found.start)[0] - 1]
    words = place.before is not None and place.before.text[:1].isalnum() and place.found.text[:1].isalnum()
    for at in range(place.index, place.first - 1, -1):
        token = tokens[at]
        if token.start < line:
            break
        if token.type == "//" or source.text.startswith("/*", token.start):
            begins_line = at == 0 or tokens[at - 1].start < line
            if begins_line or at == place.first or (words and at < place.index - 1):
                sign = Token(token.type, source.text[token.start : token.start + 2], token.start, token.start + 2, 0)
                return place.error("E0107", f"`{sign.text}` begins no comment", "a comment begins with `#`", sign)
    return None


def _foreign_arrow(place: _Place) -> Diagnostic | None:
    found = place.found
    if found.type != "=" or not place.source.text.startswith("=>", found.start) or place.before is None:
        return None
    token = Token("=", "=>", found.start, found.start + 2, found.depth)
    return place.error("E0107", "`=>` is no sign of the language", "write `->`", token)


def _foreign_assignment(place: _Place) -> Diagnostic | None:
    found, before = place.found, place.before
    if found.type != "=" or before is None or before.end != found.start or before.type not in _FOLLOWS_A_VALUE | {":"}:
        return None
    token = Token(before.type, before.text + "=", before.start, found.end, before.depth)
    name = place.head.text
    help = f"write `{name} = ...`" if before.type == ":" else f"write `{name} = {name} {before.text} ...`"
    return place.error("E0107", f"`{token.text}` is no sign of the language", help, token)


def _chained_comparison(place: _Place) -> Diagnostic | None:
    if place.found.type in COMPARISONS and not place.expected & COMPARISONS and "and" in place.expected:
        return place.error("E0115", "comparisons cannot be chained", "write `a < b and b < c`")
    return None


def _assignment(place: _Place) -> Diagnostic | None:
    """An ``=`` after a complete value."""
    if place.found.type != "=" or place.before is None or not place.expected & {"and", "or", "->"}:
        return None
    if "{" in place.expected:
        return place.error("E0107", "expected a condition, found `=`", "`==` compares")
    if NEWLINE not in place.expected:
        return None
    if "=" in (t.type for t in place.tokens[place.first : place.index]):
        return place.error("E0116", "a statement assigns once", "`==` compares; assign on two lines")
    help = "`==` compares"
    if place.head.text == "self" and place.index > place.first + 2:
        help = f"there is no `self`: write `{place.tokens[place.first + 2].text} = ...`"
    return place.error("E0116", "only a name can be assigned to", help)


def _setting_with_equals(place: _Place) -> Diagnostic | None:
    if place.found.type == "=" and place.index == place.first + 1 and place.head.text in WORDS:
        word = place.head.text
        return place.error("E0107", "a setting is written without `=`", f"write `{word} ...`")
    return None


def _misplaced(place: _Place) -> Diagnostic | None:
    """A statement in the wrong kind of braces, or outside of all braces."""
    found = place.found
    if found.type == "else":
        return place.error("E0109", "`else` has no `if` before it")
    if place.index == place.first and found.type not in (END, NEWLINE):
        if "net" in place.expected:
            help = did_you_mean(found.text, _DECLARES, "`")
            if place.follows() == "=" and found.text not in _DECLARES:
                help = f"for a hyperparameter of the file, write `let {found.text} = ...`"
            message = f"a file holds `import`, `let`, `block`, `net` and `train`; {_shown(found)} cannot begin one"
            if found.type in soft_words():
                message = f"`{found.text}` stands in a net or block, not in the file"
            return place.error("E0109", message, help)
        if found.type in _DECLARES:
            return place.error("E0109", f"`{found.text}` stands in the file, not in braces", "is a `}` missing above?")
        if "only" in place.expected:
            return place.error("E0109", f"{_shown(found)} cannot begin a line of a train section")
    return None


def _unknown_word(place: _Place) -> Diagnostic | None:
    """Two words side by side at the start of a statement, of which the first is unknown there."""
    head = place.head
    if place.index != place.first + 1 or head.type != "NAME" or place.found.type not in _BEGINS_A_VALUE - {"(", "["}:
        return None
    if head.text in WORDS:
        return place.error("E0109", f"`{head.text}` is a setting: it stands in a train section", token=head)
    help = _ELSEWHERE.get(head.text) or did_you_mean(head.text, soft_words() | RESERVED, "`")
    return place.error("E0107", f"no statement begins with `{head.text} {place.found.text}`", help, head)


def _missing_type(place: _Place) -> Diagnostic | None:
    if place.expected == {":"} and place.head.type in ("input", "param", "state"):
        name = place.before.text if place.before else ""
        help = f"write `{_SHAPES[place.head.type].replace('name', name)}`"
        return place.error("E0107", f"expected `:` and a type after `{name}`, found {_shown(place.found)}", help)
    return None


def _ports(place: _Place) -> Diagnostic | None:
    if place.head.type != "block" or place.found.type != "{" or not place.expected & {":", "->"}:
        return None
    what = "inputs and outputs" if place.expected == {":"} else "outputs"
    return place.error("E0107", f"the block has no {what}", f"write `{_SHAPES['block']}`")


def _comprehension(place: _Place) -> Diagnostic | None:
    if place.found.type == "for" and place.index > place.first:
        help = "a comprehension stands in brackets: `[f(k) for k in list]`"
        return place.error("E0107", "`for` cannot stand here", help)
    return None


_SLIPS: tuple[Callable[[_Place], Diagnostic | None], ...] = (
    _foreign_comment,
    _foreign_arrow,
    _reserved_name,
    _foreign_assignment,
    _chained_comparison,
    _setting_with_equals,
    _assignment,
    _misplaced,
    _unknown_word,
    _missing_type,
    _ports,
    _comprehension,
)


# ------------------------------------------------------------------------------------------------------- the others


def _general(place: _Place) -> Diagnostic:
    what = _any_of(_described(place.expected))
    before = place.before
    after = f" after {_shown(before)}" if before is not None and before.type != NEWLINE else ""
    return place.error("E0107", f"expected {what}{after}, found {_shown(place.found)}", _shape(place))


def _described(expected: frozenset[str]) -> list[str]:
    """The expected tokens in words. Groups are summarized, because nobody wants to read a list of all operators."""
    rest = set(expected)
    words = []
    if "NUMBER" in rest:
        words.append("a statement" if "assert" in rest else "a value")
        rest -= _BEGINS_A_VALUE | {"PATTERN"} | (soft_words() if "assert" in rest else set())
        rest -= {"if", "for"} if words == ["a statement"] else set()
    elif rest >= {"NAME", "["}:
        words.append("a type")
        rest -= {"NAME", "["}
    if rest & {"*", "or", "->"} and not rest <= {"->", ",", ":", "="}:
        rest -= _FOLLOWS_A_VALUE
        if rest <= {NEWLINE, ",", "{"}:
            words.append("an operator")
            rest -= {","} if NEWLINE in rest else set()
    if {"=", ":"} <= rest and rest <= {"=", ":", ",", NEWLINE}:
        rest -= {":", ",", NEWLINE}
    for type, text in (("NAME", "a name"), ("STRING", "a text in quotes"), ("PATTERN", "a path such as `encoder.*`")):
        if type in rest:
            words.append(text)
    words += [f"`{t}`" for t in sorted(rest - {"NAME", "STRING", "PATTERN", NEWLINE, END})]
    if rest & {NEWLINE, END}:
        words.append("the end of the line")
    return words


def _any_of(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _shown(token: Token) -> str:
    if token.type == END:
        return "the end of the file"
    if token.type == NEWLINE and token.text != ";":
        return "the end of the line"
    text = token.text or token.type
    return f"`{text}`" if len(text) <= 30 else f"`{text[:27]}...`"


def _shape(place: _Place) -> str | None:
    """The form of the statement."""
    for token in reversed(place.tokens[place.first : place.index]):
        if token.type in ("scan", "repeat", "{"):
            return f"write `{_SHAPES[token.type]}`" if token.type != "{" else None
        if "NUMBER" in place.expected and token.type == "=":
            return None
    shape = _SHAPES.get(place.head.type)
    return f"write `{shape}`" if shape and place.index > place.first else None
