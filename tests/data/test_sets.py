"""``load``: names, arguments, the sets that need no file, and where files are looked for."""

from pathlib import Path

import numpy as np
import pytest

from graphdl.data.dataset import ArrayField
from graphdl.data.request import default_root
from graphdl.data.sets import load
from graphdl.graph.types import TensorType


def rows(split):
    return {name: field.take(np.arange(len(split))) for name, field in split.fields.items()}


def test_unknown_set_names_the_nearest(complaint, call):
    found = complaint("E0701", load, call("mnsit"))
    assert found.help == "did you mean 'mnist'?"
    assert found.span.text == "mnsit()"


def test_arguments_are_checked_and_gathered(complaints, call):
    found = complaints(load, call("csv", "a.csv", labl="kind", header=1, test=[1]))
    assert [d.code for d in found] == ["E0702", "E0703", "E0703"]
    assert found[0].span.text == "labl = kind"
    assert found[0].help == "did you mean 'label'?"
    assert found[1].message == "'header' of 'csv' must be true or false, found 1"
    assert found[2].message == "'test' of 'csv' must be a number or a text, found [1]"


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((), {}, "'csv' needs 'file', a text"),
        (("a.csv",), {"file": "b.csv"}, "'file' of 'csv' is given twice"),
        (("a", "b", "c", ["d"], True, ",", 0.2, 8), {}, "'csv' takes at most 7 without a name, 8 are given"),
    ],
)
def test_arguments_missing_doubled_and_surplus(complaint, call, arguments, keywords, message):
    assert complaint("E0702", load, call("csv", *arguments, **keywords)).message == message


def test_set_without_arguments_says_so(complaint, call):
    assert complaint("E0702", load, call("digits", size=8)).notes == ("it takes: blocks, group, limit, validation",)


def test_digits_are_scaled_and_split_by_class():
    dataset = load("digits")
    assert dataset.types == {"image": TensorType((1, 8, 8)), "label": TensorType((), "int", 10)}
    train, test = rows(dataset.splits["train"]), rows(dataset.splits["test"])
    assert (len(train["label"]), len(test["label"])) == (1438, 359)
    assert train["image"].dtype == np.float32
    assert train["label"].dtype == np.int32
    assert train["image"].min() == 0
    assert train["image"].max() == 1
    totals = np.bincount(train["label"]) + np.bincount(test["label"])
    np.testing.assert_array_equal(np.bincount(test["label"]), np.round(totals * 0.2))


def test_digits_are_those_of_scikit_learn_each_once():
    from sklearn.datasets import load_digits

    dataset = load("digits")
    ours = np.concatenate([rows(split)["image"].reshape(-1, 64) for split in dataset.splits.values()])
    theirs = load_digits().data.astype(np.float32) / 16
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])


def test_the_split_is_the_same_for_everybody():
    # These rows may never change: all published figures on the set would.
    test = rows(load("iris").splits["test"])
    assert test["label"].tolist() == [0] * 10 + [1] * 10 + [2] * 10
    np.testing.assert_allclose(test["x"][:3], [[5.0, 3.6, 1.4, 0.2], [4.8, 3.0, 1.4, 0.1], [5.4, 3.4, 1.7, 0.2]])


def test_validation_is_cut_off_the_training_split(call):
    whole, parts = load("digits"), load(call("digits", validation=0.25), splits=("train", "validation", "test"))
    assert len(parts.splits["train"]) + len(parts.splits["validation"]) == len(whole.splits["train"])
    assert len(parts.splits["validation"]) == pytest.approx(0.25 * len(whole.splits["train"]), abs=5)
    together = np.concatenate([rows(parts.splits[name])["image"] for name in ("train", "validation")]).reshape(-1, 64)
    before = rows(whole.splits["train"])["image"].reshape(-1, 64)
    np.testing.assert_array_equal(together[np.lexsort(together.T)], before[np.lexsort(before.T)])


def test_validation_that_is_no_fraction_is_refused(complaint, call):
    assert complaint("E0703", load, call("digits", validation=1.5)).span.text == "validation = 1.5"


def test_a_split_that_the_set_lacks_is_refused(complaint):
    found = complaint("E0712", load, "digits", splits=("validation",))
    assert found.notes == ("it has: train, test",)
    assert found.help == "ask for one with 'validation = 0.1'"


def test_table_is_both_splits(call):
    dataset = load(call("table", x=[[0, 0], [0, 1], [1, 0], [1, 1]], label=[0, 1, 1, 0], weight=[1.0, 2.0, 1.0, 2.0]))
    assert dataset.types == {
        "x": TensorType((2,), "int"),
        "label": TensorType((), "int"),
        "weight": TensorType(()),
    }
    for split in ("train", "test"):
        np.testing.assert_array_equal(rows(dataset.splits[split])["label"], [0, 1, 1, 0])


@pytest.mark.parametrize("value", [3, [], [[1], [1, 2]], ["a"], [None]])
def test_table_takes_lists_of_one_shape(complaint, call, value):
    assert complaint("E0703", load, call("table", y=[1], x=value)).span.text.startswith("x = ")


def test_table_columns_have_one_length(complaint, call):
    found = complaint("E0707", load, call("table", x=[1, 2], y=[1]))
    assert "'x' has 2, 'y' has 1" in found.message


def test_noise_has_the_shape_asked_for(call):
    dataset = load(call("noise", shape=[3, 5, 7], classes=4, train=6, test=2))
    train = rows(dataset.splits["train"])
    assert train["image"].shape == (6, 3, 5, 7)
    assert train["label"].tolist() == [0, 1, 2, 3, 0, 1]
    assert len(dataset.splits["test"]) == 2
    assert not np.array_equal(train["image"][:2], rows(dataset.splits["test"])["image"])


def test_noise_needs_positive_numbers(complaint, call):
    assert complaint("E0703", load, call("noise", shape=[3, 0])).span.text == "shape = [3, 0]"


def test_statistics_are_those_of_the_training_split():
    dataset = load("iris")
    x = rows(dataset.splits["train"])["x"].astype(np.float64)
    np.testing.assert_allclose(dataset.statistics("x").mean, x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(dataset.statistics("x").std, x.std(axis=0), rtol=1e-12)


def test_root_is_the_environment_or_the_cache(monkeypatch):
    monkeypatch.setenv("GRAPHDL_DATA", "/somewhere")
    assert default_root() == Path("/somewhere")
    monkeypatch.delenv("GRAPHDL_DATA")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_root() == Path("/cache/graphdl/data")


def test_missing_files_are_told_with_their_places(complaint, call, tmp_path):
    found = complaint("E0704", load, call("mnist"), root=tmp_path)
    assert found.message == "data set 'mnist': the file train-images-idx3-ubyte.gz is missing"
    assert found.notes[0] == f"looked for {tmp_path / 'mnist' / 'train-images-idx3-ubyte'}"
    assert "--data-root" in found.help


def test_a_path_is_beside_the_model_first(call, tmp_path):
    beside, root = tmp_path / "models", tmp_path / "data"
    for folder, value in ((beside, 1), (root, 2)):
        folder.mkdir()
        (folder / "t.csv").write_text(f"a\n{value}\n")
    setting = call("csv", "t.csv", test=0.0, path=str(beside / "model.net"))
    assert rows(load(setting, root=root, splits=("train",)).splits["train"])["x"].item() == 1
    (beside / "t.csv").unlink()
    assert rows(load(setting, root=root, splits=("train",)).splits["train"])["x"].item() == 2


def test_a_missing_path_lists_both_places(complaint, call, tmp_path):
    found = complaint("E0704", load, call("csv", "t.csv", path=str(tmp_path / "m" / "a.net")), root=tmp_path)
    assert found.notes == (f"looked for {tmp_path / 'm' / 't.csv'}", f"looked for {tmp_path / 't.csv'}")


def test_real_mnist_is_the_official_one(data_root):
    dataset = load("mnist", root=data_root)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 60_000, "test": 10_000}
    train = rows(dataset.splits["train"])
    assert train["image"].shape == (60_000, 1, 28, 28)
    assert (train["image"].min(), train["image"].max()) == (0, 1)
    assert np.bincount(train["label"]).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    stored = dataset.splits["train"].fields["image"]
    assert isinstance(stored, ArrayField)
    assert stored.values.mean(dtype=np.float64) / 255 == pytest.approx(dataset.statistics("image").mean[0], abs=1e-4)


def test_real_cifar_is_read_channels_first(data_root):
    dataset = load("cifar10", root=data_root, splits=("test",))
    assert list(dataset.splits) == ["test"]
    test = rows(dataset.splits["test"])
    assert test["image"].shape == (10_000, 3, 32, 32)
    assert np.bincount(test["label"]).tolist() == [1000] * 10
    # Records are planes: a wrong order of dimensions would make neighbours unlike each other.
    assert np.abs(np.diff(test["image"], axis=3)).mean() < 0.06
    np.testing.assert_allclose(test["image"].mean(axis=(0, 2, 3)), dataset.statistics("image").mean, atol=0.005)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (("noise", {"shape": [3, 100_000, 100_000]}), "what 'noise' makes takes 7,153 GiB of memory"),
        (("folder", {"dir": "a", "size": 100_000}), "an image of [3, 100000, 100000] takes 112 GiB of memory"),
        (("noise", {"shape": [3, 100, 100], "limit": 0.001}), "and the limit is 0.001 GiB"),
    ],
)
def test_what_is_asked_for_is_bounded(complaint, call, setting, words):
    name, keywords = setting
    assert words in complaint("E0718", load, call(name, **keywords)).message


@pytest.mark.parametrize("limit", [0, -1, "1", True])
def test_limits_that_are_none(complaint, call, limit):
    assert "'limit' must be a positive number of GiB" in complaint("E0703", load, call("digits", limit=limit)).message
