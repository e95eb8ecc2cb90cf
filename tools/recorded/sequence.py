"""The rows of ``models/sequence/``."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
from recorded.results import Figure
from recorded.row import Row, at_least, at_most
from recorded.runner import Runner

import graphdl
from graphdl.data.request import default_root
from graphdl.data.sets import load as load_data


def adding(runner: Runner) -> list[Figure]:
    """The adding task with sequences of 100: the share of sums within 0.04, on sequences that are new."""
    shares, steps = {}, {}
    for file in ("sequence/lstm", "sequence/elman"):
        with runner.timed():
            shares[file], steps[file] = learn_to_add(runner.model(file, seed=1, length=100), 10_000)
    runner.commands.append("python tools/record.py adding")
    lstm, elman = shares["sequence/lstm"], shares["sequence/elman"]
    return [
        at_least(f"right sums of the LSTM after {steps['sequence/lstm']:,} steps", lstm, 0.95, 3),
        at_most(f"right sums of Elman's net after {steps['sequence/elman']:,} steps", elman, 0.5, 3),
    ]


def learn_to_add(model: graphdl.Model, most: int) -> tuple[float, int]:
    """Trains until 97 % of the sums are right, or for ``most`` steps. Returns the share of 2,000 others, and steps."""
    random = np.random.default_rng(1)
    stage = model.stages()[0]
    trainer = model.trainer()
    for step in range(1, most + 1):
        trainer.step(**sums(stage.batch, random))
        if step % 500 == 0 and right_sums(model, 500, random) >= 0.97:
            break
    return right_sums(model, 2000, random), step


def sums(count: int, random: np.random.Generator, length: int = 100) -> dict[str, np.ndarray]:
    """Sequences of numbers from 0 to 1, of which one in each half is marked, and the sum of the two."""
    x = np.zeros((count, length, 2), np.float32)
    x[:, :, 0] = random.random((count, length))
    rows, half = np.arange(count), length // 2
    places = random.integers(0, half, count), random.integers(half, length, count)
    y = np.zeros(count, np.float32)
    for place in places:
        x[rows, place, 1] = 1
        y += x[rows, place, 0]
    return {"x": x, "y": y}


def right_sums(model: graphdl.Model, count: int, random: np.random.Generator) -> float:
    """The share of sums within 0.04."""
    examples = sums(count, random)
    found = model.predict(x=examples["x"])["sum_of_marked"]
    return float((np.abs(found - examples["y"]) < 0.04).mean())


def char_lstm(runner: Runner) -> list[Figure]:
    """Tiny Shakespeare's last tenth."""
    options = ("--set", "units=256", "--set", "optimizer.lr=3e-3")
    run = runner.train("sequence/char_lstm", *options)
    return [at_most("nats a character of the held-out tenth", runner.evaluate(run)["cross_entropy"], 1.5, 3)]


def transformer_lm(runner: Runner) -> list[Figure]:
    """Tiny Shakespeare's last tenth."""
    run = runner.train("sequence/transformer_lm")
    return [Figure("nats a character of the held-out tenth", f"{runner.evaluate(run)['cross_entropy']:.3f}")]


SOURCE_LENGTH = 20
MULTI30K = (
    'pairs(["multi30k/train.en.gz", "multi30k/train.fr.gz"], '
    'test = ["multi30k/test_2016_flickr.en.gz", "multi30k/test_2016_flickr.fr.gz"], '
    "length = [20, 22], vocabulary = 4000, lower = true)"
)


def attention_nmt(runner: Runner) -> list[Figure]:
    """Multi30k, English to French: BLEU of all 1,000 sentences of 2016, in lower case; longer sources are cut."""
    from sacrebleu import corpus_bleu

    from graphdl.generating import Translator

    sizes = ("--set", f"source_length={SOURCE_LENGTH}", "--set", "target_length=22")
    run = runner.train("sequence/attention_nmt", "--data", MULTI30K, *sizes, "--epochs", "3")
    folder = default_root() / "multi30k"
    sources, references = (
        gzip.decompress((folder / f"test_2016_flickr.{language}.gz").read_bytes()).decode().splitlines()
        for language in ("en", "fr")
    )
    translator = Translator(run)
    scores = {}
    for beams in (1, 4):
        texts = [written(translator.translate(cut(source), beams=beams)[0].tokens) for source in sources]
        scores[beams] = corpus_bleu(texts, [references], lowercase=True).score
    student = translator.translate("I am a student.")[0]
    draw_attention(translator.translate(cut(sources[1]))[0], runner)
    return [
        at_least("BLEU of sacrebleu, greedy", scores[1], 20, 1),
        Figure("with a beam of 4", f"{scores[4]:.1f}"),
        Figure("*I am a student.*", f"*{written(student.tokens)}*"),
    ]


def cut(text: str) -> str:
    """The first words of a text that is too long for the net."""
    words = re.findall(r"\w+|[^\w\s]", text)
    return " ".join(words[:SOURCE_LENGTH])


def written(words: tuple[str, ...]) -> str:
    """Words as a text: apostrophes and hyphens join what they stand between."""
    return re.sub(r" ?(['’-]) ?", r"\1", " ".join(words))


def draw_attention(translation: object, runner: Runner) -> None:
    """Draws how much each word of the source counted for each word of a translation."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 5), layout="constrained")
    axes.imshow(translation.attention, cmap="Greys", vmin=0, vmax=1)
    axes.set_xticks(range(len(translation.source)), translation.source, rotation=60, ha="right")
    axes.set_yticks(range(len(translation.tokens)), translation.tokens)
    figure.savefig(runner.picture("attention.png"), dpi=90)
    pyplot.close(figure)


def deepspeech2(runner: Runner) -> list[Figure]:
    """Spoken digits of speakers that are not in the training split: words that are not exactly right."""
    from graphdl.generating import Transcriber

    run = runner.train("sequence/deepspeech2", "--epochs", "8")
    transcriber = Transcriber(run)
    heard = load_data(runner.trained(run).stages()[0].data, splits=("test",)).split("test")
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    wrong = {1: 0, 8: 0}
    count = len(heard.fields["label"])
    for row in range(count):
        rows = np.array([row])
        inputs = {name: heard.fields[name].take(rows) for name in ("wave", "wave_length")}
        word = names[int(heard.fields["label"].take(rows)[0])]
        for beams in wrong:
            wrong[beams] += transcriber.read(inputs, beams=beams)[0].text != word
    speakers = {Path(str(heard.fields["wave"].place(row))).stem.split("_")[1] for row in range(count)}
    return [
        at_most(f"word error of {', '.join(sorted(speakers))}, greedy", wrong[1] / count, 0.1, 3),
        at_most("with a beam of 8", wrong[8] / count, 0.1, 3),
    ]


ROWS = {
    "adding": Row("Elman 1990 and LSTM, 1997: the adding task", "sequence/lstm", "solved", adding),
    "char_lstm": Row("A language model of characters, Graves 2013", "sequence/char_lstm", "–", char_lstm),
    "transformer_lm": Row(
        "Transformer, Vaswani et al. 2017: characters", "sequence/transformer_lm", "–", transformer_lm
    ),
    "attention_nmt": Row("Attention, Luong et al. 2015: Multi30k", "sequence/attention_nmt", "–", attention_nmt),
    "deepspeech2": Row("Deep Speech 2, Amodei et al. 2015", "sequence/deepspeech2", "–", deepspeech2),
}
