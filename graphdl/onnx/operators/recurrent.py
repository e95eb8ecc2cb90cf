"""Recurrent operators: as layers of the library, or as scans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphdl.graph.types import TensorType
from graphdl.importing import terms
from graphdl.importing.terms import Term, call
from graphdl.onnx.operators.products import layer_name
from graphdl.onnx.step import Step
from graphdl.onnx.values import Const, MixesExamplesError, UnsupportedNodeError, Value

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_ORDER = {"RNN": [0], "GRU": [1, 0, 2], "LSTM": [0, 2, 3, 1]}
"""The places of the library's gates among those of ONNX."""
_ACTIVATIONS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}


@dataclass(frozen=True)
class _Direction:
    """The weights of one direction, with the gates in the library's order."""

    name: str
    wx: np.ndarray
    wh: np.ndarray
    bx: np.ndarray
    bh: np.ndarray
    peepholes: np.ndarray | None
    backwards: bool


def _directions(step: Step, units: int) -> list[_Direction]:
    w, r = step.constant(1), step.constant(2)
    gates = _GATES[step.op]
    bias = step.constant(3) if step.has(3) else np.zeros((len(w), 2 * gates * units), np.float32)
    peepholes = step.constant(7) if step.op == "LSTM" and step.has(7) else None
    source = step.source(1)
    name = layer_name(step, source) if isinstance(source, Const) and source.name else step.op.lower()
    way = str(step.attribute("direction", "forward"))

    def ordered(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array[k * units : (k + 1) * units] for k in _ORDER[step.op]])

    found = []
    for d in range(len(w)):
        halves = bias[d][: gates * units], bias[d][gates * units :]
        bx, bh = map(ordered, halves)
        own = None if peepholes is None else peepholes[d]
        label = name if len(w) == 1 else f"{name}_{('ahead', 'back')[d]}"
        found.append(_Direction(label, ordered(w[d]).T, ordered(r[d]).T, bx, bh, own, way == "reverse" or d == 1))
    return found


def _is_plain(step: Step, value: Value) -> bool:
    """Whether the library has the layer."""
    before = step.op != "GRU" or step.attribute("linear_before_reset", 0)
    lengths = step.has(4) or (step.op == "LSTM" and step.has(7))
    return bool(value.batch is not None and before and not lengths)


def _recurrent(step: Step) -> list[Value | None]:
    value, units = step.value(), int(step.attribute("hidden_size"))
    layout = int(step.attribute("layout", 0))
    directions = _directions(step, units)
    given = [str(a) for a in step.attribute("activations", [])]
    if given and given != _ACTIVATIONS[step.op] * len(directions):
        raise UnsupportedNodeError(f"the activations {', '.join(given)}")
    for name in ("clip", "input_forget"):
        if step.attribute(name):
            raise UnsupportedNodeError(f"the attribute {name}")
    if value.batch not in (None, 0 if layout else 1) or value.merged:
        raise MixesExamplesError
    batched = value.batch is not None
    x = value.term if batched or not layout else terms.transpose(value.term, [1, 0, 2])
    states = [5, 6] if step.op == "LSTM" else [5]
    results: list[list[Term]] = []
    for d, direction in enumerate(directions):
        starts = [_start(step, k, d, layout, batched) for k in states]
        along = step.keep(call("reverse", x, axis=0)) if direction.backwards else x
        ends = _layer(step, along, direction, starts, units) if _is_plain(step, value) else None
        ends = ends or _scan(step, along, direction, starts, units)
        if direction.backwards and step.wants(0):
            ends[0] = call("reverse", ends[0], axis=0)
        results.append(ends)
    y: Term = terms.concat([_with_one(ends[0], 1) for ends in results], 1)
    place = 2 if not layout else 0
    if layout and not batched:
        y = terms.transpose(step.keep(y), [2, 0, 1, 3])
    outputs: list[Value | None] = [Value(y, value.kind, place if batched else None)]
    for k in range(len(states)):
        last = terms.concat([_with_one(ends[1 + k], 0) for ends in results], 0)
        if layout and not batched:
            last = terms.transpose(step.keep(last), [1, 0, 2])
        outputs.append(Value(last, value.kind, (0 if layout else 1) if batched else None))
    return [output if step.wants(k) else None for k, output in enumerate(outputs)]


def _with_one(x: Term, axis: int) -> Term:
    return terms.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def _start(step: Step, index: int, d: int, layout: int, batched: bool) -> Term | None:
    """The state before the first step, if it is given and not zero."""
    if not step.has(index):
        return None
    found = step.source(index)
    if isinstance(found, Const) and not found.array.any():
        return None
    value = step.value(index)
    if batched:
        if value.batch != (0 if layout else 1) or value.merged:
            raise MixesExamplesError
        return terms.indexed(value.term, 0, d)
    return terms.indexed(value.term, 1 if layout else 0, d)


def _layer(step: Step, x: Term, direction: _Direction, starts: Sequence[Term | None], units: int) -> list[Term]:
    """A layer of the library: the sequence of its states, and the last ones."""
    name = step.op.lower()
    weights = {"Wx": direction.wx, "Wh": direction.wh, "bx": direction.bx, "bh": direction.bh}
    zeros = call("fill", shape=[units], value=0.0)
    operands = [x, *(zeros if s is None else s for s in starts)] if any(s is not None for s in starts) else [x]
    before = operands[0].text if len(operands) == 1 else "(" + ", ".join(o.text for o in operands) + ")"
    if len(operands) == 1 and x.level < terms.ATOM:
        before = f"({before})"
    whole = Term(f"{before} -> {name}({units})", TensorType((x.shape[0], units)), 0)
    applied = step.writer.layer(whole, direction.name, weights)
    ends = [Term(applied.text, TensorType((units,))) for _ in starts]
    return list(step.writer.keep(applied, *ends))


def _scan(step: Step, x: Term, direction: _Direction, starts: Sequence[Term | None], units: int) -> list[Term]:
    """A scan over the sequence ``x`` [T, n] or, without a batch, [T, examples, n]."""
    declare, name = step.writer.declare, direction.name
    inward = step.keep(x @ declare(f"{name}.Wx", direction.wx) + declare(f"{name}.bx", direction.bx))
    wh, bh = declare(f"{name}.Wh", direction.wh), declare(f"{name}.bh", direction.bh)
    shape = (*x.shape[1:-1], units)
    item, h, c, place = (step.writer.fresh(n) for n in ("i", "h", "c", "place"))
    begins = [call("fill", shape=list(shape), value=0.0) if s is None else s for s in starts]
    lengths = step.value(4) if step.has(4) else None
    if lengths is not None and direction.backwards:
        raise UnsupportedNodeError("lengths of sequences that are read backwards")
    body, new = _STEPS[step.op](step, direction, item, (h, c), (wh.text, bh.text), units)
    names = [h, c][: len(starts)]
    head = f"{item} in {inward.text}"
    emitted = new[0]
    if lengths is not None:
        head += f", {place} in {terms.numbers_below(x.shape[0]).text}"
        # a length for each example, beside states [.., units]
        length = lengths.term if lengths.batch is not None else terms.reshape(lengths.term, (*shape[:-1], 1))
        runs = f"{place} < {step.keep(length).text}"
        emitted = f"where({runs}, {new[0]}, 0.0)"
        body += [f"now = {emitted}"]
        body += [f"{state} = where({runs}, {text}, {state})" for state, text in zip(names, new, strict=True)]
        emitted = "now"
    else:
        body += [f"{state} = {text}" for state, text in zip(names, new, strict=True)]
        emitted = h
    head += "".join(f", {state} = {start.text}" for state, start in zip(names, begins, strict=True))
    text = f"scan {head} {{\n" + "\n".join(body) + f"\nemit {emitted}\n}}"
    sequence = Term(text, TensorType((x.shape[0], *shape)), 0)
    return list(step.writer.keep(sequence, *(Term(text, TensorType(shape), 0) for _ in starts)))


Lines = tuple[list[str], list[str]]
"""The statements of a step, and the next states."""


def _elman(step: Step, d: _Direction, item: str, states: Sequence[str], w: Sequence[str], units: int) -> Lines:
    return [f"new = tanh({item} + {states[0]} @ {w[0]} + {w[1]})"], ["new"]


def _gated(step: Step, d: _Direction, item: str, states: Sequence[str], w: Sequence[str], units: int) -> Lines:
    h = states[0]
    rank = step.value().term.rank - 1
    part = _parts(rank, units)
    lines = [f"inner = {h} @ {w[0]} + {w[1]}"]
    lines += [f"reset = sigmoid({part(item, 0)} + {part('inner', 0)})"]
    lines += [f"stays = sigmoid({part(item, 1)} + {part('inner', 1)})"]
    if step.attribute("linear_before_reset", 0):
        lines += [f"new = tanh({part(item, 2)} + reset * {part('inner', 2)})"]
    else:
        columns, biases = f"{w[0]}[:, {2 * units}:]", f"{w[1]}[{2 * units}:]"
        lines += [f"new = tanh({part(item, 2)} + (reset * {h}) @ {columns} + {biases})"]
    return lines, [f"(1 - stays) * new + stays * {h}"]


def _long(step: Step, d: _Direction, item: str, states: Sequence[str], w: Sequence[str], units: int) -> Lines:
    h, c = states
    part = _parts(step.value().term.rank - 1, units)
    lines = [f"z = {item} + {h} @ {w[0]} + {w[1]}"]
    gates = [part("z", k) for k in range(4)]
    after = gates[3]
    if d.peepholes is not None:
        i, o, f = (
            step.writer.declare(f"{d.name}.peephole_{name}", d.peepholes[k * units : (k + 1) * units]).text
            for k, name in enumerate("iof")
        )
        gates[0], gates[1], after = f"{gates[0]} + {i} * {c}", f"{gates[1]} + {f} * {c}", f"{after} + {o} * cell"
    lines += [f"cell = sigmoid({gates[1]}) * {c} + sigmoid({gates[0]}) * tanh({gates[2]})"]
    lines += [f"hidden = sigmoid({after}) * tanh(cell)"]
    return lines, ["hidden", "cell"]


def _parts(rank: int, units: int) -> Callable[[str, int], str]:
    """The columns of a gate in a tensor of this rank."""
    lead = ":, " * (rank - 1)
    return lambda name, k: f"{name}[{lead}{k * units or ''}:{(k + 1) * units}]"


_STEPS: dict[str, Callable[..., Lines]] = {"RNN": _elman, "GRU": _gated, "LSTM": _long}

TABLE: dict[str, Callable[[Step], Any]] = dict.fromkeys(_STEPS, _recurrent)
