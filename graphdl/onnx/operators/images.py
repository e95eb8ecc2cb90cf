"""Operators over images ``[batch, channels, ..]``: convolutions, pooling, normalization."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from graphdl.graph.types import TensorType
from graphdl.importing import terms
from graphdl.importing.terms import Term, block, call
from graphdl.onnx.operators.products import layer_name
from graphdl.onnx.operators.windows import greatest_places
from graphdl.onnx.step import Step
from graphdl.onnx.values import Const, MixesExamplesError, UnsupportedNodeError, Value

_SUFFIX = {1: "1d", 2: "", 3: "3d"}
"""What follows the names of the library's layers for images of one, two and three extents."""


def _compact(numbers: Sequence[int]) -> Any:
    """One number, if all are equal; else a list."""
    found = [int(n) for n in numbers]
    return found[0] if len(set(found)) == 1 else found


def _pad(step: Step, count: int) -> Any:
    """The hyperparameter ``pad``: a number, a list, or a list of pairs."""
    auto = str(step.attribute("auto_pad", "NOTSET"))
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return "same" if auto == "SAME_UPPER" else "same_lower"
    pads = [0] * (2 * count) if auto == "VALID" else list(step.attribute("pads", [0] * (2 * count)))
    return _pairs(pads[:count], pads[count:])


def _pairs(before: Sequence[int], after: Sequence[int]) -> Any:
    if list(before) == list(after):
        return _compact(before)
    return [[int(b), int(a)] for b, a in zip(before, after, strict=True)]


def _given(**hypers: Any) -> dict[str, Any]:
    """The hyperparameters that differ from the defaults of the library."""
    defaults = {"stride": 1, "pad": 0, "dilation": 1, "groups": 1, "output_pad": 0, "ceil": False, "count_pad": True}
    return {name: value for name, value in hypers.items() if value != defaults.get(name, object())}


def _image(value: Value) -> tuple[int, tuple[int, ...]]:
    """The number of images in an example, and the shape of one; without a batch all images are one example."""
    if value.batch == 0 and not value.merged:
        return 1, value.term.shape
    if value.batch is not None:
        raise MixesExamplesError
    return value.term.shape[0], value.term.shape[1:]


def _one_image(value: Value) -> Term:
    """The only image of an example, without the dimension that counts images."""
    count, shape = _image(value)
    if count != 1:
        raise UnsupportedNodeError("several images without a batch")
    return terms.reshape(value.term, shape)


def _images_like(value: Value, term: Term) -> Value:
    return value.with_term(term if value.batch is not None else terms.reshape(term, (1, *term.shape)))


def _weights(step: Step, index: int) -> Const:
    """A known input that becomes a parameter."""
    step.constant(index)
    found = step.source(index)
    assert isinstance(found, Const)
    return found


def _convolved(
    step: Step, value: Value, w: Const, bias: Const | None, layer: str, channels: int, hypers: dict[str, Any]
) -> Value:
    """A convolution, as a layer of the library or (with several images and no batch) as a primitive."""
    primitive = {"conv": "convolve", "conv_transpose": "convolve_transpose"}[layer]
    count, shape = _image(value)
    filters = w.known
    kernel = filters.shape[2:]
    groups = hypers.get("groups", 1)
    if count == 1:
        x = _one_image(value)
        kind = call(primitive, x, Term("W", TensorType(filters.shape)), **hypers).type
        named = {**hypers} if bias is not None else {**hypers, "bias": False}
        applied = block(f"{layer}{_SUFFIX[len(kernel)]}", x, kind.shape, channels, _compact(kernel), **named)
        weights = {"W": filters} if bias is None else {"W": filters, "b": bias.known}
        term = step.writer.layer(applied, layer_name(step, w), weights)
        return _images_like(value, step.keep(term) if value.batch is None else term)
    # the images are groups of one larger image, with the same filters for each
    merged = terms.reshape(value.term, (count * shape[0], *shape[1:]))
    own = step.writer.declare(w.name or "W", filters)
    several = terms.broadcast_to(terms.reshape(own, (1, *filters.shape)), (count, *filters.shape))
    several = terms.reshape(several, (count * filters.shape[0], *filters.shape[1:]))
    y = call(primitive, merged, several, **{**hypers, "groups": groups * count})
    y = terms.reshape(step.keep(y), (count, channels, *y.shape[1:]))
    if bias is not None:
        y = y + terms.reshape(step.tensor(bias).term, (channels, *[1] * len(kernel)))
    return value.with_term(y)


def _conv(step: Step) -> Value:
    return convolution(step, step.value(), _weights(step, 1), _weights(step, 2) if step.has(2) else None)


def convolution(step: Step, value: Value, w: Const, bias: Const | None) -> Value:
    """A convolution with the attributes of ``step``."""
    count = w.array.ndim - 2
    if count not in _SUFFIX:
        raise UnsupportedNodeError(f"a convolution over {count} extents")
    hypers = _given(
        stride=_compact(step.attribute("strides", [1] * count)),
        pad=_pad(step, count),
        dilation=_compact(step.attribute("dilations", [1] * count)),
        groups=int(step.attribute("group", 1)),
    )
    return _convolved(step, value, w, bias, "conv", w.array.shape[0], hypers)


def _deformable(step: Step) -> Value:
    value, offset, w = step.value(0), step.value(2), _weights(step, 1)
    bias = _weights(step, 3) if step.has(3) else None
    moved = [offset, step.value(4)] if step.has(4) else [offset]
    pads = list(step.attribute("pads", [0] * 4))
    if w.array.ndim != 4 or pads[:2] != pads[2:]:
        raise UnsupportedNodeError("a deformable convolution of other than two extents, or with different pads")
    if len({v.batch for v in (value, *moved)}) > 1:
        raise MixesExamplesError
    operands = [_one_image(v) for v in (value, *moved)]
    channels, kernel = w.known.shape[0], w.known.shape[2:]
    hypers = _given(
        stride=_compact(step.attribute("strides", [1, 1])), pad=_compact(pads[:2]),
        dilation=_compact(step.attribute("dilations", [1, 1])), groups=int(step.attribute("group", 1)),
    )  # fmt: skip
    hypers |= {} if bias is not None else {"bias": False}
    whole = terms.block_of(
        operands, "deform_conv", (channels, *operands[1].shape[1:]), channels, _compact(kernel), **hypers
    )
    weights = {"W": w.known} if bias is None else {"W": w.known, "b": bias.known}
    return _images_like(value, step.keep(step.writer.layer(whole, layer_name(step, w), weights)))


def _conv_transpose(step: Step) -> Value:
    w = _weights(step, 1)
    kernel = w.array.shape[2:]
    count = len(kernel)
    if count not in _SUFFIX:
        raise UnsupportedNodeError(f"a convolution over {count} extents")
    stride = list(step.attribute("strides", [1] * count))
    dilation = list(step.attribute("dilations", [1] * count))
    extra = list(step.attribute("output_padding", [0] * count))
    auto = str(step.attribute("auto_pad", "NOTSET"))
    extents = _image(step.value())[1][1:]
    wanted = step.attribute("output_shape")
    if wanted is None and auto in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [n * s for n, s in zip(extents, stride, strict=True)]
    pads = list(step.attribute("pads", [0] * (2 * count))) if auto != "VALID" else [0] * (2 * count)
    if wanted is not None:
        whole = [
            (n - 1) * s + (k - 1) * d + 1 + e
            for n, s, k, d, e in zip(extents, stride, kernel, dilation, extra, strict=True)
        ]
        surplus = [n - m for n, m in zip(whole, list(wanted)[-count:], strict=True)]
        extra = [e + max(0, -t) for e, t in zip(extra, surplus, strict=True)]
        surplus = [max(0, t) for t in surplus]
        less, more = [t // 2 for t in surplus], [t - t // 2 for t in surplus]
        pads = more + less if auto == "SAME_LOWER" else less + more
    groups = int(step.attribute("group", 1))
    hypers = _given(
        stride=_compact(stride), pad=_pairs(pads[:count], pads[count:]), dilation=_compact(dilation),
        output_pad=_compact(extra), groups=groups,
    )  # fmt: skip
    bias = _weights(step, 2) if step.has(2) else None
    return _convolved(step, step.value(), w, bias, "conv_transpose", w.array.shape[1] * groups, hypers)


def _pool(step: Step) -> list[Value] | Value:
    value = step.value()
    count, shape = _image(value)
    kernel = [int(k) for k in step.attribute("kernel_shape")]
    extents = len(kernel)
    if extents not in _SUFFIX:
        raise UnsupportedNodeError(f"pooling over {extents} extents")
    stride = _compact(step.attribute("strides", [1] * extents))
    hypers = {} if stride == _compact(kernel) else {"stride": stride}
    hypers |= _given(
        pad=_pad(step, extents),
        dilation=_compact(step.attribute("dilations", [1] * extents)),
        ceil=bool(step.attribute("ceil_mode", 0)),
    )
    # every channel is pooled for itself, so those of several images are further channels
    x = terms.reshape(value.term, (count * shape[0], *shape[1:]))
    if value.batch is not None and not (step.op == "AveragePool" and "dilation" in hypers):
        y = _pooling_layer(step, x, kernel, hypers)
    else:
        y = _pooling(step, x, kernel, hypers)
    most = value.with_term(y if value.batch is not None else terms.reshape(y, (count, shape[0], *y.shape[1:])))
    return [most, greatest_places(step, value, y.shape[1:])] if step.wants(1) else most


def _pooling_layer(step: Step, x: Term, kernel: Sequence[int], hypers: dict[str, Any]) -> Term:
    suffix = _SUFFIX[len(kernel)]
    form = call("sum_window", terms.convert(x, "float"), kernel=_compact(kernel), **hypers).shape
    match step.op:
        case "MaxPool" if x.element == "float":
            return block(f"maxpool{suffix}", x, form, _compact(kernel), **hypers)
        case "AveragePool":
            more = {} if step.attribute("count_include_pad", 0) or "pad" not in hypers else {"count_pad": False}
            return block(f"avgpool{suffix}", x, form, _compact(kernel), **hypers, **more)
        case "LpPool":
            return block("lppool", x, form, _compact(kernel), p=step.attribute("p", 2), **hypers)
    return _pooling(step, x, kernel, hypers)


def _pooling(step: Step, x: Term, kernel: Sequence[int], hypers: dict[str, Any]) -> Term:
    given = {"kernel": _compact(kernel), **hypers}
    if step.op == "MaxPool":
        return call("max_window", x, **given)
    if step.op == "AveragePool":
        return call("mean_window", x, **given, count_pad=bool(step.attribute("count_include_pad", 0)))
    p = step.attribute("p", 2)
    total: Term = call("sum_window", call("abs", x) ** p, **given) ** (1 / p)
    return total


def _global_pool(step: Step) -> Value:
    value = step.value()
    lead = 1 if value.batch is not None else 2
    x, axes = value.term, list(range(lead, value.term.rank))
    name = {"GlobalAveragePool": "global_avgpool", "GlobalMaxPool": "global_maxpool"}.get(step.op)
    if name is None:
        p = step.attribute("p", 2)
        return value.with_term(call("sum", call("abs", x) ** p, axis=axes, keep=True) ** (1 / p))
    _image(value)
    shape = (*x.shape[:lead], *[1] * len(axes))
    if value.batch is not None and len(axes) in _SUFFIX:
        return value.with_term(block(f"{name}{_SUFFIX[len(axes)]}", x, shape))
    return value.with_term(call("mean" if step.op == "GlobalAveragePool" else "max", x, axis=axes, keep=True))


def _batch_normalization(step: Step) -> Value:
    if step.attribute("training_mode", 0) or step.wants(1):
        raise UnsupportedNodeError("batch normalization in training")
    value, epsilon = step.value(), float(step.attribute("epsilon", 1e-5))
    if value.batch not in (None, 0) or value.merged:
        raise MixesExamplesError
    given = [step.source(k) for k in range(1, 5)]
    if value.batch == 0 and all(isinstance(g, Const) for g in given):
        names = ("gamma", "beta", "mean", "variance")
        weights = {name: g.known for name, g in zip(names, given, strict=True) if isinstance(g, Const)}
        hypers = {} if np.isclose(epsilon, 1e-5) else {"epsilon": epsilon}
        applied = block("batchnorm", value.term, value.term.shape, **hypers)
        first = given[0]
        assert isinstance(first, Const)
        return value.with_term(step.writer.layer(applied, layer_name(step, first), weights))
    rest = value.rank - 2
    column = [-1, *[1] * rest]
    gamma, beta, mean, variance = (_column(step.value(k), column) for k in range(1, 5))
    return value.with_term((value.term - mean) / call("sqrt", variance + epsilon) * gamma + beta)


def _column(value: Value, shape: Sequence[int]) -> Term:
    """A number for each channel, beside images."""
    if value.batch is not None:
        raise MixesExamplesError
    return terms.reshape(value.term, [value.term.type.size if n == -1 else n for n in shape])


def _instance_normalization(step: Step) -> Value:
    value, epsilon = step.value(), float(step.attribute("epsilon", 1e-5))
    _image(value)
    lead = 1 if value.batch is not None else 2
    scale, shift = step.source(1), step.source(2)
    if value.batch is not None and isinstance(scale, Const) and isinstance(shift, Const):
        hypers = {} if np.isclose(epsilon, 1e-5) else {"epsilon": epsilon}
        applied = block("instancenorm", value.term, value.term.shape, **hypers, affine=True)
        weights = {"gamma": scale.known, "beta": shift.known}
        return value.with_term(step.writer.layer(applied, layer_name(step, scale), weights))
    x, axes = value.term, list(range(lead, value.term.rank))
    d = step.keep(x - call("mean", x, axis=axes, keep=True))
    normal = d / call("sqrt", call("mean", d * d, axis=axes, keep=True) + epsilon)
    column = [-1, *[1] * len(axes)]
    return value.with_term(normal * _column(step.value(1), column) + _column(step.value(2), column))


def _layer_normalization(step: Step) -> Any:
    """As a layer of the library if it has parameters and is over the last dimensions; else by ONNX's body for it."""
    value, scale = step.value(), step.source(1)
    shift = step.source(2) if step.has(2) else None
    rms = step.op == "RMSNormalization"
    outer = int(step.attribute("axis", -1)) % value.rank
    if step.wants(1) or not isinstance(scale, Const) or (not rms and not isinstance(shift, Const)):
        return NotImplemented
    if value.kind.kind != "f" or value.kind.itemsize != 4:
        return NotImplemented
    axis = value.axis(outer)
    if value.batch is not None and value.batch > outer:
        raise MixesExamplesError
    length = prod(value.term.shape[axis:])
    if scale.array.size != length or (isinstance(shift, Const) and shift.array.size != length):
        return NotImplemented
    epsilon = float(step.attribute("epsilon", 1e-5))
    hypers: dict[str, Any] = {"epsilon": epsilon} if rms or not np.isclose(epsilon, 1e-5) else {}
    if axis != value.term.rank - 1:
        hypers["axis"] = axis - value.term.rank
    applied = block("rmsnorm" if rms else "layernorm", value.term, value.term.shape, **hypers)
    weights = {"gamma": scale.known.reshape(-1)}
    if isinstance(shift, Const) and not rms:
        weights["beta"] = shift.known.reshape(-1)
    return value.with_term(step.writer.layer(applied, layer_name(step, scale), weights))


def _response_normalization(step: Step) -> Value:
    value = step.value()
    hypers = {
        "n": int(step.attribute("size")),
        "alpha": float(step.attribute("alpha", 1e-4)),
        "beta": float(step.attribute("beta", 0.75)),
        "k": float(step.attribute("bias", 1.0)),
    }
    x = _one_image(value)
    return _images_like(value, step.keep(block("lrn", x, x.shape, **hypers)))


def _norm(step: Step) -> Value:
    value = step.value()
    axis = step.axis(value, -1)
    x = value.term
    if int(step.attribute("p", 2)) == 1:
        total = call("sum", call("abs", x), axis=[axis], keep=True)
    else:
        total = call("sqrt", call("sum", x * x, axis=[axis], keep=True))
    norm = step.keep(total)
    return value.with_term(terms.where(terms.equal(norm, 0), 0.0, x / norm))


def _dropout(step: Step) -> list[Value | Const]:
    value = step.value()
    ratio = float(step.constant(1).item()) if step.has(1) else float(step.attribute("ratio", 0.5))
    if step.has(2) and bool(step.constant(2).item()) and ratio:
        raise UnsupportedNodeError("dropout in training")
    results: list[Value | Const] = [value]
    if step.wants(1):
        everywhere = terms.equal(value.term, value.term)
        results.append(value.with_term(everywhere, np.dtype(bool)))
    return results


TABLE: dict[str, Callable[[Step], Any]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DeformConv": _deformable,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "LpPool": _pool,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "GlobalLpPool": _global_pool,
    "BatchNormalization": _batch_normalization,
    "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization,
    "RMSNormalization": _layer_normalization,
    "LRN": _response_normalization,
    "LpNormalization": _norm,
    "Dropout": _dropout,
}
