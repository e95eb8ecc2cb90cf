"""Scans that are the recurrent layers of ONNX: those that ``rnn``, ``gru`` and ``lstm`` of the library write."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphdl.graph.model import Node, ScanBody, Value
from graphdl.onnx.exporting.form import Form, operands
from graphdl.onnx.exporting.step import Step


@dataclass(frozen=True)
class _Layer:
    """A recurrent layer: its operator, the places of ONNX's gates among those of the library, and the next states as
    ``_formula`` writes them.
    """

    operator: str
    gates: tuple[int, ...]
    states: tuple[str, ...]


_Z = "add(add(i, matmul(s0, c0)), c1)"
_CELL = f"add(multiply(sigmoid({_Z}[1:2]), s1), multiply(sigmoid({_Z}[0:1]), tanh({_Z}[2:3])))"
_J = "add(matmul(s0, c0), c1)"
_KEEP = f"sigmoid(add(i[1:2], {_J}[1:2]))"
_NEW = f"tanh(add(i[2:3], multiply(sigmoid(add(i[0:1], {_J}[0:1])), {_J}[2:3])))"

_LAYERS = (
    _Layer("RNN", (0,), (f"tanh({_Z})",)),
    _Layer("GRU", (1, 0, 2), (f"add(multiply(subtract(1.0, {_KEEP}), {_NEW}), multiply({_KEEP}, s0))",)),
    _Layer("LSTM", (0, 3, 1, 2), (f"multiply(sigmoid({_Z}[3:4]), tanh({_CELL}))", _CELL)),
)
_LONGEST = max(len(text) for layer in _LAYERS for text in layer.states)


def _recurrent(node: Node) -> Form | None:
    """The layer that a scan over ``x @ Wx + bx`` is, if it is one."""
    body: ScanBody = node.attributes["body"]
    if len(body.items) != 1 or len(body.captured) != 2 or not all(value.batched for value in node.outputs):
        return None
    units = body.states[0].type.shape
    if len(units) != 1 or body.emitted not in ([], [body.next_states[0]]):
        return None
    known = {body.items[0]: "i"}
    known |= {value: f"s{k}" for k, value in enumerate(body.states)}
    known |= {value: f"c{k}" for k, value in enumerate(body.captured)}
    found = tuple(_formula(value, known, units[0]) for value in body.next_states)
    layer = next((layer for layer in _LAYERS if layer.states == found), None)
    inward, *starts, wh, bh = node.inputs
    biased = operands(inward, "add")
    product = operands(biased[0], "matmul") if biased else None
    if layer is None or not biased or not product:
        return None
    x, wx, bx = *product, biased[1]
    width = len(layer.gates) * units[0]
    shapes = [(x.type.shape[-1], width), (width,), (units[0], width), (width,)]
    weights = (wx, bx, wh, bh)
    if (
        not x.batched
        or x.type.rank != 2
        or any(w.batched for w in weights)
        or [w.type.shape for w in weights] != shapes
    ):
        return None
    given = tuple(start for start in starts if not _is_zero(start))
    if given and len(given) < len(starts):
        given = tuple(starts)
    return Form(layer.operator, (x, *weights, *given), lambda step: _written(step, layer, bool(body.emitted)), node)


def _is_zero(value: Value) -> bool:
    return value.node.operator == "fill" and value.node.attributes["value"] == 0


def _formula(value: Value, known: dict[Value, str], units: int) -> str:
    """A formula of the values that are ``known``; it becomes known, too. A slice is written by the numbers of the parts
    of ``units`` that it takes. What is longer than the formulas of all layers is written as "?".
    """
    if value not in known:
        node = value.node
        if node.operator == "constant":
            text = str(node.attributes["value"])
        else:
            inputs = [_formula(x, known, units) for x in node.inputs]
            text = (
                _part(node, inputs[0], units) if node.operator == "slice" else f"{node.operator}({', '.join(inputs)})"
            )
        known[value] = text if len(text) <= _LONGEST else "?"
    return known[value]


def _part(node: Node, whole: str, units: int) -> str:
    """A slice of a vector, from one part to another."""
    starts, stops, steps = (node.attributes[name] for name in ("starts", "stops", "steps"))
    if steps != [1] or node.attributes["squeeze"] or starts[0] % units or stops[0] % units:
        return "?"
    return f"{whole}[{starts[0] // units}:{stops[0] // units}]"


def _written(step: Step, layer: _Layer, emits: bool) -> list[str]:
    """The layer, which has the steps before the batch and a dimension for its directions."""
    x, wx, bx, wh, bh = step.names("float")[:5]
    units = step.types[3].shape[0]
    places = np.concatenate([np.arange(gate * units, (gate + 1) * units) for gate in layer.gates])
    weights = [
        step.transpose(step.op("Gather", w, step.array(places[None]), axis=1), [1, 2, 0]) for w in (wx, wh)
    ]  # fmt: skip
    both = np.concatenate([places, places + len(places)])
    bias = step.op("Gather", step.op("Concat", bx, bh, axis=0), step.array(both[None]), axis=0)
    starts = [step.unsqueeze(step.for_each(term), 0) for term in step.inputs[5:]]
    flags = {"linear_before_reset": 1} if layer.operator == "GRU" else {}
    y, *ends = step.ops(
        layer.operator, step.transpose(x, [1, 0, 2]), *weights, bias, *(["", *starts] if starts else []),
        results=1 + len(layer.states), hidden_size=units, **flags,
    )  # fmt: skip
    whole = [step.transpose(step.squeeze(y, 1), [1, 0, 2])] if emits else []
    return [*whole, *(step.squeeze(end, 0) for end in ends)]


FORMS = {"scan": (_recurrent,)}
