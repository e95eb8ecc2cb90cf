"""The rows of ``models/generative/``."""

from __future__ import annotations

import numpy as np
from recorded.results import Figure
from recorded.row import Row, at_most
from recorded.runner import Runner


def vae(runner: Runner) -> list[Figure]:
    """The bound on -log p of MNIST's test images, and samples."""
    run = runner.train("generative/vae")
    measured = runner.evaluate(run)
    bound = measured["rebuild"] + measured["divergence"]
    samples = runner.trained(run).predict(image=np.zeros((40, 1, 28, 28), np.float32))["sample"]
    draw_digits(samples[:, 0], runner, "vae-samples.png")
    return [at_most("bound on -log p of a test image, nats", bound, 110, 1)]


def draw_digits(images: np.ndarray, runner: Runner, name: str) -> None:
    """Draws 40 images in rows of 10."""
    from PIL import Image

    rows = [np.concatenate(list(images[row * 10 : row * 10 + 10]), axis=1) for row in range(4)]
    Image.fromarray((255 - 255 * np.concatenate(rows).clip(0, 1)).astype(np.uint8)).save(runner.picture(name))


ROWS = {"vae": Row("Variational autoencoder, Kingma and Welling 2014", "generative/vae", "–", vae)}
