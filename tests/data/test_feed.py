"""A user's arrays against a net's inputs."""

import numpy as np
import pytest

from graphdl.data.batches import Batches
from graphdl.data.feed import as_feed, check_feed, from_arrays
from graphdl.graph.types import TensorType
from graphdl.source import Source, Span

TYPES = {"image": TensorType((1, 4, 3)), "label": TensorType((), "int", 10)}
GOOD = {"image": np.zeros((5, 1, 4, 3)), "label": np.arange(5)}
SPAN = Span(Source("net.net", "input image: [1, 4, 3]"), 6, 11)


def test_good_arrays_are_made_ready():
    check_feed(TYPES, GOOD)
    fed = as_feed(TYPES, {"label": [1, 2], "image": np.zeros((3, 4, 1, 2)).T})
    assert list(fed) == ["image", "label"]
    assert (fed["image"].dtype, fed["label"].dtype) == (np.float32, np.int32)
    assert fed["image"].flags.c_contiguous


@pytest.mark.parametrize(
    ("kind", "array"),
    [
        (TensorType((2,)), np.ones((3, 2), np.int64)),
        (TensorType((2,)), np.ones((3, 2), np.uint8)),
        (TensorType((2,)), np.ones((3, 2), bool)),
        (TensorType((2,)), np.ones((3, 2), np.float16)),
        (TensorType((), "int"), np.ones(3, bool)),
        (TensorType((2,), "int", 3), np.array([[0, 2]], np.uint8)),
        (TensorType((), "bool"), np.ones(3, bool)),
        (TensorType((), "int"), np.array([2**31 - 1, -(2**31)])),
    ],
)
def test_kinds_that_fit(kind, array):
    np.testing.assert_array_equal(as_feed({"x": kind}, {"x": array})["x"], array)


@pytest.mark.parametrize(
    ("kind", "array", "code", "message"),
    [
        (TensorType((2,)), np.zeros((3, 3)), "E0714", "is [2]: expected an array [examples, 2], found [3, 3]"),
        (TensorType((2,)), np.zeros(2), "E0714", "found [2]"),
        (TensorType(()), np.float32(1), "E0714", "expected an array [examples], found []"),
        (TensorType((2,)), np.zeros((0, 2)), "E0714", "found [0, 2]"),
        (TensorType((), "int", 3), np.zeros(3), "E0715", "is class(3): expected class numbers, found floats (float64)"),
        (TensorType((), "int"), np.zeros(3), "E0715", "is int: expected ints, found floats"),
        (TensorType((), "bool"), np.zeros(3, int), "E0715", "expected bools, found ints"),
        (TensorType(()), np.array(["a"]), "E0715", "found elements (<U1)"),
        (TensorType((), "int", 3), np.array([0, 3, 1]), "E0716", "is class(3): expected 0 to 2, found 3 at [1]"),
        (TensorType((2,), "int", 3), np.array([[0, 1], [2, -1]]), "E0716", "expected 0 to 2, found -1 at [1, 1]"),
        (TensorType((2,)), np.array([[0, np.nan]]), "E0717", "expected finite numbers of 32 bits, found nan at [0, 1]"),
        (TensorType(()), np.array([0, -np.inf], np.float32), "E0717", "found -inf at [1]"),
        (TensorType(()), np.array([1e39]), "E0717", "found 1e+39 at [0]"),
        (TensorType((), "int"), np.array([2**31]), "E0717", "expected ints of 32 bits, found 2147483648"),
    ],
)
def test_arrays_that_cannot_be_fed(complaint, kind, array, code, message):
    found = complaint(code, check_feed, {"x": kind}, {"x": array}, spans={"x": SPAN})
    assert found.message.startswith("the input 'x' is ")
    assert message in found.message
    assert found.span is SPAN


@pytest.mark.parametrize(
    ("shape", "cure"),
    [
        ((1, 4, 3), "the first dimension counts the examples; feed one as x[None]"),
        ((5, 4, 3), "add the channel dimension: x[:, None]"),
        ((5, 4, 3, 1), "channels come first: x.transpose(0, 3, 1, 2)"),
        ((5, 12), "the number of elements is right: x.reshape(-1, 1, 4, 3)"),
        ((5, 7), None),
    ],
)
def test_the_cure_of_a_wrong_shape(complaint, shape, cure):
    found = complaint("E0714", check_feed, {"image": TYPES["image"]}, {"image": np.zeros(shape)})
    assert found.help == cure
    if cure and "x" in cure.split()[-1]:
        x = np.zeros(shape)
        check_feed({"image": TYPES["image"]}, {"image": eval(cure.split(": ")[-1].split("as ")[-1], {"x": x})})


def test_a_column_for_a_scalar(complaint):
    found = complaint("E0714", check_feed, {"y": TensorType(())}, {"y": np.zeros((5, 1))})
    assert found.help == "drop the dimension of length 1: x.reshape(-1)"


def test_how_many_elements_are_off(complaint):
    found = complaint("E0717", check_feed, {"x": TensorType((2,))}, {"x": np.full((3, 2), np.nan)})
    assert found.notes == ("6 of 6 elements of 'x' are off",)


def test_names_missing_and_unknown_are_all_told(complaints):
    found = complaints(check_feed, TYPES, {"imge": GOOD["image"]})
    assert [d.code for d in found] == ["E0713"] * 3
    assert found[0].message == "the input 'image' ([1, 4, 3]) is fed by nothing"
    assert found[2].help == "did you mean 'image'?"


def test_examples_must_agree(complaint):
    found = complaint("E0714", check_feed, TYPES, {**GOOD, "label": np.arange(4)})
    assert found.message == "the inputs differ in their number of examples: 'image' has 5, 'label' has 4"


def test_arrays_as_a_data_set(complaint):
    dataset = from_arrays(TYPES, GOOD)
    (batch,) = Batches(dataset, "train", TYPES, batch=5, training=True).epoch(0)
    assert sorted(batch.arrays["label"]) == [0, 1, 2, 3, 4]
    complaint("E0716", from_arrays, TYPES, {**GOOD, "label": np.full(5, 10)})
