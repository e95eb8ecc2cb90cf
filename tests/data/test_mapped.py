"""Arrays beyond the limit of memory: they are mapped, divided and fed as those in memory are."""

import tracemalloc

import numpy as np
import pytest

from graphdl.data.batches import Batches
from graphdl.data.mapped import MappedField
from graphdl.data.sets import load
from graphdl.graph.types import TensorType

MIB = 1 / 1024


@pytest.fixture
def read(call, tmp_path):
    """Loads a set whose paths lie in the test's own folder."""
    return lambda name, *arguments, **keywords: load(call(name, *arguments, **keywords), root=tmp_path, splits=())


def values(split):
    return {name: field.take(np.arange(len(split))) for name, field in split.fields.items()}


ARRAYS = {
    "x": np.random.default_rng(0).random((500, 3, 5)).astype(">f8"),
    "image": np.asfortranarray(np.random.default_rng(1).integers(0, 256, (500, 1, 4, 4), np.uint8)),
    "n": np.arange(500) * 8_000_000 - 2**31,
    "flag": np.arange(500) % 3 == 0,
}


@pytest.mark.parametrize("form", ["npz", "npy"])
def test_mapped_arrays_give_what_those_in_memory_give(read, tmp_path, form):
    if form == "npz":
        np.savez(tmp_path / "a.npz", **ARRAYS)
        arguments, fields = ["a.npz"], {}
    else:
        for name, array in ARRAYS.items():
            np.save(tmp_path / f"{name}.npy", array)
        arguments, fields = [], {name: f"{name}.npy" for name in ARRAYS}
    for keywords in ({"test": 0.3}, {"test": 0.3, "blocks": 10, "validation": 0.1}, {"group": "flag", "test": 0.5}):
        on_disk = read(form, *arguments, limit=0.25 * MIB / 1024, **fields, **keywords)
        assert all(isinstance(field, MappedField) for field in on_disk.splits["train"].fields.values())
        assert on_disk.types == {
            "x": TensorType((3, 5)), "image": TensorType((1, 4, 4)), "n": TensorType((), "int"),
            "flag": TensorType((), "bool"),
        }  # fmt: skip
        if "group" not in keywords:
            assert len(on_disk.splits["test"]) == 150
        everything = np.concatenate([values(split)["n"] for split in on_disk.splits.values()])
        np.testing.assert_array_equal(np.sort(everything), ARRAYS["n"])  # each example is in one split
        for split in on_disk.splits.values():
            found = values(split)
            rows = np.searchsorted(ARRAYS["n"], found["n"])
            np.testing.assert_array_equal(found["x"], ARRAYS["x"][rows].astype(np.float32))
            np.testing.assert_array_equal(found["image"], ARRAYS["image"][rows] / np.float32(255))
            np.testing.assert_array_equal(found["n"], ARRAYS["n"][rows])
            np.testing.assert_array_equal(found["flag"], ARRAYS["flag"][rows])


def test_a_batch_takes_the_memory_of_a_batch(read, tmp_path):
    file = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.float32, (3000, 1000))
    file[:, 0] = np.arange(3000)
    file.flush()
    tracemalloc.start()
    dataset = read("npy", x="big.npy", limit=4 * MIB, test=0.5)
    batches = Batches(dataset, "train", {"x": TensorType((1000,))}, batch=8, training=True)
    first = batches.get(0, 3).arrays["x"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    rows = batches.order(0)[24:32]
    assert first[:, 0].tolist() == dataset.splits["train"].fields["x"].rows[rows].tolist()
    assert peak < 1 << 20
    assert f"{tmp_path / 'big.npy'}, 'x', example" in dataset.splits["train"].fields["x"].place(5)


def test_faults(read, tmp_path, complaint):
    np.save(tmp_path / "a.npy", np.zeros((900, 50)))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:-100])
    found = complaint("E0705", read, "npy", x="a.npy", limit=MIB / 100)
    assert "it ends after 359900 of the 360000 bytes" in found.message
    np.savez(tmp_path / "a.npz", x=np.zeros((900, 50)))
    content = (tmp_path / "a.npz").read_bytes()
    at = content.index(b"(900, 50)")
    (tmp_path / "a.npz").write_bytes(content[:at] + b"(990, 50)" + content[at + 9 :])
    found = complaint("E0705", read, "npz", "a.npz", limit=MIB / 100)
    assert "'x.npy' in it: it ends after 360000 of the 396000 bytes" in found.message
    np.save(tmp_path / "b.npy", np.arange(7) + 2**31 - 4)
    field = read("npy", n="b.npy", limit=1e-9, test=0.0).splits["train"].fields["n"]
    assert field.take(np.array([3, 1])).tolist() == [2**31 - 1, 2**31 - 3]
    found = complaint("E0717", field.take, np.array([3, 4, 1]))
    assert found.message == f"{tmp_path / 'b.npy'}, 'n', example 4: an int is too large for 32 bits"
    np.save(tmp_path / "b.npy", np.zeros(7))
    (tmp_path / "a.npy").write_bytes(b"PK\3\4" + bytes(20000))
    assert "it is no .npy file" in complaint("E0705", read, "npy", x="a.npy", limit=MIB / 100).message
    np.save(tmp_path / "a.npy", np.zeros(8))
    found = complaint("E0707", read, "npy", x="a.npy", y="b.npy")
    assert "differ in their number of examples: 'x' has 8, 'y' has 7" in found.message
    assert "'npy' needs a field" in complaint("E0702", read, "npy").message
    assert "'x' of 'npy' must be a text" in complaint("E0703", read, "npy", x=3).message
