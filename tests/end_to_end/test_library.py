"""The layers of the library beside PyTorch's: values, and gradients of parameters and of what comes before them."""

import numpy as np
import pytest
import torch
from layer_twins import TOLERANCE, compare, net, tensors
from torch.nn import functional

import graphdl

IMAGE = {
    "plain": (
        "g -> conv(4, 3) as plain_m",
        lambda x, p: functional.conv2d(x, p["plain_m.W"], p["plain_m.b"]),
    ),
    "grouped": (
        "g -> conv(6, [3, 1], stride = [2, 1], pad = [1, 0], groups = 3, bias = false) as grouped_m",
        lambda x, p: functional.conv2d(x, p["grouped_m.W"], None, (2, 1), (1, 0), 1, 3),
    ),
    "same": (
        'g -> conv(2, 4, pad = "same") as same_m',
        lambda x, p: functional.conv2d(functional.pad(x, (1, 2, 1, 2)), p["same_m.W"], p["same_m.b"]),
    ),
    "dilated": (
        "g -> conv(2, 3, dilation = 2, pad = 1) as dilated_m",
        lambda x, p: functional.conv2d(x, p["dilated_m.W"], p["dilated_m.b"], 1, 1, 2),
    ),
    "transposed": (
        "g -> conv_transpose(2, 3, stride = 2, pad = 1, output_pad = 1) as transposed_m",
        lambda x, p: functional.conv_transpose2d(x, p["transposed_m.W"], p["transposed_m.b"], 2, 1, 1),
    ),
    "maxima": ("g -> maxpool(3, stride = 2, pad = 1)", lambda x, p: functional.max_pool2d(x, 3, 2, 1)),
    "means": ("g -> avgpool(3, stride = 2, pad = 1)", lambda x, p: functional.avg_pool2d(x, 3, 2, 1)),
    "inner_means": (
        "g -> avgpool(3, stride = 2, pad = 1, count_pad = false)",
        lambda x, p: functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    ),
    "mean_of_all": ("g -> global_avgpool", lambda x, p: x.mean((2, 3), keepdim=True)),
    "max_of_all": ("g -> global_maxpool", lambda x, p: x.amax((2, 3), keepdim=True)),
    "larger": ("g -> upsample(2)", lambda x, p: functional.interpolate(x, scale_factor=2)),
    "responses": (
        "g -> lrn(n = 2, alpha = 0.3, k = 2.0)",
        lambda x, p: functional.local_response_norm(x, 2, 0.3, 0.75, 2.0),
    ),
    "layer": (
        "g -> layernorm as layer_m",
        lambda x, p: functional.layer_norm(x, x.shape[-1:], p["layer_m.gamma"], p["layer_m.beta"]),
    ),
    "lines": ("g -> linear(3) as lines_m", lambda x, p: x @ p["lines_m.W"] + p["lines_m.b"]),
    "leaky": ("g -> leaky_relu(0.2)", lambda x, p: functional.leaky_relu(x, 0.2)),
    "learnt": ("g -> prelu(3) as learnt_m", lambda x, p: functional.prelu(x, p["learnt_m.a"])),
    "elus": ("g -> elu(0.7)", lambda x, p: functional.elu(x, 0.7)),
    "gelus": ("g -> gelu", lambda x, p: functional.gelu(x)),
    "silus": ("g -> silu", lambda x, p: functional.silu(x)),
    "parts": ("g -> softmax(axis = 0)", lambda x, p: functional.softmax(x, 1)),
    "logs": ("g -> log_softmax", lambda x, p: functional.log_softmax(x, -1)),
}


@pytest.mark.parametrize("names", [list(IMAGE)[:12], list(IMAGE)[12:]], ids=["images", "elements"])
def test_layers_of_images(names, device):
    layers = {name: IMAGE[name][0] for name in names}
    inputs = ["input x: [3, 7, 8]", "param gain: [3, 1, 1] = uniform(0.5, 2)", "g = x * gain"]
    model = graphdl.loads(net(layers, inputs), seed=3)
    x = np.random.default_rng(0).normal(size=(2, 3, 7, 8)).astype(np.float32)
    parameters = tensors(model)
    image = torch.tensor(x) * parameters["gain"]
    wanted = {name: IMAGE[name][1](image, parameters) for name in names}
    compare(model, wanted, {"x": x}, parameters, training=False)


def test_batch_normalization_in_training_and_after_it(device):
    text = net(
        {"y": "x * gain -> batchnorm(momentum = 0.3) as n"}, ["input x: [3, 4, 5]", "param gain: [3, 1, 1] = ones()"]
    )
    text += "train { optimizer sgd(lr = 0.0); batch 6; epochs 1 }\n"
    model = graphdl.loads(text, seed=1)
    layer = torch.nn.BatchNorm2d(3, momentum=0.3)
    x = (2 + 3 * np.random.default_rng(0).normal(size=(6, 3, 4, 5))).astype(np.float32)
    gain = torch.ones(3, 1, 1, requires_grad=True)
    y = layer(torch.tensor(x) * gain)
    number, gradients = model.gradients(x=x)
    loss = (y**2).mean()
    loss.backward()
    assert number == pytest.approx(loss.item(), rel=1e-4)
    for path, parameter in {"gain": gain, "n.gamma": layer.weight, "n.beta": layer.bias}.items():
        np.testing.assert_allclose(gradients[path], parameter.grad.numpy(), err_msg=path, **TOLERANCE)
    model.trainer(batch=6).step(x=x)
    np.testing.assert_allclose(model.states["n.mean"], layer.running_mean.numpy(), **TOLERANCE)
    np.testing.assert_allclose(model.states["n.variance"], layer.running_var.numpy(), **TOLERANCE)
    after = layer.eval()(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(model.predict(x=x)["y"], after, **TOLERANCE)


@pytest.mark.parametrize(("kind", "layer"), [("rnn", torch.nn.RNN), ("gru", torch.nn.GRU), ("lstm", torch.nn.LSTM)])
def test_recurrent_layers(kind, layer, device):
    inputs = ["input x: [5, 3]", "param gain: [3] = uniform(0.5, 2)", f"s, h = x * gain -> {kind}(4) as m"]
    model = graphdl.loads(net({"y": "s * 1", "last": "h * 1"}, inputs), seed=2)
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    parameters = tensors(model)
    peer = layer(3, 4, batch_first=True)
    names = {"weight_ih_l0": "m.Wx", "weight_hh_l0": "m.Wh", "bias_ih_l0": "m.bx", "bias_hh_l0": "m.bh"}
    weights = {
        name: parameters[path].T if parameters[path].ndim == 2 else parameters[path] for name, path in names.items()
    }
    y, state = torch.func.functional_call(peer, weights, (torch.tensor(x) * parameters["gain"],))
    last = state[0] if kind == "lstm" else state
    compare(model, {"y": y, "last": last[0]}, {"x": x}, parameters, training=False)


def test_losses_and_metrics(device):
    text = """
    net losses() {
        input x: [5]; input z: [5]; input label: class(5)
        output ce = cross_entropy(x, label)
        output bce = binary_cross_entropy(x, sigmoid(z))
        output squares = mse(x, z)
        output lengths = mae(x, z)
        output bent = huber(x, z, delta = 0.7)
        output right = accuracy(x, label)
        output among = top_k(x, label, 2)
    }
    """
    draw = np.random.default_rng(0)
    x, z = (3 * draw.normal(size=(2, 40, 5))).astype(np.float32)
    label = draw.integers(0, 5, 40)
    found = graphdl.loads(text).run({"x": x, "z": z, "label": label})
    a, b, c = torch.tensor(x), torch.tensor(z), torch.tensor(label)
    wanted = {
        "ce": functional.cross_entropy(a, c, reduction="none"),
        "bce": functional.binary_cross_entropy_with_logits(a, b.sigmoid(), reduction="none").mean(1),
        "squares": ((a - b) ** 2).mean(1),
        "lengths": (a - b).abs().mean(1),
        "bent": functional.huber_loss(a, b, reduction="none", delta=0.7).mean(1),
        "right": (a.argmax(1) == c).float(),
        "among": (a.topk(2).indices == c[:, None]).any(1).float(),
    }
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value.numpy(), err_msg=name, **TOLERANCE)


def test_rows_of_an_embedding(device):
    model = graphdl.loads("net n() { input x: class(7)[4]; output y = x -> embedding(3) as e; loss mean(y ** 2) }")
    x = np.array([[0, 6, 6, 2], [1, 1, 1, 6]])
    table = torch.tensor(np.array(model.parameters["e.W"]), requires_grad=True)
    y = functional.embedding(torch.tensor(x), table)
    (y**2).mean().backward()
    np.testing.assert_allclose(model.run({"x": x})["y"], y.detach().numpy(), **TOLERANCE)
    np.testing.assert_allclose(model.gradients(x=x)[1]["e.W"], table.grad.numpy(), **TOLERANCE)


def test_dropout_keeps_its_share_and_the_mean(device):
    model = graphdl.loads("net n() { input x: [4000]; param one: [] = 1; y = x * one -> dropout(0.3); loss mean(y) }")
    x = np.ones((1, 4000), np.float32)
    in_training, slopes = model.gradients(x=x)
    assert slopes["one"] == pytest.approx(in_training)
    assert in_training == pytest.approx(1.0, abs=0.03)
    assert in_training != 1.0
    kept = in_training * 0.7 * 4000
    assert kept == pytest.approx(round(kept), abs=0.01)
    assert model.gradients(training=False, x=x)[0] == 1.0
