"""Every model of models/: it checks without a word, has its published size, and takes a step of training."""

from __future__ import annotations

from math import isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphdl
from graphdl.data.augmentations import AUGMENTATIONS
from graphdl.data.declared import DATA_SETS
from graphdl.graph.model import ModuleGraph
from graphdl.language import check, expand, load_source
from graphdl.model import Model

ROOT = Path(__file__).parents[2] / "models"
FILES = sorted(str(path.relative_to(ROOT).with_suffix("")) for path in ROOT.rglob("*.net"))
LIBRARIES = {"vision/resnet"}
"""Files of blocks that others import."""
NETS = [name for name in FILES if name not in LIBRARIES]

PUBLISHED = {
    "vision/alexnet": 60_965_224,
    "vision/vgg16": 138_357_544,
    "vision/resnet18": 11_689_512,
    "vision/resnet34": 21_797_672,
    "vision/resnet50": 25_557_032,
    "vision/resnet101": 44_549_160,
    "vision/resnet152": 60_192_808,
    "vision/densenet": 7_978_856,
    "vision/mobilenet_v2": 3_504_872,
    "vision/unet": 31_030_658,
    "vision/lenet": 431_080,
    "vision/resnet20": 272_474,
}
"""Parameters, by the papers or their reference implementations (LeNet's and AlexNet's are Caffe's)."""

SMALL: dict[str, dict[str, Any]] = {
    "vision/alexnet": {"size": 67, "classes": 5, "units": 32},
    "vision/vgg16": {"size": 32, "classes": 5, "width": 4, "units": 16},
    "vision/resnet18": {"size": 64, "classes": 5, "width": 4},
    "vision/resnet34": {"size": 64, "classes": 5, "width": 4},
    "vision/resnet50": {"size": 64, "classes": 5, "width": 4, "depths": [1, 1, 1, 1]},
    "vision/resnet101": {"size": 64, "classes": 5, "width": 4},
    "vision/resnet152": {"size": 64, "classes": 5, "width": 4},
    "vision/resnet20": {"depth": 1, "width": 4},
    "vision/googlenet": {"size": 96, "classes": 5},
    "vision/densenet": {"size": 32, "classes": 5, "growth": 4, "depths": [2, 2]},
    "vision/mobilenet_v2": {
        "size": 32, "classes": 5, "first": 4, "last": 8, "stages": [[1, 4, 1, 1], [2, 6, 2, 2]]
    },
    "vision/unet": {"size": 44, "width": 3, "depth": 2},
    "vision/mlp_dropout": {"size": 8, "widths": [32, 16]},
    "vision/siamese": {"size": 8},
    "sequence/elman": {"length": 5, "units": 8},
    "sequence/lstm": {"length": 5, "units": 8},
    "sequence/char_lstm": {"length": 4, "units": 8, "vocabulary": 9},
    "sequence/phonemes": {"length": 5, "features": 3, "units": 6, "depth": 2, "classes": 4},
    "sequence/transformer_lm": {"vocabulary": 9, "length": 5, "units": 8, "heads": 2, "depth": 1},
    "sequence/attention_nmt": {
        "source_words": 11, "target_words": 13, "source_length": 4, "target_length": 3, "units": 8
    },
    "generative/rbm": {"size": 6, "hidden": 10},
    "generative/vae": {"size": 6, "units": 12, "code": 3},
    "generative/gan": {"noise": 4, "width": 3},
    "generative/deep_autoencoder": {"size": 6, "widths": [8, 6, 5, 3]},
    "generative/sparse_dbn": {"size": 6, "units": [8, 5]},
    "generative/sparse_edges": {"window": 10, "units": 7},
    "vision/grasp": {"size": 12, "angles": 4, "opening": 10, "noise": 0.0},
    "vision/unet_digits": {"size": 8, "width": 2, "clutter": 0.0},
    "science/splicing": {"length": 12, "width": 4},
    "sequence/deepspeech2": {"samples": 1600, "units": 4, "layers": 1, "width": 2},
    "decision/dqn": {"units": 8},
    "decision/policy_value": {"size": 4, "width": 4, "depth": 1},
    "history/experts": {"size": 5, "classes": 4, "experts": 3},
    "vision/mlp_bn": {"size": 6, "widths": [12, 12]},
    "vision/scattering": {"size": 12, "classes": 4, "turns": 2},
    "vision/filters": {"height": 13, "width": 21, "reach": 3},
}  # fmt: skip
"""Settings that leave of each net what its structure needs."""

SLOW = {
    "vision/vgg16", "vision/googlenet", "vision/resnet18", "vision/resnet34", "vision/resnet50", "vision/resnet101",
    "vision/resnet152", "vision/densenet", "vision/inception_small", "vision/unet", "vision/resnet20",
    "vision/alexnet", "vision/mobilenet_v2", "vision/scattering", "vision/pilotnet", "vision/unet_digits",
    "decision/dqn_atari", "decision/policy_value",
}  # fmt: skip
"""Many convolutions of different shapes: building their programs takes the time. resnet20 trains beside
PyTorch, and what is alexnet's alone is tested with the layers and the operators."""
BATCH = 4


def load(name: str, **settings: Any) -> Model:
    return graphdl.load(ROOT / f"{name}.net", **{**SMALL.get(name, {}), **settings})


def graph(name: str, *, training: bool) -> ModuleGraph:
    return expand(load_source(ROOT / f"{name}.net"), training=training)


def examples(model: Model, count: int = BATCH) -> dict[str, np.ndarray]:
    """Random inputs of the right types."""
    random = np.random.default_rng(7)
    made: dict[str, np.ndarray] = {}
    for name, value in model.network.training.inputs.items():
        shape = (count, *value.type.shape)
        if value.type.classes is not None:
            made[name] = random.integers(0, value.type.classes, shape).astype(np.int32)
        elif value.type.element == "int":
            made[name] = random.integers(1, 4, shape).astype(np.int32)
        else:
            made[name] = random.normal(size=shape).astype(np.float32)
    if model.name == "scattering":
        made["image"] = np.abs(made["image"])  # of which it takes the logarithm
    if model.name == "deepspeech2":
        made["wave_length"][:] = 1600  # too few frames for the letters would have an infinite loss
    return made


def size(module_graph: ModuleGraph) -> int:
    return sum(prod(variable.type.shape) for variable in module_graph.parameters.values())


def code_lines(*names: str) -> int:
    """Lines that are neither empty nor comments."""
    lines = [line.strip() for name in names for line in (ROOT / f"{name}.net").read_text("utf-8").splitlines()]
    return sum(bool(line) and not line.startswith("#") for line in lines)


@pytest.mark.parametrize("name", FILES)
def test_checks_without_a_word(name: str) -> None:
    assert check(load_source(ROOT / f"{name}.net")) == []


@pytest.mark.parametrize("name", NETS)
def test_expands_for_training_and_for_inference(name: str) -> None:
    training, inference = graph(name, training=True), graph(name, training=False)
    assert training.documentation
    assert set(inference.parameters) <= set(training.parameters)
    assert list(inference.outputs) == list(training.outputs) != []
    assert {k: v.type for k, v in inference.outputs.items()} == {k: v.type for k, v in training.outputs.items()}
    assert not inference.updates
    assert set(training.updates) == set(training.states)


@pytest.mark.parametrize("name", NETS)
def test_train_sections_name_what_there_is(name: str) -> None:
    for section in load(name).stages():
        if section.data is not None:
            assert section.data.name in DATA_SETS
        assert {setting.name for setting in section.augment} <= set(AUGMENTATIONS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_has_the_published_number_of_parameters(name: str) -> None:
    assert size(graph(name, training=False)) == PUBLISHED[name]


def test_googlenet_has_its_auxiliary_classifiers_in_training_alone() -> None:
    training, inference = graph("vision/googlenet", training=True), graph("vision/googlenet", training=False)
    assert size(inference) == 6_998_552
    assert size(training) == 6_998_552 + 3_188_840 + 3_190_888
    assert list(training.losses) == ["cross_entropy", "auxiliary_low", "auxiliary_middle"]
    assert list(inference.losses) == ["cross_entropy"]


def test_the_language_is_short() -> None:
    assert code_lines("vision/resnet", "vision/resnet50") <= 40
    assert code_lines("vision/googlenet") <= 60


def test_unet_loses_its_borders() -> None:
    inference = graph("vision/unet", training=False)
    assert inference.outputs["probability"].type.shape == (2, 388, 388)
    assert inference.inputs["label"].type.shape == (388, 388)


IN_PARTS = {"generative/deep_autoencoder", "generative/gan", "generative/sparse_dbn"}
"""Each stage or turn trains some of the parameters."""
TRAINED = [name for name in NETS if name not in IN_PARTS and "\n    loss " in (ROOT / f"{name}.net").read_text("utf-8")]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in TRAINED]
)
def test_takes_a_training_step(name: str) -> None:
    model = load(name, seed=1)
    inputs = examples(model)
    before = {path: model.parameters[path] for path in model.parameters}
    loss, gradients = model.gradients(**inputs)
    assert isfinite(loss)
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())
    assert isfinite(model.trainer(batch=BATCH).step(**inputs))
    after = {path: model.parameters[path] for path in model.parameters}
    assert all(np.isfinite(value).all() for value in after.values())
    still = [path for path in after if gradients[path].any() and np.array_equal(before[path], after[path])]
    assert still == []


@pytest.mark.parametrize("name", sorted(IN_PARTS))
def test_each_part_trains_its_parameters(name: str) -> None:
    model = load(name, seed=1)
    inputs = examples(model)
    left = set(model.parameters)
    for stage in (part for each in model.stages() for part in (each.turns or [each])):
        trainer = model.trainer(stage=stage.name, batch=BATCH, steps_per_epoch=1)
        before = {path: model.parameters[path] for path in model.parameters}
        assert isfinite(trainer.step(**inputs))
        changed = {path for path in before if not np.array_equal(before[path], model.parameters[path])}
        assert changed
        assert changed <= set(stage.parameters)
        left -= changed
    assert left == set()


OWN_SLOPE = {"generative/rbm", "generative/sparse_edges", "generative/vae", "history/perceptron"}
"""Their losses stop gradients on purpose, or draw anew at each call; they have tests of their own."""
TOO_STEEP = {"vision/resnet34", "vision/resnet101", "vision/resnet152", "sequence/deepspeech2"}
"""At these widths batch normalization by four examples makes the loss so steep that no step is short enough. The blocks
of the residual nets are those of resnet18 and resnet50."""
DIFFERENTIABLE = [name for name in TRAINED if name not in OWN_SLOPE | TOO_STEEP]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in DIFFERENTIABLE]
)
def test_gradients_equal_finite_differences(name: str) -> None:
    """The loss along the gradient of one parameter rises by the gradient's length; of each third of the net, one."""
    model = load(name, seed=1)
    inputs = examples(model)
    _, gradients = model.gradients(**inputs)
    lengths = {path: float(np.linalg.norm(gradient.astype(np.float64))) for path, gradient in gradients.items()}
    ordered, third = list(lengths), -(-len(lengths) // 3)

    def slope(path: str, step: float) -> float:
        start = model.parameters[path]
        ends = []
        for sign in (1, -1):
            model.parameters[path] = start + sign * step * gradients[path] / lengths[path]
            ends.append(model.gradients(**inputs)[0])
        model.parameters[path] = start
        return (ends[0] - ends[1]) / (2 * step)

    for first in range(0, len(ordered), third):
        path = max(ordered[first : first + third], key=lengths.__getitem__)
        if lengths[path] < 1e-4 * max(lengths.values()):
            continue  # what it does to the loss drowns in its rounding
        # A long step meets kinks, a short one the rounding of the loss: which is the right one depends on the net.
        found = [slope(path, step) for step in (1e-2, 3e-3, 1e-3, 3e-4)]
        assert min(found, key=lambda s: abs(s - lengths[path])) == pytest.approx(lengths[path], rel=0.05), path


def test_contrastive_divergence_is_its_rule() -> None:
    """The slope is what the data excite less what the reconstruction does: Hinton (2002), eq. 9."""
    model = load("generative/rbm", seed=3)
    random = np.random.default_rng(0)
    model.parameters["W"] = random.normal(size=(36, 10))
    model.parameters["hidden_bias"] = random.normal(size=10)
    image = random.integers(0, 2, (BATCH, 1, 6, 6)).astype(np.float32)
    _, gradients = model.gradients(image=image)
    weights, bias = model.parameters["W"], model.parameters["hidden_bias"]
    data = image.reshape(BATCH, 36)
    chain = model.predict(image=image)["reconstruction"].reshape(BATCH, 36)

    def excited(v: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-(v @ weights + bias)))

    rule = (chain.T @ excited(chain) - data.T @ excited(data)) / BATCH
    np.testing.assert_allclose(gradients["W"], rule, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradients["visible_bias"], (chain - data).mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradients["hidden_bias"], (excited(chain) - excited(data)).mean(0), rtol=1e-4, atol=1e-5)


def test_a_sparse_machine_draws_activity_by_its_biases_alone() -> None:
    """The cross-entropy of target and activity has a slope to the biases, and none to the weights."""
    image = np.random.default_rng(0).integers(0, 2, (BATCH, 1, 6, 6)).astype(np.float32)
    model = load("generative/sparse_dbn", seed=3, force=7.0)
    _, drawn = model.gradients(image=image)
    _, free = load("generative/sparse_dbn", seed=3, force=0.0).gradients(image=image)
    np.testing.assert_allclose(drawn["m1.W"], free["m1.W"], rtol=1e-4, atol=1e-6)
    on = model.predict(image=image)["features"].astype(np.float64)
    activity = on.mean(axis=0)
    pulled = 7 * (activity - 0.05) / (activity * (1 - activity)) * (on * (1 - on)).mean(axis=0)
    np.testing.assert_allclose(drawn["m1.hidden"] - free["m1.hidden"], pulled, rtol=1e-3, atol=1e-5)


def test_a_gripper_holds_what_is_narrower_than_its_opening() -> None:
    """The widths in the picture are those of the pixels, and only the tried angle has a part in the loss."""
    model = graphdl.load(ROOT / "vision/grasp.net", noise=0.0)
    numbers = np.array([[0.6, 0.1, 0.5, 0.5, 0.0, 1.0], [0.6, 0.1, 0.5, 0.5, 0.5, 1.0]], np.float32)
    shown = model.predict(numbers=numbers)
    lying, standing = shown["image"][:, 0] > 0.5
    long, short = 2 * (6 + 5 * 0.6), 2 * (2 + 4 * 0.1)
    assert lying.any(axis=0).sum() == standing.any(axis=1).sum() == pytest.approx(long, abs=1)
    assert lying.any(axis=1).sum() == standing.any(axis=0).sum() == pytest.approx(short, abs=1)
    tried = np.array([0, 0], np.int32)
    odds = np.log(shown["probability"][:, 0] / (1 - shown["probability"][:, 0]))
    held = np.array([long < 13, short < 13])
    wanted = np.log1p(np.exp(odds)) - odds * held
    assert model.gradients(numbers=numbers, tried=tried)[0] == pytest.approx(wanted.mean(), rel=1e-4)


def test_logic_by_neurons_of_1943() -> None:
    model = load("history/mcculloch_pitts")
    answers = model.predict(x=np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32))
    assert answers["conjunction"].tolist() == [0, 0, 0, 1]
    assert answers["disjunction"].tolist() == [0, 1, 1, 1]
    assert answers["negation"].tolist() == [1, 1, 0, 0]
    assert answers["exclusive"].tolist() == [0, 1, 1, 0]


def test_the_perceptron_separates_setosa_in_finitely_many_updates() -> None:
    from graphdl.data.sets import load as load_data

    model = load("history/perceptron")
    split = load_data("iris", splits=("train",)).split("train")
    x, label = (np.asarray(split.fields[name].values) for name in ("x", "label"))
    trainer = model.trainer(batch=1)
    for _ in range(10):
        wrong = np.flatnonzero(model.predict(x=x)["answer"] != (label == 0))
        if not len(wrong):
            break
        for i in range(len(x)):
            trainer.step(x=x[i : i + 1], label=label[i : i + 1])
    assert (model.predict(x=x)["answer"] == (label == 0)).all()


def test_siamese_halves_are_one_network() -> None:
    model = load("vision/siamese", seed=2)
    assert all(path.startswith("encoder.") for path in model.parameters)
    inputs = examples(model)
    twins = {**inputs, "right": inputs["left"]}
    assert model.predict(**twins)["distance"] == pytest.approx(0, abs=1e-4)


def test_a_translation_learns_where_it_ends() -> None:
    """Sentences of one to four words, each its own translation; 1 begins one, and is the mark behind its last word."""
    settings = {"source_words": 6, "target_words": 6, "source_length": 5, "target_length": 5, "units": 16}
    model = graphdl.load(ROOT / "sequence/attention_nmt.net", **settings)
    random = np.random.default_rng(0)
    lengths = random.integers(1, 5, 64)
    source = np.where(np.arange(5) < lengths[:, None], random.integers(2, 6, (64, 5)), 0).astype(np.int32)
    following = np.where(np.arange(5) == lengths[:, None], 1, source).astype(np.int32)
    target = np.concatenate([np.ones((64, 1), np.int32), source[:, :-1]], axis=1)
    trainer = model.trainer(batch=64)
    for _ in range(150):
        trainer.step(source=source, target=target, next=following)
    said = model.predict(source=source, target=target)["probability"].argmax(2)
    ends = said[np.arange(64), lengths] == 1
    assert ends.mean() > 0.9
