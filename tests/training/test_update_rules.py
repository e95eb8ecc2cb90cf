"""The update of every optimizer in double precision, without a device: as PyTorch's, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from graphdl.compiler.lowering import lower
from graphdl.diagnostics import ModelError
from graphdl.graph.train import Setting
from graphdl.language import Source, expand
from graphdl.operators.elementwise import ROWS
from graphdl.operators.reduction import Reduction
from graphdl.operators.structure import Reshape, Slice
from graphdl.operators.tensor import Constant, Tensor, feed, read
from graphdl.source import Span
from graphdl.training.optimizers import OPTIMIZERS, Optimizer, optimizer
from graphdl.training.program import SCALARS, gradient_tensors, step_tensors, update_tensors
from graphdl.training.stages import stages

SHAPES = {"a.W": (3, 4), "b": (5,), "c": ()}


def made(name: str, **keywords: Any) -> Optimizer:
    return optimizer(Setting(name, (), keywords, Span(Source("a.net", name), 0, len(name))))


def value(tensor: Tensor, arrays: Mapping[Tensor, np.ndarray]) -> np.ndarray:
    """A tensor of elementwise operations, in double precision."""
    if tensor in arrays:
        return arrays[tensor]
    operation = tensor.operation
    if isinstance(operation, Constant):
        return np.float64(operation.value)
    inputs = [value(x, arrays) for x in tensor.inputs]
    match operation:
        case Reshape():
            return inputs[0].reshape(tensor.shape)
        case Slice():
            places = zip(operation.starts, operation.steps, tensor.shape, strict=True)
            return inputs[0][np.ix_(*([start + step * k for k in range(n)] for start, step, n in places))]
        case Reduction():
            return np.sum(inputs[0], axis=operation.axes, keepdims=True)
    fold = ROWS[operation.name].fold
    assert fold is not None
    return np.asarray(np.vectorize(fold, otypes=[np.float64])(*inputs))


def drawn(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {path: random.normal(size=shape) for path, shape in SHAPES.items()}


class Training:
    """Some parameters under an optimizer, with gradients that are given."""

    def __init__(self, chosen: Optimizer) -> None:
        self.chosen = chosen
        self.parameters = drawn(0)
        kept = chosen.variables(SHAPES)
        self.kept = {
            name: self.parameters[each.initial].copy()
            if isinstance(each.initial, str)
            else np.full(each.shape, each.initial)
            for name, each in kept.items()
        }
        self.steps = 0

    def step(self, gradients: Mapping[str, np.ndarray], rate: float) -> None:
        read_of = {path: read(path, shape) for path, shape in SHAPES.items()}
        fed = {path: feed(path, shape) for path, shape in SHAPES.items()}
        kept = {name: read(name, array.shape) for name, array in self.kept.items()}
        numbers = self.chosen.scalars(self.steps, rate)
        scalars = [feed(f"s{k}", ()) for k in range(len(numbers))]
        following = self.chosen.update(read_of, fed, kept, scalars)
        arrays = {read_of[path]: array for path, array in self.parameters.items()}
        arrays |= {fed[path]: array for path, array in gradients.items()}
        arrays |= {kept[name]: array for name, array in self.kept.items()}
        arrays |= {scalar: np.float64(number) for scalar, number in zip(scalars, numbers, strict=True)}
        found = {name: value(tensor, arrays) for name, tensor in following.items()}
        self.parameters |= {path: found[path] for path in SHAPES if path in found}
        self.kept |= {name: found[name] for name in self.kept if name in found}
        self.steps += 1


CASES: dict[str, tuple[dict[str, Any], Callable[[Any], torch.optim.Optimizer]]] = {
    "sgd": ({"lr": 0.1}, lambda p: torch.optim.SGD(p, lr=0.1)),
    "sgd with weight decay": (
        {"lr": 0.1, "weight_decay": 0.05}, lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.05),
    ),
    "sgd with momentum": (
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    ),
    "sgd after nesterov": (
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    ),
    "adam": ({"lr": 0.01}, lambda p: torch.optim.Adam(p, lr=0.01)),
    "adam with everything": (
        {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.1},
        lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
    ),
    "adamw": ({"lr": 0.01}, lambda p: torch.optim.AdamW(p, lr=0.01)),
    "adamw with much decay": (
        {"lr": 0.01, "weight_decay": 0.3}, lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.3),
    ),
    "rmsprop": ({"lr": 0.01}, lambda p: torch.optim.RMSprop(p, lr=0.01)),
    "rmsprop, centred": (
        {"lr": 0.01, "centered": True}, lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True),
    ),
    "rmsprop with everything": (
        {"lr": 0.005, "alpha": 0.9, "eps": 1e-3, "momentum": 0.8, "weight_decay": 0.1, "centered": True},
        lambda p: torch.optim.RMSprop(
            p, lr=0.005, alpha=0.9, eps=1e-3, momentum=0.8, weight_decay=0.1, centered=True
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_steps_are_as_in_pytorch(case: str) -> None:
    keywords, make = CASES[case]
    training = Training(made(case.split(" ")[0].rstrip(","), **keywords))
    twins = {path: torch.nn.Parameter(torch.tensor(array)) for path, array in training.parameters.items()}
    twin = make(list(twins.values()))
    for step in range(6):
        rate = keywords["lr"] * (1.0 if step < 3 else 0.25)
        gradients = drawn(step + 1)
        training.step(gradients, rate)
        for path, parameter in twins.items():
            parameter.grad = torch.tensor(gradients[path])
        for group in twin.param_groups:
            group["lr"] = rate
        twin.step()
    for path, parameter in twins.items():
        np.testing.assert_allclose(training.parameters[path], parameter.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_at_a_rate_of_zero_nothing_moves(name: str) -> None:
    training = Training(made(name))
    before = {path: array.copy() for path, array in training.parameters.items()}
    training.step(drawn(1), 0.0)
    for path, array in before.items():
        np.testing.assert_array_equal(training.parameters[path], array)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_downhill(name: str) -> None:
    """On a bowl whose lowest point is 0, hundred steps lead nearer to it."""
    rate = 20.0 if name == "adadelta" else 0.05  # its steps begin as small as the root of eps
    training = Training(made(name, lr=rate))
    before = sum(float((array**2).sum()) for array in training.parameters.values())
    for _ in range(100):
        training.step({path: 2 * array for path, array in training.parameters.items()}, rate)
    assert sum(float((array**2).sum()) for array in training.parameters.values()) < 0.5 * before


@pytest.mark.parametrize(
    ("name", "keywords", "words"),
    [
        ("sgd", {}, []), ("sgd", {"momentum": 0.9}, ["momentum"]), ("adam", {}, ["mean", "square"]),
        ("rmsprop", {}, ["square"]), ("rmsprop", {"centered": True, "momentum": 0.5}, ["square", "mean", "momentum"]),
    ],
)  # fmt: skip
def test_what_is_kept_for_each_parameter(name: str, keywords: dict[str, Any], words: list[str]) -> None:
    kept = made(name, **keywords).variables(SHAPES)
    assert set(kept) == {f"{path}:{word}" for path in SHAPES for word in words}
    assert all(each.shape == SHAPES[key.split(":")[0]] and each.initial == 0.0 for key, each in kept.items())


def test_adams_first_steps_are_corrected() -> None:
    """Its averages begin at 0, so that their first values are too small."""
    adam = made("adam", beta1=0.9, beta2=0.99)
    assert adam.scalars(0, 0.1) == pytest.approx([0.1 / 0.1, 1 / 0.01**0.5, 1.0])
    assert adam.scalars(10**6, 0.1) == pytest.approx([0.1, 1.0, 1.0])
    assert made("adamw", weight_decay=0.5).scalars(3, 0.1)[2] == pytest.approx(0.95)


# ------------------------------------------------------------------------------------------- the two halves of a step

NET = """
net small() {{
    input x: [5]
    input y: class(3)
    logits = x -> linear(4) as a -> tanh -> linear(3) as b
    other = x -> linear(2) as unused
    output other
    loss cross_entropy(logits, y)
    loss size = mean(logits * logits)
    metric accuracy(logits, y)
}}
train {{ {settings} }}
"""


def halves(settings: str = "optimizer sgd(lr = 0.1, momentum = 0.9)") -> Any:
    graph = expand(Source("a.net", NET.format(settings=settings)), training=True)
    (stage,) = stages(graph)
    return lower(graph, 6), stage


def test_gradients_are_those_of_the_parameters_that_a_loss_reaches() -> None:
    lowered, stage = halves()
    first = gradient_tensors(lowered, stage)
    assert set(first.gradients) == {"a.W", "a.b", "b.W", "b.b"}
    assert {path: g.shape for path, g in first.gradients.items()} == {
        "a.W": (5, 4), "a.b": (4,), "b.W": (4, 3), "b.b": (3,),
    }  # fmt: skip
    assert first.report.shape == (4,), "the total, two losses, one metric"


def test_only_what_is_chosen_has_gradients() -> None:
    lowered, stage = halves("optimizer adam; only b.*")
    assert set(gradient_tensors(lowered, stage).gradients) == {"b.W", "b.b"}
    lowered, stage = halves("optimizer adam; only unused.*")
    assert gradient_tensors(lowered, stage).gradients == {}


def test_variables_of_the_optimizer_belong_to_the_stage() -> None:
    lowered, stage = halves()
    gradients = {path: feed(path, lowered.parameters[path].shape) for path in ("a.W", "b.b")}
    second = update_tensors(lowered.parameters, gradients, stage)
    assert set(second.kept) == {"train:a.W:momentum", "train:b.b:momentum"}
    assert set(second.updates) == {"a.W", "b.b", *second.kept}


def test_a_whole_step_is_both_halves() -> None:
    lowered, stage = halves()
    whole = step_tensors(lowered, stage)
    assert set(whole.updates) == {"a.W", "a.b", "b.W", "b.b", *whole.kept}
    assert len(whole.kept) == 4


@pytest.mark.parametrize(("norm", "factor"), [(10.0, 0.2), (2.5, 0.8), (1.0, 1.0), (0.0, 1.0)])
def test_gradients_are_clipped_together(norm: float, factor: float) -> None:
    """By the norm of all of them as one."""
    lowered, stage = halves("optimizer sgd(lr = 1.0); clip 2.0")
    fed = {path: feed(path, lowered.parameters[path].shape) for path in ("a.W", "b.b")}
    second = update_tensors(lowered.parameters, fed, stage)
    arrays = {fed["a.W"]: np.full((5, 4), norm * 0.6 / 20**0.5), fed["b.b"]: np.full(3, norm * 0.8 / 3**0.5)}
    for path, tensor in second.updates.items():
        sources = {**arrays, lowered.parameters[path]: np.zeros(lowered.parameters[path].shape)}
        sources |= {x: np.ones(1) for x in _scalars(tensor)}
        moved = -value(tensor, sources)
        np.testing.assert_allclose(moved, factor * arrays[fed[path]], rtol=1e-5, atol=1e-12)


def _scalars(tensor: Tensor) -> list[Tensor]:
    found, stack = [], [tensor]
    while stack:
        x = stack.pop()
        stack.extend(x.inputs)
        if getattr(x.operation, "key", None) == SCALARS:
            found.append(x)
    return found


def test_a_net_without_a_loss_cannot_be_trained() -> None:
    graph = expand(Source("a.net", "net n() {\n    input x: [2]\n    output y = x -> linear(1)\n}"), training=True)
    (stage,) = stages(graph)
    with pytest.raises(ModelError) as caught:
        gradient_tensors(lower(graph, 2), stage)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.help) == ("E0608", "declare one: loss cross_entropy(logits, label)")


def test_several_losses_are_summed_and_some_may_be_chosen() -> None:
    lowered, stage = halves("optimizer adam; minimize size")
    assert stage.minimize == ("size",)
    report = gradient_tensors(lowered, stage).report
    assert report.shape == (4,), "all are reported"
    assert report.inputs[0].inputs[0] is lowered.losses["size"]
