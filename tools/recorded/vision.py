"""The rows of ``models/vision/``."""

from __future__ import annotations

from statistics import mean, stdev

import numpy as np
from recorded.results import Figure
from recorded.row import Row, at_least
from recorded.runner import Runner


def mlp(runner: Runner) -> list[Figure]:
    """MNIST by two hidden layers."""
    options = ("--data", "mnist", "--set", "size=28", "--set", "widths=[512,512]", "--batch", "128", "--epochs", "12")
    run = runner.train("vision/mlp", *options)
    return [at_least("accuracy on MNIST's test images", runner.evaluate(run)["accuracy"], 0.982)]


def lenet(runner: Runner) -> list[Figure]:
    """MNIST by LeNet, in 10 epochs."""
    run = runner.train("vision/lenet")
    return [at_least("accuracy on MNIST's test images", runner.evaluate(run)["accuracy"], 0.99)]


def batch_normalization(runner: Runner) -> list[Figure]:
    """MNIST after 5 epochs, with batch normalization and without, over 5 seeds."""
    accuracy: dict[str, list[float]] = {}
    for norm in ("true", "false"):
        runs = [runner.train("vision/mlp_bn", "--set", f"norm={norm}", seed=seed) for seed in range(1, 6)]
        accuracy[norm] = [runner.evaluate(run)["accuracy"] for run in runs]
    runner.commands[:] = [f"graphdl train models/vision/mlp_bn.net --set norm={norm} --seed N" for norm in accuracy]
    worst, best = min(accuracy["true"]), max(accuracy["false"])
    return [
        Figure("accuracy with it, mean and deviation of 5 seeds", spread(accuracy["true"])),
        Figure("without it", spread(accuracy["false"]), "less with every seed", worst > best),
    ]


def spread(values: list[float]) -> str:
    """The mean and the standard deviation."""
    return f"{mean(values):.4f} ± {stdev(values):.4f}"


def filters(runner: Runner) -> list[Figure]:
    """Fixed filters beside SciPy's correlation in float64, on photographs."""
    from PIL import Image
    from scipy.ndimage import correlate
    from sklearn.datasets import load_sample_images

    images = [
        np.asarray(Image.fromarray(image).convert("L"), np.float32) / 255 for image in load_sample_images().images
    ]
    batch = np.stack(images)[:, None]
    model = runner.model("vision/filters")
    outputs = model.predict(image=batch)
    worst = 0.0
    for name, kernels in filter_kernels().items():
        for channel, kernel in enumerate(kernels):
            for image, output in zip(images, outputs[name][:, channel], strict=True):
                wanted = correlate(image.astype(np.float64), kernel, mode="constant")
                worst = max(worst, float(np.abs(output - wanted).max()))
    draw_filtered(images[0], outputs, runner)
    return [Figure("greatest difference from SciPy", f"{worst:.1e}", "at most 1e-05", worst <= 1e-5)]


def filter_kernels(
    reach: int = 8, sigma: float = 2.0, angles: int = 4, wave: float = 6.0
) -> dict[str, list[np.ndarray]]:
    """The kernels of ``filters.net``, by output."""
    at = np.arange(-reach, reach + 1, dtype=np.float64)
    gauss = np.exp(-(at**2) / (2 * sigma**2))
    gauss /= gauss.sum()
    slope = -at / sigma**2 * gauss
    bend = (at**2 / sigma**2 - 1) / sigma**2 * gauss
    gabor = []
    for turn in np.arange(angles) * np.pi / angles:
        along = at[None] * np.cos(turn) + at[:, None] * np.sin(turn)
        across = at[:, None] * np.cos(turn) - at[None] * np.sin(turn)
        envelope = np.exp(-(along**2 + 0.25 * across**2) / (2 * sigma**2)) / (4 * np.pi * sigma**2)
        gabor.append(envelope * np.cos(2 * np.pi * along / wave))
    laplacian = np.outer(gauss, bend) + np.outer(bend, gauss)
    return {
        "smooth": [np.outer(gauss, gauss)], "across": [np.outer(gauss, slope)], "laplacian": [laplacian], "edges": gabor
    }  # fmt: skip


def draw_filtered(image: np.ndarray, outputs: dict[str, np.ndarray], runner: Runner) -> None:
    """Draws a photograph and what the filters make of it."""
    from matplotlib import pyplot

    edges = outputs["edges"][0]
    shown = {
        "photograph": image, "Gaussian": outputs["smooth"][0, 0], "its slope": outputs["across"][0, 0],
        "Laplacian": outputs["laplacian"][0, 0], "Gabor, 0°": edges[0], "Gabor, 90°": edges[2],
    }  # fmt: skip
    figure, axes = pyplot.subplots(2, 3, figsize=(8, 3.8), layout="constrained")
    for axis, (title, picture) in zip(axes.flat, shown.items(), strict=True):
        axis.imshow(picture, cmap="gray")
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    figure.savefig(runner.picture("filters.png"), dpi=80)
    pyplot.close(figure)


def scattering(runner: Runner) -> list[Figure]:
    """MNIST by fixed wavelets and a linear classifier."""
    run = runner.train("vision/scattering")
    return [at_least("accuracy on MNIST's test images", runner.evaluate(run)["accuracy"], 0.98)]


ROWS = {
    "mlp": Row("Multilayer perceptron", "vision/mlp", "98.4 % (LeCun et al., 1998: 1.6 % errors)", mlp),
    "lenet": Row("LeNet-5, LeCun et al. 1998", "vision/lenet", "99.05 %", lenet),
    "mlp_bn": Row("Batch normalization, Ioffe and Szegedy 2015", "vision/mlp_bn", "–", batch_normalization),
    "filters": Row("Gaussian and Gabor filters", "vision/filters", "–", filters, True),
    "scattering": Row("Scattering transform, Bruna and Mallat 2013", "vision/scattering", "99.6 %", scattering),
}
