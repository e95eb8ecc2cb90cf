from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from graphdl.runtime import Device

TESTS = Path(__file__).parent

# a run tries the same examples as the run before, and as many on a busy machine: what it says is about the change, not
# about the draw or the load
hypothesis.settings.register_profile("graphdl", derandomize=True, deadline=None)
hypothesis.settings.load_profile("graphdl")

NO_DEVICE = (
    "cli/test_new_command.py",
    "compiler/test_emit.py", "compiler/test_expression.py", "compiler/test_fusion.py", "compiler/test_generate.py",
    "compiler/test_in_place.py", "compiler/test_layout.py", "compiler/test_listing.py", "compiler/test_loops.py",
    "compiler/test_lowering.py", "compiler/test_memory.py", "compiler/test_numbers.py", "compiler/test_placement.py",
    "compiler/test_prepare.py", "compiler/test_program.py", "compiler/test_random_draws.py",
    "compiler/test_recompute.py", "compiler/test_reductions.py",
    "compiler/test_schedule.py", "compiler/test_simplify.py", "compiler/test_strided.py", "compiler/test_view_laws.py",
    "data/test_dataset.py", "data/test_reading.py", "graph", "language", "language_server",
    "operators/test_elementwise_rules.py", "operators/test_families.py", "operators/test_index.py",
    "operators/test_resize.py", "operators/test_sliding.py",
    "runtime/test_arrays.py", "runtime/test_claims_of_kernels.py", "runtime/test_tuned.py", "test_diagnostics.py",
    "test_rendering.py", "test_settings.py",
    "test_source.py", "test_strict_json.py", "test_suggest.py", "test_summary.py", "training/test_curves.py",
    "training/test_profile_rows.py", "training/test_reports.py", "training/test_schedules.py",
    "training/test_schema.py", "training/test_update_rules.py", "view/test_folding.py", "view/test_raster.py",
    "operators/test_references.py",
)  # fmt: skip
"""Folders and files whose tests run without OpenCL."""
EVERY_DEVICE = (
    "compiler/test_compiler.py", "compiler/test_several_outputs.py", "compiler/test_views.py",
    "end_to_end/test_against_pytorch.py", "end_to_end/test_meanings.py", "operators", "runtime/test_build.py",
    "runtime/test_device_setting.py", "runtime/test_executor.py", "runtime/test_merging.py", "runtime/test_selftest.py",
    "test_smoke.py",
)  # fmt: skip
"""Folders and files whose tests a vendor's compiler or driver can fail. All others need a device, whichever it is."""

_FORMS_OF_OTHERS = r"\[(narrow cpu|cpu with little local memory|gpu|small gpu)"
LONG = re.compile(
    "|".join(
        [
            r"cli/test_not_finite.py::test_the_page_of_such_a_run_is_written",
            r"cli/test_profile_command.py::test_(the_parts_of_a_step|from_python)",
            r"cli/test_signals.py::test_(a_signal_before_the_first_step.*15|a_training_whose_reader)",
            r"cli/test_tune_command.py::test_a_search_that_the_budget_ends_goes_on",
            r"compiler/test_random_programs.py::test_random_programs\[cpu",
            r"compiler/test_recompute.py::test_a_trial_needs_what_it_says\[transformer",
            r"compiler/test_recurrence.py::test_gradients_of_gradients",
            r"caffe/test_caffe.py::test_(combinations_and_shapes|old_files|what_losses_become)",
            r"end_to_end/test_against_pytorch.py::test_a_scan_is_the_network_unrolled\[reverse",
            r"end_to_end/test_library_attention.py::test_attention_with_masks",
            r"end_to_end/test_library_recurrent.py::test_sequences_of_different_lengths",
            r"end_to_end/test_zoo.py::test_takes_a_training_step\[(decision/dqn|history/experts)",
            r"language_server/test_diagnostics_typed.py::test_a_large_net_answers_at_once",
            r"language_server/test_session.py::test_damaged_files_are_answered_about",
            r"operators/test_families.py::test_winograds_method_is_covered",
            r"operators/test_kernels.py::test_(products_of_few_rows.*-(rc|cr|ss)-|weight_gradient_in_a_program.*gpu)",
            r"operators/test_kernels.py::test_a_product_of_few_rows_in_a_program\[.*gpu",
            r"operators/test_special_values.py::test_a_nan_wins_in_reductions.*shape[12]",
            r"operators/test_winograd.py::test_(forward|input_gradient).*-two\]",
            r"operators/test_winograd_steps.py::test_all_passes\[small gpu",
            r"cli/test_printable_output.py::test_names_that_are_not_utf8",
            r"cli/test_profile_command.py::test_(a_loops_launches|a_run_is_profiled|a_prediction)",
            r"cli/test_signals.py::test_other_signals_save_as_ctrl_c_does",
            r"compiler/test_compiler.py::test_every_kind_of_device_gets_the_same_numbers",
            r"compiler/test_random_programs.py::test_random_programs(_on_the_device)?\[gpu",
            r"compiler/test_recurrence.py::test_(a_loop_is_the_scan_unrolled|steps_that_are_computed_again)",
            r"compiler/test_recurrence.py::test_(odd_sizes_and_single_steps|many_examples)",
            r"compiler/test_scattered_epilogue.py",
            r"data/test_audio.py::test_a_run_hears_other_recordings",
            r"data/test_buckets.py::test_training_in_buckets_gives_the_numbers",
            r"data/test_tokenizers.py::test_a_run_predicts_from_texts",
            r"docs/test_contributing.py::test_the_examples_pass_their_tests",
            r"end_to_end/test_zoo_export.py::test_small_forms_agree"
            r"\[(?!history/xor|vision/mlp\]|vision/lenet|sequence/(lstm|transformer_lm))",
            r"generating/test_generate_command.py::test_(a_translation|sound|the_words)",
            r"generating/test_one_step.py::test_steps_are_the_whole_sequence\[convolutions",
            r"onnx/test_export.py::test_(examples_agree\[(?!operands|scan)|the_way_back\[sequences)",
            r"docs/test_docs.py::test_blocks_do_what_the_page_says",
            r"end_to_end/test_against_pytorch.py::test_(attention|residual)",
            r"end_to_end/test_library(_convolutions|_pooling)?.py",
            r"end_to_end/test_library_attention.py::test_(multihead|attention_in_blocks)",
            r"end_to_end/test_library_recurrent.py::test_(a_layer|elements|.*\[(rnn|gru|lstm alone))",
            r"end_to_end/test_library_losses.py::test_losses\[of_numbers",
            r"end_to_end/test_library_sampling.py::test_(grid_sample$|gradients)",
            r"end_to_end/test_own_layers.py",
            r"end_to_end/test_zoo.py::test_gradients_equal_finite_differences",
            r"end_to_end/test_zoo.py::test_(a_translation_learns_where_it_ends|each_part_trains|a_gripper|a_sparse)",
            r"end_to_end/test_zoo.py::test_takes_a_training_step\[(sequence|generative|science|vision/(siamese|lenet|mlp_|grasp|hog))",
            r"language/test_hostile_files.py::test_many_complaints_take_time_in_proportion",
            r"onnx/test_networks.py::test_a_network.*\[(alexnet|gru|autoencoder|transformer)",
            r"onnx/test_networks.py::test_a_fixed_batch",
            r"onnx/test_networks.py::test_the_text.*\[(mobilenet_v2|resnet18|resnet34|densenet|googlenet|vgg16|alexnet|unet)",
            r"onnx/test_pytorch.py::test_an_exported_net_agrees_with_pytorch\[(mobile|unet|gru|autoencoder)",
            r"operators/test_depthwise.py::test_(any_tile|forward_and_input_gradient|weight_gradient)",
            r"operators/test_depthwise.py::test_in_a_program_with_what_follows\[gpu",
            r"operators/test_kernels.py::test_(convolution|input_gradient|weight_gradient)" + _FORMS_OF_OTHERS,
            r"operators/test_kernels.py::test_weight_gradient\[",
            r"operators/test_kernels.py::test_(convolution_that_knows_of|input_gradient_without)_the_padding",
            r"operators/test_kernels.py::test_matmul_of_any_(layout\[\w+-|size\[.*-)(narrow cpu|gpu|small gpu)",
            r"operators/test_prefix_sum.py::.*" + _FORMS_OF_OTHERS,
            r"operators/test_primitives.py::.*\[(convolve_transpose-2x4x4x5|mean_window-2x3x9|pad-.*wrap|resize-.*corners)",
            r"operators/test_sorting.py::.*" + _FORMS_OF_OTHERS,
            r"operators/test_winograd.py::test_(forward|input_gradient|weight_gradient)\[.*-(sixteen|four) lanes",
            r"operators/test_winograd_steps.py::test_(all_passes\[(odd|one pixel|narrow|small gpu-four)|tune_measures)",
            r"runtime/drivers/test_ld.py::test_kernels_are_the_same_as_with_the_systems_linker",
            r"runtime/drivers/test_pocl_(cache.py|libraries.py::test_all_kernels)",
            r"runtime/test_tuning.py::test_the_choice_is_the_form_that_programs_have\[(forward|input|weight)",
            r"runtime/test_tuning.py::test_the_numbers_of_a_model_stay",
            r"tools/test_bench.py::test_(a_contestant|the_command)",
            r"tools/test_bench_peers.py::test_twins_compute_the_same",
            r"tools/test_record.py",
            r"tools/test_playing.py::test_q_learning",
            r"tools/test_tables.py::test_a_net_is_tuned",
            r"tools/test_fuzz.py::test_some_inputs",
            r"test_net.py::test_a_net_from_python_trains_as_the_one_of_the_file\[text1",
            r"training/test_chain.py::test_(the_paths_sum_to_the_gradient|with_too_many_paths)",
            r"training/test_clock_and_ties.py::test_(tied_weights|lists_of_states)",
            r"training/test_(halves|kept).py",
            r"training/test_precision.py::test_gradients_are.*(convolutions|sequences)",
            r"training/test_precision.py::test_a_step_that_overflows.*\[sgd",
            r"training/test_precision.py::test_(the_two_halves|the_scale_is_doubled)",
            r"training/test_memory_limit.py::test_(the_numbers_(of_a_model_)?stay|half_of_resnet50s|a_run_is|a_profile_names)",
            r"training/test_resume.py::test_a_killed_run_goes_on_to_the_same_weights\[1\]",
            r"training/test_resume.py::test_an_interrupted_run_goes_on_to_the_same_weights\[warm-1",
            r"training/test_several_nets.py::test_stages_minimize_losses_of_blocks",
            r"training/test_weight_settings.py::test_(a_run_with_averages|filters_are_limited)",
            r"view/browser/test_measured_page.py",
            r"view/browser/test_page.py::test_hostile_names_anywhere",
            r"view/browser/test_page.py::(.*resnet152|test_two_models_stand_side_by_side)",
        ]
    )
)
"""Tests whose seconds add up: most are further sizes and forms of what others try. CI runs them; the default run leaves
them out."""
SLOW = re.compile(
    "|".join(
        [
            r"compiler/test_recompute.py::.*densenet",
            r"end_to_end/test_zoo_export.py::test_small_forms_agree\[vision/(googlenet|resnet|inc|dense|vgg|unet|scat|alex)",
            r"end_to_end/test_zoo_export.py::test_small_forms_agree\[decision",
            r"end_to_end/test_zoo.py::test_gradients_equal_finite_differences\[(sequence/(attention_nmt|transf|phon)|decision)",
            r"end_to_end/test_zoo.py::test_(each_part.*deep_autoencoder|takes_a_training_step.*(deepspeech|char_lstm))",
            r"generating/test_one_step.py::test_steps_are_the_whole_sequence\[attention",
            r"operators/test_depthwise.py::test_(any_tile|weight_gradient)\[gpu",
            r"compiler/test_compiler.py::test_every_kind_of_device_gets_the_same_numbers\[(cpu-4-7|gpu-1-2)",
            r"compiler/test_recurrence.py::test_a_loop_is_the_scan_unrolled\[(elman|lstm|gru|projected|normalized|sorted)",
            r"compiler/test_recurrence.py::test_a_loop_is_the_scan_unrolled\[(dropped\]|only last)",
            r"end_to_end/test_against_pytorch.py::test_residual",
            r"end_to_end/test_library_recurrent.py::.*\[(rnn both|gru deep|lstm alone)",
            r"end_to_end/test_zoo.py::test_takes_a_training_step\[sequence/(attention_nmt|phonemes|transformer_lm)",
            r"end_to_end/test_zoo.py::test_takes_a_training_step\[vision/mlp_(bn|dropout)",
            r"end_to_end/test_zoo_export.py::test_full_sizes_agree",
            r"language/test_hostile_files.py::test_many_complaints.*\[(one name|bodies|shapes|nearest)",
            r"onnx/test_networks.py::test_a_network.*\[(resnet|mobilenet|efficient|densenet|googlenet|vgg|unet)",
            r"operators/test_depthwise.py::test_forward_and_input_gradient\[cpu-(whole|dilation\]|no padding|wide)",
            r"operators/test_kernels.py::test_input_gradient_without_the_padding.*-gpu\]",
            r"operators/test_kernels.py::test_products_of_few_rows\[.*(narrow cpu|gpu)",
            r"operators/test_primitives.py::.*\[\w+-(5|5x3x7x33)\]$",
            r"operators/test_winograd.py::test_(forward|(input|weight)_gradient)\[.*-(four lanes|sixteen lanes-two)",
            r"operators/test_winograd_steps.py::test_all_passes\[(one pixel|narrow|odd-two)",
            r"training/test_chain.py::test_the_paths_sum_to_the_gradient\[(branches|unrolled)",
            r"training/test_memory_limit.py::test_the_numbers_of_a_model_stay_the_same\[(vision/(res|dense|inc)|sequence)",
            r"training/test_optimizers.py::.*(centered|nesterov|weight_decay)",
            r"training/test_precision.py::test_(lenet|gradients_are.*(half-sequences|bfloat16-convolutions))",
            r"training/test_resume.py::test_a_killed_run_goes_on_to_the_same_weights\[1\]",
        ]
    )
)
"""Further sizes and forms of LONG's kind, which CI leaves out, too: ``pytest -m slow`` runs them."""


ONE_IS_ENOUGH = re.compile(
    "|".join(
        [
            r"operators/test_depthwise.py::test_in_a_program_with_what_follows\[(cpu-same|narrow cpu)",
            r"operators/test_kernels.py::test_(convolution|input_gradient)\[cpu-(plain|groups|one channel|stride|uneven"
            r"|one by one, stride|dilation|single pixel|narrow)",
            r"operators/test_kernels.py::test_convolution_with_any_number_of_panels_each\[(input gradient|.*-[12])",
            r"operators/test_kernels.py::test_convolution_with_any_tile\[(1-1-1|2-2-3|1-7-2)",
            r"operators/test_kernels.py::test_matmul_in_chunks_of_depth\[(rr|cr)",
            r"operators/test_kernels.py::test_matmul_of_any_size\[\((1, 64|5, 7|1, 1, 32)",
            r"operators/test_kernels.py::test_matmul_of_packed_panels\[cpu-\((33|40|1),",
            r"operators/test_kernels.py::test_matmul_with_any_tile\[(1|5|28)-",
            r"operators/test_kernels.py::test_matmul_with_far_apart_rows\[\(1, (30|261)",
            r"operators/test_kernels.py::test_partial_gradients_of_filters\[(?!\(3, 200)",
            r"operators/test_kernels.py::test_products_of_few_rows\[\((1, 8, 21|1, 5|2, 3)",
            r"operators/test_kernels.py::test_weight_gradient_in_a_program\[(groups|many one)",
            r"operators/test_kernels.py::.*narrow cpu",
            r"operators/test_primitives.py::.*\[(?!power)\w+-(5x4x17_17|5x4x17_5x4x1|3x1x7_5x2x1|5x3_scalar)\]",
            r"operators/test_primitives.py::.*\[convolve-(5x4|5x6|2x6x7x9|.*same)",
            r"operators/test_primitives.py::.*\[convolve_transpose-5x3x6x7_3x4x3x3-stride=(1|3|2-pad=0)",
            r"operators/test_primitives.py::.*\[(matmul-(5x2|5x7x33_33|7x9)|einsum-.*(ij,jk->ik|hqd|\.\.\.))",
            r"operators/test_winograd.py::test_errors",
            r"operators/test_winograd.py::test_(forward|weight_gradient)\[(one|odd-|narrow|fewer)",
            r"operators/test_winograd.py::test_input_gradient\[(odd-|.*\(\(0, 0\), \(0|.*\(\(1, 1\), \(1)",
        ]
    )
)
"""Tests of EVERY_DEVICE that say little about a compiler or driver: they need a device, whichever it is. They are
further sizes of kernels and expressions that other tests give to every vendor's compiler."""

# One setting chooses the device for all tests and the processes that they start.
if os.environ.get("GRAPHDL_TEST_DEVICE"):
    os.environ["GRAPHDL_DEVICE"] = os.environ["GRAPHDL_TEST_DEVICE"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test by what it needs."""
    missing = [name for name in (*NO_DEVICE, *EVERY_DEVICE) if not (TESTS / name).exists()]
    if missing:
        raise pytest.UsageError(f"{__file__} names what is not there: {', '.join(missing)}")
    for item in items:
        path = item.path.relative_to(TESTS)
        if LONG.match(item.nodeid.partition("tests/")[2]):
            item.add_marker(pytest.mark.long)
        if SLOW.match(item.nodeid.partition("tests/")[2]):
            item.add_marker(pytest.mark.slow)
        places = {str(path), *map(str, path.parents)}
        if places.intersection(NO_DEVICE):
            item.add_marker(pytest.mark.no_device)
        elif places.intersection(EVERY_DEVICE) and not ONE_IS_ENOUGH.match(item.nodeid.partition("tests/")[2]):
            item.add_marker(pytest.mark.every_device)
        else:
            item.add_marker(pytest.mark.one_device)


@pytest.fixture(autouse=True)
def _no_device_where_none_is_needed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that says it needs no device gets none, nor do the processes that it starts."""
    if request.node.get_closest_marker("no_device"):
        monkeypatch.setenv("GRAPHDL_DEVICE", "none, for the test is marked no_device")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets that GRAPHDL_DATA names; tests that need it are skipped without it."""
    named = os.environ.get("GRAPHDL_DATA")
    if not named:
        pytest.skip("needs real data: set GRAPHDL_DATA to a folder with mnist/ and cifar10/")
    root = Path(named)
    if not root.is_dir():
        pytest.fail(f"GRAPHDL_DATA names {root}, which is no folder")
    return root


@pytest.fixture(scope="session")
def device() -> Device:
    """The OpenCL device that GRAPHDL_TEST_DEVICE selects; without it, the one that would be chosen by default."""
    from graphdl.runtime.devices import open_device

    return open_device()
