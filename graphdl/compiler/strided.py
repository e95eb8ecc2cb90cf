"""Tensors in memory: the strides of layouts, and what a hand-written kernel reads of which tensor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphdl.compiler.expression import Load, Tracer, domain
from graphdl.graph.types import Shape
from graphdl.operators.index import Index, LoopVariable
from graphdl.operators.kernels.family import Operand, Prepared
from graphdl.operators.kernels.geometry import CHANNELS_LAST
from graphdl.operators.tensor import Constant, Layout, Part, Source, Template, Tensor, View


def memory_operands(tensor: Tensor) -> list[Tensor]:
    """The tensors that must lie in memory for a template: its operands, or what its strided operands view."""
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
    """How the operands of a template lie in memory; an assembled tensor's lie as it does."""
    if isinstance(tensor.operation, Prepared):
        return tensor.operation.family.operand_layouts
    assert isinstance(tensor.operation, Template)
    return [tensor.operation.operand_layout] * len(tensor.inputs)


def fixed_operands(tensors: Iterable[Tensor]) -> set[Tensor]:
    """The tensors that some kernel reads in a layout of its own choice."""
    return {
        x
        for tensor in tensors
        if isinstance(tensor.operation, Template)
        and (isinstance(tensor.operation, Prepared) or tensor.operation.operand_layout == "contiguous")
        for x, layout in zip(memory_operands(tensor), operand_layouts(tensor), strict=True)
        if layout != "strided"
    }


def strided_base(x: Tensor) -> Tensor:
    """The tensor from which ``x`` can be read with a stride for each of its dimensions; ``x`` itself if need be."""
    best = base = x
    while isinstance(base.operation, View) and len(base.inputs) == 1:
        base = base.inputs[0]
        if base.size and all(strides_from(x, base, layout) is not None for layout in _layouts(base)):
            best = base
    return best


def contiguous_base(x: Tensor) -> tuple[Tensor, int]:
    """The tensor of whose memory ``x`` is a stretch, row-major, and the element where it begins; ``x`` itself if need
    be."""
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
    """Whether a tensor lies row-major in memory, whoever else reads it: one of rank 4 may lie channels last, unless it
    comes from outside or from a loop, and a constant number does not lie there at all."""
    return not isinstance(x.operation, Constant) and (x.rank != 4 or isinstance(x.operation, Source | Part))


def _layouts(x: Tensor) -> list[tuple[int, ...]]:
    row_major = row_major_strides(x.shape)
    if x.rank == 4 and not isinstance(x.operation, Source):
        return [row_major, permuted_strides(x.shape, CHANNELS_LAST)]
    return [row_major]


def strides_from(x: Tensor, base: Tensor, strides: Sequence[int]) -> Operand | None:
    """How ``x`` is read from ``base`` laid out with ``strides``; None if unevenly."""
    variables = domain(x.shape)
    expression = Tracer({base: tuple(strides)}).trace(x, tuple(Index.of(v) for v in variables))
    if not isinstance(expression, Load):
        return None
    terms = dict(expression.address.terms)
    if any(not isinstance(atom, LoopVariable) for atom in terms):
        return None
    return Operand(expression.address.constant, tuple(terms.get(v, 0) for v in variables))


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
