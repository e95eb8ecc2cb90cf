"""Poolings and normalizations of the library beside PyTorch's."""

import pytest
from layer_twins import compare_layers
from torch.nn import functional as f

LINES = {
    "groups": ("g -> groupnorm(2) as a", lambda x, p: f.group_norm(x, 2, p["a.gamma"], p["a.beta"])),
    "instance": ("g -> instancenorm", lambda x, p: f.instance_norm(x)),
    "of_axes": (
        "g -> layernorm(axis = 0) as c",
        lambda x, p: f.layer_norm(x, x.shape[1:], p["c.gamma"].view(4, 8), p["c.beta"].view(4, 8)),
    ),
    "roots": ("g -> rmsnorm as d", lambda x, p: f.rms_norm(x, x.shape[2:], p["d.gamma"])),
    "maxima": ("g -> maxpool1d(3, stride = 2, pad = 1, ceil = true)", lambda x, p: f.max_pool1d(x, 3, 2, 1, 1, True)),
    "inner_means": (
        "g -> avgpool1d(3, stride = 2, pad = 1, count_pad = false)",
        lambda x, p: f.avg_pool1d(x, 3, 2, 1, count_include_pad=False),
    ),
    "mean_of_all": ("g -> global_avgpool1d", lambda x, p: x.mean(2, keepdim=True)),
    "max_of_all": ("g -> global_maxpool1d", lambda x, p: x.amax(2, keepdim=True)),
}
VOLUMES = {
    "maxima": ("g -> maxpool3d(2, stride = 1, dilation = 2)", lambda x, p: f.max_pool3d(x, 2, 1, 0, 2)),
    "means": ("g -> avgpool3d(3, stride = 2, pad = 1)", lambda x, p: f.avg_pool3d(x, 3, 2, 1)),
    "mean_of_all": ("g -> global_avgpool3d", lambda x, p: x.mean((2, 3, 4), keepdim=True)),
    "max_of_all": ("g -> global_maxpool3d", lambda x, p: x.amax((2, 3, 4), keepdim=True)),
}
IMAGES = {
    "powers": ("g -> lppool([2, 3], p = 3)", lambda x, p: f.lp_pool2d(x.abs(), 3, (2, 3))),
    "of_all": ("g -> global_lppool(3)", lambda x, p: (x.abs() ** 3).sum((2, 3), keepdim=True) ** (1 / 3)),
    "means": ("g -> adaptive_avgpool([3, 4])", lambda x, p: f.adaptive_avg_pool2d(x, (3, 4))),
    "greatest": ("g -> adaptive_maxpool([3, 2])", lambda x, p: f.adaptive_max_pool2d(x, (3, 2))),
}


@pytest.mark.parametrize(
    ("twins", "shape"),
    [(LINES, (4, 8)), (IMAGES, (3, 7, 8)), (VOLUMES, (2, 3, 4, 5))],
    ids=["lines", "images", "volumes"],
)
def test_poolings_and_normalizations(twins, shape, device):
    compare_layers(twins, shape)
