"""The activations of the library beside PyTorch's: values, gradients and NaN."""

import numpy as np
import torch
from layer_twins import compare_layers, outputs
from torch.nn import functional

TWINS = {
    "relu6": ("g -> relu6", lambda x, p: functional.relu6(x)),
    "threshold": ("g -> thresholded_relu(0.7, value = -0.3)", lambda x, p: functional.threshold(x, 0.7, -0.3)),
    "elus": ("g -> elu(0.7)", lambda x, p: functional.elu(x, 0.7)),
    "celus": ("g -> celu(0.7)", lambda x, p: functional.celu(x, 0.7)),
    "selus": ("g -> selu", lambda x, p: functional.selu(x)),
    "gelus": ("g -> gelu", lambda x, p: functional.gelu(x)),
    "approximate": ('g -> gelu(form = "tanh")', lambda x, p: functional.gelu(x, approximate="tanh")),
    "swishes": ("g -> swish", lambda x, p: functional.silu(x)),
    "mishes": ("g -> mish", lambda x, p: functional.mish(x)),
    "soft_sign": ("g -> softsign", lambda x, p: functional.softsign(x)),
    "log_sigmoids": ("g -> log_sigmoid", lambda x, p: functional.logsigmoid(x)),
    "hard_tanhs": ("g -> hard_tanh(-0.5, 2.0)", lambda x, p: functional.hardtanh(x, -0.5, 2.0)),
    "clips": ("g -> clip(-0.5, 2.0)", lambda x, p: x.clip(-0.5, 2.0)),
    "floors": ("g -> clip(low = -0.5)", lambda x, p: x.clip(min=-0.5)),
    "hard_sigmoids": ("g -> hard_sigmoid", lambda x, p: functional.hardsigmoid(x)),
    "hard_swishes": ("g -> hard_swish", lambda x, p: functional.hardswish(x)),
    "hard_shrinks": ("g -> hard_shrink(0.8)", lambda x, p: functional.hardshrink(x, 0.8)),
    "soft_shrinks": ("g -> soft_shrink(0.8)", lambda x, p: functional.softshrink(x, 0.8)),
    "tanh_shrinks": ("g -> tanh_shrink", lambda x, p: functional.tanhshrink(x)),
    "greatest": ("g -> maxout(3)", lambda x, p: x.reshape(len(x), 2, 3, 7).amax(2)),
    "first": ("g -> softmax(axis = 0)", lambda x, p: x.softmax(1)),
    "over_all": ("g -> softmax(axis = [0, 1])", lambda x, p: x.flatten(1).softmax(1).reshape(x.shape)),
    "variances": ("g -> variance", lambda x, p: x.var((1, 2), correction=0)),
    "of_rows": ("g -> variance(axis = -1, keep = true)", lambda x, p: x.var(-1, correction=0, keepdim=True)),
    "logs": ("g -> log_softmax(axis = 0)", lambda x, p: x.log_softmax(1)),
}


def test_activations(device):
    compare_layers(TWINS, (6, 7), batch=3, scale=3.0)


def test_a_nan_stays_one_and_infinities_are_those_of_pytorch(device):
    """A net is fed finite numbers, so the root of a negative one makes the NaN, and a quotient the infinities."""
    chains = {name: text.replace("g ->", "z ->") for name, (text, _) in TWINS.items()}
    combining = ("greatest", "first", "over_all", "variances", "of_rows", "logs")
    names = [name for name in chains if name not in combining]
    lines = "".join(f"output {name} = {chains[name]}\n" for name in names)
    x = np.array([[-1.0, 4.0, 1.0, -1.0], [1.0, 1.0, 0.0, 0.0]], np.float32)
    found = outputs(
        f"net n() {{ input x: [4]; input y: [4]; z = sqrt(x) * 0 + x / y\n{lines} }}", {"x": x[:1], "y": x[1:]}
    )
    z = torch.tensor([[float("nan"), 4.0, float("inf"), float("nan")]])
    for name in names:
        want = TWINS[name][1](z, {}).numpy()
        np.testing.assert_allclose(found[name], want, rtol=1e-5, err_msg=name)
