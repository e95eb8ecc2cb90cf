"""What files hold and are called does not steer the terminal, nor GitHub's runner."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphdl.rendering import printable, printable_lines

NET = "net n() {\n    input x: [4]\n    output y = x -> linear(2)\n}\n"


def graphdl(*words: str | bytes | Path, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "graphdl", *words], cwd=cwd, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 100 %: naïve, 猫, ไทย, हिन्दी", "plain text, 100 %: naïve, 猫, ไทย, हिन्दी"),
        ("a\tb", "a\tb"),
        ("\x1b[31m red \x1b[0m", "\\x1b[31m red \\x1b[0m"),
        ("\x00 \x07 \x08 \x7f", "\\x00 \\x07 \\x08 \\x7f"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\r\n", "a\\nb\\r\\n"),
        ("user\u202egnp.\u2066exe", "user\\u202egnp.\\u2066exe"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\u2028", "\\u2028"),
        ("tag\U000e0041", "tag\\U000e0041"),
        (os.fsdecode(b"caf\xe9.net"), "caf\\xe9.net"),
        ("👩\u200d🔬 क्\u200dष", "👩\u200d🔬 क्\u200dष"),
    ],
)
def test_what_steers_is_written_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_the_lines_of_a_longer_text_stay() -> None:
    assert printable_lines("a\n\x1bb\n") == "a\n\\x1bb\n"


def test_every_character_can_be_written_and_none_is_a_control() -> None:
    for code in range(0x110000):
        shown = printable(chr(code))
        shown.encode("utf-8")
        assert all(c == "\t" or not (c < " " or "\x7f" <= c <= "\x9f") for c in shown)


def test_show_escapes_what_comments_hold(tmp_path: Path) -> None:
    (tmp_path / "a.net").write_text("## Clear: \x1b[2J\n" + NET, "utf-8")
    result = graphdl("show", "a.net", cwd=tmp_path)
    assert result.returncode == 0
    assert b"\x1b" not in result.stdout
    assert b"Clear: \\x1b[2J" in result.stdout


def test_a_difference_escapes_what_comments_hold(tmp_path: Path) -> None:
    (tmp_path / "a.net").write_text("#   Clear: \x1b[2J\n" + NET.replace("    ", " "), "utf-8")
    result = graphdl("fmt", "--diff", "a.net", cwd=tmp_path)
    assert result.returncode == 1
    assert b"\x1b" not in result.stdout
    assert b"\\x1b[2J" in result.stdout


@pytest.mark.parametrize("stage", ["tree", "modules", "operators"])
def test_stages_of_the_compiler_escape_names_of_files(tmp_path: Path, stage: str) -> None:
    (tmp_path / "\x1b[2J.net").write_text(NET, "utf-8")
    result = graphdl("compile", "--emit", stage, "\x1b[2J.net", cwd=tmp_path)
    assert result.returncode == 0
    assert b"\x1b" not in result.stdout
    assert b"\\x1b[2J.net" in result.stdout


def test_a_name_of_a_file_starts_no_workflow_command(tmp_path: Path) -> None:
    name = "a\n::error::told, 100%: \r.net"
    (tmp_path / name).write_text(NET.replace("linear", "linaer"), "utf-8")
    result = graphdl("check", "--format", "github", name, cwd=tmp_path)
    assert result.returncode == 1
    (line,) = result.stdout.decode().splitlines()
    assert line.startswith("::error file=a%0A%3A%3Aerror%3A%3Atold%2C 100%25%3A %0D.net,line=3,col=21,title=E0201")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = b"caf\xe9.net"
    (tmp_path / os.fsdecode(name)).write_text(NET.replace("linear", "linaer"), "utf-8")
    for words in (["check"], ["check", "--format", "json"], ["check", "--format", "github"], ["show"], ["fmt"]):
        result = graphdl(*words, name, cwd=tmp_path)
        assert b"Traceback" not in result.stderr
        assert (b"caf\\xe9" in result.stdout + result.stderr) or b"caf\\udce9" in result.stdout or words == ["fmt"]
    (tmp_path / os.fsdecode(name)).write_text(NET, "utf-8")
    for words in (["show"], ["compile", "--emit", "modules"], ["view", "--format", "svg"], ["view", "-o", "-"]):
        result = graphdl(*words, name, cwd=tmp_path)
        assert (result.returncode, result.stderr) == (0, b"")
