"""Buckets: batches of examples of similar length, the net with shorter inputs, the same numbers as with full ones."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

import graphdl
from graphdl.data.batches import Batches
from graphdl.data.dataset import Buckets
from graphdl.data.sets import load
from graphdl.graph.types import TensorType
from graphdl.training.buckets import shorter_inputs

NET = """
let longest = 9

net bag(units = 4) {
    input source: class(12)[longest]
    input source_mask: bool[longest]
    input next: class(14)[longest]
    input target_mask: bool[longest]
    known = reshape(float(source_mask), [longest, 1])
    context = sum((source -> embedding(units)) * known, axis = 0) / sum(known)
    counts = float(target_mask)
    logits = reshape(context, [1, units]) + (source -> embedding(units)) -> linear(14)
    losses = pick(log_softmax(logits), next) * counts
    output context
    loss -sum(losses) / sum(counts)
}

train {
    data pairs("a.tsv", length = longest, vocabulary = [12, 14], buckets = [3, 5], test = 0.0)
    batch 4
    epochs 2
    optimizer sgd(lr = 0.5)
}
"""
WORDS = [*"abcdefghij"]


def text(count):
    """Pairs of 1 to 8 words."""
    random = np.random.default_rng(0)
    lines = []
    for number in range(count):
        sides = [" ".join(random.choice(WORDS, random.integers(1, 9))) for _ in range(2)]
        lines.append("\t".join(sides) if number % 2 else f"{WORDS[number % 7]}\tb a")
    return "\n".join(lines)


@pytest.fixture
def model(tmp_path):
    (tmp_path / "a.tsv").write_text(text(37))
    (tmp_path / "bag.net").write_text(NET)
    return lambda: graphdl.load(tmp_path / "bag.net", seed=1)


def batches_of(model, tmp_path, **more):
    (stage,) = model.stages()
    dataset = load(stage.data, root=tmp_path, splits=())
    inputs = {name: value.type for name, value in model.network.training.inputs.items()}
    return Batches(dataset, "train", inputs, batch=4, training=True, **more)


def test_a_batch_ends_with_its_bucket(model, tmp_path):
    model = model()
    inputs = {name: value.type for name, value in model.network.training.inputs.items()}
    dataset = load(model.stages()[0].data, root=tmp_path, splits=())
    assert dataset.buckets == Buckets("longest", (3, 5, 9))
    shorter = shorter_inputs(model.network, inputs, dataset)
    assert shorter[5]["next"] == TensorType((5,), "int", 14)
    batches = batches_of(model, tmp_path, shorter=shorter)
    fields = dataset.splits["train"].fields
    lengths = np.maximum(*(fields[f"{side}_length"].take(np.arange(37)) for side in ("source", "target")))
    for epoch in (0, 1):
        order = batches.order(epoch)
        assert sorted(order.tolist()) == list(range(37))
        found = list(batches.epoch(epoch))
        assert len(found) == 9
        ends = [dict(batch.sizes).get("longest", 9) for batch in found]
        assert {3, 9} <= {*ends}
        assert ends != sorted(ends)  # the buckets are mixed
        for batch, end in zip(found, ends, strict=True):
            rows = order[4 * batch.index : 4 * batch.index + 4]
            assert lengths[rows].max() <= end
            assert batch.arrays["source_mask"].shape == (4, end)
            assert batch.arrays["source"].tolist() == fields["source"].take(rows)[:, :end].tolist()
            assert batch.arrays["target_mask"].sum() == fields["target_mask"].take(rows).sum()  # nothing is lost
        # Fewer than a batch of each bucket are filled up to the next one.
        assert ends.count(3) == (lengths <= 3).sum() // 4
    assert batches.order(0).tolist() != batches.order(1).tolist()
    again = batches_of(model, tmp_path, shorter=shorter)
    assert again.get(1, 5).arrays["next"].tolist() == batches.get(1, 5).arrays["next"].tolist()


def test_training_in_buckets_gives_the_numbers_of_full_batches(model, tmp_path):
    fitted, full = model(), model()
    losses = [record["loss"] for record in fitted.fit(data_root=tmp_path).epochs]
    inputs = {name: value.type for name, value in full.network.training.inputs.items()}
    dataset = load(full.stages()[0].data, root=tmp_path, splits=())
    batches = batches_of(full, tmp_path, shorter=shorter_inputs(full.network, inputs, dataset))
    fields = dataset.splits["train"].fields
    trainer = full.trainer()
    for epoch in (0, 1):
        steps = np.split(batches.order(epoch)[:36], 9)
        means = [float(trainer.step(**{name: fields[name].take(rows) for name in inputs})) for rows in steps]
        assert np.mean(means) == pytest.approx(losses[epoch], rel=1e-5)
    for path, value in full.parameters.items():
        assert fitted.parameters[path] == pytest.approx(value, abs=1e-5)


def test_tables_and_recordings_have_buckets(call, tmp_path):
    def lengths(name, *arguments, **keywords):
        setting = replace(call(name, *arguments, length=9, buckets=[3], test=0.4, **keywords), names={"length": "n"})
        dataset = load(setting, root=tmp_path, splits=())
        assert dataset.buckets == Buckets("n", (3, 9))
        field = next(field for field in dataset.types if field.endswith("_length"))
        for split in dataset.splits.values():
            np.testing.assert_array_equal(split.lengths, split.fields[field].take(np.arange(len(split))))
        return sorted(length for split in dataset.splits.values() for length in split.lengths)

    (tmp_path / "a.csv").write_text("review,label\na b c d,0\na,1\na b,0\na b c d e f g h i j,1\nb b b,0\n")
    assert lengths("csv", "a.csv", label="label", text="review", validation=0.4) == [1, 2, 3, 4, 9]  # the last is cut
    (tmp_path / "waves").mkdir()
    for count in (2, 5, 7, 12):
        soundfile.write(tmp_path / f"waves/{count}.wav", np.ones(count), 8000)
    assert lengths("audio", "waves", rate=8000, validation=0.4) == [2, 5, 7, 9]


def test_arguments_and_nets_that_do_not_fit(call, complaint, model, tmp_path):
    for keywords in ({"length": 9}, {}):
        found = complaint("E0703", load, call("pairs", "a.tsv", buckets=[3], **keywords), root=tmp_path)
        assert "a 'length' that is a 'let'" in found.message
    model = model()
    for buckets in ("[5, 3]", "[3, 9]", "[1, 3]", "[]"):
        (tmp_path / "wrong.net").write_text(NET.replace("[3, 5]", buckets))
        assert "ascending lengths" in complaint("E0703", graphdl.load(tmp_path / "wrong.net").stages).message
    (tmp_path / "wrong.net").write_text(
        NET.replace("-> linear(14)", "-> flatten -> linear(14 * longest)").replace(
            "log_softmax(logits)", "log_softmax(reshape(logits, [longest, 14]))"
        )
    )
    wrong = graphdl.load(tmp_path / "wrong.net")
    dataset = load(wrong.stages()[0].data, root=tmp_path, splits=())
    found = complaint("E0703", shorter_inputs, wrong.network, {}, dataset)
    assert "'logits.linear.W' is [12, 42] with longest = 3, and [36, 126] otherwise" in found.message
    (tmp_path / "wrong.net").write_text(NET.replace("class(14)[longest]", "class(longest + 5)[longest]"))
    wrong = graphdl.load(tmp_path / "wrong.net")
    inputs = {name: value.type for name, value in wrong.network.training.inputs.items()}
    found = complaint("E0703", shorter_inputs, wrong.network, inputs, dataset)
    assert "the input 'next' is class(8)[3] with longest = 3, and class(14)[9] otherwise" in found.message
