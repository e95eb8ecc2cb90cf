"""train, eval, predict, show, compile, check and explain: what they print, write and exit with."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sklearn.datasets import load_digits

import graphdl
from graphdl.cli import main

FILE = """
## A small net for digits.
net mlp(h = 32) {
    input image: [1, 8, 8]
    input label: class(10)
    logits = image -> flatten -> linear(h) -> batchnorm -> relu -> linear(10)
    output probability = softmax(logits)
    loss cross_entropy(logits, label)
    metric accuracy(logits, label)
}
train {
    data digits
    augment normalize
    optimizer adam(lr = 0.003)
    batch 32
    epochs 3
}
"""


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the file and a finished run of it."""
    path = tmp_path_factory.mktemp("digits")
    (path / "mlp.net").write_text(FILE)
    found = call("train", path / "mlp.net", "--out", path / "run")
    assert found.exit_code == 0, found.output
    (path / "train.txt").write_text(found.stdout)
    return path


def test_training_prints_a_line_an_epoch(folder):
    lines = (folder / "train.txt").read_text().splitlines()
    assert re.match(r"mlp: 2,474 parameters, on .+, in .+run", lines[0])
    assert len(lines) == 5
    for number, line in enumerate(lines[1:4], 1):
        assert re.match(rf"train {number}  loss \d\.\d{{4}}  accuracy \d\.\d{{4}} \| test loss .+ examples/s", line)
    assert "best.safetensors" in lines[4]
    assert "\033" not in "".join(lines)


def test_a_run_is_measured(folder):
    found = call("eval", folder / "run", "--json")
    values = json.loads(found.stdout)
    assert values["examples"] == 359
    assert values["accuracy"] > 0.9
    assert values["accuracy"] == graphdl.load(folder / "run").evaluate().metrics["accuracy"]
    text = call("eval", folder / "run", "--split", "train").stdout
    assert "1,438 examples of the split 'train'" in text
    assert re.search(r"accuracy +0\.9", text)


def test_a_file_is_measured_with_weights(folder):
    weights = folder / "run/best.safetensors"
    assert call("eval", folder / "mlp.net", "--weights", weights).stdout == call("eval", folder / "run").stdout
    assert call("eval", folder / "mlp.net").exit_code == 2
    assert call("eval", folder / "run", "--net", "mlp").exit_code == 2
    wrong = call("eval", folder / "mlp.net", "--weights", weights, "--set", "h=16")
    assert wrong.exit_code == 1
    assert "E0617" in wrong.stderr
    assert "'logits.linear.W' is [64, 16], and [64, 32]" in wrong.stderr


@pytest.fixture(scope="module")
def digits(folder):
    """The first digits as files of every kind, and their labels."""
    found = load_digits()
    images = (found.images / 16).astype(np.float32)[:, None]
    np.save(folder / "five.npy", images[:5])
    np.savez(folder / "three.npz", image=images[:3])
    Image.fromarray((found.images[7] * 15.9).astype(np.uint8)).resize((80, 80)).save(folder / "seven.png")
    return found.target


def test_arrays_and_images_are_predicted(folder, digits):
    found = call("predict", folder / "run", folder / "five.npy", folder / "seven.png", folder / "three.npz")
    lines = found.stdout.splitlines()
    assert len(lines) == 9
    classes = [int(re.search(r"probability (\d) \d+\.\d%", line)[1]) for line in lines]
    assert classes == [0, 1, 2, 3, 4, 7, 0, 1, 2] == [*digits[:5], 7, *digits[:3]]
    assert lines[0].startswith(f"{folder}/five.npy[0]")


def test_predictions_are_json_for_programs(folder, digits):
    (row,) = json.loads(call("predict", folder / "run", folder / "seven.png", "--json").stdout)
    assert row["input"].endswith("seven.png")
    assert int(np.argmax(row["probability"])) == 7
    assert sum(row["probability"]) == pytest.approx(1, abs=1e-5)


def test_tables_are_predicted(tmp_path):
    (tmp_path / "iris.net").write_text(
        "net flowers { input x: [4]; input label: class(3)\n logits = x -> linear(3)\n output p = softmax(logits)\n"
        " loss cross_entropy(logits, label) }\n train { data iris; optimizer adam(0.1); epochs 5 }"
    )
    assert call("train", tmp_path / "iris.net", "--out", tmp_path / "run").exit_code == 0
    (tmp_path / "some.csv").write_text("a,b,c,d\n5.1,3.5,1.4,0.2\n6.3,3.3,6.0,2.5\n")
    lines = call("predict", tmp_path / "run", tmp_path / "some.csv").stdout.splitlines()
    assert [re.search(r" p (\S+) ", line)[1] for line in lines] == ["setosa", "virginica"]
    (tmp_path / "bad.csv").write_text("1,2,3,4\n1,2,x,4\n")
    bad = call("predict", tmp_path / "run", tmp_path / "bad.csv").stderr
    assert "bad.csv, line 2: 'x' in column '2' is no finite number" in bad
    (tmp_path / "few.csv").write_text("1,2,3\n")
    assert "E0714" in call("predict", tmp_path / "run", tmp_path / "few.csv").stderr


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("missing.npy", None, "E0704"),
        ("missing.png", None, "E0704"),
        ("damaged.npy", b"\x93NUMPY", "E0705"),
        ("damaged.npz", b"PK\x03\x04nonsense", "E0705"),
        ("damaged.png", b"\x89PNG\r\n\x1a\nxxxxx", "E0705"),
        ("text.npz", b"hello", "E0705"),
        ("table.csv", b"1,2\n3,4\n", "E0713"),
    ],
)
def test_inputs_that_cannot_be_read_are_named(folder, tmp_path, name, content, code):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    found = call("predict", folder / "run", tmp_path / name)
    assert found.exit_code == 1
    assert code in found.stderr
    assert name in found.stderr


def test_a_run_is_continued_and_prolonged(folder, tmp_path):
    assert call("train", folder / "mlp.net", "--out", tmp_path / "run", "--epochs", 1).exit_code == 0
    again = call("train", "--resume", tmp_path / "run")
    assert again.exit_code == 0
    assert "nothing was left to train" in again.stdout
    longer = call("train", "--resume", tmp_path / "run", "--epochs", 3)
    assert [line[:8] for line in longer.stdout.splitlines()[:2]] == ["train 2 ", "train 3 "]


def test_runs_without_a_name_get_one(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("runs/mlp", "runs/mlp_2"):
        assert call("train", folder / "mlp.net", "--epochs", 1).exit_code == 0
        assert Path(name, "last.safetensors").is_file()


def test_words_that_are_off_exit_with_2(folder):
    for words in (
        ["train"],
        ["train", folder / "mlp.net", "--epochs", "0"],
        ["train", folder / "mlp.net", "--set", "h"],
        ["train", folder / "mlp.net", "--resume", folder / "run"],
        ["eval"],
        ["predict", folder / "run"],
        ["compile", folder / "mlp.net", "--emit", "assembler"],
        ["explain", "E9999"],
        ["check"],
    ):
        assert call(*words).exit_code == 2, words


def test_a_model_at_fault_exits_with_1(folder, tmp_path):
    (tmp_path / "no_data.net").write_text(FILE.replace("data digits", ""))
    cases = (
        (["train", folder / "mlp.net", "--out", folder / "run"], "E0618"),
        (["train", tmp_path / "no_data.net", "--out", tmp_path / "a"], "E0619"),
        (["train", tmp_path / "missing.net"], "E0208"),
        (["train", folder / "mlp.net", "--out", tmp_path / "b", "--data", "iris"], "E0713"),
        (["train", folder / "mlp.net", "--out", tmp_path / "c", "--data", "mnist", "--data-root", tmp_path], "E0704"),
        (["train", folder / "mlp.net", "--set", "width=3"], "E02"),
        (["train", "--resume", tmp_path], "E0618"),
        (["eval", tmp_path], "E0618"),
    )
    for words, code in cases:
        found = call(*words)
        assert found.exit_code == 1, words
        assert code in found.stderr, words
    assert not (tmp_path / "a").exists()


def test_a_device_at_fault_exits_with_3(folder, tmp_path):
    found = call("train", folder / "mlp.net", "--out", tmp_path / "run", "--device", "no such device")
    assert found.exit_code == 3
    assert "no OpenCL device matches" in found.stderr


def test_ctrl_c_saves_and_exits_with_130(folder, tmp_path):
    run = tmp_path / "run"
    words = [sys.executable, "-m", "graphdl", "train", str(folder / "mlp.net"), "--out", str(run), "--epochs", "100000"]
    environment = {**os.environ, "PYTHONPATH": str(Path(graphdl.__file__).parent.parent)}
    worker = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (run / "best.safetensors").exists():  # the first epoch has ended
        assert time.monotonic() < deadline
        time.sleep(0.05)
    worker.send_signal(signal.SIGINT)
    _, errors = worker.communicate(timeout=30)
    assert worker.returncode == 130, errors
    assert "Traceback" not in errors
    records = (run / "metrics.jsonl").read_text().count("\n")
    found = call("train", "--resume", run, "--epochs", records + 2)
    assert found.exit_code == 0
    assert found.stdout.count(" | test loss ") >= 1


def test_the_table_of_a_model(folder):
    text = call("show", folder / "mlp.net", "--set", "h=16").stdout
    assert "mlp(image: [1, 8, 8], label: class(10))" in text
    assert "A small net for digits." in text
    assert re.search(r"logits.linear +linear +\[16\] +1,040 ", text)
    assert re.search(r"total +1,242 ", text)
    found = json.loads(call("show", folder / "mlp.net", "--json").stdout)
    assert found["parameters"] == 2474
    assert [row["parameters"] for row in found["rows"] if row["kind"] == "linear"] == [64 * 32 + 32, 32 * 10 + 10]
    assert [row["flops"] for row in found["rows"] if row["kind"] == "linear"] == [2 * 64 * 32 + 32, 2 * 32 * 10 + 10]


def test_the_table_shows_what_is_in_blocks(tmp_path):
    (tmp_path / "b.net").write_text(
        "block pair(n): x -> y { y = x -> linear(n) -> relu }\n"
        "net n { input x: [4]; output y = x -> pair(3) as p -> linear(2) as q }"
    )
    rows = json.loads(call("show", tmp_path / "b.net", "--json").stdout)["rows"]
    found = [(row["path"], row["name"], row["depth"]) for row in rows]
    assert found == [("p", "p", 0), ("p.y.linear", "y.linear", 1), ("p.y.relu", "y.relu", 1), ("q", "q", 0)]
    assert rows[0]["parameters"] == rows[1]["parameters"] == 15
    assert "relu" not in call("show", tmp_path / "b.net", "--depth", 1).stdout


def test_the_plan_of_a_program(folder):
    text = call("compile", folder / "mlp.net").stdout
    assert re.match(r"mlp: a training step of 32 on ", text)
    assert re.search(r"launches +\d+ of \d+ kernels", text)
    assert re.search(r"peak memory +[\d.]+ KiB", text)
    assert "a prediction of 4 on" in call("compile", folder / "mlp.net", "--inference", "--batch", 4).stdout


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("tree", "Net name='mlp'"),
        ("modules", "= matmul("),
        ("operators", "training.report = %"),
        ("schedule", "FLOPs"),
        ("memory", "alive at once"),
        ("opencl", "__kernel"),
    ],
)
def test_every_stage_of_the_compiler_is_shown(folder, tmp_path, stage, words):
    text = call("compile", folder / "mlp.net", "--emit", stage).stdout
    assert words in text
    if stage == "memory":
        call("compile", folder / "mlp.net", "-o", tmp_path / "plan")
        names = {"tree.txt", "modules.txt", "operators.txt", "schedule.txt", "memory.txt", "program.cl"}
        assert {file.name for file in (tmp_path / "plan").iterdir()} == names
        assert (tmp_path / "plan/memory.txt").read_text() == text


def test_files_are_checked(folder, tmp_path):
    good = call("check", folder / "mlp.net")
    assert (good.exit_code, good.stdout) == (0, "1 file: 0 errors, 0 warnings\n")
    (tmp_path / "bad.net").write_text(FILE.replace("linear(h)", "lineer(h)").replace("adam", "adm"))
    (tmp_path / "worse.net").write_text(FILE.replace("adam", "adm"))
    found = call("check", tmp_path / "bad.net", tmp_path / "worse.net", folder / "mlp.net")
    assert found.exit_code == 1
    assert "did you mean 'linear'?" in found.stdout
    assert "error[E0611]: unknown optimizer 'adm'" in found.stdout
    assert found.stdout.endswith("3 files: 3 errors, 0 warnings\n")


def test_checks_are_json_and_annotations_for_programs(tmp_path):
    path = tmp_path / "bad.net"
    path.write_text(FILE.replace("linear(h)", "lineer(h)"))
    (found,) = json.loads(call("check", path, "--format", "json").stdout)
    assert (found["severity"], found["line"]) == ("error", 6)
    line = call("check", path, "--format", "github").stdout.strip()
    assert re.fullmatch(rf"::error file={path},line=6,col=\d+,title=E02\d\d,endColumn=\d+::.*lineer.*", line)


def test_warnings_count_only_when_strict(tmp_path):
    path = tmp_path / "unused.net"
    path.write_text("net n { input x: [2]\n a = x -> linear(2)\n output y = x -> linear(1) }")
    assert call("check", path).exit_code == 0
    assert "1 warning" in call("check", path).stdout or "2 warnings" in call("check", path).stdout
    assert call("check", path, "--strict").exit_code == 1


def test_a_file_of_blocks_may_be_checked(tmp_path):
    (tmp_path / "blocks.net").write_text("# how to train: not here\nblock b: x -> y { y = relu(x) }")
    assert call("check", tmp_path / "blocks.net").exit_code == 0


def test_the_settings_of_training_are_checked_beside_the_net(tmp_path):
    text = (
        "net n() {\n    input x: [4]\n    loss mean(x -> liner(3))\n}\n"
        "train {\n    data iriss\n    augment crop(0), mirror\n    augment normalize(mean = 1)\n"
        "    schedule piecewise([[0, 5, 0.1], [6, 9, 0.1]])\n    optimizer sgd(lr = -1)\n    only q.*\n}\n"
        "train b {\n    data iris(validation = 2)\n}\n"
    )
    (tmp_path / "wrong.net").write_text(text)
    found = json.loads(call("check", tmp_path / "wrong.net", "--format", "json").stdout)
    assert [(each["line"], each["code"]) for each in found] == [
        (3, "E0201"), (6, "E0701"), (7, "E0703"), (7, "E0710"), (8, "E0702"), (9, "E0614"), (10, "E0613"),
        (14, "E0703"),
    ]  # fmt: skip


def test_checking_imports_nothing_heavy(folder):
    code = (
        "import sys; from click.testing import CliRunner; from graphdl.cli import main\n"
        f"found = CliRunner().invoke(main, ['check', {str(folder / 'mlp.net')!r}])\n"
        "print(found.exit_code, [m for m in ('numpy', 'pyopencl', 'networkx', 'rich') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(graphdl.__file__).parent.parent)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == "0 []"


def test_codes_are_explained():
    found = call("explain", "e0617")
    assert found.exit_code == 0
    assert found.stdout.startswith("E0617: Checkpoint that does not fit the net\n\n")
