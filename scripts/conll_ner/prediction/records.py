"""Read records from text, JSONL, CSV and Parquet one by one. Invalid ones become rejects."""

import codecs
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from io import BufferedReader, TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from conll_ner.common.console import InputError, shorten
from conll_ner.common.exact_json import MAX_DEPTH, is_too_deep
from conll_ner.common.files import atomic_write, delete_output
from conll_ner.common.links import check_inside
from conll_ner.data.csv_rows import HAS_NUL, find_delimiter, read_rows
from conll_ner.data.encodings import open_bytes, text_suffix
from conll_ner.data.formats.annotated import Annotated, Issue
from conll_ner.data.formats.json_records import parse_records

STDIN = Path("-")
FORMATS = {
    ".txt": "text",
    ".json": "jsonl",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
REJECTS_SUFFIX = ".rejects.jsonl"


def rejects_file(output: Path) -> Path:
    """RETURNS (Path): The list of a command's rejected records, OUTPUT.rejects.jsonl."""
    return output.with_name(f"{output.name}{REJECTS_SUFFIX}")


def write_rejects(rejects: Sequence[Issue], output: Path) -> Path:
    """Write a command's rejected records beside its output; without any, delete an older list.

    RETURNS (Path): The list, OUTPUT.rejects.jsonl.
    """
    listed = rejects_file(output)
    delete_output(listed)
    if rejects:
        with atomic_write(listed) as temporary:
            temporary.write_text("".join(map(Issue.to_json, rejects)), encoding="utf-8")
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
        known = (p for p in path.rglob("*") if p.is_file() and text_suffix(p) in FORMATS)
        files = check_inside(known, path)
        if not files:
            raise InputError(f"{path} contains no file that ends in {', '.join(FORMATS)}")
        return files
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder")
    if format_ is None and text_suffix(path) not in FORMATS:
        raise InputError(
            f"{path} doesn't end in one of {', '.join(FORMATS)}; set its format with --format"
        )
    return [path]


def read_records(
    files: list[Path],
    text_field: str,
    format_: str | None = None,
    *,
    whole_files: bool = False,
    keep_text: bool = False,
) -> Iterator[Annotated | Issue]:
    """Read lines of text, JSON records, or rows of a table, one by one. Blank lines are skipped.

    text_field (str): The field or column of the text.
    format_ (str | None): A value of FORMATS. None: by each file's suffix; "text" for standard
        input.
    whole_files (bool): Whether a text file is one text, instead of a text per line.
    keep_text (bool): Whether the text stays among the fields of a record, in its place.
    RAISES (InputError): If a table has no such column, or a file can't be read.
    """
    for path in files:
        kind = format_ or ("text" if path == STDIN else FORMATS[text_suffix(path)])
        if kind == "parquet":
            yield from read_parquet(path, text_field, keep_text)
            continue
        try:
            with open_binary(path) as binary, decode(binary) as file:
                if kind == "csv":
                    yield from read_csv(file, path, text_field, keep_text)
                elif kind == "jsonl":
                    yield from read_json(file, path, text_field, keep_text)
                else:
                    yield from (read_whole if whole_files else read_text)(file, path)
        except UnicodeDecodeError:  # all other invalid bytes become surrogates
            raise InputError(f"{path} is not complete: it ends within a UTF-16 character") from None


def open_binary(path: Path) -> AbstractContextManager[BufferedReader]:
    """RETURNS (AbstractContextManager): Of the file or standard input, decompressed if the name
    ends in .gz."""
    return open(sys.stdin.fileno(), "rb", closefd=False) if path == STDIN else open_bytes(path)


def decode(file: BufferedReader) -> TextIO:
    """Decode UTF-16 if the file starts with its byte order mark, otherwise UTF-8.

    RETURNS (TextIO): The text. Invalid bytes become surrogates, which `check_text` detects.
    """
    if file.peek(2).startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return TextIOWrapper(file, "utf-16", "surrogatepass", newline="")
    return TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")


def check_text(text: object, fields: dict[str, Any], where: str) -> Annotated | Issue:
    """RETURNS (Annotated | Issue): A text if it and its fields are valid, otherwise why not."""
    if not isinstance(text, str):
        what = "null" if text is None else f"of type {type(text).__name__}"
        return reject(where, f"the text is {what}, not a string")
    if is_too_deep(fields):
        return reject(where, f"nested more than {MAX_DEPTH} levels deep")
    try:
        json.dumps([text, fields], ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(error.object[error.start])
        is_byte = 0xDC80 <= code <= 0xDCFF  # from "surrogateescape"
        reason = "not valid UTF-8" if is_byte else f"an unpaired surrogate, U+{code:04X}"
        return reject(where, reason)
    return Annotated(where, text, fields=fields)


def reject(where: str, reason: str) -> Issue:
    """RETURNS (Issue): A record that can't be annotated."""
    return Issue(where, reason, unreadable=True)


def read_text(file: TextIO, source: Path) -> Iterator[Annotated | Issue]:
    for number, line in enumerate(file, start=1):
        text = line.rstrip("\r\n")
        if text.strip():
            yield check_line(text, source, number)


def read_whole(file: TextIO, source: Path) -> Iterator[Annotated | Issue]:
    text = file.read()
    if text.strip():
        yield check_line(text, source, 1)


def check_line(text: str, source: Path, number: int) -> Annotated | Issue:
    where = f"{source}:{number}"
    if "\0" in text:
        return reject(where, HAS_NUL)
    name = str(source).encode("utf-8", "backslashreplace").decode()  # it can be any bytes
    return check_text(text, {"source": name, "line": number}, where)


def read_json(
    file: TextIO, source: Path, text_field: str, keep_text: bool
) -> Iterator[Annotated | Issue]:
    for where, row in parse_records(file, source):
        if isinstance(row, Issue):
            yield row._replace(text="")
        elif not isinstance(row, dict) or text_field not in row:
            yield reject(where, f'no field "{text_field}"')
        else:
            yield take_text(row, text_field, keep_text, where)


def read_csv(
    file: TextIO, source: Path, text_field: str, keep_text: bool
) -> Iterator[Annotated | Issue]:
    header = next(file, "")
    delimiter = find_delimiter(header, "\t" if text_suffix(source) == ".tsv" else ",")
    rows = read_rows(chain([header] if header else [], file), delimiter)
    first, names = next(rows, (1, []))
    if isinstance(names, str):
        raise InputError(f"{source}:{first}: invalid header: {names}")
    check_column(text_field, names, source)
    for number, row in rows:
        where = f"{source}:{number}"
        if isinstance(row, str):
            yield reject(where, row)
        elif len(row) != len(names):
            yield reject(where, f"{len(row)} columns where the header has {len(names)}")
        else:
            fields = dict(zip(names, row, strict=True))
            yield take_text(fields, text_field, keep_text, where)


def read_parquet(source: Path, text_field: str, keep_text: bool) -> Iterator[Annotated | Issue]:
    from conll_ner.data.parquet_rows import open_parquet, read_fields  # pyarrow is an extra

    with open_parquet(source) as table:
        check_column(text_field, table.schema_arrow.names, source)
        for number, fields in enumerate(read_fields(table, source), start=1):
            where = f"{source}:{number}"
            if isinstance(fields, str):
                yield reject(where, fields)
            else:
                yield take_text(fields, text_field, keep_text, where)


def take_text(
    fields: dict[str, Any], text_field: str, keep_text: bool, where: str
) -> Annotated | Issue:
    """RETURNS (Annotated | Issue): As of `check_text`, for the text of a record."""
    text = fields[text_field] if keep_text else fields.pop(text_field)
    return check_text(text, fields, where)


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
