"""The tables of measured choices that come with graphdl, and ``tools/tables.py``, which writes them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import tables

from graphdl.compiler.program import Target
from graphdl.operators.kernels.family import predicted
from graphdl.operators.kernels.matmul import MATMUL, MatrixProduct
from graphdl.runtime import tuned
from graphdl.runtime.ranking import DeviceInfo
from graphdl.runtime.tuned import SHIPPED, Choice, Entry, described, own_table, shipped_tables, source_of, write_own

PATTERN = ((0, (0, 60, 1)), (0, (0, 500, 1)))
INFO = DeviceInfo(
    index=0, platform="Portable Computing Language", platform_version="OpenCL 3.0 PoCL 3.0", vendor="AuthenticAMD",
    name="pthread-AMD EPYC", version="OpenCL 3.0", driver_version="3.0", kind="cpu", compute_units=4, memory=1 << 33,
    max_allocation=1 << 31, local_memory=1 << 15, max_work_group=4096, vector_width=8,
)  # fmt: skip
TARGET = tables.target_of(described(INFO))


def test_every_entry_that_comes_along_has_an_effect() -> None:
    folder = SHIPPED
    assert tables.faults(folder) == [], "python tools/tables.py --prune removes these entries"
    for _, table in tables.tables(folder):
        choose, target = Choice([table]), tables.target_of(table.measured_on)
        for entry in table.entries:
            chosen = choose(tables.FAMILIES[entry.family], tables.problem_of(entry), target)
            assert repr(chosen) == entry.chosen
            assert entry.seconds[entry.chosen] < entry.seconds[entry.predicted]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of tables, and a cache folder beside it."""
    monkeypatch.setattr(tuned, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "tuned"


def entry(m: int, *, better: bool = True, **changes: Any) -> Entry:
    """An entry of a product of ``m`` rows with another form than the predicted one, or with the predicted one."""
    problem = MatrixProduct(1, m, 500, 60)
    first = predicted(MATMUL, problem, TARGET)
    other = next(form for form in MATMUL.candidates(problem, TARGET) if form != first) if better else first
    source = source_of(MATMUL, problem, (repr(other), repr(first)), (PATTERN,), TARGET)
    seconds = {repr(first): 2.34567e-3, "a third form": 9.0, repr(other): 1.23456e-3}
    made = Entry("matmul", repr(problem), repr(other), repr(first), (PATTERN,), source, seconds, True)
    return msgspec.structs.replace(made, **changes)


def write(*entries: Entry) -> None:
    write_own(INFO, {each.key: each for each in entries})


def test_the_users_entries_are_added_to_the_table_of_the_architecture_and_runtime(folder: Path) -> None:
    write(entry(400), entry(401, better=False), entry(402, complete=False), entry(403, source="0" * 16))
    path = tables.ship(INFO, folder)
    assert path.parent == folder
    assert path.name == tables.file_name(tables.kind_of(described(INFO)))
    (found,) = shipped_tables(INFO, folder)
    assert [each.key for each in found.entries] == [entry(400).key], "others have no effect, or are not done"
    kept = found.entries[0]
    assert sorted(kept.seconds.values()) == [1.23e-3, 2.35e-3]  # type: ignore[type-var]
    assert (found.measured_on.device, found.measured_on.driver, found.measured_on.compute_units) == ("", "", 4)
    form = Choice([found])(MATMUL, tables.problem_of(kept), TARGET)
    assert repr(form) == kept.chosen != kept.predicted
    before = path.read_bytes()
    assert tables.ship(INFO, folder).read_bytes() == before


def test_what_was_measured_last_counts(folder: Path) -> None:
    write(entry(400), entry(401))
    path = tables.ship(INFO, folder)
    assert len(path.read_text().splitlines()) == 4, "an entry is a line"
    write(entry(400, better=False))
    tables.ship(INFO, folder)
    (found,) = shipped_tables(INFO, folder)
    assert [each.key for each in found.entries] == [entry(401).key]
    write(entry(401, better=False))
    tables.ship(INFO, folder)
    assert not path.exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source": "0" * 16}, "the kernel has changed since it was measured"),
        ({"patterns": (PATTERN[:1],)}, "the kernel has changed since it was measured"),
        ({"family": "gone"}, "there is no such problem any more"),
        ({"problem": "MatrixProduct(1, 2)"}, "there is no such problem any more"),
        ({"problem": "MatrixProduct(batch=1, m=True, n=500, k=60.0, packed=F)"}, "there is no such problem any more"),
        ({"chosen": "RegisterTile(rows=99, vectors=9)"}, "there is no form RegisterTile(rows=99, vectors=9) any more"),
    ],
)
def test_entries_without_an_effect_are_named_and_pruned(folder: Path, changes: dict[str, Any], reason: str) -> None:
    kind, good, bad = tables.kind_of(described(INFO)), entry(400), entry(401, **changes)
    path = folder / tables.file_name(kind)
    tuned.write_table(path, kind, {good.key: good, bad.key: bad})
    line = f"{path.name}: {bad.family} {bad.problem}: {reason}"
    assert tables.faults(folder) == [line]
    assert tables.prune(folder) == [line]
    assert tables.faults(folder) == []
    assert [each.key for each in shipped_tables(INFO, folder)[0].entries] == [good.key]


def test_a_table_of_another_kind_under_the_same_name_is_named(folder: Path) -> None:
    kind = msgspec.structs.replace(tables.kind_of(described(INFO)), runtime="PoCL 9")
    tuned.write_table(folder / "x.json", kind, {entry(400).key: entry(400)})
    assert tables.faults(folder) == [f"x.json: the table's description belongs to {tables.file_name(kind)}"]


def test_a_gpus_table_is_that_of_its_name() -> None:
    facts = {"architecture": "", "device": "NVIDIA H200", "vendor": "NVIDIA", "runtime": "CUDA"}
    gpu = msgspec.structs.replace(described(INFO), **facts)
    assert tables.file_name(tables.kind_of(gpu)) == "nvidia-nvidia-h200-cuda-4-compute-units.json"
    assert tables.target_of(gpu).kind == "gpu"


def test_a_net_is_tuned(
    folder: Path, device: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(tables.NETS["mlp"], batch=9, shape=(1, 8, 8), settings={"size": 8, "widths": [33]})
    monkeypatch.setitem(tables.NETS, "mlp", small)
    tuned.choice_of.cache_clear()
    tables.search(["mlp"], None, 0.01, folder)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[:3]] == ["mlp training 9", "mlp inference 1", "mlp inference 8"]
    assert own_table(device.info) is not None or device.target.kind == "gpu"
    assert tables.faults(folder) == []
    tuned.choice_of.cache_clear()


def test_targets_are_those_of_devices(device: Any) -> None:
    """A CPU's forms depend on nothing but what a table describes."""
    if device.target.kind == "gpu":
        pytest.skip("a table of a GPU assumes the memory and the work-groups of most GPUs")
    target: Target = tables.target_of(tables.kind_of(described(device.info)))
    assert (target.kind, target.vector_width) == ("cpu", device.target.vector_width)
    problem = MatrixProduct(1, 400, 500, 60)
    names = [repr(form) for form in MATMUL.candidates(problem, target)]
    assert source_of(MATMUL, problem, names, (PATTERN,), target) == source_of(
        MATMUL, problem, names, (PATTERN,), device.target
    )
