"""ONNX to the language: reads a graph node by node and writes a net and its weights.

Nodes whose inputs are known are computed. Every other node is translated by the function of its operator in
``graphdl.onnx.operators``. A node without one is replaced by the body that ONNX gives for its operator, if any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.operator import GraphError
from graphdl.graph.types import TensorType
from graphdl.importing import terms
from graphdl.importing.imported import Imported
from graphdl.importing.names import simple
from graphdl.importing.text import NetText
from graphdl.onnx.folding import fold
from graphdl.onnx.operators import TRANSLATIONS
from graphdl.onnx.package import onnx
from graphdl.onnx.protocol import (
    array_of,
    attributes_of,
    body_of,
    bound,
    classes_of,
    default_attributes,
    is_known,
    kind_of_element,
    names_read,
    scope_of,
)
from graphdl.onnx.step import Step, as_value
from graphdl.onnx.values import Const, Merged, MixesExamplesError, UnknownValueError, UnsupportedNodeError, Value

_WRITTEN = 64
"""Known floats of at most as many elements are written out, if they are no initializer; others are parameters."""


@dataclass(frozen=True)
class Port:
    """An input or output of the graph in the net: its name there, the dimension that is the batch (None: the tensor
    has no batch), whether that dimension is merged with one of the example, and the ONNX element type.
    """

    name: str
    batch: int | None
    merged: Merged
    kind: np.dtype[Any]


@dataclass(frozen=True, kw_only=True)
class ImportedGraph(Imported):
    """An imported graph with its ports by their ONNX names."""

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]


class UnsupportedError(ModelError):
    """Nodes cannot be imported. ``unknown`` are inputs whose values decide the form of the net."""

    def __init__(self, diagnostics: Sequence[Diagnostic], unknown: Sequence[str]) -> None:
        super().__init__(*diagnostics)
        self.unknown = tuple(unknown)


def read(
    model: Any,
    *,
    name: str = "imported",
    constants: Mapping[str, np.ndarray] | None = None,
    sizes: Mapping[str, int] | None = None,
    batched: bool | None = None,
) -> ImportedGraph:
    """The net of a ``ModelProto``.

    ``constants`` fixes the values of inputs by name. ``sizes`` are lengths of dimensions that the model leaves open, by
    name. ``batched`` says whether the first dimension of the inputs is the batch; by default it is found out.

    Raises:
        ModelError: E0901, the package onnx is missing; E0903, nodes are not supported: all of them are named.
    """
    model = _plain(model)
    constants, sizes = dict(constants or {}), dict(sizes or {})
    lead = _Lead.of(model.graph, constants, sizes) if batched is not False else None
    if lead is not None:
        try:
            return _Reader(model, constants, sizes, lead).read(name)
        except MixesExamplesError as error:
            if batched or lead.size is None:
                fault = Diagnostic("E0903", f"{error.node}: it combines the examples of a batch")
                raise UnsupportedError([fault], ()) from None
    return _Reader(model, constants, sizes, None).read(name)


def read_file(
    path: Path, *, constants: Mapping[str, np.ndarray] | None = None, sizes: Mapping[str, int] | None = None
) -> ImportedGraph:
    """The net of a file; see ``read``.

    Raises:
        ModelError: as for ``read``; E0902, the file cannot be read, or is no ONNX file.
    """
    package = onnx()
    try:
        model = package.load(path)
        package.checker.check_model(model)
    except OSError as error:
        raise ModelError(Diagnostic("E0902", f"{path} cannot be read ({error.strerror or error})")) from error
    except Exception as error:  # of the package's parser and checker
        raise ModelError(Diagnostic("E0902", f"{path} is no intact ONNX file ({error})")) from error
    return read(model, name=path.stem, constants=constants, sizes=sizes)


def _plain(model: Any) -> Any:
    """The model with its own functions replaced by their bodies."""
    return onnx("inliner").inline_local_functions(model) if model.functions else model


@dataclass(frozen=True)
class _Lead:
    """The batch of a graph: its fixed size, or None; and the inputs that have it as first dimension."""

    size: int | None
    inputs: frozenset[str]

    @staticmethod
    def of(graph: Any, constants: Mapping[str, Any], sizes: Mapping[str, int]) -> _Lead | None:
        """The first dimension of the inputs is the batch if its length is open, or if it is one length for all inputs
        and outputs.
        """
        inputs = [port for port in _fed(graph) if port.name not in constants and _dimensions(port, sizes) != [0]]
        firsts = [_dimensions(port, sizes)[:1] for port in inputs]
        named = frozenset(port.name for port, first in zip(inputs, firsts, strict=True) if first == [None])
        if named:
            return _Lead(None, named)
        firsts += [_dimensions(port, sizes)[:1] for port in graph.output]
        lengths = {first[0] for first in firsts if first and first[0] is not None}
        if inputs and len(lengths) == 1 and all(firsts):
            return _Lead(lengths.pop(), frozenset(port.name for port in inputs))
        return None


def _fed(graph: Any) -> list[Any]:
    """The inputs of a graph that are no initializers."""
    known = {tensor.name for tensor in graph.initializer}
    return [port for port in graph.input if port.name not in known]


def _dimensions(port: Any, sizes: Mapping[str, int]) -> list[int | None]:
    """The lengths of a port; None where the model leaves one open."""
    found: list[int | None] = []
    for dimension in port.type.tensor_type.shape.dim:
        fixed = dimension.HasField("dim_value")
        found.append(dimension.dim_value if fixed else sizes.get(dimension.dim_param))
    return found


@dataclass
class _Scope:
    """The values of a graph, or of a body inside it, by name."""

    opsets: Sequence[Any]
    values: dict[str, Value | Const | None] = field(default_factory=dict)
    """None stands for a value that could not be computed."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Those of the node that a function's body replaces, as protocol buffers."""
    outer: _Scope | None = None
    several: frozenset[str] = frozenset()
    """The names that several nodes read, or that are results."""

    def find(self, name: str) -> Value | Const | None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        raise UnsupportedNodeError(f"there is no tensor '{name}'")

    def version(self, domain: str) -> int:
        wanted = {"", "ai.onnx"} if domain in ("", "ai.onnx") else {domain}
        return next((int(o.version) for o in self.opsets if o.domain in wanted), 1)


class _Reader:
    """Reads one graph, with or without a batch."""

    def __init__(
        self, model: Any, constants: Mapping[str, np.ndarray], sizes: Mapping[str, int], lead: _Lead | None
    ) -> None:
        self.graph, self.opsets = model.graph, list(model.opset_import)
        self.constants, self.sizes, self.lead = constants, sizes, lead
        self.text = NetText()
        self.inputs: dict[str, Port] = {}
        self.complaints: dict[str, str] = {}
        """What is wrong, by the node."""
        self.unknown: list[str] = []
        self.depth = 0

    def read(self, name: str) -> ImportedGraph:
        scope = _Scope(self.opsets)
        for tensor in self.graph.initializer:
            scope.values[tensor.name] = Const(array_of(tensor), name=tensor.name)
        for port in _fed(self.graph):
            scope.values[port.name] = self._input(port)
        self._nodes(self.graph, scope)
        names = [port.name for port in self.graph.output]
        alone = all(isinstance(scope.values.get(name), Const) for name in names)
        outputs = {name: self._output(name, scope, alone) for name in names}
        if self.complaints:
            found = [Diagnostic("E0903", f"{node}: {reason}") for node, reason in self.complaints.items()]
            raise UnsupportedError(found, self.unknown)
        text, weights = self.text.finished(name)
        return ImportedGraph(
            text=text,
            weights=weights,
            batched=self.lead is not None,
            inputs=self.inputs,
            outputs={key: port for key, port in outputs.items() if port is not None},
        )

    # --------------------------------------------------------------------------------------------- inputs and outputs

    def _input(self, port: Any) -> Value | Const | None:
        if port.name in self.constants:
            return Const(np.asarray(self.constants[port.name]), name=port.name)
        try:
            if port.type.WhichOneof("value") != "tensor_type":
                raise UnsupportedNodeError("it is no tensor")
            kind = kind_of_element(port.type.tensor_type.elem_type)
            shape = _dimensions(port, self.sizes)
            batch = None
            if self.lead is not None and shape != [0]:
                if port.name not in self.lead.inputs:
                    raise MixesExamplesError
                shape, batch = shape[1:], 0
            if None in shape:
                raise UnsupportedNodeError(
                    f"the length of dimension {shape.index(None)} is open: give it with the import"
                )
            if shape == [0]:
                return Const(np.zeros(0, kind))  # a list without items: it has one value
            if 0 in shape:
                raise UnsupportedNodeError("it has no elements")
            known = TensorType(tuple(n for n in shape if n is not None), terms.element_of(kind))
        except UnsupportedNodeError as fault:
            self.complaints[f"the input '{port.name}'"] = str(fault)
            return None
        name, term = self.text.input(port.name, known)
        self.inputs[port.name] = Port(name, batch, "", kind)
        return Value(term, kind, batch, given=port.name, sources=frozenset([port.name]))

    def _output(self, name: str, scope: _Scope, alone: bool) -> Port | None:
        """The port of an output; ``alone`` says that no output depends on an input."""
        try:
            found = scope.find(name)
            if found is None:
                return None
            if isinstance(found, Const) and alone:
                raise UnsupportedNodeError("it does not depend on any input")
            value = as_value(found, self.text) if isinstance(found, Const) else found
        except UnsupportedNodeError as fault:
            self.complaints[f"the output '{name}'"] = str(fault)
            return None
        return Port(self.text.output(name, value.term), value.batch, value.merged, value.kind)

    # ----------------------------------------------------------------------------------------------------------- nodes

    def _nodes(self, graph: Any, scope: _Scope) -> None:
        """Translates the nodes on which outputs of the graph depend."""
        ports = [port if isinstance(port, str) else port.name for port in graph.output]
        needed = set(ports)
        wanted = []
        for node in reversed(graph.node):
            if needed.intersection(node.output):
                wanted.append(node)
                needed.update(names_read(node))
        reads = Counter(name for node in wanted for name in set(names_read(node)))
        scope.several = frozenset([*(name for name, count in reads.items() if count > 1), *ports])
        for node in reversed(wanted):
            for name in node.output:
                scope.values[name] = None
            used = [name if name in needed else "" for name in node.output]
            try:
                self._node(bound(node, scope.attributes), used, scope)
            except UnknownValueError as fault:
                self.unknown.extend(fault.names)
                self._complain(node, str(fault))
            except UnsupportedNodeError as fault:
                self._complain(node, str(fault))
            except GraphError as error:
                self._complain(node, error.message)
            except MixesExamplesError as error:
                error.node = error.node or _said(node)
                raise

    def _complain(self, node: Any, reason: str) -> None:
        self.complaints.setdefault(_said(node), reason)

    def _node(self, node: Any, used: Sequence[str], scope: _Scope) -> None:
        inputs = [scope.find(name) if name else None for name in node.input]
        if any(found is None for found, name in zip(inputs, node.input, strict=True) if name):
            return  # the reason is told already
        self.text.hint, self.text.scope = simple(node.output[0]), scope_of(node)
        self.text.classes |= classes_of(node)
        results = self._results(node, inputs, used, scope)
        for name, result in zip(node.output, results, strict=False):
            if not name:
                continue
            if isinstance(result, Value):
                self.text.hint = simple(name)
                (term,) = self.text.keep(result.term)
                found = [i.sources for i in inputs if isinstance(i, Value)]
                sources = frozenset().union(*found) or result.sources
                result = Value(term, result.kind, result.batch, result.merged, result.given, sources)
            scope.values[name] = result

    def _results(
        self, node: Any, inputs: Sequence[Value | Const | None], used: Sequence[str], scope: _Scope
    ) -> Sequence[Value | Const | None]:
        domain = "" if node.domain == "ai.onnx" else node.domain
        version = scope.version(domain)
        if (node.op_type == "Constant" and not domain) or is_known(node, inputs):
            known = [c for c in inputs if not isinstance(c, Value)]
            return self._folded(node, fold(node, known, scope.opsets))
        translate = TRANSLATIONS.get((domain, node.op_type))
        if translate is not None:
            size = self.lead.size if self.lead is not None else None
            alone = [name not in scope.several for name in node.input]
            module = ".".join(scope_of(node) or ())
            step = Step(
                node.op_type, module, version, attributes_of(node), inputs, used, self.text, alone, size,
                lambda graph, given: self._inside(graph, given, scope),
            )  # fmt: skip
            results = translate(step)
            if results is not NotImplemented:
                return results if isinstance(results, tuple | list) else [results]
        return self._body(node, inputs, scope)

    def _folded(self, node: Any, results: list[Const]) -> list[Const | None]:
        found: list[Const | None] = []
        left = list(results)
        for name in node.output:
            result = left.pop(0) if name else None
            large = result is not None and result.array.size > _WRITTEN and result.array.dtype.kind == "f"
            found.append(Const(result.array, result.other, name) if result is not None and large else result)
        return found

    def _inside(self, graph: Any, given: Sequence[Value | Const], scope: _Scope) -> list[Value | Const | None]:
        """The results of the graph of a branch or of a loop."""
        inner = _Scope(scope.opsets, outer=scope, attributes=scope.attributes)
        inner.values.update(zip((port.name for port in graph.input), given, strict=True))
        for tensor in graph.initializer:
            inner.values[tensor.name] = Const(array_of(tensor), name=tensor.name)
        self._nodes(graph, inner)
        return [inner.find(port.name) for port in graph.output]

    def _body(self, node: Any, inputs: Sequence[Value | Const | None], scope: _Scope) -> list[Value | Const | None]:
        """The results of the body that ONNX gives for an operator."""
        body = body_of(node, inputs, scope.version(node.domain))
        if body is None or self.depth > 8:
            raise UnsupportedNodeError("this operator is not supported" if body is None else "its body never ends")
        given = default_attributes(node, scope.version(node.domain))
        given |= {attribute.name: attribute for attribute in node.attribute}
        for default in body.attribute_proto:
            given.setdefault(default.name, default)
        own = {opset.domain for opset in body.opset_import}
        opsets = [*body.opset_import, *(o for o in scope.opsets if o.domain not in own)]
        inner = _Scope(opsets, attributes=given)
        for k, name in enumerate(body.input):
            inner.values[name] = inputs[k] if k < len(inputs) else None
        inner.values[""] = None
        self.depth += 1
        before = set(self.complaints)
        self._nodes(body, inner)
        self.depth -= 1
        if set(self.complaints) - before:
            reasons = [f"{name}: {self.complaints.pop(name)}" for name in [*self.complaints] if name not in before]
            raise UnsupportedNodeError("in its body, " + "; ".join(reasons))
        return [inner.values.get(name) for name in body.output]


def _said(node: Any) -> str:
    """A node in messages."""
    name = node.name or (node.output[0] if node.output else "")
    return f"the node '{name}' ({node.op_type})"
