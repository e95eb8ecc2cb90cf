"""Folders that the library ``datasets`` writes, as data sets: mapped Arrow files, and the kinds of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from graphdl import strict_json
from graphdl.data.classes import class_numbers, classes
from graphdl.data.dataset import DataSet, Field, Origin, Split, Statistics, labels, numbers, stratum
from graphdl.data.folders import IMAGENET
from graphdl.data.packed import PackedImages
from graphdl.data.reading import Reading
from graphdl.data.request import DataRequest
from graphdl.graph.types import TensorType
from graphdl.suggest import did_you_mean, enumerated

_DICT, _STATE, _INFO = "dataset_dict.json", "state.json", "dataset_info.json"
_SPLITS = ("train", "test", "validation")
_NESTED = ("List", "LargeList", "Sequence", "Array2D", "Array3D", "Array4D", "Array5D")
"""The kinds of columns, beside single values, that hold numbers."""


@dataclass(frozen=True)
class _Part:
    """The table of a split, and the kind of each column as ``datasets`` describes it."""

    home: Path
    table: Any
    kinds: Mapping[str, Any]


@dataclass(frozen=True)
class _Cell:
    """The bytes of a picture in a column."""

    home: Path
    column: Any
    row: int

    @property
    def path(self) -> Path:
        return self.home / f"example {self.row}"

    def read(self, reading: Reading) -> bytes:
        content: bytes = self.column[self.row].as_py()
        return content


def huggingface(
    request: DataRequest, dir: str, fields: Mapping[str, str], shape: tuple[int, int, int], test: float
) -> DataSet:
    """See ``graphdl.data.declared``. ``fields`` maps the names of fields to columns."""
    home = request.place(dir, "dir", Path.is_dir)
    parts = _parts(request, home)
    class_names: dict[str, tuple[str, ...]] = {}
    published: dict[str, Statistics] = {}
    splits: dict[str, Split] = {}
    for split, part in parts.items():
        made = {name: _field(request, part, name, column, shape, class_names) for name, column in fields.items()}
        published |= {name: IMAGENET[shape[0]] for name, values in made.items() if isinstance(values, PackedImages)}
        splits[split] = Split(split, made)
        for name, values in made.items():
            if values.type != splits["train"].fields[name].type:
                raise request.error(
                    "E0707",
                    f"'{name}' is {values.type} in {part.home}, {splits['train'].fields[name].type} in "
                    f"{parts['train'].home}",
                    argument=name,
                )
    if "test" not in splits and test:
        train = splits["train"]
        splits["train"], splits["test"] = request.divide(train, test, "test", stratum(train))
    return DataSet(home.name, splits, class_names, published, span=request.setting.span, files=[home])


def _parts(request: DataRequest, home: Path) -> dict[str, _Part]:
    """The tables of the splits, that of ``train`` first."""
    if not (home / _DICT).is_file():
        return {"train": _opened(request, home)}
    listed = _json(request, home / _DICT).get("splits")
    if not isinstance(listed, list) or "train" not in listed:
        raise request.error("E0707", f"{home} has no split 'train'", notes=[f"it has: {listed}"], argument="dir")
    return {split: _opened(request, home / split) for split in _SPLITS if split in listed}


def _opened(request: DataRequest, home: Path) -> _Part:
    try:
        import pyarrow as pa
    except ImportError as error:
        cure = 'install it: pip install "graphdl[huggingface]"'
        message = f"Arrow files need the package pyarrow ({error})"
        raise request.reading.unreadable(home, message, help=cure) from error
    if not (home / _STATE).is_file():
        raise request.error(
            "E0704",
            f"{home} is no data set that 'save_to_disk' wrote: it has no {_STATE}",
            argument="dir",
        )
    state, kinds = _json(request, home / _STATE), _json(request, home / _INFO).get("features")
    files = state.get("_data_files")
    if not isinstance(kinds, dict) or not isinstance(files, list) or not files:
        raise request.damaged(home / _STATE, f"it and {_INFO} name no files and columns")
    if state.get("_indices_data_files"):
        cure = "save it without: data.flatten_indices().save_to_disk(...)"
        raise request.reading.unreadable(home, "its examples are in another order than in its files", help=cure)
    tables = []
    for each in files:
        name = each.get("filename") if isinstance(each, dict) else None
        if not isinstance(name, str) or Path(name).name != name:
            raise request.damaged(home / _STATE, f"it names no file: {each}")
        with request.reading.open(home / name):
            pass  # a missing file, a folder or a device is reported
        try:
            with pa.memory_map(str(home / name)) as source:
                tables.append(pa.ipc.open_stream(source).read_all())
        except (pa.ArrowException, OSError) as error:
            raise request.damaged(home / name, f"it is no stream of Arrow ({error})") from error
    try:
        table = pa.concat_tables(tables)
    except pa.ArrowException as error:
        raise request.damaged(home, f"its files differ in their columns ({error})") from error
    if not table.num_rows:
        raise request.error("E0709", f"{home} has no examples", argument="dir")
    return _Part(home, table, kinds)


def _json(request: DataRequest, path: Path) -> dict[str, Any]:
    try:
        found = strict_json.decode(request.read(path))
    except ValueError as error:
        raise request.damaged(path, f"it is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise request.damaged(path, "an object is expected")
    return found


def _field(
    request: DataRequest,
    part: _Part,
    name: str,
    key: str,
    shape: tuple[int, int, int],
    class_names: dict[str, tuple[str, ...]],
) -> Field:
    """The field of a column, by the kind that ``datasets`` gives it. Adds the names of its classes."""
    import pyarrow as pa

    if key not in part.kinds or key not in part.table.column_names:
        raise request.error(
            "E0709",
            f"{part.home} has no column '{key}'",
            argument=name,
            notes=[f"its columns are: {enumerated(part.table.column_names)}"],
            help=did_you_mean(key, part.table.column_names),
        )
    column, kind = part.table.column(key), part.kinds[key]
    word = kind.get("_type") if isinstance(kind, dict) else None
    try:
        column.validate(full=True)
    except pa.ArrowException as error:
        raise request.damaged(part.home, f"its column '{key}': {error}") from error
    if column.null_count:
        row = column.is_null().to_numpy().argmax()
        raise request.error("E0709", f"{part.home}, example {row}: '{key}' is empty", argument=name)
    if word == "Image":
        return _pictures(request, part, name, column, shape)
    texts: Sequence[str]
    if word == "ClassLabel":
        names = tuple(map(str, kind.get("names") or ()))
        if not pa.types.is_integer(column.type) or len({*names}) < len(names):
            raise request.damaged(part.home, f"its classes of '{key}' have no numbers, or one name twice")
        numbering = column.to_numpy()
        class_names.setdefault(name, names)
        if class_names[name] != names or (request.known.class_names.get(name) or names) != names:
            raise request.error("E0707", f"{part.home}: '{key}' has other classes than in training", argument=name)
        if numbering.min() < 0 or numbering.max() >= len(names):
            row = int(((numbering < 0) | (numbering >= len(names))).argmax())
            message = f"{part.home}, example {row}: {numbering[row]} is no class of '{key}': it has {len(names)}"
            raise request.error("E0706", message, argument=name)
        return labels(numbering, len(names), Origin(part.home))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts = column.to_pylist()
        names = class_names.setdefault(name, tuple(request.known.class_names.get(name) or classes(texts)))
        found = class_numbers(request, name, names, texts, Origin(part.home).of)
        return labels(found, len(names), Origin(part.home))
    if word != "Value" and word not in _NESTED and not isinstance(kind, list):
        raise request.error("E0709", f"{part.home}: '{key}' is of the kind {word}, which is not read", argument=name)
    return _numbers(request, part, name, key, column)


def _pictures(request: DataRequest, part: _Part, name: str, column: Any, shape: tuple[int, int, int]) -> Field:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_struct(column.type) or column.type.get_field_index("bytes") < 0:
        raise request.damaged(part.home, f"its pictures of '{name}' have no bytes")
    content = pc.struct_field(column, "bytes")
    if content.null_count:
        row = int(content.is_null().to_numpy().argmax())
        message = f"its example {row} names a picture in another file"
        cure = "save the data set again: 'save_to_disk' stores the pictures"
        raise request.reading.unreadable(part.home, message, help=cure)
    cells = [_Cell(part.home, content, row) for row in range(len(content))]
    return PackedImages(cells, TensorType(shape), request.reading)


def _numbers(request: DataRequest, part: _Part, name: str, key: str, column: Any) -> Field:
    """A column of numbers, or of lists of one shape."""
    import pyarrow as pa

    request.reading.require(column.nbytes, f"{part.home}: the column '{key}'")
    shape = [len(column)]
    values = column.combine_chunks()
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    while any(is_list(values.type) for is_list in lists):
        lengths: NDArray[Any] = values.value_lengths().to_numpy(zero_copy_only=False)
        if lengths.min() != lengths.max() or not lengths.min():
            fault = f"'{key}' has lists of {lengths.min()} to {lengths.max()}"
            message = f"{part.home}: {fault}, and lists of one length are expected"
            raise request.error("E0709", message, argument=name)
        shape.append(int(lengths[0]))
        values = values.flatten()
        if values.null_count:
            raise request.error("E0709", f"{part.home}: a list of '{key}' has an empty place", argument=name)
    try:
        found = values.to_numpy(zero_copy_only=False).reshape(shape)
        return numbers(found, Origin(part.home))
    except ValueError as error:
        raise request.error("E0709", f"{part.home}: '{key}': {error}", argument=name) from error
