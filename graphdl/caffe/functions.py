"""Layers of Caffe without weights: functions of elements, and those that combine, cut and rearrange blobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from math import log, prod

from graphdl.caffe import layers
from graphdl.caffe.network import UnsupportedLayerError
from graphdl.caffe.step import Step, short
from graphdl.importing import terms
from graphdl.importing.terms import Term, block, call


def _plain(name: str) -> Callable[[Step], Term]:
    """A function of the library or a primitive that has no options."""
    return lambda step: block(name, step.x, step.x.shape)


def _same(step: Step) -> Term:
    return step.x


def _relu(step: Step) -> Term:
    slope = short(step.options("relu").negative_slope)
    return block("leaky_relu", step.x, step.x.shape, slope) if slope else block("relu", step.x, step.x.shape)


def _prelu(step: Step) -> Term:
    x = step.x
    count = 1 if step.options("prelu").channel_shared or not x.rank else x.shape[0]
    return step.module("prelu", x, x.shape, {"a": step.weight(0, (count,))}, *([count] if count > 1 else []))


def _elu(step: Step) -> Term:
    alpha = short(step.options("elu").alpha)
    return block("elu", step.x, step.x.shape, *([] if alpha == 1 else [alpha]))


def _dropout(step: Step) -> Term:
    return block("dropout", step.x, step.x.shape, short(step.options("dropout").dropout_ratio))


def _clip(step: Step) -> Term:
    given = step.options("clip")
    return block("hard_tanh", step.x, step.x.shape, short(given.min), short(given.max))


def _swish(step: Step) -> Term:
    beta = short(step.options("swish").beta)
    if beta == 1:
        return block("silu", step.x, step.x.shape)
    x = step.keep(step.x)
    return x * call("sigmoid", beta * x)


def _line(x: Term, scale: float, shift: float) -> Term:
    """shift + scale x."""
    x = x if scale == 1 else scale * x
    return x if shift == 0 else x + shift


def _power(step: Step) -> Term:
    given = step.options("power")
    power = short(given.power)
    line = _line(step.x, short(given.scale), short(given.shift))
    if power == 1:
        return line
    if power == int(power) and power > 1:
        return line ** int(power)
    return line**power


def _base(base: float) -> float:
    """The factor of an exponent with this base.

    Raises:
        UnsupportedLayerError: there is none.
    """
    if base == -1:
        return 1.0
    if base <= 0 or base == 1:
        raise UnsupportedLayerError(f"base = {base:g}")
    return log(base)


def _exp(step: Step) -> Term:
    given = step.options("exp")
    factor = _base(short(given.base))
    return call("exp", _line(step.x, short(given.scale) * factor, short(given.shift) * factor))


def _log(step: Step) -> Term:
    given = step.options("log")
    factor = _base(short(given.base))
    result = call("log", _line(step.x, short(given.scale), short(given.shift)))
    return result if factor == 1 else result / factor


def _threshold(step: Step) -> Term:
    return call("float", step.x > short(step.options("threshold").threshold))


def _softmax(step: Step) -> Term:
    x = step.x
    axis = step.axis(step.options("softmax").axis, x.rank)
    return block("softmax", x, x.shape, **({} if axis == x.rank - 1 else {"axis": axis}))


def _eltwise(step: Step) -> Term:
    given = step.options("eltwise")
    found = [step.keep(x) for x in step.inputs]
    if len({x.shape for x in found}) > 1:
        raise UnsupportedLayerError(f"blobs of different shapes: {', '.join(str(x.type) for x in found)}")
    coefficients = [short(c) for c in given.coeff] or [1.0] * len(found)
    if len(coefficients) != len(found) or (given.coeff and given.operation != 1):
        raise UnsupportedLayerError(f"{len(coefficients)} coefficients of {len(found)} blobs")
    if given.operation == 1:
        found = [x if c == 1 else c * x for c, x in zip(coefficients, found, strict=True)]
    result = found[0]
    for x in found[1:]:
        if given.operation == 2:
            result = call("maximum", result, x)
        else:
            result = result + x if given.operation == 1 else result * x
    return result


def _concat(step: Step) -> Term:
    given = step.options("concat")
    found = [step.keep(x) for x in step.inputs]
    axis = given.concat_dim if given.HasField("concat_dim") else given.axis
    return terms.concat(found, step.axis(axis, found[0].rank))


def _slice(step: Step) -> list[Term]:
    x, given = step.keep(step.x), step.options("slice")
    axis = step.axis(given.slice_dim if given.HasField("slice_dim") else given.axis, x.rank)
    count, length = len(step.layer.tops), x.shape[axis]
    points = list(given.slice_point)
    if not points and length % count == 0:
        points = [length // count * k for k in range(1, count)]
    ends = [0, *points, length]
    if len(points) != count - 1 or any(a >= b for a, b in pairwise(ends)):
        raise UnsupportedLayerError(f"{count} slices of {length} elements at {points}")
    return [terms.sliced(x, axis, start, end) for start, end in pairwise(ends)]


def _split(step: Step) -> list[Term]:
    return [step.keep(step.x)] * len(step.layer.tops)


def _silence(step: Step) -> list[Term]:
    return []


def _reshape(step: Step) -> Term:
    x, given = step.x, step.options("reshape")
    first = given.axis if given.axis >= 0 else given.axis + x.rank + 2
    end = x.rank + 1 if given.num_axes < 0 else first + given.num_axes
    wanted = list(given.shape.dim)
    if first == 0:  # the batch is among what is replaced, and stays
        if not wanted or end == 0 or (wanted[0] > 0 and wanted[0] != step.batch):
            raise UnsupportedLayerError(f"a shape that changes the batch: {wanted}")
        first, wanted = 1, wanted[1:]
    replaced = x.shape[first - 1 : end - 1]
    if any(n == 0 and k >= len(replaced) for k, n in enumerate(wanted)):
        raise UnsupportedLayerError(f"the shape {wanted} of {x.type}")
    wanted = [replaced[k] if n == 0 else n for k, n in enumerate(wanted)]
    if wanted.count(-1) == 1:
        wanted[wanted.index(-1)] = prod(replaced) // max(1, -prod(wanted))
    if prod(wanted) != prod(replaced):
        raise UnsupportedLayerError(f"the shape {wanted} of {x.type}")
    return terms.reshape(x, (*x.shape[: first - 1], *wanted, *x.shape[end - 1 :]))


def _flatten(step: Step) -> Term:
    x, given = step.x, step.options("flatten")
    first, last = step.axis(given.axis, x.rank), step.axis(given.end_axis, x.rank)
    if x.rank == 1:
        return x
    if (first, last) == (0, x.rank - 1):
        return block("flatten", x, (prod(x.shape),))
    return terms.reshape(x, (*x.shape[:first], prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


def _reduction(step: Step) -> Term:
    x, given = step.x, step.options("reduction")
    axis, coefficient = step.axis(given.axis, x.rank), short(given.coeff)
    if given.operation == 2:
        x = call("abs", x)
    elif given.operation == 3:
        x = step.keep(x)
        x = x * x
    result = call("mean" if given.operation == 4 else "sum", x, axis=list(range(axis, x.rank)))
    return result if coefficient == 1 else coefficient * result


def _tile(step: Step) -> Term:
    x, given = step.keep(step.x), step.options("tile")
    if given.tiles < 1:
        raise UnsupportedLayerError(f"tiles = {given.tiles}")
    return terms.concat([x] * given.tiles, step.axis(given.axis, x.rank))


def _argmax(step: Step) -> Term:
    """Places are ints. Without an axis they are those in the flat example, of the shape [1, k, 1, ..]."""
    x, given = step.x, step.options("argmax")
    if given.HasField("axis"):
        axis = step.axis(given.axis, x.rank)
        if given.top_k == 1:
            return call("max" if given.out_max_val else "argmax", x, axis=axis, keep=True)
        values, places = step.text.keep(*terms.calls("topk", x, k=given.top_k, axis=axis))
        return values if given.out_max_val else places
    shape = (1, given.top_k, *[1] * (x.rank - 2))
    x = terms.reshape(x, (prod(x.shape),))
    if given.top_k == 1 and not given.out_max_val:
        return terms.reshape(call("argmax", x), shape)
    values, places = step.text.keep(*terms.calls("topk", x, k=given.top_k))
    if not given.out_max_val:
        return terms.reshape(places, shape)
    return terms.concat([terms.reshape(call("float", places), shape), terms.reshape(values, shape)], 0)


def _crop(step: Step) -> Term:
    if len(step.inputs) != 2:
        raise UnsupportedLayerError(f"it reads {len(step.inputs)} blobs")
    (x, other), given = step.inputs, step.options("crop")
    axis = step.axis(given.axis, x.rank)
    offsets = list(given.offset) or [0]
    offsets = offsets * (x.rank - axis) if len(offsets) == 1 else offsets
    if len(offsets) != x.rank - axis or other.rank != x.rank:
        raise UnsupportedLayerError(f"{len(offsets)} offsets of {x.type} and {other.type}")
    for k, start in enumerate(offsets, axis):
        if start + other.shape[k] > x.shape[k]:
            raise UnsupportedLayerError(f"{other.type} does not lie within {x.type} at {offsets}")
        x = terms.sliced(step.keep(x), k, start, start + other.shape[k])
    return x


def _permute(step: Step) -> Term:
    order = list(step.options("permute").order)
    order += [k for k in range(step.x.rank + 1) if k not in order]
    if order[0] != 0 or len(order) != step.x.rank + 1:
        raise UnsupportedLayerError(f"the order {order} of {step.x.type}")
    return terms.transpose(step.x, [k - 1 for k in order[1:]])


LAYERS: Mapping[str, Callable[[Step], Term | list[Term]]] = {
    "Convolution": layers.convolution, "Deconvolution": layers.deconvolution, "Pooling": layers.pooling,
    "InnerProduct": layers.inner_product, "Embed": layers.embed, "LRN": layers.lrn, "BatchNorm": layers.batch_norm,
    "Scale": layers.scale, "Bias": layers.bias, "MVN": layers.mvn, "ReLU": _relu, "PReLU": _prelu, "ELU": _elu,
    "Sigmoid": _plain("sigmoid"), "TanH": _plain("tanh"), "BNLL": _plain("softplus"), "AbsVal": _plain("abs"),
    "Swish": _swish, "Clip": _clip, "Power": _power, "Exp": _exp, "Log": _log, "Threshold": _threshold,
    "Softmax": _softmax, "Dropout": _dropout, "Eltwise": _eltwise, "Concat": _concat, "Slice": _slice, "Split": _split,
    "Silence": _silence, "Reshape": _reshape, "Flatten": _flatten, "Reduction": _reduction,
    "Tile": _tile, "ArgMax": _argmax, "Crop": _crop, "Permute": _permute,
}  # fmt: skip
"""The function of each kind of layer."""
