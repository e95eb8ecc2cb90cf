"""The node tests of the ``onnx`` package: a sample, and (slow) all of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx.helper")  # not "onnx": this folder would be found
sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import onnx_nodes

SAMPLE = {
    "add": ["test_add", "test_add_uint8"],
    "argmin": ["test_argmin_keepdims_example_select_last_index"],
    "col2im": ["test_col2im_pads"],
    "conv": ["test_conv_with_autopad_same"],
    "convtranspose": ["test_convtranspose_output_shape"],
    "deformconv": ["test_deform_conv_with_multiple_offset_groups"],
    "div": ["test_div_int32_trunc"],
    "einsum": ["test_einsum_batch_diagonal"],
    "gathernd": ["test_gathernd_example_float32"],
    "gemm": ["test_gemm_all_attributes"],
    "layernormalization": ["test_layer_normalization_3d_axis1_epsilon"],
    "logsoftmax": ["test_logsoftmax_axis_1"],
    "mod": ["test_mod_mixed_sign_int64", "test_mod_int64_fmod"],
    "pad": ["test_reflect_pad"],
    "qlinearconv": ["test_qlinearconv"],
    "scatternd": ["test_scatternd_multiply"],
    "slice": ["test_slice_neg_steps"],
    "topk": ["test_top_k_smallest"],
}
"""Tests by the module that has them: one of each kind of translation."""


@pytest.fixture(scope="module")
def sample() -> dict[str, object]:
    return {case.name: case for case in onnx_nodes.cases(SAMPLE)}


@pytest.mark.parametrize("name", [name for names in SAMPLE.values() for name in names])
def test_a_node(sample: dict[str, object], name: str) -> None:
    outcome = onnx_nodes.run(sample[name])
    assert (outcome.state, outcome.reason) == (onnx_nodes.PASSED, "")


@pytest.mark.slow
def test_no_node_fails() -> None:
    outcomes = [onnx_nodes.run(case) for case in onnx_nodes.cases() if case.model is not None]
    assert [(o.name, o.reason) for o in outcomes if o.state == onnx_nodes.FAILED] == []
    assert sum(o.state == onnx_nodes.PASSED for o in outcomes) >= 1500
