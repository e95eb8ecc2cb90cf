"""One function for each kind of Darknet layer: from the results of earlier layers to the result of this one.

The rules are those of Darknet's own code (Redmon, 2013 to 2016), for inference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from graphdl.darknet.config import Section, UnsupportedLayerError
from graphdl.darknet.weights import Weights
from graphdl.graph.types import TensorType
from graphdl.importing import terms
from graphdl.importing.terms import Term, block, call
from graphdl.importing.text import NetText

_EPSILON = 1e-5
_LEAK = 0.1


@dataclass
class Step:
    """A layer that is translated."""

    section: Section
    results: Sequence[Term]
    """Those of the layers before it; the first is the input of the net."""
    text: NetText
    weights: Weights

    @property
    def x(self) -> Term:
        """The result of the layer before."""
        return self.results[-1]

    @property
    def image(self) -> Term:
        """The same, as an image.

        Raises:
            UnsupportedLayerError: it is a vector.
        """
        if self.x.rank != 3:
            raise UnsupportedLayerError(f"it reads {self.x.type}, which is no image")
        return self.x

    def result(self, offset: int) -> Term:
        """The result of another layer: counted from the first one, or back from this one.

        Raises:
            UnsupportedLayerError: there is none.
        """
        number = offset if offset >= 0 else self.section.number + offset
        if not 0 <= number < self.section.number:
            raise UnsupportedLayerError(f"there is no layer {offset} before it")
        return self.results[number + 1]

    def layer(self, name: str, x: Term, shape: Sequence[int], weights: Mapping[str, np.ndarray], *hypers: Any,
              **named: Any) -> Term:  # fmt: skip
        """A layer of the library with these parameters."""
        label = f"{name}_{self.section.number}"
        return self.text.layer(self.through(name, x, shape, *hypers, **named), label, weights)

    def through(self, name: str, x: Term, shape: Sequence[int], *hypers: Any, **named: Any) -> Term:
        """A layer of the library without parameters."""
        return block(name, self.keep(x), shape, *hypers, **named)

    def keep(self, x: Term) -> Term:
        return self.text.keep(x)[0]


def _shape(primitive: str, x: Term, *others: Term, **attributes: Any) -> tuple[int, ...]:
    return call(primitive, x, *others, **attributes).shape


def _activated(step: Step, x: Term, default: str = "logistic") -> Term:
    """The activation of a layer.

    Raises:
        UnsupportedLayerError: the language has no such function.
    """
    name = step.section.text("activation", default)
    if name == "linear":
        return x
    if name in _BLOCKS:
        block_name, hypers = _BLOCKS[name]
        return step.through(block_name, x, x.shape, *hypers)
    if name in _FORMULAS:
        return _FORMULAS[name](step.keep(x))
    raise UnsupportedLayerError(f"the activation {name}")


_BLOCKS: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "logistic": ("sigmoid", ()), "relu": ("relu", ()), "relu6": ("relu6", ()), "tanh": ("tanh", ()), "elu": ("elu", ()),
    "selu": ("selu", ()), "swish": ("silu", ()), "mish": ("mish", ()), "leaky": ("leaky_relu", (_LEAK,)),
    "relie": ("leaky_relu", (0.01,)),
}  # fmt: skip


def _plse(x: Term) -> Term:
    inner = terms.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5)
    return terms.where(x < -4, 0.01 * (x + 4), inner)


_FORMULAS: Mapping[str, Callable[[Term], Term]] = {
    "ramp": lambda x: call("maximum", x, 0) + _LEAK * x,
    "loggy": lambda x: 2 * call("sigmoid", x) - 1,
    "hardtan": lambda x: call("minimum", call("maximum", x, -1), 1),
    "lhtan": lambda x: terms.where(x < 0, 0.001 * x, terms.where(x > 1, 0.001 * (x - 1) + 1, x)),
    "plse": _plse,
    "stair": lambda x: terms.where(
        terms.equal(call("floor", x) % 2, 0), call("floor", x * 0.5), x - call("floor", x) + call("floor", x * 0.5)
    ),
}


def _normalized(step: Step, x: Term, beta: np.ndarray) -> Term:
    """Batch normalization whose shift, the bias of the layer, is read already."""
    channels = (x.shape[0],)
    gamma, mean, variance = (step.weights.take(channels) for _ in range(3))
    weights = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    return step.layer("batchnorm", x, x.shape, weights)


def _convolutional(step: Step) -> Term:
    x, section = step.image, step.section
    size, stride = section.whole("size", 1), section.whole("stride", 1)
    if section.whole("binary", 0) or section.whole("xnor", 0):
        raise UnsupportedLayerError("binary weights")
    filters, groups = section.whole("filters", 1), section.whole("groups", 1)
    dilation = section.whole("dilation", 1)
    pad = section.whole("padding", 0)
    if section.whole("pad", 0):
        pad = size // 2 * dilation
    bias = step.weights.take((filters,))
    shape = (filters, x.shape[0] // groups, size, size)
    settings = {"stride": stride, "pad": pad, "dilation": dilation, "groups": groups}
    given = {name: value for name, value in settings.items() if value != (0 if name == "pad" else 1)}
    made = _shape("convolve", x, Term("W", TensorType(shape)), **given)
    if not section.whole("batch_normalize", 0):
        y = step.layer("conv", x, made, {"W": step.weights.take(shape), "b": bias}, filters, size, **given)
        return _activated(step, y)
    # the numbers of the normalization stand before the filters
    channels = (filters,)
    gamma, mean, variance = (step.weights.take(channels) for _ in range(3))
    y = step.layer("conv", x, made, {"W": step.weights.take(shape)}, filters, size, **given, bias=False)
    normal = {"gamma": gamma, "beta": bias, "mean": mean, "variance": variance}
    return _activated(step, step.layer("batchnorm", y, y.shape, normal))


def _deconvolutional(step: Step) -> Term:
    x, section = step.image, step.section
    size, stride, filters = section.whole("size", 1), section.whole("stride", 1), section.whole("filters", 1)
    pad = size // 2 if section.whole("pad", 0) else section.whole("padding", 0)
    bias = step.weights.take((filters,))
    normal = section.whole("batch_normalize", 0)
    more = [step.weights.take((filters,)) for _ in range(3)] if normal else []
    weights = step.weights.take((x.shape[0], filters, size, size))
    given = {name: value for name, value in (("stride", stride), ("pad", pad)) if value != (name == "stride")}
    made = _shape("convolve_transpose", x, Term("W", TensorType(weights.shape)), **given)
    if not normal:
        y = step.layer("conv_transpose", x, made, {"W": weights, "b": bias}, filters, size, **given)
        return _activated(step, y)
    y = step.layer("conv_transpose", x, made, {"W": weights}, filters, size, **given, bias=False)
    gamma, mean, variance = more
    normals = {"gamma": gamma, "beta": bias, "mean": mean, "variance": variance}
    return _activated(step, step.layer("batchnorm", y, y.shape, normals))


def _flat(step: Step, x: Term) -> Term:
    return x if x.rank == 1 else step.through("flatten", x, (prod(x.shape),))


def _connected(step: Step) -> Term:
    x, section = _flat(step, step.x), step.section
    units = section.whole("output", 1)
    bias = step.weights.take((units,))
    if step.weights.flipped:
        matrix = step.weights.take((x.shape[0], units))
    else:
        matrix = np.ascontiguousarray(step.weights.take((units, x.shape[0])).T)
    if not section.whole("batch_normalize", 0):
        return _activated(step, step.layer("linear", x, (units,), {"W": matrix, "b": bias}, units))
    y = step.layer("linear", x, (units,), {"W": matrix}, units, bias=False)
    return _activated(step, _normalized(step, y, bias))


def _maxpool(step: Step) -> Term:
    x, section = step.image, step.section
    stride = section.whole("stride", 1)
    size = section.whole("size", stride)
    total = section.whole("padding", size - 1)
    before = total // 2
    # The windows that fit into the padded image; what no window reaches behind the image is no pad.
    around = [[before, max(0, (n + total - size) // stride * stride + size - before - n)] for n in x.shape[1:]]
    pad = {} if around == [[0, 0]] * 2 else {"pad": before if around == [[before, before]] * 2 else around}
    made = _shape("max_window", x, kernel=size, stride=stride, **pad)
    named = pad if stride == size else {"stride": stride, **pad}
    return block("maxpool", x, made, size, **named)


def _avgpool(step: Step) -> Term:
    x = step.image
    return _flat(step, block("global_avgpool", x, (x.shape[0], 1, 1)))


def _dropout(step: Step) -> Term:
    return block("dropout", step.x, step.x.shape, step.section.number_of("probability", 0.5))


def _softmax(step: Step) -> Term:
    x, section = step.x, step.section
    temperature, groups = section.number_of("temperature", 1.0), section.whole("groups", 1)
    if section.text("tree", ""):
        raise UnsupportedLayerError("a tree of classes")
    if temperature != 1:
        x = step.keep(x) / temperature
    if section.whole("spatial", 0):
        return step.through("softmax", x, x.shape, axis=0)
    flat = _flat(step, x)
    if groups == 1:
        return block("softmax", flat, flat.shape)
    rows = terms.reshape(step.keep(flat), (groups, flat.shape[0] // groups))
    return terms.reshape(block("softmax", rows, rows.shape), flat.shape)


def _route(step: Step) -> Term:
    section = step.section
    found = [step.result(offset) for offset in section.several("layers")]
    groups, group = section.whole("groups", 1), section.whole("group_id", 0)
    if groups > 1:
        found = [terms.sliced(x, 0, x.shape[0] // groups * group, x.shape[0] // groups * (group + 1)) for x in found]
    if len({x.shape[1:] for x in found}) > 1:
        raise UnsupportedLayerError(f"images of different sizes: {', '.join(str(x.type) for x in found)}")
    return terms.concat(found, 0)


def _shortcut(step: Step) -> Term:
    x, y = step.x, step.result(step.section.several("from")[0])
    if x.shape != y.shape:
        raise UnsupportedLayerError(f"the sum of {x.type} and {y.type}")
    return _activated(step, x + y, "linear")


def _upsample(step: Step) -> Term:
    x, section = step.image, step.section
    factor, scale = section.whole("stride", 2), section.number_of("scale", 1.0)
    if factor < 1:
        raise UnsupportedLayerError(f"stride = {factor}")
    c, h, w = x.shape
    y = block("upsample", x, (c, h * factor, w * factor), factor)
    return y if scale == 1 else step.keep(y) * scale


def _reorg(step: Step) -> Term:
    x, section = step.image, step.section
    s = section.whole("stride", 1)
    if section.whole("reverse", 0) or section.whole("flatten", 0) or section.whole("extra", 0):
        raise UnsupportedLayerError("a reorg that is reversed, flat or has extra elements")
    c, h, w = x.shape
    if c % (s * s):
        raise UnsupportedLayerError(f"{c} channels, no multiple of {s * s}")
    # Darknet's index runs over an image of c / s² channels that is s times as high and as wide.
    wide = terms.reshape(x, (c // (s * s), h, s, w, s))
    moved = terms.transpose(step.keep(wide), (2, 4, 0, 1, 3))
    return terms.reshape(moved, (c * s * s, h // s, w // s))


def _crop(step: Step) -> Term:
    x, section = step.image, step.section
    height, width = section.whole("crop_height", 1), section.whole("crop_width", 1)
    _, h, w = x.shape
    top, left = (h - height) // 2, (w - width) // 2
    if top < 0 or left < 0:
        raise UnsupportedLayerError(f"a crop of {height} × {width} of {x.type}")
    cut = terms.sliced(terms.sliced(x, 1, top, top + height), 2, left, left + width)
    return cut if section.whole("noadjust", 0) else 2 * step.keep(cut) - 1


def _normalization(step: Step) -> Term:
    x, section = step.image, step.section
    size, alpha = section.whole("size", 5), section.number_of("alpha", 0.0001)
    beta, kappa = section.number_of("beta", 0.75), section.number_of("kappa", 1.0)
    # Darknet multiplies the sum by alpha, the library the mean
    return block("lrn", x, x.shape, size, alpha * size, beta, kappa)


def _batchnorm(step: Step) -> Term:
    x = step.x
    return _normalized(step, x, step.weights.take((x.shape[0],)))


def _activation(step: Step) -> Term:
    return _activated(step, step.x, "linear")


def _logistic(step: Step) -> Term:
    return block("sigmoid", step.x, step.x.shape)


def _l2norm(step: Step) -> Term:
    x = step.keep(step.x)
    total = call("sum", x * x, axis=0, keep=True)
    return x / call("sqrt", total)


def _local(step: Step) -> Term:
    """A convolution with filters of its own at each place: products of patches."""
    x, section = step.image, step.section
    size, stride, filters = section.whole("size", 1), section.whole("stride", 1), section.whole("filters", 1)
    pad = section.whole("pad", 0)
    c, h, w = x.shape
    height, width = ((n + 2 * pad - size) // stride + 1 for n in (h, w))
    if pad and size != 2 * pad + 1:
        raise UnsupportedLayerError(f"size = {size} with pad = {pad}")
    places, taps = height * width, c * size * size
    name = f"local_{section.number}"
    bias = step.text.declare(f"{name}_b", step.weights.take((filters, places)))
    matrix = step.text.declare(f"{name}_W", step.weights.take((places, filters, taps)))
    wide = step.keep(terms.padded(x, (0, pad, pad), (0, pad, pad)))
    moved = []
    for ky in range(size):
        for kx in range(size):
            rows = terms.sliced(wide, 1, ky, ky + (height - 1) * stride + 1, stride)
            moved.append(terms.sliced(rows, 2, kx, kx + (width - 1) * stride + 1, stride))
    patches = step.keep(terms.concat([terms.reshape(each, (1, c, places)) for each in moved], 0))
    columns = terms.reshape(terms.transpose(patches, (2, 1, 0)), (places, taps, 1))
    product = step.keep(terms.reshape(matrix @ columns, (places, filters)))
    y = step.keep(terms.transpose(product, (1, 0)) + bias)
    return _activated(step, terms.reshape(y, (filters, height, width)))


def _boxes(step: Step, count: int, coordinates: int, classes: int, *, softmax: bool, scale: float = 1.0) -> Term:
    """The outputs of a grid of boxes, [boxes, coordinates + 1 + classes, h, w]: places, objectness and classes become
    probabilities; sizes stay logarithms.
    """
    x = step.image
    c, h, w = x.shape
    entries = coordinates + 1 + classes
    if c != count * entries:
        raise UnsupportedLayerError(f"{count} boxes of {entries} numbers, but {c} channels")
    boxes = step.keep(terms.reshape(x, (count, entries, h, w)))
    place = call("sigmoid", terms.sliced(boxes, 1, 0, 2))
    if scale != 1:
        place = scale * place - 0.5 * (scale - 1)
    parts = [place, terms.sliced(boxes, 1, 2, coordinates)]
    if softmax:
        chances = terms.sliced(boxes, 1, coordinates + 1, entries)
        chances = Term(f"softmax({chances.text}, axis = 1)", chances.type)
        parts += [call("sigmoid", terms.sliced(boxes, 1, coordinates, coordinates + 1)), chances]
    else:
        parts.append(call("sigmoid", terms.sliced(boxes, 1, coordinates, entries)))
    return terms.reshape(terms.concat(parts, 1), x.shape)


def _yolo(step: Step) -> Term:
    section = step.section
    count = len(section.several("mask")) if section.text("mask", "") else section.whole("num", 1)
    classes = section.whole("classes", 20)
    return _boxes(step, count, 4, classes, softmax=False, scale=section.number_of("scale_x_y", 1.0))


def _region(step: Step) -> Term:
    section = step.section
    if section.text("tree", "") or section.whole("background", 0):
        raise UnsupportedLayerError("a tree of classes, or a background")
    return _boxes(
        step, section.whole("num", 1), section.whole("coords", 4), section.whole("classes", 20),
        softmax=bool(section.whole("softmax", 0)),
    )  # fmt: skip


def _detection(step: Step) -> Term:
    section = step.section
    if not section.whole("softmax", 0):
        return step.x
    side, classes = section.whole("side", 7), section.whole("classes", 1)
    places = side * side
    flat = step.keep(_flat(step, step.x))
    first = terms.reshape(terms.sliced(flat, 0, 0, places * classes), (places, classes))
    chances = terms.reshape(block("softmax", first, first.shape), (places * classes,))
    return terms.concat([step.keep(chances), terms.sliced(flat, 0, places * classes, flat.shape[0])], 0)


def _same(step: Step) -> Term:
    return step.x


LAYERS: Mapping[str, Callable[[Step], Term]] = {
    "convolutional": _convolutional, "conv": _convolutional, "deconvolutional": _deconvolutional,
    "deconv": _deconvolutional, "connected": _connected, "conn": _connected, "local": _local, "maxpool": _maxpool,
    "max": _maxpool, "avgpool": _avgpool, "avg": _avgpool, "dropout": _dropout, "softmax": _softmax, "soft": _softmax,
    "route": _route, "shortcut": _shortcut, "upsample": _upsample, "reorg": _reorg, "crop": _crop,
    "normalization": _normalization, "lrn": _normalization, "batchnorm": _batchnorm, "activation": _activation,
    "logistic": _logistic, "l2norm": _l2norm, "yolo": _yolo, "region": _region, "detection": _detection, "cost": _same,
}  # fmt: skip
"""The function of each kind of layer, by the names that a configuration may use."""
OUTPUTS = frozenset(["yolo", "region", "detection"])
"""Kinds of layers whose results leave the net, wherever they stand."""
