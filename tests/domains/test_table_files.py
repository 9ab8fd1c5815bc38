"""Reading and writing table files: delimiters, encodings, and the errors that name line and cause."""

from __future__ import annotations

import datetime
import gzip
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gannet.domains.table_arrow_text import ArrowText, read_fast
from gannet.domains.table_excel import read_excel, write_excel
from gannet.domains.table_files import (
    MOST_COLUMNS,
    read_carefully,
    read_parquet,
    read_text,
    suffix_of,
    target,
    write_json,
    write_text,
)
from gannet.domains.table_source import read_source
from gannet.domains.table_values import texts, understand
from gannet.domains.tables import Tables
from gannet.errors import GannetError

openpyxl = pytest.importorskip("openpyxl")
ROWS = "a,b\n1,x\n2,y\n3,z\n"


def written(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path, delimiter):
    table = read_text(written(tmp_path, ROWS.replace(",", delimiter)))
    assert table.names == ["a", "b"] and table.delimiter == delimiter
    assert [column.objects().tolist() for column in table.columns] == [["1", "2", "3"], ["x", "y", "z"]]


def test_a_semicolon_file_with_decimal_commas_is_not_taken_for_commas(tmp_path):
    table = read_text(written(tmp_path, "a;b\n1,5;2,5\n3,5;4,5\n"))
    assert table.delimiter == ";" and len(table.columns) == 2


@pytest.mark.fault(18)
def test_byte_order_marks_crlf_blank_lines_and_quoted_newlines_are_read(tmp_path):
    table = read_text(written(tmp_path, b'\xef\xbb\xbfa,b\r\n"x, \r\ny",2\r\n\r\nz,3\r\n'))
    assert table.names == ["a", "b"]
    assert table.columns[0].objects().tolist() == ["x, \r\ny", "z"]


@pytest.mark.fault(18)
def test_utf_16_from_a_spreadsheet_is_read(tmp_path):
    table = read_text(written(tmp_path, "a,b\nå,1\n".encode("utf-16")))
    assert table.columns[0].levels == ["å"]


def test_gzip_is_read(tmp_path):
    assert read_text(written(tmp_path, gzip.compress(ROWS.encode()), "t.csv.gz")).names == ["a", "b"]


def test_an_unnamed_first_column_is_taken_as_a_saved_index(tmp_path):
    table = read_text(written(tmp_path, ",a\n0,5\n1,6\n"))
    assert table.names == ["Unnamed: 0", "a"] and "row index" in table.warnings[0]


def test_a_file_that_seems_to_lack_its_header_is_warned_about(tmp_path):
    assert "header" in read_text(written(tmp_path, "1,2\n3,4\n")).warnings[0]


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("a,b\n1,2\n3\n", "line 3: 1 fields, the header has 2"),
        ("a,b\n1,2,9\n", "line 2: 3 fields, the header has 2"),
        ('a,b\n"x\ny",2\n3\n', "line 4: 1 fields"),
        ("a,a\n1,2\n", "2 columns are called 'a'"),
        ("a,b,\n1,2,3\n", "column 3 has no name"),
        (b"a,b\n1,2\n\xe9,4\n", r"line 3: byte 8 \(0xe9\) is not UTF-8"),
        (b"a,b\n1,\x002\n", "line 2: byte 6 is NUL"),
        ('a,b\n"x,2\n', "line 2: .*end of data"),
        (",".join(f"c{index}" for index in range(MOST_COLUMNS + 1)) + "\n", "5,001 columns, the limit is 5,000"),
    ],
)
def test_what_is_not_a_table_is_refused_with_its_line_and_cause(tmp_path, content, message):
    with pytest.raises(GannetError, match=message):
        read_text(written(tmp_path, content))


@pytest.mark.fault(18)
def test_a_cut_gzip_a_missing_file_and_a_false_parquet_are_refused(tmp_path):
    cut = gzip.compress(ROWS.encode() * 99)[:-20]
    for path in (written(tmp_path, cut, "t.csv.gz"), written(tmp_path, ROWS, "u.csv.gz"), tmp_path / "none.csv"):
        with pytest.raises(GannetError, match=path.name):
            read_text(path)
    pytest.importorskip("pyarrow")
    with pytest.raises(GannetError, match="not a whole Parquet file"):
        read_parquet(written(tmp_path, ROWS, "t.parquet"))


def test_suffixes_are_read_and_completed(tmp_path):
    assert suffix_of(tmp_path / "A.CSV.GZ") == ".csv.gz"
    assert target(tmp_path / "rows").name == "rows.csv"
    assert target(tmp_path) == tmp_path / "samples.csv"
    with pytest.raises(GannetError, match="'.ods'"):
        target(tmp_path / "rows.ods")


def test_what_is_written_is_read_back_and_the_same_table_gives_the_same_bytes(tmp_path):
    columns = [np.array(["1", "", 'quo"te'], dtype=object), np.array(["a,b", "line\nbreak", "é"], dtype=object)]
    for name in ("new/t.csv", "t.tsv", "t.csv.gz"):
        path = tmp_path / name
        write_text(path, ["p", "q"], columns, "\t" if "tsv" in name else ",")
        first = path.read_bytes()
        write_text(path, ["p", "q"], columns, "\t" if "tsv" in name else ",")
        assert path.read_bytes() == first
        assert [column.objects().tolist() for column in read_text(path).columns] == [list(c) for c in columns]


def test_json_is_rows_with_nulls(tmp_path):
    write_json(tmp_path / "t.json", ["a", "b"], [[1, None], ["x", "y"]])
    import json

    assert json.loads((tmp_path / "t.json").read_text()) == [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]


# --------------------------------------------------------------------------------------------------- read by Arrow

LINES = {
    "plain": "a,b\n1,x\n2,y\n",
    "quoted": 'a,b\n"1","x, y"\n2,"he said ""no"""\n3,"two\nlines"\n',
    "windows": '\ufeffa,b\r\n1,x\r\n\r\n2,"y\r\nz"\r\n',
    "no last newline": "a;b\n1;x\n2;y",
    "one column": "a\n1\n\n2\n",
    "quoted header": '"a\nb",c\n1,2\n',
    "empty fields": "a,b\n,\n1,\n,x\n",
}


@pytest.mark.parametrize("name", LINES)
def test_arrow_reads_what_the_careful_reader_reads(tmp_path, name):
    pytest.importorskip("pyarrow")
    path, content = tmp_path / "t.csv", LINES[name].encode()
    fast, careful = read_fast(content, path), read_carefully(content, path)
    assert (fast.names, fast.delimiter, fast.warnings) == (careful.names, careful.delimiter, careful.warnings)
    for column, expected in zip(fast.columns, careful.columns, strict=True):
        assert column.texts().objects().tolist() == expected.objects().tolist()


@pytest.mark.parametrize(
    "content",
    [
        b'a,b\n1,"x\n',
        b'a,b\n1,x"y"z\n',
        b'a,b\n1,"x"y\n',
        b"a,b\n1\n",
        b"a,b\n1,\xe9\n",
        b"a, b\n1, 2\n",
        b"a\n\x00\n",
        b"",
    ],
)
def test_anything_odd_is_left_to_the_careful_reader(tmp_path, content):
    assert read_fast(content, tmp_path / "t.csv") is None


ITEMS = st.lists(
    st.sampled_from(
        ["", "NA", " nan", "0", "1", "-7", "007", "1.50", "2.", ".5", "1e3", "1e999", "9" * 17, "1,5", "x", "+1"]
    )
    | st.integers(-(10**6), 10**6).map(str)
    | st.floats(-1e9, 1e9).map(repr),
    min_size=1,
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(ITEMS, st.sampled_from([None, "integer", "decimal", "category"]))
def test_a_column_of_arrow_means_what_the_same_texts_mean(items, wanted):
    pyarrow = pytest.importorskip("pyarrow")
    # Several chunks, as a large file has.
    column = ArrowText(pyarrow.chunked_array([pyarrow.array(part) for part in (items[:7], items[7:]) if part]))
    found, expected = column.understand(wanted), understand(texts(items), wanted=wanted)
    assert (found.meaning, found.unit, found.remark) == (expected.meaning, expected.unit, expected.remark)
    assert found.spelling == expected.spelling and found.values.digest() == expected.values.digest()


# ------------------------------------------------------------------------------------------- zip files and encodings


def test_the_one_table_in_a_zip_is_read_and_several_are_refused(tmp_path):
    path = tmp_path / "t.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/t.csv", ROWS)
        archive.writestr("__MACOSX/folder/._t.csv", "x")
    assert Tables.claims(path) and read_text(path).names == ["a", "b"]
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("u.csv", ROWS)
    with pytest.raises(GannetError, match="holds 2 tables; unpack"):
        read_text(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a.png", "x")
    assert not Tables.claims(path) and not Tables.claims(tmp_path / "none.zip")


def test_another_encoding_is_read_when_it_is_said(tmp_path):
    path = written(tmp_path, "name,n\nZoë,1\nJürg,2\n".encode("latin1"))
    with pytest.raises(GannetError, match="line 2: .*say encoding=latin1"):
        read_source(path)
    assert read_source(path, "latin1").columns[0].values.texts().levels == ["Zoë", "Jürg"]
    with pytest.raises(GannetError, match="encoding: 'latin-99' is not known"):
        read_source(path, "latin-99")
    with pytest.raises(GannetError, match="line 2: byte 9 is not ascii"):
        read_source(path, "ascii")


# ------------------------------------------------------------------------------------------------------------ Excel


def workbook(path, sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_a_workbook_comes_back_with_its_values(tmp_path):
    day, clock = datetime.datetime(2024, 2, 29), datetime.time(9, 30)
    kinds = [["n", "x", "flag", "day", "clock", "word", "wait"]]
    rows = [[1, 1.5, True, day, clock, "a", datetime.timedelta(hours=30)], [None, 2.5, None, None, None, None, None]]
    rows += [[3, None, False, day, datetime.time(10), "=b", datetime.timedelta(hours=1)]]
    path = tmp_path / "t.xlsx"
    write_excel(path, kinds[0], [list(items) for items in zip(*(rows * 20), strict=True)])
    result = Tables.open(path, Tables.Options(least=1), seed=0, cache=tmp_path)
    forms = {form.name: form for form in result.domain.forms}
    assert [form.meaning for form in forms.values()] == "integer decimal boolean date time text duration".split()
    assert (forms["n"].dtype, forms["flag"].dtype) == ("Int64", "boolean")
    back = result.domain.decode(result.train.dataset.read(np.arange(60))[0])
    (out,) = result.domain.write(back, tmp_path / "out.xlsx")
    sheets = [openpyxl.load_workbook(each).active for each in (path, out)]
    before, after = ([[cell.value for cell in row] for row in sheet.iter_rows()] for sheet in sheets)
    assert after == before


def test_the_first_sheet_that_holds_anything_is_read_and_the_others_are_named(tmp_path):
    rows = [["a", "b"], [], [1, "#N/A"], [2, "x"]]
    frame, warnings = read_excel(workbook(tmp_path / "t.xlsx", {"empty": [], "data": rows, "notes": [["hello"]]}))
    assert frame["a"].tolist() == [1, 2] and "'data' is read; 'notes'" in warnings[0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no sheet holds anything"),
        ([["a", None, "c"], [1, 2, 3]], "sheet 's' row 1: column 2 has no name"),
        ([["a", "a"], [1, 2]], "2 columns are called 'a'"),
        ([["a"], [1], [2, 3]], "sheet 's' row 3: 2 cells, the header has 1"),
    ],
)
def test_a_sheet_that_is_no_table_is_refused_by_name_and_row(tmp_path, rows, message):
    with pytest.raises(GannetError, match=message):
        read_excel(workbook(tmp_path / "t.xlsx", {"s": rows}))


def test_what_is_no_workbook_and_what_excel_cannot_hold_is_refused(tmp_path, monkeypatch):
    with pytest.raises(GannetError, match="not a whole Excel file"):
        read_excel(written(tmp_path, ROWS, "t.xlsx"))
    with pytest.raises(GannetError, match="row 2 holds a control character"):
        write_excel(tmp_path / "t.xlsx", ["a"], [["x", "\x01"]])
    with pytest.raises(GannetError, match="an Excel sheet holds 1,048,575"):
        write_excel(tmp_path / "t.xlsx", ["a"], [range(1_048_576)])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(GannetError, match=r'openpyxl: pip install "gannet\[excel\]"'):
        read_excel(tmp_path / "t.xlsx")


def test_odd_values_are_written_as_text(tmp_path):
    zoned = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    write_excel(tmp_path / "t.xlsx", ["a"], [[10**16, float("inf"), zoned, "=1+1", None, 5]])
    frame, _ = read_excel(tmp_path / "t.xlsx")
    assert frame["a"].tolist() == ["1" + "0" * 16, "inf", "2024-01-01 00:00:00+00:00", "=1+1", 5]
