"""What several primitives together are in ONNX: softmax, normalizations, activations, layers with their biases.

A form is recognized from its last primitive backwards. Primitives that only a form needs are not written then.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphdl.graph.model import Node, Value
from graphdl.graph.types import Shape
from graphdl.onnx.exporting.form import Form, number, operands
from graphdl.onnx.exporting.operators.images import convolve, convolve_transpose
from graphdl.onnx.exporting.recurrent import recurrent
from graphdl.onnx.exporting.step import Step
from graphdl.operators.reduction import axes_of


def form_of(node: Node) -> Form | None:
    """The form of which the node is the last primitive, if there is one."""
    for find in _FORMS.get(node.operator, ()):
        form = find(node)
        if form is not None:
            return form
    return None


def _is(value: Value, wanted: float) -> bool:
    return number(value) == wanted


def _unshaped(value: Value) -> Value:
    """The operand of a reshape, and any other value itself."""
    found = operands(value, "reshape")
    return found[0] if found else value


def _vector(value: Value, shape: Shape) -> Value | None:
    """The vector that a value has in this shape, if it is the same for all examples."""
    x = _unshaped(value)
    fits = value.type.shape == shape and not value.batched and x.type.element == "float"
    return x if fits and x.type.rank == 1 else None


def _column(x: Value) -> Shape:
    """The shape of numbers for the channels of ``x``."""
    return (x.type.shape[0], *[1] * (x.type.rank - 1))


def _axis(value: Value) -> int | None:
    """The dimension that a reduction reduces and keeps, if it is one."""
    axes = axes_of([value.node.inputs[0].type], value.node.attributes)
    return axes[0] if len(axes) == 1 and value.node.attributes["keep"] else None


def _of_one(operator: str, node: Node, x: Value, **attributes: float | int | str) -> Form:
    def write(step: Step) -> str:
        return step.op(operator, step.name(step.inputs[0], "float"), **attributes)

    return Form(operator, (x,), write, node)


# ----------------------------------------------------------------------------------------------------------- softmax


def _less_greatest(value: Value) -> tuple[Value, int] | None:
    """``x - stop_gradient(max(x))`` along one dimension: x, and the dimension."""
    match operands(value, "subtract"):
        case (x, most):
            stopped = operands(most, "stop_gradient")
            greatest = operands(stopped[0], "max") if stopped else None
            axis = _axis(stopped[0]) if stopped and greatest else None
            return (x, axis) if greatest and greatest[0] is x and axis is not None else None
    return None


def _softmax(node: Node) -> Form | None:
    e, total = node.inputs
    raised, summed = operands(e, "exp"), operands(total, "sum")
    found = _less_greatest(raised[0]) if raised and summed and summed[0] is e else None
    if found is None or _axis(total) != found[1]:
        return None
    x, axis = found
    return _of_one("Softmax", node, x, axis=axis + x.batched)


def _log_softmax(node: Node) -> Form | None:
    z, log = node.inputs
    found, taken = _less_greatest(z), operands(log, "log")
    summed = operands(taken[0], "sum") if taken else None
    raised = operands(summed[0], "exp") if summed else None
    if found is None or not taken or not raised or raised[0] is not z or _axis(taken[0]) != found[1]:
        return None
    x, axis = found
    return _of_one("LogSoftmax", node, x, axis=axis + x.batched)


# ------------------------------------------------------------------------------------------------------------ layers


def _with_bias(node: Node) -> Form | None:
    """A convolution or a product of rows with a matrix, and a bias."""
    layer, bias = node.inputs
    inputs = layer.node.inputs
    match layer.node.operator:
        case "convolve" | "convolve_transpose" as operator:
            b = _vector(bias, _column(layer))
            if b is None or not inputs[0].batched:
                return None
            write = convolve if operator == "convolve" else convolve_transpose
            label = "Conv" if operator == "convolve" else "ConvTranspose"
            return Form(label, (*inputs, b), lambda step: write(step, *_first_and_last(step)), layer.node)
        case "matmul":
            x, w = inputs
            rows = x.batched and x.type.rank == 1 and layer.type.element == "float"
            if not rows or w.batched or w.type.rank != 2 or bias.batched or bias.type.shape != w.type.shape[1:]:
                return None
            return Form("Gemm", (x, w, bias), lambda step: step.op("Gemm", *step.names("float")), node)
    return None


def _first_and_last(step: Step) -> tuple[str, str]:
    return step.name(step.inputs[0]), step.name(step.inputs[2])


def _scaled(value: Value) -> tuple[Value, Value, Value] | None:
    """``x * scale + shift``: the three."""
    added = operands(value, "add")
    product = operands(added[0], "multiply") if added else None
    return (*product, added[1]) if added and product and len(product) == 2 else None


def _batchnorm(node: Node) -> Form | None:
    found = _scaled(node.outputs[0])
    centred = operands(found[0], "subtract") if found else None
    if not found or not centred or not centred[0].batched or not centred[0].type.rank:
        return None
    x = centred[0]
    if node.outputs[0].type.shape != x.type.shape or x.type.element != "float":
        return None
    mean, scale, beta = (_vector(value, _column(x)) for value in (centred[1], found[1], found[2]))
    parts = operands(scale, "divide") if scale else None
    root = operands(parts[1], "sqrt") if parts else None
    total = operands(root[0], "add") if root else None
    epsilon = number(total[1]) if total else None
    if mean is None or beta is None or not parts or not total or epsilon is None:
        return None
    gamma, variance = parts[0], total[0]

    def write(step: Step) -> str:
        return step.op("BatchNormalization", *step.names(), epsilon=epsilon)

    return Form("BatchNormalization", (x, gamma, beta, mean, variance), write, node)


def _normal(value: Value) -> tuple[Value, float] | None:
    """``d / sqrt(mean(d * d) + epsilon)`` with rows d less their means: the rows, and epsilon."""
    divided = operands(value, "divide")
    root = operands(divided[1], "sqrt") if divided else None
    total = operands(root[0], "add") if root else None
    epsilon = number(total[1]) if total else None
    variance = operands(total[0], "mean") if total else None
    square = operands(variance[0], "multiply") if variance else None
    if not divided or not total or not variance or square != (divided[0], divided[0]) or epsilon is None:
        return None
    centred = operands(divided[0], "subtract")
    mean = operands(centred[1], "mean") if centred else None
    if not centred or not mean or mean[0] is not centred[0] or _axis(total[0]) != 1 or _axis(centred[1]) != 1:
        return None
    counted = operands(centred[0], "subtract")  # from the first element of each row, as the library does
    stopped = operands(counted[1], "stop_gradient") if counted else None
    first = operands(stopped[0], "slice") if stopped else None
    if (
        counted
        and stopped
        and first
        and first[0] is counted[0]
        and stopped[0].type.shape == (counted[0].type.shape[0], 1)
    ):
        return counted[0], epsilon
    return centred[0], epsilon


def _layernorm(node: Node) -> Form | None:
    """A layer normalization of the library: rows are normalized, scaled, and get their shape again."""
    scaled = _scaled(node.inputs[0])
    found = _normal(scaled[0] if scaled else node.inputs[0])
    x = _unshaped(found[0]) if found else None
    if found is None or x is None or not x.batched or x.type.shape != node.outputs[0].type.shape:
        return None
    rows, epsilon = found
    length = rows.type.shape[-1]
    axis, size = x.type.rank, 1
    while size < length and axis > 0:
        axis -= 1
        size *= x.type.shape[axis]
    affine = tuple(v for v in (_vector(each, (length,)) for each in scaled[1:]) if v is not None) if scaled else ()
    if size != length or rows.type.rank != 2 or (scaled and len(affine) != 2):
        return None
    shape = x.type.shape[axis:]

    def write(step: Step) -> str:
        plain = (step.array(np.ones(shape, np.float32)),)
        around = tuple(step.name(term) for term in step.inputs[1:])
        if len(shape) > 1:
            around = tuple(step.reshape(name, shape, False) for name in around)
        x = step.name(step.inputs[0], "float")
        return step.op("LayerNormalization", x, *(around or plain), axis=axis - len(step.types[0].shape),
                       epsilon=epsilon)  # fmt: skip

    return Form("LayerNormalization", (x, *affine), write, node)


def _groupnorm(node: Node) -> Form | None:
    """A group or instance normalization of the library with a scale and a shift for each channel."""
    scaled = _scaled(node.outputs[0])
    image = operands(scaled[0], "reshape") if scaled else None
    found = _normal(image[0]) if image else None
    x = _unshaped(found[0]) if found else None
    if scaled is None or found is None or x is None or not x.batched or x.type.rank < 2:
        return None
    (rows, epsilon), channels = found, x.type.shape[0]
    gamma, beta = _vector(scaled[1], _column(x)), _vector(scaled[2], _column(x))
    if gamma is None or beta is None:
        return None
    groups = rows.type.shape[0]
    if node.outputs[0].type.shape != x.type.shape or rows.type.rank != 2 or channels % groups:
        return None
    if groups == channels:
        label, attributes = "InstanceNormalization", {"epsilon": epsilon}
    else:
        label, attributes = "GroupNormalization", {"epsilon": epsilon, "num_groups": groups}
    return Form(label, (x, gamma, beta), lambda step: step.op(label, *step.names("float"), **attributes), node)


def _turned(x: Value) -> tuple[int, int]:
    """The pixels and the channels of an image."""
    return x.type.size // x.type.shape[0], x.type.shape[0]


def _lrn(node: Node) -> Form | None:
    """The local response normalization of the library, if it has as many channels before as behind."""
    x, power = node.inputs
    raised = operands(power, "power")
    total = operands(raised[0], "add") if raised else None
    product = operands(total[1], "multiply") if total else None
    turned = operands(product[1], "transpose") if product else None
    window = operands(_unshaped(turned[0]), "mean_window") if turned else None
    padded = operands(window[0], "pad") if window else None
    back = operands(_unshaped(padded[0]), "transpose") if padded else None
    square = operands(back[0], "multiply") if back else None
    if not raised or not total or not product or not turned or not window or not padded or square != (x, x):
        return None
    beta, k, alpha = number(raised[1]), number(total[0]), number(product[0])
    around, pooled = window[0].node.attributes, _unshaped(turned[0]).node.attributes
    size = around["before"][-1] + around["after"][-1] + 1
    fits = (
        product[1].node.attributes["order"] == [2, 0, 1] and padded[0].type.shape == (1, *_turned(x))
        and _unshaped(padded[0]).node.attributes["order"] == [1, 2, 0] and around["before"] == [0, 0, size // 2]
        and around["before"] == around["after"] and (around["mode"], around["value"]) == ("constant", 0)
        and (pooled["kernel"], pooled["stride"], pooled["pad"]) == ([1, size], 1, 0) and x.batched
    )  # fmt: skip
    if beta is None or k is None or alpha is None or not fits:
        return None
    return _of_one("LRN", node, x, size=size, alpha=alpha, beta=beta, bias=k)


# -------------------------------------------------------------------------------------------------------- activations


def _positive(node: Node) -> tuple[Value, Value] | None:
    """``where(x > 0, x, y)``: x and y."""
    mask, x, y = node.inputs
    compared = operands(mask, "greater")
    return (x, y) if compared and compared[0] is x and _is(compared[1], 0) and x.type.element == "float" else None


def _leaky_relu(node: Node) -> Form | None:
    """``where(x > 0, x, slope * x)`` with a number, or with parameters."""
    found = _positive(node)
    product = operands(found[1], "multiply") if found else None
    if not found or not product or product[1] is not found[0]:
        return None
    x, slope = found[0], product[0]
    alpha = number(slope)
    if alpha is not None:
        return _of_one("LeakyRelu", node, x, alpha=alpha)
    if slope.batched or not x.batched or slope.type.element != "float" or node.outputs[0].type.shape != x.type.shape:
        return None
    return Form("PRelu", (x, slope), lambda step: step.op("PRelu", *step.names()), node)


def _exponential(value: Value, x: Value) -> float | None:
    """``alpha * expm1(where(x > 0, 0, x))``: alpha."""
    product = operands(value, "multiply")
    raised = operands(product[1] if product else value, "expm1")
    bounded = operands(raised[0], "where") if raised else None
    compared = operands(bounded[0], "greater") if bounded else None
    if not bounded or not compared or compared[0] is not x or not _is(compared[1], 0):
        return None
    return (number(product[0]) if product else 1.0) if _is(bounded[1], 0) and bounded[2] is x else None


def _elu(node: Node) -> Form | None:
    found = _positive(node)
    alpha = _exponential(found[1], found[0]) if found else None
    return _of_one("Elu", node, found[0], alpha=alpha) if found and alpha is not None else None


def _selu(node: Node) -> Form | None:
    scale, inner = node.inputs
    found = _positive(inner.node) if inner.node.operator == "where" else None
    alpha, gamma = _exponential(found[1], found[0]) if found else None, number(scale)
    if not found or alpha is None or gamma is None:
        return None
    return _of_one("Selu", node, found[0], alpha=alpha, gamma=gamma)


def _gelu(node: Node) -> Form | None:
    """``0.5 x (1 + erf(x / √2))``."""
    halved, factor = operands(node.inputs[0], "multiply"), operands(node.inputs[1], "add")
    error = operands(factor[1], "erf") if factor else None
    divided = operands(error[0], "divide") if error else None
    if not halved or not factor or not divided or not _is(halved[0], 0.5) or not _is(factor[0], 1):
        return None
    x, root = halved[1], number(divided[1])
    if divided[0] is not x or root is None or abs(root * root - 2) > 1e-6:
        return None
    return _of_one("Gelu", node, x)


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


_FORMS: dict[str, tuple[Callable[[Node], Form | None], ...]] = {
    "divide": (_softmax, _lrn),
    "subtract": (_log_softmax,),
    "add": (_batchnorm, _groupnorm, _with_bias),
    "reshape": (_layernorm,),
    "where": (_leaky_relu, _elu),
    "multiply": (_gelu, _selu),
    "minimum": (_clip,),
    "scan": (recurrent,),
}
