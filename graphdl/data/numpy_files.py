"""NumPy's files: ``.npy``, one array, and ``.npz``, a ZIP archive of such files.

An ``.npy`` file consists of six magic bytes, a version, the length of the header, the header (a dict of ``descr``,
``fortran_order`` and ``shape``, as Python writes it) and the elements. The header is matched here, not evaluated. The
size that it declares is checked against the limit before memory of that size is allocated.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np

from graphdl.data.dataset import Array
from graphdl.data.reading import GIB, Reading

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 1 << 16
_ENTRY = re.compile(
    r"""\s*['"](?P<key>descr|fortran_order|shape)['"]\s*:\s*
    (?:['"](?P<descr>[^'"]{1,64})['"]|(?P<fields>\[.*\])|(?P<order>True|False)|\((?P<shape>[\s\d,L]*)\))\s*(?:,|$)""",
    re.VERBOSE | re.DOTALL,
)
_ELEMENTS = re.compile(r"[<>=|]?[?a-zA-Z]\d{0,9}")
_CHUNK = 1 << 20
_LARGEST_READ = 4 << 20
"""The most bytes that are read from an archive at once. The table of contents is one such read."""
_LOCAL_HEADER = 30
"""The bytes of the header before a member of an archive. The last four are the lengths of what follows it."""
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_OTHER_METHODS = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "lzma"}
_ENCRYPTED = 1


class _HeaderError(ValueError):
    """A file of an array is malformed. The message says how."""


class _KindError(ValueError):
    """A file is intact, but of a kind that is not supported. The message says which."""


class _Stream(Protocol):
    def read(self, count: int = -1, /) -> bytes: ...


@dataclass(frozen=True)
class _Header:
    dtype: np.dtype[Any]
    fortran_order: bool
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of the elements. Dimensions of 0 count as 1, so that they do not hide the others."""
        return prod(max(1, length) for length in self.shape) * max(1, self.dtype.itemsize)


def read_npy(reading: Reading, path: Path) -> Array:
    """Reads the array of an ``.npy`` file.

    Raises:
        ModelError: E0704 or E0705, it is missing, damaged or of an unsupported kind; E0718, it is too large.
    """
    with reading.open(path) as file:
        if file.read(2) == b"PK":
            raise reading.unreadable(path, "it is an archive", help="call it .npz")
        file.seek(0)
        try:
            return _array(reading, path, file, "the array")
        except _KindError as error:
            raise _refused(reading, path, str(error)) from error
        except _HeaderError as error:
            raise reading.damaged(path, f"it is no .npy file: {error}") from error


def open_npy(reading: Reading, path: Path) -> Array:
    """The array of an ``.npy`` file: read if it is within the limit, else mapped, so that its parts are read when they
    are used.

    Raises:
        ModelError: as ``read_npy``, except E0718.
    """
    with reading.open(path) as file:
        if file.seek(0, io.SEEK_END) <= reading.limit * GIB:
            return read_npy(reading, path)
        file.seek(0)
        try:
            return _mapped(path, file, 0, file.seek(0, io.SEEK_END))
        except _KindError as error:
            raise _refused(reading, path, str(error)) from error
        except _HeaderError as error:
            raise reading.damaged(path, f"it is no .npy file: {error}") from error


def read_npz(reading: Reading, path: Path, *, may_map: bool = False) -> dict[str, Array]:
    """Reads the arrays of an ``.npz`` file, at least one, by name.

    With ``may_map``, those that are not packed are mapped if all together are beyond the limit: their parts are read
    when they are used, and their checksums are not compared.

    Raises:
        ModelError: as ``read_npy``. The limit applies to all arrays together that are not mapped.
    """
    with reading.open(path) as file:
        if file.read(len(_MAGIC)) == _MAGIC:
            raise reading.unreadable(path, "it is a single array, not an .npz archive", help="call it .npy")
        file.seek(0)
        try:
            with zipfile.ZipFile(_InPieces(file)) as archive:
                members = _members(reading, path, archive, may_map)
                size = sum(info.file_size for _, info in members)
                is_mapped = may_map and size > reading.limit * GIB
                arrays = {
                    name: _mapped_member(path, file, info)
                    if is_mapped and info.compress_type == zipfile.ZIP_STORED
                    else _member(reading, path, archive, info)
                    for name, info in members
                }
        except _KindError as error:
            raise _refused(reading, path, str(error)) from error
        except (
            _HeaderError, zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError,
            NotImplementedError, OverflowError,
        ) as error:  # fmt: skip
            raise reading.damaged(path, f"it cannot be read as .npz ({error})") from error
    if not arrays:
        raise reading.unreadable(path, "it holds no arrays")
    return arrays


def _refused(reading: Reading, path: Path, reason: str) -> Exception:
    return reading.unreadable(path, reason, help="save floats, ints or bools, with numpy.savez")


def _members(
    reading: Reading, path: Path, archive: zipfile.ZipFile, may_map: bool
) -> list[tuple[str, zipfile.ZipInfo]]:
    """The members of an archive by name. All of them can be read, and together those that cannot be mapped are within
    the limit.
    """
    infos = archive.infolist()
    for info in infos:
        if not info.filename.endswith(".npy"):
            raise _KindError(f"'{info.filename}' in it is no array (.npy)")
        if info.flag_bits & _ENCRYPTED:
            raise _KindError(f"'{info.filename}' in it is encrypted")
        if info.compress_type not in _METHODS:
            method = _OTHER_METHODS.get(info.compress_type, f"number {info.compress_type}")
            raise _KindError(f"'{info.filename}' in it is packed by the method {method}; only deflate is read")
    names = [info.filename.removesuffix(".npy") for info in infos]
    name, count = Counter(names).most_common(1)[0] if names else ("", 0)
    if count > 1:
        raise _HeaderError(f"it holds '{name}' {count} times")
    kept = [info for info in infos if not (may_map and info.compress_type == zipfile.ZIP_STORED)]
    reading.require(sum(info.file_size for info in kept), f"{path}: what it holds, unpacked,")
    return list(zip(names, infos, strict=True))


def _member(reading: Reading, path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    with archive.open(info) as stream:
        try:
            array = _array(reading, path, stream, f"'{info.filename}'")
        except (_HeaderError, _KindError) as error:
            raise type(error)(f"'{info.filename}' in it: {error}") from error
        stream.read(1)  # the checksum is compared at the end of the stream
        return array


def _mapped_member(path: Path, file: BinaryIO, info: zipfile.ZipInfo) -> Array:
    """The array of a member that is not packed, mapped."""
    try:
        file.seek(info.header_offset)
        local = _exactly(file, _LOCAL_HEADER)
        start = file.tell() + sum(struct.unpack("<HH", local[-4:]))
        if local[:4] != b"PK\3\4":
            raise _HeaderError(f"there is no member at byte {info.header_offset}")
        return _mapped(path, file, start, start + info.file_size)
    except (_HeaderError, _KindError) as error:
        raise type(error)(f"'{info.filename}' in it: {error}") from error


def _mapped(path: Path, file: BinaryIO, start: int, end: int) -> Array:
    """The array between two places of a file, mapped."""
    end = min(end, file.seek(0, io.SEEK_END))
    file.seek(start)
    header = _header(file)
    size = prod(header.shape) * header.dtype.itemsize
    if file.tell() + size > end:
        raise _HeaderError(f"it ends after {end - file.tell()} of the {size} bytes that its header promises")
    if not size:
        return np.empty(header.shape, header.dtype)
    order: Literal["F", "C"] = "F" if header.fortran_order else "C"
    return np.memmap(path, header.dtype, "r", file.tell(), header.shape, order)


def _array(reading: Reading, path: Path, stream: _Stream, what: str) -> Array:
    header = _header(stream)
    reading.require(header.size, f"{path}: {what}")
    try:
        array: Array = np.empty(header.shape, header.dtype, order="F" if header.fortran_order else "C")
    except ValueError as error:
        raise _HeaderError(f"no array has the shape {list(header.shape)}") from error
    # A view of the elements in the order of the file.
    elements = array.reshape(-1, order="F" if header.fortran_order else "C").view(np.uint8)
    done = 0
    while done < len(elements):
        part = stream.read(min(_CHUNK, len(elements) - done))
        if not part:
            raise _HeaderError(f"it ends after {done} of the {len(elements)} bytes that its header promises")
        elements[done : done + len(part)] = np.frombuffer(part, np.uint8)
        done += len(part)
    return array


def _header(stream: _Stream) -> _Header:
    begin = stream.read(8)
    if begin[:6] != _MAGIC or len(begin) < 8:
        raise _HeaderError(f"it begins with {begin[:6].hex(' ') or 'nothing'}, expected {_MAGIC.hex(' ')}")
    major = begin[6]
    if major not in (1, 2, 3):
        raise _HeaderError(f"version {major} of its format is unknown")
    width = 2 if major == 1 else 4
    length = int.from_bytes(_exactly(stream, width), "little")
    if length > _LONGEST_HEADER:
        raise _HeaderError(f"its header is said to have {length} bytes")
    return _parsed(_exactly(stream, length).decode("utf-8" if major == 3 else "latin-1", "replace"))


def _exactly(stream: _Stream, count: int) -> bytes:
    parts = stream.read(count)
    if len(parts) < count:
        raise _HeaderError("it ends within its header")
    return parts


def _parsed(text: str) -> _Header:
    text = text.strip()
    found: dict[str, re.Match[str]] = {}
    place = 1
    while match := _ENTRY.match(text, place, len(text) - 1):
        found[match["key"]] = match
        place = match.end()
    shown = text if len(text) <= 60 else text[:60] + "…"
    is_whole = text[:1] + text[-1:] == "{}" and not text[place:-1].strip()
    if not is_whole or found.keys() != {"descr", "fortran_order", "shape"}:
        raise _HeaderError(f"its header is {shown!r}")
    descr, order, shape = found["descr"], found["fortran_order"]["order"], found["shape"]["shape"]
    if order is None or shape is None:
        raise _HeaderError(f"its header is {shown!r}")
    try:
        lengths = tuple(int(length.strip().removesuffix("L")) for length in shape.split(",") if length.strip())
    except ValueError as error:
        raise _HeaderError(f"its header is {shown!r}") from error
    return _Header(_dtype(descr), order == "True", lengths)


def _dtype(match: re.Match[str]) -> np.dtype[Any]:
    text = match["descr"]
    if match["fields"]:
        raise _KindError("its elements are records of several fields")
    if text is None or not _ELEMENTS.fullmatch(text):
        raise _HeaderError(f"no elements are of the type '{match[0].strip()[:40]}'")
    if text.lstrip("<>=|")[0] == "O":
        raise _KindError("it holds objects of Python, which are refused")
    try:
        dtype = np.dtype(text)
    except (TypeError, ValueError) as error:
        raise _HeaderError(f"no elements are of the type '{text}'") from error
    if dtype.kind not in "?fiubcSUmM":
        raise _KindError(f"its elements are of the type {dtype}")
    return dtype


class _InPieces(io.RawIOBase):
    """A file that refuses excessive reads, such as those that a forged table of contents causes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, count: int = -1, /) -> bytes:
        place = self._file.tell()
        rest = self._file.seek(0, io.SEEK_END) - place
        self._file.seek(place)
        count = rest if count < 0 else min(count, rest)
        if count > _LARGEST_READ:
            raise _HeaderError(f"its table of contents is said to have {count} bytes")
        return self._file.read(count)

    def seek(self, place: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True
