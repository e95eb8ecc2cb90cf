"""Import of ONNX models: the batch, the names, the weights, and what is refused."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx.helper")  # not "onnx": this folder would be found
onnx = pytest.importorskip("onnx")

from click.testing import CliRunner  # noqa: E402
from graphs import expected, model, small_net  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

import graphdl  # noqa: E402
from graphdl.cli import main  # noqa: E402
from graphdl.diagnostics import ModelError  # noqa: E402
from graphdl.model import of_imported  # noqa: E402
from graphdl.onnx import UnsupportedError, read  # noqa: E402

node = helper.make_node


def ports(*names: str) -> dict[str, list[Any]]:
    return {name: ["batch", 4] for name in names}


@pytest.mark.parametrize("batch", ["batch", 2], ids=["open", "fixed"])
def test_a_net_agrees_with_the_reference_at_any_batch(batch: Any) -> None:
    imported = read(small_net(batch), name="small")
    assert imported.batched
    loaded = of_imported(imported)
    for count in (1, 5):
        x = np.random.default_rng(count).normal(size=(count, 3, 12, 12)).astype(np.float32)
        (want,) = expected(small_net("batch"), image=x)
        np.testing.assert_allclose(loaded.predict(image=x)["logits"], want, atol=1e-5)


def test_the_text_is_that_of_the_layers() -> None:
    imported = read(small_net("batch"), name="small")
    assert imported.text == (
        "net small() {\n"
        "    input image: [3, 12, 12]\n"
        "    logits = image -> conv(8, 3, stride = 2, pad = 1) as features_0 -> batchnorm as features_1 -> relu -> "
        "maxpool(3)\n"
        "                   -> flatten -> linear(5) as classifier\n"
        "    output logits\n"
        "}\n"
    )
    assert set(imported.weights) == {
        "features_0.W", "features_0.b", "features_1.gamma", "features_1.beta", "features_1.mean",
        "features_1.variance", "classifier.W", "classifier.b",
    }  # fmt: skip


def test_an_imported_net_trains() -> None:
    imported = read(small_net("batch"), name="small")
    lines = imported.text.removesuffix("}\n") + "input label: class(5)\nloss cross_entropy(logits, label)\n}\n"
    loaded = graphdl.loads(lines + "train {\noptimizer sgd(lr = 0.05)\n}\n")
    for path, array in imported.weights.items():
        (loaded.states if path in loaded.states else loaded.parameters)[path] = array
    g = np.random.default_rng(0)
    x, label = g.normal(size=(8, 3, 12, 12)).astype(np.float32), g.integers(0, 5, 8)
    trainer = loaded.trainer(batch=8)
    losses = [float(trainer.step(image=x, label=label)) for _ in range(8)]
    assert losses[-1] < 0.8 * losses[0]


def test_the_batch_is_followed_through_shapes_that_are_computed() -> None:
    """x.view(x.size(0), 2, -1).transpose(1, 2), as PyTorch's exporter writes it."""
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["count"]),
        node("Concat", ["count", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["matrix"]),
        node("Transpose", ["matrix"], ["y"], perm=[2, 0, 1]),
    ]
    weights = {"zero": np.array([0]), "rest": np.array([2, -1])}
    imported = read(model(nodes, ports("x"), {"y": [2, "batch", 2]}, weights))
    assert "y = transpose(matrix, [1, 0])" in imported.text
    assert (imported.outputs["y"].batch, imported.batched) == (1, True)


def looping(condition: str) -> Any:
    """``for i in 0..3: s = s + x[:, i]``, which emits -s. ``condition`` is the name of a bool of the body."""
    body = helper.make_graph(
        [
            node("Gather", ["x", "i"], ["column"], axis=1),
            node("Add", ["s", "column"], ["next"]),
            node("Neg", ["next"], ["less"]),
            node("ReduceSum", ["next"], ["whole"], keepdims=0),
            node("Less", ["whole", "most"], ["small"]),
            node("Identity", [condition], ["again"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("s", TensorProto.FLOAT, ["batch"]),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, ["batch"]),
            helper.make_tensor_value_info("less", TensorProto.FLOAT, ["batch"]),
        ],
    )
    nodes = [
        node("ReduceSum", ["x", "last"], ["start"], keepdims=0),
        node("Loop", ["three", "yes", "start"], ["end", "sums"], body=body),
    ]
    weights = {"last": np.array([1]), "three": np.array(3), "yes": np.array(True), "most": np.float32(9)}
    return model(nodes, ports("x"), {"end": ["batch"], "sums": [3, "batch"]}, weights)


def test_a_loop_of_a_known_number_of_steps_is_a_scan() -> None:
    imported = read(looping("on"))
    assert "sums, end = scan i in tensor(0..3), s = start {" in imported.text
    assert (imported.outputs["end"].batch, imported.outputs["sums"].batch) == (0, 1)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    found = of_imported(imported).predict(x=x)
    end, sums = expected(looping("on"), x=x)
    np.testing.assert_allclose(found["end"], end, atol=1e-6)
    np.testing.assert_allclose(found["sums"].T, sums, atol=1e-6)
    with pytest.raises(UnsupportedError, match="a loop whose number of steps is computed"):
        read(looping("small"), batched=False, sizes={"batch": 2})


def test_the_places_of_the_greatest_elements_count_through_all_images() -> None:
    pool = node("MaxPool", ["x"], ["y", "places"], kernel_shape=[3, 2], strides=[2, 1], pads=[1, 1, 1, 0])
    proto = model([pool], {"x": [2, 3, 7, 5]}, {"y": [2, 3, 4, 5], "places": [2, 3, 4, 5]}, ints=("places",))
    imported = read(proto)
    assert not imported.batched
    x = np.random.default_rng(0).normal(size=(2, 3, 7, 5)).astype(np.float32)
    found = of_imported(imported).predict(x=x[None])
    y, places = torch.nn.functional.max_pool2d(
        torch.nn.functional.pad(torch.tensor(x), (1, 0, 1, 1), value=-np.inf), (3, 2), (2, 1), return_indices=True
    )
    row, column = places.numpy() // 6 - 1, places.numpy() % 6 - 1
    image = np.arange(6).reshape(2, 3, 1, 1)
    np.testing.assert_array_equal(found[imported.outputs["y"].name][0], y.numpy())
    np.testing.assert_array_equal(found[imported.outputs["places"].name][0], 35 * image + 5 * row + column)


def test_heads_that_are_merged_with_the_batch() -> None:
    """[batch, 6, 4] as [batch * 2, 3, 4], a product for each of them, and back."""
    nodes = [
        node("Reshape", ["x", "heads"], ["h"]),
        node("Transpose", ["h"], ["t"], perm=[0, 2, 1]),
        node("MatMul", ["h", "t"], ["p"]),
        node("Reshape", ["p", "back"], ["y"]),
    ]
    weights = {"heads": np.array([-1, 3, 4]), "back": np.array([-1, 2, 9])}
    proto = model(nodes, {"x": ["batch", 6, 4]}, {"y": ["batch", 2, 9]}, weights)
    imported = read(proto)
    assert imported.batched
    x = np.random.default_rng(0).normal(size=(5, 6, 4)).astype(np.float32)
    np.testing.assert_allclose(of_imported(imported).predict(x=x)["y"], expected(proto, x=x)[0], atol=1e-5)


@pytest.mark.parametrize(
    "nodes",
    [
        [node("ReduceSum", ["x", "first"], ["y"], keepdims=1)],
        [node("Transpose", ["x"], ["t"]), node("MatMul", ["x", "t"], ["y"])],
        [node("Concat", ["x", "x"], ["y"], axis=0)],
        [node("Softmax", ["x"], ["y"], axis=0)],
        [node("Add", ["x", "column"], ["y"])],
    ],
    ids=["sum", "product of the examples", "more examples", "softmax", "a number for each example"],
)
def test_what_combines_the_examples_is_imported_without_a_batch(nodes: list[Any]) -> None:
    weights = {"first": np.array([0]), "column": np.array([[1], [2], [3]], np.float32)}
    proto = model(nodes, {"x": [3, 4]}, {"y": [3, 4]}, weights)
    imported = read(proto)
    assert not imported.batched
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(of_imported(imported).predict(x=x[None])["y"][0], expected(proto, x=x)[0], atol=1e-5)


def test_a_constant_without_a_batch_stands_beside_examples() -> None:
    nodes = [node("Add", ["x", "row"], ["a"]), node("Mul", ["a", "one"], ["y"])]
    weights = {"row": np.arange(4, dtype=np.float32)[None], "one": np.float32([[2.0]])}
    imported = read(model(nodes, ports("x"), ports("y"), weights))
    assert "param row: [4]" in imported.text
    assert "y = a * 2.0" in imported.text


def test_numbers_that_are_none_are_written_by_name() -> None:
    nodes = [
        node("Constant", [], ["none"], value_floats=[np.nan, -np.inf, 1, 2]),
        node("Less", ["x", "zero"], ["low"]),
        node("Where", ["low", "none", "x"], ["y"]),
    ]
    imported = read(model(nodes, ports("x"), ports("y"), {"zero": np.float32(0)}))
    x = np.float32([[-1, -1, -1, 3]])
    assert "tensor([nan, -inf, 1.0, 2.0])" in imported.text
    np.testing.assert_array_equal(of_imported(imported).predict(x=x)["y"], [[np.nan, -np.inf, 1, 3]])


def test_an_output_that_is_known_stands_beside_others() -> None:
    nodes = [
        node("Constant", [], ["anchors"], value_floats=[1.0, 2.0]),
        node("Constant", [], ["count"], value_int=7),
        node("Cast", ["x"], ["whole"], to=TensorProto.INT64),
        node("Flatten", ["whole"], ["y"]),
    ]
    proto = model(nodes, {"x": ["batch", 2, 2]}, {"y": ["batch", 4], "anchors": [2], "count": []}, ints=("y", "count"))
    found = of_imported(read(proto)).predict(x=np.float32([[[1.5, 2], [3, -4]]]))
    np.testing.assert_array_equal(found["anchors"], [[1, 2]])
    np.testing.assert_array_equal(found["y"], [[1, 2, 3, -4]])
    assert found["y"].dtype == found["count"].dtype == np.int32


def test_everything_that_is_not_supported_is_named_at_once() -> None:
    nodes = [
        node("NonZero", ["x"], ["places"], name="where_it_is"),
        node("Celu", ["x"], ["a"]),
        node("Det", ["a"], ["b"], name="undo"),
        node("Relu", ["b"], ["c"]),
    ]
    proto = model(nodes, ports("x"), {"places": [2, "n"], "c": ["batch", 4]}, ints=("places",))
    with pytest.raises(UnsupportedError) as caught:
        read(proto)
    assert [d.code for d in caught.value.diagnostics] == ["E0903"] * 2
    assert [d.message.partition(":")[0] for d in caught.value.diagnostics] == [
        "the node 'where_it_is' (NonZero)",
        "the node 'undo' (Det)",
    ]


def test_a_value_that_decides_the_form_must_be_given() -> None:
    proto = model(
        [node("Reshape", ["x", "shape"], ["y"])], {"x": [2, 6], "shape": [3]}, {"y": [2, 2, 3]}, ints=("shape",)
    )
    with pytest.raises(UnsupportedError) as caught:
        read(proto)
    assert caught.value.unknown == ("shape",)
    imported = read(proto, constants={"shape": np.array([2, 2, 3])})
    assert list(imported.inputs) == ["x"]


def test_an_open_length_must_be_given() -> None:
    proto = model([node("Relu", ["x"], ["y"])], {"x": ["batch", "length"]}, {"y": ["batch", "length"]})
    with pytest.raises(ModelError, match="the length of dimension 0 is open"):
        read(proto)
    assert "input x: [7]" in read(proto, sizes={"length": 7}).text


def test_names_of_the_language_are_not_used_for_tensors() -> None:
    nodes = [node("Relu", ["x"], ["relu"]), node("Exp", ["relu"], ["if"]), node("Neg", ["if"], ["2.out"])]
    imported = read(model(nodes, ports("x"), ports("2.out")))
    assert "relu_2 = x -> relu" in imported.text
    assert "if_2 = exp(relu_2)" in imported.text
    assert imported.outputs["2.out"].name == "t2_out"


def test_a_file_is_imported_and_predicts(tmp_path: Any) -> None:
    path = tmp_path / "small.onnx"
    onnx.save(small_net("batch"), path)
    result = CliRunner().invoke(main, ["import", str(path)])
    assert result.exit_code == 0, result.output
    loaded = graphdl.load(tmp_path / "small.net")
    loaded.load_weights(tmp_path / "small.safetensors")
    x = np.random.default_rng(0).normal(size=(3, 3, 12, 12)).astype(np.float32)
    direct = graphdl.import_onnx(path).predict(image=x)["logits"]
    np.testing.assert_array_equal(loaded.predict(image=x)["logits"], direct)


def test_a_file_that_is_none_is_refused(tmp_path: Any) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"not a model")
    result = CliRunner().invoke(main, ["import", str(path)])
    assert result.exit_code == 1
    assert "E0902" in result.stderr
    with pytest.raises(ModelError, match="E0902"):
        graphdl.import_onnx(tmp_path / "missing.onnx")


def test_without_the_package_the_extra_is_named(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelError) as caught:
        graphdl.import_onnx(tmp_path / "a.onnx")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0901"
    assert "graphdl[onnx]" in str(diagnostic.help)
