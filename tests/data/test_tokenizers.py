"""Texts divided by a file of the library ``tokenizers``: the numbers are the file's, in training and in predict."""

import numpy as np
import pytest
from click.testing import CliRunner
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from graphdl.cli import main
from graphdl.data.known import Known
from graphdl.data.reading import Reading
from graphdl.data.sets import load
from graphdl.data.tokenizers import FileTokenizer
from graphdl.data.vocabulary import BEGIN, END, PAD, UNKNOWN, read_out
from graphdl.graph.types import TensorType

TEXT = "The lowest newest low newer widest low. "
NET = """
net writer() {
    input text: class(30)[6]
    input next: class(30)[6]
    logits = text -> embedding(8) -> linear(30)
    output probability = softmax(logits)
    loss cross_entropy(logits, next)
}

train {
    data text("a.txt", length = 6, tokenizer = "t.json", test = 0.3)
    batch 2
    epochs 1
    optimizer sgd(lr = 0.1)
}
"""


@pytest.fixture(scope="module")
def tokenizer():
    """A byte-pair tokenizer with 30 tokens. It asks for marks, a limit of length and padding, as real files do."""
    made = Tokenizer(models.BPE(unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.train_from_iterator(
        [TEXT], trainers.BpeTrainer(vocab_size=30, special_tokens=["[UNK]", "<pad>"], show_progress=False)
    )
    made.post_processor = processors.TemplateProcessing(single="<pad> $A", special_tokens=[("<pad>", 1)])
    made.enable_truncation(4)
    made.enable_padding(length=4)
    return made


@pytest.fixture
def read(call, tmp_path, tokenizer):
    tokenizer.save(str(tmp_path / "t.json"))
    return lambda name, *arguments, known=None, **keywords: load(
        call(name, *arguments, **keywords), root=tmp_path, splits=(), known=known
    )


def plain(tokenizer, text):
    """The numbers of the tokens of a text alone."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy.encode(text, add_special_tokens=False).ids


def test_windows_have_the_files_numbers(read, tokenizer, tmp_path):
    (tmp_path / "a.txt").write_text(TEXT * 5)
    dataset = read("text", "a.txt", length=6, test=0.2, tokenizer="t.json")
    numbers = plain(tokenizer, TEXT * 5)
    assert len(numbers) > 30  # neither cut nor filled up
    assert dataset.types["text"] == TensorType((6,), "int", 30)
    train = dataset.splits["train"].fields["text"]
    found = train.take(np.arange(len(train))).ravel()
    assert found.tolist() == numbers[: len(found)]
    assert dataset.class_names["text"] == tuple(tokenizer.id_to_token(number) for number in range(30))
    assert tmp_path / "t.json" in dataset.files


def test_pairs_and_tables_add_the_marks_that_the_file_lacks(read, tokenizer, tmp_path):
    (tmp_path / "a.tsv").write_text("low\tnewer low\nThe widest\tlow\n")
    dataset = read("pairs", "a.tsv", test=0.0, tokenizer="t.json")
    names = dataset.class_names["target"]
    assert (len(names), names[30:], len(dataset.class_names["source"])) == (32, ("<begin>", "<end>"), 30)
    low, newer = plain(tokenizer, "low"), plain(tokenizer, "newer low")
    fields = {name: field.take(np.arange(2)).tolist() for name, field in dataset.splits["train"].fields.items()}
    assert fields["target"][0][: len(newer) + 1] == [30, *newer]
    assert fields["next"][0] == [*newer, 31][: len(fields["next"][0])]
    assert fields["source"][0][: len(low) + 1] == [*low, 1]  # <pad> is the file's own
    assert fields["source_length"] == [len(low), len(plain(tokenizer, "The widest"))]
    (tmp_path / "a.csv").write_text("review,label\nlow,0\nnewer low,1\n")
    table = read("csv", "a.csv", label="label", text="review", test=0.0, tokenizer="t.json")
    assert table.splits["train"].fields["text"].take(np.arange(2))[0].tolist()[: len(low) + 1] == [*low, 1]


def test_errors(read, tokenizer, tmp_path, complaint):
    (tmp_path / "a.txt").write_text(TEXT * 5)
    assert complaint("E0704", read, "text", "a.txt", tokenizer="gone.json")
    assert "'unit'" in complaint("E0703", read, "text", "a.txt", unit="word", tokenizer="t.json").message
    assert complaint("E0703", read, "pairs", "a.txt", tokenizer=["t.json"])
    known = Known({"text": ["a", "b"]})
    assert "other tokens" in complaint("E0706", read, "text", "a.txt", tokenizer="t.json", known=known).message
    (tmp_path / "x.json").write_text('{"model": 1}')
    assert "no tokenizer" in complaint("E0705", read, "text", "a.txt", tokenizer="x.json").message
    (tmp_path / "x.json").write_bytes(b"\xff\xfe")
    assert complaint("E0705", read, "text", "a.txt", tokenizer="x.json")
    Tokenizer(models.WordLevel({"a": 0, "b": 7}, "a")).save(str(tmp_path / "x.json"))
    assert "the numbers of its 2 tokens" in complaint("E0705", read, "text", "a.txt", tokenizer="x.json").message
    Tokenizer(models.WordLevel({"a": 0}, "b")).save(str(tmp_path / "x.json"))
    assert "cannot divide" in complaint("E0706", read, "text", "a.txt", tokenizer="x.json").message


def test_probabilities_are_read_out_as_text(read, tokenizer, tmp_path):
    found = FileTokenizer(Reading(), tmp_path / "t.json")
    numbers = [*plain(tokenizer, "the newest"), 1]
    names = found.vocabulary((PAD, UNKNOWN, BEGIN, END)).names
    assert read_out(np.eye(len(names))[[*numbers, names.index("<end>"), 5]], names, found) == "the newest"


def test_a_run_predicts_from_texts(read, tokenizer, tmp_path):
    (tmp_path / "a.txt").write_text(TEXT * 5)
    (tmp_path / "writer.net").write_text(NET)
    (tmp_path / "b.txt").write_text("The lowest widest newest low")
    run = str(tmp_path / "run")

    def done(*arguments):
        result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    done("train", str(tmp_path / "writer.net"), "--out", run)
    shown = done("predict", run, str(tmp_path / "b.txt"))
    assert 'probability "' in shown
    assert "▁" not in shown
    tokenizer_of_others = Tokenizer.from_file(str(tmp_path / "t.json"))
    tokenizer_of_others.add_tokens(["later"])
    tokenizer_of_others.save(str(tmp_path / "t.json"))
    result = CliRunner().invoke(main, ["predict", run, str(tmp_path / "b.txt")])
    assert "E0706" in result.output
