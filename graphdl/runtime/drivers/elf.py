"""Checks whether a shared library is complete: a truncated one ends the process that loads it."""

from __future__ import annotations

import os
import struct
from pathlib import Path

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_LITTLE_64 = b"\x7fELF\x02\x01"
_LOADED = 1  # PT_LOAD


def is_whole(path: Path) -> bool:
    """Whether a file is a 64-bit little-endian shared library that contains everything its headers declare.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size or not head.startswith(_LITTLE_64):
            return False
        fields = _HEADER.unpack(head)
        segments_at, sections_at = fields[5], fields[6]
        segment_size, segments, section_size, sections = fields[9:13]
        if segment_size != _SEGMENT.size or sections_at + section_size * sections > size:
            return False
        file.seek(segments_at)
        table = file.read(segment_size * segments)
    if len(table) < segment_size * segments:
        return False
    loaded = [segment for segment in _SEGMENT.iter_unpack(table) if segment[0] == _LOADED]
    return bool(loaded) and all(segment[2] + segment[5] <= size for segment in loaded)
