"""Completion and signature help, in lines that are not finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lsp_client import Client

NET = """let depth = 3

## A convolution that keeps the size.
block same(channels, kernel = 3): x: [c, h, w] -> y: [channels, h, w] {
    y = x -> conv(channels, kernel, pad = kernel // 2)
}

net n(width = 3) {
    input image: [3, 8, 8]
    input label: class(width)
    wide = image -> same(width) as s1 -> relu
    @
    loss cross_entropy(wide -> flatten -> linear(width), label)
}
"""


def body(line: str) -> str:
    """The net with a line in its body."""
    return NET.replace("@", line)


def training(line: str) -> str:
    """The net with a train section that holds a line."""
    return body("") + f"\ntrain {{\n    {line}\n}}\n"


def complete(client: Client, line: str) -> dict[str, dict[str, Any]]:
    client.open("writing.net", body(""))
    return client.completion("writing.net", body(line))


def first(items: dict[str, dict[str, Any]], count: int) -> list[str]:
    return [item["label"] for item in sorted(items.values(), key=lambda item: item["sortText"])][:count]


def test_names_in_scope_with_their_shapes(client: Client) -> None:
    items = complete(client, "z = ‸")
    assert items["wide"]["detail"] == "[3, 8, 8]"
    assert items["width"]["detail"] == "3"
    assert {"image", "label", "s1", "depth", "same", "conv", "maximum"} <= items.keys()
    assert "channels" not in items, "it belongs to another block"
    assert "z" not in items


def test_a_name_is_there_from_where_it_is_defined_on(client: Client) -> None:
    text = body("").replace("wide = image", "‸\n    wide = image")
    items = client.completion("writing.net", text)
    assert "image" in items
    assert "wide" not in items


def test_layers_bring_their_arguments(client: Client) -> None:
    items = complete(client, "z = image -> ‸")
    assert items["conv"]["insertText"] == "conv(${1:channels}, ${2:kernel})"
    assert items["conv"]["insertTextFormat"] == 2
    assert items["relu"]["insertText"] == "relu"
    assert items["same"]["insertText"] == "same(${1:channels})"
    assert "keeps the size" in items["same"]["documentation"]["value"]
    assert "image" not in items, "a tensor is no module"
    items = complete(client, "z = ‸")
    assert items["softmax"]["insertText"] == "softmax(${1:x})"
    assert items["cross_entropy"]["insertText"] == "cross_entropy(${1:logits}, ${2:label})"


def test_without_snippets_plain_names(tmp_path: Path) -> None:
    client = Client(tmp_path, simple=True)
    items = client.completion("plain.net", body("z = image -> ‸"))
    assert items["conv"]["insertText"] == "conv"
    assert all(item.get("insertTextFormat", 1) == 1 for item in items.values())
    assert client.close() == 0


@pytest.mark.parametrize(
    ("line", "there", "gone"),
    [
        ("z = image -> conv(‸", ["channels =", "kernel =", "stride =", "bias ="], []),
        ("z = image -> conv(4, 3, ‸", ["stride =", "pad ="], ["channels =", "kernel ="]),
        ("z = image -> conv(4, kernel = 3, ‸", ["stride ="], ["channels =", "kernel ="]),
        ("z = image -> same(‸) -> relu", ["channels =", "kernel ="], ["stride ="]),
        ("z = conv(image, 4, ‸", ["kernel ="], ["channels ="]),
        ("z = [conv(8, ‸ for w in [1]]", ["kernel ="], []),
    ],
)
def test_hyperparameters_inside_a_call(client: Client, line: str, there: list[str], gone: list[str]) -> None:
    items = complete(client, line)
    assert set(there) <= items.keys()
    assert not set(gone) & items.keys()
    assert items[there[0]]["insertText"] == f"{there[0]} $0"


def test_attributes_after_a_dot(client: Client) -> None:
    items = complete(client, "z = wide.‸")
    assert {name: item.get("detail") for name, item in items.items()} == {
        "shape": "[3, 8, 8]", "rank": "3", "channels": "3", "height": "8", "width": "8",
    }  # fmt: skip
    assert complete(client, "z = label.sh‸").keys() == {"shape", "rank"}
    assert complete(client, "z = 0..‸").keys() >= {"width"}
    assert complete(client, "z = 1.‸") == {}


def test_members_of_an_import(client: Client, project: Path) -> None:
    (project / "kit.net").write_text("## Doubles.\nblock twice(): x -> y {\n    y = x + x\n}\n")
    text = 'import "kit.net" as kit\n' + body("z = image -> kit.‸")
    items = client.completion("kit_user.net", text)
    assert items.keys() == {"twice"}
    assert items["twice"]["insertText"] == "twice"


def test_files_after_import(client: Client, project: Path) -> None:
    (project / "folder").mkdir(exist_ok=True)
    (project / "folder/inner.net").touch()
    (project / "outer.net").touch()
    items = client.completion("importing.net", 'import "‸"\n')
    assert {"outer.net", "folder/", "convolution.net"} <= items.keys()
    items = client.completion("importing.net", 'import "folder/in‸\n')
    assert items.keys() == {"inner.net"}
    assert items["inner.net"]["textEdit"]["range"]["start"]["character"] == len('import "folder/')


def test_words_where_statements_and_declarations_begin(client: Client) -> None:
    assert {"input", "loss", "param", "for", "if", "wide"} <= complete(client, "‸").keys()
    assert "input" not in complete(client, "z = in‸")
    assert client.completion("top.net", "‸").keys() == {"import", "let", "block", "net", "train"}
    block = client.completion("top.net", "block b(): x -> y {\n    ‸\n}\n")
    assert "param" in block
    assert "input" not in block
    assert complete(client, "param W: ‸").keys() == {"[…]", "int", "bool", "class"}
    initializers = complete(client, "param W: [3] = ‸")
    assert first(initializers, 12).count("he_normal") == 1
    assert initializers["he_normal"]["insertText"] == "he_normal($1)"


@pytest.mark.parametrize("line", ["# a com‸", 'assert true, "co‸"', "x = image as ‸", 'assert true, "co‸'])
def test_nothing_where_nothing_fits(client: Client, line: str) -> None:
    assert complete(client, line) == {}


@pytest.mark.parametrize(
    ("line", "there"),
    [
        ("‸", ["data", "optimizer", "minimize", "only", "batch"]),
        ("optimizer ‸", ["sgd", "adam", "adamw"]),
        ("optimizer sgd(lr = 0.1)\n    sched‸", ["schedule"]),
        ("optimizer sgd(lr = 0.1, ‸", ["momentum =", "depth", "width"]),
        ("schedule ‸", ["cosine", "step"]),
        ("data ‸", ["mnist", "csv"]),
        ("augment crop(32), ‸", ["flip", "normalize"]),
        ("minimize ‸", ["cross_entropy"]),
        ("feed ‸", ["image", "label"]),
        ("only ‸", ["s1.*", "s1.y.conv.W", "s1.y.conv.*"]),
        ("only s1.c‸", ["s1.y.conv.*", "s1.y.conv.W"]),
    ],
)
def test_train_sections(client: Client, line: str, there: list[str]) -> None:
    client.open("trained.net", body(""))
    items = client.completion("trained.net", training(line))
    assert set(there) <= items.keys(), sorted(items)


def test_a_pattern_replaces_the_whole_path(client: Client) -> None:
    text = training("only s1.y.co‸")
    items = client.completion("trained.net", text)
    assert items["s1.y.conv.W"]["textEdit"]["newText"] == "s1.y.conv.W"
    assert items["s1.y.conv.W"]["textEdit"]["range"]["start"]["character"] == len("    only ")


@pytest.mark.parametrize(
    ("line", "label", "active"),
    [
        ("z = image -> conv(‸)", "conv(channels, kernel, stride = 1", "channels"),
        ("z = image -> conv(4, ‸", "conv(", "kernel"),
        ("z = image -> conv(4, 3, pad = ‸1)", "conv(", "pad = 0"),
        ("z = image -> relu -> same(‸", "same(channels, kernel = 3): x: [c, h, w] -> y", "channels"),
        ("z = conv(image, ‸", "conv(", "channels"),
        ("z = softmax(‸", "softmax(axis = -1): x -> y", "x"),
        ("z = softmax(wide, ‸)", "softmax(", "axis = -1"),
        ("z = cross_entropy(wide, ‸", "cross_entropy(", "label"),
        ("z = maximum(wide, ‸)", "maximum(", "b"),
        ("z = relu(softmax(‸", "softmax(", "x"),
        ("z = [conv(8, ‸ for w in [1]]", "conv(", "kernel"),
        ("param W: [2] = uniform(-1, ‸", "uniform(low = 0, high = 1)", "high = 1"),
        ("z = same(image.channels, ‸", "same(", "kernel = 3"),
    ],
)
def test_signatures(client: Client, line: str, label: str, active: str) -> None:
    client.open("signed.net", body(""))
    found = client.at("textDocument/signatureHelp", "signed.net", body(line))
    (signature,) = found["signatures"]
    assert signature["label"].startswith(label)
    start, end = signature["parameters"][found["activeParameter"]]["label"]
    assert signature["label"][start:end].partition(":")[0] == active


def test_signatures_of_settings(client: Client) -> None:
    found = client.at("textDocument/signatureHelp", "signed.net", training("optimizer sgd(0.1, ‸"))
    assert found["signatures"][0]["label"].startswith("sgd(lr = 0.01, momentum = 0")
    assert found["activeParameter"] == 1


@pytest.mark.parametrize("line", ["z = (‸", "z = image -> unknown(‸", "z = wide ‸", "z = conv(4, 3)‸"])
def test_no_signature(client: Client, line: str) -> None:
    assert client.at("textDocument/signatureHelp", "signed.net", body(line)) is None
