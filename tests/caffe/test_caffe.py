"""Import of Caffe models: every kind of layer beside a reference in NumPy, and what is refused."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from caffe_reference import (
    caffemodel,
    convolve,
    deconvolve,
    lrn,
    lrn_within,
    mvn,
    normalize,
    pool,
    softmax,
)
from click.testing import CliRunner

import graphdl
from graphdl.caffe.network import predicting_layers
from graphdl.caffe.schema import parse_text
from graphdl.cli import main
from graphdl.diagnostics import ModelError

DRAWS = np.random.default_rng(3)
INPUT = 'input: "data" input_dim: 1 input_dim: 3 input_dim: 7 input_dim: 8\n'


def drawn(*shape):
    return DRAWS.normal(0, 0.5, shape).astype(np.float32).astype(np.float64)


def layer(kind, bottom, top, options="", name=None):
    reads = "".join(f' bottom: "{each}"' for each in bottom.split())
    makes = "".join(f' top: "{each}"' for each in top.split())
    return f'layer {{ name: "{name or top.split()[0]}" type: "{kind}"{reads}{makes} {options} }}\n'


def imported(folder, text, weights=None, **form):
    (folder / "net.prototxt").write_text(text)
    if weights is None:
        return graphdl.import_caffe(folder / "net.prototxt")
    (folder / "net.caffemodel").write_bytes(caffemodel(weights, **form))
    return graphdl.import_caffe(folder / "net.prototxt", folder / "net.caffemodel")


def check(folder, text, wanted, weights=None, shape=(3, 7, 8), scale=1.0, **form):
    """Compares the outputs with a dictionary of functions of an example."""
    model = imported(folder, text, weights, **form)
    x = (np.random.default_rng(5).normal(0, scale, (2, *shape))).astype(np.float32)
    found = model.predict(data=x)
    assert list(found) == list(wanted)
    for name, function in wanted.items():
        for value, example in zip(found[name], x.astype(np.float64), strict=True):
            expected = np.asarray(function(example))
            assert value.shape == expected.shape, name
            np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4, err_msg=name)
    return model


def test_convolutions(tmp_path):
    w1, b1, w2, w3, b3 = drawn(4, 3, 3, 2), drawn(4), drawn(6, 2, 3, 3), drawn(4, 3, 4, 4), drawn(6)
    text = (
        INPUT
        + layer("Convolution", "data", "a", "convolution_param { num_output: 4 kernel_h: 3 kernel_w: 2 pad_h: 1 "
                "pad_w: 0 stride_h: 2 stride_w: 1 engine: CUDNN weight_filler { type: 'xavier' } }", name="conv/a")
        + layer("Convolution", "a", "b", "convolution_param { num_output: 6 kernel_size: 3 pad: 2 dilation: 2 group: 2 "
                "bias_term: false }")
        + layer("Deconvolution", "a", "c", "convolution_param { num_output: 6 kernel_size: 4 stride: 2 pad: 1 "
                "group: 2 }")
    )  # fmt: skip
    weights = {"conv/a": [w1, b1], "b": [w2], "c": [w3, b3], "unused": [b1]}

    def a(x):
        return convolve(x, w1, b1, (2, 1), (1, 0))

    wanted = {
        "b": lambda x: convolve(a(x), w2, None, pad=(2, 2), dilation=(2, 2), groups=2),
        "c": lambda x: deconvolve(a(x), w3, 2, 1, groups=2) + b3[:, None, None],
    }
    model = check(tmp_path, text, wanted, weights)
    assert "conv([3, 2]" not in model.source.text
    assert "as conv_a" in model.source.text


def test_convolutions_of_one_and_three_extents(tmp_path):
    w, v = drawn(4, 3, 3), drawn(2, 4, 1, 2, 2)
    text = (
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 5 dim: 3 dim: 9 } } }\n'
        + layer("Convolution", "data", "a", "convolution_param { num_output: 4 kernel_size: 3 bias_term: false }")
        + layer("Reshape", "a", "wide", "reshape_param { shape { dim: 0 dim: 0 dim: 1 dim: -1 dim: 1 } }")
        + layer("Tile", "wide", "tiled", "tile_param { axis: 4 tiles: 3 }")
        + layer("Convolution", "tiled", "b", "convolution_param { num_output: 2 kernel_size: 1 kernel_size: 2 "
                "kernel_size: 2 stride: 1 stride: 3 stride: 1 bias_term: false }")
    )  # fmt: skip

    def b(x):
        y = convolve(x[:, None], w[:, :, None])[:, 0]
        return convolve(np.tile(y[:, :, None], (1, 1, 3)), v[:, :, 0], stride=(3, 1))[:, None]

    check(tmp_path, text, {"b": b}, {"a": [w], "b": [v]}, shape=(3, 9), double=True)


def test_pooling(tmp_path):
    """Windows that end before, at and behind the image, and those that only the pad would start."""
    kinds = [
        ("kernel_size: 3 stride: 2", {"kernel": (3, 3), "stride": (2, 2)}),
        ("kernel_size: 2 stride: 2 pad: 1", {"kernel": (2, 2), "stride": (2, 2), "pad": (1, 1)}),
        ("kernel_size: 3 stride: 2 pad: 1", {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 1)}),
        ("kernel_size: 3 stride: 3 pad: 2", {"kernel": (3, 3), "stride": (3, 3), "pad": (2, 2)}),
        ("kernel_size: 4 stride: 5 pad: 3", {"kernel": (4, 4), "stride": (5, 5), "pad": (3, 3)}),
        ("kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2 pad_h: 1 pad_w: 0",
         {"kernel": (3, 2), "stride": (1, 2), "pad": (1, 0)}),
        ("kernel_size: 3 stride: 2 round_mode: FLOOR", {"kernel": (3, 3), "stride": (2, 2), "rounding": math.floor}),
        ("kernel_size: 5", {"kernel": (5, 5)}),
        ("global_pooling: true", {"kernel": (7, 8)}),
    ]  # fmt: skip
    text, wanted = INPUT, {}
    for k, (options, given) in enumerate(kinds):
        text += layer("Pooling", "data", f"a{k}", f"pooling_param {{ {options} }}")
        text += layer("Pooling", "data", f"b{k}", f"pooling_param {{ pool: AVE {options} }}")
        wanted[f"a{k}"] = lambda x, given=given: pool(x, **given)
        wanted[f"b{k}"] = lambda x, given=given: pool(x, **given, kind="mean")
    check(tmp_path, text, wanted)


def test_products(tmp_path):
    w1, b1, w2, w3 = drawn(5, 3 * 7 * 8), drawn(5), drawn(8, 4), drawn(2, 5)
    text = (
        INPUT
        + layer("InnerProduct", "data", "a", "inner_product_param { num_output: 5 }")
        + layer("InnerProduct", "data", "b", "inner_product_param { num_output: 4 axis: -1 transpose: true "
                "bias_term: false }")
        + layer("InnerProduct", "a", "c", "inner_product_param { num_output: 2 bias_term: false }")
    )  # fmt: skip
    wanted = {"b": lambda x: x @ w2, "c": lambda x: w3 @ (w1 @ x.reshape(-1) + b1)}
    check(tmp_path, text, wanted, {"a": [w1, b1], "b": [w2], "c": [w3]})


def test_normalizations(tmp_path):
    mean, variance = drawn(3), np.abs(drawn(3)) + 0.5
    gamma, beta, plain, table = drawn(3), drawn(3), drawn(3), drawn(7, 8)
    factor = np.array([4.0])
    blobs = [mean * 4, variance * 4, factor]
    text = (
        INPUT
        + layer("LRN", "data", "a", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 k: 2 }")
        + layer("LRN", "data", "b", "lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL }")
        + layer("BatchNorm", "data", "c", "batch_norm_param { use_global_stats: true eps: 0.001 }", name="bn")
        + layer("Scale", "c", "c", "scale_param { bias_term: true }", name="scale")
        + layer("BatchNorm", "data", "d", name="bn2")
        + layer("MVN", "data", "e")
        + layer("MVN", "data", "f", "mvn_param { across_channels: true eps: 0.1 }")
        + layer("MVN", "data", "g", "mvn_param { normalize_variance: false }")
        + layer("Scale", "data", "h", "scale_param { axis: -2 num_axes: -1 }")
        + layer("Bias", "h", "i", "bias_param { }")
        + layer("Pooling", "data", "means", "pooling_param { pool: AVE global_pooling: true }")
        + layer("Flatten", "means", "flat")
        + layer("Scale", "data flat", "j", "scale_param { axis: 0 }")
        + layer("Bias", "data flat", "k", "bias_param { axis: 0 }")
    )
    weights = {"bn": blobs, "scale": [gamma, beta], "bn2": blobs, "h": [table], "i": [plain]}

    def across(v):
        return v[:, None, None]

    wanted = {
        "a": lambda x: lrn(x, 3, 0.5, 0.6, 2),
        "b": lambda x: lrn_within(x, 3, 0.5, 0.75),
        "c": lambda x: normalize(x, mean, variance, 0.001) * across(gamma) + across(beta),
        "d": lambda x: normalize(x, mean, variance),
        "e": lambda x: mvn(x, (1, 2)),
        "f": lambda x: mvn(x, (0, 1, 2), 0.1),
        "g": lambda x: mvn(x, (1, 2), variance=False),
        "i": lambda x: x * table + across(plain),
        "j": lambda x: x * x.mean((1, 2), keepdims=True),
        "k": lambda x: x + x.mean((1, 2), keepdims=True),
    }
    model = check(tmp_path, text, wanted, weights)
    assert "batchnorm(momentum = 0.001, epsilon = 0.001) as bn\n" in model.source.text


def test_functions_of_elements(tmp_path):
    slopes, slope = np.array([0.1, 0.3, -0.2]), np.array([0.4])
    kinds = [
        ("ReLU", "", lambda x: np.maximum(x, 0)),
        ("ReLU", "relu_param { negative_slope: 0.1 }", lambda x: np.where(x > 0, x, 0.1 * x)),
        ("PReLU", "", lambda x: np.where(x > 0, x, slopes[:, None, None] * x)),
        ("PReLU", "prelu_param { channel_shared: true }", lambda x: np.where(x > 0, x, 0.4 * x)),
        ("ELU", "elu_param { alpha: 0.7 }", lambda x: np.where(x > 0, x, 0.7 * (np.exp(x) - 1))),
        ("ELU", "", lambda x: np.where(x > 0, x, np.exp(x) - 1)),
        ("Sigmoid", "", lambda x: 1 / (1 + np.exp(-x))),
        ("TanH", "", np.tanh),
        ("BNLL", "", lambda x: np.log(1 + np.exp(x))),
        ("AbsVal", "", np.abs),
        ("Power", "power_param { power: 2 scale: -0.5 shift: 0.25 }", lambda x: (0.25 - 0.5 * x) ** 2),
        ("Power", "power_param { power: 3 }", lambda x: x**3),
        ("Power", "power_param { scale: 2 shift: -1 }", lambda x: 2 * x - 1),
        ("Power", "power_param { power: -0.5 scale: 0.1 shift: 3 }", lambda x: (3 + 0.1 * x) ** -0.5),
        ("Power", "power_param { power: 0 }", np.ones_like),
        ("Exp", "", np.exp),
        ("Exp", "exp_param { base: 2 scale: 0.5 shift: 1 }", lambda x: 2 ** (1 + 0.5 * x)),
        ("Log", "log_param { base: 10 scale: 0.1 shift: 3 }", lambda x: np.log10(3 + 0.1 * x)),
        ("Log", "log_param { shift: 9 }", lambda x: np.log(9 + x)),
        ("Threshold", "threshold_param { threshold: 0.25 }", lambda x: (x > 0.25) * 1.0),
        ("Clip", "clip_param { min: -0.5 max: 1 }", lambda x: np.clip(x, -0.5, 1)),
        ("Swish", "", lambda x: x / (1 + np.exp(-x))),
        ("Swish", "swish_param { beta: 2 }", lambda x: x / (1 + np.exp(-2 * x))),
        ("Softmax", "", softmax),
        ("Softmax", "softmax_param { axis: -1 }", lambda x: softmax(x, 2)),
        ("Dropout", "dropout_param { dropout_ratio: 0.9 }", lambda x: x),
    ]
    text = INPUT + "".join(layer(kind, "data", f"y{k}", options) for k, (kind, options, _) in enumerate(kinds))
    wanted = {f"y{k}": function for k, (_, _, function) in enumerate(kinds)}
    check(tmp_path, text, wanted, {"y2": [slopes], "y3": [slope]})


def test_combinations_and_shapes(tmp_path):
    kinds = [
        ("Eltwise", "data other", "", lambda x: x + np.tanh(x)),
        ("Eltwise", "data other", "eltwise_param { coeff: 1 coeff: -2.5 }", lambda x: x - 2.5 * np.tanh(x)),
        ("Eltwise", "data other data", "eltwise_param { operation: PROD }", lambda x: x * np.tanh(x) * x),
        ("Eltwise", "data other", "eltwise_param { operation: MAX }", lambda x: np.maximum(x, np.tanh(x))),
        ("Concat", "data other", "", lambda x: np.concatenate([x, np.tanh(x)])),
        ("Concat", "data other", "concat_param { axis: -1 }", lambda x: np.concatenate([x, np.tanh(x)], 2)),
        ("Concat", "data other", "concat_param { concat_dim: 2 }", lambda x: np.concatenate([x, np.tanh(x)], 1)),
        ("Reshape", "data", "reshape_param { shape { dim: 0 dim: -1 dim: 4 } }", lambda x: x.reshape(-1, 4)),
        ("Reshape", "data", "reshape_param { shape { dim: 1 dim: 0 dim: 0 dim: 2 dim: 4 } }",
         lambda x: x.reshape(3, 7, 2, 4)),
        ("Reshape", "data", "reshape_param { shape { dim: 4 dim: -1 } axis: -2 }", lambda x: x.reshape(3, 7, 4, 2)),
        ("Reshape", "data", "reshape_param { shape { dim: 21 } axis: 1 num_axes: 2 }", lambda x: x.reshape(21, 8)),
        ("Reshape", "data", "reshape_param { shape { dim: -1 dim: 3 dim: 56 } }", lambda x: x.reshape(3, 56)),
        ("Flatten", "data", "", lambda x: x.reshape(-1)),
        ("Flatten", "data", "flatten_param { axis: 2 }", lambda x: x.reshape(3, 56)),
        ("Flatten", "data", "flatten_param { end_axis: -2 }", lambda x: x.reshape(21, 8)),
        ("Reduction", "data", "reduction_param { axis: 1 coeff: 0.5 }", lambda x: 0.5 * x.sum()),
        ("Reduction", "data", "reduction_param { axis: -1 operation: ASUM }", lambda x: np.abs(x).sum(2)),
        ("Reduction", "data", "reduction_param { axis: 2 operation: SUMSQ }", lambda x: (x**2).sum((1, 2))),
        ("Reduction", "data", "reduction_param { axis: 3 operation: MEAN }", lambda x: x.mean(2)),
        ("Tile", "data", "tile_param { tiles: 2 }", lambda x: np.tile(x, (2, 1, 1))),
        ("ArgMax", "data", "", lambda x: x.argmax().reshape(1, 1, 1)),
        ("ArgMax", "data", "argmax_param { axis: 1 }", lambda x: x.argmax(0, keepdims=True)),
        ("ArgMax", "data", "argmax_param { axis: 2 top_k: 2 }", lambda x: (-x).argsort(1)[:, :2]),
        ("ArgMax", "data", "argmax_param { top_k: 3 out_max_val: true }",
         lambda x: np.stack([(-x.reshape(-1)).argsort()[:3], -np.sort(-x.reshape(-1))[:3]])[:, :, None]),
        ("ArgMax", "data", "argmax_param { top_k: 2 }", lambda x: (-x.reshape(-1)).argsort()[:2].reshape(1, 2, 1)),
        ("ArgMax", "data", "argmax_param { axis: 1 top_k: 2 out_max_val: true }", lambda x: -np.sort(-x, 0)[:2]),
        ("ArgMax", "data", "argmax_param { axis: 1 out_max_val: true }", lambda x: x.max(0, keepdims=True)),
        ("Crop", "data small", "crop_param { offset: 3 offset: 1 }", lambda x: x[:, 3:7, 1:5]),
        ("Crop", "data small", "crop_param { axis: 3 offset: 2 }", lambda x: x[:, :, 2:6]),
        ("Permute", "data", "permute_param { order: 0 order: 2 order: 3 order: 1 }", lambda x: x.transpose(1, 2, 0)),
    ]  # fmt: skip
    text = INPUT + layer("TanH", "data", "other")
    text += layer("Pooling", "data", "small", "pooling_param { kernel_size: 2 stride: 2 }")
    text += layer("Slice", "data", "s0 s1", "slice_param { slice_point: 1 }")
    text += layer("Slice", "data", "t0 t1", "slice_param { axis: 3 }")
    text += layer("Slice", "data", "u0 u1 u2", "slice_param { slice_dim: 2 slice_point: 2 slice_point: 3 }")
    text += layer("Split", "data", "v0 v1") + layer("ReLU", "v1", "v1", name="in_place")
    text += "".join(layer(kind, reads, f"y{k}", options) for k, (kind, reads, options, _) in enumerate(kinds))
    text += 'layer { name: "silence" type: "Silence" bottom: "small" }\n'
    wanted = {
        "s0": lambda x: x[:1],
        "s1": lambda x: x[1:],
        "t0": lambda x: x[:, :, :4],
        "t1": lambda x: x[:, :, 4:],
        "u0": lambda x: x[:, :2],
        "u1": lambda x: x[:, 2:3],
        "u2": lambda x: x[:, 3:],
        "v0": lambda x: x,
        "v1": lambda x: np.maximum(x, 0),
        **{f"y{k}": function for k, (*_, function) in enumerate(kinds)},
    }
    check(tmp_path, text, wanted)


def test_words(tmp_path):
    table, bias = drawn(9, 4), drawn(4)
    text = 'input: "words" input_shape { dim: 1 dim: 5 }\n'
    text += layer("Embed", "words", "y", "embed_param { num_output: 4 input_dim: 9 }")
    model = imported(tmp_path, text, {"y": [table, bias]})
    words = np.array([[0, 8, 3, 3, 1]], np.int32)
    np.testing.assert_allclose(model.predict(words=words)["y"][0], table[words[0]] + bias, rtol=1e-6)


def test_a_net_of_training_becomes_one_of_prediction(tmp_path):
    """LeNet's form: layers of data and of one phase only, activations in place, a loss and an accuracy."""
    w1, b1, w2, b2 = drawn(4, 3, 3, 3), drawn(4), drawn(5, 4 * 3 * 3), drawn(5)
    text = (
        'name: "Small-Net"\n'
        'layer { name: "digits" type: "Data" top: "data" top: "label" include { phase: TRAIN } }\n'
        'layer { name: "digits" type: "MemoryData" top: "data" top: "label" include { phase: TEST }\n'
        "  memory_data_param { batch_size: 6 channels: 3 height: 7 width: 8 } }\n"
        + layer("Convolution", "data", "conv1", "convolution_param { num_output: 4 kernel_size: 3 }")
        + layer("ReLU", "conv1", "conv1", name="relu1")
        + layer("Pooling", "conv1", "pool1", "pooling_param { kernel_size: 2 stride: 2 }")
        + layer("Dropout", "pool1", "pool1", "exclude { phase: TEST }", name="drop1")
        + layer("InnerProduct", "pool1", "ip2", "inner_product_param { num_output: 5 }")
        + layer("Accuracy", "ip2 label", "accuracy", "include { phase: TEST }")
        + layer("SoftmaxWithLoss", "ip2 label", "loss", "loss_weight: 0.5")
    )
    weights = {"conv1": [w1, b1], "ip2": [w2, b2]}

    def probabilities(x):
        y = pool(np.maximum(convolve(x, w1, b1), 0), (2, 2), (2, 2))
        return softmax(w2 @ y.reshape(-1) + b2)

    model = check(tmp_path, text, {"prob": probabilities}, weights)
    # values are named by layers, parameters too; the net has no dropout of training, and no label
    chain = "data -> conv(4, 3) as conv1 -> relu -> maxpool(2, ceil = true) -> flatten -> linear(5) as ip2"
    assert chain.replace(" ", "") in "".join(model.source.text.split()).replace("relu()", "relu")
    assert "Small_Net" in model.source.text
    assert "label" not in model.source.text


def test_what_losses_become(tmp_path):
    text = (
        INPUT
        + layer("Flatten", "data", "flat")
        + layer("SoftmaxWithLoss", "flat label", "loss1", "loss_weight: 0.3")
        + layer("SigmoidCrossEntropyLoss", "flat targets", "loss2")
        + layer("SoftmaxWithLoss", "data label", "loss3 parts")
        + layer("EuclideanLoss", "flat targets", "loss4")
        + layer("Power", "flat", "twice", "power_param { scale: 2 }")
        + layer("HingeLoss", "twice label", "loss5")
    )
    wanted = {
        "prob": lambda x: softmax(x.reshape(-1)),
        "prob_2": lambda x: 1 / (1 + np.exp(-x.reshape(-1))),
        "parts": softmax,
        "twice": lambda x: 2 * x.reshape(-1),
    }
    check(tmp_path, text, wanted)


@pytest.mark.parametrize(
    ("rules", "stays"),
    [
        ("include { phase: TEST }", True),
        ("include { phase: TRAIN }", False),
        ("include { phase: TRAIN } include { stage: 'deep' }", True),
        ("include { stage: 'deep' stage: 'other' }", False),
        ("include { not_stage: 'deep' }", False),
        ("include { min_level: 2 }", True),
        ("include { min_level: 3 }", False),
        ("include { max_level: 1 }", False),
        ("exclude { max_level: 2 phase: TEST }", False),
        ("exclude { phase: TRAIN }", True),
    ],
)
def test_rules_of_the_phase(rules, stays):
    text = "state { level: 2 stage: 'deep' } " + layer("ReLU", "data", "a", rules)
    assert len(predicting_layers(parse_text(text, "net"))) == stays


def test_the_package_protobuf_may_be_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.protobuf.text_format", None)
    with pytest.raises(ModelError, match=r"E0901.*protobuf") as caught:
        imported(tmp_path, INPUT + layer("ReLU", "data", "a"))
    assert caught.value.diagnostics[0].help == 'install it: pip install "graphdl[caffe]"'


def test_old_files(tmp_path):
    w, b = drawn(4, 3, 3, 3), drawn(4)
    w2 = drawn(2, 4)
    text = INPUT + (
        'layers { name: "c" type: CONVOLUTION bottom: "data" top: "c" blobs_lr: 1 blobs_lr: 2\n'
        "  convolution_param { num_output: 4 kernel_size: 3 } }\n"
        'layers { name: "r" type: RELU bottom: "c" top: "c" }\n'
        'layers { name: "p" type: POOLING bottom: "c" top: "p" pooling_param { pool: AVE kernel_h: 5 kernel_w: 6 } }\n'
        'layers { name: "f" type: INNER_PRODUCT bottom: "p" top: "f"\n'
        "  inner_product_param { num_output: 2 bias_term: false } }\n"
        'layers { name: "s" type: SOFTMAX_LOSS bottom: "f" bottom: "label" top: "s" }\n'
    )

    def wanted(x):
        return softmax(w2 @ np.maximum(convolve(x, w, b), 0).mean((1, 2)))

    check(tmp_path, text, {"prob": wanted}, {"c": [w, b], "f": [w2]}, old=True)


def test_twins_share_their_weights(tmp_path):
    w = drawn(4, 3, 3, 3)
    shared = "convolution_param { num_output: 4 kernel_size: 3 bias_term: false } param { name: 'w' }"
    text = INPUT + layer("Power", "data", "half", "power_param { scale: 0.5 }")
    text += layer("Convolution", "data", "a", shared) + layer("Convolution", "half", "b", shared)
    wanted = {"a": lambda x: convolve(x, w), "b": lambda x: convolve(0.5 * x, w)}
    model = check(tmp_path, text, wanted, {"a": [w], "b": [w]})
    assert list(model.parameters) == ["a_layer.W"]


def test_an_imported_net_trains(tmp_path):
    text = (
        INPUT
        + layer("Convolution", "data", "a", "convolution_param { num_output: 6 kernel_size: 3 bias_term: false }")
        + layer("BatchNorm", "a", "a", name="bn")
        + layer("Scale", "a", "a", "scale_param { bias_term: true }", name="scale")
        + layer("ReLU", "a", "a", name="relu")
        + layer("Pooling", "a", "m", "pooling_param { pool: AVE global_pooling: true }")
        + layer("InnerProduct", "m", "scores", "inner_product_param { num_output: 2 }")
    )
    weights = {
        "a": [drawn(6, 3, 3, 3)],
        "bn": [np.zeros(6), np.ones(6), np.ones(1)],
        "scale": [np.ones(6), np.zeros(6)],
        "scores": [drawn(2, 6), np.zeros(2)],
    }
    model = imported(tmp_path, text, weights)
    assert set(model.parameters) == {"a.W", "bn.gamma", "bn.beta", "scores_layer.W", "scores_layer.b"}
    trained = model.source.text.rstrip().removesuffix("}")
    trained += "input label: class(2)\nloss cross_entropy(scores, label)\n}\ntrain { optimizer sgd(lr = 0.2) }\n"
    trainer = graphdl.loads(trained).trainer(batch=8)
    labels = np.arange(8, dtype=np.int32) % 2
    images = np.random.default_rng(0).normal(size=(8, 3, 7, 8)).astype(np.float32)
    images[:, 0] += labels[:, None, None]
    losses = [float(trainer.step(data=images, label=labels)) for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]


def test_all_that_is_not_supported_is_named(tmp_path):
    text = (
        INPUT
        + 'layer { name: "pictures" type: "ImageData" top: "picture" }\n'
        + layer("ReLU", "picture", "p")
        + layer("Python", "data", "a")
        + layer("ReLU", "a", "a", name="behind")
        + layer("LSTM", "a", "b")
        + layer("Pooling", "data", "c", "pooling_param { pool: STOCHASTIC kernel_size: 2 }")
        + layer("Softmax", "data", "d", "softmax_param { axis: 0 }")
        + layer("Convolution", "data", "e", "convolution_param { num_output: 4 kernel_size: 30 }")
        + layer("ReLU", "nothing", "f")
    )
    with pytest.raises(ModelError) as caught:
        imported(tmp_path, text)
    found = [f"{each.code} {each.message}" for each in caught.value.diagnostics]
    assert found[:5] == [
        "E0903 layer 'pictures' (ImageData): the file does not say its shape: import the deploy file of the net, which "
        "has no layers of data",
        "E0903 layer 'a' (Python): this kind of layer is not supported",
        "E0903 layer 'b' (LSTM): this kind of layer is not supported",
        "E0903 layer 'c' (Pooling): stochastic pooling, or the places of maxima",
        "E0903 layer 'd' (Softmax): axis 0 is the batch",
    ]
    assert found[5].startswith("E0903 layer 'e' (Convolution): a kernel that reaches over 30")
    assert found[6:] == ["E0903 layer 'f' (ReLU): no layer before it makes 'nothing'"]


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (layer("Reshape", "data", "a", "reshape_param { shape { dim: -1 dim: 3 } }"), "the shape [3]"),
        (layer("Reshape", "data", "a", "reshape_param { shape { dim: 8 dim: -1 } }"), "changes the batch"),
        (layer("Eltwise", "data data", "a", "eltwise_param { coeff: 1 }"), "1 coefficients of 2 blobs"),
        (layer("Slice", "data", "a b", ""), "2 slices of 3 elements"),
        (layer("Reduction", "data", "a", ""), "axis 0 is the batch"),
        (layer("Embed", "data", "a", "embed_param { input_dim: 3 num_output: 2 }") + layer("ReLU", "data", "b"),
         "its words are no input"),
        (layer("LRN", "data", "a", "lrn_param { local_size: 4 }"), "an even number"),
        (layer("Permute", "data", "a", "permute_param { order: 1 }"), "the order [1, 0, 2, 3]"),
        (layer("Crop", "data data", "a", "crop_param { offset: 1 }"), "does not lie within"),
        (layer("Flatten", "data", "a", "flatten_param { axis: 5 }"), "does not exist in a blob of 4 dimensions"),
        ('layers { layer { name: "a" type: "relu" } bottom: "data" top: "a" }', "(None): this kind of layer"),
    ],
)  # fmt: skip
def test_an_option_without_a_counterpart_is_named(tmp_path, layers, words):
    with pytest.raises(ModelError, match="E0903") as caught:
        imported(tmp_path, INPUT + layers)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layer { name: ", "is no Caffe net"),
        ("layer { type: 3 }", "is no Caffe net"),
        ("", "it has no layers for a prediction"),
        (INPUT + 'layer { type: "Silence" bottom: "data" }', "has no outputs"),
    ],
)
def test_a_bad_net_is_explained(tmp_path, text, words):
    with pytest.raises(ModelError, match="E0905") as caught:
        imported(tmp_path, text)
    assert words in str(caught.value)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    text = INPUT + layer("Convolution", "data", "a", "convolution_param { num_output: 4 kernel_size: 3 }")
    with pytest.raises(ModelError, match=r"blob 0 of the layer 'a' \(Convolution\) has 6 numbers"):
        imported(tmp_path, text, {"a": [drawn(2, 3)]})
    with pytest.raises(ModelError, match=r"has 0 blobs for the layer 'a'"):
        imported(tmp_path, text, {"b": [drawn(2, 3)]})
    (tmp_path / "net.caffemodel").write_bytes(b"\xff\xffshort")
    with pytest.raises(ModelError, match=r"E0905.*has no weights of Caffe"):
        graphdl.import_caffe(tmp_path / "net.prototxt", tmp_path / "net.caffemodel")
    with pytest.raises(ModelError, match=r"E0905.*cannot be read"):
        graphdl.import_caffe(tmp_path / "net.prototxt", tmp_path / "missing.caffemodel")


def test_the_command_writes_the_net_and_its_weights(tmp_path):
    w, b = drawn(2, 3, 1, 1), drawn(2)
    text = INPUT + layer("Convolution", "data", "a", "convolution_param { num_output: 2 kernel_size: 1 }")
    (tmp_path / "a.prototxt").write_text(text)
    (tmp_path / "a.caffemodel").write_bytes(caffemodel({"a": [w, b]}))
    command = ["import", str(tmp_path / "a.prototxt"), "--weights", str(tmp_path / "a.caffemodel")]
    done = CliRunner().invoke(main, [*command, "-o", str(tmp_path / "b.net")])
    assert done.exit_code == 0, done.output
    assert "8 numbers" in done.output
    model = graphdl.load(tmp_path / "b.net")
    model.load_weights(tmp_path / "b.safetensors")
    x = np.random.default_rng(0).normal(size=(1, 3, 7, 8)).astype(np.float32)
    np.testing.assert_allclose(model.predict(data=x)["a"][0], convolve(x[0], w, b), rtol=1e-4, atol=1e-5)
    refused = CliRunner().invoke(main, [*command, "--size", "n=3"])
    assert refused.exit_code == 2
    assert "--size and --constants are for ONNX files" in refused.output
