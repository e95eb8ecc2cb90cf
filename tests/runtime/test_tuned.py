"""Tables of measured choices, without a device: which entry counts, for which device, and for how long."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from graphdl.compiler.program import Target
from graphdl.operators.kernels.family import Operand, predicted
from graphdl.operators.kernels.matmul import MATMUL, MatrixProduct
from graphdl.runtime.ranking import DeviceInfo
from graphdl.runtime.tuned import (
    FORMAT,
    Choice,
    Described,
    Entry,
    Table,
    described,
    holds,
    own_path,
    own_table,
    shipped_tables,
    source_of,
    write_own,
)

TARGET = Target("cpu", vector_width=8, compute_units=4)
PROBLEM = MatrixProduct(1, 400, 500, 60)
PATTERN = ((0, (0, 60, 1)), (0, (0, 500, 1)))
INFO = DeviceInfo(
    index=0, platform="Portable Computing Language", platform_version="OpenCL 3.0 PoCL 3.0", vendor="AuthenticAMD",
    name="pthread-AMD EPYC", version="OpenCL 3.0", driver_version="3.0", kind="cpu", compute_units=4, memory=1 << 33,
    max_allocation=1 << 31, local_memory=1 << 15, max_work_group=4096, vector_width=8,
)  # fmt: skip


def other() -> Any:
    """A form of the product that is not the one that is predicted."""
    best = predicted(MATMUL, PROBLEM, TARGET)
    return next(form for form in MATMUL.candidates(PROBLEM, TARGET) if form != best)


def entry(problem: MatrixProduct = PROBLEM, target: Target = TARGET, **changes: Any) -> Entry:
    chosen, best = repr(other()), repr(predicted(MATMUL, PROBLEM, TARGET))
    made = Entry(
        "matmul", repr(problem), chosen, best, (PATTERN,),
        source_of(MATMUL, problem, (chosen, best), (PATTERN,), target), {chosen: 1e-3, best: 2e-3}, True,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def table(*entries: Entry, **measured_on: Any) -> Table:
    return Table(FORMAT, Described(**measured_on), entries)


def test_what_was_measured_is_taken() -> None:
    choose = Choice([table(entry())])
    assert choose(MATMUL, PROBLEM, TARGET) == other()
    another = MatrixProduct(1, 401, 500, 60)
    assert choose(MATMUL, another, TARGET) == predicted(MATMUL, another, TARGET)
    assert Choice([])(MATMUL, PROBLEM, TARGET) == predicted(MATMUL, PROBLEM, TARGET)


@pytest.mark.parametrize(
    "changes",
    [{"source": "0" * 16}, {"source": ""}, {"chosen": "RegisterTile(rows=99, vectors=9)"}, {"family": "convolution"}],
)
def test_an_entry_that_no_longer_fits_counts_for_nothing(changes: dict[str, Any]) -> None:
    assert Choice([table(entry(**changes))])(MATMUL, PROBLEM, TARGET) == predicted(MATMUL, PROBLEM, TARGET)


def test_the_first_table_that_helps_goes_first() -> None:
    best = repr(predicted(MATMUL, PROBLEM, TARGET))
    kept = entry(chosen=best, source=source_of(MATMUL, PROBLEM, (best, best), (PATTERN,), TARGET))
    assert Choice([table(kept), table(entry())])(MATMUL, PROBLEM, TARGET) == predicted(MATMUL, PROBLEM, TARGET)
    stale = entry(source="0" * 16)
    assert Choice([table(stale), table(entry())])(MATMUL, PROBLEM, TARGET) == other()


def test_a_table_of_other_cores_counts_as_it_was_measured() -> None:
    """The launch depends on the number of cores: the source is compared for those that the table was measured on."""
    more = replace(TARGET, compute_units=64)
    measured = entry()
    assert holds(measured, MATMUL, PROBLEM, TARGET)
    assert not holds(measured, MATMUL, PROBLEM, more)
    assert Choice([table(measured, compute_units=4)])(MATMUL, PROBLEM, more) == other()
    assert Choice([table(measured)])(MATMUL, PROBLEM, more) == predicted(MATMUL, PROBLEM, more)


# ------------------------------------------------------------------------------------------------------------ source


def source(**changes: Any) -> str:
    facts = {"problem": PROBLEM, "names": (repr(other()),), "patterns": (PATTERN,), "target": TARGET} | changes
    return source_of(MATMUL, facts["problem"], facts["names"], facts["patterns"], facts["target"])


def test_a_source_is_a_function_of_what_is_launched() -> None:
    assert source() == source()
    assert len(source()) == 16
    strided = ((0, (0, 1, 400)), (0, (0, 500, 1)))
    others = [
        source(problem=MatrixProduct(1, 400, 500, 61)),
        source(names=(repr(predicted(MATMUL, PROBLEM, TARGET)),)),
        source(patterns=(strided,)),
        source(patterns=(PATTERN, strided)),
        source(names=(repr(other()), repr(other()))),
    ]
    assert len({source(), *others}) == 6


def test_what_is_no_candidate_has_no_source() -> None:
    assert source(names=("RegisterTile(rows=99, vectors=9)",)) == ""
    assert source(names=(repr(other()), "nothing")) == ""


def test_comments_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = source()
    call = MATMUL.call(PROBLEM, other(), TARGET, [Operand(0, (0, 60, 1)), Operand(0, (0, 500, 1))])
    text = call.text()
    monkeypatch.setattr(type(call), "text", lambda self: "/* another\n comment */\n" + text.replace("\n", "\n// x\n"))
    assert source() == before
    monkeypatch.setattr(type(call), "text", lambda self: text + "\nint another;")
    assert source() != before


# ------------------------------------------------------------------------------------------------------------ devices


@pytest.mark.parametrize(
    ("changes", "vendor", "runtime"),
    [
        ({}, "AMD", "PoCL 3"),
        ({"vendor": "GenuineIntel", "name": "pthread-Intel(R) Xeon(R)"}, "Intel", "PoCL 3"),
        ({"platform_version": "OpenCL 3.0 PoCL 6.0"}, "AMD", "PoCL 6"),
        ({"platform": "NVIDIA CUDA", "platform_version": "OpenCL 3.0 CUDA 12.2", "vendor": "NVIDIA Corporation",
          "name": "NVIDIA H200", "kind": "gpu"}, "NVIDIA", "CUDA"),
        ({"platform": "Apple", "platform_version": "OpenCL 1.2", "vendor": "Apple", "name": "Apple M2", "kind": "gpu"},
         "Apple", "Apple"),
        ({"platform": "Other", "platform_version": "OpenCL 1.2", "vendor": "Acme", "name": "Thing", "kind": "gpu"},
         "", "Other"),
    ],
)  # fmt: skip
def test_a_device_in_the_words_of_tables(changes: dict[str, Any], vendor: str, runtime: str) -> None:
    found = described(replace(INFO, **changes))
    assert (found.vendor, found.runtime, found.compute_units) == (vendor, runtime, 4)
    assert not found.device.startswith("pthread-")
    assert bool(found.architecture) == (changes.get("kind", "cpu") == "cpu") or not Path("/proc/cpuinfo").exists()


def test_each_driver_has_a_table_of_its_own() -> None:
    places = {
        own_path(replace(INFO, **{fact: value}))
        for fact, value in (
            ("index", 3), ("driver_version", "3.1"), ("platform_version", "OpenCL 3.0 PoCL 3.1"), ("name", "other"),
            ("compute_units", 8), ("memory", 1),
        )
    }  # fmt: skip
    assert len(places | {own_path(INFO)}) == 5, "the place in the enumeration and the memory say nothing of the speed"


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_what_is_written_is_read_again_and_added_to(cache: Path) -> None:
    assert own_table(INFO) is None
    first, second = entry(), entry(MatrixProduct(1, 401, 500, 60))
    write_own(INFO, {first.key: first})
    write_own(INFO, {second.key: second})
    found = own_table(INFO)
    assert found is not None
    assert found.by_key == {first.key: first, second.key: second}
    changed = entry(complete=False)
    write_own(INFO, {changed.key: changed})
    found = own_table(INFO)
    assert found is not None
    assert found.by_key[first.key] == changed
    assert [path.suffix for path in own_path(INFO).parent.iterdir()] == [".json"], "nothing is left beside it"


def test_a_table_of_another_device_under_the_same_name_is_not_ours(cache: Path) -> None:
    write_own(INFO, {entry().key: entry()})
    whole = msgspec.json.decode(own_path(INFO).read_bytes())
    whole["measured_on"]["device"] = "another"
    own_path(INFO).write_bytes(msgspec.json.encode(whole))
    assert own_table(INFO) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 99, "measured_on": {}, "entries": []}', b"\xff\xfe",
     b'{"format": 1, "measured_on": {}, "entries": [{"family": "matmul"}]}'],
)  # fmt: skip
def test_a_damaged_table_is_left_out_with_a_line(content: bytes, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    own_path(INFO).parent.mkdir(parents=True)
    own_path(INFO).write_bytes(content)
    with caplog.at_level(logging.WARNING, "graphdl"):
        assert own_table(INFO) is None
    (message,) = caplog.messages
    assert message.startswith(f"the table of measured kernels {own_path(INFO)} is left out: ")


def test_of_the_tables_that_come_along_the_closest_goes_first(tmp_path: Path) -> None:
    here = described(INFO)
    facts: dict[str, dict[str, Any]] = {
        "any": {}, "runtime": {"runtime": here.runtime}, "vendor": {"vendor": "AMD"},
        "vendor and runtime": {"vendor": "AMD", "runtime": here.runtime},
        "device": {"device": here.device}, "another device": {"device": "another"}, "another vendor": {"vendor": "ARM"},
        "another runtime": {"device": here.device, "runtime": "CUDA"},
    }  # fmt: skip
    for number, (name, measured_on) in enumerate(facts.items()):
        made = table(entry(chosen=name), **measured_on)
        (tmp_path / f"{number}.json").write_bytes(msgspec.json.encode(made))
    found = [each.entries[0].chosen for each in shipped_tables(INFO, tmp_path)]
    assert found == ["device", "vendor and runtime", "vendor", "runtime", "any"]
    assert shipped_tables(INFO, tmp_path / "nothing") == []
