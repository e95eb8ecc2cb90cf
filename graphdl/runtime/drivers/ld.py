"""A linker for PoCL's kernels: it turns one object file for x86-64 Linux into a shared library.

PoCL calls ``ld`` for each kernel, with libraries that only a C compiler's packages install, and ends the process if
``ld`` fails. Few servers and containers have a compiler. A kernel needs little of a linker: it is one object of code
and constants that rarely refers to external symbols. This linker is used if the system's fails (see ``linker``). It
runs as a separate program and imports only the standard library, so that it starts within milliseconds.

Reference: System V Application Binary Interface, AMD64 Architecture Processor Supplement, version 1.0.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence

_PAGE = 4096
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_WORD = struct.Struct("<Q")

_WRITE, _ALLOCATE, _EXECUTE, _THREAD_LOCAL = 1, 2, 4, 0x400
_PROGBITS, _SYMTAB, _RELA, _NOBITS = 1, 2, 4, 8
_ABSOLUTE_64, _PC_32, _PLT_32, _GLOB_DAT, _RELATIVE, _PC_64 = 1, 2, 4, 6, 8, 24
_GOT_PC = (9, 41, 42)  # GOTPCREL, GOTPCRELX, REX_GOTPCRELX
_STUB = b"\xff\x25"  # jmp *offset(%rip)


class UnsupportedError(Exception):
    """The object contains something that this linker does not support."""


class _Section:
    def __init__(self, data: bytes, fields: tuple[int, ...]) -> None:
        self.name_at, self.kind, self.flags, _, offset, self.size, self.link, self.info, self.align, _ = fields
        self.content = bytearray(self.size if self.kind == _NOBITS else data[offset : offset + self.size])
        self.address = -1


class _Symbol:
    def __init__(self, name: bytes, fields: tuple[int, ...]) -> None:
        _, info, _, self.section, self.value, self.size = fields
        self.name, self.info = name, info

    @property
    def is_global(self) -> bool:
        return self.info >> 4 != 0


class _Link:
    """An object file that is being linked. ``parts`` holds the sections that are loaded, by index."""

    def __init__(self, data: bytes) -> None:
        header = _HEADER.unpack_from(data)
        if not data.startswith(b"\x7fELF\x02\x01") or header[1:3] != (1, 62):
            raise UnsupportedError("not an object file for x86-64")
        self.sections = [
            _Section(data, _SECTION.unpack_from(data, header[6] + index * _SECTION.size)) for index in range(header[12])
        ]
        names = self.sections[header[13]].content
        self.parts = {
            index: section
            for index, section in enumerate(self.sections)
            if section.flags & _ALLOCATE and section.size and _text(names, section.name_at) != b".eh_frame"
        }
        for section in self.parts.values():
            if section.kind not in (_PROGBITS, _NOBITS) or section.flags & _THREAD_LOCAL:
                raise UnsupportedError(f"a section of kind {section.kind}")
        self.symbols = self._read_symbols()
        self.slots: dict[int, int] = {}
        """The index in the table of addresses, by symbol."""
        self.stubs: dict[int, int] = {}
        """The index in the table of jumps, by symbol."""
        self.dynamic: list[tuple[int, int, int]] = []
        """Relocations for the loader: place, symbol and kind, addend."""

    def _read_symbols(self) -> list[_Symbol]:
        table = next((section for section in self.sections if section.kind == _SYMTAB), None)
        if table is None:
            raise UnsupportedError("no symbols")
        strings = self.sections[table.link].content
        return [_Symbol(_text(strings, entry[0]), entry) for entry in _SYMBOL.iter_unpack(table.content)]

    def relocations(self) -> list[tuple[_Section, int, int, int, int]]:
        """The section, offset, kind, symbol and addend of every relocation."""
        found = []
        for table in self.sections:
            if table.kind == _RELA and table.info in self.parts:
                for offset, info, addend in _RELOCATION.iter_unpack(table.content):
                    found.append((self.parts[table.info], offset, info & 0xFFFFFFFF, info >> 32, addend))
        return found

    def reserve(self) -> None:
        """Reserves the slots and stubs that the relocations need."""
        for _, _, kind, symbol, _ in self.relocations():
            outside = self.symbols[symbol].section == 0
            if kind in _GOT_PC:
                self.slots.setdefault(symbol, len(self.slots))
            elif outside and kind == _PLT_32:
                self.slots.setdefault(symbol, len(self.slots))
                self.stubs.setdefault(symbol, len(self.stubs))
            elif kind not in (_PC_32, _PLT_32, _PC_64, _ABSOLUTE_64) or (outside and kind != _ABSOLUTE_64):
                raise UnsupportedError(f"relocation {kind} of '{self.symbols[symbol].name.decode()}'")

    def address(self, symbol: int) -> int:
        entry = self.symbols[symbol]
        if entry.section not in self.parts:
            raise UnsupportedError(f"symbol '{entry.name.decode()}' in section {entry.section}")
        return self.parts[entry.section].address + entry.value

    def fill_in(self, table: int, jumps: int) -> None:
        """Applies every relocation. ``table`` and ``jumps`` are the addresses of the two tables."""
        for section, offset, kind, symbol, addend in self.relocations():
            place = section.address + offset
            if kind == _ABSOLUTE_64:
                self._fill_pointer(place, symbol, addend)
                if not section.flags & _WRITE:
                    raise UnsupportedError("a pointer among the constants")
                continue
            if kind in _GOT_PC:
                target = table + 8 * self.slots[symbol]
            elif symbol in self.stubs:
                target = jumps + 8 * self.stubs[symbol]
            else:
                target = self.address(symbol)
            struct.pack_into("<q" if kind == _PC_64 else "<i", section.content, offset, target + addend - place)
        for symbol, slot in self.slots.items():
            self._fill_pointer(table + 8 * slot, symbol, 0, _GLOB_DAT)

    def _fill_pointer(self, place: int, symbol: int, addend: int, kind: int = _ABSOLUTE_64) -> None:
        if self.symbols[symbol].section == 0:
            self.dynamic.append((place, symbol << 32 | kind, addend))
        else:
            self.dynamic.append((place, _RELATIVE, self.address(symbol) + addend))


def link(data: bytes) -> bytes:
    """Links an object file and returns the shared library.

    Raises:
        UnsupportedError: the object needs a full linker.
    """
    work = _Link(data)
    work.reserve()
    exported = [index for index, symbol in enumerate(work.symbols) if index and symbol.is_global]
    numbers = {index: number for number, index in enumerate(exported, 1)}
    strings = b"\0" + b"".join(work.symbols[index].name + b"\0" for index in exported)
    pointers = sum(relocation[2] == _ABSOLUTE_64 for relocation in work.relocations()) + len(work.slots)

    # Three segments, each starting on a page of its own: read-only (tables, constants), executable, and writable.
    hash_at = _HEADER.size + 5 * _SEGMENT.size
    hash_table = _hash_table(len(exported))
    symbols_at = _aligned(hash_at + len(hash_table), 8)
    relocations_at = symbols_at + _SYMBOL.size * (len(exported) + 1)
    strings_at = relocations_at + _RELOCATION.size * pointers
    read_end = _place(work, 0, strings_at + len(strings))
    run_at = _aligned(read_end, _PAGE)
    jumps_at = _aligned(_place(work, _EXECUTE, run_at), 16)
    run_end = jumps_at + 8 * len(work.stubs)
    dynamic_at = _aligned(run_end, _PAGE)
    table_at = dynamic_at + 16 * 10
    write_end = _place(work, _WRITE, table_at + 8 * len(work.slots))

    work.fill_in(table_at, jumps_at)
    image = bytearray(write_end)
    segments = [
        (1, 4, 0, read_end),
        (1, 5, run_at, run_end - run_at),
        (1, 6, dynamic_at, write_end - dynamic_at),
        (2, 6, dynamic_at, 16 * 10),  # PT_DYNAMIC
        (0x6474E551, 6, 0, 0),  # PT_GNU_STACK: not executable
    ]
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    image[: _HEADER.size] = _HEADER.pack(
        ident, 3, 62, 1, 0, _HEADER.size, 0, 0, _HEADER.size, _SEGMENT.size, len(segments), 0, 0, 0
    )
    for number, (kind, flags, start, size) in enumerate(segments):
        align = _PAGE if kind == 1 else 8
        entry = _SEGMENT.pack(kind, flags, start, start, start, size, size, align)
        _write(image, _HEADER.size + number * _SEGMENT.size, entry)
    _write(image, hash_at, hash_table)
    for index in exported:
        symbol = work.symbols[index]
        defined = symbol.section != 0
        name_at = strings.index(b"\0" + symbol.name + b"\0") + 1
        fields = (name_at, symbol.info, 0, 1 if defined else 0, work.address(index) if defined else 0, symbol.size)
        _write(image, symbols_at + numbers[index] * _SYMBOL.size, _SYMBOL.pack(*fields))
    for number, (place, info, addend) in enumerate(work.dynamic):
        info = numbers[info >> 32] << 32 | info & 0xFFFFFFFF if info >> 32 else info
        _write(image, relocations_at + number * _RELOCATION.size, _RELOCATION.pack(place, info, addend))
    _write(image, strings_at, strings)
    for symbol_index, number in work.stubs.items():
        place = jumps_at + 8 * number
        offset = table_at + 8 * work.slots[symbol_index] - (place + 6)
        _write(image, place, _STUB + struct.pack("<i", offset))
    tags = [
        (4, hash_at),  # DT_HASH
        (5, strings_at),  # DT_STRTAB
        (6, symbols_at),  # DT_SYMTAB
        (10, len(strings)),  # DT_STRSZ
        (11, _SYMBOL.size),  # DT_SYMENT
        (7, relocations_at),  # DT_RELA
        (8, _RELOCATION.size * pointers),  # DT_RELASZ
        (9, _RELOCATION.size),  # DT_RELAENT
        (24, 0),  # DT_BIND_NOW
        (0, 0),
    ]
    _write(image, dynamic_at, b"".join(_WORD.pack(tag) + _WORD.pack(value) for tag, value in tags))
    for section in work.parts.values():
        _write(image, section.address, bytes(section.content))
    return bytes(image)


def _place(work: _Link, flags: int, address: int) -> int:
    """Assigns addresses from ``address`` on to the sections of one segment. Returns the end."""
    for section in work.parts.values():
        if section.flags & (_WRITE | _EXECUTE) == flags:
            section.address = _aligned(address, max(1, section.align))
            address = section.address + section.size
    return address


def _hash_table(count: int) -> bytes:
    """DT_HASH with one bucket. Its chain contains all symbols from the last to the first."""
    words = [1, count + 1, count, 0, *range(count)]  # buckets, symbols, the bucket, each symbol's next (0 ends)
    return struct.pack(f"<{len(words)}I", *words)


def _aligned(value: int, align: int) -> int:
    return -(-value // align) * align


def _text(strings: bytearray, start: int) -> bytes:
    return bytes(strings[start : strings.index(0, start)])


def _write(image: bytearray, start: int, content: bytes) -> None:
    image[start : start + len(content)] = content


def main(arguments: Sequence[str]) -> int:
    """Links the one object among ``ld``'s arguments to the file after ``-o``. Returns the exit code."""
    try:
        (source,) = (word for word in arguments if word.endswith(".o"))
        with open(source, "rb") as file:
            library = link(file.read())
        with open(arguments[arguments.index("-o") + 1], "wb") as file:
            file.write(library)
    except (UnsupportedError, OSError, struct.error, IndexError, ValueError) as error:
        print(f"graphdl's linker for PoCL: {error}; install a C compiler's linker", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
