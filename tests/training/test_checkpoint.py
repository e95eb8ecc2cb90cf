"""Checkpoint files: whole or not at all, and refused with words when they are damaged or do not fit."""

import json
import re

import numpy as np
import pytest
from nets import DIGITS
from safetensors.numpy import save_file

import graphdl
from graphdl.training import checkpoint
from graphdl.training.checkpoint import Checkpoint


@pytest.fixture(scope="module")
def model():
    return graphdl.loads(DIGITS)


@pytest.fixture
def saved(model, tmp_path):
    path = tmp_path / "weights.safetensors"
    model.save(path)
    return path


def complaint(model, path):
    with pytest.raises(graphdl.ModelError) as caught:
        model.load_weights(path)
    return caught.value.diagnostics


def test_weights_come_back_as_they_were(saved):
    first, second = graphdl.loads(DIGITS, seed=1), graphdl.loads(DIGITS)
    second.states["logits.batchnorm.mean"] = np.full(24, 3)
    second.load_weights(saved)
    assert first.parameters.keys() == second.parameters.keys()
    reference = graphdl.loads(DIGITS)
    for path in reference.parameters:
        np.testing.assert_array_equal(second.parameters[path], reference.parameters[path])
    np.testing.assert_array_equal(second.states["logits.batchnorm.mean"], np.zeros(24))


def test_metadata_comes_back(tmp_path):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, Checkpoint({"a": np.arange(3.0)}, {"position": {"sums": [0.1, 1e300]}}))
    found = checkpoint.load(path)
    assert found.metadata == {"position": {"sums": [0.1, 1e300]}}
    np.testing.assert_array_equal(found.tensors["a"], [0.0, 1.0, 2.0])


def test_equal_checkpoints_are_equal_files(model, tmp_path):
    found = checkpoint.weights(model.network)
    for name in "ab":
        checkpoint.save(tmp_path / name, found)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    checkpoint.write_atomically(path, b"old")

    def fail(descriptor):
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="full"):
        checkpoint.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_every_cut_of_a_file_is_refused_with_words(model, saved):
    content = saved.read_bytes()
    for size in (0, 1, 7, 8, 100, len(content) // 2, len(content) - 1):
        saved.write_bytes(content[:size])
        (found,) = complaint(model, saved)
        assert found.code == "E0616"
        assert str(saved) in found.message


def test_every_flipped_bit_is_found(tmp_path):
    path = tmp_path / "run.safetensors"
    tensors = {"w": np.arange(12, dtype=np.float32).reshape(3, 4), "train:w:m": np.ones(4, np.float32)}
    checkpoint.save(path, Checkpoint(tensors, {"net": "a", "seed": 3, "position": {"step": 7}}))
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    random = np.random.default_rng(0)
    bits = [*range(8 * header), *random.integers(8 * header, 8 * len(content), 200).tolist()]
    for bit in bits:
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(graphdl.ModelError, match="E0616"):
            checkpoint.load(path)
    path.write_bytes(content)
    assert checkpoint.load(path).metadata["position"] == {"step": 7}


def test_what_others_wrote_needs_no_checksum(model, tmp_path):
    path = tmp_path / "theirs"
    tensors = {name: model.network.read(name) for name in model.network.variables}
    for metadata in (None, {"format": "pt"}, {"graphdl": json.dumps({"format": 1, "seed": 0})}):
        save_file(tensors, path, metadata=metadata)
        graphdl.loads(DIGITS, seed=1).load_weights(path)


def test_files_of_other_kinds_are_refused_with_words(model, tmp_path):
    header = b'{"__metadata__":{"graphdl":"[1]"}}'
    cases = {
        "text": b"hello, this is no checkpoint",
        "zeros": bytes(1000),
        "huge": b"\xff" * 64,
        "header": b"\x02\0\0\0\0\0\0\0[]",
        "metadata": len(header).to_bytes(8, "little") + header,
    }
    for name, content in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        (found,) = complaint(model, path)
        assert found.code == "E0616", name
    (found,) = complaint(model, tmp_path)
    assert found.code == "E0616"
    (found,) = complaint(model, tmp_path / "missing")
    assert "cannot be read" in found.message


def test_a_later_format_is_refused(model, tmp_path):
    path = tmp_path / "later"
    save_file({"a": np.zeros(1)}, path, metadata={"graphdl": json.dumps({"format": 99})})
    (found,) = complaint(model, path)
    assert "later graphdl" in found.message


def test_what_does_not_fit_is_named_with_its_nearest_name(model, tmp_path):
    tensors = {name: model.network.read(name) for name in model.network.variables}
    tensors["logits.linear.weight"] = tensors.pop("logits.linear.W")
    tensors["logits.linear.b"] = np.zeros(25, np.float32)
    tensors["logits.linear_2.b"] = np.zeros(10, np.int32)
    path = tmp_path / "other"
    save_file(tensors, path)
    before = {name: model.parameters[name] for name in model.parameters}
    found = complaint(model, path)
    assert {diagnostic.code for diagnostic in found} == {"E0617"}
    text = "\n".join(f"{d.message} ({d.help})" for d in found)
    assert re.search(r"has no 'logits.linear.W' \[64, 24\] \(did you mean 'logits.linear.weight'\?\)", text)
    assert re.search(r"holds 'logits.linear.weight' \[64, 24\], which the net does not have", text)
    assert re.search(r"'logits.linear.b' is \[24\], and \[25\] in", text)
    assert re.search(r"'logits.linear_2.b' holds int32", text)
    assert any(d.span is not None and d.span.text == "linear(h)" for d in found)
    for name, value in before.items():
        np.testing.assert_array_equal(model.parameters[name], value)


def test_many_missing_names_are_summed_up(model, tmp_path):
    path = tmp_path / "empty"
    save_file({}, path)
    assert len(complaint(model, path)) == len(model.network.variables)
    deep = graphdl.loads("net deep { input x: [2]; output y = x -> repeat 6 { linear(2) } }")
    found = complaint(deep, path)
    assert len(found) == 9
    assert "4 more are missing" in found[-1].message


def test_floats_of_other_widths_are_read(model, tmp_path):
    path = tmp_path / "half"
    save_file({name: model.network.read(name).astype(np.float16) for name in model.network.variables}, path)
    other = graphdl.loads(DIGITS, seed=3)
    other.load_weights(path)
    expected = model.parameters["logits.linear.W"].astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(other.parameters["logits.linear.W"], expected)
