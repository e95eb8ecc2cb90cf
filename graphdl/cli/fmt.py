"""``graphdl fmt``: files in the canonical style. No expensive imports: editors call it when a file is saved."""

from __future__ import annotations

import difflib
import os
import sys
import tempfile
from pathlib import Path

import click

from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.source import Source


@click.command("fmt")
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit with 1 if a file would change.")
@click.option("--diff", "show_diff", is_flag=True, help="Change nothing; show what would change.")
def command(files: tuple[Path, ...], only_check: bool, show_diff: bool) -> int:
    """Brings files to the canonical style, in place. `-` reads standard input and writes standard output."""
    from graphdl.language.formatter import format_source
    from graphdl.rendering import printable, printable_lines

    changed = 0
    faults: list[Diagnostic] = []
    for file in files:
        try:
            source = _read(file)
            styled = format_source(source)
        except ModelError as error:  # a file with a syntax error stays as it is
            faults.extend(error.diagnostics)
            continue
        changed += styled != source.text
        if show_diff:
            click.echo(printable_lines(_difference(source, styled)), nl=False)
        elif str(file) == "-" and not only_check:
            click.echo(styled, nl=False)
        elif styled != source.text:
            click.echo(f"{'would change' if only_check else 'changed'} {printable(source.name)}", err=True)
            if not only_check:
                _replace(file, styled)
    if faults:
        raise ModelError(*faults)
    return 1 if changed and (only_check or show_diff) else 0


def _read(file: Path) -> Source:
    from graphdl.language import load_source
    from graphdl.language.expansion.files import decoded

    if str(file) != "-":
        return load_source(file)
    name = "<standard input>"
    return Source(name, decoded(sys.stdin.buffer.read(), name))


def _difference(source: Source, styled: str) -> str:
    lines = difflib.unified_diff(
        source.text.splitlines(keepends=True), styled.splitlines(keepends=True), source.name, f"{source.name} (styled)"
    )
    return "".join(lines)


def _replace(file: Path, text: str) -> None:
    """Writes a file atomically, and keeps its permissions."""
    target = file.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        os.chmod(name, target.stat().st_mode)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
