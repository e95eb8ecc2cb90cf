"""Elementwise operators: one row each of a table says how it is computed, folded for plain numbers and reversed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphdl.graph.types import Element, Shape, TensorType
from graphdl.operators.primitive import Lowering, OperatorError, Primitive
from graphdl.operators.tensor import Constant, Elementwise, Tensor, constant, number

Gradient = Callable[[Tensor, Tensor], Sequence[Tensor | None]]


@dataclass(frozen=True)
class Row:
    """One elementwise operator. ``element``: the result's element type, or none for the operands' common one."""

    operation: Elementwise
    arity: int
    fold: Callable[..., Any] | None
    element: Element | None
    wants: Element | None
    documentation: str


ROWS: dict[str, Row] = {}


def _row(
    key: str,
    arity: int,
    code: str | Callable[[Sequence[str], int], str],
    fold: Callable[..., Any] | None,
    gradient: Gradient | None = None,
    *,
    element: Element | None = None,
    wants: Element | None = None,
    cost: int = 1,
    documentation: str = "",
) -> None:
    """``wants`` is the element type that operands are turned into first ("float" for ``exp``)."""
    write = code if callable(code) else (lambda operands, width, text=code: text.format(*operands))
    ROWS[key] = Row(Elementwise(key, write, gradient, cost), arity, fold, element, wants, documentation)


def apply(key: str, *operands: Tensor | float) -> Tensor:
    """The elementwise operator ``key`` on tensors and numbers, with NumPy's broadcasting and element promotion."""
    row = ROWS[key]
    tensors = [operand if isinstance(operand, Tensor) else constant(operand) for operand in operands]
    simple = _simplified(key, tensors)
    if simple is not None:
        return simple
    if row.wants is not None:
        tensors = [cast(t, row.wants) for t in tensors]
    else:
        first = 1 if key == "where" else 0
        common = _operated(key, [t.element for t in tensors[first:]])
        tensors = [*(cast(t, "bool") for t in tensors[:first]), *(cast(t, common) for t in tensors[first:])]
    numbers = [number(t) for t in tensors]
    result = row.element or tensors[-1].element
    if row.fold is not None and all(n is not None for n in numbers):
        try:
            return constant(row.fold(*numbers), result)
        except (ArithmeticError, ValueError):
            pass  # the device answers with an infinity or a NaN, as the standard says
    return Tensor(row.operation, tuple(tensors), broadcast([t.shape for t in tensors]), result)


def cast(x: Tensor, element: Element) -> Tensor:
    """``x`` as another element type; numbers become truth values by ``!= 0``."""
    if x.element == element:
        return x
    value = number(x)
    if value is not None:
        kind: Callable[[Any], Any] = {"float": float, "int": int, "bool": bool}[element]
        return constant(kind(value), element)
    return Tensor(ROWS[f"to_{element}_from_{x.element}"].operation, (x,), x.shape, element)


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape that NumPy's broadcasting gives. Raises ValueError where it has none."""
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
    """The element type in which operands meet; truth values count as 0 and 1 when one calculates with them."""
    common = _common(elements)
    return "int" if common == "bool" and key in ("add", "subtract", "multiply", "negative") else common


def _simplified(key: str, operands: Sequence[Tensor]) -> Tensor | None:
    """What the operator comes to when an operand is 0 or 1 or the rule is plain; none if nothing is known."""
    x = operands[0]
    numbers = [number(t) for t in operands]
    if key in ("add", "multiply") and numbers[0] is not None and numbers[1] is None:
        return _simplified(key, operands[::-1])
    last = numbers[-1]
    if x.element == "float" and last is not None and len(operands) == 2:
        neutral = {"add": 0, "subtract": 0, "multiply": 1, "divide": 1, "power": 1}.get(key)
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


# ------------------------------------------------------------------------------------------------------- gradients
# Each takes the result y and the gradient g that reaches it; y.inputs are the operands.


def _maximum_gradient(y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
    a, b = y.inputs
    if isinstance(b.operation, Constant):  # ReLU: the slope at the corner is 0, and y alone tells the side
        return apply("where", apply("greater", y, b), g, 0.0), None
    return _tie(apply("greater", a, b), apply("equal", a, b), g)


def _minimum_gradient(y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
    a, b = y.inputs
    if isinstance(b.operation, Constant):
        return apply("where", apply("less", y, b), g, 0.0), None
    return _tie(apply("less", a, b), apply("equal", a, b), g)


def _tie(first: Tensor, same: Tensor, g: Tensor) -> Sequence[Tensor]:
    """Equal operands share the gradient by halves."""
    to_first = apply("where", same, g * 0.5, apply("where", first, g, 0.0))
    return to_first, g - to_first


def _power_gradient(y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
    a, b = y.inputs
    to_base = g * b * apply("power", a, b - 1.0)
    if isinstance(b.operation, Constant):
        return to_base, None
    # 0 ** b has no slope in b; log(0) must not make a NaN of it
    log = apply("where", apply("greater", a, 0.0), apply("log", apply("maximum", a, 1e-38)), 0.0)
    return to_base, g * y * log


def _remainder_gradient(y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
    a, b = y.inputs
    return g, -(g * apply("floor", a / b))


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


def _sign(x: float) -> float:
    return math.copysign(1.0, x) if x else 0.0


_row("add", 2, "({0} + {1})", lambda a, b: a + b, lambda y, g: (g, g))
_row("subtract", 2, "({0} - {1})", lambda a, b: a - b, lambda y, g: (g, -g))
_row("multiply", 2, "({0} * {1})", lambda a, b: a * b, lambda y, g: (g * y.inputs[1], g * y.inputs[0]))
_row(
    "divide", 2, "({0} / {1})", lambda a, b: a / b, lambda y, g: (g / y.inputs[1], -(g * y / y.inputs[1])),
    wants="float", cost=4,
)  # fmt: skip
_row("floor_divide", 2, "floor({0} / {1})", lambda a, b: a // b, wants="float", cost=5)
_row("remainder", 2, "({0} - {1} * floor({0} / {1}))", lambda a, b: a % b, _remainder_gradient, wants="float", cost=6)
_row("power", 2, "pow({0}, {1})", lambda a, b: a**b, _power_gradient, wants="float", cost=40)
_row("negative", 1, "(-{0})", lambda a: -a, lambda y, g: (-g,))

_row("maximum", 2, "({0} < {1} ? {1} : {0})", max, _maximum_gradient, documentation="The greater, element by element.")
_row("minimum", 2, "({1} < {0} ? {1} : {0})", min, _minimum_gradient, documentation="The lesser, element by element.")
_row(
    "where", 3, _where, lambda c, a, b: a if c else b,
    lambda y, g: (None, apply("where", y.inputs[0], g, 0.0), apply("where", y.inputs[0], 0.0, g)),
    documentation="The first value where the mask holds, the second elsewhere.",
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
_row("abs", 1, "fabs({0})", abs, lambda y, g: (g * apply("sign", y.inputs[0]),), wants="float")
_row("sign", 1, "sign({0})", _sign, wants="float")
_row("floor", 1, "floor({0})", math.floor, wants="float")
_row("ceil", 1, "ceil({0})", math.ceil, wants="float")
_row(
    "round", 1, "rint({0})", round, wants="float", documentation="The nearest whole number; halves go to the even one."
)
_row("sin", 1, "sin({0})", math.sin, lambda y, g: (g * apply("cos", y.inputs[0]),), wants="float", cost=20)
_row("cos", 1, "cos({0})", math.cos, lambda y, g: (-(g * apply("sin", y.inputs[0])),), wants="float", cost=20)
_row("tanh", 1, "tanh({0})", math.tanh, lambda y, g: (g * (1.0 - y * y),), wants="float", cost=20)
_row(
    "sigmoid", 1, "(1.0f / (1.0f + exp(-{0})))", lambda a: 1 / (1 + math.exp(-a)) if a > -700 else 0.0,
    lambda y, g: (g * y * (1.0 - y),), wants="float", cost=18, documentation="1 / (1 + exp(-x))",
)  # fmt: skip
_row(
    "softplus", 1, _softplus_code, lambda a: max(a, 0.0) + math.log1p(math.exp(-abs(a))),
    lambda y, g: (g * apply("sigmoid", y.inputs[0]),), wants="float", cost=34, documentation="log(1 + exp(x))",
)  # fmt: skip
_row(
    "erf", 1, "erf({0})", math.erf,
    lambda y, g: (g * _TWO_OVER_SQRT_PI * apply("exp", -(y.inputs[0] * y.inputs[0])),), wants="float", cost=20,
)  # fmt: skip


def _as_float_from_bool(operands: Sequence[str], width: int) -> str:
    return f"(float)({operands[0]})" if width == 1 else f"convert_float{width}(-({operands[0]}))"


def _as_int_from_bool(operands: Sequence[str], width: int) -> str:
    return operands[0] if width == 1 else f"(-({operands[0]}))"


def _convert(kind: str) -> Callable[[Sequence[str], int], str]:
    return lambda operands, width: f"convert_{kind}{width if width > 1 else ''}({operands[0]})"


def _nonzero(operands: Sequence[str], width: int) -> str:
    return f"({operands[0]} != 0)"


_row("to_float_from_int", 1, _convert("float"), float, lambda y, g: (None,), element="float")
_row("to_float_from_bool", 1, _as_float_from_bool, float, lambda y, g: (None,), element="float")
_row("to_int_from_float", 1, _convert("int"), int, element="int")
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
    """The broadcast shape of examples' tensors; an OperatorError names the dimension that does not fit."""
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


def align(inputs: Sequence[Tensor], batched: Sequence[bool], types: Sequence[TensorType], rank: int) -> list[Tensor]:
    """Batched tensors of a lower rank get dimensions of length 1 after the batch, so that the right ends line up."""
    from graphdl.operators.structure import reshape

    aligned = []
    for tensor, is_batched, tensor_type in zip(inputs, batched, types, strict=True):
        missing = rank - tensor_type.rank
        if is_batched and missing and tensor_type.rank >= 0:
            tensor = reshape(tensor, (tensor.shape[0], *([1] * missing), *tensor_type.shape))
        aligned.append(tensor)
    return aligned


_PORTS = {1: ("x",), 2: ("a", "b"), 3: ("mask", "a", "b")}


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


PRIMITIVES: tuple[Primitive, ...] = (
    *(
        Primitive(
            key,
            _PORTS[row.arity],
            infer=_infer(row),
            lower=_lower(row),
            elementwise=True,
            foldable=row.fold,
            flat=row.operation.gradient is None,
            documentation=row.documentation,
        )
        for key, row in ROWS.items()
        if not key.startswith("to_")
    ),
    _cast_primitive("float", "float", float),
    _cast_primitive("int", "int", int),
    Primitive(
        "stop_gradient",
        ("x",),
        infer=lambda types, attributes: (types[0],),
        lower=lambda node: (stop_gradient(node.inputs[0]),),
        flat=True,
        documentation="x, through which no gradient flows back.",
    ),
)

_STOP = Elementwise("stop_gradient", lambda operands, width: operands[0], None, cost=0)


def stop_gradient(x: Tensor) -> Tensor:
    """The value of ``x``; the reverse pass ends here."""
    return Tensor(_STOP, (x,), x.shape, x.element)


_APART = Elementwise("apart", lambda operands, width: operands[0], lambda y, g: (g,), cost=0)


def apart(x: Tensor) -> Tensor:
    """``x`` as a tensor of its own, which what is made of it does not see through."""
    return Tensor(_APART, (x,), x.shape, x.element)
