"""A net that is built in Python: the same graph, numbers and complaints as those of a ``.net`` file."""

from __future__ import annotations

from math import inf, nan, sqrt

import numpy as np
import pytest

import graphdl
from graphdl.diagnostics import Diagnostic
from graphdl.graph.model import ModuleGraph, Value
from graphdl.graph.train import TrainSection
from graphdl.graph.types import TensorType

MLP = """
net mlp() {
    input x: [6]
    input label: class(3)
    a = linear(5)
    b = linear(3)
    h = tanh(x -> a)
    logits = h -> b
    output logits
    loss cross_entropy(logits, label)
    metric accuracy(logits, label)
}
"""

RESIDUAL = """
net residual() {
    input image: [2, 6, 6]
    input label: class(3)
    first = conv(4, 3, pad = 1)
    second = conv(4, 3, pad = 1)
    head = linear(3)
    h = maximum(image -> first, 0)
    r = maximum(h -> second, 0) + h
    logits = mean(r, axis = [1, 2]) -> head
    output logits
    loss cross_entropy(logits, label)
}
"""


def linear(net: graphdl.Net, name: str, x: Value, units: int) -> Value:
    n = x.type.shape[-1]
    with net.module(name, "linear"):
        w = net.parameter("W", [n, units], "uniform", -1 / sqrt(n), 1 / sqrt(n))
        b = net.parameter("b", [units], "uniform", -1 / sqrt(n), 1 / sqrt(n))
        return net.apply("add", net.apply("matmul", x, w), b)


def conv(net: graphdl.Net, name: str, x: Value, channels: int) -> Value:
    inward = x.type.shape[0]
    bound = 1 / sqrt(inward * 9)
    with net.module(name, "conv"):
        w = net.parameter("W", [channels, inward, 3, 3], "uniform", -bound, bound)
        b = net.parameter("b", [channels], "uniform", -bound, bound)
        y = net.apply("convolve", x, w, pad=1)
        return net.apply("add", y, net.apply("reshape", b, shape=[channels, 1, 1]))


def cross_entropy(net: graphdl.Net, logits: Value, label: Value) -> Value:
    highest = net.apply("stop_gradient", net.apply("max", logits, axis=-1, keep=True))
    shifted = net.apply("subtract", logits, highest)
    total = net.apply("log", net.apply("sum", net.apply("exp", shifted), axis=-1, keep=True))
    picked = net.apply("pick", net.apply("subtract", shifted, total), label, axis=-1)
    return net.apply("negative", net.apply("mean", picked))


def mlp() -> ModuleGraph:
    net = graphdl.Net("mlp", training=True)
    x, label = net.input("x", [6]), net.input("label", classes=3)
    logits = linear(net, "b", net.apply("tanh", linear(net, "a", x, 5)), 3)
    net.output("logits", logits)
    net.loss("cross_entropy", cross_entropy(net, logits, label))
    hit = net.apply("equal", net.apply("argmax", logits, axis=-1), label)
    net.metric("accuracy", net.apply("mean", net.apply("float", hit)))
    return net.graph


def residual() -> ModuleGraph:
    net = graphdl.Net("residual", training=True)
    image, label = net.input("image", [2, 6, 6]), net.input("label", classes=3)
    h = net.apply("maximum", conv(net, "first", image, 4), 0)
    r = net.apply("add", net.apply("maximum", conv(net, "second", h, 4), 0), h)
    logits = linear(net, "head", net.apply("mean", r, axis=[1, 2]), 3)
    net.output("logits", logits)
    net.loss("cross_entropy", cross_entropy(net, logits, label))
    return net.graph


@pytest.mark.parametrize(
    ("text", "graph", "shapes"), [(MLP, mlp, {"x": (8, 6)}), (RESIDUAL, residual, {"image": (8, 2, 6, 6)})]
)
def test_a_net_from_python_trains_as_the_one_of_the_file(text, graph, shapes):
    of_file, of_python = graphdl.loads(text, seed=3), graphdl.Model.of_graph(graph(), seed=3)
    random = np.random.default_rng(0)
    arrays = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    before = {path: values.copy() for path, values in of_file.parameters.items()}
    for model in (of_file, of_python):
        model.trainer(batch=8).step(**arrays, label=np.arange(8, dtype=np.int32) % 3)
    assert dict(of_python.parameters).keys() == before.keys()
    for path, values in of_file.parameters.items():
        assert not np.array_equal(before[path], values)
        np.testing.assert_allclose(of_python.parameters[path], values, rtol=1e-5, atol=1e-6)
    (name,) = of_file.module_graph.outputs
    predicted = [model.predict(**arrays)[name] for model in (of_file, of_python)]
    np.testing.assert_allclose(*predicted, rtol=1e-5, atol=1e-5)


def test_types_are_inferred_as_in_the_file():
    of_file, of_python = graphdl.loads(MLP).network.training, mlp()
    for kind in ("inputs", "outputs", "losses", "metrics"):
        found, wanted = getattr(of_python, kind), getattr(of_file, kind)
        assert {name: value.type for name, value in found.items()} == {n: v.type for n, v in wanted.items()}
    found = {path: (v.type, v.initializer) for path, v in of_python.parameters.items()}
    assert found == {path: (v.type, v.initializer) for path, v in of_file.parameters.items()}


def test_the_table_and_the_page_know_the_modules():
    model = graphdl.Model.of_graph(residual())
    rows = {line.split()[0]: line.split() for line in str(model).splitlines() if line.strip()}
    assert rows["first"][1:6] == ["conv", "[4,", "6,", "6]", "76"]
    assert rows["head"][1:4] == ["linear", "[3]", "15"]
    assert "second" in model._repr_html_()


def test_a_train_section_may_be_given():
    graph = mlp()
    graph.stages.append(TrainSection("only", graph.root.span, batch=4, seed=5))
    model = graphdl.Model.of_graph(graph)
    assert (model.network.seed, [stage.batch for stage in model.stages()]) == (5, [4])


def faulty(build) -> Diagnostic:
    net = graphdl.Net("faulty", training=True)
    with pytest.raises(graphdl.ModelError) as caught:
        build(net, net.input("x", [6]))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.span.source.path == __file__
    return diagnostic


@pytest.mark.parametrize(
    ("build", "code", "words"),
    [
        (lambda net, x: net.apply("matmul", x, net.parameter("W", [5, 3], "zeros")), "E0406", "last dimension of [6]"),
        (lambda net, x: net.apply("add", x, [1.0, 2.0]), "E0401", "[2]"),
        (lambda net, x: net.apply("reshape", x, shape=[4]), "E0404", "[4]"),
        (lambda net, x: net.apply("reshape", x, shape=2.5), "E0301", "'shape' is a list of ints, not 2.5"),
        (lambda net, x: net.apply("convolve", x, x, stride=0), "E0402", "[6]"),
        (lambda net, x: net.apply("reshape", x), "E0205", "'reshape' wants 'shape'"),
        (lambda net, x: net.apply("add", x), "E0205", "'add' wants 2 tensors"),
        (lambda net, x: net.apply("tanh", x, x), "E0206", "too many"),
        (lambda net, x: net.apply("tahn", x), "E0201", "no operator 'tahn'"),
        (lambda net, x: net.apply("sum", x, axes=0), "E0204", "no argument 'axes'"),
        (lambda net, x: net.apply("tanh", "x"), "E0301", 'not the text "x"'),
        (lambda net, x: net.parameter("W", [6], [1.0, 2.0]), "E0418", "[2]"),
        (lambda net, x: net.parameter("W", [0], "zeros"), "E0302", "at least 1"),
        (lambda net, x: net.parameter("W", [2], "unifrom"), "E0201", "no initializer 'unifrom'"),
        (lambda net, x: net.loss("l", x), "E0414", "one number an example"),
        (lambda net, x: net.update(net.state("s", [6]), x), "E0506", "from example to example"),
        (lambda net, x: net.update(net.state("s", [2]), x), "E0418", "is [2], and its next value [6]"),
        (lambda net, x: net.input("x", [2]), "E0202", "an input 'x' already"),
        (lambda net, x: net.input("y", [2, 1.5]), "E0302", "a dimension is an int, not 1.5"),
        (lambda net, x: net.input("y", [True]), "E0302", "a dimension is an int, not true"),
        (lambda net, x: net.input("y", [2], classes=0), "E0302", "a dimension is at least 1, not 0"),
        (lambda net, x: net.input("y", element="flaot"), "E0301", "float, int, bool, not flaot"),
        (lambda net, x: net.parameter("W", [2.0], "zeros"), "E0302", "a dimension is an int, not 2.0"),
        (lambda net, x: net.apply("sum", x, axis=inf), "E0301", "'axis' is an int or a list of them, not inf"),
        (lambda net, x: net.apply("reshape", x, shape=[nan]), "E0301", "'shape' is a list of ints, not the list [nan]"),
    ],
)
def test_what_does_not_fit_raises_with_its_line_of_python(build, code, words):
    diagnostic = faulty(build)
    assert diagnostic.code == code
    assert words in diagnostic.message
    assert "lambda net, x: net." in diagnostic.span.text


def test_numpys_ints_are_dimensions():
    net = graphdl.Net("sized")
    x = net.input("x", np.array([2, 3]), classes=np.int64(7))
    assert x.type == TensorType((2, 3), "int", 7)
    assert {type(length) for length in (*x.type.shape, x.type.classes)} == {int}


def test_a_complaint_points_at_what_made_the_inputs():
    def build(net, x):
        w = net.parameter("W", [5, 3], "zeros")
        net.apply("matmul", x, w)

    assert "net.parameter" in " ".join(label.span.text for label in faulty(build).labels)


def test_a_state_is_updated_in_training():
    net = graphdl.Net("counting", training=True)
    steps = net.state("steps", [])
    net.update(steps, net.apply("add", steps.value, 1))
    w = net.parameter("w", [], 1.0)
    net.loss("w", net.apply("multiply", w, w))
    model = graphdl.Model.of_graph(net.graph)
    trainer = model.trainer(batch=1)
    for _ in range(3):
        trainer.step()
    assert model.states["steps"] == 3
    assert net.graph.states["steps"].type == TensorType(())


def test_a_run_folder_needs_a_text(tmp_path):
    model = graphdl.Model.of_graph(mlp())
    with pytest.raises(ValueError, match="was built in Python and has no text"):
        model.fit(x=np.zeros((4, 6), np.float32), label=np.zeros(4, np.int32), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    model.fit(x=np.zeros((4, 6), np.float32), label=np.zeros(4, np.int32), epochs=1, batch=4)
