"""The compiler's driver: from results of the operator graph to a program."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.compiler.emit import MEMORY
from graphdl.compiler.fusion import KernelPlan, elementwise_of, fuse
from graphdl.compiler.generate import Operands, elementwise, reduction
from graphdl.compiler.layout import layouts
from graphdl.compiler.memory import Life, plan
from graphdl.compiler.program import ArenaBlock, Binding, Kernel, Launch, Program, Slot, Target
from graphdl.compiler.schedule import bytes_of, order
from graphdl.compiler.simplify import simplify
from graphdl.compiler.templates import Prepared, copy, memory_operands, prepare, template
from graphdl.graph.model import Node
from graphdl.operators.random import philox_source
from graphdl.operators.tensor import Array, Elementwise, Feed, Read, Reduction, Source, Template, Tensor, topological

if TYPE_CHECKING:
    import numpy as np

Result = tuple[str, str]
"""``("fetch", name)`` or ``("variable", name)``."""


def build(fetches: Mapping[str, Tensor], updates: Mapping[str, Tensor], target: Target) -> Program:
    """A program that computes ``fetches`` and gives variables the values of ``updates``, all from their old values."""
    results: dict[Result, Tensor] = {("fetch", name): x for name, x in fetches.items()}
    results |= {("variable", name): x for name, x in updates.items()}
    results = simplify(prepare(simplify(results), target))
    results = _apart(results)
    return _Builder(results, target).build()


def _apart(results: Mapping[Result, Tensor]) -> dict[Result, Tensor]:
    """Each result as a tensor of its own, row-major: what comes from outside, is two results at once or is read by a
    hand-written kernel in that kernel's layout is copied."""
    taken = {x for t in topological(results.values()) if isinstance(t.operation, Prepared) for x in t.inputs}
    made = {}
    for name, tensor in results.items():
        single = copy(tensor) if tensor in taken or isinstance(tensor.operation, Source) else tensor
        taken.add(single)
        made[name] = single
    return made


@dataclass(frozen=True)
class _Kernel:
    """A kernel's text without its name, and how it is launched."""

    plan: KernelPlan
    text: str
    operands: list[Tensor]
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    in_place: tuple[tuple[Tensor, Tensor], ...]


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
        sequence = order(self.plans, before, set(self.places))
        kernels = [self._generate(kernel_plan) for kernel_plan in sequence]
        blocks, offsets, arena_bytes = self._place(kernels)
        named: dict[str, Kernel] = {}
        launches = []
        for number, kernel in enumerate(kernels):
            name = self._name(kernel)
            named.setdefault(name, Kernel(name, self._source(kernel, name)))
            launches.append(self._launch(kernel, name, offsets, blocks, number))
        return Program(
            self.target,
            named,
            tuple(launches),
            arena_bytes,
            tuple(ArenaBlock(*block) for block in blocks.values()),
            variables=self._slots("variable", Read),
            feeds=self._slots("feed", Feed),
            fetches=self._slots("fetch", None),
            constants=self._constants(),
        )

    # A variable gets its new value where the old one lies, once everybody has read the old one.
    def _writes_in_place(self) -> dict[KernelPlan, list[KernelPlan]]:
        before: dict[KernelPlan, list[KernelPlan]] = {}
        reads = self._reads()
        for (kind, name), tensor in list(self.results.items()):
            if kind != "variable" or name not in reads:
                continue
            old = reads[name]
            maker = next(p for p in self.plans if tensor in p.outputs)
            readers = [p for p in self.plans if old in p.inputs and p is not maker]
            if not self._reads_in_step(maker, old) or any(self._needs(p, maker, before) for p in readers):
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

    def _reads_in_step(self, maker: KernelPlan, old: Tensor) -> bool:
        """Whether a kernel reads the old value, if at all, only where it writes the new one."""
        if old not in maker.inputs:
            return True
        realized = {t for p in self.plans for t in p.outputs} - set(maker.outputs)
        for root in maker.roots:
            stack, seen = list(self.operands.get(root, root.inputs)), set()
            while stack:
                x = stack.pop()
                if x is old:
                    return False
                if x not in seen and x not in realized:
                    seen.add(x)
                    stack.extend(x.inputs)
        stop = realized | set(maker.roots)
        return all(elementwise_of(output, old, stop) for output in maker.outputs)

    def _needs(self, reader: KernelPlan, maker: KernelPlan, before: Mapping[KernelPlan, Sequence[KernelPlan]]) -> bool:
        """Whether ``reader`` can only run after ``maker``."""
        makers = {t: p for p in self.plans for t in p.outputs}
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

    def _generate(self, kernel_plan: KernelPlan) -> _Kernel:
        operands = Operands()
        if kernel_plan.is_elementwise:
            body = elementwise(kernel_plan.outputs, self.strides, self.target, operands)
        elif isinstance(kernel_plan.roots[0].operation, Reduction):
            body = reduction(
                kernel_plan.roots, kernel_plan.outputs, kernel_plan.chains, self.strides, self.target, operands
            )
        else:
            made = template(
                kernel_plan.roots[0], kernel_plan.outputs, kernel_plan.chains, self.strides, self.target, operands
            )
            head = _parameters(operands, made.preamble)
            return _Kernel(
                kernel_plan, head + made.text, operands.tensors, made.global_size, made.local_size, ()
            )
        parameters = ", ".join(_declared(operands))
        pointers = " ".join(_pointers(operands))
        functions = "".join(philox_source(w) for w in (1, 2, 4, 8, 16) if f"philox{w}(" in body.text)
        text = (
            f"{functions}__kernel __attribute__((reqd_work_group_size({body.local_size}, 1, 1)))\n"
            f"void KERNEL_NAME({parameters})\n{{\n{pointers}\n{body.text}\n}}\n"
        )
        return _Kernel(kernel_plan, text, operands.tensors, (body.global_size,), (body.local_size,), body.in_place)

    def _place(
        self, kernels: Sequence[_Kernel]
    ) -> tuple[dict[Tensor, tuple[int, int, int, int, str]], dict[Tensor, int], int]:
        """Arena blocks by the tensor that came first in them, and the byte offset of every tensor in the arena."""
        first: dict[Tensor, int] = {}
        last: dict[Tensor, int] = {}
        for number, kernel in enumerate(kernels):
            for t in kernel.plan.outputs:
                first[t] = number
            for t in kernel.operands:
                last[t] = number
        owner = {t: t for t in first if t not in self.places}
        end = {t: last.get(t, first[t]) for t in owner}
        begin = {t: first[t] for t in owner}
        for number, kernel in enumerate(kernels):
            for operand, output in kernel.in_place:
                if operand not in owner or owner.get(output) is not output:
                    continue
                block = owner[operand]
                if end[block] == number and block is not output and output in owner:
                    owner[output] = block
                    end[block] = end.pop(output)
                    begin.pop(output)
        names = list(end)
        offsets, size = plan([Life(bytes_of(t), begin[t], end[t]) for t in names]) if names else ([], 0)
        where = dict(zip(names, offsets, strict=True))
        blocks = {t: (where[t], bytes_of(t), begin[t], end[t], _label([t])) for t in names}
        return blocks, {t: where[_owner(owner, t)] for t in owner}, size

    def _name(self, kernel: _Kernel) -> str:
        digest = hashlib.sha256(kernel.text.encode()).hexdigest()[:12]
        return f"{_kind(kernel.plan)}_{digest}"

    def _source(self, kernel: _Kernel, name: str) -> str:
        return f"#define KERNEL_NAME {name}\n{kernel.text}"

    def _launch(
        self,
        kernel: _Kernel,
        name: str,
        offsets: Mapping[Tensor, int],
        blocks: Mapping[Tensor, tuple[int, int, int, int, str]],
        number: int,
    ) -> Launch:
        index = {offset_first: k for k, offset_first in enumerate((b[0], b[2]) for b in blocks.values())}
        by_block = {t: index[b[0], b[2]] for t, b in blocks.items()}
        nodes = _nodes(kernel.plan)
        return Launch(
            kernel=name,
            bindings=tuple(self._binding(t, offsets) for t in kernel.operands),
            global_size=kernel.global_size,
            local_size=kernel.local_size,
            label=_label(kernel.plan.outputs, kernel.plan.roots),
            flops=_flops(kernel.plan),
            bytes=sum(bytes_of(t) for t in {*kernel.operands}),
            spans=tuple(dict.fromkeys(node.span for node in nodes)),
            modules=tuple(dict.fromkeys(node.module.path for node in nodes)),
            reads=tuple(by_block[t] for t in kernel.plan.inputs if t in by_block),
            writes=tuple(by_block[t] for t in kernel.plan.outputs if t in by_block),
        )

    def _binding(self, tensor: Tensor, offsets: Mapping[Tensor, int]) -> Binding:
        operation = tensor.operation
        if tensor in self.places:
            kind, name = self.places[tensor]
            return Binding("fetch" if kind == "fetch" else "variable", name)
        if isinstance(operation, Read):
            return Binding("variable", operation.key)
        if isinstance(operation, Feed):
            return Binding("feed", operation.key)
        if isinstance(operation, Array):
            return Binding("constant", _constant_name(operation))
        size = {"float": 4, "int": 4, "bool": 1}[tensor.element]
        return Binding("arena", "", offsets[tensor] // size)

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


def _owner(owner: Mapping[Tensor, Tensor], tensor: Tensor) -> Tensor:
    while owner[tensor] is not tensor:
        tensor = owner[tensor]
    return tensor


def _constant_name(operation: Array) -> str:
    return hashlib.sha256(repr(operation.values).encode()).hexdigest()[:16]


def _declared(operands: Operands) -> list[str]:
    return [
        f"__global {'' if t in operands.written else 'const '}{MEMORY[t.element]} *b{k}, const ulong o{k}"
        for k, t in enumerate(operands.tensors)
    ]


def _pointers(operands: Operands) -> list[str]:
    return [
        f"__global {'' if t in operands.written else 'const '}{MEMORY[t.element]} *p{k} = b{k} + o{k};"
        for k, t in enumerate(operands.tensors)
    ]


def _parameters(operands: Operands, preamble: str) -> str:
    return (
        f"#define KERNEL_PARAMETERS {', '.join(_declared(operands))}\n"
        f"#define POINTERS {' '.join(_pointers(operands))}\n{preamble}"
    )


def _kind(kernel_plan: KernelPlan) -> str:
    if kernel_plan.roots:
        return kernel_plan.roots[0].operation.name
    return kernel_plan.outputs[0].operation.name


def _nodes(kernel_plan: KernelPlan) -> list[Node]:
    tensors = [*kernel_plan.roots, *kernel_plan.outputs]
    for chain in kernel_plan.chains.values():
        tensors.extend(chain)
    return list(dict.fromkeys(t.origin for t in tensors if t.origin is not None))


def _flops(kernel_plan: KernelPlan) -> int:
    total = 0
    for root in kernel_plan.roots:
        total += root.operation.flops(root) if isinstance(root.operation, Template) else root.inputs[0].size
    return total + sum(
        t.size * t.operation.cost for t in kernel_plan.outputs if isinstance(t.operation, Elementwise)
    )


def _label(outputs: Sequence[Tensor], roots: Sequence[Tensor] = ()) -> str:
    """What a kernel does and for which module, for people."""
    names = [t.operation.name for t in (*roots, *outputs)]
    modules = dict.fromkeys(t.origin.module.path for t in (*roots, *outputs) if t.origin is not None)
    return " ".join(("+".join(dict.fromkeys(names)), *list(modules)[:2])).strip()

