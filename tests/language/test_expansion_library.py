"""The standard library: its shapes, its parameters and its defaults, and the models that are built of it."""

import pytest
from expanding import body, faults, graph, operators, parameter_count, shape, shapes_of

from graphdl.language import check, expand, load_source
from graphdl.language.expansion.files import LIBRARY, library_file, library_index
from graphdl.resources import resource

NAMES = [
    "accuracy", "adaptive_avgpool", "adaptive_maxpool", "attention", "attention_of_rows", "avgpool", "avgpool1d",
    "avgpool3d", "batchnorm", "binary_cross_entropy", "binary_cross_entropy_of_probabilities", "celu",
    "channel_shuffle", "clip", "conv", "conv1d", "conv3d", "conv_transpose", "conv_transpose1d", "conv_transpose3d",
    "cross_entropy", "ctc", "deform_conv", "dropout", "elu", "embedding", "flatten", "gelu", "global_avgpool",
    "global_avgpool1d", "global_avgpool3d", "global_lppool", "global_maxpool", "global_maxpool1d", "global_maxpool3d",
    "grid_sample", "groupnorm", "gru", "gru_step", "hard_shrink", "hard_sigmoid", "hard_swish", "hard_tanh", "hinge",
    "huber", "identity", "instancenorm", "kl_divergence", "layernorm", "leaky_relu", "learnt_positions", "linear",
    "log_sigmoid", "log_softmax", "lppool", "lrn", "lstm", "lstm_step", "mae", "maxout", "maxpool", "maxpool1d",
    "maxpool3d", "mish", "mse", "multi_margin", "multihead_attention", "perceptron", "pixel_shuffle", "pixel_unshuffle",
    "prelu", "relu", "relu6", "rmsnorm", "rnn", "selu", "silu", "sinusoidal_positions", "smooth_l1", "soft_shrink",
    "softmax", "softsign", "step", "swish", "tanh_shrink", "thresholded_relu", "top_k", "triplet", "upsample",
    "variance", "weighted_binary_cross_entropy",
]  # fmt: skip


def test_the_index_finds_every_block():
    assert sorted(library_index()) == NAMES
    for path in sorted(LIBRARY.glob("*.net")):
        declared = set(library_file(path).definitions)
        assert declared == {name for name, home in library_index().items() if home == path}


@pytest.mark.parametrize("path", sorted(LIBRARY.glob("*.net")), ids=lambda path: path.stem)
def test_a_library_file_is_without_fault_and_documented(path):
    assert check(load_source(path)) == []
    assert all(definition.written.documentation for definition in library_file(path).definitions.values())


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        ("conv(4, 3)", [4, 6, 6]), ("conv(4, 3, pad = 1)", [4, 8, 8]), ("conv(4, 3, stride = 2, pad = 1)", [4, 4, 4]),
        ('conv(4, 4, pad = "same")', [4, 8, 8]), ('conv(4, [1, 5], pad = "same")', [4, 8, 8]),
        ("conv(4, [3, 1], stride = [2, 1], pad = [1, 0])", [4, 4, 8]), ("conv(4, 3, dilation = 2)", [4, 4, 4]),
        ("conv(6, 3, groups = 3)", [6, 6, 6]), ("conv_transpose(4, 2, stride = 2)", [4, 16, 16]),
        ("conv_transpose(4, 3, stride = 2, pad = 1, output_pad = 1)", [4, 16, 16]), ("maxpool(2)", [3, 4, 4]),
        ("maxpool(3, stride = 1, pad = 1)", [3, 8, 8]), ("avgpool([2, 4])", [3, 4, 2]), ("global_avgpool", [3, 1, 1]),
        ("global_maxpool", [3, 1, 1]), ("upsample(2)", [3, 16, 16]), ("flatten", [192]), ("batchnorm", [3, 8, 8]),
        ("layernorm", [3, 8, 8]), ("lrn", [3, 8, 8]), ("dropout", [3, 8, 8]), ("linear(5)", [3, 8, 5]),
        ("softmax", [3, 8, 8]), ("log_softmax(axis = 0)", [3, 8, 8]), ("relu", [3, 8, 8]), ("prelu(3)", [3, 8, 8]),
        ("step", [3, 8, 8]), ("gelu", [3, 8, 8]), ("elu", [3, 8, 8]), ("silu", [3, 8, 8]), ("swish", [3, 8, 8]),
        ("leaky_relu", [3, 8, 8]), ("identity", [3, 8, 8]), ("maxout(3)", [1, 8, 8]),
        ("maxpool(3, stride = 2, ceil = true)", [3, 4, 4]), ("avgpool(3, stride = 2)", [3, 3, 3]),
        ('maxpool(3, stride = 2, pad = "same")', [3, 4, 4]), ("avgpool(3, pad = [[0, 1], [0, 0]])", [3, 3, 2]),
        ("adaptive_avgpool(3)", [3, 3, 3]), ("adaptive_maxpool([8, 1])", [3, 8, 1]), ("global_lppool", [3, 1, 1]),
        ("lppool(2, p = 1)", [3, 4, 4]), ("groupnorm(3)", [3, 8, 8]), ("instancenorm", [3, 8, 8]),
        ("rmsnorm(axis = 1)", [3, 8, 8]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("training", [False, True])
def test_shapes(layer, wanted, training):
    assert shape(body(f"output y = x -> {layer}", training=training), "y") == wanted


@pytest.mark.parametrize(
    ("layer", "shape_of_x", "wanted"),
    [
        ("conv1d(4, 3, stride = 2)", "[2, 9]", [4, 4]), ("conv_transpose1d(4, 3, stride = 2)", "[2, 9]", [4, 19]),
        ("conv3d(4, [1, 2, 3])", "[2, 5, 5, 5]", [4, 5, 4, 3]),
        ("conv_transpose3d(4, 2)", "[2, 5, 5, 5]", [4, 6, 6, 6]),
        ("maxpool1d(2)", "[2, 9]", [2, 4]), ("avgpool1d(2, ceil = true)", "[2, 9]", [2, 5]),
        ("maxpool3d(2, pad = 1)", "[2, 5, 5, 5]", [2, 3, 3, 3]), ("avgpool3d([1, 2, 5])", "[2, 5, 5, 5]", [2, 5, 2, 1]),
        ("adaptive_avgpool(2)", "[2, 9]", [2, 2]), ("adaptive_maxpool([1, 2, 3])", "[2, 5, 5, 5]", [2, 1, 2, 3]),
        ("global_avgpool1d", "[2, 9]", [2, 1]), ("global_avgpool3d", "[2, 5, 5, 5]", [2, 1, 1, 1]),
        ("global_maxpool1d", "[2, 9]", [2, 1]), ("global_maxpool3d", "[2, 5, 5, 5]", [2, 1, 1, 1]),
    ],
)  # fmt: skip
def test_shapes_of_one_and_three_extents(layer, shape_of_x, wanted):
    assert shape(body(f"output y = x -> {layer}", inputs=f"input x: {shape_of_x}"), "y") == wanted


def test_parameters_have_pytorchs_shapes_and_spread():
    g = body("a = x -> conv(6, [3, 5], groups = 3) as c\nb = x -> conv_transpose(4, 3) as t\noutput a; output b")
    assert shapes_of(g) == {"c.W": [6, 1, 3, 5], "c.b": [6], "t.W": [3, 4, 3, 3], "t.b": [4]}
    bounds = {path: v.initializer.arguments for path, v in g.parameters.items()}
    assert bounds["c.W"] == bounds["c.b"] == pytest.approx((-(15**-0.5), 15**-0.5))
    assert bounds["t.W"] == pytest.approx((-(36**-0.5), 36**-0.5))
    embedding = body("output y = x -> embedding(8) as e", inputs="input x: class(50)[7]")
    assert shapes_of(embedding) == {"e.W": [50, 8]}
    assert (embedding.parameters["e.W"].initializer.name, shape(embedding, "y")) == ("normal", [7, 8])


def test_batchnorm_updates_its_state_by_the_unbiased_variance_in_training_alone():
    training = body("output y = x -> batchnorm as n", training=True)
    assert sorted(training.updates) == ["n.mean", "n.variance"]
    assert "batch_count" in operators(training)
    assert not any(value.batched for value in training.updates.values())
    inference = body("output y = x -> batchnorm as n")
    assert not any(operator.startswith("batch_") for operator in operators(inference))
    assert shapes_of(inference) == {"n.gamma": [3], "n.beta": [3]}
    assert [v.initializer.name for v in inference.states.values()] == ["zeros", "ones"]


def test_batchnorm_of_a_row():
    g = body("output y = x -> batchnorm", inputs="input x: [5]", training=True)
    assert shape(g, "y") == [5]


def test_dropout_of_nothing_draws_nothing():
    assert "uniform_like" not in operators(body("output y = x -> dropout(0)", training=True))


def test_losses_and_metrics_average_over_positions():
    inputs = "input x: [7, 5]; input label: class(5)[7]; input z: [7, 5]"
    g = body(
        """
        loss cross_entropy(x, label)
        loss b = cross_entropy(transpose(x), label, axis = 0)
        loss c = (x, z) -> binary_cross_entropy
        loss mse(x, z)
        loss mae(x, z)
        loss huber(x, z, delta = 2.0)
        metric accuracy(x, label)
        metric top_k(x, label, 2)
        """,
        inputs=inputs,
    )
    assert list(g.losses) == ["cross_entropy", "b", "c", "mse", "mae", "huber"]
    assert all(str(v.type) == "[]" and v.batched for v in (*g.losses.values(), *g.metrics.values()))


def test_a_loss_says_when_shapes_differ():
    text = "net n() {\n input x: [4]; input z: [5]\n loss mse(x, z)\n}"
    assert faults(text) == ["E0312 3:7 the prediction is [4] and the target [5]"]


MODELS = {
    "vision/lenet": 431_080,
    "vision/mlp": 8_970,
    "vision/resnet20": 272_474,
    "vision/inception_small": 26_318,
    "history/xor": 33,
}


@pytest.mark.parametrize(("name", "count"), MODELS.items())
def test_models(name, count):
    source = load_source(resource(f"models/{name}.net"))
    assert check(source) == []
    assert parameter_count(expand(source, training=True)) == count


def test_the_mlp_has_any_depth_and_reads_mnist():
    source = load_source(resource("models/vision/mlp.net"))
    g = expand(source, settings={"size": 28, "widths": [512, 512]})
    assert parameter_count(g) == 784 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10
    assert parameter_count(expand(source, settings={"widths": []})) == 64 * 10 + 10


def test_xor_without_a_hidden_layer():
    source = load_source(resource("models/history/xor.net"))
    assert parameter_count(expand(source, settings={"hidden": 0})) == 3


RESNET = """
block bottleneck(width, stride, project): x -> y {
    main = x -> conv(width, 1, bias = false) -> batchnorm -> relu
             -> conv(width, 3, stride = stride, pad = 1, bias = false) -> batchnorm -> relu
             -> conv(4 * width, 1, bias = false) -> batchnorm
    skip = x -> conv(4 * width, 1, stride = stride, bias = false) -> batchnorm if project else x
    y = relu(main + skip)
}
net resnet(depths = [3, 4, 6, 3]) {
    input image: [3, 224, 224]
    x = image -> conv(64, 7, stride = 2, pad = 3, bias = false) -> batchnorm -> relu -> maxpool(3, stride = 2, pad = 1)
    for stage in 0..4 {
        for number in 0..depths[stage] {
            x = x -> bottleneck(64 * 2 ** stage, 2 if stage > 0 and number == 0 else 1, number == 0)
        }
    }
    output logits = x -> global_avgpool -> flatten -> linear(1000)
}
"""


@pytest.mark.parametrize(("depths", "count"), [([3, 4, 6, 3], 25_557_032), ([3, 8, 36, 3], 60_192_808)])
def test_residual_nets(depths, count):
    assert parameter_count(graph(RESNET, settings={"depths": depths})) == count


def test_the_alexnet_of_the_paper():
    g = graph(
        """
        net alexnet() {
            input image: [3, 227, 227]
            features = image -> conv(96, 11, stride = 4) -> relu -> lrn -> maxpool(3, stride = 2)
                             -> conv(256, 5, pad = 2, groups = 2) -> relu -> lrn -> maxpool(3, stride = 2)
                             -> conv(384, 3, pad = 1) -> relu -> conv(384, 3, pad = 1, groups = 2) -> relu
                             -> conv(256, 3, pad = 1, groups = 2) -> relu -> maxpool(3, stride = 2)
            output logits = features -> flatten -> repeat 2 { dropout -> linear(4096) -> relu } -> linear(1000)
        }
        """
    )
    assert parameter_count(g) == 60_965_224
