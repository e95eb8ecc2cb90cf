"""Every net of models/ exports to ONNX, and ONNX Runtime computes what graphdl does, for two batch sizes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx.helper")
pytest.importorskip("onnxruntime")

from test_zoo import NETS, ROOT, load

import graphdl

sys.path.insert(0, str(Path(__file__).parents[1] / "onnx"))
from exported import agree

DRAWN = {"generative/gan": ("sample",), "generative/rbm": ("reconstruction",), "generative/vae": ("sample",)}
"""Outputs of random draws, which are other ones in each runtime."""

WITHOUT_NOISE: dict[str, dict[str, Any]] = {"vision/grasp": {"noise": 0.0}, "vision/unet_digits": {"clutter": 0.0}}


@pytest.mark.parametrize("name", NETS)
def test_small_forms_agree(name: str) -> None:
    agree(load(name), tolerance=1e-4, but=DRAWN.get(name, ()))


@pytest.mark.parametrize("name", NETS)
def test_full_sizes_agree(name: str) -> None:
    agree(graphdl.load(ROOT / f"{name}.net", **WITHOUT_NOISE.get(name, {})), tolerance=1e-4, but=DRAWN.get(name, ()))
