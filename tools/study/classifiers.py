"""What is compared: features from models of the zoo with classifiers of scikit-learn, and trained networks.

Every contestant is a function of the digits that returns its accuracy on the test images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import graphdl
from graphdl.data.sets import load as load_data

MODELS = Path(__file__).resolve().parents[2] / "models"
FEW = 10_000
"""The training images of the smaller comparison: the time of a kernel classifier grows with their square."""


@dataclass(frozen=True)
class Digits:
    """Images ``[n, 1, 28, 28]`` from 0 to 1 and labels ``[n]``: MNIST's first training images, all test images."""

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def accuracy(self, answers: np.ndarray) -> float:
        """The share of right answers for the test images."""
        return float((answers == self.test_labels).mean())


def digits(count: int) -> Digits:
    """MNIST with the first ``count`` training images."""
    found = load_data("mnist")
    arrays: list[np.ndarray] = []
    for split, rows in (("train", np.arange(count)), ("test", np.arange(len(found.split("test"))))):
        arrays += [found.split(split).fields[name].take(rows) for name in ("image", "label")]
    return Digits(*arrays)


def pixels(images: np.ndarray) -> np.ndarray:
    """The brightness of each pixel."""
    return images.reshape(len(images), -1)


def hog(images: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients: ``models/vision/hog.net``."""
    return _features("hog", images)


def scattering(images: np.ndarray) -> np.ndarray:
    """Averages of the responses to wavelets: ``models/vision/scattering.net``, before it is trained."""
    return _features("scattering", images)


def _features(file: str, images: np.ndarray) -> np.ndarray:
    found = graphdl.load(MODELS / "vision" / f"{file}.net").predict(batch=100, image=images)["features"]
    return found.reshape(len(found), -1)


def linear(features: Callable[[np.ndarray], np.ndarray], known: Digits) -> float:
    """Multinomial logistic regression on standardized features."""
    from sklearn.linear_model import LogisticRegression

    train, test = _standardized(features, known)
    model = LogisticRegression(C=0.01, max_iter=200, tol=1e-3).fit(train, known.labels)
    return known.accuracy(model.predict(test))


def kernel(features: Callable[[np.ndarray], np.ndarray], known: Digits) -> float:
    """A support vector machine with a Gaussian kernel as wide as the features' spread."""
    from sklearn.svm import SVC

    train, test = features(known.images), features(known.test_images)
    model = SVC(C=10, kernel="rbf", gamma="scale", cache_size=1000).fit(train, known.labels)
    return known.accuracy(model.predict(test))


def network(file: str, settings: Mapping[str, Any], epochs: int, batch: int, known: Digits) -> float:
    """A network of the zoo, trained as its row of ``tools/record.py`` is."""
    model = graphdl.load(MODELS / "vision" / f"{file}.net", **settings)
    model.fit(epochs=epochs, batch=batch, image=known.images, label=known.labels)
    found = model.predict(batch=100, image=known.test_images)["probability"]
    return known.accuracy(found.argmax(axis=1))


def _standardized(features: Callable[[np.ndarray], np.ndarray], known: Digits) -> tuple[np.ndarray, np.ndarray]:
    train, test = features(known.images), features(known.test_images)
    mean, scale = train.mean(axis=0), train.std(axis=0)
    scale[scale == 0] = 1
    return (train - mean) / scale, (test - mean) / scale


@dataclass(frozen=True)
class Contestant:
    """A row of the table: what the classifier sees, the classifier, and the function that measures it."""

    features: str
    classifier: str
    measure: Callable[[Digits], float]
    is_deep: bool = False


_SHALLOW = {"pixels": pixels, "hog": hog, "scattering": scattering}
_NAMES = {"pixels": "pixels", "hog": "histograms of gradients", "scattering": "scattering"}
CONTESTANTS: dict[str, Contestant] = {
    **{f"{key}-linear": Contestant(_NAMES[key], "linear", partial(linear, make)) for key, make in _SHALLOW.items()},
    **{f"{key}-kernel": Contestant(_NAMES[key], "kernel", partial(kernel, make)) for key, make in _SHALLOW.items()},
    "mlp": Contestant(
        "pixels", "multilayer perceptron",
        partial(network, "mlp", {"size": 28, "widths": [512, 512]}, 12, 128), is_deep=True,
    ),
    "lenet": Contestant("pixels", "LeNet-5", partial(network, "lenet", {}, 10, 64), is_deep=True),
}  # fmt: skip
