"""Caffe's layers in NumPy, in double precision, for one example: loops over places as in Caffe's own definition. And a
writer of ``.caffemodel`` files that knows the form of protocol buffers itself.
"""

from __future__ import annotations

import math

import numpy as np


def varint(n):
    result = bytearray()
    while n > 127:
        result.append(n & 127 | 128)
        n >>= 7
    return bytes([*result, n])


def field(number, value):
    """An int, or something with a length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def blob(array, *, old=False, double=False):
    """A blob; an old one has four dimensions with names of their own."""
    if old:
        four = (*[1] * (4 - array.ndim), *array.shape)
        head = b"".join(field(k + 1, int(n)) for k, n in enumerate(four))
    else:
        head = field(7, field(1, b"".join(varint(n) for n in array.shape)))
    return head + (field(8, array.astype("<f8").tobytes()) if double else field(5, array.astype("<f4").tobytes()))


def caffemodel(layers, **form):
    """Layers by name, each a list of arrays."""
    old = form.get("old", False)
    name, blobs, layer = (4, 6, 2) if old else (1, 7, 100)
    result = field(1, "net")
    for key, arrays in layers.items():
        result += field(layer, field(name, key) + b"".join(field(blobs, blob(a, **form)) for a in arrays))
    return result


def convolve(x, w, b=None, stride=(1, 1), pad=(0, 0), dilation=(1, 1), groups=1):
    x = np.pad(x, ((0, 0), (pad[0],) * 2, (pad[1],) * 2))
    n, share, kh, kw = w.shape
    reach = [(k - 1) * d + 1 for k, d in zip((kh, kw), dilation, strict=True)]
    height, width = ((x.shape[k + 1] - reach[k]) // stride[k] + 1 for k in (0, 1))
    y = np.zeros((n, height, width))
    for f in range(n):
        first = f // (n // groups) * share
        for i in range(height):
            for j in range(width):
                rows = slice(i * stride[0], i * stride[0] + reach[0], dilation[0])
                columns = slice(j * stride[1], j * stride[1] + reach[1], dilation[1])
                y[f, i, j] = (x[first : first + share, rows, columns] * w[f]).sum()
    return y if b is None else y + b[:, None, None]


def deconvolve(x, w, stride, pad, groups=1):
    """w [c, n / groups, k, k]."""
    c, h, width = x.shape
    _, share, k, _ = w.shape
    y = np.zeros((share * groups, (h - 1) * stride + k, (width - 1) * stride + k))
    for i in range(c):
        group = i // (c // groups)
        for p in range(h):
            for q in range(width):
                rows, columns = slice(p * stride, p * stride + k), slice(q * stride, q * stride + k)
                y[group * share : (group + 1) * share, rows, columns] += x[i, p, q] * w[i]
    return y[:, pad : y.shape[1] - pad, pad : y.shape[2] - pad]


def pool(x, kernel, stride=(1, 1), pad=(0, 0), kind="max", rounding=math.ceil):
    c, h, w = x.shape
    lengths = []
    for n, k, s, p in zip((h, w), kernel, stride, pad, strict=True):
        length = int(rounding((n + 2 * p - k) / s)) + 1
        if any(pad) and (length - 1) * s >= n + p:
            length -= 1
        lengths.append(length)
    y = np.zeros((c, *lengths))
    for i in range(lengths[0]):
        for j in range(lengths[1]):
            top, left = i * stride[0] - pad[0], j * stride[1] - pad[1]
            bottom, right = min(top + kernel[0], h + pad[0]), min(left + kernel[1], w + pad[1])
            window = x[:, max(top, 0) : min(bottom, h), max(left, 0) : min(right, w)]
            count = (bottom - top) * (right - left)
            y[:, i, j] = window.max((1, 2)) if kind == "max" else window.sum((1, 2)) / count
    return y


def lrn(x, size, alpha, beta, k=1.0):
    y = np.zeros_like(x)
    for c in range(x.shape[0]):
        near = x[max(0, c - size // 2) : c + size // 2 + 1]
        y[c] = x[c] / (k + alpha / size * (near**2).sum(0)) ** beta
    return y


def lrn_within(x, size, alpha, beta):
    return x / (1 + alpha * pool(x**2, (size, size), pad=(size // 2,) * 2, kind="mean")) ** beta


def softmax(x, axis=0):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def normalize(x, mean, variance, epsilon=1e-5):
    extra = (slice(None), *[None] * (x.ndim - 1))
    return (x - mean[extra]) / np.sqrt(variance[extra] + epsilon)


def mvn(x, axes, epsilon=1e-9, variance=True):
    y = x - x.mean(axes, keepdims=True)
    return y / (np.sqrt((y**2).mean(axes, keepdims=True)) + epsilon) if variance else y
