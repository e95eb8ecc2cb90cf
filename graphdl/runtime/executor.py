"""Runs a compiled program on a device.

Buffers, kernels and arguments are prepared once. A run enqueues the feeds and all launches on the device's in-order
queue. It waits only for the run before the last, so that the host is at most two runs ahead of the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod
from time import perf_counter
from typing import Any
from weakref import ref

import numpy as np
import pyopencl as cl

from graphdl.compiler.program import Binding, Launch, Program
from graphdl.diagnostics import DeviceError
from graphdl.runtime.ahead import compile_ahead
from graphdl.runtime.arrays import check_array
from graphdl.runtime.build import Progress, build, set_numbers, unwatched
from graphdl.runtime.drivers.pocl_libraries import keep_loaded
from graphdl.runtime.exchange import TURNS, Memory, Pending, exchange
from graphdl.runtime.loop_limit import check_loops
from graphdl.runtime.merging import COUNTER_BYTES, merged
from graphdl.runtime.opencl import Device, device_errors
from graphdl.runtime.ranking import DeviceInfo
from graphdl.runtime.variables import VariableStore

_FLUSH_AFTER = 8
"""The number of launches after which the queue is flushed. PoCL and Intel start at once; drivers of GPUs may wait."""
_SMALLEST_BUFFER = 16
_LARGEST_SHOWN = 5
_SMALLER_BATCH = "; a smaller batch needs less"


@dataclass(slots=True)
class Run:
    """The commands that one run has enqueued, and their times in seconds of ``time.perf_counter``."""

    numbers: list[int]
    """The number of each launch: the order of ``Program.calls``, without the setup if that was not needed."""
    copies: list[cl.Event]
    """The copies of the feeds, of those that the device copies."""
    launches: list[cl.Event]
    begin: float
    written: float
    """The time when the feeds were written, or ready to be copied, after the host has waited for the run before the
    last.
    """
    end: float
    """The time when all launches were enqueued."""


class _Launches:
    """The kernels of a program, built for a device, and the arguments of its launches."""

    def __init__(self, program: Program, device: Device, progress: Progress) -> None:
        self.program = program
        self._device = device
        compile_ahead(program, device, progress)
        spans = {launch.kernel: launch.spans for launch in reversed(program.launches)}
        self.kernels = build(device, program.kernels, spans, progress=progress)
        self.order = [number for number, _ in program.calls()]
        """The number of each launch of a run."""
        self.setup = sum(number < program.setup_launches for number in self.order)
        """The number of launches of the setup."""
        self.calls: list[list[tuple[Any, ...]]] = []
        """The arguments of every ``enqueue_nd_range_kernel`` call of a run, without the queue, for each turn."""

    def at(self, place: int) -> Launch:
        """The launch at a place of a run."""
        return self.program.launches[self.order[place]]

    def bind(self, memory: Callable[[Binding], list[Memory]]) -> None:
        """Binds the arguments of all launches. ``memory`` gives what an operand is bound to, for each turn of the runs.

        Raises:
            DeviceError: a launch does not fit its kernel or the device.
        """
        launches = self.program.launches
        for launch in launches:
            self._check(launch)
        with device_errors("preparing the launches"):
            calls = [self._bind(launches[number], turns, memory) for number, turns in self.program.calls()]
        self.calls = [[each[turn] for each in calls] for turn in range(TURNS)]

    def _bind(
        self, launch: Launch, turns: Sequence[int], memory: Callable[[Binding], list[Memory]]
    ) -> list[tuple[Any, ...]]:
        """The arguments of one enqueue, for a launch at the given turns of its loops: for each turn of the runs.

        They are positional because keyword arguments cost time.
        """
        places = [memory(binding) for binding in launch.bindings]
        calls: list[tuple[Any, ...]] = []
        for turn in range(TURNS):
            given = [each[turn] for each in places]
            if calls and given == [each[0] for each in places]:
                calls.append(calls[0])
                continue
            kernel = self.kernels.create(launch.kernel)
            for index, (binding, each) in enumerate(zip(launch.bindings, given, strict=True)):
                kernel.set_arg(2 * index, each)
                kernel.set_arg(2 * index + 1, np.uint64(binding.at(turns)))
            set_numbers(kernel, launch.numbers)
            calls.append((kernel, launch.global_size, launch.local_size, None, None))
        return calls

    def _check(self, launch: Launch) -> None:
        """Raises an error if a launch does not fit its kernel or the device."""
        info = self._device.info
        with device_errors(f"preparing {describe_launch(launch)}"):
            kernel = self.kernels.create(launch.kernel)
            if kernel.num_args != 2 * len(launch.bindings) + len(launch.numbers):
                raise ValueError(
                    f"{describe_launch(launch)} binds {len(launch.bindings)} operands, "
                    f"but kernel '{launch.kernel}' takes {kernel.num_args} arguments"
                )
            largest = kernel.get_work_group_info(cl.kernel_work_group_info.WORK_GROUP_SIZE, info.handle)
        if prod(launch.local_size) > largest:
            raise DeviceError(
                f"{describe_launch(launch)} wants work-groups of {prod(launch.local_size)}, "
                f"but {info.name} runs kernel '{launch.kernel}' in groups of {largest} at most"
            )


class Executor:
    """A program bound to a device and to variables that it shares with other programs.

    Raises:
        DeviceError: the program needs too much memory or too long loops, a kernel does not compile, or a launch does
            not fit the device.
    """

    def __init__(
        self,
        program: Program,
        device: Device,
        store: VariableStore,
        progress: Progress = unwatched,
        *,
        merge: bool = False,
    ) -> None:
        """``progress`` is called as kernels are compiled. ``merge`` says whether neighbouring launches may become one:
        see ``merging.py``.
        """
        self.program = program
        self.device = device
        self.store = store
        check_memory(program, device.info)
        check_loops(program, device.info)
        launches = _Launches(merged(program) if merge else program, device, progress)
        self.kernels = launches.kernels
        store.add(program.variables.values())
        try:
            self._slots = {
                (place, name): exchange(device, slot)
                for place, slots in (("feed", program.feeds), ("fetch", program.fetches))
                for name, slot in slots.items()
            }
            self._buffers = self._allocate()
        except cl.Error as error:
            raise DeviceError(f"no room on {device.info.name}: {error}\n{_memory_report(program)}") from error
        self._version = -1
        """The version of the variables at the last run of the setup."""
        launches.bind(self._memory)
        self._launches = launches
        self._in_flight: list[list[cl.Event]] = [[] for _ in range(TURNS)]
        self._unread: list[list[ref[Pending]]] = [[] for _ in range(TURNS)]
        """The fetches of the last run of each turn."""
        self._runs = 0
        self._last = cl.enqueue_marker(device.queue)

    def run(self, feeds: Mapping[str, Any] | None = None, queue: cl.CommandQueue | None = None) -> Run:
        """Enqueues one run. ``feeds`` has an array for each feed of the program; they are copied before this returns.

        ``queue`` is an in-order queue of the device's context that is used in place of the device's own. The profiler
        uses it and the returned events. On it, each launch of the program is a command of its own.

        Raises:
            ValueError: a feed is missing, unknown, or has the wrong shape or kind of element.
            DeviceError: the device refuses a launch.
        """
        begin = perf_counter()
        launches = self._launches if queue is None else self._single
        queue = queue or self.device.queue
        copies = self._write_feeds(feeds or {}, queue)
        if self._runs == TURNS and 0 < self.device.info.kernels_loaded < len(self.kernels.names):
            keep_loaded(self.kernels.names)  # the first run has ended
        written = perf_counter()
        first = 0 if self._version != self.store.version else launches.setup
        events = self._enqueue(launches, queue, first)
        self._in_flight[self._runs % TURNS] = [*copies, *events[-1:]]
        self._last = events[-1] if events else self._last
        self._runs += 1
        return Run(launches.order[first:], copies, events, begin, written, perf_counter())

    def run_and_fetch(self, feeds: Mapping[str, Any], names: Iterable[str]) -> dict[str, Pending]:
        """Enqueues one run like ``run``, and gives its fetches with these names like ``fetch_later``.

        Raises:
            ValueError: as ``run``.
            DeviceError: as ``run``.
        """
        self.run(feeds)
        return {name: self.fetch_later(name) for name in names}

    def _write_feeds(self, feeds: Mapping[str, Any], queue: cl.CommandQueue) -> list[cl.Event]:
        """Waits for the run before the last, then writes the feeds. Returns the events of the copies."""
        slots = self.program.feeds
        if feeds.keys() != slots.keys():
            wrong = min(feeds.keys() ^ slots.keys())
            complaint = "is missing" if wrong in slots else "is unknown"
            raise ValueError(f"input '{wrong}' {complaint}; the program has {', '.join(slots) or 'none'}")
        arrays = {name: check_array("input", slot, feeds[name]) for name, slot in slots.items()}
        turn = self._runs % TURNS
        # PyOpenCL waits for a copy when its event is dropped. So the events are kept until this turn comes again.
        copies: list[cl.Event] = []
        try:  # a context manager would take longer: small predictions find little of the host's code in the caches
            for event in self._in_flight[turn]:
                event.wait()
            for weak in self._unread[turn]:
                if (pending := weak()) is not None:
                    pending.keep()
            self._unread[turn] = []
            self._in_flight[turn] = copies
            for name, array in arrays.items():
                copies += self._slots["feed", name].write(array, turn, queue)
        except cl.Error as error:
            raise DeviceError(f"writing the inputs failed: {error}") from error
        return copies

    @cached_property
    def _single(self) -> _Launches:
        """The launches of the program, none of which is merged with others."""
        if self._launches.program is self.program:
            return self._launches
        launches = _Launches(self.program, self.device, unwatched)
        launches.bind(self._memory)
        return launches

    def _enqueue(self, launches: _Launches, queue: cl.CommandQueue, first: int) -> list[cl.Event]:
        """Enqueues the launches from number ``first`` on. Returns their events.

        Raises:
            DeviceError: the device refuses a launch. The message names it and its places in the model.
        """
        launch_kernel = cl.enqueue_nd_range_kernel
        calls, events = launches.calls[self._runs % TURNS][first:], []
        try:
            for call in calls[:_FLUSH_AFTER]:
                events.append(launch_kernel(queue, *call))
            queue.flush()
            for call in calls[_FLUSH_AFTER:]:
                events.append(launch_kernel(queue, *call))
            queue.flush()
        except cl.Error as error:
            launch = launches.at(first + len(events)) if len(events) < len(calls) else None
            what = "the launches" if launch is None else describe_launch(launch)
            raise DeviceError(f"{what} failed on {self.device.info.name}: {error}") from error
        self.store.version += bool(self.program.updates)
        self._version = self.store.version
        return events

    def fetch(self, name: str) -> np.ndarray:
        """The array of a fetch after all runs enqueued so far. Waits for it.

        Raises:
            KeyError: the program has no such fetch.
            DeviceError: a run failed.
        """
        return self.fetch_later(name).result()

    def fetch_later(self, name: str) -> Pending:
        """Like ``fetch``, but does not wait. Later runs do not change the result."""
        turn = (self._runs - 1) % TURNS
        try:
            pending = self._slots["fetch", name].read(turn, self.device.queue, self._last)
        except cl.Error as error:
            raise DeviceError(f"fetching '{name}' failed: {error}") from error
        self._unread[turn].append(ref(pending))
        return pending

    def spoil(self) -> None:
        """Fills the fetches and the arena with NaN, which reveals elements that a kernel does not write.

        Raises:
            DeviceError: the device refuses.
        """
        with device_errors("filling the buffers"):
            self.device.queue.finish()
            arena = self._buffers["arena", ""]
            cl.enqueue_fill_buffer(self.device.queue, arena, np.full(1, 0xFF, np.uint8), 0, arena.size)
            for name in self.program.fetches:
                self._slots["fetch", name].spoil(self.device.queue)
        self._version = -1  # the results of the setup are gone, too

    def finish(self) -> None:
        """Waits until everything enqueued on the device is done.

        Raises:
            DeviceError: a run failed.
        """
        with device_errors("running the program"):
            self.device.queue.finish()

    def _allocate(self) -> dict[tuple[str, str], cl.Buffer]:
        """The buffers of the arena, the variables and the constants, by place and name."""
        program, context, flags = self.program, self.device.context, cl.mem_flags
        buffers = {("arena", ""): cl.Buffer(context, flags.READ_WRITE, max(program.arena_bytes, _SMALLEST_BUFFER))}
        zeros = np.zeros(COUNTER_BYTES, np.uint8)
        buffers["counters", ""] = cl.Buffer(context, flags.READ_WRITE | flags.COPY_HOST_PTR, hostbuf=zeros)
        for name in program.variables:
            buffers["variable", name] = self.store.buffer(name)
        for name, array in program.constants.items():
            stored = np.ascontiguousarray(array)
            buffers["constant", name] = cl.Buffer(context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=stored)
        return buffers

    def _memory(self, binding: Binding) -> list[Memory]:
        """What an operand of a launch is bound to, for each turn of the runs."""
        slot = self._slots.get((binding.place, binding.name))
        if slot is None:
            return [self._buffers[binding.place, binding.name]] * TURNS
        return [slot.memory(turn) for turn in range(TURNS)]


def check_memory(program: Program, info: DeviceInfo) -> None:
    """Checks that a device has the memory that a program needs.

    Raises:
        DeviceError: there is too little memory in all (E0801), or for one buffer (E0802). The message names the largest
            tensors.
    """
    variables = sum(slot.nbytes for slot in program.variables.values())
    if program.peak_bytes > info.memory:
        raise DeviceError(
            f"the program needs {_size(program.peak_bytes)} of memory, {info.name} has {_size(info.memory)}"
            f"{_SMALLER_BATCH if variables < info.memory else ''}\n{_memory_report(program)}",
            "E0801",
        )
    of_batch = (*program.feeds.values(), *program.fetches.values())
    buffers = [("the arena of intermediate results", program.arena_bytes, _SMALLER_BATCH)]
    buffers += [(f"'{slot.name}'", slot.nbytes, _SMALLER_BATCH) for slot in of_batch]
    buffers += [(f"variable '{slot.name}'", slot.nbytes, "") for slot in program.variables.values()]
    buffers += [(f"constant '{name}'", array.nbytes, "") for name, array in program.constants.items()]
    name, largest, cure = max(buffers, key=lambda buffer: buffer[1])
    if largest > info.max_allocation:
        raise DeviceError(
            f"{name} needs a buffer of {_size(largest)}, {info.name} allows {_size(info.max_allocation)} "
            f"for one buffer{cure}\n{_memory_report(program)}",
            "E0802",
        )


def check_limit(program: Program, limit: int) -> None:
    """Checks that a program, compiled for at most ``limit`` bytes of memory, needs no more.

    Raises:
        DeviceError: it does (E0803). The message says how much it needs, and names the largest tensors.
    """
    if program.peak_bytes > limit:
        unit, name = (2**30, "GiB") if program.peak_bytes >= 2**30 else (2**20, "MiB")
        least = f"{ceil(program.peak_bytes / unit * 100) / 100:.2f} {name}"  # a limit that can be kept
        raise DeviceError(
            f"the program needs at least {least} of memory, the limit is {_size(limit)}{_SMALLER_BATCH}\n"
            f"{_memory_report(program)}",
            "E0803",
        )


def describe_launch(launch: Launch) -> str:
    """``launch 'conv c1' (lenet.net:12:5)``."""
    places = ", ".join(str(span) for span in launch.spans)
    return f"launch '{launch.label or launch.kernel}'" + (f" ({places})" if places else "")


def _memory_report(program: Program) -> str:
    """The largest parts of a program's memory, one on each line."""
    parts = [(block.nbytes, block.label) for block in program.arena_blocks]
    parts += [(slot.nbytes, f"variable {slot.name}") for slot in program.variables.values()]
    largest = sorted(parts, key=lambda part: -part[0])[:_LARGEST_SHOWN]
    return "the largest tensors:\n" + "\n".join(f"  {_size(nbytes):>10}  {label}" for nbytes, label in largest)


def _size(nbytes: int) -> str:
    return f"{nbytes / 2**30:.2f} GiB" if nbytes >= 2**30 else f"{nbytes / 2**20:.2f} MiB"
