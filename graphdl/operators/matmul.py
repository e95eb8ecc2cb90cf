"""The matrix product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphdl.graph.types import Element, TensorType
from graphdl.operators.elementwise import broadcast, cast
from graphdl.operators.kernels.matmul import MATMUL
from graphdl.operators.primitive import Lowering, OperatorError, Primitive
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import broadcast_to, for_each, reshape, transpose
from graphdl.operators.tensor import Template, Tensor

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class MatMul(Template):
    """``C[b, m, n] = Σ_k A[b, m, k] · B[b, k, n]``. Operands and result have three dimensions."""

    family = MATMUL

    def typed(self, y: Tensor) -> bool:
        return all(x.element == "float" for x in (*y.inputs, y))

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor]:
        a, b = y.inputs
        return (_product(g, _swapped(b)), _product(_swapped(a), g))

    def flops(self, y: Tensor) -> int:
        return 2 * y.size * y.inputs[0].shape[-1]

    def reference(self, y: Tensor, inputs: Sequence[np.ndarray]) -> np.ndarray:
        a, b = inputs
        product: np.ndarray = a @ b
        return product

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        a, b = inputs
        batch, rows, _ = y.shape
        if batch == 1 and b.rank == y.rank:  # one matrix for all applications: these are further rows
            c = _product(reshape(a, (1, count * rows, a.shape[-1])), b)
        else:
            a, b = (for_each(x, own.shape, count) for x, own in zip(inputs, y.inputs, strict=True))
            c = _product(*(reshape(x, (count * batch, *x.shape[2:])) for x in (a, b)))
        return reshape(c, (count, *y.shape))

    def batched_sum(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        """The sum over the applications is merged into the sum over the inner dimension."""
        a, b = (for_each(x, own.shape, count) for x, own in zip(inputs, y.inputs, strict=True))
        batch, rows, columns = y.shape
        inner = count * a.shape[-1]
        return _product(
            reshape(transpose(a, (1, 2, 0, 3)), (batch, rows, inner)),
            reshape(transpose(b, (1, 0, 2, 3)), (batch, inner, columns)),
        )


def _swapped(x: Tensor) -> Tensor:
    return transpose(x, (0, 2, 1))


def _product(a: Tensor, b: Tensor) -> Tensor:
    if a.element == b.element == "int":  # in ints, as sums of products: the kernels compute with floats
        count, rows, inner = a.shape
        products = reshape(a, (count, rows, inner, 1)) * reshape(b, (count, 1, *b.shape[1:]))
        return reduce("sum", products, (2,), keep=False)
    return Tensor(MatMul(), (a, b), (a.shape[0], a.shape[1], b.shape[2]))


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """NumPy's ``a @ b`` for tensors of at least two dimensions, of floats or of ints."""
    lead = broadcast([a.shape[:-2], b.shape[:-2]])
    if b.rank == 2:  # one matrix for all: the leading dimensions of a are further rows
        rows = a.size // a.shape[-1]
        c = _product(reshape(a, (1, rows, a.shape[-1])), reshape(b, (1, *b.shape)))
        return reshape(c, (*a.shape[:-1], b.shape[-1]))
    a = broadcast_to(a, (*lead, *a.shape[-2:]))
    b = broadcast_to(b, (*lead, *b.shape[-2:]))
    count = a.size // (a.shape[-1] * a.shape[-2])
    c = _product(reshape(a, (count, *a.shape[-2:])), reshape(b, (count, *b.shape[-2:])))
    return reshape(c, (*lead, a.shape[-2], b.shape[-1]))


def _infer(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    a, b = types
    if not a.rank or not b.rank:
        raise OperatorError(
            "E0402", f"@ multiplies vectors and matrices, and {a if not a.rank else b} is a number", inputs=(0, 1)
        )
    rows, columns = a.shape[:-1], b.shape[-1:] if b.rank > 1 else ()
    inner = b.shape[-2] if b.rank > 1 else b.shape[0]
    if a.shape[-1] != inner:
        raise OperatorError(
            "E0406", f"@ needs the last dimension of {a} ({a.shape[-1]}) to be {inner}, as in {b}", inputs=(0, 1)
        )
    if b.rank > 2:
        try:
            lead = broadcast([a.shape[:-2], b.shape[:-2]])
        except ValueError:
            raise OperatorError(
                "E0401", f"the leading dimensions of {a} and {b} do not fit together", inputs=(0, 1)
            ) from None
        rows = (*lead, *a.shape[-2:-1])
    return (TensorType((*rows, *columns), element_of_products(types)),)


def element_of_products(types: Sequence[TensorType]) -> Element:
    """The element type of sums of products of these tensors."""
    return "int" if all(t.element == "int" for t in types) else "float"


def _lower(node: Lowering) -> Sequence[Tensor]:
    a, b = (cast(x, node.outputs[0].element) for x in node.inputs)
    (a_type, b_type), (a_batched, b_batched) = node.types, node.batched
    if b_type.rank == 1:
        b = reshape(b, (*b.shape, 1))
    if a_type.rank == 1 and (b_batched or not a_batched):
        a = reshape(a, (*a.shape[:-1], 1, a.shape[-1]))
    # a batch of matrices times one tensor of higher rank: the batch stays the first dimension
    example_rank = max(a_type.rank, b_type.rank, 2)
    if a_batched and b_type.rank > 2:
        a = reshape(a, (a.shape[0], *([1] * (example_rank + 1 - a.rank)), *a.shape[1:]))
    if b_batched and b.rank - 1 < example_rank:
        b = reshape(b, (b.shape[0], *([1] * (example_rank + 1 - b.rank)), *b.shape[1:]))
    lead = (node.batch,) if a_batched or b_batched else ()
    return (reshape(matmul(a, b), (*lead, *node.outputs[0].shape)),)


CATEGORY = "Behind the signs"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "matmul",
        ("a", "b"),
        _infer,
        _lower,
        documentation="The matrix product a @ b, over the last two dimensions. The product of ints is an int.",
    ),
)
