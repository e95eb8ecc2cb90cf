"""Tensors in memory: the strides of layouts, and the tensors from which hand-written kernels read their operands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphdl.compiler.expression import Load, Tracer, domain
from graphdl.graph.types import Shape
from graphdl.operators.index import Index, LoopVariable
from graphdl.operators.kernels.family import Operand, Prepared
from graphdl.operators.kernels.geometry import CHANNELS_LAST
from graphdl.operators.tensor import Constant, Layout, Part, Source, Template, Tensor, View


def memory_operands(tensor: Tensor) -> list[Tensor]:
    """The tensors that must be in memory for a template: its operands, or the tensors that its
    strided operands view.
    """
    found = []
    for x, layout in zip(tensor.inputs, operand_layouts(tensor), strict=True):
        match layout:
            case "strided":
                found.append(strided_base(x))
            case "contiguous":
                found.append(contiguous_base(x)[0])
            case _:
                found.append(x)
    return found


def operand_layouts(tensor: Tensor) -> Sequence[Layout]:
    """The memory layouts of a template's operands."""
    if isinstance(tensor.operation, Prepared):
        return tensor.operation.family.operand_layouts
    assert isinstance(tensor.operation, Template)
    return [tensor.operation.operand_layout] * len(tensor.inputs)


def fixed_operands(tensors: Iterable[Tensor]) -> set[Tensor]:
    """The tensors that some kernel reads in a layout that it prescribes."""
    return {
        x
        for tensor in tensors
        if isinstance(tensor.operation, Template)
        and (isinstance(tensor.operation, Prepared) or tensor.operation.operand_layout == "contiguous")
        for x, layout in zip(memory_operands(tensor), operand_layouts(tensor), strict=True)
        if layout != "strided"
    }


def strided_base(x: Tensor) -> Tensor:
    """The farthest tensor, back through views, from which ``x`` can be read with one stride for each dimension.

    This is ``x`` itself if no view can be read through.
    """
    best = base = x
    while isinstance(base.operation, View) and len(base.inputs) == 1:
        base = base.inputs[0]
        if base.size and all(strides_from(x, base, layout) is not None for layout in _layouts(base)):
            best = base
    return best


def contiguous_base(x: Tensor) -> tuple[Tensor, int]:
    """The farthest tensor, back through views, that contains ``x`` as a contiguous row-major range; and the element
    where the range begins.

    This is ``x`` itself, at element 0, if no view can be read through.
    """
    best, start = base, _ = x, 0
    while isinstance(base.operation, View) and len(base.inputs) == 1:
        base = base.inputs[0]
        if not stays_row_major(base):
            break
        read = strides_from(x, base, row_major_strides(base.shape))
        if read is not None and _is_row_major(x.shape, read.strides):
            best, start = base, read.offset
    return best, start


def _is_row_major(shape: Shape, strides: Sequence[int]) -> bool:
    wanted = row_major_strides(shape)
    return all(n == 1 or a == b for n, a, b in zip(shape, strides, wanted, strict=True))


def stays_row_major(x: Tensor) -> bool:
    """Whether a tensor is row-major in memory, no matter which other kernels read it.

    A tensor of rank 4 may be stored channels last unless it is a source or an output of a loop. A constant number is
    not in memory.
    """
    return not isinstance(x.operation, Constant) and (not is_image(x.shape) or isinstance(x.operation, Source | Part))


def _layouts(x: Tensor) -> list[tuple[int, ...]]:
    row_major = row_major_strides(x.shape)
    if is_image(x.shape) and not isinstance(x.operation, Source):
        return [row_major, channels_last_strides(x.shape)]
    return [row_major]


def strides_from(x: Tensor, base: Tensor, strides: Sequence[int]) -> Operand | None:
    """The offset and the strides with which ``x`` is read from ``base`` laid out with ``strides``; None if there are
    none.
    """
    variables = domain(x.shape)
    expression = Tracer({base: tuple(strides)}).trace(x, tuple(Index.of(v) for v in variables))
    if not isinstance(expression, Load):
        return None
    terms = dict(expression.address.terms)
    if any(not isinstance(atom, LoopVariable) for atom in terms):
        return None
    return Operand(expression.address.constant, tuple(terms.get(v, 0) for v in variables))


def is_image(shape: Shape) -> bool:
    """Whether a tensor may be stored channels last: it has four dimensions, and further ones only of length 1, as what
    is reduced over windows has."""
    return len(shape) >= 4 and all(n == 1 for n in shape[4:])


def channels_last_strides(shape: Shape) -> tuple[int, ...]:
    """The strides of an image that is stored channels last."""
    return permuted_strides(shape[:4], CHANNELS_LAST) + (1,) * (len(shape) - 4)


def row_major_strides(shape: Shape) -> tuple[int, ...]:
    return permuted_strides(shape, tuple(range(len(shape))))


def permuted_strides(shape: Shape, order: Sequence[int]) -> tuple[int, ...]:
    """The strides of a tensor whose dimensions are stored in ``order``, the last one contiguous."""
    strides = [0] * len(shape)
    step = 1
    for axis in reversed(order):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)
