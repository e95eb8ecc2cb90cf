"""Chooses the parameters of the convolution kernels: ``opencl/convolution.cl`` (forward, and the gradient with respect
to the input) with ``pack_filters.cl``, ``convolution_weight_gradient.cl``, and ``tiled_product.cl`` on GPUs.

The data are channels-last, X [N, H, W, C] with the padding applied, G [N, OH, OW, O]; the filters are W [O, C/groups,
KH, KW].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import TYPE_CHECKING

from graphdl.operators.kernels.template import (
    Padding,
    RegisterTile,
    TemplateCall,
    ceil_div,
    lanes_of,
    register_tiles,
    step_cycles,
    tiled_product,
)

if TYPE_CHECKING:
    from graphdl.compiler.program import Target

Pair = tuple[int, int]
UNPADDED: Padding = ((0, 0), (0, 0))


@dataclass(frozen=True, slots=True)
class _Problem:
    batch: int
    channels: int
    height: int
    width: int
    filters: int
    kernel: Pair
    stride: Pair
    dilation: Pair
    groups: int

    @property
    def output(self) -> Pair:
        height, width = (
            (extent - step * (taps - 1) - 1) // stride + 1
            for extent, taps, stride, step in zip(
                (self.height, self.width), self.kernel, self.stride, self.dilation, strict=True
            )
        )
        return height, width

    @property
    def group_channels(self) -> int:
        return self.channels // self.groups

    @property
    def group_filters(self) -> int:
        return self.filters // self.groups

    @property
    def flops(self) -> int:
        return (
            2 * self.batch * self.output[0] * self.output[1] * self.filters
            * self.group_channels * self.kernel[0] * self.kernel[1]
        )  # fmt: skip

    @property
    def defines(self) -> dict[str, int]:
        """What all kernels want to know."""
        return {
            "BATCH": self.batch, "HEIGHT": self.height, "WIDTH": self.width, "CHANNELS": self.channels,
            "GROUP_CHANNELS": self.group_channels, "OUT_HEIGHT": self.output[0], "OUT_WIDTH": self.output[1],
            "TAPS_Y": self.kernel[0], "TAPS_X": self.kernel[1], "STRIDE_Y": self.stride[0], "STRIDE_X": self.stride[1],
        }  # fmt: skip

    @property
    def gpu_defines(self) -> dict[str, int]:
        return self.defines | {
            "GROUP_FILTERS": self.group_filters, "DILATION_Y": self.dilation[0], "DILATION_X": self.dilation[1],
            "SPLITS": 1,
        }  # fmt: skip


def convolution_call(
    target: Target,
    *,
    batch: int,
    channels: int,
    height: int,
    width: int,
    filters: int,
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    groups: int,
    padding: Padding = UNPADDED,
) -> TemplateCall:
    """Y[n, oy, ox, o] from ``X`` and ``W``; ``height`` and ``width`` are those of X after padding.

    ``padding`` says how much of X is zeros, which may save work; X has been padded all the same. The kernel stores with
    ``STORE(V, value, n, oy, ox, o)``, a vector along o. With ``pack``, ``W`` is the packed form.
    """
    problem = _Problem(batch, channels, height, width, filters, kernel, stride, dilation, groups)
    out_height, out_width = problem.output
    taps = kernel[0] * kernel[1]
    if target.kind == "gpu":
        return tiled_product(
            target, 1, rows=batch * out_height * out_width, columns=problem.group_filters,
            steps=problem.group_channels * taps, layers=groups, operands=("X", "W"), defines=problem.gpu_defines,
        )  # fmt: skip
    return _windows(
        target,
        columns=problem.group_filters,
        groups=groups,
        grid=(batch, out_height, out_width),
        phases=(1, 1),
        flops=problem.flops,
        defines=problem.defines
        | {
            "TAP_STEP_Y": dilation[0], "TAP_STEP_X": dilation[1],
            "PHASE_DILATION_Y": 1, "PHASE_DILATION_X": 1, "ORIGIN_Y": 0, "ORIGIN_X": 0,
        },
        blank=padding[0],
        filter_strides=(problem.group_channels * taps, taps),
        turn=False,
    )  # fmt: skip


def convolution_input_gradient_call(
    target: Target,
    *,
    batch: int,
    channels: int,
    height: int,
    width: int,
    filters: int,
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    groups: int,
    padding: Padding = UNPADDED,
) -> TemplateCall:
    """dX[n, y, x, c] from the output's gradient, named ``X``, padded with zeros as ``pad_gradient`` says, and ``W``.

    ``height`` and ``width`` are those of the input after padding; of its gradient the ``padding`` is left out:
    y = 0 is the first row that is no padding. The kernel stores with ``STORE(V, value, n, y, x, c)``, a vector along c,
    every element once. With ``pack``, ``W`` is the packed form, which is not that of the forward direction.
    """
    problem = _Problem(batch, channels, height, width, filters, kernel, stride, dilation, groups)
    out_height, out_width = problem.output
    taps = kernel[0] * kernel[1]
    inner = height - sum(padding[0]), width - sum(padding[1])
    if target.kind == "gpu":
        return tiled_product(
            target, 2, rows=batch * inner[0] * inner[1], columns=problem.group_channels,
            steps=problem.group_filters * taps, layers=groups, operands=("X", "W"),
            defines=problem.gpu_defines
            | {"HEIGHT": inner[0], "WIDTH": inner[1], "PAD_TOP": padding[0][0], "PAD_LEFT": padding[1][0]},
        )  # fmt: skip
    grid = ceil_div(inner[0], stride[0]), ceil_div(inner[1], stride[1])
    pad_gradient, origins = _gradient_padding(problem, grid, padding)
    return _windows(
        target,
        columns=problem.group_channels,
        groups=groups,
        grid=(batch, *grid),
        phases=stride,
        flops=problem.flops,
        defines={
            "BATCH": batch, "HEIGHT": out_height + sum(pad_gradient[0]), "WIDTH": out_width + sum(pad_gradient[1]),
            "CHANNELS": filters, "GROUP_CHANNELS": problem.group_filters, "OUT_HEIGHT": inner[0], "OUT_WIDTH": inner[1],
            "TAPS_Y": kernel[0], "TAPS_X": kernel[1], "STRIDE_Y": 1, "STRIDE_X": 1,
            "TAP_STEP_Y": dilation[0] // gcd(dilation[0], stride[0]),
            "TAP_STEP_X": dilation[1] // gcd(dilation[1], stride[1]),
            "PHASE_DILATION_Y": dilation[0], "PHASE_DILATION_X": dilation[1],
            "ORIGIN_Y": origins[0], "ORIGIN_X": origins[1],
        },
        blank=pad_gradient[0],
        filter_strides=(taps, problem.group_channels * taps),
        turn=True,
        pad_gradient=pad_gradient,
    )  # fmt: skip


def _gradient_padding(problem: _Problem, grid: Pair, padding: Padding) -> tuple[Padding, Pair]:
    """The zeros that the output's gradient needs around it, and the parameters ORIGIN of ``convolution.cl``.

    Input row q * stride + phase, counted without the padding, met tap t where it made output row
    q + (phase + pad - t * dilation) / stride, if that is whole. The turned filters begin with the last tap.
    """
    pads, origins = [], []
    for axis in range(2):
        taps, dilation, stride = problem.kernel[axis], problem.dilation[axis], problem.stride[axis]
        pad = padding[axis][0]
        shifts = [
            (phase + pad - t * dilation) // stride
            for phase in range(stride)
            for t in range(taps)
            if (phase + pad - t * dilation) % stride == 0
        ]
        before = max(0, -min(shifts))
        pads.append((before, max(0, grid[axis] + max(shifts) - problem.output[axis])))
        origins.append(before * stride + pad - (taps - 1) * dilation)
    return (pads[0], pads[1]), (origins[0], origins[1])


def convolution_weight_gradient_call(
    target: Target,
    *,
    batch: int,
    channels: int,
    height: int,
    width: int,
    filters: int,
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    groups: int,
) -> TemplateCall:
    """dW[o, i, ky, kx] from ``X`` (padded) and the output's gradient ``G``, as ``splits`` partial sums.

    The kernel stores with ``STORE(V, value, split, o, i, ky, kx)``, a vector along o.
    """
    problem = _Problem(batch, channels, height, width, filters, kernel, stride, dilation, groups)
    out_height, out_width = problem.output
    taps = kernel[0] * kernel[1]
    lines = batch * out_height
    if target.kind == "gpu":
        rows, columns, pixels = problem.group_channels * taps, problem.group_filters, lines * out_width
        tiles = ceil_div(rows, 64) * ceil_div(columns, 64) * groups
        splits = max(1, min(4 * target.compute_units // tiles, ceil_div(pixels, 1024), 32))
        return tiled_product(
            target, 3, rows=rows, columns=columns, steps=pixels, layers=groups, operands=("X", "G"),
            defines=problem.gpu_defines | {"SPLITS": splits}, splits=splits,
        )  # fmt: skip
    lanes = lanes_of(target)
    merge = dilation[1] == 1 and groups == 1
    extent = problem.group_channels * (kernel[1] if merge else 1)
    vectors = ceil_div(problem.group_filters, lanes)
    tile = min(
        register_tiles(target, extent, vectors),
        key=lambda t: (
            ceil_div(extent, t.rows) * ceil_div(vectors, t.vectors) * step_cycles(t),
            -t.rows * t.vectors,
        ),
    )
    panel = tile.vectors * lanes
    panels = ceil_div(problem.group_filters, panel)
    # Pixels that lie far apart miss the first cache's sets: then their part is copied, for many panels.
    copy_x = channels * stride[1] >= 512 and tile.rows > 4 and panels > 1
    span = min(8 if copy_x else 4, panels)
    spans = ceil_div(panels, span)
    tiles = ceil_div(extent, tile.rows)
    blocks = min(tiles, max(1, _KEPT_SUMS // (tile.rows * panel * span)))
    items = ceil_div(tiles, blocks)
    blocks = ceil_div(tiles, items)
    work_items = items * (kernel[0] if merge else taps) * spans * groups
    splits = min(ceil_div(4 * target.compute_units, work_items), lines)
    chunk = max(1, min(ceil_div(lines, splits), (256 if copy_x else 128) // out_width))
    return TemplateCall(
        source="convolution_weight_gradient.cl",
        prelude=("tile.cl",),
        defines=problem.defines
        | {
            "LANES": lanes, "COLUMNS": problem.group_filters, "GROUPS": groups,
            "DILATION_Y": dilation[0], "DILATION_X": dilation[1], "MERGE_X": int(merge),
            "ROWS": tile.rows, "VECTORS": tile.vectors, "BLOCKS": blocks,
            "LINES": chunk, "SPAN": span, "SPANS": spans, "COPY_X": int(copy_x), "ITEMS": items, "SPLITS": splits,
        },
        global_size=(items * (kernel[0] if merge else taps), spans * groups, splits),
        local_size=(1, 1, 1),
        flops=problem.flops,
        operands=("X", "G"),
        splits=splits,
    )  # fmt: skip


_KEPT_SUMS = 65536
"""Sums that a work-item of the weight gradient keeps in private memory: 256 KiB, a part of a core's second cache."""


def _windows(
    target: Target,
    *,
    columns: int,
    groups: int,
    grid: tuple[int, int, int],
    phases: Pair,
    flops: int,
    defines: dict[str, int],
    blank: Pair,
    filter_strides: Pair,
    turn: bool,
    pad_gradient: Padding = UNPADDED,
) -> TemplateCall:
    """A call of ``convolution.cl``: per group ``columns`` outputs at each place of the ``grid`` (N, H, W) of a phase.

    ``blank`` rows of the data are known to be zeros, above and below. ``filter_strides`` are those of W along the
    columns and along the channels that are summed over.
    """
    lanes = lanes_of(target)
    vectors = ceil_div(columns, lanes)
    tile, shape = _choose_pixels(target, grid, vectors, flat=any(blank))
    panel = tile.vectors * lanes
    panels = ceil_div(columns, panel)
    rows, taps = defines["GROUP_CHANNELS"], defines["TAPS_Y"] * defines["TAPS_X"]
    tile_rows = ceil_div(grid[0], shape[0]) * ceil_div(grid[1], shape[1])
    others = panels * groups * phases[0] * phases[1]
    items = max(target.compute_units, min(32 * target.compute_units, flops // 500_000))
    rows_per_item = ceil_div(tile_rows * others, items)
    rows_packed = ceil_div(16384, panel * taps)
    pack = TemplateCall(
        source="pack_filters.cl",
        prelude=("tile.cl",),
        defines={
            "LANES": lanes, "PANEL": panel, "PANELS": panels, "COLUMNS": columns, "ROWS": rows, "TAPS": taps,
            "GROUP_STRIDE": columns * rows * taps, "COLUMN_STRIDE": filter_strides[0], "ROW_STRIDE": filter_strides[1],
            "TURN": int(turn), "ROWS_PER_ITEM": rows_packed, "FLOATS": groups * columns * rows * taps,
        },
        global_size=(tile.vectors, ceil_div(rows, rows_packed), panels * groups),
        local_size=(1, 1, 1),
        flops=0,
        operands=("W",),
    )  # fmt: skip
    return TemplateCall(
        source="convolution.cl",
        prelude=("tile.cl",),
        defines=defines
        | {
            "LANES": lanes, "COLUMNS": columns, "GRID_HEIGHT": grid[1], "GRID_WIDTH": grid[2],
            "PHASES_Y": phases[0], "PHASES_X": phases[1], "BLANK_TOP": blank[0], "BLANK_BOTTOM": blank[1],
            "TILE_N": shape[0], "TILE_Y": shape[1], "TILE_X": shape[2], "VECTORS": tile.vectors,
            "ROWS_PER_ITEM": rows_per_item, "PANELS": panels,
        },
        global_size=(ceil_div(tile_rows, rows_per_item), panels * groups, phases[0] * phases[1]),
        local_size=(1, 1, 1),
        flops=flops,
        operands=("X", "W"),
        pack=pack,
        packed_size=groups * panels * panel * rows * taps,
        pad_gradient=pad_gradient,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _choose_pixels(
    target: Target, grid: tuple[int, int, int], vectors: int, flat: bool
) -> tuple[RegisterTile, tuple[int, int, int]]:
    """The register tile, and how its rows lie on the grid: images × rows × columns of pixels.

    ``flat`` tiles rather take several images than several rows: more of them meet blank rows only.
    """
    best: tuple[tuple[float, int, int], RegisterTile, tuple[int, int, int]] | None = None
    for tile in register_tiles(target, grid[0] * grid[1] * grid[2], vectors):
        for shape in _shapes(tile.rows, grid):
            tiles = 1
            for extent, part in zip(grid, shape, strict=True):
                tiles *= ceil_div(extent, part)
            cost = tiles * ceil_div(vectors, tile.vectors) * step_cycles(tile)
            key = (cost, -tile.rows * tile.vectors, shape[1 if flat else 0])
            if best is None or key < best[0]:
                best = (key, tile, shape)
    assert best is not None, "a tile of one row always fits"
    return best[1], best[2]


def _shapes(pixels: int, grid: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """The ways of laying ``pixels`` on the grid as a box, the widest first."""
    return [
        (pixels // (x * y), y, x)
        for x in range(min(pixels, grid[2]), 0, -1)
        if pixels % x == 0
        for y in range(min(pixels // x, grid[1]), 0, -1)
        if pixels // x % y == 0 and pixels // (x * y) <= grid[0]
    ]
