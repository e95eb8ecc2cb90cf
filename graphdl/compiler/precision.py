"""The tensors that are stored in 16 bits, for training with less memory (Micikevicius et al., 2018).

Kernels compute with floats of 32 bits in any case: they convert an element when they read it and when they write it. A
tensor of floats is stored in 16 bits unless

- it enters or leaves the program or a loop: inputs, parameters, the optimizer's variables, states, reports;
- it is a sum or a product over elements, or is computed from such, from parameters and from numbers alone: statistics
  of a normalization, denominators, gradients of biases. A greatest or least element is as its operand;
- it belongs to the formulas between the last product and a loss, or to their gradients;
- it belongs to the optimizer or to the scaling of the loss: no module computes it;
- it is handed from one hand-written kernel to the next of the same product: packed filters, partial sums.

What is left is the activations and their gradients, and the gradients of the matrices and filters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from graphdl.compiler.storage import Stores, by_element
from graphdl.graph.elements import BFLOAT16, FLOAT16, FLOAT32, Stored
from graphdl.graph.model import Node
from graphdl.operators.kernels.family import Prepared
from graphdl.operators.reduction import Reduction
from graphdl.operators.tensor import Feed, Given, Part, Source, Template, Tensor, topological

FORMS: Mapping[str, Stored] = {"float32": FLOAT32, **{form.precision: form for form in (FLOAT16, BFLOAT16)}}
"""The form in memory for each value of ``precision`` in a train section."""


def stores_of(precision: str, losses: Iterable[Tensor]) -> Stores:
    """The choice of forms for a value of ``precision``, in a program with these losses."""
    if precision == "float32":
        return by_element
    return _SixteenBits(FORMS[precision], nodes_of_losses(losses))


def nodes_of_losses(losses: Iterable[Tensor]) -> set[Node]:
    """The nodes of the formulas between the last products or loops and some losses."""
    found: set[Node] = set()
    seen: set[Tensor] = set()
    stack = list(losses)
    while stack:
        tensor = stack.pop()
        if tensor in seen or isinstance(tensor.operation, Template | Source | Part):
            continue
        seen.add(tensor)
        if tensor.origin is not None:
            found.add(tensor.origin)
        stack.extend(tensor.inputs)
    return found


class _SixteenBits:
    """The choice of 16 bits by the rule above."""

    def __init__(self, form: Stored, exact: Collection[Node]) -> None:
        self.form = form
        self.exact = exact
        self._derived: dict[Tensor, bool] = {}

    def __call__(self, tensor: Tensor) -> Stored:
        origin = tensor.origin
        if tensor.element != "float" or origin is None or origin.operator in ("param", "state"):
            return by_element(tensor)
        if origin in self.exact or _is_inner(tensor) or self._is_derived(tensor):
            return by_element(tensor)
        return self.form

    def _is_derived(self, tensor: Tensor) -> bool:
        """Whether a tensor is computed from sums, variables and numbers alone."""
        known = self._derived
        for x in topological([tensor], known.keys()):
            if x not in known:
                known[x] = _derived(x, known)
        return known[tensor]


def _derived(x: Tensor, known: Mapping[Tensor, bool]) -> bool:
    match x.operation:
        case Feed() | Given() | Template() | Part():
            return False
        case Reduction(kind=kind) if kind not in ("max", "min"):
            return True
        case _:
            return all(known[i] for i in x.inputs)


def _is_inner(tensor: Tensor) -> bool:
    """Whether a hand-written kernel computes a part of a product for another kernel."""
    operation = tensor.operation
    return isinstance(operation, Prepared) and operation.alone is not None and operation.alone.size != tensor.size
