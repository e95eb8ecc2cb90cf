"""The choice among descriptions of devices; no hardware needed."""

import re
from dataclasses import replace

import pytest

from graphdl.diagnostics import DeviceError
from graphdl.runtime.opencl import target_of
from graphdl.runtime.ranking import INSTALL_HINT, DeviceInfo, candidates, kind_of, with_quirks

GIB = 1 << 30


def described(index, platform, name, kind, memory=8 * GIB, **more):
    facts = {
        "platform_version": "OpenCL 3.0",
        "vendor": "",
        "version": "OpenCL 3.0",
        "driver_version": "1",
        "compute_units": 4,
        "max_allocation": memory // 4,
        "local_memory": 32768,
        "max_work_group": 1024,
        "vector_width": 8,
    }
    return DeviceInfo(index=index, platform=platform, name=name, kind=kind, memory=memory, **(facts | more))


OCLGRIND = described(0, "Oclgrind", "Oclgrind Simulator", "simulator")
POCL3 = described(
    1,
    "Portable Computing Language",
    "pthread-Intel(R) Xeon(R)",
    "cpu",
    platform_version="OpenCL 3.0 PoCL 3.0-rc2",
    unified_memory=True,
)
LLVMPIPE = described(2, "rusticl", "llvmpipe (LLVM 15)", "rasterizer")
INTEL_CPU = described(
    3, "Intel(R) OpenCL", "Intel(R) Xeon(R)", "cpu", vendor="Intel(R) Corporation", unified_memory=True
)
IRIS = described(4, "Intel(R) OpenCL Graphics", "Intel(R) Iris(R) Xe", "gpu", memory=24 * GIB, unified_memory=True)
RADEON = described(5, "rusticl", "AMD Radeon RX 6600", "gpu")
GEFORCE = described(6, "NVIDIA CUDA", "NVIDIA GeForce RTX 3090", "gpu", memory=24 * GIB)
MACHINE = (OCLGRIND, POCL3, LLVMPIPE, INTEL_CPU, IRIS, RADEON, GEFORCE)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (None, [GEFORCE, RADEON, IRIS, POCL3, INTEL_CPU]),
        ("gpu", [GEFORCE, RADEON, IRIS]),
        ("GPU:1", [RADEON]),
        ("gpu:0", [GEFORCE]),
        ("cpu", [POCL3, INTEL_CPU]),
        ("cpu:1", [INTEL_CPU]),
        ("0", [OCLGRIND]),
        ("5", [RADEON]),
        ("radeon", [RADEON]),
        ("rusticl", [RADEON, LLVMPIPE]),
        ("llvmpipe", [LLVMPIPE]),
        ("oclgrind", [OCLGRIND]),
        ("pocl", [POCL3]),
        ("portable", [POCL3]),
        # The platform's name goes before the device's: PoCL on an Intel processor is not Intel's runtime.
        ("intel", [IRIS, INTEL_CPU]),
        ("pthread", [POCL3]),
    ],
)
def test_a_selector_means(selector, expected):
    assert candidates(MACHINE, selector) == expected


@pytest.mark.parametrize("selector", ["quantum", "gpu:3", "7", "accelerator", ""])
def test_a_selector_that_matches_nothing_lists_what_there_is(selector):
    with pytest.raises(DeviceError, match="no OpenCL device matches") as raised:
        candidates(MACHINE, selector)
    for info in MACHINE:
        assert f"{info.index}: {info.name} ({info.platform})" in str(raised.value)


def test_no_device_says_how_to_get_one():
    with pytest.raises(DeviceError, match=re.escape(INSTALL_HINT)):
        candidates([])


def test_a_simulator_is_never_the_default():
    with pytest.raises(DeviceError, match=r"only simulators.*(?s:.*)Oclgrind"):
        candidates([OCLGRIND, LLVMPIPE])


def test_an_unusable_device_is_stepped_over():
    assert candidates([replace(GEFORCE, usable=False), POCL3])[0] == POCL3


def test_newer_pocl_goes_first():
    newer = replace(POCL3, index=9, platform_version="OpenCL 3.0 PoCL 6.0")
    assert candidates([POCL3, newer]) == [newer, POCL3]


@pytest.mark.parametrize(
    ("platform", "name", "gpu", "accelerator", "kind"),
    [
        ("Oclgrind", "Oclgrind Simulator", True, True, "simulator"),
        ("Intel(R) FPGA Emulation Platform for OpenCL(TM)", "Intel(R) FPGA Emulation Device", False, True, "simulator"),
        ("rusticl", "llvmpipe (LLVM 15.0.6, 256 bits)", True, False, "rasterizer"),
        ("NVIDIA CUDA", "Tesla T4", True, False, "gpu"),
        ("Portable Computing Language", "pthread-Xeon", False, False, "cpu"),
        ("Xilinx", "xilinx_u250", False, True, "accelerator"),
    ],
)
def test_kind_of(platform, name, gpu, accelerator, kind):
    assert kind_of(platform, name, gpu=gpu, accelerator=accelerator) == kind


def names(quirks):
    return [quirk.name for quirk in quirks]


def test_quirks_apply_to_whom_they_concern():
    pocl = with_quirks(POCL3, host_memory=64 * GIB)
    found = ["driver-caches-kernels", "compiles-at-launch", "unloads-kernels", "memory-of-the-host"]
    assert names(pocl.quirks) == found
    assert pocl.memory == 48 * GIB
    assert pocl.driver_caches

    iris = with_quirks(replace(IRIS, max_allocation=6 * GIB), host_memory=64 * GIB)
    assert names(iris.quirks) == ["buffers-under-4-GB"]
    assert 3 * GIB < iris.max_allocation < 4 * GIB

    adreno = with_quirks(described(0, "QUALCOMM Snapdragon(TM)", "QUALCOMM Adreno(TM)", "gpu"), host_memory=0)
    assert adreno.kernels_per_program < POCL3.kernels_per_program

    assert with_quirks(described(0, "Apple", "Apple M1", "cpu"), host_memory=0).max_work_group == 1

    rusticl = with_quirks(LLVMPIPE, host_memory=64 * GIB)
    assert (rusticl.loop_turns, rusticl.max_work_group) == (65_535, 32)
    assert target_of(rusticl).kind == "gpu"
    assert with_quirks(RADEON, host_memory=64 * GIB) == RADEON
