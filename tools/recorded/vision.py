"""The rows of ``models/vision/``."""

from __future__ import annotations

from itertools import pairwise
from statistics import mean, stdev

import numpy as np
from recorded.pictures import draw_tiles
from recorded.results import Figure
from recorded.row import Row, at_least, at_most
from recorded.runner import Runner

from graphdl.data.sets import load as load_data


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


def dropout(runner: Runner) -> list[Figure]:
    """MNIST from a tenth of its training images, with dropout and without, over 5 seeds."""
    options = (
        "--data", "mnist(validation = 0.9)", "--set", "widths=[512,512]", "--set", "optimizer.lr=0.05", "--batch", "32",
        "--epochs", "10",
    )  # fmt: skip
    choices = {"with": (), "without": ("--set", "visible=0", "--set", "hidden=0")}
    accuracy = {}
    for name, choice in choices.items():
        runs = [runner.train("vision/mlp_dropout", *options, *choice, seed=seed) for seed in range(1, 6)]
        accuracy[name] = [runner.evaluate(run, "--split", "test")["accuracy"] for run in runs]
    runner.commands[:] = [f"{command[: command.index(' --seed')]} --seed N" for command in runner.commands[::5]]
    worst, best = min(accuracy["with"]), max(accuracy["without"])
    return [
        Figure("accuracy with dropout after 6,000 images, mean and deviation of 5 seeds", spread(accuracy["with"])),
        Figure("without it", spread(accuracy["without"]), "less with every seed", worst > best),
    ]


def pilotnet(runner: Runner) -> list[Figure]:
    """The share of the steering's variance that is explained on a held-out stretch, beside ridge regression."""
    from sklearn.linear_model import Ridge

    run = runner.train("vision/pilotnet")
    error = runner.evaluate(run)["mse"]
    data = load_data(runner.model("vision/pilotnet").stages()[0].data)
    pixels, angles = {}, {}
    for name in ("train", "test"):
        split = data.split(name)
        everything = np.arange(len(split))
        grey = np.asarray(split.fields["image"].take(everything), np.float32).mean(axis=1)
        rows = np.stack([part.mean(axis=1) for part in np.array_split(grey, 15, axis=1)], axis=1)
        pixels[name] = rows.reshape(len(split), 15, 20, 10).mean(axis=3).reshape(len(split), -1)
        angles[name] = np.asarray(split.fields["angle"].take(everything), np.float64)
    truth = angles["test"]
    guess = float(((truth - angles["train"].mean()) ** 2).mean())
    ridge = Ridge(1.0).fit(pixels["train"], angles["train"]).score(pixels["test"], truth)
    explained = 1 - error / float(truth.var())
    return [
        at_most("squared error on a held-out stretch", error, round(guess, 3), 3),
        Figure("that of the mean angle", f"{guess:.3f}"),
        at_least("R² on a held-out stretch", explained, max(0.43, round(float(ridge), 2)), 2),
        Figure("that of ridge regression on 20 × 15 grey pixels", f"{ridge:.2f}"),
    ]


def grasp(runner: Runner) -> list[Figure]:
    """Outcomes of single tries, and how often the angle that is thought best holds."""
    run = runner.train("vision/grasp")
    measured = runner.evaluate(run)
    numbers = np.random.default_rng(0).random((20, 6), np.float32)
    shown = runner.trained(run).predict(numbers=numbers)
    draw_grasps(shown["image"][:, 0], shown["probability"], runner)
    return [
        at_least("outcomes of tried angles that are predicted", measured["correct"], 0.9),
        at_least("objects that the best of 18 angles holds", measured["best_holds"], 0.95),
        Figure("that a random angle holds", f"{measured['random_holds']:.4f}"),
    ]


def draw_grasps(images: np.ndarray, probability: np.ndarray, runner: Runner) -> None:
    """Draws pictures with the best angle of the gripper."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 10, figsize=(10, 2.2), layout="constrained")
    for axis, image, each in zip(axes.flat, images, probability, strict=True):
        turn = np.pi * each.argmax() / len(each)
        rows, columns = np.indices(image.shape)
        weight = np.where(image > 0.3, image, 0)
        x, y = (float((place * weight).sum() / weight.sum()) for place in (columns, rows))
        axis.imshow(image, cmap="gray", vmin=0, vmax=1)
        for side in (-6.5, 6.5):
            middle = (x + side * np.cos(turn), y + side * np.sin(turn))
            ends = [(middle[0] + k * np.sin(turn), middle[1] - k * np.cos(turn)) for k in (-3, 3)]
            axis.plot(*zip(*ends, strict=True), color="tab:red")
        axis.axis("off")
    figure.savefig(runner.picture("grasp.png"), dpi=90)
    pyplot.close(figure)


def unet_digits(runner: Runner) -> list[Figure]:
    """The overlap of found and true masks of digits."""
    run = runner.train("vision/unet_digits")
    measured = runner.evaluate(run)
    images = np.asarray(load_data("mnist").split("test").fields["image"].take(np.arange(10)), np.float32)
    shown = runner.trained(run).predict(image=images)
    middle = shown["picture"][:, 0, 20:48, 20:48]
    draw_tiles(np.concatenate([middle, shown["mask"], images[:, 0]]), 10, runner.picture("unet_digits.png"))
    return [
        at_least("overlap of a found mask with the true one", measured["overlap"], 0.8),
        Figure("that of a threshold of brightness", f"{measured['overlap_by_brightness']:.4f}"),
    ]


def densenet(runner: Runner) -> list[Figure]:
    """A small DenseNet on a part of CIFAR-10, 20,000 images, in 5 epochs."""
    sizes = [option for each in SMALL_DENSENET for option in ("--set", each)]
    run = runner.train("vision/densenet", "--data", "cifar10", *sizes, "--batch", "64", "--epochs", "5")
    losses = [epoch["loss"] for epoch in runner.epochs(run)]
    falls = all(after < before for before, after in pairwise(losses))
    return [
        Figure("loss by epoch", ", ".join(f"{loss:.3f}" for loss in losses), "falls", falls),
        at_least("accuracy on CIFAR-10's test images", runner.evaluate(run)["top1"], 0.5),
    ]


SMALL_DENSENET = ("size=32", "classes=10", "growth=8", "depths=[4,4,4]")

ROWS = {
    "mlp": Row("Multilayer perceptron", "vision/mlp", "98.4 % (LeCun et al., 1998: 1.6 % errors)", mlp),
    "lenet": Row("LeNet-5, LeCun et al. 1998", "vision/lenet", "99.05 %", lenet),
    "mlp_dropout": Row(
        "Dropout, Srivastava et al. 2014", "vision/mlp_dropout", "98.75 %, 98.94 % with max-norm", dropout
    ),
    "mlp_bn": Row("Batch normalization, Ioffe and Szegedy 2015", "vision/mlp_bn", "–", batch_normalization),
    "filters": Row("Gaussian and Gabor filters", "vision/filters", "–", filters, True),
    "scattering": Row("Scattering transform, Bruna and Mallat 2013", "vision/scattering", "99.6 %", scattering),
    "pilotnet": Row("PilotNet, Bojarski et al. 2016", "vision/pilotnet", "–", pilotnet),
    "grasp": Row("Self-supervised grasping, Pinto and Gupta 2016", "vision/grasp", "–", grasp),
    "unet_digits": Row("U-Net, Ronneberger et al. 2015", "vision/unet_digits", "–", unet_digits),
    "densenet": Row("DenseNet, Huang et al. 2017", "vision/densenet", "–", densenet),
}
