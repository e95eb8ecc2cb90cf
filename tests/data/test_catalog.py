"""Lists of examples: JSON lines and tables that name pictures, numbers and classes."""

import json

import numpy as np
import pytest
from PIL import Image

from graphdl.data.batches import Batches
from graphdl.data.known import Known
from graphdl.data.sets import load
from graphdl.graph.types import TensorType


@pytest.fixture
def read(call, tmp_path):
    """Loads a set whose paths lie in the test's own folder."""
    return lambda name, *arguments, known=None, **keywords: load(
        call(name, *arguments, **keywords), root=tmp_path, splits=(), known=known
    )


def values(split):
    return {name: field.take(np.arange(len(split))) for name, field in split.fields.items()}


@pytest.fixture
def drive(tmp_path):
    """Twenty frames, of which each is as bright as its number, with an angle, a speed and a place."""
    (tmp_path / "tub/images").mkdir(parents=True)
    lines = []
    for number in range(20):
        Image.new("RGB", (8, 6), (number, 0, 255)).save(tmp_path / f"tub/images/{number}.png")
        entry = {
            "cam/image": f"{number}.png", "user/angle": number / 8, "gear": number % 3, "lap": number // 5,
            "wheels": [number, 0.5], "road": ["wet", "dry"][number % 2],
        }  # fmt: skip
        lines.append(json.dumps(entry))
    (tmp_path / "tub/list.catalog").write_text("\n\n".join(lines) + "\n")
    return {"image": "cam/image", "dir": "images", "size": [6, 8], "angle": "user/angle"}


def test_pictures_numbers_lists_and_classes(read, drive, tmp_path):
    dataset = read("catalog", "tub/list.catalog", test=0.0, gear="gear", wheels="wheels", road="road", **drive)
    assert dataset.types == {
        "image": TensorType((3, 6, 8)), "angle": TensorType(()), "gear": TensorType((), "int"),
        "wheels": TensorType((2,)), "road": TensorType((), "int", 2),
    }  # fmt: skip
    assert dataset.class_names == {"road": ("dry", "wet")}
    found = values(dataset.splits["train"])
    np.testing.assert_allclose(found["image"][:, 0, 3, 3] * 255, np.arange(20), atol=1e-4)
    np.testing.assert_array_equal(found["angle"], np.arange(20, dtype=np.float32) / 8)
    assert found["wheels"][7].tolist() == [7, 0.5]
    assert found["road"][:3].tolist() == [1, 0, 1]
    assert dataset.splits["train"].fields["angle"].place(1) == f"{tmp_path / 'tub/list.catalog'}, line 3"


def test_contiguous_blocks_and_groups(read, drive):
    dataset = read("catalog", "tub/list.catalog", test=0.2, blocks=5, **drive)
    test = values(dataset.splits["test"])["angle"] * 8
    assert np.diff(test).tolist() == [1, 1, 1]
    dataset = read("catalog", "tub/list.catalog", test=0.5, group="lap", **drive)
    test = values(dataset.splits["test"])["angle"] * 8
    assert len(test) == 10
    assert not set(test // 5) & set(values(dataset.splits["train"])["angle"] * 8 // 5)


def test_tables(read, drive, tmp_path):
    (tmp_path / "a.csv").write_text('file,n,x,kind\n"tub/images/3.png",1,1,b\ntub/images/4.png,2,0.5,a\n')
    (tmp_path / "b.csv").write_text("x,file,kind,n\n2,tub/images/5.png,b,7\n")
    fields = {"image": "file", "n": "n", "x": "x", "label": "kind", "size": 4, "channels": 1}
    dataset = read("catalog", "a.csv", test="b.csv", **fields)
    assert dataset.types["n"] == TensorType((), "int")
    assert dataset.types["x"] == TensorType(())
    assert values(dataset.splits["train"])["label"].tolist() == [1, 0]
    assert values(dataset.splits["test"])["label"].tolist() == [1]
    known = Known({"label": ["b", "c", "a"]})
    assert values(read("catalog", "a.csv", test="b.csv", known=known, **fields).splits["train"])["label"].tolist() == [
        0,
        2,
    ]
    inputs = {"image": TensorType((1, 4, 4)), "n": TensorType(())}
    batches = Batches(dataset, "train", inputs, batch=2, training=False)
    assert batches.get(0, 0).arrays["n"].dtype == np.float32


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("{", "E0709", "a.jsonl, line 2: it is no JSON"),
        ("[1]", "E0709", "a.jsonl, line 2: an object is expected, found [1]"),
        ('{"y": 1}', "E0709", "a.jsonl, line 2: there is no 'x'"),
        ('{"x": null}', "E0709", "a.jsonl, line 2: 'x' is empty"),
        ('{"x": "a"}', "E0709", "a.jsonl, line 2: 'v' is a text, a, and on line 1 a number"),
        ('{"x": [1, 2]}', "E0709", "line 2: 'v': its shape is [2], and on line 1 []"),
        ('{"x": [[1], [1, 2]]}', "E0709", "line 2: 'v': its lists differ in length"),
        ('{"x": {"y": 1}}', "E0709", "line 2: 'v': {'y': 1} is no number and no list of numbers"),
        ('{"x": 5000000000}', "E0709", "'v': an int is too large for 32 bits"),
        ('{"x": NaN}', "E0709", "line 2: it is no JSON"),
    ],
)
def test_faults_of_entries(read, tmp_path, complaint, line, code, message):
    (tmp_path / "a.jsonl").write_text('{"x": 1}\n' + line + "\n")
    assert message in complaint(code, read, "catalog", "a.jsonl", v="x", test=0.0).message


@pytest.mark.parametrize(
    ("first", "second", "code", "message"),
    [
        ("1.png", "2.txt", "E0709", "a.jsonl, line 2: 2.txt is no picture, and on line 1 'v' is one"),
        ("1.png", "99.png", "E0704", "a.jsonl, line 2: there is no picture"),
    ],
)
def test_faults_of_pictures(read, drive, tmp_path, complaint, first, second, code, message):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"x": name}) + "\n" for name in (first, second)))
    assert message in complaint(code, read, "catalog", "a.jsonl", v="x", dir="tub/images", test=0.0).message


def test_faults_of_arguments(read, tmp_path, complaint):
    (tmp_path / "a.jsonl").write_text('{"angle": 1}\n{"angle": 2}\n')
    assert complaint("E0709", read, "catalog", "a.jsonl", v="angel").help == "did you mean 'angle'?"
    assert "needs a field" in complaint("E0702", read, "catalog", "a.jsonl").message
    assert "'v' of 'catalog' must be a text" in complaint("E0703", read, "catalog", "a.jsonl", v=3).message
    (tmp_path / "b.jsonl").write_text('{"angle": [1, 2]}\n')
    assert "'v' is int in" in complaint("E0707", read, "catalog", "a.jsonl", v="angle", test="b.jsonl").message
    (tmp_path / "b.jsonl").write_text("\n")
    assert "b.jsonl has no entries" in complaint("E0709", read, "catalog", "a.jsonl", v="angle", test="b.jsonl").message
