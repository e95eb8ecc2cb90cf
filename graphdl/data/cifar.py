"""CIFAR-10 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009), its binary version."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graphdl.data.dataset import DataSet, Split, Statistics, labels, pixels
from graphdl.data.download import Archive, write_atomically
from graphdl.data.request import GET_HELP, DataRequest

ARCHIVE = Archive(
    "cifar-10-binary.tar.gz",
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ("https://www.cs.toronto.edu/~kriz/",),
)
_FOLDER = "cifar-10-batches-bin"
_FILES = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_RECORD = 1 + 3 * 32 * 32
"""Bytes of a record: the label, followed by 1,024 bytes each of red, green and blue, row by row."""


def cifar10(request: DataRequest) -> DataSet:
    """See ``graphdl.data.declared``."""
    splits = {}
    files = []
    for split, names in _FILES.items():
        if split not in request.splits:
            continue
        paths = [_find(request, name) for name in names]
        records = np.concatenate([_read(request, path) for path in paths])
        splits[split] = Split(
            split, {"image": pixels(records[:, 1:].reshape(-1, 3, 32, 32)), "label": labels(records[:, 0], 10)}
        )
        files += paths
    return DataSet(
        "cifar10",
        splits,
        class_names={"label": _NAMES},
        published={"image": Statistics((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))},
        span=request.setting.span,
        files=files,
    )


def _find(request: DataRequest, name: str) -> Path:
    home = request.root / "cifar10"
    candidates = [home / _FOLDER / name, home / name]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if request.download:
        archive = request.fetch(ARCHIVE, home)
        unpack(request, archive, home / _FOLDER)
        archive.unlink()
        return candidates[0]
    raise request.missing(f"the file {name}", candidates, help=GET_HELP)


def unpack(request: DataRequest, archive: Path, folder: Path) -> None:
    """Extracts the record files of the official archive, and no others, into a folder.

    Raises:
        ModelError: E0705, the archive is damaged or lacks one of them.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for name in [name for names in _FILES.values() for name in names]:
                content = tar.extractfile(f"{_FOLDER}/{name}")
                if content is None:
                    raise request.damaged(archive, f"{name} in it is no file")
                with content:
                    write_atomically(folder / name, content)
    except (tarfile.TarError, EOFError, KeyError, zlib.error) as error:
        raise request.damaged(archive, str(error)) from error
    except OSError as error:
        raise request.error("E0708", f"{archive} cannot be unpacked: {error.strerror or error}") from error


def _read(request: DataRequest, path: Path) -> NDArray[np.uint8]:
    content = request.read(path)
    if not content or len(content) % _RECORD:
        raise request.damaged(path, f"{len(content)} bytes are no multiple of one record of {_RECORD} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    wrong = np.flatnonzero(records[:, 0] > 9)
    if wrong.size:
        raise request.error("E0706", f"{path}: label {wrong[0]} is {records[wrong[0], 0]}, expected 0 to 9")
    return records
