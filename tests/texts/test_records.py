"""Reading records in every format. Invalid records are rejected with their line."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.console import InputError
from texts import records
from texts.records import Record, Reject, list_files, read_jsonl, read_records


def read(path: Path, **options: Any) -> list[Record | Reject]:
    return list(read_records([path], options.pop("text_field", "text"), **options))


def rejects(items: list[Record | Reject]) -> list[tuple[int, str]]:
    return [(item.line, item.reason) for item in items if isinstance(item, Reject)]


def texts(items: list[Record | Reject]) -> list[str]:
    return [item.text for item in items if isinstance(item, Record)]


def test_text_has_one_record_per_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffOne.\r\n\r\n  \nTwo in Århus.".encode())
    assert read(path) == [
        Record(str(path), 1, "One.", {"source": str(path), "line": 1}),
        Record(str(path), 4, "Two in Århus.", {"source": str(path), "line": 4}),
    ]


def test_jsonl_keeps_the_other_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 7, "text": "One.", "tags": ["x"]}\n\n{"text": ""}\n')
    assert read(path) == [
        Record(str(path), 1, "One.", {"id": 7, "tags": ["x"]}),
        Record(str(path), 3, "", {}),
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
        "not valid UTF-8",
        "not valid UTF-8",
    ]
    assert found[8][1].startswith("not JSON")


@pytest.mark.parametrize(("suffix", "separator"), [("csv", ","), ("tsv", "\t")])
def test_csv_columns_are_found_by_header(suffix: str, separator: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    rows = [["id", "body"], ["1", '"Two\nlines, and a ""quote"""'], ["2", "b", "c"], [], ["3", "d"]]
    path.write_text("\n".join(separator.join(row) for row in rows))
    items = read(path, text_field="body")
    assert texts(items) == ['Two\nlines, and a "quote"', "d"]
    assert [item.fields for item in items if isinstance(item, Record)] == [{"id": "1"}, {"id": "3"}]
    assert rejects(items) == [(4, "3 columns where the header has 2")]


def test_csv_texts_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"text\n{'x' * 200_000}\n")
    assert len(texts(read(path))[0]) == 200_000


def test_parquet_keeps_the_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {"text": ["One.", None, "Two."], "n": [1, 2, 3]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    assert read(path) == [
        Record(str(path), 1, "One.", {"n": 1}),
        Reject(str(path), 2, "the text is null, not a string"),
        Record(str(path), 3, "Two.", {"n": 3}),
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
        ("a.log", b"x", "a.log doesn't end in one of .txt, .jsonl"),
        ("empty", None, "contains no file that ends in"),
        ("a.csv", b"id,body\n1,x", 'a.csv: no column "text"; its columns are id, body'),
        ("a.csv", b"", 'a.csv: no column "text"; its columns are none'),
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
    items = list(read_jsonl(file, Path("x"), "text"))
    assert texts(items) == values
