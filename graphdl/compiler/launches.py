"""The launches of a program: OpenCL C, arguments, and costs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from graphdl.compiler.fusion import KernelPlan, label_of
from graphdl.compiler.generate import Operands
from graphdl.compiler.grouping import GeneratedKernel, Group, Parameter, parameters
from graphdl.compiler.numbers import Numbers, most_numbers
from graphdl.compiler.placement import Placement
from graphdl.compiler.program import ArenaBlock, Binding, Kernel, Launch, Repeat, Share, Target
from graphdl.compiler.repeating import Arguments, Repeated
from graphdl.compiler.schedule import bytes_of
from graphdl.compiler.strided import contiguous_base
from graphdl.graph.model import Node
from graphdl.operators.tensor import Part, Tensor
from graphdl.resources import resource
from graphdl.source import Span

_AGAIN = "again "
"""The label of a kernel that has run before begins so."""


@dataclass
class Launched:
    """The kernels of a program by name, its launches in order, and its loops."""

    kernels: dict[str, Kernel] = field(default_factory=dict)
    launches: list[Launch] = field(default_factory=list)
    loops: list[Repeat] = field(default_factory=list)


def launched(groups: Sequence[Group], placement: Placement, target: Target) -> Launched:
    """Makes the launches of the groups, in order."""
    numbers = {block: number for number, block in enumerate(placement.arena_blocks)}
    made = Launched()
    for group in groups:
        root = group[0].plan.roots[0] if group[0].plan.roots else None
        if root is not None and isinstance(root.operation, Repeated):
            _launch_loop(_Linker(root, root.operation, group[0], placement, numbers), root.operation, made)
            continue
        pointed = parameters(group)
        kernel, arguments = _source(group, pointed, target)
        made.kernels[kernel.name] = kernel
        launch = _launch(group, pointed, kernel.name, placement, numbers)
        made.launches.append(replace(launch, numbers=arguments))
    return made


def _launch_loop(linker: _Linker, loop: Repeated, made: Launched) -> None:
    for linked in loop.programs:
        program, start = linked.program, len(made.launches)
        once = program.setup_launches if linked is loop.body else len(program.launches)
        made.kernels |= program.kernels
        made.launches += [
            linker.linked(launch, linked.arguments, None if number < once else loop.count)
            for number, launch in enumerate(program.launches)
        ]
        inner = [repeat.moved(start) for repeat in program.loops]
        made.loops += [repeat for repeat in inner if repeat.first < start + once]
        if linked is loop.body:
            within = tuple(repeat for repeat in inner if repeat.first >= start + once)
            made.loops.append(Repeat(start + once, len(made.launches), loop.count, within))


class _Linker:
    """Binds the buffers of a loop's programs to the memory of the program that contains the loop."""

    def __init__(
        self,
        root: Tensor,
        loop: Repeated,
        kernel: GeneratedKernel,
        placement: Placement,
        numbers: Mapping[ArenaBlock, int],
    ) -> None:
        stored = (*kernel.outputs, *kernel.own)
        parts = {x.operation.number: x for x in stored if isinstance(x.operation, Part)}
        operands = map(contiguous_base, root.inputs)
        self.places: dict[str, list[tuple[Tensor, int]]] = {
            "operand": [(kernel.twin(x), start) for x, start in operands],
            "output": [(parts[k], 0) for k in range(len(loop.outputs))],
            "own": [(x, 0) for x in kernel.own if not isinstance(x.operation, Part)],
        }
        self.placement, self.numbers, self.again = placement, numbers, kernel.again

    def linked(self, launch: Launch, arguments: Arguments, count: int | None) -> Launch:
        """A launch of one of the loop's programs, bound to the outer program's memory.

        ``count`` is the number of the loop's turns, or None for a launch that runs once before the loop.
        """
        bindings, reads, writes = [], [], []
        for binding in launch.bindings:
            argument = arguments.get((binding.place, binding.name))
            turn = () if count is None else (argument.step // binding.element_bytes if argument is not None else 0,)
            steps = (*turn, *binding.steps)
            if argument is None:
                bindings.append(replace(binding, steps=steps))
                continue
            tensor, start = self.places[argument.kind][argument.number]
            found = self.placement.binding(tensor, start)
            size = binding.element_bytes
            offset = (found.offset * found.element_bytes + argument.offset) // size + binding.offset
            bindings.append(Binding(found.place, found.name, offset, steps, size))
            if tensor in self.placement.blocks:
                number = self.numbers[self.placement.blocks[tensor]]
                if binding.place != "fetch":
                    reads.append(number)
                if binding.place != "feed":
                    writes.append(number)
        return replace(
            launch, bindings=tuple(bindings), reads=tuple(dict.fromkeys(reads)), writes=tuple(dict.fromkeys(writes)),
            times=launch.times * (count or 1), label=_AGAIN * self.again + launch.label, again=self.again,
        )  # fmt: skip


def _launch(
    group: Group, pointed: Sequence[Parameter], name: str, placement: Placement, numbers: Mapping[ArenaBlock, int]
) -> Launch:
    plans = [kernel.plan for kernel in group]
    computed = [p.computed for p in plans]
    nodes = dict.fromkeys(node for p in plans for node in _nodes(p))
    tensors = [t for kernel in group for t in kernel.operands.tensors]
    blocks = placement.blocks
    return Launch(
        kernel=name,
        bindings=tuple(placement.binding(t, start) for t, start in pointed),
        global_size=group[0].global_size,
        local_size=group[0].local_size,
        label=", ".join(
            _AGAIN * kernel.again + label_of([*kernel.plan.roots, *kernel.plan.outputs]) for kernel in group
        ),
        flops=sum(t.operation.flops(t) for made in computed for t in made),
        bytes=sum(bytes_of(t) for t in tensors),
        spans=tuple(dict.fromkeys(node.span for node in nodes)),
        shares=_shares(zip(plans, computed, strict=True)),
        form=group[0].form,
        reads=tuple(dict.fromkeys(numbers[blocks[t]] for t in _read(group) if t in blocks)),
        writes=tuple(dict.fromkeys(numbers[blocks[t]] for kernel in group for t in kernel.outputs if t in blocks)),
        again=all(kernel.again for kernel in group),
    )


def _read(group: Group) -> list[Tensor]:
    """The tensors that the kernels read. A plan may list further inputs, of which no element is used."""
    return [t for kernel in group for t in kernel.operands.tensors if t not in kernel.operands.written]


@cache
def _head(forms: tuple[str, ...]) -> str:
    """The text with which all kernels begin, and the files of the forms of elements that one reads or writes."""
    return "".join(resource(f"opencl/{name}").read_text("utf-8") for name in ("vectors.cl", *forms))


def _source(group: Group, pointed: Sequence[Parameter], target: Target) -> tuple[Kernel, tuple[int | float, ...]]:
    """The OpenCL C of a launch, and the numbers that are its arguments. Equal texts get equal names."""
    written = {t for kernel in group for t in kernel.operands.written}
    declared = ", ".join(
        f"__global {'' if t in written else 'const '}{t.stored.memory} *b{k}, const ulong o{k}"
        for k, (t, _) in enumerate(pointed)
    )
    passed = ", ".join(f"b{k}, o{k}" for k in range(len(pointed)))
    number = {pointer: k for k, pointer in enumerate(pointed)}
    begin = _head(tuple(dict.fromkeys(t.stored.source for t, _ in pointed if t.stored.source)))
    called = {name: text for kernel in group for name, text in kernel.operands.functions.items()}
    functions = "".join(called.values())
    if group[0].template:
        numbers = group[0].numbers
        types = ("float" if isinstance(number, float) else "int" for number in numbers)
        declared = ", ".join((declared, *(f"const {element} n{k}" for k, element in enumerate(types))))
        text = (
            f"#define KERNEL_PARAMETERS {declared}\n"
            f"#define KERNEL_ARGUMENTS {', '.join((passed, *(f'n{k}' for k in range(len(numbers)))))}\n"
            f"#define POINTERS {_pointers(group[0].operands, number)}\n{group[0].template}"
        )
        name = _name(group, functions + text)
        item = 3 if target.kind == "cpu" and "\nITEM_KERNEL\n" in text else 0
        return Kernel(name, f"{begin}{functions}#define KERNEL_NAME {name}\n{text}", item), numbers
    taken = Numbers(most_numbers(len(pointed), target))
    bodies = "".join(
        f"{{\n{_pointers(kernel.operands, number)}\n{taken.taken_from(kernel.statements)}\n}}\n" for kernel in group
    )
    declared = ", ".join((declared, *taken.parameters))
    head = f"__kernel __attribute__((reqd_work_group_size({group[0].local_size[0]}, 1, 1)))"
    shared = "".join(kernel.shared for kernel in group)
    name = _name(group, functions + head + declared + shared + bodies)
    if target.kind == "cpu":  # the kernel calls its statements: see CALLED in vectors.cl
        passed = ", ".join((passed, *taken.names))
        functions += f"CALLED void {name}_item({declared}, const int item)\n{{\n{bodies}}}\n"
        entry = f"{head}\nvoid {name}({declared})\n{{\n{name}_item({passed}, get_global_id(0));\n}}\n"
        return Kernel(name, f"{begin}{functions}#ifndef IS_PHASE\n{entry}#endif\n", 1), taken.values
    # A function cannot declare local memory.
    bodies = f"{shared}const int item = get_global_id(0);\n{bodies}"
    return Kernel(name, f"{begin}{functions}{head}\nvoid {name}({declared})\n{{\n{bodies}}}\n"), taken.values


def _name(group: Group, text: str) -> str:
    root = group[0].plan.roots[0] if group[0].plan.roots else group[0].plan.outputs[0]
    return f"{root.operation.name}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _pointers(operands: Operands, number: Mapping[Parameter, int]) -> str:
    """Declares a kernel's own pointers from the numbered parameters of the launch."""
    lines = []
    for k, (t, start) in enumerate(operands.pointers):
        constant = "" if t in operands.written else "const "
        at = number[t, start]
        lines.append(f"__global {constant}{t.stored.memory} *p{k} = b{at} + o{at};")
    return " ".join(lines)


def _nodes(plan: KernelPlan) -> list[Node]:
    tensors = [*plan.roots, *plan.outputs]
    for chain in plan.chains.values():
        tensors.extend(chain)
    return list(dict.fromkeys(t.origin for t in tensors if t.origin is not None))


def _shares(computed: Iterable[tuple[KernelPlan, Sequence[Tensor]]]) -> tuple[Share, ...]:
    """The modules and lines that a launch computes, with their fractions of its work.

    ``computed`` has the plans of the launch, each with the tensors that it computes. The work of a tensor is its number
    of floating-point operations. A root or an output without such operations counts one for each element.
    """
    work: dict[tuple[str, Span | None], int] = {}
    for plan, tensors in computed:
        for tensor in tensors:
            amount = tensor.operation.flops(tensor)
            if not amount and (tensor in plan.roots or tensor in plan.outputs):
                amount = tensor.size
            owner = ("", None) if tensor.origin is None else (tensor.origin.module.path, _written(tensor.origin))
            work[owner] = work.get(owner, 0) + amount
    total = sum(work.values()) or 1
    shares = [Share(module, span, amount / total) for (module, span), amount in work.items() if amount]
    return tuple(sorted(shares, key=lambda share: -share.part))


def _written(node: Node) -> Span:
    """The place in the user's files: of the node, or of the layer of the library that it is in."""
    span, module = node.span, node.module
    while span.in_library and module.parent is not None:
        span, module = module.span, module.parent
    return span
