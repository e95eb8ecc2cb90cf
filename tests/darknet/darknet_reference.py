"""Darknet's layers in NumPy, in double precision: loops over pixels and indices as in Darknet's own definition."""

from __future__ import annotations

import numpy as np

ACTIVATIONS = {
    "linear": lambda x: x,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "loggy": lambda x: 2 / (1 + np.exp(-x)) - 1,
    "relu": lambda x: x * (x > 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "elu": lambda x: np.where(x >= 0, x, np.exp(x) - 1),
    "selu": lambda x: np.where(x >= 0, 1.0507 * x, 1.0507 * 1.6732 * (np.exp(x) - 1)),
    "relie": lambda x: np.where(x > 0, x, 0.01 * x),
    "ramp": lambda x: x * (x > 0) + 0.1 * x,
    "leaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "tanh": np.tanh,
    "plse": lambda x: np.where(x < -4, 0.01 * (x + 4), np.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5)),
    "stair": lambda x: np.where(np.floor(x) % 2 == 0, np.floor(x / 2), (x - np.floor(x)) + np.floor(x / 2)),
    "hardtan": lambda x: np.clip(x, -1, 1),
    "lhtan": lambda x: np.where(x < 0, 0.001 * x, np.where(x > 1, 0.001 * (x - 1) + 1, x)),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
}


def logistic(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def convolve(x, w, stride, pad, groups=1):
    """x [c, h, w] with w [n, c / groups, k, k]."""
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    n, share, k, _ = w.shape
    height, width = ((extent - k) // stride + 1 for extent in x.shape[1:])
    y = np.zeros((n, height, width))
    for f in range(n):
        first = f // (n // groups) * share
        for i in range(height):
            for j in range(width):
                patch = x[first : first + share, i * stride : i * stride + k, j * stride : j * stride + k]
                y[f, i, j] = (patch * w[f]).sum()
    return y


def deconvolve(x, w, stride, pad):
    """x [c, h, w] with w [c, n, k, k]."""
    _, h, width = x.shape
    _, n, k, _ = w.shape
    y = np.zeros((n, (h - 1) * stride + k, (width - 1) * stride + k))
    for i in range(h):
        for j in range(width):
            y[:, i * stride : i * stride + k, j * stride : j * stride + k] += np.tensordot(x[:, i, j], w, 1)
    return y[:, pad : y.shape[1] - pad, pad : y.shape[2] - pad]


def maxpool(x, size, stride, padding):
    """Windows that begin ``padding // 2`` before the image; what is outside does not count."""
    c, h, w = x.shape
    height, width = ((extent + padding - size) // stride + 1 for extent in (h, w))
    y = np.full((c, height, width), -np.inf)
    for i in range(height):
        for j in range(width):
            for n in range(size):
                for m in range(size):
                    row, column = i * stride - padding // 2 + n, j * stride - padding // 2 + m
                    if 0 <= row < h and 0 <= column < w:
                        y[:, i, j] = np.maximum(y[:, i, j], x[:, row, column])
    return y


def reorg(x, stride):
    """``reorg_cpu`` with its flat indices."""
    c, h, w = x.shape
    small = c // (stride * stride)
    flat, y = x.reshape(-1), np.zeros(x.size)
    for k in range(c):
        for j in range(h):
            for i in range(w):
                c2, offset = k % small, k // small
                w2, h2 = i * stride + offset % stride, j * stride + offset // stride
                y[i + w * (j + h * k)] = flat[w2 + w * stride * (h2 + h * stride * c2)]
    return y.reshape(c * stride * stride, h // stride, w // stride)


def local(x, w, b, size, stride, pad):
    """w [places, n, c · size · size], b [n, places]."""
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    height, width = ((extent - size) // stride + 1 for extent in x.shape[1:])
    y = np.zeros((w.shape[1], height, width))
    for i in range(height):
        for j in range(width):
            patch = x[:, i * stride : i * stride + size, j * stride : j * stride + size].reshape(-1)
            y[:, i, j] = w[i * width + j] @ patch + b[:, i * width + j]
    return y


def normalization(x, size, alpha, beta, kappa):
    """Darknet's running sum over channels: of channel k, from k - (size - 1) / 2 to k + size / 2."""
    y = np.zeros_like(x)
    for k in range(len(x)):
        around = x[max(0, k - (size - 1) // 2) : k + size // 2 + 1]
        y[k] = x[k] * (kappa + alpha * (around**2).sum(0)) ** -beta
    return y


def batchnorm(x, scales, biases, mean, variance):
    column = (-1, *[1] * (x.ndim - 1))
    scales, biases, mean, variance = (each.reshape(column) for each in (scales, biases, mean, variance))
    return scales * (x - mean) / np.sqrt(variance + 1e-5) + biases


class Numbers:
    """The numbers of a weights file, drawn; the file is written afterwards."""

    def __init__(self, seed):
        self.random, self.drawn = np.random.default_rng(seed), []

    def take(self, *shape, low=-1.0, high=1.0):
        found = self.random.uniform(low, high, shape).astype(np.float32)
        self.drawn.append(found.reshape(-1))
        return found.astype(np.float64)

    def normal(self, channels):
        """Scales, means and variances."""
        return self.take(channels, low=0.5, high=2), self.take(channels), self.take(channels, low=0.5, high=2)

    def write(self, path, major=0, minor=2, revision=5):
        header = np.array([major, minor, revision], "<i4").tobytes()
        large = major > 1000 or minor > 1000
        header += np.zeros(1, "<i8" if major * 10 + minor >= 2 and not large else "<i4").tobytes()
        path.write_bytes(header + np.concatenate([np.zeros(0, "<f4"), *self.drawn]).astype("<f4").tobytes())
