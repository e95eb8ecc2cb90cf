"""Packs many kernels into one program: texts that were written separately are joined without conflicts of names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

from graphdl.compiler.program import Kernel

_COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$", re.MULTILINE)
_MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)
_ATTRIBUTE = re.compile(r" __attribute__ \( \)")
# Clang and its derivatives write the place first; PoCL writes it last.
_ERROR = re.compile(r"^(?:error: )?(?P<name>\w+):(?P<line>\d+):\d+:(?! warning| note)", re.MULTILINE)
_TOKEN = re.compile(r"[A-Za-z_]\w*|[(){}\[\];=,]")


def packs(kernels: Iterable[Kernel], size: int) -> list[list[Kernel]]:
    """Divides distinct kernels into packs of about ``size``.

    The pack of a kernel depends on the hash of its text, so that a changed kernel invalidates only its own pack.
    """
    distinct = sorted(set(kernels), key=unique_name)
    count = 1
    while count * size < len(distinct):
        count *= 2
    buckets: list[list[Kernel]] = [[] for _ in range(count)]
    for kernel in distinct:
        buckets[int(_digest(kernel), 16) % count].append(kernel)
    return [bucket for bucket in buckets if bucket]


def unique_name(kernel: Kernel) -> str:
    """The name of the kernel's function in a joined text."""
    return f"{kernel.name}_{_digest(kernel)}"


def joined(kernels: Sequence[Kernel]) -> str:
    """One text for all kernels. In the compiler's messages the file is the kernel's name and the line is that of its
    text.
    """
    return "".join(apart(kernel, _digest(kernel)) for kernel in kernels)


def apart(kernel: Kernel, suffix: str) -> str:
    """The text of a kernel, so that others can precede and follow it.

    A macro appends ``_suffix`` to every function, type and constant that the text defines at its outermost level. The
    macros that it defines end with it.
    """
    names = [kernel.name] if kernel.renamed else sorted({kernel.name, *_defined(kernel.source)})
    macros = sorted(set(_MACRO.findall(kernel.source)))
    parts = [f"#define {name} {name}_{suffix}" for name in names if name not in macros]
    parts += [f'#line 1 "{kernel.name}_{suffix}"', kernel.source]
    parts += [f"#undef {name}" for name in sorted({*names, *macros})]
    return "\n".join(parts) + "\n"


def failing_kernel(log: str, kernels: Sequence[Kernel]) -> tuple[Kernel, int] | None:
    """The first kernel with an error in a build log, and the line of its text."""
    by_name: Mapping[str, Kernel] = {unique_name(kernel): kernel for kernel in kernels}
    for match in _ERROR.finditer(log):
        if match["name"] in by_name:
            return by_name[match["name"]], int(match["line"])
    return None


def _digest(kernel: Kernel) -> str:
    return hashlib.sha256(f"{kernel.name}\0{kernel.source}".encode()).hexdigest()[:12]


def _defined(source: str) -> set[str]:
    """The names that a text defines outside of all brackets: functions, types and constants."""
    text = _DIRECTIVE.sub("", _COMMENT_OR_STRING.sub(" ", source))
    found: set[str] = set()
    statement = ""
    depth = 0
    for token in _TOKEN.findall(text):
        if token in ")]}":
            depth -= 1
        if depth == 0:
            statement += " " + token
        if token in "([{":
            depth += 1
        # A body ends a function; the braces of a struct are followed by its declarators.
        if depth == 0 and (token == ";" or (token == "}" and re.search(r"\)[^=]*\{ \}$", statement))):
            found |= _names_of(statement)
            statement = ""
    return found


def _names_of(statement: str) -> set[str]:
    """The names that one statement defines. Its brackets are empty: `` inline float f ( ) { }``."""
    statement = _ATTRIBUTE.sub("", statement)
    names = set(re.findall(r" (?:struct|union|enum) (\w+) \{", statement))
    if " typedef " in statement:
        names |= set(re.findall(r" (\w+)(?: \[ \])* ;$", statement))
    elif re.search(r" (?:__)?constant ", statement):
        names |= set(re.findall(r" (\w+)(?: \[ \])* [=;,]", statement))
    else:
        names |= set(re.findall(r" (\w+) \( \)", statement))
    return names
