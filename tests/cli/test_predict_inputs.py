"""What predict and eval do with files that are not laid out, or not named, as those of the training."""

import json
import os
import shutil
import tracemalloc
from itertools import islice

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import graphdl
from graphdl.cli import main
from graphdl.cli.reading import read_inputs
from graphdl.data.reading import Reading
from graphdl.graph.types import TensorType

FLOWERS = """
net flowers {
    input x: [2]
    input label: class(3)
    logits = x -> linear(3)
    output p = softmax(logits)
    loss cross_entropy(logits, label)
    metric accuracy(logits, label)
}
train { data csv("train.csv", label = "kind", separator = ";", test = 0.2); optimizer adam(0.1); epochs 30; batch 8 }
"""
KINDS = {"aster": (0, 4), "lily": (4, 0), "rose": (4, 4)}


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def table(path, columns, separator=";", count=40, extra=()):
    """Flowers of three kinds; the columns in any order."""
    random = np.random.default_rng(7)
    lines = [separator.join(columns)]
    for number in range(count):
        kind = [*KINDS, *extra][number % (3 + len(extra))]
        length, width = np.array(KINDS.get(kind, (9, 9))) + random.normal(0, 0.3, 2)
        cells = {"length": f"{length:.3f}", "width": f"{width:.3f}", "kind": kind, "note": "picked; by 'hand'"}
        lines.append(separator.join(f'"{cells[name]}"' if name == "note" else cells[name] for name in columns))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with a net, its table, and a finished run."""
    folder = tmp_path_factory.mktemp("flowers")
    (folder / "flowers.net").write_text(FLOWERS)
    table(folder / "train.csv", ["length", "width", "kind"])
    found = call("train", folder / "flowers.net", "--out", folder / "run")
    assert found.exit_code == 0, found.output
    return folder / "run"


def predicted(run, path):
    found = call("predict", run, path, "--json")
    assert found.exit_code == 0, found.output
    return [row["p"] for row in json.loads(found.stdout)]


@pytest.mark.parametrize(
    "columns", [["width", "length"], ["kind", "width", "length"], ["note", "length", "width"], ["length", "width"]]
)
def test_columns_are_matched_by_their_names(run, tmp_path, columns):
    right = predicted(run, table(tmp_path / "a.csv", ["length", "width"]))
    assert np.argmax(right[:3], axis=1).tolist() == [0, 1, 2]
    assert predicted(run, table(tmp_path / "b.csv", columns)) == right


def test_a_column_that_is_missing_is_named(run, tmp_path):
    found = call("predict", run, table(tmp_path / "a.csv", ["length", "kind"]))
    assert found.exit_code == 1
    assert "E0709" in found.stderr
    assert "a.csv has no column 'width', which the net was trained on" in found.stderr
    assert "it was trained on: length, width" in found.stderr


def test_without_a_header_columns_are_counted(run, tmp_path):
    rows = table(tmp_path / "a.csv", ["length", "width"]).read_text().split("\n", 1)[1]
    (tmp_path / "b.csv").write_text(rows)
    assert predicted(run, tmp_path / "b.csv") == predicted(run, tmp_path / "a.csv")
    (tmp_path / "c.csv").write_text("1;2;3\n")
    found = call("predict", run, tmp_path / "c.csv")
    assert found.exit_code == 1
    assert "E0714" in found.stderr
    assert "c.csv has 3 columns, the net was trained on 2" in found.stderr


def test_a_first_row_with_a_gap_is_no_header(run, tmp_path):
    (tmp_path / "a.csv").write_text("1;\n1;2\n")
    found = call("predict", run, tmp_path / "a.csv")
    assert found.exit_code == 1
    assert "a.csv, line 1: '' is no finite number, and others are: this is no header" in found.stderr


def test_a_header_of_numbers_is_a_header(tmp_path):
    (tmp_path / "n.net").write_text(
        FLOWERS.replace("input x: [2]", "input x: [2]").replace('separator = ";", test = 0.2', "test = 0.0")
    )
    rows = "".join(f"{n % 3 * 2},{n % 3},{n % 3}\n" for n in range(24))
    (tmp_path / "train.csv").write_text("0,1,kind\n" + rows)
    assert call("train", tmp_path / "n.net", "--out", tmp_path / "run").exit_code == 0
    (tmp_path / "a.csv").write_text("0,1\n0,0\n2,1\n4,2\n")
    (tmp_path / "b.csv").write_text("1,0\n0,0\n1,2\n2,4\n")
    assert predicted(tmp_path / "run", tmp_path / "a.csv") == predicted(tmp_path / "run", tmp_path / "b.csv")
    assert len(predicted(tmp_path / "run", tmp_path / "a.csv")) == 3


def test_an_evaluation_keeps_to_columns_and_classes_of_the_training(run, tmp_path):
    def measured(path):
        data = f'csv("{path}", label = "kind", separator = ";", test = "{path}")'
        return json.loads(call("eval", run, "--data", data, "--json").stdout)

    right = measured(table(tmp_path / "a.csv", ["length", "width", "kind"]))
    assert right["accuracy"] > 0.9
    assert measured(table(tmp_path / "b.csv", ["kind", "note", "width", "length"])) == right
    # Without the first class, the others keep their numbers.
    rows = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "c.csv").write_text("\n".join(row for row in rows if "aster" not in row) + "\n")
    assert measured(tmp_path / "c.csv")["accuracy"] > 0.9
    data = f'csv("{tmp_path / "c.csv"}", label = "kind", separator = ";", test = 0.3)'
    assert graphdl.load(run).evaluate(data).metrics["accuracy"] > 0.9


def test_a_class_that_training_has_not_seen_is_named(run, tmp_path):
    path = table(tmp_path / "a.csv", ["length", "width", "kind"], extra=["tulip"])
    data = f'csv("{path}", label = "kind", separator = ";")'
    found = call("eval", run, "--data", data)
    assert found.exit_code == 1
    assert "E0706" in found.stderr
    assert f"{path}, line 5: class 'tulip' does not occur" in found.stderr


def test_a_run_goes_on_with_the_classes_that_it_began_with(run, tmp_path):
    folder = tmp_path / "flowers"
    folder.mkdir()
    (folder / "flowers.net").write_text(FLOWERS)
    table(folder / "train.csv", ["length", "width", "kind"])
    assert call("train", folder / "flowers.net", "--out", folder / "run", "--epochs", 20).exit_code == 0
    table(folder / "train.csv", ["kind", "width", "length"])
    rows = (folder / "train.csv").read_text().splitlines()
    (folder / "train.csv").write_text("\n".join(row for row in rows if "aster" not in row) + "\n")
    found = call("train", "--resume", folder / "run", "--epochs", 22)
    assert found.exit_code == 0, found.output
    assert call("predict", folder / "run", table(tmp_path / "a.csv", ["length", "width"])).stdout.count("rose") > 3
    values = json.loads(call("eval", folder / "run", "--json").stdout)
    assert values["accuracy"] > 0.9


IMAGES = """
net images {
    input image: [1, 4, 4]
    input label: class(2)
    logits = image -> flatten -> linear(2)
    output p = softmax(logits)
    loss cross_entropy(logits, label)
}
train {
    data folder("pets", size = 6, channels = 1, test = 0.0)
    augment crop(4)
    optimizer adam(0.1)
    epochs 9
    batch 4
}
"""


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """A folder with a run on pictures of two classes: one's name would clear a terminal, the other is no UTF-8."""
    folder = tmp_path_factory.mktemp("pets")
    (folder / "images.net").write_text(IMAGES)
    for name, shade in ((os.fsdecode(b"dark\xe9"), 0), ("\x1b[2Jlight", 255)):
        (folder / "pets" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("L", (6, 6), abs(shade - number)).save(folder / "pets" / name / f"{number}.png")
    Image.new("L", (6, 6), 0).save(folder / "0.png")
    found = call("train", folder / "images.net", "--out", folder / "run")
    assert found.exit_code == 0, found.output
    return folder


def test_names_of_files_and_classes_do_not_steer_the_terminal(pets, tmp_path):
    path = tmp_path / "a\x1b]0;title\x07\n.png"
    Image.new("L", (6, 6), 255).save(path)
    found = call("predict", pets / "run", path)
    assert found.exit_code == 0
    (line,) = found.stdout.splitlines()
    assert "\x1b" not in line
    assert "\x07" not in line
    assert r"p \x1b[2Jlight 100.0%" in line
    assert r"a\x1b]0;title\x07\n.png" in line


def test_pictures_are_cropped_as_in_training(pets, tmp_path):
    wide = np.zeros((6, 18), np.uint8)
    wide[:, 6:12] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.new("L", (6, 6), 255).save(tmp_path / "light.png")
    (one,), (other,) = predicted(pets / "run", tmp_path / "wide.png"), predicted(pets / "run", tmp_path / "light.png")
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_feature_maps_are_of_what_the_net_was_trained_on(pets, tmp_path):
    Image.new("L", (6, 6), 200).save(tmp_path / "a.png")
    found = call("view", pets / "run", "--input", tmp_path / "a.png", "-o", tmp_path / "a.html", "--no-open")
    assert found.exit_code == 0, found.output
    (tmp_path / "a.csv").write_text("1,2\n")
    found = call("view", pets / "run", "--input", tmp_path / "a.csv", "-o", tmp_path / "a.html", "--no-open")
    assert found.exit_code == 1
    assert "E0713" in found.stderr


@pytest.mark.parametrize(
    "steps",
    [
        [{"name": "crop", "size": [9, 9], "pad": 0}],
        [{"name": "crop", "size": [4], "pad": 0}],
        [{"name": "crop", "size": [4, 4], "pad": -1}],
        [{"name": "crop", "size": [4, 4]}],
        [{"name": "normalize", "mean": [1, 2, 3, 4, 5], "std": [1]}],
        [{"name": "normalize", "mean": "x", "std": [1]}],
        [{"name": "turn"}],
        [{}],
    ],
)
def test_steps_that_are_damaged_are_named(pets, tmp_path, steps):
    run = shutil.copytree(pets / "run", tmp_path / "run")
    settings = json.loads((run / "settings.json").read_text())
    settings["inputs"]["image"]["steps"] = steps
    (run / "settings.json").write_text(json.dumps(settings))
    found = call("predict", run, pets / "0.png")
    assert found.exit_code == 1
    assert "E0618" in found.stderr
    assert "the run's settings of its input 'image' are damaged" in found.stderr


def test_bytes_of_images_are_scaled_as_in_training(pets, tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (3, 1, 6, 6), np.uint8)
    np.savez(tmp_path / "bytes.npz", image=values)
    np.save(tmp_path / "bytes.npy", values)
    np.save(tmp_path / "floats.npy", values.astype(np.float32) / np.float32(255))
    found = [predicted(pets / "run", tmp_path / name) for name in ("bytes.npz", "bytes.npy", "floats.npy")]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("folder", lambda path: path.mkdir(), "cannot be read: it is a folder"),
        ("folder.npz", lambda path: path.mkdir(), "cannot be read: it is a folder"),
        ("latin.csv", lambda path: path.write_bytes(b"length;width\n\xf6;2\n"), "line 2: byte 0xf6 is no UTF-8 text"),
        ("objects.npy", lambda path: np.save(path, np.array([{}, 1])), "it holds objects of Python, which are refused"),
        ("texts.npy", lambda path: np.save(path, np.array(["a", "b"])), "elements of type <U1"),
        ("float.tif", lambda path: Image.new("F", (6, 6)).save(path), "its pixels are floats"),
    ],
)
def test_the_cause_is_named_and_the_cure_is_not_another_copy(run, pets, tmp_path, name, make, message):
    make(tmp_path / name)
    found = call("predict", run if name.endswith("csv") else pets / "run", tmp_path / name)
    assert found.exit_code == 1
    assert "E0705" in found.stderr
    assert message in found.stderr
    assert "damaged" not in found.stderr
    assert "get it again" not in found.stderr


def test_an_array_of_another_shape_is_refused_before_its_examples_are_named(run):
    types = {"x": TensorType((2,))}
    path = run / "long.npy"
    np.save(path, np.zeros(1 << 22, np.int8))
    tracemalloc.start()
    found = read_inputs([path], types, Reading())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80 << 20
    assert list(islice(found.names, 2)) == [f"{path}[0]", f"{path}[1]"]
    result = call("predict", run, path)
    assert result.exit_code == 1
    assert "E0714" in result.stderr


def test_the_limit_of_the_training_data_holds_for_predictions(pets, tmp_path):
    Image.new("1", (17_700, 10_000)).save(tmp_path / "a.png")
    found = call("predict", pets / "run", tmp_path / "a.png")
    assert found.exit_code == 1
    assert "E0718" in found.stderr
    assert "limit = 2" in found.stderr
    (tmp_path / "low.net").write_text(IMAGES.replace("size = 6", "limit = 0.000001, size = 6"))
    weights = pets / "run/best.safetensors"
    found = call("predict", tmp_path / "low.net", "--weights", weights, pets / "0.png")
    assert "E0718" not in found.stderr
    Image.new("L", (60, 60)).save(tmp_path / "b.png")
    found = call("predict", tmp_path / "low.net", "--weights", weights, tmp_path / "b.png")
    assert "E0718" in found.stderr
