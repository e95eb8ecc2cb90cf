"""What a hand-written kernel reads of which tensor: strides through views, stretches of memory, layouts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphdl.compiler.assembly import Assembled
from graphdl.compiler.prepare import prepare
from graphdl.compiler.program import Target
from graphdl.compiler.strided import (
    contiguous_base,
    fixed_operands,
    memory_operands,
    operand_layouts,
    permuted_strides,
    row_major_strides,
    stays_row_major,
    strided_base,
    strides_from,
)
from graphdl.operators.convolution import Geometry, convolution
from graphdl.operators.elementwise import apply
from graphdl.operators.matmul import matmul
from graphdl.operators.structure import broadcast_to, concat, pad, reshape, slice_, transpose
from graphdl.operators.tensor import Template, Tensor, constant, feed, topological

CPU = Target("cpu", vector_width=8, compute_units=2)
X = feed("x", (4, 6, 8))
IMAGE = apply("exp", feed("image", (2, 3, 4, 5)))


@given(st.permutations(range(4)), st.tuples(*[st.integers(1, 5)] * 4))
def test_strides_are_numpys(order: list[int], shape: tuple[int, ...]) -> None:
    array = np.zeros([shape[a] for a in order], np.float32).transpose(np.argsort(order))
    assert array.shape == shape
    numpys = tuple(stride // 4 for stride in array.strides)
    ours = permuted_strides(shape, order)
    assert all(a == b for a, b, n in zip(ours, numpys, shape, strict=True) if n > 1)
    if list(order) == [0, 1, 2, 3]:
        assert ours == row_major_strides(shape)


VIEWS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[np.ndarray], np.ndarray] | None]] = {
    "itself": (lambda x: x, lambda a: a),
    "transposed": (lambda x: transpose(x, (2, 0, 1)), lambda a: a.transpose(2, 0, 1)),
    "sliced": (lambda x: slice_(x, (1, 5, 0), (2, -2, 3), (2, 3, 3)), lambda a: a[1::2, 5::-2, ::3]),
    "regrouped": (lambda x: reshape(x, (24, 8)), lambda a: a.reshape(24, 8)),
    "split": (lambda x: reshape(x, (4, 6, 2, 4)), lambda a: a.reshape(4, 6, 2, 4)),
    "broadcast": (lambda x: broadcast_to(slice_(x, (0, 2, 0), (1, 1, 1), (4, 1, 8)), (4, 5, 8)),
                  lambda a: np.broadcast_to(a[:, 2:3], (4, 5, 8))),
    "a column as a row": (lambda x: reshape(slice_(x, (0, 0, 3), (1, 1, 1), (1, 6, 1)), (6,)), lambda a: a[0, :, 3]),
    "padded": (lambda x: pad(x, (0, 0, 1), (0, 0, 0)), None),
    "rows of a slice as one": (lambda x: reshape(slice_(x, (0, 0, 0), (1, 1, 1), (4, 6, 5)), (4, 30)), None),
    "joined": (lambda x: concat([x, x], 0), None),
}  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
def test_an_even_view_is_read_as_numpy_reads_it(name: str) -> None:
    make, expected = VIEWS[name]
    array = np.arange(4 * 6 * 8, dtype=np.float32).reshape(4, 6, 8)
    operand = strides_from(make(X), X, row_major_strides(X.shape))
    if expected is None:
        assert operand is None
        assert strided_base(make(X)) is not X
        return
    assert operand is not None
    assert strided_base(make(X)) is X
    view = expected(array)
    read = np.lib.stride_tricks.as_strided(
        array.reshape(-1)[operand.offset :], view.shape, [4 * stride for stride in operand.strides]
    )
    np.testing.assert_array_equal(read, view)


def test_a_view_is_read_from_as_far_back_as_it_is_even() -> None:
    """Beyond the pad there is no single stride, so the padded tensor has to be stored."""
    padded = pad(X, (0, 0, 1), (0, 0, 0))
    assert strided_base(transpose(padded, (1, 0, 2))) is padded
    assert strided_base(padded) is padded


def test_an_image_may_lie_either_way_unless_it_comes_from_outside() -> None:
    """A view that is even row-major and uneven channels last needs a copy of its own."""
    rows = reshape(IMAGE, (2, 3, 20))
    assert strided_base(rows) is IMAGE, "rows and columns are neighbours in both layouts"
    flat = reshape(IMAGE, (2, 60))
    assert strided_base(flat) is flat
    outside = reshape(feed("image", (2, 3, 4, 5)), (2, 60))
    assert strided_base(outside) is outside.inputs[0]


@pytest.mark.parametrize(
    ("make", "start"),
    [
        (lambda x: slice_(x, (2, 0, 0), (1, 1, 1), (2, 6, 8)), 96),
        (lambda x: reshape(slice_(x, (1, 3, 0), (1, 1, 1), (1, 2, 8)), (16,)), 72),
        (lambda x: reshape(x, (192,)), 0),
        (lambda x: slice_(x, (3, 5, 2), (1, 1, 1), (1, 1, 3)), 186),
    ],
)
def test_a_stretch_of_memory(make: Callable[[Tensor], Tensor], start: int) -> None:
    assert contiguous_base(make(X)) == (X, start)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: transpose(x, (1, 0, 2)),
        lambda x: slice_(x, (0, 0, 0), (1, 1, 1), (4, 6, 4)),
        lambda x: slice_(x, (0, 0, 0), (2, 1, 1), (2, 6, 8)),
        lambda x: pad(x, (1, 0, 0), (0, 0, 0)),
    ],
)
def test_what_is_no_stretch_lies_by_itself(make: Callable[[Tensor], Tensor]) -> None:
    view = make(X)
    assert contiguous_base(view) == (view, 0)


def test_a_stretch_begins_in_what_stays_row_major() -> None:
    part = slice_(IMAGE, (1, 0, 0, 0), (1, 1, 1, 1), (1, 3, 4, 5))
    assert contiguous_base(part) == (part, 0), "an image may lie channels last"
    assert [stays_row_major(x) for x in (X, IMAGE, feed("image", (2, 3, 4, 5)), constant(1.0))] == [
        True, False, True, False,
    ]  # fmt: skip


def prepared(y: Tensor) -> Tensor:
    (made,) = prepare({"y": y}, CPU).values()
    (kernel,) = (
        t for t in topological([made]) if isinstance(t.operation, Template) and t.operation.name != "pack_filters"
    )
    return kernel


def test_a_product_reads_through_views() -> None:
    a, b = feed("a", (3, 7, 8)), feed("b", (3, 5, 8))
    kernel = prepared(matmul(a, transpose(b, (0, 2, 1))))
    assert operand_layouts(kernel) == ("strided", "strided")
    assert memory_operands(kernel) == [a, b]
    assert fixed_operands([kernel]) == set()


def test_a_convolution_reads_its_operands_as_they_are() -> None:
    x, w = apply("exp", feed("x", (2, 3, 6, 6))), feed("w", (4, 3, 3, 3))
    kernel = prepared(convolution(x, w, Geometry((1, 1), (1, 1), 1)))
    assert operand_layouts(kernel) == ("channels_last", "row_major")
    assert memory_operands(kernel)[0] is kernel.inputs[0]
    assert fixed_operands([kernel]) == set(kernel.inputs)
    assert fixed_operands([x, w]) == set()


def test_pieces_of_a_whole_lie_as_it_does() -> None:
    parts = (feed("a", (2, 3)), apply("exp", feed("b", (1, 3))))
    whole = Tensor(Assembled(0, ((2, 3), (1, 3))), parts, (3, 3))
    assert operand_layouts(whole) == ["row_major", "row_major"]
    assert memory_operands(whole) == list(parts)
    assert fixed_operands([whole]) == set()
