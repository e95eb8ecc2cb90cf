"""The reverse pass: sums over paths, what it leaves out, and that it can be reversed again."""

from __future__ import annotations

import numpy as np
import pytest

from graphdl.compiler.build import build
from graphdl.compiler.reverse import gradients
from graphdl.operators.elementwise import apply, stop_gradient
from graphdl.operators.matmul import matmul
from graphdl.operators.reduction import reduce
from graphdl.operators.tensor import Tensor, feed
from graphdl.runtime.executor import Executor
from graphdl.runtime.opencl import Device
from graphdl.runtime.variables import VariableStore


def run(tensor: Tensor, feeds: dict[str, np.ndarray], device: Device) -> np.ndarray:
    program = build({"y": tensor}, {}, device.target)
    executor = Executor(program, device, VariableStore(device))
    executor.run({name: feeds[name] for name in program.feeds})
    return executor.fetch("y")


def total(x: Tensor) -> Tensor:
    return reduce("sum", x, range(x.rank), keep=False)


X = np.linspace(-1.5, 2.0, 33, dtype=np.float32)


def test_gradients_of_all_paths_are_summed(device: Device) -> None:
    x = feed("x", (33,))
    shared = apply("tanh", x)
    left, right = shared * 3.0, shared * shared
    (g,) = gradients(total(left + right * x), [x])
    t = np.tanh(X.astype(np.float64))
    slope = (3 + 2 * t * X) * (1 - t * t) + t * t
    np.testing.assert_allclose(run(g, {"x": X}, device), slope, rtol=1e-5)


def test_stop_gradient_cuts_one_path_only(device: Device) -> None:
    x = feed("x", (33,))
    (g,) = gradients(total(x * stop_gradient(x * x)), [x])
    np.testing.assert_allclose(run(g, {"x": X}, device), X**2, rtol=1e-6)


def test_what_the_loss_does_not_need_gets_zeros(device: Device) -> None:
    x, other = feed("x", (33,)), feed("other", (4, 5))
    gx, g_other = gradients(total(x * x), [x, other])
    np.testing.assert_allclose(run(gx, {"x": X}, device), 2 * X, rtol=1e-6)
    np.testing.assert_array_equal(run(g_other, {}, device), np.zeros((4, 5)))


def test_only_wanted_paths_are_built() -> None:
    x, y = feed("x", (33,)), feed("y", (33,))
    (g,) = gradients(total(x * apply("sin", y)), [x])
    from graphdl.operators.tensor import topological

    assert all(t.operation.name != "cos" for t in topological([g]))


def test_the_reverse_pass_is_differentiable(device: Device) -> None:
    x = feed("x", (33,))
    (first,) = gradients(total(x * x * x), [x])
    (second,) = gradients(total(first * first), [x])  # d (3x²)² = 36 x³
    np.testing.assert_allclose(run(second, {"x": X}, device), 36 * X.astype(np.float64) ** 3, rtol=1e-5, atol=1e-5)


def test_second_derivative_through_a_matrix_product(device: Device) -> None:
    generator = np.random.default_rng(0)
    a, w = (generator.normal(size=s).astype(np.float32) for s in ((5, 7), (7, 3)))
    wt = feed("w", w.shape)
    y = matmul(feed("a", a.shape), wt)
    (g,) = gradients(total(y * y * y), [wt])
    (second,) = gradients(total(g * g), [wt])
    import torch

    t = torch.tensor(w, dtype=torch.float64, requires_grad=True)
    out = (torch.tensor(a).double() @ t) ** 3
    (tg,) = torch.autograd.grad(out.sum(), t, create_graph=True)
    (want,) = torch.autograd.grad((tg * tg).sum(), t)
    np.testing.assert_allclose(run(second, {"a": a, "w": w}, device), want.numpy(), rtol=1e-4)


def test_only_a_scalar_has_gradients() -> None:
    x = feed("x", (33,))
    with pytest.raises(ValueError, match="scalar"):
        gradients(x * 2.0, [x])
