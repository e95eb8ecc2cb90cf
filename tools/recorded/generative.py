"""The rows of ``models/generative/``."""

from __future__ import annotations

import numpy as np
from recorded.pictures import draw_filters, draw_tiles
from recorded.results import Figure
from recorded.row import Row, at_least, at_most
from recorded.runner import Runner

from graphdl.data.sets import load as load_data


def vae(runner: Runner) -> list[Figure]:
    """The bound on -log p of MNIST's test images, and samples."""
    run = runner.train("generative/vae")
    measured = runner.evaluate(run)
    bound = measured["rebuild"] + measured["divergence"]
    samples = runner.trained(run).predict(image=np.zeros((40, 1, 28, 28), np.float32))["sample"]
    draw_tiles(1 - samples[:, 0], 10, runner.picture("vae-samples.png"))
    return [at_most("bound on -log p of a test image, nats", bound, 110, 1)]


def gan(runner: Runner) -> list[Figure]:
    """How many samples a classifier of real digits recognizes, and whether all digits are among them."""
    run = runner.train("generative/gan", "--epochs", "3")
    judge = runner.train("vision/lenet", "--epochs", "1")
    samples = runner.trained(run).predict(image=np.zeros((2000, 1, 28, 28), np.float32))["sample"]
    probability = runner.trained(judge).predict(image=samples)["probability"]
    recognized = float((probability.max(axis=1) >= 0.9).mean())
    shares = np.bincount(probability.argmax(axis=1), minlength=10) / len(samples)
    draw_tiles(1 - samples[:40, 0], 10, runner.picture("gan-samples.png"))
    return [
        at_least("share of 2,000 samples that LeNet gives a digit with a probability of 0.9", recognized, 0.8),
        at_least("share of the rarest digit among them", float(shares.min()), 0.02),
        Figure("LeNet's accuracy on real digits", f"{runner.evaluate(judge)['accuracy']:.4f}"),
    ]


def deep_autoencoder(runner: Runner) -> list[Figure]:
    """The squared error of MNIST's test images from 30 numbers each, beside that of 30 principal components."""
    from sklearn.decomposition import PCA

    run = runner.train("generative/deep_autoencoder", "--set", "pretraining=1", "--set", "fine_tuning=5")
    error = runner.evaluate(run)["squared_error"]
    digits = load_data("mnist")
    train, test = (
        np.asarray(digits.split(name).fields["image"].take(np.arange(len(digits.split(name)))), np.float32)
        for name in ("train", "test")
    )
    linear = PCA(30, random_state=0).fit(train.reshape(-1, 784))
    flat = test.reshape(-1, 784)
    components = linear.inverse_transform(linear.transform(flat))
    linear_error = float(((components - flat) ** 2).sum(axis=1).mean())
    rebuilt = runner.trained(run).predict(image=test[:10])["reconstruction"]
    shown = [test[:10, 0], rebuilt[:, 0], components[:10].reshape(10, 28, 28)]
    draw_tiles(1 - np.concatenate(shown), 10, runner.picture("deep_autoencoder.png"))
    return [
        at_most("squared error of a test image", error, round(linear_error / 2, 2), 2),
        Figure("that of PCA with 30 components", f"{linear_error:.2f}"),
    ]


def sparse_dbn(runner: Runner) -> list[Figure]:
    """How seldom the units are on for MNIST's test images, and their filters as pictures."""
    run = runner.train("generative/sparse_dbn")
    measured = runner.evaluate(run)
    weights = runner.trained(run).parameters
    first, second = weights["m1.W"], weights["m2.W"]
    draw_filters(first.T[:120].reshape(-1, 28, 28), 20, runner.picture("sparse_dbn-features.png"), 2)
    draw_filters((first @ second).T[:60].reshape(-1, 28, 28), 20, runner.picture("sparse_dbn-combinations.png"), 2)
    return [
        at_most("mean activity of the first layer's units", measured["m1.mean_activity"], 0.06),
        at_most("of the second layer's", measured["m2.mean_activity"], 0.06),
        Figure("squared error of a reconstruction by the first layer", f"{measured['m1.squared_error']:.1f}"),
    ]


def sparse_edges(runner: Runner) -> list[Figure]:
    """How seldom the units are on, and how near their filters are to Gabor functions."""
    run = runner.train("generative/sparse_edges")
    weights = runner.trained(run).parameters["m1.W"]
    draw_filters(weights.T[:120].reshape(-1, 12, 12), 20, runner.picture("sparse_edges.png"), 4)
    near = float(np.median(likeness(weights)))
    drawn = float(np.median(likeness(np.random.default_rng(0).normal(size=weights.shape))))
    return [
        at_most("mean activity of a unit", runner.evaluate(run)["m1.mean_activity"], 0.06),
        at_least("median correlation of a filter with the most similar Gabor function", near, 0.6, 2),
        Figure("that of random filters", f"{drawn:.2f}"),
    ]


def likeness(weights: np.ndarray) -> np.ndarray:
    """The correlation of each column of [144, units] with the most similar one of many Gabor functions."""
    at = np.arange(12.0)
    bank = []
    for turn in np.arange(12) * np.pi / 12:
        for top in np.arange(1, 12, 1.5):
            for left in np.arange(1, 12, 1.5):
                along = (at[None] - left) * np.cos(turn) + (at[:, None] - top) * np.sin(turn)
                across = (at[:, None] - top) * np.cos(turn) - (at[None] - left) * np.sin(turn)
                for wave in (3.0, 4.0, 6.0):
                    for long in (0.4, 0.8):
                        envelope = np.exp(-0.5 * ((along / (0.4 * wave)) ** 2 + (across / (long * wave)) ** 2))
                        for phase in (0, np.pi / 2):
                            bank.append((envelope * np.cos(2 * np.pi * along / wave + phase)).ravel())
    functions, filters = np.stack(bank), weights.T - weights.T.mean(axis=1, keepdims=True)
    functions -= functions.mean(axis=1, keepdims=True)
    functions /= np.linalg.norm(functions, axis=1, keepdims=True)
    filters = filters / np.linalg.norm(filters, axis=1, keepdims=True)
    return np.asarray(np.abs(functions @ filters.T).max(axis=0))


ROWS = {
    "vae": Row("Variational autoencoder, Kingma and Welling 2014", "generative/vae", "–", vae),
    "gan": Row("Generative adversarial net, Goodfellow et al. 2014", "generative/gan", "–", gan),
    "deep_autoencoder": Row(
        "Deep autoencoder, Hinton and Salakhutdinov 2006", "generative/deep_autoencoder", "3.00 against PCA's 13.87",
        deep_autoencoder,
    ),
    "sparse_dbn": Row("Sparse deep belief net, Lee et al. 2008", "generative/sparse_dbn", "strokes", sparse_dbn),
    "sparse_edges": Row(
        "Edges by a sparse machine, Lee et al. 2008", "generative/sparse_edges", "edges", sparse_edges
    ),
}  # fmt: skip
