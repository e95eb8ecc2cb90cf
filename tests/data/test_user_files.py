"""Sets made of a user's own files: tables, archives of arrays, folders of images."""

import os
import time

import numpy as np
import pytest
from PIL import Image

from graphdl.data.batches import Batches
from graphdl.data.known import Known
from graphdl.data.sets import load
from graphdl.graph.types import TensorType
from graphdl.training.sources import setting_of

FLOWERS = "length,width,kind\n1.5,2,rose\n3,4,lily\n5,6,rose\n7,8,aster\n"


@pytest.fixture
def read(call, tmp_path):
    """Loads a set whose paths lie in the test's own folder."""
    return lambda name, *arguments, **keywords: load(call(name, *arguments, **keywords), root=tmp_path, splits=())


def rows(split):
    return {name: field.take(np.arange(len(split))) for name, field in split.fields.items()}


def test_csv_numbers_and_classes(read, tmp_path):
    (tmp_path / "f.csv").write_text(FLOWERS)
    dataset = read("csv", "f.csv", label="kind", test=0.0)
    assert dataset.types == {"x": TensorType((2,)), "label": TensorType((), "int", 3)}
    assert dataset.class_names == {"label": ("aster", "lily", "rose")}
    train = rows(dataset.splits["train"])
    np.testing.assert_array_equal(train["x"], np.array([[1.5, 2], [3, 4], [5, 6], [7, 8]], np.float32))
    assert train["label"].tolist() == [2, 1, 2, 0]


def test_csv_without_header_counts_columns(read, tmp_path):
    (tmp_path / "f.tsv").write_text("10\t1\tx\n9\t2\ty\n\n10\t3\tz\n", encoding="utf-8-sig")
    dataset = read("csv", "f.tsv", label=0, columns=[-2], header=False, separator="\t", test=0.0)
    train = rows(dataset.splits["train"])
    assert train["x"].tolist() == [[1], [2], [3]]
    # Classes that are numbers are in the order of numbers: 9 comes before 10.
    assert dataset.class_names["label"] == ("9", "10")
    assert train["label"].tolist() == [1, 0, 1]


def test_csv_with_a_target_to_predict(read, tmp_path):
    (tmp_path / "f.csv").write_text("a,price\n1,0.5\n2,1.5\n")
    dataset = read("csv", "f.csv", target="price", test=0.0)
    assert dataset.types == {"x": TensorType((1,)), "target": TensorType(())}
    assert rows(dataset.splits["train"])["target"].tolist() == [0.5, 1.5]


def test_csv_split_keeps_each_class_and_each_row(read, tmp_path):
    lines = [f"{number},{'ab'[number % 4 == 0]}" for number in range(40)]
    (tmp_path / "f.csv").write_text("n,c\n" + "\n".join(lines))
    dataset = read("csv", "f.csv", label="c", test=0.25)
    train, test = rows(dataset.splits["train"]), rows(dataset.splits["test"])
    assert np.bincount(test["label"]).tolist() == [round(30 * 0.25), round(10 * 0.25)]
    assert sorted([*train["x"][:, 0], *test["x"][:, 0]]) == list(range(40))


def test_csv_test_rows_from_a_second_file(read, tmp_path, complaint):
    (tmp_path / "f.csv").write_text(FLOWERS)
    (tmp_path / "t.csv").write_text("length,width,kind\n9,9,lily\n")
    dataset = read("csv", "f.csv", label="kind", test="t.csv")
    assert len(dataset.splits["train"]) == 4
    assert rows(dataset.splits["test"])["label"].tolist() == [1]
    (tmp_path / "t.csv").write_text("length,width,kind\n9,9,lily\n9,9,tulip\n")
    found = complaint("E0706", read, "csv", "f.csv", label="kind", test="t.csv")
    assert "line 3: class 'tulip' does not occur" in found.message
    (tmp_path / "t.csv").write_text("length,kind\n9,lily\n")
    complaint("E0707", read, "csv", "f.csv", label="kind", test="t.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "line 3: 1 columns, expected 2"),
        ("a,b\n1,2\n3,x\n", "line 3: 'x' in column 'b' is no finite number"),
        ("a,b\n1,2\n\n3,\n", "line 4: '' in column 'b' is no finite number"),
        ("a,b\n1,nan\n", "line 2: 'nan' in column 'b' is no finite number"),
        ("a,b\n", "has no rows"),
        ("", "has no rows"),
        ("a,a\n1,2\n", "two columns have one name: a, a"),
    ],
)
def test_csv_faults(read, tmp_path, complaint, text, message):
    (tmp_path / "f.csv").write_text(text)
    found = complaint("E0709", read, "csv", "f.csv")
    assert str(tmp_path / "f.csv") in found.message
    assert message in found.message


def test_csv_column_that_is_not_there(read, tmp_path, complaint):
    (tmp_path / "f.csv").write_text(FLOWERS)
    found = complaint("E0709", read, "csv", "f.csv", label="knd")
    assert found.span.text == "label = knd"
    assert found.help == "did you mean 'kind'?"
    complaint("E0709", read, "csv", "f.csv", label=3)


def test_csv_that_is_no_text(read, tmp_path, complaint):
    (tmp_path / "f.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    assert "no UTF-8 text" in complaint("E0705", read, "csv", "f.csv").message


@pytest.mark.parametrize(
    "names", [("train_x", "train_y", "test_x", "test_y"), ("x_train", "y_train", "x_test", "y_test")]
)
def test_npz_with_splits(read, tmp_path, names):
    values = [np.zeros((4, 2)), np.arange(4), np.ones((3, 2)), np.arange(3)]
    np.savez(tmp_path / "a.npz", **dict(zip(names, values, strict=True)))
    dataset = read("npz", "a.npz")
    assert dataset.types == {"x": TensorType((2,)), "y": TensorType((), "int")}
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 4, "test": 3}


def test_npz_without_splits_is_divided(read, tmp_path):
    np.savez_compressed(tmp_path / "a.npz", image=np.full((20, 4, 4), 51, np.uint8), done=np.arange(20) % 2 == 0)
    dataset = read("npz", "a.npz", test=0.25)
    assert dataset.types == {"image": TensorType((4, 4)), "done": TensorType((), "bool")}
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 15, "test": 5}
    assert (rows(dataset.splits["train"])["image"] == np.float32(51) / np.float32(255)).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((3, 2)), "y": np.zeros(4)}, "'x' has 3, 'y' has 4"),
        ({"x": np.array(["a", "b"])}, "'x' cannot be fed: elements of type <U1"),
        ({"x": np.array([2**40])}, "'x' cannot be fed: an int is too large"),
        ({"x": np.float32(1)}, "'x' holds no examples"),
        ({"x": np.zeros((0, 2))}, "'x' holds no examples"),
        ({"train_x": np.zeros(3), "y": np.zeros(3)}, "these do not: y"),
        ({"test_x": np.zeros(3)}, "has no training arrays"),
        ({"train_x": np.zeros(3), "test_z": np.zeros(3)}, "has no array for the field"),
        ({"train_x": np.zeros((3, 2)), "test_x": np.zeros((3, 4))}, "'x' is [4] in split 'test', [2] in 'train'"),
    ],
)
def test_npz_that_does_not_add_up(read, tmp_path, complaint, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    assert message in complaint("E0707", read, "npz", "a.npz").message


@pytest.mark.parametrize("kind", ["cut", "flipped", "text", "empty", "npy", "objects", "no arrays"])
def test_npz_damaged(read, tmp_path, complaint, kind):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).random(1000))
    content = path.read_bytes()
    match kind:
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "flipped":
            path.write_bytes(content[:2000] + bytes(64) + content[2064:])
        case "text":
            path.write_text("no archive")
        case "empty":
            path.write_bytes(b"")
        case "npy":
            with path.open("wb") as file:
                np.save(file, np.zeros(3))
        case "objects":
            np.savez(path, x=np.array([{}, None], dtype=object))
        case "no arrays":
            np.savez(path)
    assert str(path) in complaint("E0705", read, "npz", "a.npz").message


def paint(path, size=(12, 8), color=(255, 0, 0), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path, **options)


def test_folder_with_splits(read, tmp_path):
    for split in ("train", "test"):
        paint(tmp_path / "pets" / split / "dog" / "1.png", color=(0, 0, 255))
        paint(tmp_path / "pets" / split / "cat" / "1.jpg", color=(255, 0, 0))
    (tmp_path / "pets" / "train" / "cat" / "notes.txt").write_text("no image")
    dataset = read("folder", "pets", size=4)
    assert dataset.class_names == {"label": ("cat", "dog")}
    assert dataset.types == {"image": TensorType((3, 4, 4)), "label": TensorType((), "int", 2)}
    train = rows(dataset.splits["train"])
    assert train["label"].tolist() == [0, 1]
    assert train["image"].dtype == np.float32
    np.testing.assert_allclose(train["image"][0].mean(axis=(1, 2)), [1, 0, 0], atol=0.02)
    np.testing.assert_array_equal(train["image"][1].mean(axis=(1, 2)), [0, 0, 1])


def test_folder_is_cropped_at_the_centre_not_squeezed(read, tmp_path):
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, 4:12] = 200
    (tmp_path / "a" / "one").mkdir(parents=True)
    Image.fromarray(wide).save(tmp_path / "a" / "one" / "1.png")
    dataset = read("folder", "a", size=[8, 8], channels=1, test=0.0)
    image = rows(dataset.splits["train"])["image"]
    assert image.shape == (1, 1, 8, 8)
    np.testing.assert_allclose(image, 200 / 255, rtol=1e-6)


def test_folder_turns_photographs_upright(read, tmp_path):
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4] = 255
    (tmp_path / "a" / "one").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 3  # taken upside down
    Image.fromarray(picture).save(tmp_path / "a" / "one" / "1.png", exif=exif)
    image = rows(read("folder", "a", size=8, test=0.0).splits["train"])["image"][0, 0]
    assert image[:4].max() == 0
    assert image[4:].min() == 1


def test_folder_divided_by_name_keeps_sides_when_it_grows(read, tmp_path):
    for number in range(40):
        paint(tmp_path / "a" / "c" / f"{number}.png", size=(2, 2))
    before = read("folder", "a", size=2, test=0.3)
    held_out = {path.name for path in before.splits["test"].fields["image"].paths}
    assert 4 <= len(held_out) <= 20
    for number in range(40, 60):
        paint(tmp_path / "a" / "c" / f"{number}.png", size=(2, 2))
    after = {path.name for path in read("folder", "a", size=2, test=0.3).splits["test"].fields["image"].paths}
    assert held_out == {name for name in after if int(name.split(".")[0]) < 40}


def test_folder_without_images(read, tmp_path, complaint):
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert "has no images for the split 'train'" in complaint("E0704", read, "folder", "a").message
    complaint("E0704", read, "folder", "nowhere")


def test_folder_with_a_class_of_the_test_split_alone(read, tmp_path, complaint):
    paint(tmp_path / "a" / "train" / "cat" / "1.png")
    paint(tmp_path / "a" / "test" / "cow" / "1.png")
    assert "class 'cow' of split 'test'" in complaint("E0706", read, "folder", "a").message


@pytest.mark.parametrize("damage", ["cut", "text"])
def test_folder_with_a_damaged_image(read, tmp_path, complaint, damage):
    path = tmp_path / "a" / "c" / "1.jpg"
    paint(path, size=(64, 64))
    path.write_bytes(path.read_bytes()[:-200] if damage == "cut" else b"no image")
    dataset = read("folder", "a", size=8, test=0.0)
    assert str(path) in complaint("E0705", rows, dataset.splits["train"]).message


@pytest.mark.parametrize("keywords", [{"size": 0}, {"size": [4]}, {"size": [4, 4, 4]}, {"channels": 2}, {"test": 1.0}])
def test_folder_arguments_out_of_range(read, complaint, keywords):
    complaint("E0703", read, "folder", "a", **keywords)


def test_folder_leaves_out_what_is_hidden(read, tmp_path):
    for split in ("train", "test"):
        for name in ("cat/1.png", "dog/1.png"):
            paint(tmp_path / "pets" / split / name)
    hidden = (".ipynb_checkpoints/1.png", "cat/._1.png", "cat/.hidden.jpg", "__MACOSX/1.png", "@eaDir/1.jpg")
    for name in hidden:
        paint(tmp_path / "pets" / "train" / name)
    for name in (".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "cat/desktop.ini"):
        (tmp_path / "pets" / "train" / name).write_bytes(b"no image")
    (tmp_path / "pets" / "train" / "cat" / "folder.png").mkdir()
    dataset = read("folder", "pets", size=4)
    assert dataset.class_names == {"label": ("cat", "dog")}
    assert [path.name for path in dataset.splits["train"].fields["image"].paths] == ["1.png", "1.png"]


def test_a_known_numbering_of_classes_holds(tmp_path, call, complaint):
    for name in ("cat", "dog"):
        paint(tmp_path / "a" / name / "1.png")
    known = Known(class_names={"label": ("ape", "dog", "cat")})
    dataset = load(call("folder", "a", test=0.0), root=tmp_path, splits=(), known=known)
    assert rows(dataset.splits["train"])["label"].tolist() == [2, 1]
    assert dataset.class_names == {"label": ("ape", "dog", "cat")}
    paint(tmp_path / "a" / "elk" / "1.png")
    found = complaint("E0706", load, call("folder", "a", test=0.0), root=tmp_path, splits=(), known=known)
    assert "class 'elk' of split 'train' is none of the training's" in found.message


def test_known_columns_hold_whatever_their_order(tmp_path, call, complaint):
    (tmp_path / "f.csv").write_text("width,note,length\n1,x,2\n3,y,4\n")
    known = Known(columns={"x": ("length", "width")})
    dataset = load(call("csv", "f.csv", test=0.0), root=tmp_path, splits=(), known=known)
    assert rows(dataset.splits["train"])["x"].tolist() == [[2, 1], [4, 3]]
    both = call("csv", "f.csv", columns=["width", "length"], test=0.0)
    assert rows(load(both, root=tmp_path, splits=(), known=known).splits["train"])["x"].tolist() == [[2, 1], [4, 3]]
    one = call("csv", "f.csv", columns=["width"], test=0.0)
    assert "'columns' names others" in complaint("E0709", load, one, root=tmp_path, splits=(), known=known).message
    (tmp_path / "f.csv").write_text("width\n1\n")
    found = complaint("E0709", load, call("csv", "f.csv"), root=tmp_path, splits=(), known=known)
    assert found.message.endswith("f.csv has no column 'length'")


@pytest.mark.parametrize(
    ("arrays", "code", "message"),
    [
        ({"label": np.array([0, 1, 0, 1, 0, 1, 0, 4])}, "E0716", "found 4 in {}/a.npz, 'label', example 7"),
        ({"x": np.where(np.eye(8, 2, -7), np.nan, 1)}, "E0717", "found nan in {}/a.npz, 'x', example 7, at [0]"),
        ({"x": np.where(np.eye(8, 2, -7), 1e39, 1)}, "E0717", "found inf in {}/a.npz, 'x', example 7, at [0]"),
    ],
)
def test_a_bad_value_is_named_by_its_file_and_row(read, tmp_path, complaint, arrays, code, message):
    np.savez(tmp_path / "a.npz", **{"x": np.zeros((8, 2)), "label": np.zeros(8, int), **arrays})
    inputs = {"x": TensorType((2,)), "label": TensorType((), "int", 2)}
    batches = Batches(read("npz", "a.npz", test=0.0), "train", inputs, batch=8, training=True, seed=3)
    assert batches.order(0)[7] != 7
    assert message.format(tmp_path) in complaint(code, batches.get, 0, 0).message


def test_npz_is_bounded_as_it_is_kept(read, tmp_path, complaint):
    np.savez(tmp_path / "a.npz", x=np.zeros((1 << 18, 2), np.int8))
    found = complaint("E0718", read, "npz", "a.npz", limit=1.5 / 1024)
    assert "an array of [262144, 2] numbers of 32 bits takes 0.00195 GiB" in found.message
    np.savez(tmp_path / "a.npz", x=np.zeros((1 << 12, 8, 16), np.uint8))
    assert len(read("npz", "a.npz", limit=1 / 1024).splits["train"]) > 0


def test_npz_with_two_arrays_for_one_field(read, tmp_path, complaint):
    np.savez(tmp_path / "a.npz", train_x=np.zeros(3), x_train=np.ones(3))
    assert "two arrays are the field 'x' of the split 'train'" in complaint("E0707", read, "npz", "a.npz").message


def test_names_that_are_no_utf8(read, tmp_path):
    folder = os.fsencode(tmp_path / "a") + b"/caf\xe9"
    os.makedirs(folder)
    for number in range(9):
        Image.new("L", (2, 2)).save(os.fsdecode(folder + b"/\xff%d.png" % number))
    dataset = read("folder", "a", size=2, test=0.3)
    assert dataset.class_names == {"label": ("caf\udce9",)}
    assert sum(map(len, dataset.splits.values())) == 9


def test_tables_of_many_columns_and_long_cells(read, tmp_path, complaint):
    names = [f"column{number}" for number in range(30_000)]
    (tmp_path / "f.csv").write_text(",".join(names) + "\n" + ",".join(["1"] * 30_000) + "\n")
    known = Known(columns={"x": tuple(reversed(names))})
    started = time.perf_counter()
    setting = setting_of('csv("f.csv", test = 0.0)')
    assert load(setting, root=tmp_path, splits=(), known=known).types["x"] == TensorType((30_000,))
    found = complaint("E0709", read, "csv", "f.csv", label="kolumn7")
    assert time.perf_counter() - started < 5
    assert len(found.notes[0]) < 400
    (tmp_path / "f.csv").write_text("a,b\n1," + "x" * 100_000 + "\n")
    assert len(complaint("E0709", read, "csv", "f.csv").message) < 400
