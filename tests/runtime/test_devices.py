"""Enumeration and choice on the machine at hand."""

from dataclasses import replace

import pytest

from graphdl.diagnostics import DeviceError
from graphdl.runtime.devices import all_devices, choose, probe
from graphdl.runtime.opencl import target_of


def test_indices_count_the_devices():
    devices = all_devices()
    assert [info.index for info in devices] == list(range(len(devices)))
    assert len(set(map(str, devices))) == len(devices)


def test_the_default_is_no_simulator_and_works():
    info = choose()
    assert info.kind not in ("simulator", "rasterizer")
    assert probe(info) is None


def test_a_device_that_does_not_work_is_stepped_over():
    good = choose()
    broken = replace(good, index=99, kind="gpu", usable=True, handle=None)
    assert choose(devices=[replace(broken, usable=False), good]) == good


def test_when_none_works_each_failure_is_told():
    with pytest.raises(DeviceError, match=r"no device works:\n.*has no compiler"):
        choose("0", [replace(all_devices()[0], usable=False)])


def test_the_target_describes_the_device(device):
    target = target_of(device.info)
    assert target.memory >= target.max_buffer > 1 << 20
    assert target.kind == ("gpu" if device.info.kind == "gpu" else "cpu")
    assert target.vector_width in (4, 8, 16)
