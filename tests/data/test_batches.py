"""Batches: order, resumption, the last batch, and the match of fields with inputs."""

from itertools import chain

import numpy as np
import pytest

from graphdl.data.batches import Batches
from graphdl.data.dataset import DataSet, Split, labels, numbers, pixels
from graphdl.data.draws import permutation, uniform
from graphdl.data.pipeline import pipeline
from graphdl.graph.types import TensorType
from graphdl.source import Source, Span

COUNT = 23
IMAGE = TensorType((1, 6, 5))
LABEL = TensorType((), "int", 10)
INPUTS = {"image": IMAGE, "label": LABEL}


@pytest.fixture
def dataset():
    """Every pixel of an image is the number of its row; so are the labels, modulo 10."""
    values = np.arange(COUNT)
    images = np.broadcast_to(values[:, None, None, None], (COUNT, 1, 6, 5)).astype(np.uint8)
    fields = {
        "image": pixels(images, divisor=1.0),
        "label": labels(values % 10, 10),
        "done": numbers(values % 2 == 0),
        "count": numbers(values),
    }
    source = Source("model.net", "data set")
    return DataSet(
        "set", {"train": Split("train", fields), "test": Split("test", fields)}, span=Span(source, 0, len(source.text))
    )


def seen(batches):
    return [batch.arrays["image"][: batch.count, 0, 0, 0].astype(int).tolist() for batch in batches]


def same(first, second):
    assert (first.epoch, first.index, first.count) == (second.epoch, second.index, second.count)
    assert first.arrays.keys() == second.arrays.keys()
    for name, values in first.arrays.items():
        np.testing.assert_array_equal(values, second.arrays[name])


def test_training_sees_each_example_at_most_once_an_epoch(dataset):
    batches = Batches(dataset, "train", INPUTS, batch=5, training=True)
    epoch = seen(batches.epoch(0))
    assert len(batches) == 4
    assert [len(batch) for batch in epoch] == [5] * 4
    rows = list(chain(*epoch))
    assert len(set(rows)) == 20
    assert rows != sorted(rows)


def test_a_batch_has_the_rows_of_its_place_in_the_order(dataset):
    batches = Batches(dataset, "train", INPUTS, batch=3, training=True)
    for epoch, index in [(0, 6), (0, 0), (1, 6), (1, 5), (0, 5), (2, 1)]:
        rows = batches.order(epoch)[3 * index : 3 * index + 3]
        found = batches.get(epoch, index)
        np.testing.assert_array_equal(found.arrays["image"], np.broadcast_to(rows[:, None, None, None], (3, 1, 6, 5)))
        np.testing.assert_array_equal(found.arrays["label"], rows % 10)


def test_an_error_is_that_of_its_batch(dataset, complaint):
    wrong = permutation(0, 0, COUNT)[7]
    dataset.splits["train"].fields["count"] = numbers(np.where(np.arange(COUNT) == wrong, np.nan, 1.0))
    batches = Batches(dataset, "train", {"count": TensorType(())}, batch=3, training=True)
    for index in (0, 1, 3, 6):
        np.testing.assert_array_equal(batches.get(0, index).arrays["count"], [1, 1, 1])
    assert "nan" in complaint("E0717", batches.get, 0, 2).message


@pytest.mark.parametrize(("batch", "left_out", "help"), [(16, 7, "batch 11"), (20, 3, None), (23, 0, None)])
def test_a_batch_that_does_not_divide_is_warned_of(dataset, batch, left_out, help):
    batches = Batches(dataset, "train", INPUTS, batch=batch, training=True)
    found = batches.remainder()
    assert batches.left_out == left_out
    assert (found and (found.code, found.help)) == (help and ("W0701", help))
    assert Batches(dataset, "test", INPUTS, batch=batch, training=False).remainder() is None


def test_order_depends_on_seed_and_epoch(dataset):
    orders = {
        (seed, epoch): tuple(Batches(dataset, "train", INPUTS, batch=5, training=True, seed=seed).order(epoch))
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(set(orders.values())) == 4
    assert all(sorted(order) == list(range(COUNT)) for order in orders.values())


def test_images_and_labels_stay_together(dataset):
    for batch in Batches(dataset, "train", INPUTS, batch=4, training=True).epoch(3):
        np.testing.assert_array_equal(batch.arrays["image"][:, 0, 0, 0] % 10, batch.arrays["label"])


def test_evaluation_keeps_the_order_and_fills_the_last_batch(dataset):
    batches = list(Batches(dataset, "test", INPUTS, batch=10, training=False).epoch(0))
    assert [batch.count for batch in batches] == [10, 10, 3]
    assert list(chain(*seen(batches))) == list(range(COUNT))
    last = batches[-1].arrays
    assert last["image"].shape == (10, 1, 6, 5)
    assert last["image"][3:, 0, 0, 0].tolist() == [22] * 7
    assert last["label"].tolist() == [0, 1, 2] + [2] * 7


@pytest.mark.parametrize("training", [True, False])
def test_resuming_anywhere_gives_the_same_batches(dataset, call, training):
    steps = pipeline([call("crop", [6, 5], pad=1), call("flip"), call("color", brightness=0.5)], dataset)

    def make():
        return Batches(dataset, "train", INPUTS, batch=4, training=training, seed=7, augment=steps)

    whole = {epoch: list(make().epoch(epoch)) for epoch in (0, 1, 2)}
    for epoch in (2, 0):
        for start in range(len(make()) + 1):
            resumed = list(make().epoch(epoch, start))
            assert len(resumed) == len(whole[epoch]) - start
            for one, other in zip(resumed, whole[epoch][start:], strict=True):
                same(one, other)


def test_arrays_are_contiguous_and_typed(dataset):
    inputs = {**INPUTS, "done": TensorType((), "bool"), "count": TensorType(())}
    arrays = Batches(dataset, "train", inputs, batch=4, training=True).get(0, 0).arrays
    assert {name: values.dtype for name, values in arrays.items()} == {
        "image": np.float32,
        "label": np.int32,
        "done": np.bool_,
        "count": np.float32,
    }
    assert all(values.flags.c_contiguous for values in arrays.values())


def test_feed_renames_and_may_use_a_field_twice(dataset):
    batches = Batches(
        dataset, "train", {"x": IMAGE, "y": IMAGE, "label": LABEL}, batch=4, training=True,
        feed={"x": "image", "y": "image"},
    )  # fmt: skip
    arrays = batches.get(0, 0).arrays
    np.testing.assert_array_equal(arrays["x"], arrays["y"])


def test_inputs_without_a_field(dataset, complaints):
    found = complaints(
        Batches, dataset, "train", {"picture": IMAGE, "lable": LABEL}, batch=4, training=True, feed={"z": "image"}
    )
    assert [d.code for d in found] == ["E0713"] * 3
    assert found[0].message == "the net has no input 'z' to feed"
    assert found[1].help == "feed picture = image"
    assert found[1].span.text == "data set"
    assert found[2].help == "feed lable = label"


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("image", TensorType((1, 8, 8)), "E0714"),
        ("image", TensorType((30,)), "E0714"),
        ("image", TensorType((1, 6, 5), "int"), "E0715"),
        ("label", TensorType((), "int", 9), "E0715"),
        ("label", TensorType((), "bool"), "E0715"),
        ("done", TensorType((), "int", 2), None),
        ("label", TensorType((), "int", 11), None),
        ("label", TensorType((), "int"), None),
        ("label", TensorType(()), None),
    ],
)
def test_fields_against_inputs(dataset, complaint, name, kind, code):
    span = Span(Source("net.net", f"input {name}: {kind}"), 0, 5)

    def make():
        return Batches(dataset, "train", {name: kind}, batch=4, training=True, spans={name: span})

    if code is None:
        make().get(0, 0)
        return
    found = complaint(code, make)
    field = dataset.types[name]
    assert found.message == f"the input '{name}' is {kind}, the field '{name}' of data set 'set' is {field}"
    assert found.span is span
    assert found.labels[0].text == f"gives {field}"


def test_shape_is_that_after_augmentation(dataset, call):
    steps = pipeline([call("crop", 4)], dataset)
    batches = Batches(dataset, "train", {"image": TensorType((1, 4, 4))}, batch=4, training=True, augment=steps)
    assert batches.get(0, 0).arrays["image"].shape == (4, 1, 4, 4)


def test_whole_numbers_that_are_no_classes_are_caught(dataset, complaint):
    batches = Batches(dataset, "test", {"count": TensorType((), "int", 10)}, batch=8, training=False)
    batches.get(0, 0)
    found = complaint("E0716", batches.get, 0, 1)
    assert found.message == "the input 'count' is class(10): expected 0 to 9, found 10 in example 10 of the split"


def test_a_batch_larger_than_the_split(dataset, complaint):
    found = complaint("E0712", Batches, dataset, "train", INPUTS, batch=24, training=True)
    assert found.message == "the split 'train' of 'set' has 23 examples, a batch 24"
    assert found.help == "batch 23"
    assert Batches(dataset, "test", INPUTS, batch=24, training=False).get(0, 0).count == 23


def test_permutation_never_changes():
    # Runs that were saved continue with the same order under any later version.
    assert permutation(0, 0, 10).tolist() == [0, 2, 9, 1, 8, 5, 4, 3, 6, 7]
    assert permutation(0, 0, 10).tolist() != permutation(0, 1, 10).tolist()


def test_draws_are_uniform():
    draws = uniform(3, 1, 2, 5, 10_000)
    assert draws.shape == (10_000, 4)
    counts = np.histogram(draws, bins=10, range=(0, 1))[0]
    assert abs(counts - 4000).max() < 300
    assert abs(np.corrcoef(draws.T) - np.eye(4)).max() < 0.05
