"""Files of MNIST's and CIFAR-10's formats, whole and damaged in every way that was thought of."""

import gzip
import io
import struct
import tarfile
import tracemalloc

import numpy as np
import pytest

from graphdl.data.cifar import unpack
from graphdl.data.request import DataRequest
from graphdl.data.sets import load

IMAGES = np.arange(5 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(5, 28, 28)
LABELS = np.array([0, 9, 3, 3, 1], np.uint8)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def mnist(tmp_path):
    """A small set with MNIST's names: the training files packed, the test files not."""
    folder = tmp_path / "mnist"
    put(folder / "train-images-idx3-ubyte.gz", gzip.compress(idx(IMAGES)))
    put(folder / "train-labels-idx1-ubyte.gz", gzip.compress(idx(LABELS)))
    put(folder / "t10k-images-idx3-ubyte", idx(IMAGES[:2]))
    put(folder / "t10k-labels-idx1-ubyte", idx(LABELS[:2]))
    return folder


@pytest.fixture
def cifar(tmp_path):
    """A small set with CIFAR-10's names: two records a file."""
    folder = tmp_path / "cifar10" / "cifar-10-batches-bin"
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        record = bytes([number]) + bytes([number]) * 1024 + bytes([100]) * 1024 + bytes([200]) * 1024
        put(folder / f"{name}.bin", record * 2)
    return folder


def test_whole_idx_files_packed_or_not(mnist):
    dataset = load("mnist", root=mnist.parent)
    images = dataset.splits["train"].fields["image"].take(np.arange(5))
    np.testing.assert_array_equal(images[:, 0], IMAGES.astype(np.float32) / np.float32(255))
    assert dataset.splits["train"].fields["label"].take(np.arange(5)).tolist() == LABELS.tolist()
    assert len(dataset.splits["test"]) == 2


def test_fashion_mnist_has_its_own_folder_and_names(mnist):
    mnist.rename(mnist.with_name("fashion_mnist"))
    assert load("fashion_mnist", root=mnist.parent).class_names["label"][9] == "Ankle boot"


def packed(content: bytes) -> bytes:
    """By gzip, without the time: the names of tests hold the bytes, and are the same in every process."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (packed(idx(IMAGES))[:-40], "it cannot be unpacked"),
        (packed(idx(IMAGES))[:200] + b"\0" * 200, "it cannot be unpacked"),
        (packed(idx(IMAGES)[:-1]), "it has 3935 bytes, its header [5, 28, 28] promises 3936"),
        (packed(idx(IMAGES) + b"\0"), "it has 3937 bytes"),
        (packed(idx(IMAGES)[:7]), "it has 7 bytes, its header alone needs 16"),
        (b"", "it has 0 bytes"),
        (packed(idx(LABELS) + b"\0" * 16), "it begins with 0x00000801, expected 0x00000803 (IDX, rank 3)"),
        (b"<html>404 Not Found</html>", "it begins with 0x3c68746d"),
        (idx(np.zeros((0, 28, 28), np.uint8)), "it is empty"),
        (idx(np.zeros((5, 32, 32), np.uint8)), "its images are 32×32, expected 28×28"),
    ],
)
def test_damaged_images(mnist, complaint, content, reason):
    path = mnist / "train-images-idx3-ubyte.gz"
    put(path, content)
    found = complaint("E0705", load, "mnist", root=mnist.parent)
    assert found.message.startswith(f"{path} is damaged: ")
    assert reason in found.message


def test_a_bomb_is_read_no_further_than_its_header_promises(mnist, complaint):
    path = mnist / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx(LABELS)) + gzip.compress(bytes(1 << 20)) * 2000)  # 2 GB in 2 MB
    tracemalloc.start()
    found = complaint("E0705", load, "mnist", root=mnist.parent)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.message == f"{path} is damaged: it has 14 bytes or more, its header [5] promises 13"
    assert peak < 16 << 20


def test_a_header_that_promises_too_much(mnist, complaint):
    path = mnist / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">IIII", 0x0803, 2**31, 28, 28) + bytes(1000)))
    found = complaint("E0718", load, "mnist", root=mnist.parent)
    assert "what its header [2147483648, 28, 28] promises takes 1,568 GiB of memory" in found.message


def test_a_file_of_records_beyond_the_limit(cifar, tmp_path, complaint):
    with (cifar / "data_batch_2.bin").open("r+b") as file:
        file.truncate(3073 << 20)
    found = complaint("E0718", load, "cifar10", root=tmp_path)
    assert found.message.endswith("data_batch_2.bin: the file takes 3 GiB of memory, and the limit is 1 GiB")


def test_images_without_as_many_labels(mnist, complaint):
    put(mnist / "train-labels-idx1-ubyte.gz", gzip.compress(idx(LABELS[:4])))
    found = complaint("E0707", load, "mnist", root=mnist.parent)
    assert "holds 5 images, train-labels-idx1-ubyte.gz 4 labels" in found.message


def test_label_that_is_no_class(mnist, complaint):
    put(mnist / "t10k-labels-idx1-ubyte", idx(np.array([0, 10], np.uint8)))
    assert "label 1 is 10, expected 0 to 9" in complaint("E0706", load, "mnist", root=mnist.parent).message


def test_a_folder_in_the_place_of_a_file_is_missing(mnist, complaint):
    (mnist / "t10k-images-idx3-ubyte").unlink()
    (mnist / "t10k-images-idx3-ubyte").mkdir()
    assert "t10k-images" in complaint("E0704", load, "mnist", root=mnist.parent).message


def test_only_the_splits_that_are_used_are_read(mnist):
    (mnist / "train-images-idx3-ubyte.gz").unlink()
    assert list(load("mnist", root=mnist.parent, splits=("test",)).splits) == ["test"]


def test_whole_cifar_files(cifar, tmp_path):
    dataset = load("cifar10", root=tmp_path)
    fields = dataset.splits["train"].fields
    assert fields["label"].take(np.arange(10)).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    image = fields["image"].take(np.array([9]))[0]
    np.testing.assert_allclose(image[:, 0, 0], [4 / 255, 100 / 255, 200 / 255], rtol=1e-6)
    assert (image == image[:, :1, :1]).all()


def test_cifar_files_may_lie_in_the_folder_itself(cifar, tmp_path):
    for path in list(cifar.iterdir()):
        path.rename(tmp_path / "cifar10" / path.name)
    assert len(load("cifar10", root=tmp_path).splits["test"]) == 2


@pytest.mark.parametrize("size", [0, 1, 3072, 3073 * 2 - 1])
def test_cifar_file_cut_short(cifar, tmp_path, complaint, size):
    path = cifar / "data_batch_3.bin"
    put(path, path.read_bytes()[:size])
    found = complaint("E0705", load, "cifar10", root=tmp_path)
    assert found.message == f"{path} is damaged: {size} bytes are no multiple of one record of 3073 bytes"


def test_cifar_label_that_is_no_class(cifar, tmp_path, complaint):
    path = cifar / "test_batch.bin"
    put(path, path.read_bytes()[:3073] + b"\x0a" + bytes(3072))
    assert complaint("E0706", load, "cifar10", root=tmp_path).message == f"{path}: label 1 is 10, expected 0 to 9"


def test_cifar_file_missing(cifar, tmp_path, complaint):
    (cifar / "data_batch_5.bin").unlink()
    found = complaint("E0704", load, "cifar10", root=tmp_path)
    assert found.notes == (
        f"looked for {cifar / 'data_batch_5.bin'}",
        f"looked for {cifar.parent / 'data_batch_5.bin'}",
    )


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_cifar_archive_gives_its_records_and_nothing_else(cifar, tmp_path, call):
    members = {f"cifar-10-batches-bin/{path.name}": path.read_bytes() for path in cifar.iterdir()}
    put(tmp_path / "a.tar.gz", archive({**members, "../outside": b"x", "cifar-10-batches-bin/readme.html": b"x"}))
    unpack(DataRequest(call("cifar10"), tmp_path, ("train",)), tmp_path / "a.tar.gz", tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        path.name: path.read_bytes() for path in cifar.iterdir()
    }
    assert not (tmp_path.parent / "outside").exists()


@pytest.mark.parametrize("cut", [False, True])
def test_cifar_archive_damaged(cifar, tmp_path, call, complaint, cut):
    name = "cifar-10-batches-bin/data_batch_1.bin"
    content = archive({name: np.random.default_rng(0).bytes(30_730)})
    put(tmp_path / "a.tar.gz", content[:20_000] if cut else content)
    request = DataRequest(call("cifar10"), tmp_path, ("train",))
    complaint("E0705", unpack, request, tmp_path / "a.tar.gz", tmp_path / "out")
    assert not (tmp_path / "out" / "data_batch_1.bin").exists() or not cut
