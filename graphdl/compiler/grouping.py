"""The kernel generated for each plan, and the groups of kernels that share a launch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from graphdl.compiler.expression import Strides
from graphdl.compiler.fusion import MOST_OPERANDS, KernelPlan
from graphdl.compiler.generate import ElementwiseKernels, Operands
from graphdl.compiler.program import Target
from graphdl.compiler.reductions import reduction
from graphdl.compiler.repeating import Repeated
from graphdl.compiler.strided import memory_operands
from graphdl.compiler.templates import template
from graphdl.operators.index import Index
from graphdl.operators.kernels.family import Form
from graphdl.operators.reduction import Reduction
from graphdl.operators.tensor import Given, Part, Tensor


@dataclass(frozen=True)
class GeneratedKernel:
    """The kernel generated for one plan: statements over pointers ``p0, p1, …``, or the whole text of a template."""

    plan: KernelPlan
    operands: Operands
    statements: str
    template: str
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    in_place: tuple[tuple[Tensor, Tensor], ...]
    """Pairs of an operand and an output that may share memory if the operand is not needed later."""
    own: tuple[Tensor, ...] = ()
    """Tensors whose memory the kernel needs only while it runs."""
    form: Form | None = None
    """The form of a hand-written kernel."""
    numbers: tuple[int | float, ...] = ()
    """The arguments of a hand-written kernel after its operands."""
    twins: Mapping[Tensor, Tensor] = field(default_factory=dict)
    """The tensors that the kernel reads and writes in place of tensors of the plan, as they have other memory."""
    again: bool = False
    """Whether the same kernel has run before: see ``compiler/recompute.py``."""
    shared: str = ""
    """Declarations of arrays in local memory that the statements use."""

    @property
    def alone(self) -> bool:
        """Whether a single work-item does all the work."""
        return not self.template and self.global_size == (1,)

    @property
    def outputs(self) -> list[Tensor]:
        """The tensors that the kernel stores, in the order of those of the plan."""
        return [self.twin(t) for t in self.plan.outputs]

    def twin(self, tensor: Tensor) -> Tensor:
        """The tensor that the kernel reads or writes in place of a tensor of the plan."""
        return self.twins.get(tensor, tensor)

    def moved(self, twins: Mapping[Tensor, Tensor], again: bool) -> GeneratedKernel:
        """The same kernel, with other tensors in place of those of ``twins``."""
        return replace(
            self,
            operands=self.operands.moved(twins),
            in_place=tuple((twins.get(x, x), twins.get(y, y)) for x, y in self.in_place),
            own=tuple(twins.get(t, t) for t in self.own),
            twins=twins,
            again=again,
        )


def generated(plans: Sequence[KernelPlan], strides: Strides, target: Target) -> list[GeneratedKernel]:
    """The kernels of plans whose tensors are laid out with ``strides``. An assembled tensor has no kernel."""
    kernels = ElementwiseKernels(strides, target)
    return [_generated(plan, strides, target, kernels) for plan in plans if not plan.is_assembled]


def _generated(plan: KernelPlan, strides: Strides, target: Target, kernels: ElementwiseKernels) -> GeneratedKernel:
    operands = Operands()
    outputs, chains, roots = plan.outputs, plan.chains, plan.roots
    if plan.is_elementwise:
        body = kernels.write(outputs, operands)
    elif isinstance(roots[0].operation, Reduction):
        body = reduction(roots, outputs, chains, strides, target, operands)
    elif isinstance(roots[0].operation, Repeated):
        return _loop(plan, roots[0], roots[0].operation)
    else:
        made = template(roots[0], outputs, chains, strides, target, operands)
        return GeneratedKernel(
            plan, operands, "", made.preamble + made.text, made.global_size, made.local_size, (), form=made.form,
            numbers=made.numbers,
        )  # fmt: skip
    sizes = (body.global_size,), (body.local_size,)
    return GeneratedKernel(plan, operands, body.text, "", *sizes, body.in_place, shared=body.shared)


def _loop(plan: KernelPlan, root: Tensor, loop: Repeated) -> GeneratedKernel:
    """A loop is represented by one kernel. Its launches are those of its programs."""
    own = [Tensor(Given(), (), (loop.own_bytes // 4,), origin=root.origin)] if loop.own_bytes else []
    stored = {x.operation.number for x in plan.outputs if isinstance(x.operation, Part)}
    for number, (shape, element) in enumerate(loop.outputs):
        if number not in stored:  # no tensor of the program needs this output after simplification
            own.append(Tensor(Part(number), (root,), shape, element, root.origin))
    operands = Operands()
    for tensor in dict.fromkeys((*memory_operands(root), *plan.outputs, *own)):
        operands.locate(tensor, Index(0))
    return GeneratedKernel(plan, operands, "", "", (), (), (), tuple(own))


Group = Sequence[GeneratedKernel]
"""The kernels of one launch, in order."""

Parameter = tuple[Tensor, int]
"""A tensor of a launch, with the element to which its pointer points."""


def grouped(kernels: Sequence[GeneratedKernel], target: Target) -> list[Group]:
    """Merges neighbouring kernels of a single work-item into one launch: on a CPU, a launch costs more than they do."""
    groups: list[list[GeneratedKernel]] = []
    pointed: set[Parameter] = set()
    """The parameters of the last group."""
    for kernel in kernels:
        joins = target.kind == "cpu" and groups and kernel.alone and groups[-1][-1].alone
        own = kernel.operands.pointers
        if joins and len(pointed.union(own)) <= MOST_OPERANDS:
            groups[-1].append(kernel)
            pointed.update(own)
        else:
            groups.append([kernel])
            pointed = set(own)
    return list(groups)


def parameters(group: Group) -> list[Parameter]:
    """The parameters of a launch, in order."""
    return list(dict.fromkeys(pointer for kernel in group for pointer in kernel.operands.pointers))


def launch_count(kernel: GeneratedKernel) -> int:
    """The number of launches of a kernel: one, except for loops."""
    root = kernel.plan.roots[0].operation if kernel.plan.roots else None
    return sum(len(linked.program.launches) for linked in root.programs) if isinstance(root, Repeated) else 1
