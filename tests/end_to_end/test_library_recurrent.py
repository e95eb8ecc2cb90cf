"""Recurrent layers of the library beside PyTorch's: stacked, in both directions, with lengths, states and gradients."""

import numpy as np
import pytest
import torch
from layer_twins import TOLERANCE, compare, net, tensors
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import graphdl

PEERS = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
NAMES = {"weight_ih": "Wx", "weight_hh": "Wh", "bias_ih": "bx", "bias_hh": "bh"}


def path(name: str, layers: int, both: bool) -> str:
    """The path of the parameter that PyTorch calls ``name``, such as ``weight_ih_l1_reverse``."""
    kind, _, place = name.rpartition("_l")
    level, _, is_back = place.partition("_")
    if layers == 1 and not both:
        return f"m.{NAMES[kind]}"
    number = "" if level == "0" else f"_{int(level) + 1}"
    return f"m.{'back' if is_back else 'ahead'}{number}.{NAMES[kind]}"


def twin(kind, parameters, size, units, layers=1, both=False, **settings):
    """PyTorch's layer, and its weights made of ``parameters``."""
    peer = PEERS[kind](size, units, layers, batch_first=True, bidirectional=both, **settings)
    weights = {}
    for name, _ in peer.named_parameters():
        weight = parameters[path(name, layers, both)]
        weights[name] = weight.T if weight.ndim == 2 else weight
    return peer, weights


CASES = {
    "rnn": ("rnn", "rnn(4, relu, layers = 3)", {"layers": 3, "nonlinearity": "relu"}),
    "gru": ("gru", 'gru(3, layers = 2, direction = "both")', {"layers": 2, "both": True}),
    "lstm": ("lstm", 'lstm(5, layers = 2, direction = "both")', {"layers": 2, "both": True}),
    "rnn both": ("rnn", 'rnn(7, direction = "both")', {"both": True}),
    "gru deep": ("gru", "gru(5, layers = 3)", {"layers": 3}),
    "lstm alone": ("lstm", "lstm(6)", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_sequences_of_different_lengths(case, device):
    kind, layer, settings = CASES[case]
    units, long = int(layer.partition("(")[2].partition(")")[0].partition(",")[0]), kind == "lstm"
    layers, both = settings.get("layers", 1), settings.get("both", False)
    ways = layers * (1 + both)
    state = [units] if ways == 1 else [ways, units]
    starts = ["h0", "c0"] if long else ["h0"]
    lines = ["input x: [7, 3]", "input n: int", *(f"input {s}: {state}" for s in starts)]
    lines += ["param gain: [3] = uniform(0.5, 2)", *(f"param {s}_gain: [{units}] = uniform(0.5, 2)" for s in starts)]
    begun = ", ".join(["x * gain", *(f"{s} * {s}_gain" for s in starts)])
    lines += [f"y, {'h, c' if long else 'h'} = ({begun}) -> {layer[:-1]}, length = n) as m"]
    outputs = {"all": "y * 1", "h_end": "h * 1", **({"c_end": "c * 1"} if long else {})}
    model = graphdl.loads(net(outputs, lines), seed=5)
    draw = np.random.default_rng(1)
    inputs = {"x": draw.normal(size=(4, 7, 3)), **{s: draw.normal(size=(4, *state)) for s in starts}}
    inputs = {name: array.astype(np.float32) for name, array in inputs.items()}
    lengths = np.array([7, 2, 1, 5])
    parameters = tensors(model)
    peer, weights = twin(kind, parameters, 3, units, **settings)
    packed = pack_padded_sequence(
        torch.tensor(inputs["x"]) * parameters["gain"], lengths, batch_first=True, enforce_sorted=False
    )
    first = [torch.tensor(inputs[s]).reshape(4, ways, units).transpose(0, 1) * parameters[f"{s}_gain"] for s in starts]
    y, last = torch.func.functional_call(peer, weights, (packed, tuple(first) if long else first[0]))
    ends = last if long else [last]
    wanted = {"all": pad_packed_sequence(y, batch_first=True, total_length=7)[0]}
    wanted |= {f"{s[0]}_end": end.transpose(0, 1).reshape(4, *state) for s, end in zip(starts, ends, strict=True)}
    compare(model, wanted, {**inputs, "n": lengths}, parameters, training=False)


def test_a_layer_that_runs_backward(device):
    text = 'net n() { input x: [5, 2]; y, h = x -> gru(3, direction = "backward") as m; output y; output h }'
    model = graphdl.loads(text)
    x = np.random.default_rng(0).normal(size=(2, 5, 2)).astype(np.float32)
    found = model.run({"x": x})
    peer, weights = twin("gru", tensors(model), 2, 3)
    y, h = torch.func.functional_call(peer, weights, (torch.tensor(x).flip(1),))
    np.testing.assert_allclose(found["y"], y.flip(1).detach().numpy(), **TOLERANCE)
    np.testing.assert_allclose(found["h"], h[0].detach().numpy(), **TOLERANCE)


def test_elements_are_dropped_between_layers_alone(device):
    """Where nothing but the last layer follows, a share of its inputs is 0; a single layer drops nothing."""
    text = """
    net n() {
        input x: [400, 1]
        y = x -> rnn(8, relu, layers = LAYERS, drop = 0.5) as m
        loss mean(y)
    }
    """
    x = np.ones((1, 400, 1), np.float32)
    once, twice = (graphdl.loads(text.replace("LAYERS", layers), seed=4) for layers in ("1", "2"))
    assert once.gradients(training=True, x=x)[0] == once.gradients(training=False, x=x)[0]
    assert twice.gradients(training=True, x=x)[0] != twice.gradients(training=False, x=x)[0]
