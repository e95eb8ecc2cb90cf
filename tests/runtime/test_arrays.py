"""Arrays on their way to a device and back: what fits, what is refused, how it is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphdl.compiler.program import Slot
from graphdl.graph.elements import ELEMENTS
from graphdl.runtime.arrays import STORED, check_array, public_array, stored_array

FLOATS, INTS, BOOLS = (Slot("x", (2, 3), element) for element in ("float", "int", "bool"))


@pytest.mark.parametrize(
    ("slot", "kind"),
    [
        (FLOATS, np.float16), (FLOATS, np.float32), (FLOATS, np.float64), (INTS, np.int8), (INTS, np.uint8),
        (INTS, np.int32), (INTS, np.int64), (INTS, np.uint64), (BOOLS, np.bool_),
    ],
)  # fmt: skip
def test_kinds_that_fit(slot: Slot, kind: Any) -> None:
    array = np.array([[0, 1, 1], [1, 0, 1]], kind)
    assert check_array("feed", slot, array) is array
    stored = stored_array(slot, array)
    assert stored.dtype == STORED[slot.element]
    np.testing.assert_array_equal(public_array(slot, stored), array)


@pytest.mark.parametrize(
    ("slot", "value", "words"),
    [
        (FLOATS, np.zeros((3, 2), np.float32), r"feed 'x' has shape \[3, 2\], expected \[2, 3\]"),
        (FLOATS, 1.0, r"has shape \[\], expected \[2, 3\]"),
        (FLOATS, np.zeros((2, 3), int), "holds int64, expected floating-point numbers; convert it with .*float32"),
        (FLOATS, np.zeros((2, 3), bool), "holds bool, expected floating-point numbers"),
        (INTS, np.zeros((2, 3)), r"holds float64, expected ints; convert it with .astype\(numpy.int32\)"),
        (INTS, np.zeros((2, 3), bool), "holds bool, expected ints"),
        (BOOLS, np.zeros((2, 3), np.uint8), r"holds uint8, expected booleans; convert it with .astype\(numpy.bool_\)"),
        (INTS, np.full((2, 3), 2**31), "holds integers that do not fit 32 bits"),
        (INTS, np.full((2, 3), -(2**31) - 1), "holds integers that do not fit 32 bits"),
        (INTS, np.full((2, 3), 2**31, np.uint32), "holds integers that do not fit 32 bits"),
        (INTS, np.array([["a"] * 3] * 2), "expected ints"),
    ],
)
def test_what_does_not_fit_is_refused(slot: Slot, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_array("feed", slot, value)


def test_the_least_and_the_greatest_int_fit() -> None:
    for value in (2**31 - 1, -(2**31)):
        array = check_array("feed", INTS, np.full((2, 3), value))
        assert stored_array(INTS, array).tolist() == [[value] * 3] * 2
    assert check_array("feed", Slot("x", (0,), "int"), np.zeros(0, np.int64)).size == 0


def test_lists_are_arrays() -> None:
    assert check_array("feed", BOOLS, [[True, False, True]] * 2).dtype == np.bool_
    assert check_array("feed", Slot("n", (), "int"), 7).shape == ()


def test_what_is_stored_is_contiguous_and_of_the_slots_shape() -> None:
    turned = np.arange(6.0).reshape(3, 2).T
    stored = stored_array(FLOATS, turned)
    assert stored.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(stored, turned)
    scalar = stored_array(Slot("s", (), "float"), np.float64(2.5))
    assert (scalar.shape, scalar.dtype) == ((), np.float32)


def test_only_bools_look_different_to_a_person() -> None:
    assert public_array(BOOLS, np.array([0, 1, 2], np.uint8)).tolist() == [False, True, True]
    for slot in (FLOATS, INTS):
        stored = np.zeros((2, 3), STORED[slot.element])
        assert public_array(slot, stored) is stored


@pytest.mark.parametrize("element", ELEMENTS)
def test_the_table_of_elements_is_the_one_of_the_language(element: Any) -> None:
    assert STORED[element].itemsize == ELEMENTS[element].stored.bytes
