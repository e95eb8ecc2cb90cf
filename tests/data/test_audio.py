"""Recordings: their waves, the parts of their names, splits by pattern and by speaker, and their use by predict."""

import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from graphdl.cli import main
from graphdl.data.reading import Reading
from graphdl.data.recordings import decode, quantized
from graphdl.data.sets import load
from graphdl.graph.types import TensorType


@pytest.fixture
def read(call, tmp_path):
    """Loads a set whose paths lie in the test's own folder."""
    return lambda name, *arguments, **keywords: load(call(name, *arguments, **keywords), root=tmp_path, splits=())


def values(split):
    return {name: field.take(np.arange(len(split))) for name, field in split.fields.items()}


def tone(pitch, count, rate=8000, loudness=0.5):
    return (loudness * np.sin(2 * np.pi * pitch * np.arange(count) / rate)).astype(np.float32)


@pytest.fixture
def digits(tmp_path):
    """Three speakers say 2 and 10, twice each; a recording is 40 samples long, or 60."""
    (tmp_path / "words").mkdir()
    for speaker in ("ann", "bob", "eve"):
        for number, digit in enumerate((2, 10)):
            for index in range(2):
                wave = tone(500 * (1 + number), 40 + 20 * index)
                soundfile.write(tmp_path / f"words/{digit}_{speaker}_{index}.wav", wave, 8000)
    return {"rate": 8000, "names": "{label}_{speaker}_{index}"}


def test_waves_labels_and_letters(read, digits):
    dataset = read("audio", "words", length=50, spelling=["two", "ten"], test=0.0, **digits)
    assert dataset.class_names == {"label": ("2", "10"), "text": ("<pad>", "e", "n", "o", "t", "w")}
    assert dataset.types["wave"] == TensorType((50,))
    found = values(dataset.splits["train"])  # in the order of the files' names
    np.testing.assert_allclose(found["wave"][0][:40], tone(1000, 40), atol=4e-5)
    assert not found["wave"][0][40:].any()
    np.testing.assert_allclose(found["wave"][1], tone(1000, 50), atol=4e-5)  # cut
    assert found["wave_length"].tolist() == [40, 50] * 6
    assert found["wave_mask"].sum(axis=1).tolist() == [40, 50] * 6
    assert found["label"].tolist() == [1] * 6 + [0] * 6
    assert found["text"][[0, 6]].tolist() == [[4, 1, 2], [4, 5, 3]]
    assert found["text_length"].tolist() == [3] * 12
    assert dataset.splits["train"].fields["wave"].place(0).endswith("10_ann_0.wav")
    assert read("audio", "words", test=0.0, **digits).types["wave"] == TensorType((60,))


def test_no_speaker_is_on_both_sides(read, digits):
    dataset = read("audio", "words", test=1 / 3, group="speaker", **digits)
    speakers = {name: set(split.properties["speaker"].tolist()) for name, split in dataset.splits.items()}
    assert len(speakers["test"]) == 1
    assert len(speakers["train"]) == 2
    assert not speakers["train"] & speakers["test"]


def test_a_pattern_chooses_the_test(read, digits):
    dataset = read("audio", "words", test="*_0.wav", **digits)
    assert set(values(dataset.splits["test"])["wave_length"].tolist()) == {40}
    assert len(dataset.splits["train"]) == len(dataset.splits["test"]) == 6


def test_folders_flac_channels_and_other_rates(read, tmp_path):
    (tmp_path / "a/yes").mkdir(parents=True)
    (tmp_path / "a/no").mkdir()
    both = np.stack([tone(500, 441, 44100), tone(500, 441, 44100, 0.1)], axis=1)
    soundfile.write(tmp_path / "a/yes/bob_1.flac", both, 44100, subtype="PCM_24")
    soundfile.write(tmp_path / "a/no/bob_1.WAV", tone(500, 80), 8000, subtype="FLOAT", format="WAV")
    dataset = read("audio", "a", rate=8000, names="{label}/{speaker}_{index}", test=0.0)
    found = values(dataset.splits["train"])
    assert (dataset.class_names["label"], found["label"].tolist()) == (("no", "yes"), [0, 1])
    assert found["wave_length"].tolist() == [80, 80]
    np.testing.assert_array_equal(found["wave"][0], tone(500, 80))
    soundfile.write(tmp_path / "a/no/bob_1.WAV", tone(500, 80), 8000, subtype="PCM_24", format="WAV")
    np.testing.assert_allclose(values(dataset.splits["train"])["wave"][0], tone(500, 80), atol=2e-7)
    np.testing.assert_allclose(found["wave"][1][8:-8], tone(500, 80, loudness=0.3)[8:-8], atol=2e-3)
    # The start of a resampled recording does not depend on how much of it is asked for.
    path = tmp_path / "a/yes/bob_1.flac"
    np.testing.assert_allclose(decode(Reading(), path, 8000, 30), found["wave"][1][:30], atol=1e-6)


def test_levels_by_the_mu_law(read, digits):
    dataset = read("audio", "words", length=30, levels=16, test=0.0, **digits)
    assert dataset.types["wave"] == dataset.types["next"] == TensorType((30,), "int", 16)
    found = values(dataset.splits["train"])
    waves = values(read("audio", "words", length=30, test=0.0, **digits).splits["train"])
    np.testing.assert_array_equal(found["next"][:, :-1], found["wave"][:, 1:])
    np.testing.assert_array_equal(found["wave"][0], quantized(waves["wave"][0], 16))
    edges = np.array([-2, -1, -1e-9, 0.001, 1, 2], np.float32)
    assert quantized(edges, 256).tolist() == [0, 0, 127, 133, 255, 255]


@pytest.mark.parametrize(
    ("keywords", "code", "message"),
    [
        ({"names": "{label}-{index}"}, "E0707", "'10_ann_0' does not match the pattern"),
        ({"names": "label"}, "E0703", "'names' of 'audio' must have parts in braces"),
        ({"names": "{a}_{a}_{b}"}, "E0703", "each with a name of its own"),
        ({"spelling": ["two"]}, "E0703", "'spelling' of 'audio' has 1 texts for 2 classes"),
        (
            {"spelling": ["two"], "names": "{word}"},
            "E0703",
            "'spelling' of 'audio' needs a pattern 'names' with a part",
        ),
        ({"test": "*_7.wav"}, "E0712", 'the pattern "*_7.wav" of the test split matches no recording'),
        ({"test": "10_*"}, "E0706", "class '10' occurs in no recording of the training split"),
        ({"rate": 0}, "E0703", "'rate' of 'audio' must be at least 1"),
        ({"test": 0.5, "group": "index", "length": 2**31}, "E0718", "a recording of 2147483648 samples takes"),
    ],
)
def test_faults_of_the_arguments(read, digits, complaint, keywords, code, message):
    assert message in complaint(code, read, "audio", "words", **{**digits, "test": 0.0, **keywords}).message


def test_faults_of_the_files(read, tmp_path, complaint):
    (tmp_path / "a").mkdir()
    assert "has no recordings" in complaint("E0704", read, "audio", "a").message
    path = tmp_path / "a/x.wav"
    path.write_bytes(b"RIFF nothing of the kind")
    assert f"{path} is damaged: it is no recording" in complaint("E0705", read, "audio", "a", test=0.0).message
    soundfile.write(path, np.zeros(0), 8000)
    assert f"{path} is damaged: it holds no samples" in complaint("E0705", read, "audio", "a", test=0.0).message
    soundfile.write(path, tone(500, 80), 8000)
    content = path.read_bytes()
    for rate, code, message in ((0x7FFFFFFF, "E0705", "2147483647 samples in a second"), (7919, "E0718", "the filter")):
        path.write_bytes(content[:24] + rate.to_bytes(4, "little") + content[28:])
        found = complaint(code, lambda: values(read("audio", "a", rate=8000, test=0.0, limit=0.005).splits["train"]))
        assert message in found.message
    soundfile.write(tmp_path / "whole.flac", tone(500, 8000), 8000)
    path.unlink()
    path = path.with_suffix(".flac")
    path.write_bytes((tmp_path / "whole.flac").read_bytes()[:-4000])
    found = complaint("E0705", lambda: values(read("audio", "a", rate=8000, test=0.0).splits["train"]))
    assert str(path) in found.message


NET = """
net tones(n = 60) {
    input wave: [n]
    input wave_mask: bool[n]
    input label: class(2)
    logits = wave * float(wave_mask) -> linear(8) -> relu -> linear(2)
    output digit = softmax(logits)
    loss cross_entropy(logits, label)
}
train {
    data audio("words", rate = 8000, names = "{label}_{speaker}_{index}", test = "*_eve_*", length = 60)
    optimizer adam(0.02); batch 8; epochs 15
}
"""


@pytest.mark.usefixtures("digits")
def test_a_run_hears_other_recordings(tmp_path):
    (tmp_path / "a.net").write_text(NET)

    def call(*words):
        return CliRunner().invoke(main, [str(word) for word in words])

    found = call("train", tmp_path / "a.net", "--out", tmp_path / "run")
    assert found.exit_code == 0, found.output
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.3 * losses[0]
    soundfile.write(tmp_path / "two.flac", tone(500, 882, 44100), 44100)
    soundfile.write(tmp_path / "ten.wav", tone(1000, 50), 8000)
    found = call("predict", tmp_path / "run", tmp_path / "two.flac", tmp_path / "ten.wav")
    assert found.exit_code == 0, found.output
    assert [line.split("digit ")[1].split()[0] for line in found.stdout.splitlines()] == ["2", "10"]
