"""Softmax and activations, which the library writes as formulas."""

from __future__ import annotations

from graphdl.graph.model import Node, Value
from graphdl.onnx.exporting.form import Form, is_number, kept_axis, number, of_one, operands
from graphdl.onnx.exporting.step import Step


def _less_greatest(value: Value) -> tuple[Value, int] | None:
    """``x - stop_gradient(max(x))`` along one dimension: x, and the dimension."""
    match operands(value, "subtract"):
        case (x, most):
            stopped = operands(most, "stop_gradient")
            greatest = operands(stopped[0], "max") if stopped else None
            axis = kept_axis(stopped[0]) if stopped and greatest else None
            return (x, axis) if greatest and greatest[0] is x and axis is not None else None
    return None


def _softmax(node: Node) -> Form | None:
    e, total = node.inputs
    raised, summed = operands(e, "exp"), operands(total, "sum")
    found = _less_greatest(raised[0]) if raised and summed and summed[0] is e else None
    if found is None or kept_axis(total) != found[1]:
        return None
    x, axis = found
    return of_one("Softmax", node, x, axis=axis + x.batched)


def _log_softmax(node: Node) -> Form | None:
    z, log = node.inputs
    found, taken = _less_greatest(z), operands(log, "log")
    summed = operands(taken[0], "sum") if taken else None
    raised = operands(summed[0], "exp") if summed else None
    if found is None or not taken or not raised or raised[0] is not z or kept_axis(taken[0]) != found[1]:
        return None
    x, axis = found
    return of_one("LogSoftmax", node, x, axis=axis + x.batched)


def _positive(node: Node) -> tuple[Value, Value] | None:
    """``where(x > 0, x, y)``: x and y."""
    mask, x, y = node.inputs
    compared = operands(mask, "greater")
    return (x, y) if compared and compared[0] is x and is_number(compared[1], 0) and x.type.element == "float" else None


def _leaky_relu(node: Node) -> Form | None:
    """``where(x > 0, x, slope * x)`` with a number, or with parameters."""
    found = _positive(node)
    product = operands(found[1], "multiply") if found else None
    if not found or not product or product[1] is not found[0]:
        return None
    x, slope = found[0], product[0]
    alpha = number(slope)
    if alpha is not None:
        return of_one("LeakyRelu", node, x, alpha=alpha)
    if slope.batched or not x.batched or slope.type.element != "float" or node.outputs[0].type.shape != x.type.shape:
        return None
    return Form("PRelu", (x, slope), lambda step: step.op("PRelu", *step.names()), node)


def _exponential(value: Value, x: Value) -> float | None:
    """``alpha * expm1(where(x > 0, 0, x))``: alpha."""
    product = operands(value, "multiply")
    raised = operands(product[1] if product else value, "expm1")
    bounded = operands(raised[0], "where") if raised else None
    compared = operands(bounded[0], "greater") if bounded else None
    if not bounded or not compared or compared[0] is not x or not is_number(compared[1], 0):
        return None
    return (number(product[0]) if product else 1.0) if is_number(bounded[1], 0) and bounded[2] is x else None


def _elu(node: Node) -> Form | None:
    found = _positive(node)
    alpha = _exponential(found[1], found[0]) if found else None
    return of_one("Elu", node, found[0], alpha=alpha) if found and alpha is not None else None


def _selu(node: Node) -> Form | None:
    scale, inner = node.inputs
    found = _positive(inner.node) if inner.node.operator == "where" else None
    alpha, gamma = _exponential(found[1], found[0]) if found else None, number(scale)
    if not found or alpha is None or gamma is None:
        return None
    return of_one("Selu", node, found[0], alpha=alpha, gamma=gamma)


def _gelu(node: Node) -> Form | None:
    """``0.5 x (1 + erf(x / √2))``."""
    halved, factor = operands(node.inputs[0], "multiply"), operands(node.inputs[1], "add")
    error = operands(factor[1], "erf") if factor else None
    divided = operands(error[0], "divide") if error else None
    if not halved or not factor or not divided or not is_number(halved[0], 0.5) or not is_number(factor[0], 1):
        return None
    x, root = halved[1], number(divided[1])
    if divided[0] is not x or root is None or abs(root * root - 2) > 1e-6:
        return None
    return of_one("Gelu", node, x)


def _clip(node: Node) -> Form | None:
    """``minimum(maximum(x, low), high)``."""
    inner, high = node.inputs
    bounded = operands(inner, "maximum")
    low, most = number(bounded[1]) if bounded else None, number(high)
    if not bounded or low is None or most is None or bounded[0].type.element != "float":
        return None
    x = bounded[0]

    def write(step: Step) -> str:
        return step.op("Clip", step.name(step.inputs[0]), step.number(low), step.number(most))

    return Form("Clip", (x,), write, node)


FORMS = {
    "divide": (_softmax,),
    "subtract": (_log_softmax,),
    "where": (
        _leaky_relu,
        _elu,
    ),
    "multiply": (
        _gelu,
        _selu,
    ),
    "minimum": (_clip,),
}
