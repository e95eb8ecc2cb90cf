"""Times, schedule and memory of a step, and the pictures of what a net has learnt."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import graphdl
from graphdl.compiler.program import Launch, Share
from graphdl.diagnostics import ModelError
from graphdl.training.samples import made_up, sample
from graphdl.training.stages import Overrides
from graphdl.view.measurements import by_module, measurements
from graphdl.view.pictures import feature_maps, filters, picture, units

NET = """
net seeing(classes = 3) {
    input image: [1, 12, 12]
    input label: class(classes)
    features = image -> conv(4, 3) as c1 -> relu -> maxpool(2)
    logits = features -> flatten -> linear(classes)
    output probability = softmax(logits)
    loss cross_entropy(logits, label)
}
"""


@pytest.fixture(scope="module")
def model():
    return graphdl.loads(NET)


def pixels(image: dict[str, object]) -> np.ndarray:
    data = str(image["data"]).removeprefix("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(data))) as opened:
        return np.asarray(opened)


def test_a_kernels_time_is_divided_among_its_modules():
    launches = [
        (Launch("k", (), (1,), (1,), shares=(Share("a", None, 0.5), Share("b", None, 0.5))), 2.0),
        (Launch("k", (), (1,), (1,), shares=(Share("a", None, 1.0),)), 1.0),
        (Launch("k", (), (1,), (1,)), 0.5),
    ]
    assert by_module(launches) == {"a": 2.0, "b": 1.0, "": 0.5}


def test_a_step_is_measured_without_changing_the_weights(model):
    before = {path: model.parameters[path] for path in model.parameters}
    found = measurements(model, 4, Overrides())
    for path, value in before.items():
        np.testing.assert_array_equal(model.parameters[path], value)
    arrays = made_up({name: v.type for name, v in model.network.training.inputs.items()}, 4)
    gradients = model.gradients(**arrays)[1]
    measured = found["measured"]["gradients"]
    assert measured == {path: pytest.approx(np.linalg.norm(g), rel=1e-5) for path, g in gradients.items()}
    schedule = found["schedule"]
    assert sum(found["measured"]["time"].values()) == pytest.approx(sum(k["seconds"] for k in schedule["launches"]))
    assert all(each["seconds"] > 0 for each in schedule["launches"])
    assert "c1" in found["measured"]["time"]
    assert found["measured"]["flops"].keys() == found["measured"]["moved"].keys() == found["measured"]["time"].keys()
    assert found["measured"]["step"] >= sum(k["seconds"] for k in schedule["launches"])
    assert found["measured"]["lines"]["<string>:5"] > 0
    for block in schedule["blocks"]:
        assert 0 <= block["first"] <= block["last"] < len(schedule["launches"])
        assert block["offset"] + block["bytes"] <= schedule["arena"]


def test_the_filters_are_pictures_of_the_weights(model):
    (group,) = filters(model)
    assert group["title"] == "Filters of c1.W"
    weights = model.parameters["c1.W"]
    for image, weight in zip(group["images"], weights[:, 0], strict=True):
        shown = pixels(image)
        assert np.unravel_index(shown.argmax(), shown.shape) == np.unravel_index(weight.argmax(), weight.shape)
        assert (shown.min(), shown.max()) == (0, 255)


def test_feature_maps_are_those_of_the_input(model):
    image = np.random.default_rng(0).random((1, 1, 12, 12), np.float32)
    groups = feature_maps(model, {"image": image}, "noise.png")
    assert [group["title"] for group in groups] == [
        "The input: noise.png", "conv c1", "relu features.relu", "maxpool features.maxpool"
    ]  # fmt: skip
    assert [pixels(group["images"][0]).shape for group in groups] == [(12, 12), (10, 10), (10, 10), (5, 5)]
    W, b = model.parameters["c1.W"], model.parameters["c1.b"]  # noqa: N806
    windows = np.lib.stride_tricks.sliding_window_view(image[0, 0], (3, 3))
    wanted = np.einsum("hwij,ij->hw", windows, W[0, 0]) + b[0]
    shown = pixels(groups[1]["images"][0]) / 255.0
    np.testing.assert_allclose(shown, (wanted - wanted.min()) / np.ptp(wanted), atol=0.01)


def test_a_units_patches_are_what_its_window_sees(model):
    groups = units(model, "c1", Overrides())
    assert [group["title"] for group in groups] == [f"c1, unit {k}" for k in range(4)]
    ideal, *patches = groups[0]["images"]
    assert pixels(ideal).shape == (12, 12)
    assert {pixels(patch).shape for patch in patches} == {(3, 3)}
    activations = [float(patch["label"]) for patch in patches]
    assert activations == sorted(activations, reverse=True)


def test_an_unknown_module_is_told_with_its_neighbour(model):
    with pytest.raises(ModelError) as caught:
        units(model, "c2", Overrides())
    assert (caught.value.diagnostics[0].code, caught.value.diagnostics[0].help) == ("E0623", "did you mean 'c1'?")


def test_a_net_without_pictures_has_no_units_to_see():
    with pytest.raises(ModelError, match="E0623"):
        units(graphdl.loads("net n { input x: [3]\n output y = x -> linear(2) as f\n }"), "f", Overrides())


def test_a_flat_picture_is_grey():
    assert pixels({"data": picture(np.ones((1, 2, 2)))}).tolist() == [[128, 128], [128, 128]]


def test_a_sample_is_of_the_files_data_where_that_is_at_hand():
    text = NET.replace("[1, 12, 12]", "[1, 8, 8]").replace("classes = 3", "classes = 10") + "train { data digits }"
    found = sample(graphdl.loads(text).network, 5)
    assert found.origin == "5 examples of digits"
    assert found.arrays["image"].shape == (5, 1, 8, 8)


def test_data_that_is_missing_is_made_up_unless_it_was_asked_for(tmp_path: Path):
    from graphdl.training.sources import setting_of

    text = NET + 'train { data folder("nowhere") }'
    network = graphdl.loads(text).network
    assert sample(network, 5, root=tmp_path).origin == "5 made-up examples"
    with pytest.raises(ModelError):
        sample(network, 5, Overrides(data=setting_of('folder("nowhere")')), root=tmp_path)
