"""The rows of ``models/history/``."""

from __future__ import annotations

from itertools import product

import numpy as np
from recorded.results import Figure
from recorded.row import Row, at_least, at_most, exact
from recorded.runner import Runner

import graphdl
from graphdl.data.sets import load as load_data


def mcculloch_pitts(runner: Runner) -> list[Figure]:
    """The outputs for all inputs, beside the truth tables."""
    inputs = np.array(list(product((0.0, 1.0), repeat=2)), np.float32)
    a, b = inputs[:, 0] > 0, inputs[:, 1] > 0
    truth = {"conjunction": a & b, "disjunction": a | b, "negation": ~a, "exclusive": a ^ b}
    answers = runner.model("history/mcculloch_pitts").predict(x=inputs)
    right = sum(int(((answers[name] > 0.5) == table).sum()) for name, table in truth.items())
    return [exact("right answers of AND, OR, NOT and exclusive OR", right, 16)]


def perceptron(runner: Runner) -> list[Figure]:
    """Errors by Rosenblatt's rule."""
    run = runner.train("history/perceptron")
    right = [runner.evaluate(run, "--split", split)["correct"] for split in ("train", "test")]
    epochs = runner.epochs(run)
    first = next((each["epoch"] for each in epochs if each["metrics"]["correct"] == 1.0), None)
    return [
        exact("share of right answers in training and on held-out flowers", right, [1.0, 1.0]),
        Figure("first epoch without an error", str(first), "of 10", first is not None),
    ]


def xor(runner: Runner) -> list[Figure]:
    """How many of 20 seeds solve it, with a hidden layer and without."""
    solved = best_of_one_layer = 0.0
    for seed in range(20):
        run = runner.train("history/xor", seed=seed)
        solved += runner.evaluate(run, "--split", "train")["correct"] == 1.0
        run = runner.train("history/xor", "--set", "hidden=0", seed=seed)
        best_of_one_layer = max(best_of_one_layer, runner.evaluate(run, "--split", "train")["correct"])
    command = "graphdl train models/history/xor.net"
    runner.commands[:] = [f"{command} --seed N", f"{command} --set hidden=0 --seed N"]
    return [
        exact("seeds of 20 that answer all four", int(solved), 20),
        at_most("best share of right answers of one layer", best_of_one_layer, 0.75, 2),
    ]


def approximation(runner: Runner) -> list[Figure]:
    """The error against the width of the hidden layer."""
    errors = {}
    for width in (1, 2, 4, 8, 16, 32, 64):
        run = runner.train("history/approximation", "--set", f"hidden={width}")
        errors[width] = float(np.sqrt(runner.evaluate(run, "--split", "train")["squared_error"]))
    draw_errors(errors, runner)
    falls = all(errors[2 * width] < errors[width] for width in (1, 2, 4, 8, 16))
    shown = ", ".join(f"{width}: {error:.3f}" for width, error in errors.items())
    return [Figure("root mean squared error by width", shown, "falls to width 32", falls)]


def draw_errors(errors: dict[int, float], runner: Runner) -> None:
    """Draws the errors over the widths."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3), layout="constrained")
    axes.loglog(list(errors), list(errors.values()), marker="o")
    axes.set_xlabel("hidden units")
    axes.set_ylabel("root mean squared error")
    axes.set_xticks(list(errors), map(str, errors))
    figure.savefig(runner.picture("approximation-error.png"), dpi=110)
    pyplot.close(figure)


def experts(runner: Runner) -> list[Figure]:
    """The error against the number of experts, and which expert answers for which digit."""
    options = ("--data", "mnist", "--set", "size=28", "--batch", "128", "--epochs", "4")
    accuracy = {}
    for number in (1, 2, 4, 8):
        run = runner.train("history/experts", *options, "--set", f"experts={number}")
        accuracy[number] = runner.evaluate(run)["accuracy"]
        if number == 4:
            shares = draw_shares(runner.trained(run), runner)
    shown = ", ".join(f"{number}: {value:.4f}" for number, value in accuracy.items())
    rises = accuracy[1] < accuracy[2] < accuracy[4] < accuracy[8]
    return [
        Figure("accuracy on MNIST's test images by experts", shown, "rises", rises),
        at_least("greatest share of one expert in a digit's answers", float(shares.max()), 0.8, 2),
    ]


def draw_shares(model: graphdl.Model, runner: Runner) -> np.ndarray:
    """Draws the mean share of each expert for each digit. Returns these shares [digits, experts]."""
    from matplotlib import pyplot

    test = load_data("mnist", splits=("test",)).split("test")
    images, labels = (np.asarray(test.fields[name].values) for name in ("image", "label"))
    share = model.predict(image=images[:2000])["share"]
    shares = np.stack([share[labels[:2000] == digit].mean(axis=0) for digit in range(10)])
    figure, axes = pyplot.subplots(figsize=(5, 2.4), layout="constrained")
    image = axes.imshow(shares.T, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(10))
    axes.set_yticks(range(shares.shape[1]))
    axes.set_xlabel("digit")
    axes.set_ylabel("expert")
    figure.colorbar(image, label="mean share")
    figure.savefig(runner.picture("experts-shares.png"), dpi=110)
    pyplot.close(figure)
    return shares


ROWS = {
    "mcculloch_pitts": Row(
        "Neurons with thresholds, McCulloch and Pitts 1943", "history/mcculloch_pitts", "exact", mcculloch_pitts, True
    ),
    "perceptron": Row("Perceptron, Rosenblatt 1958", "history/perceptron", "no errors", perceptron, True),
    "xor": Row("Exclusive or, Minsky and Papert 1969", "history/xor", "one layer cannot, two can", xor),
    "approximation": Row("Universal approximation, Cybenko 1989", "history/approximation", "–", approximation),
    "experts": Row("Mixture of experts, Jacobs et al. 1991", "history/experts", "–", experts),
}
