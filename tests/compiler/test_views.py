"""Views and fusion: every element is read where it lies, by nets that once read beside a tensor or a neighbour's."""

from __future__ import annotations

import numpy as np
import pytest

import graphdl


@pytest.mark.parametrize("shape", [(3, 4), (2, 5), (4, 3), (12, 1)])
def test_reversed_reshapes_and_scans_over_them(shape):
    rows, columns = shape
    model = graphdl.loads(
        """
        net backwards(rows, columns, half) {
            input x: [rows, columns]
            y = reverse(reshape(x, [2, half]), axis = 1)
            z = reverse(flatten(x))
            running, total = scan item in reverse(reshape(x, [half, 2]), axis = 1), sum = zeros([2]) {
                sum = sum + item
                emit sum
            }
            output y
            output z
            output running
        }
        """,
        rows=rows, columns=columns, half=rows * columns // 2,
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    got = model.predict(x=x)
    np.testing.assert_array_equal(got["y"], x.reshape(3, 2, -1)[:, :, ::-1])
    np.testing.assert_array_equal(got["z"], x.reshape(3, -1)[:, ::-1])
    np.testing.assert_allclose(got["running"], np.cumsum(x.reshape(3, -1, 2)[:, :, ::-1], 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("shape", "other"), [((3, 4), (2, 6)), ((2, 9), (6, 3))])
def test_the_gradient_of_a_reshaped_reversed_parameter(shape, other):
    model = graphdl.loads(
        f"""
        net weighted() {{
            input a: {list(other)}
            param w: {list(shape)} = normal(1)
            loss sum(a * reshape(reverse(w, axis = 1), {list(other)}))
        }}
        """
    )
    a = np.random.default_rng(0).normal(size=(4, *other)).astype(np.float32)
    _, gradients = model.gradients(a=a)
    np.testing.assert_allclose(gradients["w"], a.mean(0).reshape(shape)[:, ::-1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "mask",
    [
        "concat(reshape(concat(reshape(d * 0, [2, 1]), reshape(d, [2, 1]), axis = 1), [4]), tensor([0.0]))",
        "concat(d, tensor([0.0, 0.0, 0.0]))",
        "pad(d, [0], [3])",
    ],
)
def test_a_shifted_neighbour_is_read_from_memory(mask):
    """``b`` reads ``a`` one place before, and ``m`` at its own: it must not join the kernel that makes both."""
    model = graphdl.loads(
        f"""
        net shifted() {{
            input r: [5]
            input s: [5]
            input d: [2]
            m = {mask}
            a = m + r
            b = concat(tensor([0.0]), a[:-1]) * m + s
            output a
            output b
        }}
        """
    )
    r, s = np.arange(5, dtype=np.float32)[None], np.arange(5, dtype=np.float32)[None] * 10
    got = model.predict(r=r, s=s, d=np.ones((1, 2), np.float32))
    m = np.array([[0, 1, 0, 1, 0]]) if "axis" in mask else np.array([[1, 1, 0, 0, 0]])
    np.testing.assert_array_equal(got["a"], m + r)
    np.testing.assert_array_equal(got["b"], np.concatenate([[[0]], got["a"][:, :-1]], 1) * m + s)
