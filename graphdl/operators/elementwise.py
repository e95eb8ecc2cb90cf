"""Elementwise operators: each is one row of a table, with its C code, its function on plain numbers and its reverse
rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphdl.graph.limits import GREATEST, LEAST
from graphdl.graph.types import Element, Shape, TensorType
from graphdl.operators.division import floored_quotient, floored_remainder, whole_quotient, whole_remainder
from graphdl.operators.primitive import Lowering, OperatorError, Primitive
from graphdl.operators.rational import error_function, hyperbolic_tangent
from graphdl.operators.structure import align, broadcast_to
from graphdl.operators.tensor import Constant, Elementwise, Tensor, constant, define_arithmetic, number

Gradient = Callable[[Tensor, Tensor], Sequence[Tensor | None]]


@dataclass(frozen=True)
class Row:
    """One elementwise operator.

    ``element`` is the element type of the result; with None, it is the operands' common one. ``of_ints`` is the
    operation for operands that are all ints, or None if ``operation`` covers them.
    """

    operation: Elementwise
    of_ints: Elementwise | None
    arity: int
    fold: Callable[..., Any] | None
    element: Element | None
    wants: Element | None
    documentation: str


ROWS: dict[str, Row] = {}


@dataclass(frozen=True)
class FunctionCall:
    """Code that calls a C function. ``write`` returns its text for vectors of a width and has the function's name."""

    write: Callable[[int], str]

    def __call__(self, operands: Sequence[str], width: int) -> str:
        return f"{self.write.__name__}{width}({', '.join(operands)})"

    def text(self, width: int) -> Mapping[str, str]:
        return {f"{self.write.__name__}{width}": self.write(width)}


Code = str | Callable[[Sequence[str], int], str]


def _row(
    key: str,
    arity: int,
    code: Code,
    fold: Callable[..., Any] | None,
    gradient: Gradient | None = None,
    *,
    of_ints: Code | None = None,
    element: Element | None = None,
    wants: Element | None = None,
    cost: int = 1,
    documentation: str = "",
    sums: bool = False,
    odd: bool = False,
    negates: bool = False,
    masked: bool = False,
    kind: type[Elementwise] = Elementwise,
) -> None:
    """Adds a row. ``wants`` is the element type to which operands are converted first ("float" for ``exp``)."""
    operation = kind(
        key, _writer(code), gradient, cost, _function(code), sums=sums, odd=odd, negates=negates, element=element,
        masked=masked,
    )  # fmt: skip
    on_ints = None
    if of_ints is not None:
        on_ints = Elementwise(f"{key}_of_ints", _writer(of_ints), None, cost, _function(of_ints), element=element)
    ROWS[key] = Row(operation, on_ints, arity, fold, element, wants, documentation)


def _function(code: Code) -> Callable[[int], Mapping[str, str]] | None:
    return code.text if isinstance(code, FunctionCall) else None


def _writer(code: Code) -> Callable[[Sequence[str], int], str]:
    return code if callable(code) else lambda operands, width: code.format(*operands)


def apply(key: str, *operands: Tensor | float) -> Tensor:
    """Applies the elementwise operator ``key`` to tensors and numbers, with NumPy's broadcasting and type promotion."""
    row = ROWS[key]
    tensors = [operand if isinstance(operand, Tensor) else constant(operand) for operand in operands]
    if key in ("maximum", "minimum") and isinstance(tensors[0].operation, Constant):
        tensors.reverse()  # the code and the gradient test whether the second operand is a constant
    numbers = [number(t) for t in tensors]
    simple = _simplified(key, tensors, numbers)
    if simple is not None:
        return simple
    elements = [t.element for t in tensors]
    wanted = operand_elements(key, elements)
    if elements != wanted:
        tensors = list(map(cast, tensors, wanted))
    result = row.element or tensors[-1].element
    if row.fold is not None and None not in numbers:
        try:
            value = row.fold(*(number(t) for t in tensors))
            if not isinstance(value, complex):  # a root of a negative number
                return constant(wrapped(value) if result == "int" else value, result)
        except (ArithmeticError, ValueError):
            pass  # the device computes the infinity or NaN of the IEEE standard
    operation = row.of_ints if row.of_ints is not None and tensors[-1].element != "float" else row.operation
    return Tensor(operation, tuple(tensors), broadcast([t.shape for t in tensors]), result)


define_arithmetic(apply)


def cast(x: Tensor, element: Element) -> Tensor:
    """Converts ``x`` to another element type. Numbers become bools by ``!= 0``."""
    if x.element == element:
        return x
    value = number(x)
    if value is not None:
        kinds: dict[Element, Callable[[Any], Any]] = {"float": float, "int": whole_number, "bool": bool}
        return constant(kinds[element](value), element)
    return Tensor(ROWS[f"to_{element}_from_{x.element}"].operation, (x,), x.shape, element)


def whole_number(value: float) -> int:
    """Converts a float to an int of 32 bits: it is truncated towards 0 and saturated; NaN becomes 0."""
    if math.isnan(value):
        return 0
    return int(max(LEAST, min(GREATEST, value)))


def wrapped(value: int) -> int:
    """Wraps an int to 32 bits, as a device does."""
    return (value - LEAST) % 2**32 + LEAST


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape to which NumPy broadcasts the shapes.

    Raises:
        ValueError: the shapes do not broadcast.
    """
    several = set(shapes)
    several.discard(())  # a scalar broadcasts to any shape
    if len(several) < 2:
        return several.pop() if several else ()
    rank = max(len(s) for s in shapes)
    result = [1] * rank
    for shape in shapes:
        for axis, length in enumerate(shape, rank - len(shape)):
            if length != 1:
                if result[axis] not in (1, length):
                    raise ValueError(f"{list(result)} and {list(shape)} do not broadcast at dimension {axis}")
                result[axis] = length
    return tuple(result)


def _common(elements: Sequence[Element]) -> Element:
    return "float" if "float" in elements else "int" if "int" in elements else "bool"


def _operated(key: str, elements: Sequence[Element]) -> Element:
    """The common element type to which operands are converted. Bools become ints, except where they are only compared
    or selected.
    """
    common = _common(elements)
    return "int" if common == "bool" and key not in ("where", "equal", "not_equal") else common


def operand_elements(key: str, elements: Sequence[Element]) -> list[Element]:
    """The element types to which the operands of the elementwise operator ``key`` are converted first."""
    if key == "where":
        return ["bool", *[_operated(key, elements[1:])] * 2]
    return [ROWS[key].wants or _operated(key, elements)] * len(elements)


_NEUTRAL = {"add": 0, "subtract": 0, "multiply": 1, "divide": 1, "power": 1}
"""The second operand with which an operator returns the first."""


def _simplified(key: str, operands: Sequence[Tensor], numbers: Sequence[float | None]) -> Tensor | None:
    """A simpler tensor that equals the operator's result, for instance where an operand is 0 or 1; None if there is
    none. ``numbers`` are the values of the operands that are constants.
    """
    x = operands[0]
    if key in ("add", "multiply") and numbers[0] is not None and numbers[1] is None:
        return _simplified(key, operands[::-1], numbers[::-1])
    last = numbers[-1]
    if x.element == "float" and last is not None and len(operands) == 2:
        neutral = _NEUTRAL.get(key)
        if neutral is not None and last == neutral:
            return x
        if key == "multiply" and last == -1:
            return apply("negative", x)
        if key == "divide" and numbers[0] is None:
            return apply("multiply", x, 1.0 / last) if last and math.frexp(last)[0] == 0.5 else None
        if key == "power":
            return _power(x, last)
    if key == "negative" and isinstance(x.operation, Elementwise) and x.operation.key == "negative":
        return x.inputs[0]
    return None


def _power(x: Tensor, exponent: float) -> Tensor | None:
    if exponent == 0:  # 1 everywhere, even for NaN, and without a gradient
        return broadcast_to(constant(1.0), x.shape)
    if exponent == 2:
        return apply("multiply", x, x)
    if exponent == 0.5:
        return apply("sqrt", x)
    if exponent == -0.5:
        return apply("rsqrt", x)
    if exponent == -1:
        return apply("divide", 1.0, x)
    if exponent == 3:
        return apply("multiply", apply("multiply", x, x), x)
    return None


class Power(Elementwise):
    """``a ** b``. Quarters and halves in the exponent become square roots, which cost a fraction of a power.

    The gradient of the power itself is right at 0, that of the roots is not. So the exponent is examined after the
    reverse pass. The roots of -∞ are NaN, as ``sqrt`` says.
    """

    def simplified(self, y: Tensor, inputs: Sequence[Tensor]) -> Tensor | None:
        x, exponent = inputs[0], number(inputs[1])
        match exponent:
            case 1.5:
                return apply("multiply", x, apply("sqrt", x))
            case 0.25:
                return apply("sqrt", apply("sqrt", x))
            case -0.25:
                return apply("rsqrt", apply("sqrt", x))
            case 0.75 | -0.75:
                root = apply("sqrt", x)
                power = apply("multiply", root, apply("sqrt", root))
                return power if exponent > 0 else apply("divide", 1.0, power)
            case _:
                return None


# ------------------------------------------------------------------------------------------------------- gradients
# Each takes the result y and its gradient g; y.inputs are the operands.


def _extreme_gradient(beaten: str, beats: str) -> Gradient:
    """The gradient of ``maximum`` or ``minimum``.

    ``beaten`` is the comparison that holds for an operand that is not selected, ``beats`` the opposite one. Both are
    false for NaN, so the gradient reaches the operand that is NaN.
    """

    def gradient(y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
        a, b = y.inputs
        if isinstance(b.operation, Constant):  # ReLU: the gradient at 0 is 0, and y alone decides
            return apply("where", apply(f"{beaten}_equal", y, b), 0.0, g), None
        half = apply("where", apply("equal", a, b), g * 0.5, g)  # equal operands get half the gradient each
        return apply("where", apply(beaten, a, b), 0.0, half), apply("where", apply(beats, a, b), 0.0, half)

    return gradient


def _power_gradient(y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
    a, b = y.inputs
    to_base = g * b * apply("power", a, b - 1.0)
    if isinstance(b.operation, Constant):
        return to_base, None
    # x ** 0 is constant in x; its gradient is 0 even at x = 0, where x ** -1 is infinite
    to_base = apply("where", apply("equal", b, 0.0), 0.0, to_base)
    # 0 ** b is constant in b; log(0) must not turn the gradient into NaN
    log = apply("where", apply("less_equal", a, 0.0), 0.0, apply("log", apply("maximum", a, 1e-38)))
    return to_base, g * y * log


def _remainder_gradient(y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
    a, b = y.inputs
    return g, -(g * apply("floor_divide", a, b))


_TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)


def _not(operands: Sequence[str], width: int) -> str:
    return f"(!{operands[0]})" if width == 1 else f"(~{operands[0]})"


def _where(operands: Sequence[str], width: int) -> str:
    mask, a, b = operands
    return f"({mask} ? {a} : {b})"


def _softplus_code(operands: Sequence[str], width: int) -> str:
    x = operands[0]
    zero = "0.0f" if width == 1 else f"(float{width})(0.0f)"
    return f"(fmax({x}, {zero}) + log1p(exp(-fabs({x}))))"


def _greater(a: float, b: float) -> float:
    return b if b != b or a < b else a


def _lesser(a: float, b: float) -> float:
    return b if b != b or b < a else a


def _sign(x: float) -> float:
    """-1, 0 or 1 in the operand's type; NaN for NaN."""
    return x if x != x else type(x)((x > 0) - (x < 0))


def _sign_of_ints(operands: Sequence[str], width: int) -> str:
    kind = f"int{width if width > 1 else ''}"
    return f"max(min({operands[0]}, ({kind})(1)), ({kind})(-1))"


def _magnitude(operands: Sequence[str], width: int) -> str:
    """The magnitude. For the least int it does not fit into 32 bits and stays negative, as in NumPy."""
    return f"as_int{width if width > 1 else ''}(abs({operands[0]}))"


_row("add", 2, "({0} + {1})", lambda a, b: a + b, lambda y, g: (g, g), sums=True)
_row("subtract", 2, "({0} - {1})", lambda a, b: a - b, lambda y, g: (g, -g))
_row("multiply", 2, "({0} * {1})", lambda a, b: a * b, lambda y, g: (g * y.inputs[1], g * y.inputs[0]), odd=True)
_row(
    "divide", 2, "({0} / {1})", lambda a, b: a / b, lambda y, g: (g / y.inputs[1], -(g * y / y.inputs[1])),
    wants="float", cost=4, odd=True,
)  # fmt: skip
_row(
    "floor_divide", 2, FunctionCall(floored_quotient), lambda a, b: a // b,
    of_ints=FunctionCall(whole_quotient), cost=12,
    documentation="The quotient, rounded down. For ints it is an int, and 0 where b is 0.",
)  # fmt: skip
_row(
    "remainder", 2, FunctionCall(floored_remainder), lambda a, b: a % b, _remainder_gradient,
    of_ints=FunctionCall(whole_remainder),
    cost=10, documentation="a - b * (a // b), which has the sign of b. For ints it is 0 where b is 0.",
)  # fmt: skip
_row("power", 2, "pow({0}, {1})", lambda a, b: a**b, _power_gradient, wants="float", cost=40, kind=Power)
_row("negative", 1, "(-{0})", lambda a: -a, lambda y, g: (-g,), odd=True, negates=True)

# NaN propagates. If the second operand is a constant, the compiler removes the test of whether it is NaN.
_row(
    "maximum", 2, "({1} != {1} ? {1} : {0} < {1} ? {1} : {0})", _greater, _extreme_gradient("less", "greater"),
    of_ints="max({0}, {1})",
    documentation="The greater, element by element.",
)  # fmt: skip
_row(
    "minimum", 2, "({1} != {1} ? {1} : {1} < {0} ? {1} : {0})", _lesser, _extreme_gradient("greater", "less"),
    of_ints="min({0}, {1})",
    documentation="The smaller, element by element.",
)  # fmt: skip
_row(
    "where", 3, _where, lambda c, a, b: a if c else b,
    lambda y, g: (None, apply("where", y.inputs[0], g, 0.0), apply("where", y.inputs[0], 0.0, g)),
    masked=True, documentation="a where the mask is true, b elsewhere.",
)  # fmt: skip

for _key, _sign_text, _fold in (
    ("equal", "==", lambda a, b: a == b),
    ("not_equal", "!=", lambda a, b: a != b),
    ("less", "<", lambda a, b: a < b),
    ("less_equal", "<=", lambda a, b: a <= b),
    ("greater", ">", lambda a, b: a > b),
    ("greater_equal", ">=", lambda a, b: a >= b),
):
    _row(_key, 2, f"({{0}} {_sign_text} {{1}})", _fold, element="bool")
_row("logical_and", 2, "({0} & {1})", lambda a, b: a and b, element="bool", wants="bool")
_row("logical_or", 2, "({0} | {1})", lambda a, b: a or b, element="bool", wants="bool")
_row("logical_not", 1, _not, lambda a: not a, element="bool", wants="bool")

_row("exp", 1, "exp({0})", math.exp, lambda y, g: (g * y,), wants="float", cost=12)
_row("expm1", 1, "expm1({0})", math.expm1, lambda y, g: (g * (y + 1.0),), wants="float", cost=20)
_row("log", 1, "log({0})", math.log, lambda y, g: (g / y.inputs[0],), wants="float", cost=12)
_row("log1p", 1, "log1p({0})", math.log1p, lambda y, g: (g / (y.inputs[0] + 1.0),), wants="float", cost=20)
_row("sqrt", 1, "sqrt({0})", math.sqrt, lambda y, g: (g * 0.5 / y,), wants="float", cost=5)
_row(
    "rsqrt", 1, "(1.0f / sqrt({0}))", lambda a: 1.0 / math.sqrt(a),
    lambda y, g: (g * -0.5 * y * y * y,), wants="float", cost=9,
)  # fmt: skip
_row("abs", 1, "fabs({0})", abs, lambda y, g: (g * apply("sign", y.inputs[0]),), of_ints=_magnitude)
_row("sign", 1, "({0} != {0} ? {0} : sign({0}))", _sign, of_ints=_sign_of_ints)
_row("floor", 1, "floor({0})", math.floor, wants="float")
_row("ceil", 1, "ceil({0})", math.ceil, wants="float")
_row(
    "round",
    1,
    "rint({0})",
    round,
    wants="float",
    documentation="The nearest integer; halves are rounded to the even one.",
)
_row("sin", 1, "sin({0})", math.sin, lambda y, g: (g * apply("cos", y.inputs[0]),), wants="float", cost=20)
_row("cos", 1, "cos({0})", math.cos, lambda y, g: (-(g * apply("sin", y.inputs[0])),), wants="float", cost=20)
_row(
    "tanh", 1, FunctionCall(hyperbolic_tangent), math.tanh,
    lambda y, g: (g * (1.0 - y * y),), wants="float", cost=20,
)  # fmt: skip
_row(
    "sigmoid", 1, "(1.0f / (1.0f + exp(-{0})))", lambda a: 0.0 if a < -700 else 1 / (1 + math.exp(-a)),
    lambda y, g: (g * y * (1.0 - y),), wants="float", cost=18, documentation="1 / (1 + exp(-x))",
)  # fmt: skip
_row(
    "softplus", 1, _softplus_code, lambda a: max(a, 0.0) + math.log1p(math.exp(-abs(a))),
    lambda y, g: (g * apply("sigmoid", y.inputs[0]),), wants="float", cost=34, documentation="log(1 + exp(x))",
)  # fmt: skip
_row(
    "erf", 1, FunctionCall(error_function), math.erf,
    lambda y, g: (g * _TWO_OVER_SQRT_PI * apply("exp", -(y.inputs[0] * y.inputs[0])),), wants="float", cost=20,
)  # fmt: skip


def _as_float_from_bool(operands: Sequence[str], width: int) -> str:
    return f"(float)({operands[0]})" if width == 1 else f"convert_float{width}(-({operands[0]}))"


def _as_int_from_bool(operands: Sequence[str], width: int) -> str:
    """The magnitude of 0 or -1. Oclgrind evaluates the negated comparison to 255."""
    return operands[0] if width == 1 else f"as_int{width}(abs({operands[0]}))"


def _as_float_from_int(operands: Sequence[str], width: int) -> str:
    return f"convert_float{width if width > 1 else ''}({operands[0]})"


def _as_int_from_float(operands: Sequence[str], width: int) -> str:
    """Saturates values that do not fit into 32 bits, and converts NaN to 0: the same on every device."""
    (x,) = operands
    kind = f"int{width if width > 1 else ''}"
    return f"({x} == {x} ? convert_{kind}_sat({x}) : ({kind})(0))"


def _nonzero(operands: Sequence[str], width: int) -> str:
    return f"({operands[0]} != 0)"


_row("to_float_from_int", 1, _as_float_from_int, float, lambda y, g: (None,), element="float")
_row("to_float_from_bool", 1, _as_float_from_bool, float, lambda y, g: (None,), element="float")
_row("to_int_from_float", 1, _as_int_from_float, whole_number, element="int")
_row("to_int_from_bool", 1, _as_int_from_bool, int, element="int")
_row("to_bool_from_float", 1, _nonzero, bool, element="bool")
_row("to_bool_from_int", 1, _nonzero, bool, element="bool")


# ------------------------------------------------------------------------------------------ as the language sees them


def _infer(row: Row) -> Callable[[Sequence[TensorType], Mapping[str, Any]], Sequence[TensorType]]:
    def infer(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
        shape = broadcast_types(types)
        operands = types[1:] if row.operation.key == "where" else types
        element = row.element or row.wants or _operated(row.operation.key, [t.element for t in operands])
        return (TensorType(shape, element),)

    return infer


def broadcast_types(types: Sequence[TensorType]) -> Shape:
    """The broadcast shape of tensors without the batch.

    Raises:
        OperatorError: the shapes do not broadcast; it names the dimension.
    """
    result: list[int] = []
    sources: list[int] = []
    for port, tensor_type in enumerate(types):
        shape = tensor_type.shape
        while len(result) < len(shape):
            result.insert(0, 1)
            sources.insert(0, port)
        for axis, length in enumerate(shape, len(result) - len(shape)):
            if length == 1 or length == result[axis]:
                continue
            if result[axis] != 1:
                other = types[sources[axis]]
                raise OperatorError(
                    "E0401",
                    f"shapes {other} and {tensor_type} do not fit together: dimension {axis - len(result)} "
                    f"(from the right) is {result[axis]} in one and {length} in the other",
                    inputs=(sources[axis], port),
                )
            result[axis], sources[axis] = length, port
    return tuple(result)


def _lower(row: Row) -> Callable[[Lowering], Sequence[Tensor]]:
    def lower(node: Lowering) -> Sequence[Tensor]:
        return (apply(row.operation.key, *align(node.inputs, node.batched, node.types, len(node.outputs[0].shape))),)

    return lower


_PORTS = {1: ("x",), 2: ("a", "b"), 3: ("mask", "a", "b")}


def _primitive(key: str) -> Primitive:
    row = ROWS[key]
    return Primitive(
        key,
        _PORTS[row.arity],
        infer=_infer(row),
        lower=_lower(row),
        elementwise=True,
        foldable=row.fold,
        flat=row.operation.gradient is None,
        documentation=row.documentation,
    )


def elementwise_primitive(key: str, arity: int, code: Code, fold: Callable[..., Any] | None, **row: Any) -> Primitive:
    """Adds a row from another file, and returns its primitive. ``row`` has the further arguments of a row."""
    _row(key, arity, code, fold, **row)
    return _primitive(key)


def _cast_primitive(name: str, element: Element, fold: Callable[..., Any]) -> Primitive:
    return Primitive(
        name,
        ("x",),
        infer=lambda types, attributes: (TensorType(types[0].shape, element),),
        lower=lambda node: (cast(node.inputs[0], element),),
        elementwise=True,
        foldable=fold,
        documentation=f"x as {element}.",
    )


CATEGORY = "Element by element"

PRIMITIVES: tuple[Primitive, ...] = (
    *(_primitive(key) for key in ROWS if not key.startswith("to_")),
    _cast_primitive("float", "float", float),
    _cast_primitive("int", "int", int),
    Primitive(
        "stop_gradient",
        ("x",),
        infer=lambda types, attributes: (types[0],),
        lower=lambda node: (stop_gradient(node.inputs[0]),),
        flat=True,
        documentation="x, with no gradient to it.",
    ),
)

_STOP = Elementwise("stop_gradient", lambda operands, width: operands[0], None, cost=0, identity=True)


def stop_gradient(x: Tensor) -> Tensor:
    """Returns ``x``, with no gradient to it."""
    return Tensor(_STOP, (x,), x.shape, x.element)


_APART = Elementwise("apart", lambda operands, width: operands[0], lambda y, g: (g,), cost=0)


def apart(x: Tensor) -> Tensor:
    """Returns a copy of ``x`` through which rules of simplification do not look."""
    return Tensor(_APART, (x,), x.shape, x.element)
