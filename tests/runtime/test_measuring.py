"""The figure by which devices of a kind are ranked."""

from dataclasses import replace

import pytest

from graphdl.cache import BinaryCache
from graphdl.runtime import measuring
from graphdl.runtime.devices import all_devices, choose, open_device, survey
from graphdl.runtime.measuring import by_speed, known_speed, measured_speed


@pytest.fixture
def nothing_known(monkeypatch, tmp_path):
    monkeypatch.setattr(measuring, "_cache", lambda: BinaryCache(tmp_path / "speeds"))


@pytest.mark.usefixtures("nothing_known")
def test_a_figure_is_measured_once_for_a_driver(device):
    assert known_speed(device.info) is None
    speed = measured_speed(device)
    assert 1e7 < speed < 1e14
    assert measured_speed(device) == known_speed(device.info) == speed
    assert known_speed(replace(device.info, driver_version="another")) is None


def test_the_order_stays_unless_another_is_much_faster(device):
    first, second, third = (replace(device.info, index=index) for index in range(3))
    assert by_speed([first, second, third], [90.0, 100.0, 60.0]) == [first, second, third]
    assert by_speed([first, second, third], [40.0, 100.0, 60.0]) == [second, third, first]
    assert by_speed([first, second, third], [10.0, 100.0, 20.0]) == [second, third, first]


@pytest.mark.usefixtures("nothing_known")
def test_the_survey_agrees_with_the_choice(monkeypatch):
    monkeypatch.delenv("GRAPHDL_DEVICE", raising=False)
    findings = survey(all_devices())
    assert sorted(finding.info.index for finding in findings) == list(range(len(findings)))
    best = next(finding.info for finding in findings if finding.failure is None and finding.info.by_default)
    assert choose() == best
    assert open_device().info == best


def test_devices_that_fail_come_last():
    best = choose()
    broken = replace(best, index=99, usable=False)
    assert [finding.info.index for finding in survey([broken, best])] == [best.index, 99]
