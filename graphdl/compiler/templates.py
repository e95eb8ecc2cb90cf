"""The text that connects a hand-written kernel to the program: its pointers, and the macro
``STORE`` with the epilogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphdl.compiler.emit import Emitter, Lanes
from graphdl.compiler.expression import Strides, Tracer
from graphdl.compiler.generate import Operands, address_of, forward_index, write
from graphdl.compiler.numbers import Numbers, most_numbers
from graphdl.compiler.program import Target
from graphdl.compiler.strided import memory_operands, strides_from
from graphdl.graph.elements import ELEMENTS
from graphdl.graph.types import Element
from graphdl.operators.index import Index, LoopVariable
from graphdl.operators.kernels.family import Form, Operand, Prepared
from graphdl.operators.tensor import Part, Tensor


@dataclass(frozen=True)
class TemplateText:
    """The source of a kernel without its name, and its launch sizes."""

    preamble: str
    text: str
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    form: Form
    numbers: tuple[int | float, ...]
    """The arguments after the operands, named ``n0, n1, …`` in the text."""


def template(
    root: Tensor,
    outputs: Sequence[Tensor],
    chains: Mapping[Tensor, Sequence[Tensor]],
    strides: Strides,
    target: Target,
    operands: Operands,
) -> TemplateText:
    """The kernel of a template with its epilogue."""
    assert isinstance(root.operation, Prepared)
    coordinates, vector_axis = root.operation.family.coordinates, root.operation.family.vector
    bases = memory_operands(root)
    reads = [_read(x, base, strides) for x, base in zip(root.inputs, bases, strict=True)]
    call = root.operation.call(target, reads)
    # Each operand has its own pointer, even if two operands are in the same tensor.
    prologue, defines = [], [f"#define {name} {value}" for name, value in call.defines.items()]
    defines += [f"#define {name} n{k}" for k, name in enumerate(call.sizes)]
    for name, base, read in zip(call.operands, bases, reads, strict=True):
        pointer, rest = operands.locate(base, Index(read.offset))
        prologue.append(f"const __global MEMORY_{name} *{name} = {pointer} + ({rest.constant});")
        defines.append(f"#define MEMORY_{name} {base.stored.memory}")
    names = [f"c{k}" for k in range(len(coordinates))]
    variables = {axis: LoopVariable(f"e{k}", root.shape[axis]) for k, axis in enumerate(coordinates)}
    index = tuple(Index.of(variables[axis]) if axis in variables else Index(0) for axis in range(root.rank))
    vector = variables[vector_axis]
    family = root.operation.family
    stored = [root, *(user for chain in chains.values() for user in chain[1:] if isinstance(user.operation, Part))]
    values = [f"value{k}" for k in range(len(family.outputs))] if len(family.outputs) > 1 else ["value"]
    results = {x: f"{values[x.operation.number if isinstance(x.operation, Part) else 0]}_" for x in stored}
    tracer = Tracer(strides, [*stored, *outputs])
    places, expressions = [], []
    for output in outputs:
        at = forward_index(chains[output], index)
        expressions.append(tracer.trace(output, at, root=output not in results))
        places.append(address_of(at, strides[output]).recombined())
    macros = ["#define STORE(V, ...) STORE_(V, __VA_ARGS__)", "#define STORE_(V, ...) STORE_##V(__VA_ARGS__)"]
    for width in (1, 2, 4, 8, 16):
        lanes = Lanes(vector, width, aligned=family.aligned) if width > 1 else None
        parameters = ", ".join((*values, *names))
        if lanes is not None and not (lanes.can_run(expressions) and all(lanes.step(p) is not None for p in places)):
            body = _by_lanes(width, values, family.outputs, names, coordinates.index(vector_axis))
        else:
            emitter = Emitter(lanes, operands, dict(results), prefix="s")
            write(emitter, outputs, expressions, places, operands)
            heads = [f"const int e{k} = ({name});" for k, name in enumerate(names)]
            body = [*heads, *_declared(values, "_", family.outputs, width), *emitter.lines]
        macros.append(f"#define STORE_{width}({parameters}) do {{ {' '.join(body)} }} while (0)")
    sizes = tuple(call.sizes.values())
    numbers = Numbers(most_numbers(len(operands.tensors), target) - len(sizes), len(sizes))
    macros = list(map(numbers.taken_from, macros))
    preamble = "\n".join([*defines, *macros, f"#define KERNEL_PROLOGUE POINTERS {' '.join(prologue)}", ""])
    return TemplateText(
        preamble, call.text(), call.global_size, call.local_size, root.operation.form(reads), (*sizes, *numbers.values)
    )


def _declared(values: Sequence[str], suffix: str, elements: Sequence[Element], width: int) -> list[str]:
    """Declares variables, named with a suffix, for the values passed to ``STORE``."""
    lanes = str(width) if width > 1 else ""
    return [
        f"const {ELEMENTS[element].register}{lanes} {value}{suffix} = ({value});"
        for value, element in zip(values, elements, strict=True)
    ]


def _by_lanes(
    width: int, values: Sequence[str], elements: Sequence[Element], names: Sequence[str], along: int
) -> list[str]:
    digits = "0123456789abcdef"
    calls = []
    for k in range(width):
        lanes = [f"{value}_lanes.s{digits[k]}" for value in values]
        at = [f"({name}) + {k}" if position == along else name for position, name in enumerate(names)]
        calls.append(f"STORE_1({', '.join((*lanes, *at))});")
    return [*_declared(values, "_lanes", elements, width), *calls]


def _read(x: Tensor, base: Tensor, strides: Strides) -> Operand:
    """The offset and strides of an operand in ``base``, the tensor in memory that it views."""
    read = Operand(0, strides[base]) if x is base else strides_from(x, base, strides[base])
    assert read is not None, "strided_base promised strides"
    return read
