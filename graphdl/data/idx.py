"""MNIST and Fashion-MNIST: images and labels in IDX files (LeCun et al., 1998; Xiao et al., 2017).

An IDX file consists of two zero bytes, the type of the elements (8: unsigned byte), the number of dimensions, each
dimension as a big-endian 32-bit number, and the elements.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from graphdl.data.dataset import DataSet, Origin, Split, Statistics, labels, pixels
from graphdl.data.download import Archive
from graphdl.data.request import GET_HELP, DataRequest

_MNIST_MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
_FASHION_MIRRORS = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
_TRAIN_IMAGES = "train-images-idx3-ubyte"
_TRAIN_LABELS = "train-labels-idx1-ubyte"
_TEST_IMAGES = "t10k-images-idx3-ubyte"
_TEST_LABELS = "t10k-labels-idx1-ubyte"


def _archives(mirrors: tuple[str, ...], *files: tuple[str, int, str]) -> dict[str, Archive]:
    return {name: Archive(name + ".gz", size, sha256, mirrors) for name, size, sha256 in files}


MNIST_ARCHIVES = _archives(
    _MNIST_MIRRORS,
    (_TRAIN_IMAGES, 9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    (_TRAIN_LABELS, 28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    (_TEST_IMAGES, 1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    (_TEST_LABELS, 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
)
FASHION_ARCHIVES = _archives(
    _FASHION_MIRRORS,
    (_TRAIN_IMAGES, 26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    (_TRAIN_LABELS, 29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    (_TEST_IMAGES, 4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    (_TEST_LABELS, 5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
)
_GARMENTS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def mnist(request: DataRequest) -> DataSet:
    """See ``graphdl.data.declared``."""
    return _load(request, "mnist", MNIST_ARCHIVES, (), Statistics((0.1307,), (0.3081,)))


def fashion_mnist(request: DataRequest) -> DataSet:
    """See ``graphdl.data.declared``."""
    return _load(request, "fashion_mnist", FASHION_ARCHIVES, _GARMENTS, Statistics((0.2860,), (0.3530,)))


def _load(
    request: DataRequest, name: str, archives: dict[str, Archive], class_names: tuple[str, ...], published: Statistics
) -> DataSet:
    folder = request.root / name
    splits = {}
    files = []
    for split, images_name, labels_name in (
        ("train", _TRAIN_IMAGES, _TRAIN_LABELS),
        ("test", _TEST_IMAGES, _TEST_LABELS),
    ):
        if split not in request.splits:
            continue
        images_path = _find(request, folder, images_name, archives)
        labels_path = _find(request, folder, labels_name, archives)
        images = read_idx(request, images_path, rank=3)
        classes = read_idx(request, labels_path, rank=1)
        if images.shape[1:] != (28, 28):
            raise request.damaged(images_path, f"its images are {images.shape[1]}×{images.shape[2]}, expected 28×28")
        if len(images) != len(classes):
            raise request.error(
                "E0707",
                f"{images_path.name} holds {len(images)} images, {labels_path.name} {len(classes)} labels",
                notes=[str(images_path), str(labels_path)],
            )
        if classes.max() > 9:
            row = int(np.argmax(classes > 9))
            raise request.error("E0706", f"{labels_path}: label {row} is {classes[row]}, expected 0 to 9")
        numbers = labels(classes, 10, Origin(labels_path))
        splits[split] = Split(split, {"image": pixels(images[:, None]), "label": numbers})
        files += [images_path, labels_path]
    return DataSet(
        name,
        splits,
        class_names={"label": class_names} if class_names else {},
        published={"image": published},
        span=request.setting.span,
        files=files,
    )


def _find(request: DataRequest, folder: Path, name: str, archives: dict[str, Archive]) -> Path:
    candidates = [folder / name, folder / f"{name}.gz"]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if request.download:
        return request.fetch(archives[name], folder)
    raise request.missing(f"the file {name}.gz", candidates, help=GET_HELP)


def read_idx(request: DataRequest, path: Path, rank: int) -> NDArray[np.uint8]:
    """The unsigned bytes of an IDX file, compressed by gzip or not; read-only.

    Raises:
        ModelError: E0705, it is not such a file, or is truncated.
    """
    with request.reading.open(path) as file:
        is_packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            return _unpacked(request, path, gzip.GzipFile(fileobj=file) if is_packed else file, rank)
        except (EOFError, OSError, zlib.error) as error:
            raise request.damaged(path, f"it cannot be unpacked ({error})") from error


def _unpacked(request: DataRequest, path: Path, file: gzip.GzipFile | BinaryIO, rank: int) -> NDArray[np.uint8]:
    """The elements of an IDX file. At most one byte more than the header declares is read, whatever the length of the
    file.
    """
    header = 4 + 4 * rank
    begin = file.read(header)
    if len(begin) < header:
        raise request.damaged(path, f"it has {len(begin)} bytes, its header alone needs {header}")
    magic, *shape = struct.unpack(f">{1 + rank}I", begin)
    if magic != 0x0800 + rank:
        raise request.damaged(path, f"it begins with {magic:#010x}, expected {0x0800 + rank:#010x} (IDX, rank {rank})")
    promised = prod(shape)
    if not promised:
        raise request.damaged(path, f"it is empty: its header says {shape}")
    request.reading.require(promised, f"{path}: what its header {shape} promises")
    content = file.read(promised + 1)
    if len(content) != promised:
        size = f"{header + len(content)} bytes" + (" or more" if len(content) > promised else "")
        raise request.damaged(path, f"it has {size}, its header {shape} promises {header + promised}")
    return np.frombuffer(content, np.uint8).reshape(shape)
