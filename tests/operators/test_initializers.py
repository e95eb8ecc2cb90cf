"""The first values of parameters: their spread, and that they depend on nothing but their key."""

import math

import numpy as np
import pytest
import torch

from graphdl.graph.model import Initializer
from graphdl.operators.initializers import INITIALIZERS, fans, initialize

ARGUMENTS = {
    name: tuple(0.5 if value is None else value for value in known.values()) for name, known in INITIALIZERS.items()
}


def drawn(name, shape, *arguments, key=(0, 1)):
    return initialize(Initializer(name, arguments or ARGUMENTS[name]), shape, key)


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("shape", [(), (5,), (4, 6), (8, 3, 3, 2)])
def test_any_shape(name, shape):
    values = drawn(name, shape)
    assert values.shape == shape
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


@pytest.mark.parametrize("name", ["uniform", "normal", "truncated_normal", "orthogonal", "he_normal", "sparse"])
def test_draws_depend_on_the_key_alone(name):
    first = drawn(name, (6, 6), key=(7, 1))
    np.random.default_rng(0).normal()
    np.testing.assert_array_equal(first, drawn(name, (6, 6), key=(7, 1)))
    assert (first != drawn(name, (6, 6), key=(7, 2))).any()
    assert (first != drawn(name, (6, 6), key=(8, 1))).any()


def test_fans_of_a_matrix_count_its_rows_first():
    assert fans((30, 20)) == (30, 20)
    assert fans((8, 4, 3, 5)) == (4 * 15, 8 * 15)
    assert fans((7,)) == (7, 7)


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("glorot_uniform", torch.nn.init.xavier_uniform_), ("glorot_normal", torch.nn.init.xavier_normal_),
        ("he_uniform", torch.nn.init.kaiming_uniform_), ("he_normal", torch.nn.init.kaiming_normal_),
        ("orthogonal", torch.nn.init.orthogonal_), ("truncated_normal", torch.nn.init.trunc_normal_),
    ],
)  # fmt: skip
def test_the_spread_is_pytorchs(name, peer):
    shape = (64, 32, 3, 3)
    values = drawn(name, shape)
    torch.manual_seed(0)
    wanted = peer(torch.empty(shape)).numpy()
    assert values.mean() == pytest.approx(0, abs=0.01 * max(1, values.std()))
    assert values.std() == pytest.approx(wanted.std(), rel=0.03)
    assert np.abs(values).max() == pytest.approx(np.abs(wanted).max(), rel=0.2)


def test_numbers_are_used():
    np.testing.assert_array_equal(drawn("constant", (3,), 2.5), [2.5, 2.5, 2.5])
    np.testing.assert_array_equal(drawn("values", (2, 2), 1.0, 2.0, 3.0, 4.0), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(drawn("identity", (2, 3)), [[1, 0, 0], [0, 1, 0]])
    uniform = drawn("uniform", (10_000,), -3.0, -1.0)
    assert -3 <= uniform.min() < -2.99
    assert -1.01 < uniform.max() <= -1
    normal = drawn("normal", (10_000,), 5.0, 0.1)
    assert (normal.mean(), normal.std()) == (pytest.approx(5, abs=0.01), pytest.approx(0.1, rel=0.05))
    cut = drawn("truncated_normal", (10_000,), 0.0, 1.0, -0.5, 0.25)
    assert cut.min() >= -0.5
    assert cut.max() <= 0.25


@pytest.mark.parametrize("name", ["lecun_normal", "lecun_uniform"])
def test_lecun_has_variance_one_over_the_fan_in(name):
    assert drawn(name, (400, 50)).std() == pytest.approx(1 / math.sqrt(400), rel=0.03)


def test_each_unit_has_as_many_zeros():
    matrix = drawn("sparse", (90, 40), 0.7, 2.0)
    assert ((matrix == 0).sum(0) == 63).all()
    assert (matrix == 0).all(1).sum() == 0, "the places differ from unit to unit"
    assert matrix[matrix != 0].std() == pytest.approx(2, rel=0.1)
    assert ((drawn("sparse", (8, 4, 3, 3), 0.5, 1.0) == 0).sum((1, 2, 3)) == 18).all()


@pytest.mark.parametrize("shape", [(4, 3, 3), (3, 5, 4, 3), (4, 4, 3, 1, 5)])
def test_the_identity_of_filters_is_pytorchs(shape):
    np.testing.assert_array_equal(drawn("identity", shape), torch.nn.init.dirac_(torch.empty(shape)).numpy())


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (4, 2, 3, 1)])
def test_orthogonal_rows_or_columns(shape):
    matrix = drawn("orthogonal", shape).reshape(shape[0], -1)
    small = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-5)
