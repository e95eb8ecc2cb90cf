"""What a file asks for is bounded in time and memory, not only in steps: nothing is quadratic in what it holds."""

from __future__ import annotations

import os
import time
from pathlib import Path
from random import Random

import pytest
from expanding import faults, source

from graphdl.diagnostics import ModelError
from graphdl.graph.train import matches
from graphdl.language import check, load_source
from graphdl.rendering import render
from graphdl.source import Places, Source, Span
from graphdl.suggest import enumerated, limited_suggestions, nearest

SECONDS = 10.0
"""Of processor time, for a file of any kind."""


def body(*statements: str) -> str:
    return "net n() {\n    input x: [4]\n" + "\n".join(statements) + "\n    output y = x\n}\n"


DOUBLED = "\n".join(["l = [1, 2]", *["l = [l, l]"] * 40])
LETS = "let l0 = [1, 2]\n" + "".join(f"let l{k + 1} = [l{k}, l{k}]\n" for k in range(40))
TRAINED = LETS + "net n() {\n    input x: [4]\n    loss sum(x -> linear(2))\n}\ntrain {\n    %s\n}\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (body("m = [relu]", *["m = [m, m]"] * 22, "z = x -> m"), "writing it out takes more than 300,000 steps"),
        (body("m = [relu]", *["m = [m, m]"] * 40, "z = x -> [m]"), "writing it out takes more than 300,000 steps"),
        ("block b(k): x -> y { y = x * len(k) }\n" + body(DOUBLED, "z = x -> b(l)"), "with the lists inside it"),
        (body(DOUBLED, "z = sum(x, axis = l)"), "with the lists inside it"),
        (TRAINED % "data table(x = l40)", "with the lists inside it"),
        (TRAINED % "optimizer adam(lr = l40)", "with the lists inside it"),
        (TRAINED % "data mnist\n    augment normalize(mean = l40)", "with the lists inside it"),
        (body("l = [1]", "for k in 0..1000 { l = [l] }"), "lists are nested more than 100 deep"),
        (body("a = [1] * 50000", "l = [a + a[0:k] for k in 0..20000]"), "300,000 steps"),
        (body("l = [0..100000 for k in 0..20000]"), "300,000 steps"),
        (body("a = [1] * 100000", "l = [a[1:] for k in 0..20000]"), "300,000 steps"),
        (body('t = "a" + "b"', *["t = t + t"] * 15, 'l = [t + "b" for k in 0..100000]'), "300,000 steps"),
        (body("t = [k * 0.5 for k in 0..100000]", "for k in 0..1000 { z = tensor(t) }"), "300,000 steps"),
        (body("z = sum(reshape(x, [4] + [1] * 99999), axis = 0)"), "a tensor of 100,000 dimensions has too many"),
        (body("z = zeros([1] * 33)"), "the limit is 32"),
        (body("z = reshape(x, [2] * 20000)"), "the limit is 32"),
        (body("y = x;" * 60_000), "more than 200,000 words and signs"),
        (body("z = x * 10 ** 10 ** 10"), "the number is too large"),
        (body("z = x -> repeat 10 ** 18 { relu }"), "300,000 steps"),
    ],
)  # fmt: skip
def test_what_grows_beyond_bounds_is_refused_soon(text: str, complaint: str) -> None:
    start = time.process_time()
    found = faults(text)
    assert any(complaint in line for line in found), found
    assert time.process_time() - start < SECONDS / 2


@pytest.mark.parametrize(
    "text",
    [
        body("z = zork\n" * 3_000),
        body(*(f"z{k} = zork{k}" for k in range(3_000))),
        body("z = = 3\n" * 3_000),
        body("z = ? 3\n" * 3_000),
        body("z = (3\n" * 3_000),
        body("z = zork; " * 3_000),
        body("z = " + "{1} " * 20_000),
        "{}" * 9_000,
        body("{}" * 9_000),
        body(*(f"z{k} = x + zeros([{k + 5}])" for k in range(3_000))),
        body(*(f"z{k} = x + {k}" for k in range(3_000))),
        body(*(f"name{k} = x" for k in range(6_000)), *(f"y = nmae{k}" for k in range(1_000))),
        body(*(f"{'n' * 3000}{k} = x" for k in range(200)), f"y = {'n' * 3100}"),
        "".join(f"block b{k}(k): x, z -> y {{ y = x }}\n" for k in range(3_000)) + body(),
    ],
    ids=["one name", "names", "syntax", "signs", "brackets", "one line", "braces", "bodies", "bodies inside", "shapes",
         "warnings", "nearest", "long names", "blocks"],
)  # fmt: skip
def test_many_complaints_take_time_in_proportion(text: str) -> None:
    start = time.process_time()
    for diagnostic in check(source(text)):
        render(diagnostic)
    assert time.process_time() - start < SECONDS


def test_patterns_of_parameters_are_matched_without_trying_all_ways() -> None:
    start = time.process_time()
    assert not matches("*a" * 28 + "*b", "a" * 200)
    assert time.process_time() - start < 1
    draw = Random(3)
    for _ in range(3_000):
        path = "".join(draw.choice("ab.") for _ in range(draw.randrange(8)))
        pattern = "".join(draw.choice("ab.**") for _ in range(draw.randrange(6)))
        assert matches(pattern, path) == _matches_by_trying(pattern, path), (pattern, path)


def _matches_by_trying(pattern: str, path: str) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "*":
        return any(_matches_by_trying(pattern[1:], path[k:]) for k in range(len(path) + 1))
    return path[:1] == pattern[0] and _matches_by_trying(pattern[1:], path[1:])


def test_places_answer_as_a_look_at_each_span_would() -> None:
    draw = Random(5)
    text = Source("a.net", " " * 40)
    for _ in range(200):
        spans = [Span(text, start, start + draw.randrange(6)) for start in draw.choices(range(30), k=draw.randrange(6))]
        places = Places(spans)
        for offset in range(36):
            assert places.cover(offset) == any(s.start <= offset < s.end for s in spans)
            end = offset + draw.randrange(5)
            assert places.begin_within(offset, end) == any(offset <= s.start < end for s in spans)


def test_suggestions_end_after_some_work() -> None:
    known = [f"parameter_{k}" for k in range(3_000)]
    with limited_suggestions():
        answers = [nearest("paramter_7", known) for _ in range(50)]
    assert answers[0] == "parameter_7"
    assert answers[-1] is None
    assert nearest("paramter_7", known) == "parameter_7"


def test_long_lists_of_names_are_shortened() -> None:
    assert enumerated("abc") == "a, b, c"
    assert enumerated(map(str, range(100)), 3) == "0, 1, 2, …"


@pytest.mark.parametrize("steps", ["scan a in x, h = 0.0 {\n h = h + sum(a)\n emit h\n}\n", None])
def test_scans_count_their_steps(steps: str | None) -> None:
    text = f"net n() {{\ninput x: [1000000, 2]\ny, h = {steps}output h\n}}\n"
    if steps is None:
        opened = "".join(f"h = scan a{k} in x, h = h {{\n" for k in range(20))
        text = f"net n() {{\ninput x: [2, 2]\nh = 0.0\n{opened}h = h + sum(x)\n{'}' * 20}\noutput h\n}}\n"
    found = faults(text)
    assert any("E0504" in line and "with the steps of its scans" in line for line in found), found


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.net")
    with open(tmp_path / "large.net", "wb") as file:
        file.truncate(3_000_000_000)  # takes no place on the disk
    for path, reason in [
        ("/dev/zero", "a device or a pipe"),
        (tmp_path / "pipe.net", "a device or a pipe"),
        (tmp_path, "a folder"),
        (tmp_path / "large.net", "larger than 4 MB"),
        (tmp_path / "missing.net", "No such file"),
        ("a\0.net", "null"),
    ]:
        start = time.process_time()
        with pytest.raises(ModelError) as caught:
            load_source(path)
        assert caught.value.diagnostics[0].code == "E0208"
        assert reason in str(caught.value)
        assert time.process_time() - start < 1


def test_a_name_with_a_zero_is_no_import(tmp_path: Path) -> None:
    (tmp_path / "a.net").write_text('import "b\0.net"\n' + body(), "utf-8")
    found = check(load_source(tmp_path / "a.net"))
    assert [d.code for d in found] == ["E0208"]


@pytest.mark.parametrize("value", ["1e999", "-1e999", "nan", "inf", "9" * 30, "9" * 6000, "[1, [1e999]]"])
def test_numbers_that_cannot_be_held_are_no_settings(value: str) -> None:
    text = "let sizes = [1]\nlet size = 1\n" + body("z = x * size * len(sizes)")
    name = "sizes" if value.startswith("[") else "size"
    (found,) = [d for d in check(source(text), settings={name: value}) if d.is_error]
    assert found.code in ("E0301", "E0308")


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"\xef\xbb\xbf" + body().encode(), []),
        (body().replace("\n", "\r").encode(), []),
        (body("# said").replace("\n", "\r").encode(), []),
        (body().replace("\n", "\r\n").encode(), []),
        (body().encode("utf-16"), ["E0208"]),
        (body("# caf\xe9").encode("latin-1"), ["E0208"]),
    ],
    ids=["mark", "returns", "returns and comments", "both", "UTF-16", "Latin-1"],
)
def test_bytes_of_a_file(tmp_path: Path, data: bytes, codes: list[str]) -> None:
    (tmp_path / "a.net").write_bytes(data)
    try:
        found = [d.code for d in check(load_source(tmp_path / "a.net"))]
    except ModelError as error:
        found = [d.code for d in error.diagnostics]
    assert found == codes


def test_imports_are_limited_together(tmp_path: Path) -> None:
    for k in range(600):
        (tmp_path / f"f{k}.net").write_text(f'import "f{k + 1}.net" as g\nblock b{k}(): x -> y {{ y = x }}\n', "utf-8")
    (tmp_path / "f600.net").write_text(body(), "utf-8")
    found = check(load_source(tmp_path / "f0.net"))
    assert "E0106" in {d.code for d in found}
