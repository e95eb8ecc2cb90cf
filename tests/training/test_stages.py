"""Stages: each word of a train section with its default, and as a run writes it down."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

import graphdl
from graphdl.graph.train import WORDS
from graphdl.training.optimizers import OPTIMIZERS
from graphdl.training.stages import Stage, described, stages

NET = """
net tiny(rate = 0.25) {
    input x: [2, 3, 3]
    input label: class(3)
    h = x -> flatten -> linear(4) as first
    loss cross_entropy(h -> linear(3) as last, label)
    loss size = mean(h * h)
}
"""


def stage_of(train: str) -> Stage:
    (stage,) = stages(graphdl.loads(NET + train).network.training)
    return stage


def test_what_is_left_out_has_its_default():
    stage = stage_of("")
    assert (stage.batch, stage.epochs, stage.steps, stage.seed, stage.clip) == (32, 10, None, 0, None)
    assert stage.optimizer == stage_of("train { optimizer adam(lr = 0.001) }").optimizer
    assert stage.schedule.rate(7, 10, 100) == 0.001
    assert stage.minimize == ("cross_entropy", "size")
    assert described(stage) == {
        "name": "train", "data": None, "augment": [], "schedule": "constant", "batch": 32, "epochs": 10,
        "optimizer": {"name": "adam", "lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-08, "weight_decay": 0.0,
                      "decoupled": False},
        "minimize": ["cross_entropy", "size"], "only": [], "clip": None, "seed": 0, "precision": "float32", "feed": {},
        "start": [], "rate": {}, "max_norm": {}, "average": None, "best": None,
    }  # fmt: skip


def test_every_word_is_written_down_as_it_was_said():
    stage = stage_of("""train fine {
        data csv("a.csv", label = "kind"); feed x = picture; augment flip, crop(3, pad = 1); augment normalize
        optimizer sgd(rate, momentum = 0.5); schedule step(every = 5); batch 4; steps 9
        minimize cross_entropy; only last.*; clip 2; seed 3; precision float32; start last.b = last.b
        rate first.*, *.b = 0.5; rate last.b = rate; max_norm * = 3; average 0.9; best max(size)
    }""")
    found = described(stage)
    assert json.loads(json.dumps(found)) == found
    assert found == {
        "name": "fine", "data": 'csv("a.csv", label = "kind")', "feed": {"x": "picture"},
        "augment": ["flip", "crop(3, pad = 1)", "normalize"],
        "optimizer": {"name": "sgd", "lr": 0.25, "momentum": 0.5, "nesterov": False, "weight_decay": 0.0,
                      "lookahead": 0, "slow": 0.5},
        "schedule": "step(every = 5)", "batch": 4, "steps": 9, "minimize": ["cross_entropy"], "only": ["last.*"],
        "clip": 2.0, "seed": 3, "precision": "float32", "start": ["last.b = last.b"],
        "rate": {"first.*": 0.5, "*.b": 0.5, "last.b": 0.25}, "max_norm": {"*": 3.0}, "average": 0.9,
        "best": "max(size)",
    }  # fmt: skip
    assert set(found) == {"name", *WORDS} - {"epochs"}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_written_down_by_its_own_name(name):
    found = described(stage_of(f"train {{ optimizer {name} }}"))["optimizer"]
    assert found["name"] == name
    assert found["lr"] == stage_of(f"train {{ optimizer {name} }}").optimizer.lr


def test_rates_and_limits_are_those_of_the_trained_parameters():
    stage = stage_of("train { only last.*, first.W; rate *.W = 0.5; rate last.W = 0; max_norm * = 2 }")
    assert stage.parameters == ("first.W", "last.b")
    assert stage.rate == {"first.W": 0.5, "last.b": 1.0}
    assert stage.max_norm == {"first.W": 2.0}
    assert stage.factors == (0.5, 1.0)


def test_every_field_of_a_stage_that_is_a_word_is_in_the_table():
    words = {field.name for field in fields(Stage)} & set(WORDS)
    assert words == set(WORDS) - {"only"}  # the parameters are chosen by `only`
