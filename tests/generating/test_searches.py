"""Sampling, beam search and the labels of CTC, against all possibilities of small cases."""

import itertools

import numpy as np
import pytest

from graphdl.diagnostics import ModelError
from graphdl.generating.beams import search
from graphdl.generating.ctc import greedy, prefix_beam
from graphdl.generating.sampling import Sampling, log_probabilities
from graphdl.generating.steps import State

END = 2


class Table:
    """Steps by a table: the probabilities of the next token by the last two."""

    limit = None

    def __init__(self, table):
        self.table = table

    def begin(self, given, rows):
        return State({"last": np.zeros((rows, 1), np.int32)})

    def advance(self, state, tokens):
        before = state.arrays["last"][:, 0]
        return {"p": self.table[before, tokens[:, -1]]}, State({"last": tokens[:, -1:]})


def table(seed, tokens=4):
    p = np.random.default_rng(seed).gamma(0.5, size=(tokens, tokens, tokens)) + 1e-3
    return p / p.sum(axis=-1, keepdims=True)


def every_text(p, length):
    """The score of each text that ends after at most ``length`` tokens, or has ``length`` tokens without an end."""
    tokens = p.shape[0]
    found = {}
    for count in range(length + 1):
        for text in itertools.product([t for t in range(tokens) if t != END], repeat=count):
            path = (0, 0, *text) if count == length else (0, 0, *text, END)
            found[text] = sum(np.log(p[a, b, c]) for a, b, c in zip(path, path[1:], path[2:], strict=False))
    return found


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_wide_beam_finds_the_best_texts(seed, penalty):
    p = table(seed)
    found = search(
        Table(p), {}, first=0, end=END, output="p", beams=60, length=4, penalty=penalty, count=4
    )  # fmt: skip
    scores = {text: log / ((5 + min(len(text) + 1, 4)) / 6) ** penalty for text, log in every_text(p, 4).items()}
    expected = sorted(scores, key=lambda text: -scores[text])[:5]
    assert [each.tokens for each in found[:5]] == expected
    assert found[0].score(penalty) == pytest.approx(scores[expected[0]])
    np.testing.assert_array_equal(found[0].outputs["p"][0], p[0, 0])


def test_one_beam_is_the_greedy_choice_and_leaves_out_what_it_should():
    p = table(5)
    (found,) = search(
        Table(p), {}, first=0, end=END, output="p", beams=1, length=6, penalty=1.0, count=4, without=[1]
    )  # fmt: skip
    before, last, expected = 0, 0, []
    for _ in range(6):
        chances = p[before, last].copy()
        chances[1] = 0
        before, last = last, int(chances.argmax())
        if last == END:
            break
        expected.append(last)
    assert list(found.tokens) == expected
    assert found.is_ended == (len(expected) < 6)


def paths(frames, labels):
    """The labels that each way through the frames gives, with the blank 0."""
    for way in itertools.product(range(labels), repeat=frames):
        yield way, tuple(k for k, _ in itertools.groupby(way) if k)


def test_a_prefix_beam_sums_all_ways():
    logs = log_probabilities(np.random.default_rng(3).normal(0, 2, (5, 3)))
    sums = {}
    for way, labels in paths(5, 3):
        sums[labels] = sums.get(labels, 0) + np.exp(sum(logs[t, k] for t, k in enumerate(way)))
    found = prefix_beam(logs, 10_000)
    assert {each.labels for each in found} == set(sums)
    assert sum(np.exp(each.log_probability) for each in found) == pytest.approx(1)
    for each in found:
        assert np.exp(each.log_probability) == pytest.approx(sums[each.labels])
    assert found[0].labels == max(sums, key=sums.get) == prefix_beam(logs, 6)[0].labels


def test_the_greedy_way_is_the_likeliest():
    logs = log_probabilities(np.random.default_rng(4).normal(0, 2, (4, 3)))
    way, labels = max(paths(4, 3), key=lambda each: sum(logs[t, k] for t, k in enumerate(each[0])))
    found = greedy(logs)
    assert found.labels == labels
    assert found.log_probability == pytest.approx(logs[range(4), way].sum())
    # the best labels need not be those of the best way: 0.6 * 0.6 for none, 0.4 * 0.6 + 0.6 * 0.4 + 0.4 * 0.4 for 1
    logs = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    assert greedy(logs).labels == ()
    assert prefix_beam(logs, 3)[0].labels == (1,)
    # a label twice needs a blank between
    logs = np.log(np.array([[0.1, 0.9], [0.9, 0.1], [0.1, 0.9]]))
    assert greedy(logs).labels == prefix_beam(logs, 4)[0].labels == (1, 1)


def test_sampling_keeps_the_likeliest():
    logs = np.log(np.array([0.1, 0.4, 0.2, 0.3]))
    np.testing.assert_allclose(Sampling().probabilities(logs), [0.1, 0.4, 0.2, 0.3])
    np.testing.assert_allclose(Sampling(temperature=0.5).probabilities(logs), np.array([1, 16, 4, 9]) / 30)
    np.testing.assert_allclose(Sampling(top_k=2).probabilities(logs), [0, 4 / 7, 0, 3 / 7])
    np.testing.assert_allclose(Sampling(top_p=0.65).probabilities(logs), [0, 4 / 7, 0, 3 / 7])
    np.testing.assert_allclose(Sampling(top_k=3, top_p=0.4).probabilities(logs), [0, 1, 0, 0])
    assert Sampling(temperature=0).draw(logs, np.random.default_rng(0)) == 1
    np.testing.assert_array_equal(Sampling(temperature=1e-310).probabilities(logs), [0, 1, 0, 0])
    drawn = [Sampling().draw(logs, np.random.default_rng(seed)) for seed in range(400)]
    np.testing.assert_allclose(np.bincount(drawn) / 400, [0.1, 0.4, 0.2, 0.3], atol=0.07)
    for wrong in ({"temperature": -1.0}, {"temperature": np.inf}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Sampling(**wrong)


def test_logits_and_probabilities_have_the_same_logarithms():
    logits = np.random.default_rng(0).normal(0, 5, (3, 4))
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(log_probabilities(logits), expected)
    np.testing.assert_allclose(log_probabilities(np.exp(expected)), expected)
    with pytest.raises(ModelError, match="not finite"):
        log_probabilities(np.array([0.5, np.nan]))
