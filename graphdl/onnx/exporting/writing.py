"""The nodes, names and initializers of the ONNX graph that is being written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphdl.graph.model import Module
from graphdl.graph.types import Element
from graphdl.importing.names import unused
from graphdl.onnx.exporting.terms import DTYPES
from graphdl.onnx.package import onnx

BATCH = "batch"
"""The name of the batch's length."""


class Weights:
    """The names that a whole model uses, and its initializers, which the bodies of its loops read as well."""

    def __init__(self, reserved: set[str]) -> None:
        """``reserved`` are the names of the net: inputs, outputs, parameters and states."""
        self.names = set(reserved)
        self.node_names: set[str] = set()
        self.initializers: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def fresh(self, name: str) -> str:
        """A name that no tensor has yet."""
        return unused(name, self.names)

    def fresh_node(self, name: str) -> str:
        """A name that no node has yet."""
        return unused(name, self.node_names)

    def variable(self, name: str, array: np.ndarray) -> None:
        """Adds a parameter or a state under its own name."""
        self.initializers.append(onnx("numpy_helper").from_array(np.asarray(array, order="C"), name))

    def constant(self, array: np.ndarray) -> str:
        """The name of a constant. Equal ones are one."""
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.fresh("constant")
            self.variable(self._constants[key], array)
        return self._constants[key]


class Writer:
    """A graph under construction: that of the model, or the body of a loop in the graph ``outer``."""

    def __init__(self, weights: Weights, outer: Writer | None = None) -> None:
        self.weights = weights
        self.outer = outer
        self.nodes: list[Any] = []
        self.infos: list[Any] = []
        """The types of the tensors between the nodes."""
        self._batch: str | None = None
        self.example: str | None = None
        """An input of the model, whose first dimension is the batch."""

    def node(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], module: Module, label: str,
        attributes: Mapping[str, Any],
    ) -> Any:  # fmt: skip
        """Appends a node. ``label`` names the primitive or the form that it is part of."""
        path = module.path.replace(".", "/")
        node = onnx("helper").make_node(
            operator,
            inputs,
            outputs,
            name=self.weights.fresh_node(f"/{path}/{operator}" if path else f"/{operator}"),
            **attributes,
        )
        for key, value in _scopes(module, label, node.name.rpartition("/")[2]).items():
            node.metadata_props.add(key=key, value=value)
        self.nodes.append(node)
        return node

    def batch(self, module: Module) -> str:
        """The tensor of shape [1] that has the number of examples."""
        if self.outer is not None:
            return self.outer.batch(module)
        if self._batch is None:
            if self.example is None:  # a net without inputs is run for one example
                self._batch = self.weights.constant(np.array([1]))
            else:
                self._batch = self.weights.fresh("examples")
                top = module
                while top.parent is not None:
                    top = top.parent
                self.node("Shape", [self.example], [self._batch], top, "shape", {"start": 0, "end": 1})
        return self._batch


def info(name: str, element: Element, shape: Sequence[int], batched: bool) -> Any:
    """The type of a tensor, with the shape of one example."""
    helper = onnx("helper")
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(DTYPES[element]))
    return helper.make_tensor_value_info(name, kind, [*([BATCH] if batched else []), *shape])


def _scopes(module: Module, label: str, name: str) -> dict[str, str]:
    """Where a node is in the net, in the form of PyTorch's exporter: viewers group nodes by it."""
    chain: list[Module] = []
    around: Module | None = module
    while around is not None:
        chain.insert(0, around)
        around = around.parent
    paths, kinds = [*(each.path for each in chain), name], [*(each.kind for each in chain), label]
    return {
        "namespace": "/".join(f"{path}: {kind}" for path, kind in zip(paths, kinds, strict=True)),
        "pkg.torch.onnx.class_hierarchy": repr(kinds),
        "pkg.torch.onnx.name_scopes": repr(paths),
    }
