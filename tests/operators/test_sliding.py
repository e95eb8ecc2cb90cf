"""Windows over images: how many there are, and where pads go, against PyTorch and the rules of other frameworks."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from graphdl.graph.types import TensorType
from graphdl.operators import PRIMITIVES, OperatorError
from graphdl.operators.sliding import padding, sliding


def counts(extents: tuple[int, ...], kernel: tuple[int, ...], *, ceil: bool = False, **settings: Any) -> list[int]:
    attributes = {"stride": 1, "pad": 0, "dilation": 1, **settings}
    return list(sliding(TensorType((3, *extents)), kernel, attributes, ceil=ceil).counts)


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "dilation"), [(2, 2, 0, 1), (3, 2, 1, 1), (3, 5, 1, 2), (4, 3, 2, 1)]
)
def test_counts_are_those_of_pytorch(kernel: int, stride: int, pad: int, dilation: int, ceil: bool) -> None:
    for n in range(2 * kernel, 19):
        pool = torch.nn.MaxPool1d(kernel, stride, pad, dilation, ceil_mode=ceil)
        want = pool(torch.zeros(1, 1, n)).shape[-1]
        assert counts((n,), (kernel,), stride=stride, pad=pad, dilation=dilation, ceil=ceil) == [want], n


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("reach", [1, 2, 3, 4])
def test_same_gives_a_window_for_each_stride_and_puts_an_odd_pad_behind_or_before(stride: int, reach: int) -> None:
    for n in range(1, 12):
        assert counts((n,), (reach,), stride=stride, pad="same") == [-(-n // stride)]
        before, after = padding("same", (n,), (reach,), (stride,))
        assert after[0] - before[0] in (0, 1)
        assert padding("same_lower", (n,), (reach,), (stride,)) == (after, before)


def test_pads_of_every_form() -> None:
    def pads(pad: Any) -> Any:
        return padding(pad, (9, 9), (3, 3), (1, 1))

    assert pads(1) == ((1, 1), (1, 1))
    assert pads([1, 2]) == ((1, 2), (1, 2))
    assert pads([[1, 0], [2, 3]]) == ((1, 2), (0, 3))
    assert pads("valid") == ((0, 0), (0, 0))
    for wrong, code in (("sane", "E0306"), ([1], "E0303"), ([[1, 0], 2], "E0301"), (-1, "E0304"), (0.5, "E0301")):
        with pytest.raises(OperatorError) as refused:
            pads(wrong)
        assert refused.value.code == code, wrong


@pytest.mark.parametrize(
    ("pad", "refused"), [([[0, 2], [0, 0]], False), ([[3, 0], [0, 0]], True), ([[0, 0], [0, 3]], True), (1, False)]
)
def test_a_window_of_a_pooling_holds_a_pixel(pad: Any, refused: bool) -> None:
    settings = {"kernel": 3, "stride": 1, "pad": pad, "dilation": 1, "ceil": False}
    if refused:
        with pytest.raises(OperatorError, match="all pad"):
            PRIMITIVES["max_window"].infer([TensorType((2, 7, 7))], settings)
    else:
        PRIMITIVES["max_window"].infer([TensorType((2, 7, 7))], settings)
