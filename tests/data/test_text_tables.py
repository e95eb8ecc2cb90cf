"""Text tables: rows are never lost in silence, and what is wrong is named by its line."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import graphdl
from graphdl.data.reading import Reading
from graphdl.data.sets import load
from graphdl.data.text_tables import read_rows


@pytest.fixture
def table(tmp_path):
    """Writes a table and reads its rows."""

    def read(content, separator=",", **keywords):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [(row.line, row.cells) for row in read_rows(Reading(**keywords), path, separator)]

    return read


def test_rows_know_the_line_on_which_they_begin(table):
    rows = table('a,b\r\n\n"x\ny",1\r"q ""r"", s",2')
    assert rows == [(1, ["a", "b"]), (3, ["x\ny", "1"]), (5, ['q "r", s', "2"])]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('a,b\n1,"x\n2,y\n3,z\n', 2, "the quote that opens here is not closed"),
        ('a,b\n1,"x\n2,y\n3,"z"\n', 2, "the quote that opens here ends on line 4, and other text follows it"),
        ('a,b\n1,"x\n2,"y\n', 2, "ends on line 3, and other text follows it"),
        ('a,b,c\n1,2,"x\n3,4,y\n5,6,z"\n7,8,w\n', 2, "takes in what looks like other rows, up to line 4"),
        ('a,b,c\n1,"x,2\n3,y",4\n', 2, "takes in what looks like other rows, up to line 3"),
        ('a,b\n1,"x" \n', 2, "ends on line 2, and other text follows it"),
        ('"a\n1,2\n3,4\n', 1, "the quote that opens here is not closed"),
        ('a,b\n"one\ntwo","x\n3,4\n', 3, "the quote that opens here is not closed"),
    ],
)
def test_open_quotes_are_named_where_they_open(table, complaint, tmp_path, text, line, reason):
    found = complaint("E0709", table, text)
    assert found.message.startswith(f"{tmp_path / 't.csv'}, line {line}: ")
    assert reason in found.message


def test_an_open_quote_in_a_long_file(table, complaint):
    text = 'a,b\n1,"x\n' + "2,y\n" * 100_000
    assert "line 2: the quote that opens here is not closed" in complaint("E0709", table, text).message


def test_a_text_of_several_lines_is_a_text(table):
    assert len(table('a,b,c\n1,2,"first\nsecond, and more"\n3,4,x\n')) == 3


@pytest.mark.parametrize(
    ("content", "reason", "cure"),
    [
        ("a,b\n1,2\nö,3\n".encode("latin-1"), "line 3: byte 0xf6 is no UTF-8 text", "iconv -f latin1 -t utf-8"),
        (b"a,b\n" + (b"1," + b"2" * 97 + b"\n") * 12_000 + b"\xe4", "line 12002: byte 0xe4 is no UTF-8 text", "iconv"),
        ("a,b\n1,2\n".encode("utf-16"), "it is UTF-16, no UTF-8 text", "save it as UTF-8"),
    ],
)
def test_other_encodings_are_named(table, complaint, content, reason, cure):
    found = complaint("E0705", table, content)
    assert found.message.endswith(f"cannot be read: {reason}")
    assert cure in found.help


def test_large_tables_are_refused_before_they_are_read(tmp_path, complaint):
    path = tmp_path / "t.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n")
        file.truncate(5 << 30)  # a file of holes
    found = complaint("E0718", lambda: list(read_rows(Reading(), path, ",")))
    assert found.message == f"{path}: the table takes 5 GiB of memory, and the limit is 1 GiB"


def test_a_row_without_end_is_not_read_whole(tmp_path, complaint):
    path = tmp_path / "t.csv"
    path.write_bytes(b"1," * (16 << 20))
    tracemalloc.start()
    assert "line 1: a row of more than" in complaint("E0709", lambda: list(read_rows(Reading(), path, ","))).message
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 << 20


def test_columns_are_bounded_while_they_grow(call, complaint, tmp_path):
    names = ",".join(f"c{column}" for column in range(64))
    (tmp_path / "t.csv").write_text(f"{names},kind\n" + "".join("1," * 64 + f"{n:x}\n" for n in range(2000)))
    found = complaint("E0718", load, call("csv", "t.csv", label="kind", limit=0.0005), root=tmp_path)
    assert "t.csv: the table, up to line 1025, takes" in found.message
    assert len(load(call("csv", "t.csv", label="kind", limit=0.1), root=tmp_path).splits["train"]) > 0


@pytest.mark.parametrize(("cell", "shown"), [("1_000", "1_000"), ("1e39", "1e+39"), ("", ""), ("inf", "inf")])
def test_cells_that_are_no_numbers(call, complaint, tmp_path, cell, shown):
    (tmp_path / "t.csv").write_text(f"a,b\n1,2\n3,{cell}\n")
    found = complaint("E0709", load, call("csv", "t.csv"), root=tmp_path)
    assert f"t.csv, line 3: '{shown}' in column 'b' is no finite number" in found.message


def test_a_class_of_several_lines_is_refused(call, complaint, tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n1,x\n2,"y\nz"\n')
    assert (
        "line 3: the class 'y\nz' holds the end"
        in complaint("E0709", load, call("csv", "t.csv", label="b"), root=tmp_path).message
    )


CLASSES = """
import sys
from pathlib import Path
from graphdl.data.sets import load
from graphdl.training.sources import setting_of
for name in sys.argv[2:]:
    data = load(setting_of(f'csv("{name}", label = "kind", test = 0.0)'), root=Path(sys.argv[1]), splits=("train",))
    print(*data.class_names["label"])
"""


def test_class_numbers_do_not_depend_on_the_hash_seed(tmp_path):
    tables = {
        "1 1.0 01 +1 2": "+1 01 1 1.0 2",
        "nan 3 inf 1 2": "1 2 3 inf nan",
        "rose lily aster": "aster lily rose",
        "10 9 1e0 -2": "-2 1e0 9 10",
    }
    for number, kinds in enumerate(tables):
        (tmp_path / f"{number}.csv").write_text("a,kind\n" + "".join(f"1,{kind}\n" for kind in kinds.split()))
    for seed in "123":
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(graphdl.__file__).parent.parent)}
        words = [sys.executable, "-c", CLASSES, str(tmp_path), *(f"{number}.csv" for number in range(len(tables)))]
        found = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
        assert found.splitlines() == list(tables.values())


@pytest.mark.parametrize(
    ("first", "shown"),
    [("5.1,3.5,rose", "5.1"), ("5,3,rose", "5"), ("1,2.0,rose", "1"), ("-1,2,rose", "-1"), ("2,0001,rose", "2")],
)
def test_a_first_row_of_data_is_not_lost(call, complaint, tmp_path, first, shown):
    (tmp_path / "t.csv").write_text(f"{first}\n4,3,lily\n")
    found = complaint("E0709", load, call("csv", "t.csv", label=2), root=tmp_path)
    assert f"t.csv, line 1: '{shown}' is the name of no column: the first row looks like data" in found.message
    data = load(call("csv", "t.csv", label=2, header=False, test=0.0), root=tmp_path, splits=("train",))
    assert len(data.splits["train"]) == 2


def test_numbers_that_rise_may_be_names(call, tmp_path):
    long = "0" * 5000 + "8"
    (tmp_path / "t.csv").write_text(f"label,0,1,7,{long}\nrose,1,2,3,4\n")
    data = load(call("csv", "t.csv", label="label", test=0.0), root=tmp_path, splits=("train",))
    assert data.tables["x"].columns == ("0", "1", "7", long)


def test_a_class_that_is_missing_is_no_class(call, complaint, tmp_path):
    (tmp_path / "t.csv").write_text("a,kind\n1,rose\n2, \n")
    found = complaint("E0709", load, call("csv", "t.csv", label="kind"), root=tmp_path)
    assert found.message.endswith("t.csv, line 3: no class in 'kind'")


@pytest.mark.parametrize("separator", ['"', "\n", "\r"])
def test_separators_that_part_nothing(call, complaint, separator):
    complaint("E0703", load, call("csv", "t.csv", separator=separator))


def test_origins_survive_every_split(call, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{n},{n % 2}\n" for n in range(20)))
    data = load(call("csv", "t.csv", label="b", validation=0.3), root=tmp_path)
    for split in data.splits.values():
        x, label = split.fields["x"], split.fields["label"]
        values = x.take(np.arange(len(split)))[:, 0]
        for row, value in enumerate(values):
            assert x.place(row) == label.place(row) == f"{tmp_path / 't.csv'}, line {int(value) + 2}"
