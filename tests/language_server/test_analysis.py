"""One look at a file, without a server: what expressions were worth, what came of them, and what broken text keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from graphdl.diagnostics import Diagnostic
from graphdl.graph.model import ModuleGraph
from graphdl.language.expansion.files import read_source
from graphdl.language.parser import parse
from graphdl.language_server import analysis as module
from graphdl.language_server.analysis import Analysis
from graphdl.language_server.cost import flops
from graphdl.language_server.outline import Entry, outline
from graphdl.language_server.problems import problems
from graphdl.language_server.rename import RefusedError, check_name
from graphdl.language_server.text import Positions
from graphdl.source import Source, Span
from graphdl.summary import summarize

FILE = """let depth = 2

## Keeps the size.
block same(width): x: [n] -> y: [width] {
    param scale: [n] = ones()
    y = (x * scale) -> linear(width) as inner
}

net n(classes = 3) {
    input x: [6]
    input label: class(classes)
    h = x -> same(4) as first
    for k in 0..depth {
        h = h -> same(4 + k)
    }
    total, last = scan v in x, s = 0.0 { s = s + v; emit s * 2 }
    logits = concat(h, total) -> linear(classes)
    output best = argmax(logits)
    loss cross_entropy(logits, label)
}

train warm {
    optimizer sgd(lr = 0.1)
    epochs 3
}
"""


def looked_at(text: str = FILE, **more: Any) -> Analysis:
    return Analysis(Source("a.net", text), read_source, **more)


def span(analysis: Analysis, piece: str, nth: int = 0) -> Span:
    """The place of a piece of the text."""
    at = -1
    for _ in range(nth + 1):
        at = analysis.source.text.index(piece, at + 1)
    return Span(analysis.source, at, at + len(piece))


def worth(analysis: Analysis, piece: str, nth: int = 0) -> list[str]:
    return [str(getattr(value, "type", value)) for value in analysis.values(span(analysis, piece, nth))]


def test_expressions_keep_what_they_were_worth() -> None:
    found = looked_at()
    assert worth(found, "0..depth") == ["[0, 1]"]
    assert worth(found, "4 + k") == ["4", "5"]
    assert worth(found, "x * scale") == ["[6]", "[4]", "[5]"][: len(worth(found, "x * scale"))]
    assert len(worth(found, "x * scale")) >= 2
    assert worth(found, "concat(h, total)") == ["[11]"]
    assert worth(found, "s * 2") == ["[]"]
    assert found.values(Span(found.source, 0, 3)) == []


def test_only_so_many_values_of_one_place_are_kept() -> None:
    found = looked_at("net n() {\n    input x: [2]\n    for k in 0..50 {\n        y = k * 2\n    }\n    output x\n}\n")
    assert worth(found, "k * 2") == [str(2 * k) for k in range(8)]


def test_modules_and_nodes_are_known_by_the_text_that_made_them() -> None:
    found = looked_at()
    ((graph, first),) = found.modules_at(span(found, "x -> same(4) as first")) or found.modules_at(
        span(found, "same(4) as first")
    )
    assert (graph.name, first.path, first.kind) == ("n", "first", "same")
    (argmax,) = (node for node in found.nodes_at(span(found, "argmax(logits)")) if node.operator == "argmax")
    assert argmax.outputs[0].type.element == "int"
    assert any(node.operator == "multiply" for node in found.nodes_at(span(found, "s * 2"))), "within a scan, too"


def test_what_is_known_of_a_good_text_helps_with_a_broken_one() -> None:
    good = looked_at()
    broken = looked_at(FILE.replace("output best", "output = = best"), earlier=good)
    assert broken.is_broken
    assert broken.earlier is good
    assert worth(broken, "0..depth") == ["[0, 1]"]
    assert worth(broken, "concat(h, total)") == ["[11]"]
    assert broken.last_graph is not None
    better = looked_at(FILE.replace("4 + k", "4 + 2 * k"), earlier=good)
    assert not better.is_broken
    assert better.earlier is None


def test_the_last_net_is_the_model() -> None:
    found = looked_at("net a() {\n    input x: [2]\n    output x\n}\nnet b() {\n    input x: [3]\n    output x\n}\n")
    assert list(found.graphs) == ["a", "b"]
    assert found.last_graph is found.graphs["b"]
    assert looked_at("let a = 1\n").last_graph is None


def test_an_expansion_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    long = (
        "net n() {\n    input x: [2]\n    y = x\n    for k in 0..300 {\n        y = y + k * 2\n    }\n    output y\n}\n"
    )
    found = looked_at(long)
    assert found.abandoned
    assert not found.is_broken
    (note,) = (each for each in shown(found) if each.severity == types.DiagnosticSeverity.Information)
    assert "takes more than" in note.message
    found.finish()
    assert found.abandoned


def test_finishing_adds_what_only_training_shows() -> None:
    text = FILE.replace("    loss cross", '    if training {\n        assert classes > 5, "few"\n    }\n    loss cross')
    asked: list[ModuleGraph] = []

    def complain(graph: ModuleGraph) -> list[Diagnostic]:
        asked.append(graph)
        return [Diagnostic("W0601", "slow", graph.stages[0].span)]

    found = looked_at(text)
    assert not found.is_broken
    found.finish()
    assert found.is_broken
    good = looked_at(complain=complain)
    assert asked == []
    good.finish()
    good.finish()
    assert len(asked) == 1, "a second time there is nothing to do"
    assert [d.message for d in good.diagnostics] == ["slow"]
    assert good.model is not None


# ----------------------------------------------------------------------------------------------------------- problems


def shown(analysis: Analysis) -> list[types.Diagnostic]:
    def place(where: Span) -> types.Location:
        return types.Location(where.source.name, Positions(where.source.text).of(where))

    return list(problems(analysis, place))


def test_a_problem_has_its_code_place_and_help() -> None:
    (found,) = shown(looked_at("net n() {\n    input x: [2]\n    output y = tahn(x)\n}\n"))
    assert (found.code, found.severity, found.source) == ("E0201", types.DiagnosticSeverity.Error, "graphdl")
    assert found.range.start == types.Position(2, 15)
    assert found.message.endswith("help: did you mean 'tanh'?")
    assert found.tags is None


def test_text_without_effect_is_faded() -> None:
    found = shown(looked_at("net n() {\n    input x: [2]\n    unused = x * 2\n    output x\n}\n"))
    assert [each.severity for each in found] == [types.DiagnosticSeverity.Warning]
    assert found[0].tags == [types.DiagnosticTag.Unnecessary]


def test_a_fault_of_an_imported_file_stands_at_the_import(tmp_path: Path) -> None:
    (tmp_path / "blocks.net").write_text("block b(): x -> y {\n    y = tahn(x)\n}\n")
    main = tmp_path / "main.net"
    main.write_text('import "blocks.net"\nnet n() {\n    input x: [2]\n    output y = b(x)\n}\n')
    found = shown(Analysis(read_source(str(main)), read_source))
    (error,) = (each for each in found if each.severity == types.DiagnosticSeverity.Error)
    assert error.range.start == types.Position(0, 7)
    assert error.message.startswith("in ")
    assert "blocks.net:2:9: 'tahn' is not defined" in error.message
    assert error.related_information is not None
    assert error.related_information[0].location.uri.endswith("blocks.net")


# ------------------------------------------------------------------------------------------------------ outline, cost


def entries(text: str) -> Iterator[Entry]:
    tree, diagnostics = parse(Source("a.net", text))
    assert not diagnostics
    return outline(tree)


def test_the_outline_is_a_tree_of_names() -> None:
    found = {entry.name: entry for entry in entries(FILE)}
    assert list(found) == ["depth", "same", "n", "warm"]
    assert [child.name for child in found["same"].children] == ["x", "scale", "y", "inner"]
    inner = [child.name for child in found["n"].children]
    assert inner[:4] == ["x", "label", "h", "first"]
    assert inner.count("h") == 1, "a name that is assigned again is listed once"
    assert "best" in inner
    assert [(s.name, s.detail) for s in found["warm"].children] == [("optimizer", "sgd(lr = 0.1)"), ("epochs", "3")]
    for entry in found.values():
        assert entry.span.start <= entry.name_span.start <= entry.name_span.end <= entry.span.end


@pytest.mark.parametrize(
    "body",
    [
        "output y = x -> linear(7) -> relu",
        "y = x -> conv(4, 3, pad = 1) -> maxpool(2)\n    output y",
        "output y = softmax(x)",
    ],
)
def test_the_nodes_cost_what_the_table_says(body: str) -> None:
    shape = "[2, 8, 8]" if "conv" in body else "[5]"
    found = looked_at(f"net n() {{\n    input x: {shape}\n    {body}\n}}\n")
    graph = found.last_graph
    assert graph is not None
    assert sum(flops(node) for node in graph.nodes) == summarize(graph).flops > 0


def test_a_scan_costs_its_body_at_every_step() -> None:
    text = (
        "net n() {\n    input x: [LENGTH, 4]\n"
        "    y, h = scan v in x, h = zeros([4]) { h = tanh(h + v); emit h }\n    output y\n}\n"
    )
    costs = []
    for length in (40, 80):
        graph = looked_at(text.replace("LENGTH", str(length))).last_graph
        assert graph is not None
        costs.append(sum(flops(node) for node in graph.nodes if node.operator == "scan"))
    assert costs[1] == 2 * costs[0] > 0


@pytest.mark.parametrize("name", ["2a", "a b", "", "for", "if", "_", "a-b", "true"])
def test_what_is_no_new_name(name: str) -> None:
    with pytest.raises(RefusedError, match=r"is no name|is a word of the language"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "_a", "größe", "x2"])
def test_what_is_a_new_name(name: str) -> None:
    check_name(name)
