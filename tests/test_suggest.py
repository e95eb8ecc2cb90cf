"""The nearest known name."""

import pytest

from graphdl.suggest import did_you_mean, nearest


@pytest.mark.parametrize(
    ("name", "known", "answer"),
    [
        ("cnov", ["conv", "cos"], "conv"), ("padding", ["pad", "bias"], "pad"), ("relus", ["relu", "rnn"], "relu"),
        ("widht", ["width", "weight"], "width"), ("xyz", ["conv", "relu"], None), ("a", ["b"], None),
        ("conv", [], None), ("widht", ["classes", "widths"], "widths"),
    ],
)  # fmt: skip
def test_the_nearest_name(name, known, answer):
    assert nearest(name, known) == answer


def test_the_help_line_quotes_as_the_message_does():
    assert did_you_mean("cnov", ["conv"]) == "did you mean 'conv'?"
    assert did_you_mean("cnov", ["conv"], "`") == "did you mean `conv`?"
    assert did_you_mean("xyz", ["conv"]) is None
