"""Index arithmetic against plain integers: Python divides by the floor, the generated C text towards zero."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphdl.operators.index import Guard, Index, LoopVariable, Quotient, Remainder
from graphdl.operators.structure import flat, regroup, unflat

VARIABLES = (LoopVariable("i", 3), LoopVariable("j", 4), LoopVariable("k", 5), LoopVariable("n", 1))

Values = Mapping[str, int]


@dataclass(frozen=True)
class Form:
    """An index and what it should come to."""

    index: Index
    value: Callable[[Values], int]
    text: str

    def __repr__(self) -> str:
        return self.text


def _plus(a: Form, b: Form) -> Form:
    return Form(a.index + b.index, lambda v: a.value(v) + b.value(v), f"({a} + {b})")


def _times(a: Form, factor: int) -> Form:
    return Form(a.index * factor, lambda v: a.value(v) * factor, f"{a} * {factor}")


def _minus(a: Form, b: Form) -> Form:
    return Form(a.index - b.index, lambda v: a.value(v) - b.value(v), f"({a} - {b})")


def _quotient(a: Form, divisor: int) -> Form:
    return Form(a.index // divisor, lambda v: a.value(v) // divisor, f"({a} // {divisor})")


def _remainder(a: Form, divisor: int) -> Form:
    return Form(a.index % divisor, lambda v: a.value(v) % divisor, f"({a} % {divisor})")


def _both(a: Form, divisor: int, factor: int) -> Form:
    """Both atoms of one dividend, which may become one again."""
    return _plus(_times(_quotient(a, divisor), divisor * factor), _times(_remainder(a, divisor), factor))


_numbers = st.integers(-30, 30).map(lambda n: Form(Index(n), lambda _: n, str(n)))
_variables = st.sampled_from(VARIABLES).map(lambda v: Form(Index.of(v), lambda values: values[v.name], v.name))
_divisors = st.integers(1, 13)


def _larger(forms: st.SearchStrategy[Form]) -> st.SearchStrategy[Form]:
    return st.one_of(
        st.builds(_plus, forms, forms),
        st.builds(_minus, forms, forms),
        st.builds(_times, forms, st.integers(-7, 7)),
        st.builds(_quotient, forms, _divisors),
        st.builds(_remainder, forms, _divisors),
        st.builds(_both, forms, _divisors, st.integers(-3, 3)),
    )


FORMS = st.recursive(_numbers | _variables, _larger, max_leaves=8)


def everywhere() -> Iterator[dict[str, int]]:
    for values in product(*(range(v.extent) for v in VARIABLES)):
        yield dict(zip((v.name for v in VARIABLES), values, strict=True))


def _no_loads(_: object) -> str:
    raise AssertionError("these forms load nothing")


def compiled(text: str) -> Callable[[Values], int]:
    """A C expression of integers as a function: ``/`` and ``%`` round towards zero, as the C standard says."""
    tree = ast.parse(text.replace("&&", "and"), mode="eval").body
    return lambda values: _evaluated(tree, values)


def _evaluated(node: ast.expr, values: Values) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluated(operand, values)
        case ast.BoolOp(op=ast.And(), values=parts):
            return int(all(_evaluated(part, values) for part in parts))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            a, b = _evaluated(left, values), _evaluated(right, values)
            return int(a == b if isinstance(op, ast.Eq) else a >= b if isinstance(op, ast.GtE) else a < b)
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _evaluated(left, values), _evaluated(right, values)
            match op:
                case ast.Add():
                    return a + b
                case ast.Mult():
                    return a * b
                case ast.Div():
                    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
                case ast.Mod():
                    return abs(a) % abs(b) * (-1 if a < 0 else 1)
    raise AssertionError(ast.dump(node))


def _dividends(index: Index) -> Iterator[Index]:
    for atom, _ in index.terms:
        if isinstance(atom, Quotient | Remainder):
            yield atom.value
            yield from _dividends(atom.value)


def test_the_evaluator_divides_as_c_does() -> None:
    assert [compiled(text)({}) for text in ("-7 / 2", "-7 % 2", "7 / -2", "7 % -2", "-1 % 6")] == [-3, -1, -3, 1, -1]


@given(FORMS)
@settings(max_examples=200, deadline=None)
def test_the_c_text_gives_what_floor_division_gives(form: Form) -> None:
    text, joined = form.index.code(_no_loads), form.index.recombined()
    run, run_joined = compiled(text), compiled(joined.code(_no_loads))
    for values in everywhere():
        wanted = form.value(values)
        assert run(values) == run_joined(values) == wanted, (text, values)
        assert form.index.low <= wanted <= form.index.high
        assert joined.low <= wanted <= joined.high


@given(FORMS)
@settings(max_examples=200, deadline=None)
def test_no_dividend_is_negative(form: Form) -> None:
    assert all(value.low >= 0 for value in _dividends(form.index))


@given(FORMS, st.lists(FORMS, min_size=2, max_size=2))
@settings(max_examples=100, deadline=None)
def test_substitution_gives_the_value_at_the_new_place(form: Form, others: list[Form]) -> None:
    """Within the extents of the variables: a form's ranges are those of its variables."""
    new = {v: _remainder(other, v.extent) for v, other in zip(VARIABLES, others, strict=False)}
    index = form.index.substitute({v: other.index for v, other in new.items()}, lambda atom: Index.of(atom))
    run = compiled(index.code(_no_loads))
    for values in everywhere():
        place = values | {v.name: other.value(values) for v, other in new.items()}
        assert run(values) == form.value(place), (index, values)


@given(FORMS, st.integers(-30, 30), st.integers(0, 40), st.integers(0, 6))
@settings(max_examples=200, deadline=None)
def test_guards_hold_where_their_condition_does(form: Form, low: int, length: int, divisor: int) -> None:
    guard = Guard(form.index, divisor=divisor) if divisor else Guard(form.index, low, low + length)
    run = compiled(guard.code(_no_loads))
    for values in everywhere():
        value = form.value(values)
        holds = value % divisor == 0 if divisor else low <= value < low + length
        assert bool(run(values)) == holds, (guard, values)
        assert holds or not guard.always
        assert not holds or not guard.never


@pytest.mark.parametrize(
    ("shape", "other"), [((3, 4), (2, 6)), ((2, 6), (4, 3)), ((2, 3, 4), (4, 6)), ((12,), (3, 2, 2))]
)
def test_a_reversed_reshape_stays_inside_the_tensor(shape: tuple[int, ...], other: tuple[int, ...]) -> None:
    variables = tuple(LoopVariable(f"i{d}", n) for d, n in enumerate(other))
    backwards = tuple(Index.of(v) * -1 + (v.extent - 1) for v in variables)
    source = [compiled(i.code(_no_loads)) for i in regroup(backwards, other, shape)]
    for values in product(*(range(n) for n in other)):
        named = {v.name: n for v, n in zip(variables, values, strict=True)}
        wanted = prod(other) - 1 - flat([Index(n) for n in values], other).constant
        assert tuple(run(named) for run in source) == tuple(i.constant for i in unflat(Index(wanted), shape))
