"""Kernel families: the forms that they offer fit the target, and the launch of each covers its problem."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import ceil, log2, prod
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphdl.compiler.program import Target, Tuning
from graphdl.operators.convolution import Geometry, convolution
from graphdl.operators.kernels.convolution import CONVOLUTION, INPUT_GRADIENT
from graphdl.operators.kernels.depthwise import DEPTHWISE, DEPTHWISE_INPUT, DEPTHWISE_WEIGHT
from graphdl.operators.kernels.family import Family, Operand, Planner, Prepared, copy, predicted
from graphdl.operators.kernels.geometry import UNPADDED, ConvolutionProblem, cut_off, zeros_around
from graphdl.operators.kernels.matmul import MATMUL, MatrixProduct
from graphdl.operators.kernels.packing import FILTER_PACKING, Packing
from graphdl.operators.kernels.prefix_sum import PREFIX_SUMS, Sums, prefix_sum
from graphdl.operators.kernels.row_product import MOST_ROWS, ROW_PRODUCT, RowProduct, Streams
from graphdl.operators.kernels.segment_sum import MOST_COMPARED, SEGMENT_SUM, Segments
from graphdl.operators.kernels.sorting import MERGED_RUNS, SORTED_BLOCKS, Rows, Runs, argsort
from graphdl.operators.kernels.template import (
    GroupTile,
    RegisterTile,
    TemplateCall,
    ceil_div,
    group_tile,
    lanes_of,
    register_tiles,
    registers_of,
    step_cycles,
    tiled_product,
)
from graphdl.operators.kernels.weight_gradient import WEIGHT_GRADIENT
from graphdl.operators.kernels.winograd import OUTPUTS, WINOGRAD, WINOGRAD_FILTERS, winograd_problem
from graphdl.operators.kernels.winograd_steps import (
    STEP_DATA,
    STEP_FILTERS,
    STEP_GRADIENT,
    STEP_OUTPUTS,
    STEP_WEIGHTS,
    Steps,
    in_steps,
    steps_of,
)
from graphdl.operators.kernels.winograd_weights import WINOGRAD_WEIGHTS
from graphdl.operators.matmul import matmul
from graphdl.operators.structure import pad, pad_to, slice_
from graphdl.operators.tensor import Tensor, feed, topological

TARGETS = {
    "cpu": Target("cpu", vector_width=16, compute_units=2),
    "narrow cpu": Target("cpu", vector_width=4, compute_units=7, local_memory=4096),
    "gpu": Target("gpu", vector_width=4, compute_units=8),
    "small gpu": Target("gpu", vector_width=1, compute_units=1, max_work_group=16, local_memory=1024),
}
targets = st.sampled_from(sorted(TARGETS)).map(TARGETS.__getitem__)
few = settings(max_examples=60, deadline=None)


def check_call(family: Family[Any, Any], call: TemplateCall, target: Target) -> None:
    """What every launch has to keep, whatever it computes."""
    assert len(call.global_size) == len(call.local_size)
    assert all(g > 0 and g % n == 0 for g, n in zip(call.global_size, call.local_size, strict=True))
    assert prod(call.local_size) <= target.max_work_group
    assert len(call.operands) == len(family.operand_layouts)
    assert all(isinstance(value, int) for value in call.defines.values())
    assert "__kernel" in call.text()
    if "tile.cl" in call.prelude:  # a kernel for CPUs calls its statements, so that PoCL compiles them once
        assert call.text().count("\nITEM_KERNEL\n{\n    KERNEL_PROLOGUE\n") == 1
        assert "get_global_id" not in call.text().split("ITEM_KERNEL\n{")[1]


# --------------------------------------------------------------------------------------------------------- geometry


@st.composite
def problems(draw: st.DrawFn, depthwise: bool = False) -> ConvolutionProblem:
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    sizes, padding = [], []
    for taps, step in zip(kernel, dilation, strict=True):
        before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        reach = (taps - 1) * step + 1
        sizes.append(max(reach, before + after + 1) + draw(st.integers(0, 9)))
        padding.append((before, after))
    groups = draw(st.integers(1, 3))
    channels, filters = groups * draw(st.integers(1, 20)), groups * draw(st.integers(1, 20))
    if depthwise:
        groups = filters = channels
    return ConvolutionProblem(
        draw(st.integers(1, 4)), channels, *sizes, filters, kernel, stride, dilation, groups, (padding[0], padding[1])
    )  # fmt: skip


@given(problems())
@few
def test_the_output_has_pytorchs_size(problem: ConvolutionProblem) -> None:
    x = torch.zeros(problem.batch, problem.channels, problem.height, problem.width)
    w = torch.zeros(problem.filters, problem.group_channels, *problem.kernel)
    y = torch.nn.functional.conv2d(x, w, None, problem.stride, 0, problem.dilation, problem.groups)
    assert tuple(y.shape[2:]) == problem.output
    assert problem.flops == 2 * y.numel() * w[0].numel()
    assert problem.taps == w[0, 0].numel()
    assert (problem.defines["OUT_HEIGHT"], problem.defines["OUT_WIDTH"]) == problem.output


@given(problems(), targets)
@few
def test_zeros_around_a_gradient_hold_all_that_a_tap_can_meet(problem: ConvolutionProblem, target: Target) -> None:
    """Input row r (with the padding) met tap t where it made output row (r - t·dilation) / stride."""
    around = INPUT_GRADIENT.gradient_padding(problem, target)
    if target.kind == "gpu":
        assert around == UNPADDED
        return
    for axis in range(2):
        (before, after), (top, _) = around[axis], problem.padding[axis]
        stride, dilation, extent = problem.stride[axis], problem.dilation[axis], problem.inner[axis]
        met = [
            (r + top - t * dilation) // stride
            for r in range(extent)
            for t in range(problem.kernel[axis])
            if (r + top - t * dilation) % stride == 0
        ]
        assert all(-before <= row < problem.output[axis] + after for row in met)


def image(*shape: int) -> Tensor:
    return feed("x", shape)


@pytest.mark.parametrize(
    ("x", "padding"),
    [
        (pad(image(2, 3, 5, 6), (0, 0, 1, 2), (0, 0, 3, 0)), ((1, 3), (2, 0))),
        (pad(image(2, 3, 5, 6), (0, 0, 0, 1), (0, 0, 0, 1)), ((0, 0), (1, 1))),
        (pad(image(2, 3, 5, 6), (0, 0, 1, 1), (0, 0, 1, 1), 1.0), UNPADDED),
        (pad(image(2, 3, 5, 6), (0, 1, 1, 1), (0, 0, 1, 1)), UNPADDED),
        (pad(image(2, 3, 5, 6), (0, 0, 1, 1), (1, 0, 1, 1)), UNPADDED),
        (pad_to(image(2, 3, 5, 6), (2, 3, 11, 8), (0, 0, 1, 1), (1, 1, 2, 1)), UNPADDED),
        (image(2, 3, 5, 6), UNPADDED),
    ],
)
def test_zeros_that_are_known_around_an_image(x: Tensor, padding: Any) -> None:
    assert zeros_around(x) == padding


def sliced(starts: tuple[int, ...], shape: tuple[int, ...], steps: tuple[int, ...] = (1, 1, 1, 1)) -> Tensor:
    return slice_(image(2, 3, 5, 6), starts, steps, shape)


@pytest.mark.parametrize(
    ("view", "padding"),
    [
        (sliced((0, 0, 1, 2), (2, 3, 3, 4)), ((1, 1), (2, 0))),
        (sliced((0, 0, 0, 1), (2, 3, 5, 2)), ((0, 0), (1, 3))),
        (sliced((0, 1, 1, 1), (2, 2, 3, 3)), None),
        (sliced((0, 0, 1, 1), (1, 3, 3, 3)), None),
        (sliced((0, 0, 0, 0), (2, 3, 3, 3), (1, 1, 2, 1)), None),
        (sliced((0, 0, 4, 0), (2, 3, 5, 6), (1, 1, -1, 1)), None),
        (pad(image(2, 3, 5, 6), (0, 0, 1, 1), (0, 0, 1, 1)), None),
    ],
)
def test_what_a_slice_cuts_off(view: Tensor, padding: Any) -> None:
    assert cut_off(view) == padding


# ------------------------------------------------------------------------------------------------------------- tiles


@pytest.mark.parametrize(
    ("width", "lanes", "registers"), [(16, 16, 32), (32, 16, 32), (8, 8, 16), (4, 4, 16), (1, 4, 16)]
)
def test_vectors_and_registers(width: int, lanes: int, registers: int) -> None:
    target = Target("cpu", width, 2)
    assert (lanes_of(target), registers_of(target)) == (lanes, registers)


@given(targets, st.integers(1, 40), st.integers(1, 10))
@few
def test_tiles_fit_the_registers(target: Target, rows: int, vectors: int) -> None:
    tiles = register_tiles(target, rows, vectors)
    assert RegisterTile(1, 1) in tiles
    assert len(tiles) == len(set(tiles))
    for tile in tiles:
        assert 1 <= tile.rows <= rows
        assert 1 <= tile.vectors <= min(vectors, 6)
        assert tile.rows * tile.vectors + tile.vectors + 1 <= registers_of(target)
    largest = max(tile.rows * tile.vectors for tile in tiles)
    assert any(tile.rows * tile.vectors == largest for tile in tiles)


def test_a_step_takes_as_long_as_its_scarcest_port() -> None:
    tuning = Tuning(multiply_ports=2, load_ports=2, multiply_latency=4)
    target = Target("cpu", 16, 2, tuning=tuning)
    assert step_cycles(RegisterTile(14, 2), target) == 14.5, "28 products on two ports"
    assert step_cycles(RegisterTile(12, 1), target) == 7.0, "13 loads on two ports"
    assert step_cycles(RegisterTile(1, 1), target) == 4.5, "the result of the step before is waited for"


@pytest.mark.parametrize(("group", "side"), [(1024, 16), (256, 16), (255, 8), (64, 8), (63, 4), (16, 4), (15, 1)])
def test_the_tile_of_a_group_is_as_large_as_it_may_be(group: int, side: int) -> None:
    tile = group_tile(Target("gpu", 4, 8, max_work_group=group))
    assert tile == GroupTile(side, 4)
    assert tile.extent == 4 * side
    assert tile.side**2 <= group


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 5), st.integers(1, 4), st.sampled_from([1, 8, 16]))
@few
def test_groups_cover_a_product(rows: int, columns: int, layers: int, splits: int, side: int) -> None:
    tile = GroupTile(side, 4)
    call = tiled_product(
        tile, 0, rows=rows, columns=columns, steps=7, layers=layers, splits=splits, operands=("A", "B"), defines={}
    )
    across, down = (size // side * tile.extent for size in call.global_size[:2])
    assert columns <= across < columns + tile.extent
    assert rows <= down < rows + tile.extent
    assert call.global_size[2] == call.defines["LAYERS"] == layers * splits
    assert call.flops == 2 * layers * rows * columns * 7


@pytest.mark.parametrize(("a", "b", "answer"), [(0, 3, 0), (1, 3, 1), (3, 3, 1), (4, 3, 2), (10**12 + 1, 10**12, 2)])
def test_division_upwards(a: int, b: int, answer: int) -> None:
    assert ceil_div(a, b) == answer


# ----------------------------------------------------------------------------------------- products and convolutions


@given(st.integers(1, 3), st.integers(1, 70), st.integers(1, 70), st.integers(1, 300), targets)
@few
def test_a_product_is_covered(batch: int, m: int, n: int, k: int, target: Target) -> None:
    problem = MatrixProduct(batch, m, n, k)
    operands = (Operand(0, (m * k, k, 1)), Operand(0, (k * n, n, 1)))
    for candidate in MATMUL.candidates(problem, target):
        call = MATMUL.call(problem, candidate, target, operands)
        check_call(MATMUL, call, target)
        assert call.flops == problem.flops == 2 * batch * m * n * k
        if isinstance(candidate, RegisterTile):
            d = call.defines
            assert d["BLOCKS"] * d["ROWS"] * (call.global_size[0] // d["SPANS"]) >= m
            assert d["SPANS"] * d["SPAN"] * d["VECTORS"] * d["LANES"] >= n
            assert 1 <= d["DEPTH"] <= k
            assert call.global_size[1] == batch


@given(st.integers(1, 3), st.integers(1, MOST_ROWS), st.integers(1, 5000), st.integers(1, 3000), targets, st.booleans())
@few
def test_a_product_of_few_rows_is_covered(batch: int, m: int, n: int, k: int, target: Target, swapped: bool) -> None:
    problem = RowProduct(batch, m, n, k)
    operands = (Operand(0, (m * k, k, 1)), Operand(0, (k * n, 1, k) if swapped else (k * n, n, 1)))
    for candidate in ROW_PRODUCT.candidates(problem, target):
        call = ROW_PRODUCT.call(problem, candidate, target, operands)
        check_call(ROW_PRODUCT, call, target)
        d = call.defines
        assert call.flops == problem.flops == 2 * batch * m * n * k
        assert d["PART"] * d["SPLITS"] >= k
        assert call.global_size[-1] == batch * candidate.splits
        if isinstance(candidate, Streams):
            assert d["SPAN"] % d["LANES"] == d["DEPTH"] % d["LANES"] == 0
            assert call.global_size[0] * d["SPAN"] >= n
            assert m * d["SPAN"] <= target.tuning.private_floats
            assert d["ADJACENT"] or d["STEPS"] <= d["LANES"]
        else:
            line = candidate.across if d["ADJACENT"] else candidate.down
            assert call.global_size[0] // candidate.across * line >= n
            assert 4 * m * candidate.across * candidate.down <= target.local_memory


@pytest.mark.parametrize(("rows", "name"), [(1, "matmul_rows"), (MOST_ROWS, "matmul_rows"), (MOST_ROWS + 1, "matmul")])
@pytest.mark.parametrize("target", TARGETS)
def test_products_of_few_rows_have_their_own_kernel(target: str, rows: int, name: str) -> None:
    a, b = feed("a", (1, rows, 50)), feed("b", (1, 50, 70))
    made = MATMUL.prepare(matmul(a, b), (a, b), Planner(TARGETS[target]))
    assert made.operation.name == name


@pytest.mark.parametrize(
    ("n", "k", "units", "splits"),
    [(4096, 4096, 2, 1), (64, 4096, 2, 1), (64, 65536, 2, 2), (64, 65536, 64, 16), (4096, 4096, 64, 4)],
)
def test_a_sum_has_parts_where_columns_are_too_few_for_all_cores(n: int, k: int, units: int, splits: int) -> None:
    target = Target("cpu", vector_width=8, compute_units=units)
    assert predicted(ROW_PRODUCT, RowProduct(1, 1, n, k), target).splits == splits


@given(problems(), targets, st.sampled_from([CONVOLUTION, INPUT_GRADIENT]))
@settings(max_examples=40, deadline=None)
def test_a_convolution_is_covered(problem: ConvolutionProblem, target: Target, family: Any) -> None:
    candidates = family.candidates(problem, target)
    assert candidates
    for candidate in candidates[:: max(1, len(candidates) // 6)]:
        if isinstance(candidate, Steps):  # see below
            continue
        call = family.call(problem, candidate, target)
        check_call(family, call, target)
        packing = family.packing(problem, candidate, target)
        if target.kind == "gpu":
            assert packing is None
            continue
        d = call.defines
        images, rows, columns = candidate.box
        assert images * rows * columns == candidate.registers.rows
        boxes = ceil_div(problem.batch, images) * ceil_div(d["GRID_HEIGHT"], rows)
        assert call.global_size[0] * d["ROWS_PER_ITEM"] >= boxes
        assert d["PANELS"] * d["VECTORS"] * d["LANES"] >= d["COLUMNS"]
        height, width = problem.inner if family is INPUT_GRADIENT else problem.output
        assert d["GRID_HEIGHT"] * d["PHASES_Y"] >= height
        assert d["GRID_WIDTH"] * d["PHASES_X"] >= width
        needed = problem.filters * problem.group_channels * problem.taps
        assert needed <= packing.size < needed * (1 + packing.panel)
        assert packing.panel == d["VECTORS"] * d["LANES"]


@given(st.integers(1, 3), st.integers(1, 90), st.integers(1, 300), st.integers(1, 49), st.integers(1, 4), targets)
@few
def test_packed_filters_have_room_for_all(
    groups: int, columns: int, rows: int, taps: int, vectors: int, target: Target
) -> None:
    packing = Packing(lanes_of(target), vectors, groups, columns, rows, taps, (1, columns), False)
    assert packing.panels * packing.panel >= columns > (packing.panels - 1) * packing.panel
    assert packing.size == groups * packing.panels * packing.panel * rows * taps
    call = FILTER_PACKING.call(packing, None, target)
    check_call(FILTER_PACKING, call, replace(target, max_work_group=1))
    assert call.global_size[1] * call.sizes["ROWS_PER_ITEM"] >= rows
    assert call.global_size[0] * lanes_of(target) == packing.panel
    assert call.global_size[2] == packing.panels * groups
    assert call.sizes["FLOATS"] == groups * columns * rows * taps


@given(problems(), targets, st.booleans(), st.sampled_from(OUTPUTS))
@few
def test_winograds_method_is_covered(problem: ConvolutionProblem, target: Target, gradient: bool, outputs: int) -> None:
    plain = replace(
        problem, kernel=(3, 3), stride=(1, 1), dilation=(1, 1), groups=1, height=problem.height + 4,
        width=problem.width + 4,
    )  # fmt: skip
    found = winograd_problem(plain, gradient=gradient, outputs=outputs)
    if target.kind == "gpu":
        return
    assert found is not None
    size = plain.inner if gradient else plain.output
    assert found.output == size
    tiles = problem.batch * ceil(size[0] / outputs) * ceil(size[1] / outputs)
    positions = (outputs + 2) ** 2
    for candidate in WINOGRAD.candidates(found, target):
        call = WINOGRAD.call(found, candidate, target)
        check_call(WINOGRAD, call, target)
        d = call.defines
        assert d["BLOCK"] % d["ROWS"] == 0
        assert call.global_size[0] * d["BLOCK"] >= tiles > (call.global_size[0] - 1) * d["BLOCK"]
        assert call.global_size[1] * d["SPAN"] >= d["PANELS"] > (call.global_size[1] - 1) * d["SPAN"]
        assert d["CHUNK"] == d["CHANNELS"] or d["CHUNK"] % d["LANES"] == 0
        assert d["OUTPUTS"] == outputs
        assert positions * d["BLOCK"] * (d["CHUNK"] + d["SPAN"] * d["VECTORS"] * d["LANES"]) <= max(
            4 * target.tuning.private_floats, positions * d["ROWS"] * (d["CHUNK"] + d["VECTORS"] * d["LANES"])
        )
        filters = WINOGRAD.filters(found, candidate, target)
        packing = WINOGRAD_FILTERS.call(filters, None, target)
        check_call(WINOGRAD_FILTERS, packing, target)
        assert packing.global_size[0] == d["PANELS"]
        assert packing.global_size[1] * packing.defines["ROWS_PER_ITEM"] >= d["CHANNELS"]
        assert filters.size == positions * d["POSITION_STEP"] >= positions * found.columns * found.channels


@given(problems(), targets)
@few
def test_winograds_method_covers_the_filters(problem: ConvolutionProblem, target: Target) -> None:
    plain = replace(
        problem, kernel=(3, 3), stride=(1, 1), dilation=(1, 1), groups=1, height=problem.height + 4,
        width=problem.width + 4,
    )  # fmt: skip
    if target.kind == "gpu":
        return
    for candidate in WINOGRAD_WEIGHTS.candidates(plain, target):
        outputs = candidate.outputs
        tiles = plain.batch * ceil(plain.output[0] / outputs) * ceil(plain.output[1] / outputs)
        call = WINOGRAD_WEIGHTS.call(plain, candidate, target)
        check_call(WINOGRAD_WEIGHTS, call, target)
        d = call.defines
        assert d["CHANNELS_EACH"] % d["ROWS"] == d["FILTERS_EACH"] % (d["VECTORS"] * d["LANES"]) == 0
        assert call.global_size[0] == 1 or d["CHANNELS_EACH"] % d["LANES"] == 0
        assert (
            call.global_size[0] * d["CHANNELS_EACH"] >= d["CHANNELS"] > (call.global_size[0] - 1) * d["CHANNELS_EACH"]
        )
        assert call.global_size[1] * d["FILTERS_EACH"] >= d["COLUMNS"] > (call.global_size[1] - 1) * d["FILTERS_EACH"]
        assert call.global_size[2] == d["SPLITS"] == candidate.splits <= tiles


@given(
    problems(), st.sampled_from(["gpu", "small gpu"]), st.sampled_from([CONVOLUTION, INPUT_GRADIENT, WEIGHT_GRADIENT])
)
@few
def test_winograds_method_in_steps_is_covered(problem: ConvolutionProblem, name: str, family: Any) -> None:
    plain, target = replace(problem, kernel=(3, 3), stride=(1, 1), dilation=(1, 1), groups=1), TARGETS[name]
    plain = replace(plain, height=problem.height + 4, width=problem.width + 4)
    assert family.candidates(problem, target) == [group_tile(target), *steps_of(problem, target)]
    forms = steps_of(plain, target)
    assert [form.outputs for form in forms] == list(OUTPUTS)
    for form in forms:
        assert family.cycles(plain, form, target) > 0
        transformed = in_steps(plain, form, gradient=family is INPUT_GRADIENT)
        last = STEP_WEIGHTS if family is WEIGHT_GRADIENT else STEP_OUTPUTS
        assert family.call(plain, form, target) == last.call(transformed, None, target)
        for step in (STEP_DATA, STEP_FILTERS, STEP_OUTPUTS, STEP_GRADIENT, STEP_WEIGHTS):
            call = step.call(transformed, None, target)
            check_call(step, call, target)
            items = call.sizes["OUTER"] * call.sizes["INNER"]
            assert items <= call.global_size[0] < items + target.tuning.group_items
            if "HEIGHT" in call.sizes:
                assert call.sizes["OUTER"] == plain.batch * call.sizes["TILES_Y"] * call.sizes["TILES_X"]
                assert call.sizes["TILES_Y"] * form.outputs >= transformed.output[0]


@given(problems(), st.booleans())
@few
def test_winograds_method_is_for_three_by_three_taps(problem: ConvolutionProblem, gradient: bool) -> None:
    plain = problem.kernel == (3, 3) and problem.stride == problem.dilation == (1, 1) and problem.groups == 1
    for outputs in OUTPUTS:
        assert (winograd_problem(problem, gradient=gradient, outputs=outputs) is not None) == plain


@pytest.mark.parametrize("sizes", [(20, 12, 50, 5), (256, 56, 64, 1), (16, 32, 32, 5)], ids=str)
def test_loads_are_counted_in_the_choice_for_weight_gradients(sizes: tuple[int, int, int, int]) -> None:
    """Tiles of one vector compute fewer rows in excess, but a step of theirs has as many loads as products."""
    channels, size, filters, taps = sizes
    problem = ConvolutionProblem(4, channels, size, size, filters, (taps, taps), (1, 1), (1, 1), 1)
    assert predicted(WEIGHT_GRADIENT, problem, Target("cpu", vector_width=8, compute_units=2)).vectors == 2


@given(problems(depthwise=True), targets, st.sampled_from([DEPTHWISE, DEPTHWISE_INPUT]))
@few
def test_a_depthwise_convolution_is_covered(problem: ConvolutionProblem, target: Target, family: Any) -> None:
    height, width = problem.inner if family is DEPTHWISE_INPUT else problem.output
    candidates = list(family.candidates(problem, target))
    assert candidates == sorted(set(candidates), reverse=True)
    assert candidates[-1] == 1
    for candidate in candidates:
        call = family.call(problem, candidate, target)
        check_call(family, call, target)
        rows, d = problem.batch * height, call.defines
        assert (d["OUT_HEIGHT"], d["OUT_WIDTH"]) == (height, width)
        if target.kind == "gpu":
            assert call.global_size[0] >= problem.channels
            assert call.global_size[1] >= rows * width
            continue
        assert candidate <= max(1, registers_of(target) - problem.kernel[1] - 2)
        assert call.global_size[0] * d["ROWS_EACH"] >= rows
        assert call.global_size[1] * d["BLOCKS"] * d["LANES"] >= problem.channels
        assert d["LANES"] <= problem.channels
        assert d["BLOCKS"] * d["LANES"] * 4 * problem.taps <= max(
            target.tuning.private_floats, d["LANES"] * 4 * problem.taps
        )


@given(problems(depthwise=True), targets)
@few
def test_a_depthwise_weight_gradient_has_no_more_sums_than_lines(problem: ConvolutionProblem, target: Target) -> None:
    (candidate,) = DEPTHWISE_WEIGHT.candidates(problem, target)
    assert 1 <= candidate <= problem.batch * problem.output[0]
    call = DEPTHWISE_WEIGHT.call(problem, candidate, target)
    check_call(DEPTHWISE_WEIGHT, call, target)
    assert candidate in call.global_size
    assert call.defines["SPLITS"] == candidate
    if target.kind == "cpu":
        assert call.global_size[0] * call.defines["BLOCKS"] * call.defines["LANES"] >= problem.channels


def test_longer_tiles_are_predicted_to_be_worth_it() -> None:
    """Of many places a tile does several at once; of a single place there is nothing to share."""
    wide = ConvolutionProblem(1, 16, 8, 66, 16, (3, 3), (1, 1), (1, 1), 16)
    target = TARGETS["cpu"]
    assert predicted(DEPTHWISE, wide, target) > 1
    single = ConvolutionProblem(1, 16, 3, 3, 16, (3, 3), (1, 1), (1, 1), 16)
    assert predicted(DEPTHWISE, single, target) == 1


# ----------------------------------------------------------------------------------- sums, sorts, sums over segments


@given(st.integers(1, 9), st.integers(1, 200), st.integers(1, 70), st.booleans(), targets)
@few
def test_prefix_sums_are_covered(outer: int, length: int, inner: int, exclusive: bool, target: Target) -> None:
    family = PREFIX_SUMS["float"]
    problem = Sums(outer, length, inner, exclusive)
    (candidate,) = family.candidates(problem, target)
    for strides in ((length * inner, inner, 1), (length * inner, 1, length)):
        call = family.call(problem, candidate, target, (Operand(0, strides),))
        check_call(family, call, target)
        d = call.defines
        assert d["LANES"] == 1 or (strides[2] == 1 and d["LANES"] <= inner)
        assert d["COLUMNS"] * d["LANES"] >= inner
        assert d["TASKS"] == outer * d["COLUMNS"]
        assert call.global_size[0] * d["EACH"] >= d["TASKS"]
        assert (d["EXCLUSIVE"], d["FLOATING"]) == (int(exclusive), 1)
    assert PREFIX_SUMS["int"].call(problem, 1, target, (Operand(0, (1, 1, 1)),)).defines["FLOATING"] == 0


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 1000, 100_001])
@pytest.mark.parametrize("target", TARGETS)
def test_long_prefix_sums_are_cut_into_blocks(target: str, length: int) -> None:
    x = feed("x", (1, length, 2))
    y = prefix_sum(x)
    made = PREFIX_SUMS["float"].prepare(y, (x,), Planner(TARGETS[target]))
    assert made.shape == x.shape
    sums = [t.operation.problem for t in topological([made]) if isinstance(t.operation, Prepared)]
    (inside,) = (each for each in sums if not each.exclusive)  # type: ignore[attr-defined]
    before = [each for each in sums if each.exclusive]  # type: ignore[attr-defined]
    blocks, block = inside.outer, inside.length  # type: ignore[attr-defined]
    assert length <= blocks * block < length + block
    assert (blocks == 1) == (before == [])
    if before:  # what comes before each block is a prefix sum itself, cut into blocks in its turn
        assert max(each.outer * each.length for each in before) >= blocks  # type: ignore[attr-defined]
        assert sum(each.outer * each.length for each in before) < length  # type: ignore[attr-defined]
    assert (blocks > 1) == (length >= (64 if TARGETS[target].kind == "gpu" else 2 * TARGETS[target].tuning.item_share))


@given(st.integers(1, 5), st.integers(1, 10_000), st.booleans(), targets)
@few
def test_sorted_blocks_fit_the_local_memory(rows: int, length: int, descending: bool, target: Target) -> None:
    problem = Rows(rows, length, True, descending)
    (block,) = SORTED_BLOCKS.candidates(problem, target)
    assert log2(block.extent) % 1 == log2(block.side) % 1 == 0
    assert 2 * 8 * block.extent <= target.local_memory
    assert block.side <= block.extent
    call = SORTED_BLOCKS.call(problem, block, target, (Operand(0, (length, 1)),))
    check_call(SORTED_BLOCKS, call, target)
    assert call.global_size == (ceil(length / block.extent) * block.side, rows)
    assert call.defines["DESCENDING"] == int(descending)


@pytest.mark.parametrize("length", [1, 7, 64, 65, 1023, 1025, 5000])
@pytest.mark.parametrize("target", TARGETS)
def test_runs_are_merged_until_one_is_left(target: str, length: int) -> None:
    keys = feed("keys", (3, length))
    made = SORTED_BLOCKS.prepare(argsort(keys), (keys,), Planner(TARGETS[target]))
    kernels = [t for t in topological([made]) if isinstance(t.operation, Prepared)]
    block = kernels[0].operation.candidate.extent  # type: ignore[attr-defined]
    runs = [t.operation.problem.run for t in kernels[1:]]  # type: ignore[attr-defined]
    assert runs == [block * 2**k for k in range(len(runs))]
    assert (runs[-1] * 2 if runs else block) >= length
    assert not runs or runs[-1] < length
    assert (made.shape, made.element) == ((3, length), "int")


@given(st.integers(1, 5), st.integers(1, 10_000), targets)
@few
def test_merged_runs_are_covered(rows: int, length: int, target: Target) -> None:
    problem = Runs(Rows(rows, length, False, False), 64)
    (each,) = MERGED_RUNS.candidates(problem, target)
    call = MERGED_RUNS.call(problem, each, target, (Operand(0, (length, 1)), Operand(0, (length, 1))))
    check_call(MERGED_RUNS, call, target)
    assert call.global_size[0] * each >= length
    assert call.global_size[1] == rows
    assert (call.defines["RUN"], call.defines["FLOATING"]) == (64, 0)


@given(st.integers(1, 4), st.integers(1, 500), st.integers(1, 300), st.integers(1, 200), targets)
@few
def test_segments_are_covered(tables: int, count: int, rows: int, units: int, target: Target) -> None:
    problem = Segments(tables, count, rows, units)
    (each,) = SEGMENT_SUM.candidates(problem, target)
    operands = (Operand(0, (count, 1)), Operand(0, (count, 1)), Operand(0, (count * units, units, 1)))
    call = SEGMENT_SUM.call(problem, each, target, operands)
    check_call(SEGMENT_SUM, call, target)
    d = call.defines
    assert call.global_size[0] * d["UNITS_EACH"] >= units
    assert call.global_size[1] * d["ROWS_EACH"] >= rows
    assert call.global_size[2] == tables
    assert d["LANES"] <= units


# ----------------------------------------------------------------------------------------------------------- planning


class Counted(Family[int, int]):
    """A family with a form for each number up to the problem; the middle one is the fastest."""

    name = "counted"
    operand_layouts = ("row_major", "channels_last", "strided")
    coordinates = (0,)
    vector = 0

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        return planner.made(self, 9, inputs, y.shape, y, 5)

    def candidates(self, problem: int, target: Target) -> list[int]:
        return list(range(1, problem + 1))

    def cycles(self, problem: int, candidate: int, target: Target) -> float:
        return abs(candidate - (problem + 1) / 2) // 2

    def call(self, problem: int, candidate: int, target: Target, operands: Any = ()) -> TemplateCall:
        raise AssertionError("nothing is launched")


def test_the_form_of_the_fewest_cycles_is_taken_and_the_first_of_equals() -> None:
    assert predicted(Counted(), 9, TARGETS["cpu"]) == 4
    assert predicted(Counted(), 1, TARGETS["cpu"]) == 1


def test_the_choice_is_a_function_that_is_given() -> None:
    planner = Planner(TARGETS["cpu"], lambda family, problem, target: problem - 1)
    assert planner.chosen(Counted(), 9) == 8
    x = feed("x", (2, 3, 4, 5))
    made = Counted().prepare(x, (x, x, x), planner)
    assert isinstance(made.operation, Prepared)
    assert (made.operation.candidate, made.operation.problem, made.operation.flops(made)) == (8, 9, 5)
    assert (made.operation.name, made.shape, made.element) == ("counted", x.shape, "float")


@pytest.mark.parametrize(
    ("shape", "copied"),
    [((2, 3, 4, 5), True), ((2, 1, 4, 5), False), ((2, 3, 1, 1), False), ((2, 3, 1, 5), True), ((1, 2, 2, 1), True)],
)
def test_what_comes_from_outside_is_copied_where_it_lies_otherwise(shape: tuple[int, ...], copied: bool) -> None:
    """Channels first is channels last, too, if there is one channel or one pixel."""
    x = feed("x", shape)
    made = Counted().prepare(x, (x, x, x), Planner(TARGETS["cpu"]))
    assert made.inputs[0] is x
    assert (made.inputs[1] is not x) == copied
    assert made.inputs[2] is x
    inner = copy(x)
    assert Counted().prepare(x, (inner, inner, inner), Planner(TARGETS["cpu"])).inputs == (inner, inner, inner)


@pytest.mark.parametrize(("target", "groups"), [*product(sorted(TARGETS), (1, 4))])
def test_a_prepared_convolution_keeps_its_shape(target: str, groups: int) -> None:
    x, w = pad(feed("x", (2, 4, 6, 7)), (0, 0, 1, 1), (0, 0, 1, 1)), feed("w", (8, 4 // groups, 3, 3))
    y = convolution(x, w, Geometry((2, 1), (1, 1), groups))
    made = CONVOLUTION.prepare(y, (x, w), Planner(TARGETS[target]))
    assert made.shape == y.shape == (2, 8, 3, 7)
    assert made.operation.problem.padding == ((1, 1), (1, 1))  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("rows", "sorts"), [(MOST_COMPARED // 2, False), (MOST_COMPARED // 2 + 1, True)])
def test_small_tables_are_compared_and_large_ones_sorted(target: str, rows: int, sorts: bool) -> None:
    index, g = feed("index", (1, 50), "int"), feed("g", (1, 50, 2))
    y = feed("y", (1, rows, 2))
    made = SEGMENT_SUM.prepare(y, (index, g), Planner(TARGETS[target]))
    assert made.shape == y.shape
    names = {t.operation.name for t in topological([made])}
    assert ("sort_blocks" in names) == sorts
    assert np.prod(made.shape) == y.size
