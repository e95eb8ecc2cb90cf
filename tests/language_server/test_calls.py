"""Signatures, and which parameter the cursor's argument fills."""

from __future__ import annotations

import pytest

from graphdl.data.augmentations import AUGMENTATIONS
from graphdl.data.declared import DATA_SETS
from graphdl.language.expansion.files import read_source
from graphdl.language_server import signatures
from graphdl.language_server.analysis import Analysis
from graphdl.language_server.calls import Help, help_at, open_parameters, signature_of, symbol_of
from graphdl.language_server.context import context
from graphdl.operators import PRIMITIVES
from graphdl.operators.initializers import INITIALIZERS
from graphdl.source import Source
from graphdl.training.optimizers import OPTIMIZERS

CURSOR = "‸"
SETTINGS = {"optimizer": OPTIMIZERS, "data": DATA_SETS, "augment": AUGMENTATIONS}
FILE = """let depth = 3

## Both at once.
block pair(width, scale = 2): a: [n], b: [m] -> y: [width] {
    y = (a -> linear(width)) * scale
}

net n(classes = 10) {
    input x: [6]
    input z: [4]
    h = pair(x, z, 5)
    @
    loss mean(h)
}

train {
    optimizer adam(lr = 0.1)
    $
}
"""


def looked_at(line: str, training: str = "") -> tuple[Analysis, str, int]:
    text = FILE.replace("@", line).replace("$", training)
    offset = text.index(CURSOR)
    plain = text.replace(CURSOR, "")
    earlier = Analysis(Source("a.net", FILE.replace("@", "").replace("$", "")), read_source)
    return Analysis(Source("a.net", plain), read_source, None, earlier), plain, offset


def helped(line: str, training: str = "") -> Help | None:
    analysis, text, offset = looked_at(line, training)
    return help_at(analysis, context(text, analysis.tokens, offset), SETTINGS)


@pytest.mark.parametrize(
    ("line", "active"),
    [
        ("y = pair(‸)", "a"),
        ("y = pair(x, ‸)", "b"),
        ("y = pair(x, z, ‸)", "width"),
        ("y = pair(x, z, 5, ‸)", "scale"),
        ("y = pair(x, z, 5, 2, ‸)", None),
        ("y = pair(x, z, 5, scale = ‸)", "scale"),
        ("y = pair(b = z, x, ‸)", "width"),
        ("y = x -> pair(z, ‸)", "width"),
        ("y = x -> pair(‸)", "width"),
        ("y = x -> pair(3, ‸)", "scale"),
        ("y = pair(x, z, depth, ‸)", "scale"),
        ("y = pair(x, z, classes, ‸)", "scale"),
        ("y = pair(x, z, wide = ‸)", None),
        ("y = concat(x, z, ‸)", "axis"),
    ],
)
def test_the_parameter_that_is_being_written(line: str, active: str | None) -> None:
    found = helped(line)
    assert found is not None
    if line.startswith("y = concat"):
        assert found.active is None or found.signature.parameters[found.active].name
        return
    assert (None if found.active is None else found.signature.parameters[found.active].name) == active


@pytest.mark.parametrize("line", ["y = nothing(‸)", "y = x.shape(‸)", "y = (‸)", "y = x‸"])
def test_no_help_where_nothing_is_certain(line: str) -> None:
    assert helped(line) is None


def test_help_with_the_settings_of_a_train_section() -> None:
    found = helped("", "data csv(‸)")
    assert found is not None
    assert found.signature.name == "csv"
    assert found.active == 0
    found = helped("", "augment crop(3, ‸)")
    assert found is not None
    assert found.signature.parameters[found.active or 0].name == "pad"
    assert helped("", "data nothing(‸)") is None


def test_what_is_still_to_be_given() -> None:
    analysis, text, offset = looked_at("y = pair(x, width = 5, ‸)")
    found = context(text, analysis.tokens, offset)
    assert found.call is not None
    signature = signature_of(analysis, found, found.call, SETTINGS)
    assert signature is not None
    assert [p.name for p in open_parameters(analysis, found.call, signature)] == ["b", "scale"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("depth", "constant"), ("pair", "block"), ("x", "input"), ("classes", "hyperparameter"), ("h", "")],
)
def test_what_a_name_means(name: str, kind: str) -> None:
    analysis, _, offset = looked_at("‸")
    symbol = symbol_of(analysis, name, offset)
    assert symbol is not None
    assert symbol.name == name
    assert kind in symbol.kind or kind == "constant"
    assert symbol_of(analysis, "nothing", offset) is None


# -------------------------------------------------------------------------------------------------------- signatures


def test_a_block_reads_as_it_is_declared() -> None:
    analysis, _, offset = looked_at("‸")
    symbol = symbol_of(analysis, "pair", offset)
    assert symbol is not None
    found = signatures.of_symbol(symbol)
    assert found is not None
    assert found.label == "pair(width, scale = 2): a: [n], b: [m] -> y: [width]"
    assert found.documentation == "Both at once."
    assert [(p.name, p.required, p.port) for p in found.parameters] == [
        ("a", True, True), ("b", True, True), ("width", True, False), ("scale", False, False),
    ]  # fmt: skip


@pytest.mark.parametrize("name", PRIMITIVES)
def test_each_parameter_of_a_primitive_stands_in_its_label(name: str) -> None:
    found = signatures.of_primitive(PRIMITIVES[name])
    places = found.places
    assert [found.label[start:end] for start, end in places] == [p.label for p in found.parameters]
    assert len({start for start, _ in places}) == len(places)
    assert found.label.startswith(name)
    assert len(found.ports) == len(PRIMITIVES[name].inputs)
    assert [p.required for p in found.ports].count(False) == PRIMITIVES[name].optional_inputs
    assert {p.name for p in found.hypers} == {hyper.name for hyper in PRIMITIVES[name].hypers}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializers(name: str) -> None:
    found = signatures.of_initializer(name)
    assert [p.name for p in found.parameters] == list(INITIALIZERS[name])
    assert [p.required for p in found.parameters] == [default is None for default in INITIALIZERS[name].values()]
    assert [found.label[start:end] for start, end in found.places] == [p.label for p in found.parameters]


@pytest.mark.parametrize(("word", "name"), [(word, name) for word, known in SETTINGS.items() for name in known])
def test_settings(word: str, name: str) -> None:
    found = signatures.of_setting(name, SETTINGS[word][name])
    assert found.label.startswith(f"{name}(")
    assert "call" not in [p.name for p in found.parameters], "the first parameter is not the user's"
    assert [found.label[start:end] for start, end in found.places] == [p.label for p in found.parameters]
    assert found.documentation


def test_values_as_the_language_writes_them() -> None:
    def make(
        call: object, a: object = None, b: bool = True, c: float = 1e-8, d: str = "x", e: tuple[int, ...] = (1, 2)
    ) -> None:
        """What it does."""

    assert signatures.of_setting("s", make).label == 's(a = none, b = true, c = 1e-08, d = "x", e = [1, 2])'
