"""The model for Python."""

import subprocess
import sys

import networkx
import numpy as np
import pytest

import graphdl

NET = """
## A classifier of points.
net points(units = 6) {
    input x: [4]
    input label: class(3)
    hidden = x -> linear(units) as a -> batchnorm -> tanh
    logits = hidden -> linear(3) as b
    output probability = softmax(logits)
    output hidden
    loss cross_entropy(logits, label)
    metric accuracy(logits, label)
}
train { optimizer sgd(lr = 0.5); batch 8 }
train again { optimizer adam(lr = 0.5); schedule step(every = 1, factor = 0.5) }
"""


@pytest.fixture
def model():
    return graphdl.loads(NET)


def data(count, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(count, 4)).astype(np.float32), random.integers(0, 3, count)


def test_importing_graphdl_imports_nothing_heavy():
    code = "import sys, graphdl; print([m for m in ('numpy', 'pyopencl', 'networkx', 'lark') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    assert set(graphdl.__all__) <= set(dir(graphdl))
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        _ = graphdl.laod


def test_a_model_prints_as_its_table(model):
    text = str(model)
    assert "points(x: [4], label: class(3))" in text
    assert "A classifier of points." in text
    assert text.splitlines()[-2].split() == ["total", "63", *text.splitlines()[-2].split()[2:]]


def test_settings_change_hyperparameters():
    assert graphdl.loads(NET, units=9).parameters["a.W"].shape == (4, 9)
    assert graphdl.loads(NET, units="9").parameters["a.W"].shape == (4, 9)
    with pytest.raises(graphdl.ModelError, match="width"):
        graphdl.loads(NET, width=9)


def test_a_file_with_faults_raises_all_of_them():
    with pytest.raises(graphdl.ModelError) as caught:
        graphdl.loads("net n { input x: [2]\n y = x -> lineer(2)\n z = x -> convv(3)\n output y }")
    assert len(caught.value.diagnostics) == 2


def test_parameters_are_a_mapping_over_paths(model):
    assert list(model.parameters) == ["a.W", "a.b", "hidden.batchnorm.gamma", "hidden.batchnorm.beta", "b.W", "b.b"]
    assert len(model.states) >= 2
    model.parameters["a.b"] = np.arange(6)
    np.testing.assert_array_equal(model.parameters["a.b"], np.arange(6.0))
    model.parameters["a.b"][:] = 0  # a copy: the net keeps its own
    np.testing.assert_array_equal(model.parameters["a.b"], np.arange(6.0))
    with pytest.raises(KeyError, match=r"no parameter 'a.w'; did you mean 'a\.[Wb]'"):
        model.parameters["a.w"]
    with pytest.raises(ValueError, match="shape"):
        model.parameters["a.b"] = np.zeros(5)
    with pytest.raises(TypeError):
        del model.parameters["a.b"]


def test_assigned_parameters_are_used_before_and_after_the_first_run(model):
    x, _ = data(3)
    for value in (0.0, 5.0):
        model.parameters["b.W"] = np.zeros((6, 3))
        model.parameters["b.b"] = np.array([value, 0, 0])
        expected = np.exp([value, 0, 0]) / np.exp([value, 0, 0]).sum()
        np.testing.assert_allclose(model.predict(x=x)["probability"], np.tile(expected, (3, 1)), rtol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 75])
def test_any_number_of_examples_is_predicted(model, count):
    x, _ = data(count)
    found = model.predict(x=x)
    assert found["probability"].shape == (count, 3)
    assert found["hidden"].shape == (count, 6)
    one_by_one = np.concatenate([model.predict(x=x[k : k + 1])["hidden"] for k in range(min(count, 4))])
    np.testing.assert_allclose(found["hidden"][:4], one_by_one, rtol=1e-5, atol=1e-6)
    in_parts = model.run({"x": x}, batch=5)
    np.testing.assert_allclose(found["probability"], in_parts["probability"], rtol=1e-5, atol=1e-6)


def test_examples_that_bear_on_each_other_are_predicted_together():
    model = graphdl.loads("net c { input x: [2]; output y = x - batch_mean(x, axis = []) }")
    x = np.random.default_rng(0).normal(size=(45, 2)).astype(np.float32)
    np.testing.assert_allclose(model.predict(x=x)["y"], x - x.mean(axis=0), atol=1e-6)


def test_inputs_that_outputs_do_not_need_may_be_given_and_others_may_not(model):
    x, label = data(4)
    assert model.predict(x=x, label=label)["probability"].shape == (4, 3)
    with pytest.raises(graphdl.ModelError, match="E0713"):
        model.predict(x=x, y=label)
    with pytest.raises(graphdl.ModelError, match="E0713"):
        model.predict()
    with pytest.raises(graphdl.ModelError, match="E0714"):
        model.predict(x=x[0])


def test_gradients_are_those_of_finite_differences(model):
    x, label = data(12)
    loss, gradients = model.gradients(x=x, label=label)
    assert gradients.keys() == model.parameters.keys()
    for path, place in (("a.W", (1, 2)), ("b.b", (0,)), ("hidden.batchnorm.gamma", (3,))):
        value = model.parameters[path]
        found = []
        for step in (1e-2, -1e-2):
            moved = value.copy()
            moved[place] += step
            model.parameters[path] = moved
            found.append(model.gradients(x=x, label=label)[0])
        model.parameters[path] = value
        assert gradients[path][place] == pytest.approx((found[0] - found[1]) / 2e-2, rel=2e-2, abs=1e-4)
    assert model.gradients(x=x, label=label)[0] == loss


def test_gradients_know_training_from_inference(model):
    x, label = data(12)
    assert model.gradients(x=x, label=label)[0] != model.gradients(x=x, label=label, training=False)[0]


def test_a_step_is_the_gradient_times_the_rate(model):
    x, label = data(8)
    loss, gradients = model.gradients(x=x, label=label)
    before = dict(model.parameters)
    trainer = model.trainer(batch=8)
    found = trainer.step(x=x, label=label)
    assert float(found) == pytest.approx(loss, rel=1e-6)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(model.parameters[path], before[path] - 0.5 * gradient, rtol=1e-4, atol=1e-6)
    assert model.states["hidden.batchnorm.mean"].any()


def test_the_loss_of_a_step_is_used_like_a_number(model):
    x, label = data(8)
    trainer = model.trainer()
    found = [trainer.step(x=x, label=label) for _ in range(20)]
    numbers = [float(loss) for loss in found]
    assert sum(found) == pytest.approx(sum(numbers))
    assert np.mean(found) == pytest.approx(np.mean(numbers))
    assert found[0] > found[-1]
    assert found[0] < 10
    assert f"{found[0]:.3f}" == f"{numbers[0]:.3f}"
    assert repr(found[0]) == repr(numbers[0])
    assert found[3].losses == {"cross_entropy": numbers[3]}
    assert 0 <= found[3].metrics["accuracy"] <= 1
    assert [loss.step for loss in found] == list(range(20))


def test_a_step_takes_batches_of_any_size(model):
    trainer = model.trainer(batch=8)
    for count in (8, 3, 8, 5):
        x, label = data(count)
        assert np.isfinite(float(trainer.step(x=x, label=label)))
    with pytest.raises(graphdl.ModelError, match="E0713"):
        trainer.step(x=x)
    with pytest.raises(graphdl.ModelError, match="E0716"):
        trainer.step(x=x, label=np.full(5, 3))


def test_a_stage_is_chosen_by_name_or_number(model):
    assert model.trainer(stage="again").stage.name == model.trainer(stage=1).stage.name == "again"
    with pytest.raises(graphdl.ModelError, match="no stage 'agian'") as caught:
        model.trainer(stage="agian")
    assert caught.value.diagnostics[0].help == "did you mean 'again'?"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stage": 2}, "E0619: there is no stage '2'"),
        ({"stage": -1}, "E0619: there is no stage '-1'"),
        ({"batch": 0}, "E0606: 'batch' is an int from 1 on, not 0"),
    ],
)
def test_a_stage_or_a_batch_that_cannot_be_is_refused(model, wrong, message):
    with pytest.raises(graphdl.ModelError, match=message):
        model.trainer(**wrong)


def test_a_schedule_in_epochs_moves_on_when_their_length_is_known(model):
    x, label = data(8)
    standing, moving = model.trainer(stage=1), model.trainer(stage=1, steps_per_epoch=2)
    for trainer in (standing, moving):
        for _ in range(4):
            trainer.step(x=x, label=label)
    assert standing.rate == 0.5
    assert moving.rate == 0.125


def test_equal_seeds_give_equal_models():
    for first, second, same in ((1, 1, True), (1, 2, False)):
        a, b = graphdl.loads(NET, seed=first), graphdl.loads(NET, seed=second)
        assert np.array_equal(a.parameters["a.W"], b.parameters["a.W"]) is same


def test_a_seed_in_the_file_decides_where_nobody_else_does():
    seeded = graphdl.loads(NET.replace("batch 8", "seed 7"))
    np.testing.assert_array_equal(seeded.parameters["a.W"], graphdl.loads(NET, seed=7).parameters["a.W"])


def test_a_model_moves_to_another_device_with_its_values(model):
    x, _ = data(4)
    before = model.predict(x=x)["probability"]
    model.trainer(device=str(model.network.device.info.index))
    np.testing.assert_array_equal(model.predict(x=x)["probability"], before)
    with pytest.raises(graphdl.DeviceError, match="no OpenCL device matches"):
        model.trainer(device="no such device")


def test_a_net_that_is_too_large_is_refused_before_anything_is_drawn(monkeypatch):
    def drawn(*arguments):
        raise AssertionError("the initial values are drawn")

    monkeypatch.setattr("graphdl.training.network.initialize", drawn)
    model = graphdl.loads("net n() { input x: [40000]; output y = x -> repeat 99 { linear(40000) }; loss mean(y) }")
    for use in (lambda: model.predict(x=np.zeros((1, 40_000), np.float32)), model.trainer):
        with pytest.raises(graphdl.DeviceError, match=r"5.96 GiB  (variable|reshape) (train:)?y.linear") as caught:
            use()
        assert caught.value.code == "E0801"
        assert "smaller batch" not in str(caught.value)


def test_a_program_tells_its_cost(model):
    training, inference = model.compile(batch=8, training=True), model.compile(batch=8)
    assert training.flops > inference.flops > 2 * 8 * (4 * 6 + 6 * 3)
    assert {"probability", "hidden"} == set(inference.fetches)
    assert training.peak_bytes > 0
    assert set(model.parameters) <= set(training.variables)
    with pytest.raises(graphdl.ModelError, match="E0621: the net 'n' has no outputs"):
        graphdl.loads("net n() { input x: [4]; loss mean(x) }").compile()


def test_the_graph_is_networkx_and_keeps_the_blocks(model):
    graph = model.graph
    assert networkx.is_directed_acyclic_graph(graph)
    assert graph.graph["inputs"].keys() == {"x", "label"}
    assert graph.graph["parameters"].keys() == set(model.parameters)
    assert graph.graph["modules"]["a"]["kind"] == "linear"
    assert graph.graph["modules"]["a"]["parent"] == ""
    assert "a" in graph.graph["modules"][""]["children"]
    weight = graph.graph["parameters"]["a.W"]
    assert graph.nodes[weight]["operator"] == "param"
    assert graph.nodes[weight]["hierarchy"] == ("", "a")
    assert networkx.has_path(graph, weight, graph.graph["losses"]["cross_entropy"])
    for source, target, key, attributes in graph.edges(keys=True, data=True):
        assert attributes["input"] == key
        assert graph.nodes[source]["types"][attributes["output"]] == attributes["type"]
        assert source < target


def test_a_net_without_outputs_cannot_predict():
    with pytest.raises(graphdl.ModelError, match="E0621"):
        graphdl.loads("net n { input x: [2]; loss sum(x) }").predict(x=np.zeros((1, 2)))


def test_weights_go_through_a_file(model, tmp_path):
    x, label = data(8)
    trainer = model.trainer(batch=8)
    for _ in range(5):
        trainer.step(x=x, label=label)
    model.save(tmp_path / "w.safetensors")
    other = graphdl.loads(NET, seed=9)
    other.load_weights(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(other.predict(x=x)["probability"], model.predict(x=x)["probability"])
