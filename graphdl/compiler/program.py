"""What the compiler hands to the runtime: kernels, buffers and the launches in order. Plain data, no device in it."""

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


Result = tuple[str, str]
"""What a program computes: ``("fetch", name)`` or ``("variable", name)``."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What the choice of kernels takes for granted of a device's cores. The figures of CPUs were measured with AVX2 and
    AVX-512; those of GPUs are estimates. They hold for all devices until one is measured to be different."""

    load_cost: int = 2
    """What reading an element costs, beside one floating-point operation."""
    item_cycles: int = 500
    """What a work-item of a CPU costs before it does anything."""
    item_share: int = 16384
    """Element operations below which another work-item of a CPU costs more than it saves."""
    item_flops: int = 500_000
    """The same for a convolution."""
    long_reduction: int = 16384
    """Elements from which a reduction with few results is done in two steps, for the sake of work for all cores."""
    cpu_shares: int = 4
    """Pieces of work for each core that make an even load."""
    gpu_shares: int = 1024
    """The same for a compute unit of a GPU, which hides its latency behind many."""
    multiply_ports: int = 2
    load_ports: int = 2
    multiply_latency: int = 4
    """Cycles until the result of a multiply-add can be added to."""
    page: int = 1024
    """Floats of a memory page: elements that lie so far apart miss the caches' sets and the TLB."""
    panel_steps: int = 1024
    """Steps of a product for which a panel of the second factor stays in a core's second cache."""
    strip_steps: int = 256
    """The same where a strip of the first factor has to stay there, too."""
    private_floats: int = 65536
    """Floats that a work-item may keep in private memory: 256 KiB, a part of a core's second cache."""
    group_items: int = 64
    """Work-items of a work-group of a generated kernel on a GPU."""


@dataclass(frozen=True, slots=True)
class Target:
    """What of a device the compiler needs to know."""

    kind: Literal["cpu", "gpu"]
    vector_width: int
    """Floats of one vector register (CPU) or of one wide load (GPU)."""
    compute_units: int
    max_work_group: int = 256
    local_memory: int = 32768
    """Bytes of local memory a work-group may have."""
    max_buffer: int = 1 << 30
    """Bytes of the largest single buffer."""
    memory: int = 1 << 32
    """Bytes of the device's memory."""
    cache: int = 0
    """Bytes of the cache in front of the device's memory; 0 if there is none, or nobody says."""
    cache_line: int = 64
    """Bytes."""
    name: str = ""
    """As the driver names the device; empty for one that is not there."""
    driver: str = ""
    """The platform with its version, and the driver's version."""
    tuning: Tuning = Tuning()

    @property
    def shares(self) -> int:
        """Pieces of work that make an even load."""
        return self.compute_units * (self.tuning.cpu_shares if self.kind == "cpu" else self.tuning.gpu_shares)


@dataclass(frozen=True, slots=True)
class Kernel:
    """One OpenCL C function ``name`` and everything its text needs. Equal texts are one kernel."""

    name: str
    source: str


@dataclass(frozen=True, slots=True)
class Binding:
    """An operand of a launch: a pointer argument followed by a ``ulong`` offset argument, counted in elements.

    ``place`` names the buffer: the arena, or a variable, feed, fetch or constant by ``name``.
    """

    place: Literal["arena", "variable", "feed", "fetch", "constant"]
    name: str = ""
    offset: int = 0
    steps: tuple[int, ...] = ()
    """How far the offset moves on with each turn of the loops around the launch, the outermost first."""
    element_bytes: int = 4

    def at(self, turns: Sequence[int]) -> int:
        """The offset at a turn of each of the loops around the launch."""
        return self.offset + sum(step * turn for step, turn in zip(self.steps, turns, strict=False))


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
    """Bytes that it must read and write at least."""
    spans: tuple[Span, ...] = ()
    """The lines of the ``.net`` file that asked for it."""
    modules: tuple[str, ...] = ()
    reads: tuple[int, ...] = ()
    """Indices into ``Program.arena_blocks``."""
    writes: tuple[int, ...] = ()
    times: int = 1
    """How often it runs, with all turns of the loops around it."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The launches from number ``first`` to before ``end`` run ``count`` times; ``inner`` are the loops among them."""

    first: int
    end: int
    count: int
    inner: tuple[Repeat, ...] = ()

    def moved(self, by: int) -> Repeat:
        """The same loop of launches whose numbers are greater."""
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
    """A stretch of the arena and its life: written first by launch ``first``, last read by launch ``last``."""

    offset: int
    nbytes: int
    first: int
    last: int
    label: str


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled program. ``execute`` it with ``graphdl.runtime.Executor``."""

    target: Target
    kernels: Mapping[str, Kernel]
    launches: tuple[Launch, ...]
    arena_bytes: int
    arena_blocks: tuple[ArenaBlock, ...]
    variables: Mapping[str, Slot]
    """Persistent: parameters, states, the optimizer's slots. They are shared with other programs."""
    feeds: Mapping[str, Slot]
    fetches: Mapping[str, Slot]
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    loops: tuple[Repeat, ...] = ()
    setup_launches: int = 0
    """How many of the first launches depend on variables alone: a run after which none was written leaves them out."""
    updates: tuple[str, ...] = ()
    """The variables that a run changes."""

    def calls(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """The launches in the order in which they run: the number of each, and the turns of the loops around it."""
        return _calls(0, len(self.launches), self.loops, ())

    @property
    def flops(self) -> int:
        return sum(launch.flops * launch.times for launch in self.launches)

    @property
    def live_bytes(self) -> int:
        """The most bytes of the arena that are alive at one launch: no plan can need less."""
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
