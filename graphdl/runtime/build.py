"""From kernel texts to kernels on a device: packed into few programs, built in parallel, cached on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyopencl as cl
from pyopencl import invoker

from graphdl.cache import BinaryCache, default_cache
from graphdl.compiler.program import Kernel
from graphdl.diagnostics import DeviceError
from graphdl.runtime.opencl import Device, build_program, compiler_warnings_ignored
from graphdl.runtime.packing import failing_kernel, joined, packs, unique_name
from graphdl.source import Span

Progress = Callable[[int, int], None]
"""Is told how many of how many kernels are compiled."""

OPTIONS = "-cl-std=CL1.2 -cl-mad-enable -w"
"""Without ``-w`` some compilers print their number of warnings to standard error."""
_LOG_LINES = 12
_FEWEST = 8
"""The fewest kernels of a program, if there are more in all: a further program takes as long as three kernels."""


def unwatched(done: int, total: int) -> None:
    """Ignores the progress."""


class BuiltKernels:
    """Kernels that are built for a device. Each ``create`` makes a kernel object with its own arguments."""

    def __init__(self, device: Device, kernels: Mapping[str, Kernel]) -> None:
        names = {key: unique_name(kernel) for key, kernel in kernels.items()}
        self._places = {key: (device.built[name], name) for key, name in names.items()}
        self.names = set(names.values())
        """The names of the kernels' functions."""

    def create(self, key: str) -> cl.Kernel:
        """A new ``pyopencl.Kernel`` of the kernel with this key."""
        program, name = self._places[key]
        with _written_once():
            return cl.Kernel(program, name)


def set_numbers(kernel: cl.Kernel, numbers: Sequence[int | float]) -> None:
    """Sets the last arguments of a kernel: see ``Launch.numbers``."""
    with np.errstate(over="ignore"):  # a number that is too large for single precision is infinite
        for index, number in enumerate(numbers, kernel.num_args - len(numbers)):
            kernel.set_arg(index, np.float32(number) if isinstance(number, float) else np.int32(number))


_Invoker = tuple[Callable[..., Any], Callable[..., Any]]
_invokers: dict[tuple[Any, ...], _Invoker] = {}


@contextmanager
def _written_once() -> Iterator[None]:
    """Makes kernel objects of one name and signature share the code that PyOpenCL generates to call them.

    PyOpenCL generates it for every object, which takes a millisecond. A loop has an object for each launch of each
    turn.
    """
    write: Callable[..., _Invoker] = invoker.generate_enqueue_and_set_args

    def shared(name: str, passed: int, taken: int, types: tuple[Any, ...], **rest: Any) -> _Invoker:
        key = (name, passed, taken, types)
        if key not in _invokers:
            _invokers[key] = write(name, passed, taken, types, **rest)
        return _invokers[key]

    invoker.generate_enqueue_and_set_args = shared  # type: ignore[assignment]
    try:
        yield
    finally:
        invoker.generate_enqueue_and_set_args = write


def build(
    device: Device,
    kernels: Mapping[str, Kernel],
    spans: Mapping[str, Sequence[Span]] | None = None,
    cache: BinaryCache | None = None,
    progress: Progress = unwatched,
) -> BuiltKernels:
    """Builds the kernels that the device does not have yet.

    ``spans`` maps keys of ``kernels`` to places in the model, for messages. Binaries are stored in ``cache`` (by
    default the user's), unless the driver has a cache of its own.

    Raises:
        DeviceError: a kernel does not compile. The message quotes the compiler and names the kernel, the line of its
            text and the line of the model.
    """
    missing = {kernel: key for key, kernel in kernels.items() if unique_name(kernel) not in device.built}
    where = {kernel: tuple((spans or {}).get(key, ())) for kernel, key in missing.items()}
    build_packs(device, divided(device, missing), where, cache, progress)
    return BuiltKernels(device, kernels)


def divided(device: Device, kernels: Collection[Kernel]) -> list[list[Kernel]]:
    """The packs in which kernels are built, at least one for each core."""
    for_each_core = -(-len(kernels) // (os.cpu_count() or 1))
    return packs(kernels, min(device.info.kernels_per_program, max(_FEWEST, for_each_core)))


def build_packs(
    device: Device,
    groups: Sequence[Sequence[Kernel]],
    where: Mapping[Kernel, tuple[Span, ...]] | None = None,
    cache: BinaryCache | None = None,
    progress: Progress = unwatched,
) -> None:
    """Builds packs side by side, except for those that the device has. The other arguments are those of ``build``."""
    disk = None if device.info.driver_caches else cache or default_cache()
    left = [group for group in groups if unique_name(group[0]) not in device.built]
    done, total = 0, sum(map(len, left))
    if left:
        progress(done, total)
    with compiler_warnings_ignored(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for task in as_completed([pool.submit(build_pack, device, group, disk, where or {}) for group in left]):
            device.built.update(task.result())
            done += len(task.result())
            progress(done, total)


def build_pack(
    device: Device, kernels: Sequence[Kernel], disk: BinaryCache | None, where: Mapping[Kernel, tuple[Span, ...]]
) -> dict[str, cl.Program]:
    """Builds the kernels of one pack: their program, by unique name. ``where`` has their places in the model."""
    source = joined(kernels)
    try:
        program = _load_or_compile(device, source, disk)
    except cl.Error as error:
        if len(kernels) == 1:
            raise _failure(str(error), kernels, where) from error
        # A compiler may fail on a large program, or two texts may conflict. Built alone, each kernel shows its own
        # error.
        suspect = failing_kernel(str(error), kernels)
        built: dict[str, cl.Program] = {}
        for kernel in sorted(kernels, key=lambda kernel: suspect is None or kernel != suspect[0]):
            built |= build_pack(device, [kernel], disk, where)
        return built
    return {unique_name(kernel): program for kernel in kernels}


def _load_or_compile(device: Device, source: str, disk: BinaryCache | None) -> cl.Program:
    if disk is None:
        return build_program(device.context, source, OPTIONS)
    info = device.info
    key = (source, OPTIONS, info.platform, info.platform_version, info.name, info.version, info.driver_version)
    binary = disk.get(*key)
    if binary is not None:
        try:
            return build_program(device.context, binary, OPTIONS)
        except cl.Error:
            disk.forget(*key)
    program = build_program(device.context, source, OPTIONS)
    disk.put(program.binaries[0], *key)
    return program


def _failure(log: str, kernels: Sequence[Kernel], where: Mapping[Kernel, tuple[Span, ...]]) -> DeviceError:
    place = failing_kernel(log, kernels)
    kernel, line = place if place is not None else (kernels[0], 0)
    message = f"kernel '{kernel.name}' does not compile"
    if line:
        text = kernel.source.splitlines()
        message += f", line {line} of its text" + (f":\n    {text[line - 1].strip()}" if line <= len(text) else "")
    if where.get(kernel):
        message += "\nasked for by " + ", ".join(str(span) for span in where[kernel])
    lines = [entry for entry in log.splitlines() if entry.strip()]
    errors = [index for index, entry in enumerate(lines) if "error" in entry.lower()]
    start = errors[0] if errors else 0
    return DeviceError(message + "\n" + "\n".join("  " + entry for entry in lines[start : start + _LOG_LINES]))
