"""The deformable convolution beside one in PyTorch, tap by tap."""

import numpy as np
import pytest
import torch
from layer_twins import compare, tensors
from torch.nn import functional as f

import graphdl

NET = """
net n() {
    input x: [4, 5, 6]
    param offset: [24, 3, 3] = uniform(-2, 2)
    param mask: [12, 3, 3] = uniform(0, 1)
    param image: [4, 5, 6] = uniform(0.5, 2)
    output masked = (x * image, offset, mask) -> deform_conv(6, [2, 3], stride = [2, 1], pad = [1, 0], groups = 2) as a
    loss l = mean(masked ** 2)
}
"""


def twin(x, offset, mask, w, groups):
    """Kernels of 2 × 3, a stride of [2, 1] and a pad of [1, 0]; two parts of channels with an offset each."""
    columns = []
    for part, image in enumerate(x.chunk(2, 1)):
        for tap in range(6):
            at = offset[12 * part + 2 * tap : 12 * part + 2 * tap + 2]
            down = at[0] + torch.arange(3)[:, None] * 2 - 1 + tap // 3
            right = at[1] + torch.arange(3) + tap % 3
            grid = torch.stack([(2 * right + 1) / 6 - 1, (2 * down + 1) / 5 - 1], -1)
            found = f.grid_sample(image, grid.expand(len(x), -1, -1, -1), align_corners=False)
            columns.append(found * mask[6 * part + tap])
    taps = torch.stack(columns, 1).reshape(len(x), 2, 6, 2, 3, 3).transpose(2, 3).reshape(len(x), 24, 3, 3)
    return f.conv2d(taps, w.reshape(len(w), -1, 1, 1), groups=groups)


@pytest.mark.slow
def test_a_deformable_convolution(device):
    model = graphdl.loads(NET, seed=1)
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype(np.float32)
    p = tensors(model)
    image = torch.tensor(x) * p["image"]
    masked = twin(image, p["offset"], p["mask"], p["a.W"], 2) + p["a.b"][:, None, None]
    compare(model, {"masked": masked}, {"x": x}, p, training=False)
