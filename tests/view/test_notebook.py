"""What a notebook shows of a model and of a run."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import graphdl
from graphdl.training.fit import TrainingRun

NETS = Path(__file__).parent / "nets"


def test_a_model_shows_its_graph_in_a_frame_of_its_own():
    shown = graphdl.load(NETS / "hostile.net")._repr_html_()
    (source,) = re.findall(r'<iframe srcdoc="([^"]*)" sandbox="allow-scripts allow-downloads"', shown)
    assert html.unescape(source).startswith("<!doctype html>")
    assert shown.count("<") == 2


def test_a_model_shows_a_picture_where_scripts_do_not_run():
    tree = ElementTree.fromstring(graphdl.load(NETS / "hostile.net")._repr_svg_())
    assert "".join(tree.itertext()).count("linear") == 1


def test_a_run_shows_its_curves():
    records = [
        {"kind": "epoch", "stage": "s", "epoch": k, "step": k, "loss": 1 / k, "metrics": {}, "lr": 0.1, "seconds": k}
        for k in (1, 2)
    ]
    shown = html.unescape(TrainingRun(records)._repr_html_())
    assert "<polyline" in shown
    assert "epoch 2" in shown
