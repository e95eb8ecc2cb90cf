"""Hand-written kernels in the operator graph: what they need in memory, and the preamble that joins them to the rest.

``prepare`` rewrites convolutions to what their kernels want: packed filters, a padded gradient, partial sums.
``template`` writes the text that goes before a kernel file: its pointers and ``STORE``, into which the epilogue goes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from graphdl.compiler.emit import Emitter, Lanes
from graphdl.compiler.expression import Load, Strides, Tracer, domain
from graphdl.compiler.generate import Operands, address_of, forward_index, write
from graphdl.compiler.program import Target
from graphdl.graph.types import Shape
from graphdl.operators.convolution import Convolution, ConvolutionInputGradient, ConvolutionWeightGradient
from graphdl.operators.index import Index, Variable
from graphdl.operators.kernels import (
    TemplateCall,
    convolution_call,
    convolution_input_gradient_call,
    convolution_weight_gradient_call,
    matmul_call,
)
from graphdl.operators.kernels.template import Padding
from graphdl.operators.matmul import MatMul
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import Embed, Lookup, Slice, pad, reshape
from graphdl.operators.tensor import Access, Reduction, Source, Template, Tensor, View, adopt, topological

Key = TypeVar("Key")

CHANNELS_LAST = (0, 2, 3, 1)
UNPADDED: Padding = ((0, 0), (0, 0))


@dataclass(frozen=True)
class Copy(View):
    """The same tensor, stored once more."""

    def accesses(self, y: Tensor, index: Sequence[Index], lookup: Lookup) -> list[Access]:
        return [Access(0, tuple(index))]


def copy(x: Tensor) -> Tensor:
    return Tensor(Copy(), (x,), x.shape, x.element, x.origin)


@dataclass(frozen=True)
class Prepared(Template):
    """A template whose parameters are chosen. Equal keys are equal calls."""

    key: tuple[object, ...]
    call: TemplateCall = field(compare=False)
    coordinates: tuple[int, ...]
    """For each coordinate of ``STORE`` the dimension of the result that it runs along."""
    vector: int
    """The dimension along which ``STORE`` gets vectors."""
    work: int

    @property
    def name(self) -> str:
        return str(self.key[0])

    def flops(self, y: Tensor) -> int:
        return self.work


def prepare(results: Mapping[Key, Tensor], target: Target) -> dict[Key, Tensor]:
    """The same results with every convolution in the form that its kernel takes, and long reductions in two steps."""
    replaced: dict[int, Tensor] = {}
    for tensor in topological(results.values()):
        inputs = tuple(replaced[id(x)] for x in tensor.inputs)
        made = _prepared(tensor, inputs, replaced, target)
        adopt([made], inputs, tensor.origin)
        replaced[id(tensor)] = made
    return {name: replaced[id(tensor)] for name, tensor in results.items()}


def _prepared(tensor: Tensor, inputs: tuple[Tensor, ...], replaced: Mapping[int, Tensor], target: Target) -> Tensor:
    match tensor.operation:
        case Convolution():
            return _convolution(tensor, inputs[0], inputs[1], target)
        case ConvolutionInputGradient():
            return _input_gradient(tensor, inputs[0], inputs[1], UNPADDED, target)
        case Slice() if isinstance(tensor.inputs[0].operation, ConvolutionInputGradient):
            return _inner_gradient(tensor, tensor.operation, inputs[0], replaced, target)
        case ConvolutionWeightGradient():
            return _weight_gradient(tensor, inputs[0], inputs[1], target)
        case Reduction():
            return _reduction(tensor, tensor.operation, inputs[0], target)
        case _:
            return _again(tensor, inputs)


def _again(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
    if all(a is b for a, b in zip(inputs, tensor.inputs, strict=True)):
        return tensor
    return Tensor(tensor.operation, inputs, tensor.shape, tensor.element, tensor.origin)


LONG_REDUCTION = 16384
"""Elements from which a reduction with few results is done in two steps, for the sake of work for all cores."""


def _reduction(tensor: Tensor, operation: Reduction, x: Tensor, target: Target) -> Tensor:
    """A long reduction to few results, in two steps: partial results first, in an order that never changes."""
    shares = 4 * target.compute_units if target.kind == "cpu" else 1024 * target.compute_units
    vectors = tensor.size / (target.vector_width if target.kind == "cpu" else 1)
    if operation.kind == "argmax" or vectors >= shares or x.size // max(1, tensor.size) < 64 or x.size < LONG_REDUCTION:
        return _again(tensor, (x,))
    first, *others = operation.axes
    if others:
        partial = reduce(operation.kind, x, others)
        return reduce(operation.kind, partial, (first,))
    length = x.shape[first]
    parts = next((p for p in range(math.isqrt(length), 1, -1) if length % p == 0), 1)
    if parts < min(shares, 4):
        return _again(tensor, (x,))
    wide = reshape(x, (*x.shape[:first], parts, length // parts, *x.shape[first + 1 :]))
    partial = reduce(operation.kind, wide, (first + 1,))
    return reshape(reduce(operation.kind, partial, (first,)), tensor.shape)


def _problem(tensor: Tensor, x: Shape, w: Shape) -> dict[str, Any]:
    assert isinstance(tensor.operation, Convolution | ConvolutionInputGradient | ConvolutionWeightGradient)
    geometry = tensor.operation.geometry
    return {
        "batch": x[0], "channels": x[1], "height": x[2], "width": x[3], "filters": w[0], "kernel": (w[2], w[3]),
        "stride": geometry.stride, "dilation": geometry.dilation, "groups": geometry.groups,
    }  # fmt: skip


def _convolution(tensor: Tensor, x: Tensor, w: Tensor, target: Target) -> Tensor:
    problem = _problem(tensor, x.shape, w.shape)
    call = convolution_call(target, **problem, padding=_zeros_around(x))
    return _launched("convolution", tensor.shape, (x, w), call, problem, tensor)


def _zeros_around(x: Tensor) -> Padding:
    """The rows and columns of an image that are known to be zeros."""
    embed = x.operation
    if not isinstance(embed, Embed) or embed.otherwise != 0 or any(step != 1 for step in embed.steps):
        return UNPADDED
    inner = x.inputs[0].shape
    _, _, top, left = embed.starts
    _, _, height, width = x.shape
    return (top, height - inner[2] - top), (left, width - inner[3] - left)


def _input_gradient(tensor: Tensor, g: Tensor, w: Tensor, padding: Padding, target: Target) -> Tensor:
    """The gradient that reaches an input of ``tensor.shape``; without the ``padding`` that it had."""
    problem = _problem(tensor, tensor.shape, w.shape)
    call = convolution_input_gradient_call(target, **problem, padding=padding)
    (top, bottom), (left, right) = call.pad_gradient
    g = pad(g, (0, 0, top, left), (0, 0, bottom, right))
    n, c, height, width = tensor.shape
    shape = (n, c, height - sum(padding[0]), width - sum(padding[1]))
    return _launched("input_gradient", shape, (g, w), call, {**problem, "padding": padding}, tensor)


def _inner_gradient(
    tensor: Tensor, inner: Slice, whole: Tensor, replaced: Mapping[int, Tensor], target: Target
) -> Tensor:
    """The gradient of a padded input, of which only what is no padding is wanted."""
    (gradient,) = tensor.inputs
    if inner.starts[:2] != (0, 0) or tensor.shape[:2] != gradient.shape[:2] or any(step != 1 for step in inner.steps):
        return _again(tensor, (whole,))
    g, w = (replaced[id(x)] for x in gradient.inputs)
    around = [
        (start, whole_size - start - size)
        for start, size, whole_size in zip(inner.starts[2:], tensor.shape[2:], gradient.shape[2:], strict=True)
    ]
    return _input_gradient(gradient, g, w, (around[0], around[1]), target)


def _launched(
    kind: str,
    shape: Shape,
    operands: tuple[Tensor, Tensor],
    call: TemplateCall,
    problem: Mapping[str, Any],
    tensor: Tensor,
) -> Tensor:
    """The tensor that a kernel makes of data and filters, which it may want packed."""
    data, w = operands
    key = (*problem.items(), *sorted(call.defines.items()))
    if call.pack is not None:
        pack = Prepared(("pack_filters", kind, *sorted(call.pack.defines.items())), call.pack, (0,), 0, 0)
        w = Tensor(pack, (_whole(w),), (call.packed_size,), origin=tensor.origin)
    operation = Prepared((kind, key), call, CHANNELS_LAST, 1, call.flops)
    return Tensor(operation, (_stored(data), w), shape, origin=tensor.origin)


def _weight_gradient(tensor: Tensor, x: Tensor, g: Tensor, target: Target) -> Tensor:
    problem = _problem(tensor, x.shape, tensor.shape)
    call = convolution_weight_gradient_call(target, **problem)
    operation = Prepared(("weight_gradient", tuple(problem.items())), call, (0, 1, 2, 3, 4), 1, call.flops)
    partial = Tensor(operation, (_stored(x), _stored(g)), (call.splits, *tensor.shape), origin=tensor.origin)
    return reshape(reduce("sum", partial, (0,)), tensor.shape)


def _stored(x: Tensor) -> Tensor:
    """A tensor that a kernel will store channels-last: one that comes from outside is copied, unless it makes none."""
    outside = isinstance(x.operation, Source)
    return copy(x) if outside and x.shape[1] > 1 and x.shape[2] * x.shape[3] > 1 else x


def _whole(w: Tensor) -> Tensor:
    return copy(w) if not w.inputs and not isinstance(w.operation, Source) else w


# -------------------------------------------------------------------------------------------------- what they need


def memory_operands(tensor: Tensor) -> list[Tensor]:
    """The tensors that must lie in memory for a template: its operands, or for a matrix product what they view."""
    if isinstance(tensor.operation, MatMul):
        return [strided_base(x) for x in tensor.inputs]
    return list(tensor.inputs)


def strided_base(x: Tensor) -> Tensor:
    """The tensor from which ``x`` can be read with a stride for each of its dimensions; ``x`` itself if need be."""
    best = base = x
    while isinstance(base.operation, View) and len(base.inputs) == 1:
        base = base.inputs[0]
        if base.size and all(strides_from(x, base, layout) is not None for layout in _layouts(base)):
            best = base
    return best


def _layouts(x: Tensor) -> list[tuple[int, ...]]:
    row_major = row_major_strides(x.shape)
    if x.rank == 4 and not isinstance(x.operation, Source):
        return [row_major, permuted_strides(x.shape, CHANNELS_LAST)]
    return [row_major]


def strides_from(x: Tensor, base: Tensor, strides: Sequence[int]) -> tuple[int, tuple[int, ...]] | None:
    """The offset and strides by which ``x`` is read from ``base`` laid out with ``strides``; none if unevenly."""
    variables = domain(x.shape)
    expression = Tracer({base: tuple(strides)}).trace(x, tuple(Index.of(v) for v in variables))
    if not isinstance(expression, Load):
        return None
    terms = dict(expression.address.terms)
    if any(not isinstance(atom, Variable) for atom in terms):
        return None
    return expression.address.constant, tuple(terms.get(v, 0) for v in variables)


def row_major_strides(shape: Shape) -> tuple[int, ...]:
    return permuted_strides(shape, tuple(range(len(shape))))


def permuted_strides(shape: Shape, order: Sequence[int]) -> tuple[int, ...]:
    """The strides of a tensor whose dimensions lie in memory in ``order``, the last one contiguous."""
    strides = [0] * len(shape)
    step = 1
    for axis in reversed(order):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


# ------------------------------------------------------------------------------------------------------------- text


@dataclass(frozen=True)
class TemplateText:
    """A kernel's source but for its name, and how it is launched."""

    preamble: str
    text: str
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]


def template(
    root: Tensor,
    outputs: Sequence[Tensor],
    chains: Mapping[Tensor, Sequence[Tensor]],
    strides: Strides,
    target: Target,
    operands: Operands,
) -> TemplateText:
    """The kernel of a template with its epilogue."""
    call, coordinates, vector_axis, bases, offsets = _call(root, strides, target)
    # one pointer a name, even where both operands lie in the same tensor
    prologue = []
    for name, base, offset in zip(call.operands, bases, offsets, strict=True):
        pointer, rest = operands.locate(base, Index(offset))
        prologue.append(f"const __global float *{name} = {pointer} + ({rest.constant});")
    names = [f"c{k}" for k in range(len(coordinates))]
    variables = {axis: Variable(f"e{k}", root.shape[axis]) for k, axis in enumerate(coordinates)}
    index = tuple(Index.of(variables[axis]) if axis in variables else Index(0) for axis in range(root.rank))
    vector = variables[vector_axis]
    tracer = Tracer(strides, [root, *outputs])
    places, expressions = [], []
    for output in outputs:
        at = forward_index(chains[output], index)
        expressions.append(tracer.trace(output, at, root=output is not root))
        places.append(address_of(at, strides[output]).recombined())
    macros = ["#define STORE(V, ...) STORE_(V, __VA_ARGS__)", "#define STORE_(V, ...) STORE_##V(__VA_ARGS__)"]
    for width in (1, 2, 4, 8, 16):
        lanes = Lanes(vector, width, aligned=False) if width > 1 else None
        parameters = ", ".join(("value", *names))
        if lanes is not None and not (lanes.can_run(expressions) and all(lanes.step(p) is not None for p in places)):
            body = _by_lanes(width, names, coordinates.index(vector_axis))
        else:
            emitter = Emitter(lanes, operands, {root: "value_"}, prefix="s")
            write(emitter, outputs, expressions, places, operands)
            suffix = str(width) if width > 1 else ""
            heads = [f"const int e{k} = ({name});" for k, name in enumerate(names)]
            body = [*heads, f"const float{suffix} value_ = (value);", *emitter.lines]
        macros.append(f"#define STORE_{width}({parameters}) do {{ {' '.join(body)} }} while (0)")
    defines = [f"#define {name} {value}" for name, value in call.defines.items()]
    preamble = "\n".join([*defines, *macros, f"#define KERNEL_PROLOGUE POINTERS {' '.join(prologue)}", ""])
    return TemplateText(preamble, call.text(), call.global_size, call.local_size)


def _by_lanes(width: int, names: Sequence[str], along: int) -> list[str]:
    digits = "0123456789abcdef"
    calls = []
    for k in range(width):
        at = [f"({name}) + {k}" if position == along else name for position, name in enumerate(names)]
        calls.append(f"STORE_1({', '.join((f'lanes_.s{digits[k]}', *at))});")
    return [f"const float{width} lanes_ = (value);", *calls]


def _call(
    root: Tensor, strides: Strides, target: Target
) -> tuple[TemplateCall, tuple[int, ...], int, list[Tensor], tuple[int, ...]]:
    """The call, the dimensions that STORE's coordinates and its vectors run along, the operands and their offsets."""
    made = root.operation
    if isinstance(made, Prepared):
        return made.call, made.coordinates, made.vector, list(root.inputs), (0,) * len(root.inputs)
    assert isinstance(root.operation, MatMul)
    a, b = root.inputs
    bases = [strided_base(a), strided_base(b)]
    views = [strides_from(x, base, strides[base]) for x, base in zip((a, b), bases, strict=True)]
    (a_offset, a_strides), (b_offset, b_strides) = (view or _impossible() for view in views)
    batch, m, k = a.shape
    call = matmul_call(
        target, batch=batch, m=m, n=b.shape[2], k=k,
        a_strides=(a_strides[0], a_strides[1], a_strides[2]), b_strides=(b_strides[0], b_strides[1], b_strides[2]),
    )  # fmt: skip
    return call, (0, 1, 2), 2, bases, (a_offset, b_offset)


def _impossible() -> tuple[int, tuple[int, ...]]:
    raise AssertionError("strided_base promised strides")
