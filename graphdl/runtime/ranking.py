"""The choice of a device: descriptions of devices, known deviations of drivers, and the ranking. No OpenCL."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from graphdl.diagnostics import DeviceError

Kind = Literal["gpu", "accelerator", "cpu", "rasterizer", "simulator"]

INSTALL_HINT = (
    "pip install pocl-binary-distribution installs an OpenCL runtime that runs on any CPU"
    if sys.platform == "linux" and platform.machine() == "x86_64"
    else "install an OpenCL driver for your GPU, or your system's PoCL, which runs on any CPU (apt install "
    "pocl-opencl-icd, brew install pocl, conda install pocl)"
)


@dataclass(frozen=True)
class DeviceInfo:
    """A platform's description of one of its devices, corrected by the quirks that apply."""

    index: int
    """The number of the device in the enumeration, as in ``--device 2``."""
    platform: str
    platform_version: str
    vendor: str
    name: str
    version: str
    driver_version: str
    kind: Kind
    compute_units: int
    memory: int
    """Bytes of global memory."""
    max_allocation: int
    """Bytes of the largest single buffer."""
    local_memory: int
    max_work_group: int
    vector_width: int
    """Floats of a native vector."""
    cache: int = 0
    """Bytes of the cache in front of the memory; 0 if the driver reports none."""
    cache_line: int = 64
    """Bytes of a cache line; 64 if the driver reports none."""
    unified_memory: bool = False
    """Whether it shares the host's memory (an integrated GPU, a CPU)."""
    shares_memory: bool = False
    """Whether the device and the host can use the same memory without commands (fine-grained shared virtual memory)."""
    usable: bool = True
    """Whether it is available and has a compiler."""
    kernels_per_program: int = 32
    driver_caches: bool = False
    """Whether the driver stores compiled kernels on disk by itself."""
    compiles_at_launch: bool = False
    """Whether the driver compiles a kernel at its first launch, and only one at a time in a process."""
    kernels_loaded: int = 0
    """The number of kernels that the driver keeps in memory; 0 if it keeps all."""
    loop_turns: int = 0
    """The turns of all its loops together after which the loops of a work-item end; 0 if they do not."""
    quirks: tuple[Quirk, ...] = field(default=(), compare=False)
    handle: Any = field(default=None, repr=False, compare=False)
    """The ``pyopencl.Device``."""

    def __hash__(self) -> int:
        return hash((self.index, self.name, self.driver_version))  # quick: every prediction looks up its device

    @property
    def score(self) -> tuple[int, int, int]:
        """The ranking: by kind, then by runtime, then by memory. Higher is better."""
        return _KIND_SCORE[self.kind], self._runtime_score, self.memory

    @property
    def by_default(self) -> bool:
        """Whether it may be chosen without a selector."""
        return self.usable and self.kind not in ("rasterizer", "simulator")

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons for its rank, in words."""
        reasons = [_KIND_REASON[self.kind]]
        if not self.usable:
            reasons.append("unavailable, or without a compiler")
        if self.kind == "gpu":
            reasons.append("shares the host's memory" if self.unified_memory else "has memory of its own")
        if self.kind == "cpu" and self._runtime_score:
            place = len(_CPU_RUNTIMES) - self._runtime_score + 1
            reasons.append(f"number {place} by speed of the runtimes known for CPUs")
        return tuple(reasons)

    @property
    def _runtime_score(self) -> int:
        if self.kind == "gpu":
            return 0 if self.unified_memory else 1
        if self.kind != "cpu":
            return 0
        for position, pattern in enumerate(_CPU_RUNTIMES):
            if re.search(pattern, f"{self.platform} {self.platform_version}"):
                return len(_CPU_RUNTIMES) - position
        return 0

    def __str__(self) -> str:
        return f"{self.index}: {self.name} ({self.platform})"


_KIND_SCORE: dict[Kind, int] = {"gpu": 4, "accelerator": 3, "cpu": 2, "rasterizer": 1, "simulator": 0}
_KIND_REASON: dict[Kind, str] = {
    "gpu": "a GPU",
    "accelerator": "an accelerator",
    "cpu": "a CPU",
    "rasterizer": "a software rasterizer, used only when asked for",
    "simulator": "a simulator, used only when asked for",
}

# Fastest first. Single kernels are equally fast on PoCL 3 and Intel's runtime. A training step of a small network takes
# 15 % longer on Intel's, because a launch costs more.
_CPU_RUNTIMES = (r"PoCL [4-9]", r"PoCL 3", r"Intel\(R\) OpenCL", r"AMD Accelerated")

_SIMULATORS = re.compile(r"oclgrind|simulator|emulat", re.IGNORECASE)
_RASTERIZERS = re.compile(r"llvmpipe|softpipe|lavapipe|swiftshader|basic render", re.IGNORECASE)


def kind_of(platform: str, name: str, *, gpu: bool, accelerator: bool) -> Kind:
    """The true kind of a device. Its name takes precedence over its claimed types (Oclgrind claims every type)."""
    if _SIMULATORS.search(f"{platform} {name}"):
        return "simulator"
    if _RASTERIZERS.search(name):
        return "rasterizer"
    if gpu:
        return "gpu"
    return "accelerator" if accelerator else "cpu"


@dataclass(frozen=True)
class Quirk:
    """A known deviation of a driver: the devices that it applies to, and the change to their description."""

    name: str
    platform: str
    """A regular expression over ``platform, platform version, device name, driver version``."""
    kinds: tuple[Kind, ...]
    change: Callable[[DeviceInfo, int], DeviceInfo]
    """From a description and the bytes of the host's memory to the corrected description."""
    reference: str


QUIRKS = (
    Quirk(
        "driver-caches-kernels",
        r"Portable Computing Language|NVIDIA CUDA",
        ("cpu", "gpu"),
        lambda info, _: replace(info, driver_caches=True),
        "PoCL and NVIDIA keep compiled sources on disk; PoCL also by local size, which a stored binary would lose",
    ),
    Quirk(
        "compiles-at-launch",
        r"Portable Computing Language",
        ("cpu",),
        lambda info, _: replace(info, compiles_at_launch=True),
        "PoCL compiles a kernel at its first launch, one at a time in a process; further processes compile beside it",
    ),
    Quirk(
        "unloads-kernels",
        r"Portable Computing Language",
        ("cpu",),
        lambda info, _: replace(info, kernels_loaded=128),
        "PoCL keeps the libraries of 128 kernels loaded (MAX_CACHE_ITEMS) and loads the others at each launch",
    ),
    Quirk(
        "memory-of-the-host",
        r"Portable Computing Language.*PoCL",
        ("cpu",),
        lambda info, host_memory: replace(info, memory=max(info.memory, host_memory * 3 // 4)),
        "PoCL reports what hwloc counts in the NUMA nodes, less a reserve, and does not enforce it; "
        "a kernel that hands memory out lazily counts far too little there",
    ),
    Quirk(
        "ends-loops",
        r"llvmpipe",
        ("rasterizer",),
        lambda info, _: replace(info, loop_turns=65_535),
        "Mesa's llvmpipe ends the loops of a work-item after 65,535 turns (LP_MAX_TGSI_LOOP_ITERATIONS); programs that "
        "may need more are refused",
    ),
    Quirk(
        "small-work-groups",
        r"llvmpipe",
        ("rasterizer",),
        lambda info, _: replace(info, max_work_group=min(info.max_work_group, 32)),
        "rusticl reports 1024 for llvmpipe, but 32 for each kernel",
    ),
    Quirk(
        "small-programs",
        r"QUALCOMM|Adreno",
        ("gpu",),
        lambda info, _: replace(info, kernels_per_program=4),
        "Adreno's compiler fails on large programs",
    ),
    Quirk(
        "buffers-under-4-GB",
        r"Intel\(R\) OpenCL.*Graphics",
        ("gpu",),
        lambda info, _: replace(info, max_allocation=min(info.max_allocation, (1 << 32) - (1 << 16))),
        "Intel's GPU compiler addresses 32 bits within a buffer unless told otherwise",
    ),
    Quirk(
        "work-groups-of-one",
        r"^Apple",
        ("cpu",),
        lambda info, _: replace(info, max_work_group=1),
        "Apple's CPU device reports 1024 but runs kernels with barriers in groups of 1 only",
    ),
)


def with_quirks(info: DeviceInfo, host_memory: int) -> DeviceInfo:
    """The description with all quirks that apply to it."""
    text = f"{info.platform}, {info.platform_version}, {info.name}, {info.driver_version}"
    for quirk in QUIRKS:
        if info.kind in quirk.kinds and re.search(quirk.platform, text):
            info = replace(quirk.change(info, host_memory), quirks=(*info.quirks, quirk))
    return info


def with_known_processor(info: DeviceInfo, refused: str, known: str) -> DeviceInfo:
    """The description of a device that builds for ``known`` because its compiler refuses this processor."""
    reference = f"its compiler does not know this processor ('{refused}') and builds for {known}"
    told = Quirk("unknown-processor", re.escape(info.platform), (info.kind,), lambda info, _: info, reference)
    return replace(info, quirks=(*info.quirks, told))


def ranked(devices: Sequence[DeviceInfo]) -> list[DeviceInfo]:
    """The devices, best first. Equal ones keep their order."""
    return sorted(devices, key=lambda info: (info.usable, info.score), reverse=True)


def candidates(devices: Sequence[DeviceInfo], selector: str | None = None) -> list[DeviceInfo]:
    """The devices that match a selector, best first; never empty.

    ``selector`` is an index into ``devices``, a kind (``gpu``, ``cpu``, ``accelerator``), a kind and a rank within it
    (``gpu:1``), or a part of the name of the platform or else of the device. Without one, all devices usable by default
    match.

    Raises:
        DeviceError: there is none. The message lists all devices.
    """
    if not devices:
        raise DeviceError(f"no OpenCL device found; {INSTALL_HINT}")
    order = ranked(devices)
    if selector is None:
        found = [info for info in order if info.by_default]
        if not found:
            raise DeviceError(
                "only simulators, software rasterizers or unusable devices found; name one with --device, "
                f"or {INSTALL_HINT}" + _listing(devices)
            )
        return found
    word = selector.strip().lower()
    if word.isdecimal():
        found = [info for info in devices if info.index == int(word)]
    elif match := re.fullmatch(r"(gpu|cpu|accelerator)(?::(\d+))?", word):
        of_kind = [info for info in order if info.kind == match[1]]
        found = of_kind if match[2] is None else of_kind[int(match[2]) : int(match[2]) + 1]
    else:
        found = [info for info in order if word in f"{info.platform} {info.platform_version}".lower()]
        found = found or [info for info in order if word in f"{info.name} {info.vendor}".lower()]
    if not word or not found:
        raise DeviceError(f"no OpenCL device matches '{selector}'" + _listing(devices))
    return found


def _listing(devices: Sequence[DeviceInfo]) -> str:
    return "; there are:\n" + "\n".join(f"  {info}" for info in devices)
