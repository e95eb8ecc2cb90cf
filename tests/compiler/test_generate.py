"""Elementwise kernels as text: each form is written once, whatever tensors it is for."""

from __future__ import annotations

import pytest

from graphdl.compiler.build import build
from graphdl.compiler.generate import ElementwiseKernels, Operands
from graphdl.compiler.program import Target
from graphdl.compiler.strided import row_major_strides
from graphdl.operators.elementwise import apply
from graphdl.operators.matmul import matmul
from graphdl.operators.structure import reshape, transpose
from graphdl.operators.tensor import Tensor, feed, read

CPU = Target("cpu", vector_width=16, compute_units=2)


def kernels(*tensors: Tensor) -> ElementwiseKernels:
    return ElementwiseKernels({t: row_major_strides(t.shape) for t in tensors}, CPU)


def test_kernels_of_one_form_have_one_text_and_tensors_of_their_own() -> None:
    parameters = [read(f"p{k}", (5, 40)) for k in range(2)]
    slopes = [feed(f"g{k}", (5, 40)) for k in range(2)]
    changed = [p - g * 0.1 for p, g in zip(parameters, slopes, strict=True)]
    writer = kernels(*parameters, *slopes, *changed)
    for k in range(2):
        operands = Operands()
        body = writer.write([changed[k]], operands)
        assert body.text == writer.write([changed[0]], Operands()).text
        assert operands.tensors == [parameters[k], slopes[k], changed[k]]
        assert operands.written == {changed[k]}
        assert operands.starts == [0, 0, 0]
        assert set(body.in_place) == {(parameters[k], changed[k]), (slopes[k], changed[k])}


def test_a_kernel_calls_its_statements() -> None:
    """PoCL compiles three times what a kernel itself contains. On a GPU a kernel may have local memory: no call."""
    y = transpose(feed("x", (5, 40)) * 2.0, (1, 0)) + 1.0
    (kernel,) = build({"y": y}, {}, CPU).kernels.values()
    called, _, body = kernel.source.partition("__kernel")
    assert f"CALLED void {kernel.name}_item(" in called
    assert body.count(";") == 1
    assert f"{{\n{kernel.name}_item(b0, o0, b1, o1" in body
    (kernel,) = build({"y": y}, {}, Target("gpu", vector_width=4, compute_units=2)).kernels.values()
    assert "CALLED void" not in kernel.source


def test_a_product_stores_whole_vectors_into_heads() -> None:
    """Columns of a product begin at multiples of the width, so a vector lies in one head of 64 columns, not of 12."""

    def stores(width: int) -> str:
        product = matmul(feed("x", (1, 96, 64)), feed("w", (1, 64, 4 * width)))
        heads = transpose(reshape(product, (96, 4, width)), (1, 0, 2))
        (kernel,) = build({"y": heads}, {}, CPU).kernels.values()
        return next(line for line in kernel.source.splitlines() if line.startswith("#define STORE_16"))

    assert "STORE_VECTOR(float, 16" in stores(64)
    assert "STORE_VECTOR" not in stores(12)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda p, q: p * -0.0 + q, id="number"),
        pytest.param(lambda p, q: p - 0.0 * q, id="operation"),
        pytest.param(lambda p, q: q * 0.0 + p, id="operands-that-change-places"),
        pytest.param(lambda p, q: p * 0.0 + p, id="one-operand-twice"),
        pytest.param(lambda p, q: transpose(transpose(p, (1, 0)) * 0.0, (1, 0)) + transpose(q, (1, 0)), id="view"),
        pytest.param(lambda p, q: apply("exp", p * 0.0 + q), id="one-more-step"),
    ],
)
def test_what_differs_is_another_form(other) -> None:
    p, q = read("p", (30, 30)), read("q", (30, 30))
    first, second = p * 0.0 + q, other(p, q)
    writer = kernels(p, q, first, second)
    here, there = Operands(), Operands()
    texts = writer.write([first], here).text, writer.write([second], there).text
    assert texts[0] != texts[1] or here.tensors[:-1] != there.tensors[:-1]
    alone = Operands()
    assert kernels(p, q, second).write([second], alone).text == texts[1]
    assert alone.tensors == there.tensors


def test_a_tensor_laid_out_otherwise_is_another_form() -> None:
    p, q = read("p", (6, 8)), read("q", (6, 8))
    first, second = apply("exp", p), apply("exp", q)
    strides = {t: row_major_strides(t.shape) for t in (p, q, first, second)} | {q: (1, 6)}
    writer = ElementwiseKernels(strides, CPU)
    assert writer.write([first], Operands()).text != writer.write([second], Operands()).text
