"""The grammar of editors beside the language's own lexer: on every model and library file they agree on what is a
comment, a text, a number, a word of the language or a name. The engine is VS Code's, from npm."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from graphdl.language import Source
from graphdl.language.lexer import RESERVED, soft_words, tokenize

ROOT = Path(__file__).resolve().parents[2]
EDITOR = ROOT / "tools/editor"
FILES = sorted([*(ROOT / "models").rglob("*.net"), *(ROOT / "graphdl/language/library").glob("*.net")])

_WORD_SCOPES = ("keyword.", "storage.", "constant.language")


def node() -> str:
    """The Node program; skips where it or the packages are missing."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("NOT TESTED: the TextMate grammar needs node, which is not installed")
    if not (EDITOR / "node_modules/vscode-textmate").is_dir():
        pytest.skip("NOT TESTED: the TextMate grammar needs its engine: npm ci --prefix tools/editor")
    return program


@cache
def scopes() -> dict[Path, list[list[tuple[int, int, str]]]]:
    """Of each file, each line's tokens: start, end and scope."""
    command = [node(), str(EDITOR / "tokenize.js"), *map(str, FILES)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    return dict(zip(FILES, json.loads(output), strict=True))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_agrees_with_the_lexer(path: Path) -> None:
    source = Source(path.name, path.read_text(encoding="utf-8"))
    lines = scopes()[path]

    def scope(offset: int) -> str:
        line, column = source.position(offset)
        before = source.line(line)[: column - 1]
        units = len(before.encode("utf-16-le")) // 2
        return next(scope for start, end, scope in lines[line - 1] if start <= units < end)

    lexed = tokenize(source)
    assert not lexed.diagnostics
    for start, end in lexed.comments:
        assert scope(start) == "punctuation.definition.comment.net"
        assert scope(end - 1).startswith(("comment.", "punctuation.definition.comment"))
    for token in lexed.tokens:
        if not token.text or not token.type:
            continue
        found = scope(token.start)
        place = f"{source.name}:{source.position(token.start)} {token.text!r} is {found}"
        if token.type == "STRING":
            assert found == "punctuation.definition.string.begin.net", place
            assert scope(token.end - 1) == "punctuation.definition.string.end.net", place
        elif token.type == "PATTERN":
            assert found == "string.unquoted.pattern.net", place
        elif token.type == "NUMBER":
            assert found == scope(token.end - 1) == "constant.numeric.net", place
        elif token.type in RESERVED or token.type in soft_words():
            assert found.startswith(_WORD_SCOPES), place
        elif token.type == "NAME":
            setting = found == "keyword.other.setting.net"  # the words of a train section are names to the lexer
            assert setting or not found.startswith((*_WORD_SCOPES, "comment.", "string.", "constant.")), place
        elif token.type == "->":
            assert found == "keyword.operator.arrow.net", place


def test_the_scopes_of_samples() -> None:
    result = subprocess.run(
        [node(), "--test", "test/"], cwd=EDITOR, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_extension_names_files_that_are_there() -> None:
    manifest = json.loads((EDITOR / "package.json").read_text(encoding="utf-8"))
    language, grammar = manifest["contributes"]["languages"][0], manifest["contributes"]["grammars"][0]
    assert language["extensions"] == [".net"]
    assert grammar["language"] == language["id"]
    named = [manifest["main"], language["configuration"]]
    assert all((EDITOR / name).is_file() for name in named)
    shipped = json.loads((ROOT / "grammar/net.tmLanguage.json").read_text(encoding="utf-8"))
    assert shipped["scopeName"] == grammar["scopeName"]
    assert Path(grammar["path"]).name == "net.tmLanguage.json"
    json.loads((EDITOR / language["configuration"]).read_text(encoding="utf-8"))
    lock = (EDITOR / "package-lock.json").read_text(encoding="utf-8")
    assert '"file:' not in lock
