"""Connectionist temporal classification beside PyTorch's: odd lengths, repeated labels, impossible alignments."""

import numpy as np
import pytest
import torch

import graphdl

NET = """
net spelled(T = {T}, V = {V}, L = {L}) {{
    input x: [T, V]
    input label: int[L]
    input frames: int
    input length: int
    param gain: [T, V] = uniform(0.5, 2)
    y = ctc(x * gain, label, frames, length{settings})
    output y
    loss spelled = y
}}
"""
LABELS = [[2, 2, 2, 2, 2], [1, 3, 3, 1, 4], [4, 1, 2, 3, 1], [3, 3, 3, 1, 1], [2, 1, 4, 4, 4], [1, 1, 2, 2, 3]]
LENGTHS = [5, 3, 5, 0, 1, 2]


def twin(x, label, frames, length, blank, zero_infinity):
    logits = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    losses = torch.nn.functional.ctc_loss(
        logits.transpose(0, 1).log_softmax(2), torch.tensor(label), torch.tensor(frames), torch.tensor(length),
        blank=blank, reduction="none", zero_infinity=zero_infinity,
    )  # fmt: skip
    return logits, losses


@pytest.mark.parametrize(("settings", "blank", "filler"), [("", 0, None), (", blank = 3", 3, -1)])
def test_values_and_gradients_are_pytorchs(settings, blank, filler):
    """Labels after the last may be anything: data often has -1 there."""
    frames = np.array([11, 9, 7, 11, 1, 3], np.int32)
    random = np.random.default_rng(0)
    x = random.normal(0, 2, (6, 11, 5)).astype(np.float32)
    label = np.array(LABELS, np.int32)
    label = np.where(label == blank, 0, label)
    model = graphdl.loads(NET.format(T=11, V=5, L=5, settings=settings))
    gain = np.array(model.parameters["gain"])
    length = np.array(LENGTHS, np.int32)
    padded = label if filler is None else np.where(np.arange(5) < length[:, None], label, np.int32(filler))
    inputs = {"x": x, "label": padded, "frames": frames, "length": length}
    logits, losses = twin(x * gain, label, frames, LENGTHS, blank, zero_infinity=False)
    assert torch.isfinite(losses).all()
    np.testing.assert_allclose(model.run(inputs)["y"], losses.detach(), rtol=1e-5, atol=1e-5)
    losses.mean().backward()
    _, gradients = model.gradients(training=True, **inputs)
    wanted = (logits.grad.numpy() * x).sum(0)
    np.testing.assert_allclose(gradients["gain"], wanted, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_an_impossible_alignment_is_infinite_or_zero_and_has_no_gradient(zero_infinity):
    """Five equal labels need nine frames, and three different ones need three."""
    frames, length = [8, 9, 2, 3], [5, 5, 3, 3]
    label = np.array([[2] * 5, [2] * 5, [1, 2, 3, 3, 3], [1, 2, 3, 3, 3]], np.int32)
    x = np.random.default_rng(1).normal(size=(4, 9, 4)).astype(np.float32)
    model = graphdl.loads(NET.format(T=9, V=4, L=5, settings=f", zero_infinity = {str(zero_infinity).lower()}"))
    gain = np.array(model.parameters["gain"])
    inputs = {"x": x, "label": label, "frames": np.array(frames, np.int32), "length": np.array(length, np.int32)}
    logits, losses = twin(x * gain, label, frames, length, 0, zero_infinity)
    found = model.run(inputs)["y"]
    assert list(np.isinf(found)) == [not zero_infinity, False, not zero_infinity, False]
    np.testing.assert_allclose(found, losses.detach(), rtol=1e-5, atol=1e-5)
    # PyTorch's gradients of infinite losses are NaN; ours are zero, as with zero_infinity.
    _, gradients = model.gradients(training=True, **inputs)
    logits, losses = twin(x * gain, label, frames, length, 0, zero_infinity=True)
    losses.mean().backward()
    np.testing.assert_allclose(gradients["gain"], (logits.grad.numpy() * x).sum(0), rtol=2e-4, atol=1e-6)


def test_lengths_are_whole_by_default():
    text = """
    net whole() {
        input x: [6, 4]
        input label: class(4)[2]
        input frames: int
        input length: int
        output a = ctc(x, label)
        output b = ctc(x, label, frames, length)
    }
    """
    x = np.random.default_rng(2).normal(size=(3, 6, 4)).astype(np.float32)
    label = np.array([[1, 2], [3, 3], [2, 1]], np.int32)
    six, two = np.full(3, 6, np.int32), np.full(3, 2, np.int32)
    found = graphdl.loads(text).run({"x": x, "label": label, "frames": six, "length": two})
    np.testing.assert_array_equal(found["a"], found["b"])
