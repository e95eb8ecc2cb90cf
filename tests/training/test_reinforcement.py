"""Reinforcement from Python: a stage by name, a replay of experience, and a target network."""

import numpy as np
import pytest
import torch

import graphdl
from graphdl.diagnostics import ModelError

NET = """
net q(actions = 2, discount = 0.9) {
    input now: [3]
    input action: class(actions)
    input reward: []
    input next: [3]
    online = linear(6) -> tanh -> linear(actions)
    target = linear(6) -> tanh -> linear(actions)
    value = now -> online
    wanted = reward + discount * max(next -> target)
    output value
    loss td = (pick(value, action) - stop_gradient(wanted)) ** 2
    loss other = mean(value ** 2)
}
train warm { minimize other }
train learn {
    minimize td
    only online.*
    optimizer adam(lr = 0.05)
    batch 4
}
"""


def test_q_learning_with_replay_and_a_target_network():
    model = graphdl.loads(NET)
    layers = [torch.tensor(value, requires_grad=True) for path, value in model.parameters.items() if "online" in path]
    twin = torch.optim.Adam(layers, lr=0.05)
    model.copy_weights("target.*", "online.*")
    old = [layer.detach().clone() for layer in layers]
    trainer = model.trainer(stage="learn")
    rng = np.random.default_rng(1)
    replay = []

    def q(states, weights):
        return torch.tanh(torch.tensor(states) @ weights[0] + weights[1]) @ weights[2] + weights[3]

    state = np.array([1, 0, 0], np.float32)
    for step in range(9):
        greedy = int(np.argmax(model.predict(now=state[None])["value"]))
        assert greedy == int(torch.argmax(q(state[None], layers)))
        action = greedy if rng.random() < 0.5 else int(rng.integers(2))
        following = np.roll(state, 1 if action else -1)
        replay.append((state, action, float(following[2]), following))
        state = following
        now, actions, rewards, following = map(
            np.array, zip(*(replay[k] for k in rng.integers(len(replay), size=4)), strict=True)
        )
        rewards = rewards.astype(np.float32)
        trainer.step(now=now, action=actions, reward=rewards, next=following)
        wanted = torch.tensor(rewards) + 0.9 * q(following, old).max(dim=1).values
        loss = ((q(now, layers)[torch.arange(4), torch.tensor(actions)] - wanted.detach()) ** 2).mean()
        twin.zero_grad()
        loss.backward()
        twin.step()
        if step % 4 == 3:
            model.copy_weights("target.*", "online.*")
            old = [layer.detach().clone() for layer in layers]
    for name, expected in (("online", layers), ("target", old)):
        found = [value for path, value in model.parameters.items() if name in path]
        for array, tensor in zip(found, expected, strict=True):
            np.testing.assert_allclose(array, tensor.detach(), atol=2e-5)
    before = model.parameters["target.linear.W"]
    model.copy_weights("target.linear.W", "online.linear.W", share=0.25)
    moved = 0.75 * before + 0.25 * model.parameters["online.linear.W"]
    np.testing.assert_allclose(model.parameters["target.linear.W"], moved, atol=1e-6)


@pytest.mark.parametrize(
    ("target", "source", "code"),
    [
        ("targt.*", "online.*", "E0622"),
        ("target.*", "on.*", "E0622"),
        ("target.*", "online.linear.*", "E0622"),
        ("target.linear.W", "online.linear_2.W", "E0609"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_is_copied(target, source, code):
    model = graphdl.loads(NET)
    before = dict(model.parameters)
    with pytest.raises(ModelError, match=code):
        model.copy_weights(target, source)
    assert all(np.array_equal(before[path], value) for path, value in model.parameters.items())
