"""The form in memory of intermediate results.

Tensors that enter or leave the program or a loop are stored in the form of their element type. Generated text reads and
writes all other tensors in any form. Hand-written kernels read and write the forms that are floats to them: their text
reads with READ and writes with STORE. The pieces of an assembled tensor and the whole have one form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from graphdl.compiler.assembly import Assembled
from graphdl.compiler.rewrite import Replaced, rewrite
from graphdl.compiler.strided import memory_operands
from graphdl.graph.elements import ELEMENTS, Stored
from graphdl.operators.kernels.family import Prepared
from graphdl.operators.reduction import Reduction
from graphdl.operators.tensor import Elementwise, Template, Tensor, View, topological

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
    forms = _forms(topological(results.values()), set(results.values()), stores)
    if not forms:
        return dict(results)

    def chosen(tensor: Tensor, inputs: tuple[Tensor, ...], replaced: Replaced) -> Tensor | None:
        form = forms.get(tensor)
        if form is None:
            return None
        return Tensor(tensor.operation, inputs, tensor.shape, tensor.element, tensor.origin, form)

    return rewrite(results, chosen)


def _forms(order: Sequence[Tensor], fixed: set[Tensor], stores: Stores) -> dict[Tensor, Stored]:
    """The forms that differ from those of the element types. Tensors of ``fixed`` keep theirs."""
    by_hand: set[Tensor] = set()
    """The tensors that hand-written kernels read or write."""
    for tensor in order:
        if isinstance(tensor.operation, Prepared):
            by_hand.update((tensor, *tensor.inputs, *memory_operands(tensor)))
        elif isinstance(tensor.operation, Template) and not isinstance(tensor.operation, Assembled):
            fixed.update((tensor, *tensor.inputs, *memory_operands(tensor)))
    kinds = (Elementwise, Reduction, View, Prepared, Assembled)
    forms: dict[Tensor, Stored] = {}
    for tensor in order:
        if tensor not in fixed and isinstance(tensor.operation, kinds):
            form = stores(tensor)
            if form != tensor.stored and (form.source or tensor not in by_hand):
                forms[tensor] = form
    for tensor in order:
        if isinstance(tensor.operation, Assembled):
            _agree((tensor, *tensor.inputs), forms)
    return forms


def _agree(tensors: Iterable[Tensor], forms: dict[Tensor, Stored]) -> None:
    """Leaves tensors in the forms of their element types unless they have one and the same other form."""
    if len({forms.get(x) for x in tensors}) > 1:
        for x in tensors:
            forms.pop(x, None)
