"""Folders of images, one folder for each class. The images are decoded on demand."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graphdl.data.dataset import Array, DataSet, Field, Rows, Split, Statistics, labels
from graphdl.data.pictures import SUFFIXES, decode
from graphdl.data.request import DataRequest
from graphdl.graph.types import TensorType
from graphdl.settings import written
from graphdl.suggest import enumerated

_SPLITS = ("train", "test", "validation")
_OF_SYSTEMS = frozenset({"__MACOSX", "@eaDir"})
"""Folders that systems create: in archives of macOS, and on disks of Synology."""
IMAGENET = {3: Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), 1: Statistics((0.449,), (0.226,))}
"""The usual means and deviations for photographs; for grey ones, the average over the channels."""


@dataclass(frozen=True, eq=False)
class ImageFiles(Field):
    """Images on disk, decoded, scaled and cropped to ``type.shape`` when they are taken."""

    paths: Sequence[Path]
    type: TensorType
    request: DataRequest

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: Rows) -> Array:
        images = np.empty((len(rows), *self.type.shape), np.float32)
        for image, row in zip(images, rows, strict=True):
            image[...] = decode(self.request.reading, self.paths[row], self.type.shape)
        return images

    def select(self, rows: Rows) -> ImageFiles:
        return ImageFiles([self.paths[row] for row in rows], self.type, self.request)

    def place(self, row: int) -> str | None:
        return str(self.paths[row])


def folder(request: DataRequest, dir: str, shape: tuple[int, int, int], test: float | str) -> DataSet:
    """See ``graphdl.data.declared``. ``shape`` is [channels, height, width]."""
    request.reading.require(4 * prod(shape), f"an image of {list(shape)}")
    home = request.place(dir, "dir", Path.is_dir)
    listed = _listed(request, home, test)
    given = request.known.class_names.get("label")
    class_names = tuple(given or sorted({path.parent.name for path in listed["train"]}))
    numbering = {name: number for number, name in enumerate(class_names)}
    image_type = TensorType(shape)
    splits = {}
    for split, paths in listed.items():
        kinds = _numbered(request, split, paths, numbering)
        splits[split] = Split(
            split, {"image": ImageFiles(paths, image_type, request), "label": labels(kinds, len(class_names))}
        )
    is_together = bool(request.division.group or request.division.blocks)
    if test and not isinstance(test, str) and is_together and not (home / "train").is_dir():
        splits["train"], splits["test"] = request.divide(splits["train"], test, "test", stratify="label")
    return DataSet(
        home.name,
        splits,
        class_names={"label": class_names},
        published={"image": IMAGENET[shape[0]]},
        span=request.setting.span,
        files=[home],
    )


def _listed(request: DataRequest, home: Path, test: float | str) -> dict[str, list[Path]]:
    """The images of each split, sorted by path. There is always a training split."""
    if (home / "train").is_dir():
        listed = {split: _images(home / split) for split in _SPLITS if (home / split).is_dir()}
    elif not isinstance(test, str) and (request.division.group or request.division.blocks):
        listed = {"train": _images(home)}
    else:
        paths = _images(home)
        parts: dict[str, list[Path]] = {"train": [], "test": []}
        for path in paths:
            name = f"{path.parent.name}/{path.name}"
            is_test = fnmatchcase(name, test) if isinstance(test, str) else _share(name) < test
            parts["test" if is_test else "train"].append(path)
        if isinstance(test, str) and not parts["test"]:
            message = f"the pattern {written(test)} of the test split matches no image of {home}"
            raise request.error("E0712", message, argument="test")
        listed = {split: chosen for split, chosen in parts.items() if chosen or split == "train"}
    for split, paths in listed.items():
        if not paths:
            raise request.error(
                "E0704",
                f"{home} has no images for the split '{split}'",
                argument="dir",
                notes=[f"images lie in {home}/CLASS or {home}/{split}/CLASS and end in {', '.join(sorted(SUFFIXES))}"],
            )
    return listed


def _images(home: Path) -> list[Path]:
    """The images of all classes. Hidden files and folders, and folders created by systems, are ignored."""
    return sorted(
        path
        for path in home.glob("*/*")
        if path.suffix.lower() in SUFFIXES
        and not path.name.startswith(".")
        and not path.parent.name.startswith(".")
        and path.parent.name not in _OF_SYSTEMS
        and path.is_file()
    )


def _share(name: str) -> float:
    """The hash of a name as a number in [0, 1)."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:6], "big") / 2**48


def _numbered(
    request: DataRequest, split: str, paths: Sequence[Path], numbering: Mapping[str, int]
) -> NDArray[np.int32]:
    kinds = np.zeros(len(paths), np.int32)
    for row, path in enumerate(paths):
        if path.parent.name not in numbering:
            raise request.error(
                "E0706",
                f"class '{path.parent.name}' of split '{split}' is none of the training's",
                notes=[str(path), f"the classes are: {enumerated(numbering)}"],
            )
        kinds[row] = numbering[path.parent.name]
    return kinds
