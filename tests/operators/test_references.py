"""The formulas in NumPy with which the forms of kernels are compared, against PyTorch in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphdl.operators.convolution import Geometry, convolution, input_gradient, weight_gradient
from graphdl.operators.matmul import MatMul
from graphdl.operators.tensor import Tensor, feed

GEOMETRIES = {
    "plain": (Geometry((1, 1), (1, 1), 1), 3, 5),
    "stride and dilation": (Geometry((2, 1), (1, 2), 1), 3, 5),
    "groups": (Geometry((1, 3), (2, 1), 2), 4, 6),
    "depthwise": (Geometry((2, 2), (1, 1), 5), 5, 5),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_convolution_and_its_gradients(name):
    geometry, channels, filters = GEOMETRIES[name]
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, channels, 11, 12)), rng.standard_normal((filters, channels // geometry.groups, 3, 2))
    image, weight = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
    result = torch.nn.functional.conv2d(
        image, weight, stride=geometry.stride, dilation=geometry.dilation, groups=geometry.groups
    )
    g = rng.standard_normal(result.shape)
    result.backward(torch.tensor(g))
    fed = {key: feed(key, array.shape) for key, array in (("x", x), ("w", w), ("g", g))}
    cases = [
        (convolution(fed["x"], fed["w"], geometry), (x, w), result.detach()),
        (input_gradient(fed["g"], fed["w"], x.shape, geometry), (g, w), image.grad),
        (weight_gradient(fed["x"], fed["g"], w.shape, geometry), (x, g), weight.grad),
    ]
    for tensor, arrays, wanted in cases:
        found = tensor.operation.reference(tensor, arrays)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=1e-12)


def test_a_product():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 5, 7)), rng.standard_normal((3, 7, 2))
    y = Tensor(MatMul(), (feed("a", a.shape), feed("b", b.shape)), (3, 5, 2))
    np.testing.assert_allclose(y.operation.reference(y, (a, b)), torch.bmm(torch.tensor(a), torch.tensor(b)).numpy())
