"""Rename: of everything that a name may be, in all files, and never so that something changes its meaning."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lsp_client import CURSOR, Client, RefusedError

from graphdl.language import Source, check

TEXT = """let depth = 2

block cell(units, act = relu): x: [T, n], start: [units] = zeros([units]) -> y: [T, units], last: [units] {
    param W: [n, units] = uniform(-1 / sqrt(n), 1)
    inward = linear(units)
    assert units > 0, "not {units} units of {n}"
    y, last = scan step in inward(x), h = start {
        h = act(h + step)
        emit h
    }
    y = y + mean(W)
}

block unit(n): x -> y {
    y = x -> conv(n, 3, pad = 1) as stage -> relu
}

net model(width = 4) {
    input image: [3, 8, 8]
    hidden = image -> unit(n = width) -> [unit(k) for k in [width] if k > 0] -> repeat depth { unit(2) }
    for k, m in [[1, 2], [3, 4]] {
        hidden = hidden -> conv(k + m, 1)
    }
    rows = reshape(hidden, [7, 64]) -> cell(units = width)
    output logits = mean(rows)
    loss error = logits * logits
}

train {
    data digits
    minimize error
    only hidden.*, rows.*
    feed image = picture
}
"""


def rename(client: Client, name: str, text: str, place: str, new: str) -> dict[str, str]:
    plain = place.replace(CURSOR, "")
    assert text.count(plain) == 1, plain
    edit = client.at("textDocument/rename", name, text.replace(plain, place), newName=new)
    return client.applied(edit)


@pytest.mark.parametrize(
    ("place", "new", "count"),
    [
        ("let dep‸th", "times", 2),
        ("block ce‸ll", "recurrent", 2),
        ("block un‸it(n)", "brick", 4),
        ("cell(uni‸ts = width)", "size", 10),
        ("x: [T, ‸n], start", "features", 4),
        ("y: [‸T, units]", "steps", 2),
        ("param ‸W", "kernel", 2),
        ("st‸art: [units]", "first", 2),
        ("(x), ‸h = start", "state", 4),
        ("scan st‸ep", "item", 2),
        ("inw‸ard = linear", "way", 2),
        ("as sta‸ge", "layer", 1),
        ("for ‸k in [width]", "c", 3),
        ("for ‸k, m", "c", 2),
        ("input im‸age", "photo", 3),
        ("hid‸den = image", "body", 5),
        ("loss err‸or", "fault", 2),
        ("output log‸its", "score", 3),
        ("model(wid‸th", "channels", 4),
        ("net mod‸el", "network", 1),
        ("[T, units], la‸st: [units]", "end", 2),
    ],
)
def test_every_kind_of_name_and_back(client: Client, place: str, new: str, count: int) -> None:
    changed = rename(client, "all.net", TEXT, place, new)["all.net"]
    assert len(re.findall(rf"\b{new}\b", changed)) == count, changed
    assert [d for d in check(Source("all.net", changed)) if d.is_error] == []
    first = next(i for i, (a, b) in enumerate(zip(TEXT, changed, strict=False)) if a != b)
    start = max(m.start() for m in re.finditer(rf"\b{new}\b", changed) if m.start() <= first)
    old = re.search(r"\w+", TEXT[start:])
    assert old is not None
    edit = client.at("textDocument/rename", "all.net", changed[:start] + CURSOR + changed[start:], newName=old[0])
    assert client.applied(edit)["all.net"] == TEXT


def test_across_files_that_are_open_and_that_are_not(client: Client, project: Path) -> None:
    (project / "base.net").write_text("block base(n): x -> y {\n    y = x -> conv(n, 3)\n}\n")
    (project / "closed.net").write_text(
        'import "base.net"\nnet a {\n    input x: [1, 9, 9]\n    output y = x -> base(n = 2)\n}\n'
    )
    (project / "other.net").write_text("block base(): x -> y {\n    y = x\n}\n")
    text = 'import "base.net" as b\nnet c {\n    input x: [1, 9, 9]\n    output y = x -> b.base(2)\n}\n'
    changed = rename(client, "opened.net", text, "b.ba‸se", "trunk")
    assert sorted(changed) == ["base.net", "closed.net", "opened.net"]
    assert "block trunk(n)" in changed["base.net"]
    assert "-> trunk(n = 2)" in changed["closed.net"]
    assert "-> b.trunk(2)" in changed["opened.net"]
    changed = rename(client, "opened.net", text, "as ‸b\n", "parts")
    assert "as parts\n" in changed["opened.net"]
    assert "-> parts.base(2)" in changed["opened.net"]


def test_for_simple_editors_and_with_versions(client: Client, tmp_path: Path) -> None:
    text = "net n {\n    input x: [2]\n    output y = x‸\n}\n"
    edit = client.at("textDocument/rename", "versions.net", text, newName="wide")
    (change,) = edit["documentChanges"]
    assert change["textDocument"]["version"] == client.versions[client.uri("versions.net")]
    simple = Client(tmp_path, simple=True)
    edit = simple.at("textDocument/rename", "n.net", text, newName="wide")
    assert [len(edits) for edits in edit["changes"].values()] == [2]
    assert simple.close() == 0


def test_unicode_columns(client: Client) -> None:
    text = 'net n {\n    input x: [2]\n    assert true, "😀"; é = x; y = é + é # 😀é\n    output y\n}\n'
    changed = rename(client, "wide.net", text, "y = ‸é +", "größe")["wide.net"]
    assert changed == text.replace("; é =", "; größe =").replace("é + é", "größe + größe")


@pytest.mark.parametrize(
    ("place", "new", "why"),
    [
        ("hid‸den = image", "2x", "no name"),
        ("hid‸den = image", "a b", "no name"),
        ("hid‸den = image", "for", "word of the language"),
        ("hid‸den = image", "rows", "something else"),
        ("hid‸den = image", "conv", "something else"),
        ("input im‸age", "hidden", "taken|else"),
        ("block un‸it(n)", "cell", "taken|else"),
        ("block un‸it(n)", "conv", "something else"),
        ("cell(uni‸ts = width)", "act", "taken|else"),
        ("for ‸k in [width]", "unit", "something else"),
    ],
)
def test_refused(client: Client, place: str, new: str, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        rename(client, "refused.net", TEXT, place, new)


def test_refused_where_a_pattern_would_match_nothing(client: Client) -> None:
    text = TEXT.replace("only hidden.*, rows.*", "only hidden.*, rows.cell.W")
    with pytest.raises(RefusedError, match=r"no parameter of the net matches 'rows\.cell\.W'"):
        rename(client, "refused.net", text, "param ‸W", "kernel")
    assert "only body.*, rows.cell.W" in rename(client, "refused.net", text, "hid‸den = image", "body")["refused.net"]


def test_refused_of_what_is_not_the_users(client: Client) -> None:
    for place in ("-> co‸nv(n, 3", "me‸an(W)"):
        with pytest.raises(RefusedError, match=r"standard library|word of the language"):
            rename(client, "refused.net", TEXT, place, "mine")
        with pytest.raises(RefusedError, match=r"standard library|word of the language"):
            client.at("textDocument/prepareRename", "refused.net", TEXT.replace(place.replace(CURSOR, ""), place))


def test_prepared(client: Client) -> None:
    found = client.at("textDocument/prepareRename", "prepared.net", TEXT.replace("let depth", "let de‸pth"))
    assert found["placeholder"] == "depth"
    assert found["range"]["start"] == {"line": 0, "character": 4}
    assert client.at("textDocument/prepareRename", "prepared.net", "net n‸ {\n}\n")["placeholder"] == "n"
    assert client.at("textDocument/prepareRename", "prepared.net", "# wo‸rds\n") is None


FORMS = """net first() {
    input x: [4]
    code = x -> linear(4) as up
    y = code -> linear(4) as down
    loss rebuilt = mse(y, x)
    metric size = mean(abs(code)) + mean(up.W)
}

train for first {
    data iris
    rate up.* = 0.5
    start down.W = transpose(up.W)
    best min(size)
    turn one {
        only up.*, down.*
        minimize rebuilt
    }
}
"""


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        ("as u‸p", "up", "lift"),
        ("as dow‸n", "down", "lower"),
        ("metric si‸ze", "size", "extent"),
        ("net fir‸st", "first", "whole"),
        ("loss reb‸uilt", "rebuilt", "error"),
    ],
)
def test_names_in_a_train_section_follow(client: Client, place: str, old: str, new: str) -> None:
    assert rename(client, "forms.net", FORMS, place, new)["forms.net"] == re.sub(rf"\b{old}\b", new, FORMS)
