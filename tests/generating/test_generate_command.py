"""``graphdl generate`` and its Python twins, with nets that have just learnt."""

import json
import wave

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import graphdl
from graphdl.cli import main
from graphdl.diagnostics import ModelError
from graphdl.generating.ctc import greedy

WRITES = """
net letters {
    input text: class(5)[6]
    input next: class(5)[6]
    logits = text -> embedding(8) -> rnn(8) -> linear(5)
    output logits
    loss cross_entropy(logits, next)
}
train { data text("a.txt", length = 6, test = 0.0); optimizer adam(lr = 0.03); batch 16; steps 60 }
"""
TRANSLATES = """
net words {
    input source: class(6)[4]
    input target: class(8)[5]
    input next: class(8)[5]
    encoded = source -> embedding(6)
    words = target -> embedding(6) as out
    attended, weights, _ = scan word in words, h = zeros([6]) {
        h = tanh(concat(word, h) -> linear(6) as join)
        weight = softmax(encoded @ h)
        emit concat(h, weight @ encoded), weight
    }
    logits = attended -> linear(8)
    output probability = softmax(logits)
    output weights
    loss cross_entropy(logits, next)
}
train { data pairs("a.tsv", length = [4, 5], test = 0.0); optimizer adam(lr = 0.03); batch 4; steps 60 }
"""
SPELLS = """
net heard {
    input wave: [60]
    input text: class(6)[3]
    frames = reshape(wave, [6, 10])
    logits = frames -> linear(6)
    output probability = softmax(logits)
    output probability_length = int(5)
    loss ctc(logits, text)
}
train {
    data audio("words", rate = 8000, length = 60, names = "{label}_{index}", spelling = ["ten", "two"], test = 0.0)
    optimizer adam(lr = 0.1)
    batch 4
    steps 1
}
"""
SOUNDS = """
net sound {
    input wave: class(16)[20]
    input label: class(2)
    input next: class(16)[20]
    logits = (wave -> embedding(16)) + (one_hot(label) -> linear(16))
    output probability = softmax(logits)
    loss cross_entropy(logits, next)
}
train {
    data audio("words", rate = 8000, length = 20, names = "{label}_{index}", levels = 16, test = 0.0)
    batch 4
    steps 1
}
"""


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def run_of(folder, text):
    (folder / "a.net").write_text(text)
    found = call("train", folder / "a.net", "--out", folder / "run")
    assert found.exit_code == 0, found.output
    return folder / "run"


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    folder = tmp_path_factory.mktemp("letters")
    (folder / "a.txt").write_text("abcd\n" * 60)
    return run_of(folder, WRITES)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    pairs = {"a cat": "un chat", "a dog": "un chien", "dog a cat": "chien un chat", "cat": "chat"}
    (folder / "a.tsv").write_text("".join(f"{one}\t{other}\n" for one, other in pairs.items()))
    return run_of(folder, TRANSLATES)


@pytest.fixture
def recordings(tmp_path):
    (tmp_path / "words").mkdir()
    random = np.random.default_rng(0)
    for label in ("2", "10"):
        for index in range(2):
            soundfile.write(tmp_path / f"words/{label}_{index}.wav", random.uniform(-0.5, 0.5, 60), 8000)
    return tmp_path


def test_a_text_goes_on(letters):
    found = call("generate", letters, "--start", "abcd\nab", "--length", 12, "--temperature", 0)
    assert (found.exit_code, found.output) == (0, "abcd\nabcd\nabcd\nabcd\n"), found.output
    writer = graphdl.Writer(letters)
    drawn = ["".join(writer.write("d", 30, temperature=3.0, seed=seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    shown = call("generate", letters, "--start", "d", "--length", 30, "--temperature", 3, "--seed", 1, "--json").output
    assert json.loads(shown)["text"] == drawn[0]
    assert list(writer.write("b", 4, temperature=5.0, top_k=1)) == ["c", "d", "\n", "a"]
    assert list(writer.write("b", 4, temperature=1.0, top_p=0.1)) == ["c", "d", "\n", "a"]
    with pytest.raises(ValueError, match="length"):
        writer.write("b", 0)


def test_a_translation(words):
    found = call("generate", words, "--start", "a dog")
    assert (found.exit_code, found.output) == (0, "un chien\n"), found.output
    lines = call("generate", words, "--start", "dog a cat", "--beam", 3, "--attention", words / "a.npy").output
    assert lines.splitlines()[0].split()[1:] == ["chien", "un", "chat"]
    assert len(lines.splitlines()) == 3
    best, *_ = graphdl.Translator(words).translate("dog a cat", beams=3)
    assert best.tokens == ("chien", "un", "chat")
    assert best.source == ("dog", "a", "cat")
    np.testing.assert_array_equal(best.attention, np.load(words / "a.npy"))
    assert best.attention.shape == (3, 3)
    # the same as the whole net, which is given the translation
    model = graphdl.load(words)
    numbers = {
        name: k for k, name in enumerate(json.loads((words / "settings.json").read_text())["class_names"]["target"])
    }
    target = [numbers[token] for token in ("<begin>", *best.tokens, "<pad>")]
    source = json.loads((words / "settings.json").read_text())["class_names"]["source"]
    whole = model.predict(source=[[*(source.index(token) for token in best.source), 0]], target=[target])
    np.testing.assert_allclose(best.attention, whole["weights"][0, :3, :3], rtol=1e-5)
    log = np.log(whole["probability"][0, range(4), [*target[1:4], numbers["<end>"]]]).sum()
    assert best.log_probability == pytest.approx(log, rel=1e-5)
    assert best.score == pytest.approx(log / (9 / 6), rel=1e-5)
    assert "E0714" in call("generate", words, "--start", "a cat a cat a cat").stderr


def test_the_words_of_recordings(recordings):
    run = run_of(recordings, SPELLS)
    files = sorted((recordings / "words").iterdir())[:2]
    found = call("generate", run, *files)
    assert found.exit_code == 0, found.output
    model = graphdl.load(run)
    for line, path in zip(found.output.splitlines(), files, strict=True):
        probability = model.predict(wave=soundfile.read(path)[0][None])["probability"][0]
        expected = "".join("-enotw"[k] for k in greedy(np.log(probability[:5])).labels)
        assert line.split() == [str(path), expected]
        beams = graphdl.Transcriber(run).transcribe(path, beams=50)
        assert beams[0].log_probability >= beams[1].log_probability
    assert call("generate", run).exit_code == 2


def test_sound_is_a_wav_file(recordings):
    run = run_of(recordings, SOUNDS)
    words = ("generate", run, "--length", 33, "--given", "label=10", "--out", recordings / "a.wav")
    found = call(*words)
    assert (found.exit_code, found.output) == (0, f"{recordings / 'a.wav'}: 33 samples, 0.00 s\n")
    with wave.open(str(recordings / "a.wav")) as sound:
        assert (sound.getnframes(), sound.getframerate(), sound.getsampwidth()) == (33, 8000, 2)
        heard = np.frombuffer(sound.readframes(33), "<i2") / 32767
    composed = list(graphdl.Composer(run).compose(33, given={"label": 1 if False else "10"}))
    np.testing.assert_allclose(heard, composed, atol=1e-4)
    assert "E0713" in call(*words[:4], "--out", recordings / "b.wav").stderr
    assert "E0713" in call(*words, "--given", "lable=1").stderr
    assert "E0706" in call(*words[:4], "--given", "label=3x", "--out", recordings / "b.wav").stderr


def test_what_cannot_be_generated_is_said(letters, recordings):
    found = call("generate", letters, "--start", "abx")
    assert found.exit_code == 1
    assert "error[E0706]: character 'x' does not occur in the training text" in found.stderr
    assert "E0709" in call("generate", letters, "--start", "").stderr
    for wrong in (["--length", 0], ["--temperature", -1], ["--top-p", 0], ["--top-k", 0], ["--beam", 0]):
        assert call("generate", letters, "--start", "a", *wrong).exit_code == 2
    assert call("generate", letters).exit_code == 2
    assert call("generate", letters, recordings / "words/2_0.wav", "--start", "a").exit_code == 2
    for wrong, message in ((graphdl.Translator, "pairs"), (graphdl.Transcriber, "ctc"), (graphdl.Composer, "audio")):
        with pytest.raises(ModelError, match=message) as caught:
            wrong(letters)
        assert caught.value.diagnostics[0].code == "E0626"
