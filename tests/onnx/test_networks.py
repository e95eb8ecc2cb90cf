"""Networks of PyTorch import as files that read like written ones, compute the same, and train."""

from __future__ import annotations

import io
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("onnx.helper")  # not "onnx": this folder would be found
onnx = pytest.importorskip("onnx")

from graphs import expected, model  # noqa: E402
from networks import NETS, Encoder, ResNet, mobilenet_v2  # noqa: E402

import graphdl  # noqa: E402
from graphdl.graph.types import TensorType  # noqa: E402
from graphdl.importing.terms import concat, reshape  # noqa: E402
from graphdl.importing.text import NetText  # noqa: E402
from graphdl.model import of_imported  # noqa: E402
from graphdl.onnx import ImportedGraph, read  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporter's own

node = onnx.helper.make_node
MODELS = Path(__file__).parents[2] / "models"
TWINS = {
    "resnet18": "vision/resnet18", "resnet34": "vision/resnet34", "resnet50": "vision/resnet50",
    "mobilenet_v2": "vision/mobilenet_v2", "densenet": "vision/densenet", "googlenet": "vision/googlenet",
    "vgg16": "vision/vgg16", "alexnet": "vision/alexnet", "unet": "vision/unet", "lstm": "sequence/lstm",
    "transformer": "sequence/transformer_lm",
}  # fmt: skip
"""The nets that models/ has, too."""


def imported(name: str, net: nn.Module, x: torch.Tensor, *, folded: bool = True) -> ImportedGraph:
    """What PyTorch writes with an open batch. It puts batch normalization into the convolutions before it, unless
    ``folded`` is false.
    """
    file = io.BytesIO()
    mode = torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE
    torch.onnx.export(
        net, (x[:2],), file, dynamo=False, input_names=["x"], output_names=["y"], training=mode,
        do_constant_folding=folded, dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
    )  # fmt: skip
    return read(onnx.load_from_string(file.getvalue()), name=name)


@cache
def network(name: str) -> tuple[nn.Module, torch.Tensor, ImportedGraph]:
    """A net with random weights, its input, and its import."""
    torch.manual_seed(1)
    build, inputs = NETS[name]
    net, x = build().eval(), inputs()
    for parameter in net.parameters():  # equal layers, as those of an encoder, would be exported as one
        parameter.data += 0.02 * torch.randn_like(parameter)
    return net, x, imported(name, net, x)


@pytest.mark.parametrize("name", NETS)
def test_a_network_agrees_with_pytorch_and_trains(name: str) -> None:
    net, x, graph = network(name)
    assert graph.batched
    assert graph.inputs["x"].batch == graph.outputs["y"].batch == 0
    with torch.no_grad():
        want = net(x).numpy()
    assert graph.outputs["y"].name == "y"
    got = of_imported(graph).predict(x=x.numpy())["y"]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * min(1, abs(want).max()))

    shape = ", ".join(map(str, want.shape[1:]))
    text = graph.text.removesuffix("}\n") + f"input target: [{shape}]\nloss mse(y, target)\n}}\n"
    trained = graphdl.loads(text + "train {\noptimizer adam(lr = 1e-3)\n}\n")
    for path, array in graph.weights.items():
        (trained.states if path in trained.states else trained.parameters)[path] = array
    trainer = trained.trainer(batch=len(x))
    target = want + np.random.default_rng(0).normal(size=want.shape).astype(np.float32)
    losses = [float(trainer.step(x=x.numpy(), target=target)) for _ in range(3)]
    assert losses[-1] < losses[0]
    torch.nn.functional.mse_loss(net(x), torch.from_numpy(target)).backward()
    idle = {  # the layers for which a step is too small: early ones, of a net that is deep and narrow
        name.rpartition(".")[0].replace(".", "_")
        for name, p in net.named_parameters()
        if p.grad is None or p.grad.abs().max() < 1e-8
    }
    still = [path for path in trained.parameters if (trained.parameters[path] == graph.weights[path]).all()]
    assert {path.rpartition(".")[0].replace(".", "_") for path in still} <= idle
    assert len(still) < len(trained.parameters) / 2


@pytest.mark.parametrize("name", TWINS)
def test_the_text_is_not_much_longer_than_the_written_twin(name: str) -> None:
    twin = (MODELS / f"{TWINS[name]}.net").read_text("utf-8")
    _, _, graph = network(name)
    assert len(graph.text.splitlines()) <= 3 * len(twin.splitlines())


def test_a_fixed_batch_of_one_is_found() -> None:
    """As exported without an open batch: [7, 1, 2, 8] as [7, 16] is the batch merged with the places, not the units."""
    torch.manual_seed(1)
    net, x, file = Encoder(1).eval(), torch.randint(0, 20, (3, 7)), io.BytesIO()
    torch.onnx.export(net, (x[:1],), file, dynamo=False, input_names=["x"], output_names=["y"])
    graph = read(onnx.load_from_string(file.getvalue()), name="encoder")
    assert graph.batched
    with torch.no_grad():
        want = net(x).numpy()
    np.testing.assert_allclose(of_imported(graph).predict(x=x.numpy())["y"], want, atol=1e-5)


def test_residual_blocks_are_declared_once() -> None:
    net = ResNet([1, 3, 5], 1, classes=3).eval()
    graph = imported("small", net, torch.randn(2, 3, 32, 32))
    assert (
        graph.text
        == """\
block layer(channels): x -> y {
    conv2_Conv = x -> conv(channels, 3, pad = 1) as conv1 -> relu -> conv(channels, 3, pad = 1) as conv2
    y = conv2_Conv + x -> relu
}

block layer_2(channels): x -> y {
    conv2_Conv = x -> conv(channels, 3, stride = 2, pad = 1) as conv1 -> relu -> conv(channels, 3, pad = 1) as conv2
    downsample_0_Conv = x -> conv(channels, 1, stride = 2) as downsample_0
    y = conv2_Conv + downsample_0_Conv -> relu
}

net small() {
    input x: [3, 32, 32]
    y = x -> conv(4, 7, stride = 2, pad = 3) as conv1 -> relu -> maxpool(3, stride = 2, pad = 1) -> layer(4) as layer1_0
          -> layer_2(8) as layer2_0 -> layer(8) as layer2_1 -> layer(8) as layer2_2 -> layer_2(16) as layer3_0
          -> repeat 4 { layer(16) as layer3_1 } -> global_avgpool -> flatten -> linear(3) as fc
    output y
}
"""
    )


def test_weights_are_found_by_the_names_that_they_had() -> None:
    """``features.3.block.0.1.bias`` is ``features_3.block_0.batchnorm_1.beta``."""
    ports = {"weight": {"W", "gamma"}, "bias": {"b", "beta"}, "running_mean": {"mean"}, "running_var": {"variance"}}
    net = mobilenet_v2(width=4, depth=4).eval()
    graph = imported("small", net, torch.randn(2, 3, 16, 16), folded=False)
    found = {}
    for path, array in graph.weights.items():
        module, _, port = path.rpartition(".")
        words = [word for word in re.split(r"[._]", module) if word not in ("conv", "batchnorm")]
        found["_".join(words), port] = array
    checked = 0
    for key, value in net.state_dict().items():
        module, _, kind = key.rpartition(".")
        for port in ports.get(kind, ()):
            array = found.get((module.replace(".", "_"), port))
            if array is not None:
                np.testing.assert_array_equal(array, value.numpy().T if value.ndim == 2 else value.numpy())
                checked += 1
    assert checked == len(graph.weights)


def test_a_repeated_layer_counts_from_the_first_one() -> None:
    net = Encoder(4).eval()
    for parameter in net.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    graph = imported("small", net, torch.randint(0, 20, (2, 7)))
    assert "repeat 4 { layer as encoder_layers_0 }" in graph.text
    for k, place in enumerate(["0", "0_2", "0_3", "0_4"]):
        want = net.encoder.layers[k].linear1.bias.detach().numpy()
        np.testing.assert_array_equal(graph.weights[f"encoder_layers_{place}.linear1.b"], want)


def test_what_repeats_is_found_without_names() -> None:
    nodes, weights, x = [], {}, "x"
    for k in range(3):
        weights[f"w{2 * k}"] = np.full((6 + k, 4, 3, 3), 0.02, np.float32)
        weights[f"w{2 * k + 1}"] = np.full((4, 6 + k, 1, 1), 0.1 * k, np.float32)
        nodes += [
            node("Conv", [x, f"w{2 * k}"], [f"{k}a"], pads=[1, 1, 1, 1]), node("Relu", [f"{k}a"], [f"{k}b"]),
            node("Conv", [f"{k}b", f"w{2 * k + 1}"], [f"{k}c"]), node("Add", [x, f"{k}c"], [f"{k}d"]),
            node("Tanh", [f"{k}d"], [f"{k}e"]),
        ]  # fmt: skip
        x = f"{k}e"
    proto = model(nodes, {"x": ["batch", 4, 5, 5]}, {"2e": ["batch", 4, 5, 5]}, weights)
    graph = read(proto, name="plain")
    assert "t2e = x -> unit(6) as w0 -> unit(7) as w2 -> unit(8) as w4\n" in graph.text
    assert set(graph.weights) == {"w0.w.W", "w0.w_2.W", "w2.w.W", "w2.w_2.W", "w4.w.W", "w4.w_2.W"}
    values = np.random.default_rng(0).normal(size=(3, 4, 5, 5)).astype(np.float32)
    np.testing.assert_allclose(of_imported(graph).predict(x=values)["t2e"], expected(proto, x=values)[0], atol=1e-5)


def test_a_layer_that_is_used_twice_stays_outside_of_blocks() -> None:
    """Two towers with one of their layers in common, which no block could have."""
    nodes = []
    for side in "ab":
        nodes += [
            node("Gemm", ["x", f"{side}.one"], [f"{side}1"], transB=1),
            node("Gemm", [f"{side}1", "shared"], [f"{side}2"], transB=1),
            node("Gemm", [f"{side}2", f"{side}.two"], [f"{side}3"], transB=1),
        ]
    nodes.append(node("Mul", ["a3", "b3"], ["y"]))
    weights = {name: np.ones((4, 4), np.float32) for name in ("a.one", "a.two", "b.one", "b.two", "shared")}
    graph = read(model(nodes, {"x": ["batch", 4]}, {"y": ["batch", 4]}, weights), name="towers")
    assert "block" not in graph.text
    assert graph.text.count("linear(4, bias = false)") == 5
    assert graph.text.count("-> shared") == 1


def test_concatenations_that_grow_are_written_once() -> None:
    nodes = [
        node("Exp", ["x"], ["a"]), node("Concat", ["x", "a"], ["first"], axis=1), node("Tanh", ["first"], ["b"]),
        node("Concat", ["x", "a", "b"], ["y"], axis=1), node("Reshape", ["a", "shape"], ["r"]),
        node("Concat", ["x", "r", "b"], ["z"], axis=1),
    ]  # fmt: skip
    proto = model(nodes, {"x": ["batch", 4]}, {"y": ["batch", 16], "z": ["batch", 16]}, {"shape": np.array([0, 4])})
    text = read(proto).text
    assert "first = concat(x, a)\n" in text
    assert "y = concat(first, b)\n" in text
    assert text.count("concat(first, b)") == 2


def test_blocks_are_named_after_their_classes_if_the_exporter_says_them() -> None:
    """The newer exporter of PyTorch writes modules and their classes into the metadata of the nodes."""
    nodes, weights, x = [], {}, "x"
    for k in range(3):
        for part in ("first", "second"):
            name = f"tower.{k}.{part}"
            weights[f"{name}.weight"], weights[f"{name}.bias"] = np.eye(4, dtype=np.float32), np.ones(4, np.float32)
            linear = node("Gemm", [x, f"{name}.weight", f"{name}.bias"], [f"linear_{k}_{part}"], transB=1)
            relu = node("Relu", [f"linear_{k}_{part}"], [f"relu_{k}_{part}"])
            for made, inner, kind in ((linear, name, "torch.nn.Linear"), (relu, f"tower.{k}", "")):
                scopes = ["", "tower", f"tower.{k}", *([inner] if kind else []), made.output[0]]
                classes = ["Net", "torch.nn.Sequential", "nets.TwoSteps", *([kind] if kind else []), "aten.default"]
                for key, value in (("name_scopes", scopes), ("class_hierarchy", classes)):
                    made.metadata_props.add(key=f"pkg.torch.onnx.{key}", value=repr(value))
            nodes += [linear, relu]
            x = f"relu_{k}_{part}"
    graph = read(model(nodes, {"x": ["batch", 4]}, {x: ["batch", 4]}, weights), name="towers")
    assert "block two_steps(): x -> y {\n    y = x -> linear(4) as first -> relu -> linear(4) as second" in graph.text
    assert "x -> two_steps as tower_0 -> two_steps as tower_1 -> two_steps as tower_2\n" in graph.text
    assert "tower_1.second.b" in graph.weights


def test_an_exported_net_comes_back_with_its_blocks(tmp_path: Path) -> None:
    written = """\
block unit(width): x -> y {
    main = x -> conv(width, 3, pad = 1, bias = false) -> batchnorm
    y = (x -> conv(width, 1)) + main -> relu
}

net small() {
    input image: [3, 8, 8]
    x = image -> unit(4) as first -> unit(6) as second -> unit(8) as third
    output y = x -> global_avgpool -> flatten -> linear(2) as head
}
"""
    loaded = graphdl.loads(written)
    loaded.export_onnx(tmp_path / "small.onnx")
    graph = read(onnx.load(tmp_path / "small.onnx"), name="small")
    assert "block unit(channels): x -> y {\n" in graph.text
    assert "image -> unit(4) as first -> unit(6) as second -> unit(8) as third -> global_avgpool" in graph.text
    path = next(path for path in graph.weights if path.startswith("second.") and path.endswith("batchnorm.gamma"))
    np.testing.assert_array_equal(graph.weights[path], loaded.parameters["second.main.batchnorm.gamma"])


def test_only_whole_calls_are_written_as_one() -> None:
    text = NetText()
    x = text.input("x", TensorType((4,)))[1]
    text.hint = "a"
    (a,) = text.keep(reshape(x, (2, 2)) + 1.0)
    text.hint = "b"
    (b,) = text.keep(reshape(a, (4,)))
    text.hint = "c"
    (c,) = text.keep(concat([b, x], 0) * 2.0)
    text.hint = "d"
    (d,) = text.keep(concat([b, x, x], 0) * 2.0)
    text.output("c", c)
    text.output("d", d)
    written, _ = text.finished("net")
    assert "a = reshape(x, [2, 2]) + 1.0\n    b = reshape(a, [4])\n" in written
    assert "c = concat(b, x) * 2.0\n    d = concat(b, x, x) * 2.0\n" in written
