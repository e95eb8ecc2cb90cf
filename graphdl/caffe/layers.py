"""Layers of Caffe with windows or with weights: convolutions, pooling, products and normalizations.

Each function translates one kind of layer, from its inputs to its results. The rules are those of Caffe's own code (Jia
et al., 2014), for inference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, prod
from typing import Any

import numpy as np

from graphdl.caffe.network import UnsupportedLayerError
from graphdl.caffe.step import Step, shape_of, short
from graphdl.graph.types import TensorType
from graphdl.importing import terms
from graphdl.importing.terms import Term, block, call

_CONVOLUTIONS = {2: "conv1d", 3: "conv", 4: "conv3d"}
_TRANSPOSED = {2: "conv_transpose1d", 3: "conv_transpose", 4: "conv_transpose3d"}


def _extents(given: Any, name: str, field: str, count: int, default: int) -> list[int]:
    """An option of each extent: a number for all, a list, or the two fields ``_h`` and ``_w``.

    Raises:
        UnsupportedLayerError: it has another number of extents.
    """
    if given.HasField(f"{name}_h") or given.HasField(f"{name}_w"):
        found = [getattr(given, f"{name}_h"), getattr(given, f"{name}_w")]
    else:
        found = list(getattr(given, field)) or [default]
    found = found * count if len(found) == 1 else found
    if len(found) != count:
        raise UnsupportedLayerError(f"{field} has {len(found)} numbers for {count} extents")
    return found


def _one(numbers: Sequence[int]) -> int | list[int]:
    """A number for all extents, if they have the same."""
    return numbers[0] if len(set(numbers)) == 1 else list(numbers)


def convolution(step: Step) -> list[Term]:
    return _convolutions(step, "convolve", _CONVOLUTIONS)


def deconvolution(step: Step) -> list[Term]:
    return _convolutions(step, "convolve_transpose", _TRANSPOSED)


def _convolutions(step: Step, primitive: str, blocks: Mapping[int, str]) -> list[Term]:
    """The same filters for each input."""
    given = step.options("convolution")
    results = []
    weights: dict[str, np.ndarray] = {}
    for x in step.inputs:
        if x.rank not in blocks or step.axis(given.axis, x.rank) != 0:
            raise UnsupportedLayerError(f"a convolution of {x.type} with axis {given.axis}")
        count = x.rank - 1
        if not given.kernel_size and not given.HasField("kernel_h"):
            raise UnsupportedLayerError("it has no kernel_size")
        kernel = _extents(given, "kernel", "kernel_size", count, 0)
        options = {
            "stride": _one(_extents(given, "stride", "stride", count, 1)),
            "pad": _one(_extents(given, "pad", "pad", count, 0)),
            "dilation": _one(list(given.dilation) or [1]),
            "groups": given.group,
        }
        named = {name: value for name, value in options.items() if value != (0 if name == "pad" else 1)}
        filters, c = given.num_output, x.shape[0]
        if filters % given.group or c % given.group:
            raise UnsupportedLayerError(f"{c} and {filters} channels in {given.group} groups")
        shape = (filters, c // given.group) if primitive == "convolve" else (c, filters // given.group)
        if not weights:
            weights["W"] = step.weight(0, (*shape, *kernel))
            if given.bias_term:
                weights["b"] = step.weight(1, (filters,))
        made = shape_of(primitive, x, Term("W", TensorType((*shape, *kernel))), **named)
        bias = {} if given.bias_term else {"bias": False}
        results.append(step.module(blocks[x.rank], x, made, weights, filters, _one(kernel), **named, **bias))
    return results


def pooling(step: Step) -> Term:
    x, given = step.image(step.x), step.options("pooling")
    if given.pool not in (0, 1) or len(step.layer.tops) > 1:
        raise UnsupportedLayerError("stochastic pooling, or the places of maxima")
    name, primitive = ("avgpool", "mean_window") if given.pool else ("maxpool", "max_window")
    pad = _extents(given, "pad", "pad", 2, 0)
    stride = _extents(given, "stride", "stride", 2, 1)
    if given.global_pooling:
        if any(pad) or stride != [1, 1]:
            raise UnsupportedLayerError("global pooling with pad or stride")
        return block(f"global_{name}", x, (x.shape[0], 1, 1))
    if not given.kernel_size and not given.HasField("kernel_h"):
        raise UnsupportedLayerError("it has no kernel_size")
    kernel = _extents(given, "kernel", "kernel_size", 2, 0)
    if any(p >= k for p, k in zip(pad, kernel, strict=True)):
        raise UnsupportedLayerError(f"a window of {kernel} with pad {pad}")
    wanted = []
    for n, k, s, p in zip(x.shape[1:], kernel, stride, pad, strict=True):
        left = n + 2 * p - k
        length = (left // s if given.round_mode else ceil(left / s)) + 1
        if any(pad) and (length - 1) * s >= n + p:
            length -= 1  # the last window would start behind the image
        if left < 0 or (length - 1) * s - p >= n:
            raise UnsupportedLayerError(f"a window of {kernel} that reaches no pixel of {x.type}")
        wanted.append(length)
    named: dict[str, Any] = {} if stride == kernel else {"stride": _one(stride)}
    if any(pad):
        named["pad"] = _one(pad)
    for rounding in ({}, {"ceil": True}):
        made = shape_of(primitive, x, kernel=_one(kernel), **{"stride": _one(kernel)} | named | rounding)
        if list(made[1:]) == wanted:
            return block(name, x, made, _one(kernel), **named, **rounding)
    raise UnsupportedLayerError(f"windows of {kernel} with stride {stride} and pad {pad} on {x.type}")


def inner_product(step: Step) -> Term:
    x, given = step.x, step.options("inner_product")
    axis = step.axis(given.axis, x.rank)
    taps, units = prod(x.shape[axis:]), given.num_output
    if x.rank > axis + 1:
        flat = (*x.shape[:axis], taps)
        x = step.through("flatten", x, flat) if axis == 0 else terms.reshape(step.keep(x), flat)
    if given.transpose:
        weights = {"W": step.weight(0, (taps, units))}
    else:
        weights = {"W": step.weight(0, (units, taps), turned=True)}
    if not given.bias_term:
        return step.module("linear", x, (*x.shape[:-1], units), weights, units, bias=False)
    return step.module("linear", x, (*x.shape[:-1], units), weights | {"b": step.weight(1, (units,))}, units)


def embed(step: Step) -> Term:
    x, given = step.x, step.options("embed")
    if x.type.classes is None:
        raise UnsupportedLayerError("its words are no input of the net, or another layer reads them too")
    units = given.num_output
    made = step.module("embedding", x, (*x.shape, units), {"W": step.weight(0, (given.input_dim, units))}, units)
    if not given.bias_term:
        return made
    return step.keep(made) + step.parameter("bias", step.weight(1, (units,)), (units,))


def lrn(step: Step) -> Term:
    x, given = step.image(step.x), step.options("lrn")
    size, alpha, beta = given.local_size, short(given.alpha), short(given.beta)
    if size % 2 == 0:
        raise UnsupportedLayerError(f"local_size = {size}, an even number")
    if given.norm_region == 0:
        return block("lrn", x, x.shape, size, alpha, beta, *([] if given.k == 1 else [short(given.k)]))
    x = step.keep(x)
    mean = call("mean_window", x * x, kernel=size, stride=1, pad=size // 2)
    return x / (1 + alpha * mean) ** beta


def batch_norm(step: Step) -> Term:
    """With the numbers of the Scale behind it, or with a gamma of 1 and a beta of 0."""
    x, given = step.x, step.options("batch_norm")
    if not x.rank:
        raise UnsupportedLayerError("one number for each example")
    c = (x.shape[0],)
    factor = step.weight(2, (1,))[0]
    share = 1 / factor if factor else 0.0
    weights = {
        "gamma": np.ones(c, np.float32), "beta": np.zeros(c, np.float32),
        "mean": step.weight(0, c) * np.float32(share), "variance": step.weight(1, c) * np.float32(share),
    }  # fmt: skip
    if step.scale is not None:
        weights["gamma"] = step.weights.take(step.scale, 0, c)
        if step.scale.options("scale").bias_term:
            weights["beta"] = step.weights.take(step.scale, 1, c)
    momentum, epsilon = round(1 - short(given.moving_average_fraction), 7), short(given.eps)
    named = {"momentum": momentum} | ({} if epsilon == 1e-5 else {"epsilon": epsilon})
    return step.module("batchnorm", x, x.shape, weights, **named)


def scale(step: Step) -> Term:
    given = step.options("scale")
    if len(step.inputs) == 2:
        if given.bias_term:
            raise UnsupportedLayerError("a bias beside a scale that another layer makes")
        return step.keep(step.inputs[0]) * _second(step, given.axis)
    shape, wide = _along(step.x, step, given)
    result = step.keep(step.x) * step.parameter("scale", step.weight(0, shape), wide)
    if not given.bias_term:
        return result
    return result + step.parameter("bias", step.weight(1, shape), wide)


def bias(step: Step) -> Term:
    given = step.options("bias")
    if len(step.inputs) == 2:
        return step.keep(step.inputs[0]) + _second(step, given.axis)
    shape, wide = _along(step.x, step, given)
    return step.keep(step.x) + step.parameter("bias", step.weight(0, shape), wide)


def _along(x: Term, step: Step, given: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape of a parameter for the dimensions from ``axis`` on, and this shape with ones for those behind it."""
    if given.num_axes == 0:
        return (), ()
    axis = step.axis(given.axis, x.rank)
    end = x.rank if given.num_axes < 0 else axis + given.num_axes
    shape = x.shape[axis:end]
    return shape, (*shape, *[1] * (x.rank - end))


def _second(step: Step, axis: int) -> Term:
    """The second input, which has the batch as the first one has, with ones for the dimensions behind its own."""
    x, y = step.inputs
    if axis not in (0, -x.rank - 1) or y.shape != x.shape[: y.rank]:
        raise UnsupportedLayerError(f"{y.type} beside {x.type} with axis {axis}")
    return terms.reshape(step.keep(y), (*y.shape, *[1] * (x.rank - y.rank)))


def mvn(step: Step) -> Term:
    x, given = step.keep(step.image(step.x)), step.options("mvn")
    axes = [0, 1, 2] if given.across_channels else [1, 2]
    y = x - call("mean", x, axis=axes, keep=True)
    if not given.normalize_variance:
        return y
    y = step.keep(y)
    return y / (call("sqrt", call("mean", y * y, axis=axes, keep=True)) + short(given.eps))
