"""Divisions that keep examples together: in groups of equal ones, and in contiguous blocks."""

import numpy as np
import pytest

from graphdl.data.sets import load


@pytest.fixture
def read(call, tmp_path):
    """Loads a set whose paths lie in the test's own folder."""
    return lambda name, *arguments, **keywords: load(call(name, *arguments, **keywords), root=tmp_path, splits=())


def values(dataset, field):
    return {name: split.fields[field].take(np.arange(len(split))) for name, split in dataset.splits.items()}


@pytest.fixture
def archive(tmp_path):
    """Arrays of 60 examples: ``x`` occurs three times each, ``n`` counts them."""
    np.savez(
        tmp_path / "a.npz", x=np.arange(60).reshape(60, 1) // 3 % 20 * 0.5, n=np.arange(60), label=np.arange(60) % 2
    )


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize("group", ["x", ["x"], ["x", "label"]])
def test_equal_examples_are_on_one_side(read, group):
    dataset = read("npz", "a.npz", test=0.2, validation=0.25, group=group)
    found = values(dataset, "x")
    kinds = {name: {tuple(row) for row in part.tolist()} for name, part in found.items()}
    assert {name: len(part) for name, part in found.items()} == {"train": 36, "test": 12, "validation": 12}
    if group != ["x", "label"]:
        assert sum(map(len, kinds.values())) == 20  # none is on two sides
    np.testing.assert_array_equal(values(read("npz", "a.npz", test=0.2, validation=0.25, group=group), "n")["test"],
                                  values(dataset, "n")["test"])  # fmt: skip


@pytest.mark.usefixtures("archive")
def test_contiguous_blocks(read):
    dataset = read("npz", "a.npz", test=0.3, blocks=10)
    test = values(dataset, "n")["test"]
    assert len(test) == 18
    assert sorted(set(test // 6)) == sorted(test[::6] // 6)  # three whole blocks of six
    assert len(values(read("npz", "a.npz", test=0.5, blocks=2), "n")["test"]) == 30


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize(
    ("name", "arguments", "keywords", "code", "message"),
    [
        ("npz", ["a.npz"], {"group": "y"}, "E0703", "'group' names 'y', which the examples of 'npz' do not have"),
        ("npz", ["a.npz"], {"group": 3}, "E0703", "'group' must be a text or a list of texts, found 3"),
        ("npz", ["a.npz"], {"blocks": 1}, "E0703", "'blocks' must be an int of at least 2, found 1"),
        ("npz", ["a.npz"], {"blocks": 9, "group": "x"}, "E0703", "by 'group' or by 'blocks', not by both"),
        ("npz", ["a.npz"], {"blocks": 2}, "E0712", "form 2 blocks: they cannot be divided into 'train' and 'test'"),
        ("table", [], {"x": [1, 2], "group": "x"}, "E0703", "'group' of 'table' has no effect: its splits are given"),
    ],
)  # fmt: skip
def test_faults(read, complaint, name, arguments, keywords, code, message):
    assert message in complaint(code, read, name, *arguments, **keywords).message


def test_a_group_of_all_examples_cannot_be_divided(read, tmp_path, complaint):
    np.savez(tmp_path / "a.npz", x=np.ones((9, 1)))
    found = complaint("E0712", read, "npz", "a.npz", test=0.5, group="x")
    assert "the 9 examples of 'npz' form 1 groups by 'x'" in found.message


def test_groups_keep_the_fractions_of_the_classes(read, tmp_path):
    lines = [f"{number // 2},{'ab'[number % 40 < 10]}" for number in range(200)]
    (tmp_path / "f.csv").write_text("n,c\n" + "\n".join(lines))
    dataset = read("csv", "f.csv", label="c", test=0.2, group="x")
    test = values(dataset, "label")["test"]
    assert np.bincount(test).tolist() == [30, 10]
    kinds = {name: set(part[:, 0].tolist()) for name, part in values(dataset, "x").items()}
    assert not kinds["train"] & kinds["test"]
