"""Folders of the library ``datasets``. Version 5.2 of it wrote those in ``huggingface/``."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from graphdl.data.known import Known
from graphdl.data.sets import load
from graphdl.graph.types import TensorType

WRITTEN = Path(__file__).parent / "huggingface"
COLUMNS = {"image": "image", "label": "label", "angle": "angle", "box": "box", "kind": "kind", "ok": "ok"}


@pytest.fixture
def read(call, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(WRITTEN / name, tmp_path / name)
    return lambda *arguments, known=None, **keywords: load(
        call("huggingface", *arguments, **keywords), root=tmp_path, splits=(), known=known
    )


def of(split, field):
    return split.fields[field].take(np.arange(len(split)))


def test_columns_of_every_kind_and_the_folders_splits(read, tmp_path):
    dataset = read("two", size=[4, 5], **COLUMNS, grid="grid")
    assert dataset.types == {
        "image": TensorType((3, 4, 5)),
        "label": TensorType((), "int", 2),
        "angle": TensorType(()),
        "box": TensorType((2,)),
        "kind": TensorType((), "int", 3),
        "ok": TensorType((), "bool"),
        "grid": TensorType((2, 3), "int"),
    }
    train, test = dataset.splits["train"], dataset.splits["test"]
    assert (len(train), len(test)) == (5, 2)
    assert of(train, "image")[:, 0, 0, 0] * 255 == pytest.approx([160, 120, 80, 40, 0])  # saved in reverse order
    assert of(test, "image")[:, 2, 3, 4] * 255 == pytest.approx([40, 80])
    assert of(train, "angle").tolist() == [1, 0.75, 0.5, 0.25, 0]
    assert of(test, "angle").tolist() == [1, 1.25]
    assert of(train, "box")[0].tolist() == [4, 5]
    assert of(train, "label").tolist() == [0, 1, 0, 1, 0]
    assert of(train, "ok").tolist() == [True, False, True, False, True]
    assert of(train, "grid")[1].tolist() == [[3] * 3] * 2
    assert dataset.class_names == {"label": ("cat", "dog"), "kind": ("blue", "green", "red")}
    assert [dataset.class_names["kind"][number] for number in of(train, "kind")] == [
        "blue", "red", "green", "blue", "red",
    ]  # fmt: skip
    assert train.fields["image"].place(2) == str(tmp_path / "two" / "train" / "example 2")


def test_one_split_in_several_files(read):
    whole = read("one", test=0.0, angle="angle").splits["train"]
    assert of(whole, "angle").tolist() == [0, 0.25, 0.5, 0.75, 1, 1.25]
    dataset = read("one", test=1 / 3, **COLUMNS)
    assert sorted(of(dataset.splits["test"], "label").tolist()) == [0, 1]  # of each class one
    assert len(dataset.splits["train"]) == 4
    known = Known({"kind": ["red", "green", "blue"]})
    assert of(read("one", test=0.0, kind="kind", known=known).splits["train"], "kind").tolist() == [0, 2, 1, 0, 2, 1]


def rewritten(home, columns, kinds):
    """A folder of one file with the given columns."""
    home.mkdir(parents=True)
    table = pa.table(columns)
    with pa.OSFile(str(home / "a.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    (home / "state.json").write_text(json.dumps({"_data_files": [{"filename": "a.arrow"}]}))
    (home / "dataset_info.json").write_text(json.dumps({"features": kinds}))


def test_columns_that_cannot_be_fed(read, tmp_path, complaint):
    (tmp_path / "one" / "data-00001-of-00002.arrow").write_bytes(b"torn")
    assert "no stream of Arrow" in complaint("E0705", read, "one", x="angle").message
    (tmp_path / "one" / "data-00001-of-00002.arrow").unlink()
    assert "there is no file" in complaint("E0704", read, "one", x="angle").message
    (tmp_path / "two" / "train" / "state.json").unlink()
    assert "save_to_disk" in complaint("E0704", read, "two", x="angle").message
    (tmp_path / "two" / "dataset_dict.json").write_text('{"splits": ["test"]}')
    assert "no split 'train'" in complaint("E0707", read, "two", x="angle").message
    for place, columns in (("train", {"x": [1.0, 2.0]}), ("test", {"x": [1, 2]})):
        rewritten(tmp_path / "differ" / place, columns, {"x": {"_type": "Value"}})
    (tmp_path / "differ" / "dataset_dict.json").write_text('{"splits": ["test", "train"]}')
    assert "'x' is int in" in complaint("E0707", read, "differ", x="x").message
    state = tmp_path / "differ" / "train" / "state.json"
    state.write_text('{"_data_files": [{"filename": "a.arrow"}], "_indices_data_files": [{"filename": "i.arrow"}]}')
    assert "flatten_indices" in complaint("E0705", read, "differ", x="x").help
    value, classes = {"_type": "Value"}, {"_type": "ClassLabel", "names": ["a", "b"]}
    twice = {"_type": "ClassLabel", "names": ["a", "a"]}
    columns = {
        "empty": [1.0, None], "ragged": [[1], [1, 2]], "hole": [[1], [None]], "beyond": [0, 2], "named": ["a", "b"],
        "twice": [0, 1], "sound": [b"1", b"2"], "far": [{"bytes": b"1"}, {"bytes": None}],
        "broken": [{"bytes": b"1"}, {"bytes": b"2"}],
    }  # fmt: skip
    kinds = {
        "empty": value, "ragged": {"_type": "List"}, "hole": {"_type": "List"}, "beyond": classes, "named": classes,
        "twice": twice, "sound": {"_type": "Audio"}, "far": {"_type": "Image"}, "broken": {"_type": "Image"},
    }  # fmt: skip
    rewritten(tmp_path / "own", columns, kinds)
    for code, column, message in (
        ("E0709", "angel", "no column 'angel'"),
        ("E0709", "empty", "example 1: 'empty' is empty"),
        ("E0709", "ragged", "lists of 1 to 2"),
        ("E0709", "hole", "an empty place"),
        ("E0706", "beyond", "example 1: 2 is no class"),
        ("E0705", "named", "have no numbers"),
        ("E0705", "twice", "one name twice"),
        ("E0709", "sound", "of the kind Audio"),
        ("E0705", "far", "example 1 names a picture"),
    ):
        assert message in complaint(code, read, "own", x=column).message
    assert complaint("E0705", of, read("own", x="broken", test=0.0).splits["train"], "x")
    assert complaint("E0702", read, "own")
