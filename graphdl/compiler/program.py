"""The compiler's output and the runtime's input: kernels, buffers and launches in order. Plain data, no device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Literal

from graphdl.graph.elements import ELEMENTS
from graphdl.graph.types import Element, Shape
from graphdl.source import Span

if TYPE_CHECKING:
    import numpy as np

    from graphdl.operators.kernels.family import Form


Result = tuple[str, str]
"""A result of a program: ``("fetch", name)`` or ``("variable", name)``."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Assumptions about a device's cores on which the choice of kernels depends.

    The figures for CPUs were measured with AVX2 and AVX-512; those for GPUs are estimates. They are used for every
    device that has no measured figures of its own.
    """

    load_cost: int = 2
    """The cost of reading an element, in floating-point operations."""
    item_cycles: int = 500
    """Fixed cost of a work-item on a CPU, in cycles."""
    item_share: int = 16384
    """Element operations below which a further work-item on a CPU costs more than it saves."""
    item_flops: int = 500_000
    """Floating-point operations below which a further work-item of a convolution costs more than it saves."""
    long_reduction: int = 16384
    """Elements from which a reduction to few results is split into two steps, so that all cores have work."""
    cpu_shares: int = 4
    """Chunks of work for each core of a CPU that balance the load."""
    gpu_shares: int = 1024
    """Chunks of work for each compute unit of a GPU: many hide its latency."""
    multiply_ports: int = 2
    load_ports: int = 2
    multiply_latency: int = 4
    """Cycles from a multiply-add to the first one that can use its result."""
    page: int = 1024
    """Floats of a memory page: elements at this distance conflict in the caches and miss the TLB."""
    panel_steps: int = 1024
    """Steps of a product for which a panel of the second factor stays in a core's second-level cache."""
    strip_steps: int = 256
    """Steps of a product if a strip of the first factor has to stay in that cache, too."""
    private_floats: int = 65536
    """Floats that a work-item may keep in private memory: 256 KiB, a part of a core's second-level cache."""
    group_items: int = 64
    """Work-items of a work-group of a generated kernel on a GPU."""
    gpu_flops: int = 64
    """Floating-point operations of a tiled product that a compute unit of a GPU does in a cycle."""
    gpu_bytes: float = 2.5
    """Bytes that a GPU moves from or to its memory in a cycle, for each compute unit. Few: work that saves arithmetic
    at the cost of memory has to be worth it on most GPUs."""
    gpu_launch: int = 5000
    """Cycles of a further launch on a GPU."""


@dataclass(frozen=True, slots=True)
class Target:
    """The properties of a device that the compiler needs."""

    kind: Literal["cpu", "gpu"]
    vector_width: int
    """Floats of one vector register (CPU) or of one wide load (GPU)."""
    compute_units: int
    max_work_group: int = 256
    local_memory: int = 32768
    """Bytes of local memory for a work-group."""
    max_buffer: int = 1 << 30
    """Bytes of the largest single buffer."""
    memory: int = 1 << 32
    """Bytes of the device's memory."""
    cache: int = 0
    """Bytes of the cache in front of the device's memory; 0 if there is none or its size is unknown."""
    cache_line: int = 64
    """Bytes of a cache line."""
    name: str = ""
    """The device's name as its driver reports it; empty for a target without a device."""
    driver: str = ""
    """The platform with its version, and the version of the driver."""
    tuning: Tuning = Tuning()

    @property
    def shares(self) -> int:
        """The number of chunks of work that balances the load."""
        return self.compute_units * (self.tuning.cpu_shares if self.kind == "cpu" else self.tuning.gpu_shares)


@dataclass(frozen=True, slots=True)
class Kernel:
    """One OpenCL C function ``name`` with everything that its text needs. Equal texts are one kernel."""

    name: str
    source: str
    item: int = 0
    """If it is not 0, the text has a function ``name_item`` that does the work of a work-item, for kernels that do the
    work of several. Its arguments are those of the kernel, followed by so many global ids: one for a generated kernel,
    three for a hand-written one. ``IS_PHASE`` leaves out the entry of a generated kernel.
    """
    renamed: bool = False
    """Whether no other text defines a name that this text defines, except that of the kernel."""
    parts: int = 1
    """The number of kernels that it consists of: it takes as long to compile as they do."""


@dataclass(frozen=True, slots=True)
class Binding:
    """An operand of a launch: a pointer argument and a ``ulong`` offset argument, in elements.

    ``place`` says which buffer: the arena, or the variable, feed, fetch or constant ``name``. The counters are memory
    of the runtime's own (``runtime/merging.py``).
    """

    place: Literal["arena", "variable", "feed", "fetch", "constant", "counters"]
    name: str = ""
    offset: int = 0
    steps: tuple[int, ...] = ()
    """The increment of the offset with each turn of the enclosing loops, the outermost first, in elements."""
    element_bytes: int = 4

    def at(self, turns: Sequence[int]) -> int:
        """The offset, in elements, at the given turn of each enclosing loop."""
        return self.offset + sum(step * turn for step, turn in zip(self.steps, turns, strict=False))


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a launch's work that is done for a module and a line of the text."""

    module: str
    """The path of the module; empty for the net itself, and for work without a module."""
    span: Span | None
    """The place outside of the standard library: that of the node, or of the library layer that contains it."""
    part: float
    """The fraction of the work. The parts of a launch add up to 1."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One enqueue of a kernel with all its arguments."""

    kernel: str
    bindings: tuple[Binding, ...]
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    label: str = ""
    """For people: ``conv c1``, ``add+relu features``."""
    flops: int = 0
    bytes: int = 0
    """The fewest bytes that the launch must read and write."""
    spans: tuple[Span, ...] = ()
    """The places in the ``.net`` file that the launch computes."""
    shares: tuple[Share, ...] = ()
    """The modules and lines that the launch computes, the largest part first."""
    form: Form | None = None
    """The form of a hand-written kernel; None for a generated kernel."""
    reads: tuple[int, ...] = ()
    """Indices into ``Program.arena_blocks``."""
    writes: tuple[int, ...] = ()
    times: int = 1
    """How often the launch runs in all turns of its enclosing loops."""
    numbers: tuple[int | float, ...] = ()
    """The arguments after the operands: an ``int`` or a ``float`` of C for each of Python's."""
    again: bool = False
    """Whether it recomputes what an earlier launch has computed."""

    @property
    def modules(self) -> tuple[str, ...]:
        """The paths of the modules whose work it does."""
        return tuple(dict.fromkeys(share.module for share in self.shares))


@dataclass(frozen=True, slots=True)
class Repeat:
    """The launches from ``first`` up to but not including ``end`` run ``count`` times. ``inner`` are the loops among
    them.
    """

    first: int
    end: int
    count: int
    inner: tuple[Repeat, ...] = ()

    def moved(self, by: int) -> Repeat:
        """The same loop with all launch numbers increased by ``by``."""
        return Repeat(self.first + by, self.end + by, self.count, tuple(loop.moved(by) for loop in self.inner))


@dataclass(frozen=True, slots=True)
class Slot:
    """A named buffer outside the arena."""

    name: str
    shape: Shape
    element: Element

    @property
    def nbytes(self) -> int:
        return max(1, prod(self.shape)) * ELEMENTS[self.element].stored.bytes


@dataclass(frozen=True, slots=True)
class ArenaBlock:
    """A block of the arena and its life: launch ``first`` writes it first, launch ``last`` reads it last."""

    offset: int
    nbytes: int
    first: int
    last: int
    label: str
    form: str = ""
    """The precision of the elements, if it is one of 16 bits."""


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled program. ``graphdl.runtime.Executor`` runs it."""

    target: Target
    kernels: Mapping[str, Kernel]
    launches: tuple[Launch, ...]
    arena_bytes: int
    arena_blocks: tuple[ArenaBlock, ...]
    variables: Mapping[str, Slot]
    """Persistent buffers: parameters, states, the optimizer's variables. Other programs may share them."""
    feeds: Mapping[str, Slot]
    fetches: Mapping[str, Slot]
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    loops: tuple[Repeat, ...] = ()
    setup_launches: int = 0
    """The number of leading launches that depend only on values that last from run to run. A run skips them if no
    variable was written since.
    """
    updates: tuple[str, ...] = ()
    """The variables that a run changes."""

    def calls(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """The launches in the order in which they run: the number of each, and the turns of its enclosing loops."""
        return _calls(0, len(self.launches), self.loops, ())

    @property
    def flops(self) -> int:
        return sum(launch.flops * launch.times for launch in self.launches)

    @property
    def live_bytes(self) -> int:
        """The most bytes of the arena that are alive at one launch: a lower bound for every plan."""
        changes: dict[int, int] = {}
        for block in self.arena_blocks:
            changes[block.first] = changes.get(block.first, 0) + block.nbytes
            changes[block.last + 1] = changes.get(block.last + 1, 0) - block.nbytes
        alive = most = 0
        for launch in sorted(changes):
            alive += changes[launch]
            most = max(most, alive)
        return most

    @property
    def peak_bytes(self) -> int:
        """Bytes of device memory that the program needs: arena, variables, feeds, fetches and constants."""
        slots = (*self.variables.values(), *self.feeds.values(), *self.fetches.values())
        return self.arena_bytes + sum(s.nbytes for s in slots) + sum(c.nbytes for c in self.constants.values())


def _calls(
    first: int, end: int, loops: Sequence[Repeat], turns: tuple[int, ...]
) -> Iterator[tuple[int, tuple[int, ...]]]:
    number = first
    for loop in loops:
        yield from ((k, turns) for k in range(number, loop.first))
        for turn in range(loop.count):
            yield from _calls(loop.first, loop.end, loop.inner, (*turns, turn))
        number = loop.end
    yield from ((k, turns) for k in range(number, end))
