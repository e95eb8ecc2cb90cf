"""Attention and positions of the library beside PyTorch's and NumPy's: masks, lengths, blocks of queries, memory."""

import numpy as np
import pytest
import torch
from layer_twins import TOLERANCE, compare, net, tensors
from torch.nn import functional

import graphdl


def reference(q, k, v, counts=None, scale=None):
    """Attention by PyTorch, with zeros where no key counts."""
    if counts is None:
        return functional.scaled_dot_product_attention(q, k, v, scale=scale)
    some = counts.any(-1, keepdim=True)
    found = functional.scaled_dot_product_attention(q, k, v, torch.where(some, counts, True), scale=scale)
    return torch.where(some, found, 0.0)


def triangle(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril()


def test_attention_with_masks(device):
    """Queries and keys of different lengths; an example of which no key counts, and queries of which none does."""
    layers = {
        "plain": "attention(q * g, k, v) * 1",
        "scaled": "attention(q * g, k, v, scale = 0.3) * 1",
        "earlier": "attention(q * g, k, v, causal = true) * 1",
        "kept": "attention(q * g, k, v, keep = keep) * 1",
        "both": "attention(q * g, k, v, keep = keep, causal = true) * 1",
    }
    shapes = {"q": [2, 5, 3], "k": [2, 7, 3], "v": [2, 7, 4]}
    inputs = [f"param {name}: {shape} = uniform(-2, 2)" for name, shape in shapes.items()]
    model = graphdl.loads(net(layers, [*inputs, "input g: []", "input keep: bool[7]"]), seed=1)
    keep = np.array([[0, 1, 1, 0, 1, 0, 1], [0] * 7, [1] * 7], bool)
    g = np.array([1.0, -0.5, 2.0], np.float32)
    p = tensors(model)
    q = p["q"] * torch.tensor(g)[:, None, None, None]
    k, v = (p[name].expand(3, *p[name].shape) for name in "kv")
    some = torch.tensor(keep)[:, None, None, :].expand(3, 2, 5, 7)
    wanted = {
        "plain": reference(q, k, v),
        "scaled": reference(q, k, v, scale=0.3),
        "earlier": reference(q, k, v, triangle(5, 7)),
        "kept": reference(q, k, v, some),
        "both": reference(q, k, v, some & triangle(5, 7)),
    }
    assert not wanted["kept"][1].any()
    assert not wanted["both"][0, :, 0].any()
    compare(model, wanted, {"g": g, "keep": keep}, p, training=False)


LONG_NET = """
net n() {
    input x: [2, LENGTH, 5]
    input keep: bool[LENGTH]
    param a: [2, 1, 5] = uniform(0.5, 2)
    param b: [2, 1, 5] = uniform(0.5, 2)
    param c: [2, 1, 5] = uniform(0.5, 2)
    output y = attention(x * a, x * b, x * c, SETTINGS)
    loss mean(y ** 2)
}
"""


@pytest.mark.parametrize(
    ("length", "masked"), [(523, True), (1031, False)], ids=["an odd length, masked", "a longer one, all keys"]
)
def test_attention_in_blocks(length, masked, device):
    settings = "keep = keep, causal = true" if masked else ""
    text = LONG_NET.replace("LENGTH", str(length)).replace("SETTINGS", settings)
    model = graphdl.loads(text if masked else text.replace(f"input keep: bool[{length}]", ""), seed=2)
    assert model.compile(batch=2, training=True).loops
    draw = np.random.default_rng(3)
    x = draw.normal(size=(2, 2, length, 5)).astype(np.float32)
    keep = draw.random((2, length)) < 0.7
    keep[1, :40] = False  # the first queries of this example have no key
    p = tensors(model)
    q, k, v = (torch.tensor(x) * p[name] for name in "abc")
    counts = torch.tensor(keep)[:, None, None, :] & triangle(length, length) if masked else None
    wanted = {"y": reference(q, k, v, counts)}
    compare(model, wanted, {"x": x, "keep": keep} if masked else {"x": x}, p, training=False)


def test_attention_in_blocks_draws_the_same_weights_again(device):
    """The output is in proportion to the values, so the slope of their factor 1 is twice the sum of squares."""
    text = LONG_NET.replace("LENGTH", "523").replace("SETTINGS", "drop = 0.4").replace("input keep: bool[523]", "")
    text = text.replace("param c: [2, 1, 5] = uniform(0.5, 2)", "param c: [] = 1")
    model = graphdl.loads(text)
    x = np.random.default_rng(3).normal(size=(1, 2, 523, 5)).astype(np.float32)
    loss, slopes = model.gradients(x=x)
    assert slopes["c"] == pytest.approx(2 * loss, rel=1e-4)
    assert loss > 1.05 * model.gradients(training=False, x=x)[0]


def test_memory_of_long_attention(device):
    """Four heads over 2048 elements: a matrix of their weights would have 64 MiB, and a step needs several."""
    text = LONG_NET.replace("[2, ", "[4, ").replace("LENGTH", "2048").replace("SETTINGS", "causal = true")
    model = graphdl.loads(text.replace("input keep: bool[2048]", ""))
    assert model.compile(batch=1, training=True).peak_bytes < 2 * 4 * 2**20 + 10 * 4 * 2048 * 5 * 4


def test_multihead_attention(device):
    """Over another sequence with masked keys, and over the elements before; dropout of nothing."""
    layers = {
        "other": "(x * 1, z, keep) -> multihead_attention(3) as other_m",
        "own": "x -> multihead_attention(2, causal = true, bias = false) as own_m",
    }
    inputs = ["param x: [5, 6] = normal(0, 1)", "input z: [7, 4]", "input keep: bool[7]"]
    model = graphdl.loads(net(layers, inputs), seed=3)
    z = np.random.default_rng(0).normal(size=(3, 7, 4)).astype(np.float32)
    keep = np.array([[1, 1, 0, 1, 1, 0, 0], [1] * 7, [0, 1, 0, 0, 0, 0, 0]], bool)
    p = tensors(model)
    x = p["x"].expand(3, 5, 6)

    def peer(name, source, heads, **masks):
        w = {part: p[f"{name}.{part}.W"].T for part in ("query", "key", "value", "join")}
        b = {part: p.get(f"{name}.{part}.b") for part in w}
        bias = None if b["query"] is None else torch.cat([b["query"], b["key"], b["value"]])
        y, _ = functional.multi_head_attention_forward(
            x.transpose(0, 1), source.transpose(0, 1), source.transpose(0, 1), 6, heads, None, bias, None, None, False,
            0.0, w["join"], b["join"], use_separate_proj_weight=True, q_proj_weight=w["query"], k_proj_weight=w["key"],
            v_proj_weight=w["value"], need_weights=False, **masks,
        )  # fmt: skip
        return y.transpose(0, 1)

    wanted = {
        "other": peer("other_m", torch.tensor(z), 3, key_padding_mask=torch.tensor(~keep)),
        "own": peer("own_m", x, 2, attn_mask=~triangle(5, 5)),
    }
    compare(model, wanted, {"z": z, "keep": keep}, p, training=False)


def test_positions(device):
    text = "net n() { input x: [3001, 7]; output s = x -> sinusoidal_positions; output l = x -> learnt_positions as p }"
    model = graphdl.loads(text)
    x = np.zeros((1, 3001, 7), np.float32)
    found = model.run({"x": x})
    t, i = np.arange(3001)[:, None], np.arange(7)
    angle = t / 10000 ** (2 * (i // 2) / 7)
    np.testing.assert_allclose(found["s"][0], np.where(i % 2, np.cos(angle), np.sin(angle)), atol=3e-6)
    np.testing.assert_array_equal(found["l"][0], model.parameters["p.W"])
    assert np.array(model.parameters["p.W"]).std() == pytest.approx(0.02, rel=0.02)
    np.testing.assert_allclose(model.run({"x": x + 1})["s"], found["s"] + 1, **TOLERANCE)
