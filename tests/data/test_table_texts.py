"""Columns of texts in tables, and groups of rows by a column or by a text."""

import numpy as np
import pytest
from PIL import Image

from graphdl.data.known import Known
from graphdl.data.parallel import encoded_lines
from graphdl.data.reading import Reading
from graphdl.data.sets import load
from graphdl.data.vocabulary import Vocabulary, Writing
from graphdl.graph.types import TensorType

GENES = "EI, g1, ACGT\nN,  g2, AAAA\nN,  g3, AAAA\nEI, g4, ACGN\nEI, g5, ACGT\nN, g6, TTT\n"


@pytest.fixture
def read(call, tmp_path):
    """Loads a set whose paths lie in the test's own folder."""
    return lambda name, *arguments, known=None, **keywords: load(
        call(name, *arguments, **keywords), root=tmp_path, splits=(), known=known
    )


def values(split):
    return {name: field.take(np.arange(len(split))).tolist() for name, field in split.fields.items()}


def test_letters_of_a_table_without_header(read, tmp_path):
    (tmp_path / "a.data").write_text(GENES)
    keywords = {"header": False, "label": 0, "text": 2, "unit": "char"}
    dataset = read("csv", "a.data", test=0.0, **keywords)
    assert dataset.types["text"] == TensorType((4,), "int", 7)
    assert dataset.class_names == {"label": ("EI", "N"), "text": ("<pad>", "<unknown>", "A", "C", "G", "N", "T")}
    found = values(dataset.splits["train"])
    assert found.keys() == {"label", "text", "text_length", "text_mask"}
    assert found["text"][0] == [2, 3, 4, 6]
    assert found["text"][5] == [6, 6, 6, 0]
    assert found["text_length"] == [4, 4, 4, 4, 4, 3]
    assert dataset.splits["train"].fields["text"].place(0) == f"{tmp_path / 'a.data'}, line 1"


def test_duplicates_stay_on_one_side(read, tmp_path):
    sequences = ["".join("ACGT"[number >> shift & 3] for shift in (0, 2, 4)) for number in range(60)]
    lines = [f"{'ab'[number % 2]},{number},{sequences[number % 40]}" for number in range(60)]
    (tmp_path / "a.csv").write_text("kind,number,gene\n" + "\n".join(lines))
    keywords = {"label": "kind", "text": "gene", "unit": "char", "columns": ["number"], "test": 0.3, "validation": 0.25}
    for group in ("text", "gene"):
        dataset = read("csv", "a.csv", group=group, **keywords)
        assert sum(map(len, dataset.splits.values())) == 60
        assert abs(len(dataset.splits["test"]) - 18) <= 2
        kinds = {name: {tuple(text) for text in values(split)["text"]} for name, split in dataset.splits.items()}
        assert not kinds["train"] & kinds["test"]
        assert not kinds["train"] & kinds["validation"]
        for split in dataset.splits.values():  # the fields of an example are of one row
            found = values(split)
            names = dataset.class_names["text"]
            texts = ["".join(names[letter] for letter in text) for text in found["text"]]
            assert texts == [sequences[int(number) % 40] for (number,) in found["x"]]


def test_words_of_two_files_and_the_vocabulary_of_a_run(read, tmp_path):
    (tmp_path / "a.csv").write_text('mood,words\ngood,"Fine, and fine"\nbad,Not fine at all\n')
    (tmp_path / "b.csv").write_text("mood,words\nbad,not good\n")
    dataset = read("csv", "a.csv", label="mood", text="words", lower=True, length=3, vocabulary=5, test="b.csv")
    assert dataset.class_names["text"] == ("<pad>", "<unknown>", "fine", ",", "and")
    assert values(dataset.splits["train"])["text"] == [[2, 3, 4], [1, 2, 1]]
    known = Known({"text": ["<pad>", "<unknown>", "good", "not"]})
    found = read("csv", "a.csv", label="mood", text="words", length=2, test="b.csv", known=known)
    assert values(found.splits["test"])["text"] == [[3, 2]]


def test_faults(read, tmp_path, complaint):
    (tmp_path / "a.csv").write_text("mood,words\ngood,fine\n")
    assert "about a column of texts" in complaint("E0702", read, "csv", "a.csv", label="mood", length=4).message
    assert complaint("E0709", read, "csv", "a.csv", text="word").help == "did you mean 'words'?"
    found = complaint("E0703", read, "csv", "a.csv", text="words", label="mood", group="mod")
    assert "'group' names 'mod', which the examples of 'csv' do not have" in found.message


def test_equal_pictures_stay_on_one_side(read, tmp_path, complaint):
    for kind in "ab":
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        for number in range(8):
            shade = (number // 2 * 20, 0, ord(kind))
            Image.new("RGB", (4, 4), shade).save(tmp_path / "pictures" / kind / f"{number}.png")
    dataset = read("folder", "pictures", size=4, test=0.25, group="image")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 12, "test": 4}
    shades = {name: {str(image) for image in values(split)["image"]} for name, split in dataset.splits.items()}
    assert not shades["train"] & shades["test"]
    pattern = read("folder", "pictures", size=4, test="b/[67].*")
    assert {path.name for path in pattern.splits["test"].fields["image"].paths} == {"6.png", "7.png"}
    assert "matches no image" in complaint("E0712", read, "folder", "pictures", size=4, test="c/*").message
    blocks = read("folder", "pictures", size=4, test=0.25, blocks=8)
    assert len(blocks.splits["test"]) == 4


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_prediction_cuts_as_training_did(tmp_path, complaint, is_cut):
    (tmp_path / "a.txt").write_text("a b\n\nb c a b\n")
    writing = Writing("text", "word", False, "tokens", 3, is_cut=is_cut)
    inputs = {"x": (writing, Vocabulary(("<pad>", "<unknown>", "a", "b")))}
    if is_cut:
        found = encoded_lines(Reading(), tmp_path / "a.txt", inputs)
        assert found["x"].tolist() == [[2, 3, 0], [3, 1, 2]]
    else:
        found = complaint("E0714", encoded_lines, Reading(), tmp_path / "a.txt", inputs)
        assert found.message.endswith("a.txt, line 3: 4 words, and the net was trained on at most 3")
