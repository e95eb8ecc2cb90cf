"""Makes one launch of neighbouring short launches, on CPUs.

A launch costs a CPU's driver 10 to 20 µs: its threads have to be woken, and wait for each other at the end. Many
kernels of small programs take less. So the kernels of such launches become the phases of one kernel
(``opencl/phases.cl``), which calls their functions, with the same arguments and in the same order. The results are
those of separate launches, bit for bit on PoCL; Intel's compiler may round a sum of products in another way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from graphdl.compiler.numbers import most_numbers
from graphdl.compiler.program import Binding, Kernel, Launch, Program, Repeat
from graphdl.resources import resource
from graphdl.runtime.packing import apart

COUNTERS = Binding("counters")
"""The operand with the counters of ``phases.cl``, which are zero before and after each launch."""
COUNTER_BYTES = 512

SHORT = 1 << 25
"""The work of a launch, in element operations, up to which it is short: a tenth of a millisecond on a core."""
_MOST_OPERANDS = 56
"""The arguments of a launch have room for this number of operands; each takes 16 bytes of the guaranteed 1024."""
_MOST_KERNELS = 32
"""The most kernels of a launch: a driver compiles them all on one core."""
_MOST_AGAIN = 32
"""How many times, in all, a kernel may be compiled again because more than one launch has it. Large programs lose more
time by that at their first run than a thousand runs with fewer launches save.
"""
_LEAST_PAUSES = 20_000
"""How often a work-group looks whether it has to wait longer, before it ends: a few tenths of a millisecond."""
_OPERATIONS_OF_A_PAUSE = 64
"""A pause takes 10 to 40 ns on a processor: at least as long as so many operations of an item."""
_MOST_ITEMS = 1 << 30
"""Items of a launch: they are counted in an int."""


def merged(program: Program) -> Program:
    """The same program with fewer launches, if they are short on average, the device is a CPU, and this does not take
    the compiler much longer.
    """
    if program.target.kind != "cpu" or not _is_short(program):
        return program
    kernels: dict[str, Kernel] = {}
    launches: list[Launch] = []
    loops: list[Repeat] = []
    for run in _runs(program):
        first, loop = run[0].first, run[0].loop
        if run[0].joins and (len(run) > 1 or loop is not None):
            kernel, launch = _one(program, run)
            kernels[kernel.name] = kernel
            launches.append(launch)
            continue
        if loop is not None:
            loops.append(loop.moved(len(launches) - first))
        for launch in program.launches[first : run[0].end]:
            kernels[launch.kernel] = program.kernels[launch.kernel]
            launches.append(launch)
    if sum(kernel.parts for kernel in kernels.values()) > len(program.kernels) + _MOST_AGAIN:
        return program
    return replace(program, kernels=kernels, launches=tuple(launches), loops=tuple(loops))


@dataclass(frozen=True, slots=True)
class _Unit:
    """The launches from ``first`` up to but not including ``end``: a single one, or those of a loop."""

    first: int
    end: int
    loop: Repeat | None
    joins: bool
    """Whether it can be a part of a larger launch."""
    operands: frozenset[tuple[str, str]]
    kernels: frozenset[str]
    items: int


def _is_short(program: Program) -> bool:
    later = program.launches[program.setup_launches :]
    work = sum(_work(program, launch) * launch.times for launch in later)
    return work <= SHORT * sum(launch.times for launch in later)


def _work(program: Program, launch: Launch) -> int:
    """The operations of a launch and those that reading and writing its tensors costs."""
    return launch.flops + program.target.tuning.load_cost * launch.bytes // 4


def _runs(program: Program) -> Iterator[list[_Unit]]:
    """The launches, and the loops as a whole, in order. Those of a list can become one launch."""
    run: list[_Unit] = []
    operands: frozenset[tuple[str, str]] = frozenset()
    kernels: frozenset[str] = frozenset()
    items = 0
    for unit in _units(program):
        operands |= unit.operands
        kernels |= unit.kernels
        items += unit.items
        fits = len(operands) <= _MOST_OPERANDS and len(kernels) <= _MOST_KERNELS and items <= _MOST_ITEMS
        if run and not (unit.joins and run[-1].joins and fits):
            yield run
            run, operands, kernels, items = [], unit.operands, unit.kernels, unit.items
        run.append(unit)
    if run:
        yield run


def _units(program: Program) -> Iterator[_Unit]:
    number = 0
    for loop in program.loops:
        yield from (_unit(program, k, k + 1, None) for k in range(number, loop.first))
        yield _unit(program, loop.first, loop.end, loop)
        number = loop.end
    yield from (_unit(program, k, k + 1, None) for k in range(number, len(program.launches)))


def _unit(program: Program, first: int, end: int, loop: Repeat | None) -> _Unit:
    launches = program.launches[first:end]
    operands = frozenset((binding.place, binding.name) for launch in launches for binding in launch.bindings)
    items = sum(prod(launch.global_size) * launch.times for launch in launches)
    joins = (
        first >= program.setup_launches
        and items <= _MOST_ITEMS
        and len(operands) <= _MOST_OPERANDS
        and all(program.kernels[launch.kernel].item for launch in launches)
    )
    return _Unit(first, end, loop, joins, operands, frozenset(launch.kernel for launch in launches), items)


def _one(program: Program, run: Sequence[_Unit]) -> tuple[Kernel, Launch]:
    """The kernel and the launch that do the work of a list of ``_runs``."""
    parts = program.launches[run[0].first : run[-1].end]
    places = list(dict.fromkeys((binding.place, binding.name) for launch in parts for binding in launch.bindings))
    text = _Text(program, {place: f"b{k}" for k, place in enumerate(places, 1)})
    text.add(run[0].first, run[-1].end, [unit.loop for unit in run if unit.loop is not None], 0)
    largest = max(_work(program, launch) // prod(launch.global_size) for launch in parts)
    kernel = text.kernel(_LEAST_PAUSES + largest // _OPERATIONS_OF_A_PAUSE)
    launch = Launch(
        kernel.name,
        (COUNTERS, *(Binding(place, name) for place, name in places)),
        (min(program.target.compute_units, max(prod(launch.global_size) for launch in parts)), 1, 1),
        (1, 1, 1),
        label=", ".join(dict.fromkeys(launch.label for launch in parts)),
        flops=sum(launch.flops * launch.times for launch in parts),
        bytes=sum(launch.bytes * launch.times for launch in parts),
        spans=tuple(dict.fromkeys(span for launch in parts for span in launch.spans)),
        numbers=tuple(text.floats.values()),
    )
    return kernel, launch


class _Text:
    """The text of a kernel whose phases are launches of a program."""

    def __init__(self, program: Program, pointers: Mapping[tuple[str, str], str]) -> None:
        """``pointers`` has the name of the pointer to each buffer."""
        self._program = program
        self._pointers = pointers
        self._functions: dict[str, int] = {}
        """The kernels that are called, with their numbers."""
        self._lines: list[str] = []
        self._depth = 0
        self._most = most_numbers(len(pointers) + 1, program.target)
        self.floats: dict[int, float] = {}
        """The numbers that are arguments, in order, by their bits."""

    def add(self, first: int, end: int, loops: Sequence[Repeat], items: int) -> int:
        """Adds launches. ``items`` come before them in the kernel, or in a turn of the enclosing loop. Returns the
        number of items up to the end.
        """
        number = first
        for loop in loops:
            items = self._add_launches(number, loop.first, items)
            items = self._add_loop(loop, items)
            number = loop.end
        return self._add_launches(number, end, items)

    def kernel(self, pauses: int) -> Kernel:
        """The whole kernel. ``pauses`` is that of ``BEGIN_PHASES``."""
        phases = "\n".join(self._lines)
        digest = hashlib.sha256("\n".join((*self._functions, phases)).encode()).hexdigest()[:12]
        functions = "".join(
            apart(_function(self._program.kernels[name]), f"{number}_{digest}")
            for name, number in self._functions.items()
        )
        pointers = ", ".join(
            f"__global uchar *{name}, const ulong o{name}" for name in ("b0", *self._pointers.values())
        )
        parameters = ", ".join((pointers, *(f"const float f{k}" for k in range(len(self.floats)))))
        name = f"merged_{digest}"
        phases = phases.replace(_DIGEST, digest)
        head = f"__kernel __attribute__((reqd_work_group_size(1, 1, 1)))\nvoid {name}({parameters})"
        body = f"{{\nBEGIN_PHASES(b0, {pauses})\n{phases}\nEND_PHASES\n}}\n"
        macros = resource("opencl/phases.cl").read_text("utf-8")
        return Kernel(name, f"{functions}{macros}{head}\n{body}", renamed=True, parts=len(self._functions))

    def _add_launches(self, first: int, end: int, items: int) -> int:
        for launch in self._program.launches[first:end]:
            count = prod(launch.global_size)
            self._lines.append(f"PHASE({self._at(items)}, {count}, {self._call(launch)})")
            items += count
        return items

    def _add_loop(self, loop: Repeat, items: int) -> int:
        turn = f"turn{self._depth}"
        opening = len(self._lines)
        before = self._at(items)
        self._depth += 1
        each = self.add(loop.first, loop.end, loop.inner, 0)
        self._depth -= 1
        self._lines.insert(opening, f"for (int {turn} = 0; {turn} < {loop.count}; ++{turn}) {{")
        self._lines.insert(opening + 1, f"const int items{self._depth} = {before} + {turn} * {each};")
        self._lines.append("}")
        return items + loop.count * each

    def _at(self, items: int) -> str:
        """The number of an item, of which ``items`` are before it in the kernel or in the turn."""
        return f"items{self._depth - 1} + {items}" if self._depth else str(items)

    def _call(self, launch: Launch) -> str:
        number = self._functions.setdefault(launch.kernel, len(self._functions))
        arguments: list[str] = []
        for binding in launch.bindings:
            steps = (f"turn{k} * {step}L" for k, step in enumerate(binding.steps) if step)
            offset = " + ".join((f"{binding.offset}L", *steps))
            arguments += [f"(__global void *){self._pointers[binding.place, binding.name]}", f"(ulong)({offset})"]
        arguments += map(self._number, launch.numbers)
        x, y, _ = (*launch.global_size, 1, 1)[:3]
        ids = ["item"] if self._program.kernels[launch.kernel].item == 1 else [
            f"item % {x}", f"item / {x} % {y}", f"item / {x * y}",
        ]  # fmt: skip
        suffix = f"{number}_{_DIGEST}"  # a hand-written kernel adds _item to its name, which has the suffix then
        name = f"{launch.kernel}_item_{suffix}" if len(ids) == 1 else f"{launch.kernel}_{suffix}_item"
        return f"{name}({', '.join((*arguments, *ids))})"

    def _number(self, number: int | float) -> str:
        """A number as it is passed on. Floats are arguments, as in a launch of their own: with a known value, a
        compiler may round a formula in another way.
        """
        if isinstance(number, int):
            return f"({number})"
        with np.errstate(over="ignore"):  # a number that is too large for single precision is infinite
            bits = int(np.float32(number).view(np.int32))
        if bits not in self.floats and len(self.floats) == self._most:
            return f"as_float({bits})"
        self.floats.setdefault(bits, number)
        return f"f{list(self.floats).index(bits)}"


_DIGEST = "DIGEST"


def _function(kernel: Kernel) -> Kernel:
    """The text of a kernel without its entry: the function that does the work of a work-item, and what this calls."""
    text = kernel.source.replace("\nITEM_KERNEL\n", "\nITEM_FUNCTION\n")
    return replace(kernel, source=f"#define IS_PHASE\n{_ITEM_FUNCTION}{text}")


_ITEM_FUNCTION = """#define ITEM_FUNCTION \\
    CALLED void JOIN(KERNEL_NAME, _item)(KERNEL_PARAMETERS, const int item_0, const int item_1, const int item_2)
"""
"""The head of a hand-written kernel's function: that of ``ITEM_KERNEL`` in ``tile.cl``, without the kernel."""
