"""One setting chooses the device wherever none is named: in Python, on the command line, in child processes."""

import json
import subprocess
import sys

import numpy as np
import pytest

import graphdl
from graphdl.diagnostics import DeviceError
from graphdl.runtime import all_devices, choose, open_device

NET = """
net line() {
    input x: [2]
    input t: [1]
    y = x -> linear(1)
    output y
    loss mean((y - t) * (y - t))
}
train { optimizer sgd(lr = 0.1); batch 4; epochs 1 }
"""


def same(info, device):
    return (info.platform, info.name, info.driver_version) == (
        device.info.platform, device.info.name, device.info.driver_version
    )  # fmt: skip


def test_load_and_fit_open_the_device_of_the_tests(device, tmp_path):
    path = tmp_path / "line.net"
    path.write_text(NET)
    model = graphdl.load(path)
    model.fit(x=np.ones((8, 2), np.float32), t=np.zeros((8, 1), np.float32), out=tmp_path / "run")
    assert same(model.network.device.info, device)
    assert same(graphdl.loads(NET).network.device.info, device)


def test_child_processes_open_the_device_of_the_tests(device):
    code = (
        f"import graphdl; info = graphdl.loads({NET!r}).network.device.info;"
        "print('|'.join((info.platform, info.name, info.driver_version)))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "|".join((device.info.platform, device.info.name, device.info.driver_version))
    listed = subprocess.run(
        [sys.executable, "-m", "graphdl", "devices", "--json"], capture_output=True, text=True, check=True
    )
    (chosen,) = (entry for entry in json.loads(listed.stdout) if entry["chosen"])
    assert chosen["platform"] == device.info.platform


@pytest.mark.parametrize("index", range(len(all_devices())))
def test_the_setting_chooses_each_device(index, monkeypatch):
    monkeypatch.setenv("GRAPHDL_DEVICE", str(index))
    assert open_device().info.index == index
    assert choose().index == index


def test_what_is_named_goes_before_the_setting(device, monkeypatch):
    monkeypatch.setenv("GRAPHDL_DEVICE", "no such device")
    assert open_device(str(device.info.index)).info.index == device.info.index
    with pytest.raises(DeviceError, match="no OpenCL device matches 'no such device'"):
        open_device()


def test_an_empty_setting_is_none(monkeypatch):
    monkeypatch.setenv("GRAPHDL_DEVICE", "")
    chosen = choose()
    monkeypatch.delenv("GRAPHDL_DEVICE")
    assert choose() == chosen
