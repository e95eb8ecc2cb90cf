"""Fields, splits and data sets in memory: what is taken, what it is, where it is from, and how a split is divided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphdl.data.dataset import (
    DataSet,
    Field,
    Origin,
    Split,
    Statistics,
    divide,
    labels,
    noise_bytes,
    numbers,
    pixels,
)
from graphdl.diagnostics import ModelError
from graphdl.graph.types import TensorType

ROWS = np.array([3, 0, 0, 2])


def test_taken_examples_are_new_and_of_the_elements_type() -> None:
    values = np.arange(24, dtype=np.float64).reshape(4, 2, 3)
    field = numbers(values)
    taken = field.take(ROWS)
    assert (field.type, taken.dtype, taken.flags["C_CONTIGUOUS"]) == (TensorType((2, 3)), np.float32, True)
    np.testing.assert_array_equal(taken, values[ROWS])
    taken += 1
    np.testing.assert_array_equal(field.take(ROWS), values[ROWS])


def test_pixels_stay_bytes_and_are_taken_as_numbers_up_to_one() -> None:
    values = np.array([[[[0, 51, 255]]], [[[102, 204, 1]]]], np.uint8)
    field = pixels(values)
    assert (field.values.dtype, field.type) == (np.uint8, TensorType((1, 1, 3)))
    np.testing.assert_allclose(field.take(np.array([1, 0])), values[::-1] / 255, rtol=1e-7)
    np.testing.assert_allclose(pixels(values, 16.0).take(np.array([0]))[0, 0, 0], [0, 51 / 16, 255 / 16])


@pytest.mark.parametrize(
    ("values", "element", "stored"),
    [
        (np.zeros((2, 3), np.float16), "float", np.float32),
        (np.zeros((2, 3)), "float", np.float32),
        (np.array([1, -(2**31), 2**31 - 1]), "int", np.int32),
        (np.array([1, 2], np.uint8), "int", np.int32),
        (np.array([], np.int64), "int", np.int32),
        (np.array([True, False]), "bool", np.bool_),
    ],
)
def test_an_array_says_its_element(values: np.ndarray, element: Any, stored: Any) -> None:
    field = numbers(values)
    assert (field.type.element, field.values.dtype, field.type.shape) == (element, stored, values.shape[1:])
    np.testing.assert_array_equal(field.values, values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([2**31]), "an int is too large for 32 bits"),
        (np.array([-(2**31) - 1]), "an int is too large for 32 bits"),
        (np.array([2**63], np.uint64), "an int is too large for 32 bits"),
        (np.array(["a"]), "elements of type <U1; floats, ints or bools are expected"),
        (np.array([1j]), "elements of type complex128"),
        (np.array([None]), "elements of type object"),
    ],
)
def test_an_array_that_cannot_be_fed(values: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        numbers(values)


def test_a_float_that_is_too_large_is_infinite_until_it_is_fed() -> None:
    assert numbers(np.array([1e300, 1.0])).values.tolist() == [np.inf, 1.0]


def test_classes_are_ints_that_know_their_number() -> None:
    field = labels(np.array([0, 2, 1], np.int64), 3)
    assert field.type == TensorType((), "int", 3)
    assert field.values.dtype == np.int32
    assert labels(np.zeros((4, 7), np.uint8), 5).type == TensorType((7,), "int", 5)


def test_an_example_knows_its_place() -> None:
    path = Path("flowers.csv")
    counted, lined = Origin(path), Origin(path, "line", np.array([2, 3, 5, 8]))
    assert (counted.of(3), lined.of(3)) == ("flowers.csv, example 3", "flowers.csv, line 8")
    field = numbers(np.arange(4.0), lined)
    assert field.select(ROWS).place(0) == "flowers.csv, line 8"
    assert field.select(ROWS).select(np.array([3])).place(0) == "flowers.csv, line 5"
    assert numbers(np.arange(4.0), counted).select(ROWS).place(3) == "flowers.csv, example 2"
    assert numbers(np.arange(4.0)).place(0) is None
    assert numbers(np.arange(4.0)).select(ROWS).place(0) is None


def test_selected_examples_keep_their_type_and_scale() -> None:
    field = pixels(np.arange(12, dtype=np.uint8).reshape(4, 1, 1, 3))
    part = field.select(ROWS)
    assert (len(part), part.type) == (4, field.type)
    np.testing.assert_array_equal(part.take(np.arange(4)), field.take(ROWS))


def dataset(count: int = 40) -> DataSet:
    random = np.random.default_rng(0)
    fields: dict[str, Field] = {
        "x": numbers(random.normal(3, 2, size=(count, 4))),
        "picture": pixels(random.integers(0, 256, (count, 3, 5, 6), np.uint8)),
        "label": labels(random.integers(0, 3, count), 3),
    }
    split = Split("train", fields)
    return DataSet("made", {"train": split, "test": split.select(np.arange(5), "test")})


def test_a_split_has_the_length_and_the_types_of_its_fields() -> None:
    made = dataset()
    assert (len(made.split("train")), len(made.split("test")), made.split("test").name) == (40, 5, "test")
    assert made.types == {
        "x": TensorType((4,)), "picture": TensorType((3, 5, 6)), "label": TensorType((), "int", 3),
    }  # fmt: skip
    assert len(Split("empty", {})) == 0


@pytest.mark.parametrize(("name", "help"), [("validation", "ask for one with 'validation = 0.1'"), ("dev", None)])
def test_a_split_that_is_not_there(name: str, help: str | None) -> None:
    with pytest.raises(ModelError) as caught:
        dataset().split(name)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.message) == ("E0712", f"data set 'made' has no split '{name}'")
    assert (diagnostic.notes, diagnostic.help) == (("it has: train, test",), help)


def test_statistics_are_by_channel() -> None:
    made = dataset()
    x, picture = made.statistics("x"), made.statistics("picture")
    train = made.split("train").fields
    values = train["x"].take(np.arange(40)).astype(np.float64)
    np.testing.assert_allclose(x.mean, values.mean(0), rtol=1e-6)
    np.testing.assert_allclose(x.std, values.std(0), rtol=1e-6)
    images = train["picture"].take(np.arange(40)).astype(np.float64)
    np.testing.assert_allclose(picture.mean, images.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(picture.std, images.std((0, 2, 3)), rtol=1e-6)
    assert len(picture.mean) == 3


def test_published_statistics_win() -> None:
    known = Statistics((0.5,), (0.25,))
    assert DataSet("known", dataset().splits, published={"picture": known}).statistics("picture") is known


def test_statistics_of_what_is_read_one_by_one_must_be_given() -> None:
    class Elsewhere(Field):
        type = TensorType((3, 2, 2))

        def __len__(self) -> int:
            return 4

        def take(self, rows: Any) -> Any:
            raise AssertionError("nothing is read")

        def select(self, rows: Any) -> Field:
            return self

    made = DataSet("folder", {"train": Split("train", {"image": Elsewhere()})})
    with pytest.raises(ModelError) as caught:
        made.statistics("image")
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.help) == ("E0711", "write them: normalize(mean = [...], std = [...])")
    assert Elsewhere().place(0) is None


# ----------------------------------------------------------------------------------------------------------- division


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.floats(0, 1), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_division_loses_nothing_and_keeps_the_order(kinds: list[int], fraction: float, by_kind: bool) -> None:
    count = len(kinds)
    split = Split("train", {"n": numbers(np.arange(count)), "label": labels(np.array(kinds), 5)})
    rest, part = divide(split, fraction, "test", stratify="label" if by_kind else None)
    assert (rest.name, part.name) == ("train", "test")
    left, cut = (each.fields["n"].take(np.arange(len(each))).tolist() for each in (rest, part))
    assert left == sorted(left)
    assert cut == sorted(cut)
    assert sorted(left + cut) == list(range(count))
    if by_kind:
        found = np.bincount(part.fields["label"].take(np.arange(len(part))), minlength=5)
        assert found.tolist() == [round(fraction * n) for n in np.bincount(kinds, minlength=5).tolist()]
    else:
        assert len(cut) == round(fraction * count)
    again = divide(split, fraction, "test", stratify="label" if by_kind else None)[1]
    assert again.fields["n"].take(np.arange(len(again))).tolist() == cut


def test_a_division_is_at_random() -> None:
    split = Split("train", {"n": numbers(np.arange(1000))})
    part = divide(split, 0.2, "test")[1].fields["n"].take(np.arange(200))
    assert abs(part.mean() - 499.5) < 60
    assert (np.diff(part) > 1).sum() > 100
    assert divide(split, 0.0, "test")[1].fields["n"].take(np.arange(0)).tolist() == []


def test_noise_is_a_function_of_its_seed() -> None:
    one, same, other = noise_bytes((3, 7, 11), 1), noise_bytes((3, 7, 11), 1), noise_bytes((3, 7, 11), 2)
    np.testing.assert_array_equal(one, same)
    assert one.shape == (3, 7, 11)
    assert (one != other).mean() > 0.9
    many = noise_bytes((100, 1000), 3)
    assert abs(many.mean() - 127.5) < 1
    assert np.bincount(many.ravel(), minlength=256).min() > 250
