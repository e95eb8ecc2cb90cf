"""The matrix product with few rows: ``opencl/row_product.cl``, and ``opencl/row_product_in_groups.cl`` on GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from graphdl.operators.kernels.family import Family, Operand, Planner
from graphdl.operators.kernels.template import TemplateCall, ceil_div, lanes_of, registers_of
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import reshape
from graphdl.operators.tensor import Layout, Tensor

if TYPE_CHECKING:
    from graphdl.compiler.program import Target

MOST_ROWS = 8
"""The most rows of a product for which this family is used. With more, the products take longer than reading B."""
_MOST_SPAN = 2048
_LEAST_SPAN = 256
"""Columns of a work-item: 8 KiB of a row of B at most; below 1 KiB, fetching ahead stops too often."""
_LEAST_PART = 1 << 18
"""Elements of B from which a part of the sum on a core of a CPU saves more than adding up the parts costs."""
_LEAST_STEPS = 256
"""The fewest steps of a part of the sum on a GPU."""
_MOST_COPIED = 4096
"""Floats of A in private memory: half of a core's first cache."""
_LINE = 16
"""Floats of a line of the cache."""


@dataclass(frozen=True, slots=True)
class RowProduct:
    """The sizes of C[b, m, n] = Σ over k of A[b, m, k] B[b, k, n] with a small m."""

    batch: int
    m: int
    n: int
    k: int

    @property
    def flops(self) -> int:
        return 2 * self.batch * self.m * self.n * self.k


@dataclass(frozen=True, slots=True)
class Streams:
    """The CPU's form: ``steps`` rows of B's memory are read side by side, ``span`` columns by a work-item."""

    steps: int
    span: int
    splits: int
    """The number of partial sums over k."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The GPU's form: work-groups of ``across`` × ``down`` work-items."""

    across: int
    down: int
    splits: int
    """The number of partial sums over k."""


class RowProductFamily(Family[RowProduct, Streams | Groups]):
    """A kernel with the pointers ``A`` and ``B``. It stores with ``STORE(V, value, b * splits + split, m, n)``.

    Both dimensions of B may be the adjacent one in memory. With others the kernel is right but slow.
    """

    name = "matmul_rows"
    operand_layouts: ClassVar[tuple[Layout, ...]] = ("strided", "strided")
    coordinates = (0, 1, 2)
    vector = 2
    aligned = True

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        a, b = inputs
        batch, m, k = a.shape
        problem = RowProduct(batch, m, b.shape[2], k)
        splits = planner.chosen(self, problem).splits
        partial = planner.made(self, problem, inputs, (batch * splits, m, problem.n), y, problem.flops)
        if splits == 1:
            return partial
        return reduce("sum", reshape(partial, (batch, splits, m, problem.n)), (1,), keep=False)

    def candidates(self, problem: RowProduct, target: Target) -> Sequence[Streams | Groups]:
        if target.kind == "gpu":
            return [_groups(problem, target)]
        shares = _shares(problem, target)
        line = max(_LINE, lanes_of(target))
        room = max(line, target.tuning.private_floats // problem.m // line * line)
        share = ceil_div(ceil_div(problem.n, shares), line) * line
        widest = min(room, ceil_div(problem.n, line) * line)
        wanted = (min(_MOST_SPAN, max(_LEAST_SPAN, share)), min(_MOST_SPAN // 4, max(_LEAST_SPAN, share)), share)
        spans = dict.fromkeys(min(span, widest) for span in wanted)
        return [Streams(steps, span, _splits(problem, span, shares)) for span in spans for steps in (8, 4, 2)]

    def call(
        self,
        problem: RowProduct,
        candidate: Streams | Groups,
        target: Target,
        operands: Sequence[Operand] = (),
    ) -> TemplateCall:
        a, b = operands
        batch, m, n, k = problem.batch, problem.m, problem.n, problem.k
        names = ("A_BATCH", "A_ROW", "A_COLUMN", "B_BATCH", "B_ROW", "B_COLUMN")
        along_steps = b.strides[1] == 1 and (b.strides[2] != 1 or n < _LINE)
        defines = {
            "M": m, "COLUMNS": n, "K": k, **dict(zip(names, (*a.strides, *b.strides), strict=True)),
            "ADJACENT": int(not along_steps), "SPLITS": candidate.splits,
            "PART": ceil_div(k, candidate.splits),
        }  # fmt: skip
        layers = batch * candidate.splits
        if isinstance(candidate, Groups):
            across, down = candidate.across, candidate.down
            return TemplateCall(
                source="row_product_in_groups.cl",
                defines={**defines, "ACROSS": across, "DOWN": down},
                global_size=(ceil_div(n, down if along_steps else across) * across, down, layers),
                local_size=(across, down, 1),
                flops=problem.flops,
                operands=("A", "B"),
            )
        lanes, steps = lanes_of(target), candidate.steps
        if along_steps:  # the sums are in registers
            steps = min(steps, lanes, _power_of_two(registers_of(target) // m))
        return TemplateCall(
            source="row_product.cl",
            prelude=("tile.cl",),
            defines={
                **defines,
                "LANES": lanes,
                "STEPS": steps,
                "SPAN": candidate.span,
                "DEPTH": _MOST_COPIED // m // lanes * lanes,
            },
            global_size=(ceil_div(n, candidate.span), layers),
            local_size=(1, 1),
            flops=problem.flops,
            operands=("A", "B"),
        )


ROW_PRODUCT = RowProductFamily()


def _shares(problem: RowProduct, target: Target) -> int:
    """The number of work-items for each product of the batch that give all cores work."""
    work = problem.m * problem.n * problem.k
    return max(1, min(ceil_div(target.compute_units, problem.batch), work // target.tuning.item_share))


def _splits(problem: RowProduct, span: int, shares: int) -> int:
    """The number of partial sums, if there are fewer spans of columns than work-items are wanted."""
    return max(1, min(shares // ceil_div(problem.n, span), problem.n * problem.k // _LEAST_PART))


def _groups(problem: RowProduct, target: Target) -> Groups:
    items = min(256, target.max_work_group, target.local_memory // (4 * problem.m))
    across = _power_of_two(min(32, items))
    down = _power_of_two(items // across)
    groups = ceil_div(problem.n, max(across, down)) * problem.batch
    return Groups(across, down, max(1, min(4 * target.compute_units // groups, problem.k // _LEAST_STEPS)))


def _power_of_two(most: int) -> int:
    """The largest power of two that is at most ``most``; 0 for 0."""
    return 1 << most.bit_length() - 1 if most else 0
