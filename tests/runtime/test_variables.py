"""Variables on a real device."""

import numpy as np
import pytest

from graphdl.compiler.program import Slot
from graphdl.runtime import VariableStore


@pytest.fixture
def store(device):
    store = VariableStore(device)
    store.add([Slot("w", (2, 3), "float"), Slot("n", (), "int"), Slot("mask", (3,), "bool")])
    return store


def test_what_is_set_is_read(store):
    w = np.random.default_rng(0).normal(size=(2, 3))
    store["w"] = w
    store["n"] = 7
    store["mask"] = [True, False, True]
    np.testing.assert_array_equal(store["w"], w.astype(np.float32))
    assert (store["n"].dtype, int(store["n"])) == (np.int32, 7)
    assert (store["mask"].dtype, store["mask"].tolist()) == (np.bool_, [True, False, True])


def test_it_is_a_mapping(store):
    assert list(store) == ["w", "n", "mask"]
    assert len(store) == 3
    del store["n"]
    assert "n" not in store


def test_adding_again_keeps_the_value(store):
    store["n"] = 5
    store.add([Slot("n", (), "int")])
    assert int(store["n"]) == 5


def test_adding_another_shape_is_refused(store):
    with pytest.raises(ValueError, match=r"'w' is float\[2, 3\] in the store, but a program wants float\[3, 2\]"):
        store.add([Slot("w", (3, 2), "float")])


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("w", np.zeros((3, 2)), r"variable 'w' has shape \[3, 2\], expected \[2, 3\]"),
        ("w", np.zeros((2, 3), int), "variable 'w' holds int64, expected floating-point"),
        ("n", 1.5, "variable 'n' holds float64, expected ints"),
        ("n", 2**40, "do not fit 32 bits"),
        ("mask", [0, 1, 0], "expected booleans"),
    ],
)
def test_what_does_not_fit_is_refused(store, name, value, complaint):
    with pytest.raises(ValueError, match=complaint):
        store[name] = value


def test_an_unknown_name_is_refused(store):
    with pytest.raises(KeyError):
        store["nothing"] = 1.0
