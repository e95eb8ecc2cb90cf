"""Lark's parser of the grammar: what is saved of it is never an error, and its short ways change nothing."""

import re
import shutil

import pytest
from test_parser import BLOCKS
from trees import plain

from graphdl.cache import BinaryCache
from graphdl.language import grammar as module
from graphdl.language.grammar import build, grammar
from graphdl.language.lexer import tokenize
from graphdl.language.parser import parse
from graphdl.language.recovery import following
from graphdl.resources import resource
from graphdl.source import Source


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder for the saved parser."""
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path)
    grammar.cache_clear()
    yield tmp_path / "grammar"
    grammar.cache_clear()


def tree():
    return plain(parse(Source("test.net", BLOCKS))[0].declarations)


def test_a_parser_is_saved_and_opened_again(folder, monkeypatch):
    expected = tree()
    assert len(list(folder.iterdir())) == 1
    grammar.cache_clear()
    monkeypatch.delattr(module, "build")  # it is not called
    assert tree() == expected


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 200_000])
def test_a_saved_parser_that_is_none_is_built_anew(folder, damage):
    expected = tree()
    (file,) = folder.iterdir()
    file.write_bytes(damage)
    grammar.cache_clear()
    assert tree() == expected


def test_a_saved_parser_of_other_code_is_built_anew(folder, monkeypatch):
    expected = tree()
    monkeypatch.setattr(BinaryCache, "get", lambda self, *key: b"cno.such.module\nThing\n.")
    grammar.cache_clear()
    assert tree() == expected


def test_without_a_folder_for_caches_it_is_built(folder):
    expected = tree()
    shutil.rmtree(folder)
    folder.write_text("in the way")
    grammar.cache_clear()
    assert tree() == expected


def test_the_grammar_has_no_conflicts_without_its_short_ways():
    text = resource("grammar/net.lark").read_text(encoding="utf-8")
    plain_text = re.sub(r"\?lone_\w+\.\d: operation\n|[ ]+\| lone_\w+\n", "", text)
    assert plain_text.count("lone_") == 0
    assert len(build(text).rules) == len(build(plain_text).rules) + 4


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("", {"import", "let", "block", "net", "train", "$END"}),
        ("let x", {"="}),
        ("net a { x: [3", {"]", ",", "+", "-", "*", "/", "//", "%", "@", "**", "(", "[", "."}),
        ("train { only ", {"PATTERN", "STRING"}),
        ("net a { y = = 3; z = x as", {"NAME"}),
        ("net a { y = = 3", None),
    ],
)
def test_what_can_follow(text, types):
    source = Source("test.net", text)
    tokens = [token for token in tokenize(source).tokens if token.text]
    assert following(source, tokens) == types
