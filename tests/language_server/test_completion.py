"""What may be written at the cursor, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphdl.data.augmentations import AUGMENTATIONS
from graphdl.data.declared import COMPLETE, DATA_SETS
from graphdl.graph.train import WORDS
from graphdl.language.expansion.files import read_source
from graphdl.language_server.analysis import Analysis
from graphdl.language_server.completion import Item, complete
from graphdl.language_server.context import context
from graphdl.source import Source
from graphdl.training.optimizers import OPTIMIZERS
from graphdl.training.schedules import SCHEDULES

CURSOR = "‸"
SETTINGS = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "data": COMPLETE, "augment": AUGMENTATIONS}
FILE = """let depth = 3

block pair(width, scale = 2): a: [n], b: [n] -> y: [width] {
    y = ((a + b) -> linear(width)) * scale
}

net n(classes = 10) {
    input image: [3, 8, 6]
    input x: [6]
    wide = image -> conv(4, 3, pad = 1) as c1 -> relu
    row = wide[0, 0] * classes
    @
    loss mean(x)
}

train {
    data digits
    $
}
"""


def offered(line: str = "", training: str = "", path: str | None = None) -> dict[str, Item]:
    text = FILE.replace("@", line).replace("$", training)
    offset = text.index(CURSOR)
    plain = text.replace(CURSOR, "")
    earlier = Analysis(Source("a.net", FILE.replace("@", "").replace("$", ""), path), read_source)
    analysis = Analysis(Source("a.net", plain, path), read_source, None, earlier)
    found = list(complete(analysis, context(plain, analysis.tokens, offset), SETTINGS))
    names = [item.label for item in found]
    assert len(names) == len(set(names)), "nothing is offered twice"
    return {item.label: item for item in found}


def test_names_with_their_shapes_and_values() -> None:
    found = offered("y = ‸")
    assert found["wide"].detail == "[4, 8, 6]"
    assert found["row"].detail == "[6]"
    assert found["classes"].detail == "10"
    assert {"image", "x", "c1", "depth", "pair", "conv", "softmax", "tanh", "repeat"} <= set(found)
    assert "if" not in found, "no value begins with it"
    assert "loss" not in found, "in the middle of a statement none begins"


def test_after_a_value_no_other_stands() -> None:
    found = offered("y = x ‸")
    assert {"if", "and"} <= set(found)
    assert "wide" not in found


def test_a_statement_may_begin() -> None:
    found = offered("‸")
    assert {"param", "state", "output", "loss", "for", "if", "x"} <= set(found)
    assert "repeat" not in found
    assert found["output"].snippet == "output ${1:name} = $0"


def test_after_an_arrow_modules_stand() -> None:
    found = offered("y = x -> ‸")
    assert "repeat" in found
    assert "c1" in found
    assert "wide" not in found, "a tensor is no module"
    assert found["relu"].snippet == "relu"
    assert found["linear"].snippet == "linear(${1:units})"
    assert found["pair"].snippet == "pair(${1:width})"
    assert offered("y = ‸")["pair"].snippet == "pair(${1:a}, ${2:b}, ${3:width})"


def test_names_of_the_file_come_before_those_of_the_library() -> None:
    found = offered("y = ‸")
    assert found["wide"].rank < found["conv"].rank < found["tanh"].rank < found["repeat"].rank


def test_arguments_that_are_not_given_yet() -> None:
    found = offered("y = pair(x, row, scale = 3, ‸)")
    assert "width =" in found
    assert "scale =" not in found
    assert (found["width ="].rank, found["width ="].snippet) == (0, "width = $0")
    assert "a =" not in found
    assert "width =" not in offered("y = pair(x, row, width = ‸)")


@pytest.mark.parametrize(
    ("line", "names", "details"),
    [
        ("y = image.‸", {"shape", "rank", "channels", "height", "width"}, {"channels": "3", "width": "6", "rank": "3"}),
        ("y = x.‸", {"shape", "rank", "length"}, {"length": "6", "shape": "[6]"}),
        ("y = nothing.‸", {"shape", "rank", "channels", "height", "width", "length"}, {}),
    ],
)
def test_attributes_of_tensors(line: str, names: set[str], details: dict[str, str]) -> None:
    found = offered(line)
    assert set(found) == names
    assert {name: found[name].detail for name in details} == details


@pytest.mark.parametrize("line", ["y = 3.‸", "y = x as ‸"])
def test_where_nothing_known_can_stand(line: str) -> None:
    found = offered(line)
    assert not set(found) - {"axis ="}


def test_types_after_a_colon() -> None:
    found = offered("input z: ‸")
    assert {"class", "int", "bool"} <= set(found)
    assert "wide" not in found


def test_initializers_come_first_where_a_variable_begins() -> None:
    found = offered("param w: [3] = ‸")
    assert found["normal"].rank < found["conv"].rank
    assert found["normal"].rank < offered("y = ‸")["normal"].rank


def test_words_and_settings_of_a_train_section() -> None:
    assert set(offered(training="‸")) == {*WORDS, "turn"}
    assert {"min", "max"} <= set(offered(training="best ‸"))
    assert "c1.*" in offered(training="rate ‸")
    assert {"float32", "half", "bfloat16"} <= set(offered(training="precision ‸"))
    assert offered(training="b‸")["batch"].snippet == "batch $0"
    assert set(OPTIMIZERS) <= set(offered(training="optimizer ‸"))
    assert set(DATA_SETS) <= set(offered(training="data ‸"))
    assert set(AUGMENTATIONS) <= set(offered(training="augment flip, ‸"))
    assert {"lr =", "momentum ="} <= set(offered(training="optimizer sgd(‸"))
    assert "lr =" not in offered(training="optimizer sgd(lr = 0.1, ‸")
    assert {"file =", "vocabulary =", "validation =", "group ="} <= set(offered(training="data pairs(‸"))
    assert {"dir =", "blocks =", "limit ="} <= set(offered(training='data catalog("a.jsonl", image = "file", ‸'))
    assert {"every =", "factor ="} <= set(offered(training="schedule step(‸"))


def test_declarations_at_the_outermost_level() -> None:
    text = FILE.replace("@", "").replace("$", "") + CURSOR
    offset = text.index(CURSOR)
    analysis = Analysis(Source("a.net", text.replace(CURSOR, "")), read_source)
    found = {
        item.label for item in complete(analysis, context(analysis.source.text, analysis.tokens, offset), SETTINGS)
    }
    assert found == {"import", "let", "block", "net", "train"}


def test_members_of_an_imported_file(tmp_path: Path) -> None:
    (tmp_path / "blocks.net").write_text(
        "block one(): x -> y {\n    y = x\n}\nblock two(k): x -> y {\n    y = x * k\n}\n"
    )
    text = f'import "blocks.net" as lib\nnet n() {{\n    input x: [2]\n    output y = x -> lib.{CURSOR}\n}}\n'
    offset = text.index(CURSOR)
    source = Source("main.net", text.replace(CURSOR, ""), str(tmp_path / "main.net"))
    good = Analysis(Source("main.net", source.text.replace("lib.\n", "lib.one\n"), source.path), read_source)
    analysis = Analysis(source, read_source, None, good)
    found = {item.label: item for item in complete(analysis, context(source.text, analysis.tokens, offset), SETTINGS)}
    assert set(found) == {"one", "two"}
    assert found["two"].snippet == "two(${1:k})"
