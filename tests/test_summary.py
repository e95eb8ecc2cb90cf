"""The table of a model: what each row counts, how deep it goes, and how numbers read."""

from __future__ import annotations

import pytest

from graphdl.language import Source, expand
from graphdl.summary import Row, Summary, quantity, size, summarize, table

TEXT = """
## What it is for.
net small() {
    input x: [6]
    input label: class(3)
    h = x -> pair(5) as first
    h = h -> batchnorm -> linear(4, bias = false) as middle
    logits = h -> pair(3) as last
    loss cross_entropy(logits, label)
}
block pair(width): x: [n] -> y: [width] {
    y = x -> linear(width) as inner -> relu
}
"""


def summary(text: str = TEXT, training: bool = False) -> Summary:
    return summarize(expand(Source("small.net", text), training=training))


def rows() -> dict[str, Row]:
    return {row.path: row for row in summary().rows}


def test_a_row_for_each_module_that_the_text_applies() -> None:
    """What a library's block consists of is left out."""
    assert [(row.path, row.name, row.kind, row.depth) for row in summary().rows] == [
        ("first", "first", "pair", 0), ("first.inner", "inner", "linear", 1), ("first.y.relu", "y.relu", "relu", 1),
        ("h.batchnorm", "h.batchnorm", "batchnorm", 0), ("middle", "middle", "linear", 0),
        ("last", "last", "pair", 0), ("last.inner", "inner", "linear", 1), ("last.y.relu", "y.relu", "relu", 1),
        ("cross_entropy", "cross_entropy", "cross_entropy", 0),
    ]  # fmt: skip
    assert rows()["first"].shapes == ("[5]",)
    assert summary().inputs == {"x": "[6]", "label": "class(3)"}


def test_parameters_are_counted_once_and_summed_up() -> None:
    found = rows()
    assert found["first.inner"].parameters == found["first"].parameters == 6 * 5 + 5
    assert found["middle"].parameters == 5 * 4
    assert found["last"].parameters == 4 * 3 + 3
    whole = summary()
    assert whole.parameters == sum(row.parameters for row in whole.rows if row.depth == 0)
    assert whole.states == 10, "batchnorm's mean and variance"


def test_work_is_counted_for_one_example() -> None:
    found = rows()
    assert found["middle"].flops == 2 * 5 * 4
    assert found["first.inner"].flops == 2 * 6 * 5 + 5
    assert summary().flops == sum(row.flops for row in found.values() if row.depth == 0)
    assert found["first"].flops == found["first.inner"].flops + found["first.y.relu"].flops


def test_memory_is_that_of_what_modules_make() -> None:
    found = rows()
    assert found["middle"].activation_bytes == 4 * 4
    assert found["first"].activation_bytes == 5 * 4 + 5 * 4, "what the two modules in it make"


def test_a_table_has_a_head_rows_and_a_foot() -> None:
    lines = table(summary()).splitlines()
    assert lines[0] == "small(x: [6], label: class(3))"
    head = next(line for line in lines if line.startswith("module"))
    assert head.split() == ["module", "kind", "output", "parameters", "FLOPs", "activations"]
    foot = next(line for line in lines if line.startswith("total"))
    assert f" {summary().parameters} " in foot
    inner = next(line for line in lines if line.startswith("  inner"))
    assert inner.split()[:4] == ["inner", "linear", "[5]", "35"]
    assert lines[-1] == "10 numbers of running state are kept beside the parameters"
    assert len({len(line) for line in lines if set(line) == {"─"}}) == 1


def test_a_net_without_running_state_says_nothing_of_it() -> None:
    lines = table(summary(TEXT.replace("batchnorm -> ", ""))).splitlines()
    assert lines[-1].startswith("total")


def test_columns_are_lined_up() -> None:
    found = table(summary()).splitlines()
    head = next(line for line in found if line.startswith("module"))
    begins, ends = head.index("kind"), head.index("parameters") + len("parameters")
    for row, line in zip(summary().rows, found[5:-3], strict=False):
        assert line.startswith("  " * row.depth + row.name + " ")
        assert line[begins:].startswith(row.kind)
        assert line[:ends].endswith(str(row.parameters) if row.parameters else " ")
        assert len(line) == len(head)


def test_a_table_goes_as_deep_as_it_is_asked_to() -> None:
    assert "inner" not in table(summary(), depth=1)
    assert "inner" in table(summary(), depth=2)
    assert table(summary(), depth=0).count("linear") == 0


def test_long_names_are_cut_to_the_width() -> None:
    text = TEXT.replace("as first", "as " + "f" * 80)
    assert "f" * 80 in table(summary(text), width=200)
    narrow = table(summary(text), width=70)
    assert "f" * 80 not in narrow
    assert "…" in narrow
    assert max(len(line) for line in narrow.splitlines() if not line.startswith("10 ")) <= 70


def test_documentation_stands_under_the_name() -> None:
    assert summary().documentation == "What it is for."
    assert table(summary()).splitlines()[1] == "What it is for."
    plain = summary(TEXT.replace("## What it is for.\n", ""))
    assert plain.documentation is None
    assert set(table(plain).splitlines()[1]) == {"─"}


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (4_089_000_000, "4.09 G"), (2.5e12, "2.50 T"), (1_234_567, "1.23 M")],
)
def test_large_numbers_have_prefixes(number: float, text: str) -> None:
    assert quantity(number) == text


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (100_352, "98.0 KiB"),
        (1 << 20, "1.0 MiB"),
        (3 << 30, "3.0 GiB"),
    ],
)
def test_bytes_have_prefixes(nbytes: int, text: str) -> None:
    assert size(nbytes) == text
