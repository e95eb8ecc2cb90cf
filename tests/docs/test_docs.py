"""The documents are true: what they show is checked, run and compared, and their links lead somewhere.

A block's first word says what it is: ``net`` is checked (with ``body`` it is the body of the net that language.md
begins with; with ``error=E0401`` it must be wrong in exactly these ways; with ``file=a.net`` it is saved for the blocks
below), ``python`` is run (with ``from=a.py`` its lines stand in that file), ``console`` is run and its output compared,
``sh`` and ``toml`` are parsed, ``text`` is nothing that could be run, and the words of editors are theirs. In an
output ``…`` stands for any text, and on a line by itself for any lines; with ``numbers=any`` other numbers will do,
and with ``exit=1`` the command must fail so. A document's blocks share a folder and, those in Python, their names;
what a reader need not see stands in a comment ``<!-- python … -->``.
"""

import importlib.util
import re
import shlex
import subprocess
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphdl.cli import main
from graphdl.language import Source, check, load_source
from graphdl.language.formatter import format_source
from graphdl.rendering import render
from graphdl.runtime import tuned

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
KINDS = ("net", "python", "console", "sh", "toml", "text", "lua", "elisp", "c", "diff")

_FENCE = re.compile(
    r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$|^<!-- python\n(?P<hidden>.*?)^-->$", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")

BODY = """\
net example() {{
    input image: [3, 32, 32]
    input x: [4]
    input sequence: [7, 5]
    input words: class(1000)[7]
    input label: class(10)
{}
}}
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of a document; its words after the first are options, some with a value."""

    line: int
    kind: str
    options: dict[str, str]
    text: str


def blocks(page):
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match["hidden"] is not None:
            found.append(Block(line, "python", {}, match["hidden"]))
            continue
        kind, *words = match["info"].split() or [""]
        found.append(Block(line, kind, dict(word.partition("=")[::2] for word in words), match["text"]))
    return found


def name_of(page):
    return page.name


def tool(name):
    """A module of the folder tools, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ------------------------------------------------------------------------------------------------------------ the pages


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_what_it_is(page):
    unknown = [f"{page.name}:{block.line}: {block.kind!r}" for block in blocks(page) if block.kind not in KINDS]
    assert unknown == []


@pytest.fixture
def _tables_of_its_own(tmp_path, monkeypatch):
    """What a page measures on a busy machine is not kept for the user."""
    monkeypatch.setattr(tuned, "cache_folder", lambda: tmp_path / "cache")
    yield
    tuned.choice_of.cache_clear()


@pytest.mark.usefixtures("_tables_of_its_own")
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_do_what_the_page_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "models").symlink_to(ROOT / "models")
    (tmp_path / "pyproject.toml").touch()  # the folder that imports may not leave
    names = {"__name__": "document"}
    for block in blocks(page):
        place = f"{page.name}:{block.line}"
        if block.kind == "net":
            check_net(block, place)
        elif "new" in block.options or block.kind == "diff":
            continue  # what CONTRIBUTING.md adds to a copy of the repository: see test_contributing.py
        elif "from" in block.options:
            text = (ROOT / block.options["from"]).read_text(encoding="utf-8")
            missing = [line for line in block.text.splitlines() if line.strip() not in text]
            assert missing == [], place
        elif block.kind == "python":
            lines = "\n" * block.line + block.text  # so that a traceback names the document's line
            exec(compile(lines, str(page), "exec"), names)
        elif block.kind == "console":
            run_console(block, place)
        elif block.kind == "sh":
            parsed = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True)
            assert parsed.returncode == 0, f"{place}: {parsed.stderr}"
        elif block.kind == "toml":
            tomllib.loads(block.text)


def check_net(block, place):
    text = block.text
    if "body" in block.options:
        text = BODY.format(textwrap.indent(text.rstrip("\n"), "    "))
    if "file" in block.options:
        Path(block.options["file"]).write_text(text, encoding="utf-8")
        found = check(load_source(block.options["file"]))
    else:
        found = check(Source("example.net", text, str(Path("example.net").resolve())))
    if "body" in block.options:
        found = [d for d in found if d.is_error]  # few of the net's inputs are used
    wanted = sorted(set(block.options.get("error", "").split(",")) - {""})
    assert sorted({d.code for d in found}) == wanted, f"{place}\n" + "\n\n".join(map(render, found))
    if not wanted:
        assert format_source(Source("example.net", text)) == text, f"{place} is not in the canonical style"


def run_console(block, place):
    for command, expected in commands(block.text):
        words = shlex.split(command, comments=True)
        if words[0] == "cat":
            output = Path(words[1]).read_text(encoding="utf-8")
        else:
            assert words[0] == "graphdl", f"{place}: {command}"
            result = CliRunner().invoke(main, words[1:])
            wanted = int(block.options.get("exit", "0"))
            assert result.exit_code == wanted, f"{place}: {command}\n{result.output}\n{result.exception!r}"
            output = result.output
        same(expected, output, f"{place}: {command}", numbers=block.options.get("numbers") == "any")


def commands(text):
    """Each command behind a ``$``, with the output below it."""
    found = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found[-1][0].endswith("\\"):
            found[-1] = (found[-1][0][:-1] + line, [])
        else:
            found[-1][1].append(line)
    return found


def same(expected, output, place, *, numbers):
    """Compares what a document shows with what came; nothing is compared where it shows nothing."""
    lines = [line.rstrip() for line in output.splitlines()]
    if not "".join(expected).strip():
        return
    pattern = "\n".join(pattern_of(line.rstrip(), numbers=numbers) for line in expected)
    pattern = pattern.replace("(?:.*\n)*\n", "(?:.*\n)*").removesuffix("\n(?:.*\n)*")
    found = "\n".join(lines) + "\n"
    if re.fullmatch(pattern + ("\n(?:.*\n)*" if expected[-1].strip() == "…" else "\n*"), found) is None:
        pytest.fail(f"{place}\nthe document shows\n" + "\n".join(expected) + "\nand what came is\n" + found)


def pattern_of(line, *, numbers):
    if line.strip() == "…":
        return "(?:.*\n)*"
    parts = []
    for part in line.split("…"):
        if numbers:
            pieces = _NUMBER.split(part)
            escaped = _NUMBER.pattern.join(re.escape(piece) for piece in pieces)
            parts.append(re.sub("─+", "─+", re.sub(r"(?:\\ )+", " +", escaped)))
        else:
            parts.append(re.escape(part))
    return ".*".join(parts)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    broken = []
    for target in _LINK.findall(text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(page):
    """The names that GitHub gives to a document's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


# ----------------------------------------------------------------------------------------------------- completeness


def test_the_tables_of_the_reference_are_current():
    reference = tool("reference")
    page = reference.PAGE.read_text(encoding="utf-8")
    assert reference.filled(page) == page, "run python tools/reference.py"
    assert set(re.findall(r"<!-- table: (\w+)", page)) == set(reference.TABLES)


def test_the_page_of_the_layers_is_current_and_every_source_is_used():
    from graphdl.language.expansion.files import LIBRARY, library_file

    reference = tool("reference")
    page = reference.LAYERS.read_text(encoding="utf-8")
    assert reference.layers() == page, "run python tools/reference.py"
    definitions = [d for path in LIBRARY.glob("*.net") for d in library_file(path).definitions.values()]
    texts = [" ".join((d.written.documentation or "").split()) for d in definitions]
    assert {name for text in texts for name in reference.cited(text)} == set(reference.SOURCES)
    years = [year for text in texts for year in re.findall(r"\b(?:19|20)\d\d\b", text)]
    assert len(years) == sum(len(reference.cited(text)) for text in texts), "a year stands outside of a citation"


def test_the_reference_names_every_word():
    from graphdl.language.expansion.files import library_index
    from graphdl.language.expansion.meaning import HIDDEN, language_names
    from graphdl.language.expansion.training import WORDS
    from graphdl.language.lexer import RESERVED, soft_words

    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    page = re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)
    code = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`]+`|^    .*$", page, re.MULTILINE))))
    words = {*library_index(), *language_names(), *WORDS, *RESERVED, *soft_words()} - HIDDEN
    assert sorted(words - code) == []


def test_the_diagnostics_are_those_of_the_fixtures():
    diagnostics = tool("diagnostics")
    page = diagnostics.PAGE.read_text(encoding="utf-8")
    assert diagnostics.filled(page) == page, "run python tools/diagnostics.py"


def test_every_code_is_shown():
    from graphdl.language.codes import catalogue

    diagnostics = tool("diagnostics")
    page = diagnostics.PAGE.read_text(encoding="utf-8")
    elsewhere = re.search(r"^`E0705`.*?are shown by the tests", page, re.MULTILINE | re.DOTALL)[0]
    in_python = re.findall(r"E\d{4}", "".join(b.text for b in blocks(diagnostics.PAGE) if b.kind == "python"))
    assert sorted(set(catalogue()) - diagnostics.shown(page) - {*in_python, *re.findall(r"E\d{4}", elsewhere)}) == []


SYNTAX = sorted((ROOT / "tests" / "language" / "diagnostics").glob("E01*.net"))


@pytest.mark.parametrize("path", SYNTAX, ids=lambda path: path.stem)
def test_syntax_fixture(path):
    found = check(Source(path.name, path.read_text(encoding="utf-8"), str(path)))
    assert "\n\n".join(map(render, found)) + "\n" == path.with_suffix(".txt").read_text(encoding="utf-8")
    assert path.name[:5] in {d.code for d in found}


def test_every_verb_and_option_is_described():
    import click

    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    missing = []
    with click.Context(main) as context:
        for verb in main.list_commands(context):
            section = re.search(rf"^## {verb}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
            if section is None:
                missing.append(verb)
                continue
            command = main.get_command(context, verb)
            for parameter in command.params:
                if getattr(parameter, "hidden", False):
                    continue
                named = [o for o in parameter.opts if o.startswith("-")]
                shared = "## Options that several verbs have" in page and any(o in COMMON for o in named)
                if named and not shared and not any(f"`{o}" in section[1] for o in named):
                    missing.append(f"{verb} {named[0]}")
    assert missing == []


COMMON = ("--net", "--set", "--device", "--data", "--data-root", "--download", "--json")
