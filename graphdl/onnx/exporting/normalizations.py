"""Normalizations, which the library writes as formulas."""

from __future__ import annotations

import numpy as np

from graphdl.graph.model import Node, Value
from graphdl.onnx.exporting.form import Form, column, kept_axis, number, of_one, operands, unshaped, vector
from graphdl.onnx.exporting.step import Step


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
    mean, scale, beta = (vector(value, column(x)) for value in (centred[1], found[1], found[2]))
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
    if not centred or not mean or mean[0] is not centred[0] or kept_axis(total[0]) != 1 or kept_axis(centred[1]) != 1:
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
    x = unshaped(found[0]) if found else None
    if found is None or x is None or not x.batched or x.type.shape != node.outputs[0].type.shape:
        return None
    rows, epsilon = found
    length = rows.type.shape[-1]
    axis, size = x.type.rank, 1
    while size < length and axis > 0:
        axis -= 1
        size *= x.type.shape[axis]
    affine = tuple(v for v in (vector(each, (length,)) for each in scaled[1:]) if v is not None) if scaled else ()
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
    x = unshaped(found[0]) if found else None
    if scaled is None or found is None or x is None or not x.batched or x.type.rank < 2:
        return None
    (rows, epsilon), channels = found, x.type.shape[0]
    gamma, beta = vector(scaled[1], column(x)), vector(scaled[2], column(x))
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
    window = operands(unshaped(turned[0]), "mean_window") if turned else None
    padded = operands(window[0], "pad") if window else None
    back = operands(unshaped(padded[0]), "transpose") if padded else None
    square = operands(back[0], "multiply") if back else None
    if not raised or not total or not product or not turned or not window or not padded or square != (x, x):
        return None
    beta, k, alpha = number(raised[1]), number(total[0]), number(product[0])
    around, pooled = window[0].node.attributes, unshaped(turned[0]).node.attributes
    size = around["before"][-1] + around["after"][-1] + 1
    fits = (
        product[1].node.attributes["order"] == [2, 0, 1] and padded[0].type.shape == (1, *_turned(x))
        and unshaped(padded[0]).node.attributes["order"] == [1, 2, 0] and around["before"] == [0, 0, size // 2]
        and around["before"] == around["after"] and (around["mode"], around["value"]) == ("constant", 0)
        and (pooled["kernel"], pooled["stride"], pooled["pad"]) == ([1, size], 1, 0) and x.batched
    )  # fmt: skip
    if beta is None or k is None or alpha is None or not fits:
        return None
    return of_one("LRN", node, x, size=size, alpha=alpha, beta=beta, bias=k)


FORMS = {
    "divide": (_lrn,),
    "add": (
        _batchnorm,
        _groupnorm,
    ),
    "reshape": (_layernorm,),
}
