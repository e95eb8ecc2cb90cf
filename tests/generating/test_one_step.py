"""A net step by step gives what it gives for a whole sequence, and nets that have no such form are run on it again."""

import numpy as np
import pytest

import graphdl
from graphdl.diagnostics import ModelError
from graphdl.generating.locality import NotLocalError
from graphdl.generating.one_step import one_step
from graphdl.generating.steps import Stepwise, Windowed, steps

RECURRENT = """
block step(units): x: [n], h: [units] -> next: [units] { next = tanh(concat(x, h) -> linear(units)) }

net recurrent(vocabulary = 7, length = 5, units = 6) {
    input text: class(vocabulary)[length]
    input image: [2, 3, 3]

    seen = image -> flatten -> linear(units)
    upper = (text -> embedding(units), seen, tanh(seen)) -> lstm(units)
    cell = step(units)
    total, _, _ = scan x in concat(upper, one_hot(text), axis = 1), h = zeros([units]), all = seen {
        h = (x, h) -> cell
        all = all + softmax(h * seen) * h
        emit concat(all, h)
    }
    parts = reshape(total -> layernorm, [length, 2, units])
    turned = transpose(reshape(parts, [length, 2 * units]))
    sorted = sort(turned[:4] ** 2, axis = 0)
    logits = transpose(concat(turned * sum(sorted, axis = 0), cumsum(sorted, axis = 0))) -> linear(vocabulary)
    output probability = softmax(logits)
    output strength = max(abs(parts), axis = [1, 2]) + pick(logits, text)
}
"""
CONVOLUTIONS = """
block causal(channels, dilation): x: [c, 1, T] -> y: [channels, 1, ..] {
    y = pad(x, [0, 0, dilation], [0, 0, 0]) -> conv(channels, [1, 2], dilation = [1, dilation]) as taps
}

net waves(levels = 9, length = 12, width = 4, depth = 3) {
    input wave: class(levels)[length]
    input digit: class(3)

    told = reshape(one_hot(digit) -> linear(2 * width), [2 * width, 1, 1])
    x = reshape(transpose(wave -> embedding(width)), [width, 1, length])
    total = 0
    for k in 0..depth {
        z = (x -> causal(2 * width, 2 ** k)) + told
        h = tanh(z[:width]) * sigmoid(z[width:])
        x = x + (h -> conv(width, 1))
        total = total + h
    }
    logits = transpose(reshape(relu(total) -> conv(levels, 1), [levels, length]))
    output probability = softmax(logits)
}
"""
CAUSAL = """
net causal(vocabulary = 5, length = 6, units = 4) {
    input text: class(vocabulary)[length]
    param place: [length, units] = normal(0, 1)
    x = (text -> embedding(units)) + place
    later = tensor([[j > i for j in 0..length] for i in 0..length])
    weights = softmax(where(later, -1e9, x @ transpose(x)))
    output probability = softmax(weights @ x -> linear(vocabulary))
}
"""
AHEAD = """
net ahead(vocabulary = 5, length = 6, units = 4) {
    input text: class(vocabulary)[length]
    output probability = softmax(text -> embedding(units) -> lstm(units, direction = "both") -> linear(vocabulary))
}
"""


def arrays(model, seed=0):
    random = np.random.default_rng(seed)
    return {
        name: random.integers(0, value.type.classes, (1, *value.type.shape)).astype(np.int32)
        if value.type.classes
        else random.normal(size=(1, *value.type.shape)).astype(np.float32)
        for name, value in model.module_graph.inputs.items()
    }


@pytest.mark.parametrize(
    ("text", "sequence", "kind"),
    [(RECURRENT, "text", Stepwise), (CONVOLUTIONS, "wave", Stepwise), (CAUSAL, "text", Windowed)],
    ids=["recurrent", "convolutions", "attention"],
)
def test_steps_are_the_whole_sequence(text, sequence, kind):
    model = graphdl.loads(text, seed=4)
    whole, others = arrays(model, 1), arrays(model, 2)
    outputs = list(model.module_graph.outputs)
    run = steps(model.network, sequence, outputs, slides=False)
    assert type(run) is kind
    assert run.limit == whole[sequence].shape[1]
    given = {name: array for name, array in whole.items() if name != sequence}
    tokens = np.concatenate([others[sequence], whole[sequence]])
    state = run.begin(given, 2)
    found, state = run.advance(state, tokens[:, :2])
    expected = model.run({name: np.repeat(array, 2, axis=0) for name, array in given.items()} | {sequence: tokens})
    for place in range(2, tokens.shape[1] + 1):
        for name in outputs:
            np.testing.assert_allclose(found[name], expected[name][:, place - 1], rtol=1e-5, atol=1e-6)
        if place == 3:  # the sequences change places
            state, expected = state.of([1, 0]), {name: array[::-1] for name, array in expected.items()}
            tokens = tokens[::-1]
        if place < tokens.shape[1]:
            found, state = run.advance(state, tokens[:, place : place + 1])


def test_a_window_slides():
    model = graphdl.loads(CAUSAL, seed=4)
    run = steps(model.network, "text", ["probability"], slides=True)
    tokens = np.random.default_rng(0).integers(0, 5, (1, 9)).astype(np.int32)
    found, _ = run.advance(run.begin({}, 1), tokens)
    assert run.limit is None
    expected = model.predict(text=tokens[:, -6:])["probability"][:, -1]
    np.testing.assert_allclose(found["probability"], expected, rtol=1e-6)


def test_a_net_that_looks_ahead_is_refused():
    model = graphdl.loads(AHEAD)
    run = steps(model.network, "text", ["probability"], slides=True)
    with pytest.raises(ModelError, match="looks ahead") as caught:
        run.advance(run.begin({}, 1), np.zeros((1, 2), np.int32))
    assert caught.value.diagnostics[0].code == "E0625"


@pytest.mark.parametrize(
    "body",
    [
        "reverse(x)", "x + place", "x @ transpose(x)", "x - mean(x, axis = 0)", "cumsum(x, axis = 0)",
        "concat(x[1:], x[:1])", "x * max(x)", "transpose(sort(transpose(x)))", "take(x, tensor([4, 3, 2, 1, 0]))",
        "x * last",
    ],
)  # fmt: skip
def test_values_of_several_places_have_no_form_for_one(body):
    model = graphdl.loads(
        "net n { input text: class(4)[5]; x = one_hot(text); param place: [5, 4] = normal(0, 1)\n"
        f"_, last = x -> gru(4); output y = {body} }}"
    )
    with pytest.raises(NotLocalError):
        one_step(model.module_graph, ["text"], ["y"])
