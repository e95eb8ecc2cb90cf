"""Archives of examples as data sets (WebDataset): in a tar file, the files of an example have one name and several
endings. Only the tables of contents are read at first, and pictures are decoded on demand.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphdl import strict_json
from graphdl.data.classes import class_numbers, classes
from graphdl.data.dataset import DataSet, Field, Split, Statistics, labels, numbers, stratum
from graphdl.data.division import by_pattern
from graphdl.data.folders import IMAGENET
from graphdl.data.packed import PackedImages
from graphdl.data.pictures import SUFFIXES
from graphdl.data.reading import Reading
from graphdl.data.request import DataRequest
from graphdl.graph.types import TensorType
from graphdl.suggest import enumerated

_BYTES_PER_MEMBER = 1000
"""The memory for an entry of a table of contents."""


@dataclass(frozen=True)
class _Member:
    """A file in an archive."""

    archive: Path
    name: str
    offset: int
    size: int

    @property
    def path(self) -> Path:
        """The place of the file, for messages."""
        return self.archive / self.name

    def read(self, reading: Reading) -> bytes:
        """The content.

        Raises:
            ModelError: E0704 or E0705, the archive is missing or ends within the file; E0718, the file is too large.
        """
        reading.require(self.size, f"{self.path}: the file")
        with reading.open(self.archive) as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise reading.damaged(self.path, f"it ends after {len(content)} of {self.size} bytes")
        return content


def shards(
    request: DataRequest, files: str, fields: Mapping[str, str], shape: tuple[int, int, int], test: float | str
) -> DataSet:
    """See ``graphdl.data.declared``. ``fields`` maps the names of fields to endings."""
    paths = _archives(request.place(files, "files", lambda pattern: bool(_archives(pattern))))
    examples: list[dict[str, _Member]] = []
    shard: list[int] = []
    for number, path in enumerate(paths):
        found = _examples(request.reading, path)
        examples += found.values()
        shard += [number] * len(found)
    if not examples:
        raise request.error("E0709", f"{paths[0]} has no examples", argument="files")
    class_names: dict[str, tuple[str, ...]] = {}
    published: dict[str, Statistics] = {}
    made: dict[str, Field] = {}
    for name, endings in fields.items():
        members = [_chosen(request, name, endings.split(";"), example) for example in examples]
        made[name] = _field(request, name, members, shape, class_names)
        if isinstance(made[name], PackedImages):
            published[name] = IMAGENET[shape[0]]
    whole = Split("train", made, {"shard": np.array(shard)})
    splits = {"train": whole}
    if isinstance(test, str):
        names = [paths[number].name for number in shard]
        splits = by_pattern(request, whole, test, names, "archive", paths[0].parent)
    elif test:
        splits["train"], splits["test"] = request.divide(whole, test, "test", stratum(whole))
    return DataSet(
        paths[0].stem,
        splits,
        class_names,
        published,
        span=request.setting.span,
        files=paths,
    )


def _archives(pattern: Path) -> list[Path]:
    """The files of a folder whose names match a pattern, sorted."""
    if not pattern.parent.is_dir():
        return []
    return sorted(path for path in pattern.parent.iterdir() if fnmatchcase(path.name, pattern.name) and path.is_file())


def _examples(reading: Reading, path: Path) -> dict[str, dict[str, _Member]]:
    """The files of each example by their endings. The name of an example ends at the first dot of the file's name."""
    found: dict[str, dict[str, _Member]] = {}
    count = 0
    with reading.open(path) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for info in archive:
                    count += 1
                    reading.require(_BYTES_PER_MEMBER * count, f"{path}: the table of contents")
                    folder, _, base = info.name.rpartition("/")
                    stem, _, ending = base.partition(".")
                    if not info.isfile() or not stem or not ending:
                        continue
                    example = found.setdefault(f"{folder}/{stem}", {})
                    if ending.lower() in example:
                        raise reading.error("E0709", f"{path}: two files of one example are {info.name}")
                    example[ending.lower()] = _Member(path, info.name, info.offset_data, info.size)
                # tarfile ends without an error at a header that is cut.
                file.seek(archive.offset)
                if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                    raise reading.damaged(path, f"it ends at byte {archive.offset} without a mark of its end")
        # tarfile raises other errors than its own for damaged headers: ValueError, EOFError, OverflowError …
        except (tarfile.TarError, ValueError, EOFError, OverflowError) as error:
            raise reading.damaged(path, f"it is no tar archive that is not packed ({error})") from error
    return found


def _chosen(request: DataRequest, name: str, endings: Sequence[str], example: Mapping[str, _Member]) -> _Member:
    for ending in endings:
        if ending.lower().lstrip(".") in example:
            return example[ending.lower().lstrip(".")]
    first = next(iter(example.values()))
    raise request.error(
        "E0709",
        f"{first.path}: its example has no file for '{name}' that ends in .{' or .'.join(endings)}",
        argument=name,
        notes=[f"it has: {enumerated('.' + ending for ending in example)}"],
    )


def _field(
    request: DataRequest,
    name: str,
    members: Sequence[_Member],
    shape: tuple[int, int, int],
    class_names: dict[str, tuple[str, ...]],
) -> Field:
    """The field of the files of one kind. Adds the names of its classes."""
    if f".{members[0].name.rpartition('.')[2].lower()}" in SUFFIXES:
        return PackedImages(members, TensorType(shape), request.reading)
    if members[0].name.lower().endswith(".json"):
        return _numbers(request, name, members)
    texts = [_text(request, member) for member in members]
    names = class_names[name] = tuple(request.known.class_names.get(name) or classes(texts))
    return labels(class_numbers(request, name, names, texts, lambda row: members[row].path), len(names))


def _text(request: DataRequest, member: _Member) -> str:
    try:
        text = member.read(request.reading).decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise request.reading.unreadable(member.path, f"it is no UTF-8 text ({error})") from error
    if not text or "\n" in text:
        raise request.error("E0709", f"{member.path}: one line with the name of a class is expected")
    return text


def _numbers(request: DataRequest, name: str, members: Sequence[_Member]) -> Field:
    """The numbers of JSON files, all of one shape."""
    arrays: list[NDArray[Any]] = []
    for member in members:
        try:
            array = np.array(strict_json.decode(member.read(request.reading)))
            if array.dtype.kind not in "fib" or not array.size:
                raise ValueError("a number, or a list of numbers, is expected")
            if arrays and array.shape != arrays[0].shape:
                raise ValueError(f"its shape is {list(array.shape)}, and that of the first {list(arrays[0].shape)}")
        except ValueError as error:
            raise request.error("E0709", f"{member.path}: {error}", argument=name) from error
        arrays.append(array)
    try:
        return numbers(np.stack(arrays))
    except ValueError as error:
        raise request.error("E0709", f"{members[0].archive}: '{name}': {error}", argument=name) from error
