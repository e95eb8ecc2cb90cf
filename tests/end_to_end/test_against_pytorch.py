"""Training beside PyTorch: the same weights, the same batches, step by step; recurrence beside what it is unrolled."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

import graphdl
from graphdl.model import Model
from graphdl.runtime import Device

MODELS = Path(__file__).parents[2] / "models"
STEPS = 50
Weights = dict[str, torch.Tensor]


def weights_of(model: Model) -> Weights:
    """The parameters as PyTorch's leaves."""
    return {path: torch.tensor(value, requires_grad=True) for path, value in model.parameters.items()}


def batches(shape: tuple[int, ...], size: int, noise: float = 2.0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images of ten classes, each a pattern of its own under noise: hard enough that 50 steps do not finish it."""
    random = np.random.default_rng(11)
    coarse = random.normal(size=(10, shape[0], shape[1] // 4, shape[2] // 4))
    patterns = np.kron(coarse, np.ones((4, 4))).astype(np.float32)
    made = []
    for _ in range(STEPS):
        label = random.integers(0, 10, size).astype(np.int32)
        grain = random.normal(size=(size, *shape)).astype(np.float32)
        made.append((patterns[label] + noise * grain, label))
    return made


def losses_of_both(
    model: Model, network: Callable[[Weights, torch.Tensor], torch.Tensor], shape: tuple[int, ...], size: int, *,
    noise: float = 2.0, clip: float = math.inf, **sgd: float,
) -> tuple[np.ndarray, np.ndarray, Weights]:  # fmt: skip
    """The losses of every step here and in PyTorch, with PyTorch's weights after the last one."""
    weights = weights_of(model)
    theirs = losses_in_pytorch(weights, network, batches(shape, size, noise), sgd, clip)
    trainer = model.trainer(batch=size)
    ours = [float(trainer.step(image=image, label=label)) for image, label in batches(shape, size, noise)]
    return np.array(ours), theirs, weights


def losses_in_pytorch(
    weights: Weights,
    network: Callable[[Weights, torch.Tensor], torch.Tensor],
    steps: list[tuple[np.ndarray, np.ndarray]],
    sgd: dict[str, float],
    clip: float = math.inf,
) -> np.ndarray:
    """The losses of every step in PyTorch, in the type of the weights, which are trained; ``clip`` is the greatest norm
    of all gradients together."""
    optimizer = torch.optim.SGD(list(weights.values()), **sgd)
    kind, losses = next(iter(weights.values())).dtype, []
    for image, label in steps:
        output = network(weights, torch.tensor(image, dtype=kind))
        loss = functional.cross_entropy(output, torch.tensor(label).long())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), clip)
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def assert_same_weights(model: Model, weights: Weights, tolerance: float) -> None:
    found = {path: torch.tensor(model.parameters[path]) for path in weights}
    for path, difference in differences(found, weights).items():
        assert difference < tolerance, path


def differences(found: Weights, wanted: Weights) -> dict[str, float]:
    """How far weights are from others, as parts of their norms, by path."""
    pairs = {path: (found[path].detach().double(), w.detach().double()) for path, w in wanted.items()}
    return {path: float((a - b).norm() / b.norm()) for path, (a, b) in pairs.items()}


# ------------------------------------------------------------------------------------------------------------ training


def test_mlp_trains_as_in_pytorch(device: Device) -> None:
    model = graphdl.load(MODELS / "vision/mlp.net", seed=1)

    def network(w: Weights, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        for name in ("linear", "linear_2"):
            x = functional.relu(x @ w[f"hidden.{name}.W"] + w[f"hidden.{name}.b"])
        return x @ w["logits.linear.W"] + w["logits.linear.b"]

    ours, theirs, weights = losses_of_both(model, network, (1, 8, 8), 32, clip=1.0, lr=0.1, momentum=0.9)
    assert ours[-5:].mean() < 0.8 * ours[:5].mean()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert_same_weights(model, weights, 1e-4)


def test_lenet_trains_as_in_pytorch(device: Device) -> None:
    model = graphdl.load(MODELS / "vision/lenet.net", seed=1)

    def network(w: Weights, x: torch.Tensor) -> torch.Tensor:
        for name in ("c1", "c2"):
            x = functional.max_pool2d(functional.conv2d(x, w[f"{name}.W"], w[f"{name}.b"]), 2)
        x = functional.relu(x.flatten(1) @ w["logits.linear.W"] + w["logits.linear.b"])
        return x @ w["logits.linear_2.W"] + w["logits.linear_2.b"]

    ours, theirs, weights = losses_of_both(model, network, (1, 28, 28), 16, lr=0.01, momentum=0.9, weight_decay=5e-4)
    assert ours[-5:].mean() < 0.8 * ours[:5].mean()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert_same_weights(model, weights, 1e-4)


@pytest.mark.parametrize(
    ("depth", "width", "lr"),
    [(1, 8, 0.03), pytest.param(3, 16, 0.005, marks=pytest.mark.slow)],
    ids=["resnet8", "resnet20"],
)
def test_residual_networks_train_as_in_pytorch(depth: int, width: int, lr: float, device: Device) -> None:
    """Batch normalization by the batch in 50 steps, and its running values after them.

    Blocks start close to the identity (Goyal et al., 2017), for otherwise PyTorch in 32 bits and in 64 part by more
    than a hundredth within these steps; so their losses stay within 2e-4 of each other. Rounding alone moves the
    shifts of normalizations by 3 %, in PyTorch too. How far depends on the order of sums, which each device has of its
    own. So the measure is PyTorch in 64 bits, and the unit how far PyTorch in 32 bits is from that.
    """
    text, _ = (MODELS / "vision/resnet20.net").read_text("utf-8").split("\ntrain {")
    text += f"train {{ optimizer sgd(lr = {lr}, momentum = 0.9, weight_decay = 1e-4) }}"
    model = graphdl.loads(text, seed=1, depth=depth, width=width)
    for path in model.parameters:
        if path.endswith("main.batchnorm_2.gamma"):
            model.parameters[path] = 0.2 * model.parameters[path]
    exact = {path: w.detach().double().requires_grad_() for path, w in weights_of(model).items()}
    start = {path: torch.tensor(value) for path, value in model.states.items()}
    running = {path: value.double() for path, value in start.items()}

    def normalized(w: Weights, x: torch.Tensor, conv: str, norm: str, stride: int = 1) -> torch.Tensor:
        kernel = w[f"{conv}.W"]
        x = functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[2] // 2)
        mean, variance = running[f"{norm}.mean"], running[f"{norm}.variance"]
        return functional.batch_norm(x, mean, variance, w[f"{norm}.gamma"], w[f"{norm}.beta"], training=True)

    def network(w: Weights, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(normalized(w, x, "stem", "x.batchnorm"))
        for number in range(3 * depth):
            at = "x.residual" if number == 0 else f"x.residual_{number + 1}"
            stride = 2 if number in (depth, 2 * depth) else 1
            y = functional.relu(normalized(w, x, f"{at}.main.conv", f"{at}.main.batchnorm", stride))
            y = normalized(w, y, f"{at}.main.conv_2", f"{at}.main.batchnorm_2")
            if stride == 2:
                x = normalized(w, x, f"{at}.skip.conv", f"{at}.skip.batchnorm", stride)
            x = functional.relu(x + y)
        return x.mean((2, 3)) @ w["logits.linear.W"] + w["logits.linear.b"]

    sgd = {"lr": lr, "momentum": 0.9, "weight_decay": 1e-4}
    losses_in_pytorch(exact, network, batches((3, 32, 32), 32, 0.3), sgd)
    running = start
    ours, theirs, weights = losses_of_both(model, network, (3, 32, 32), 32, noise=0.3, **sgd)
    assert ours[-5:].mean() < 0.9 * ours[:5].mean()
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    drift = max(differences(weights, exact).values())
    assert drift < 0.1
    assert_same_weights(model, exact, 3 * drift)
    for path, wanted in running.items():
        np.testing.assert_allclose(model.states[path], wanted.numpy(), rtol=2e-2, atol=2e-3, err_msg=path)


# ---------------------------------------------------------------------------------------------------------- recurrence


def test_lstm_from_given_states_runs_as_in_pytorch(device: Device) -> None:
    """Twenty steps; the gradients reach the initial states, too."""
    model = graphdl.loads(
        """net n() {
            input x: [20, 3]
            param h0: [5] = normal(0, 1)
            param c0: [5] = normal(0, 1)
            y, h, c = (x, h0, c0) -> lstm(5) as m
            loss mean(y * y) + sum(h * c)
            output last = c
            output y
        }""",
        seed=4,
    )
    x = np.random.default_rng(2).normal(size=(3, 20, 3)).astype(np.float32)
    w = weights_of(model)
    names = {"weight_ih_l0": "m.Wx", "weight_hh_l0": "m.Wh", "bias_ih_l0": "m.bx", "bias_hh_l0": "m.bh"}
    peer = torch.nn.LSTM(3, 5, batch_first=True)
    start = tuple(w[name].expand(1, 3, 5).contiguous() for name in ("h0", "c0"))
    transposed = {name: w[path].T if w[path].ndim == 2 else w[path] for name, path in names.items()}
    y, (h, c) = torch.func.functional_call(peer, transposed, (torch.tensor(x), start))
    loss = (y * y).mean() + (h * c).sum() / 3
    loss.backward()
    found, gradients = model.gradients(x=x)
    assert found == pytest.approx(loss.item(), rel=1e-5)
    for path, tensor in w.items():
        np.testing.assert_allclose(gradients[path], tensor.grad.numpy(), rtol=1e-3, atol=1e-5, err_msg=path)
    outputs = model.predict(x=x)
    np.testing.assert_allclose(outputs["y"], y.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs["last"], c[0].detach().numpy(), rtol=1e-4, atol=1e-5)


SCANNED = """
net n() {
    input x: [6, 3]
    inward = linear(4)
    back = linear(4, bias = false)
    param h0: [4] = normal(0, 1)
    y, last = scan xt in SEQUENCE, h = h0 { h = tanh((xt -> inward) + (h -> back)); emit 2 * h }
    loss mean(y * y) + sum(last)
    output all = y
}"""
UNROLLED = """
net n() {
    input x: [6, 3]
    inward = linear(4)
    back = linear(4, bias = false)
    param h0: [4] = normal(0, 1)
    h = h0
    total = 0
    rows = []
    for t in STEPS {
        h = tanh((x[t] -> inward) + (h -> back))
        rows = rows + [reshape(2 * h, [1, 4])]
    }
    y = concat(rows)
    loss mean(y * y) + sum(h)
    output all = y
}"""


@pytest.mark.parametrize(
    ("sequence", "steps"), [("x", "0..6"), ("reverse(x)", "[5, 4, 3, 2, 1, 0]")], ids=["forward", "reverse"]
)
def test_a_scan_is_the_network_unrolled(sequence: str, steps: str, device: Device) -> None:
    scanned = graphdl.loads(SCANNED.replace("SEQUENCE", sequence), seed=5)
    unrolled = graphdl.loads(UNROLLED.replace("STEPS", steps), seed=5)
    assert list(scanned.parameters) == list(unrolled.parameters)
    x = np.random.default_rng(3).normal(size=(4, 6, 3)).astype(np.float32)
    loss, gradients = scanned.gradients(x=x)
    wanted_loss, wanted = unrolled.gradients(x=x)
    assert loss == pytest.approx(wanted_loss, rel=1e-6)
    for path, gradient in wanted.items():
        np.testing.assert_allclose(gradients[path], gradient, rtol=1e-5, atol=1e-6, err_msg=path)
    np.testing.assert_allclose(scanned.predict(x=x)["all"], unrolled.predict(x=x)["all"], rtol=1e-5)


def test_attention_translates_as_in_pytorch(device: Device) -> None:
    """Luong's decoder with input feeding, whose scan holds shared modules and reads the whole encoded source."""
    model = graphdl.load(
        MODELS / "sequence/attention_nmt.net", seed=6,
        source_words=11, target_words=13, source_length=5, target_length=4, units=6,
    )  # fmt: skip
    random = np.random.default_rng(9)
    source = np.array([[3, 4, 5, 0, 0], [7, 8, 9, 10, 2]], np.int32)
    target = random.integers(1, 13, (2, 4)).astype(np.int32)
    following = np.array([[5, 6, 0, 0], [1, 2, 3, 4]], np.int32)
    w = weights_of(model)

    def cell(x: torch.Tensor, c: torch.Tensor, at: str) -> tuple[torch.Tensor, torch.Tensor]:
        i, f, g, o = (x @ w[f"{at}.W"] + w[f"{at}.b"]).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    words = w["encoded.embedding.W"][torch.tensor(source).long()]
    peer = torch.nn.LSTM(6, 6, batch_first=True)
    names = {"weight_ih_l0": "Wx", "weight_hh_l0": "Wh", "bias_ih_l0": "bx", "bias_hh_l0": "bh"}
    encoder = {name: w[f"encoder.{path}"] for name, path in names.items()}
    encoder = {name: tensor.T if tensor.ndim == 2 else tensor for name, tensor in encoder.items()}
    encoded, (h, c) = torch.func.functional_call(peer, encoder, (words,))
    h, c, fed = h[0], c[0], torch.zeros(2, 6)
    mask = torch.tensor(source != 0)
    rows = []
    for t in range(4):
        word = w["target_embedding.W"][torch.tensor(target[:, t]).long()]
        h, c = cell(torch.cat([word, fed, h], 1), c, "cell.z.linear")
        score = torch.einsum("bsn,bn->bs", encoded, h @ w["attention.score.linear.W"])
        weights = score.masked_fill(~mask, -1e9).softmax(1)
        context = torch.einsum("bs,bsn->bn", weights, encoded)
        fed = torch.cat([context, h], 1) @ w["join.W"]
        fed = fed.tanh()
        rows.append(fed)
    logits = torch.stack(rows, 1) @ w["readout.W"] + w["readout.b"]
    label = torch.tensor(following).long()
    each = functional.cross_entropy(logits.transpose(1, 2), label, reduction="none")
    counts = (label != 0).float()
    loss = ((each * counts).sum(1) / counts.sum(1)).mean()
    loss.backward()
    found, gradients = model.gradients(training=False, source=source, target=target, next=following)
    assert found == pytest.approx(loss.item(), rel=1e-5)
    for path, tensor in w.items():
        np.testing.assert_allclose(gradients[path], tensor.grad.numpy(), rtol=1e-3, atol=1e-6, err_msg=path)
    attention = model.predict(source=source, target=target, next=following)["attention_weights"]
    np.testing.assert_allclose(attention.sum(2), 1, rtol=1e-5)
    assert (attention[0, :, 3:] == 0).all()
