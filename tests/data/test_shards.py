"""Tar archives of examples: pictures, classes and numbers by their endings, divided by archive or by chance."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from graphdl.data.sets import load
from graphdl.graph.types import TensorType


@pytest.fixture
def read(call, tmp_path):
    """Loads a set whose paths lie in the test's own folder."""
    return lambda name, *arguments, **keywords: load(call(name, *arguments, **keywords), root=tmp_path, splits=())


def values(split):
    return {name: field.take(np.arange(len(split))) for name, field in split.fields.items()}


def picture(shade):
    buffer = io.BytesIO()
    Image.new("RGB", (6, 5), (shade, 0, 0)).save(buffer, "png")
    return buffer.getvalue()


def pack(path, files):
    with tarfile.open(path, "w") as archive:
        folder = tarfile.TarInfo("some")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def archives(tmp_path):
    """Three archives with four examples each, which are as bright as their numbers."""
    for shard in range(3):
        files = {}
        for number in range(4 * shard, 4 * shard + 4):
            files[f"some/{number:03}.0.left.png"] = picture(number)
            files[f"some/{number:03}.cls"] = str(number % 2 * 8 + 2).encode()
            files[f"some/{number:03}.box.json"] = f"[{number}, 0.5]".encode()
        pack(tmp_path / f"part-{shard}.tar", files)
    return {"image": "jpg;.0.LEFT.png", "label": "cls", "box": "box.json", "size": [5, 6]}


def test_fields_by_endings(read, archives, tmp_path):
    dataset = read("shards", "part-*.tar", test="*-1.tar", **archives)
    assert dataset.types == {
        "image": TensorType((3, 5, 6)), "label": TensorType((), "int", 2), "box": TensorType((2,)),
    }  # fmt: skip
    assert dataset.class_names == {"label": ("2", "10")}
    assert len(dataset.splits["train"]) == 8
    found = values(dataset.splits["test"])
    np.testing.assert_allclose(found["image"][:, 0, 2, 2] * 255, [4, 5, 6, 7], atol=1e-4)
    assert found["label"].tolist() == [0, 1, 0, 1]
    assert found["box"].tolist() == [[number, 0.5] for number in range(4, 8)]
    assert dataset.splits["test"].fields["image"].place(1) == str(tmp_path / "part-1.tar/some/005.0.left.png")


def test_archives_stay_together(read, archives):
    dataset = read("shards", "part-*.tar", test=1 / 3, group="shard", **archives)
    numbers = values(dataset.splits["test"])["box"][:, 0]
    assert len(numbers) == 4
    assert len(set(numbers // 4)) == 1
    assert sorted(np.bincount(values(read("shards", "part-*.tar", test=0.5, **archives).splits["test"])["label"])) == [
        3,
        3,
    ]


@pytest.mark.parametrize(
    ("files", "code", "message"),
    [
        ({"a.png": picture(1), "a.cls": b"1", "b.cls": b"2"}, "E0709", "b.cls: its example has no file for 'image'"),
        ({"a.png": picture(1), "a.cls": b"1\n2"}, "E0709", "a.cls: one line with the name of a class is expected"),
        ({"a.png": picture(1), "a.cls": b"\xff"}, "E0705", "a.cls cannot be read: it is no UTF-8 text"),
        ({"a.png": picture(1)[:40], "a.cls": b"1"}, "E0705", "a.png is damaged: it is no image"),
        ({"a.png": picture(1), "a.cls": b"1", "a.CLS": b"2"}, "E0709", "two files of one example are a.CLS"),
        ({"readme": b"hello"}, "E0709", "has no examples"),
    ],
)
def test_faults_of_the_files(read, tmp_path, complaint, files, code, message):
    pack(tmp_path / "a.tar", files)
    found = complaint(code, lambda: values(read("shards", "a.tar", image="png", label="cls", test=0.0).splits["train"]))
    assert message in found.message


def test_faults_of_numbers_and_archives(read, archives, tmp_path, complaint):
    pack(tmp_path / "a.tar", {"a.json": b"1", "b.json": b"[1]"})
    assert (
        "b.json: its shape is [1], and that of the first []"
        in complaint("E0709", read, "shards", "a.tar", x="json", test=0.0).message
    )
    pack(tmp_path / "a.tar", {"a.json": b"1", "b.json": b"9876543210"})
    found = complaint("E0709", read, "shards", "a.tar", x="json", test=0.0)
    assert "a.tar: 'x': an int is too large for 32 bits" in found.message
    content = (tmp_path / "part-0.tar").read_bytes()
    (tmp_path / "b.tar").write_bytes(content[:900])
    assert str(tmp_path / "b.tar") in complaint("E0705", read, "shards", "b.tar", test=0.0, **archives).message
    assert "data set 'shards': c*.tar is missing" in complaint("E0704", read, "shards", "c*.tar", **archives).message
    found = complaint("E0712", read, "shards", "part-*.tar", **{**archives, "test": "x*"})
    assert "matches no archive" in found.message
    assert "'shards' needs a field" in complaint("E0702", read, "shards", "a.tar").message
