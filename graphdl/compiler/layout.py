"""The memory layouts of realized tensors.

Models hold images channels first; convolution kernels read them channels last. A tensor of rank 4, or of higher rank
with further dimensions of length 1, is stored channels last if a convolution computes or reads it, or if it is computed
from such a tensor. All other tensors are row-major. So is everything that enters or leaves the program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphdl.compiler.assembly import Assembled
from graphdl.compiler.fusion import KernelPlan
from graphdl.compiler.repeating import Repeated
from graphdl.compiler.strided import channels_last_strides, is_image, operand_layouts, row_major_strides
from graphdl.operators.kernels.family import Prepared
from graphdl.operators.tensor import Source, Tensor


def layouts(
    plans: Sequence[KernelPlan], operands: Mapping[Tensor, Sequence[Tensor]], results: set[Tensor]
) -> dict[Tensor, tuple[int, ...]]:
    """The strides, in elements, of every realized tensor and every source."""
    wanted, plain = _demands(operands)
    plain |= results
    chosen: dict[Tensor, tuple[int, ...]] = {}
    last: set[Tensor] = set()
    for plan in plans:
        for x in plan.inputs:
            if isinstance(x.operation, Source):
                chosen[x] = row_major_strides(x.shape)
        for output in plan.outputs:
            if is_image(output.shape) and output not in plain and _is_last(plan, output, wanted, last):
                last.add(output)
                chosen[output] = channels_last_strides(output.shape)
            else:
                chosen[output] = row_major_strides(output.shape)
    for whole in [x for x in chosen if isinstance(x.operation, Assembled)]:
        assert isinstance(whole.operation, Assembled)
        for piece, _, strides in whole.operation.regions(whole, chosen[whole]):
            chosen[piece] = strides
    return chosen


def _demands(operands: Mapping[Tensor, Sequence[Tensor]]) -> tuple[set[Tensor], set[Tensor]]:
    """The tensors that some kernel reads channels last, and those that some kernel reads row-major."""
    wanted: set[Tensor] = set()
    plain: set[Tensor] = set()
    for template, tensors in operands.items():
        if isinstance(template.operation, Assembled):
            continue
        for x, layout in zip(tensors, operand_layouts(template), strict=True):
            if layout != "strided":
                (wanted if layout == "channels_last" else plain).add(x)
    return wanted, plain


def _is_last(plan: KernelPlan, output: Tensor, wanted: set[Tensor], last: set[Tensor]) -> bool:
    if any(isinstance(root.operation, Repeated) for root in plan.roots):
        return False
    if output in wanted:
        return True
    for root in plan.roots:
        if isinstance(root.operation, Prepared) and root.operation.family.result_layout == "channels_last":
            return True
    return any(x in last for x in plan.inputs)
