"""Pairs of lines: padded tokens, lengths and masks, the vocabularies of both sides, and their use by predict."""

import gzip
import json

import numpy as np
import pytest
from click.testing import CliRunner

from graphdl.cli import main
from graphdl.cli.reading import Ways, read_inputs
from graphdl.data.known import Known
from graphdl.data.reading import Reading
from graphdl.data.sets import load
from graphdl.data.vocabulary import Vocabulary, Writing
from graphdl.graph.types import TensorType

LINES = "a cat\tune chatte\tx\nthe cat sits.\tla chatte dort\tx\n\na dog\tun chien\tx\n"


@pytest.fixture
def read(call, tmp_path):
    """Loads a set whose paths lie in the test's own folder."""
    return lambda name, *arguments, known=None, **keywords: load(
        call(name, *arguments, **keywords), root=tmp_path, splits=(), known=known
    )


def rows(split):
    return {name: field.take(np.arange(len(split))).tolist() for name, field in split.fields.items()}


def test_tokens_are_padded_and_begin_and_end(read, tmp_path):
    (tmp_path / "a.tsv").write_text(LINES)
    dataset = read("pairs", "a.tsv", test=0.0)
    assert dataset.class_names == {
        "source": ("<pad>", "<unknown>", "a", "cat", ".", "dog", "sits", "the"),
        "target": ("<pad>", "<unknown>", "<begin>", "<end>", "chatte", "chien", "dort", "la", "un", "une"),
    }
    assert dataset.types["source"] == TensorType((4,), "int", 8)
    assert dataset.types["target"] == dataset.types["next"] == TensorType((4,), "int", 10)
    found = rows(dataset.splits["train"])
    assert found["source"] == [[2, 3, 0, 0], [7, 3, 6, 4], [2, 5, 0, 0]]
    assert found["target"] == [[2, 9, 4, 0], [2, 7, 4, 6], [2, 8, 5, 0]]
    assert found["next"] == [[9, 4, 3, 0], [7, 4, 6, 3], [8, 5, 3, 0]]
    assert (found["source_length"], found["target_length"]) == ([2, 4, 2], [3, 4, 3])
    assert found["source_mask"][0] == [True, True, False, False]
    assert found["target_mask"][:2] == [[True, True, True, False], [True] * 4]
    assert dataset.splits["train"].fields["next"].place(2) == f"{tmp_path / 'a.tsv'}, line 4"


def test_two_files_small_vocabularies_and_the_numbers_of_a_run(read, tmp_path):
    for name, texts in {"a.en": "A b b\nb c\n", "a.fr": "x\ny y\n", "t.en": "b z\nb b b b\n", "t.fr": "y\nx\n"}.items():
        with gzip.open(tmp_path / f"{name}.gz", "wt") as file:
            file.write(texts)
    files = {"test": ["t.en.gz", "t.fr.gz"], "length": [3, 4], "vocabulary": [4, 5]}
    dataset = read("pairs", ["a.en.gz", "a.fr.gz"], lower=True, **files | {"vocabulary": [5, 5]})
    assert dataset.class_names["source"] == ("<pad>", "<unknown>", "b", "a", "c")
    assert dataset.class_names["target"] == ("<pad>", "<unknown>", "<begin>", "<end>", "y")
    # The second pair of the test is longer than the net's input: it is left out.
    assert rows(dataset.splits["test"])["source"] == [[2, 1, 0]]
    (warning,) = dataset.warnings
    assert warning.message == "1 of the 2 pairs of the split 'test' are longer than 'length' and left out"
    assert (warning.code, warning.help, warning.span.text[:8]) == (
        "W0702",
        "length = [4, 2] holds them all",
        "length =",
    )
    assert rows(dataset.splits["train"])["next"] == [[1, 3, 0, 0], [4, 4, 3, 0]]
    known = Known({"source": ["<pad>", "<unknown>", "z", "b"], "target": dataset.class_names["target"]})
    assert rows(read("pairs", ["a.en.gz", "a.fr.gz"], known=known, test=files["test"]).splits["test"])["source"] == [
        [3, 2, 0, 0], [3, 3, 3, 3]
    ]  # fmt: skip


def test_equal_sources_stay_together(read, tmp_path):
    (tmp_path / "a.tsv").write_text("".join(f"s{number % 10}\tt{number}\n" for number in range(40)))
    dataset = read("pairs", "a.tsv", test=0.25, validation=0.34, group="source")
    parts = {}
    for name, split in dataset.splits.items():
        tokens = rows(split)["source"]
        parts[name] = {dataset.class_names["source"][number] for (number,) in tokens} - {"<unknown>"}
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 20, "test": 8, "validation": 12}
    # Only words of the training split have numbers, and no source of it is held out.
    assert len(parts["train"]) == len(dataset.splits["train"]) // 4
    assert parts["test"] == parts["validation"] == set()


@pytest.mark.parametrize(
    ("files", "code", "message"),
    [
        ({"a.tsv": "a\tb\nc d\n"}, "E0709", "a.tsv, line 2: 1 column, expected 2"),
        ({"a.tsv": "a\tb\n\nc\t \n"}, "E0709", "a.tsv, line 3: column 1 is empty, and its counterpart is not"),
        ({"a.tsv": "\n"}, "E0709", "a.tsv has no pairs of lines"),
        ({"a.en": "a\nb\n", "a.fr": "x\n"}, "E0707", "a.en has 2 lines"),
        ({"a.en": "a\nb\n", "a.fr": "x\n\n"}, "E0709", "a.fr, line 2: the line is empty"),
    ],
)
def test_faults_of_the_files(read, tmp_path, complaint, files, code, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    file = "a.tsv" if len(files) == 1 else list(files)
    assert message in complaint(code, read, "pairs", file, test=0.0).message


@pytest.mark.parametrize(
    ("keywords", "code", "message"),
    [
        ({"length": [1, 2]}, "E0712", "has no pair of at most 1 and 1 words"),
        ({"length": [1, 2, 3]}, "E0703", "'length' of 'pairs' must be one or two positive numbers"),
        ({"vocabulary": 4}, "E0703", "'vocabulary' of 'pairs' must be at least 5, found 4"),
        ({"test": 0.1}, "E0712", "the split 'test' is empty"),
        ({"columns": [0]}, "E0703", "'columns' of 'pairs' must be two"),
        ({"columns": [0, 3]}, "E0709", "line 1: 3 columns, expected 4"),
        ({"test": ["a", "b", "c"]}, "E0703", "'test' of 'pairs' must be one file or two, found 3"),
        (
            {"test": 0.5, "group": "sources"},
            "E0703",
            "'group' names 'sources', which the examples of 'pairs' do not have",
        ),
    ],
)
def test_faults_of_the_arguments(read, tmp_path, complaint, keywords, code, message):
    (tmp_path / "a.tsv").write_text(LINES)
    assert message in complaint(code, read, "pairs", "a.tsv", **{"test": 0.0, **keywords}).message


NET = """
net words(s = 2, t = 3, units = 8) {
    input source: class(12)[s]
    input source_mask: bool[s]
    input next: class(14)[t]
    x = source -> embedding(units)
    logits = reshape(where(reshape(source_mask, [s, 1]), x, 0.0) -> flatten -> linear(t * 14), [t, 14])
    output translation = softmax(logits)
    loss sum(cross_entropy(logits, next)) / t
}
train {
    data pairs("a.tsv", length = [2, 3], test = 0.0)
    optimizer adam(0.1); batch 10; epochs 30
}
"""


def test_a_run_keeps_both_vocabularies_for_predictions(tmp_path):
    (tmp_path / "a.net").write_text(NET)
    numbers = "one un,two deux,three trois,four quatre,five cinq,six six,seven sept,eight huit,nine neuf,ten dix"
    pairs = [pair.split() for pair in numbers.split(",")]
    (tmp_path / "a.tsv").write_text("".join(f"{english}\t{french}\n" for english, french in pairs))

    def call(*words):
        return CliRunner().invoke(main, [str(word) for word in words])

    found = call("train", tmp_path / "a.net", "--out", tmp_path / "run")
    assert found.exit_code == 0, found.output
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.2 * losses[0]
    (tmp_path / "b.txt").write_text("nine\nthree\n\nten\n")
    found = call("predict", tmp_path / "run", tmp_path / "b.txt")
    assert found.exit_code == 0, found.output
    assert [line.split("translation ")[1] for line in found.stdout.splitlines()] == ['"neuf"', '"trois"', '"dix"']
    (tmp_path / "b.txt").write_text("nine\ntwo and three\n")
    found = call("predict", tmp_path / "run", tmp_path / "b.txt")
    assert "E0714" in found.stderr
    assert "b.txt, line 2: 3 words, and the net was trained on at most 2" in found.stderr


def test_a_prediction_that_needs_both_sides_reads_two_columns(tmp_path, complaint):
    sides = {"source": ("<pad>", "<unknown>", "a"), "target": ("<pad>", "<unknown>", "<begin>", "<end>", "x")}
    writings = {
        name: (Writing(name, "word", False, "tokens", 3, column, begin=bool(column)), Vocabulary(names))
        for column, (name, names) in enumerate(sides.items())
    }
    types = {name: TensorType((3,), "int", 9) for name in sides}
    (tmp_path / "a.tsv").write_text("a b\tx x\na\tx\n")
    found = read_inputs([tmp_path / "a.tsv"], types, Reading(), Ways(writings=writings)).arrays
    assert found["source"].tolist() == [[2, 1, 0], [2, 0, 0]]
    assert found["target"].tolist() == [[2, 4, 4], [2, 4, 0]]
    (tmp_path / "a.tsv").write_text("a b\n")
    found = complaint("E0709", read_inputs, [tmp_path / "a.tsv"], types, Reading(), Ways(writings=writings))
    assert "a.tsv, line 1: 1 column, expected 2" in found.message
