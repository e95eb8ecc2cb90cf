"""Measured choices: the search, what it refuses, how it goes on, and which table counts."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest

from graphdl.compiler.build import build
from graphdl.operators.convolution import Geometry, convolution, input_gradient, weight_gradient
from graphdl.operators.kernels.family import Family, predicted
from graphdl.operators.kernels.template import TemplateCall
from graphdl.operators.matmul import matmul
from graphdl.operators.structure import pad, transpose
from graphdl.operators.tensor import Template, Tensor, feed
from graphdl.runtime import tuned, tuning
from graphdl.runtime.tuned import (
    Choice,
    Described,
    Entry,
    Table,
    choice_of,
    described,
    own_path,
    own_table,
    shipped_tables,
)
from graphdl.runtime.tuning import Tuner, tasks_of

LAUNCHES_TAKE = 1e-3


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A cache folder of the test's own, and no table that comes with graphdl."""
    monkeypatch.setattr(tuned, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(tuned, "shipped_tables", lambda info: [])
    choice_of.cache_clear()
    yield tmp_path
    choice_of.cache_clear()


def tasks(device: Any, **results: Tensor) -> list[tuning.Task]:
    program = build(results, {}, device.target)
    return tasks_of([(launch, LAUNCHES_TAKE) for launch in program.launches], device.target)


class Texts(TemplateCall):
    """A call whose text is the test's own."""

    def text(self) -> str:
        return _TEXTS[self.source]


_TEXTS: dict[str, str] = {}
PLAIN = """__kernel void KERNEL_NAME(KERNEL_PARAMETERS) {
    KERNEL_PROLOGUE
    int i = get_global_id(0);
    float value = X[i];
    for (int k = 0; k < TIMES; ++k) value = value * 0.5f + 0.25f;
    STORE(1, 3.0f * X[i] + 0.0f * value, i);
}
"""


@dataclass(frozen=True)
class Tripled(Template):
    """``3 x``, with a formula for NumPy where ``known``."""

    known: bool = True

    @property
    def family(self) -> Family[Any, Any]:
        return TRIPLE

    def reference(self, y, inputs):
        return 3 * inputs[0] if self.known else None


class TripleFamily(Family[int, str]):
    """A candidate is the name of a text. The first is predicted, and slow."""

    name = "triple"
    operand_layouts = ("row_major",)
    coordinates = (0,)
    vector = 0
    names: ClassVar[list[str]] = []

    def prepare(self, y, inputs, planner):
        return planner.made(self, y.shape[0], inputs, y.shape, y, y.size)

    def candidates(self, problem, target):
        return self.names

    def call(self, problem, candidate, target, operands=()):
        times = 3000 if candidate == self.names[0] else 1
        return Texts(candidate, {"TIMES": times}, (problem,), (1,), 0, ("X",))


TRIPLE = TripleFamily()


@pytest.fixture
def triple(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The texts of the family, which a test may change."""
    monkeypatch.setattr(TripleFamily, "names", ["slow", "wrong", "partial", "unbuilt", "fast"])
    texts = {
        "slow": PLAIN,
        "wrong": PLAIN.replace("3.0f *", "i == 36 ? 2.9f * X[i] : 3.0f *"),
        "partial": PLAIN.replace("STORE", "if (i != 5) STORE"),
        "unbuilt": PLAIN.replace("X[i]", "nothing"),
        "fast": PLAIN,
    }
    monkeypatch.setattr(f"{__name__}._TEXTS", texts)
    predicted.cache_clear()
    return texts


def tripled(known: bool = True) -> Tensor:
    return Tensor(Tripled(known), (feed("x", (37,)),), (37,))


@pytest.mark.parametrize("known", [True, False], ids=["numpy", "the predicted form"])
def test_forms_that_compute_wrongly_are_refused(device, triple, known):
    (task,) = tasks(device, y=tripled(known))
    (found,) = Tuner(device).run([task], 60)
    entry = found.entry
    assert (entry.family, entry.problem, entry.predicted, entry.chosen) == ("triple", "37", "'slow'", "'fast'")
    assert {name for name, seconds in entry.seconds.items() if seconds is None} == {"'wrong'", "'partial'", "'unbuilt'"}
    assert (found.tried, found.refused, entry.complete) == (5, 3, True)
    assert found.gain > 1
    assert choice_of(device.info)(TRIPLE, 37, device.target) == "fast"


def test_a_predicted_form_that_is_wrong_is_not_chosen(device, triple):
    triple["slow"] = triple["wrong"]
    (found,) = Tuner(device).run(tasks(device, y=tripled()), 60)
    assert found.entry.chosen == "'fast'"
    assert found.entry.seconds["'slow'"] is None


def test_a_search_goes_on_where_the_budget_ended_it(device, triple, monkeypatch):
    (task,) = tasks(device, y=tripled())
    seen: list[int] = []
    tuner = Tuner(device, lambda task, found, tried: seen.append(tried) if found is None else None)
    assert tuner.run([task], 0) == []
    monkeypatch.setattr(tuning, "monotonic", itertools.count().__next__)  # a second between two looks at the clock
    (first,) = tuner.run([task], 1.5)
    assert (first.tried, first.entry.complete) == (1, False)
    (second,) = tuner.run([task], 60)
    assert (second.tried, second.entry.complete) == (5, True)
    assert seen == [1, 2, 3, 4, 5]
    assert tuner.run([task], 0) == [second]  # what is complete takes no time
    assert seen == [1, 2, 3, 4, 5]


def test_what_was_measured_is_kept_when_the_search_is_interrupted(device, triple):
    def interrupt(task, found, tried):
        if tried == 2:
            raise KeyboardInterrupt

    (task,) = tasks(device, y=tripled())
    with pytest.raises(KeyboardInterrupt):
        Tuner(device, interrupt).run([task], 60)
    (entry,) = own_table(device.info).entries
    assert (len(entry.seconds), entry.complete, entry.chosen) == (2, False, "'slow'")


def test_an_entry_of_another_source_is_measured_again(device, triple):
    (task,) = tasks(device, y=tripled())
    (before,) = Tuner(device).run([task], 60)
    triple["fast"] = "/* another comment */\n" + triple["fast"]
    assert Tuner(device).run([task], 0) == [before]
    triple["fast"] = triple["fast"].replace("3.0f", "(1.0f + 2.0f)")
    choice_of.cache_clear()
    assert choice_of(device.info)(TRIPLE, 37, device.target) == "slow"  # nobody has checked what is there now
    assert Tuner(device).run([task], 0) == []
    triple["fast"] = triple["fast"].replace("(1.0f + 2.0f)", "(1.0f + 3.0f)")
    (after,) = Tuner(device).run([task], 60)
    assert after.entry.seconds["'fast'"] is None
    assert after.entry.chosen == "'slow'"


def test_a_new_driver_begins_a_new_table(device, triple):
    Tuner(device).run(tasks(device, y=tripled()), 60)
    info = device.info
    assert own_table(info) is not None
    for other in (replace(info, driver_version="another"), replace(info, platform_version="another")):
        assert own_table(other) is None
        assert choice_of(other)(TRIPLE, 37, device.target) == "slow"
        own_path(other).write_bytes(own_path(info).read_bytes())  # a table of a stranger under its name
        assert own_table(other) is None


def entry(chosen: str, target: Any, patterns: Any = ((),)) -> Entry:
    source = tuned.source_of(TRIPLE, 37, (chosen, "'slow'"), patterns, target)
    return Entry("triple", "37", chosen, "'slow'", patterns, source, {chosen: 1.0}, True)


def test_the_closest_table_counts(device, triple, tmp_path, monkeypatch):
    names = ["slow", "of all", "of the vendor", "of the family", "of it", "own"]
    monkeypatch.setattr(TripleFamily, "names", names)
    triple.update(dict.fromkeys(names, PLAIN))
    info, target = device.info, device.target
    about = described(info)
    fits = {
        "of all": Described(),
        "of the vendor": Described(vendor=about.vendor),
        "of the family": Described(vendor=about.vendor, architecture=about.architecture),
        "of it": Described(device=about.device, runtime=about.runtime),
    }
    others = [
        Described(vendor="another"), Described(device="another"),
        Described(device=about.device, runtime="another"),
    ]  # fmt: skip
    for number, wrong in enumerate(others):
        table = Table(1, wrong, (entry("'own'", target),))
        (tmp_path / f"other{number}.json").write_bytes(msgspec.json.encode(table))
    for expected, measured_on in fits.items():
        table = Table(1, measured_on, (entry(repr(expected), target),))
        (tmp_path / f"{expected}.json").write_bytes(msgspec.json.encode(table))
        assert Choice(shipped_tables(info, tmp_path))(TRIPLE, 37, target) == expected
        assert Choice(shipped_tables(info, tmp_path))(TRIPLE, 38, target) == "slow"
    own = Table(1, about, (entry("'own'", target),))
    assert Choice([own, *shipped_tables(info, tmp_path)])(TRIPLE, 37, target) == "own"
    # An entry that names no form of today does not hide that of the next table.
    gone = Table(1, about, (replace_entry(own.entries[0], chosen="'gone'"),))
    assert Choice([gone, *shipped_tables(info, tmp_path)])(TRIPLE, 37, target) == "of it"


def replace_entry(before: Entry, **changes: Any) -> Entry:
    return msgspec.structs.replace(before, **changes)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[]", b'{"format": 1}', b'{"format": 2, "measured_on": {}, "entries": []}', b"[" * 5000,
     b'{"format": 1, "measured_on": {}, "entries": [{"family": 3}]}'],
    ids=["empty", "no text", "a list", "parts", "another format", "deep", "wrong types"],
)  # fmt: skip
def test_a_table_of_no_use_is_left_out_with_one_line(device, triple, caplog, content):
    path = own_path(device.info)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING, "graphdl"):
        assert choice_of(device.info)(TRIPLE, 37, device.target) == "slow"
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert str(path) in record.getMessage()
    (found,) = Tuner(device).run(tasks(device, y=tripled()), 60)
    assert own_table(device.info).entries == (found.entry,)


GEOMETRY = Geometry((1, 1), (1, 1), 1)


def kernels() -> dict[str, Tensor]:
    """A product with a transposed factor, and the three passes of a convolution with padding."""
    x, w, g = feed("x", (2, 5, 9, 7)), feed("w", (18, 5, 3, 3)), feed("g", (2, 18, 9, 7))
    padded = pad(x, (0, 0, 1, 1), (0, 0, 1, 1))
    return {
        "product": matmul(feed("a", (33, 20)), transpose(feed("b", (31, 20)), (1, 0))),
        "forward": convolution(padded, w, GEOMETRY),
        "input": input_gradient(g, w, padded.shape, GEOMETRY),
        "weight": weight_gradient(padded, g, w.shape, GEOMETRY),
    }


@pytest.mark.parametrize("name", kernels())
def test_the_choice_is_the_form_that_programs_have(device, monkeypatch, name):
    monkeypatch.setattr(tuning, "PATIENCE", 2)
    result = kernels()[name]
    found = tasks(device, y=result)
    if not found:
        pytest.skip("this device has one form of the kernel")
    (task,) = found
    (done,) = Tuner(device).run([task], 60)
    assert done.refused == 0
    assert done.entry.complete
    choice = choice_of(device.info)
    program = build({"y": result}, {}, device.target, choose=choice)
    forms = [each.form for each in program.launches if each.form and each.form.family is task.family]
    assert [repr(form.candidate) for form in forms] == [done.entry.chosen]
    # the second best, written into the table as the choice, is what programs are compiled with
    other = next(n for n, s in done.entry.seconds.items() if s is not None and n != done.entry.chosen)
    source = tuned.source_of(
        task.family, task.problem, (other, done.entry.predicted), done.entry.patterns, device.target
    )
    changed = replace_entry(done.entry, chosen=other, source=source)
    choice = Choice([Table(1, described(device.info), (changed,))])
    program = build({"y": result}, {}, device.target, choose=choice)
    forms = [each.form for each in program.launches if each.form and each.form.family is task.family]
    assert [repr(form.candidate) for form in forms] == [other]


def test_tasks_are_those_with_a_choice_the_slowest_first(device, triple):
    program = build({"y": tripled(), **kernels()}, {}, device.target)
    seconds = {launch.kernel: 1.0 + number for number, launch in enumerate(program.launches)}
    found = tasks_of([(launch, seconds[launch.kernel]) for launch in program.launches], device.target)
    assert [task.seconds for task in found] == sorted((task.seconds for task in found), reverse=True)
    assert "triple" in {task.family.name for task in found}
    assert "pack_filters" not in {task.family.name for task in found}


def test_the_numbers_of_a_model_stay_when_it_is_tuned(monkeypatch):
    import graphdl

    monkeypatch.setattr(tuning, "PATIENCE", 2)
    model = graphdl.loads(
        "net n() {\n    input x: [1, 10, 10]\n    input label: class(3)\n"
        "    logits = x -> conv(6, 3) -> relu -> flatten -> linear(3)\n    output p = softmax(logits)\n"
        "    loss cross_entropy(logits, label)\n}\n"
    )
    x, label = np.random.default_rng(0).random((4, 1, 10, 10), np.float32), np.arange(4) % 3
    before = model.gradients(x=x, label=label)
    parameters = {path: model.parameters[path] for path in model.parameters}
    done = model.tune(seconds=60, batch=4)
    assert done.complete
    assert done.before > 0
    assert done.after > 0
    assert 0 <= done.share <= 1
    after = model.gradients(x=x, label=label)
    assert after[0] == pytest.approx(before[0], rel=1e-5)
    for path, value in before[1].items():
        np.testing.assert_array_equal(model.parameters[path], parameters[path])
        np.testing.assert_allclose(after[1][path], value, rtol=0, atol=1e-5)
