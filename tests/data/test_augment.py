"""Augmentation: each step against a plain loop, and the rules for what is random."""

import subprocess
import sys

import numpy as np
import pytest

from graphdl.data.augmentations import AUGMENTATIONS, restored
from graphdl.data.augmentations.step import AugmentationStep, Fixed
from graphdl.data.dataset import DataSet, Field, Split, numbers
from graphdl.data.pipeline import Pipeline, pipeline
from graphdl.graph.types import TensorType


def dataset(**arrays):
    return DataSet("set", {"train": Split("train", {name: numbers(values) for name, values in arrays.items()})})


@pytest.fixture
def images():
    return np.random.default_rng(0).random((50, 3, 9, 8), np.float32)


def apply(steps, images, training=True, seed=1, epoch=0, first=0):
    return steps.apply({"image": images.copy()}, training=training, seed=seed, epoch=epoch, first=first)["image"]


def test_crop_takes_a_window_of_the_padded_image(call, images):
    steps = pipeline([call("crop", [7, 6], pad=2)], dataset(image=images))
    assert steps.types({"image": TensorType((3, 9, 8))}) == {"image": TensorType((3, 7, 6))}
    cropped = apply(steps, images)
    assert cropped.shape == (50, 3, 7, 6)
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    places = set()
    for image, window in zip(padded, cropped, strict=True):
        (place,) = [
            (top, left)
            for top in range(7)
            for left in range(7)
            if np.array_equal(image[:, top : top + 7, left : left + 6], window)
        ]
        places.add(place)
    assert {top for top, _ in places} == set(range(7))
    assert {left for _, left in places} == set(range(7))


def test_crop_is_central_outside_training(call, images):
    steps = pipeline([call("crop", 4)], dataset(image=images))
    np.testing.assert_array_equal(apply(steps, images, training=False), images[:, :, 2:6, 2:6])


def test_padded_crop_of_the_same_size_does_nothing_outside_training(call, images):
    steps = pipeline([call("crop", [9, 8], pad=4)], dataset(image=images))
    np.testing.assert_array_equal(apply(steps, images, training=False), images)


def test_flip_mirrors_some(call, images):
    flipped = apply(pipeline([call("flip")], dataset(image=images)), images)
    mirrored = [np.array_equal(a, b[:, :, ::-1]) for a, b in zip(flipped, images, strict=True)]
    same = [np.array_equal(a, b) for a, b in zip(flipped, images, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 10 < sum(mirrored) < 40


@pytest.mark.parametrize(("p", "expected"), [(0, slice(None)), (1, slice(None, None, -1))])
def test_flip_never_and_always(call, images, p, expected):
    flipped = apply(pipeline([call("flip", p=p)], dataset(image=images)), images)
    np.testing.assert_array_equal(flipped, images[:, :, :, expected])


def test_brightness_scales_each_image_by_one_factor(call, images):
    changed = apply(pipeline([call("color", brightness=0.25)], dataset(image=images)), images)
    factors = changed / images
    np.testing.assert_allclose(factors, factors[:, :1, :1, :1] * np.ones_like(images), rtol=1e-4)
    assert factors.min() >= 0.7499
    assert factors.max() <= 1.2501
    assert factors.std() > 0.05


def test_contrast_and_saturation_keep_what_they_should(call, images):
    contrast = apply(pipeline([call("color", contrast=0.5)], dataset(image=images)), images)
    np.testing.assert_allclose(contrast.mean(axis=(1, 2, 3)), images.mean(axis=(1, 2, 3)), rtol=1e-5)
    assert not np.allclose(contrast, images, atol=0.05)
    saturation = apply(pipeline([call("color", saturation=0.5)], dataset(image=images)), images)
    np.testing.assert_allclose(saturation.mean(axis=1), images.mean(axis=1), rtol=1e-5)
    assert not np.allclose(saturation, images, atol=0.05)


def test_normalize_by_channel_in_and_outside_training(call, images):
    steps = pipeline([call("normalize", mean=[0.1, 0.2, 0.3], std=[1, 2, 4])], dataset(image=images))
    expected = (images - np.reshape([0.1, 0.2, 0.3], (3, 1, 1))) / np.reshape([1, 2, 4], (3, 1, 1))
    for training in (True, False):
        np.testing.assert_allclose(apply(steps, images, training), expected, rtol=1e-5, atol=1e-6)


def test_normalize_by_default_makes_the_training_split_standard(call):
    x = np.random.default_rng(0).normal(5, 3, (200, 4)).astype(np.float32)
    x[:, 2] = 7  # a constant column must not divide by zero
    data = dataset(x=x, label=np.arange(200))
    changed = pipeline([call("normalize")], data).apply({"x": x.copy()}, training=True, seed=0, epoch=0, first=0)["x"]
    np.testing.assert_allclose(changed.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(changed.std(axis=0), [1, 1, 0, 1], atol=1e-5)


def test_steps_follow_the_order_of_the_file(call, images):
    data = dataset(image=images)
    padded_last = pipeline([call("normalize", 1.0, 1.0), call("crop", [11, 10], pad=1)], data)
    padded_first = pipeline([call("crop", [11, 10], pad=1), call("normalize", 1.0, 1.0)], data)
    assert apply(padded_last, images)[0, 0, 0, 0] == 0
    assert apply(padded_first, images)[0, 0, 0, 0] == -1


def test_what_is_random_depends_on_seed_epoch_and_position_alone(call, images):
    settings = [call("crop", 6, pad=1), call("flip"), call("color", brightness=0.5)]
    steps = pipeline(settings, dataset(image=images))
    whole = apply(steps, images)
    for first, last in ((0, 50), (0, 7), (7, 8), (31, 50)):
        np.testing.assert_array_equal(apply(steps, images[first:last], first=first), whole[first:last])
    assert not np.array_equal(apply(steps, images, seed=2), whole)
    assert not np.array_equal(apply(steps, images, epoch=1), whole)


def test_two_settings_draw_apart(call, images):
    # Two flips with the same draws would undo each other everywhere.
    twice = apply(pipeline([call("flip"), call("flip")], dataset(image=images)), images)
    mirrored = [not np.array_equal(a, b) for a, b in zip(twice, images, strict=True)]
    assert 10 < sum(mirrored) < 40


def test_fields_of_an_example_stay_aligned(call, images):
    data = dataset(image=images, mask=images[:, :1])
    steps = pipeline([call("crop", 5), call("flip")], data)
    changed = steps.apply(
        {"image": images.copy(), "mask": images[:, :1].copy()}, training=True, seed=0, epoch=0, first=0
    )
    np.testing.assert_array_equal(changed["image"][:, :1], changed["mask"])


def test_no_steps_change_nothing(images):
    assert Pipeline().types({"x": TensorType((2,))}) == {"x": TensorType((2,))}
    np.testing.assert_array_equal(apply(Pipeline(), images), images)


def test_unknown_augmentation(call, complaint, images):
    found = complaint("E0710", pipeline, [call("flop")], dataset(image=images))
    assert found.help == "did you mean 'flip'?"
    assert found.notes == (f"known: {', '.join(AUGMENTATIONS)}",)


@pytest.mark.parametrize(
    ("name", "arguments", "keywords", "code"),
    [
        ("crop", (), {}, "E0702"),
        ("crop", ("8",), {}, "E0703"),
        ("crop", ([1, 2, 3],), {}, "E0703"),
        ("crop", (0,), {}, "E0703"),
        ("crop", (4,), {"pad": -1}, "E0703"),
        ("crop", ([8, 4],), {"pad": 4}, "E0703"),
        ("crop", (10,), {}, "E0711"),
        ("flip", (), {"p": 1.5}, "E0703"),
        ("flip", (), {"p": True}, "E0703"),
        ("color", (), {"brightness": 2}, "E0703"),
        ("normalize", (), {"mean": 1.0}, "E0702"),
        ("normalize", (1.0, 0.0), {}, "E0703"),
        ("normalize", ([1, 2], [1, 1]), {}, "E0711"),
        ("normalize", (float("nan"), 1.0), {}, "E0703"),
    ],
)
def test_arguments_out_of_range(call, complaint, images, name, arguments, keywords, code):
    complaint(code, pipeline, [call(name, *arguments, **keywords)], dataset(image=images))


def test_a_crop_too_large_says_which_pad_would_do(call, complaint, images):
    assert complaint("E0711", pipeline, [call("crop", 12)], dataset(image=images)).help == "pad by at least 2"
    apply(pipeline([call("crop", 12, pad=2)], dataset(image=images)), images)


def test_a_later_step_sees_the_earlier_crop(call, complaint, images):
    complaint("E0711", pipeline, [call("crop", 4), call("crop", 5)], dataset(image=images))


@pytest.mark.parametrize("name", ["flip", "normalize"])
def test_data_without_images_or_floats(call, complaint, name):
    complaint("E0711", pipeline, [call(name)], dataset(x=np.arange(5)))


def test_statistics_of_data_on_disk_must_be_given(call, complaint):
    class OnDisk(Field):
        type = TensorType((1, 4, 4))

        def __len__(self):
            return 2

        def take(self, rows):
            return np.ones((len(rows), 1, 4, 4), np.float32)

        def select(self, rows):
            return self

    data = DataSet("set", {"train": Split("train", {"image": OnDisk()})})
    assert "normalize(mean" in complaint("E0711", pipeline, [call("normalize")], data).help
    assert pipeline([call("normalize", 0.5, 0.5)], data).stages


EXAMPLES = {
    "color": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4},
    "crop": {"size": 5, "pad": 1},
    "flip": {"p": 0.5},
    "normalize": {"mean": [0.1, 0.2, 0.3], "std": [1.0, 2.0, 4.0]},
}
"""Arguments for each augmentation."""


def test_every_augmentation_declares_what_it_becomes_at_prediction(call, images):
    assert EXAMPLES.keys() == AUGMENTATIONS.keys()
    for name, arguments in EXAMPLES.items():
        steps = pipeline([call(name, **arguments)], dataset(image=images))
        (step,) = (stage["image"] for stage in steps.stages)
        evaluated = apply(steps, images, training=False)
        (kept,) = steps.prediction()
        again = Pipeline(tuple({field: restored(fixed.described())} for field, fixed in kept.items()))
        np.testing.assert_array_equal(apply(again, images, training=False), evaluated)
        before = TensorType(images.shape[1:])
        assert again.types({"image": before})["image"] == step.type(before) == TensorType(evaluated.shape[1:])
        changed = {not np.array_equal(apply(steps, images, epoch=epoch), evaluated) for epoch in range(3)}
        assert changed == {not isinstance(step, Fixed)}, "what has no chance in it is the same in training"


def test_a_step_that_declares_nothing_cannot_be_made():
    class Silent(AugmentationStep):
        def apply(self, values, draws):
            return values

    with pytest.raises(TypeError, match="prediction"):
        Silent()


def test_a_fixed_step_is_kept_by_declaring_it(images):
    class Invert(Fixed, name="invert"):
        def transform(self, values):
            return 1 - values

        def settings(self):
            return {}

        @classmethod
        def of_settings(cls, settings):
            return cls()

    try:
        steps = Pipeline(({"image": Invert()},))
        kept = steps.prediction()[0]["image"].described()
        assert kept == {"name": "invert"}
        again = Pipeline(({"image": restored(kept)},))
        np.testing.assert_array_equal(apply(again, images, training=False), 1 - images)
    finally:
        del Fixed.kinds["invert"]


def test_a_crop_at_the_centre_may_be_changed_by_what_follows(call, images):
    settings = [call("crop", 4), call("normalize", mean=0.5, std=0.5)]
    steps = pipeline(settings, dataset(image=images))
    np.testing.assert_allclose(apply(steps, images, training=False), (images[:, :, 2:6, 2:6] - 0.5) / 0.5, rtol=1e-6)


def test_settings_are_read_without_numpy():
    text = "import sys, graphdl.data.augmentations, graphdl.data.declared; print('numpy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
