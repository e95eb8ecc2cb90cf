"""Rearrangements and samplings of images beside PyTorch's."""

import numpy as np
import torch
from layer_twins import compare, net, outputs, tensors
from torch.nn import functional as f

import graphdl

SHUFFLES = {
    "larger": ("g -> pixel_shuffle(2)", lambda x, p: f.pixel_shuffle(x, 2)),
    "deeper": ("g -> pixel_unshuffle(3)", lambda x, p: f.pixel_unshuffle(x, 3)),
    "mixed": ("g -> channel_shuffle(4)", lambda x, p: f.channel_shuffle(x, 4)),
    "of_blocks": (
        'g -> pixel_shuffle(2, order = "blocks")',
        lambda x, p: x.view(-1, 2, 2, 2, 3, 6).permute(0, 3, 4, 1, 5, 2).reshape(-1, 2, 6, 12),
    ),
    "to_blocks": (
        'g -> pixel_unshuffle(3, order = "blocks")',
        lambda x, p: x.view(-1, 8, 1, 3, 2, 3).permute(0, 3, 5, 1, 2, 4).reshape(-1, 72, 1, 2),
    ),
}


def test_shuffles(device):
    """They only move elements, by views whose gradients have tests of their own."""
    lines = [f"output {name} = {chain.replace('g ->', 'x ->')}" for name, (chain, _) in SHUFFLES.items()]
    x = np.random.default_rng(0).normal(size=(2, 8, 3, 6)).astype(np.float32)
    found = outputs("net n() { input x: [8, 3, 6]; " + "; ".join(lines) + " }", {"x": x})
    for name, (_, twin) in SHUFFLES.items():
        np.testing.assert_array_equal(found[name], twin(torch.tensor(x), {}).numpy(), err_msg=name)


SAMPLES = {
    "plain": ('mode = "linear"', "bilinear", "zeros", False),
    "corners": ('padding = "border", align_corners = true', "bilinear", "border", True),
    "mirrored": ('padding = "reflection"', "bilinear", "reflection", False),
    "curves": ('mode = "cubic", padding = "reflection", align_corners = true', "bicubic", "reflection", True),
    "nearest": ('mode = "nearest", padding = "border"', "nearest", "border", False),
}


def sampled(names, image, grid):
    return {name: f.grid_sample(image, grid, *SAMPLES[name][1:]) for name in names}


def drawn(shape, places, reach):
    draw = np.random.default_rng(0)
    return draw.normal(size=(2, *shape)).astype(np.float32), draw.uniform(-reach, reach, (2, *places)).astype(
        np.float32
    )


def test_grid_sample(device):
    x, at = drawn((2, 5, 4), (3, 7, 2), 1.8)
    lines = "; ".join(f"output {name} = grid_sample(x, at, {settings})" for name, (settings, *_) in SAMPLES.items())
    found = outputs(f"net n() {{ input x: [2, 5, 4]; input at: [3, 7, 2]; {lines} }}", {"x": x, "at": at})
    for name, want in sampled(SAMPLES, torch.tensor(x), torch.tensor(at)).items():
        np.testing.assert_allclose(found[name], want.numpy(), rtol=1e-4, atol=1e-5, err_msg=name)


def test_gradients_of_the_image_and_of_the_places(device):
    names = ["plain", "mirrored"]
    layers = {name: f"grid_sample(x * gain, at + shift, {SAMPLES[name][0]})" for name in names}
    inputs = ["input x: [2, 5, 4]", "input at: [3, 7, 2]", "param gain: [2, 5, 4] = uniform(0.5, 2)"]
    model = graphdl.loads(net(layers, [*inputs, "param shift: [3, 7, 2] = 0.01"]), seed=3)
    x, at = drawn((2, 5, 4), (3, 7, 2), 1.8)
    parameters = tensors(model)
    wanted = sampled(names, torch.tensor(x) * parameters["gain"], torch.tensor(at) + parameters["shift"])
    compare(model, wanted, {"x": x, "at": at}, parameters, training=False)


def test_grid_sample_of_a_volume(device):
    text = "net n() { input x: [2, 3, 4, 5]; input at: [6, 3]; output y = grid_sample(x, at) }"
    x, at = drawn((2, 3, 4, 5), (6, 3), 1.2)
    want = f.grid_sample(torch.tensor(x), torch.tensor(at)[:, None, None], align_corners=False)[:, :, 0, 0]
    np.testing.assert_allclose(graphdl.loads(text).run({"x": x, "at": at})["y"], want.numpy(), rtol=1e-4, atol=1e-5)
