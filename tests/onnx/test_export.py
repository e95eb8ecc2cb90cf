"""Export to ONNX: every primitive and form against ONNX Runtime, names and metadata, the way back, and refusals."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx.helper")  # not "onnx": this folder would be found
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from click.testing import CliRunner  # noqa: E402
from exported import agree, feeds, nodes_of, session  # noqa: E402

import graphdl  # noqa: E402
from graphdl.cli import main  # noqa: E402
from graphdl.diagnostics import ModelError  # noqa: E402
from graphdl.graph.model import Node, ScanBody  # noqa: E402
from graphdl.onnx.exporting.operators import TRANSLATIONS  # noqa: E402
from graphdl.operators import PRIMITIVES  # noqa: E402

EXAMPLES = {
    "functions": """
        input x: [3, 4]
        param W: [4] = normal(0, 1)
        unit = 0.9 * tanh(x)
        output exponentials = concat(exp(x), expm1(x / 1000), log(abs(x)), log1p(abs(x) / 1000), log1p(abs(x)))
        output roots = concat(sqrt(abs(x)), rsqrt(abs(x)), abs(x), sign(x), abs(x) ** 1.7, -x)
        output rounded = concat(floor(3 * x), ceil(3 * x), round(3 * x), float(int(3 * x)))
        output waves = concat(sin(x), cos(x), tan(x), sinh(x), cosh(x), atan(x), asinh(x))
        output arcs = concat(asin(unit), acos(unit), atanh(unit), acosh(1 + abs(x)))
        output curves = concat(tanh(x), sigmoid(x), softplus(x), erf(x), stop_gradient(x))
        output fixed = W * W + 1
    """,
    "operands": """
        input x: [3, 4]
        input row: [4]
        input k: int[3, 4]
        input m: bool[4]
        param W: [2, 3, 4] = normal(0, 1)
        output arithmetic = concat(x + row, x - row, x * row, x / row, x // row, x % row, fmod(x, row), row - x)
        output higher = W * row + x
        output bounds = concat(maximum(x, row), minimum(x, row), maximum(x, 0), minimum(1, x), where(m, x, row))
        output whole = concat(k + 3, k - 1, k * k, k // 3, 7 // k, k % 3, 5 % k, fmod(k, 3), fmod(5, k), -k)
        output more = concat(maximum(k, 2), minimum(k, 2), abs(k), sign(k), where(m, k, -1), int(k > 0))
        output bits = concat(bit_and(k, 6), bit_or(k, 6), bit_xor(k, 6), bit_not(k))
        output shifts = concat(shift_left(k, 3), shift_right(k, 1), shift_left(k, k), shift_right(1000 * k, k))
        output compared = concat(k == 2, k != 2, k < 2, k <= 2, k > 2, k >= 2, x == row, x < k)
        output decided = concat(m and row > 0, m or row > 0, not m, m == (row > 0), where(row > 0, m, not m))
    """,
    "reductions": """
        input x: [3, 4, 5]
        input k: int[3, 4]
        param W: [3, 4] = normal(0, 1)
        output total = sum(x)
        output rows = concat(sum(x, axis = 1), mean(x, axis = 1), product(x, axis = -2))
        output extremes = concat(max(x, axis = 1), min(x, axis = 1))
        output whole = concat(product(k, axis = 1), max(k, axis = 0), min(k, axis = 1), int(sum(k > 0, axis = 1)))
        output kept = sum(x, axis = [0, 2], keep = true) + reshape(max(W, axis = 1, keep = true), [3, 1, 1])[:1]
        output image = mean(x, axis = [1, 2], keep = true) + max(x, axis = [1, 2], keep = true)
        output places = concat(argmax(k), argmax(x, axis = [1, 2]), argmax(k > 0, axis = 0))
        output kept_places = argmax(x, axis = [0, 2], keep = true)
        output along = argmax(x, axis = 1, keep = true)
        output least = concat(argmin(k), argmin(x, axis = [1, 2]))
        output truths = concat(any(k > 3, axis = 1), all(k > -4, axis = 1))
        output soft = logsumexp(x, axis = [0, 2])
        output batch = batch_mean(x, axis = [1, 2]) + batch_var(x, axis = [1, 2]) + batch_count
        output running = concat(cumsum(x, axis = 1), cumsum(x, axis = 2, exclusive = true), axis = 0)
        output counted = concat(cumsum(k), cumsum(k, reverse = true))
        output ordered = concat(sort(x), sort(x, axis = 1, descending = true))
        output order = concat(argsort(k, axis = 0), argsort(k, descending = true))
        best, which = topk(x, 2, axis = 1)
        output best = best
        output which
    """,
    "shapes": """
        input x: [3, 4, 5]
        input k: int[3, 4]
        param W: [3, 4, 5] = normal(0, 1)
        param v: [5] = normal(0, 1)
        output apart = reshape(x, [5, -1])
        output turned = transpose(x, [2, 0, 1])
        output wide = broadcast_to(x[0, 0], [2, 3, 5]) + zeros([2, 3, 5])
        output part = concat(x[:, 1:3, ::2], W[:, 2:, 1:4], axis = 1)
        output back = concat(x[1:, -1, ::2], reverse(x, 1)[:, 0, :3])
        output joined = concat(W, x, axis = 2)
        output beside = stack(W, x, axis = 1)
        output pair = stack(v, x[0, 0])
        output around = pad(k, [1, 0], [0, 2], value = 7)
        output mirrored = pad(x, [0, 2, 3], [0, 3, 1], mode = "reflect")
        output repeated = pad(x, [0, 2, 3], [0, 3, 1], mode = "edge")
        output wrapped = pad(x, [4, 0, 0], [2, 1, 0], mode = "wrap")
        output product = concat(x @ transpose(x), W @ transpose(x), x @ transpose(W))
        output one = x[0, 0] @ reshape(W[0, 0], [5, 1])
        output four = v @ transpose(x[0]) + W[0, 0] @ transpose(x[0])
        output applied = x[0] @ x[0, 0]
        output number = x[0, 0] @ W[0, 0]
        output ints = k @ transpose(k) + einsum(k, k, equation = "ij,kj->ik")
        output stacks = x[0] @ transpose(W) + W @ reshape(x[0, 0], [5, 1])
        output named = einsum(x, W, equation = "abc,dbc->ad") + einsum(x, equation = "...c->...")[:, :3]
    """,
    "look-up": """
        input x: [5, 4]
        input c: class(5)[3]
        input k: int[3]
        param W: [5, 2] = normal(0, 1)
        places = k - 1
        output rows = concat(one_hot(c), one_hot(k, classes = 5), take(x, class(places - 1, 5))[:, :1] * ones([5]))
        output known = concat(take(x, c), take(x, places))
        output columns = concat(take(transpose(x), c, axis = 1), take(transpose(x), places, axis = 1), axis = 1)
        output shared = concat(take(W, c), take(W, places), axis = 1)
        output across = concat(take(transpose(W), c, axis = 1), take(transpose(W), places, axis = 1))
        output fixed = take(x, tensor([4, 0])) + take(x, tensor([1, -1]))
        output picked = concat(pick(x[:, :3], c, axis = 0), pick(x[:, :3], places, axis = 0), pick(W, argmax(W)))
        output ranks = concat(rank_of(x[:, :3], c, axis = 0), rank_of(x[:, :3], places, axis = 0))
        output found = gather(x, broadcast_to(reshape(places, [3, 1]), [3, 4]), axis = 0)
        index = broadcast_to(reshape(places, [3, 1]), [3, 4])
        output written = concat(scatter(x, index, x[:3]), scatter(x, index, x[:3], reduce = "add"))
        output bounded = scatter(x, index, x[:3], reduce = "maximum") + scatter(x, index, x[:3], reduce = "minimum")
        output multiplied = scatter(int(3 * x), index, int(x[:3] * 4), reduce = "multiply")
    """,
    "convolutions": """
        input x: [4, 9, 8]
        input line: [2, 11]
        input block: [2, 4, 5, 6]
        output plain = x -> conv(6, 3, stride = [2, 1], pad = [[1, 0], [2, 1]], groups = 2)
        output wide = x -> conv(4, 3, pad = "same", dilation = 2, groups = 4, bias = false)
        output longer = x -> conv_transpose(6, 3, stride = 2, pad = 1, output_pad = 1, groups = 2)
        output other = line -> conv1d(3, 4, stride = 2) -> conv_transpose1d(2, 3, stride = 3, bias = false)
        output cube = block -> conv3d(3, 2, pad = 1)
        output fixed = convolve(ones([2, 5, 5]), ones([1, 2, 3, 3]), pad = 1)
    """,
    "windows": """
        input x: [3, 9, 8]
        input k: int[2, 7]
        output most = x -> maxpool(3, stride = 2, pad = 1, ceil = true)
        output dilated = concat(x -> maxpool(2, stride = 1, dilation = 3, pad = [[1, 2], [2, 1]]), axis = 0)
        output mean = x -> avgpool(3, stride = 2, pad = 1)
        output inside = x -> avgpool([3, 2], stride = 3, pad = [1, 0], count_pad = false, ceil = true)
        output beyond = x -> avgpool(2, stride = 3, pad = 1, ceil = true)
        output total = sum_window(x, [2, 3], stride = 2)
        output whole = max_window(k, 3, stride = 2, ceil = true)
        output tally = sum_window(k, 3, stride = 2, pad = 1)
        output larger = resize_nearest(x, [2, 3])
        output sized = concat(resize(x, [5, 16]), resize(x, scale = [0.5, 2.0], coordinates = "half_pixel"), axis = 1)
        output lines = resize(x, [13, 6], mode = "linear")
        output cubic = resize(x, [13, 11], mode = "cubic", coordinates = "align_corners")
    """,
    "sequences": """
        input x: [6, 5]
        input n: class(6)
        output lengths = (x, zeros([2, 3]), zeros([2, 3]), n + 1) -> lstm(3, layers = 2, direction = "backward")
        output attended = x -> sinusoidal_positions -> linear(4) -> multihead_attention(2, causal = true)
        output rectified = x -> rnn(4, relu)
    """,
    "layers": """
        input x: [4, 6, 5]
        input g: [3, 2]
        output normal = concat(x -> groupnorm(2), x -> instancenorm(affine = true), x -> rmsnorm, x -> lrn(4))
        output shuffled = x -> channel_shuffle(2) -> pixel_shuffle(2)
        output fitted = concat(x -> adaptive_avgpool([4, 2]), x -> adaptive_maxpool([4, 2]))
        output powers = x -> lppool(2)
        output curves = mish(x) + silu(x) + hard_sigmoid(x) + soft_shrink(x) + celu(x) + gelu(x, form = "tanh")
        output sampled = (x, g) -> grid_sample(mode = "cubic", padding = "border")
    """,
    "losses": """
        input x: [6, 5]
        input t: class(5)[6]
        input l: class(4)[2]
        output smoothed = cross_entropy(x, t, smoothing = 0.1)
        output paths = ctc(x, 1 + l)
        output others = multi_margin(x, t) + huber(x, 2 * x) + kl_divergence(log_softmax(x), softmax(2 * x))
        output right = accuracy(x, t)
    """,
    "chance": """
        input x: [50, 40]
        output even = uniform_like(x)
        output normal = normal_like(x)
        output coins = bernoulli(x * 0 + 0.3)
    """,
    "scan": """
        input x: [5, 3]
        param W: [3, 3] = normal(0, 1)
        param first: [3] = normal(0, 1)
        sums, all = scan t in x, s = zeros([3]) {
            s = tanh(s @ W + t)
            emit s
        }
        fixed, last, _ = scan w in W, p = first, seen = 0 * x[0] {
            p = 0.5 * p + w
            seen = seen + x[1] * p
            emit w
        }
        inner, _ = scan t in x, s = x[0] {
            steps, end = scan u in W, r = s {
                r = r * 0.5 + u * t
                emit r
            }
            s = end
            emit sum(steps)
        }
        output sums
        output all
        output fixed
        output last
        output inner
    """,
}  # fmt: skip
"""The bodies of nets which together have every primitive."""


def net(name: str) -> graphdl.Model:
    return graphdl.loads(f"net example() {{{EXAMPLES[name]}}}")


def operators(nodes: list[Node]) -> set[str]:
    found = {node.operator for node in nodes}
    for node in nodes:
        body = node.attributes.get("body")
        found |= operators(body.nodes) if isinstance(body, ScanBody) else set()
    return found


OF_TRAINING = {"training_epoch", "training_step"}
"""Primitives that no net for inference has."""


def test_every_primitive_has_a_translation_and_an_example() -> None:
    assert set(TRANSLATIONS) == set(PRIMITIVES) - OF_TRAINING
    shown = set().union(*(operators(net(name).module_graph.nodes) for name in EXAMPLES))
    assert set(PRIMITIVES) - shown == OF_TRAINING


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - {"chance"}))
def test_examples_agree(name: str) -> None:
    agree(net(name), tolerance=1e-5)


def test_random_draws_are_those_of_the_runtime(tmp_path: Path) -> None:
    given = np.zeros((3, 50, 40), np.float32)
    even, normal, coins = session(net("chance")).run(None, {"x": given})
    back, _ = there_and_back(net("chance"), tmp_path)
    check_draws(even, normal, coins)
    check_draws(*back.values())


def check_draws(even: np.ndarray, normal: np.ndarray, coins: np.ndarray) -> None:
    for draws, mean, deviation in ((even, 0.5, 12**-0.5), (normal, 0, 1), (coins, 0.3, 0.21**0.5)):
        assert draws.shape == (3, 50, 40)
        assert abs(draws.mean() - mean) < 0.05
        assert abs(draws.std() - deviation) < 0.05
        assert (draws[0] != draws[1]).any()  # drawn for each example
    assert set(np.unique(coins)) == {0, 1}


FORMS = {
    "softmax": "output y = concat(softmax(x), softmax(x, axis = 0))",
    "log_softmax": "output y = log_softmax(x, axis = 0)",
    "batchnorm": "output y = x -> batchnorm(epsilon = 1e-3)",
    "layernorm": """
        output y = (x -> layernorm) + (x -> layernorm(axis = 1, epsilon = 1e-3)) + (x -> layernorm(affine = false))
    """,
    "groupnorm": "output y = x[:2] -> groupnorm(1) -> groupnorm(2)",
    "lrn": "output y = x -> lrn(3, alpha = 0.1)",
    "activations": """
        output y = concat(relu(x), relu6(8 * x), leaky_relu(x), x -> prelu(3), elu(x, alpha = 0.7), selu(x), gelu(x),
                          hard_tanh(x))
    """,
    "recurrent": """
        y, h, _ = x[0] -> lstm(2)
        z, _ = (x[1], x[0, 0, :3]) -> gru(3, direction = "backward")
        output y
        output z
        output h
        _, last = x[2] -> rnn(2)
        output last
    """,
    "linear": "output y = x -> flatten -> linear(7) -> linear(2, bias = false)",
}
OPERATORS = {
    "softmax": {"Softmax": 2, "Concat": 1},
    "log_softmax": {"LogSoftmax": 1},
    "batchnorm": {"BatchNormalization": 1},
    "layernorm": {"LayerNormalization": 3, "Reshape": 2, "Add": 2},
    "groupnorm": {"Slice": 1, "GroupNormalization": 1, "InstanceNormalization": 1},
    "lrn": {"LRN": 1},
    "activations": {
        "Relu": 1, "Mul": 1, "LeakyRelu": 1, "PRelu": 1, "Reshape": 1, "Elu": 1, "Selu": 1, "Gelu": 1, "Clip": 2,
        "Concat": 1,
    },
    "recurrent": {
        "LSTM": 1, "GRU": 1, "RNN": 1, "Slice": 6, "Squeeze": 8, "Gather": 9, "Transpose": 11, "Concat": 3,
        "Unsqueeze": 1,
    },
    "linear": {"Reshape": 1, "Gemm": 1, "MatMul": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_forms_are_one_operator(name: str) -> None:
    model = graphdl.loads(f"net form() {{ input x: [3, 4, 5]\n {FORMS[name]} }}")
    assert nodes_of(model) == OPERATORS[name]
    agree(model, tolerance=1e-5)


def test_what_only_looks_like_a_form_is_written_as_it_is() -> None:
    """Numbers along another dimension than the channels, other bounds, another origin."""
    model = graphdl.loads("""
        net like() {
            input x: [4, 4]
            param w: [4] = normal(0, 1)
            param b: [4] = normal(0, 1)
            output normal = (x - w) * (b / sqrt(abs(w) + 0.1)) + b
            output biased = convolve(reshape(x, [1, 4, 4]), ones([4, 1, 1, 1])) + reshape(b, [1, 1, 4])
            output leaky = where(x > 0.5, x, 0.1 * x)
            output soft = exp(x - max(x, axis = 0, keep = true)) / sum(exp(x), axis = 1, keep = true)
            d = x - stop_gradient(x * x)
            c = d - mean(d, axis = -1, keep = true)
            output other = c / sqrt(mean(c * c, axis = -1, keep = true) + 0.1)
        }
    """)
    forms = {"BatchNormalization", "LeakyRelu", "Softmax", "LayerNormalization"}
    assert forms.isdisjoint(nodes_of(model))
    agree(model, tolerance=1e-5)


SMALL = """
block residual(channels): x: [c, h, w] -> y: [channels, h, w] {
    y = relu((x -> conv(channels, 3, pad = 1) as first -> batchnorm -> relu -> conv(channels, 3, pad = 1)) + x)
}

## A small net.
net small(classes = 5) {
    input image: [3, 8, 8]
    input label: class(classes)
    features = image -> conv(4, 3, pad = 1) as stem -> residual(4) as stage -> maxpool(2)
    logits = features -> flatten -> dropout(0.5) -> linear(classes) as head
    output probability = softmax(logits)
    output features
    loss cross_entropy(logits, label)
}
"""


def test_names_and_metadata(tmp_path: Path) -> None:
    model = graphdl.loads(SMALL)
    count = model.export_onnx(tmp_path / "small.onnx")
    proto = onnx.load(tmp_path / "small.onnx")
    graph = proto.graph
    assert (proto.producer_name, graph.name, graph.doc_string) == ("graphdl", "small", "A small net.")
    assert [port.name for port in graph.input] == ["image"]  # the label is for the loss
    assert [port.name for port in graph.output] == ["probability", "features"]
    assert {each.name for each in graph.initializer} >= {*model.parameters, *model.states}
    (batch, *shape) = graph.input[0].type.tensor_type.shape.dim
    assert (batch.dim_param, [n.dim_value for n in shape]) == ("batch", [3, 8, 8])
    assert len(graph.node) == count
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    node = next(node for node in graph.node if node.name == "/stage/first/Conv")
    metadata = {each.key: each.value for each in node.metadata_props}
    assert ast.literal_eval(metadata["pkg.torch.onnx.name_scopes"]) == ["", "stage", "stage.first", "Conv"]
    assert ast.literal_eval(metadata["pkg.torch.onnx.class_hierarchy"]) == ["small", "residual", "conv", "Conv"]
    assert metadata["namespace"] == ": small/stage: residual/stage.first: conv/Conv: Conv"
    assert node.input[1:] == ["stage.first.W", "stage.first.b"]


SEQUENCES = """
net sequences() {
    input text: class(7)[6]
    h = text -> embedding(4) -> lstm(5) as memory -> layernorm -> gelu
    weights = softmax(h @ transpose(h) / 2)
    output probability = softmax(weights @ h -> linear(7))
    back, _ = h -> gru(3, direction = "backward")
    output back
}
"""


SCANS = f"net scans() {{{EXAMPLES['scan'].replace(' all', ' sum_of_all')}}}"


@pytest.mark.parametrize("text", [SMALL, SEQUENCES, SCANS], ids=["images", "sequences", "scans"])
def test_the_way_back(text: str, tmp_path: Path) -> None:
    model = graphdl.loads(text)
    for path, state in model.states.items():
        model.states[path] = np.random.default_rng(3).uniform(0.5, 1.5, state.shape)
    found, want = there_and_back(model, tmp_path)
    assert list(found) == list(want)
    for name, values in want.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5)


def there_and_back(model: graphdl.Model, folder: Path) -> list[dict[str, np.ndarray]]:
    """The outputs of a net that was exported and imported, and those of the net itself."""
    model.export_onnx(folder / "there.onnx")
    back = graphdl.import_onnx(folder / "there.onnx")
    given = feeds(model, list(back.module_graph.inputs), 3)
    return [back.run(given), model.run(given)]


COMBINING = {"reductions", "shapes"}
"""Examples that combine the examples of a batch, or move them."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - {"chance"} - COMBINING))
def test_examples_come_back(name: str, tmp_path: Path) -> None:
    found, want = there_and_back(net(name), tmp_path)
    for mine, theirs in zip(found.values(), want.values(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_outputs_that_no_node_computes() -> None:
    model = graphdl.loads(
        "net n() { input x: [2]; param W: [3] = normal(0, 1); output x; output W; output twice = x; output one = 1.0 }"
    )
    agree(model, tolerance=0)


def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "small.net"
    path.write_text(SMALL, encoding="utf-8")
    model = graphdl.load(path)
    model.parameters["head.b"] = np.arange(5)
    model.save(tmp_path / "w.safetensors")
    command = ["export", str(path), "--weights", str(tmp_path / "w.safetensors"), "-o", str(tmp_path / "m.onnx")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert result.output.endswith("m.onnx: 11 nodes; 749 numbers\n")
    written = {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(tmp_path / "m.onnx").graph.initializer}
    np.testing.assert_array_equal(written["head.b"], np.arange(5))


def test_a_net_without_outputs_and_one_that_is_too_large(tmp_path: Path) -> None:
    def refused(text: str) -> str:
        with pytest.raises(ModelError) as caught:
            graphdl.loads(text).export_onnx(tmp_path / "no.onnx")
        return str(caught.value)

    assert "E0621" in refused("net n() { input x: [2]; param W: [2] = zeros(); loss sum(x * W) }")
    found = refused("net n() { input x: []; param W: [600, 1000, 1000] = zeros(); output y = x * W[0, 0, 0] }")
    assert "E0906" in found
    assert "2,400,000,000 bytes" in found
    assert not (tmp_path / "no.onnx").exists()


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == "onnx"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModelError, match="E0901"):
        graphdl.loads(SMALL).export_onnx(tmp_path / "no.onnx")
