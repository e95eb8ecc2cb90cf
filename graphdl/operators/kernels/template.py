"""Launches of hand-written kernels, their register tiles and group tiles, and the text of the kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphdl.resources import resource

if TYPE_CHECKING:
    from graphdl.compiler.program import Target


@dataclass(frozen=True, slots=True)
class TemplateCall:
    """A kernel template of ``opencl/`` and the values of its parameters.

    The compiler's preamble defines ``KERNEL_NAME``, ``KERNEL_PARAMETERS``, ``KERNEL_ARGUMENTS`` (their names),
    ``KERNEL_PROLOGUE`` (which declares the pointers named in ``operands``), ``STORE``, ``defines`` and ``sizes``;
    ``text()`` comes after it.
    """

    source: str
    defines: Mapping[str, int]
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    flops: int
    operands: tuple[str, ...]
    """The names of the pointers to the operands."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Parameters that are arguments of the kernel. Calls that differ only in them share a text."""
    prelude: tuple[str, ...] = ()
    """The files of ``opencl/`` whose text precedes that of ``source``."""

    def text(self) -> str:
        """The OpenCL C that follows the preamble."""
        return "".join(resource(f"opencl/{name}").read_text("utf-8") for name in (*self.prelude, self.source))


@dataclass(frozen=True, slots=True)
class RegisterTile:
    """The CPU's form of a product: ``rows`` × ``vectors`` vectors of sums in registers."""

    rows: int
    vectors: int


@dataclass(frozen=True, slots=True)
class GroupTile:
    """The GPU's form of a product: ``side`` × ``side`` work-items with ``work`` × ``work`` sums each."""

    side: int
    work: int

    @property
    def extent(self) -> int:
        """The number of rows of the result that a work-group computes. The number of columns is the same."""
        return self.side * self.work


def group_tile(target: Target) -> GroupTile:
    """The largest tile for the target's work-groups."""
    side = next((side for side in (16, 8, 4) if target.max_work_group >= side * side), 1)
    return GroupTile(side, 4)


def lanes_of(target: Target) -> int:
    """The number of floats of the vectors that the CPU kernels use on ``target``."""
    return next((width for width in (16, 8) if target.vector_width >= width), 4)


def registers_of(target: Target) -> int:
    """The number of vector registers of a core: AVX-512 has 32, AVX and SSE have 16."""
    return 32 if target.vector_width >= 16 else 16


def register_tiles(target: Target, most_rows: int, most_vectors: int) -> list[RegisterTile]:
    """All tiles that leave one register for each vector of the second factor, and one for the first factor."""
    registers = registers_of(target)
    return [
        RegisterTile(rows, vectors)
        for vectors in range(1, min(most_vectors, 6) + 1)
        for rows in range(1, min(most_rows, (registers - 1 - vectors) // vectors) + 1)
    ]


def step_cycles(tile: RegisterTile, target: Target) -> float:
    """The cycles of one step of a tile on a core of the target."""
    tuning = target.tuning
    multiply = tile.rows * tile.vectors / tuning.multiply_ports
    load = (tile.rows + tile.vectors) / tuning.load_ports
    return max(multiply, load, float(tuning.multiply_latency)) + 0.5


def ceil_div(a: int, b: int) -> int:
    """``a / b``, rounded up."""
    return -(-a // b)


def tiled_product(
    tile: GroupTile,
    operation: int,
    *,
    rows: int,
    columns: int,
    steps: int,
    layers: int,
    operands: tuple[str, str],
    defines: Mapping[str, int],
    splits: int = 1,
) -> TemplateCall:
    """The launch of the GPU's form of any product.

    It computes ``layers`` results of ``rows`` × ``columns``, each a sum over ``steps`` in ``splits`` parts.
    """
    return TemplateCall(
        source="tiled_product.cl",
        defines={
            "OPERATION": operation, "LAYERS": layers * splits, "ROWS": rows, "COLUMNS": columns, "STEPS_ALL": steps,
            "WORK": tile.work, "SIDE": tile.side, "STEPS": _STEPS, **defines,
        },
        global_size=(
            ceil_div(columns, tile.extent) * tile.side, ceil_div(rows, tile.extent) * tile.side, layers * splits,
        ),
        local_size=(tile.side, tile.side, 1),
        flops=2 * layers * rows * columns * steps,
        operands=operands,
    )  # fmt: skip


def tiled_cycles(
    tile: GroupTile, target: Target, *, rows: int, columns: int, steps: int, layers: int, splits: int = 1
) -> float:
    """The cycles of the arithmetic of such a launch, and of its start."""
    groups = ceil_div(rows, tile.extent) * ceil_div(columns, tile.extent) * layers * splits
    depth = ceil_div(ceil_div(steps, splits), _STEPS) * _STEPS
    flops = ceil_div(groups, target.compute_units) * 2 * tile.extent**2 * depth
    return flops / target.tuning.gpu_flops + target.tuning.gpu_launch


def memory_cycles(floats: int, target: Target) -> float:
    """The cycles in which a GPU reads or writes ``floats`` elements of its memory."""
    return 4 * floats / (target.tuning.gpu_bytes * target.compute_units)


_STEPS = 16
"""Steps of a product for which a work-group copies its part of the factors to local memory."""
