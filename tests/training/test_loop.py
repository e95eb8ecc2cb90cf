"""Stages, data and what can go wrong with them while a model is trained."""

import re
from pathlib import Path

import numpy as np
import pytest
from nets import DIGITS

import graphdl
from graphdl.data import sets
from graphdl.graph.train import Setting
from graphdl.language.codes import explanation
from graphdl.training import checkpoint, fit
from graphdl.training.loop import Observer
from graphdl.training.sources import setting_of
from graphdl.training.stages import Overrides

LINE = """
net line {
    input x: [2]
    input target: []
    y = x -> linear(1) as fit
    output y
    loss squared = (y[0] - target) ** 2
    metric error = abs(y[0] - target)
}
"""


def line_data(count):
    x = np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)
    return {"x": x, "target": (x @ [2.0, -1.0] + 0.5).astype(np.float32)}


def code_of(model, *arguments, **keywords):
    with pytest.raises(graphdl.ModelError) as caught:
        model.fit(*arguments, **keywords)
    return caught.value.diagnostics[0]


def test_a_line_is_learnt_from_arrays():
    model = graphdl.loads(LINE + "train { optimizer sgd(lr = 0.1); batch 20; epochs 30 }")
    run = model.fit(**line_data(200))
    assert len(run.epochs) == 30
    assert run.steps == 300
    np.testing.assert_allclose(model.parameters["fit.W"].ravel(), [2, -1], atol=1e-3)
    assert model.parameters["fit.b"] == pytest.approx(0.5, abs=1e-3)
    assert "held_out" not in run.epochs[0]


def test_an_epoch_reports_its_exact_averages():
    model = graphdl.loads(LINE + "train { optimizer sgd(lr = 0.0); batch 20; epochs 1 }")
    data = line_data(200)
    (record,) = model.fit(**data).epochs
    error = model.predict(x=data["x"])["y"][:, 0] - data["target"]
    assert record["losses"]["squared"] == pytest.approx(np.mean(error**2), rel=1e-5)
    assert record["metrics"]["error"] == pytest.approx(np.mean(np.abs(error)), rel=1e-5)


def test_a_held_out_part_that_does_not_fill_its_last_batch_is_averaged_exactly():
    model = graphdl.loads(DIGITS + "train { data digits; batch 100 }")
    test = sets.load("digits").split("test")
    rows = np.arange(len(test))
    probability = model.predict(image=test.fields["image"].take(rows))["probability"]
    label = test.fields["label"].take(rows)
    found = model.evaluate()
    assert found.examples == 359
    assert found.metrics["accuracy"] == np.mean(probability.argmax(1) == label)
    assert found.losses["cross_entropy"] == pytest.approx(-np.log(probability[rows, label]).mean(), rel=1e-5)


def test_validation_takes_the_place_of_the_test_split():
    model = graphdl.loads(DIGITS + "train { data digits(validation = 0.1); epochs 1 }")
    assert model.fit().epochs[0]["held_out"]["split"] == "validation"


def test_steps_end_a_stage_within_an_epoch():
    model = graphdl.loads(LINE + "train { batch 10; steps 25 }")
    run = model.fit(**line_data(100))
    assert [record["step"] for record in run.epochs] == [10, 20, 25]


def test_the_caller_may_set_batch_epochs_and_seed():
    model = graphdl.loads(LINE + "train { batch 10; steps 25; seed 3 }")
    (stage,) = model.stages(Overrides(batch=7, epochs=2, seed=9))
    assert (stage.batch, stage.epochs, stage.steps, stage.seed) == (7, 2, None, 9)
    (stage,) = model.stages()
    assert (stage.batch, stage.steps, stage.seed) == (10, 25, 3)


def test_without_a_train_section_there_are_defaults():
    (stage,) = graphdl.loads(LINE).stages()
    assert (stage.name, stage.batch, stage.epochs, stage.seed) == ("train", 32, 10, 0)
    assert stage.optimizer.lr == 0.001
    assert stage.parameters == ("fit.W", "fit.b")


def test_only_takes_patterns_whose_star_crosses_dots():
    text = """
    block pair(n): x -> y { y = x -> linear(n) as first -> linear(n) as second }
    net nested { input x: [2]; y = x -> pair(2) as deep -> linear(1) as head; loss y[0] }
    train a { only deep.* }
    train b { only "*.b", "head.W" }
    """
    first, second = graphdl.loads(text).stages()
    assert first.parameters == ("deep.first.W", "deep.first.b", "deep.second.W", "deep.second.b")
    assert second.parameters == ("deep.first.b", "deep.second.b", "head.W", "head.b")


def test_a_loss_that_explodes_stops_the_run_and_is_named():
    model = graphdl.loads(LINE + "train { optimizer sgd(lr = 1e30); batch 10; epochs 3 }")
    found = code_of(model, **line_data(100))
    assert found.code == "E0615"
    assert "loss 'squared' is" in found.message
    assert "of stage 'train' (epoch 1)" in found.message
    assert found.span.text.strip().startswith("(y[0] - target)") or "squared" in found.span.text


def exploded(text, tmp_path, **data):
    """The complaint about a run that is kept in a folder."""
    model = graphdl.loads(text)
    with pytest.raises(graphdl.ModelError) as caught:
        model.fit(out=tmp_path / "run", **data)
    (found,) = caught.value.diagnostics
    assert found.code == "E0615"
    return model, found


def test_the_node_that_made_the_first_infinity_is_shown(tmp_path):
    text = """
    net logarithm {
        input x: [2]
        h = x -> linear(2) as l
        y = log(h * 0 + x)
        output y
        loss total = mean(y)
    }
    train { optimizer sgd(lr = 0.001); batch 4; epochs 3 }
    """
    x = np.ones((40, 2), np.float32)
    x[17] = [0, 1]
    model, found = exploded(text, tmp_path, x=x)
    assert "loss 'total' is -inf at step" in found.message
    assert found.span.text == "log(h * 0 + x)"
    assert any("1 of them, by the operator 'log'" in note for note in found.notes)
    assert all(np.isfinite(model.parameters[path]).all() for path in model.parameters)


def test_a_held_out_loss_that_is_not_finite_ends_the_training(tmp_path):
    x = np.ones((40, 2), np.float32)
    np.savetxt(tmp_path / "train.csv", x, delimiter=",", header="a,b", comments="")
    x[17] = [0, 1]
    np.savetxt(tmp_path / "test.csv", x, delimiter=",", header="a,b", comments="")
    text = """
    net logarithm {
        input x: [2]
        loss total = mean(log(x) + (x -> linear(2)))
        loss other = mean(x)
    }
    train { data csv("train.csv", test = "test.csv"); minimize total; batch 4; epochs 3 }
    """
    (tmp_path / "a.net").write_text(text)
    with pytest.raises(graphdl.ModelError) as caught:
        graphdl.load(tmp_path / "a.net").fit(out=tmp_path / "run", data_root=tmp_path)
    (found,) = caught.value.diagnostics
    assert found.code == "E0615"
    assert "loss 'total' is -inf on the split 'test' after epoch 1 of stage 'train'" in found.message
    assert found.span.text.startswith("mean(log(x)")
    assert not (tmp_path / "run" / "best.safetensors").exists()
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    graphdl.load(tmp_path / "run")


def test_a_variable_that_is_no_longer_finite_ends_the_training():
    text = "net n { input x: [1]\n param w: [] = 1\n param v: [] = 1\n loss a = v * x[0]\n loss b = w * x[0] * 1e30 }\n"
    model = graphdl.loads(text + "train { optimizer sgd(lr = 1e20); minimize b; epochs 1; batch 4 }")
    found = code_of(model, x=np.ones((4, 1), np.float32))
    assert found.code == "E0615"
    assert "'w' is no longer finite at step 1 of stage 'train'" in found.message
    adam = graphdl.loads(text + "train { optimizer adam(lr = 0.1); minimize b; epochs 1; batch 4 }")
    found = code_of(adam, x=np.ones((4, 1), np.float32))
    assert "what the optimizer keeps of 'w' (square) is no longer finite" in found.message


def test_a_training_that_diverges_is_warned_of_once():
    class Warned(Observer):
        def __init__(self):
            self.heard = []

        def warn(self, diagnostic):
            self.heard.append(diagnostic)

    text = LINE.replace("squared", "absolute").replace("(y[0] - target) ** 2", "abs(y[0] - target)")
    for rate, codes in ((1e10, ["W0601"]), (0.01, [])):
        model = graphdl.loads(text + f"train {{ optimizer sgd(lr = {rate}); batch 10; epochs 3 }}")
        observer = Warned()
        fit.fit(model, fit.TrainingOptions(), arrays=line_data(100), observer=observer)
        assert [diagnostic.code for diagnostic in observer.heard] == codes


def test_a_parameter_that_exploded_is_shown(tmp_path):
    text = LINE + "train { optimizer sgd(lr = 1e20); batch 10; epochs 3 }"
    _, found = exploded(text, tmp_path, **line_data(100))
    assert "loss 'squared' is" in found.message
    assert found.span.text in ("linear(1)", "linear(1) as fit", "(y[0] - target) ** 2", "y[0] - target")


def test_a_run_that_could_not_begin_leaves_no_folder(tmp_path):
    with pytest.raises(graphdl.ModelError, match="E0713"):
        graphdl.loads(LINE + "train { data digits }").fit(out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_weights_that_were_loaded_before_are_where_a_killed_run_starts(tmp_path):
    model = graphdl.loads(LINE + "train { batch 10; epochs 1 }")
    model.parameters["fit.b"] = np.array([7.0])

    class Stop(Observer):
        def advance(self, status):
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fit.fit(model, fit.TrainingOptions(), arrays=line_data(100), out=tmp_path / "run", observer=Stop())
    assert checkpoint.load(tmp_path / "run" / "last.safetensors").tensors["fit.b"] == [7.0]


def test_a_run_without_data_says_what_to_write():
    found = code_of(graphdl.loads(LINE + "train { epochs 1 }"))
    assert found.code == "E0619"
    assert "data digits" in found.help
    assert code_of(graphdl.loads(LINE)).code == "E0619"


def test_a_net_without_a_loss_cannot_be_trained():
    model = graphdl.loads("net plain { input x: [2]; output y = x -> linear(1) }")
    assert code_of(model, x=np.zeros((4, 2))).code == "E0608"


def test_data_that_does_not_fit_is_refused():
    model = graphdl.loads(LINE)
    assert code_of(model, "digits").code == "E0713"
    assert code_of(model, x=np.zeros((40, 3)), target=np.zeros(40)).code == "E0714"
    assert code_of(model, x=np.zeros((40, 2))).code == "E0713"
    assert code_of(model, x=np.zeros((40, 2)), target=np.zeros(40), z=np.zeros(40)).code == "E0713"
    assert code_of(model, x=np.zeros((4, 2)), target=np.zeros(4)).code == "E0712"


def test_an_unknown_precision_is_refused():
    with pytest.raises(graphdl.ModelError, match="E0620"):
        graphdl.loads(LINE + "train { precision float7 }").stages()


def test_every_wrong_stage_is_complained_about():
    with pytest.raises(graphdl.ModelError) as caught:
        graphdl.loads(LINE + "train a { optimizer sdg }\ntrain b { schedule stepp(1); optimizer sgd(x = 1) }").stages()
    assert [d.code for d in caught.value.diagnostics] == ["E0611", "E0611", "E0612"]


def test_the_data_of_the_command_line_is_read_as_in_a_file():
    setting = setting_of('csv("a.csv", label = "kind")')
    assert (setting.name, setting.arguments, dict(setting.keywords)) == ("csv", ("a.csv",), {"label": "kind"})
    assert isinstance(setting, Setting)
    with pytest.raises(graphdl.ModelError):
        setting_of("csv(")


def test_an_observer_hears_of_every_step_and_record():
    class Listener(Observer):
        steps, records = (), ()

        def advance(self, status):
            self.steps = (*self.steps, (status.epoch, status.step))

        def record(self, record):
            self.records = (*self.records, record["step"])

    listener = Listener()
    model = graphdl.loads(LINE + "train { batch 25; epochs 2 }")
    fit.fit(model, fit.TrainingOptions(), arrays=line_data(100), observer=listener)
    assert listener.steps == tuple((1 + k // 4, k + 1) for k in range(8))
    assert listener.records == (4, 8)


def test_every_code_of_training_is_explained():
    package = Path(graphdl.__file__).parent
    texts = [file.read_text("utf-8") for file in (package / "training").glob("*.py")]
    raised = {code for text in texts for code in re.findall(r'"(E06\d\d)"', text)}
    assert {"E0611", "E0616", "E0621"} <= raised
    assert [code for code in sorted(raised) if explanation(code) is None] == []
