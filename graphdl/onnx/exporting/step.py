"""The translation of one primitive: its operands, and the functions that write nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphdl.graph.model import Node
from graphdl.graph.types import Element, TensorType
from graphdl.onnx.exporting.terms import DTYPES, Term
from graphdl.onnx.exporting.writing import Writer
from graphdl.onnx.package import onnx


class Step:
    """One primitive, or one form of several, that is being written.

    Functions that write a node return the name of its result. ``batched`` says whether the result has the batch.
    """

    def __init__(self, node: Node, inputs: Sequence[Term], writer: Writer, label: str) -> None:
        self.inputs = tuple(inputs)
        self.types: tuple[TensorType, ...] = tuple(term.type for term in inputs)
        self.attributes = node.attributes
        self.operator = node.operator
        self.outputs: tuple[TensorType, ...] = tuple(value.type for value in node.outputs)
        self.batched = node.outputs[0].batched
        self._module, self._writer, self._label = node.module, writer, label
        self._first = len(writer.nodes)

    # --------------------------------------------------------------------------------------------------- operands

    def name(self, term: Term, element: Element | None = None) -> str:
        """The name of an operand, converted to an element type."""
        element = element or term.type.element
        if term.value is not None:
            return self.array(term.value.astype(DTYPES[element]))
        return self.cast(term.name, term.type.element, element)

    def names(self, element: Element | None = None) -> list[str]:
        """The names of all operands, converted to an element type."""
        return [self.name(term, element) for term in self.inputs]

    def aligned(self, terms: Sequence[Term], elements: Sequence[Element]) -> list[str]:
        """The operands in shapes that ONNX broadcasts as the net does: dimensions of length 1 behind the batch."""
        rank = max(term.type.rank for term in terms)
        names = []
        for term, element in zip(terms, elements, strict=True):
            missing = rank - term.type.rank if term.batched else 0
            name = self.name(term, element)
            names.append(self.unsqueeze(name, *range(1, 1 + missing)) if missing else name)
        return names

    def for_each(self, term: Term, element: Element | None = None) -> str:
        """The operand with the batch, which repeats it if it has none."""
        name = self.name(term, element)
        return name if term.batched else self.repeated(name, term.type.shape)

    def repeated(self, name: str, shape: Sequence[int]) -> str:
        """A tensor of ``shape``, once for each example."""
        batch = self.batch()
        whole = self.op("Concat", batch, self.ints(*shape), axis=0) if shape else batch
        return self.op("Expand", name, whole)

    def batch(self) -> str:
        """The number of examples, of shape [1]."""
        return self._writer.batch(self._module)

    # -------------------------------------------------------------------------------------------------- constants

    def array(self, values: np.ndarray) -> str:
        """A constant."""
        return self._writer.weights.constant(values)

    def ints(self, *values: int) -> str:
        """A constant of ints of 64 bits, such as a shape."""
        return self.array(np.array(values, np.int64))

    def number(self, value: float, element: Element = "float") -> str:
        """A constant of shape []."""
        return self.array(np.array(value, DTYPES[element]))

    # ------------------------------------------------------------------------------------------------------ nodes

    def ops(self, operator: str, *inputs: str, results: int, **attributes: Any) -> list[str]:
        """Writes a node with several results."""
        path = self._module.path
        fresh = self._writer.weights.fresh
        names = [fresh(f"{path}.{operator}" if path else operator) for _ in range(results)]
        self._writer.node(operator, inputs, names, self._module, self._label, attributes)
        return names

    def op(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Writes a node."""
        return self.ops(operator, *inputs, results=1, **attributes)[0]

    def cast(self, name: str, old: Element | None, new: Element) -> str:
        """Converts elements. ``old`` is None for ints of 64 bits."""
        if old == new:
            return name
        kind = onnx("helper").np_dtype_to_tensor_dtype(np.dtype(DTYPES[new]))
        return self.op("Cast", name, to=kind)

    def cast_to(self, name: str, dtype: Any) -> str:
        """Converts to elements that the language does not have."""
        return self.op("Cast", name, to=onnx("helper").np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def reshape(self, name: str, shape: Sequence[int], batched: bool) -> str:
        """Another shape, of one example; the batch stays."""
        return self.op("Reshape", name, self.ints(*([0] if batched else []), *shape))

    def transpose(self, name: str, order: Sequence[int]) -> str:
        """Dimensions in another order, which includes the batch."""
        return name if list(order) == sorted(order) else self.op("Transpose", name, perm=list(order))

    def unsqueeze(self, name: str, *axes: int) -> str:
        return self.op("Unsqueeze", name, self.ints(*axes))

    def squeeze(self, name: str, *axes: int) -> str:
        return self.op("Squeeze", name, self.ints(*axes))

    def identity(self, name: str) -> str:
        return self.op("Identity", name)

    # ----------------------------------------------------------------------------------------------------- result

    def wrote(self, name: str) -> bool:
        """Whether a node of this step computes the tensor."""
        return any(name in node.output for node in self._writer.nodes[self._first :])

    def rename(self, old: str, new: str) -> None:
        """Gives a result of this step another name."""
        for node in self._writer.nodes[self._first :]:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    if name == old:
                        names[place] = new
