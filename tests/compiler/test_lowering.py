"""From the module graph to the operator graph: what the batch does, what is kept apart, and how scans are lowered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphdl.compiler.lowering import MOST_FORMULAS, Lowered, lower, worth_unrolling
from graphdl.compiler.recurrence import Loop
from graphdl.diagnostics import ModelError
from graphdl.graph.model import ModuleGraph, ScanBody
from graphdl.language import Source, expand
from graphdl.operators.tensor import Feed, Read, Tensor, number, topological


def graph(body: str, training: bool = False) -> ModuleGraph:
    return expand(Source("a.net", f"net n() {{\n{body}\n}}\n"), training=training)


SMALL = """
    input x: [3, 4]
    input label: class(2)
    param w: [4] = normal(0, 1)
    state seen: [4] = zeros()
    update seen = seen + batch_mean(x, axis = 0)
    y = x * w
    output scale = w * 2
    output y
    loss cross_entropy(sum(y, axis = 1)[:2], label)
    loss size = sum(w * w)
    metric accuracy(sum(y, axis = 1)[:2], label)
"""


def test_inputs_are_fed_with_the_batch_in_front() -> None:
    lowered = lower(graph(SMALL), 5)
    feeds = {t.operation.key: t for t in every(lowered) if isinstance(t.operation, Feed)}
    assert {name: (t.shape, t.element) for name, t in feeds.items()} == {
        "x": ((5, 3, 4), "float"), "label": ((5,), "int"),
    }  # fmt: skip
    reads = {t.operation.key: t.shape for t in every(lowered) if isinstance(t.operation, Read)}
    assert reads["w"] == (4,)


def every(lowered: Lowered) -> list[Tensor]:
    return topological([*lowered.outputs.values(), *lowered.losses.values(), *lowered.updates.values()])


def test_every_output_has_an_example_each() -> None:
    lowered = lower(graph(SMALL), 5)
    assert {name: t.shape for name, t in lowered.outputs.items()} == {"scale": (5, 4), "y": (5, 3, 4)}


def test_losses_are_means_and_examples_are_kept() -> None:
    lowered = lower(graph(SMALL), 5)
    assert list(lowered.losses) == ["cross_entropy", "size"]
    assert list(lowered.metrics) == ["accuracy"]
    assert all(t.shape == () for t in (*lowered.losses.values(), *lowered.metrics.values()))
    assert list(lowered.examples) == ["cross_entropy", "size", "accuracy"]
    assert {(t.shape, t.element) for t in lowered.examples.values()} == {((5,), "float")}
    for loss in lowered.losses.values():
        assert (loss.operation.name, number(loss.inputs[1])) == ("divide", 5)


def test_states_have_next_values_in_training_alone() -> None:
    assert {path: t.shape for path, t in lower(graph(SMALL, training=True), 5).updates.items()} == {"seen": (4,)}
    assert set(lower(graph(SMALL), 5).parameters) == {"w"}


def test_tensors_belong_to_the_node_that_asked_for_them() -> None:
    made = graph(SMALL)
    lowered = lower(made, 5)
    for value, tensor in lowered.values.items():
        if value.node.operator in ("multiply", "input", "param"):
            assert tensor.origin is value.node
    assert all(t.origin is not None for t in topological(lowered.values.values()) if t.inputs)


def test_values_that_are_kept_apart_are_tensors_of_their_own() -> None:
    """x * 1 is x itself, unless somebody wants to look at it."""
    made = graph("    input x: [3]\n    y = x * 1.0\n    output z = y + 1.0")
    value = next(node.outputs[0] for node in made.nodes if node.operator == "multiply")
    source = made.inputs["x"]
    together, apart = lower(made, 2), lower(made, 2, [value])
    assert together.values[value] is together.values[source]
    assert apart.values[value] is not apart.values[source]
    assert apart.values[value].shape == (2, 3)


SCAN = """
    input x: [LENGTH, 3]
    w = linear(3, bias = false)
    y, last = scan row in x, h = zeros([3]) { h = STEP; emit h, sum(h) }
    output y
"""


def scanned(length: int = 6, step: str = "tanh((h -> w) + row)") -> ModuleGraph:
    text = SCAN.replace("LENGTH", str(length)).replace("STEP", step)
    return graph(text.replace("y, last", "y, total, last"))


def loops(lowered: Lowered) -> list[Loop]:
    return [t.operation for t in topological(lowered.outputs.values()) if isinstance(t.operation, Loop)]


@pytest.mark.parametrize(("unrolled", "count"), [(True, 0), (False, 1), (None, 1)])
def test_a_scan_is_a_loop_or_its_steps(unrolled: Any, count: int) -> None:
    lowered = lower(scanned(), 2, unrolled=unrolled)
    found = loops(lowered)
    assert len(found) == count
    assert lowered.outputs["y"].shape == (2, 6, 3)
    if found:
        assert found[0].count == 6
    products = [t for t in topological(lowered.outputs.values()) if t.operation.name == "matmul"]
    assert len(products) == (6 if unrolled else 0), "the product of a loop stands in its body"


@pytest.mark.parametrize(
    ("length", "step", "unrolls"),
    [
        (1, "tanh((h -> w) + row)", True),
        (2, "tanh((h -> w) + row)", False),
        (MOST_FORMULAS, "tanh(h * 0.5 + row)", True),
        (MOST_FORMULAS + 1, "tanh(h * 0.5 + row)", False),
        (4, "h + softmax(row)", False),
    ],
)
def test_short_scans_of_formulas_are_unrolled(length: int, step: str, unrolls: bool) -> None:
    made = graph(SCAN.replace("LENGTH", str(length)).replace("STEP", step).replace("emit h, sum(h)", "emit h"))
    (node,) = (node for node in made.nodes if node.operator == "scan")
    body = node.attributes["body"]
    assert isinstance(body, ScanBody)
    assert worth_unrolling(body, length) == unrolls
    assert (loops(lower(made, 2)) == []) == unrolls


def test_a_state_that_begins_the_same_for_all_is_repeated_for_each() -> None:
    """It begins at zeros and depends on the example from the first step on."""
    made = scanned(2)
    lowered = lower(made, 4, unrolled=True)
    assert lowered.outputs["y"].shape == (4, 2, 3)
    (loop,) = (t for t in topological(lower(made, 4, unrolled=False).outputs.values()) if isinstance(t.operation, Loop))
    assert [x.shape for x in loop.operation.states] == [(4, 3)]  # type: ignore[attr-defined]


def test_an_initializer_as_a_value_is_drawn_once_and_the_same_each_time() -> None:
    text = "    input x: [3]\n    output y = x + normal([3], 0, 1)\n    output z = x + normal([3], 0, 1)"
    first, second = (lower(graph(text), 2) for _ in range(2))

    def drawn(lowered: Lowered, name: str) -> tuple[float, ...]:
        (found,) = (t for t in topological([lowered.outputs[name]]) if t.shape == (3,) and not t.inputs)
        values: tuple[float, ...] = found.operation.values  # type: ignore[attr-defined]
        return values

    assert drawn(first, "y") == drawn(second, "y")
    assert drawn(first, "y") != drawn(first, "z")
    assert np.std(drawn(first, "y")) > 0


def test_what_a_lowering_rule_refuses_is_a_complaint_at_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    from graphdl.operators import PRIMITIVES
    from graphdl.operators.primitive import OperatorError, Primitive

    def refuse(node: Any) -> Any:
        raise OperatorError("E0405", "too large for the batch", help="a smaller one")

    tanh = PRIMITIVES["tanh"]
    refusing = Primitive("tanh", tanh.inputs, tanh.infer, refuse)
    monkeypatch.setitem(PRIMITIVES, "tanh", refusing)  # type: ignore[misc]
    with pytest.raises(ModelError) as caught:
        lower(graph("    input x: [3]\n    output y = tanh(x)"), 2)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.message, diagnostic.help) == (
        "E0405",
        "too large for the batch",
        "a smaller one",
    )
    assert diagnostic.span is not None
    assert diagnostic.span.text == "tanh(x)"
