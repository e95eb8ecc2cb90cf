"""Optimizers against PyTorch's, step by step, on the same net from the same weights."""

import numpy as np
import pytest
import torch

import graphdl

NET = """
net small {{
    input x: [5]
    input y: class(3)
    logits = x -> linear(7) as a -> tanh -> linear(3) as b
    loss cross_entropy(logits, y)
}}
train {{ optimizer {optimizer}; {more} }}
"""


class Twin(torch.optim.Optimizer):
    """An update rule that PyTorch lacks: ``rule(weights, gradient, state, step)`` gives the next weights."""

    def __init__(self, parameters, rule):
        super().__init__(parameters, {})
        self.rule = rule

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weights in group["params"]:
                state = self.state[weights]
                state["step"] = state.get("step", 0) + 1
                weights.copy_(self.rule(weights, weights.grad, state, state["step"]))


def lion(lr, beta1, beta2, decay):
    def rule(w, g, state, step):
        mean = state.get("mean", torch.zeros_like(w))
        state["mean"] = beta2 * mean + (1 - beta2) * g
        return w - lr * (torch.sign(beta1 * mean + (1 - beta1) * g) + decay * w)

    return rule


def lamb(lr, beta1, beta2, eps, decay):
    def rule(w, g, state, step):
        state["m"] = m = beta1 * state.get("m", torch.zeros_like(w)) + (1 - beta1) * g
        state["v"] = v = beta2 * state.get("v", torch.zeros_like(w)) + (1 - beta2) * g * g
        r = m / (1 - beta1**step) / (torch.sqrt(v / (1 - beta2**step)) + eps) + decay * w
        trust = w.norm() / r.norm() if w.norm() > 0 and r.norm() > 0 else 1.0
        return w - lr * trust * r

    return rule


def lookahead_sgd(lr, momentum, every, share):
    def rule(w, g, state, step):
        slow = state.setdefault("slow", w.clone())
        state["u"] = u = momentum * state.get("u", torch.zeros_like(w)) + g
        w = w - lr * u
        if step % every == 0:
            state["slow"] = w = slow + share * (w - slow)
        return w

    return rule


def torch_twin(model):
    net = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3))
    with torch.no_grad():
        for layer, path in ((net[0], "a"), (net[2], "b")):
            layer.weight.copy_(torch.tensor(model.parameters[f"{path}.W"].T))
            layer.bias.copy_(torch.tensor(model.parameters[f"{path}.b"]))
    return net


def batch(step):
    random = np.random.default_rng(step)
    return random.normal(size=(16, 5)).astype(np.float32), random.integers(0, 3, 16)


def compare(model, make, clip=None):
    net = torch_twin(model)
    twin = make(net.parameters())
    trainer = model.trainer(batch=16)
    for step in range(20):
        x, y = batch(step)
        loss = torch.nn.functional.cross_entropy(net(torch.tensor(x)), torch.tensor(y))
        twin.zero_grad()
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        twin.step()
        assert float(trainer.step(x=x, y=y)) == pytest.approx(loss.item(), rel=2e-5)
    for path, expected in (("a.W", net[0].weight.T), ("a.b", net[0].bias), ("b.W", net[2].weight.T)):
        np.testing.assert_allclose(model.parameters[path], expected.detach().numpy(), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("sgd(lr = 0.1)", lambda p: torch.optim.SGD(p, lr=0.1)),
        ("sgd(lr = 0.1, weight_decay = 0.05)", lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.05)),
        (
            "sgd(lr = 0.1, momentum = 0.9, weight_decay = 0.01)",
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
        ),
        (
            "sgd(lr = 0.1, momentum = 0.9, nesterov = true)",
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        ),
        ("adam(lr = 0.01)", lambda p: torch.optim.Adam(p, lr=0.01)),
        (
            "adam(0.01, beta1 = 0.8, beta2 = 0.95, eps = 1e-4, weight_decay = 0.1)",
            lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1),
        ),
        ("adamw(lr = 0.01, weight_decay = 0.3)", lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.3)),
        (
            "sgd(lr = 0.1, momentum = 0.9, lookahead = 3, slow = 0.8)",
            lambda p: Twin(p, lookahead_sgd(0.1, 0.9, every=3, share=0.8)),
        ),
        ("adagrad(lr = 0.1)", lambda p: torch.optim.Adagrad(p, lr=0.1)),
        (
            "adagrad(0.2, lr_decay = 0.05, eps = 1e-3, weight_decay = 0.1, initial = 0.5)",
            lambda p: torch.optim.Adagrad(
                p, lr=0.2, lr_decay=0.05, eps=1e-3, weight_decay=0.1, initial_accumulator_value=0.5
            ),
        ),
        ("adadelta()", lambda p: torch.optim.Adadelta(p)),
        (
            "adadelta(2.0, rho = 0.8, eps = 1e-4, weight_decay = 0.1)",
            lambda p: torch.optim.Adadelta(p, lr=2.0, rho=0.8, eps=1e-4, weight_decay=0.1),
        ),
        ("lion(lr = 0.01)", lambda p: Twin(p, lion(0.01, 0.9, 0.99, 0.0))),
        (
            "lion(0.02, beta1 = 0.8, beta2 = 0.95, weight_decay = 0.3)",
            lambda p: Twin(p, lion(0.02, 0.8, 0.95, 0.3)),
        ),
        ("lamb(lr = 0.05)", lambda p: Twin(p, lamb(0.05, 0.9, 0.999, 1e-6, 0.0))),
        (
            "lamb(0.02, beta1 = 0.8, beta2 = 0.95, eps = 1e-4, weight_decay = 0.1)",
            lambda p: Twin(p, lamb(0.02, 0.8, 0.95, 1e-4, 0.1)),
        ),
        ("rmsprop(lr = 0.01)", lambda p: torch.optim.RMSprop(p, lr=0.01)),
        ("rmsprop(lr = 0.01, centered = true)", lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True)),
        (
            "rmsprop(0.005, alpha = 0.9, eps = 1e-3, momentum = 0.8, weight_decay = 0.1)",
            lambda p: torch.optim.RMSprop(p, lr=0.005, alpha=0.9, eps=1e-3, momentum=0.8, weight_decay=0.1),
        ),
        (
            "rmsprop(lr = 0.005, momentum = 0.5, centered = true)",
            lambda p: torch.optim.RMSprop(p, lr=0.005, momentum=0.5, centered=True),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_twenty_steps_are_as_in_pytorch(text, make):
    compare(graphdl.loads(NET.format(optimizer=text, more="")), make)


def test_clipping_by_the_global_norm_is_as_in_pytorch():
    model = graphdl.loads(NET.format(optimizer="sgd(lr = 0.5)", more="clip 0.2"))
    compare(model, lambda p: torch.optim.SGD(p, lr=0.5), clip=0.2)


def test_a_gradient_below_the_limit_is_not_clipped():
    model = graphdl.loads(NET.format(optimizer="sgd(lr = 0.1)", more="clip 1000.0"))
    compare(model, lambda p: torch.optim.SGD(p, lr=0.1))


def test_only_the_chosen_parameters_move():
    model = graphdl.loads(NET.format(optimizer="adamw(lr = 0.1)", more="only b.*"))
    before = dict(model.parameters)
    trainer = model.trainer(batch=16)
    x, y = batch(0)
    trainer.step(x=x, y=y)
    moved = {path for path in before if not np.array_equal(before[path], model.parameters[path])}
    assert moved == {"b.W", "b.b"}


def test_a_parameter_that_no_loss_reaches_stays_even_under_weight_decay():
    text = """
    net two {
        input x: [4]
        a = x -> linear(1) as used
        b = x -> linear(1) as unused
        output b
        loss a[0] ** 2
    }
    train { optimizer sgd(lr = 0.1, weight_decay = 0.5) }
    """
    model = graphdl.loads(text)
    before = model.parameters["unused.W"]
    model.trainer(batch=2).step(x=np.ones((2, 4), np.float32))
    np.testing.assert_array_equal(model.parameters["unused.W"], before)


@pytest.mark.parametrize(
    ("optimizer", "code", "words"),
    [
        ("adm(lr = 0.1)", "E0611", "did you mean 'adam'?"),
        ("sgd(rate = 0.1)", "E0612", "'sgd' has no argument 'rate'"),
        ("sgd(0.1, 0.9, true, 0.0, 3, 0.5, 1)", "E0612", "at most 6 without a name, 7 are given"),
        ("sgd(0.1, lr = 0.1)", "E0612", "'lr' of 'sgd' is given twice"),
        ('sgd(lr = "fast")', "E0613", "'lr' of 'sgd' must be a number, found \"fast\""),
        ("sgd(lr = -0.1)", "E0613", "'lr' of 'sgd' must be at least 0, found -0.1"),
        ("sgd(momentum = 1)", "E0613", "'momentum' of 'sgd' must be at least 0 and below 1, found 1"),
        ("sgd(nesterov = true)", "E0613", "'nesterov' of 'sgd' needs a momentum"),
        ("adam(beta2 = 1.0)", "E0613", "'beta2' of 'adam' must be at least 0 and below 1, found 1"),
        ("adam(eps = 0)", "E0613", "'eps' of 'adam' must be above 0, found 0"),
        ("sgd(slow = 0)", "E0613", "'slow' of 'sgd' must be above 0 and below 1, found 0"),
        ("adagrad(initial = -1)", "E0613", "'initial' of 'adagrad' must be at least 0, found -1"),
        ("adadelta(rho = 1)", "E0613", "'rho' of 'adadelta' must be at least 0 and below 1, found 1"),
        ("lion(beta2 = 1)", "E0613", "'beta2' of 'lion' must be at least 0 and below 1, found 1"),
        ("lamb(eps = 0)", "E0613", "'eps' of 'lamb' must be above 0, found 0"),
        ("rmsprop(alpha = 1)", "E0613", "'alpha' of 'rmsprop' must be at least 0 and below 1, found 1"),
    ],
)
def test_wrong_settings_are_refused(optimizer, code, words):
    model = graphdl.loads(NET.format(optimizer=optimizer, more=""))
    with pytest.raises(graphdl.ModelError) as caught:
        model.trainer()
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code
    assert words in f"{diagnostic.message} {diagnostic.help}"
    assert diagnostic.span.text in optimizer
