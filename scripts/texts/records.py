"""Read records from text, JSONL, CSV and Parquet one by one. Invalid ones become rejects."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import pyarrow.parquet

from common.console import InputError
from common.files import atomic_write

STDIN = Path("-")
FORMATS = {
    ".txt": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
REJECTS_SUFFIX = ".rejects.jsonl"
EXIT_REJECTED = 3  # exit code of a command that rejected records
MAX_CSV_FIELD = 10_000_000  # characters; Python's default is 131,072


@dataclass(frozen=True)
class Record:
    """A text with its origin and its other fields.

    source (str): The file.
    line (int): The line, or the row of a Parquet file, from 1.
    fields (dict[str, Any]): For JSONL and tables, all fields except the text. For text files, the
        file's name and the line.
    """

    source: str
    line: int
    text: str
    fields: dict[str, Any]


class Reject(NamedTuple):
    """A record that can't be annotated."""

    source: str
    line: int
    reason: str

    def to_json(self) -> str:
        """RETURNS (str): A line of a file of rejects, with the line feed."""
        return json.dumps(self._asdict()) + "\n"


def rejects_file(output: Path) -> Path:
    """RETURNS (Path): The list of a command's rejected records, OUTPUT.rejects.jsonl."""
    return output.with_name(f"{output.name}{REJECTS_SUFFIX}")


def write_rejects(rejects: Sequence[Reject], output: Path) -> Path:
    """Write a command's rejected records beside its output; without any, delete an older list.

    RETURNS (Path): The list, OUTPUT.rejects.jsonl.
    """
    listed = rejects_file(output)
    listed.unlink(missing_ok=True)
    if rejects:
        with atomic_write(listed) as temporary:
            temporary.write_text("".join(map(Reject.to_json, rejects)), encoding="utf-8")
    return listed


def list_files(path: Path, format_: str | None) -> list[Path]:
    """RETURNS (list[Path]): The file itself, or all files in a folder with a known suffix, sorted.
    RAISES (InputError): If there is no file, or its format is unknown."""
    if path == STDIN:
        if format_ == "parquet":
            raise InputError("Parquet can't be read from standard input; name a file")
        return [path]
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in FORMATS)
        if not files:
            raise InputError(f"{path} contains no file that ends in {', '.join(FORMATS)}")
        return files
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder")
    if format_ is None and path.suffix.lower() not in FORMATS:
        raise InputError(
            f"{path} doesn't end in one of {', '.join(FORMATS)}; set its format with --format"
        )
    return [path]


def read_records(
    files: list[Path], text_field: str, format_: str | None = None
) -> Iterator[Record | Reject]:
    """Read lines of text or JSONL, or rows of a table, one by one. Blank lines are skipped.

    text_field (str): The field or column of the text.
    format_ (str | None): A value of FORMATS. None: by each file's suffix; "text" for standard
        input.
    RAISES (InputError): If a table has no such column, or a file can't be read.
    """
    for path in files:
        kind = format_ or ("text" if path == STDIN else FORMATS[path.suffix.lower()])
        if kind == "parquet":
            yield from read_parquet(path, text_field)
            continue
        with open_text(path) as file:
            if kind == "csv":
                yield from read_csv(file, path, text_field)
            elif kind == "jsonl":
                yield from read_jsonl(file, path, text_field)
            else:
                yield from read_text(file, path)


def open_text(path: Path) -> TextIO:
    """RETURNS (TextIO): The open file. Invalid UTF-8 is decoded to surrogates, which `check_text`
    detects."""
    source = sys.stdin.fileno() if path == STDIN else path
    return open(
        source, encoding="utf-8-sig", errors="surrogateescape", newline="", closefd=path != STDIN
    )


def check_text(text: object, fields: dict[str, Any], source: Path, line: int) -> Record | Reject:
    """RETURNS (Record | Reject): A record if text and fields are valid, otherwise a reject."""
    if not isinstance(text, str):
        what = "null" if text is None else f"of type {type(text).__name__}"
        return Reject(str(source), line, f"the text is {what}, not a string")
    try:
        json.dumps([text, fields], ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError:
        return Reject(str(source), line, "not valid UTF-8")
    return Record(str(source), line, text, fields)


def read_text(file: TextIO, source: Path) -> Iterator[Record | Reject]:
    for number, line in enumerate(file, start=1):
        text = line.rstrip("\r\n")
        if text.strip():
            yield check_text(text, {"source": str(source), "line": number}, source, number)


def read_jsonl(file: TextIO, source: Path, text_field: str) -> Iterator[Record | Reject]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.strip())
        except (ValueError, RecursionError) as error:
            yield Reject(str(source), number, f"not JSON: {error}")
            continue
        if not isinstance(row, dict) or text_field not in row:
            yield Reject(str(source), number, f'no field "{text_field}"')
            continue
        text = row.pop(text_field)
        yield check_text(text, row, source, number)


def read_csv(file: TextIO, source: Path, text_field: str) -> Iterator[Record | Reject]:
    csv.field_size_limit(MAX_CSV_FIELD)
    rows = csv.reader(file, delimiter="\t" if source.suffix.lower() == ".tsv" else ",")
    header = next(rows, [])
    check_column(text_field, header, source)
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield Reject(str(source), rows.line_num, f"not CSV: {error}")
            continue
        if row is None:
            return
        if not row:
            continue
        if len(row) != len(header):
            reason = f"{len(row)} columns where the header has {len(header)}"
            yield Reject(str(source), rows.line_num, reason)
            continue
        fields = dict(zip(header, row, strict=True))
        text = fields.pop(text_field)
        yield check_text(text, fields, source, rows.line_num)


def read_parquet(source: Path, text_field: str) -> Iterator[Record | Reject]:
    try:
        table = pyarrow.parquet.ParquetFile(source)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{source} is not a complete Parquet file: {error}") from None
    with table:
        check_column(text_field, table.schema_arrow.names, source)
        number = 0
        for batch in table.iter_batches(batch_size=1000):
            for fields in batch.to_pylist():
                number += 1
                text = fields.pop(text_field)
                yield check_text(text, fields, source, number)


def check_column(name: str, columns: list[str], source: Path) -> None:
    """RAISES (InputError): If a table has no such column, or two columns of one name."""
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise InputError(f"{source}: several columns are named {', '.join(repeated)}; rename them")
    if name not in columns:
        listed = ", ".join(columns) or "none"
        raise InputError(
            f'{source}: no column "{name}"; its columns are {listed}; set one with --text-field'
        )
