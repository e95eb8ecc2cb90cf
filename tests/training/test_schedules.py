"""Learning rates over time, against their closed forms and PyTorch's schedulers."""

from math import cos, inf, pi

import pytest
import torch

from graphdl.diagnostics import ModelError
from graphdl.graph.train import Setting
from graphdl.source import Source, Span
from graphdl.training.schedules import schedule

LR = 0.4


def made(name, *arguments, **keywords):
    text = Source("schedule", name)
    return schedule(Setting(name, arguments, keywords, Span(text, 0, len(name))), LR)


def rates(planned, steps, per_epoch=1):
    return [planned.rate(step, per_epoch, steps) for step in range(steps)]


def torch_rates(make, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return found


def test_without_a_schedule_the_rate_is_constant():
    assert rates(schedule(None, LR), 5) == [LR] * 5
    assert rates(made("constant"), 5) == [LR] * 5


def test_steps_are_as_in_pytorch():
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.StepLR(o, 3, 0.5), 10)
    assert rates(made("step", every=3, factor=0.5), 10) == pytest.approx(expected, rel=1e-12)


def test_an_epoch_has_as_many_steps_as_the_data():
    planned = made("step", 2)
    assert rates(planned, 12, per_epoch=3) == pytest.approx([LR] * 6 + [LR / 10] * 6)
    in_steps = made("step", 2, unit="step")
    assert rates(in_steps, 4, per_epoch=3) == pytest.approx([LR, LR, LR / 10, LR / 10])


def test_the_cosine_is_as_in_pytorch():
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10, eta_min=0.1 * LR), 10)
    assert rates(made("cosine", to=0.1), 10) == pytest.approx(expected, rel=1e-9)


def test_the_line_is_as_in_pytorch():
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.2, total_iters=10), 10)
    assert rates(made("linear", to=0.2), 10) == pytest.approx(expected, rel=1e-9)


def test_one_cycle_goes_up_and_down():
    found = rates(made("one_cycle", rise=0.25, start=0.1, to=0.01), 100)
    assert found[0] == pytest.approx(0.1 * LR)
    assert found[25] == pytest.approx(LR)
    assert found[:26] == sorted(found[:26])
    assert found[25:] == sorted(found[25:], reverse=True)
    share = (60 - 25) / 75
    assert found[60] == pytest.approx(LR * (0.01 + 0.99 * (1 + cos(pi * share)) / 2))


def test_pieces_are_taken_as_written():
    planned = made("piecewise", [[0, 2, 0.5], [2, 3, 0.25]], unit="step")
    assert rates(planned, 5) == [0.5, 0.5, 0.25, 0.25, 0.25]


def test_warming_up_is_a_straight_line_and_the_rest_follows():
    planned = made("cosine", warmup=2)
    found = rates(planned, 20, per_epoch=2)
    assert found[:4] == pytest.approx([LR / 4, LR / 2, LR * 3 / 4, LR])
    assert found[4] == pytest.approx(LR)
    assert found[12] == pytest.approx(LR / 2)


def test_a_training_of_unknown_length_stands_at_the_start():
    assert made("cosine", warmup=5).start == LR
    assert made("step", 3, unit="step").rate(7, 1, inf) == pytest.approx(LR / 100)


@pytest.mark.parametrize(
    ("name", "arguments", "code", "words"),
    [
        ("cosin", {}, "E0611", "did you mean 'cosine'?"),
        ("step", {}, "E0612", "'step' needs 'every', a number"),
        ("step", {"every": 0}, "E0613", "'every' of 'step' must be above 0"),
        ("cosine", {"unit": "steps"}, "E0613", "did you mean 'step'?"),
        ("cosine", {"warmup": -1}, "E0613", "'warmup' of 'cosine' must be at least 0"),
        ("one_cycle", {"rise": 1}, "E0613", "'rise' of 'one_cycle' must be above 0 and below 1"),
        ("piecewise", {"pieces": []}, "E0614", "has no pieces"),
        ("piecewise", {"pieces": [[1, 2, 0.1]]}, "E0614", "a gap in the schedule between epoch 0 and 1"),
        ("piecewise", {"pieces": [[0, 2, 0.1], [3, 4, 0.1]]}, "E0614", "a gap in the schedule between epoch 2 and 3"),
        ("piecewise", {"pieces": [[0, 2, 0.1], [1, 4, 0.1]]}, "E0614", "an overlap in the schedule between epoch 1"),
        ("piecewise", {"pieces": [[0, 2]]}, "E0613", "[from, to, rate], found [0, 2]"),
        ("piecewise", {"pieces": 3}, "E0613", "must be a list, each item a list of numbers"),
    ],
)
def test_wrong_settings_are_refused(name, arguments, code, words):
    with pytest.raises(ModelError) as caught:
        made(name, **arguments)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code
    assert words in f"{diagnostic.message} {diagnostic.help}"
