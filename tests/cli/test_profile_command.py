"""``graphdl profile``: a step's time by kernel, module and line; its trace; its JSON."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

import graphdl
from graphdl.cli import main

NET = """net seen(classes = 4) {
    input image: [1, 16, 16]
    input label: class(classes)
    logits = image -> conv(6, 3) as c1 -> relu -> maxpool(2)
                   -> flatten -> linear(24) as hidden -> relu -> linear(classes) as last
    output probability = softmax(logits)
    loss cross_entropy(logits, label)
}

train { optimizer sgd(lr = 0.1, momentum = 0.9); batch 8 }
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("profile") / "seen.net"
    path.write_text(NET)
    return path


def run(*words):
    outcome = CliRunner().invoke(main, ["profile", *map(str, words)], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


@pytest.fixture(scope="module")
def step(file):
    trace = file.with_suffix(".json")
    return json.loads(run(file, "--json", "--steps", 6, "--trace", trace)), json.loads(trace.read_text())


def test_the_parts_of_a_step_add_up_to_the_whole(step):
    found, _ = step
    parts = found["kernels"] + found["copies"] + found["between_launches"] + found["between_steps"]
    assert parts == pytest.approx(found["seconds"], rel=1e-6)
    for table in ("by_kind", "by_module", "by_line", "by_launch"):
        assert all(row["seconds"] > 0 for row in found[table])
        assert sum(row["seconds"] for row in found[table]) == pytest.approx(found["kernels"])
        assert sum(row["flops"] for row in found[table]) == pytest.approx(found["flops"])
    assert (found["model"], found["training"], found["batch"]) == ("seen", True, 8)
    assert found["peak"]["flops"] > 1e8
    assert found["peak"]["bandwidth"] > 1e8


def test_the_names_are_those_of_the_file(step, file):
    found, _ = step
    modules = {row["name"]: row for row in found["by_module"]}
    assert {"c1", "hidden", "last"} <= modules.keys()
    assert modules["c1"]["flops"] > 3 * 8 * 2 * 14 * 14 * 9 * 6 / 2  # forward and the gradient of the filters
    lines = {row["name"].rpartition(":")[2] for row in found["by_line"]}
    assert lines <= {"4", "5", "7", "(the step itself)"}
    assert {f"{file}:4", f"{file}:5"} <= {row["name"] for row in found["by_line"]}
    kinds = {row["name"] for row in found["by_kind"]}
    assert {"convolution", "weight_gradient", "matmul"} <= kinds
    for launch in found["by_launch"]:
        assert sum(share["part"] for share in launch["shares"]) == pytest.approx(1)


def test_an_update_counts_for_the_layer_of_its_parameter(step):
    found, _ = step
    updates = [launch for launch in found["by_launch"] if "hidden" in launch["label"] and "subtract" in launch["label"]]
    assert updates
    for launch in updates:
        assert {share["module"] for share in launch["shares"]} == {"hidden"}


def test_the_trace_has_the_form_of_chromes_trace_events(step):
    found, trace = step
    assert trace["displayTimeUnit"] == "ms"
    meta = [event for event in trace["traceEvents"] if event["ph"] == "M"]
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert len(meta) + len(slices) == len(trace["traceEvents"])
    assert {(event["name"], event["args"]["name"]) for event in meta} == {
        ("process_name", "seen"), ("thread_name", "device"), ("thread_name", "host")
    }  # fmt: skip
    tracks = {event["args"]["name"]: event["tid"] for event in meta if event["name"] == "thread_name"}
    for event in slices:
        assert event.keys() == {"ph", "name", "cat", "pid", "tid", "ts", "dur", "args"}
        assert isinstance(event["name"], str)
        assert event["tid"] in tracks.values()
        assert isinstance(event["ts"], float)
        assert event["dur"] >= 0
    device = [event for event in slices if event["tid"] == tracks["device"]]
    launches = [event for event in device if event["cat"] != "copy"]
    assert len(launches) == 7 * sum(launch["times"] for launch in found["by_launch"])
    assert {event["name"] for event in launches} == {launch["label"] for launch in found["by_launch"]}
    starts = [event["ts"] for event in device]
    ends = [event["ts"] + event["dur"] for event in device]
    assert starts == sorted(starts)
    assert all(end <= start + 1.0 for end, start in zip(ends, starts[1:], strict=False))  # an in-order queue
    host = [event for event in slices if event["tid"] == tracks["host"]]
    assert [event["name"] for event in host] == ["inputs", "enqueue"] * 7
    assert launches[0]["ts"] >= host[0]["ts"]


def test_the_tables_fit_80_columns(file):
    lines = run(file, "--steps", 2, "--rows", 3).splitlines()
    assert max(map(len, lines)) <= 80
    assert re.fullmatch(r"seen: a training step of 8 on .*, 8 made-up examples", lines[0])
    assert re.search(r"\d others +\d", "\n".join(lines))
    assert [line.split("  ")[0] for line in lines if "GB/s" in line and "GFLOP/s" in line] == [
        "by kind", "by launch", "by module", "by line"
    ]  # fmt: skip


def test_a_prediction(file):
    found = json.loads(run(file, "--inference", "--batch", 3, "--steps", 2, "--json"))
    assert (found["training"], found["batch"]) == (False, 3)
    assert all(row["seconds"] > 0 for row in found["by_launch"])
    assert "pack_filters" not in {row["name"] for row in found["by_kind"]}  # the setup has packed them
    assert not any("subtract" in launch["label"] for launch in found["by_launch"])


def test_a_run_is_profiled_and_stays_as_it_is(file, tmp_path):
    folder = tmp_path / "run"
    model = graphdl.load(file)
    rng = np.random.default_rng(0)
    images, labels = rng.random((16, 1, 16, 16), np.float32), rng.integers(0, 4, 16)
    model.fit(image=images, label=labels, epochs=1, out=folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert "a training step of 8" in run(folder, "--steps", 2)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_from_python_the_model_stays_as_it_is(file):
    model = graphdl.load(file)
    before = {path: model.parameters[path] for path in model.parameters}
    found = model.profile(runs=2)
    assert found.step > found.running > 0
    assert found.modules[0].name in ("c1", "hidden", "features.maxpool", "logits.maxpool")
    for path, value in before.items():
        np.testing.assert_array_equal(model.parameters[path], value)
    assert not [name for name in model.network.store if "momentum" in name]
    assert model.profile(training=False, runs=2).batch == 1


def test_a_loops_launches_are_counted_with_all_turns(tmp_path):
    (tmp_path / "r.net").write_text(
        "net r() {\n    input x: [12, 5]\n    input label: class(3)\n"
        "    logits = x -> lstm(7) as cell -> flatten -> linear(3)\n    loss cross_entropy(logits, label)\n}\n"
    )
    found = json.loads(run(tmp_path / "r.net", "--batch", 4, "--steps", 2, "--json"))
    assert any(launch["times"] == 12 for launch in found["by_launch"])
    assert sum(row["seconds"] for row in found["by_module"]) == pytest.approx(found["kernels"])
