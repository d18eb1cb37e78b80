"""Read records from text, JSONL, CSV and Parquet one by one. Invalid ones become rejects."""

import codecs
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from conll_ner.common.console import InputError, shorten
from conll_ner.common.exact_json import MAX_DEPTH, is_too_deep, load_json
from conll_ner.common.files import atomic_write, delete_output
from conll_ner.common.links import check_inside
from conll_ner.prediction.csv_rows import HAS_NUL, read_rows

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


@dataclass(frozen=True)
class Record:
    """A text with its origin and its other fields.

    source (str): The file.
    line (int): The line (of a CSV row, the first), or the row of a Parquet file, from 1.
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
    delete_output(listed)
    if rejects:
        with atomic_write(listed) as temporary:
            temporary.write_text("".join(map(Reject.to_json, rejects)), encoding="utf-8")
    return listed


def list_files(path: Path, format_: str | None) -> list[Path]:
    """RETURNS (list[Path]): The file itself, or all files in a folder with a known suffix, sorted.
    RAISES (InputError): If there is no file, or its format is unknown, or a file of the folder is a
        link out of it."""
    if path == STDIN:
        if format_ == "parquet":
            raise InputError("Parquet can't be read from standard input; name a file")
        if sys.stdin is None:
            raise InputError("standard input is closed; name a file, or pipe the texts in")
        return [path]
    if path.is_dir():
        known = (p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in FORMATS)
        files = check_inside(known, path)
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
        try:
            with open_binary(path) as binary, decode(binary) as file:
                if kind == "csv":
                    yield from read_csv(file, path, text_field)
                elif kind == "jsonl":
                    yield from read_jsonl(file, path, text_field)
                else:
                    yield from read_text(file, path)
        except UnicodeDecodeError:  # all other invalid bytes become surrogates
            raise InputError(f"{path} is not complete: it ends within a UTF-16 character") from None


def open_binary(path: Path) -> BufferedReader:
    return open(sys.stdin.fileno() if path == STDIN else path, "rb", closefd=path != STDIN)


def decode(file: BufferedReader) -> TextIO:
    """Decode UTF-16 if the file starts with its byte order mark, otherwise UTF-8.

    RETURNS (TextIO): The text. Invalid bytes become surrogates, which `check_text` detects.
    """
    if file.peek(2).startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return TextIOWrapper(file, "utf-16", "surrogatepass", newline="")
    return TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")


def check_text(text: object, fields: dict[str, Any], source: Path, line: int) -> Record | Reject:
    """RETURNS (Record | Reject): A record if text and fields are valid, otherwise a reject."""
    if not isinstance(text, str):
        what = "null" if text is None else f"of type {type(text).__name__}"
        return Reject(str(source), line, f"the text is {what}, not a string")
    if is_too_deep(fields):
        return Reject(str(source), line, f"nested more than {MAX_DEPTH} levels deep")
    try:
        json.dumps([text, fields], ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(error.object[error.start])
        is_byte = 0xDC80 <= code <= 0xDCFF  # from "surrogateescape"
        reason = "not valid UTF-8" if is_byte else f"an unpaired surrogate, U+{code:04X}"
        return Reject(str(source), line, reason)
    return Record(str(source), line, text, fields)


def read_text(file: TextIO, source: Path) -> Iterator[Record | Reject]:
    name = str(source).encode("utf-8", "backslashreplace").decode()  # it can be any bytes
    for number, line in enumerate(file, start=1):
        text = line.rstrip("\r\n")
        if "\0" in text:
            yield Reject(str(source), number, HAS_NUL)
        elif text.strip():
            yield check_text(text, {"source": name, "line": number}, source, number)


def read_jsonl(file: TextIO, source: Path, text_field: str) -> Iterator[Record | Reject]:
    for number, line in enumerate(file, start=1):
        if "\0" in line:
            yield Reject(str(source), number, HAS_NUL)
            continue
        if not line.strip():
            continue
        try:
            row = load_json(line.strip())
        except ValueError as error:
            yield Reject(str(source), number, str(error))
            continue
        if not isinstance(row, dict) or text_field not in row:
            yield Reject(str(source), number, f'no field "{text_field}"')
            continue
        text = row.pop(text_field)
        yield check_text(text, row, source, number)


def read_csv(file: TextIO, source: Path, text_field: str) -> Iterator[Record | Reject]:
    rows = read_rows(file, "\t" if source.suffix.lower() == ".tsv" else ",")
    first, header = next(rows, (1, []))
    if isinstance(header, str):
        raise InputError(f"{source}:{first}: invalid header: {header}")
    check_column(text_field, header, source)
    for number, row in rows:
        if isinstance(row, str):
            yield Reject(str(source), number, row)
        elif len(row) != len(header):
            reason = f"{len(row)} columns where the header has {len(header)}"
            yield Reject(str(source), number, reason)
        else:
            fields = dict(zip(header, row, strict=True))
            text = fields.pop(text_field)
            yield check_text(text, fields, source, number)


def read_parquet(source: Path, text_field: str) -> Iterator[Record | Reject]:
    from conll_ner.data.parquet_rows import open_parquet, read_fields  # pyarrow is an extra

    with open_parquet(source) as table:
        check_column(text_field, table.schema_arrow.names, source)
        for number, fields in enumerate(read_fields(table, source), start=1):
            if isinstance(fields, str):
                yield Reject(str(source), number, fields)
            else:
                text = fields.pop(text_field)
                yield check_text(text, fields, source, number)


def check_column(name: str, columns: list[str], source: Path) -> None:
    """RAISES (InputError): If a table has no such column, or two columns of one name."""
    repeated = sorted(column for column, count in Counter(columns).items() if count > 1)
    if repeated:
        listed = shorten(", ".join(name or '""' for name in repeated))
        raise InputError(f"{source}: several columns are named {listed}; rename them")
    if name not in columns:
        listed = shorten(", ".join(columns)) or "none"
        raise InputError(
            f'{source}: no column "{name}"; its columns are {listed}; set one with --text-field'
        )
