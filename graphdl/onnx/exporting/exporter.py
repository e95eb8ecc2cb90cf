"""The export of a net: a walk over its module graph that writes the nodes of an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from graphdl import __version__
from graphdl.compiler.lowering import drawn
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.model import ModuleGraph, Node, ScanBody, Value
from graphdl.onnx.exporting.form import Form
from graphdl.onnx.exporting.forms import form_of
from graphdl.onnx.exporting.operators import TRANSLATIONS
from graphdl.onnx.exporting.step import Step
from graphdl.onnx.exporting.terms import DTYPES, Term
from graphdl.onnx.exporting.writing import Weights, Writer, info
from graphdl.onnx.package import onnx

OPSET = 21
"""The version of the operators."""
_IR = 10
"""The version of the format: the first one in which nodes have metadata."""
_LARGEST = 2**31 - 1
"""The most bytes of one protobuf message."""


def export(graph: ModuleGraph, read: Callable[[str], np.ndarray]) -> Any:
    """The ONNX model of a net for inference, checked with ONNX's own checker.

    ``read`` gives the value of a parameter or state. The inputs are those that the outputs need; the examples are the
    first dimension of inputs and outputs, which is called ``batch``.

    Raises:
        ModelError: E0901, the package ``onnx`` is not installed; E0906, ONNX cannot hold the net; E0621, it has no
            output.
    """
    if not graph.outputs:
        raise ModelError(Diagnostic("E0621", f"the net '{graph.name}' has no output", graph.root.span))
    variables = {**graph.parameters, **graph.states}
    size = sum(4 * variable.type.size for variable in variables.values())
    if size > _LARGEST:
        message = f"the weights of '{graph.name}' have {size:,} bytes, and an ONNX file has at most {_LARGEST:,}"
        raise ModelError(Diagnostic("E0906", message, graph.root.span))
    model = _Exporter(graph, read).model()
    onnx("checker").check_model(model, full_check=True)
    return model


class _Exporter:
    """The state of one export: the terms of the values that are written already."""

    def __init__(self, graph: ModuleGraph, read: Callable[[str], np.ndarray]) -> None:
        self.graph, self.read = graph, read
        self.weights = Weights({*graph.inputs, *graph.outputs, *graph.parameters, *graph.states})
        self.terms: dict[Value, Term] = {}
        self.wished = {value: name for name, value in reversed(graph.outputs.items()) if value.batched}
        """The names of the outputs, for the values that are outputs as they are."""

    def model(self) -> Any:
        writer, graph, helper = Writer(self.weights), self.graph, onnx("helper")
        plan = _plan(graph.nodes, graph.outputs.values())
        inputs = [node for node, _ in plan if node.operator == "input"]
        writer.example = inputs[0].attributes["name"] if inputs else None
        self.run(plan, writer)
        for name, value in graph.outputs.items():
            self.output(name, value, writer)
        nodes = _used(writer.nodes, graph.outputs)
        written = {name for node in nodes for name in node.output}
        made = helper.make_graph(
            nodes,
            graph.name,
            [_info(node.attributes["name"], node.outputs[0]) for node in inputs],
            [info(name, v.type.element, v.type.shape, True) for name, v in graph.outputs.items()],
            self.weights.initializers,
            doc_string=graph.documentation,
            value_info=[each for each in writer.infos if each.name in written],
        )
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(
            made, producer_name="graphdl", producer_version=__version__, opset_imports=[opset], ir_version=_IR
        )

    def output(self, name: str, value: Value, writer: Writer) -> None:
        """Names a value as an output of the net; one that has no batch is repeated for each example."""
        term = self.terms[value]
        if term.name == name and value.batched:
            return
        step = Step(value.node, (term,), writer, "output")
        whole = step.identity(term.name) if value.batched else step.for_each(term)
        step.rename(whole, name)

    def run(self, plan: Sequence[tuple[Node, Form | None]], writer: Writer) -> None:
        """Writes nodes in order."""
        for node, form in plan:
            for value, term in zip(node.outputs, self.translated(node, form, writer), strict=True):
                self.terms[value] = term

    def translated(self, node: Node, form: Form | None, writer: Writer) -> Sequence[Term]:
        value = node.outputs[0]
        match node.operator:
            case "input":
                return (Term(value.type, True, node.attributes["name"]),)
            case "param" | "state":
                path = node.attributes["name"]
                name = self.weights.fresh(path) if path in self.graph.outputs else path
                self.weights.variable(name, self.read(path))
                return (Term(value.type, False, name),)
            case "constant":
                elements = np.array(node.attributes["value"], DTYPES[value.type.element])
                return (Term(value.type, False, value=elements),)
            case "draw":
                return (Term(value.type, False, value=drawn(node)),)
        inputs = form.inputs if form is not None else node.inputs
        step = Step(form.like if form is not None else node, [self.terms[x] for x in inputs], writer,
                    form.label if form is not None else node.operator)  # fmt: skip
        if form is not None:
            found = form.write(step)
        elif node.operator == "scan":
            found = self.scan(node, step, writer)
        else:
            found = TRANSLATIONS[node.operator](step)
        names = [found] if isinstance(found, str) else found
        return [self.named(value, name, step, writer) for value, name in zip(node.outputs, names, strict=True)]

    def named(self, value: Value, name: str, step: Step, writer: Writer) -> Term:
        """The term of a value, which gets the name that it has in the net."""
        if step.wrote(name):
            if value in self.wished and writer.outer is None:
                wanted = self.wished[value]
            else:
                path, own = value.node.module.path, value.node.name if value.index == 0 else None
                label = own or value.node.operator
                wanted = self.weights.fresh(f"{path}.{label}" if path else label)
                writer.infos.append(info(wanted, value.type.element, value.type.shape, value.batched))
            step.rename(name, wanted)
            name = wanted
        return Term(value.type, value.batched, name)

    def scan(self, node: Node, step: Step, writer: Writer) -> Sequence[str]:
        """A loop: the node ``Scan``, whose body is a graph that reads tensors around it by their names."""
        body: ScanBody = node.attributes["body"]
        items, states = len(body.items), len(body.states)
        inner = Writer(self.weights, writer)
        for value, outer in zip(body.captured, node.inputs[items + states :], strict=True):
            self.terms[value] = self.terms[outer]
        given = []
        for value, label in [*((v, "state") for v in body.states), *((v, "item") for v in body.items)]:
            path, name = node.module.path, value.node.name or label
            term = Term(value.type, value.batched, self.weights.fresh(f"{path}.{name}" if path else name))
            self.terms[value] = term
            given.append(_info(term.name, value))
        results = [*body.next_states, *body.emitted]
        self.run(_plan(body.nodes, results), inner)
        has_batch = [*(v.batched for v in body.states), *(v.batched for v in body.emitted)]
        out = []
        for value, batched in zip(results, has_batch, strict=True):
            copied = Step(node, (self.terms[value],), inner, "scan")
            name = copied.for_each(self.terms[value]) if batched else copied.name(self.terms[value])
            name = name if copied.wrote(name) else copied.identity(name)
            out.append(info(name, value.type.element, value.type.shape, batched))
        graph = onnx("helper").make_graph(inner.nodes, f"{node.module.path or self.graph.name} step", given, out,
                                          value_info=inner.infos)  # fmt: skip
        starts = [
            step.for_each(term) if state.batched else step.name(term)
            for term, state in zip(step.inputs[items : items + states], body.states, strict=True)
        ]
        sequences = [step.name(term) for term in step.inputs[:items]]
        found = step.ops(
            "Scan", *starts, *sequences, results=len(results), body=graph, num_scan_inputs=items,
            scan_input_axes=[int(term.batched) for term in step.inputs[:items]],
            scan_output_axes=[int(value.batched) for value in body.emitted],
        )  # fmt: skip
        return [*found[states:], *found[:states]]


def _info(name: str, value: Value) -> Any:
    return info(name, value.type.element, value.type.shape, value.batched)


def _used(nodes: Sequence[Any], outputs: Iterable[str]) -> list[Any]:
    """The nodes that the outputs need: layers with several results write all of them."""
    needed, used = set(outputs), []
    for node in reversed(nodes):
        if any(name in needed for name in node.output):
            needed.update(_read(node))
            used.append(node)
    return used[::-1]


def _read(node: Any) -> set[str]:
    """The names that a node and the bodies in its attributes read."""
    inner = (each for attribute in node.attribute for each in attribute.g.node)
    return {*node.input}.union(*map(_read, inner))


def _plan(nodes: Sequence[Node], wanted: Iterable[Value]) -> list[tuple[Node, Form | None]]:
    """The nodes that the wanted values need, in order, each with the form that it ends."""
    needed, plan = set(wanted), []
    for node in reversed(nodes):
        if node.operator != "item" and any(value in needed for value in node.outputs):
            form = form_of(node)
            needed.update(form.inputs if form is not None else node.inputs)
            plan.append((node, form))
    return plan[::-1]
