"""The syntax tree nodes for the rules of the grammar, and a few syntax rules that a grammar expresses badly.

A method has the name of its rule in ``grammar/net.lark``. Its arguments are the offsets where the rule's text starts
and ends, followed by every symbol of the rule: tokens, the values of other rules, and None for each symbol of an absent
optional part. A parameter whose name begins with an underscore is a word or sign without a meaning of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TypeAlias, TypeVar

from graphdl.diagnostics import Diagnostic, Label
from graphdl.language import syntax
from graphdl.language.lexer import Lexed, Token
from graphdl.language.syntax import Expression, Statement, TypeExpression
from graphdl.source import Source, Span

TYPES = ("float", "int", "bool", "class")

_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}
_MODULES = (
    syntax.Name,
    syntax.Attribute,
    syntax.Index,
    syntax.Call,
    syntax.ListExpression,
    syntax.Comprehension,
    syntax.Repeat,
)


_Dimensions: TypeAlias = tuple[Expression | syntax.Rest, ...]
_Node = TypeVar("_Node")


def _nodes(parts: Sequence[_Node | Token]) -> list[_Node]:
    """The parts that are nodes, without the tokens between them."""
    return [part for part in parts if not isinstance(part, Token)]


class Actions:
    def __init__(self, source: Source, lexed: Lexed, diagnostics: list[Diagnostic]) -> None:
        self.source = source
        self.documentation = lexed.documentation
        self.diagnostics = diagnostics

    def span(self, start: int, end: int) -> Span:
        return Span(self.source, start, end)

    def of(self, token: Token) -> Span:
        return Span(self.source, token.start, token.end)

    def report(
        self,
        code: str,
        message: str,
        span: Span,
        label: str = "",
        labels: tuple[Label, ...] = (),
        help: str | None = None,
    ) -> None:
        self.diagnostics.append(Diagnostic(code, message, span, label, labels, help=help))

    # ------------------------------------------------------------------------------------------------- declarations

    def file(self, start: int, end: int, *parts: syntax.Declaration | Token) -> syntax.File:
        return syntax.File(self.source, tuple(_nodes(parts)))

    def import_file(
        self, start: int, end: int, _import: Token, path: Token, _as: Token | None, alias: Token | None
    ) -> syntax.Import:
        text = self.text(path)
        return syntax.Import(self.span(start, end), text, self.of(path), alias.text if alias else None)

    def let(self, start: int, end: int, _let: Token, name: Token, _is: Token, value: Expression) -> syntax.Let:
        return syntax.Let(self.span(start, end), name.text, self.of(name), value, self.documentation.get(start))

    def block(
        self,
        start: int,
        end: int,
        _block: Token,
        name: Token,
        hypers: list[syntax.Hyper] | None,
        _colon: Token,
        inputs: list[syntax.Port] | None,
        _arrow: Token,
        outputs: list[syntax.Port],
        body: list[Statement],
    ) -> syntax.Block:
        return syntax.Block(
            self.span(start, end),
            name.text,
            self.of(name),
            tuple(hypers or ()),
            tuple(inputs or ()),
            tuple(outputs),
            tuple(body),
            self.documentation.get(start),
        )

    def net(
        self, start: int, end: int, _net: Token, name: Token, hypers: list[syntax.Hyper] | None, body: list[Statement]
    ) -> syntax.Net:
        documentation = self.documentation.get(start)
        return syntax.Net(
            self.span(start, end), name.text, self.of(name), tuple(hypers or ()), tuple(body), documentation
        )

    def hypers(self, start: int, end: int, *parts: syntax.Hyper | Token) -> list[syntax.Hyper]:
        return _nodes(parts)

    def hyper(self, start: int, end: int, name: Token, _is: Token | None, default: Expression | None) -> syntax.Hyper:
        return syntax.Hyper(self.span(start, end), name.text, default)

    def inputs(self, start: int, end: int, *parts: syntax.Port | Token) -> list[syntax.Port]:
        return _nodes(parts)

    outputs = inputs

    def input_port(
        self,
        start: int,
        end: int,
        name: Token,
        _colon: Token | None,
        type: TypeExpression | None,
        _is: Token | None,
        default: Expression | None,
    ) -> syntax.Port:
        return syntax.Port(self.span(start, end), name.text, type, default)

    def output_port(
        self, start: int, end: int, name: Token, _colon: Token | None, type: TypeExpression | None
    ) -> syntax.Port:
        return syntax.Port(self.span(start, end), name.text, type, None)

    def train(
        self,
        start: int,
        end: int,
        _train: Token,
        name: Token | None,
        _for: Token | None,
        net: Token | None,
        *parts: syntax.Setting | syntax.Turn | Token,
    ) -> syntax.Train:
        return syntax.Train(
            self.span(start, end),
            name.text if name else None,
            syntax.Name(self.of(net), net.text) if net else None,
            tuple(part for part in parts if isinstance(part, syntax.Setting)),
            tuple(part for part in parts if isinstance(part, syntax.Turn)),
            self.documentation.get(start),
        )

    def turn(self, start: int, end: int, _turn: Token, name: Token, *parts: syntax.Setting | Token) -> syntax.Turn:
        return syntax.Turn(self.span(start, end), name.text, self.of(name), tuple(_nodes(parts)))

    def setting(
        self, start: int, end: int, word: Token, name: Token | None, _is: Token | None, *parts: Expression | Token
    ) -> syntax.Setting:
        values: list[Expression] = _nodes(parts)
        name_text = name.text if name else None
        return syntax.Setting(self.span(start, end), word.text, self.of(word), name_text, tuple(values))

    def only(self, start: int, end: int, word: Token, *parts: Token) -> syntax.Setting:
        patterns = [p for p in parts if p.type != ","]
        values = tuple(syntax.Literal(self.of(p), self.text(p) if p.type == "STRING" else p.text) for p in patterns)
        return syntax.Setting(self.span(start, end), word.text, self.of(word), None, values)

    def setting_of_parameters(self, start: int, end: int, word: Token, *parts: Token | Expression) -> syntax.Setting:
        patterns = tuple(
            syntax.Literal(self.of(p), p.text) for p in parts[:-2] if isinstance(p, Token) and p.type != ","
        )
        values: list[Expression] = _nodes(parts[-1:])
        return syntax.Setting(self.span(start, end), word.text, self.of(word), None, tuple(values), patterns)

    # --------------------------------------------------------------------------------------------------- statements

    def body(self, start: int, end: int, *parts: Statement | Token) -> list[Statement]:
        return _nodes(parts)

    def targets(self, start: int, end: int, *parts: Token) -> tuple[syntax.Name, ...]:
        return tuple(syntax.Name(self.of(name), name.text) for name in parts[::2])

    def values(self, start: int, end: int, *parts: Expression | Token) -> list[Expression]:
        return _nodes(parts)

    def assign(
        self,
        start: int,
        end: int,
        names: tuple[syntax.Name, ...],
        _colon: Token | None,
        type: TypeExpression | None,
        _is: Token,
        values: list[Expression],
    ) -> syntax.Assign:
        value = values[0]
        if len(values) > 1:
            value = syntax.Tuple(values[0].span.to(values[-1].span), tuple(values))
            if len(names) == 1:
                label = Label(names[0].span, "one name")
                message, found = f"{len(values)} values are assigned to one name", f"{len(values)} values"
                self.report("E0114", message, value.span, found, (label,), "write a list: `[a, b]`")
        if type is not None and len(names) > 1:
            self.report("E0114", "several names cannot share one type", type.span, help="assign them one by one")
        return syntax.Assign(self.span(start, end), names, type, value)

    def declare_typed(
        self,
        start: int,
        end: int,
        word: Token,
        name: Token,
        _colon: Token,
        type: TypeExpression,
        _is: Token | None,
        value: Expression | None,
    ) -> syntax.Declare:
        documentation = self.documentation.get(start)
        return syntax.Declare(self.span(start, end), word.text, name.text, self.of(name), type, value, documentation)

    def declare_value(
        self,
        start: int,
        end: int,
        word: Token,
        name: Token | None,
        _colon: Token | None,
        type: TypeExpression | None,
        _is: Token | None,
        value: Expression,
    ) -> syntax.Declare:
        name_span = self.of(name) if name else None
        documentation = self.documentation.get(start)
        return syntax.Declare(
            self.span(start, end), word.text, name.text if name else None, name_span, type, value, documentation
        )

    def if_statement(
        self,
        start: int,
        end: int,
        _if: Token,
        condition: Expression,
        then: list[Statement],
        _else: Token | None,
        otherwise: list[Statement] | syntax.If | None,
    ) -> syntax.If:
        if isinstance(otherwise, syntax.If):
            otherwise = [otherwise]
        return syntax.If(self.span(start, end), condition, tuple(then), tuple(otherwise or ()))

    def for_statement(
        self,
        start: int,
        end: int,
        _for: Token,
        names: tuple[Token, ...],
        _in: Token,
        iterable: Expression,
        body: list[Statement],
    ) -> syntax.For:
        return syntax.For(self.span(start, end), *self.together(names), iterable, tuple(body))

    def names(self, start: int, end: int, *parts: Token) -> tuple[Token, ...]:
        return parts[::2]

    def together(self, names: tuple[Token, ...]) -> tuple[tuple[str, ...], Span]:
        """The names, and the span from the first to the last."""
        return tuple(name.text for name in names), self.span(names[0].start, names[-1].end)

    def assertion(
        self, start: int, end: int, _assert: Token, condition: Expression, _comma: Token | None, message: Token | None
    ) -> syntax.Assert:
        literal = syntax.Literal(self.of(message), self.text(message)) if message else None
        return syntax.Assert(self.span(start, end), condition, literal)

    def update(self, start: int, end: int, _update: Token, name: Token, _is: Token, value: Expression) -> syntax.Update:
        return syntax.Update(self.span(start, end), name.text, self.of(name), value)

    def emit(self, start: int, end: int, *parts: Expression | Token) -> syntax.Emit:
        return syntax.Emit(self.span(start, end), tuple(_nodes(parts)))

    def evaluate(self, start: int, end: int, value: Expression) -> syntax.Evaluate:
        return syntax.Evaluate(self.span(start, end), value)

    # -------------------------------------------------------------------------------------------------- expressions

    def conditional(
        self,
        start: int,
        end: int,
        then: Expression,
        _if: Token,
        condition: Expression,
        _else: Token,
        otherwise: Expression,
    ) -> syntax.Conditional:
        return syntax.Conditional(self.span(start, end), condition, then, otherwise)

    def pipe(self, start: int, end: int, left: Expression, _arrow: Token, right: Expression) -> syntax.Pipe:
        in_parentheses = end > right.span.end
        if not in_parentheses and not isinstance(right, (*_MODULES, syntax.Named)):
            self.report_no_module(right)
        return syntax.Pipe(self.span(start, end), left, right)

    def report_no_module(self, right: Expression) -> None:
        message = "what stands right of `->` is a module: a name, a call, a list, `repeat`, or anything in parentheses"
        help = None
        if isinstance(right, syntax.Binary) and isinstance(right.left, _MODULES):
            help = f"for the `{right.operator}` of the chain's value, put the chain in parentheses"
        elif isinstance(right, syntax.Scan):
            help = "write a scan as an assignment: `y = scan item in sequence { ... }`"
        self.report("E0110", message, right.span, "this is no module", help=help)

    def named(self, start: int, end: int, value: Expression, _as: Token, name: Token) -> syntax.Named:
        in_parentheses = start < value.span.start
        if not in_parentheses and not isinstance(value, _MODULES):
            self.report("E0111", "`as` names a module, and this is none", value.span, help=f"write `{name.text} = ...`")
        return syntax.Named(self.span(start, end), value, name.text, self.of(name))

    def binary(self, start: int, end: int, left: Expression, operator: Token, right: Expression) -> syntax.Binary:
        return syntax.Binary(self.span(start, end), operator.type, left, right)

    def unary(self, start: int, end: int, operator: Token, operand: Expression) -> syntax.Unary:
        return syntax.Unary(self.span(start, end), operator.type, operand)

    def parentheses(self, start: int, end: int, _open: Token, value: Expression, _close: Token) -> Expression:
        return value

    def call(self, start: int, end: int, callee: Expression, *parts: syntax.Argument | Token) -> syntax.Call:
        arguments = tuple(_nodes(parts))
        named: syntax.Argument | None = None
        for argument in arguments:
            if argument.name is not None:
                named = argument
            elif named is not None and named.name_span is not None:
                label = Label(named.name_span, "the first argument by name")
                message = "an argument by position follows one by name"
                self.report("E0112", message, argument.span, labels=(label,), help="put it first, or name it")
                break
        return syntax.Call(self.span(start, end), callee, arguments)

    def argument(
        self, start: int, end: int, name: Token | None, _is: Token | None, value: Expression
    ) -> syntax.Argument:
        if name is None:
            return syntax.Argument(self.span(start, end), None, value)
        return syntax.Argument(self.span(start, end), name.text, value, self.of(name))

    def index(self, start: int, end: int, value: Expression, *parts: Expression | syntax.Rest | Token) -> syntax.Index:
        items: tuple[Expression | syntax.Rest, ...] = tuple(_nodes(parts))
        rests = [item for item in items if isinstance(item, syntax.Rest)]
        if len(rests) > 1:
            label = Label(rests[0].span, "the first")
            self.report("E0113", "an index has `..` at most once", rests[1].span, labels=(label,))
        return syntax.Index(self.span(start, end), value, items)

    def slice(
        self,
        start: int,
        end: int,
        first: Expression | None,
        _colon: Token,
        stop: Expression | None,
        _second: Token | None,
        step: Expression | None,
    ) -> syntax.Slice:
        return syntax.Slice(self.span(start, end), first, stop, step)

    def attribute(self, start: int, end: int, value: Expression, _dot: Token, name: Token) -> syntax.Attribute:
        return syntax.Attribute(self.span(start, end), value, name.text, self.of(name))

    def several(self, start: int, end: int, *parts: Expression | Token) -> syntax.Tuple:
        return syntax.Tuple(self.span(start, end), tuple(_nodes(parts)))

    def list_expression(self, start: int, end: int, *parts: Expression | Token) -> syntax.ListExpression:
        return syntax.ListExpression(self.span(start, end), tuple(_nodes(parts)))

    def comprehension(
        self,
        start: int,
        end: int,
        _open: Token,
        element: Expression,
        _for: Token,
        names: tuple[Token, ...],
        _in: Token,
        iterable: Expression,
        _if: Token | None,
        condition: Expression | None,
        _close: Token,
    ) -> syntax.Comprehension:
        return syntax.Comprehension(self.span(start, end), element, *self.together(names), iterable, condition)

    def repeat(
        self, start: int, end: int, _repeat: Token, count: Expression, _open: Token, body: Expression, *_close: Token
    ) -> syntax.Repeat:
        return syntax.Repeat(self.span(start, end), count, body)

    def scan(
        self,
        start: int,
        end: int,
        _scan: Token,
        word: Token | None,
        *parts: syntax.ScanSequence | syntax.ScanState | list[Statement] | Token,
    ) -> syntax.Scan:
        if word is not None and word.text != "recompute":
            message = f"after `scan` comes an item, a state or the word `recompute`, not `{word.text}`"
            self.report("E0107", message, self.of(word), help="write `scan item in sequence, state = start { ... }`")
        bindings = tuple(part for part in parts if isinstance(part, syntax.ScanSequence | syntax.ScanState))
        body = tuple(statement for part in parts if isinstance(part, list) for statement in part)
        return syntax.Scan(self.span(start, end), bindings, body, word is not None)

    def scan_sequence(self, start: int, end: int, name: Token, _in: Token, sequence: Expression) -> syntax.ScanSequence:
        return syntax.ScanSequence(self.span(start, end), name.text, sequence)

    def scan_state(self, start: int, end: int, name: Token, _is: Token, first: Expression) -> syntax.ScanState:
        return syntax.ScanState(self.span(start, end), name.text, first)

    def name(self, start: int, end: int, token: Token) -> syntax.Name:
        return syntax.Name(self.span(start, end), token.text)

    def true(self, start: int, end: int, _word: Token) -> syntax.Literal:
        return syntax.Literal(self.span(start, end), True)

    def false(self, start: int, end: int, _word: Token) -> syntax.Literal:
        return syntax.Literal(self.span(start, end), False)

    def none(self, start: int, end: int, _word: Token) -> syntax.Literal:
        return syntax.Literal(self.span(start, end), None)

    def number(self, start: int, end: int, token: Token) -> syntax.Literal:
        text = token.text.replace("_", "")
        value: int | float = int(text) if text.isdecimal() and len(text) <= 18 else float(text)
        if math.isinf(value) or (text.isdecimal() and isinstance(value, float)):
            limit = "18 digits" if text.isdecimal() else "1.8e308"
            self.report("E0102", f"the number is too large: at most {limit}", self.span(start, end))
            value = 0
        return syntax.Literal(self.span(start, end), value)

    def string(self, start: int, end: int, token: Token) -> syntax.Literal:
        return syntax.Literal(self.span(start, end), self.text(token))

    def text(self, token: Token) -> str:
        """The value of a string token."""

        def escape(match: re.Match[str]) -> str:
            if match[1] not in _ESCAPES:
                at = token.start + match.start() + 1
                help = 'the escapes are `\\n`, `\\t`, `\\"` and `\\\\`'
                self.report("E0103", f"`{match[0]}` is no escape", self.span(at, at + 2), help=help)
            return _ESCAPES.get(match[1], match[1])

        return re.sub(r"\\(.)", escape, token.text[1:-1])

    # -------------------------------------------------------------------------------------------------------- types

    def plain_type(self, start: int, end: int, dimensions: _Dimensions) -> TypeExpression:
        return TypeExpression(self.span(start, end), "float", None, dimensions)

    def named_type(self, start: int, end: int, base: Token, dimensions: _Dimensions | None) -> TypeExpression:
        if base.text not in TYPES:
            known = ", ".join(f"`{name}`" for name in TYPES[:-1])
            help = f"the types are {known} and `class(n)`"
            self.report("E0113", f"`{base.text}` is no type", self.of(base), help=help)
        elif base.text == "class":
            self.report("E0113", "`class` needs its number of classes", self.of(base), help="write `class(10)`")
        known_base = base.text if base.text in TYPES else "float"  # the tree is still expanded
        return TypeExpression(self.span(start, end), known_base, None, dimensions or ())

    def class_type(
        self,
        start: int,
        end: int,
        base: Token,
        _open: Token,
        classes: Expression,
        _close: Token,
        dimensions: _Dimensions | None,
    ) -> TypeExpression:
        if base.text != "class":
            help = f"write `{base.text}[...]`" if base.text in TYPES else "write `class(n)`"
            message = f"`{base.text}` takes no number in parentheses: only `class` does"
            self.report("E0113", message, self.of(base), help=help)
        return TypeExpression(self.span(start, end), "class", classes, dimensions or ())

    def dimensions(self, start: int, end: int, *parts: Expression | syntax.Rest | Token) -> _Dimensions:
        dimensions: list[Expression | syntax.Rest] = _nodes(parts)
        rests = [d for d in dimensions if isinstance(d, syntax.Rest)]
        if len(rests) > 1:
            label = Label(rests[0].span, "the first")
            self.report("E0113", "a type has `..` at most once", rests[1].span, labels=(label,))
        return tuple(dimensions)

    def rest(self, start: int, end: int, _dots: Token) -> syntax.Rest:
        return syntax.Rest(self.span(start, end))
