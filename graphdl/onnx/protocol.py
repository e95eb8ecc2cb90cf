"""What the messages of an ONNX file say: attributes, arrays, element types, and the bodies of operators."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from graphdl.importing.names import nested
from graphdl.onnx.folding import RANDOM, plain
from graphdl.onnx.package import onnx
from graphdl.onnx.values import Const, UnsupportedNodeError, Value


def names_read(node: Any) -> Iterable[str]:
    """The names that a node reads, also inside its graphs."""
    yield from node.input
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs] if attribute.type in (5, 10) else []:
            for inner in graph.node:
                yield from names_read(inner)
            yield from (port.name for port in graph.output)


def bound(node: Any, attributes: Mapping[str, Any]) -> Any:
    """A node of a function's body with the attributes that the call gives."""
    if not any(attribute.ref_attr_name for attribute in node.attribute):
        return node
    bound = onnx().NodeProto()
    bound.CopyFrom(node)
    del bound.attribute[:]
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            bound.attribute.append(attribute)
        elif attribute.ref_attr_name in attributes:
            given = bound.attribute.add()
            given.CopyFrom(attributes[attribute.ref_attr_name])
            given.name = attribute.name
    return bound


def is_known(node: Any, inputs: Sequence[Value | Const | None]) -> bool:
    """Whether a node can be computed during the import."""
    if any(isinstance(found, Value) for found in inputs) or node.op_type in RANDOM:
        return False
    return not any(attribute.type in (5, 10) for attribute in node.attribute)


def scope_of(node: Any) -> tuple[str, ...] | None:
    """The module of PyTorch to which a node belongs, as its exporters write it, in parts: layer1, 0, conv1; None if
    that is not known.
    """
    scopes = _listed(node, "pkg.torch.onnx.name_scopes")
    if scopes:
        inner = [scope for scope in scopes[:-1] if scope]
        return tuple(inner[-1].split(".")) if inner else ()
    if not node.name.startswith("/"):
        return None
    return tuple(part for module in nested(node.name)[:-1] for part in module.split("."))


def classes_of(node: Any) -> dict[tuple[str, ...], str]:
    """The classes of the modules to which a node belongs, if PyTorch has written them: layer1, 0 is a Bottleneck."""
    scopes, classes = _listed(node, "pkg.torch.onnx.name_scopes"), _listed(node, "pkg.torch.onnx.class_hierarchy")
    pairs = zip(scopes[:-1], classes[:-1], strict=False)
    return {tuple(scope.split(".")): name.rpartition(".")[2] for scope, name in pairs if scope}


def _listed(node: Any, key: str) -> list[str]:
    """A list of texts in the metadata of a node."""
    text = next((entry.value for entry in node.metadata_props if entry.key == key), "[]")
    try:
        found = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return []
    return [str(item) for item in found] if isinstance(found, list) else []


def attributes_of(node: Any) -> dict[str, Any]:
    """The attributes of a node as Python values; texts are decoded. Graphs stay protocol buffers."""
    value = onnx("helper").get_attribute_value
    found = {attribute.name: value(attribute) for attribute in node.attribute}
    return {name: _decoded(given) for name, given in found.items()}


def _decoded(given: Any) -> Any:
    if isinstance(given, bytes):
        return given.decode("utf-8", "replace")
    if isinstance(given, list | tuple):
        return [_decoded(item) for item in given]
    return given


def array_of(tensor: Any) -> np.ndarray:
    """The values of a ``TensorProto``."""
    return plain(np.asarray(onnx("numpy_helper").to_array(tensor)))


def kind_of_element(element: int) -> np.dtype[Any]:
    """The NumPy type of an ONNX element type.

    Raises:
        UnsupportedNodeError: the language has no such elements.
    """
    kinds = onnx().TensorProto
    name = kinds.DataType.Name(element)
    if name == "BFLOAT16":
        return np.dtype(np.float32)
    kind: np.dtype[Any] = np.dtype(onnx("helper").tensor_dtype_to_np_dtype(element))
    if kind.kind not in "fiub" or kind.isbuiltin != 1:
        raise UnsupportedNodeError(f"elements of the type {name}")
    return kind


def default_attributes(node: Any, version: int) -> dict[str, Any]:
    """The attributes of an operator that have a default, as protocol buffers."""
    package = onnx()
    try:
        schema = package.defs.get_schema(node.op_type, version, node.domain)
    except package.defs.SchemaError:
        return {}
    defaults = {name: attribute.default_value for name, attribute in schema.attributes.items()}
    return {name: default for name, default in defaults.items() if default.type}


def body_of(node: Any, inputs: Sequence[Value | Const | None], version: int) -> Any:
    """The body that ONNX gives for the operator of a node; None if there is none."""
    package, helper = onnx(), onnx("helper")
    try:
        schema = package.defs.get_schema(node.op_type, version, node.domain)
    except package.defs.SchemaError:
        return None
    if schema.has_function:
        return schema.function_body
    if not schema.has_context_dependent_function:
        return None
    types = []
    for found in inputs:
        kind = None if found is None else found.kind if isinstance(found, Value) else found.array.dtype
        shape = None
        if isinstance(found, Value):
            shape = found.outer(found.term.shape, 1) if found.batch is None else None
            if shape is None:
                shape = [None] * found.rank
        elif found is not None:
            shape = list(found.array.shape)
        made = package.TypeProto()
        if kind is not None:
            made = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(kind), shape)
        types.append(made.SerializeToString())
    text = schema.get_context_dependent_function(node.SerializeToString(), types)
    return package.FunctionProto.FromString(text) if text else None
