"""Imports: where files are looked for, what they bring, and what they may not do."""

import pytest

from graphdl.diagnostics import ModelError
from graphdl.language import Source, check, expand, load_source

BLOCKS = "block twice(): x -> y { y = 2 * x }\nblock thrice(): x -> y { y = 3 * x }\n"
NET = "net n() { input x: [4]; output y = x -> %s }\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "blocks.net").write_text(BLOCKS)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "more.net").write_text(
        'import "../blocks.net"\nblock six(): x -> y { y = x -> twice -> thrice }\n'
    )
    return tmp_path


def load(folder, text, name="main.net"):
    (folder / name).write_text(text)
    return load_source(folder / name)


def constants(graph):
    return [node.attributes["value"] for node in graph.nodes if node.operator == "constant"]


def complaints(source, **options):
    return [(d.code, d.message) for d in check(source, **options)]


def test_an_import_brings_blocks_by_name(folder):
    assert constants(expand(load(folder, 'import "blocks.net"\n' + NET % "twice -> thrice"))) == [2, 3]


def test_an_import_under_a_name(folder):
    source = load(folder, 'import "blocks.net" as more\n' + NET % "more.twice -> more.thrice()")
    assert constants(expand(source)) == [2, 3]
    assert complaints(source) == []
    wrong = load(folder, 'import "blocks.net" as more\n' + NET % "more.twyce")
    (found,) = check(wrong)
    assert (found.code, found.message, found.help) == ("E0210", "'more' has no 'twyce'", "did you mean 'twice'?")
    assert [d.code for d in check(load(folder, 'import "blocks.net" as more\n' + NET % "twice"))] == ["E0201"]


def test_imports_are_relative_to_the_importing_file(folder):
    assert constants(expand(load(folder, 'import "parts/more.net"\n' + NET % "six"))) == [2, 3]


def test_an_import_brings_only_the_files_own_blocks(folder):
    (found,) = check(load(folder, 'import "parts/more.net"\n' + NET % "six -> twice"))
    assert (found.code, found.message) == ("E0201", "'twice' is not defined")


def test_a_net_is_imported_as_a_block(folder):
    load(folder, "net small(k = 3) { input image: [4]; output y = image -> linear(k) }\n", "small.net")
    graph = expand(load(folder, 'import "small.net"\n' + NET % "small(5)"))
    assert graph.outputs["y"].type.shape == (5,)
    assert list(graph.parameters) == ["y.small.y.linear.W", "y.small.y.linear.b"]


def test_a_files_own_names_win_over_imported_ones_and_those_over_the_librarys(folder):
    load(folder, "block relu(): x -> y { y = 7 * x }\nblock twice(): x -> y { y = 9 * x }\n", "own.net")
    own = 'import "own.net"\nblock twice(): x -> y { y = 5 * x }\n' + NET % "twice -> relu"
    assert constants(expand(load(folder, own))) == [5, 7]


def test_the_library_keeps_its_own_meaning(folder):
    text = "block sqrt(): x -> y { y = 100 * x }\n" + NET % "linear(3)"
    bound = expand(load(folder, text)).parameters["y.linear.W"].initializer.arguments[1]
    assert bound == 0.5


def test_two_imports_of_one_name(folder):
    load(folder, "block twice(): x -> y { y = x }\n", "other.net")
    source = load(folder, 'import "blocks.net"\nimport "other.net"\n' + NET % "twice")
    (found,) = [d for d in check(source) if d.is_error]
    assert (found.code, found.message, found.span.line) == ("E0211", "two imports bring the name 'twice'", 2)
    assert found.labels[0].span.line == 1


def test_the_librarys_files_can_be_imported_under_a_name(folder):
    graph = expand(
        load(folder, 'import "activation.net" as act\nblock relu(): x -> y { y = 5 * x }\n' + NET % "act.relu")
    )
    assert "maximum" in [node.operator for node in graph.nodes]


def test_a_cycle_is_shown(folder):
    load(folder, 'import "b.net"\nblock a(): x -> y { y = x }\n', "a.net")
    load(folder, 'import "c.net"\nblock b(): x -> y { y = x }\n', "b.net")
    load(folder, 'import "a.net"\nblock c(): x -> y { y = x }\n', "c.net")
    source = load(folder, 'import "a.net"\n' + NET % "a")
    assert complaints(source) == [("E0209", "the imports go round in a circle: a.net -> b.net -> c.net -> a.net")]
    itself = load(folder, 'import "self.net"\n' + NET % "relu", "self.net")
    assert complaints(itself) == [("E0209", "the imports go round in a circle: self.net -> self.net")]


def test_one_file_by_two_ways_is_read_once(folder):
    load(folder, 'import "blocks.net" as b\nblock four(): x -> y { y = x -> b.twice -> b.twice }\n', "four.net")
    source = load(folder, 'import "blocks.net"\nimport "four.net"\n' + NET % "four -> twice")
    assert constants(expand(source)) == [2, 2, 2]


def test_an_import_stays_in_the_project(folder):
    project = folder / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text("")
    source = load(project, 'import "../blocks.net"\n' + NET % "twice")
    assert complaints(source)[0] == ("E0212", "'../blocks.net' lies outside of the project's folder")
    assert constants(expand(source, allow_outside=True)) == [2]
    absolute = load(project, f'import "{folder / "blocks.net"}"\n' + NET % "twice")
    assert complaints(absolute)[0][0] == "E0212"
    assert constants(expand(absolute, allow_outside=True)) == [2]


def test_without_a_project_file_the_folder_of_the_file_is_the_project(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "blocks.net").write_text(BLOCKS)
    source = load(inner, 'import "../blocks.net"\n' + NET % "twice")
    assert complaints(source)[0][0] == "E0212"


def test_a_link_out_of_the_project_is_followed_and_refused(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.net"
    outside.write_text(BLOCKS)
    (folder / "link.net").symlink_to(outside)
    assert complaints(load(folder, 'import "link.net"\n' + NET % "twice"))[0][0] == "E0212"


def test_a_text_without_a_file_imports_the_library_alone(folder):
    source = Source("text", 'import "blocks.net"\n' + NET % "relu")
    assert complaints(source) == [("E0208", "there is no file 'blocks.net'")]


def test_faults_of_an_imported_file_are_shown_in_it(folder):
    load(folder, "block broken(): x -> y {\n    y = x -> nothing\n}\n", "broken.net")
    with pytest.raises(ModelError) as raised:
        expand(load(folder, 'import "broken.net"\n' + NET % "broken"))
    (found,) = raised.value.diagnostics
    assert found.code == "E0201"
    assert found.span.source.name.endswith("broken.net")
    assert found.span.line == 2


def test_a_folder_is_no_file(folder):
    assert complaints(load(folder, 'import "parts"\n' + NET % "relu"))[0] == ("E0208", "there is no file 'parts'")


def test_lets_are_the_files_own(folder):
    load(folder, "let k = 3\nblock times(): x -> y { y = k * x }\n", "lets.net")
    source = load(folder, 'import "lets.net"\nlet k = 8\n' + NET % "times")
    assert constants(expand(source, settings={"k": 9})) == [3]


def test_a_folder_of_ones_own_named_library_is_the_users(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "library").mkdir()
    source = "block wrong(): x -> y { y = x + zeros([7]) }\nnet n() { input x: [3]; output y = x -> wrong }\n"
    (tmp_path / "library" / "mine.net").write_text(source)
    (found,) = check(load_source("library/mine.net"))
    assert (found.code, str(found.span)) == ("E0401", "library/mine.net:1:29")
    assert "library's" not in "".join(found.notes)
