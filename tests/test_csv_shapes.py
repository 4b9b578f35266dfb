"""Shapes of CSV files: what is recognised (decimal commas, semicolons, a mark, gzip), and what is refused, and why."""

import gzip
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay import Evaluations
from interplay.evaluations import EvaluationsError
from interplay.formats.contents import opened, start_of
from interplay.formats.csv import odd_number, read
from interplay.formats.imports.sheets import column_called, numbers, read_sheet

ROWS = "0,25;0,75;1,5\n1;0;2\n0,5;0,5;1e0\n"


def put(tmp_path, text, name="runs.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_decimal_commas_are_read_where_semicolons_separate(tmp_path):
    frame = read(put(tmp_path, "a;b;loss\n" + ROWS)).frame
    assert frame["a"].tolist() == [0.25, 1.0, 0.5]
    assert frame["b"].tolist() == [0.75, 0.0, 0.5]
    tabs = read(put(tmp_path, ("a;b;loss\n" + ROWS).replace(";", "\t"), "runs.tsv")).frame
    pd.testing.assert_frame_equal(frame.assign(loss=0), tabs.assign(loss=0))


def test_decimal_commas_reach_evaluations(tmp_path):
    path = put(
        tmp_path, "\ufeffrun;a;b;loss;cost\n" + "".join(f"r{i};0,{i}5;0,{9 - i}5;{i},5;1,25\n" for i in range(9))
    )
    runs = Evaluations.read(path, targets="loss", kind="weights")
    np.testing.assert_array_equal(runs.masks[:, 0], [float(f"0.{i}5") for i in range(9)])
    np.testing.assert_array_equal(runs.values[:, 0], np.arange(9) + 0.5)
    assert set(runs.cost) == {1.25}
    assert runs.origin[0] == "r0"


def test_empty_cells_and_text_stay_what_they_are(tmp_path):
    frame = read(put(tmp_path, "a;note;c\n0,5;one, two;\n;three;0,25\n")).frame
    assert np.isnan([frame["a"][1], frame["c"][0]]).all()
    assert frame["note"].tolist() == ["one, two", "three"]
    assert frame["c"][1] == 0.25


def test_a_point_beside_decimal_commas_is_refused(tmp_path):
    for cells in ("1.234;0,25", "0.5;0,25", "1.000;0,5"):
        path = put(tmp_path, f"a;b\n{cells}\n2;0,75\n")
        with pytest.raises(EvaluationsError, match=r"'a' holds '.*' while other numbers .* Write all numbers one way"):
            read(path)


def test_a_comma_that_may_part_thousands_is_no_number(tmp_path):
    frame = read(put(tmp_path, "a;b\n1,234;0\n2,500;1\n")).frame
    assert frame["a"].tolist() == ["1,234", "2,500"]
    both = read(put(tmp_path, "a;b\n1,234;0,5\n2,500;1\n")).frame
    assert both["a"].tolist() == [1.234, 2.5]  # 0,5 says that commas are decimal here


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("0,25", "decimal comma"),
        ("-1,5e3", "decimal comma"),
        ("1,234", "may be a decimal one"),
        ("1,234.5", "thousands"),
        ("1,234,567", "thousands"),
        ("1.234,5", "thousands"),
        ("1.234.567", "thousands"),
        ("1 234", "thousands"),
        ("1'234.5", "thousands"),
        ("12.5 %", "percent"),
        (",5", "decimal comma"),
    ],
)
def test_numbers_that_are_none_here(cell, why):
    assert why in (odd_number(cell) or "")


@given(
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    st.sampled_from(["web", "wiki", "1,2,3", "a,b", "v1.2.3"]),
)
def test_numbers_and_words_are_not_odd(value, word):
    assert odd_number(value) is None
    assert odd_number(word) is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2), min_size=1, max_size=6),
    st.sampled_from([",", ";", "\t"]),
)
def test_decimal_commas_lose_no_digit(tmp_path_factory, cells, separator):
    path = tmp_path_factory.mktemp("csv") / "runs.csv"
    comma = separator != ","
    written = [[repr(v).replace(".", ",") if comma else repr(v) for v in row] for row in cells]
    path.write_text(separator.join("ab") + "\n" + "".join(separator.join(row) + "\n" for row in written))
    frame = read(path).frame
    for row, column in [(i, j) for i in range(len(cells)) for j in range(2)]:
        cell = frame.iloc[row, column]
        assert isinstance(cell, str) or float(cell) == cells[row][column]


def test_unquoted_decimal_commas_beside_commas_are_refused_with_the_reason(tmp_path):
    with pytest.raises(EvaluationsError, match=r"4 names and the first row 7 cells.*decimal commas"):
        read(put(tmp_path, "run,a,b,loss\nr1,0,25,0,75,1,5\n"))
    with pytest.raises(EvaluationsError, match=r"as many cells in every row.*thousands separators"):
        read(put(tmp_path, "run,a,loss\nr1,1,2\nr2,1,234.5,3\n"))


def test_separators_within_quotes_do_not_count(tmp_path):
    frame = read(put(tmp_path, '"acc,none";"f1,none";run\n1;2;x\n')).frame
    assert list(frame.columns) == ["acc,none", "f1,none", "run"]


def test_gzip_is_read_by_its_content(tmp_path):
    text = ("run,a,b,loss\n" + "".join(f"r{i},{i % 2},{i % 3 % 2},{i / 4}\n" for i in range(6))).encode()
    for name in ("runs.csv.gz", "runs.csv"):
        path = put(tmp_path, gzip.compress(text), name)
        assert read(path).frame["loss"].tolist() == [i / 4 for i in range(6)]
        assert read_sheet(path).name == name
    assert start_of(path, 8) == b"run,a,b,"


@pytest.mark.parametrize("cut", [20, -4])
def test_broken_gzip_is_said(tmp_path, cut):
    path = put(tmp_path, gzip.compress(b"run,a,b,loss\n" + b"r,1,0,2\n" * 20000)[:cut], "runs.csv.gz")
    with pytest.raises(EvaluationsError, match=r"broken|to its end"):
        read_sheet(path)
    with pytest.raises(EvaluationsError, match="broken"), opened(path) as file:
        file.read()


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("name", ["runs.csv", "runs.pkl", "runs.pt", "runs.parquet"])
def test_pickles_are_never_loaded(tmp_path, protocol, name):
    mark = tmp_path / "executed"
    path = put(tmp_path, pickle.dumps(Harmful(mark), protocol), name)
    with pytest.raises(EvaluationsError, match="pickle"):
        read_sheet(path)
    packed = put(tmp_path, gzip.compress(path.read_bytes()), "packed.csv.gz")
    with pytest.raises(EvaluationsError, match="pickle"):
        read_sheet(packed)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"PK\x03\x04rest", "runs.csv", "zip archive. Unpack it"),
        (b"PK\x03\x04..archive/data.pkl", "runs.csv", "pickle"),
        (b"PK\x03\x04rest", "runs.pt", "pickle"),
        ("run,a,b\n".encode("utf-16"), "runs.csv", "UTF-16"),
        ("run,a,b\nr,1,0\n".encode("utf-16-le"), "runs.csv", "UTF-16"),
        ("run,a,b\nr,é,0\n".encode("latin-1"), "runs.csv", "may be in Latin-1"),
        (b"run,a,b\n" + b"r,1,0\n" * 20000 + b"r,\xe9,0\n", "runs.csv", "may be in Latin-1"),
        (gzip.compress(b"PAR1rest", mtime=0), "runs.parquet.gz", "compressed with gzip. Unpack it"),
        (b"PAR1rest", "runs.csv", "not a table"),
        (b"PK\x03\x04rest", "runs.npz", "archive of arrays. Give it to `interplay attribute`"),
        (b"PAR1rest", "runs.parquet", "not a table"),
        (b"SQLite format 3\0", "runs.csv", "SQLite database"),
        (b"\x89HDF\r\n", "runs.csv", "HDF5"),
        (b"BZh91AY", "runs.csv", "bzip2"),
        (b"a,b\n\0\0,1\n", "runs.csv", "binary data"),
        (b"\x7fELF\x02\0\0\xff\xfe", "runs.csv", "binary data"),
        (b"", "runs.csv", "empty"),
        (b"", "runs.parquet", "empty"),
        (b"a,b\n", "runs.csv", "no rows"),
        (b"just text\nmore\n", "runs.txt", "single column"),
        (b"a,a\n1,2\n", "runs.csv", "2 columns called 'a'"),
        (b'{"a": 1}', "runs.csv", "is no table. Give a table"),
        (b'{"results": {}, "configs": {}}', "runs.json", "looks like results of lm-eval.*import lm-eval"),
        (b"swarm: {}\npriors: {}\n", "fit.yaml", "looks like a fit of olmix.*import olmix"),
        (b'{"log_history": []}', "x.json", "trainer"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, content, name, words):
    with pytest.raises(EvaluationsError, match=words):
        read_sheet(put(tmp_path, content, name))


def test_places_that_are_no_files(tmp_path):
    with pytest.raises(EvaluationsError, match=r"does not exist\. Check the path"):
        read_sheet(tmp_path / "none.csv")
    with pytest.raises(EvaluationsError, match="is a folder"):
        read_sheet(tmp_path)


def test_sheets_of_parquet_and_columns(tmp_path):
    frame = pd.DataFrame({" Run ": ["a", "b"], "x": [1, None], "y": [True, False], "t": ["1", "z"]})
    frame.to_parquet(tmp_path / "x.parquet")
    frame.to_parquet(tmp_path / "x.data")
    for name in ("x.parquet", "x.data"):
        table = read_sheet(tmp_path / name)
        assert list(table.frame.columns) == ["Run", "x", "y", "t"]
    assert column_called(table.frame, "run_id", "run") == "Run"
    assert column_called(table.frame, "seed") is None
    assert numbers(table.frame, ["x", "y", "t"]) == {"x": True, "y": True, "t": False}
    indexed = frame.set_index(pd.Index(["p", "q"], name="run_id"))
    indexed.to_parquet(tmp_path / "i.parquet")
    assert read_sheet(tmp_path / "i.parquet").frame["run_id"].tolist() == ["p", "q"]
