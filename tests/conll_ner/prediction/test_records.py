"""Reading records in every format. Invalid records are rejected with their line."""

import gzip
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conll_ner.common.console import InputError
from conll_ner.data.csv_rows import HAS_NUL
from conll_ner.data.formats.annotated import Annotated, Issue
from conll_ner.prediction import records
from conll_ner.prediction.records import list_files, read_json, read_records


def read(path: Path, **options: Any) -> list[Annotated | Issue]:
    return list(read_records([path], options.pop("text_field", "text"), **options))


def line_of(item: Annotated | Issue) -> int:
    return int(item.record.rpartition(":")[2])


def rejects(items: list[Annotated | Issue]) -> list[tuple[int, str]]:
    return [(line_of(item), item.reason) for item in items if isinstance(item, Issue)]


def texts(items: list[Annotated | Issue]) -> list[str]:
    return [item.text for item in items if isinstance(item, Annotated)]


def test_text_has_one_record_per_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffOne.\r\n\r\n  \nTwo in Århus.".encode())
    assert read(path) == [
        Annotated(f"{path}:1", "One.", fields={"source": str(path), "line": 1}),
        Annotated(f"{path}:4", "Two in Århus.", fields={"source": str(path), "line": 4}),
    ]


def test_jsonl_keeps_the_other_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 7, "text": "One.", "tags": ["x"]}\n\n{"text": ""}\n')
    assert read(path) == [
        Annotated(f"{path}:1", "One.", fields={"id": 7, "tags": ["x"]}),
        Annotated(f"{path}:3", "", fields={}),
    ]


def test_jsonl_rejects_with_line_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        b'{"text": "good"}',
        b'{"text": "half',
        b'{"other": 1}',
        b'["text"]',
        b'{"text": null}',
        b'{"text": 5}',
        b'{"text": "\xff"}',
        rb'{"text": "\ud800"}',
        rb'{"text": "ok", "id": "\ud800"}',
        b"[" * 100_000,
        b'{"text": "good too"}',
    ]
    path.write_bytes(b"\n".join(lines))
    items = read(path)
    assert texts(items) == ["good", "good too"]
    found = rejects(items)
    assert [line for line, _ in found] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert found[0][1].startswith("not JSON: Unterminated string")
    assert [reason for _, reason in found[1:8]] == [
        'no field "text"',
        'no field "text"',
        "the text is null, not a string",
        "the text is of type int, not a string",
        "not valid UTF-8",
        "an unpaired surrogate, U+D800",
        "an unpaired surrogate, U+D800",
    ]
    assert found[8][1] == "nested more than 100 levels deep"


@pytest.mark.parametrize(("suffix", "separator"), [("csv", ","), ("tsv", "\t")])
def test_csv_columns_are_found_by_header(suffix: str, separator: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    rows = [["id", "body"], ["1", '"Two\nlines, and a ""quote"""'], ["2", "b", "c"], [], ["3", "d"]]
    path.write_text("\n".join(separator.join(row) for row in rows))
    items = read(path, text_field="body")
    assert texts(items) == ['Two\nlines, and a "quote"', "d"]
    assert [item.fields for item in items if isinstance(item, Annotated)] == [
        {"id": "1"},
        {"id": "3"},
    ]
    assert rejects(items) == [(4, "3 columns where the header has 2")]


def test_csv_rejects_only_the_row_with_the_open_quote(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text\n"Ada left.\nNext\n"Two\nlines"\n"Lee" left.\nLast\n')
    items = read(path)
    assert [(line_of(item), item.text) for item in items if isinstance(item, Annotated)] == [
        (3, "Next"),
        (4, "Two\nlines"),
        (7, "Last"),
    ]
    reason = "not CSV (',' expected after '\"'); check the quotes"
    assert rejects(items) == [(2, reason), (6, reason)]


def test_csv_can_have_semicolons(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id;text\n1;"Ada; left, at 3,5"\n')
    assert texts(read(path)) == ["Ada; left, at 3,5"]


def test_csv_texts_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"text\n{'x' * 200_000}\n")
    assert len(texts(read(path))[0]) == 200_000


def test_parquet_keeps_the_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {"text": ["One.", None, "Two."], "n": [1, 2, 3]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    assert read(path) == [
        Annotated(f"{path}:1", "One.", fields={"n": 1}),
        Issue(f"{path}:2", "the text is null, not a string", unreadable=True),
        Annotated(f"{path}:3", "Two.", fields={"n": 3}),
    ]


def test_folder_is_read_file_by_file_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/c.jsonl", "z.txt", "a.CSV"):
        (tmp_path / name).write_text('{"text": "x"}' if name.endswith("jsonl") else "text\nx")
    (tmp_path / "image.png").write_bytes(b"\x89")
    files = list_files(tmp_path, None)
    assert [str(path.relative_to(tmp_path)) for path in files] == ["a.CSV", "b/c.jsonl", "z.txt"]
    assert texts(list(read_records(files, "text"))) == ["x", "x", "text", "x"]


def test_format_overrides_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text('{"text": "x"}')
    assert texts(read(path, format_="jsonl")) == ["x"]
    assert texts(read(path, format_="text")) == ['{"text": "x"}']


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.txt", None, "none.txt: no such file or folder"),
        ("a.log", b"x", "a.log doesn't end in one of .txt, .json, .jsonl"),
        ("empty", None, "contains no file that ends in"),
        ("a.csv", b"id,body\n1,x", 'a.csv: no column "text"; its columns are id, body'),
        ("a.csv", b"", 'a.csv: no column "text"; its columns are none'),
        ("a.csv", b'id,"text\n1,x', r"a.csv:1: invalid header: not CSV \(unexpected end of data\)"),
        ("a.csv", b"text,,\nAda,,\n", 'several columns are named ""; rename them'),
        ("a.csv", b"a" * 20_000_000, r"a.csv:1: invalid header: not CSV \(a row of more than"),
        ("a.csv", b"a" * 9_000_000, 'no column "text"; its columns are a{100}…; set one'),
        ("a.csv", "text\n".encode("utf-16-le"), "a.csv:1: invalid header: NUL characters; if the"),
        ("a.txt", "Ada".encode("utf-16")[:-1], "a.txt is not complete: it ends within a UTF-16"),
        ("a.parquet", b"PAR1half", "a.parquet is not a complete Parquet file"),
    ],
)
def test_invalid_files_are_an_error(
    name: str, content: bytes | None, words: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        list(read_records(list_files(tmp_path / name, None), "text"))


def test_parquet_needs_a_file() -> None:
    with pytest.raises(InputError, match="Parquet can't be read from standard input"):
        list_files(records.STDIN, "parquet")


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8")), max_size=5))
def test_jsonl_of_any_text_is_read_back(values: list[str]) -> None:
    file = io.StringIO("".join(json.dumps({"text": value}) + "\n" for value in values))
    items = list(read_json(file, Path("x"), "text", keep_text=False))
    assert texts(items) == values


def test_json_arrays_are_read_item_by_item(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"text": "One.", "id": 1}, {"id": 2}, {"text": "Two."}], indent=1))
    assert read(path) == [
        Annotated(f"{path}, item 1", "One.", fields={"id": 1}),
        Issue(f"{path}, item 2", 'no field "text"', unreadable=True),
        Annotated(f"{path}, item 3", "Two.", fields={}),
    ]


@pytest.mark.parametrize("suffix", ["txt", "jsonl", "csv"])
def test_gzip_is_decompressed(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}.gz"
    path.write_bytes(gzip.compress(FILES[suffix].encode()))
    assert list_files(tmp_path, None) == [path]
    assert texts(read(path)) == TEXTS
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="is not a complete gzip file"):
        read(path)


def test_a_file_can_be_one_text(tmp_path: Path) -> None:
    for name, text in (("a.txt", "Ada left\nOslo.\n"), ("b.txt", " \n"), ("c.txt", "Bo\0")):
        (tmp_path / name).write_text(text)
    items = list(read_records(list_files(tmp_path, None), "text", whole_files=True))
    assert texts(items) == ["Ada left\nOslo.\n"]
    assert rejects(items) == [(1, HAS_NUL)]


# --- Encodings ---

TEXTS = ["Ada Lindqvist.", "Århus – 東京 😀"]
FILES = {
    "txt": "\n".join(TEXTS),
    "csv": "text\r\n" + "\r\n".join(TEXTS),
    "jsonl": "\n".join(json.dumps({"text": text}, ensure_ascii=False) for text in TEXTS),
}


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("by_stdin", [False, True])
def test_unicode_is_decoded_by_its_byte_order_mark(
    suffix: str, encoding: str, by_stdin: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.{suffix}"
    mark = "\ufeff" if encoding.startswith("utf-16") else ""
    path.write_bytes((mark + FILES[suffix]).encode(encoding))
    if by_stdin:
        with path.open() as file:
            monkeypatch.setattr(sys, "stdin", file)
            items = read(records.STDIN, format_={"txt": "text"}.get(suffix, suffix))
    else:
        items = read(path)
    assert texts(items) == TEXTS


@pytest.mark.parametrize(
    ("suffix", "header", "row"),
    [("txt", b"", "Ada\n"), ("csv", b"text\n", '"Ada"\n'), ("jsonl", b"", '{"text": "Ada"}\n')],
)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_byte_order_mark_is_rejected(
    suffix: str, header: bytes, row: str, encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(header + (row * 2).encode(encoding))
    items = read(path)
    assert len(rejects(items)) == len(items) >= 2
    assert {reason for _, reason in rejects(items)} == {HAS_NUL}


def test_half_a_surrogate_pair_in_utf16_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffAda\n\ud83d\nLee\n".encode("utf-16-le", "surrogatepass"))
    items = read(path)
    assert texts(items) == ["Ada", "Lee"]
    assert rejects(items) == [(2, "an unpaired surrogate, U+D83D")]


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    """Names of files can be any bytes; fields are text."""
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    path.write_text("Ada")
    (record,) = read(path)
    assert isinstance(record, Annotated)
    assert record.fields["source"].endswith(r"caf\udce9.txt")


def test_closed_standard_input_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as Python sets it for `<&-`
    with pytest.raises(InputError, match="standard input is closed"):
        list_files(records.STDIN, None)


# --- Parquet that Python can't represent ---


def test_parquet_rejects_rows_with_values_that_python_lacks(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    names = pyarrow.array([b"a", b"\xff", b"c", b"d"], pyarrow.binary())
    columns = {
        "text": ["One.", "Two.", "Three.", "Four."],
        "name": pyarrow.Array.from_buffers(pyarrow.string(), 4, names.buffers()),
        "day": pyarrow.array([0, 0, 10_000_000, 0], pyarrow.int32()).cast(pyarrow.date32()),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    items = read(path)
    assert texts(items) == ["One.", "Four."]
    (two, invalid), (three, late) = rejects(items)
    assert (two, three) == (2, 3)
    assert invalid.startswith(
        "the column \"name\" (string) can't be read: 'utf-8' codec can't decode"
    )
    assert late == 'the column "day" (date32[day]) can\'t be read: date value out of range'


def test_parquet_with_names_that_are_not_utf8_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"text": ["One."], "né": [1]})
    pyarrow.parquet.write_table(table, path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"\xc3", b"\xff"))
    with pytest.raises(InputError, match="is not a complete Parquet file: 'utf-8' codec"):
        read(path)


def test_parquet_rejects_times_of_an_unknown_zone(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    times = pyarrow.array([0], pyarrow.timestamp("ms", "Nowhere/City"))
    pyarrow.parquet.write_table(pyarrow.table({"text": ["One."], "time": times}), path)
    ((line, reason),) = rejects(read(path))
    assert line == 1
    assert reason.startswith('the column "time" (timestamp[ms, tz=Nowhere/City]) can\'t be read: ')


def test_parquet_that_is_damaged_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"text": [f"Text {i}." for i in range(3000)]})
    pyarrow.parquet.write_table(table, path, row_group_size=1000, compression="snappy")
    start = pyarrow.parquet.read_metadata(path).row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    found = read_records([path], "text")
    assert [line_of(next(found)) for _ in range(1000)] == list(range(1, 1001))
    with pytest.raises(InputError) as error:
        next(found)
    assert str(error.value).startswith(f"{path} is damaged: rows from 1,001 on can't be read: ")
    assert len(str(error.value).splitlines()) == 1
