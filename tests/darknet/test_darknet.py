"""Import of Darknet models: every kind of layer beside a reference in NumPy, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from darknet_reference import (
    ACTIVATIONS,
    Numbers,
    batchnorm,
    convolve,
    deconvolve,
    local,
    logistic,
    maxpool,
    normalization,
    reorg,
    softmax,
)

import graphdl
from graphdl.cli import main
from graphdl.diagnostics import ModelError


def net(*layers, height=9, width=7, channels=3):
    """A configuration: each layer is a line ``kind option=value …``."""
    lines = ["[net]", f"height={height}", f"width = {width}", f"channels={channels}", "learning_rate=0.1 # unused"]
    for layer in layers:
        kind, *options = layer.split()
        lines += ["", f"[{kind}]", *options]
    return "\n".join(lines) + "\n"


def imported(tmp_path, text, numbers, **version):
    (tmp_path / "small.cfg").write_text(text)
    numbers.write(tmp_path / "small.weights", **version)
    return graphdl.import_darknet(tmp_path / "small.cfg", tmp_path / "small.weights")


def check(tmp_path, text, numbers, *wanted, shape=(3, 9, 7), **version):
    """Compares the outputs, in their order, with functions of an image."""
    model = imported(tmp_path, text, numbers, **version)
    images = np.random.default_rng(5).normal(0, 1.5, (2, *shape)).astype(np.float32)
    found = list(model.predict(image=images).values())
    assert len(found) == len(wanted)
    for values, function in zip(found, wanted, strict=True):
        for value, image in zip(values, images.astype(np.float64), strict=True):
            np.testing.assert_allclose(value, function(image), rtol=1e-4, atol=1e-4)
    return model


def test_a_detector_with_two_outputs(tmp_path):
    """Convolutions of all kinds, a shortcut, routes, an upsampling, and two grids of boxes, as in YOLOv3 and v4."""
    text = net(
        "convolutional batch_normalize=1 filters=8 size=3 stride=1 pad=1 activation=leaky",
        "maxpool size=2 stride=2",
        "convolutional batch_normalize=1 filters=8 size=3 stride=1 pad=1 groups=4 activation=mish",
        "shortcut from=-2 activation=linear",
        "convolutional filters=14 size=1 stride=1 pad=1 activation=linear",
        "yolo mask=0,1 anchors=1,2,3,4,5,6 num=3 classes=2 jitter=.3",
        "route layers=-3",
        "upsample stride=2",
        "route layers=-1,0 groups=2 group_id=1",
        "convolutional filters=7 size=3 stride=2 padding=1 activation=linear",
        "yolo mask=2 anchors=1,2,3,4,5,6 num=3 classes=2 scale_x_y=1.05",
        height=8,
        width=6,
    )
    n = Numbers(0)
    b0, s0, w0 = n.take(8), n.normal(8), n.take(8, 3, 3, 3)
    b2, s2, w2 = n.take(8), n.normal(8), n.take(8, 2, 3, 3)
    b4, w4 = n.take(14), n.take(14, 8, 1, 1)
    b9, w9 = n.take(7), n.take(7, 8, 3, 3)

    def layers(x):
        l0 = ACTIVATIONS["leaky"](batchnorm(convolve(x, w0, 1, 1), s0[0], b0, *s0[1:]))
        l1 = maxpool(l0, 2, 2, 1)
        l2 = ACTIVATIONS["mish"](batchnorm(convolve(l1, w2, 1, 1, groups=4), s2[0], b2, *s2[1:]))
        l3 = l2 + l1
        up = l3.repeat(2, 1).repeat(2, 2)
        l8 = np.concatenate([up[4:], l0[4:]])
        return convolve(l3, w4, 1, 0) + b4[:, None, None], convolve(l8, w9, 2, 1) + b9[:, None, None]

    def boxes(x, count, scale=1.0):
        y = x.reshape(count, 7, *x.shape[1:]).copy()
        y[:, :2] = logistic(y[:, :2]) * scale - (scale - 1) / 2
        y[:, 4:] = logistic(y[:, 4:])
        return y.reshape(x.shape)

    check(
        tmp_path, text, n, lambda x: boxes(layers(x)[0], 2), lambda x: boxes(layers(x)[1], 1, 1.05), shape=(3, 8, 6)
    )  # fmt: skip


def test_a_region_with_a_passthrough(tmp_path):
    """The reorganized image and the grid of boxes of YOLOv2."""
    text = net(
        "convolutional filters=8 size=3 stride=1 pad=1 activation=relu",
        "reorg stride=2",
        "convolutional filters=18 size=1 activation=linear",
        "region anchors=1,1,2,2 num=2 classes=4 coords=4 softmax=1",
        height=6,
        width=8,
    )
    n = Numbers(1)
    b0, w0, b2, w2 = n.take(8), n.take(8, 3, 3, 3), n.take(18), n.take(18, 32, 1, 1)

    def region(x):
        l0 = ACTIVATIONS["relu"](convolve(x, w0, 1, 1) + b0[:, None, None])
        y = (convolve(reorg(l0, 2), w2, 1, 0) + b2[:, None, None]).reshape(2, 9, 3, 4)
        y[:, :2], y[:, 4] = logistic(y[:, :2]), logistic(y[:, 4])
        y[:, 5:] = softmax(y[:, 5:], 1)
        return y.reshape(18, 3, 4)

    check(tmp_path, text, n, region, shape=(3, 6, 8))


@pytest.mark.parametrize("version", [{}, {"major": 1001}, {"minor": 1}], ids=["new", "flipped", "old"])
def test_a_classifier(tmp_path, version):
    """Crop, normalization, linear layers with and without batch normalization, dropout, softmax and a cost."""
    text = net(
        "crop crop_height=8 crop_width=6 flip=1",
        "convolutional filters=6 size=3 stride=2 pad=1 activation=relu",
        "normalization size=5 alpha=.01 beta=.75 kappa=2",
        "maxpool size=3 stride=2",
        "connected batch_normalize=1 output=11 activation=tanh",
        "dropout probability=.5",
        "connected output=8 activation=linear",
        "softmax groups=2 temperature=2",
        "cost type=sse",
    )
    n = Numbers(2)
    b1, w1 = n.take(6), n.take(6, 3, 3, 3)
    flipped = version.get("major", 0) > 1000
    b4 = n.take(11)
    w4 = n.take(24, 11).T if flipped else n.take(11, 24)
    s4 = n.normal(11)
    b6 = n.take(8)
    w6 = n.take(11, 8).T if flipped else n.take(8, 11)

    def classes(x):
        l0 = x[:, 0:8, 0:6] * 2 - 1
        l1 = ACTIVATIONS["relu"](convolve(l0, w1, 2, 1) + b1[:, None, None])
        l3 = maxpool(normalization(l1, 5, 0.01, 0.75, 2), 3, 2, 2)
        l4 = np.tanh(batchnorm(w4 @ l3.reshape(-1), s4[0], b4, *s4[1:]))
        return softmax((w6 @ l4 + b6).reshape(2, 4) / 2).reshape(-1)

    check(tmp_path, text, n, classes, **version)


def test_filters_of_each_place_and_a_grid_of_classes(tmp_path):
    """The local layer and the outputs of YOLOv1."""
    text = net(
        "local size=3 stride=2 pad=1 filters=5 activation=leaky",
        "connected output=16 activation=linear",
        "detection classes=2 coords=4 side=2 num=1 softmax=1",
    )
    n = Numbers(3)
    b0, w0, b1, w1 = n.take(5, 20), n.take(20, 5, 27), n.take(16), n.take(16, 100)

    def detected(x):
        y = w1 @ ACTIVATIONS["leaky"](local(x, w0, b0, 3, 2, 1)).reshape(-1) + b1
        y[:8] = softmax(y[:8].reshape(4, 2)).reshape(-1)
        return y

    check(tmp_path, text, n, detected)


def test_deconvolutions_norms_and_a_mean_of_all_pixels(tmp_path):
    text = net(
        "deconvolutional batch_normalize=1 filters=4 size=4 stride=2 padding=1 activation=elu",
        "deconvolutional filters=5 size=3 stride=1 pad=1 activation=linear",
        "batchnorm",
        "activation activation=selu",
        "l2norm",
        "logistic",
        "avgpool",
    )
    n = Numbers(4)
    b0, s0, w0 = n.take(4), n.normal(4), n.take(3, 4, 4, 4)
    b1, w1 = n.take(5), n.take(4, 5, 3, 3)
    b2, s2 = n.take(5), n.normal(5)

    def mean(x):
        l0 = ACTIVATIONS["elu"](batchnorm(deconvolve(x, w0, 2, 1), s0[0], b0, *s0[1:]))
        l3 = ACTIVATIONS["selu"](batchnorm(deconvolve(l0, w1, 1, 1) + b1[:, None, None], s2[0], b2, *s2[1:]))
        return logistic(l3 / np.sqrt((l3**2).sum(0))).mean((1, 2))

    check(tmp_path, text, n, mean)


def test_every_activation(tmp_path):
    names = list(ACTIVATIONS)
    layers = [f"activation activation={name}" for name in names]
    routes = [layers[0], *(line for layer in layers[1:] for line in ("route layers=0", layer))]
    whole = "route layers=0," + ",".join(str(2 * k) for k in range(1, len(names)))

    def joined(x):
        return np.concatenate([function(x) for function in ACTIVATIONS.values()])

    check(tmp_path, net(*routes, whole), Numbers(5), joined)


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(2, 2, None), (2, 1, None), (3, 2, None), (3, 2, 0), (5, 1, 4)]
)
def test_windows_of_a_pool_are_darknets(tmp_path, size, stride, padding):
    option = "" if padding is None else f" padding={padding}"
    total = size - 1 if padding is None else padding
    check(
        tmp_path, net(f"maxpool size={size} stride={stride}{option}"), Numbers(6),
        lambda x: maxpool(x, size, stride, total),
    )  # fmt: skip


def test_an_imported_net_trains_and_is_read_back(tmp_path):
    n = Numbers(7)
    n.take(6)
    n.normal(6)
    n.take(6 * 27 + 4 + 4 * 6)
    text = net(
        "convolutional batch_normalize=1 filters=6 size=3 pad=1 activation=leaky",
        "avgpool",
        "connected output=4 activation=linear",
    )
    model = imported(tmp_path, text, n)
    assert (
        "conv(6, 3, pad = 1, bias = false) as conv_0 -> batchnorm as batchnorm_0 -> leaky_relu(0.1)"
        in model.source.text
    )
    trained = model.source.text.rstrip().removesuffix("}")
    trained += "input label: class(4)\nloss cross_entropy(layer_2, label)\n}\ntrain { optimizer sgd(lr = 0.1) }\n"
    loaded = graphdl.loads(trained)
    trainer = loaded.trainer(batch=8)
    images = np.random.default_rng(0).normal(size=(8, 3, 9, 7)).astype(np.float32)
    labels = (images[:, 0].mean((1, 2)) > 0).astype(np.int32)
    losses = [float(trainer.step(image=images, label=labels)) for _ in range(20)]
    assert losses[-1] < 0.7 * losses[0]


def test_all_that_is_not_supported_is_named(tmp_path):
    text = net(
        "convolutional filters=4 size=3 pad=1 activation=stairway",
        "crnn output=4",
        "maxpool size=2 stride=2",
        "gru output=4",
    )
    (tmp_path / "bad.cfg").write_text(text)
    with pytest.raises(ModelError) as caught:
        graphdl.import_darknet(tmp_path / "bad.cfg")
    found = [f"{each.code} {each.message}" for each in caught.value.diagnostics]
    assert found == [
        "E0903 layer 0 [convolutional]: the activation stairway",
        "E0903 layer 1 [crnn]: this kind of layer is not supported",
        "E0903 layer 3 [gru]: this kind of layer is not supported",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("filters=3\n", "is no Darknet configuration"),
        ("[convolutional]\nfilters=3\n", "its first section is not [net]"),
        ("[net]\nheight=3\n", "[net] has no height, width and channels"),
        ("[net]\nheight=many\nwidth=2\nchannels=1\n", "height = many is no int"),
        (net("convolutional filters=x"), "layer 0 [convolutional]: filters = x is no int"),
        (net("route layers=-9"), "layer 0 [route]: there is no layer -9 before it"),
        (
            net("convolutional filters=4 size=30 activation=linear"),
            "layer 0 [convolutional]: a kernel that reaches over 30",
        ),
        (net("yolo classes=3 num=2"), "layer 0 [yolo]: 2 boxes of 8 numbers, but 3 channels"),
    ],
)
def test_a_bad_configuration_is_explained(tmp_path, text, words):
    (tmp_path / "bad.cfg").write_text(text)
    with pytest.raises(ModelError, match=r"^E090[34]|E090") as caught:
        graphdl.import_darknet(tmp_path / "bad.cfg")
    assert words in str(caught.value)


def test_the_command_writes_the_net_and_its_weights(tmp_path):
    (tmp_path / "a.cfg").write_text(net("convolutional filters=4 size=1 activation=linear", "avgpool", "softmax"))
    n = Numbers(9)
    b, w = n.take(4), n.take(4, 3, 1, 1)
    n.write(tmp_path / "a.weights")
    command = [
        "import",
        str(tmp_path / "a.cfg"),
        "--weights",
        str(tmp_path / "a.weights"),
        "-o",
        str(tmp_path / "b.net"),
    ]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "16 numbers" in done.output
    model = graphdl.load(tmp_path / "b.net")
    model.load_weights(tmp_path / "b.safetensors")
    x = np.random.default_rng(0).normal(size=(1, 3, 9, 7)).astype(np.float32)
    wanted = softmax((convolve(x[0], w, 1, 0) + b[:, None, None]).mean((1, 2)))
    np.testing.assert_allclose(next(iter(model.predict(image=x).values()))[0], wanted, rtol=1e-4)
    refused = CliRunner().invoke(main, [*command, "--size", "n=3"])
    assert refused.exit_code == 2
    assert "--size and --constants are for ONNX files" in refused.output


def test_weights_that_do_not_fit_are_refused(tmp_path):
    (tmp_path / "a.cfg").write_text(net("convolutional filters=4 size=1 activation=linear"))
    n = Numbers(8)
    n.take(15)
    n.write(tmp_path / "a.weights")
    with pytest.raises(ModelError, match=r"has 15 numbers, and the layers of the configuration 16"):
        graphdl.import_darknet(tmp_path / "a.cfg", tmp_path / "a.weights")
    (tmp_path / "a.weights").write_bytes(b"short")
    with pytest.raises(ModelError, match="ends within the header"):
        graphdl.import_darknet(tmp_path / "a.cfg", tmp_path / "a.weights")
