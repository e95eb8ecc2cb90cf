"""Convolutions of one and three extents, and grouped and dilated transposed ones, beside PyTorch's."""

import pytest
from layer_twins import compare_layers
from torch.nn import functional as f

LINES = {
    "plain": (
        "g -> conv1d(6, 3, pad = [[2, 0]], groups = 2) as a",
        lambda x, p: f.conv1d(f.pad(x, (2, 0)), p["a.W"], p["a.b"], groups=2),
    ),
    "larger": (
        "g -> conv_transpose1d(4, 3, stride = 2, pad = 1, groups = 2) as b",
        lambda x, p: f.conv_transpose1d(x, p["b.W"], p["b.b"], 2, 1, groups=2),
    ),
}
IMAGES = {
    "same": (
        'g -> conv(3, 3, stride = 2, pad = "same", bias = false) as a',
        lambda x, p: f.conv2d(f.pad(x, (0, 1, 1, 1)), p["a.W"], stride=2),
    ),
    "larger": (
        "g -> conv_transpose(4, [2, 3], stride = 2, dilation = 2, groups = 4) as b",
        lambda x, p: f.conv_transpose2d(x, p["b.W"], p["b.b"], 2, dilation=2, groups=4),
    ),
}
VOLUMES = {
    "plain": (
        "g -> conv3d(3, [2, 3, 1], stride = [1, 2, 1]) as a",
        lambda x, p: f.conv3d(x, p["a.W"], p["a.b"], (1, 2, 1)),
    ),
    "larger": (
        "g -> conv_transpose3d(3, 2, stride = 2, bias = false) as b",
        lambda x, p: f.conv_transpose3d(x, p["b.W"], None, 2),
    ),
}


@pytest.mark.parametrize(
    ("twins", "shape"),
    [(LINES, (4, 9)), (IMAGES, (4, 5, 6)), (VOLUMES, (2, 3, 5, 4))],
    ids=["lines", "images", "volumes"],
)
def test_convolutions(twins, shape, device):
    compare_layers(twins, shape)
