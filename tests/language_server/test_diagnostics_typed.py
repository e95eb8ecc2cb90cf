"""Diagnostics as they are sent while somebody types."""

from __future__ import annotations

import time
from pathlib import Path

from lsp_client import CURSOR, ROOT, Client, covered

NET = """net small(classes = 10) {
    input image: [1, 28, 28]
    input label: class(classes)
    features = image -> conv(8, 5) as c1 -> relu -> flatten
    logits = features -> linear(classes)
    output probability = softmax(logits)
    loss cross_entropy(logits, label)
}
"""


def test_a_good_file_has_none_and_an_edit_brings_them(client: Client) -> None:
    assert client.diagnostics("typed.net", NET) == []
    text = NET.replace("softmax(logits)", "sofmax(logits)")
    (found,) = client.diagnostics("typed.net", text)
    assert found["code"] == "E0201"
    assert found["severity"] == 1
    assert found["source"] == "graphdl"
    assert covered(text, found["range"]) == "sofmax"
    assert "softmax" in found["message"]
    assert client.diagnostics("typed.net", NET) == []


def test_labels_are_related_places(client: Client) -> None:
    text = NET.replace("    logits =", "    other = features + zeros([7])\n    logits =")
    found = next(d for d in client.diagnostics("labels.net", text) if d["severity"] == 1)
    assert covered(text, found["range"]) in ("features + zeros([7])", "features", "zeros([7])")
    places = [covered(text, r["location"]["range"]) for r in found["relatedInformation"]]
    assert any("flatten" in place or "zeros" in place for place in places)
    assert all(r["message"] for r in found["relatedInformation"])


def test_warnings_are_warnings_and_unused_names_fade(client: Client) -> None:
    text = NET.replace("    logits =", "    idle = relu(features)\n    logits =")
    found = next(d for d in client.diagnostics("warned.net", text) if d["code"] == "W0201")
    assert found["severity"] == 2
    assert found["tags"] == [1]
    assert covered(text, found["range"]) == "idle"


def test_the_optimizer_is_checked_too(client: Client) -> None:
    text = NET + "\ntrain {\n    data mnist\n    optimizer sdg(lr = 0.1)\n}\n"
    (found,) = client.diagnostics("trained.net", text)
    assert found["code"] == "E0611"
    assert covered(text, found["range"]) == "sdg(lr = 0.1)"


def test_a_fault_that_only_training_has_is_found(client: Client) -> None:
    text = NET.replace("    logits =", "    if training { features = features + zeros([7]) }\n    logits =")
    found = client.diagnostics("training.net", text)
    assert [covered(text, d["range"]) for d in found if d["severity"] == 1], found


def test_columns_count_utf16_units(client: Client) -> None:
    comment = "# 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 é 数\n"
    text = comment + NET.replace("input image", 'assert true, "😀😀 {classes}"; input image').replace(
        "softmax", "sofmax"
    )
    (found,) = client.diagnostics("wide.net", text)
    assert covered(text, found["range"]) == "sofmax"
    text = comment + NET.replace("input image: [1, 28, 28]", 'assert true, "😀😀"; input image: [1, oh, 28]')
    found = next(d for d in client.diagnostics("wide.net", text) if d["code"] == "E0201")
    line = text.splitlines()[found["range"]["start"]["line"]]
    assert found["range"]["start"]["character"] == line.index("oh") + 2, "each 😀 is two units"


def test_other_encodings_are_agreed_on(tmp_path: Path) -> None:
    client = Client(tmp_path, encodings=["utf-8", "utf-16"])
    assert client.capabilities["positionEncoding"] == "utf-8"
    text = 'net n {\n    input x: [2]\n    assert true, "é😀"; y = x + oh\n    output y\n}\n'
    found = next(d for d in client.diagnostics("n.net", text) if d["code"] == "E0201")
    line = text.splitlines()[2]
    assert found["range"]["start"]["character"] == len(line[: line.index("oh")].encode())
    assert client.close() == 0


def test_lines_of_windows(client: Client) -> None:
    text = NET.replace("softmax", "sofmax").replace("\n", "\r\n")
    (found,) = client.diagnostics("ends.net", text)
    assert found["range"]["start"] == {"line": 5, "character": 25}


def test_a_fault_of_an_imported_file_stands_at_the_import(client: Client, project: Path) -> None:
    (project / "parts.net").write_text("block twice(): x -> y {\n    y = x + oh\n}\n", encoding="utf-8")
    text = 'import "parts.net"\nnet n {\n    input x: [2]\n    output y = twice(x)\n}\n'
    found = client.diagnostics("whole.net", text)
    assert [covered(text, d["range"]) for d in found] == ['"parts.net"'], found
    assert "'oh' is not defined" in found[0]["message"]
    assert found[0]["relatedInformation"][0]["location"]["uri"] == client.uri("parts.net")


def test_an_import_that_is_open_counts_as_it_is_in_the_editor(client: Client, project: Path) -> None:
    (project / "shared.net").write_text("block twice(): x -> y {\n    y = x + x\n}\n", encoding="utf-8")
    text = 'import "shared.net"\nnet n {\n    input x: [2]\n    output y = double(x)\n}\n'
    assert [d["code"] for d in client.diagnostics("user.net", text) if d["severity"] == 1] == ["E0201"]
    client.open("shared.net", "block double(): x -> y {\n    y = x + x\n}\n")
    while client.published("user.net"):  # the file that imports it is checked again
        pass


def test_a_file_that_changes_on_the_disk(client: Client, project: Path) -> None:
    path = project / "disk.net"
    path.write_text("block one(): x -> y {\n    y = x\n}\n", encoding="utf-8")
    text = 'import "disk.net"\nnet n {\n    input x: [2]\n    output y = two(x)\n}\n'
    assert any(d["code"] == "E0201" for d in client.diagnostics("watching.net", text))
    path.write_text("block two(): x -> y {\n    y = x\n}\n", encoding="utf-8")
    client.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": path.as_uri(), "type": 2}]})
    while client.published("watching.net"):
        pass


def test_closing_takes_them_away(client: Client) -> None:
    assert client.diagnostics("closed.net", "net {")
    uri = client.uri("closed.net")
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    while client.published("closed.net"):
        pass


def test_an_endless_file_is_given_up(client: Client) -> None:
    text = (
        "block deep(n): x -> y {\n    y = x -> repeat 40 { mixed(n) }\n}\n"
        "block mixed(n): x -> y {\n    y = x -> repeat 40 { conv(n, 1) -> batchnorm -> relu }\n}\n"
        "net n {\n    input x: [3, 8, 8]\n    output y = x -> repeat 200 { deep(3) }\n}\n"
    )
    started = time.perf_counter()
    found = client.diagnostics("endless.net", text)
    assert found, "it says that not all is shown, or that the file is too large"
    assert time.perf_counter() - started < 15


def test_a_large_net_answers_at_once(client: Client) -> None:
    text = (ROOT / "models/vision/resnet152.net").read_text(encoding="utf-8")
    for name in ("resnet.net", "blocks.net"):
        path = ROOT / "models/vision" / name
        if path.exists():
            (client.folder / name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    assert not [d for d in client.diagnostics("large.net", text) if d["severity"] == 1]

    def hover(number: int) -> float:
        edited = text.replace("classes = 1000", f"class{CURSOR}es = {1000 + number}", 1)
        started = time.perf_counter()
        assert f"classes = {1000 + number}" in (client.hover("large.net", edited) or "")
        seconds = time.perf_counter() - started
        client.published("large.net")
        return seconds

    def complain(number: int) -> float:
        edited = text.replace("softmax(", "sofmax(") + "\n" * number
        started = time.perf_counter()
        assert client.diagnostics("large.net", edited)[0]["code"] == "E0201"
        return time.perf_counter() - started

    # Other tests run at the same time: the first short time counts.
    assert any(hover(number) < 0.5 for number in range(15))
    assert any(complain(number) < 0.5 for number in range(15)), "an error is shown at once"
