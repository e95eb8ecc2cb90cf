"""Complaints: each fixture in ``diagnostics/`` gives exactly the text beside it."""

from functools import cache
from pathlib import Path

import pytest
from expanding import faults, graph, source, warnings

from graphdl.diagnostics import ModelError
from graphdl.language import Source, check, expand, load_source
from graphdl.language.codes import explanation
from graphdl.rendering import render

FIXTURES = [
    path
    for path in sorted((Path(__file__).parent / "diagnostics").glob("[EW]*.net"))
    if not path.name.startswith("E01")
]


@cache
def complaints(path):
    return check(Source(path.name, path.read_text(encoding="utf-8"), str(path.resolve())))


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_fixture(path):
    found = complaints(path)
    assert "\n\n".join(map(render, found)) + "\n" == path.with_suffix(".txt").read_text(encoding="utf-8")
    assert path.name[:5] in {d.code for d in found}


def test_every_code_of_the_fixtures_is_explained():
    codes = {d.code for path in FIXTURES for d in complaints(path)}
    assert len(codes) >= 50
    assert [code for code in sorted(codes) if explanation(code) is None] == []


def test_expand_raises_every_error_in_order():
    text = (
        "net n() {\n"
        "    input x: [4]\n"
        "    output a = x -> liner(3)\n"
        "    output b = x @ x[0]\n"
        "    output c = reshape(x, [3])\n"
        "}"
    )
    with pytest.raises(ModelError) as raised:
        expand(source(text))
    assert [(d.code, d.span.line) for d in raised.value.diagnostics] == [("E0201", 3), ("E0402", 4), ("E0404", 5)]


def test_what_a_fault_has_spoilt_is_not_complained_about_again():
    text = "net n() {\n input x: [4]\n y = x -> liner(3)\n z = y * 2 + x\n output z\n loss mean(z)\n}"
    assert faults(text) == ["E0201 3:11 'liner' is not defined"]


def test_a_fault_in_a_users_block_is_reported_once_however_often_it_is_used():
    text = "block b(): x -> y { y = x + zeros([7]) }\nnet n() { input x: [4]; output a = x -> b; output c = x -> b }"
    (found,) = check(source(text))
    assert found.code == "E0401"
    assert (found.span.line, found.span.column) == (1, 25)
    assert found.notes == ("in b, called at model.net:2:41",)


def test_a_fault_inside_the_library_belongs_to_the_users_line():
    text = (
        "block b(): x -> y {\n    y = x -> conv(4, 3, stride = 0)\n}\nnet n() { input x: [3, 8, 8]; output a = x -> b }"
    )
    (found,) = check(source(text))
    assert (found.code, found.span.line, found.span.text) == ("E0304", 2, "0")


def test_both_shapes_are_shown_where_they_were_made():
    text = (
        "net n() {\n    input x: [3, 8, 8]\n    a = x -> conv(4, 3)\n    b = x -> conv(4, 5)\n    output c = a + b\n}"
    )
    (found,) = check(source(text))
    assert [(label.span.line, label.span.text, label.text) for label in found.labels] == [
        (3, "conv(4, 3)", "[4, 6, 6]"),
        (4, "conv(4, 5)", "[4, 4, 4]"),
    ]


def test_both_programs_are_checked():
    text = "net n() { input x: [4]\n if training { output y = x -> nothing } else { output y = x[5] } }"
    assert faults(text) == [
        "E0201 2:32 'nothing' is not defined",
        "E0417 2:62 index 5 is out of range: dimension 0 has 4",
    ]


def test_every_net_is_checked_that_can_be():
    text = (
        "net a() { input x: [4]; output y = x[4] }\n"
        "net b(k) { input x: [4]; output y = x[k] }\n"
        "net c() { input x: [4]; output y = x }"
    )
    assert faults(text) == ["E0417 1:38 index 4 is out of range: dimension 0 has 4"]
    assert faults(text, net="b", settings={"k": 9}) == ["E0417 2:39 index 9 is out of range: dimension 0 has 4"]


def test_the_model_must_be_there():
    with pytest.raises(ModelError, match=r"E0214: model.net has no net"):
        expand(source("block b(): x -> y { y = x }"))
    assert check(source("block b(): x -> y { y = x }")) == []
    with pytest.raises(ModelError) as raised:
        expand(source("net lenet() { input x: [4]; output y = x }"), net="lennet")
    assert raised.value.diagnostics[0].help == "did you mean 'lenet'?"


@pytest.mark.parametrize(
    ("settings", "message", "help"),
    [
        ({"clases": 3}, "E0213: 'n' has no hyperparameter 'clases' to set", "did you mean 'classes'?"),
        ({"zzz": 3}, "E0213: 'n' has no hyperparameter 'zzz' to set", "known: classes, deep, rate, width, widths"),
        ({"classes": "many"}, "E0301: 'classes' is an int, and cannot be set to the text \"many\"", None),
        ({"classes": 2.5}, "E0301: 'classes' is an int, and cannot be set to 2.5", None),
        ({"deep": 1}, "E0301: 'deep' is true or false, and cannot be set to 1", None),
        ({"rate": "true"}, "E0301: 'rate' is a number, and cannot be set to true", None),
        ({"widths": 3}, "E0301: 'widths' is a list, and cannot be set to 3", None),
    ],
)
def test_settings_are_checked(settings, message, help):
    text = "let widths = [1]\nnet n(classes = 10, deep = false, rate = 0.5, width = none) { input x: [4]; output x }"
    with pytest.raises(ModelError) as raised:
        expand(source(text), settings=settings)
    assert str(raised.value) == message
    assert raised.value.diagnostics[0].help == help


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ModelError, match=r"E0208: cannot read '.*none.net': No such file or directory"):
        load_source(tmp_path / "none.net")
    (tmp_path / "latin.net").write_bytes(b"# caf\xe9\n")
    with pytest.raises(ModelError, match=r"'.*latin.net' is not UTF-8 text \(byte 5\)"):
        load_source(tmp_path / "latin.net")


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (tmp_path / "a.net").write_text("\ufeffnet n() { input x: [1]; output x }\n", encoding="utf-8")
    assert check(load_source(tmp_path / "a.net")) == []


def test_nothing_is_said_of_good_files():
    text = (
        "net n() {\n"
        " input x: [4]\n"
        " input label: class(3)\n"
        " loss cross_entropy(x -> linear(3), label)\n"
        "}\n"
        "train { data iris; only linear.*; epochs 1 }"
    )
    assert warnings(text) == []


def test_names_that_begin_with_an_underscore_may_be_unused():
    assert warnings("net n() { input x: [4]; _spare = x * 2; output x }") == []


def test_a_train_section_is_read(tmp_path):
    g = graph(
        """
        let rate = 0.1
        net n(k = 2) {
            input x: [4]
            input target: [k]
            loss error = mse(x -> linear(k) as layer, target)
            loss small = 1e-3 * mean(x ** 2)
        }
        train warm {
            data csv("a.csv", label = "kind", test = 1 / 4)
            augment crop(28, pad = 4), flip
            augment noise(0.1)
            optimizer sgd(lr = rate * 2, momentum = 0.9)
            schedule step(every = 5 * k, unit = "step")
            batch 32 * k
            steps 100
            minimize error
            only layer.*, "*.b"
            clip 1
            seed 7
            precision half
            feed target = kind
            feed x = values
        }
        train { data iris; epochs 3 }
        """,
        settings={"rate": 0.2},
    )
    warm, plain = g.stages
    assert (warm.name, plain.name) == ("warm", None)
    assert (warm.data.name, warm.data.arguments, dict(warm.data.keywords)) == (
        "csv",
        ("a.csv",),
        {"label": "kind", "test": 0.25},
    )
    assert [(s.name, s.arguments, dict(s.keywords)) for s in warm.augment] == [
        ("crop", (28,), {"pad": 4}), ("flip", (), {}), ("noise", (0.1,), {}),
    ]  # fmt: skip
    assert dict(warm.optimizer.keywords) == {"lr": 0.4, "momentum": 0.9}
    assert warm.optimizer.keyword_spans["lr"].text == "rate * 2"
    assert dict(warm.schedule.keywords) == {"every": 10, "unit": "step"}
    assert (warm.batch, warm.epochs, warm.steps, warm.clip, warm.seed) == (64, None, 100, 1.0, 7)
    assert (warm.minimize, warm.only) == (("error",), ("layer.*", "*.b"))
    assert warm.precision == "half"
    assert dict(warm.feed) == {"target": "kind", "x": "values"}
    assert warm.spans["batch"].text == "batch"
    assert (plain.data.name, plain.epochs, plain.batch) == ("iris", 3, None)


def test_a_net_without_outputs_is_no_block():
    text = "net a() { input x: [4]; loss mean(x) }\nnet b() { input x: [4]; output y = a() }"
    assert faults(text) == ["E0501 2:36 'a' has no output, so it gives nothing as a block"]


def test_an_input_that_gives_its_dimensions_is_read():
    block = "block crop_to(): x: [c, h, w], like: [d, height, width] -> y { y = x[:, 0:height, 0:width] }\n"
    net = "net n() { input x: [3, 8, 8]; input z: [1, 4, 4]; output y = (x, z) -> crop_to }"
    assert warnings(block + net) == []
    unread = block.replace("0:height, 0:width", "0:4, 0:4")
    assert warnings(unread + net) == ["W0501 1:32 nothing reads the input 'like'"]


def test_what_a_fault_of_the_net_has_spoilt_is_not_missed_by_its_training():
    text = (
        "net n() {\n input x: [4]\n y = x -> liner(3) as head\n loss error = mean(y)\n}\n"
        "train { minimize error; only head.*; clip 0 }"
    )
    assert [fault[:5] for fault in faults(text)] == ["E0201", "E0606"]


@pytest.mark.parametrize("value", ["+x", "x", "relu(x)", "x -> linear(3)"])
def test_a_value_that_stands_alone_is_warned_of_once(value):
    text = "net n() {{ input x: [4]; y = x; {}; x -> linear(2) as last; output y; output last }}"
    assert warnings(text.format(value)) == ["W0502 1:32 nothing uses this value"]
