"""The form in memory of intermediate results.

Tensors that enter or leave the program are stored in the form of their element type. The operands of hand-written
kernels are, too, because the text of these kernels loads that form. Generated text reads and writes all other tensors
in any form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from graphdl.compiler.rewrite import Replaced, rewrite
from graphdl.compiler.strided import memory_operands
from graphdl.graph.elements import ELEMENTS, Stored
from graphdl.operators.reduction import Reduction
from graphdl.operators.tensor import Elementwise, Template, Tensor, topological

Key = TypeVar("Key")

Stores = Callable[[Tensor], Stored]
"""Chooses the form in which a tensor is stored, if it is stored at all."""


def by_element(tensor: Tensor) -> Stored:
    """The form of the tensor's element type."""
    return ELEMENTS[tensor.element].stored


def stored(results: Mapping[Key, Tensor], stores: Stores) -> dict[Key, Tensor]:
    """Returns the same results, with every intermediate tensor in the form that ``stores`` chooses."""
    if stores is by_element:  # a tensor has this form from the start
        return dict(results)
    order = topological(results.values())
    fixed = set(results.values())
    for tensor in order:
        if isinstance(tensor.operation, Template):
            fixed.update((*tensor.inputs, *memory_operands(tensor)))
    free = (t for t in order if isinstance(t.operation, Elementwise | Reduction) and t not in fixed)
    forms = {t: form for t in free if (form := stores(t)) != t.stored}
    if not forms:
        return dict(results)

    def chosen(tensor: Tensor, inputs: tuple[Tensor, ...], replaced: Replaced) -> Tensor | None:
        form = forms.get(tensor)
        if form is None:
            return None
        return Tensor(tensor.operation, inputs, tensor.shape, tensor.element, tensor.origin, form)

    return rewrite(results, chosen)
