"""The self-test of devices: it finds what is wrong, once, and what is wrong is passed over."""

from dataclasses import replace

import numpy as np
import pytest

from graphdl.diagnostics import DeviceError
from graphdl.operators.tensor import feed
from graphdl.runtime import devices, selftest
from graphdl.runtime.devices import choose, probe


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def wrong_case():
    """What a device would have to get wrong: the host expects something else."""
    x = np.arange(5, dtype=np.float32)
    return selftest.Case("doubled numbers", feed("x", x.shape) * 2.0, {"x": x}, x * 3)


def test_the_device_of_the_tests_computes_rightly(device):
    assert selftest.wrong(device) == []


def test_a_wrong_result_is_named_and_the_device_passed_over(device, fresh_cache, monkeypatch):
    cases = list(selftest.cases())
    monkeypatch.setattr(selftest, "cases", lambda: iter([*cases[:1], wrong_case()]))
    assert selftest.wrong(device) == ["doubled numbers"]
    assert probe(device.info) == "it computes wrongly: doubled numbers"
    with pytest.raises(DeviceError, match="computes wrongly: doubled numbers"):
        choose(devices=[device.info])


def test_a_not_a_number_is_wrong(device, monkeypatch):
    x = np.full(5, np.nan, np.float32)
    case = selftest.Case("not a number", feed("x", x.shape) * 2.0, {"x": x}, np.zeros(5))
    monkeypatch.setattr(selftest, "cases", lambda: iter([case]))
    assert selftest.wrong(device) == ["not a number"]


def test_the_next_device_is_taken_instead(device, monkeypatch):
    other = replace(device.info, index=99, memory=device.info.memory + 1)  # the better one by rank
    monkeypatch.setattr(devices, "fault", lambda opened: "it computes wrongly" if opened.info.index == 99 else None)
    assert choose("cpu" if device.info.kind == "cpu" else device.info.kind, [other, device.info]) == device.info


def test_the_verdict_is_kept_with_the_version_of_the_driver(device, fresh_cache, monkeypatch):
    asked = []
    monkeypatch.setattr(selftest, "wrong", lambda opened: asked.append(opened.info.driver_version) or ["a sum"])
    newer = replace(device, info=replace(device.info, driver_version="99"))
    for opened in (device, device, newer, newer, device):
        assert selftest.fault(opened) == "it computes wrongly: a sum"
    assert asked == [device.info.driver_version, "99"]


def test_a_device_that_passed_is_not_asked_again(device, fresh_cache, monkeypatch):
    monkeypatch.setattr(selftest, "wrong", lambda opened: [])
    assert selftest.fault(device) is None
    monkeypatch.setattr(selftest, "wrong", lambda opened: pytest.fail("asked again"))
    assert selftest.fault(device) is None
