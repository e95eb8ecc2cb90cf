"""The element types of the language: one table of their forms in registers and in memory.

The meaning of an element and its storage are separate. A kernel reads a stored element into a register and computes
there. ``compiler/storage.py`` chooses the form in which a tensor is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphdl.graph.types import Element


@dataclass(frozen=True, slots=True)
class Stored:
    """A form of elements in memory."""

    memory: str
    """The C type."""
    bytes: int
    numpy: str
    """The name of the NumPy type. A bfloat is read as the bits that it is."""
    source: str = ""
    """The file of ``opencl/`` with the macros that read and write the form, for one that kernels compute with as
    floats."""
    precision: str = ""
    """The word after ``precision`` in a train section that chooses the form; empty for the form of an element type."""

    @property
    def register(self) -> str:
        """The C type that is read and written."""
        return "float" if self.source else self.memory

    def read(self, pointer: str, address: str) -> str:
        """The C text that reads an element."""
        return f"LOAD_ONE({self.memory}, {pointer} + ({address}))" if self.source else f"{pointer}[{address}]"

    def read_vector(self, width: int, pointer: str, address: str) -> str:
        """The C text that reads neighbouring elements from any address: a macro of ``opencl/vectors.cl``."""
        return f"LOAD_VECTOR({self.memory}, {width}, {pointer} + ({address}))"

    def write(self, value: str, pointer: str, address: str) -> str:
        """The C statement that writes an element."""
        if self.source:
            return f"STORE_ONE({self.memory}, {value}, {pointer} + ({address}));"
        return f"{pointer}[{address}] = {value};"

    def write_vector(self, width: int, value: str, pointer: str, address: str) -> str:
        """The C statement that writes neighbouring elements."""
        return f"STORE_VECTOR({self.memory}, {width}, {value}, {pointer} + ({address}));"

    def rounded(self, width: int, name: str, value: str) -> str:
        """The C statement that declares ``name``, what is read after ``value`` was written."""
        lanes = f"ROUNDED({self.memory}, {width}" if width > 1 else f"ROUNDED_ONE({self.memory}"
        return f"{lanes}, {name}, {value})"


FLOAT32 = Stored("float", 4, "float32")
INT32 = Stored("int", 4, "int32")
BYTE = Stored("uchar", 1, "uint8")
FLOAT16 = Stored("half", 2, "float16", "halves.cl", "half")
"""IEEE binary16: 11 bits of precision, magnitudes from 6e-8 to 65504."""
BFLOAT16 = Stored("ushort", 2, "uint16", "halves.cl", "bfloat16")
"""The upper half of a float: 8 bits of precision and a float's range."""


@dataclass(frozen=True, slots=True)
class ElementType:
    """An element type of the language."""

    register: str
    """The C type in registers. A bool is 0 or 1 in a scalar, 0 or -1 in a lane of a vector."""
    stored: Stored
    """The form in memory outside of a program, and inside it unless ``compiler/storage.py`` chooses another."""
    accepted: str
    """The kinds of NumPy types (``numpy.dtype.kind``) that are accepted for it."""
    words: str
    """The name of its elements in messages."""


ELEMENTS: Mapping[Element, ElementType] = {
    "float": ElementType("float", FLOAT32, "f", "floating-point numbers"),
    "int": ElementType("int", INT32, "iu", "ints"),
    "bool": ElementType("int", BYTE, "b", "booleans"),
}
