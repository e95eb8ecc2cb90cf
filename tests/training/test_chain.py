"""The gradient as a sum over paths: on interweaved nets, shared parameters, scans and nets with very many paths."""

from __future__ import annotations

import numpy as np
import pytest

import graphdl
from graphdl.diagnostics import ModelError
from graphdl.graph.paths import PathGraph, steps
from graphdl.training.chain import chain
from graphdl.training.samples import made_up

RESIDUAL = """
block residual(): x -> y {
    main = x -> linear(6) -> tanh -> linear(6)
    y = main + x
}
net residuals(depth = 3) {
    input x: [6]
    input target: [6]
    start = x -> linear(6) as first
    for k in 0..depth { start = start -> residual }
    loss mse(start, target)
}
"""
BRANCHES = """
net branches() {
    input image: [2, 6, 6]
    input label: class(3)
    stem = image -> conv(4, 3, pad = 1) as stem_conv -> relu
    joined = concat(stem -> conv(3, 1) -> relu,
                    stem -> conv(3, 3, pad = 1) -> batchnorm -> relu,
                    stem -> maxpool(3, stride = 1, pad = 1))
    logits = joined -> flatten -> linear(3)
    loss cross_entropy(logits, label)
}
"""
SHARED = """
net shared() {
    input a: [5]
    input b: [5]
    twin = linear(4)
    d = tanh(a -> twin) - tanh(b -> twin)
    loss mean(d * d)
    loss size = 0.1 * mean(abs(a -> twin))
}
"""
RECURRENT = """
net recurrent() {
    input x: [5, 3]
    input label: class(2)
    y, last = x -> rnn(4)
    logits = concat(last, mean(y, axis = 0)) -> linear(2)
    loss cross_entropy(logits, label)
}
"""
UNROLLED = """
block cell(units): x: [n], h: [units] -> next: [units] {
    param Wx: [n, units] = normal(0, 0.5)
    param Wh: [units, units] = normal(0, 0.5)
    next = tanh(x @ Wx + h @ Wh)
}
net unrolled(steps = 4) {
    input x: [steps, 3]
    input target: [4]
    step = cell(4)
    h = zeros([4])
    for t in 0..steps { h = (x[t], h) -> step }
    loss mse(h, target)
}
"""


def measured(text: str, parameter: str, most: int = 64, **settings: object):
    model = graphdl.loads(text, **settings)
    arrays = made_up({name: value.type for name, value in model.module_graph.inputs.items()}, 4, seed=1)
    return model, arrays, chain(model.network, parameter, arrays, most=most)


@pytest.mark.parametrize(
    ("text", "parameter", "count"),
    [
        (RESIDUAL, "first.W", 8),
        (BRANCHES, "stem_conv.W", 3),
        (SHARED, "twin.W", 3),
        (RECURRENT, "y.rnn.Wh", 2),
        (UNROLLED, "step.Wh", 4),
    ],
    ids=["residual", "branches", "shared", "recurrent", "unrolled"],
)
def test_the_paths_sum_to_the_gradient(text, parameter, count):
    model, arrays, found = measured(text, parameter)
    assert found.count == len(found.paths) == count
    assert found.error < 1e-5
    assert found.norm == pytest.approx(np.linalg.norm(model.gradients(**arrays)[1][parameter]), rel=1e-5)
    assert sum(path.share for path in found.paths) == pytest.approx(1, abs=1e-5)
    assert [path.norm for path in found.paths] == sorted((path.norm for path in found.paths), reverse=True)


def test_a_single_path_of_a_residual_net_is_the_product_of_its_derivatives():
    """Two linear blocks with a way around: the four paths' gradients are known in closed form."""
    text = """
    net two() {
        input x: [3]
        param a: [] = constant(0.5)
        param b: [] = constant(-0.25)
        u = x * a
        v = u * b + u
        loss sum(v)
    }
    """
    model = graphdl.loads(text)
    x = np.array([[1.0, 2.0, 3.0]], np.float32)
    found = chain(model.network, "a", {"x": x})
    assert [(path.steps, round(path.norm, 5), round(path.share, 5)) for path in found.paths] == [
        (("u", "v", "sum"), 6.0, round(6 / 4.5, 5)),
        (("u", "multiply", "v", "sum"), 1.5, round(-1.5 / 4.5, 5)),
    ]


def test_with_too_many_paths_the_strongest_are_told():
    _, _, everything = measured(RESIDUAL, "first.W")
    _, _, some = measured(RESIDUAL, "first.W", most=3)
    assert some.count == everything.count == 8
    assert len(some.paths) == 3
    assert some.error < 1e-5
    assert some.paths[0].nodes == everything.paths[0].nodes
    assert some.paths[0].norm == pytest.approx(everything.paths[0].norm, rel=1e-4)


def test_an_astronomical_number_of_paths_is_counted_exactly():
    model = graphdl.loads(RESIDUAL, depth=100)
    assert PathGraph(model.network.training, "first.W").count() == 2**100


def test_a_parameter_that_no_loss_reaches_has_no_path():
    text = "net cut() { input x: [3]\n y = stop_gradient(x -> linear(3) as f)\n loss mean(y * y)\n }"
    _, _, found = measured(text, "f.W")
    assert (found.count, found.paths, found.norm, found.error) == (0, (), 0.0, 0.0)


def test_an_unknown_parameter_is_told_with_its_neighbour():
    with pytest.raises(ModelError) as caught:
        measured(RESIDUAL, "first.w")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0622"
    assert "first." in (diagnostic.help or "")


def test_library_blocks_are_one_step_each():
    graph = graphdl.loads(BRANCHES).network.training
    labels = [step.label for step in steps(graph.nodes)]
    assert "stem_conv" in labels
    assert "joined.batchnorm" in labels
    assert labels.count("joined.batchnorm") == 1
