"""What a run's files hold is checked when they are read: one complaint that names the file and the entry."""

import json
import shutil

import pytest
from nets import DIGITS

import graphdl
from graphdl import strict_json
from graphdl.diagnostics import ModelError
from graphdl.model import resume
from graphdl.training import fit
from graphdl.training.run import open_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    graphdl.loads(DIGITS + "train { data digits; epochs 1; batch 256 }").fit(out=folder)
    return folder


@pytest.fixture
def run(tmp_path, finished):
    return shutil.copytree(finished, tmp_path / "run")


def complaint(call, *words):
    with pytest.raises(ModelError) as caught:
        call(*words)
    (found,) = caught.value.diagnostics
    return found


def changed(value, place, new):
    *way, last = place.split(".")
    for key in way:
        value = value[key]
    if new is ...:
        del value[last]
    else:
        value[last] = new


SETTINGS = [
    ("overrides.batch", -3, "the entry 'overrides.batch': expected int >= 1"),
    ("overrides.batch", 0, "'overrides.batch'"),
    ("overrides.batch", 10**40, "'overrides.batch'"),
    ("overrides.epochs", 2.5, "'overrides.epochs'"),
    ("overrides.epochs", True, "'overrides.epochs'"),
    ("overrides.seed", "abc", "the entry 'overrides.seed': expected int | null, got str"),
    ("overrides.data_root", 7, "'overrides.data_root'"),
    ("overrides.epoch", 3, "the entry 'overrides.epoch' is unknown"),
    ("overrides", [], "'overrides'"),
    ("overrides", ..., "the entry 'overrides' is missing"),
    ("seed", "abc", "the entry 'seed': expected int, got str"),
    ("seed", -1, "'seed'"),
    ("main", "/etc/hostname", "the entry 'main': '/etc/hostname' does not lie in model/"),
    ("main", "../../x", "'main'"),
    ("main", "model/../settings.json", "'main'"),
    ("main", "model/\0.net", "'main'"),
    ("main", ["model/model.net"], "'main'"),
    ("main", "model", "has lost its model file"),
    ("main", "model/other.net", "has lost its model file model/other.net"),
    ("net", 3, "'net'"),
    ("set", [["h", 3]], "'set'"),
    ("origin", 0, "'origin'"),
    ("inputs", {"image": {"field": "image"}}, "shape"),
    ("inputs", {"image": {"field": "image", "shape": [1, "8"]}}, "shape"),
    ("inputs", {"x": {"field": "x", "shape": [1], "table": {"columns": ["a"], "separator": ";;"}}}, "separator"),
    ("inputs", {"x": {"field": "x", "shape": [1], "table": {"separator": ","}}}, "columns"),
    ("data.train.columns", {"x": "ab"}, "data"),
    ("data.train.class_names", {"label": [1, 2]}, "data"),
    ("class_names", {"label": "abc"}, "class_names"),
    ("surprise", 1, "the entry 'surprise' is unknown"),
]


@pytest.mark.parametrize(("place", "value", "words"), SETTINGS, ids=[f"{p}={str(v)[:12]}" for p, v, _ in SETTINGS])
def test_a_wrong_setting_is_named(run, place, value, words):
    settings = json.loads((run / "settings.json").read_text())
    changed(settings, place, value)
    (run / "settings.json").write_text(json.dumps(settings))
    for call in (open_run, graphdl.load, lambda path: resume(path, fit.TrainingOptions())):
        found = complaint(call, run)
        assert found.code == "E0618"
        assert str(run) in found.message
        assert words in found.message


TEXTS = [
    (b"", "Expecting value"),
    (b"{", "Expecting property name"),
    (b"[]", "expected object, got array"),
    (b"null", "expected object, got null"),
    (b'"' + b"x" * 100, "Unterminated string"),
    (b'{"main": NaN}', "NaN is no JSON"),
    (b'{"seed": 1e999}', "the number 1e999 is too large"),
    (b'{"seed": ' + b"9" * 5000 + b"}", "digits"),
    (b'{"seed": 1, "seed": 2}', "the entry 'seed' stands twice"),
    (b'{"set": ' + b"[" * 100_000, "nested"),
    (b'{"set": ' + b"[" * 80 + b"]" * 80 + b"}", "nested more than 64 deep"),
    (b'{"main": "\xff"}', "utf-8"),
    (b"\0" * 100, "Expecting value"),
]


@pytest.mark.parametrize(("text", "words"), TEXTS, ids=[repr(text[:20]) for text, _ in TEXTS])
def test_settings_that_are_no_json_are_refused(run, text, words):
    (run / "settings.json").write_bytes(text)
    found = complaint(open_run, run)
    assert (found.code, f"{run / 'settings.json'} is damaged: " in found.message) == ("E0618", True)
    assert words in found.message


@pytest.mark.parametrize("value", [{"h": {"a": 1}}, {"h": [[[1]]]}, {"h": "x" * 10}, {"h": -5}, {"h": None}, {"q": 1}])
def test_hyperparameters_that_do_not_fit_are_refused_as_those_of_the_command_line(run, value):
    settings = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_text(json.dumps({**settings, "set": value}))
    with pytest.raises(ModelError):
        graphdl.load(run)


RECORDS = [
    ("kind", "epic", "'kind'"),
    ("epoch", "one", "'epoch'"),
    ("epoch", 0, "'epoch'"),
    ("step", -1, "'step'"),
    ("step", 10**30, "'step'"),
    ("loss", "low", "'loss'"),
    ("lr", [], "'lr'"),
    ("metrics", {"accuracy": "good"}, "metrics"),
    ("metrics", ..., "the entry 'metrics' is missing"),
    ("held_out.split", 1, "'held_out.split'"),
    ("held_out", 1, "'held_out'"),
    ("best", "yes", "'best'"),
    ("extra", 1, "the entry 'extra' is unknown"),
]


@pytest.mark.parametrize(("place", "value", "words"), RECORDS, ids=[f"{p}={str(v)[:12]}" for p, v, _ in RECORDS])
def test_a_wrong_line_of_metrics_is_named(run, place, value, words):
    line = (run / "metrics.jsonl").read_text()
    record = json.loads(line)
    changed(record, place, value)
    (run / "metrics.jsonl").write_text(line + json.dumps(record) + "\n" + line)
    for call in (open_run, graphdl.load, lambda path: resume(path, fit.TrainingOptions())):
        found = complaint(call, run)
        assert found.code == "E0618"
        assert f"{run / 'metrics.jsonl'} is damaged in line 2: " in found.message
        assert words in found.message


@pytest.mark.parametrize("line", [b"", b"\xff", b"{}", b"[" * 5000, b'{"kind": NaN}', b"7"])
def test_lines_that_are_no_records_are_refused(run, line):
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(line + b"\n")
    assert "metrics.jsonl is damaged in line 2: " in complaint(open_run, run).message


def test_lost_lines_of_metrics_are_missed(run):
    (run / "metrics.jsonl").unlink()
    assert graphdl.load(run).name == "mlp"
    found = complaint(resume, run, fit.TrainingOptions())
    assert (found.code, "has lost lines: 0 of 1" in found.message) == ("E0618", True)


def test_json_has_no_word_for_what_is_not_finite():
    values = {"a": [1.5, float("nan"), (float("inf"), -float("inf"))], "b": 3}
    assert strict_json.decode(strict_json.encode(values)) == {"a": [1.5, None, [None, None]], "b": 3}
