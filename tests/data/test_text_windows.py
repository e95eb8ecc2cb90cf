"""Windows of a text, the vocabulary of its training split, and its use by predict."""

import gzip
import json

import numpy as np
import pytest
from click.testing import CliRunner

from graphdl.cli import main
from graphdl.data.known import Known
from graphdl.data.sets import load
from graphdl.graph.types import TensorType


@pytest.fixture
def read(call, tmp_path):
    """Loads a set whose paths lie in the test's own folder."""
    return lambda name, *arguments, known=None, **keywords: load(
        call(name, *arguments, **keywords), root=tmp_path, splits=(), known=known
    )


def shown(dataset, split, field="text", joint=""):
    split = dataset.splits[split]
    numbers = split.fields[field].take(np.arange(len(split)))
    return [joint.join(dataset.class_names["text"][number] for number in row) for row in numbers]


def test_windows_of_characters_and_what_follows_each(read, tmp_path):
    (tmp_path / "a.txt").write_text("dabcabdabcd" + "bbabaab")
    dataset = read("text", "a.txt", length=3, test=7 / 18)
    assert dataset.types == {name: TensorType((3,), "int", 4) for name in ("text", "next")}
    assert dataset.class_names == {"text": ("a", "b", "c", "d")}  # in the order of their code points
    assert (shown(dataset, "train"), shown(dataset, "train", "next")) == (["dab", "cab", "dab"], ["abc", "abd", "abc"])
    assert shown(dataset, "test") == ["bba", "baa"]  # the end of the text, and no window crosses into it
    assert shown(read("text", "a.txt", length=3, step=2, test=7 / 18), "train") == ["dab", "bca", "abd", "dab"]
    assert dataset.splits["train"].fields["next"].place(1) == f"{tmp_path / 'a.txt'}, from token 4"


def test_validation_is_the_end_of_the_training_text(read, tmp_path, complaint):
    (tmp_path / "a.txt").write_text("abacabababab" + "cdcd")
    keywords = {"length": 2, "test": 0.0, "validation": 0.25}
    dataset = read("text", "a.txt", vocabulary=2, **keywords)
    assert shown(dataset, "train") == ["a<unknown>"] * 5
    assert shown(dataset, "validation") == ["<unknown><unknown>"]
    # The vocabulary is that of the training split: d, which is held out, has no number.
    assert "the character 'd'" in complaint("E0706", read, "text", "a.txt", **keywords).message


def test_a_small_vocabulary_keeps_the_most_frequent(read, tmp_path):
    (tmp_path / "a.txt").write_text("aaabbbbcdcd e")
    dataset = read("text", "a.txt", length=12, vocabulary=4, test=0.0)
    assert dataset.class_names["text"] == ("<unknown>", "a", "b", "c")
    (row,) = dataset.splits["train"].fields["text"].take(np.arange(1))
    assert row.tolist() == [1, 1, 1, 2, 2, 2, 2, 3, 0, 3, 0, 0]


def test_words(read, tmp_path):
    with gzip.open(tmp_path / "a.gz", "wt", encoding="utf-8-sig", newline="") as file:
        file.write("Die Kuh, die\r\nKuh lacht; été_1!  die Kuh weint nun ja")
    dataset = read("text", "a.gz", unit="word", length=4, lower=True, test=5 / 14)
    assert dataset.class_names["text"] == ("<unknown>", "die", "kuh", "!", ",", ";", "lacht", "été_1")
    assert shown(dataset, "test", joint=" ") == ["die kuh <unknown> <unknown>"]
    assert shown(dataset, "train", joint=" ") == ["die kuh , die", "kuh lacht ; été_1"]
    assert read("text", "a.gz", unit="word", length=2, test=0.25).class_names["text"][1] == "Kuh"


def test_a_second_file_and_the_numbers_of_a_run(read, tmp_path, complaint):
    (tmp_path / "a.txt").write_text("banana")
    (tmp_path / "b.txt").write_text("abba\nban")
    dataset = read("text", "a.txt", length=2, test="b.txt", known=Known({"text": ["b", "n", "a", "\n"]}))
    assert dataset.splits["test"].fields["text"].take(np.arange(2)).tolist() == [[2, 0], [0, 2]]
    found = complaint("E0706", read, "text", "a.txt", length=2, test="b.txt")
    assert found.message == f"{tmp_path / 'b.txt'}, line 1: the character '\\n' does not occur in the training text"
    (tmp_path / "b.txt").write_text("ab\nnüb")
    found = complaint("E0706", read, "text", "a.txt", length=2, test="b.txt", known=Known({"text": list("abn\n")}))
    assert "b.txt, line 2: the character 'ü'" in found.message


@pytest.mark.parametrize(
    ("keywords", "code", "message"),
    [
        ({"length": 0}, "E0703", "'length' of 'text' must be at least 1, found 0"),
        ({"unit": "words"}, "E0703", "'unit' of 'text' must be \"char\" or \"word\", found \"words\""),
        ({"vocabulary": 1}, "E0703", "'vocabulary' of 'text' must be at least 2, found 1"),
        ({"test": 1.0}, "E0703", "'test' of 'text' must be at least 0 and below 1"),
        ({"length": 9}, "E0712", "the split 'train' of", ),
        ({"length": 2, "test": 0.2}, "E0712", "has 2 characters: they fill no window of 2 and the one that follows"),
        ({"length": 1, "test": 0.99}, "E0712", "the split 'train' of"),
        ({"test": "b.txt"}, "E0704", "b.txt is missing"),
        ({"blocks": 4}, "E0703", "'blocks' has no effect on 'text': its splits are contiguous parts of the text"),
    ],
)  # fmt: skip
def test_faults_of_the_arguments(read, tmp_path, complaint, keywords, code, message):
    (tmp_path / "a.txt").write_text("abcabcab")
    found = complaint(code, read, "text", "a.txt", **{"test": 0.0, **keywords})
    assert message in found.message


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", "E0709", "a.txt has no characters"),
        (b"ab\nc\xff", "E0705", "a.txt cannot be read: line 2: byte 0xff is no UTF-8 text"),
        (b"\xff\xfea\0", "E0705", "it is UTF-16"),
        (gzip.compress(b"abc" * 99, mtime=0)[:-9], "E0705", "it cannot be unpacked"),
        (gzip.compress(bytes(9_000_000), mtime=0), "E0718", "a.txt: the text, unpacked, takes"),
    ],
)
def test_faults_of_the_file(read, tmp_path, complaint, content, code, message):
    (tmp_path / "a.txt").write_bytes(content)
    assert message in complaint(code, read, "text", "a.txt", limit=0.25).message


NET = """
net writer(v = 6, length = 4) {
    input text: class(v)[length]
    input next: class(v)[length]
    logits = text -> embedding(v)
    output letter = softmax(logits)
    loss cross_entropy(logits, next)
}
train { data text("a.txt", length = 4, test = 0.1); optimizer adam(0.3); batch 8; epochs 6 }
"""


def test_a_run_keeps_the_vocabulary_for_predictions(tmp_path):
    (tmp_path / "a.net").write_text(NET)
    (tmp_path / "a.txt").write_text("words!" * 60)

    def call(*words):
        return CliRunner().invoke(main, [str(word) for word in words])

    found = call("train", tmp_path / "a.net", "--out", tmp_path / "run")
    assert found.exit_code == 0, found.output
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.8 * losses[0]
    # Another order and other counts of the characters: the numbers are the run's.
    (tmp_path / "b.txt").write_text("ow!!s!r")
    found = call("predict", tmp_path / "run", tmp_path / "b.txt")
    assert found.exit_code == 0, found.output
    assert [line.split("letter ")[1] for line in found.stdout.splitlines()] == ['"roww"', '"w!wd"']
    (tmp_path / "b.txt").write_text("woxo")
    found = call("predict", tmp_path / "run", tmp_path / "b.txt")
    assert "E0706" in found.stderr
    assert "line 1: the character 'x'" in found.stderr
    (tmp_path / "a.txt").write_text("!!!!!" + "sdrow" * 60)
    found = call("eval", tmp_path / "run", "--split", "train", "--json")
    assert found.exit_code == 0, found.output
