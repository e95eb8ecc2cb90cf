"""The launches of a program: the OpenCL C of each, its arguments, and what it does and costs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from graphdl.compiler.fusion import KernelPlan, label_of
from graphdl.compiler.generate import Operands
from graphdl.compiler.grouping import Group, parameters
from graphdl.compiler.placement import Placement
from graphdl.compiler.program import ArenaBlock, Kernel, Launch
from graphdl.compiler.schedule import bytes_of
from graphdl.graph.model import Node
from graphdl.operators.tensor import Tensor
from graphdl.resources import resource


def launched(groups: Sequence[Group], placement: Placement) -> tuple[dict[str, Kernel], tuple[Launch, ...]]:
    """The kernels of a program by name, and its launches in their order."""
    numbers = {block: number for number, block in enumerate(placement.arena_blocks)}
    kernels: dict[str, Kernel] = {}
    launches = []
    for group in groups:
        kernel = _source(group)
        kernels[kernel.name] = kernel
        launches.append(_launch(group, kernel.name, placement, numbers))
    return kernels, tuple(launches)


def _launch(group: Group, name: str, placement: Placement, numbers: Mapping[ArenaBlock, int]) -> Launch:
    plans = [kernel.plan for kernel in group]
    nodes = dict.fromkeys(node for p in plans for node in _nodes(p))
    tensors = [t for kernel in group for t in kernel.operands.tensors]
    blocks = placement.blocks
    return Launch(
        kernel=name,
        bindings=tuple(placement.binding(t, start) for t, start in parameters(group)),
        global_size=group[0].global_size,
        local_size=group[0].local_size,
        label=", ".join(label_of([*p.roots, *p.outputs]) for p in plans),
        flops=sum(_flops(p) for p in plans),
        bytes=sum(bytes_of(t) for t in tensors),
        spans=tuple(dict.fromkeys(node.span for node in nodes)),
        modules=tuple(dict.fromkeys(node.module.path for node in nodes)),
        reads=tuple(dict.fromkeys(numbers[blocks[t]] for p in plans for t in p.inputs if t in blocks)),
        writes=tuple(dict.fromkeys(numbers[blocks[t]] for p in plans for t in p.outputs if t in blocks)),
    )


def _source(group: Group) -> Kernel:
    """The OpenCL C of a launch; equal texts get equal names."""
    vectors = resource("opencl/vectors.cl").read_text("utf-8")
    pointed = parameters(group)
    written = {t for kernel in group for t in kernel.operands.written}
    called = {name: text for kernel in group for name, text in kernel.operands.functions.items()}
    functions = "".join(called.values())
    if group[0].template:
        text = (
            f"#define KERNEL_PARAMETERS {_declared(pointed, written)}\n"
            f"#define POINTERS {' '.join(_pointers(group[0].operands, pointed))}\n{group[0].template}"
        )
        name = _name(group, functions + text)
        return Kernel(name, f"{vectors}{functions}#define KERNEL_NAME {name}\n{text}")
    bodies = "".join(
        "{\n" + " ".join(_pointers(kernel.operands, pointed)) + f"\n{kernel.statements}\n}}\n" for kernel in group
    )
    head = f"__kernel __attribute__((reqd_work_group_size({group[0].local_size[0]}, 1, 1)))"
    text = f"({_declared(pointed, written)})\n{{\n{bodies}}}\n"
    name = _name(group, functions + head + text)
    return Kernel(name, f"{vectors}{functions}{head}\nvoid {name}{text}")


def _name(group: Group, text: str) -> str:
    root = group[0].plan.roots[0] if group[0].plan.roots else group[0].plan.outputs[0]
    return f"{root.operation.name}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _declared(pointed: Sequence[tuple[Tensor, int]], written: set[Tensor]) -> str:
    return ", ".join(
        f"__global {'' if t in written else 'const '}{t.stored.memory} *b{k}, const ulong o{k}"
        for k, (t, _) in enumerate(pointed)
    )


def _pointers(operands: Operands, pointed: Sequence[tuple[Tensor, int]]) -> list[str]:
    """Declares a kernel's own pointers from the parameters of the launch."""
    lines = []
    for k, (t, start) in enumerate(zip(operands.tensors, operands.starts, strict=True)):
        at = pointed.index((t, start))
        lines.append(f"__global {'' if t in operands.written else 'const '}{t.stored.memory} *p{k} = b{at} + o{at};")
    return lines


def _nodes(plan: KernelPlan) -> list[Node]:
    tensors = [*plan.roots, *plan.outputs]
    for chain in plan.chains.values():
        tensors.extend(chain)
    return list(dict.fromkeys(t.origin for t in tensors if t.origin is not None))


def _flops(plan: KernelPlan) -> int:
    return sum(t.operation.flops(t) for t in dict.fromkeys([*plan.roots, *plan.outputs]))
