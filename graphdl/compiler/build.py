"""The compiler's driver: from results of the operator graph to a program."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.compiler.assembly import Assembled, assemble
from graphdl.compiler.emit import MEMORY
from graphdl.compiler.expression import domain
from graphdl.compiler.fusion import MOST_OPERANDS, KernelPlan, elementwise_of, fuse, reads
from graphdl.compiler.generate import Operands, elementwise, forward_index
from graphdl.compiler.layout import layouts
from graphdl.compiler.memory import Life, plan
from graphdl.compiler.prepare import prepare
from graphdl.compiler.program import ELEMENT_BYTES, ArenaBlock, Binding, Kernel, Launch, Program, Slot, Target
from graphdl.compiler.reductions import reduction
from graphdl.compiler.schedule import bytes_of, order
from graphdl.compiler.simplify import simplify
from graphdl.compiler.strided import fixed_operands, memory_operands
from graphdl.compiler.templates import template
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.model import Node
from graphdl.operators.index import Index
from graphdl.operators.kernels.family import copy
from graphdl.operators.tensor import Array, Elementwise, Feed, Read, Reduction, Source, Template, Tensor, topological
from graphdl.resources import resource

if TYPE_CHECKING:
    import numpy as np

_MOST_ELEMENTS = 2**31 - 1

Result = tuple[str, str]
"""``("fetch", name)`` or ``("variable", name)``."""


def build(fetches: Mapping[str, Tensor], updates: Mapping[str, Tensor], target: Target) -> Program:
    """A program that computes ``fetches`` and gives variables the values of ``updates``, all from their old values."""
    results: dict[Result, Tensor] = {("fetch", name): x for name, x in fetches.items()}
    results |= {("variable", name): x for name, x in updates.items()}
    _refuse_giants(topological(results.values()))
    results = assemble(_apart(simplify(prepare(simplify(results), target))))
    return _Builder(results, target).build()


def _refuse_giants(tensors: Sequence[Tensor]) -> None:
    """Raises ModelError for a tensor whose elements the kernels cannot count: their indices have 32 bits."""
    for tensor in tensors:
        if tensor.size > _MOST_ELEMENTS:
            message = f"with the batch, a tensor has {tensor.size:,} elements: the limit is {_MOST_ELEMENTS:,}"
            span = tensor.origin.span if tensor.origin is not None else None
            raise ModelError(Diagnostic("E0302", message, span, help="a smaller batch makes smaller tensors"))


def _apart(results: Mapping[Result, Tensor]) -> dict[Result, Tensor]:
    """Each result as a tensor of its own, row-major: what comes from outside, is two results at once or is read by a
    hand-written kernel in that kernel's layout is copied."""
    taken = fixed_operands(topological(results.values()))
    made = {}
    for name, tensor in results.items():
        single = copy(tensor) if tensor in taken or isinstance(tensor.operation, Source) else tensor
        taken.add(single)
        made[name] = single
    return made


@dataclass(frozen=True)
class _Kernel:
    """What one plan becomes: statements over pointers ``p0, p1, …``, or a template's whole text."""

    plan: KernelPlan
    operands: Operands
    statements: str
    template: str
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    in_place: tuple[tuple[Tensor, Tensor], ...]

    @property
    def alone(self) -> bool:
        """Whether one work-item does it all."""
        return not self.template and self.global_size == (1,)


class _Builder:
    def __init__(self, results: dict[Result, Tensor], target: Target) -> None:
        self.results = results
        self.target = target
        tensors = topological(results.values())
        self.operands = {t: memory_operands(t) for t in tensors if isinstance(t.operation, Template)}
        self.plans = fuse(list(results.values()), self.operands)

    def build(self) -> Program:
        before = self._writes_in_place()
        self.places: dict[Tensor, Result] = {tensor: result for result, tensor in self.results.items()}
        self.strides = layouts(self.plans, self.operands, set(self.places))
        self.placed = self._placed()
        sequence = order(self.plans, before, set(self.places))
        kernels = [self._generate(kernel_plan) for kernel_plan in sequence if not kernel_plan.is_assembled]
        groups = self._grouped(kernels)
        blocks, arena_bytes = self._place(kernels, groups)
        numbers = {block: number for number, block in enumerate(dict.fromkeys(blocks.values()))}
        named: dict[str, Kernel] = {}
        launches = []
        for group in groups:
            kernel = _source(group)
            named[kernel.name] = kernel
            launches.append(self._launch(group, kernel.name, blocks, numbers))
        return Program(
            self.target,
            named,
            tuple(launches),
            arena_bytes,
            tuple(dict.fromkeys(blocks.values())),
            variables=self._slots("variable", Read),
            feeds=self._slots("feed", Feed),
            fetches=self._slots("fetch", None),
            constants=self._constants(),
        )

    # A variable gets its new value where the old one lies, once everybody has read the old one.
    def _writes_in_place(self) -> dict[KernelPlan, list[KernelPlan]]:
        before: dict[KernelPlan, list[KernelPlan]] = {}
        reads = self._reads()
        makers = {t: p for p in self.plans for t in p.outputs}
        users: dict[Tensor, list[KernelPlan]] = {}
        for p in self.plans:
            for x in p.inputs:
                users.setdefault(x, []).append(p)
        for (kind, name), tensor in list(self.results.items()):
            if kind != "variable" or name not in reads:
                continue
            old = reads[name]
            maker = makers[tensor]
            readers = [p for p in users[old] if p is not maker]
            in_step = self._reads_in_step(maker, tensor, old, makers)
            if not in_step or any(_needs(p, maker, before, makers) for p in readers):
                tensor = self.results[kind, name] = copy(tensor)
                maker, earlier = KernelPlan([], [tensor], [tensor.inputs[0]]), maker
                self.plans.append(maker)
                readers.append(earlier)
            before.setdefault(maker, []).extend(readers)
        return before

    def _reads(self) -> dict[str, Tensor]:
        found = {}
        for p in self.plans:
            for x in p.inputs:
                if isinstance(x.operation, Read):
                    found[x.operation.key] = x
        return found

    def _reads_in_step(self, maker: KernelPlan, new: Tensor, old: Tensor, makers: Mapping[Tensor, KernelPlan]) -> bool:
        """Whether a kernel reads the old value, if at all, only where it writes the new one."""
        if old not in maker.inputs:
            return True
        realized = {t for t in maker.inputs if t in makers}
        if any(reads(self.operands.get(root, root.inputs), old, realized) for root in maker.roots):
            return False
        stop = realized | set(maker.roots)
        if not all(elementwise_of(output, old, stop) for output in maker.outputs):
            return False
        readers = [output for output in maker.outputs if reads(output.inputs, old, stop)]
        return all(_is_at(maker, output, new) for output in readers)

    def _generate(self, kernel_plan: KernelPlan) -> _Kernel:
        operands = Operands()
        outputs, chains, roots = kernel_plan.outputs, kernel_plan.chains, kernel_plan.roots
        if kernel_plan.is_elementwise:
            body = elementwise(outputs, self.strides, self.target, operands)
        elif isinstance(roots[0].operation, Reduction):
            body = reduction(roots, outputs, chains, self.strides, self.target, operands)
        else:
            made = template(roots[0], outputs, chains, self.strides, self.target, operands)
            text = made.preamble + made.text
            return _Kernel(kernel_plan, operands, "", text, made.global_size, made.local_size, ())
        return _Kernel(kernel_plan, operands, body.text, "", (body.global_size,), (body.local_size,), body.in_place)

    def _grouped(self, kernels: Sequence[_Kernel]) -> list[list[_Kernel]]:
        """Neighbours that a single work-item does are one launch: on a CPU a launch costs more than they do."""
        groups: list[list[_Kernel]] = []
        for kernel in kernels:
            joins = self.target.kind == "cpu" and groups and kernel.alone and groups[-1][-1].alone
            if joins and len(_parameters([*groups[-1], kernel])) <= MOST_OPERANDS:
                groups[-1].append(kernel)
            else:
                groups.append([kernel])
        return groups

    def _place(
        self, kernels: Sequence[_Kernel], groups: Sequence[Sequence[_Kernel]]
    ) -> tuple[dict[Tensor, ArenaBlock], int]:
        """Where in the arena every tensor lies, and the size of the arena."""
        first: dict[Tensor, int] = {}
        last: dict[Tensor, int] = {}
        for number, kernel in enumerate(kernels):
            first.update(dict.fromkeys(kernel.plan.outputs, number))
            last.update(dict.fromkeys(kernel.operands.tensors, number))
        for piece, (whole, _) in self.placed.items():
            first[whole] = min(first.get(whole, first[piece]), first[piece])
            last[whole] = max(last.get(whole, 0), last.get(piece, 0))
        owner = {t: self.placed[t][0] if t in self.placed else t for t in first if t not in self.places}
        owner = {t: whole for t, whole in owner.items() if whole not in self.places}
        lives = {t: (first[t], last.get(t, first[t])) for t, whole in owner.items() if whole is t}
        for number, kernel in enumerate(kernels):
            for operand, output in kernel.in_place:
                if operand not in owner or operand in self.placed or owner.get(output) is not output:
                    continue
                block = owner[operand]
                if lives[block][1] == number and block is not output:
                    owner[output] = block
                    lives[block] = (lives[block][0], lives.pop(output)[1])
        offsets, size = plan([Life(bytes_of(t), *life) for t, life in lives.items()]) if lives else ([], 0)
        launch = [number for number, group in enumerate(groups) for _ in group]
        made = {
            t: ArenaBlock(offset, bytes_of(t), launch[begin], launch[end], _label([t]))
            for (t, (begin, end)), offset in zip(lives.items(), offsets, strict=True)
        }
        return {t: made[owner[t]] for t in owner}, size

    def _launch(
        self,
        group: Sequence[_Kernel],
        name: str,
        blocks: Mapping[Tensor, ArenaBlock],
        number: Mapping[ArenaBlock, int],
    ) -> Launch:
        plans = [kernel.plan for kernel in group]
        nodes = dict.fromkeys(node for p in plans for node in _nodes(p))
        tensors = [t for kernel in group for t in kernel.operands.tensors]
        return Launch(
            kernel=name,
            bindings=tuple(self._binding(t, start, blocks) for t, start in _parameters(group)),
            global_size=group[0].global_size,
            local_size=group[0].local_size,
            label=", ".join(_label(p.outputs, p.roots) for p in plans),
            flops=sum(_flops(p) for p in plans),
            bytes=sum(bytes_of(t) for t in tensors),
            spans=tuple(dict.fromkeys(node.span for node in nodes)),
            modules=tuple(dict.fromkeys(node.module.path for node in nodes)),
            reads=tuple(dict.fromkeys(number[blocks[t]] for p in plans for t in p.inputs if t in blocks)),
            writes=tuple(dict.fromkeys(number[blocks[t]] for p in plans for t in p.outputs if t in blocks)),
        )

    def _placed(self) -> dict[Tensor, tuple[Tensor, int]]:
        """For each piece of an assembled tensor the whole and where in it the piece begins."""
        placed = {}
        for p in self.plans:
            for whole in p.outputs:
                if isinstance(whole.operation, Assembled):
                    for piece, start, _ in whole.operation.regions(whole, self.strides[whole]):
                        placed[piece] = whole, start
        return placed

    def _binding(self, tensor: Tensor, start: int, blocks: Mapping[Tensor, ArenaBlock]) -> Binding:
        operation = tensor.operation
        if tensor in self.placed:
            whole, offset = self.placed[tensor]
            return self._binding(whole, start + offset, blocks)
        if tensor in self.places:
            kind, name = self.places[tensor]
            return Binding("fetch" if kind == "fetch" else "variable", name, start)
        if isinstance(operation, Read):
            return Binding("variable", operation.key, start)
        if isinstance(operation, Feed):
            return Binding("feed", operation.key, start)
        if isinstance(operation, Array):
            return Binding("constant", _constant_name(operation), start)
        return Binding("arena", "", blocks[tensor].offset // ELEMENT_BYTES[tensor.element] + start)

    def _slots(self, kind: str, operation: type[Source] | None) -> dict[str, Slot]:
        slots = {}
        for p in self.plans:
            for x in p.inputs:
                if operation is not None and isinstance(x.operation, operation):
                    slots[x.operation.key] = Slot(x.operation.key, x.shape, x.element)  # type: ignore[attr-defined]
        for (result_kind, name), tensor in self.results.items():
            if result_kind == kind:
                slots.setdefault(name, Slot(name, tensor.shape, tensor.element))
        return dict(sorted(slots.items()))

    def _constants(self) -> dict[str, np.ndarray]:
        import numpy as np

        found = {}
        for p in self.plans:
            for x in p.inputs:
                if isinstance(x.operation, Array):
                    kind = {"float": np.float32, "int": np.int32, "bool": np.uint8}[x.element]
                    found[_constant_name(x.operation)] = np.array(x.operation.values, kind).reshape(x.shape)
        return found


def _is_at(kernel_plan: KernelPlan, output: Tensor, other: Tensor) -> bool:
    """Whether a kernel stores both outputs at the same index: chains of several roots may lead to different ones."""
    chains = kernel_plan.chains
    if not chains or chains[output] is chains[other]:
        return True
    index = tuple(Index.of(v) for v in domain(chains[output][0].shape))
    return forward_index(chains[output], index) == forward_index(chains[other], index)


def _needs(
    reader: KernelPlan,
    maker: KernelPlan,
    before: Mapping[KernelPlan, Sequence[KernelPlan]],
    makers: Mapping[Tensor, KernelPlan],
) -> bool:
    """Whether ``reader`` can only run after ``maker``."""
    stack, seen = [reader], {reader}
    while stack:
        current = stack.pop()
        for earlier in (*(makers[x] for x in current.inputs if x in makers), *before.get(current, ())):
            if earlier is maker:
                return True
            if earlier not in seen:
                seen.add(earlier)
                stack.append(earlier)
    return False


def _constant_name(operation: Array) -> str:
    return hashlib.sha256(repr(operation.values).encode()).hexdigest()[:16]


def _source(group: Sequence[_Kernel]) -> Kernel:
    """The OpenCL C of a launch; equal texts get equal names."""
    vectors = resource("opencl/vectors.cl").read_text("utf-8")
    parameters = _parameters(group)
    written = {t for kernel in group for t in kernel.operands.written}
    called = {name: text for kernel in group for name, text in kernel.operands.functions.items()}
    functions = "".join(called.values())
    if group[0].template:
        text = (
            f"#define KERNEL_PARAMETERS {_declared(parameters, written)}\n"
            f"#define POINTERS {' '.join(_pointers(group[0].operands, parameters))}\n{group[0].template}"
        )
        name = _name(group, functions + text)
        return Kernel(name, f"{vectors}{functions}#define KERNEL_NAME {name}\n{text}")
    bodies = "".join(
        "{\n" + " ".join(_pointers(kernel.operands, parameters)) + f"\n{kernel.statements}\n}}\n" for kernel in group
    )
    head = f"__kernel __attribute__((reqd_work_group_size({group[0].local_size[0]}, 1, 1)))"
    text = f"({_declared(parameters, written)})\n{{\n{bodies}}}\n"
    name = _name(group, functions + head + text)
    return Kernel(name, f"{vectors}{functions}{head}\nvoid {name}{text}")


def _name(group: Sequence[_Kernel], text: str) -> str:
    root = group[0].plan.roots[0] if group[0].plan.roots else group[0].plan.outputs[0]
    return f"{root.operation.name}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _parameters(group: Sequence[_Kernel]) -> list[tuple[Tensor, int]]:
    """The tensors of a launch, each with the element where a pointer to it starts."""
    pairs = [p for kernel in group for p in zip(kernel.operands.tensors, kernel.operands.starts, strict=True)]
    return list(dict.fromkeys(pairs))


def _declared(parameters: Sequence[tuple[Tensor, int]], written: set[Tensor]) -> str:
    return ", ".join(
        f"__global {'' if t in written else 'const '}{MEMORY[t.element]} *b{k}, const ulong o{k}"
        for k, (t, _) in enumerate(parameters)
    )


def _pointers(operands: Operands, parameters: Sequence[tuple[Tensor, int]]) -> list[str]:
    """Declares a kernel's own pointers from the parameters of the launch."""
    lines = []
    for k, (t, start) in enumerate(zip(operands.tensors, operands.starts, strict=True)):
        at = parameters.index((t, start))
        lines.append(f"__global {'' if t in operands.written else 'const '}{MEMORY[t.element]} *p{k} = b{at} + o{at};")
    return lines


def _nodes(kernel_plan: KernelPlan) -> list[Node]:
    tensors = [*kernel_plan.roots, *kernel_plan.outputs]
    for chain in kernel_plan.chains.values():
        tensors.extend(chain)
    return list(dict.fromkeys(t.origin for t in tensors if t.origin is not None))


def _flops(kernel_plan: KernelPlan) -> int:
    total = 0
    for root in kernel_plan.roots:
        total += root.operation.flops(root) if isinstance(root.operation, Template) else root.inputs[0].size
    return total + sum(t.size * t.operation.cost for t in kernel_plan.outputs if isinstance(t.operation, Elementwise))


def _label(outputs: Sequence[Tensor], roots: Sequence[Tensor] = ()) -> str:
    """What a kernel does and for which module, for people."""
    names = [t.operation.name for t in (*roots, *outputs)]
    modules = dict.fromkeys(t.origin.module.path for t in (*roots, *outputs) if t.origin is not None)
    return " ".join(("+".join(dict.fromkeys(names)), *list(modules)[:2])).strip()
